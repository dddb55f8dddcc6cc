//! Reads `cases.txt`, the table of what the default policy decides. Included by the native tests
//! beside this file and by the host's tests of the compiled module, so that both are held to
//! the same table. It knows neither's types.

/// The columns that describe a situation.
const COLUMNS: usize = 5;

/// One combination of the table's columns, in one address family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) family: &'static str,
    pub(crate) what: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) node: &'static str,
    pub(crate) serving: &'static str,
    pub(crate) covered: &'static str,
}

/// Ready ones, those that serve while they terminate, and unready ones, of the address's family
/// unless the name says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoints {
    pub(crate) here: [u32; 3],
    pub(crate) other_family_here: [u32; 3],
    pub(crate) elsewhere: [u32; 3],
    pub(crate) without_node: [u32; 3],
}

/// What the table says about a situation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// `accept` or `reject`.
    pub(crate) verdict: String,
    pub(crate) reason: String,
}

impl Situation {
    /// The candidate's prefix.
    pub(crate) fn prefix(&self) -> &'static str {
        match (self.family, self.what) {
            ("IPv4", "address") => "192.0.2.10/32",
            ("IPv4", _) => self.range(),
            (_, "address") => "2001:db8::10/128",
            (_, _) => self.range(),
        }
    }

    /// The configured range that covers addresses where one does.
    pub(crate) fn range(&self) -> &'static str {
        match self.family {
            "IPv4" => "192.0.2.0/24",
            _ => "2001:db8::/64",
        }
    }

    /// What the agent says of the address, in the contract's words.
    pub(crate) fn serving(&self) -> &'static str {
        match self.serving {
            "this-node" | "terminating" => "this-node",
            "no-endpoint-here" | "unready" | "other-family" => "no-endpoint-here",
            "without-node" | "one-without-node" => "endpoints-without-node",
            "no-cluster-ip" => "other-family",
            "load-balancer" => "load-balancer-answers",
            "any-node" | "no-endpoint" | "other-proxy" => self.serving,
            other => panic!("`{other}` is no value of the column `serving`"),
        }
    }

    /// The Service's endpoints.
    pub(crate) fn endpoints(&self) -> Endpoints {
        let none = Endpoints {
            here: [0; 3],
            other_family_here: [0; 3],
            elsewhere: [0; 3],
            without_node: [0; 3],
        };
        let elsewhere = Endpoints {
            elsewhere: [3, 0, 0],
            ..none
        };
        match self.serving {
            "this-node" => Endpoints {
                here: [2, 1, 1],
                ..elsewhere
            },
            "terminating" => Endpoints {
                here: [0, 1, 1],
                ..elsewhere
            },
            "unready" => Endpoints {
                here: [0, 0, 2],
                ..elsewhere
            },
            "other-family" => Endpoints {
                other_family_here: [2, 0, 0],
                ..elsewhere
            },
            "no-endpoint" => Endpoints {
                here: [0, 0, 1],
                elsewhere: [0, 0, 1],
                ..none
            },
            "without-node" => Endpoints {
                without_node: [2, 0, 0],
                ..none
            },
            "one-without-node" => Endpoints {
                without_node: [1, 0, 0],
                ..none
            },
            _ => elsewhere,
        }
    }

    /// The value of the Service's label that names a proxy.
    pub(crate) fn proxy_name(&self) -> Option<&'static str> {
        (self.serving == "other-proxy").then_some("mesh")
    }

    /// The value of the node's exclusion label.
    pub(crate) fn exclude_label(&self) -> Option<&'static str> {
        match self.node {
            "plain" | "no-network" | "network-unknown" | "network-fine" => None,
            "label-empty" => Some(""),
            "label-true" | "label-honoured" | "label-ignored" | "ignored-no-network" => {
                Some("true")
            }
            "label-false" => Some("false"),
            other => panic!("`{other}` is no value of the column `node`"),
        }
    }

    /// The status of the node's condition `NetworkUnavailable`.
    pub(crate) fn network_unavailable(&self) -> Option<&'static str> {
        match self.node {
            "no-network" | "ignored-no-network" => Some("True"),
            "network-unknown" => Some("Unknown"),
            "network-fine" => Some("False"),
            _ => None,
        }
    }

    /// The policy's settings, as JSON.
    pub(crate) fn settings(&self) -> &'static str {
        match self.node {
            "label-honoured" => r#"{"exclude-label": "honour"}"#,
            "label-ignored" | "ignored-no-network" => r#"{"exclude-label": "ignore"}"#,
            _ => "{}",
        }
    }

    fn cells(&self) -> [&'static str; COLUMNS] {
        [self.what, self.kind, self.node, self.serving, self.covered]
    }
}

