//! What can be told of a module without running it, whether the agent would take it or not.
//!
//! Called by `rutter policy inspect`. It reads the outermost sections only and believes none of
//! them further than to print them.

use wasmparser::{Parser, Payload};

use super::encode::contract_interface;
use super::error::printable;
use super::module::Layer;

/// The two kinds of WebAssembly binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// A core module with the contract's functions; the agent makes a component of it.
    Core,
    /// A component.
    Component,
}

/// What a module is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Absent where it is no WebAssembly.
    pub kind: Option<ModuleKind>,
    /// What it wants from whoever runs it, in its order: `MODULE, NAME` of a core module,
    /// interfaces of a component. A policy may import the log and types of the contract, nothing
    /// else.
    pub imports: Vec<String>,
    /// Interfaces of the contract that it exports, each with its version.
    pub interfaces: Vec<(String, String)>,
    /// Where its sections stop making sense, and why; what comes before is told.
    pub damage: Option<String>,
}

impl Inspection {
    /// Looks at the bytes of a module.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut inspection = Self {
            kind: Layer::of(bytes).map(|layer| match layer {
                Layer::Core => ModuleKind::Core,
                Layer::Component => ModuleKind::Component,
            }),
            ..Self::default()
        };
        if inspection.kind.is_some()
            && let Err(error) = inspection.read(bytes)
        {
            inspection.damage = Some(printable(&error.to_string()));
        }
        inspection
    }

    fn read(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        // How many modules and components of a component are being read.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            if let Payload::ModuleSection { .. } | Payload::ComponentSection { .. } = payload {
                depth += 1;
            } else if let Payload::End(_) = payload {
                depth = depth.saturating_sub(1);
            } else if depth > 0 {
                // It is not the module's own.
            } else if let Payload::ImportSection(imports) = payload {
                for import in imports.into_imports() {
                    let import = import?;
                    let name = format!("{}, {}", import.module, import.name);
                    self.imports.push(printable(&name));
                }
            } else if let Payload::ComponentImportSection(imports) = payload {
                for import in imports {
                    self.imports.push(printable(import?.name.name));
                }
            } else if let Payload::ExportSection(exports) = payload {
                for export in exports {
                    self.export(contract_interface(export?.name));
                }
            } else if let Payload::ComponentExportSection(exports) = payload {
                for export in exports {
                    let name = export?.name.name;
                    let own = name.strip_prefix("rutter:policy/");
                    self.export(own.and_then(|name| name.split_once('@')));
                }
            }
        }
        Ok(())
    }

    /// A core module exports each function of an interface by itself.
    fn export(&mut self, interface: Option<(&str, &str)>) {
        let Some((interface, version)) = interface else {
            return;
        };
        let entry = (printable(interface), printable(version));
        if !self.interfaces.contains(&entry) {
            self.interfaces.push(entry);
        }
    }
}
