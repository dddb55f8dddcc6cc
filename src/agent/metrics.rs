//! Prometheus metrics, made from a report at each scrape: they cannot disagree with `rutter status`.
//!
//! Names end in their unit; counters in `_total`. Those of a session start again with it, as
//! Prometheus expects of a counter that resets.

mod sessions;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::doors::Refusal;
use super::events::EventCounts;
use super::meters::{Measured, Work};
use crate::api::{
    KernelStatus, PeerStatus, PolicyStatus, Readiness, ServiceRoutes, ShadowCounts, StandIn,
    Status, Withheld,
};
use crate::policy::{Direction, FailureCounts, Mode, PolicyFailure};

/// What [`encode`] writes.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Counters = Family<Labels, Counter>;
type Seconds = Family<Labels, Counter<f64, AtomicU64>>;

/// Everything a scrape tells.
#[derive(Clone, Debug)]
pub(super) struct Scrape {
    /// As `rutter status` shows it.
    pub(super) status: Status,
    /// Candidates of this node.
    pub(super) candidates: u64,
    /// Routes that import policies decide about.
    pub(super) learned: LearnedCounts,
    pub(super) exports: Load,
    pub(super) imports: Load,
    /// What became of Kubernetes Events.
    pub(super) events: EventCounts,
    /// Connections that were closed unseen, by why.
    pub(super) refused: Vec<(Refusal, u64)>,
    /// Lines of the log that were lost.
    pub(super) log_lines_dropped: u64,
}

/// What the policies of one direction cost since the agent started.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    pub(super) work: Work,
    /// What that cost, by name.
    pub(super) measured: BTreeMap<String, Measured>,
    /// And how they failed, by name.
    pub(super) failures: BTreeMap<String, FailureCounts>,
}

/// Learned routes by what import policies decided.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LearnedCounts {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// The own node's facts are not known yet.
    pub(super) undecided: u64,
}

/// The metrics in OpenMetrics text.
///
/// # Errors
/// Writing to memory does not fail.
pub(super) fn encode(scrape: Scrape) -> anyhow::Result<String> {
    let Scrape {
        status,
        candidates,
        learned,
        exports,
        imports,
        events,
        refused,
        log_lines_dropped,
    } = scrape;
    let loads = [(Direction::Export, exports), (Direction::Import, imports)];
    let mut table = Table(Registry::with_prefix("rutter"));
    table.agent(&status);
    table.service_routes(&status.service_routes);
    table.gauge(
        "candidates",
        "Candidates of this node: prefixes, each with its reason.",
        [(vec![], candidates)],
    );
    table.counter(
        "policy_evaluations",
        "Rounds in which policies were asked about routes.",
        loads
            .iter()
            .map(|(direction, load)| (vec![labelled(*direction)], load.work.rounds)),
    );
    table.seconds(
        "policy_evaluation_seconds",
        "Time those rounds took.",
        loads
            .iter()
            .map(|(direction, load)| (vec![labelled(*direction)], load.work.time.as_secs_f64())),
    );
    table.learned(learned);
    table.events(&events);
    table.counter(
        "log_lines_dropped",
        "Lines of the log that nobody read, or that could not be written.",
        [(vec![], log_lines_dropped)],
    );
    table.policies(&status, &loads);
    table.peers(&status.peers);
    table.sessions(&status.peers);
    table.refused(&refused);
    if let Some(kernel) = &status.kernel {
        table.kernel(kernel);
    }
    let mut text = String::new();
    text::encode(&mut text, &table.0)?;
    Ok(text)
}

struct Table(Registry);

