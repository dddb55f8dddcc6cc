//! What status tells of routes for Services.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::candidates::Concern;
use crate::facts::EXCLUDE_LABEL;

/// Routes for Services on this node: ranges, and single addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ServiceRoutes {
    /// Those that could be announced.
    pub candidates: u64,
    /// Of these, those that some peer is offered.
    pub offered: u64,
    /// What it is about the node that none is offered, where there is such a thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Withheld>,
    /// What owners of Services should look at, by kind: how many.
    pub concerns: BTreeMap<String, u64>,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Concern>,
}

/// Why a node announces no routes for Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Withheld {
    /// It has the label [`EXCLUDE_LABEL`].
    ExcludeLabel,
    /// Its condition `NetworkUnavailable` is `True`.
    NetworkUnavailable,
}

impl ServiceRoutes {
    /// In words, what is withheld and why.
    #[must_use]
    pub fn withheld_text(&self) -> Option<String> {
        let Self {
            candidates,
            offered,
            ..
        } = self;
        let why = self.withheld?;
        Some(format!(
            "{offered} of {candidates} Service routes offered: {why}"
        ))
    }
}

impl Withheld {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ExcludeLabel, Self::NetworkUnavailable];

    /// A short name for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ExcludeLabel => "exclude-label",
            Self::NetworkUnavailable => "network-unavailable",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExcludeLabel => write!(f, "the node is labelled {EXCLUDE_LABEL}"),
            Self::NetworkUnavailable => {
                f.write_str("the node's condition NetworkUnavailable is True")
            }
        }
    }
}
