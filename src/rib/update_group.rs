//! An update group: peers that are told the same in the same octets share one [`AdjRibOut`] and one
//! stream of messages, made once.
//!
//! Each member reads the stream at its own place. A member that comes later walks the table first,
//! a refresh (RFC 2918) walks a family of it again; and of what a member was too slow to read, only
//! the prefixes are remembered, and it is told what the table says of them by then. Whichever of
//! these a member has before it, once it has nothing before it, it has what the table says was sent:
//! messages of the stream come in order, and the table is read only where the stream was read to its
//! end and nothing is pending.
//!
//! What a member is not to have of its group's routes follows from their attributes and from who it
//! is (see [`Recipient`]): it is told otherwise where the others are told of them.
//!
//! What is held grows with the prefixes of the group and, for a member that lags, with the prefixes
//! it missed: never with the number of changes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use super::adj_rib_out::{Taken, encode_announcement, encode_withdrawals};
use super::prefix_map::PrefixMap;
use super::{AdjRibOut, AttributeSet, AttributesRef};
use crate::bgp::wire::{CodecContext, Message, decode};
use crate::types::{Family, PeerId, Prefix, RouterId};

/// Most octets of messages kept for members that have not read them: what the fastest member is
/// ahead of the slowest is four times what a connection has on its way.
const STREAM_BYTES_MAX: usize = 1024 * 1024;

/// Prefixes told from the table at once: enough that those of one attribute set mostly share a
/// message, and little beside what a connection has on its way.
const CHUNK: usize = 4096;

/// One Adj-RIB-Out and the peers that are told of it.
#[derive(Clone, Debug)]
pub struct UpdateGroup {
    context: CodecContext,
    adj_rib_out: AdjRibOut,
    stream: Stream,
    members: BTreeMap<PeerId, Member>,
}

/// Who a member is, as far as it decides what it is not to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its address: it is not told to go by itself (RFC 4271 section 5.1.3).
    pub address: IpAddr,
    /// Its BGP Identifier: it has no use for what it brought into the AS (RFC 4456 section 8).
    pub router_id: RouterId,
}

/// A member, and what it has before it.
#[derive(Clone, Debug)]
struct Member {
    recipient: Recipient,
    /// The part of the stream that it reads next.
    next: u64,
    /// The families of the table that it is told of.
    walks: BTreeMap<Family, Walk>,
    /// Prefixes of which it may have something else than the table says.
    missed: PrefixMap<()>,
}

/// How far a member was told of a family.
#[derive(Clone, Copy, Debug)]
struct Walk {
    /// Up to this prefix.
    behind: Option<Prefix>,
    /// Prefixes that were there at the start and are not told of.
    left: usize,
}

/// Messages in the order in which they were made, as far as some member has not read them.
#[derive(Clone, Debug, Default)]
struct Stream {
    parts: VecDeque<Part>,
    /// The number of the first.
    first: u64,
    octets: usize,
}

#[derive(Clone, Debug)]
struct Part {
    messages: Messages,
    /// What some members read in its place.
    instead: BTreeMap<PeerId, Messages>,
    /// Members that have yet to read it.
    readers: usize,
}

#[derive(Clone, Debug, Default)]
struct Messages {
    octets: Vec<u8>,
    count: usize,
}

impl Recipient {
    /// Whether it is to have routes with these attributes, as far as the two decide it.
    #[must_use]
    pub fn takes(&self, set: &AttributeSet) -> bool {
        set.next_hop.address != self.address
            && set.path.originator_id != Some(self.router_id.into())
    }
}

impl UpdateGroup {
    /// Without members, and with nothing to tell. Messages are written as this context says.
    #[must_use]
    pub fn new(context: CodecContext) -> Self {
        Self {
            context,
            adj_rib_out: AdjRibOut::new(),
            stream: Stream::default(),
            members: BTreeMap::new(),
        }
    }

    /// Another group with the same table and without members.
    #[must_use]
    pub fn split(&self) -> Self {
        Self {
            context: self.context,
            adj_rib_out: self.adj_rib_out.clone(),
            stream: Stream::default(),
            members: BTreeMap::new(),
        }
    }

    /// The members are to have this route, or none, to a prefix.
    pub fn set_wanted(&mut self, prefix: Prefix, wanted: Option<AttributesRef>) {
        self.adj_rib_out.set_wanted(prefix, wanted);
    }

