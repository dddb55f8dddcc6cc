//! How the configuration stands, for status: written by the reload task, read by reports.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::links::{LoadedLink, RefusedVersions};
use crate::api::HeldChange;

/// The configuration as it stands.
#[derive(Clone, Debug)]
pub(super) struct ConfigState {
    pub(super) path: PathBuf,
    /// In seconds since 1970.
    pub(super) loaded_at: u64,
    /// Why a newer file was refused, or what of it waits for a restart.
    pub(super) error: Option<String>,
    /// Why the configured chain does not run.
    pub(super) chain_error: Option<String>,
    /// The modules that run, by their policy's name; none while a built-in stands in.
    pub(super) modules: BTreeMap<String, ModuleState>,
    /// What waits for approval.
    pub(super) held: Option<HeldChange>,
}

/// One policy's module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModuleState {
    /// Absent where a policy in shadow mode has none that can be read.
    pub(super) digest: Option<String>,
    /// In seconds since 1970.
    pub(super) loaded_at: u64,
    /// Why a newer version is not in force.
    pub(super) refused: Option<String>,
}

/// What there is to say of a chain's modules.
pub(super) fn modules(
    links: &[LoadedLink],
    refused: &RefusedVersions,
) -> BTreeMap<String, ModuleState> {
    let module = |link: &LoadedLink| {
        let refused = refused.get(link.name());
        let state = ModuleState {
            digest: link.digest.clone(),
            loaded_at: link.loaded_at,
            refused: refused.map(|refused| refused.reason.clone()),
        };
        (link.name().to_owned(), state)
    };
    links.iter().map(module).collect()
}
