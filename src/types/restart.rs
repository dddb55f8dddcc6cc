//! How long routes outlive the session they were learned on (RFC 4724).

use std::fmt;
use std::time::Duration;

/// How long a speaker may be away before the other end gives its routes up: at least a second,
/// and at most what twelve bits of the capability hold (RFC 4724 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RestartTime(u16);

/// What becomes of routes when a session ends by a NOTIFICATION, which is also how an expired hold
/// timer ends it (RFC 8538 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverNotification {
    /// They are kept, where the other end says the same.
    Keep,
    /// They go with the session: whoever falls silent is given up with the hold time.
    Drop,
}

/// A restart time the capability cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("restart time {0} s is not in 1..={max} s (RFC 4724 3)", max = RestartTime::SECONDS_MAX)]
pub struct InvalidRestartTime(pub u64);

impl RestartTime {
    /// Two minutes, as Calico's maxRestartTime has it: time for an image to be pulled.
    pub const DEFAULT: Self = Self(120);

    /// What twelve bits hold.
    pub const SECONDS_MAX: u16 = 0x0FFF;

    /// # Errors
    /// Zero, or more than the capability can carry.
    pub fn from_secs(seconds: u64) -> Result<Self, InvalidRestartTime> {
        match u16::try_from(seconds) {
            Ok(few @ 1..=Self::SECONDS_MAX) => Ok(Self(few)),
            Ok(_) | Err(_) => Err(InvalidRestartTime(seconds)),
        }
    }

    /// The nearest that the capability can carry.
    #[must_use]
    pub fn nearest(time: Duration) -> Self {
        let most = u64::from(Self::SECONDS_MAX);
        let seconds = u16::try_from(time.as_secs().clamp(1, most));
        Self(seconds.expect("at most SECONDS_MAX"))
    }

    /// Seconds, as the capability carries them.
    #[must_use]
    pub fn as_secs(self) -> u16 {
        self.0
    }

    /// The same to reckon with.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl fmt::Display for RestartTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_time_fits_twelve_bits_and_is_some_time() {
        assert_eq!(RestartTime::from_secs(0), Err(InvalidRestartTime(0)));
        assert_eq!(RestartTime::from_secs(4095).unwrap().as_secs(), 4095);
        let error = RestartTime::from_secs(4096).unwrap_err();
        let words = "restart time 4096 s is not in 1..=4095 s (RFC 4724 3)";
        assert_eq!(error.to_string(), words);
        assert!(RestartTime::from_secs(65_536 + 5).is_err());
        let nearest = |seconds| RestartTime::nearest(Duration::from_secs(seconds)).as_secs();
        assert_eq!([0, 7, 5_000].map(nearest), [1, 7, 4095]);
    }
}
