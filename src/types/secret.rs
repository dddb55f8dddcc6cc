//! Secrets that must not reach a log.

use std::fmt;

/// A key for TCP MD5 signatures (RFC 2385): 1 to 80 octets, the kernel's limit.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<[u8]>);

/// A key the kernel would not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a TCP MD5 password has 1 to 80 bytes, this one has {0}")]
pub struct InvalidPassword(pub usize);

impl Password {
    /// # Errors
    /// Empty keys and keys of more than 80 octets.
    pub fn new(octets: &[u8]) -> Result<Self, InvalidPassword> {
        if (1..=80).contains(&octets.len()) {
            Ok(Self(octets.into()))
        } else {
            Err(InvalidPassword(octets.len()))
        }
    }

    /// The octets, for the kernel only.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_prints_itself() {
        let password = Password::new(b"hunter2").unwrap();
        assert!(!format!("{password:?}").contains("hunter2"));
    }

    #[test]
    fn the_kernels_limit_is_checked_early() {
        assert_eq!(Password::new(b""), Err(InvalidPassword(0)));
        assert_eq!(Password::new(&[0; 81]), Err(InvalidPassword(81)));
    }
}
