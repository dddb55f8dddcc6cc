//! The settings as a BGPFilter writes them, and their way to rules. A field that has no meaning
//! for a node's own routes is read only to be refused by its name.

use std::ops::RangeInclusive;

use rutter_policy::{Cidr, Community, Family, PREPEND_MAX, PeerKind, Prefix};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::CalicoFilter;
use super::rule::{Action, Net, Operations, Prepend, Rule};

/// What the operator may set: the `spec` of a BGPFilter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    #[serde(default)]
    export_v4: Vec<RawRule>,
    #[serde(default)]
    export_v6: Vec<RawRule>,
    import_v4: Option<IgnoredAny>,
    import_v6: Option<IgnoredAny>,
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
    #[serde(default)]
    operations: Vec<Operation>,
    source: Option<IgnoredAny>,
    interface: Option<IgnoredAny>,
    as_path_prefix: Option<IgnoredAny>,
    priority: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum RawAction {
    Accept,
    Reject,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Operator {
    Equal,
    NotEqual,
    In,
    NotIn,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrefixLength {
    min: Option<u8>,
    max: Option<u8>,
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

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Operation {
    AddCommunity {
        value: Community,
    },
    #[serde(rename = "prependASPath")]
    PrependAsPath {
        prefix: Vec<u32>,
    },
    SetPriority(IgnoredAny),
}

impl Settings {
    /// The rules, checked.
    ///
    /// # Errors
    /// Names the key of what is wrong, as `exportV4[1].cidr`.
    pub(super) fn into_policy(self) -> Result<CalicoFilter, String> {
        let Self {
            export_v4,
            export_v6,
            import_v4,
            import_v6,
        } = self;
        for (key, import) in [("importV4", import_v4), ("importV6", import_v6)] {
            if import.is_some() {
                return Err(format!(
                    "{key}: this policy decides on what a node announces; leave import rules out"
                ));
            }
        }
        if export_v4.is_empty() && export_v6.is_empty() {
            return Err("neither exportV4 nor exportV6 has a rule".into());
        }
        let rules = |key: &str, raw: Vec<RawRule>, family| {
            raw.into_iter()
                .enumerate()
                .map(|(index, raw)| {
                    raw.into_rule(family)
                        .map_err(|error| format!("{key}[{index}].{error}"))
                })
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(CalicoFilter {
            export_v4: rules("exportV4", export_v4, Family::Ipv4)?,
            export_v6: rules("exportV6", export_v6, Family::Ipv6)?,
        })
    }
}

impl RawRule {
    fn into_rule(self, family: Family) -> Result<Rule, String> {
        let Self {
            action,
            cidr,
            match_operator,
            prefix_length,
            peer_type,
            communities,
            operations,
            source,
            interface,
            as_path_prefix,
            priority,
        } = self;
        let own = "routes that a node announces by itself have none to match";
        for (key, given, why) in [
            (
                "source",
                source,
                "it matches routes learned from peers; this policy decides on a node's own",
            ),
            ("interface", interface, own),
            ("asPathPrefix", as_path_prefix, own),
            ("priority", priority, own),
        ] {
            if given.is_some() {
                return Err(format!("{key}: {why}; leave the rule out"));
            }
        }
        Ok(Rule {
            peers: peer_type.map(|kind| match kind {
                PeerType::Ebgp => PeerKind::Ebgp,
                PeerType::Ibgp => PeerKind::Ibgp,
            }),
            net: net(family, cidr, match_operator, prefix_length)?,
            community: communities.map(only_community).transpose()?,
            action: match action {
                RawAction::Reject if !operations.is_empty() => {
                    return Err("operations: a rule that rejects cannot change the route".into());
                }
                RawAction::Reject => Action::Reject,
                RawAction::Accept => Action::Accept(self::operations(operations)?),
            },
        })
    }
}

fn net(
    family: Family,
    cidr: Option<Cidr>,
    operator: Option<Operator>,
    lengths: Option<PrefixLength>,
) -> Result<Option<Net>, String> {
    let (Cidr(cidr), operator) = match (cidr, operator) {
        (Some(cidr), Some(operator)) => (cidr, operator),
        (Some(_), None) => {
            return Err("matchOperator is missing: say how cidr is to match".into());
        }
        (None, Some(_)) => return Err("cidr is missing: matchOperator needs one".into()),
        (None, None) if lengths.is_some() => {
            return Err("prefixLength: it needs cidr and matchOperator".into());
        }
        (None, None) => return Ok(None),
    };
    if cidr.family() != family {
        return Err(format!("cidr: {cidr} is not of family {family}"));
    }
    Ok(Some(match (operator, lengths) {
        (Operator::Equal | Operator::NotEqual, Some(_)) => {
            return Err("prefixLength: it goes with the matchOperator In or NotIn".into());
        }
        (Operator::Equal, None) => Net::Equal(cidr),
        (Operator::NotEqual, None) => Net::NotEqual(cidr),
        (Operator::In, lengths) => Net::In(cidr, length_range(&cidr, lengths)?),
        (Operator::NotIn, lengths) => Net::NotIn(cidr, length_range(&cidr, lengths)?),
    }))
}

/// As Calico has it: no shorter than the prefix itself, no longer than an address.
fn length_range(
    cidr: &Prefix,
    lengths: Option<PrefixLength>,
) -> Result<RangeInclusive<u8>, String> {
    let bits = match cidr.family() {
        Family::Ipv4 => 32,
        Family::Ipv6 => 128,
    };
    let PrefixLength { min, max } = lengths.unwrap_or(PrefixLength {
        min: None,
        max: None,
    });
    for (key, length) in [("min", min), ("max", max)] {
        if let Some(length) = length.filter(|length| *length > bits) {
            return Err(format!("prefixLength.{key}: {length} is above {bits}"));
        }
    }
    let range = min.unwrap_or(0).max(cidr.length)..=max.unwrap_or(bits);
    if range.is_empty() {
        return Err(format!(
            "prefixLength: no length is at least {} and at most {}",
            range.start(),
            range.end()
        ));
    }
    Ok(range)
}

fn only_community(communities: Communities) -> Result<Community, String> {
    match communities.values[..] {
        [community] => Ok(community),
        [] | [_, ..] => Err("communities.values: write exactly one".into()),
    }
}

fn operations(raw: Vec<Operation>) -> Result<Operations, String> {
    let mut operations = Operations::default();
    for (index, operation) in raw.into_iter().enumerate() {
        match operation {
            Operation::AddCommunity { value } => operations.communities.push(value),
            Operation::PrependAsPath { prefix } => {
                operations.prepend =
                    Some(prepend(operations.prepend, &prefix).map_err(|why| {
                        format!("operations[{index}].prependASPath.prefix: {why}")
                    })?);
            }
            Operation::SetPriority(IgnoredAny) => {
                return Err(format!(
                    "operations[{index}].setPriority: it is a metric of the kernel's routes, \
                     which are not announced"
                ));
            }
        }
    }
    Ok(operations)
}

/// One more list of AS numbers to prepend.
fn prepend(so_far: Option<Prepend>, prefix: &[u32]) -> Result<Prepend, String> {
    let [first, ..] = *prefix else {
        return Err("it is empty: name our own AS number".into());
    };
    let asn = so_far.map_or(first, |prepend| prepend.asn);
    if prefix.iter().any(|other| *other != asn) {
        return Err("only our own AS number can be prepended, so all must be the same".into());
    }
    let times = usize::from(so_far.map_or(0, |prepend| prepend.times)) + prefix.len();
    match u8::try_from(times) {
        Ok(times) if times <= PREPEND_MAX => Ok(Prepend { asn, times }),
        Ok(_) | Err(_) => Err(format!("{times} numbers are more than {PREPEND_MAX}")),
    }
}
