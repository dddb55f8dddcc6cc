//! Adj-RIB-Out: what a peer was sent, and what it has yet to be sent (RFC 4271 section 3.2). Peers that
//! are told the same share one, in an [`UpdateGroup`](super::UpdateGroup).
//!
//! The speaker says what the peer should have ([`set_wanted`](AdjRibOut::set_wanted)) as often as
//! it likes, and takes UPDATEs as fast as the connection accepts them
//! ([`take_updates`](AdjRibOut::take_updates)). The newest wish wins; one that returns to what was
//! sent costs nothing on the wire. What is held grows with prefixes, never with changes.
//!
//! Pending prefixes wait in buckets, one for each attribute set (next hop included), and buckets
//! are served in turn, a message each: no prefix waits for ever behind one that flaps.

use std::collections::BTreeMap;

use super::prefix_map::PrefixMap;
use super::{AttributeSet, AttributesRef};
use crate::bgp::wire::{
    AttributesTooLarge, CodecContext, HEADER_BYTES, MESSAGE_BYTES_MAX, Reach, encode_updates,
};
use crate::types::{Family, Prefix};

/// What one peer, or a group of peers, was sent and is to be sent.
#[derive(Clone, Debug, Default)]
pub struct AdjRibOut {
    /// What the peer has.
    sent: PrefixMap<AttributesRef>,
    /// Where it should have something else: to be announced with these attributes, or withdrawn.
    pending: PrefixMap<Option<AttributesRef>>,
    /// The pending announcements by attribute set.
    buckets: Buckets,
    /// The pending withdrawals.
    withdrawals: PrefixMap<()>,
    /// What it should have but cannot: with these attributes no prefix fits a message.
    oversized: PrefixMap<AttributesRef>,
}

/// What was taken to be sent.
pub(super) struct Taken {
    pub(super) messages: usize,
    /// The one attribute set of what is announced, and what it takes the place of.
    pub(super) announced: Option<(AttributesRef, Vec<(Prefix, AttributesRef)>)>,
}

impl AdjRibOut {
    /// Empty: the peer has nothing and is to have nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The peer is to have this route, or none, to a prefix.
    pub fn set_wanted(&mut self, prefix: Prefix, wanted: Option<AttributesRef>) {
        if wanted.is_some() && self.oversized.get(&prefix) == wanted.as_ref() {
            return;
        }
        self.oversized.remove(&prefix);
        match self.pending.get(&prefix) {
            // Nothing new: the prefix keeps its place in the queue.
            Some(pending) if *pending == wanted => return,
            Some(_) => self.unqueue(&prefix),
            None => {}
        }
        if self.sent.get(&prefix) != wanted.as_ref() {
            self.queue(prefix, wanted);
        }
    }

    /// Appends UPDATEs to `out` until nothing is pending or `budget` octets were appended, which
    /// the last message may exceed, and counts what they carry as sent. Withdrawals go first, then
    /// the attribute sets in turn, the prefixes of each in order. Returns the number of messages.
    pub fn take_updates(
        &mut self,
        budget: usize,
        context: CodecContext,
        out: &mut Vec<u8>,
    ) -> usize {
        let end = out.len().saturating_add(budget);
        let mut messages = 0;
        while out.len() < end && !self.withdrawals.is_empty() {
            messages += self.take_withdrawals(context, out);
        }
        while out.len() < end {
            let Some(taken) = self.take_announcements(context, out) else {
                break;
            };
            messages += taken.messages;
        }
        messages
    }

    /// Appends the next message, as [`Self::take_updates`] does, and says what it is; none if nothing
    /// is pending.
    pub(super) fn take_message(
        &mut self,
        context: CodecContext,
        out: &mut Vec<u8>,
    ) -> Option<Taken> {
        if !self.withdrawals.is_empty() {
            let messages = self.take_withdrawals(context, out);
            return Some(Taken {
                messages,
                announced: None,
            });
        }
        self.take_announcements(context, out)
    }

    /// What the peer has for a prefix.
    #[must_use]
    pub fn sent(&self, prefix: &Prefix) -> Option<&AttributesRef> {
        self.sent.get(prefix)
    }

    /// What the peer is to have for a prefix.
    #[must_use]
    pub fn wanted(&self, prefix: &Prefix) -> Option<&AttributesRef> {
        match self.pending.get(prefix) {
            Some(wanted) => wanted.as_ref(),
            None => self.oversized.get(prefix).or_else(|| self.sent.get(prefix)),
        }
    }

