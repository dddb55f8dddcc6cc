//! Reads `cases.txt`, the table of what the default policy decides. Included by the native tests
//! beside this file and by the host's tests of the compiled module, so that both are held to
//! the same table. It knows neither's types.

/// The columns that describe a situation.
const COLUMNS: usize = 7;

/// One combination of the table's columns, in one address family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) family: &'static str,
    pub(crate) what: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) node: &'static str,
    pub(crate) service_type: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) here: &'static str,
    pub(crate) covered: &'static str,
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

    /// Ready, serving while terminating, and unready endpoints on this node, of the
    /// candidate's family and of the other.
    pub(crate) fn endpoints_here(&self) -> [[u32; 3]; 2] {
        match self.here {
            "ready" => [[2, 1, 1], [0, 0, 0]],
            "terminating" => [[0, 1, 1], [0, 0, 0]],
            "unready" => [[0, 0, 2], [0, 0, 0]],
            "other-family" => [[0, 0, 0], [2, 0, 0]],
            "none" => [[0, 0, 0], [0, 0, 0]],
            other => panic!("`{other}` is no value of the column `here`"),
        }
    }

    /// The value of the node's exclusion label.
    pub(crate) fn exclude_label(&self) -> Option<&'static str> {
        match self.node {
            "plain" => None,
            "label-empty" => Some(""),
            "label-true" => Some("true"),
            "label-false" => Some("false"),
            other => panic!("`{other}` is no value of the column `node`"),
        }
    }

    fn cells(&self) -> [&'static str; COLUMNS] {
        [
            self.what,
            self.kind,
            self.node,
            self.service_type,
            self.policy,
            self.here,
            self.covered,
        ]
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
        for node in ["plain", "label-empty", "label-true", "label-false"] {
            let pod_cidr = Situation {
                family,
                what: "pod-cidr",
                kind: "-",
                node,
                service_type: "-",
                policy: "-",
                here: "-",
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

fn addresses(of: Situation) -> impl Iterator<Item = Situation> {
    let types = ["ClusterIP", "NodePort", "LoadBalancer"];
    let here = ["ready", "terminating", "unready", "other-family", "none"];
    types.into_iter().flat_map(move |service_type| {
        ["Cluster", "Local"].into_iter().flat_map(move |policy| {
            here.into_iter().flat_map(move |here| {
                ["yes", "no"].into_iter().map(move |covered| Situation {
                    service_type,
                    policy,
                    here,
                    covered,
                    ..of
                })
            })
        })
    })
}
