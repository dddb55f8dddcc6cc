//! Loading a module: from bytes to something that can be called, or a reason why not.
//!
//! Everything about a module that can be known before it decides on routes is checked here, so
//! that a module that would fail never replaces one that works. Compiling takes tens of
//! milliseconds for a small module: not for the thread that speaks BGP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};

use super::budget;
use super::contract::{Agreed, Exports, Functions, Purpose, VERSIONS};
use super::encode::componentize;
use super::engine::Engine;
use super::error::{ModuleError, Stage, failure, printable};
use super::limits::{Limits, MODULE_BYTES_MAX, Meter, WORDS_BYTES_MAX};
use super::log::{self, CallLog, ModuleLog};
use crate::policy::{PolicyFailure, progress};

/// The default policy, compiled by the build script.
static DEFAULT_POLICY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/default-policy.wasm"));

/// The policy with the rules of Calico's BGPFilter, as well.
static CALICO_FILTER: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/calico-filter-policy.wasm"));

/// The default policy that this binary carries, as it was compiled.
#[must_use]
pub fn builtin_bytes() -> &'static [u8] {
    DEFAULT_POLICY
}

/// The policy `calico-filter` that this binary carries, as it was compiled.
#[must_use]
pub fn calico_filter_bytes() -> &'static [u8] {
    CALICO_FILTER
}

/// A module, compiled and checked. Cheap to clone.
#[derive(Clone)]
pub struct Module(Arc<Inner>);

struct Inner {
    name: String,
    purpose: Purpose,
    description: Description,
    guest: Guest,
    /// Size of the compiled code with its tables, in memory while the module is loaded.
    code_bytes: usize,
    /// Most memory that a call took.
    memory_bytes_peak: AtomicUsize,
}

/// What a module says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The author's name for it.
    pub name: String,
    /// The module's version, in the author's scheme.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// A JSON Schema of the settings, where the author gives one.
    pub settings_schema: Option<String>,
}

impl Module {
    /// A module from the bytes of a component, or of a core module that exports the contract's
    /// functions (what `policies/build` makes). `name` is the operator's, for messages.
    ///
    /// # Errors
    /// Why it cannot be used; see [`ModuleError`].
    pub fn from_bytes(engine: &Engine, name: &str, bytes: &[u8]) -> Result<Self, ModuleError> {
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(ModuleError::TooLarge { name: name.into() });
        }
        let invalid = |message| ModuleError::Invalid {
            name: name.into(),
            message,
        };
        budget::check(bytes).map_err(|too_dear| invalid(too_dear.to_string()))?;
        let component = engine.compiled(bytes, || {
            match Layer::of(bytes) {
                Some(Layer::Component) => Component::new(engine.inner(), bytes),
                Some(Layer::Core) => {
                    Component::new(engine.inner(), componentize(engine, name, bytes)?)
                }
                None => return Err(ModuleError::NotWasm { name: name.into() }),
            }
            .map_err(|error| invalid(format!("{error:#}")))
        })?;
        check_imports(engine, name, &component)?;
        let purpose = surface(engine, name, &component)?;
        let mut linker = Linker::new(engine.inner());
        let prepared = log::link(&mut linker)
            .and_then(|()| linker.instantiate_pre(&component))
            .map_err(|error| invalid(format!("{error:#}")))?;
        let functions =
            Functions::find(purpose, &prepared).map_err(|error| ModuleError::Missing {
                name: name.into(),
                missing: format!("what it should: {error:#}"),
            })?;
        let guest = Guest {
            engine: engine.clone(),
            log: ModuleLog::new(name, engine.log_sink()),
            prepared,
            functions,
        };
        let image = component.image_range();
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            purpose,
            description: describe(name, &guest)?,
            guest,
            code_bytes: image.end.addr() - image.start.addr(),
            memory_bytes_peak: AtomicUsize::new(0),
        })))
    }

    /// The default policy that this binary carries.
    ///
    /// # Errors
    /// Only where a packager embedded something that is no policy.
    pub fn builtin(engine: &Engine, name: &str) -> Result<Self, ModuleError> {
        Self::from_bytes(engine, name, DEFAULT_POLICY)
    }

    /// The operator's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it says about itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// What its compiled code takes of the agent's memory.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        self.0.code_bytes
    }

    /// Most memory that any one call of it has taken, of itself or its clones.
    #[must_use]
    pub fn memory_bytes_peak(&self) -> usize {
        self.0.memory_bytes_peak.load(Ordering::Relaxed)
    }

    /// What it decides about.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.0.purpose
    }

    /// Lets the module check settings, by contract a JSON object, for that purpose. Returns them
    /// as the text that it is asked with.
    ///
    /// # Errors
    /// [`ModuleError::Purpose`]; [`ModuleError::Settings`] in the module's own words;
    /// [`ModuleError::Failed`] where it did not get as far as that.
    pub(super) fn accept_settings(
        &self,
        purpose: Purpose,
        settings: &serde_json::Value,
        limits: Limits,
    ) -> Result<String, ModuleError> {
        let name = || self.name().into();
        if !self.purpose().serves(purpose) {
            return Err(ModuleError::Purpose {
                name: name(),
                decides: self.purpose(),
                asked: purpose,
            });
        }
        let settings = settings.to_string();
        self.call(limits, WORDS_BYTES_MAX, |exports, store| {
            exports.validate_settings(store, &settings)
        })
        .map_err(|failure| ModuleError::Failed {
            name: name(),
            what: "check its settings",
            failure,
        })?
        .map_err(|words| ModuleError::Settings {
            name: name(),
            words: printable(&words),
        })?;
        Ok(settings)
    }

    /// Calls one of its functions; see [`Guest::call`].
    pub(super) fn call<T>(
        &self,
        limits: Limits,
        answer_bytes_max: usize,
        function: impl FnOnce(&Exports, &mut Store<InCall>) -> wasmtime::Result<T>,
    ) -> Result<T, PolicyFailure> {
        let (outcome, memory_bytes) = self.0.guest.call(limits, answer_bytes_max, function);
        // A batch may take many calls.
        progress::made();
        self.0
            .memory_bytes_peak
            .fetch_max(memory_bytes, Ordering::Relaxed);
        outcome.map_err(CallError::into_failure)
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.0.name)
            .field("description", &self.0.description)
            .finish_non_exhaustive()
    }
}

