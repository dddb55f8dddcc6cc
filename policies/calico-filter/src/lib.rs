//! The export rules of Calico's BGPFilter resource, as settings in the resource's own words.
//!
//! The rules of the route's family are tried in order, and the first that matches decides:
//!
//! | rule | decision |
//! |---|---|
//! | `action: Reject` | reject |
//! | `action: Accept` without operations | abstain: the filter lets the route through |
//! | `action: Accept` with operations | accept with the attributes they make |
//! | no rule matches | abstain |
//!
//! Calico's filter is asked about routes that Calico announces already, so to accept one is not
//! to make one: whether a candidate is a route at all is left to the rest of the chain. Rules
//! that a node's own routes cannot be held to (import rules, sources, interfaces, AS paths,
//! kernel metrics) are refused by name instead of being skipped. Settings and examples are in
//! the README.

mod raw;
mod rule;

use rutter_policy::{
    Candidate, Context, Decision, Description, Family, Policy, description, export_policy,
};

pub use raw::Settings;
use rule::Rule;

/// The policy.
#[derive(Clone, Debug)]
pub struct CalicoFilter {
    export_v4: Vec<Rule>,
    export_v6: Vec<Rule>,
}

impl Policy for CalicoFilter {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "calico-filter".into(),
            ..description!(
                "Evaluates the export rules of Calico's BGPFilter",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        settings.into_policy()
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let (key, rules) = match candidate.family() {
            Family::Ipv4 => ("exportV4", &self.export_v4),
            Family::Ipv6 => ("exportV6", &self.export_v6),
        };
        let mut numbered = rules.iter().enumerate();
        let Some((index, rule)) = numbered.find(|(_, rule)| rule.matches(context, candidate))
        else {
            return Decision::abstain();
        };
        rule.decide(context, candidate, || format!("{key}[{index}]"))
    }
}

export_policy!(CalicoFilter);

#[cfg(test)]
mod tests;
