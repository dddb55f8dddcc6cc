//! `operations` of a rule.

use rutter_policy::{Community, PREPEND_MAX};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Direction;
use crate::rule::{Operations, Prepend};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Operation {
    AddCommunity {
        value: Community,
    },
    #[serde(rename = "prependASPath")]
    PrependAsPath {
        prefix: Vec<u32>,
    },
    SetPriority(IgnoredAny),
}

/// What they do together.
pub(super) fn all(raw: Vec<Operation>, direction: Direction) -> Result<Operations, String> {
    let mut operations = Operations::default();
    for (index, operation) in raw.into_iter().enumerate() {
        match operation {
            Operation::AddCommunity { value } => operations.communities.push(value),
            Operation::PrependAsPath { prefix } => {
                let prepend = prepend(operations.prepend, &prefix, direction)
                    .map_err(|why| format!("operations[{index}].prependASPath.prefix: {why}"))?;
                operations.prepend = Some(prepend);
            }
            Operation::SetPriority(IgnoredAny) => {
                let why = match direction {
                    Direction::Export => "which are not announced",
                    Direction::Import => "which no policy sets",
                };
                return Err(format!(
                    "operations[{index}].setPriority: it is a metric of the kernel's routes, {why}"
                ));
            }
        }
    }
    Ok(operations)
}

/// One more list of AS numbers to prepend.
fn prepend(
    so_far: Option<Prepend>,
    prefix: &[u32],
    direction: Direction,
) -> Result<Prepend, String> {
    let whose = match direction {
        Direction::Export => "our own",
        Direction::Import => "the peer's",
    };
    let [first, ..] = *prefix else {
        return Err(format!("it is empty: name {whose} AS number"));
    };
    let asn = so_far.map_or(first, |prepend| prepend.asn);
    if prefix.iter().any(|other| *other != asn) {
        return Err(format!(
            "only {whose} AS number can be prepended, so all must be the same"
        ));
    }
    let times = usize::from(so_far.map_or(0, |prepend| prepend.times)) + prefix.len();
    match u8::try_from(times) {
        Ok(times) if times <= PREPEND_MAX => Ok(Prepend { asn, times }),
        Ok(_) | Err(_) => Err(format!("{times} numbers are more than {PREPEND_MAX}")),
    }
}