/// Compiled code, ready to be started any number of times.
struct Guest {
    engine: Engine,
    log: ModuleLog,
    prepared: InstancePre<InCall>,
    functions: Functions,
}

/// What is kept of a call while it goes on.
#[derive(Debug)]
pub(super) struct InCall {
    pub(super) meter: Meter,
    pub(super) log: CallLog,
}

/// How a call failed.
enum CallError {
    /// Its functions are not of the types the contract gives them.
    Types(String),
    /// Anything else.
    Failure(PolicyFailure),
}

impl CallError {
    fn into_failure(self) -> PolicyFailure {
        match self {
            // Loading called a function, so the types were checked.
            Self::Types(words) => PolicyFailure::BadAnswer(words),
            Self::Failure(failure) => failure,
        }
    }
}

impl Guest {
    /// Starts the module in a store of its own, calls it, and drops the store, whatever
    /// happened: nothing of one call is left for the next. Also tells how much memory it took.
    fn call<T>(
        &self,
        limits: Limits,
        answer_bytes_max: usize,
        function: impl FnOnce(&Exports, &mut Store<InCall>) -> wasmtime::Result<T>,
    ) -> (Result<T, CallError>, usize) {
        let in_call = InCall {
            meter: Meter::new(limits),
            log: self.log.of_call(),
        };
        let mut store = Store::new(self.engine.inner(), in_call);
        store.limiter(|in_call| &mut in_call.meter);
        store.set_hostcall_fuel(answer_bytes_max);
        let outcome = self.call_in(&mut store, limits, function);
        let InCall { meter, log } = store.into_data();
        log.finish();
        (outcome, meter.memory_bytes(limits))
    }

    fn call_in<T>(
        &self,
        store: &mut Store<InCall>,
        limits: Limits,
        function: impl FnOnce(&Exports, &mut Store<InCall>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let engine = &self.engine;
        let _running = engine.running();
        let failed = |error: wasmtime::Error, stage, store: &Store<InCall>| {
            CallError::Failure(failure(&error, stage, engine, &store.data().meter, limits))
        };
        engine.allow(store, limits);
        let instance = self
            .prepared
            .instantiate(&mut *store)
            .map_err(|error| failed(error, Stage::Start, store))?;
        let exports = self
            .functions
            .load(store, &instance)
            .map_err(|error| CallError::Types(format!("{error:#}")))?;
        engine.allow(store, limits);
        function(&exports, store).map_err(|error| failed(error, Stage::Call, store))
    }
}

/// The two kinds of WebAssembly binary.
pub(super) enum Layer {
    Core,
    Component,
}

impl Layer {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let preamble = bytes.strip_prefix(b"\0asm")?;
        // The version is two octets, then the layer two: 1 for components.
        if preamble.get(2..4) == Some(&[1, 0]) {
            Some(Self::Component)
        } else {
            Some(Self::Core)
        }
    }
}

/// Refuses anything but types and the log: a policy has no use for what else it could import.
fn check_imports(engine: &Engine, name: &str, component: &Component) -> Result<(), ModuleError> {
    let engine = engine.inner();
    for (interface, import) in component.component_type().imports(engine) {
        let wanted = match import.ty {
            ComponentItem::Type(_) => None,
            ComponentItem::ComponentInstance(instance) => instance
                .exports(engine)
                .find(|(item, export)| {
                    !matches!(export.ty, ComponentItem::Type(_)) && !log::is_log(interface, item)
                })
                .map(|(item, _)| format!("{interface}, {item}")),
            ComponentItem::ComponentFunc(_)
            | ComponentItem::CoreFunc(_)
            | ComponentItem::Module(_)
            | ComponentItem::Component(_)
            | ComponentItem::Resource(_) => Some(interface.to_owned()),
        };
        if let Some(import) = wanted {
            return Err(ModuleError::Import {
                name: name.into(),
                import,
            });
        }
    }
    Ok(())
}

/// What the component's exports say about it.
fn surface(engine: &Engine, name: &str, component: &Component) -> Result<Purpose, ModuleError> {
    let ty = component.component_type();
    let exports: Vec<(&str, &str)> = ty
        .exports(engine.inner())
        .filter_map(|(export, _)| export.strip_prefix("rutter:policy/")?.split_once('@'))
        .collect();
    Agreed::of(name, &exports).map(|agreed| agreed.purpose)
}

fn describe(name: &str, guest: &Guest) -> Result<Description, ModuleError> {
    let description = guest
        .call(Limits::default(), WORDS_BYTES_MAX, Exports::describe)
        .0
        .map_err(|error| match error {
            CallError::Types(words) => ModuleError::Missing {
                name: name.into(),
                missing: format!("the functions of rutter:policy, version {VERSIONS}: {words}"),
            },
            CallError::Failure(failure) => ModuleError::Failed {
                name: name.into(),
                what: "describe itself",
                failure,
            },
        })?;
    Ok(Description {
        name: printable(&description.name),
        version: printable(&description.version),
        summary: printable(&description.summary),
        settings_schema: description.settings_schema,
    })
}
