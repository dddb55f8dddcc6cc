//! Learned routes in the kernel, and blackholes beneath the node's own pods: what its table should
//! hold, and the fewest changes that get it there.
//!
//! `agent::fib` gives a [`Fib`] the ways to the next hops that BGP chose, as the speaker resolved
//! them and [`Pools`] have them, the prefixes that are not left to BGP, and what the kernel says it
//! holds; it takes [`Change`]s and tells how each fared. Nothing here talks to a kernel or knows
//! BGP, and time is an argument.
//!
//! # What must never happen
//!
//! - A route that is not ours is changed. Ours carry a protocol number that nobody else uses, and
//!   only such routes are told to a [`Fib`].
//! - A prefix that stays wanted is without a route for a moment: one is replaced, never removed
//!   and added again.
//! - Traffic for the node itself, its pods, the cluster's Services, or a connected network leaves
//!   by a learned route.
//! - A packet to a pod that is gone comes back: it was the fabric that sent it here.
//! - Routes of a former process go before peers had time to announce them again.

mod kernel;
mod pools;
mod table;
mod target;

#[cfg(test)]
mod tests;

pub use kernel::{Change, KernelView, RouteKey, Target};
pub use pools::{PathWay, Pools, TUNNEL};
pub use table::{Counts, Fib, PathState, Refusal};
pub use target::{Ownership, Unfit};
