//! From a core module, as compilers make it, to a component.
//!
//! A core module carries a description of the component it wants to be. That description is not
//! read, but for the encoding of strings: the tools that read it trust it, and with a garbled
//! one they recurse without end. The agent knows what a policy is, so it describes the component
//! itself. What reaches the encoder is then a valid module and a description of our own.

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::contract::{Agreed, Contract, Purpose};
use super::engine::Engine;
use super::error::ModuleError;

/// A version of the contract as text. The package is declared once, by the first.
struct Text {
    declared: &'static str,
    files: [&'static str; 2],
}

const TEXT_0_1: Text = Text {
    declared: "package rutter:policy@0.1.0;",
    files: [
        include_str!("../../wit/0.1/types.wit"),
        include_str!("../../wit/0.1/policy.wit"),
    ],
};

const TEXT_0_2: Text = Text {
    declared: "package rutter:policy@0.2.0;",
    files: [
        include_str!("../../wit/types.wit"),
        include_str!("../../wit/policy.wit"),
    ],
};

/// Where compilers put the description of the component.
const DESCRIPTION_SECTION: &str = "component-type";

/// Where the description says how strings are encoded: a version, then 0 for UTF-8.
const ENCODING_SECTION: &str = "wit-component-encoding";

/// The component that a core module with the contract's functions stands for.
///
/// # Errors
/// It is not valid, it imports something, it is of another version of the contract, or it lacks
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
    if let Some(import) = survey.import {
        return Err(ModuleError::Import {
            name: name.into(),
            import,
        });
    }
    let agreed = Agreed::of(name, &survey.exports)?;
    if survey.strings == Strings::Other {
        return Err(invalid("its strings are not in UTF-8".into()));
    }
    describe_and_encode(survey.module, &agreed).map_err(|error| invalid(format!("{error:#}")))
}

/// What matters of a core module.
struct Survey<'a> {
    /// The module without descriptions of components.
    module: Vec<u8>,
    /// The first import: its module and its name.
    import: Option<String>,
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
            import: None,
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
                if let Some(import) = imports.into_imports().next() {
                    let import = import?;
                    survey.import = Some(format!("{}, {}", import.module, import.name));
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
/// `rutter:policy/announce@0.1.0#evaluate`.
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
    let Text { declared, files } = match agreed.contract {
        Contract::V0_1 => TEXT_0_1,
        Contract::V0_2 => TEXT_0_2,
    };
    let [types, policy] = files;
    let text = format!(
        "{}{}",
        types.replace(
            declared,
            &format!("package rutter:policy@{};", agreed.version)
        ),
        policy.replace(declared, "")
    );
    let world = match agreed.purpose {
        Purpose::Announce => "policy",
        Purpose::Learn => "import-policy",
        Purpose::Both => "two-way-policy",
    };
    let mut resolve = Resolve::default();
    let package = resolve.push_source("policy.wit", &text)?;
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().module(&module)?.encode()
}
