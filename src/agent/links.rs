//! The next chains of policies, one a direction: which links stay as they are, which are made anew,
//! and which newer versions are not taken.
//!
//! A policy that is configured as before stays in force whatever becomes of its module's file: a
//! version that cannot be used is refused by itself, and holds up nothing else. A policy that is
//! new, or configured otherwise, has nothing to fall back on: it refuses the whole change, unless it
//! is in shadow mode and decides nothing. At the start there is nothing to refuse in favour of: there
//! something [stands in](StandIn) for it, until its module can be had.

use std::collections::BTreeMap;

use super::clock;
use super::decider::{Decider, Exporting, Importing};
use super::last::Last;
use super::load::{self, ModuleBytes, ReadModule};
use super::pipeline::{StoodIn, TrialFailure};
use crate::api::StandIn;
use crate::config::PolicyLink;
use crate::policy::{Audience, Direction, Link, Mode, NextLink};
use crate::wasm::Engine;

/// A link of the chain in force, as it was loaded.
#[derive(Clone, Debug)]
pub(super) struct LoadedLink {
    pub(super) config: PolicyLink,
    /// What decides in its place, since the start.
    pub(super) stand_in: Option<StandIn>,
    /// Of the module that runs; absent where a policy in shadow mode has none that can be read, and
    /// where none runs in the place of one.
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
pub(super) type InForce = [LoadedLink];

/// What becomes of a policy that has no former version and cannot be had.
#[derive(Clone, Copy, Debug)]
pub(super) enum Without<'a> {
    /// The whole change is refused.
    Refused,
    /// Its module of last time decides or, where there is none, no route is let through.
    Last(&'a Last),
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
    pub(super) exports: Vec<LoadedLink>,
    pub(super) imports: Vec<LoadedLink>,
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
            in_force.exports = plan.loaded;
        }
        if let Some(plan) = self.imports {
            in_force.imports = plan.loaded;
        }
    }

    /// What stands in for policies in force, and no longer would.
    pub(super) fn stood_in(&self, in_force: &Chains) -> Vec<StoodIn> {
        let exports = self.exports.iter();
        let exports = exports.flat_map(|plan| plan.stood_in(&in_force.exports));
        let imports = self.imports.iter();
        let imports = imports.flat_map(|plan| plan.stood_in(&in_force.imports));
        exports.chain(imports).collect()
    }
}

impl Chains {
    /// The policies of both directions.
    pub(super) fn links(&self) -> impl Iterator<Item = (Direction, &LoadedLink)> {
        let exports = self.exports.iter().map(|link| (Direction::Export, link));
        let imports = self.imports.iter().map(|link| (Direction::Import, link));
        exports.chain(imports)
    }
}

impl<P: Decider> Plan<P> {
    /// Compares what is configured and what modules there are with the chain in force, and
    /// compiles what differs. Versions that were `refused` before are not tried again.
    ///
    /// # Errors
    /// A policy that has no former version cannot be had, and without it the change is refused.
    pub(super) fn make(
        engine: &Engine,
        config: &[PolicyLink],
        modules: &[ReadModule],
        in_force: &InForce,
        refused: &RefusedVersions,
        without: Without<'_>,
    ) -> Result<Self, LinkRefused> {
        let mut plan = Self {
            links: Vec::new(),
            loaded: Vec::new(),
            refused: RefusedVersions::new(),
        };
        for (link, module) in config.iter().zip(modules) {
            let mut formers = in_force.iter();
            match formers.find(|loaded| loaded.config == *link) {
                Some(former) => {
                    let refused = refused.get(&(P::DIRECTION, link.name.clone()));
                    plan.renew(engine, former, module, refused);
                }
                None => plan.begin(engine, link, module, without)?,
            }
        }
        Ok(plan)
    }

    /// Whether this is the chain in force, as it is.
    fn is(&self, in_force: &InForce) -> bool {
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
            let mut formers = in_force.iter();
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
        let former = in_force.iter().any(|loaded| loaded.config == *config);
        former.then(|| RefusedVersion {
            config: config.clone(),
            digest: digest.clone(),
            reason,
            stage: RefusedAt::Trial,
        })
    }

