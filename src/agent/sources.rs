//! The modules of both chains, wherever they are: obtained for whoever loads a configuration, with
//! what is wrong with their sources for status, and when to ask those again.
//!
//! It decides nothing about what runs: a module that cannot be had is an error for the loader.
//! What the network gave is remembered, so that a registry is asked when something is wanted that
//! is not known, not whenever files are looked at. Files are read each time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tracing::warn;

use super::clock;
use super::load::{ModuleBytes, Modules, ReadModule, refused_because};
use crate::config::{Config, PolicyLink, PolicyModule, RepositoryName};
use crate::files;
use crate::policy::Direction;
use crate::source::{Demands, Fetcher, Obtained, SourceError, digest_of};
use crate::types::Digest;

/// What the modules of a starting agent may take: longer would look like a stuck one, and what
/// is in the cache takes no time.
const START_TIME_MAX: Duration = Duration::from_secs(15);

/// The same where something runs meanwhile.
const RELOAD_TIME_MAX: Duration = Duration::from_secs(30);

/// When a source that gave nothing is asked again; twice as long after each time.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MOST: Duration = Duration::from_secs(600);

/// Asks the sources of modules, and remembers how that went.
#[derive(Debug)]
pub(super) struct Sources {
    /// Differs from node to node, so that not all of them ask a registry at once.
    seed: u64,
    state: Mutex<State>,
}

/// Which sources are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// All of them, and nothing runs before they have answered.
    AtStart,
    /// All of them: what a tag stands for may have changed.
    Everything,
    /// Those of what is not known, and those of which it is time to be asked again.
    WhatIsNotKnown,
}

#[derive(Debug, Default)]
struct State {
    /// What the network gave for the configuration that was loaded last.
    known: BTreeMap<Wanted, Known>,
    /// How often in a row something could not be had.
    failures: u32,
    retry_at: Option<Instant>,
    /// How often in a row something that could be had was of no use.
    doubts: u32,
    /// What does not work besides, but costs no route.
    untidy: Option<String>,
    /// Why what is in force cannot be kept for the next start.
    unkept: Option<String>,
}

/// A module from the network, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    /// Of the policy: what is wrong with a module is told with the key that names it.
    direction: Direction,
    module: String,
    digest: Option<Digest>,
    /// What the file of the public key holds, where there must be a signature.
    key: Option<Digest>,
    signed_for: Option<RepositoryName>,
}

/// What became of it.
#[derive(Clone)]
struct Known {
    module: ReadModule,
    /// What does not work, but costs no route.
    warnings: Vec<String>,
    source: Standing,
}

/// Whether a source gave what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Good,
    /// It is to be asked again.
    Failing,
}

