//! One rule: which routes it matches, and what becomes of them. Made by [`raw`](super::raw).

use std::ops::RangeInclusive;

use rutter_policy::{Candidate, Community, Context, Decision, PREPEND_MAX, PeerKind, Prefix};

/// A rule that makes sense; everything that is given must hold.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) peers: Option<PeerKind>,
    pub(super) net: Option<Net>,
    pub(super) community: Option<Community>,
    pub(super) action: Action,
}

/// `cidr`, `matchOperator` and `prefixLength`.
#[derive(Clone, Debug)]
pub(super) enum Net {
    Equal(Prefix),
    NotEqual(Prefix),
    In(Prefix, RangeInclusive<u8>),
    NotIn(Prefix, RangeInclusive<u8>),
}

/// What becomes of a route that matches.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Accept(Operations),
    Reject,
}

/// All operations of a rule together: their order does not matter.
#[derive(Clone, Debug, Default)]
pub(super) struct Operations {
    pub(super) communities: Vec<Community>,
    pub(super) prepend: Option<Prepend>,
}

/// `prependASPath`: one AS number, at most [`PREPEND_MAX`] times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prepend {
    pub(super) asn: u32,
    pub(super) times: u8,
}

impl Rule {
    pub(super) fn matches(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> bool {
        self.peers
            .is_none_or(|kind| kind == context.peer_group.kind)
            && self
                .net
                .as_ref()
                .is_none_or(|net| net.matches(&candidate.prefix))
            && self
                .community
                .is_none_or(|community| community.is_in(candidate.attributes))
    }

    /// The decision about a route that matches. `name` is the rule's, for reasons.
    pub(super) fn decide(
        &self,
        context: &Context<'_>,
        candidate: &Candidate<'_>,
        name: impl FnOnce() -> String,
    ) -> Decision {
        match &self.action {
            Action::Reject => {
                Decision::reject(context.explain(|| format!("rejected by {}", name())))
            }
            Action::Accept(operations) => operations.apply(context, candidate, name),
        }
    }
}

impl Operations {
    fn apply(
        &self,
        context: &Context<'_>,
        candidate: &Candidate<'_>,
        name: impl FnOnce() -> String,
    ) -> Decision {
        let mut attributes = candidate.attributes.clone();
        for community in &self.communities {
            community.add_to(&mut attributes);
        }
        if let Some(Prepend { asn, times }) = self.prepend {
            // A route can be made longer by our own number only, which settings do not know.
            if asn != context.asn {
                return Decision::reject(context.explain(|| {
                    format!(
                        "{} prepends AS {asn}, and only our own, {}, can be prepended",
                        name(),
                        context.asn
                    )
                }));
            }
            attributes.prepend = attributes.prepend.saturating_add(times).min(PREPEND_MAX);
        }
        let told = context.explain(|| format!("accepted by {}", name()));
        Decision::amend(candidate, attributes, told)
    }
}

impl Net {
    fn matches(&self, prefix: &Prefix) -> bool {
        let within = |cidr: &Prefix, lengths: &RangeInclusive<u8>| {
            cidr.covers(prefix) && lengths.contains(&prefix.length)
        };
        match self {
            Self::Equal(cidr) => cidr == prefix,
            Self::NotEqual(cidr) => cidr != prefix,
            Self::In(cidr, lengths) => within(cidr, lengths),
            Self::NotIn(cidr, lengths) => !within(cidr, lengths),
        }
    }
}
