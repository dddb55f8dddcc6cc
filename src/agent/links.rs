//! The next chain of policies: which links stay as they are, which are made anew, and which newer
//! versions are not taken.
//!
//! A policy that is configured as before stays in force whatever becomes of its module's file: a
//! version that cannot be used is refused by itself, and holds up nothing else. A policy that is
//! new, or configured otherwise, has nothing to fall back on: it refuses the whole change, unless it
//! is in shadow mode and decides nothing.

use std::collections::BTreeMap;

use super::clock;
use super::load::{self, ModuleBytes, ReadModule};
use crate::config::{Config, PolicyLink};
use crate::policy::{Link, Mode, NextLink};
use crate::wasm::Engine;

/// A link of the chain in force, as it was loaded.
#[derive(Clone, Debug)]
pub(super) struct LoadedLink {
    config: PolicyLink,
    /// Of its module; absent where a policy in shadow mode has none that can be read.
    pub(super) digest: Option<String>,
    /// In seconds since 1970.
    pub(super) loaded_at: u64,
}

/// A newer version of a module that is not taken.
#[derive(Clone, Debug)]
pub(super) struct RefusedVersion {
    config: PolicyLink,
    /// Absent where it cannot even be read.
    digest: Option<String>,
    pub(super) reason: String,
    pub(super) stage: RefusedAt,
}

/// How far a refused version came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusedAt {
    /// It was not read, or does not load, or does not take its settings: the same bytes never will.
    Loading,
    /// It failed on the routes of the node: on others, or another time, it may not.
    Trial,
}

/// Refused versions by the policy's name.
pub(super) type RefusedVersions = BTreeMap<String, RefusedVersion>;

/// A policy that is new or configured otherwise, and cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct LinkRefused(pub(super) String);

/// The next chain.
pub(super) struct Plan {
    pub(super) links: Vec<NextLink>,
    pub(super) loaded: Vec<LoadedLink>,
    /// What stays out of it.
    pub(super) refused: RefusedVersions,
}

impl Plan {
    /// Compares what is configured and what modules there are with the chain in force, and
    /// compiles what differs. Versions that were `refused` before are not tried again.
    ///
    /// # Errors
    /// A policy that has no former version cannot be had.
    pub(super) fn make(
        engine: &Engine,
        config: &Config,
        modules: &[ReadModule],
        in_force: &[LoadedLink],
        refused: &RefusedVersions,
    ) -> Result<Self, LinkRefused> {
        let mut plan = Self {
            links: Vec::new(),
            loaded: Vec::new(),
            refused: RefusedVersions::new(),
        };
        for (link, module) in config.policies.iter().zip(modules) {
            let former = in_force.iter().find(|loaded| loaded.config == *link);
            match former {
                Some(former) => plan.renew(engine, former, module, refused.get(&link.name)),
                None => plan.begin(engine, link, module)?,
            }
        }
        Ok(plan)
    }

    /// Whether this is the chain in force, as it is.
    pub(super) fn is(&self, in_force: &[LoadedLink]) -> bool {
        let names = in_force.iter().map(|loaded| loaded.config.name.as_str());
        self.links.len() == in_force.len()
            && self.links.iter().zip(names).all(|(link, name)| match link {
                NextLink::Kept(kept) => **kept == *name,
                NextLink::New(_) => false,
            })
    }

    /// The refusal of the new link of this name, if there is a former version that may stay.
    pub(super) fn refuse(
        &self,
        policy: &str,
        reason: String,
        in_force: &[LoadedLink],
    ) -> Option<RefusedVersion> {
        let is_new = |link: &NextLink| match link {
            NextLink::New(link) => *link.name == *policy,
            NextLink::Kept(_) => false,
        };
        let position = self.links.iter().position(is_new)?;
        let LoadedLink { config, digest, .. } = &self.loaded[position];
        let former = in_force.iter().any(|loaded| loaded.config == *config);
        former.then(|| RefusedVersion {
            config: config.clone(),
            digest: digest.clone(),
            reason,
            stage: RefusedAt::Trial,
        })
    }

    /// A policy that is configured as before.
    fn renew(
        &mut self,
        engine: &Engine,
        former: &LoadedLink,
        module: &ReadModule,
        refused: Option<&RefusedVersion>,
    ) {
        let config = &former.config;
        let digest = module.as_ref().ok().map(|module| &module.digest);
        let refused = refused.filter(|refused| {
            refused.config == *config && refused.digest.as_ref() == digest && digest.is_some()
        });
        let reason = match (module, refused) {
            _ if digest == former.digest.as_ref() => None,
            (_, Some(refused)) => Some(refused.clone()),
            (module, None) => {
                let new = module.as_ref().map_err(String::clone);
                match new.and_then(|module| self.load(engine, config, module)) {
                    Ok(()) => return,
                    Err(reason) => Some(RefusedVersion {
                        config: config.clone(),
                        digest: digest.cloned(),
                        reason,
                        stage: RefusedAt::Loading,
                    }),
                }
            }
        };
        self.links.push(NextLink::Kept(config.name.as_str().into()));
        self.loaded.push(former.clone());
        self.refused
            .extend(reason.map(|reason| (config.name.clone(), reason)));
    }

    /// A policy that is new or configured otherwise.
    fn begin(
        &mut self,
        engine: &Engine,
        link: &PolicyLink,
        module: &ReadModule,
    ) -> Result<(), LinkRefused> {
        let new = module.as_ref().map_err(String::clone);
        let Err(refusal) = new.and_then(|module| self.load(engine, link, module)) else {
            return Ok(());
        };
        match link.mode {
            Mode::Enforce => Err(LinkRefused(refusal)),
            // What decides nothing keeps nothing from being decided.
            Mode::Shadow => {
                let digest = module.as_ref().ok().map(|module| module.digest.clone());
                self.add(link, digest, load::not_loaded(link, refusal));
                Ok(())
            }
        }
    }

    fn load(
        &mut self,
        engine: &Engine,
        link: &PolicyLink,
        module: &ModuleBytes,
    ) -> Result<(), String> {
        let loaded = load::link(engine, link, module)?;
        self.add(link, Some(module.digest.clone()), loaded);
        Ok(())
    }

    fn add(&mut self, config: &PolicyLink, digest: Option<String>, link: Link) {
        self.links.push(NextLink::New(link));
        self.loaded.push(LoadedLink {
            config: config.clone(),
            digest,
            loaded_at: clock::unix_time(),
        });
    }
}

impl LoadedLink {
    /// Its name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }
}
