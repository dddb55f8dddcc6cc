//! The next chains of policies, one a direction: which links stay as they are, which are made anew,
//! and which newer versions are not taken.
//!
//! A policy that is configured as before stays in force whatever becomes of its module's file: a
//! version that cannot be used is refused by itself, and holds up nothing else. A policy that is
//! new, or configured otherwise, has nothing to fall back on: it refuses the whole change, unless it
//! is in shadow mode and decides nothing.

use std::collections::BTreeMap;

use super::clock;
use super::decider::{Decider, Exporting, Importing};
use super::load::{self, ModuleBytes, ReadModule};
use super::pipeline::TrialFailure;
use crate::config::PolicyLink;
use crate::policy::{Direction, Link, Mode, NextLink};
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

/// Refused versions by the policy's direction and name.
pub(super) type RefusedVersions = BTreeMap<(Direction, String), RefusedVersion>;

/// The chain of one direction, as far as it was loaded.
#[derive(Clone, Debug)]
pub(super) enum InForce {
    /// As configured.
    Configured(Vec<LoadedLink>),
    /// The configured one could not be had at start.
    StandIn,
}

/// A policy that is new or configured otherwise, and cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct LinkRefused(pub(super) String);

/// The next chain.
pub(super) struct Plan<P> {
    pub(super) links: Vec<NextLink<P>>,
    pub(super) loaded: Vec<LoadedLink>,
    /// What stays out of it.
    pub(super) refused: RefusedVersions,
}

/// The chains of both directions, as far as they were loaded.
#[derive(Clone, Debug)]
pub(super) struct Chains {
    pub(super) exports: InForce,
    pub(super) imports: InForce,
}

/// The next chains; of a direction that has none, the present one stays.
pub(super) struct Plans {
    pub(super) exports: Option<Plan<Exporting>>,
    pub(super) imports: Option<Plan<Importing>>,
}

/// A chain that is to replace the one in force, if one is.
type NextChain<P> = Option<Vec<NextLink<P>>>;

impl Plans {
    /// The chains that are not those in force.
    pub(super) fn changes(
        &self,
        in_force: &Chains,
    ) -> (NextChain<Exporting>, NextChain<Importing>) {
        let (exports, imports) = (self.exports.as_ref(), self.imports.as_ref());
        (
            exports.and_then(|plan| plan.change(&in_force.exports)),
            imports.and_then(|plan| plan.change(&in_force.imports)),
        )
    }

    /// What of the modules is another than that in force, in words.
    pub(super) fn parts(&self, in_force: &Chains) -> Vec<String> {
        let exports = self.exports.iter();
        let exports = exports.flat_map(|plan| plan.parts(&in_force.exports));
        let imports = self.imports.iter();
        let imports = imports.flat_map(|plan| plan.parts(&in_force.imports));
        exports.chain(imports).collect()
    }

    /// What stays out of both.
    pub(super) fn refused(&self) -> RefusedVersions {
        let exports = self.exports.iter().flat_map(|plan| &plan.refused);
        let imports = self.imports.iter().flat_map(|plan| &plan.refused);
        let refused = exports.chain(imports);
        refused
            .map(|(key, version)| (key.clone(), version.clone()))
            .collect()
    }

    /// The refusal of the new link that failed, if there is a former version that may stay.
    pub(super) fn refuse(
        &self,
        failure: &TrialFailure,
        in_force: &Chains,
    ) -> Option<RefusedVersion> {
        let (policy, reason) = (&failure.policy, failure.to_string());
        match failure.direction {
            Direction::Export => {
                let plan = self.exports.as_ref()?;
                plan.refuse(policy, reason, &in_force.exports)
            }
            Direction::Import => {
                let plan = self.imports.as_ref()?;
                plan.refuse(policy, reason, &in_force.imports)
            }
        }
    }

