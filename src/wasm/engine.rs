//! The WebAssembly engine, shared by all modules, and the clock that stops those that run on.
//!
//! A module's code looks at a counter, the engine's epoch, at each loop and call. A thread moves
//! the counter on while calls are in progress; with none it sleeps, so that an idle agent has no
//! timer.
//!
//! Workbenches have another bound: a number of instructions. It costs time, but what is over it on
//! one machine is over it on every other, and in every run.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::Component;

use super::code_cache::{CodeCache, Key};
use super::error::ModuleError;
use super::limits::{INSTANCES_MAX, Limits};
use super::log::LogSink;
use super::module::InCall;
use crate::policy::PolicyFailure;

/// How often the epoch moves while a module runs.
const TICK: Duration = Duration::from_millis(10);

/// How long the clock goes on after the last call, so that a burst of calls wakes it once: waking
/// a thread takes as long as a small call.
const LINGER_TICKS: u32 = 100;

/// Most calls at once.
const CALLS_MAX: u32 = 16;

/// Memories of all calls; nearly every module has one. A call that finds none left fails.
const MEMORIES_MAX: u32 = 64;

/// Entries of one table, which is as many as a module has functions that it calls by pointer.
const TABLE_ENTRIES_MAX: usize = 1 << 20;

/// What is kept of each memory and table after a call, in octets: about what a full question and
/// its answer take. More would cost small calls time, since each call starts with protecting what
/// is not the module's yet.
const RESIDENT_BYTES: usize = 2 << 20;
const RESIDENT_TABLE_BYTES: usize = 64 << 10;

/// How many memories that nobody uses are kept like that.
const WARM_MAX: u32 = 2;

/// Compiles modules and stops those that run too long. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: wasmtime::Engine,
    bound: Bound,
    cache: Arc<Caching>,
    log: Option<Arc<dyn LogSink>>,
}

/// What stops a module that runs on.
#[derive(Clone, Debug)]
enum Bound {
    /// The time that its limits give it.
    Time(Arc<Ticker>),
    /// So many instructions, for each start and each call.
    Instructions(u64),
}

/// Whether compiled code is kept.
#[derive(Debug)]
enum Caching {
    Off,
    /// It was to be kept, but cannot be; why not.
    Faulty(String),
    On(CodeCache),
}

impl Engine {
    /// An engine with its clock, that compiles every module it is given.
    ///
    /// # Errors
    /// This machine's processor cannot run compiled modules, or no thread can be started.
    pub fn new() -> Result<Self, ModuleError> {
        let inner = start(config().epoch_interruption(true))?;
        let ticker =
            Ticker::start(inner.clone()).map_err(|error| ModuleError::Engine(error.to_string()))?;
        Ok(Self {
            inner,
            bound: Bound::Time(Arc::new(ticker)),
            cache: Arc::new(Caching::Off),
            log: None,
        })
    }

    /// An engine that stops a module after so many instructions, whatever time they take, for each
    /// start of it and each call. The same module does the same on every machine; it runs slower.
    ///
    /// # Errors
    /// This machine's processor cannot run compiled modules.
    pub fn metered(instructions: u64) -> Result<Self, ModuleError> {
        Ok(Self {
            inner: start(config().consume_fuel(true))?,
            bound: Bound::Instructions(instructions),
            cache: Arc::new(Caching::Off),
            log: None,
        })
    }

    /// The same engine, with compiled code kept in this directory: what was compiled before is
    /// loaded. Where the directory cannot be used the engine compiles as ever;
    /// [`cache_fault`](Self::cache_fault) says why.
    #[must_use]
    pub fn caching(self, folder: &Path) -> Self {
        let cache = match CodeCache::open(folder) {
            Ok(cache) => Caching::On(cache),
            Err(error) => Caching::Faulty(format!(
                "compiled code is not kept in {}: {error}",
                folder.display()
            )),
        };
        Self {
            cache: Arc::new(cache),
            ..self
        }
    }

    /// The same engine, with what modules write to the log going there. Without, it goes nowhere.
    #[must_use]
    pub fn logging(self, sink: Arc<dyn LogSink>) -> Self {
        Self {
            log: Some(sink),
            ..self
        }
    }

    /// Where modules that are loaded with it write.
    pub(super) fn log_sink(&self) -> Option<Arc<dyn LogSink>> {
        self.log.clone()
    }

    /// Why compiled code is not kept although it should be, in words for the operator.
    #[must_use]
    pub fn cache_fault(&self) -> Option<String> {
        match &*self.cache {
            Caching::Off => None,
            Caching::Faulty(fault) => Some(fault.clone()),
            Caching::On(cache) => cache.fault(),
        }
    }

