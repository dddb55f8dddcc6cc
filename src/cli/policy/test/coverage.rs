//! What the cases of a run have shown of a module, and what they have not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::judge::Shown;
use crate::cases::{ExpectedVerdict, RouteKind};
use crate::types::Family;
use crate::wasm::Purpose;

/// Gathered case by case.
#[derive(Debug)]
pub(super) struct Coverage {
    purpose: Purpose,
    asked: BTreeMap<Kind, Verdicts>,
    reasons: BTreeSet<String>,
    declared: BTreeSet<String>,
}

/// Decisions counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Verdicts {
    pub(super) accept: u64,
    pub(super) reject: u64,
    pub(super) abstain: u64,
}

/// What came together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CoverageReport {
    /// Of all routes.
    pub(super) decisions: Verdicts,
    /// Each kind and family that was asked about.
    pub(super) asked: Vec<Asked>,
    /// Kinds and families that the policy can be asked about, and that no case asked about.
    pub(super) never_asked: Vec<Kind>,
    /// Reasons that the files declare and no decision gave.
    pub(super) reasons_never_seen: Vec<String>,
    /// Reasons that were given and that no declaration has, where there are declarations.
    pub(super) reasons_not_declared: Vec<String>,
}

/// One kind of route with its decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Asked {
    #[serde(flatten)]
    pub(super) kind: Kind,
    #[serde(flatten)]
    pub(super) decisions: Verdicts,
}

/// One kind of route of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Kind {
    pub(super) route: Route,
    pub(super) family: Family,
}

/// What a policy is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub(super) enum Route {
    /// A candidate.
    Candidate(RouteKind),
    /// A learned route.
    Learned(Learned),
}

/// Learned routes are all of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Learned {
    Learned,
}

impl Route {
    /// Everything that a policy of this purpose may be asked about.
    fn all(purpose: Purpose) -> Vec<Self> {
        let mut all = Vec::new();
        if purpose.serves(Purpose::Announce) {
            all.extend(RouteKind::ALL.map(Self::Candidate));
        }
        if purpose.serves(Purpose::Learn) {
            all.push(Self::Learned(Learned::Learned));
        }
        all
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Candidate(kind) => kind.name(),
            Self::Learned(Learned::Learned) => "learned",
        }
    }
}

impl Coverage {
    /// Of a policy of this purpose, which nobody has asked anything yet.
    pub(super) fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            asked: BTreeMap::new(),
            reasons: BTreeSet::new(),
            declared: BTreeSet::new(),
        }
    }

    /// Reasons that a file says the policy gives, with `*` in them.
    pub(super) fn declare(&mut self, reasons: &[String]) {
        self.declared.extend(reasons.iter().cloned());
    }

    /// Takes in the decisions of a case.
    pub(super) fn add(&mut self, decided: &[Shown]) {
        for shown in decided {
            let Shown {
                kind,
                verdict,
                reason,
                line: _,
            } = shown;
            self.asked.entry(*kind).or_default().count(*verdict);
            self.reasons.extend(reason.clone());
        }
    }

    /// What came together.
    pub(super) fn report(&self) -> CoverageReport {
        let mut decisions = Verdicts::default();
        for counted in self.asked.values() {
            decisions.accept += counted.accept;
            decisions.reject += counted.reject;
            decisions.abstain += counted.abstain;
        }
        let asked = |(&kind, &decisions): (&_, &_)| Asked { kind, decisions };
        let kinds = Route::all(self.purpose).into_iter().flat_map(|route| {
            let families = Family::ALL.into_iter();
            families.map(move |family| Kind { route, family })
        });
        let seen = |pattern: &&String| !self.reasons.iter().any(|reason| matches(pattern, reason));
        let declared = |reason: &&String| !self.declared.iter().any(|known| matches(known, reason));
        CoverageReport {
            decisions,
            asked: self.asked.iter().map(asked).collect(),
            never_asked: kinds
                .filter(|kind| !self.asked.contains_key(kind))
                .collect(),
            reasons_never_seen: self.declared.iter().filter(seen).cloned().collect(),
            reasons_not_declared: if self.declared.is_empty() {
                Vec::new()
            } else {
                self.reasons.iter().filter(declared).cloned().collect()
            },
        }
    }
}

impl Verdicts {
    fn count(&mut self, verdict: ExpectedVerdict) {
        *match verdict {
            ExpectedVerdict::Accept => &mut self.accept,
            ExpectedVerdict::Reject => &mut self.reject,
            ExpectedVerdict::Abstain => &mut self.abstain,
        } += 1;
    }
}

/// Whether `text` is the pattern with something, or nothing, in place of each `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else {
            return false;
        };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything_and_nothing() {
        for (pattern, text) in [
            ("covered by *", "covered by the aggregate 10.0.0.0/8"),
            ("*", ""),
            ("a*b*c", "abc"),
            ("a*b*c", "a b b c c"),
            ("plain", "plain"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("covered by *", "not covered by it"),
            ("a*b", "ab "),
            ("a*a", "a"),
            ("plain", "plainer"),
            ("a*b*b", "ab"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
