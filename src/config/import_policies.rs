//! `[[import-policies]]` and `import-policy-default`.

use super::policies::{DEFAULTS, Surroundings, are_all_in_shadow, chain, link, module};
use super::raw::{Report, Section};
use super::{PolicyLink, PolicyModule};
use crate::policy::{ChainDefault, Direction};

/// `import-policy-default`.
pub(super) fn read_default(
    top: &Section<'_>,
    report: &mut Report,
    warnings: &mut Vec<String>,
) -> ChainDefault {
    let value = top.value("import-policy-default");
    let choice = value.as_ref();
    let choice = choice.and_then(|value| value.choice(&DEFAULTS, report));
    if let Some(value) = value
        && top.value("import-policies").is_none()
    {
        value.problem(
            "is set, but there are no [[import-policies]]; without them all learned routes are used",
            report,
        );
    }
    let default = choice.unwrap_or_default();
    match default {
        ChainDefault::Reject => {}
        ChainDefault::Accept => warnings.push(
            "import-policy-default is \"accept\": whatever no import policy decides about is used, \
             and so is everything that a failing one with on-error = \"skip\" would have rejected"
                .to_owned(),
        ),
    }
    default
}

/// `[[import-policies]]`, at the end of which this stands.
pub(super) fn read(
    top: &Section<'_>,
    default: ChainDefault,
    surroundings: &Surroundings<'_>,
    report: &mut Report,
) -> Vec<PolicyLink> {
    let tables = chain(top, Direction::Import, report);
    let links: Vec<_> = tables
        .into_iter()
        .map(|(name, section)| {
            let module = module_of(&section, surroundings, report);
            link(name, module.as_ref(), &section, surroundings, report)
        })
        .collect();
    // What a shadow is compared with would else be that nothing is used, from one reload to the
    // next, where without import policies everything was.
    if let Some(value) = top.value("import-policies")
        && !links.is_empty()
        && are_all_in_shadow(&links)
        && default == ChainDefault::Reject
    {
        let problem = "has no policy that decides: all are in shadow mode, so that no learned \
                       route would be used; write import-policy-default = \"accept\" to use all of \
                       them meanwhile, as without import policies";
        value.problem(problem, report);
    }
    links
}

/// Not all that is built in decides on learned routes.
fn module_of(
    section: &Section<'_>,
    surroundings: &Surroundings<'_>,
    report: &mut Report,
) -> Option<PolicyModule> {
    let value = section.required("module", "the path of a WebAssembly module", report)?;
    match module(&value, surroundings.directory, report)? {
        PolicyModule::Builtin(builtin) if !builtin.is_import_policy() => {
            let problem = format!(
                "is \"builtin:{}\", which decides on announced routes; write where there is an \
                 import policy",
                builtin.name()
            );
            value.problem(problem, report);
            None
        }
        module @ (PolicyModule::Builtin(_)
        | PolicyModule::File(_)
        | PolicyModule::Oci(_)
        | PolicyModule::Http(_)) => Some(module),
    }
}