impl Sources {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            state: Mutex::default(),
        }
    }

    /// The module of each policy.
    pub(super) async fn obtain(&self, config: &Config, asking: Asking) -> Modules {
        let time_max = match asking {
            Asking::AtStart => START_TIME_MAX,
            Asking::Everything | Asking::WhatIsNotKnown => RELOAD_TIME_MAX,
        };
        let before = match asking {
            Asking::AtStart | Asking::Everything => BTreeMap::new(),
            Asking::WhatIsNotKnown => self.state().known.clone(),
        };
        let fetcher = Fetcher::new(&config.policy, time_max);
        let exports = config.policies.iter().map(|link| (Direction::Export, link));
        let imports = config.import_policies.iter();
        let imports = imports.map(|link| (Direction::Import, link));
        let links: Vec<_> = exports.chain(imports).collect();
        let asked = links
            .iter()
            .map(|(direction, link)| obtain(*direction, link, &fetcher, &before));
        let obtained = join_all(asked).await;
        let mut modules = Vec::new();
        let mut known = BTreeMap::new();
        for (wanted, found) in obtained {
            modules.push(found.module.clone());
            known.extend(wanted.map(|wanted| (wanted, found)));
        }
        let is_new = known.keys().any(|wanted| !before.contains_key(wanted));
        let untidy = if is_new {
            let used: Vec<_> = links.iter().map(|(_, link)| &link.module).collect();
            fetcher.tidy(&used).await.err()
        } else {
            self.state().untidy.clone()
        };
        self.note(known, &before, untidy);
        let imports = modules.split_off(config.policies.len());
        Modules {
            exports: modules,
            imports,
        }
    }

    /// What does not work, but costs no route.
    pub(super) fn warnings(&self) -> Vec<String> {
        let state = self.state();
        let known = state.known.values();
        let warnings = known.flat_map(|known| known.warnings.iter().cloned());
        let more = state.untidy.iter().chain(&state.unkept);
        warnings.chain(more.cloned()).collect()
    }

    /// Whether what is in force could be kept for the next start.
    pub(super) fn note_kept(&self, kept: Result<(), String>) {
        let unkept = kept.err();
        let mut state = self.state();
        let before = std::mem::replace(&mut state.unkept, unkept.clone());
        drop(state);
        if let Some(warning) = unkept
            && before.as_ref() != Some(&warning)
        {
            warn!("{warning}");
        }
    }

    /// Has the sources of these modules asked again as if they had given nothing: what they gave is
    /// of no use, and something else decides meanwhile.
    pub(super) fn doubt(&self, unusable: &[String]) {
        let mut state = self.state();
        let State { known, doubts, .. } = &mut *state;
        let mut doubted = false;
        for (wanted, known) in known.iter_mut() {
            if unusable.contains(&wanted.module) && known.source == Standing::Good {
                known.source = Standing::Failing;
                doubted = true;
            }
        }
        if unusable.is_empty() {
            *doubts = 0;
        } else if doubted {
            *doubts = doubts.saturating_add(1);
            let at = clock::now() + pause(*doubts, self.seed);
            state.retry_at = Some(state.retry_at.map_or(at, |before| before.min(at)));
        }
    }

    /// Waits until a source that gave nothing is to be asked again; for ever where none is. What
    /// is not known is then asked for the next time.
    ///
    /// Cancel-safe: nothing is forgotten before the wait is over.
    pub(super) async fn retry_due(&self) {
        let retry_at = self.state().retry_at;
        match retry_at {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
        let mut state = self.state();
        state.retry_at = None;
        state
            .known
            .retain(|_, known| known.source == Standing::Good);
    }

    fn note(
        &self,
        known: BTreeMap<Wanted, Known>,
        before: &BTreeMap<Wanted, Known>,
        untidy: Option<String>,
    ) {
        let told = self.warnings();
        let mut state = self.state();
        let failing = |(_, known): &(&Wanted, &Known)| known.source == Standing::Failing;
        let mut asked_in_vain = known.iter().filter(failing);
        if known.values().all(|known| known.source == Standing::Good) {
            state.failures = 0;
            state.retry_at = None;
        } else if asked_in_vain.any(|(wanted, _)| !before.contains_key(wanted)) {
            state.failures = state.failures.saturating_add(1);
            state.retry_at = Some(clock::now() + pause(state.failures, self.seed));
        }
        state.known = known;
        state.untidy = untidy;
        drop(state);
        for warning in self.warnings() {
            if !told.contains(&warning) {
                warn!("{warning}");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known")
            .field("warnings", &self.warnings)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A policy's module: what is known of it or else what its source gives. What is from the network
/// comes with the name to remember it by.
async fn obtain(
    direction: Direction,
    link: &PolicyLink,
    fetcher: &Fetcher,
    before: &BTreeMap<Wanted, Known>,
) -> (Option<Wanted>, Known) {
    let wanted = match &link.module {
        PolicyModule::Builtin(_) | PolicyModule::File(_) => None,
        PolicyModule::Oci(_) | PolicyModule::Http(_) => Some(Wanted {
            direction,
            module: link.module.to_string(),
            digest: link.digest,
            key: key_of(link.require_signature.as_deref()).await,
            signed_for: link.signed_for.clone(),
        }),
    };
    if let Some(known) = wanted.as_ref().and_then(|wanted| before.get(wanted)) {
        return (wanted, known.clone());
    }
    let found = fetcher.obtain(&link.module, &demands(link)).await;
    let warnings = found.as_ref().map_or_else(
        |_| Vec::new(),
        |obtained| warnings_of(direction, link, obtained).collect(),
    );
    let source = match &found {
        Ok(obtained) if obtained.stands_in.is_none() => Standing::Good,
        Ok(_) | Err(_) => Standing::Failing,
    };
    let module = found.map_err(|error| refused_because(direction, link, error.into()));
    let module = module.map(|obtained| {
        Arc::new(ModuleBytes {
            digest: obtained.digest.to_string(),
            source: obtained.source.to_string(),
            bytes: obtained.bytes,
            artifact: Some(obtained.artifact),
        })
    });
    let known = Known {
        module,
        warnings,
        source,
    };
    (wanted, known)
}

/// The digest of the file of a key; of nothing where it cannot be read, which obtaining will tell.
async fn key_of(key: Option<&Path>) -> Option<Digest> {
    let key = key?.to_owned();
    let read = move || files::read(&key, files::KEY_BYTES_MAX).unwrap_or_default();
    let text = tokio::task::spawn_blocking(read).await.unwrap_or_default();
    Some(digest_of(&text))
}

/// What a policy's module must be.
pub(super) fn demands(link: &PolicyLink) -> Demands {
    Demands {
        digest: link.digest,
        signed_by: link.require_signature.clone(),
        signed_for: link.signed_for.clone(),
    }
}

fn warnings_of(
    direction: Direction,
    link: &PolicyLink,
    obtained: &Obtained,
) -> impl Iterator<Item = String> {
    let stands_in = obtained.stands_in.as_ref().map(|error| {
        let (noun, name, error) = (direction.noun(), &link.name, causes(error));
        format!("the module of {noun} `{name}` is the one of last time: {error}")
    });
    stands_in.into_iter().chain(obtained.cache_fault.clone())
}

/// An error with its causes in one line.
fn causes(error: &SourceError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How long to wait after this many failures in a row: a quarter more or less than the double of
/// the time before.
fn pause(failures: u32, seed: u64) -> Duration {
    let doubled = RETRY_FIRST * 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    // Any mixing will do: what counts is that nodes differ.
    let mixed = (seed ^ u64::from(failures)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    let percent = 75 + u32::try_from(mixed % 51).unwrap_or(25);
    doubled.min(RETRY_MOST) * percent / 100
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_differ_between_nodes() {
        for failures in 1..40 {
            let doubled = RETRY_FIRST * 2_u32.pow((failures - 1).min(10));
            let middle = doubled.min(RETRY_MOST);
            let pauses: Vec<_> = (0..100).map(|seed| pause(failures, seed)).collect();
            let (least, most) = (pauses.iter().min(), pauses.iter().max());
            assert!(least.unwrap() >= &(middle * 3 / 4), "{failures}: {least:?}");
            assert!(most.unwrap() <= &(middle * 5 / 4), "{failures}: {most:?}");
            assert!(most.unwrap() > &least.unwrap().mul_f64(1.3), "{failures}");
        }
    }

    /// One module that was asked for now, and what became of it.
    fn noted(sources: &Sources, source: Standing) {
        let wanted = Wanted {
            direction: Direction::Export,
            module: "oci://r/a:1".into(),
            digest: None,
            key: None,
            signed_for: None,
        };
        let known = Known {
            module: Err("away".into()),
            warnings: vec!["away".into()],
            source,
        };
        let known = BTreeMap::from([(wanted, known)]);
        sources.note(known, &BTreeMap::new(), None);
    }

    #[tokio::test]
    async fn what_is_of_no_use_is_asked_for_again_after_pauses_that_grow() {
        let sources = Sources::new(7);
        let useless = ["oci://r/a:1".to_owned()];
        for doubts in 1..4 {
            noted(&sources, Standing::Good);
            assert!(sources.state().retry_at.is_none());
            // Looked at again before it was asked for again, it is doubted once.
            for _ in 0..2 {
                sources.doubt(&useless);
                assert_eq!(sources.state().doubts, doubts);
            }
            let wait = sources.state().retry_at.unwrap() - clock::now();
            assert!(
                wait <= pause(doubts, 7) && wait > pause(doubts, 7) / 2,
                "{wait:?}"
            );
            sources.state().retry_at = Some(clock::now());
            sources.retry_due().await;
            assert!(sources.state().known.is_empty());
        }
        noted(&sources, Standing::Good);
        sources.doubt(&["oci://r/b:1".to_owned()]);
        assert!(sources.state().retry_at.is_none(), "it is another one");
        sources.doubt(&[]);
        assert_eq!(sources.state().doubts, 0);
    }

    #[tokio::test]
    async fn a_source_that_failed_is_asked_again_and_one_that_answers_is_not() {
        let sources = Sources::new(7);
        assert!(sources.retry_due().now_or_never().is_none());
        noted(&sources, Standing::Failing);
        assert_eq!(sources.warnings(), ["away"]);
        assert!(sources.retry_due().now_or_never().is_none());
        // The pause is over; once, and what is not good is forgotten.
        sources.state().retry_at = Some(clock::now());
        sources.retry_due().await;
        assert!(sources.retry_due().now_or_never().is_none());
        assert!(sources.state().known.is_empty());
        noted(&sources, Standing::Failing);
        assert_eq!(sources.state().failures, 2);
        noted(&sources, Standing::Good);
        assert!(sources.retry_due().now_or_never().is_none());
        assert_eq!(sources.state().failures, 0);
        assert_eq!(sources.state().known.len(), 1);
    }
}