    /// Whether the peer cannot be told of a prefix because its attributes fill a whole message.
    #[must_use]
    pub fn is_oversized(&self, prefix: &Prefix) -> bool {
        self.oversized.get(prefix).is_some()
    }

    /// Whether something about a prefix has yet to be sent.
    #[must_use]
    pub fn is_pending(&self, prefix: &Prefix) -> bool {
        self.pending.get(prefix).is_some()
    }

    /// Whether nothing has yet to be sent.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Everything the peer has, ordered by prefix.
    pub fn iter_sent(&self) -> impl Iterator<Item = (Prefix, &AttributesRef)> {
        self.sent.iter()
    }

    /// What it has of a family behind a prefix, or all of it.
    pub fn sent_after(
        &self,
        family: Family,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, &AttributesRef)> {
        self.sent.iter_family_after(family, after)
    }

    /// How many prefixes of a family the peer has.
    #[must_use]
    pub fn sent_count(&self, family: Family) -> usize {
        self.sent.count(family)
    }

    /// How many prefixes of a family have yet to be announced or withdrawn.
    #[must_use]
    pub fn pending_count(&self, family: Family) -> usize {
        self.pending.count(family)
    }

    fn queue(&mut self, prefix: Prefix, wanted: Option<AttributesRef>) {
        match &wanted {
            Some(attributes) => self.buckets.add(attributes, prefix),
            None => {
                self.withdrawals.insert(prefix, ());
            }
        }
        self.pending.insert(prefix, wanted);
    }

    fn unqueue(&mut self, prefix: &Prefix) {
        match self.pending.remove(prefix) {
            Some(Some(attributes)) => self.buckets.remove(&attributes, prefix),
            Some(None) => {
                self.withdrawals.remove(prefix);
            }
            None => {}
        }
    }

    /// Sends as many withdrawals of one family as fill a message.
    fn take_withdrawals(&mut self, context: CodecContext, out: &mut Vec<u8>) -> usize {
        let prefixes = take_prefixes(&mut self.withdrawals, WITHDRAWN_OCTETS_MAX);
        for prefix in &prefixes {
            self.pending.remove(prefix);
            self.sent.remove(prefix);
        }
        encode_withdrawals(&prefixes, context, out)
    }

    /// Sends as many announcements of the first bucket, of one family, as fill a message; none if
    /// there is no bucket. What is left of it goes to the back of the queue.
    fn take_announcements(&mut self, context: CodecContext, out: &mut Vec<u8>) -> Option<Taken> {
        let mut bucket = self.buckets.remove_first()?;
        let attributes = bucket.attributes.clone();
        let room = announced_octets_max(&attributes, bucket.prefixes.first()?, context);
        let prefixes = take_prefixes(&mut bucket.prefixes, room);
        if !bucket.prefixes.is_empty() {
            self.buckets.push(bucket);
        }
        for prefix in &prefixes {
            self.pending.remove(prefix);
        }
        let Ok(messages) = encode_announcement(&attributes, &prefixes, context, out) else {
            return Some(Taken {
                messages: self.give_up(&prefixes, &attributes, context, out),
                announced: None,
            });
        };
        let mut replaced = Vec::new();
        for prefix in prefixes {
            if let Some(before) = self.sent.insert(prefix, attributes.clone()) {
                replaced.push((prefix, before));
            }
        }
        Some(Taken {
            messages,
            announced: Some((attributes, replaced)),
        })
    }

    /// No message has room for these attributes and a prefix: RFC 4271 section 9.2 wants the route
    /// not sent, and the peer must not keep the older one.
    fn give_up(
        &mut self,
        prefixes: &[Prefix],
        attributes: &AttributesRef,
        context: CodecContext,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut withdrawn = Vec::new();
        for prefix in prefixes {
            self.oversized.insert(*prefix, attributes.clone());
            if self.sent.remove(prefix).is_some() {
                withdrawn.push(*prefix);
            }
        }
        encode_withdrawals(&withdrawn, context, out)
    }
}

pub(super) fn encode_withdrawals(
    prefixes: &[Prefix],
    context: CodecContext,
    out: &mut Vec<u8>,
) -> usize {
    encode_updates(prefixes, None, context, out).expect("without attributes none are too large")
}

