//! The AS numbers of a scenario's hosts.

use rutter::bgp::Random;
use rutter::types::Asn;

use super::chance;
use crate::sim::network::HostId;

/// Who is in which AS, and who knows numbers of two octets only.
pub(super) struct Numbers {
    /// All are in one AS.
    internal: bool,
    /// Added where it fits four octets only.
    offset: u32,
    old: Vec<bool>,
}

impl Numbers {
    /// Of two hosts of which one is old, the other may have a number above 65535.
    pub(super) fn new(random: &mut Random, hosts: usize) -> Self {
        let internal = chance(random, 50);
        let large = chance(random, 50);
        Self {
            internal,
            offset: if large && !internal { 4_200_000_000 } else { 0 },
            old: (0..hosts)
                .map(|host| host > 0 && chance(random, 25))
                .collect(),
        }
    }

    /// Host 0 knows all numbers.
    pub(super) fn is_old(&self, host: HostId) -> bool {
        self.old[host]
    }

    pub(super) fn own(&self, host: HostId) -> Asn {
        let number = match self.internal {
            true => 64512,
            false => 65000 + u32::try_from(host).unwrap(),
        };
        match self.is_old(host) {
            true => Asn(number),
            false => Asn(number + self.offset),
        }
    }

    /// What a host takes another's AS for (RFC 6793 section 4.2.1).
    pub(super) fn seen(&self, by: HostId, host: HostId) -> Asn {
        match self.is_old(by) {
            true => Asn(self.own(host).two_octets().into()),
            false => self.own(host),
        }
    }
}
