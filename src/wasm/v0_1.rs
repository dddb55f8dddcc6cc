//! The contract 0.1 for those who built modules for it: what it asks is lowered by
//! [`lower`], and what it answers becomes an answer of the present version.

pub(super) mod lower;

use super::bindings::v0_1::exports::rutter::policy::announce as old;
use super::bindings::v0_1::rutter::policy::types as old_types;
use super::bindings::v0_2::exports::rutter::policy::announce as new;
use super::bindings::v0_2::rutter::policy::types as new_types;

/// The same answer in the present version. A link bandwidth that it has as a community stays one.
pub(super) fn answer(answer: old::Answer) -> new::Answer {
    let old::Answer {
        decisions,
        attribute_sets,
        reasons,
    } = answer;
    new::Answer {
        decisions: decisions.into_iter().map(decision).collect(),
        attribute_sets: attribute_sets.into_iter().map(attribute_set).collect(),
        reasons,
    }
}

fn decision(decision: old::Decision) -> new::Decision {
    let old::Decision { verdict, reason } = decision;
    new::Decision {
        verdict: match verdict {
            old::Verdict::Abstain => new::Verdict::Abstain,
            old::Verdict::Accept(set) => new::Verdict::Accept(set),
            old::Verdict::Reject => new::Verdict::Reject,
        },
        reason,
    }
}

fn attribute_set(set: old_types::RouteAttributesResult) -> new_types::RouteAttributesResult {
    let old_types::RouteAttributesResult {
        med,
        local_pref,
        prepend,
        next_hop,
        communities,
        large_communities,
        extended_communities,
    } = set;
    new_types::RouteAttributesResult {
        med,
        local_pref,
        prepend,
        next_hop: next_hop.map(|address| match address {
            old_types::IpAddress::Ipv4(octets) => new_types::IpAddress::Ipv4(octets),
            old_types::IpAddress::Ipv6(groups) => new_types::IpAddress::Ipv6(groups),
        }),
        communities,
        large_communities: large_communities
            .into_iter()
            .map(|community| new_types::LargeCommunity {
                global_administrator: community.global_administrator,
                local_data1: community.local_data1,
                local_data2: community.local_data2,
            })
            .collect(),
        extended_communities,
        link_bandwidth: None,
    }
}
