//! `[[policies]]`, what `[[import-policies]]` have in common with them, and `[policy]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::limits;
use super::raw::{Report, Section, Value, nearest};
use super::trust;
use super::{
    Builtin, HttpUrl, OciReference, OnStartFailure, Peer, Pinning, PolicyConfig, PolicyLink,
    PolicyModule,
};
use crate::policy::{
    Audience, CHAIN_DEFAULT, ChainDefault, Direction, Limits, Mode, NODE_UNKNOWN, OnError,
};

pub(super) const KEYS: &[&str] = &[
    "name",
    "module",
    "digest",
    "require-signature",
    "signed-for",
    "settings",
    "on-error",
    "limits",
    "peers",
    "mode",
];

pub(super) const COMMON_KEYS: &[&str] = &[
    "compile-cache",
    "module-cache",
    "require-digest",
    "require-signature",
    "registry-auth",
    "on-start-failure",
];

const MODE: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow)];

const ON_ERROR: [(&str, OnError); 3] = [
    ("keep-last", OnError::KeepLast),
    ("withdraw", OnError::Withdraw),
    ("skip", OnError::Skip),
];

const ON_START_FAILURE: [(&str, OnStartFailure); 2] = [
    ("keep-last", OnStartFailure::KeepLast),
    ("builtin", OnStartFailure::Builtin),
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

/// What a chain's tables are read with.
pub(super) struct Surroundings<'a> {
    /// Where relative paths start.
    pub(super) directory: &'a Path,
    pub(super) common: &'a PolicyConfig,
    /// All there are, or nothing where some of them are not valid.
    pub(super) peers: Option<&'a [&'a Peer]>,
}

/// `[[policies]]`.
pub(super) fn read(
    top: &Section<'_>,
    surroundings: &Surroundings<'_>,
    report: &mut Report,
) -> Vec<PolicyLink> {
    let tables = chain(top, Direction::Export, report);
    let mut links: Vec<_> = tables
        .into_iter()
        .map(|(name, section)| {
            let module = match section.value("module") {
                Some(value) => module(&value, surroundings.directory, report),
                None => Some(PolicyModule::Builtin(Builtin::Default)),
            };
            link(name, module.as_ref(), &section, surroundings, report)
        })
        .collect();
    if links.is_empty() {
        links.push(default_link("default"));
    }
    if are_all_in_shadow(&links)
        && let Some(value) = top.value("policies")
    {
        let problem = "has no policy that decides: all are in shadow mode; add the one they are to \
                       be compared with (where there are no policies, that is builtin:default)";
        value.problem(problem, report);
    }
    links
}

/// Whether no policy decides.
pub(super) fn are_all_in_shadow(links: &[PolicyLink]) -> bool {
    links.iter().all(|link| link.mode == Mode::Shadow)
}

/// The tables of a chain, each with its name; empty where that has been reported.
pub(super) fn chain<'t>(
    top: &Section<'t>,
    direction: Direction,
    report: &mut Report,
) -> Vec<(&'t str, Section<'t>)> {
    let key = direction.key();
    let tables = top
        .value(key)
        .and_then(|value| value.list(&format!("[[{key}]], with two brackets"), report));
    let mut names = BTreeMap::new();
    let mut sections = Vec::new();
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
        sections.push((name.unwrap_or_default(), section));
    }
    sections
}

/// What all policies have in common.
pub(super) fn common(top: &Section<'_>, directory: &Path, report: &mut Report) -> PolicyConfig {
    let section = Section::of(top.value("policy").as_ref(), COMMON_KEYS, report);
    let mut folder = |key, default: &str| match section.value(key) {
        Some(value) if value.is_text("off") => None,
        Some(value) => value.path(directory, report).or(Some(default.into())),
        None => Some(default.into()),
    };
    let compile_cache = folder("compile-cache", "/var/cache/rutter/compiled");
    let module_cache = folder("module-cache", "/var/cache/rutter/modules");
    let required = section.value("require-digest");
    let required = required.and_then(|value| value.boolean(report));
    let mut file = |key| {
        section
            .value(key)
            .and_then(|value| value.path(directory, report))
    };
    let (require_signature, registry_auth) = (file("require-signature"), file("registry-auth"));
    let on_start_failure = section.value("on-start-failure");
    let on_start_failure = on_start_failure.and_then(|it| it.choice(&ON_START_FAILURE, report));
    PolicyConfig {
        compile_cache,
        module_cache,
        pinning: match required {
            Some(false) => Pinning::Optional,
            Some(true) | None => Pinning::Required,
        },
        require_signature,
        registry_auth,
        on_start_failure: on_start_failure.unwrap_or_default(),
    }
}

