//! The routing information bases (RFC 4271 section 3.2): routes as each peer sent them, the best
//! of them, and what each peer was sent.
//!
//! ```text
//! UPDATE --> AdjRibIn --> import --> LocRib (the decision) --> export --> AdjRibOut --> UPDATE
//!        (a peer's)                                                  (an UpdateGroup's)
//! ```
//!
//! A path whose next hop the [`NextHopTable`] finds no way to stays in the [`LocRib`], and takes no
//! part in the decision.
//!
//! The [`speaker`](crate::speaker) owns one [`AttributePool`] and one [`LocRib`], an [`AdjRibIn`] for
//! each peer, and an [`UpdateGroup`] with one [`AdjRibOut`] for all peers that are told the same; the
//! arrows, that is import and export rules, are its own. Nothing in here reads a clock, draws a random
//! number or does I/O, and every answer depends on the routes held alone: never on the order in which
//! they came.
//!
//! Memory is per route, never per change. An IPv4 entry, before the slack of the map that holds
//! it, is 16 octets in an [`AdjRibIn`], 24 in the [`LocRib`] (for a prefix with one path) and 16 in
//! an [`AdjRibOut`]; attribute sets are shared. So a peer more costs next to nothing on the way out: what
//! it lags behind the fastest of its group, up to a bound, and beyond that 8 a prefix.

mod adj_rib_in;
mod adj_rib_out;
mod attributes;
mod decision;
#[cfg(test)]
mod fixtures;
mod held_sets;
mod loc_rib;
mod next_hops;
mod prefix_map;
mod update_group;

pub use adj_rib_in::{AdjRibIn, Ineligible, Receiver};
pub use adj_rib_out::AdjRibOut;
pub use attributes::{AttributePool, AttributeSet, AttributesRef};
pub use decision::{
    LOCAL_PREF_DEFAULT, LostBy, MULTIPATH_MAX, Multipath, Neighbor, Path, Source, SourceId,
    Standing,
};
pub use loc_rib::{Change, LocRib, Resolvability};
pub use next_hops::{LearnedWay, NextHopTable, Resolution, Unresolved, Way, lookups};
pub use update_group::{Recipient, UpdateGroup};
