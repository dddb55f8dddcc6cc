//! `max-received` of `[[peers]]`: how much a peer may have us keep.

use std::time::Duration;

use super::hold_time::seconds;
use super::limits::{self, Bounds, SIZE_UNITS};
use super::raw::{Report, Section, Value};
use crate::types::ReceiveLimits;

const KEYS: &[&str] = &["ipv4", "ipv6", "attributes", "warn-at", "restart"];

/// A set of attributes takes some hundred octets; a node spares no more than some GiB.
const ATTRIBUTES: Bounds = Bounds {
    least: 1 << 20,
    most: 16 << 30,
};

/// As many as there are in 32 bits of dense numbers; memory ends long before.
const PREFIXES_MAX: u32 = 100_000_000;

/// At once again, and a day.
const RESTART_SECONDS: std::ops::RangeInclusive<u64> = 1..=86_400;

/// Reads `max-received = { ipv4 = 1000000, ipv6 = 1000000, attributes = "256MiB", warn-at = "75%",
/// restart = "5m" }`, every key of which may be left out.
pub(super) fn read(value: Option<&Value<'_>>, report: &mut Report) -> ReceiveLimits {
    const DEFAULT: ReceiveLimits = ReceiveLimits::DEFAULT;
    let section = Section::of(value, KEYS, report);
    let mut prefixes = |key, default| {
        let value = section.value(key);
        let number = value.and_then(|value| value.integer(1, PREFIXES_MAX, report));
        number.map_or(default, |number| number as usize)
    };
    let (ipv4_prefixes, ipv6_prefixes) = (
        prefixes("ipv4", DEFAULT.ipv4_prefixes),
        prefixes("ipv6", DEFAULT.ipv6_prefixes),
    );
    let attributes = section.value("attributes").and_then(|value| {
        let advice = "a size with its unit, such as \"64MiB\"";
        limits::amount(&value, SIZE_UNITS, &ATTRIBUTES, advice, report)
    });
    let warn_at = section.value("warn-at");
    let restart = section.value("restart");
    ReceiveLimits {
        ipv4_prefixes,
        ipv6_prefixes,
        attribute_bytes: attributes.map_or(DEFAULT.attribute_bytes, |octets| {
            usize::try_from(octets).unwrap_or(usize::MAX)
        }),
        warn_percent: warn_at
            .and_then(|value| percent(&value, report))
            .unwrap_or(DEFAULT.warn_percent),
        restart: restart
            .and_then(|value| time(&value, report))
            .unwrap_or(DEFAULT.restart),
    }
}

fn percent(value: &Value<'_>, report: &mut Report) -> Option<u8> {
    const ADVICE: &str = "a share of \"1%\" to \"100%\"";
    let text = value.text(ADVICE, report)?;
    let percent = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok());
    let percent = percent.filter(|percent| (1..=100).contains(percent));
    if percent.is_none() {
        value.problem(format!("is {text:?}; write {ADVICE}"), report);
    }
    percent
}

fn time(value: &Value<'_>, report: &mut Report) -> Option<Duration> {
    const ADVICE: &str = "a time of \"1s\" to \"24h\"";
    let text = value.text(ADVICE, report)?;
    let time = seconds(text).filter(|time| RESTART_SECONDS.contains(time));
    if time.is_none() {
        value.problem(format!("is {text:?}; write {ADVICE}"), report);
    }
    time.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, parse};
    use super::*;

    fn with(max_received: &str) -> String {
        format!("[[peers]]\naddress = '10.0.0.1'\nasn = 1\nmax-received = {max_received}")
    }

    #[test]
    fn every_key_may_be_left_out_and_each_is_read() {
        let [peer] = &parse(&with("{}")).peers[..] else {
            panic!("one peer");
        };
        assert_eq!(peer.limits, ReceiveLimits::DEFAULT);
        let all =
            "{ ipv4 = 10, ipv6 = 20, attributes = '2MiB', warn-at = '50%', restart = '1m30s' }";
        assert_eq!(
            parse(&with(all)).peers[0].limits,
            ReceiveLimits {
                ipv4_prefixes: 10,
                ipv6_prefixes: 20,
                attribute_bytes: 2 << 20,
                warn_percent: 50,
                restart: Duration::from_secs(90),
            }
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_write() {
        for (key, advice) in [
            ("ipv4 = 0", "write 1 to 100000000"),
            ("ipv6 = -1", "write 1 to 100000000"),
            ("attributes = '12'", "write a size with its unit"),
            ("attributes = '1KiB'", "write \"1MiB\" to \"16GiB\""),
            ("warn-at = '0%'", "write a share of \"1%\" to \"100%\""),
            ("warn-at = '101%'", "write a share"),
            ("warn-at = '75'", "write a share"),
            ("restart = '0s'", "write a time of \"1s\" to \"24h\""),
            ("restart = '25h'", "write a time"),
            ("restart = '5'", "write a time"),
            ("ipv5 = 1", "did you mean ipv4?"),
        ] {
            let errors = errors(&with(&format!("{{ {key} }}")));
            assert!(errors.contains(advice), "{key}: {errors}");
        }
    }

    #[test]
    fn a_warning_comes_at_its_share_and_never_at_nothing() {
        let limits = ReceiveLimits {
            warn_percent: 50,
            ..ReceiveLimits::DEFAULT
        };
        assert_eq!(limits.warn_at(10), 5);
        assert_eq!(limits.warn_at(1), 1);
        assert_eq!(limits.warn_at(usize::MAX), usize::MAX / 2);
    }
}