    /// A peer that has nothing is told everything.
    pub fn join(&mut self, peer: PeerId, recipient: Recipient) {
        let member = Member {
            recipient,
            next: self.stream.end(),
            walks: BTreeMap::new(),
            missed: PrefixMap::default(),
        };
        self.members.insert(peer, member);
        for family in Family::ALL {
            self.refresh(peer, family);
        }
    }

    /// A member is told everything of a family, whether it has it or not.
    pub fn refresh(&mut self, peer: PeerId, family: Family) {
        let left = self.adj_rib_out.sent_count(family);
        if let Some(member) = self.members.get_mut(&peer)
            && left > 0
        {
            let behind = None;
            member.walks.insert(family, Walk { behind, left });
        }
    }

    /// A peer is told nothing more.
    pub fn leave(&mut self, peer: PeerId) {
        if let Some(member) = self.members.remove(&peer) {
            self.stream.release(member.next);
        }
    }

    /// A member becomes one of another group, which tells it the difference.
    pub fn move_to(&mut self, peer: PeerId, other: &mut Self) {
        let unread = self.unread(peer);
        let Some(mut member) = self.members.remove(&peer) else {
            return;
        };
        self.stream.release(member.next);
        for prefix in unread {
            member.missed.insert(prefix, ());
        }
        let all_of_it = !member.walks.is_empty();
        for (prefix, sent) in self.adj_rib_out.iter_sent() {
            if all_of_it || other.adj_rib_out.sent(&prefix) != Some(sent) {
                member.missed.insert(prefix, ());
            }
        }
        for (prefix, _) in other.adj_rib_out.iter_sent() {
            if all_of_it || self.adj_rib_out.sent(&prefix).is_none() {
                member.missed.insert(prefix, ());
            }
        }
        member.next = other.stream.end();
        member.walks.clear();
        other.members.insert(peer, member);
    }

    /// Appends UPDATEs for a member to `out` until it has nothing before it or `budget` octets were
    /// appended, which the last message may exceed. Returns the number of messages.
    pub fn take_updates(&mut self, peer: PeerId, budget: usize, out: &mut Vec<u8>) -> usize {
        let end = out.len().saturating_add(budget);
        let mut messages = 0;
        while out.len() < end {
            let Some(taken) = self.take_some(peer, end, out) else {
                break;
            };
            messages += taken;
        }
        messages
    }

    /// One step of [`Self::take_updates`]; none if nothing is before the member.
    fn take_some(&mut self, peer: PeerId, end: usize, out: &mut Vec<u8>) -> Option<usize> {
        let is_alone = self.members.len() == 1;
        let member = self.members.get_mut(&peer)?;
        if let Some(messages) = self.stream.read(member.next, peer, out) {
            member.next += 1;
            return Some(messages);
        }
        if self.adj_rib_out.is_settled() {
            return self.catch_up(peer, end, out);
        }
        if is_alone {
            let start = out.len();
            let taken = self.adj_rib_out.take_message(self.context, out)?;
            let Some(instead) = member.instead_of(&taken, self.context) else {
                return Some(taken.messages);
            };
            out.truncate(start);
            out.extend_from_slice(&instead.octets);
            return Some(instead.count);
        }
        let mut octets = Vec::new();
        let taken = self.adj_rib_out.take_message(self.context, &mut octets)?;
        if taken.messages > 0 {
            let members = self.members.iter();
            let instead = members.filter_map(|(peer, member)| {
                let instead = member.instead_of(&taken, self.context)?;
                Some((*peer, instead))
            });
            let instead = instead.collect();
            let messages = Messages {
                octets,
                count: taken.messages,
            };
            self.stream.push(messages, instead, self.members.len());
            self.outrun_the_slowest();
        }
        Some(0)
    }

