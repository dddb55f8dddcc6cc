//! From a core module, as compilers make it, to a component.
//!
//! A core module carries a description of the component it wants to be. That description is not
//! read, but for the encoding of strings: the tools that read it trust it, and with a garbled
//! one they recurse without end. The agent knows what a policy is, so it describes the component
//! itself. What reaches the encoder is then a valid module and a description of our own.

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::contract::{Agreed, VERSION};
use super::engine::Engine;
use super::error::ModuleError;
use super::log::is_log;

/// The contract as text. The package is declared once, by the first.
const TEXT: [&str; 2] = [
    include_str!("../../wit/types.wit"),
    include_str!("../../wit/policy.wit"),
];

/// Where compilers put the description of the component.
const DESCRIPTION_SECTION: &str = "component-type";

/// Where the description says how strings are encoded: a version, then 0 for UTF-8.
const ENCODING_SECTION: &str = "wit-component-encoding";

/// The component that a core module with the contract's functions stands for.
///
/// # Errors
/// It is not valid, it imports what it is not given, it is of another version of the contract, or it lacks
/// a function.
pub(super) fn componentize(
    engine: &Engine,
    name: &str,
    bytes: &[u8],
) -> Result<Vec<u8>, ModuleError> {
    let invalid = |message| ModuleError::Invalid {
        name: name.into(),
        message,
    };
    wasmtime::Module::validate(engine.inner(), bytes)
        .map_err(|error| invalid(format!("{error:#}")))?;
    let survey = Survey::of(bytes).map_err(|error| invalid(error.to_string()))?;
    let refused = |(module, function)| ModuleError::Import {
        name: name.into(),
        import: format!("{module}, {function}"),
    };
    let of_no_contract = |(module, function): &(&str, &str)| !is_log(module, function);
    if let Some(import) = survey.imports.iter().copied().find(of_no_contract) {
        return Err(refused(import));
    }
    let agreed = Agreed::of(name, &survey.exports)?;
    // What is described below has one version, so that an import of another has no place in it.
    let of_another =
        |(module, _): &(&str, &str)| !module.ends_with(&format!("@{}", agreed.version));
    if let Some(import) = survey.imports.iter().copied().find(of_another) {
        return Err(refused(import));
    }
    if survey.strings == Strings::Other {
        return Err(invalid("its strings are not in UTF-8".into()));
    }
    describe_and_encode(survey.module, &agreed).map_err(|error| invalid(format!("{error:#}")))
}

/// What matters of a core module.
struct Survey<'a> {
    /// The module without descriptions of components.
    module: Vec<u8>,
    /// What it imports: each with its module and its name.
    imports: Vec<(&'a str, &'a str)>,
    /// The contract's interfaces that it exports functions of, with their versions.
    exports: Vec<(&'a str, &'a str)>,
    strings: Strings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strings {
    Utf8,
    Other,
}

impl<'a> Survey<'a> {
    fn of(bytes: &'a [u8]) -> wasmparser::Result<Self> {
        let mut survey = Self {
            module: Vec::with_capacity(bytes.len()),
            imports: Vec::new(),
            exports: Vec::new(),
            strings: Strings::Utf8,
        };
        // A section's header is what lies between the section before it and its contents.
        let mut copied = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            let section = payload.as_section();
            let mut keep = true;
            if let Payload::ImportSection(imports) = payload {
                for import in imports.into_imports() {
                    let import = import?;
                    survey.imports.push((import.module, import.name));
                }
            } else if let Payload::ExportSection(exports) = payload {
                for export in exports {
                    survey.exports.extend(contract_interface(export?.name));
                }
            } else if let Payload::CustomSection(custom) = payload
                && custom.name().starts_with(DESCRIPTION_SECTION)
            {
                keep = false;
                survey.strings = strings(custom.data());
            }
            if let Some((_, range)) = section {
                let end = usize::try_from(range.end).unwrap_or(bytes.len());
                if keep {
                    survey.module.extend_from_slice(&bytes[copied..end]);
                } else if survey.module.is_empty() {
                    // The preamble comes before the first section, kept or not.
                    survey.module.extend_from_slice(&bytes[..PREAMBLE_BYTES]);
                }
                copied = end;
            }
        }
        Ok(survey)
    }
}

/// Magic number and version.
const PREAMBLE_BYTES: usize = 8;

/// Interface and version in the name of an exported function:
/// `rutter:policy/announce@1.0.0#evaluate`.
pub(super) fn contract_interface(export: &str) -> Option<(&str, &str)> {
    let (interface, _function) = export.strip_prefix("rutter:policy/")?.split_once('#')?;
    interface.split_once('@')
}

/// A description that cannot be read says nothing else than the usual.
fn strings(description: &[u8]) -> Strings {
    let other = Parser::new(0)
        .parse_all(description)
        .map_while(Result::ok)
        .any(|payload| {
            matches!(payload, Payload::CustomSection(custom)
                if custom.name() == ENCODING_SECTION && !matches!(custom.data(), [_, 0]))
        });
    if other { Strings::Other } else { Strings::Utf8 }
}

fn describe_and_encode(mut module: Vec<u8>, agreed: &Agreed<'_>) -> anyhow::Result<Vec<u8>> {
    let [types, policy] = TEXT;
    let declared = format!("package rutter:policy@{VERSION};");
    let theirs = format!("package rutter:policy@{};", agreed.version);
    let text = format!(
        "{}{}",
        types.replace(&declared, &theirs),
        policy.replace(&declared, "")
    );
    let mut resolve = Resolve::default();
    let package = resolve.push_source("policy.wit", &text)?;
    let world = resolve.select_world(&[package], Some(agreed.purpose.world()))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().module(&module)?.encode()
}
