//! Endpoints as people count them: a number, or numbers by family and condition.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::facts::{EndpointCounts, FamilyCounts};
use crate::types::Family;

/// How many endpoints a Service has in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// So many ready ones, in each family that the Service has addresses of.
    Ready(u32),
    /// Counted by family.
    ByFamily(ByFamily),
}

/// Endpoints of a dual-stack Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ByFamily {
    /// With IPv4 addresses.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub ipv4: Counts,
    /// With IPv6 addresses.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub ipv6: Counts,
}

/// Endpoints of one family by what they do with traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Counts {
    /// `ready` is true or absent.
    pub ready: u32,
    /// Not ready, but serving and terminating.
    pub serving_terminating: u32,
    /// Neither.
    pub unready: u32,
}

impl Endpoints {
    /// The counts, for a Service with addresses of these families.
    pub(super) fn counts(self, families: &[Family]) -> FamilyCounts {
        match self {
            Self::Ready(ready) => {
                let of = |family| EndpointCounts {
                    ready: if families.contains(&family) { ready } else { 0 },
                    ..EndpointCounts::default()
                };
                FamilyCounts {
                    ipv4: of(Family::Ipv4Unicast),
                    ipv6: of(Family::Ipv6Unicast),
                }
            }
            Self::ByFamily(ByFamily { ipv4, ipv6 }) => FamilyCounts {
                ipv4: ipv4.into(),
                ipv6: ipv6.into(),
            },
        }
    }

    /// These counts written down; nothing for none.
    pub(super) fn of(counts: FamilyCounts) -> Option<Self> {
        let FamilyCounts { ipv4, ipv6 } = counts;
        let by_family = ByFamily {
            ipv4: ipv4.into(),
            ipv6: ipv6.into(),
        };
        (by_family != ByFamily::default()).then_some(Self::ByFamily(by_family))
    }
}

impl Counts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Counts> for EndpointCounts {
    fn from(written: Counts) -> Self {
        let Counts {
            ready,
            serving_terminating,
            unready,
        } = written;
        Self {
            ready,
            serving_terminating,
            unready,
        }
    }
}

impl From<EndpointCounts> for Counts {
    fn from(counts: EndpointCounts) -> Self {
        let EndpointCounts {
            ready,
            serving_terminating,
            unready,
        } = counts;
        Self {
            ready,
            serving_terminating,
            unready,
        }
    }
}

impl Serialize for Endpoints {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ready(ready) => ready.serialize(to),
            Self::ByFamily(counts) => counts.serialize(to),
        }
    }
}

/// By hand: an untagged enum would say of every mistake only that nothing matched.
impl<'de> Deserialize<'de> for Endpoints {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Endpoints;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of ready endpoints, or { ipv4 = { ready = 1 }, ipv6 = {} }")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Endpoints, E> {
                u32::try_from(number)
                    .map(Endpoints::Ready)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Endpoints, E> {
                u32::try_from(number)
                    .map(Endpoints::Ready)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Endpoints, A::Error> {
                ByFamily::deserialize(MapAccessDeserializer::new(map)).map(Endpoints::ByFamily)
            }
        }

        from.deserialize_any(Form)
    }
}
