//! Hold times as people write them.

use super::raw::{Report, Value};
use crate::types::HoldTime;

const ADVICE: &str = "a time with its unit, such as \"90s\" or \"3m\"";

/// Reads a time such as `90s` or `1m30s` that can be a hold time.
pub(super) fn read(value: &Value<'_>, report: &mut Report) -> Option<HoldTime> {
    let text = value.text(ADVICE, report)?;
    match parse(text) {
        Ok(hold_time) => Some(hold_time),
        Err(problem) => {
            value.problem(format!("is {text:?}{problem}"), report);
            None
        }
    }
}

fn parse(text: &str) -> Result<HoldTime, String> {
    let seconds = seconds(text).ok_or_else(|| format!("; write {ADVICE}"))?;
    let Ok(seconds) = u16::try_from(seconds) else {
        return Err("; at most \"65535s\" fit a message (RFC 4271 4.2)".to_owned());
    };
    HoldTime::from_secs(seconds).map_err(|error| format!(": {error}"))
}

/// The sum of numbers with units, each unit at most once and the larger ones first.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0u64;
    let mut smaller_than = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest[digits..].chars().next()? {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        if unit >= smaller_than {
            return None;
        }
        smaller_than = unit;
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (smaller_than < u64::MAX).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sums_of_units() {
        for (text, expected) in [
            ("90s", 90),
            ("3m", 180),
            ("1m30s", 90),
            ("1h", 3600),
            ("0s", 0),
            ("010s", 10),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        let overflow = "18446744073709551615h";
        for text in [
            "", "90", "s", "1s1m", "1s1s", "1.5s", "-1s", "1 s", "1ms", "1µ", overflow,
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
