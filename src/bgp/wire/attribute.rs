//! Path attributes (RFC 4271 section 5) but for the reachability ones, which are the
//! UPDATE's own.

mod as_path;
mod decode;
mod encode;
mod kind;
mod reach;

pub(super) use decode::{Decoded, decode};
pub(super) use encode::{encode, known};
pub(super) use kind::Kind;
pub(super) use reach::{Unreachable, next_hop_fault};

use std::fmt;
use std::net::Ipv4Addr;

use crate::types::{Asn, Community, ExtendedCommunity, LargeCommunity};

/// ORIGIN; the smaller is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OriginCode {
    /// 0.
    Igp,
    /// 1.
    Egp,
    /// 2.
    Incomplete,
}

/// What the RFCs call the attribute of this type code; `unknown` where this codec does not know it,
/// so that there are few names.
#[must_use]
pub fn attribute_name(code: u8) -> &'static str {
    Kind::from_code(code).map_or("unknown", Kind::name)
}

impl OriginCode {
    fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Igp),
            1 => Some(Self::Egp),
            2 => Some(Self::Incomplete),
            _ => None,
        }
    }

    fn octet(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }
}

/// The length of a segment has one octet (RFC 4271 section 4.3).
const ASNS_OF_SEGMENT_MAX: usize = 255;

/// AS_PATH, with AS4_PATH already merged in (RFC 6793 section 4.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPath {
    /// Nearest AS first.
    pub segments: Vec<AsPathSegment>,
}

/// A run of AS numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPathSegment {
    /// Ordered or not.
    pub kind: AsPathSegmentKind,
    /// 1 to 255 numbers.
    pub asns: Vec<Asn>,
}

/// Whether a segment's order means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AsPathSegmentKind {
    /// AS_SET (1).
    Set,
    /// AS_SEQUENCE (2).
    Sequence,
}

impl AsPath {
    /// A path of sequences, one for each 255 numbers; empty for none.
    #[must_use]
    pub fn sequence(asns: &[Asn]) -> Self {
        let segment = |asns: &[Asn]| AsPathSegment {
            kind: AsPathSegmentKind::Sequence,
            asns: asns.to_vec(),
        };
        Self {
            segments: asns.chunks(ASNS_OF_SEGMENT_MAX).map(segment).collect(),
        }
    }

    /// The path's length for the decision process: a set counts one (RFC 4271 section 9.1.2.2).
    #[must_use]
    pub fn length(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| match segment.kind {
                AsPathSegmentKind::Set => 1,
                AsPathSegmentKind::Sequence => segment.asns.len(),
            })
            .sum()
    }

    /// How often the AS appears.
    #[must_use]
    pub fn count(&self, asn: Asn) -> usize {
        let all = self.segments.iter().flat_map(|segment| &segment.asns);
        all.filter(|one| **one == asn).count()
    }

    /// The path with so many copies of an AS in front, in the sequence that is there as long as
    /// that has room (RFC 4271 section 5.1.2).
    #[must_use]
    pub fn prepended(&self, asn: Asn, copies: usize) -> Self {
        let mut segments = self.segments.clone();
        for _ in 0..copies {
            match segments.first_mut() {
                Some(first)
                    if first.kind == AsPathSegmentKind::Sequence
                        && first.asns.len() < ASNS_OF_SEGMENT_MAX =>
                {
                    first.asns.insert(0, asn);
                }
                Some(_) | None => segments.insert(
                    0,
                    AsPathSegment {
                        kind: AsPathSegmentKind::Sequence,
                        asns: vec![asn],
                    },
                ),
            }
        }
        Self { segments }
    }

    /// The AS the route was received from: the first of the first sequence.
    #[must_use]
    pub fn neighbor(&self) -> Option<Asn> {
        let first = self.segments.first()?;
        match first.kind {
            AsPathSegmentKind::Set => None,
            AsPathSegmentKind::Sequence => first.asns.first().copied(),
        }
    }
}

impl fmt::Display for AsPath {
    /// The nearest AS first, sets in braces: `64513 64514 {64520,64521}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            let asns: Vec<_> = segment.asns.iter().map(ToString::to_string).collect();
            match segment.kind {
                AsPathSegmentKind::Sequence => f.write_str(&asns.join(" "))?,
                AsPathSegmentKind::Set => write!(f, "{{{}}}", asns.join(","))?,
            }
        }
        Ok(())
    }
}

/// AGGREGATOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregator {
    /// The AS that formed the aggregate.
    pub asn: Asn,
    /// The router that did.
    pub router: Ipv4Addr,
}

/// An attribute we do not know, transitive, kept to be passed on byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownAttribute {
    /// The Optional, Transitive and Partial bits it came with; it leaves with Partial set
    /// (RFC 4271 section 5).
    pub flags: u8,
    /// Its type code.
    pub code: u8,
    /// Its value.
    pub value: Vec<u8>,
}

/// Every attribute of a route but its next hop and its prefixes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathAttributes {
    /// ORIGIN.
    pub origin: OriginCode,
    /// AS_PATH.
    pub as_path: AsPath,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES (RFC 1997), as sent.
    pub communities: Vec<Community>,
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub extended_communities: Vec<ExtendedCommunity>,
    /// LARGE_COMMUNITY (RFC 8092), each once.
    pub large_communities: Vec<LargeCommunity>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456), nearest first.
    pub cluster_list: Vec<Ipv4Addr>,
    /// Unknown transitive attributes, ordered by code.
    pub unknown: Vec<UnknownAttribute>,
}

impl Default for PathAttributes {
    fn default() -> Self {
        Self {
            origin: OriginCode::Igp,
            as_path: AsPath::default(),
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Vec::new(),
            extended_communities: Vec::new(),
            large_communities: Vec::new(),
            originator_id: None,
            cluster_list: Vec::new(),
            unknown: Vec::new(),
        }
    }
}
