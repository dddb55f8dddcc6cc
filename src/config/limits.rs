//! `limits` of `[[policies]]`: times and sizes as people write them, within bounds that leave a
//! module room to answer and the node room to live.

use std::time::Duration;

use super::raw::{Report, Section, Value};
use crate::policy::Limits;

pub(super) const KEYS: &[&str] = &["time", "memory", "output"];

/// A number's unit and what it is worth; the largest first.
pub(super) type Units = [(&'static str, u64)];

const TIME_UNITS: &Units = &[("s", 1_000), ("ms", 1)];
pub(super) const SIZE_UNITS: &Units = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// The least and the most that may be written, in milliseconds or bytes.
pub(super) struct Bounds {
    pub(super) least: u64,
    pub(super) most: u64,
}

/// A module is given its time twice, and whoever waits for the round waits for that: with ten seconds
/// it is far from what is taken for a pipeline that does not get on.
const TIME: Bounds = Bounds {
    least: 1,
    most: 10_000,
};
/// Rust's modules start with a little more than one MiB; a node spares no more than a GiB.
const MEMORY: Bounds = Bounds {
    least: 1 << 20,
    most: 1 << 30,
};
/// The answer to one candidate, with a reason, takes some hundred bytes.
const OUTPUT: Bounds = Bounds {
    least: 64 << 10,
    most: 256 << 20,
};

/// Reads `limits = { time = "1s", memory = "64MiB", output = "16MiB" }`, every key of which may
/// be left out.
pub(super) fn read(value: Option<&Value<'_>>, report: &mut Report) -> Limits {
    let section = Section::of(value, KEYS, report);
    let mut amount = |key, units, bounds: &Bounds, advice| {
        section
            .value(key)
            .and_then(|value| amount(&value, units, bounds, advice, report))
    };
    let size_advice = "a size with its unit, such as \"64MiB\" or \"512KiB\"";
    let time = amount(
        "time",
        TIME_UNITS,
        &TIME,
        "a time with its unit, such as \"250ms\" or \"2s\"",
    );
    let memory = amount("memory", SIZE_UNITS, &MEMORY, size_advice);
    let output = amount("output", SIZE_UNITS, &OUTPUT, size_advice);
    let bytes = |amount: Option<u64>, default| {
        amount.map_or(default, |amount| {
            usize::try_from(amount).expect("at most one GiB, by the bounds")
        })
    };
    Limits {
        time: time.map_or(Limits::DEFAULT.time, Duration::from_millis),
        memory_bytes: bytes(memory, Limits::DEFAULT.memory_bytes),
        output_bytes: bytes(output, Limits::DEFAULT.output_bytes),
    }
}

pub(super) fn amount(
    value: &Value<'_>,
    units: &Units,
    bounds: &Bounds,
    advice: &str,
    report: &mut Report,
) -> Option<u64> {
    let text = value.text(advice, report)?;
    let Some(amount) = parse(text, units) else {
        value.problem(format!("is {text:?}; write {advice}"), report);
        return None;
    };
    if !(bounds.least..=bounds.most).contains(&amount) {
        let (least, most) = (shown(bounds.least, units), shown(bounds.most, units));
        let problem = format!("is {text:?}; write \"{least}\" to \"{most}\"");
        value.problem(problem, report);
        return None;
    }
    Some(amount)
}

/// A whole number and its unit, in the smallest unit.
fn parse(text: &str, units: &Units) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, worth) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*worth)
}

/// As the operator would write it.
fn shown(amount: u64, units: &Units) -> String {
    let exact = units
        .iter()
        .find(|(_, worth)| amount.is_multiple_of(*worth));
    match exact {
        Some((unit, worth)) => format!("{}{unit}", amount / worth),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_numbers_with_a_unit() {
        assert_eq!(parse("250ms", TIME_UNITS), Some(250));
        assert_eq!(parse("2s", TIME_UNITS), Some(2000));
        assert_eq!(parse("64MiB", SIZE_UNITS), Some(64 << 20));
        assert_eq!(parse("1GiB", SIZE_UNITS), Some(1 << 30));
        let overflow = "99999999999999999999s";
        for text in ["", "1", "s", "-1s", "1.5s", "1 s", "1m", "1s5ms", overflow] {
            assert_eq!(parse(text, TIME_UNITS), None, "{text}");
        }
        for text in ["64MB", "64M", "64mib", "18446744073709551615GiB"] {
            assert_eq!(parse(text, SIZE_UNITS), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_shown_as_they_are_written() {
        assert_eq!(shown(1, TIME_UNITS), "1ms");
        assert_eq!(shown(10_000, TIME_UNITS), "10s");
        assert_eq!(shown(64 << 10, SIZE_UNITS), "64KiB");
    }
}
