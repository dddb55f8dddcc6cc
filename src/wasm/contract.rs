//! The contract that modules are of: which version, which interfaces, and where their functions are.
//!
//! There is one version, and it does not change: see `wit/types.wit`. A module of another is told
//! apart from one that is no policy.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::bindings::exports::rutter::policy::{announce, learn, module};
use super::error::{ModuleError, printable};
use super::module::InCall;

/// The version of the package in `wit/`.
pub(super) const VERSION: &str = "1.0.0";

/// The versions that are served, in the words of an error.
pub(super) const VERSIONS: &str = "1.x";

/// What a module decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What is announced.
    Announce,
    /// What learned routes are used.
    Learn,
    /// Both.
    Both,
}

/// What the exports of a module say.
pub(super) struct Agreed<'a> {
    /// Of the contract, as the module has it.
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
        let interface = |interface| format!("rutter:policy/{interface}@{VERSION}");
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
        if other.is_none() && is_served(version) {
            return Ok(Self { version, purpose });
        }
        Err(ModuleError::Version {
            name: name.into(),
            theirs: printable(other.unwrap_or(version)),
            ours: VERSIONS,
        })
    }
}

/// From 1.0.0 on, versions are compatible that have the first number in common.
pub(super) fn is_served(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (first, rest) = (numbers.next(), numbers.collect::<Result<Vec<_>, _>>());
    first == Some(Ok(1)) && rest.is_ok_and(|rest| rest.len() == 2)
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

/// Where a module's functions are. What its purpose leaves out is absent.
pub(super) struct Functions {
    module: module::GuestIndices,
    announce: Option<announce::GuestIndices>,
    learn: Option<learn::GuestIndices>,
}

/// A module's functions in one instance of it, their types checked. What the module's purpose
/// leaves out is absent.
pub(super) struct Exports {
    module: module::Guest,
    announce: Option<announce::Guest>,
    learn: Option<learn::Guest>,
}

impl Functions {
    pub(super) fn find(purpose: Purpose, prepared: &InstancePre<InCall>) -> wasmtime::Result<Self> {
        let announces = purpose.serves(Purpose::Announce);
        let learns = purpose.serves(Purpose::Learn);
        Ok(Self {
            module: module::GuestIndices::new(prepared)?,
            announce: announces
                .then(|| announce::GuestIndices::new(prepared))
                .transpose()?,
            learn: learns
                .then(|| learn::GuestIndices::new(prepared))
                .transpose()?,
        })
    }

    pub(super) fn load(
        &self,
        store: &mut Store<InCall>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(Exports {
            module: self.module.load(&mut *store, instance)?,
            announce: match &self.announce {
                Some(announce) => Some(announce.load(&mut *store, instance)?),
                None => None,
            },
            learn: match &self.learn {
                Some(learn) => Some(learn.load(store, instance)?),
                None => None,
            },
        })
    }
}

/// Functions are looked for by purpose before they are called, so nobody reads this.
const ABSENT: &str = "the module has no such function";

impl Exports {
    pub(super) fn describe(
        &self,
        store: &mut Store<InCall>,
    ) -> wasmtime::Result<module::Description> {
        self.module.call_describe(store)
    }

    pub(super) fn validate_settings(
        &self,
        store: &mut Store<InCall>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        self.module.call_validate_settings(store, settings)
    }

    /// `announce.evaluate`.
    pub(super) fn announce(
        &self,
        store: &mut Store<InCall>,
        batch: announce::Batch<'_>,
    ) -> wasmtime::Result<Result<announce::Answer, String>> {
        match &self.announce {
            Some(announce) => announce.call_evaluate(store, batch),
            None => Err(wasmtime::Error::msg(ABSENT)),
        }
    }

    /// `learn.evaluate`.
    pub(super) fn learn(
        &self,
        store: &mut Store<InCall>,
        batch: learn::Batch<'_>,
    ) -> wasmtime::Result<Result<learn::Answer, String>> {
        match &self.learn {
            Some(learn) => learn.call_evaluate(store, batch),
            None => Err(wasmtime::Error::msg(ABSENT)),
        }
    }
}