    /// Tells a member some of what the table says and it may not have.
    fn catch_up(&mut self, peer: PeerId, end: usize, out: &mut Vec<u8>) -> Option<usize> {
        let member = self.members.get_mut(&peer)?;
        let (mut sets, mut withdrawn) = (BySet::default(), Vec::new());
        if !member.missed.is_empty() {
            let missed = std::iter::from_fn(|| member.missed.pop_first());
            for (prefix, ()) in missed.take(CHUNK) {
                match self.adj_rib_out.sent(&prefix) {
                    Some(attributes) if member.recipient.takes(attributes) => {
                        sets.add(attributes, prefix);
                    }
                    Some(_) | None => withdrawn.push(prefix),
                }
            }
        } else if let Some(mut walk) = member.walks.first_entry() {
            let family = *walk.key();
            let Walk { behind, left } = walk.get_mut();
            let mut taken = 0;
            for (prefix, attributes) in self.adj_rib_out.sent_after(family, *behind).take(CHUNK) {
                if member.recipient.takes(attributes) {
                    sets.add(attributes, prefix);
                }
                taken += 1;
                *behind = Some(prefix);
            }
            *left = left.saturating_sub(taken);
            if taken < CHUNK {
                walk.remove();
            }
        } else {
            return None;
        }
        let mut messages = encode_withdrawals(&withdrawn, self.context, out);
        for (attributes, prefixes) in sets.sets {
            if out.len() >= end {
                for prefix in prefixes {
                    member.missed.insert(prefix, ());
                }
                continue;
            }
            let encoded = encode_announcement(&attributes, &prefixes, self.context, out);
            messages += encoded.expect("what was sent before fits a message");
        }
        Some(messages)
    }

    /// Members that are too far behind go on without what they have not read.
    fn outrun_the_slowest(&mut self) {
        while self.stream.octets > STREAM_BYTES_MAX {
            let first = self.stream.first;
            let slow = self.members.iter().find(|(_, member)| member.next == first);
            let Some((&peer, _)) = slow else {
                return;
            };
            let unread = self.unread(peer);
            let Some(member) = self.members.get_mut(&peer) else {
                return;
            };
            for prefix in unread {
                member.missed.insert(prefix, ());
            }
            let next = std::mem::replace(&mut member.next, self.stream.end());
            self.stream.release(next);
        }
    }

    /// The prefixes of what a member has not read, each as often as it is in there.
    fn unread(&self, peer: PeerId) -> Vec<Prefix> {
        let parts = self.members.get(&peer).map(|member| member.next);
        let parts = parts.into_iter().flat_map(|next| self.stream.after(next));
        let mut prefixes = Vec::new();
        for part in parts {
            let mut rest = &part.messages.octets[..];
            while let Ok(Some((message, taken))) = decode(rest, self.context) {
                if let Message::Update(update) = message {
                    prefixes.extend(update.prefixes());
                }
                rest = &rest[taken..];
            }
        }
        prefixes
    }

    /// Every member, ordered by id.
    pub fn members(&self) -> impl Iterator<Item = PeerId> {
        self.members.keys().copied()
    }

    /// Members that have not read the stream to its end.
    pub fn behind(&self) -> impl Iterator<Item = PeerId> {
        let end = self.stream.end();
        let behind = self.members.iter();
        behind.filter_map(move |(peer, member)| (member.next < end).then_some(*peer))
    }

    /// How many parts the stream had so far.
    #[must_use]
    pub fn streamed(&self) -> u64 {
        self.stream.end()
    }

    /// What the members have, or have before them, and what is to be sent to all: but for those that
    /// do not [take](Recipient::takes) some of it.
    #[must_use]
    pub fn adj_rib_out(&self) -> &AdjRibOut {
        &self.adj_rib_out
    }

    /// What a member has for a prefix, or has before it.
    #[must_use]
    pub fn sent(&self, peer: PeerId, prefix: &Prefix) -> Option<&AttributesRef> {
        let recipient = self.members.get(&peer)?.recipient;
        let sent = self.adj_rib_out.sent(prefix);
        sent.filter(|attributes| recipient.takes(attributes))
    }

    /// Whether a member has nothing before it.
    #[must_use]
    pub fn is_settled(&self, peer: PeerId) -> bool {
        let is_settled = |member: &Member| {
            member.next == self.stream.end() && member.walks.is_empty() && member.missed.is_empty()
        };
        self.adj_rib_out.is_settled() && self.members.get(&peer).is_some_and(is_settled)
    }

    /// Whether a member has yet to be told something about a prefix.
    #[must_use]
    pub fn is_pending(&self, peer: PeerId, prefix: &Prefix) -> bool {
        let Some(member) = self.members.get(&peer) else {
            return false;
        };
        let walk = member.walks.get(&prefix.family());
        self.adj_rib_out.is_pending(prefix)
            || member.missed.get(prefix).is_some()
            || walk.is_some_and(|walk| walk.behind < Some(*prefix))
            || self.unread(peer).contains(prefix)
    }

