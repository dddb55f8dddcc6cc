//! The name of some bytes that is no other bytes' name.

use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest. Prints as registries write it, `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no digest; write \"sha256:\" and 64 hexadecimal digits in lower case")]
pub struct InvalidDigest(pub String);

impl Digest {
    /// The digest that these octets are, as SHA-256 gives them.
    #[must_use]
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The 64 digits alone.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    /// # Errors
    /// Another algorithm, another number of digits, or letters that are no digits. Upper case
    /// is refused as registries refuse it: one digest has one text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let digits = text.strip_prefix("sha256:")?.as_bytes();
            let mut octets = [0; 32];
            if digits.len() != 2 * octets.len() {
                return None;
            }
            for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
                *octet = nibble(pair[0])? << 4 | nibble(pair[1])?;
            }
            Some(Self(octets))
        };
        parse().ok_or_else(|| InvalidDigest(text.to_owned()))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_digest_is_read_as_it_is_printed(octets: [u8; 32]) {
            let digest = Digest::new(octets);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }

    #[test]
    fn a_digest_has_one_text() {
        let digits = "0123456789abcdef".repeat(4);
        assert!(format!("sha256:{digits}").parse::<Digest>().is_ok());
        for text in [
            String::new(),
            digits.clone(),
            format!("sha512:{digits}"),
            format!("sha256:{}", &digits[1..]),
            format!("sha256:{digits}0"),
            format!("sha256:{}", digits.to_uppercase()),
            format!("sha256:g{}", &digits[1..]),
            format!("sha256:é{}", &digits[2..]),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(InvalidDigest(text)));
        }
    }
}
