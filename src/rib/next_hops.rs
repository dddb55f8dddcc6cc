//! The next hops of learned paths, and whether and by which way each is reached (RFC 4271
//! sections 5.1.3, 6.3 and 9.1.2.1).
//!
//! The speaker tracks the next hops of every path that it puts into its Loc-RIB and gives what its
//! driver answers about them; there are few, however many paths. Without an answer a new next hop
//! is waited for; where nobody answers at all, it counts as reachable.
//!
//! A next hop is reached by a route of the node's own that is not from us or, where learned routes
//! get into the kernel, by a longer learned one. Such a learned route must itself be reached
//! without the help of others: so which next hops are reached never depends on which paths were
//! chosen for it, and no route is reached by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Path, Source};
use crate::types::{Family, Hop, Prefix, Reachability};

/// Below this many next hops a sweep is not worth its while.
const SWEEP_MIN: usize = 64;

/// What next hops are reached by (RFC 4271 section 9.1.2.1's Routing Table).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Nobody can be asked: a next hop about which nothing was answered before is taken for
    /// reachable, unless it cannot be by its looks.
    #[default]
    Unasked,
    /// The routes of the kernel.
    Kernel,
    /// Those, and the learned ones that get there.
    KernelAndLearned,
}

/// The next hops of all paths.
#[derive(Clone, Debug, Default)]
pub struct NextHopTable {
    resolution: Resolution,
    entries: BTreeMap<IpAddr, Entry>,
    /// Those that nothing was answered about.
    unanswered: BTreeSet<IpAddr>,
    /// The number of next hops at which to sweep next.
    sweep_at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    answer: Answer,
    learned: Option<LearnedWay>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// Paths by it wait.
    Awaited,
    /// Nobody could be asked.
    Assumed,
    Known(Reachability),
}

/// By which learned route a next hop is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedWay {
    /// The route's prefix.
    pub prefix: Prefix,
    /// Where it leads, at least one.
    pub hops: BTreeSet<Hop>,
}

/// The way to the next hop of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// This one.
    Hop(Hop),
    /// These, which are as good as each other.
    Hops(&'a BTreeSet<Hop>),
    /// It is taken to be there, but nobody told which it is.
    Unknown,
}

/// Why a path takes no part in the choice of the best ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The answer is on its way.
    #[error("next hop {0} is being looked up")]
    Awaited(IpAddr),
    /// The kernel knows no way there.
    #[error("next hop {address} is unreachable: {words}")]
    Unreachable {
        /// The next hop.
        address: IpAddr,
        /// The kernel's words.
        words: String,
    },
    /// Only the route itself leads there.
    #[error("next hop {0} is unreachable: only this route leads there")]
    Itself(IpAddr),
    /// Packets would come back (RFC 4271 section 6.3).
    #[error("next hop {0} is this node's own address")]
    Own(IpAddr),
    /// It is nobody else's, except between speakers of one machine.
    #[error("next hop {0} is a loopback address")]
    Loopback(IpAddr),
    /// RFC 4271 section 6.3.
    #[error("next hop {0} is no host's address")]
    NoHost(IpAddr),
    /// A link-local address says nothing without an interface.
    #[error("next hop {0} is link-local, and its peer is not on a connected network")]
    NoInterface(IpAddr),
    /// A policy chose an address of the other family.
    #[error("next hop {0} is not of the prefix's family")]
    OtherFamily(IpAddr),
}

/// Whether learned routes may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recursion {
    Allowed,
    Forbidden,
}

impl Way<'_> {
    /// Where packets go: none where that is not known.
    #[must_use]
    pub fn hops(&self) -> BTreeSet<Hop> {
        match self {
            Self::Hop(hop) => BTreeSet::from([*hop]),
            Self::Hops(hops) => (*hops).clone(),
            Self::Unknown => BTreeSet::new(),
        }
    }
}

impl NextHopTable {
    /// What next hops are reached by from now on. Answers that were given stay. Returns the next
    /// hops about which something else is known than before.
    pub fn set_resolution(&mut self, resolution: Resolution) -> BTreeSet<IpAddr> {
        self.resolution = resolution;
        let mut changed = BTreeSet::new();
        for (address, entry) in &mut self.entries {
            let before = entry.clone();
            match resolution {
                Resolution::Unasked => match entry.answer {
                    Answer::Awaited => entry.answer = Answer::Assumed,
                    Answer::Assumed | Answer::Known(_) => {}
                },
                Resolution::Kernel => entry.learned = None,
                Resolution::KernelAndLearned => {}
            }
            if *entry != before {
                changed.insert(*address);
            }
        }
        changed
    }

