//! Communities: marks on a route that routers agree on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A standard community (RFC 1997), written `64512:100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Community(pub u32);

impl Community {
    /// Not to be advertised outside this AS (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xFFFF_FF01);
    /// Not to be advertised to any peer (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xFFFF_FF02);
    /// Not to be advertised to external peers, confederation members included (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xFFFF_FF03);
}

/// A large community (RFC 8092), written `64512:1:2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LargeCommunity {
    /// The AS that gives the other two their meaning.
    pub global_administrator: u32,
    /// Local data part 1.
    pub local_data_1: u32,
    /// Local data part 2.
    pub local_data_2: u32,
}

/// An extended community (RFC 4360), eight octets as they travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// Whether it may leave the AS (RFC 4360 section 2, the T bit).
    #[must_use]
    pub fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }
}

/// Text that is no community.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommunity {
    /// Expected `a:b`.
    #[error("`{0}` is no community: write two numbers up to 65535, as in 64512:100")]
    Standard(String),
    /// Expected `a:b:c`.
    #[error("`{0}` is no large community: write three numbers up to 4294967295, as in 64512:1:2")]
    Large(String),
}

impl FromStr for Community {
    type Err = InvalidCommunity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let halves = || {
            let (high, low) = text.split_once(':')?;
            Some((high.parse::<u16>().ok()?, low.parse::<u16>().ok()?))
        };
        let (high, low) = halves().ok_or_else(|| InvalidCommunity::Standard(text.to_owned()))?;
        Ok(Self(u32::from(high) << 16 | u32::from(low)))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xFFFF)
    }
}

impl TryFrom<String> for Community {
    type Error = InvalidCommunity;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Community> for String {
    fn from(community: Community) -> Self {
        community.to_string()
    }
}

impl FromStr for LargeCommunity {
    type Err = InvalidCommunity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[global_administrator, local_data_1, local_data_2]) => Ok(Self {
                global_administrator,
                local_data_1,
                local_data_2,
            }),
            Some(_) | None => Err(InvalidCommunity::Large(text.to_owned())),
        }
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.global_administrator, self.local_data_1, self.local_data_2
        )
    }
}

impl TryFrom<String> for LargeCommunity {
    type Error = InvalidCommunity;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LargeCommunity> for String {
    fn from(community: LargeCommunity) -> Self {
        community.to_string()
    }
}

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_read_as_they_are_written() {
        assert_eq!("65535:65281".parse(), Ok(Community::NO_EXPORT));
        assert_eq!(Community::NO_EXPORT.to_string(), "65535:65281");
        let large: LargeCommunity = "4200000000:1:2".parse().unwrap();
        assert_eq!(large.to_string(), "4200000000:1:2");
    }

    #[test]
    fn text_that_is_no_community_names_itself() {
        for text in ["", "1", "65536:1", "1:2:3", "a:b"] {
            assert_eq!(
                text.parse::<Community>(),
                Err(InvalidCommunity::Standard(text.into()))
            );
        }
        for text in ["1:2", "1:2:3:4", "4294967296:1:1"] {
            assert_eq!(
                text.parse::<LargeCommunity>(),
                Err(InvalidCommunity::Large(text.into()))
            );
        }
    }
}
