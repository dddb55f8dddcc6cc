//! What the capability of graceful restart says (RFC 4724 section 3, RFC 8538 section 2), beside
//! its octets.

use std::collections::BTreeMap;
use std::time::Duration;

use super::capability::Capability;
use super::nlri;
use crate::types::Family;

/// R of the flags above the restart time: the sender has restarted.
const RESTART_STATE: u16 = 0x8000;
/// N of them (RFC 8538): a NOTIFICATION does not undo what is agreed here.
const NOTIFICATION: u16 = 0x4000;
const RESTART_TIME: u16 = 0x0FFF;
/// F of a family's flags: packets went on while the sender was away.
const FORWARDING_STATE: u8 = 0x80;

/// What a speaker says about its own restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// R: it has restarted, and does not wait for the other end's End-of-RIB to be told ours.
    pub restarted: bool,
    /// N: routes are kept over a NOTIFICATION, too, but for a Hard Reset.
    pub keeps_over_notification: bool,
    /// How long it may be away, in whole seconds.
    pub restart_time: Duration,
    /// The families it may restart in, and whether it went on forwarding while it was away last.
    pub families: BTreeMap<Family, Forwarding>,
}

/// F: whether packets went on while a speaker was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// They did: what is known of its routes is as good as before.
    Preserved,
    /// They did not.
    Lost,
}

impl GracefulRestart {
    /// What the first such capability says; families that we do not know are none of ours.
    #[must_use]
    pub fn among(capabilities: &[Capability]) -> Option<Self> {
        capabilities.iter().find_map(|capability| match capability {
            Capability::GracefulRestart { restart, families } => Some(Self::of(*restart, families)),
            Capability::Multiprotocol(_)
            | Capability::RouteRefresh
            | Capability::EnhancedRouteRefresh
            | Capability::FourOctetAsn(_)
            | Capability::Unknown { .. } => None,
        })
    }

    fn of(restart: u16, families: &[[u8; 4]]) -> Self {
        let known = |[afi_high, afi_low, safi, flags]: &[u8; 4]| {
            let family = nlri::family(u16::from_be_bytes([*afi_high, *afi_low]), *safi)?;
            let forwarding = match flags & FORWARDING_STATE {
                0 => Forwarding::Lost,
                _ => Forwarding::Preserved,
            };
            Some((family, forwarding))
        };
        Self {
            restarted: restart & RESTART_STATE != 0,
            keeps_over_notification: restart & NOTIFICATION != 0,
            restart_time: Duration::from_secs((restart & RESTART_TIME).into()),
            families: families.iter().filter_map(known).collect(),
        }
    }

    /// As OPEN carries it; a time that is too long for it is the longest that is not.
    #[must_use]
    pub fn capability(&self) -> Capability {
        let Self {
            restarted,
            keeps_over_notification,
            restart_time,
            families,
        } = self;
        let seconds = u16::try_from(restart_time.as_secs()).unwrap_or(RESTART_TIME);
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        let family = |(family, forwarding): (&Family, &Forwarding)| {
            let (afi, safi) = nlri::afi_safi(*family);
            let [afi_high, afi_low] = afi.to_be_bytes();
            let flags = match forwarding {
                Forwarding::Preserved => FORWARDING_STATE,
                Forwarding::Lost => 0,
            };
            [afi_high, afi_low, safi, flags]
        };
        Capability::GracefulRestart {
            restart: flag(*restarted, RESTART_STATE)
                | flag(*keeps_over_notification, NOTIFICATION)
                | seconds.min(RESTART_TIME),
            families: families.iter().map(family).collect(),
        }
    }
}
