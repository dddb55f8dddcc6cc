//! One rule: which routes it matches, and what becomes of them. Made by [`raw`](super::raw); what
//! a policy of either direction says of the outcome, the root of the crate decides.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use rutter_policy::{
    Community, Context, PREPEND_MAX, PeerKind, Prefix, RouteAttributes, Segment, SegmentKind,
};

/// The rules of one direction, in order.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) ipv4: Vec<Rule>,
    pub(super) ipv6: Vec<Rule>,
}

/// A rule that makes sense; everything that is given must hold.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) peers: Option<PeerKind>,
    pub(super) net: Option<Net>,
    pub(super) community: Option<Community>,
    /// What the path begins with, the nearest AS first.
    pub(super) as_path: Vec<u32>,
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

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<'a> {
    pub(super) prefix: &'a Prefix,
    /// Proposed so far.
    pub(super) attributes: &'a RouteAttributes,
    pub(super) as_path: &'a [Segment],
}

/// The one AS number that paths of a direction can be made longer by; settings do not know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepended {
    pub(super) asn: u32,
    /// In words.
    pub(super) whose: &'static str,
}

/// What a rule makes of a route that it matches.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Accept {
        /// Those proposed where the rule has no operations.
        attributes: RouteAttributes,
        because: Cow<'static, str>,
    },
    Reject {
        because: Cow<'static, str>,
    },
}

/// What the first rule says that matches. `key` is that of the rules, for reasons.
pub(super) fn first(
    rules: &[Rule],
    context: &Context<'_>,
    route: &Route<'_>,
    prepended: Prepended,
    key: &str,
) -> Option<Outcome> {
    let mut numbered = rules.iter().enumerate();
    let (index, rule) = numbered.find(|(_, rule)| rule.matches(context, route))?;
    let name = || format!("{key}[{index}]");
    Some(match &rule.action {
        Action::Reject => Outcome::Reject {
            because: context.explain(|| format!("rejected by {}", name())),
        },
        Action::Accept(operations) => operations.apply(context, route, prepended, name),
    })
}

impl Rule {
    fn matches(&self, context: &Context<'_>, route: &Route<'_>) -> bool {
        self.peers
            .is_none_or(|kind| kind == context.peer_group.kind)
            && self
                .net
                .as_ref()
                .is_none_or(|net| net.matches(route.prefix))
            && self
                .community
                .is_none_or(|community| community.is_in(route.attributes))
            && begins_with(route.as_path, &self.as_path)
    }
}

/// Whether a path has these AS numbers first. A set is one AS, any of those it names.
fn begins_with(path: &[Segment], asns: &[u32]) -> bool {
    let mut rest = asns;
    for segment in path {
        match segment.kind {
            SegmentKind::AsSequence => {
                let shared = rest.len().min(segment.asns.len());
                if rest[..shared] != segment.asns[..shared] {
                    return false;
                }
                rest = &rest[shared..];
            }
            SegmentKind::AsSet => match rest {
                [] => return true,
                [asn, later @ ..] if segment.asns.contains(asn) => rest = later,
                [..] => return false,
            },
        }
    }
    rest.is_empty()
}

impl Operations {
    fn apply(
        &self,
        context: &Context<'_>,
        route: &Route<'_>,
        prepended: Prepended,
        name: impl FnOnce() -> String,
    ) -> Outcome {
        let mut attributes = route.attributes.clone();
        for community in &self.communities {
            community.add_to(&mut attributes);
        }
        if let Some(Prepend { asn, times }) = self.prepend {
            if asn != prepended.asn {
                let because = context.explain(|| {
                    let Prepended { asn: only, whose } = prepended;
                    format!(
                        "{} prepends AS {asn}, and only {whose}, {only}, can be prepended",
                        name()
                    )
                });
                return Outcome::Reject { because };
            }
            attributes.prepend = attributes.prepend.saturating_add(times).min(PREPEND_MAX);
        }
        Outcome::Accept {
            attributes,
            because: context.explain(|| format!("accepted by {}", name())),
        }
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
