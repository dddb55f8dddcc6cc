//! Versions of the contract that are served, and which of them a module is of.
//!
//! Records and variants cannot grow without breaking compiled modules, so each changed shape is
//! a version of the package. [`v0_1`](super::v0_1) adapts the old one: it is given the same
//! batches, without what it has no fields for, and what it answers is read as the new one's.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::bindings::v0_1::exports::rutter::policy as old;
use super::bindings::v0_2::exports::rutter::policy as new;
use super::error::{ModuleError, printable};
use super::limits::Meter;

/// The version of the package in `wit/`.
const PRESENT: &str = "0.2.0";

/// Every version that is served, in the words of an error.
pub(super) const VERSIONS: &str = "0.2 and 0.1";

/// What a policy exports.
const INTERFACES: [&str; 2] = ["module", "announce"];

/// A version that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// `rutter:policy@0.1.*`.
    V0_1,
    /// `rutter:policy@0.2.*`.
    V0_2,
}

impl Contract {
    /// The version that a module with these interfaces and versions was built for, and its number.
    ///
    /// # Errors
    /// Tells a policy of another version from a module that is no policy.
    pub(super) fn of<'a>(
        name: &str,
        exports: &[(&str, &'a str)],
    ) -> Result<(Self, &'a str), ModuleError> {
        let mut agreed: Option<(Self, &str)> = None;
        for interface in INTERFACES {
            let Some((_, theirs)) = exports.iter().find(|(export, _)| *export == interface) else {
                return Err(ModuleError::Missing {
                    name: name.into(),
                    missing: format!("rutter:policy/{interface}@{PRESENT}"),
                });
            };
            let contract = Self::named(theirs).filter(|_| {
                // All interfaces are of one version.
                agreed.is_none_or(|(_, version)| version == *theirs)
            });
            let Some(contract) = contract else {
                return Err(ModuleError::Version {
                    name: name.into(),
                    theirs: printable(theirs),
                    ours: VERSIONS,
                });
            };
            agreed = Some((contract, theirs));
        }
        Ok(agreed.expect("there are interfaces, and each was found"))
    }

    /// Below 1.0.0 versions are compatible that differ in the last number only.
    fn named(version: &str) -> Option<Self> {
        let (compatible, last) = version.rsplit_once('.')?;
        last.parse::<u32>().ok()?;
        match compatible {
            "0.1" => Some(Self::V0_1),
            "0.2" => Some(Self::V0_2),
            _ => None,
        }
    }
}

impl std::fmt::Display for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V0_1 => "0.1",
            Self::V0_2 => "0.2",
        })
    }
}

/// Where a module's functions are.
pub(super) enum Functions {
    V0_1(old::module::GuestIndices, old::announce::GuestIndices),
    V0_2(new::module::GuestIndices, new::announce::GuestIndices),
}

/// A module's functions in one instance of it, their types checked.
pub(super) enum Exports {
    V0_1(old::module::Guest, old::announce::Guest),
    V0_2(new::module::Guest, new::announce::Guest),
}

impl Functions {
    pub(super) fn find(
        contract: Contract,
        prepared: &InstancePre<Meter>,
    ) -> wasmtime::Result<Self> {
        Ok(match contract {
            Contract::V0_1 => Self::V0_1(
                old::module::GuestIndices::new(prepared)?,
                old::announce::GuestIndices::new(prepared)?,
            ),
            Contract::V0_2 => Self::V0_2(
                new::module::GuestIndices::new(prepared)?,
                new::announce::GuestIndices::new(prepared)?,
            ),
        })
    }

    pub(super) fn load(
        &self,
        store: &mut Store<Meter>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(match self {
            Self::V0_1(module, announce) => Exports::V0_1(
                module.load(&mut *store, instance)?,
                announce.load(store, instance)?,
            ),
            Self::V0_2(module, announce) => Exports::V0_2(
                module.load(&mut *store, instance)?,
                announce.load(store, instance)?,
            ),
        })
    }
}

impl Exports {
    /// The same record in every version.
    pub(super) fn describe(
        &self,
        store: &mut Store<Meter>,
    ) -> wasmtime::Result<new::module::Description> {
        match self {
            Self::V0_1(module, _) => {
                let old::module::Description {
                    name,
                    version,
                    summary,
                    settings_schema,
                } = module.call_describe(store)?;
                Ok(new::module::Description {
                    name,
                    version,
                    summary,
                    settings_schema,
                })
            }
            Self::V0_2(module, _) => module.call_describe(store),
        }
    }

    pub(super) fn validate_settings(
        &self,
        store: &mut Store<Meter>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        match self {
            Self::V0_1(module, _) => module.call_validate_settings(store, settings),
            Self::V0_2(module, _) => module.call_validate_settings(store, settings),
        }
    }
}
