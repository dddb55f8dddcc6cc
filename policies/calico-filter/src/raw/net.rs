//! `cidr`, `matchOperator` and `prefixLength` of a rule.

use std::ops::RangeInclusive;

use rutter_policy::{Cidr, Family, Prefix};
use serde::Deserialize;

use crate::rule::Net;

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    In,
    NotIn,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrefixLength {
    min: Option<u8>,
    max: Option<u8>,
}

/// What the three say together; nothing where none is given.
pub(super) fn net(
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