    /// The code for a module: kept from an earlier time, or what `compile` makes of it.
    ///
    /// # Errors
    /// Those of `compile`.
    pub(super) fn compiled(
        &self,
        module: &[u8],
        compile: impl FnOnce() -> Result<Component, ModuleError>,
    ) -> Result<Component, ModuleError> {
        let Caching::On(cache) = &*self.cache else {
            return compile();
        };
        let key = Key::new(&self.inner, module);
        if let Some(component) = cache.load(&self.inner, &key) {
            return Ok(component);
        }
        let component = compile()?;
        cache.store(&key, &component);
        Ok(component)
    }

    /// The engine underneath.
    pub(super) fn inner(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// Keeps the clock, where there is one, running for as long as the answer lives.
    pub(super) fn running(&self) -> Option<Running<'_>> {
        let ticker = match &self.bound {
            Bound::Time(ticker) => ticker,
            Bound::Instructions(_) => return None,
        };
        let mut state = ticker.lock();
        state.calls += 1;
        if state.asleep {
            ticker.wake.notify_one();
        }
        drop(state);
        Some(Running(ticker))
    }

    /// Lets what runs in this store from now on run for as long as it may.
    pub(super) fn allow(&self, store: &mut Store<InCall>, limits: Limits) {
        match self.bound {
            Bound::Time(_) => store.set_epoch_deadline(ticks(limits.time)),
            Bound::Instructions(instructions) => store
                .set_fuel(instructions)
                .expect("this engine was made to count instructions"),
        }
    }

    /// How a module failed that ran for longer than it may.
    pub(super) fn overrun(&self, limits: Limits) -> PolicyFailure {
        match self.bound {
            Bound::Time(_) => PolicyFailure::OutOfTime(limits.time),
            Bound::Instructions(instructions) => PolicyFailure::OutOfInstructions(instructions),
        }
    }
}

fn start(config: &wasmtime::Config) -> Result<wasmtime::Engine, ModuleError> {
    wasmtime::Engine::new(config).map_err(|error| ModuleError::Engine(format!("{error:#}")))
}

/// A time in ticks, rounded up, with one more because the first may be nearly over.
fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks)
        .unwrap_or(u64::MAX - 1)
        .saturating_add(1)
}

/// The same on every machine and every run: no threads, no choice left to the processor.
fn config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .allocation_strategy(pool())
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .concurrency_support(false);
    config
}

/// Each call starts its module anew, and what a call took of memory is kept for the next one:
/// fetching it from the kernel page by page would take a fifth of a large call's time, and most of
/// a small one's.
fn pool() -> wasmtime::PoolingAllocationConfig {
    let mut pool = wasmtime::PoolingAllocationConfig::new();
    pool.total_component_instances(CALLS_MAX)
        .total_core_instances(CALLS_MAX * INSTANCES_MAX)
        .total_memories(MEMORIES_MAX)
        .max_memories_per_module(INSTANCES_MAX)
        .max_memories_per_component(INSTANCES_MAX)
        .total_tables(CALLS_MAX * INSTANCES_MAX)
        .max_tables_per_module(INSTANCES_MAX)
        .max_tables_per_component(INSTANCES_MAX)
        .table_elements(TABLE_ENTRIES_MAX)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(RESIDENT_TABLE_BYTES)
        .max_unused_warm_slots(WARM_MAX)
        .pagemap_scan(wasmtime::Enabled::Auto);
    pool
}

/// The thread that moves the epoch on.
#[derive(Debug)]
struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Calls in progress.
    calls: usize,
    /// Nothing ticks until the thread is woken.
    asleep: bool,
    stopping: bool,
}

impl std::ops::Deref for Ticker {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    /// The state is two words that are valid in every combination, so a panic elsewhere while
    /// it was locked is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, engine: &wasmtime::Engine) {
        let mut state = self.lock();
        let mut idle_ticks = 0;
        while !state.stopping {
            if state.calls > 0 {
                idle_ticks = 0;
            }
            state.asleep = idle_ticks >= LINGER_TICKS;
            state = if state.asleep {
                self.wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner)
            } else {
                idle_ticks += 1;
                let (state, _) = self
                    .wake
                    .wait_timeout(state, TICK)
                    .unwrap_or_else(PoisonError::into_inner);
                engine.increment_epoch();
                state
            };
        }
    }
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new()
            .name("policy-clock".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.tick(&engine)
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.lock().stopping = true;
        self.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked; and if it had, there is nothing left to tell.
            let _ = thread.join();
        }
    }
}

/// A call in progress.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Ticker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().calls -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_rounded_up_to_whole_ticks() {
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_millis(50)), 6);
        assert_eq!(ticks(Duration::MAX), u64::MAX);
    }
}
