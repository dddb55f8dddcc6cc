//! `guard`: how much a reload may withdraw of what is announced, and reject of what is learned,
//! without being asked for it.

use std::fmt;

use super::raw::{Report, Section, Value};

pub(super) const KEYS: &[&str] = &["max-withdraw"];

/// `guard`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// A reload that withdraws more, or rejects more of what is learned, is held back until it is
    /// approved.
    pub max_withdraw: MaxWithdraw,
}

/// The most that a reload may withdraw. Prints as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxWithdraw {
    /// So much of what is announced, in percent, 0 to 100; 100 holds nothing back.
    Percent(u8),
    /// So many routes, each counted once for each peer.
    Routes(u32),
}

impl Default for MaxWithdraw {
    /// Half. A node announces few routes, so that one range or one peer of several is easily a
    /// third of them, and each node would wait for its own approval of an ordinary change. What
    /// withdraws more than half is rarely meant: settings that match nothing, a list of peers or
    /// ranges that was lost on the way.
    fn default() -> Self {
        Self::Percent(50)
    }
}

impl MaxWithdraw {
    /// Whether so many of so many announced routes may be withdrawn.
    #[must_use]
    pub fn allows(self, withdrawn: u64, announced: u64) -> bool {
        match self {
            Self::Percent(percent) => {
                u128::from(withdrawn) * 100 <= u128::from(announced) * u128::from(percent)
            }
            Self::Routes(routes) => withdrawn <= u64::from(routes),
        }
    }
}

impl fmt::Display for MaxWithdraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Routes(routes) => routes.fmt(f),
        }
    }
}

/// Reads `guard = { max-withdraw = "50%" }`.
pub(super) fn read(top: &Section<'_>, report: &mut Report) -> Guard {
    let section = Section::of(top.value("guard").as_ref(), KEYS, report);
    let max_withdraw = section
        .value("max-withdraw")
        .and_then(|value| max_withdraw(&value, report));
    Guard {
        max_withdraw: max_withdraw.unwrap_or_default(),
    }
}

fn max_withdraw(value: &Value<'_>, report: &mut Report) -> Option<MaxWithdraw> {
    if value.is_number() {
        return value.integer(0, u32::MAX, report).map(MaxWithdraw::Routes);
    }
    let advice = "a share such as \"20%\", or a number of routes without quotes";
    let text = value.text(advice, report)?;
    let percent = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok())
        .filter(|percent| *percent <= 100);
    if percent.is_none() {
        value.problem(format!("is {text:?}; write {advice}"), report);
    }
    percent.map(MaxWithdraw::Percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn parse(guard: &str) -> Result<MaxWithdraw, String> {
        let config = Config::parse("rutter.toml", guard, &Overrides::default());
        let config = config.map_err(|errors| errors.to_string())?;
        Ok(config.guard.max_withdraw)
    }

    #[test]
    fn a_share_or_a_number_of_routes_may_be_written() {
        assert_eq!(parse(""), Ok(MaxWithdraw::Percent(50)));
        assert_eq!(parse("guard = {}"), Ok(MaxWithdraw::Percent(50)));
        for (text, read) in [
            ("'0%'", MaxWithdraw::Percent(0)),
            ("'100%'", MaxWithdraw::Percent(100)),
            ("0", MaxWithdraw::Routes(0)),
            ("4000000000", MaxWithdraw::Routes(4_000_000_000)),
        ] {
            let written = text.trim_matches('\'');
            assert_eq!(read.to_string(), written);
            assert_eq!(
                parse(&format!("guard = {{ max-withdraw = {text} }}")),
                Ok(read)
            );
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write() {
        let advice = "a share such as \"20%\", or a number of routes without quotes";
        for text in ["'20'", "'101%'", "'-1%'", "'1.5%'", "'%'", "'20 %'"] {
            let error = parse(&format!("guard = {{ max-withdraw = {text} }}")).unwrap_err();
            let written = text.trim_matches('\'');
            let expected =
                format!("rutter.toml:1:26: guard.max-withdraw is {written:?}; write {advice}");
            assert_eq!(error, expected);
        }
        let number = parse("guard = { max-withdraw = -1 }").unwrap_err();
        assert!(number.contains("is -1; write 0 to 4294967295"), "{number}");
        let boolean = parse("guard = { max-withdraw = true }").unwrap_err();
        assert!(boolean.contains("is a boolean; write a share"), "{boolean}");
        let key = parse("guard = { max-withdrawn = 1 }").unwrap_err();
        assert!(key.contains("did you mean max-withdraw?"), "{key}");
    }

    #[test]
    fn a_share_is_exceeded_by_one_route_more() {
        let share = MaxWithdraw::Percent(20);
        assert!(share.allows(2, 10) && !share.allows(3, 10));
        assert!(share.allows(0, 0), "nothing is announced, nothing goes");
        assert!(MaxWithdraw::Percent(0).allows(0, 10));
        assert!(!MaxWithdraw::Percent(0).allows(1, u64::MAX));
        assert!(MaxWithdraw::Percent(100).allows(u64::MAX, u64::MAX));
        let routes = MaxWithdraw::Routes(3);
        assert!(routes.allows(3, 3) && !routes.allows(4, 1_000_000));
    }
}