    /// What a member was sent and not told otherwise since, ordered by prefix.
    pub fn iter_sent(&self, peer: PeerId) -> impl Iterator<Item = (Prefix, &AttributesRef)> {
        let member = self.members.get(&peer);
        let was_told = move |(prefix, attributes): &(Prefix, &AttributesRef)| {
            member.is_some_and(|member| {
                let walk = member.walks.get(&prefix.family());
                walk.is_none_or(|walk| walk.behind >= Some(*prefix))
                    && member.recipient.takes(attributes)
            })
        };
        self.adj_rib_out.iter_sent().filter(was_told)
    }

    /// How many prefixes a member was sent and not told otherwise since.
    #[must_use]
    pub fn sent_count(&self, peer: PeerId) -> usize {
        self.iter_sent(peer).count()
    }

    /// Of how many prefixes a member has yet to be told, some of them counted twice.
    #[must_use]
    pub fn pending_count(&self, peer: PeerId) -> usize {
        let Some(member) = self.members.get(&peer) else {
            return 0;
        };
        let of_all = Family::ALL
            .map(|family| self.adj_rib_out.pending_count(family) + member.missed.count(family));
        let left: usize = member.walks.values().map(|walk| walk.left).sum();
        of_all.iter().sum::<usize>() + left + self.unread(peer).len()
    }
}

impl Member {
    /// What it is told in place of a message whose routes it does not take: that it has no other
    /// route there, where it had one. None if it takes them.
    fn instead_of(&self, taken: &Taken, context: CodecContext) -> Option<Messages> {
        let (attributes, replaced) = taken.announced.as_ref()?;
        if self.recipient.takes(attributes) {
            return None;
        }
        let had = replaced.iter();
        let had = had.filter(|(_, before)| self.recipient.takes(before));
        let withdrawn: Vec<Prefix> = had.map(|(prefix, _)| *prefix).collect();
        let mut octets = Vec::new();
        let count = encode_withdrawals(&withdrawn, context, &mut octets);
        Some(Messages { octets, count })
    }
}

impl Stream {
    /// The number of the part that will be the next.
    fn end(&self) -> u64 {
        self.first + count(self.parts.len())
    }

    /// From this part on.
    fn after(&self, next: u64) -> impl Iterator<Item = &Part> {
        self.parts.iter().skip(self.place(next))
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number - self.first).expect("a place in memory")
    }

    fn push(&mut self, messages: Messages, instead: BTreeMap<PeerId, Messages>, readers: usize) {
        self.octets += messages.octets.len();
        self.parts.push_back(Part {
            messages,
            instead,
            readers,
        });
    }

    /// Appends a part to `out` for one of its readers; how many messages that is.
    fn read(&mut self, number: u64, reader: PeerId, out: &mut Vec<u8>) -> Option<usize> {
        let place = self.place(number);
        let part = self.parts.get_mut(place)?;
        let messages = part.instead.get(&reader).unwrap_or(&part.messages);
        out.extend_from_slice(&messages.octets);
        let count = messages.count;
        part.readers -= 1;
        self.forget_what_was_read();
        Some(count)
    }

    /// One of the readers of what is left from a part on reads none of it.
    fn release(&mut self, from: u64) {
        let place = self.place(from);
        for part in self.parts.iter_mut().skip(place) {
            part.readers -= 1;
        }
        self.forget_what_was_read();
    }

    fn forget_what_was_read(&mut self) {
        while let Some(part) = self.parts.pop_front_if(|part| part.readers == 0) {
            self.first += 1;
            self.octets -= part.messages.octets.len();
        }
    }
}

/// Prefixes by attribute set, in the order in which the sets were met first.
#[derive(Default)]
struct BySet {
    sets: Vec<(AttributesRef, Vec<Prefix>)>,
    /// The place of each set, by where it lies. Never iterated.
    places: HashMap<usize, usize, BuildHasherDefault<DefaultHasher>>,
}

impl BySet {
    fn add(&mut self, attributes: &AttributesRef, prefix: Prefix) {
        let new = self.sets.len();
        let place = *self.places.entry(attributes.location()).or_insert(new);
        if place == new {
            self.sets.push((attributes.clone(), Vec::new()));
        }
        self.sets[place].1.push(prefix);
    }
}

fn count(parts: usize) -> u64 {
    u64::try_from(parts).expect("usize is at most 64 bits here")
}

#[cfg(test)]
mod tests;
