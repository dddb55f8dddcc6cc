//! `[[import-policies]]` and `import-policy-default`.

use std::collections::BTreeMap;
use std::path::Path;

use super::limits;
use super::policies::{DEFAULTS, ON_ERROR, module, name};
use super::raw::{Report, Section};
use super::{ImportPolicyLink, PolicyModule};
use crate::policy::ChainDefault;

pub(super) const KEYS: &[&str] = &["name", "module", "settings", "on-error", "limits"];

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

pub(super) fn read(
    top: &Section<'_>,
    directory: &Path,
    report: &mut Report,
) -> Vec<ImportPolicyLink> {
    let tables = top
        .value("import-policies")
        .and_then(|value| value.list("[[import-policies]], with two brackets", report));
    let mut names = BTreeMap::new();
    let mut links = Vec::new();
    for table in tables.into_iter().flatten() {
        let section = Section::of(Some(&table), KEYS, report);
        let name = section
            .required("name", "a name for status and explain", report)
            .and_then(|value| name(&value, report));
        if let Some(name) = name
            && let Some(before) = names.insert(name, table.key_path().to_owned())
            && let Some(value) = section.value("name")
        {
            value.problem(format!("is {name:?}, the name of {before}, too"), report);
        }
        if let (Some(name), Some(module)) = (name, module_of(&section, directory, report)) {
            links.push(link(name, module, &section, report));
        }
    }
    links
}

/// Nothing that is built in decides on learned routes.
fn module_of(section: &Section<'_>, directory: &Path, report: &mut Report) -> Option<PolicyModule> {
    let value = section.required("module", "the path of a WebAssembly module", report)?;
    match module(&value, directory, report)? {
        PolicyModule::Builtin(builtin) => {
            let problem = format!(
                "is \"builtin:{}\", which decides on announced routes; write the path of an import \
                 policy",
                builtin.name()
            );
            value.problem(problem, report);
            None
        }
        module @ (PolicyModule::Oci(_) | PolicyModule::Http(_)) => {
            let problem = format!(
                "is \"{module}\", but import policies are read from files; fetch it with rutter \
                 policy pull, and write the path"
            );
            value.problem(problem, report);
            None
        }
        file @ PolicyModule::File(_) => Some(file),
    }
}

fn link(
    name: &str,
    module: PolicyModule,
    section: &Section<'_>,
    report: &mut Report,
) -> ImportPolicyLink {
    let settings = section.value("settings");
    let settings = settings.and_then(|value| value.json(report));
    let on_error = section.value("on-error");
    let on_error = on_error.and_then(|value| value.choice(&ON_ERROR, report));
    ImportPolicyLink {
        name: name.to_owned(),
        module,
        settings: settings.unwrap_or_else(|| serde_json::json!({})),
        on_error: on_error.unwrap_or_default(),
        limits: limits::read(section.value("limits").as_ref(), report),
    }
}
