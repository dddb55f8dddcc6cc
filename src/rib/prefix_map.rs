//! An ordered map from prefixes, small in memory: IPv4 keys take 8 octets instead of the 18 of a
//! [`Prefix`], compare as one number, and are counted by family.
//!
//! All three RIBs are built on it. Its order is that of [`Prefix`].

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Bound;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::types::{Family, Prefix};

/// A map from [`Prefix`] to `V`.
#[derive(Clone, Debug)]
pub(super) struct PrefixMap<V> {
    ipv4: BTreeMap<Ipv4Key, V>,
    ipv6: BTreeMap<Ipv6Key, V>,
}

/// The address above the length, so that numbers order as prefixes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ipv4Key(u64);

/// Octets rather than a number: 17 of them, not 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ipv6Key {
    address: [u8; 16],
    length: u8,
}

impl<V> Default for PrefixMap<V> {
    fn default() -> Self {
        Self {
            ipv4: BTreeMap::new(),
            ipv6: BTreeMap::new(),
        }
    }
}

impl<V> PrefixMap<V> {
    pub(super) fn get(&self, prefix: &Prefix) -> Option<&V> {
        match prefix.net() {
            IpNet::V4(net) => self.ipv4.get(&net.into()),
            IpNet::V6(net) => self.ipv6.get(&net.into()),
        }
    }

    pub(super) fn get_mut(&mut self, prefix: &Prefix) -> Option<&mut V> {
        match prefix.net() {
            IpNet::V4(net) => self.ipv4.get_mut(&net.into()),
            IpNet::V6(net) => self.ipv6.get_mut(&net.into()),
        }
    }

    pub(super) fn insert(&mut self, prefix: Prefix, value: V) -> Option<V> {
        match prefix.net() {
            IpNet::V4(net) => self.ipv4.insert(net.into(), value),
            IpNet::V6(net) => self.ipv6.insert(net.into(), value),
        }
    }

    pub(super) fn remove(&mut self, prefix: &Prefix) -> Option<V> {
        match prefix.net() {
            IpNet::V4(net) => self.ipv4.remove(&net.into()),
            IpNet::V6(net) => self.ipv6.remove(&net.into()),
        }
    }

    pub(super) fn count(&self, family: Family) -> usize {
        match family {
            Family::Ipv4Unicast => self.ipv4.len(),
            Family::Ipv6Unicast => self.ipv6.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty()
    }

    pub(super) fn first(&self) -> Option<Prefix> {
        self.prefixes().next()
    }

    pub(super) fn pop_first(&mut self) -> Option<(Prefix, V)> {
        if let Some((key, value)) = self.ipv4.pop_first() {
            return Some((key.into(), value));
        }
        let (key, value) = self.ipv6.pop_first()?;
        Some((key.into(), value))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Prefix, &V)> {
        let ipv4 = self.ipv4.iter().map(|(key, value)| ((*key).into(), value));
        let ipv6 = self.ipv6.iter().map(|(key, value)| ((*key).into(), value));
        ipv4.chain(ipv6)
    }

    /// What lies behind a prefix, or everything.
    pub(super) fn iter_after(&self, after: Option<Prefix>) -> impl Iterator<Item = (Prefix, &V)> {
        let (ipv4, ipv6) = match after.map(|prefix| prefix.net()) {
            None => (Bound::Unbounded, Bound::Unbounded),
            Some(IpNet::V4(net)) => (Bound::Excluded(Ipv4Key::from(net)), Bound::Unbounded),
            Some(IpNet::V6(net)) => (
                // No key is as large.
                Bound::Excluded(Ipv4Key(u64::MAX)),
                Bound::Excluded(Ipv6Key::from(net)),
            ),
        };
        let ipv4 = self.ipv4.range((ipv4, Bound::Unbounded));
        let ipv6 = self.ipv6.range((ipv6, Bound::Unbounded));
        let ipv4 = ipv4.map(|(key, value)| ((*key).into(), value));
        ipv4.chain(ipv6.map(|(key, value)| ((*key).into(), value)))
    }

    /// What of a family lies behind a prefix of it, or all of the family.
    pub(super) fn iter_family_after(
        &self,
        family: Family,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, &V)> {
        // The last key of the other family, where there is one, is the place before the first of this.
        let last_ipv4 = || Some(Prefix::host(Ipv4Addr::BROADCAST.into()));
        let after = after.or_else(|| match family {
            Family::Ipv4Unicast => None,
            Family::Ipv6Unicast => last_ipv4(),
        });
        self.iter_after(after)
            .take_while(move |(prefix, _)| prefix.family() == family)
    }

    pub(super) fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.iter().map(|(prefix, _)| prefix)
    }
}

