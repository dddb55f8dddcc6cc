//! What peers send wrong and their sessions survive: told at once (RFC 7606 section 6), and counted
//! for whoever asks later.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use crate::bgp::wire::{AttributeAction, AttributeError, attribute_name};
use crate::types::{Family, Prefix};

/// The subject of faults that are no attribute's.
const NLRI: &str = "NLRI";
/// The subject of a next hop that may be an attribute's, or a part of MP_REACH_NLRI.
const NEXT_HOP: &str = "NEXT_HOP";

/// Prefixes that are kept of the last message, for a status: the log has them all.
const LAST_PREFIXES_MAX: usize = 8;

/// What was wrong with one UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tolerated {
    /// Each thing that was; at least one.
    pub faults: Vec<Fault>,
    /// The prefixes concerned: of a malformed message all of them.
    pub prefixes: Vec<Prefix>,
    /// The whole message, header included, where it was malformed; else empty.
    pub message: Vec<u8>,
}

/// One thing that was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// An attribute's name, `unknown` for one without, or `NLRI`.
    pub subject: &'static str,
    /// What is wrong with it, with the section.
    pub what: String,
    /// What was done about it.
    pub treatment: Treatment,
}

/// What is done about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treatment {
    /// The attribute is forgotten, the routes are used (RFC 7606 section 2).
    AttributeDiscard,
    /// What the message announces counts as withdrawn (RFC 7606 section 2).
    TreatAsWithdraw,
    /// The message is fine, but routes of it are none of ours.
    Ignore,
}

/// What one peer sent wrong since it was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// By subject and treatment: few, for the codec names what it knows only.
    pub counts: BTreeMap<(&'static str, Treatment), u64>,
    /// The last message with a fault.
    pub last: Option<LastFault>,
}

/// The last message with a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFault {
    /// When it came.
    pub at: Instant,
    /// What was wrong, in words.
    pub faults: String,
    /// The first of the prefixes concerned.
    pub prefixes: Vec<Prefix>,
    /// How many more there were.
    pub more: usize,
}

impl Tolerated {
    /// All faults in words.
    #[must_use]
    pub fn text(&self) -> String {
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    }
}

impl Fault {
    /// What the codec found. None for what ends the session: that is told as its end.
    pub(super) fn of(error: &AttributeError) -> Option<Self> {
        let AttributeError { code, what, action } = error;
        let treatment = match action {
            AttributeAction::Discard => Treatment::AttributeDiscard,
            AttributeAction::TreatAsWithdraw => Treatment::TreatAsWithdraw,
            AttributeAction::SessionReset => return None,
        };
        Some(Self {
            subject: attribute_name(*code),
            what: format!("attribute {code} {what}"),
            treatment,
        })
    }

    /// RFC 4760 section 7 lets routes of a family that is not in use be ignored for the session.
    pub(super) fn unused_family(family: Family) -> Self {
        Self::of_prefixes(format!("{family} is not in use (RFC 4760 7)"))
    }

    /// No route may lead to this prefix.
    pub(super) fn unroutable(prefix: &Prefix, kind: &str) -> Self {
        Self::of_prefixes(format!("{prefix} is {kind}, where no route may lead"))
    }

    /// RFC 4271 section 6.3: such routes are logged and ignored.
    pub(super) fn own_next_hop(address: IpAddr) -> Self {
        let what = format!("next hop {address} is our own address (RFC 4271 6.3)");
        Self::ignored(NEXT_HOP, what)
    }

    fn of_prefixes(what: String) -> Self {
        Self::ignored(NLRI, what)
    }

    fn ignored(subject: &'static str, what: String) -> Self {
        Self {
            subject,
            what,
            treatment: Treatment::Ignore,
        }
    }
}

impl FaultCounts {
    pub(super) fn add(&mut self, now: Instant, tolerated: &Tolerated) {
        for fault in &tolerated.faults {
            let kind = (fault.subject, fault.treatment);
            *self.counts.entry(kind).or_default() += 1;
        }
        let prefixes = &tolerated.prefixes;
        let shown = prefixes.len().min(LAST_PREFIXES_MAX);
        self.last = Some(LastFault {
            at: now,
            faults: tolerated.text(),
            prefixes: prefixes[..shown].to_vec(),
            more: prefixes.len() - shown,
        });
    }
}

impl Treatment {
    /// For a metric's label and for scripts.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AttributeDiscard => "attribute-discard",
            Self::TreatAsWithdraw => "treat-as-withdraw",
            Self::Ignore => "ignore",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = match self.treatment {
            Treatment::AttributeDiscard => "attribute discarded",
            Treatment::TreatAsWithdraw => "treated as withdraw",
            Treatment::Ignore => "ignored",
        };
        write!(f, "{}: {}: {done}", self.subject, self.what)
    }
}
