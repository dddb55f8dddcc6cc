//! The modules of the chain, wherever they are: obtained for whoever loads a configuration, with
//! what is wrong with their sources for status, and when to ask those again.
//!
//! It decides nothing about what runs: a module that cannot be had is an error for the loader.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tracing::warn;

use super::clock;
use crate::config::{Config, PolicyLink, PolicyModule};
use crate::source::{Demands, Fetcher, Obtained, SourceError};

/// What the modules of a starting agent may take together: longer would look like a stuck one,
/// and what is in the cache takes no time.
pub(super) const START_TIME_MAX: Duration = Duration::from_secs(15);

/// The same where something runs meanwhile.
pub(super) const RELOAD_TIME_MAX: Duration = Duration::from_secs(60);

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

#[derive(Debug, Default)]
struct State {
    /// What does not work, but costs no route.
    warnings: Vec<String>,
    /// How often in a row something from the network could not be had.
    failures: u32,
    retry_at: Option<Instant>,
}

impl Sources {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            state: Mutex::default(),
        }
    }

    /// The module of each policy, in the order of the chain.
    pub(super) async fn obtain(
        &self,
        config: &Config,
        time_max: Duration,
    ) -> Vec<Result<Obtained, SourceError>> {
        let fetcher = Fetcher::new(&config.policy, time_max);
        let links = || config.policies.iter();
        let obtain = |link: &PolicyLink| {
            let (fetcher, module, demands) = (fetcher.clone(), link.module.clone(), demands(link));
            async move { fetcher.obtain(&module, &demands).await }
        };
        let modules = join_all(links().map(obtain)).await;
        let used: Vec<_> = links().map(|link| &link.module).collect();
        let untidy = match used.iter().any(|module| is_remote(module)) {
            true => fetcher.tidy(&used).await.err(),
            false => None,
        };
        let asked_in_vain = links().zip(&modules).any(|(link, module)| match module {
            Ok(obtained) => obtained.stands_in.is_some(),
            Err(_) => is_remote(&link.module),
        });
        let mut warnings: Vec<_> = links().zip(&modules).flat_map(warnings_of).collect();
        warnings.extend(untidy);
        self.note(warnings, asked_in_vain.then(clock::now));
        modules
    }

    /// What does not work, but costs no route.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.state
            .lock()
            .expect("no holder panics")
            .warnings
            .clone()
    }

    /// Waits until a source that gave nothing is to be asked again; for ever where none is.
    ///
    /// Cancel-safe: nothing is forgotten before the wait is over.
    pub(super) async fn retry_due(&self) {
        let retry_at = self.state.lock().expect("no holder panics").retry_at;
        match retry_at {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
        self.state.lock().expect("no holder panics").retry_at = None;
    }

    fn note(&self, warnings: Vec<String>, failed_at: Option<Instant>) {
        let mut state = self.state.lock().expect("no holder panics");
        for warning in &warnings {
            if !state.warnings.contains(warning) {
                warn!("{warning}");
            }
        }
        state.warnings = warnings;
        state.failures = match failed_at {
            Some(_) => state.failures.saturating_add(1),
            None => 0,
        };
        state.retry_at = failed_at.map(|at| at + pause(state.failures, self.seed));
    }
}

/// What a policy's module must be.
fn demands(link: &PolicyLink) -> Demands {
    Demands {
        digest: link.digest,
        signed_by: link.require_signature.clone(),
    }
}

fn is_remote(module: &PolicyModule) -> bool {
    match module {
        PolicyModule::Builtin(_) | PolicyModule::File(_) => false,
        PolicyModule::Oci(_) | PolicyModule::Http(_) => true,
    }
}

fn warnings_of(
    (link, module): (&PolicyLink, &Result<Obtained, SourceError>),
) -> impl Iterator<Item = String> {
    let obtained = module.as_ref().ok();
    let stands_in = obtained.and_then(|obtained| {
        let error = causes(obtained.stands_in.as_ref()?);
        let name = &link.name;
        Some(format!(
            "the module of policy `{name}` is the one of last time: {error}"
        ))
    });
    let fault = obtained.and_then(|obtained| obtained.cache_fault.clone());
    stands_in.into_iter().chain(fault)
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

    #[tokio::test]
    async fn a_source_that_failed_is_asked_again_and_one_that_answers_is_not() {
        let sources = Sources::new(7);
        assert!(sources.retry_due().now_or_never().is_none());
        let now = clock::now();
        sources.note(vec!["away".into()], Some(now));
        assert_eq!(sources.warnings(), ["away"]);
        assert!(sources.retry_due().now_or_never().is_none());
        // The pause is over; once.
        let long_ago = now.checked_sub(RETRY_MOST).unwrap();
        sources.note(vec!["away".into()], Some(long_ago));
        sources.retry_due().await;
        assert!(sources.retry_due().now_or_never().is_none());
        sources.note(vec!["away".into()], Some(long_ago));
        sources.note(Vec::new(), None);
        assert_eq!(sources.warnings(), [""; 0]);
        assert!(sources.retry_due().now_or_never().is_none());
    }
}