    /// These chains are in force.
    pub(super) fn take_into(self, in_force: &mut Chains) {
        if let Some(plan) = self.exports {
            in_force.exports = InForce::Configured(plan.loaded);
        }
        if let Some(plan) = self.imports {
            in_force.imports = InForce::Configured(plan.loaded);
        }
    }
}

impl InForce {
    /// The links; none where something stands in.
    pub(super) fn links(&self) -> &[LoadedLink] {
        match self {
            Self::Configured(links) => links,
            Self::StandIn => &[],
        }
    }
}

impl<P: Decider> Plan<P> {
    /// Compares what is configured and what modules there are with the chain in force, and
    /// compiles what differs. Versions that were `refused` before are not tried again.
    ///
    /// # Errors
    /// A policy that has no former version cannot be had.
    pub(super) fn make(
        engine: &Engine,
        config: &[PolicyLink],
        modules: &[ReadModule],
        in_force: &InForce,
        refused: &RefusedVersions,
    ) -> Result<Self, LinkRefused> {
        let mut plan = Self {
            links: Vec::new(),
            loaded: Vec::new(),
            refused: RefusedVersions::new(),
        };
        for (link, module) in config.iter().zip(modules) {
            let mut formers = in_force.links().iter();
            match formers.find(|loaded| loaded.config == *link) {
                Some(former) => {
                    let refused = refused.get(&(P::DIRECTION, link.name.clone()));
                    plan.renew(engine, former, module, refused);
                }
                None => plan.begin(engine, link, module)?,
            }
        }
        Ok(plan)
    }

    /// Whether this is the chain in force, as it is.
    fn is(&self, in_force: &InForce) -> bool {
        let InForce::Configured(in_force) = in_force else {
            return false;
        };
        let names = in_force.iter().map(|loaded| loaded.config.name.as_str());
        self.links.len() == in_force.len()
            && self.links.iter().zip(names).all(|(link, name)| match link {
                NextLink::Kept(kept) => **kept == *name,
                NextLink::New(_) => false,
            })
    }

    /// The chain, unless it is the one in force.
    fn change(&self, in_force: &InForce) -> Option<Vec<NextLink<P>>> {
        (!self.is(in_force)).then(|| self.links.clone())
    }

    /// What of its modules is another than that in force, in words.
    fn parts(&self, in_force: &InForce) -> Vec<String> {
        let mut parts = Vec::new();
        for (link, loaded) in self.links.iter().zip(&self.loaded) {
            let NextLink::New(link) = link else {
                continue;
            };
            let mut formers = in_force.links().iter();
            let former = formers.find(|former| former.name() == loaded.name());
            if former.is_some_and(|former| former.digest == loaded.digest) {
                continue;
            }
            let (noun, name, module) = (P::DIRECTION.noun(), &link.name, &link.module);
            let digest = loaded.digest.as_deref().unwrap_or("which cannot be read");
            let former = former.and_then(|former| former.digest.as_deref());
            let former = former.map_or_else(String::new, |former| format!(" in place of {former}"));
            parts.push(format!(
                "module of {noun} {name}: {module} {digest}{former}"
            ));
        }
        parts
    }

    /// The refusal of the new link of this name, if there is a former version that may stay.
    fn refuse(&self, policy: &str, reason: String, in_force: &InForce) -> Option<RefusedVersion> {
        let is_new = |link: &NextLink<P>| match link {
            NextLink::New(link) => *link.name == *policy,
            NextLink::Kept(_) => false,
        };
        let position = self.links.iter().position(is_new)?;
        let LoadedLink { config, digest, .. } = &self.loaded[position];
        let mut formers = in_force.links().iter();
        let former = formers.any(|loaded| loaded.config == *config);
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
        let refused = reason.map(|reason| ((P::DIRECTION, config.name.clone()), reason));
        self.refused.extend(refused);
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

    fn add(&mut self, config: &PolicyLink, digest: Option<String>, link: Link<P>) {
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
