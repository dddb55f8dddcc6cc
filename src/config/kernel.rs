//! `[kernel]`: whether learned routes go into the kernel's table, and blackholes for the node's own
//! blocks, and how they are told there.

use super::raw::{Report, Section, Value};
use crate::types::OwnBlocks;

pub(super) const KEYS: &[&str] = &[
    "learned-routes",
    "blackhole-own-blocks",
    "table",
    "metric",
    "protocol",
];

/// The table that every packet without a rule of its own is looked up in.
const MAIN_TABLE: u32 = 254;

/// Above what other programs commonly use (DHCP clients 100 to 1024, the kernel itself 256 and
/// 1024): where there is another route to the same prefix, that one wins.
const METRIC_DEFAULT: u32 = 4096;

/// BGP's port; neither the kernel nor iproute2 gives this number to anybody.
const PROTOCOL_DEFAULT: u8 = 179;

/// `[kernel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// What becomes of learned routes.
    pub learned_routes: LearnedRoutes,
    /// `blackhole-own-blocks`.
    pub own_blocks: OwnBlocks,
    /// Which of the kernel's tables.
    pub table: u32,
    /// What the kernel compares routes to one prefix by: it uses the lowest. Never 0, which IPv6
    /// takes for 1024.
    pub metric: u32,
    /// What tells our routes from all others in that table.
    pub protocol: u8,
}

/// `learned-routes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LearnedRoutes {
    /// They go into the table, as far as import policies let them.
    Install,
    /// None is there: what a former agent left is removed.
    #[default]
    Remove,
}

/// Reads `[kernel]`; without it the kernel is left alone.
pub(super) fn read(top: &Section<'_>, report: &mut Report) -> Option<KernelConfig> {
    let table = top.value("kernel")?;
    let section = Section::of(Some(&table), KEYS, report);
    let learned_routes = section.value("learned-routes");
    let learned_routes = learned_routes.and_then(|value| value.boolean(report));
    let blackhole = section.value("blackhole-own-blocks");
    let blackhole = blackhole.and_then(|value| value.boolean(report));
    let number = |key, min, max, report: &mut Report| {
        let value = section.value(key)?;
        value
            .integer(min, max, report)
            .map(|number| (value, number))
    };
    let table = number("table", 1, u32::MAX, report);
    let table = table.and_then(|(value, table)| table_of_routes(&value, table, report));
    let metric = number("metric", 1, u32::MAX, report).map(|(_, metric)| metric);
    let protocol = number("protocol", 0, 255, report);
    let protocol = protocol.and_then(|(value, number)| protocol_of_ours(&value, number, report));
    Some(KernelConfig {
        learned_routes: match learned_routes {
            Some(true) => LearnedRoutes::Install,
            Some(false) | None => LearnedRoutes::Remove,
        },
        // Whoever has routes by peers has a default route by them, soon or late.
        own_blocks: match blackhole.or(learned_routes) {
            Some(true) => OwnBlocks::Discard,
            Some(false) | None => OwnBlocks::Leave,
        },
        table: table.unwrap_or(MAIN_TABLE),
        metric: metric.unwrap_or(METRIC_DEFAULT),
        protocol: protocol.unwrap_or(PROTOCOL_DEFAULT),
    })
}

fn table_of_routes(value: &Value<'_>, table: u32, report: &mut Report) -> Option<u32> {
    if table == 255 {
        let advice = "write 254 (main) or the number of a table of your own";
        value.problem(
            format!("is 255 (local), which is the kernel's; {advice}"),
            report,
        );
        return None;
    }
    Some(table)
}