pub(super) fn encode_announcement(
    attributes: &AttributeSet,
    prefixes: &[Prefix],
    context: CodecContext,
    out: &mut Vec<u8>,
) -> Result<usize, AttributesTooLarge> {
    let reach = Reach {
        next_hop: attributes.next_hop,
        prefixes: prefixes.to_vec(),
    };
    encode_updates(&[], Some((&attributes.path, &[reach])), context, out)
}

/// Octets of prefixes of one family that fit a message with these attributes; found by encoding
/// a message with one. Zero if not even that fits.
fn announced_octets_max(attributes: &AttributeSet, first: Prefix, context: CodecContext) -> usize {
    let mut single = Vec::new();
    match encode_announcement(attributes, &[first], context, &mut single) {
        Ok(_) => {
            (MESSAGE_BYTES_MAX + nlri_octets(&first)).saturating_sub(single.len() + LENGTH_SLACK)
        }
        Err(AttributesTooLarge { .. }) => 0,
    }
}

/// Octets of withdrawn prefixes that fit a message of either family: the header, two lengths, and
/// for IPv6 the head of MP_UNREACH_NLRI (RFC 4760 section 4).
const WITHDRAWN_OCTETS_MAX: usize = MESSAGE_BYTES_MAX - HEADER_BYTES - 4 - 7;

/// An attribute's length takes one octet more once its value exceeds 255 (RFC 4271 section 4.3).
const LENGTH_SLACK: usize = 1;

/// Removes prefixes of one family from the front, the first and then as many as `octets` hold.
fn take_prefixes(from: &mut PrefixMap<()>, octets: usize) -> Vec<Prefix> {
    let mut taken: Vec<Prefix> = Vec::new();
    let mut used = 0;
    while let Some(next) = from.first() {
        used += nlri_octets(&next);
        let fits = taken
            .first()
            .is_none_or(|first| used <= octets && first.family() == next.family());
        if !fits {
            break;
        }
        from.pop_first();
        taken.push(next);
    }
    taken
}

/// The octets a prefix takes in a message: its length, then as many as that needs.
fn nlri_octets(prefix: &Prefix) -> usize {
    1 + usize::from(prefix.length().div_ceil(8))
}

/// Pending announcements by attribute set, oldest first; a set that was served and has some left counts as new.
#[derive(Clone, Debug, Default)]
struct Buckets {
    by_sequence: BTreeMap<u64, Bucket>,
    /// Where a set's bucket is, by the location of the set: each bucket holds a reference to its
    /// own, so no other set can take the location. Never iterated.
    by_location: BTreeMap<usize, u64>,
    next_sequence: u64,
}

/// Prefixes to be announced with one attribute set; never empty.
#[derive(Clone, Debug)]
struct Bucket {
    attributes: AttributesRef,
    prefixes: PrefixMap<()>,
}

impl Buckets {
    fn add(&mut self, attributes: &AttributesRef, prefix: Prefix) {
        if let Some(sequence) = self.by_location.get(&attributes.location()) {
            let bucket = self.by_sequence.get_mut(sequence);
            let bucket = bucket.expect("each location leads to a bucket");
            bucket.prefixes.insert(prefix, ());
            return;
        }
        let mut prefixes = PrefixMap::default();
        prefixes.insert(prefix, ());
        self.push(Bucket {
            attributes: attributes.clone(),
            prefixes,
        });
    }

    fn remove(&mut self, attributes: &AttributesRef, prefix: &Prefix) {
        let Some(sequence) = self.by_location.get(&attributes.location()).copied() else {
            return;
        };
        let bucket = self.by_sequence.get_mut(&sequence);
        let bucket = bucket.expect("each location leads to a bucket");
        bucket.prefixes.remove(prefix);
        if bucket.prefixes.is_empty() {
            self.by_sequence.remove(&sequence);
            self.by_location.remove(&attributes.location());
        }
    }

    fn remove_first(&mut self) -> Option<Bucket> {
        let (_, bucket) = self.by_sequence.pop_first()?;
        self.by_location.remove(&bucket.attributes.location());
        Some(bucket)
    }

    fn push(&mut self, bucket: Bucket) {
        let location = bucket.attributes.location();
        self.by_location.insert(location, self.next_sequence);
        self.by_sequence.insert(self.next_sequence, bucket);
        self.next_sequence += 1;
    }
}

#[cfg(test)]
mod tests;
