//! What a peer asked for again (RFC 2918), and where the answer begins and ends for one that wants to
//! know (RFC 7313).

use std::collections::BTreeSet;

use crate::bgp::wire::{CodecContext, Message, RefreshMark};
use crate::bgp::{Negotiated, Refresh};
use crate::rib::UpdateGroup;
use crate::types::{Family, PeerId};

/// A peer's requests.
#[derive(Debug, Default)]
pub(super) struct Refreshes {
    /// Asked for, and not begun.
    requested: BTreeSet<Family>,
    /// Begun with a mark, and to be ended with one.
    marked: BTreeSet<Family>,
}

impl Refreshes {
    /// The peer wants a family's routes again.
    pub(super) fn request(&mut self, family: Family) {
        self.requested.insert(family);
    }

    /// Queues what was asked for; whether anything was. A request that comes while a former one is
    /// being answered makes that answer longer, and both are ended at once.
    pub(super) fn begin(
        &mut self,
        negotiated: &Negotiated,
        peer: PeerId,
        group: &mut UpdateGroup,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut begun = false;
        for family in std::mem::take(&mut self.requested) {
            if !negotiated.families.contains(&family) {
                continue;
            }
            begun = true;
            group.refresh(peer, family);
            match negotiated.refresh {
                Refresh::Plain => {}
                Refresh::Marked => {
                    if self.marked.insert(family) {
                        let begins = Message::RefreshMark(RefreshMark::Begin, family);
                        begins.encode(negotiated.codec, out);
                    }
                }
            }
        }
        begun
    }

    /// Ends all answers: nothing is left to be sent.
    pub(super) fn end(&mut self, codec: CodecContext, out: &mut Vec<u8>) {
        for family in std::mem::take(&mut self.marked) {
            Message::RefreshMark(RefreshMark::End, family).encode(codec, out);
        }
    }
}
