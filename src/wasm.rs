//! Policies compiled to WebAssembly: the one place that knows wasmtime.
//!
//! The agent makes one [`Engine`], loads [`Module`]s with it, and gives each its settings and
//! limits as a [`WasmPolicy`], which is a [`RoutePolicy`] like any other. Loading compiles, and
//! evaluating takes up to [`Limits::time`] a call, so neither belongs on the thread that speaks
//! BGP. Whatever a module does, a call ends in decisions or in a [`PolicyFailure`]; it never
//! panics, never blocks for longer than its limit, and never leaves anything behind.
//!
//! The contract is in `wit/`; what its two sides owe each other is told there.

mod bindings;
pub mod conformance;
mod encode;
mod engine;
mod error;
mod lift;
mod limits;
mod lower;
mod module;

pub use engine::Engine;
pub use error::ModuleError;
pub use limits::{Limits, MODULE_BYTES_MAX};
pub use module::{Description, Module};

use crate::policy::{Batch, Decision, PolicyFailure, ProposedRoute, RoutePolicy};
use error::printable;
use limits::WORDS_BYTES_MAX;
use lower::Tables;

/// A module with its settings and limits, ready to decide.
#[derive(Clone, Debug)]
pub struct WasmPolicy {
    module: Module,
    settings: String,
    limits: Limits,
}

impl WasmPolicy {
    /// Lets the module check the settings, by contract a JSON object.
    ///
    /// # Errors
    /// [`ModuleError::Settings`] in the module's own words; [`ModuleError::Failed`] where it did
    /// not get as far as that.
    pub fn new(
        module: &Module,
        settings: &serde_json::Value,
        limits: Limits,
    ) -> Result<Self, ModuleError> {
        let settings = settings.to_string();
        let verdict = module
            .call(limits, WORDS_BYTES_MAX, |policy, store| {
                policy
                    .rutter_policy_module()
                    .call_validate_settings(store, &settings)
            })
            .map_err(|failure| ModuleError::Failed {
                name: module.name().into(),
                what: "check its settings",
                failure,
            })?;
        match verdict {
            Ok(()) => Ok(Self {
                module: module.clone(),
                settings,
                limits,
            }),
            Err(words) => Err(ModuleError::Settings {
                name: module.name().into(),
                words: printable(&words),
            }),
        }
    }

    /// The module that decides.
    #[must_use]
    pub fn module(&self) -> &Module {
        &self.module
    }

    fn call(
        &self,
        tables: &Tables<'_>,
        batch: &Batch<'_>,
        routes: &[ProposedRoute<'_>],
    ) -> Result<Vec<Decision>, PolicyFailure> {
        let answer = tables.ask(batch, &self.settings, |question| {
            self.module
                .call(self.limits, self.limits.output_bytes, |policy, store| {
                    policy
                        .rutter_policy_announce()
                        .call_evaluate(store, question)
                })
        })?;
        // A module that says why it cannot decide is no better off than one that traps.
        let answer = answer.map_err(|words| PolicyFailure::Trap(printable(&words)))?;
        lift::decisions(answer, routes, batch.reasons)
    }
}

impl RoutePolicy for WasmPolicy {
    /// Asks in as many calls as the memory limit makes necessary: by contract the decision about
    /// a candidate does not depend on the others of its batch.
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let mut decisions = Vec::with_capacity(batch.candidates.len());
        let mut rest = batch.candidates;
        while !rest.is_empty() {
            let tables = Tables::fill(rest, self.limits.memory_bytes / 4)?;
            let (routes, later) = rest.split_at(tables.len());
            decisions.extend(self.call(&tables, batch, routes)?);
            rest = later;
        }
        Ok(decisions)
    }
}

#[cfg(test)]
mod tests;
