//! What of `[[policies]]` says which module is meant and who stands by it: `digest`,
//! `require-signature`, `signed-for`, and whether a module from the network may do without.

use std::path::{Path, PathBuf};

use super::raw::{Report, Section, Value};
use super::{Pinning, PolicyConfig, PolicyModule, RepositoryName};
use crate::types::Digest;

pub(super) const KEYS: &[&str] = &["digest", "require-signature", "signed-for"];

/// What a module must be, other than a policy.
pub(super) struct Trust {
    pub(super) digest: Option<Digest>,
    pub(super) require_signature: Option<PathBuf>,
    pub(super) signed_for: Option<RepositoryName>,
}

const UNPINNED: &str = "which may be another module tomorrow; set digest to what rutter policy \
                        pull prints, or policy.require-digest to false";

/// What there is for `module`; whatever is wrong with that has been reported already where it is
/// absent.
pub(super) fn read(
    section: &Section<'_>,
    module: Option<&PolicyModule>,
    directory: &Path,
    common: &PolicyConfig,
    report: &mut Report,
) -> Trust {
    let values = KEYS.iter().filter_map(|key| section.value(key));
    if let Some(PolicyModule::Builtin(_)) = module {
        for value in values {
            let problem = "is set for a module that comes with the agent; remove it";
            value.problem(problem, report);
        }
        return Trust {
            digest: None,
            require_signature: None,
            signed_for: None,
        };
    }
    let digest = section.value("digest");
    if let Some(value) = section.value("module")
        && let Some(module) = module
        && digest.is_none()
        && !is_pinned(module)
        && common.pinning == Pinning::Required
    {
        value.problem(format!("is \"{module}\", {UNPINNED}"), report);
    }
    let key = section.value("require-signature");
    let key = key.and_then(|value| value.path(directory, report));
    let require_signature = key.or_else(|| common.require_signature.clone());
    let signed_for = section.value("signed-for");
    Trust {
        digest: digest.and_then(|value| self::digest(&value, report)),
        signed_for: signed_for.and_then(|value| {
            self::signed_for(&value, module, require_signature.is_some(), report)
        }),
        require_signature,
    }
}

fn signed_for(
    value: &Value<'_>,
    module: Option<&PolicyModule>,
    is_signature_required: bool,
    report: &mut Report,
) -> Option<RepositoryName> {
    let text = value.string(report)?;
    let problem = match module {
        Some(PolicyModule::Builtin(_) | PolicyModule::File(_) | PolicyModule::Http(_)) => {
            "is set for a module that is in no registry; its signature names none: remove this"
        }
        Some(PolicyModule::Oci(_)) if !is_signature_required => {
            "is set, but no signature is asked for; set require-signature, or remove this"
        }
        Some(PolicyModule::Oci(_)) | None => match RepositoryName::parse(text) {
            Ok(name) => return Some(name),
            Err(problem) => {
                value.problem(format!("is {text:?}, {problem}"), report);
                return None;
            }
        },
    };
    value.problem(problem, report);
    None
}

/// Whether what is named cannot be another module tomorrow without a change on the node.
fn is_pinned(module: &PolicyModule) -> bool {
    match module {
        PolicyModule::Builtin(_) | PolicyModule::File(_) => true,
        PolicyModule::Oci(reference) => reference.digest().is_some(),
        PolicyModule::Http(_) => false,
    }
}

fn digest(value: &Value<'_>, report: &mut Report) -> Option<Digest> {
    let text = value.string(report)?;
    let digest = text.parse().ok();
    if digest.is_none() {
        let advice = "write \"sha256:\" and 64 hexadecimal digits, as rutter policy inspect does";
        value.problem(format!("is {text:?}; {advice}"), report);
    }
    digest
}
