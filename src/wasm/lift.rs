//! A module's answer on its way out: nothing in it is believed before it is checked.

use std::net::IpAddr;
use std::sync::Arc;

use super::bindings::v0_2::exports::rutter::policy::announce::{self, Answer};
use super::bindings::v0_2::rutter::policy::types as wit;
use super::error::printable;
use super::limits::{COMMUNITIES_MAX, REASON_BYTES_MAX};
use super::link_bandwidth;
use crate::policy::{Decision, PolicyFailure, ProposedRoute, Reasons, Verdict};
use crate::types::{
    Asn, Community, ExtendedCommunity, Family, LargeCommunity, PREPEND_MAX, RouteAttributes,
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
    let asked = routes.len();
    if decisions.len() != asked {
        return Err(format!(
            "{} decisions about {asked} candidates",
            decisions.len()
        ));
    }
    for (table, entries) in [
        ("attribute sets", attribute_sets.len()),
        ("reasons", reasons.len()),
    ] {
        if entries > asked {
            return Err(format!("{entries} {table} for {asked} candidates"));
        }
    }
    let sets = attribute_sets
        .into_iter()
        .enumerate()
        .map(|(index, set)| match attributes(set, asn) {
            Ok(set) => Ok(Arc::new(set)),
            Err(why) => Err(format!("attribute set {index} has {why}")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let reasons = reasons
        .iter()
        .enumerate()
        .map(|(index, words)| match words.len() {
            0..=REASON_BYTES_MAX => Ok(Arc::from(printable(words))),
            bytes => Err(format!(
                "reason {index} has {bytes} bytes, {REASON_BYTES_MAX} are allowed"
            )),
        })
        .collect::<Result<Vec<Arc<str>>, _>>()?;
    decisions
        .into_iter()
        .zip(routes)
        .map(|(decision, route)| lift_one(decision, route, &sets, &reasons, wanted))
        .collect()
}

fn lift_one(
    decision: announce::Decision,
    route: &ProposedRoute<'_>,
    sets: &[Arc<RouteAttributes>],
    reasons: &[Arc<str>],
    wanted: Reasons,
) -> Result<Decision, String> {
    let prefix = route.candidate.key.prefix;
    let verdict = match decision.verdict {
        announce::Verdict::Abstain => Verdict::Abstain,
        announce::Verdict::Reject => Verdict::Reject,
        announce::Verdict::Accept(None) => Verdict::Accept(None),
        announce::Verdict::Accept(Some(index)) => {
            let set = at(sets, index)
                .ok_or_else(|| format!("{prefix} gets attribute set {index} of {}", sets.len()))?;
            if let Some(next_hop) = set.next_hop
                && Family::of(next_hop) != prefix.family()
            {
                return Err(format!(
                    "{prefix} gets the next hop {next_hop}, of the other address family"
                ));
            }
            Verdict::Accept(Some(Arc::clone(set)))
        }
    };
    let reason = match decision.reason {
        Some(index) => Some(
            at(reasons, index)
                .ok_or_else(|| format!("{prefix} gets reason {index} of {}", reasons.len()))?,
        ),
        None => None,
    };
    Ok(Decision {
        verdict,
        reason: match wanted {
            Reasons::Wanted => reason.cloned(),
            Reasons::Unwanted => None,
        },
    })
}

fn at<T>(table: &[T], index: u32) -> Option<&T> {
    table.get(usize::try_from(index).ok()?)
}

/// A set in the form all others have: sorted, without duplicates, the link bandwidth, with our AS
/// number, among the extended communities.
pub(super) fn attributes(
    set: wit::RouteAttributesResult,
    asn: Asn,
) -> Result<RouteAttributes, String> {
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
    let next_hop = next_hop.map(IpAddr::from);
    if let Some(next_hop) = next_hop
        && (next_hop.is_unspecified() || next_hop.is_multicast() || next_hop.is_loopback())
    {
        return Err(format!("next hop {next_hop}, which no router can send to"));
    }
    let mut extended_communities =
        sorted("extended communities", extended_communities, |octets| {
            ExtendedCommunity(octets.to_be_bytes())
        })?;
    if let Some(bandwidth) = link_bandwidth {
        if bandwidth.bytes_per_second == 0 {
            return Err("a link bandwidth of 0, by which nothing would be sent".into());
        }
        // A route carries one: of several, receivers take the lowest.
        extended_communities.retain(|community| !link_bandwidth::is_one(*community));
        extended_communities.push(link_bandwidth::encode(bandwidth, asn));
        extended_communities.sort_unstable();
    }
    Ok(RouteAttributes {
        med,
        local_pref,
        prepend,
        next_hop,
        communities: sorted("communities", communities, Community)?,
        large_communities: sorted("large communities", large_communities, Into::into)?,
        extended_communities,
    })
}

fn sorted<T, U: Ord>(
    what: &str,
    values: Vec<T>,
    convert: impl FnMut(T) -> U,
) -> Result<Vec<U>, String> {
    if values.len() > COMMUNITIES_MAX {
        return Err(format!(
            "{} {what}, {COMMUNITIES_MAX} are the most",
            values.len()
        ));
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
