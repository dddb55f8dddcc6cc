//! Calico's BGPFilter resource, as settings in the resource's own words: its export rules decide
//! what is announced, its import rules what is used of that which peers announce.
//!
//! The rules of the direction and of the route's family are tried in order, and the first that
//! matches decides:
//!
//! | rule | of a route to announce | of a learned route |
//! |---|---|---|
//! | `action: Reject` | reject | reject |
//! | `action: Accept` without operations | abstain: the filter lets it through | accept |
//! | `action: Accept` with operations | accept with the attributes they make | the same |
//! | no rule matches | abstain | abstain |
//!
//! Calico's filter is asked about routes that Calico announces already, so to accept one is not
//! to make one: whether a candidate is a route at all is left to the rest of the chain. A learned
//! route is there, and to accept it is to use it. Rules that routes of their direction cannot be
//! held to (sources and AS paths of a node's own routes, interfaces, kernel metrics) are refused
//! by name instead of being skipped. Settings and examples are in the README.

mod raw;
mod rule;

use rutter_policy::{
    Candidate, Context, Decision, Description, Family, ImportDecision, ImportPolicy, LearnedRoute,
    Policy, description, export_two_way_policy,
};

pub use raw::Settings;
use rule::{Outcome, Prepended, Route, Rules};

/// The policy on routes to announce.
#[derive(Clone, Debug)]
pub struct ExportFilter(Rules);

/// The policy on learned routes.
#[derive(Clone, Debug)]
pub struct ImportFilter(Rules);

impl Policy for ExportFilter {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "calico-filter".into(),
            ..description!(
                "Evaluates the rules of Calico's BGPFilter, for export and for import",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        settings.export_rules().map(Self)
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let Self(rules) = self;
        let (key, rules) = match candidate.family() {
            Family::Ipv4 => ("exportV4", &rules.ipv4),
            Family::Ipv6 => ("exportV6", &rules.ipv6),
        };
        let route = Route {
            prefix: &candidate.prefix,
            attributes: candidate.attributes,
            // That of routes which begin here.
            as_path: &[],
        };
        let own = Prepended {
            asn: context.asn,
            whose: "our own",
        };
        match rule::first(rules, context, &route, own, key) {
            None => Decision::abstain(),
            Some(Outcome::Reject { because }) => Decision::reject(because),
            Some(Outcome::Accept {
                attributes,
                because,
            }) => Decision::amend(candidate, attributes, because),
        }
    }
}

impl ImportPolicy for ImportFilter {
    type Settings = Settings;

    fn describe() -> Description {
        ExportFilter::describe()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        settings.import_rules().map(Self)
    }

    fn decide(&self, context: &Context<'_>, learned: &LearnedRoute<'_>) -> ImportDecision {
        let Self(rules) = self;
        let (key, rules) = match learned.family() {
            Family::Ipv4 => ("importV4", &rules.ipv4),
            Family::Ipv6 => ("importV6", &rules.ipv6),
        };
        let route = Route {
            prefix: &learned.prefix,
            attributes: learned.attributes,
            as_path: learned.as_path,
        };
        let theirs = Prepended {
            asn: context.peer_group.asn,
            whose: "the peer's",
        };
        match rule::first(rules, context, &route, theirs, key) {
            None => ImportDecision::abstain(),
            Some(Outcome::Reject { because }) => ImportDecision::reject(because),
            Some(Outcome::Accept {
                attributes,
                because,
            }) => ImportDecision::amend(learned, attributes, None, because),
        }
    }
}

export_two_way_policy!(ExportFilter, ImportFilter);

#[cfg(test)]
mod tests;
