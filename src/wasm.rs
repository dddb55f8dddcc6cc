//! Policies compiled to WebAssembly: the one place that knows wasmtime.
//!
//! The agent makes one [`Engine`], loads [`Module`]s with it, and gives each its settings and
//! limits as a [`WasmPolicy`], which is a [`RoutePolicy`] like any other. Loading compiles, and
//! evaluating takes up to [`Limits::time`] a call, so neither belongs on the thread that speaks
//! BGP. Whatever a module does, a call ends in decisions or in a [`PolicyFailure`]; it never
//! panics, never blocks for longer than its limit, and never leaves anything behind.
//!
//! A module may write to the log: lines go to the engine's [`LogSink`], and to nobody where it has
//! none.
//!
//! The contract is in `wit/`; what its two sides owe each other is told there.

mod bindings;
mod budget;
mod code_cache;
pub mod conformance;
mod contract;
mod convert;
mod encode;
mod engine;
mod error;
mod inspect;
mod learn;
mod lift;
mod limits;
mod link_bandwidth;
mod log;
mod lower;
mod module;

pub use contract::Purpose;
pub use engine::Engine;
pub use error::ModuleError;
pub use inspect::{Inspection, ModuleKind};
pub use learn::WasmImportPolicy;
pub use limits::{Limits, MODULE_BYTES_MAX};
pub use log::{LogLevel, LogSink};
pub use module::{Description, Module, builtin_bytes, calico_filter_bytes};

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::policy::{Batch, Decision, PolicyFailure, ProposedRoute, RoutePolicy};
use contract::Exports;
use error::printable;
use lower::Tables;
use module::InCall;
use wasmtime::Store;

/// A module with its settings and limits, ready to decide.
#[derive(Clone, Debug)]
pub struct WasmPolicy {
    module: Module,
    settings: String,
    limits: Limits,
}

/// The SHA-256 digest of a module's bytes, as registries write it but for the `sha256:` before it:
/// 64 hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for octet in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

impl WasmPolicy {
    /// Lets the module check the settings, by contract a JSON object.
    ///
    /// # Errors
    /// [`ModuleError::Settings`] in the module's own words; [`ModuleError::Failed`] where it did
    /// not get as far as that; [`ModuleError::Purpose`] where it decides on learned routes only.
    pub fn new(
        module: &Module,
        settings: &serde_json::Value,
        limits: Limits,
    ) -> Result<Self, ModuleError> {
        Ok(Self {
            settings: module.accept_settings(Purpose::Announce, settings, limits)?,
            module: module.clone(),
            limits,
        })
    }

    /// The module that decides.
    #[must_use]
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Asks about as many of the routes as one call may be about, the first one at least.
    /// Returns what was decided, and the routes that are left. `tables` is what the call before
    /// was about.
    fn ask<'r, 'a>(
        &self,
        batch: &Batch<'_>,
        routes: &'r [ProposedRoute<'a>],
        tables: &mut Tables<'a>,
    ) -> Result<(Vec<Decision>, &'r [ProposedRoute<'a>]), PolicyFailure> {
        tables.fill(routes, self.limits.memory_bytes / 4)?;
        let answer = tables.ask(batch, &self.settings, |question| {
            self.call(|exports, store| exports.announce(store, question))
        })?;
        // A module that says why it cannot decide is no better off than one that traps.
        let answer = answer.map_err(|words| PolicyFailure::Trap(printable(&words)))?;
        let (asked, later) = routes.split_at(tables.len());
        let decisions = lift::decisions(answer, asked, batch.asn, batch.reasons)?;
        Ok((decisions, later))
    }

    fn call<T>(
        &self,
        function: impl FnOnce(&Exports, &mut Store<InCall>) -> wasmtime::Result<T>,
    ) -> Result<T, PolicyFailure> {
        self.module
            .call(self.limits, self.limits.output_bytes, function)
    }
}

impl RoutePolicy for WasmPolicy {
    /// Asks in as many calls as the memory limit makes necessary: by contract the decision about
    /// a candidate does not depend on the others of its batch.
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let mut decisions = Vec::with_capacity(batch.candidates.len());
        let mut tables = Tables::default();
        let mut rest = batch.candidates;
        while !rest.is_empty() {
            let (decided, later) = self.ask(batch, rest, &mut tables)?;
            decisions.extend(decided);
            rest = later;
        }
        Ok(decisions)
    }
}

#[cfg(test)]
pub(crate) mod tests;
