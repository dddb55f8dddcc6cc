//! `[[policies]]` and `[policy]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::limits;
use super::raw::{Report, Section, Value, nearest};
use super::{Builtin, PolicyConfig, PolicyLink, PolicyModule};
use crate::policy::{CHAIN_DEFAULT, ChainDefault, Limits, NODE_UNKNOWN, OnError};

pub(super) const KEYS: &[&str] = &["name", "module", "settings", "on-error", "limits"];

const COMMON_KEYS: &[&str] = &["compile-cache"];

pub(super) const ON_ERROR: [(&str, OnError); 3] = [
    ("keep-last", OnError::KeepLast),
    ("withdraw", OnError::Withdraw),
    ("skip", OnError::Skip),
];

pub(super) const DEFAULTS: [(&str, ChainDefault); 2] = [
    ("reject", ChainDefault::Reject),
    ("accept", ChainDefault::Accept),
];

/// `policy-default`.
pub(super) fn read_default(
    top: &Section<'_>,
    report: &mut Report,
    warnings: &mut Vec<String>,
) -> ChainDefault {
    let value = top.value("policy-default");
    let default = value.and_then(|value| value.choice(&DEFAULTS, report));
    let default = default.unwrap_or_default();
    match default {
        ChainDefault::Reject => {}
        ChainDefault::Accept => warnings.push(
            "policy-default is \"accept\": whatever no policy decides about is announced, and so \
             is everything that a failing policy with on-error = \"skip\" would have rejected"
                .to_owned(),
        ),
    }
    default
}

pub(super) fn read(top: &Section<'_>, directory: &Path, report: &mut Report) -> Vec<PolicyLink> {
    let tables = top
        .value("policies")
        .and_then(|value| value.list("[[policies]], with two brackets", report));
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
        links.push(link(name.unwrap_or_default(), &section, directory, report));
    }
    if links.is_empty() {
        links.push(default_link("default"));
    }
    links
}

/// What all policies have in common.
pub(super) fn common(top: &Section<'_>, directory: &Path, report: &mut Report) -> PolicyConfig {
    let section = Section::of(top.value("policy").as_ref(), COMMON_KEYS, report);
    let default = || Some(PathBuf::from("/var/cache/rutter/compiled"));
    let compile_cache = match section.value("compile-cache") {
        Some(value) if value.is_text("off") => None,
        Some(value) => value.path(directory, report).or_else(default),
        None => default(),
    };
    PolicyConfig { compile_cache }
}

fn default_link(name: &str) -> PolicyLink {
    PolicyLink {
        name: name.to_owned(),
        module: PolicyModule::Builtin(Builtin::Default),
        settings: serde_json::Value::Object(serde_json::Map::new()),
        on_error: OnError::default(),
        limits: Limits::DEFAULT,
    }
}

fn link(name: &str, section: &Section<'_>, directory: &Path, report: &mut Report) -> PolicyLink {
    let default = default_link(name);
    let module_of = |value: Value<'_>| module(&value, directory, report);
    let module = section.value("module").and_then(module_of);
    let settings = section.value("settings");
    let settings = settings.and_then(|value| value.json(report));
    let on_error = section.value("on-error");
    let on_error = on_error.and_then(|value| value.choice(&ON_ERROR, report));
    PolicyLink {
        name: default.name,
        module: module.unwrap_or(default.module),
        settings: settings.unwrap_or(default.settings),
        on_error: on_error.unwrap_or(default.on_error),
        limits: limits::read(section.value("limits").as_ref(), report),
    }
}

pub(super) fn name<'t>(value: &Value<'t>, report: &mut Report) -> Option<&'t str> {
    let name = value.name(report)?;
    if [CHAIN_DEFAULT, NODE_UNKNOWN].contains(&name) {
        let problem = format!("is {name:?}, a word of explanations; choose another");
        value.problem(problem, report);
        return None;
    }
    Some(name)
}

pub(super) fn module(
    value: &Value<'_>,
    directory: &Path,
    report: &mut Report,
) -> Option<PolicyModule> {
    let text = value.string(report)?;
    match PolicyModule::parse(text, directory) {
        Ok(module) => Some(module),
        Err(problem) => {
            value.problem(problem, report);
            None
        }
    }
}

impl PolicyModule {
    /// What `module = "TEXT"` names, as the configuration and the command line write it. A
    /// relative path starts from `directory`.
    ///
    /// # Errors
    /// What is wrong with the text, to be read after its name: `is "x", which is ...`.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; write a path".to_owned());
        }
        let Some(builtin) = text.strip_prefix("builtin:") else {
            if Builtin::ALL.iter().any(|known| known.name() == text) {
                return Err(format!(
                    "is {text:?}; write \"builtin:{text}\", or \"./{text}\" for a file"
                ));
            }
            if text.contains("://") {
                return Err(format!(
                    "is {text:?}; write \"builtin:NAME\" or a path, not a URL"
                ));
            }
            return Ok(Self::File(directory.join(text)));
        };
        if let Some(known) = Builtin::ALL.iter().find(|known| known.name() == builtin) {
            return Ok(Self::Builtin(*known));
        }
        let names = Builtin::ALL.map(Builtin::name);
        let advice = match nearest(builtin, &names) {
            Some(near) => format!("did you mean \"builtin:{near}\"?"),
            None => format!("built in: {}", names.join(", ")),
        };
        Err(format!("is {text:?}, which is not built in; {advice}"))
    }
}
