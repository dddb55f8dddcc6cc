//! How many files and sockets the process may have open, and who may have how many of them.
//!
//! Sessions come first: what is served to others has bounds, so that there is always a descriptor
//! left for a peer that dials, a file that is to be read, or the command line.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Enough for thousands of peers. More is not asked for: some systems allow a billion.
const WANTED: u64 = 65_536;
/// Below this, there may be too few for the sessions.
const FEW: u64 = 256;

/// How many connections the servers may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// That of metrics and probes.
    pub(super) metrics: usize,
    /// That of the command line.
    pub(super) api: usize,
}

impl Descriptors {
    /// Has the limit raised as far as that is allowed, and says what follows from it.
    pub(super) fn claim() -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        let allowed = limit.maximum.unwrap_or(WANTED).min(WANTED);
        let before = limit.current.unwrap_or(u64::MAX);
        if before < allowed {
            limit.current = Some(allowed);
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                debug!(%error, "the limit of open files stays {before}");
            }
        }
        let open_max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        if open_max < FEW {
            warn!(
                open_max,
                "few files may be open at the same time: with many peers, raise the hard limit (ulimit -n)"
            );
        }
        Self::of(open_max)
    }

    /// Of this many.
    fn of(open_max: u64) -> Self {
        let part = |parts: u64, most: u64| {
            let part = (open_max / parts).clamp(4, most);
            usize::try_from(part).expect("at most 64")
        };
        Self {
            metrics: part(8, 64),
            api: part(16, 32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_a_small_part_of_what_may_be_open() {
        for open_max in [64, 100, 256, 1024, 65_536, u64::MAX] {
            let Descriptors { metrics, api } = Descriptors::of(open_max);
            let served = (metrics + api) as u64;
            assert!(served <= open_max / 5, "{served} of {open_max}");
            assert!((4..=64).contains(&metrics) && (4..=32).contains(&api));
        }
    }

    #[test]
    fn the_limit_is_raised_as_far_as_is_allowed() {
        Descriptors::claim();
        let limit = getrlimit(Resource::Nofile);
        let allowed = limit.maximum.unwrap_or(WANTED).min(WANTED);
        assert!(limit.current.is_none_or(|current| current >= allowed));
    }
}
