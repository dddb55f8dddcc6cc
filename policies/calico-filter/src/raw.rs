//! The settings as a BGPFilter writes them, and their way to rules. A field that has no meaning
//! for routes of a direction is read only to be refused by its name.

mod net;
mod operation;

use rutter_policy::{Cidr, Community, Family, PeerKind};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::rule::{Action, Rule, Rules};
use net::{Operator, PrefixLength};
use operation::Operation;

/// What the operator may set: the `spec` of a BGPFilter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    #[serde(default)]
    export_v4: Vec<RawRule>,
    #[serde(default)]
    export_v6: Vec<RawRule>,
    #[serde(default)]
    import_v4: Vec<RawRule>,
    #[serde(default)]
    import_v6: Vec<RawRule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawRule {
    action: RawAction,
    cidr: Option<Cidr>,
    match_operator: Option<Operator>,
    prefix_length: Option<PrefixLength>,
    peer_type: Option<PeerType>,
    communities: Option<Communities>,
    source: Option<Source>,
    as_path_prefix: Option<Vec<u32>>,
    #[serde(default)]
    operations: Vec<Operation>,
    interface: Option<IgnoredAny>,
    priority: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum RawAction {
    Accept,
    Reject,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum PeerType {
    #[serde(rename = "eBGP")]
    Ebgp,
    #[serde(rename = "iBGP")]
    Ibgp,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Communities {
    values: Vec<Community>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Source {
    RemotePeers,
}

/// Which routes rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// Those that a node announces.
    Export,
    /// Those that it learns.
    Import,
}

impl Settings {
    /// The rules on routes to announce, checked.
    ///
    /// # Errors
    /// Names the key of what is wrong, as `exportV4[1].cidr`.
    pub(super) fn export_rules(self) -> Result<Rules, String> {
        self.check()?;
        Ok(Rules {
            ipv4: rules("exportV4", self.export_v4, Direction::Export, Family::Ipv4)?,
            ipv6: rules("exportV6", self.export_v6, Direction::Export, Family::Ipv6)?,
        })
    }

    /// The rules on learned routes, checked.
    ///
    /// # Errors
    /// As [`export_rules`](Self::export_rules).
    pub(super) fn import_rules(self) -> Result<Rules, String> {
        self.check()?;
        Ok(Rules {
            ipv4: rules("importV4", self.import_v4, Direction::Import, Family::Ipv4)?,
            ipv6: rules("importV6", self.import_v6, Direction::Import, Family::Ipv6)?,
        })
    }

    /// One list is enough: a BGPFilter for one direction may be configured for the other, too.
    fn check(&self) -> Result<(), String> {
        let lists = [
            &self.export_v4,
            &self.export_v6,
            &self.import_v4,
            &self.import_v6,
        ];
        if lists.iter().all(|rules| rules.is_empty()) {
            return Err("none of exportV4, exportV6, importV4 and importV6 has a rule".into());
        }
        Ok(())
    }
}

fn rules(
    key: &str,
    raw: Vec<RawRule>,
    direction: Direction,
    family: Family,
) -> Result<Vec<Rule>, String> {
    raw.into_iter()
        .enumerate()
        .map(|(index, raw)| {
            raw.into_rule(direction, family)
                .map_err(|error| format!("{key}[{index}].{error}"))
        })
        .collect()
}

impl RawRule {
    fn into_rule(self, direction: Direction, family: Family) -> Result<Rule, String> {
        self.check_meaning(direction)?;
        let Self {
            action,
            cidr,
            match_operator,
            prefix_length,
            peer_type,
            communities,
            // Learned routes have no other.
            source: Some(Source::RemotePeers) | None,
            as_path_prefix,
            operations,
            interface: _, // is refused
            priority: _,
        } = self;
        Ok(Rule {
            peers: peer_type.map(|kind| match kind {
                PeerType::Ebgp => PeerKind::Ebgp,
                PeerType::Ibgp => PeerKind::Ibgp,
            }),
            net: net::net(family, cidr, match_operator, prefix_length)?,
            community: communities.map(only_community).transpose()?,
            as_path: as_path_prefix.unwrap_or_default(),
            action: match action {
                RawAction::Reject if !operations.is_empty() => {
                    return Err("operations: a rule that rejects cannot change the route".into());
                }
                RawAction::Reject => Action::Reject,
                RawAction::Accept => Action::Accept(operation::all(operations, direction)?),
            },
        })
    }

    /// Whether routes of this direction have what the rule wants to match.
    fn check_meaning(&self, direction: Direction) -> Result<(), String> {
        let own = "routes that a node announces by itself have none to match";
        let refused: &[(&str, bool, &str)] = match direction {
            Direction::Export => &[
                (
                    "source",
                    self.source.is_some(),
                    "it matches routes learned from peers; export rules decide on a node's own",
                ),
                ("interface", self.interface.is_some(), own),
                ("asPathPrefix", self.as_path_prefix.is_some(), own),
                ("priority", self.priority.is_some(), own),
            ],
            Direction::Import => &[
                (
                    "interface",
                    self.interface.is_some(),
                    "policies are not told by which one traffic would leave",
                ),
                (
                    "priority",
                    self.priority.is_some(),
                    "it is a metric of the kernel's routes, which learned ones do not have",
                ),
            ],
        };
        match refused.iter().find(|(_, given, _)| *given) {
            Some((key, _, why)) => Err(format!("{key}: {why}; leave the rule out")),
            None => Ok(()),
        }
    }
}

fn only_community(communities: Communities) -> Result<Community, String> {
    match communities.values[..] {
        [community] => Ok(community),
        [] | [_, ..] => Err("communities.values: write exactly one".into()),
    }
}
