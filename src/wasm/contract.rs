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

/// A version that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// `rutter:policy@0.1.*`.
    V0_1,
    /// `rutter:policy@0.2.*`.
    V0_2,
}

/// What a module decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What is announced.
    Announce,
    /// What learned routes are used, since 0.2.
    Learn,
    /// Both, since 0.2.
    Both,
}

/// What the exports of a module say.
pub(super) struct Agreed<'a> {
    pub(super) contract: Contract,
    /// Its number as the module has it.
    pub(super) version: &'a str,
    pub(super) purpose: Purpose,
}

impl<'a> Agreed<'a> {
    /// What a module was built for that exports these interfaces in these versions.
    ///
    /// # Errors
    /// Tells a policy of another version from a module that is no policy.
    pub(super) fn of(name: &str, exports: &[(&str, &'a str)]) -> Result<Self, ModuleError> {
        let version_of = |interface| {
            let found = exports.iter().find(|(export, _)| *export == interface);
            found.map(|(_, version)| *version)
        };
        let missing = |interfaces| ModuleError::Missing {
            name: name.into(),
            missing: interfaces,
        };
        let interface = |interface| format!("rutter:policy/{interface}@{PRESENT}");
        let Some(version) = version_of("module") else {
            return Err(missing(interface("module")));
        };
        let (purpose, deciding) = match (version_of("announce"), version_of("learn")) {
            (None, None) => {
                let interfaces = format!("{} or {}", interface("announce"), interface("learn"));
                return Err(missing(interfaces));
            }
            (Some(announce), None) => (Purpose::Announce, [announce, announce]),
            (None, Some(learn)) => (Purpose::Learn, [learn, learn]),
            (Some(announce), Some(learn)) => (Purpose::Both, [announce, learn]),
        };
        // All interfaces are of one version.
        let other = deciding.into_iter().find(|theirs| *theirs != version);
        match Contract::named(version).filter(|contract| contract.has(purpose)) {
            Some(contract) if other.is_none() => Ok(Self {
                contract,
                version,
                purpose,
            }),
            Some(_) | None => Err(ModuleError::Version {
                name: name.into(),
                theirs: printable(other.unwrap_or(version)),
                ours: VERSIONS,
            }),
        }
    }
}

impl Contract {
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

    /// Whether it has the interfaces for that.
    fn has(self, purpose: Purpose) -> bool {
        match (self, purpose) {
            (Self::V0_1, Purpose::Learn | Purpose::Both) => false,
            (Self::V0_1, Purpose::Announce)
            | (Self::V0_2, Purpose::Announce | Purpose::Learn | Purpose::Both) => true,
        }
    }
}

impl Purpose {
    /// Whether a module of this purpose can be asked for that one.
    #[must_use]
    pub fn serves(self, asked: Self) -> bool {
        self == asked || self == Self::Both
    }

    /// The world of the contract that such modules are of.
    #[must_use]
    pub fn world(self) -> &'static str {
        match self {
            Self::Announce => "policy",
            Self::Learn => "import-policy",
            Self::Both => "two-way-policy",
        }
    }
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Announce => "announced routes",
            Self::Learn => "learned routes",
            Self::Both => "announced and learned routes",
        })
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
    V0_1 {
        module: old::module::GuestIndices,
        announce: old::announce::GuestIndices,
    },
    V0_2 {
        module: new::module::GuestIndices,
        announce: Option<new::announce::GuestIndices>,
        learn: Option<new::learn::GuestIndices>,
    },
}

/// A module's functions in one instance of it, their types checked. What the module's purpose
/// leaves out is absent.
pub(super) enum Exports {
    V0_1 {
        module: old::module::Guest,
        announce: old::announce::Guest,
    },
    V0_2 {
        module: new::module::Guest,
        announce: Option<new::announce::Guest>,
        learn: Option<new::learn::Guest>,
    },
}

impl Functions {
    pub(super) fn find(
        contract: Contract,
        purpose: Purpose,
        prepared: &InstancePre<Meter>,
    ) -> wasmtime::Result<Self> {
        let announces = purpose.serves(Purpose::Announce);
        let learns = purpose.serves(Purpose::Learn);
        Ok(match contract {
            Contract::V0_1 => Self::V0_1 {
                module: old::module::GuestIndices::new(prepared)?,
                announce: old::announce::GuestIndices::new(prepared)?,
            },
            Contract::V0_2 => Self::V0_2 {
                module: new::module::GuestIndices::new(prepared)?,
                announce: announces
                    .then(|| new::announce::GuestIndices::new(prepared))
                    .transpose()?,
                learn: learns
                    .then(|| new::learn::GuestIndices::new(prepared))
                    .transpose()?,
            },
        })
    }

    pub(super) fn load(
        &self,
        store: &mut Store<Meter>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(match self {
            Self::V0_1 { module, announce } => Exports::V0_1 {
                module: module.load(&mut *store, instance)?,
                announce: announce.load(store, instance)?,
            },
            Self::V0_2 {
                module,
                announce,
                learn,
            } => Exports::V0_2 {
                module: module.load(&mut *store, instance)?,
                announce: match announce {
                    Some(announce) => Some(announce.load(&mut *store, instance)?),
                    None => None,
                },
                learn: match learn {
                    Some(learn) => Some(learn.load(store, instance)?),
                    None => None,
                },
            },
        })
    }
}

/// Functions are looked for by contract and purpose before they are called, so nobody reads this.
const ABSENT: &str = "the module has no such function";

impl Exports {
    /// The same record in every version.
    pub(super) fn describe(
        &self,
        store: &mut Store<Meter>,
    ) -> wasmtime::Result<new::module::Description> {
        match self {
            Self::V0_1 { module, .. } => {
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
            Self::V0_2 { module, .. } => module.call_describe(store),
        }
    }

    pub(super) fn validate_settings(
        &self,
        store: &mut Store<Meter>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        match self {
            Self::V0_1 { module, .. } => module.call_validate_settings(store, settings),
            Self::V0_2 { module, .. } => module.call_validate_settings(store, settings),
        }
    }

    /// `announce.evaluate` of 0.1.
    pub(super) fn announce_0_1(
        &self,
        store: &mut Store<Meter>,
        batch: old::announce::Batch<'_>,
    ) -> wasmtime::Result<Result<old::announce::Answer, String>> {
        match self {
            Self::V0_1 { announce, .. } => announce.call_evaluate(store, batch),
            Self::V0_2 { .. } => Err(wasmtime::Error::msg(ABSENT)),
        }
    }

    /// `announce.evaluate`.
    pub(super) fn announce(
        &self,
        store: &mut Store<Meter>,
        batch: new::announce::Batch<'_>,
    ) -> wasmtime::Result<Result<new::announce::Answer, String>> {
        match self {
            Self::V0_2 {
                announce: Some(announce),
                ..
            } => announce.call_evaluate(store, batch),
            Self::V0_1 { .. } | Self::V0_2 { announce: None, .. } => {
                Err(wasmtime::Error::msg(ABSENT))
            }
        }
    }

    /// `learn.evaluate`.
    pub(super) fn learn(
        &self,
        store: &mut Store<Meter>,
        batch: new::learn::Batch<'_>,
    ) -> wasmtime::Result<Result<new::learn::Answer, String>> {
        match self {
            Self::V0_2 {
                learn: Some(learn), ..
            } => learn.call_evaluate(store, batch),
            Self::V0_1 { .. } | Self::V0_2 { learn: None, .. } => Err(wasmtime::Error::msg(ABSENT)),
        }
    }
}