fn default_link(name: &str) -> PolicyLink {
    PolicyLink {
        name: name.to_owned(),
        module: PolicyModule::Builtin(Builtin::Default),
        digest: None,
        require_signature: None,
        signed_for: None,
        settings: serde_json::Value::Object(serde_json::Map::new()),
        on_error: OnError::default(),
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode: Mode::default(),
    }
}

/// What the policies of both chains have in common. Whatever is wrong with the module has been
/// reported already where it is absent.
pub(super) fn link(
    name: &str,
    module: Option<&PolicyModule>,
    section: &Section<'_>,
    surroundings: &Surroundings<'_>,
    report: &mut Report,
) -> PolicyLink {
    let Surroundings {
        directory,
        common,
        peers,
    } = surroundings;
    let default = default_link(name);
    let audience = section.value("peers");
    let audience = audience.and_then(|value| audience_of(&value, *peers, report));
    let trust = trust::read(section, module, directory, common, report);
    let settings = section.value("settings");
    let settings = settings.and_then(|value| value.json(report));
    let on_error = section.value("on-error");
    let on_error = on_error.and_then(|value| value.choice(&ON_ERROR, report));
    let mode = section.value("mode");
    let mode = mode.and_then(|value| value.choice(&MODE, report));
    PolicyLink {
        name: default.name,
        module: module.cloned().unwrap_or(default.module),
        digest: trust.digest,
        require_signature: trust.require_signature,
        signed_for: trust.signed_for,
        settings: settings.unwrap_or(default.settings),
        on_error: on_error.unwrap_or(default.on_error),
        limits: limits::read(section.value("limits").as_ref(), report),
        audience: audience.unwrap_or_default(),
        mode: mode.unwrap_or(default.mode),
    }
}

/// The groups named, each of which there must be.
fn audience_of(
    value: &Value<'_>,
    peers: Option<&[&Peer]>,
    report: &mut Report,
) -> Option<Audience> {
    let elements = value.list("a list of names of peers and groups of peers", report)?;
    if elements.is_empty() {
        let problem = "is empty, so that the policy would never be asked; name a peer or a group, \
                       or remove this to have it asked for all";
        value.problem(problem, report);
        return None;
    }
    let mut names = BTreeSet::new();
    for element in elements {
        let Some(name) = element.name(report) else {
            continue;
        };
        if !names.insert(name.to_owned()) {
            element.problem(format!("is {name:?}, which is listed already"), report);
        } else if let Some(problem) = peers.and_then(|peers| unknown_group(name, peers)) {
            element.problem(problem, report);
        }
    }
    Some(Audience::Only(names))
}

/// What is wrong with the name of a group that there is not.
fn unknown_group(name: &str, peers: &[&Peer]) -> Option<String> {
    let groups: BTreeSet<&str> = peers.iter().map(|peer| peer.group_name()).collect();
    if groups.contains(name) {
        return None;
    }
    if let Some(peer) = peers.iter().find(|peer| peer.name == name) {
        let group = peer.group_name();
        return Some(format!(
            "is {name:?}, a peer of group {group:?}, whose peers are decided about together; write \
             {group:?}"
        ));
    }
    let groups: Vec<&str> = groups.into_iter().collect();
    let advice = match (nearest(name, &groups), groups.is_empty()) {
        (Some(near), _) => format!("did you mean {near:?}?"),
        (None, false) => format!("there are: {}", groups.join(", ")),
        (None, true) => "there are no peers".to_owned(),
    };
    Some(format!(
        "is {name:?}, which is no peer and no group of peers; {advice}"
    ))
}

fn name<'t>(value: &Value<'t>, report: &mut Report) -> Option<&'t str> {
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
            let remote = match text.split_once("://") {
                Some(("oci", reference)) => OciReference::parse(reference).map(Self::Oci),
                Some(("https" | "http", _)) => HttpUrl::parse(text).map(Self::Http),
                Some(_) => Err("a kind of URL that is not known; write oci:// or https://"),
                None => Ok(Self::File(directory.join(text))),
            };
            return remote.map_err(|problem| format!("is {text:?}, {problem}"));
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
