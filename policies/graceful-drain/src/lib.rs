//! Moves traffic away from a node that is being drained, before its routes go.
//!
//! | the node | decision |
//! |---|---|
//! | meets a condition of `withdraw` | reject |
//! | meets a condition of `shutdown` | accept with the community GRACEFUL_SHUTDOWN, 65535:0 (RFC 8326); to internal peers with local preference 0 too |
//! | meets neither | abstain |
//!
//! Routers that know the community prefer every other path, and keep this one while there is no
//! other. Internal peers are not expected to act on it (RFC 8326 section 4 has external sessions
//! in mind), so they are told by what they do act on. Settings and examples are in the README.

use rutter_policy::{
    Candidate, Community, Context, Decision, Description, Node, PeerKind, Policy, Selector, Wanted,
    description, export_policy, has_any,
};
use serde::Deserialize;

/// The policy.
#[derive(Clone, Debug)]
pub struct GracefulDrain(Settings);

/// What the operator may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(rename = "match", default)]
    selector: Selector,
    #[serde(default)]
    shutdown: Condition,
    #[serde(default)]
    withdraw: Condition,
}

/// Of a node; met where any of it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Condition {
    labels: Wanted,
    annotations: Wanted,
    /// `spec.unschedulable`, which `kubectl cordon` and `kubectl drain` set.
    cordoned: bool,
}

impl Policy for GracefulDrain {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "graceful-drain".into(),
            ..description!(
                "Announces GRACEFUL_SHUTDOWN, or nothing, from nodes being drained",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        let never = Condition::default();
        if settings.shutdown == never && settings.withdraw == never {
            return Err(
                "neither shutdown nor withdraw names labels, annotations or cordoned: no node \
                 would count as drained"
                    .into(),
            );
        }
        Ok(Self(settings))
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let Settings {
            selector,
            shutdown,
            withdraw,
        } = &self.0;
        if !selector.selects(candidate) {
            return Decision::abstain();
        }
        if let Some(sign) = withdraw.met_by(context.node) {
            return Decision::reject(context.explain(|| format!("this node is drained: {sign}")));
        }
        let Some(sign) = shutdown.met_by(context.node) else {
            return Decision::abstain();
        };
        let mut attributes = candidate.attributes.clone();
        Community::GRACEFUL_SHUTDOWN.add_to(&mut attributes);
        match context.peer_group.kind {
            PeerKind::Ibgp => attributes.local_pref = Some(0),
            PeerKind::Ebgp => {}
        }
        let told = context.explain(|| format!("this node is being drained: {sign}"));
        Decision::amend(candidate, attributes, told)
    }
}

export_policy!(GracefulDrain);

/// What on the node says so.
enum Sign<'a> {
    Label(&'a str),
    Annotation(&'a str),
    Cordoned,
}

impl Condition {
    fn met_by(&self, node: &Node) -> Option<Sign<'_>> {
        let label = has_any(&node.labels, &self.labels).map(Sign::Label);
        let annotation = || has_any(&node.annotations, &self.annotations).map(Sign::Annotation);
        let cordoned = || (self.cordoned && node.unschedulable).then_some(Sign::Cordoned);
        label.or_else(annotation).or_else(cordoned)
    }
}

impl std::fmt::Display for Sign<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(key) => write!(f, "label {key}"),
            Self::Annotation(key) => write!(f, "annotation {key}"),
            Self::Cordoned => f.write_str("it is cordoned"),
        }
    }
}

#[cfg(test)]
mod tests;