impl From<Ipv4Net> for Ipv4Key {
    fn from(net: Ipv4Net) -> Self {
        Self(u64::from(net.addr().to_bits()) << 8 | u64::from(net.prefix_len()))
    }
}

impl From<Ipv4Key> for Prefix {
    fn from(Ipv4Key(key): Ipv4Key) -> Self {
        let [_, _, _, a, b, c, d, length] = key.to_be_bytes();
        Ipv4Net::new(Ipv4Addr::new(a, b, c, d), length)
            .expect("made from a valid net")
            .into()
    }
}

impl From<Ipv6Net> for Ipv6Key {
    fn from(net: Ipv6Net) -> Self {
        Self {
            address: net.addr().octets(),
            length: net.prefix_len(),
        }
    }
}

impl From<Ipv6Key> for Prefix {
    fn from(key: Ipv6Key) -> Self {
        Ipv6Net::new(Ipv6Addr::from(key.address), key.length)
            .expect("made from a valid net")
            .into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix() -> impl Strategy<Value = Prefix> {
        let ipv4 = (any::<u32>(), 0..=32u8).prop_map(|(address, length)| {
            Prefix::from(Ipv4Net::new(address.into(), length).unwrap())
        });
        let ipv6 = (any::<u128>(), 0..=128u8).prop_map(|(address, length)| {
            Prefix::from(Ipv6Net::new(address.into(), length).unwrap())
        });
        prop_oneof![ipv4, ipv6]
    }

    proptest! {
        #[test]
        fn a_prefix_map_is_a_btree_map(steps in prop::collection::vec((prefix(), any::<Option<u8>>()), 0..50)) {
            let mut map = PrefixMap::default();
            let mut model = BTreeMap::new();
            for (prefix, value) in &steps {
                match value {
                    Some(value) => prop_assert_eq!(map.insert(*prefix, *value), model.insert(*prefix, *value)),
                    None => prop_assert_eq!(map.remove(prefix), model.remove(prefix)),
                }
            }
            prop_assert!(map.iter().eq(model.iter().map(|(prefix, value)| (*prefix, value))));
            for after in steps.iter().map(|(prefix, _)| *prefix) {
                let behind = model.range((Bound::Excluded(after), Bound::Unbounded));
                let behind = behind.map(|(prefix, value)| (*prefix, value));
                prop_assert!(map.iter_after(Some(after)).eq(behind));
            }
            prop_assert!(map.iter_after(None).eq(map.iter()));
            for family in Family::ALL {
                let of_family = |(prefix, _): &(Prefix, &u8)| prefix.family() == family;
                prop_assert!(map.iter_family_after(family, None).eq(map.iter().filter(of_family)));
                let count = model.keys().filter(|prefix| prefix.family() == family).count();
                prop_assert_eq!(map.count(family), count);
            }
        }
    }

    #[test]
    fn an_ipv4_key_takes_eight_octets_and_an_ipv6_key_seventeen() {
        assert_eq!(size_of::<Ipv4Key>(), 8);
        assert_eq!(size_of::<Ipv6Key>(), 17);
    }
}