/// Every combination, with what the table says about it.
///
/// # Panics
/// A combination matches no row or several, or a row matches none.
pub(crate) fn every_case() -> Vec<(Situation, Expected)> {
    let rows: Vec<Vec<&str>> = include_str!("cases.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let mut used = vec![false; rows.len()];
    let cases = situations()
        .into_iter()
        .map(|situation| {
            let matching: Vec<usize> = (0..rows.len())
                .filter(|&row| matches(&rows[row], &situation.cells()))
                .collect();
            assert_eq!(matching.len(), 1, "rows {matching:?} match {situation:?}");
            used[matching[0]] = true;
            let row = &rows[matching[0]];
            let fill = |text: &str| {
                text.replace("{family}", situation.family)
                    .replace("{range}", situation.range())
            };
            let expected = Expected {
                verdict: row[COLUMNS].into(),
                reason: fill(row[COLUMNS + 1]),
            };
            (situation, expected)
        })
        .collect();
    assert!(
        used.iter().all(|&used| used),
        "a row of cases.txt matches nothing"
    );
    cases
}

fn matches(row: &[&str], cells: &[&str; COLUMNS]) -> bool {
    assert_eq!(
        row.len(),
        COLUMNS + 2,
        "a row of cases.txt has other columns: {row:?}"
    );
    row.iter()
        .zip(cells)
        .all(|(pattern, cell)| *pattern == "*" || pattern.split(',').any(|value| value == *cell))
}

fn situations() -> Vec<Situation> {
    const KINDS: [&str; 3] = ["cluster", "external", "load-balancer"];
    let mut situations = Vec::new();
    for family in ["IPv4", "IPv6"] {
        for node in NODES {
            let pod_cidr = Situation {
                family,
                what: "pod-cidr",
                kind: "-",
                node,
                serving: "-",
                covered: "-",
            };
            situations.push(pod_cidr);
            for kind in KINDS {
                situations.push(Situation {
                    what: "service-cidr",
                    kind,
                    ..pod_cidr
                });
                situations.extend(addresses(Situation {
                    what: "address",
                    kind,
                    ..pod_cidr
                }));
            }
        }
    }
    situations
}

/// The values of the column `node`.
pub(crate) const NODES: [&str; 10] = [
    "plain",
    "label-empty",
    "label-true",
    "label-false",
    "label-honoured",
    "label-ignored",
    "no-network",
    "network-unknown",
    "network-fine",
    "ignored-no-network",
];

/// The values of the column `serving`.
pub(crate) const SERVINGS: [&str; 12] = [
    "any-node",
    "this-node",
    "terminating",
    "no-endpoint",
    "no-endpoint-here",
    "unready",
    "other-family",
    "without-node",
    "one-without-node",
    "other-proxy",
    "no-cluster-ip",
    "load-balancer",
];

fn addresses(of: Situation) -> impl Iterator<Item = Situation> {
    SERVINGS.into_iter().flat_map(move |serving| {
        ["yes", "no"].into_iter().map(move |covered| Situation {
            serving,
            covered,
            ..of
        })
    })
}