/// By direction, policy, peer group and what is counted. Groups of one name are counted together,
/// and so are the peers of one.
type Sums = BTreeMap<(Direction, String, String, &'static str), u64>;

fn sums<const COUNTS: usize>(
    shadows: &[&(Direction, &PolicyStatus)],
    counted: impl Fn(&ShadowCounts) -> [(&'static str, u64); COUNTS],
) -> Sums {
    let mut sums = Sums::new();
    for (direction, policy) in shadows {
        for counts in policy.shadow.iter().flatten() {
            for (what, count) in counted(counts) {
                let key = (*direction, policy.name.clone(), counts.group.clone(), what);
                *sums.entry(key).or_default() += count;
            }
        }
    }
    sums
}

impl Table {
    fn agent(&mut self, status: &Status) {
        self.gauge(
            "build_info",
            "Version of the agent.",
            [(
                vec![
                    ("version", status.version.clone()),
                    ("node", status.node.clone()),
                ],
                1,
            )],
        );
        self.gauge(
            "start_time_seconds",
            "When the agent started, since 1970.",
            [(vec![], status.started_at)],
        );
        self.gauge(
            "ready",
            "1 once everything was seen and routes are announced; 0 as well while a policy is closed.",
            [(vec![], u64::from(status.readiness == Readiness::Ready))],
        );
        self.gauge(
            "services",
            "Services known.",
            [(vec![], status.source.services)],
        );
        let source = vec![("source", status.source.kind.clone())];
        self.gauge(
            "source_up",
            "0 while the source of facts fails; the last ones are kept.",
            [(source, u64::from(status.source.error.is_none()))],
        );
        self.gauge(
            "config_up_to_date",
            "0 while a newer configuration is refused or held back.",
            [(
                vec![],
                u64::from(status.config.error.is_none() && status.held.is_none()),
            )],
        );
        self.gauge(
            "change_held",
            "1 while a change that would withdraw too much waits for approval.",
            [(vec![], u64::from(status.held.is_some()))],
        );
        let withdrawn = status.held.as_ref().map(|held| held.effect.withdrawn);
        self.gauge(
            "change_held_withdrawals",
            "Routes that the change held back would withdraw, each counted for each peer.",
            [(vec![], withdrawn.unwrap_or(0))],
        );
        let rejected = status.held.as_ref();
        let rejected = rejected.map(|held| held.effect.learned.rejected);
        self.gauge(
            "change_held_rejections",
            "Learned routes that the change held back would reject.",
            [(vec![], rejected.unwrap_or(0))],
        );
        self.gauge(
            "config_loaded_timestamp_seconds",
            "When the configuration was loaded.",
            [(vec![], status.config.loaded_at)],
        );
    }

    fn service_routes(&mut self, routes: &ServiceRoutes) {
        let ServiceRoutes {
            candidates,
            offered,
            withheld,
            concerns,
            examples: _,
        } = routes;
        self.gauge(
            "service_route_candidates",
            "Routes for Services that could be announced: ranges and addresses.",
            [(vec![], *candidates)],
        );
        self.gauge(
            "service_routes_offered",
            "Routes for Services that some peer is offered.",
            [(vec![], *offered)],
        );
        self.gauge(
            "service_routes_withheld",
            "1 while the node offers no route for a Service, for a reason that is about the node.",
            Withheld::ALL.map(|reason| {
                let labels = vec![("reason", reason.label().to_owned())];
                (labels, u64::from(*withheld == Some(reason)))
            }),
        );
        self.gauge(
            "service_concerns",
            "What owners of Services should look at; see `rutter status`.",
            concerns
                .iter()
                .map(|(kind, count)| (vec![("kind", kind.clone())], *count)),
        );
    }

    fn events(&mut self, events: &EventCounts) {
        let EventCounts {
            told,
            recorded,
            dropped,
        } = events;
        self.counter(
            "notices",
            "What came to pass that an operator should know, by the reason of its Kubernetes Event.",
            told.iter()
                .map(|(reason, count)| (vec![("reason", (*reason).to_owned())], *count)),
        );
        self.counter(
            "events_recorded",
            "Kubernetes Events that the API server took.",
            [(vec![], *recorded)],
        );
        self.counter(
            "events_dropped",
            "Kubernetes Events that were too many, or that the API server did not take.",
            [(vec![], *dropped)],
        );
    }

    fn learned(&mut self, learned: LearnedCounts) {
        let LearnedCounts {
            accepted,
            rejected,
            undecided,
        } = learned;
        let counts = [
            ("accepted", accepted),
            ("rejected", rejected),
            ("undecided", undecided),
        ];
        self.gauge(
            "learned_routes",
            "Routes from peers by what import policies decided; none where there are no policies.",
            counts.map(|(decision, count)| (vec![("decision", decision.to_owned())], count)),
        );
    }

    fn policies(&mut self, status: &Status, loads: &[(Direction, Load)]) {
        let exports = status.policies.iter();
        let exports = exports.map(|policy| (Direction::Export, policy));
        let imports = status.import_policies.iter();
        let imports = imports.map(|policy| (Direction::Import, policy));
        let policies: Vec<_> = exports.chain(imports).collect();
        let labels =
            |(direction, policy): &(Direction, &PolicyStatus)| named(&policy.name, *direction);
        let (enforced, shadows): (Vec<_>, Vec<_>) = policies
            .iter()
            .partition(|(_, policy)| policy.mode == Mode::Enforce);
        self.shadows(&shadows);
        self.gauge(
            "policy_up",
            "0 while a policy fails or another runs in its place.",
            enforced
                .iter()
                .map(|it| (labels(it), u64::from(it.1.error.is_none()))),
        );
        self.gauge(
            "policy_module_up_to_date",
            "0 while a newer version of the policy's module is refused.",
            policies
                .iter()
                .map(|it| (labels(it), u64::from(it.1.refused.is_none()))),
        );
        self.gauge(
            "policy_stand_in",
            "1 while something decides in the policy's place, whose module could not be had at start.",
            enforced.iter().flat_map(|it| {
                let labels = labels(it);
                StandIn::ALL.map(move |kind| {
                    let kind_label = ("kind", kind.label().to_owned());
                    let labels = [labels.clone(), vec![kind_label]].concat();
                    (labels, u64::from(it.1.stand_in == Some(kind)))
                })
            }),
        );
        self.gauge(
            "policy_held_routes",
            "Routes that a policy fails on while it is well about others, by peer group or peer.",
            enforced.iter().map(|it| (labels(it), it.1.held)),
        );
        self.gauge(
            "policy_retry_seconds",
            "How long a policy that fails is left alone from now on.",
            enforced
                .iter()
                .filter_map(|it| Some((labels(it), it.1.retry_in?))),
        );
        self.loads(loads);
    }

    fn loads(&mut self, loads: &[(Direction, Load)]) {
        let measured = || {
            loads.iter().flat_map(|(direction, load)| {
                let measured = load.measured.iter();
                measured.map(|(policy, measured)| (named(policy, *direction), measured))
            })
        };
        self.counter(
            "policy_calls",
            "Batches of routes that a policy was asked about, one a peer.",
            measured().map(|(labels, measured)| (labels, measured.calls)),
        );
        self.seconds(
            "policy_call_seconds",
            "Time those calls took.",
            measured().map(|(labels, measured)| (labels, measured.time.as_secs_f64())),
        );
        let failures = loads.iter().flat_map(|(direction, load)| {
            load.failures.iter().flat_map(|(policy, failures)| {
                PolicyFailure::KINDS.map(|kind| {
                    let mut labels = named(policy, *direction);
                    labels.push(("kind", kind.to_owned()));
                    (labels, failures.get(kind).copied().unwrap_or(0))
                })
            })
        });
        self.counter(
            "policy_failures",
            "How often a policy failed, as a whole or on one route, by kind.",
            failures,
        );
    }

    fn shadows(&mut self, shadows: &[&(Direction, &PolicyStatus)]) {
        self.gauge(
            "policy_shadow_up",
            "0 while a policy in shadow mode fails; nothing in force depends on it.",
            shadows.iter().map(|(direction, policy)| {
                let labels = named(&policy.name, *direction);
                (labels, u64::from(policy.error.is_none()))
            }),
        );
        let differences = sums(shadows, |counts| {
            [
                ("withdrawn", counts.withdrawn),
                ("changed", counts.changed),
                ("added", counts.added),
            ]
        });
        self.gauge(
            "policy_shadow_differences",
            "Prefixes that a policy in shadow mode would withdraw, change or add, by peer group.",
            labelled_sums(differences, "change"),
        );
        let routes = sums(shadows, |counts| {
            [("yes", counts.compared), ("no", counts.waiting)]
        });
        self.gauge(
            "policy_shadow_routes",
            "Routes that a policy in shadow mode was compared on, or not because it fails.",
            labelled_sums(routes, "compared"),
        );
    }

    fn peers(&mut self, peers: &[PeerStatus]) {
        type Value = fn(&PeerStatus) -> u64;
        let gauges: [(&str, &str, Value); 3] = [
            (
                "bgp_session_up",
                "1 while the session is Established.",
                |peer| u64::from(peer.state == "Established"),
            ),
            ("bgp_prefixes_sent", "Prefixes the peer was sent.", |peer| {
                peer.prefixes_sent
            }),
            ("bgp_prefixes_received", "Prefixes the peer sent.", |peer| {
                peer.prefixes_received
            }),
        ];
        for (name, help, value) in gauges {
            self.gauge(
                name,
                help,
                peers.iter().map(|peer| (peer_labels(peer), value(peer))),
            );
        }
        let counters: [(&str, &str, Value); 3] = [
            (
                "bgp_sessions_established",
                "Times the session was established.",
                |peer| peer.established_count,
            ),
            (
                "bgp_updates_sent",
                "UPDATE messages sent in this session.",
                |peer| peer.updates_sent,
            ),
            (
                "bgp_updates_received",
                "UPDATE messages received in this session.",
                |peer| peer.updates_received,
            ),
        ];
        for (name, help, value) in counters {
            self.counter(
                name,
                help,
                peers.iter().map(|peer| (peer_labels(peer), value(peer))),
            );
        }
        let faults = peers.iter().flat_map(|peer| {
            peer.faults.counts.iter().map(|fault| {
                let mut labels = peer_labels(peer);
                labels.push(("attribute", fault.attribute.clone()));
                labels.push(("action", fault.action.clone()));
                (labels, fault.count)
            })
        });
        self.counter(
            "bgp_update_faults",
            "What peers sent wrong, by attribute and by what was done about it (RFC 7606).",
            faults,
        );
    }

    fn kernel(&mut self, kernel: &KernelStatus) {
        let gauges: [(&str, &str, u64); 6] = [
            (
                "kernel_up",
                "0 while no learned route can be put into the kernel.",
                u64::from(kernel.error.is_none()),
            ),
            (
                "kernel_routes",
                "Learned routes in the kernel.",
                kernel.routes,
            ),
            (
                "kernel_blackholes",
                "Blackholes in the kernel for the node's own blocks.",
                kernel.blackholes,
            ),
            (
                "kernel_routes_leftover",
                "Of these, those of a former agent that no peer has announced yet.",
                kernel.leftovers,
            ),
            (
                "kernel_routes_unfit",
                "Learned routes that must not be in the kernel, or the way to whose next hops is not known.",
                kernel.unfit,
            ),
            (
                "kernel_routes_refused",
                "Learned routes that the kernel refuses.",
                kernel.refused,
            ),
        ];
        for (name, help, value) in gauges {
            self.gauge(name, help, [(vec![], value)]);
        }
        self.counter(
            "kernel_failures",
            "Changes that the kernel refused.",
            [(vec![], kernel.failures)],
        );
    }

    fn gauge(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Gauges::default();
        for (labels, value) in values {
            #[expect(clippy::cast_precision_loss, reason = "Prometheus knows floats only")]
            family.get_or_create(&labels).set(value as f64);
        }
        self.0.register(name, help.trim_end_matches('.'), family);
    }

    fn seconds(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Seconds::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help.trim_end_matches('.'), family);
    }

    fn counter(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Counters::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help.trim_end_matches('.'), family);
    }
}

/// Sums with labels, the last of which is called `counted`.
fn labelled_sums(sums: Sums, counted: &'static str) -> impl Iterator<Item = (Labels, u64)> {
    let sums = sums.into_iter();
    sums.map(move |((direction, policy, group, what), sum)| {
        let mut labels = named(&policy, direction);
        labels.extend([("group", group), (counted, what.to_owned())]);
        (labels, sum)
    })
}

fn named(policy: &str, direction: Direction) -> Labels {
    vec![("policy", policy.to_owned()), labelled(direction)]
}

fn labelled(direction: Direction) -> (&'static str, String) {
    ("direction", direction.label().to_owned())
}

fn peer_labels(peer: &PeerStatus) -> Labels {
    vec![
        ("peer", peer.name.clone()),
        ("address", peer.address.to_string()),
        ("asn", peer.asn.to_string()),
    ]
}

#[cfg(test)]
mod tests;