    /// What stands in for policies in force, and does not in this chain.
    fn stood_in(&self, in_force: &InForce) -> Vec<StoodIn> {
        let stays = |former: &LoadedLink| {
            let mut loaded = self.loaded.iter();
            loaded.any(|it| it.config == former.config && it.stand_in == former.stand_in)
        };
        let stood_in = in_force.iter().filter_map(|former| {
            let kind = former.stand_in.filter(|_| !stays(former))?;
            Some(StoodIn {
                direction: P::DIRECTION,
                policy: former.config.name.clone(),
                audience: former.config.audience.clone(),
                kind,
            })
        });
        stood_in.collect()
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
        let mut renewed = former.clone();
        let reason = match (module, refused) {
            (Ok(_), _) if digest == former.digest.as_ref() => {
                // Whatever stood in, it is the module itself.
                renewed.stand_in = None;
                None
            }
            (Err(_), _) if former.config.mode == Mode::Shadow && former.digest.is_none() => None,
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
        self.loaded.push(renewed);
        let refused = reason.map(|reason| ((P::DIRECTION, config.name.clone()), reason));
        self.refused.extend(refused);
    }

    /// A policy that is new or configured otherwise.
    fn begin(
        &mut self,
        engine: &Engine,
        link: &PolicyLink,
        module: &ReadModule,
        without: Without<'_>,
    ) -> Result<(), LinkRefused> {
        let new = module.as_ref().map_err(String::clone);
        let Err(refusal) = new.and_then(|module| self.load(engine, link, module)) else {
            return Ok(());
        };
        let digest = module.as_ref().ok().map(|module| module.digest.clone());
        match (link.mode, without) {
            // What decides nothing keeps nothing from being decided.
            (Mode::Shadow, _) => {
                self.add(link, None, digest, load::not_loaded(link, refusal));
                Ok(())
            }
            (Mode::Enforce, Without::Refused) => Err(LinkRefused(refusal)),
            (Mode::Enforce, Without::Last(last)) => {
                self.stand_in(engine, link, digest, refusal, last);
                Ok(())
            }
        }
    }

    /// Puts something in the place of a policy whose module, of this digest if it has one, is
    /// refused.
    fn stand_in(
        &mut self,
        engine: &Engine,
        link: &PolicyLink,
        digest: Option<String>,
        mut reason: String,
        last: &Last,
    ) {
        let recalled = last.recall(P::DIRECTION, link).and_then(|module| {
            let loaded = module.map(|module| Ok((load::link(engine, link, &module)?, module)));
            loaded.transpose()
        });
        match recalled {
            Ok(Some((loaded, module))) => {
                self.add(link, Some(StandIn::Last), Some(module.digest), loaded);
            }
            Ok(None) => {
                let closed = load::closed(link, reason.clone());
                self.add(link, Some(StandIn::Closed), None, closed);
            }
            Err(error) => {
                reason = format!("{reason}; nor can the module be used that decided last: {error}");
                let closed = load::closed(link, reason.clone());
                self.add(link, Some(StandIn::Closed), None, closed);
            }
        }
        let version = RefusedVersion {
            config: link.clone(),
            digest,
            reason,
            stage: RefusedAt::Loading,
        };
        let key = (P::DIRECTION, link.name.clone());
        self.refused.insert(key, version);
    }

    fn load(
        &mut self,
        engine: &Engine,
        link: &PolicyLink,
        module: &ModuleBytes,
    ) -> Result<(), String> {
        let loaded = load::link(engine, link, module)?;
        self.add(link, None, Some(module.digest.clone()), loaded);
        Ok(())
    }

    fn add(
        &mut self,
        config: &PolicyLink,
        stand_in: Option<StandIn>,
        digest: Option<String>,
        link: Link<P>,
    ) {
        self.links.push(NextLink::New(link));
        self.loaded.push(LoadedLink {
            config: config.clone(),
            stand_in,
            digest,
            loaded_at: clock::unix_time(),
        });
    }
}

/// Whether the built-in default runs in the place of the configured chain.
pub(super) fn is_builtin_instead(in_force: &InForce) -> bool {
    let mut links = in_force.iter();
    links.any(|link| link.stand_in == Some(StandIn::Builtin))
}

impl LoadedLink {
    /// Its name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// What decides while the module there is, is refused.
    pub(super) fn meanwhile(&self, direction: Direction) -> String {
        let audience = &self.config.audience;
        match (self.stand_in, direction, audience) {
            (None, ..) => "the version before it stays".to_owned(),
            (Some(StandIn::Last), ..) => "the module that decided last stands in".to_owned(),
            (Some(StandIn::Builtin), ..) => "the built-in default runs in its place".to_owned(),
            (Some(StandIn::Closed), Direction::Export, Audience::Everyone) => {
                "nothing is announced".to_owned()
            }
            (Some(StandIn::Closed), Direction::Export, Audience::Only(_)) => {
                format!("nothing is announced to {audience}")
            }
            (Some(StandIn::Closed), Direction::Import, Audience::Everyone) => {
                "no learned route is used".to_owned()
            }
            (Some(StandIn::Closed), Direction::Import, Audience::Only(_)) => {
                format!("no learned route of {audience} is used")
            }
        }
    }
}