    /// Whether somebody answers questions.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        match self.resolution {
            Resolution::Unasked => false,
            Resolution::Kernel | Resolution::KernelAndLearned => true,
        }
    }

    /// Takes in the next hops of a path; says whether one is new.
    pub fn track(&mut self, path: &Path) -> bool {
        let mut is_new = false;
        for address in lookups(path) {
            if !self.entries.contains_key(&address) {
                let answer = match self.resolution {
                    Resolution::Unasked => Answer::Assumed,
                    Resolution::Kernel | Resolution::KernelAndLearned => Answer::Awaited,
                };
                let learned = None;
                self.entries.insert(address, Entry { answer, learned });
                self.unanswered.insert(address);
                is_new = true;
            }
        }
        is_new
    }

    /// Answers came; those about next hops that are not tracked are ignored. Returns the next hops
    /// about which something else is known than before.
    pub fn answer(&mut self, answers: BTreeMap<IpAddr, Reachability>) -> BTreeSet<IpAddr> {
        let mut changed = BTreeSet::new();
        for (address, reachability) in answers {
            let Some(entry) = self.entries.get_mut(&address) else {
                continue;
            };
            self.unanswered.remove(&address);
            let answer = Answer::Known(reachability);
            if entry.answer != answer {
                entry.answer = answer;
                changed.insert(address);
            }
        }
        changed
    }

    /// From which length on a learned route is the better way to a next hop; none where none is.
    #[must_use]
    pub fn learned_from(&self, address: IpAddr) -> Option<u8> {
        match self.resolution {
            Resolution::Unasked | Resolution::Kernel => return None,
            Resolution::KernelAndLearned => {}
        }
        match &self.entries.get(&address)?.answer {
            // Of two routes to one prefix, the one that is not ours wins by its metric.
            Answer::Known(Reachability::Routed { by, .. }) => Some(by.length() + 1),
            Answer::Known(Reachability::NoRoute) => Some(0),
            Answer::Known(
                Reachability::OnLink(_) | Reachability::Own | Reachability::Refused(_),
            )
            | Answer::Awaited
            | Answer::Assumed => None,
        }
    }

    /// The learned route by which a next hop is reached; says whether that is another than before.
    pub fn set_learned(&mut self, address: IpAddr, learned: Option<LearnedWay>) -> bool {
        let Some(entry) = self.entries.get_mut(&address) else {
            return false;
        };
        let differs = entry.learned != learned;
        entry.learned = learned;
        differs
    }

    /// The next hops that lie inside a prefix.
    pub fn within(&self, prefix: &Prefix) -> impl Iterator<Item = IpAddr> {
        let range = prefix.address()..=prefix.net().broadcast();
        self.entries.range(range).map(|(address, _)| *address)
    }

    /// Some `max` of the next hops that nothing was answered about.
    #[must_use]
    pub fn unanswered(&self, max: usize) -> BTreeSet<IpAddr> {
        self.unanswered.iter().take(max).copied().collect()
    }

    /// Every next hop.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.entries.keys().copied()
    }

    /// Whether many next hops may have gone since the last [`Self::retain`].
    #[must_use]
    pub fn is_overgrown(&self) -> bool {
        self.entries.len() > self.sweep_at.max(SWEEP_MIN)
    }

    /// Forgets every next hop but those of these paths.
    pub fn retain<'p>(&mut self, paths: impl Iterator<Item = &'p Path>) {
        let used: BTreeSet<IpAddr> = paths.flat_map(lookups).collect();
        self.entries.retain(|address, _| used.contains(address));
        self.unanswered.retain(|address| used.contains(address));
        self.sweep_at = 2 * self.entries.len();
    }

    /// The way to the next hop of a path to a prefix.
    ///
    /// # Errors
    /// There is none, or none yet.
    pub fn way(&self, prefix: &Prefix, path: &Path) -> Result<Way<'_>, Unresolved> {
        self.path_way(prefix, path, Recursion::Allowed)
    }

    /// The same without the help of learned routes.
    ///
    /// # Errors
    /// There is none, or none yet.
    pub fn direct_way(&self, prefix: &Prefix, path: &Path) -> Result<Way<'_>, Unresolved> {
        self.path_way(prefix, path, Recursion::Forbidden)
    }

    fn path_way(
        &self,
        prefix: &Prefix,
        path: &Path,
        recursion: Recursion,
    ) -> Result<Way<'_>, Unresolved> {
        let Source::Peer(neighbor) = &path.source else {
            return Ok(Way::Unknown);
        };
        let (next_hop, peer) = (path.attributes.next_hop, neighbor.address);
        let address = next_hop.address;
        if Family::of(address) != prefix.family() {
            return Err(Unresolved::OtherFamily(address));
        }
        if address.is_multicast() || address.is_unspecified() {
            return Err(Unresolved::NoHost(address));
        }
        if address.is_loopback() {
            // Speakers of one machine announce what each other's kernel has already.
            return match peer.is_loopback() {
                true => Ok(Way::Unknown),
                false => Err(Unresolved::Loopback(address)),
            };
        }
        if is_link_local(address) {
            return self.on_network_of(peer, address, Unresolved::NoInterface(address));
        }
        let why = match self.address_way(prefix, address, recursion) {
            // What would come back to us is no way out by another address either. And what is
            // still looked up may yet be the way.
            found @ (Ok(_) | Err(Unresolved::Own(_) | Unresolved::Awaited(_))) => return found,
            Err(why) => why,
        };
        match next_hop.link_local {
            Some(link_local) => self.on_network_of(peer, link_local.into(), why),
            None => Err(why),
        }
    }

    fn address_way(
        &self,
        prefix: &Prefix,
        address: IpAddr,
        recursion: Recursion,
    ) -> Result<Way<'_>, Unresolved> {
        let Some(Entry { answer, learned }) = self.entries.get(&address) else {
            return Err(Unresolved::Awaited(address));
        };
        let learned = match recursion {
            Recursion::Allowed => learned.as_ref(),
            Recursion::Forbidden => None,
        };
        if let Some(learned) = learned.filter(|learned| learned.prefix != *prefix) {
            return Ok(Way::Hops(&learned.hops));
        }
        let unreachable = |words: &str| Unresolved::Unreachable {
            address,
            words: words.to_owned(),
        };
        match answer {
            Answer::Awaited => Err(Unresolved::Awaited(address)),
            Answer::Assumed => Ok(Way::Unknown),
            Answer::Known(Reachability::OnLink(interface)) => Ok(Way::Hop(Hop {
                gateway: address,
                interface: *interface,
            })),
            Answer::Known(Reachability::Own) => Err(Unresolved::Own(address)),
            Answer::Known(Reachability::Routed { hops, .. }) => Ok(Way::Hops(hops)),
            Answer::Known(Reachability::NoRoute) if learned.is_some() => {
                Err(Unresolved::Itself(address))
            }
            Answer::Known(Reachability::NoRoute) => Err(unreachable("no route")),
            Answer::Known(Reachability::Refused(words)) => Err(unreachable(words)),
        }
    }

    /// The way to a link-local address: on the network that its peer is a neighbour on.
    fn on_network_of(
        &self,
        peer: IpAddr,
        gateway: IpAddr,
        otherwise: Unresolved,
    ) -> Result<Way<'_>, Unresolved> {
        match self.entries.get(&peer).map(|entry| &entry.answer) {
            Some(Answer::Known(Reachability::OnLink(interface))) => Ok(Way::Hop(Hop {
                gateway,
                interface: *interface,
            })),
            Some(Answer::Assumed) => Ok(Way::Unknown),
            Some(Answer::Awaited) | None => Err(Unresolved::Awaited(peer)),
            Some(Answer::Known(
                Reachability::Own
                | Reachability::Routed { .. }
                | Reachability::NoRoute
                | Reachability::Refused(_),
            )) => Err(otherwise),
        }
    }
}

/// The addresses that must be looked up before a path can be used.
pub fn lookups(path: &Path) -> impl Iterator<Item = IpAddr> + use<> {
    let (next_hop, peer) = match &path.source {
        Source::Peer(neighbor) => (Some(path.attributes.next_hop), Some(neighbor.address)),
        Source::Local => (None, None),
    };
    let needs_interface =
        next_hop.is_some_and(|hop| hop.link_local.is_some() || is_link_local(hop.address));
    let address = next_hop.map(|hop| hop.address);
    let address = address.filter(|address| !is_link_local(*address) && !address.is_loopback());
    let peer = peer.filter(|_| needs_interface);
    address.into_iter().chain(peer)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests;
