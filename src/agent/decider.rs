//! What differs between the policies of the two directions for whoever loads, reloads and
//! measures them: how one is made of a module, what stands for one that does not load, and how it
//! is counted. Everything else about both chains is the same code.

use std::sync::Arc;

use super::meters::{MeasuredPolicy, Meter};
use crate::config::PolicyLink;
use crate::policy::{
    Batch, Decision, Direction, ImportBatch, ImportDecision, ImportPolicy, PolicyFailure,
    RoutePolicy, SpotChecked,
};
use crate::wasm::{Module, WasmImportPolicy, WasmPolicy};

/// Decides about routes to peers.
pub(super) type Exporting = Arc<dyn RoutePolicy>;

/// Decides about routes from peers.
pub(super) type Importing = Arc<dyn ImportPolicy>;

/// A policy of one direction.
pub(super) trait Decider: Clone + Send + Sync + 'static {
    /// Which.
    const DIRECTION: Direction;

    /// Lets a compiled module check the settings of its policy.
    ///
    /// # Errors
    /// It is no policy of this direction, or does not take its settings.
    fn of_module(module: &Module, link: &PolicyLink) -> anyhow::Result<Self>;

    /// One that fails with this reason whenever it is asked.
    fn not_loaded(reason: String) -> Self;

    /// The same, counted by this.
    fn measured(self, meter: Meter) -> Self;
}

impl Decider for Exporting {
    const DIRECTION: Direction = Direction::Export;

    fn of_module(module: &Module, link: &PolicyLink) -> anyhow::Result<Self> {
        let policy = WasmPolicy::new(module, &link.settings, link.limits)?;
        Ok(Arc::new(SpotChecked::new(policy)))
    }

    fn not_loaded(reason: String) -> Self {
        Arc::new(NotLoaded(reason))
    }

    fn measured(self, meter: Meter) -> Self {
        Arc::new(MeasuredPolicy::new(self, meter))
    }
}

impl Decider for Importing {
    const DIRECTION: Direction = Direction::Import;

    fn of_module(module: &Module, link: &PolicyLink) -> anyhow::Result<Self> {
        let policy = WasmImportPolicy::new(module, &link.settings, link.limits)?;
        Ok(Arc::new(SpotChecked::new(policy)))
    }

    fn not_loaded(reason: String) -> Self {
        Arc::new(NotLoaded(reason))
    }

    fn measured(self, meter: Meter) -> Self {
        Arc::new(MeasuredPolicy::new(self, meter))
    }
}

/// Stands for a policy whose module did not load.
#[derive(Debug)]
struct NotLoaded(String);

impl NotLoaded {
    fn failure(&self) -> PolicyFailure {
        PolicyFailure::NotLoaded(self.0.clone())
    }
}

impl RoutePolicy for NotLoaded {
    fn evaluate(&self, _: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        Err(self.failure())
    }
}

impl ImportPolicy for NotLoaded {
    fn evaluate(&self, _: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        Err(self.failure())
    }
}