/// A number that no other program's routes have: whatever has ours is changed and removed by us.
fn protocol_of_ours(value: &Value<'_>, number: u32, report: &mut Report) -> Option<u8> {
    let number = u8::try_from(number).ok()?;
    let whose = match number {
        0 => "unspecified",
        1 | 2 => "the kernel's",
        3 | 4 => "that of routes which administrators and network plugins make",
        8..=11 | 13..=15 | 17 | 42 | 99 | 186..=198 => "another routing daemon's",
        12 => "BIRD's, and so Calico's",
        16 => "that of DHCP clients",
        18 => "keepalived's",
        80 => "Calico Felix's",
        84 => "OVN's",
        5..=7 | 19..=41 | 43..=79 | 81..=83 | 85..=98 | 100..=185 | 199..=255 => {
            return Some(number);
        }
    };
    let advice = "write one that nothing else on the node uses, such as 179";
    value.problem(format!("is {number}, {whose}; {advice}"), report);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn parse(text: &str) -> Result<Option<KernelConfig>, String> {
        let config = Config::parse("rutter.toml", text, &Overrides::default());
        Ok(config.map_err(|errors| errors.to_string())?.kernel)
    }

    #[test]
    fn without_the_table_the_kernel_is_left_alone() {
        assert_eq!(parse(""), Ok(None));
    }

    #[test]
    fn an_empty_table_removes_what_is_left_and_installs_nothing() {
        let expected = KernelConfig {
            learned_routes: LearnedRoutes::Remove,
            own_blocks: OwnBlocks::Leave,
            table: 254,
            metric: 4096,
            protocol: 179,
        };
        assert_eq!(parse("[kernel]"), Ok(Some(expected)));
        assert_eq!(
            parse("[kernel]\nlearned-routes = false"),
            Ok(Some(expected))
        );
    }

    #[test]
    fn every_key_is_read() {
        let text = "[kernel]\nlearned-routes = true\nblackhole-own-blocks = false\ntable = 70000\nmetric = 1\nprotocol = 200";
        let expected = KernelConfig {
            learned_routes: LearnedRoutes::Install,
            own_blocks: OwnBlocks::Leave,
            table: 70_000,
            metric: 1,
            protocol: 200,
        };
        assert_eq!(parse(text), Ok(Some(expected)));
    }

    #[test]
    fn own_blocks_are_discarded_with_learned_routes_or_where_it_is_said() {
        for (text, expected) in [
            ("", OwnBlocks::Leave),
            ("learned-routes = true", OwnBlocks::Discard),
            ("learned-routes = false", OwnBlocks::Leave),
            (
                "learned-routes = true\nblackhole-own-blocks = false",
                OwnBlocks::Leave,
            ),
            ("blackhole-own-blocks = true", OwnBlocks::Discard),
        ] {
            let config = parse(&format!("[kernel]\n{text}")).unwrap().unwrap();
            assert_eq!(config.own_blocks, expected, "{text}");
        }
    }

    #[test]
    fn what_would_touch_others_routes_is_refused() {
        for (text, words) in [
            ("table = 0", "kernel.table is 0; write 1 to 4294967295"),
            (
                "table = 255",
                "kernel.table is 255 (local), which is the kernel's; write 254",
            ),
            ("metric = 0", "kernel.metric is 0; write 1 to 4294967295"),
            ("metric = -1", "kernel.metric is -1; write 1"),
            (
                "metric = '1'",
                "kernel.metric is a string; write a whole number",
            ),
            (
                "protocol = 2",
                "kernel.protocol is 2, the kernel's; write one that nothing else",
            ),
            (
                "protocol = 4",
                "kernel.protocol is 4, that of routes which administrators",
            ),
            (
                "protocol = 12",
                "kernel.protocol is 12, BIRD's, and so Calico's; write one",
            ),
            (
                "protocol = 186",
                "kernel.protocol is 186, another routing daemon's; write one",
            ),
            ("protocol = 256", "kernel.protocol is 256; write 0 to 255"),
            (
                "learned-routes = 1",
                "kernel.learned-routes is a whole number; write true",
            ),
            (
                "blackhole-own-blocks = 'yes'",
                "kernel.blackhole-own-blocks is a string; write true",
            ),
            (
                "learned-route = true",
                "kernel.learned-route is not a key; did you mean",
            ),
        ] {
            let error = parse(&format!("[kernel]\n{text}")).unwrap_err();
            assert!(error.starts_with("rutter.toml:2:"), "{error}");
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
