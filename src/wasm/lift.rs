//! A module's answer on its way out: nothing in it is believed before it is checked.

use std::net::IpAddr;
use std::sync::Arc;

use super::bindings::exports::rutter::policy::announce::{self, Answer};
use super::bindings::rutter::policy::types as wit;
use super::error::printable;
use super::limits::{COMMUNITIES_MAX, REASON_BYTES_MAX};
use super::link_bandwidth;
use crate::policy::{Decision, PolicyFailure, ProposedRoute, Reasons, Verdict};
use crate::types::{
    Asn, Community, ExtendedCommunity, Family, LargeCommunity, PREPEND_MAX, Prefix,
    RouteAttributes, shortened,
};

/// The decisions about `routes`, in their order.
///
/// # Errors
/// [`PolicyFailure::BadAnswer`], naming what is impossible about the answer.
pub(super) fn decisions(
    answer: Answer,
    routes: &[ProposedRoute<'_>],
    asn: Asn,
    wanted: Reasons,
) -> Result<Vec<Decision>, PolicyFailure> {
    lift(answer, routes, asn, wanted).map_err(PolicyFailure::BadAnswer)
}

fn lift(
    answer: Answer,
    routes: &[ProposedRoute<'_>],
    asn: Asn,
    wanted: Reasons,
) -> Result<Vec<Decision>, String> {
    let Answer {
        decisions,
        attribute_sets,
        reasons,
    } = answer;
    let question = Question {
        asked: routes.len(),
        about: "candidates",
        communities_max: COMMUNITIES_MAX,
        asn,
    };
    let tables = question.tables(decisions.len(), attribute_sets, &reasons)?;
    decisions
        .into_iter()
        .zip(routes)
        .map(|(decision, route)| lift_one(decision, route, &tables, wanted))
        .collect()
}

/// What an answer is measured by, whatever it is about.
pub(super) struct Question {
    /// How much was asked about.
    pub(super) asked: usize,
    /// What that is, for people.
    pub(super) about: &'static str,
    /// Most communities of each kind in a set.
    pub(super) communities_max: usize,
    /// Our own.
    pub(super) asn: Asn,
}

/// An answer's tables, checked.
pub(super) struct Tables {
    pub(super) sets: Vec<Arc<RouteAttributes>>,
    pub(super) reasons: Vec<Arc<str>>,
}

impl Question {
    /// Checks how many decisions there are, and the tables they refer to.
    pub(super) fn tables(
        &self,
        decisions: usize,
        attribute_sets: Vec<wit::RouteAttributesResult>,
        reasons: &[String],
    ) -> Result<Tables, String> {
        let Self { asked, about, .. } = self;
        if decisions != *asked {
            return Err(format!("{decisions} decisions about {asked} {about}"));
        }
        for (table, entries) in [
            ("attribute sets", attribute_sets.len()),
            ("reasons", reasons.len()),
        ] {
            if entries > *asked {
                return Err(format!("{entries} {table} for {asked} {about}"));
            }
        }
        let sets = attribute_sets
            .into_iter()
            .enumerate()
            .map(|(index, set)| match self.attributes(set) {
                Ok(set) => Ok(Arc::new(set)),
                Err(why) => Err(format!("attribute set {index} has {why}")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let reasons = reasons.iter().map(|words| Arc::from(reason(words)));
        Ok(Tables {
            sets,
            reasons: reasons.collect(),
        })
    }
}

impl Tables {
    /// The attribute set of that index, if a route of this prefix can have it.
    pub(super) fn set(&self, index: u32, prefix: Prefix) -> Result<&Arc<RouteAttributes>, String> {
        let set = at(&self.sets, index)
            .ok_or_else(|| format!("{prefix} gets attribute set {index} of {}", self.sets.len()))?;
        match set.next_hop {
            Some(next_hop) if Family::of(next_hop) != prefix.family() => Err(format!(
                "{prefix} gets the next hop {next_hop}, of the other address family"
            )),
            Some(_) | None => Ok(set),
        }
    }

    /// The reason of that index, if it is wanted.
    pub(super) fn reason(
        &self,
        index: Option<u32>,
        prefix: Prefix,
        wanted: Reasons,
    ) -> Result<Option<Arc<str>>, String> {
        let Some(index) = index else {
            return Ok(None);
        };
        let reason = at(&self.reasons, index)
            .ok_or_else(|| format!("{prefix} gets reason {index} of {}", self.reasons.len()))?;
        Ok(match wanted {
            Reasons::Wanted => Some(Arc::clone(reason)),
            Reasons::Unwanted => None,
        })
    }
}

fn lift_one(
    decision: announce::Decision,
    route: &ProposedRoute<'_>,
    tables: &Tables,
    wanted: Reasons,
) -> Result<Decision, String> {
    let prefix = route.candidate.key.prefix;
    let verdict = match decision.verdict {
        announce::Verdict::Abstain => Verdict::Abstain,
        announce::Verdict::Reject => Verdict::Reject,
        announce::Verdict::Accept(None) => Verdict::Accept(None),
        announce::Verdict::Accept(Some(index)) => {
            Verdict::Accept(Some(Arc::clone(tables.set(index, prefix)?)))
        }
    };
    Ok(Decision {
        verdict,
        reason: tables.reason(decision.reason, prefix, wanted)?,
    })
}

/// A reason, or as much of its beginning as is kept: what a Service is annotated with, and a module
/// repeats, makes no answer unusable.
fn reason(words: &str) -> String {
    printable(&shortened(words, REASON_BYTES_MAX))
}

fn at<T>(table: &[T], index: u32) -> Option<&T> {
    table.get(usize::try_from(index).ok()?)
}

impl Question {
    /// A set in the form all others have: sorted, without duplicates, the link bandwidth, with our AS
    /// number, among the extended communities.
    fn attributes(&self, set: wit::RouteAttributesResult) -> Result<RouteAttributes, String> {
        let wit::RouteAttributesResult {
            med,
            local_pref,
            prepend,
            next_hop,
            communities,
            large_communities,
            extended_communities,
            link_bandwidth,
        } = set;
        if prepend > PREPEND_MAX {
            return Err(format!("prepend {prepend}, {PREPEND_MAX} is the most"));
        }
        let max = self.communities_max;
        let next_hop = next_hop.map(IpAddr::from);
        if let Some(next_hop) = next_hop
            && (next_hop.is_unspecified() || next_hop.is_multicast() || next_hop.is_loopback())
        {
            return Err(format!("next hop {next_hop}, which no router can send to"));
        }
        let mut extended_communities = sorted(
            max,
            "extended communities",
            extended_communities,
            |octets| ExtendedCommunity(octets.to_be_bytes()),
        )?;
        if let Some(bandwidth) = link_bandwidth {
            if bandwidth.bytes_per_second == 0 {
                return Err("a link bandwidth of 0, by which nothing would be sent".into());
            }
            // A route carries one: of several, receivers take the lowest.
            extended_communities.retain(|community| !link_bandwidth::is_one(*community));
            extended_communities.push(link_bandwidth::encode(bandwidth, self.asn));
            extended_communities.sort_unstable();
        }
        Ok(RouteAttributes {
            med,
            local_pref,
            prepend,
            next_hop,
            communities: sorted(max, "communities", communities, Community)?,
            large_communities: sorted(max, "large communities", large_communities, Into::into)?,
            extended_communities,
        })
    }
}

fn sorted<T, U: Ord>(
    max: usize,
    what: &str,
    values: Vec<T>,
    convert: impl FnMut(T) -> U,
) -> Result<Vec<U>, String> {
    if values.len() > max {
        return Err(format!("{} {what}, {max} are the most", values.len()));
    }
    let mut values: Vec<U> = values.into_iter().map(convert).collect();
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

impl From<wit::LargeCommunity> for LargeCommunity {
    fn from(community: wit::LargeCommunity) -> Self {
        let wit::LargeCommunity {
            global_administrator,
            local_data1,
            local_data2,
        } = community;
        Self {
            global_administrator,
            local_data_1: local_data1,
            local_data_2: local_data2,
        }
    }
}

impl From<wit::IpAddress> for IpAddr {
    fn from(address: wit::IpAddress) -> Self {
        match address {
            wit::IpAddress::Ipv4((a, b, c, d)) => [a, b, c, d].into(),
            wit::IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => [a, b, c, d, e, f, g, h].into(),
        }
    }
}
