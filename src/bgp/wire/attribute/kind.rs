//! The attributes this codec knows: their type codes and what their flags must be.

/// Attribute Flags (RFC 4271 section 4.3).
pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
pub(super) const PARTIAL: u8 = 0x20;
pub(super) const EXTENDED_LENGTH: u8 = 0x10;

/// An attribute this codec knows, by its type code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::bgp::wire) enum Kind {
    Origin = 1,
    AsPath = 2,
    NextHop = 3,
    Med = 4,
    LocalPref = 5,
    AtomicAggregate = 6,
    Aggregator = 7,
    Communities = 8,
    OriginatorId = 9,
    ClusterList = 10,
    MpReach = 14,
    MpUnreach = 15,
    ExtendedCommunities = 16,
    As4Path = 17,
    As4Aggregator = 18,
    LargeCommunities = 32,
}

impl Kind {
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Origin,
            2 => Self::AsPath,
            3 => Self::NextHop,
            4 => Self::Med,
            5 => Self::LocalPref,
            6 => Self::AtomicAggregate,
            7 => Self::Aggregator,
            8 => Self::Communities,
            9 => Self::OriginatorId,
            10 => Self::ClusterList,
            14 => Self::MpReach,
            15 => Self::MpUnreach,
            16 => Self::ExtendedCommunities,
            17 => Self::As4Path,
            18 => Self::As4Aggregator,
            32 => Self::LargeCommunities,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Origin => "ORIGIN",
            Self::AsPath => "AS_PATH",
            Self::NextHop => "NEXT_HOP",
            Self::Med => "MULTI_EXIT_DISC",
            Self::LocalPref => "LOCAL_PREF",
            Self::AtomicAggregate => "ATOMIC_AGGREGATE",
            Self::Aggregator => "AGGREGATOR",
            Self::Communities => "COMMUNITIES",
            Self::OriginatorId => "ORIGINATOR_ID",
            Self::ClusterList => "CLUSTER_LIST",
            Self::MpReach => "MP_REACH_NLRI",
            Self::MpUnreach => "MP_UNREACH_NLRI",
            Self::ExtendedCommunities => "EXTENDED COMMUNITIES",
            Self::As4Path => "AS4_PATH",
            Self::As4Aggregator => "AS4_AGGREGATOR",
            Self::LargeCommunities => "LARGE_COMMUNITY",
        }
    }

    /// The Optional and Transitive bits its specification gives it.
    pub(super) fn flags(self) -> u8 {
        match self {
            Self::Origin
            | Self::AsPath
            | Self::NextHop
            | Self::LocalPref
            | Self::AtomicAggregate => TRANSITIVE,
            Self::Med
            | Self::OriginatorId
            | Self::ClusterList
            | Self::MpReach
            | Self::MpUnreach => OPTIONAL,
            Self::Aggregator
            | Self::Communities
            | Self::ExtendedCommunities
            | Self::As4Path
            | Self::As4Aggregator
            | Self::LargeCommunities => OPTIONAL | TRANSITIVE,
        }
    }
}
