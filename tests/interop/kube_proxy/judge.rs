//! Asks every node for every address, and compares the answers with what the agents announce.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rutter::types::{Family, Prefix};
use tokio::time::Instant;

use super::addresses::{Coverage, Kind};
use super::exceptions::{Case, EXCEPTIONS, Expected};
use super::generate::World;
use super::lab::{Lab, LabNode};
use super::objects::{Port, Service};
use super::traffic::{Answer, Question};

/// How long agents and kube-proxies may disagree after both were told everything.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// How long a question waits for its answer: in the lab it takes a millisecond. Only silence takes
/// this long, and where silence is not what the agent says it is asked again.
pub(super) const PATIENCE: Duration = Duration::from_millis(800);

/// How many disagreements are shown with everything about them.
const SHOWN_IN_FULL: usize = 3;

/// How many cases there were, and how many of them each exception decided.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) cases: usize,
    announced: usize,
    pub(super) exceptions: [usize; EXCEPTIONS.len()],
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.announced += other.announced;
        for (count, more) in self.exceptions.iter_mut().zip(other.exceptions) {
            *count += more;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases, {} announced", self.cases, self.announced)?;
        for (exception, count) in EXCEPTIONS.iter().zip(self.exceptions) {
            write!(f, "\n{count:8} {}", exception.reason)?;
        }
        Ok(())
    }
}

/// What each node announces, in the order of the nodes.
pub(super) type Announced = Vec<BTreeSet<Prefix>>;

/// Waits until agents and kube-proxies agree on everything in the world.
///
/// # Panics
/// They do not; the message shows the objects and both accounts.
pub(super) fn agreement(lab: &Lab, world: &World) -> (Tally, Announced) {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let mut answers = BTreeMap::new();
    let mut open = questions(lab, world);
    loop {
        let asked: Vec<Question> = open.iter().copied().collect();
        let given = lab.client.ask(asked.clone(), PATIENCE);
        answers.extend(asked.into_iter().zip(given));
        let nodes = lab.nodes.iter();
        let announced: Announced = nodes.map(|node| node.announced().unwrap()).collect();
        let (tally, disagreements) = compare(lab, world, &answers, &announced);
        if disagreements.is_empty() {
            return (tally, announced);
        }
        assert!(
            Instant::now() < deadline,
            "{}",
            report(lab, &disagreements, &tally)
        );
        open = disagreements
            .into_iter()
            .flat_map(|disagreement| disagreement.questions)
            .collect();
    }
}

/// What a node announces and should not, or should and does not.
#[derive(Debug)]
struct Disagreement {
    node: usize,
    address: IpAddr,
    announced: bool,
    /// The Services that have the address, each with what is known of it.
    services: Vec<(String, String)>,
    questions: Vec<Question>,
}

/// All that is to be asked.
fn questions(lab: &Lab, world: &World) -> BTreeSet<Question> {
    let mut questions = BTreeSet::new();
    for service in world.services.values() {
        for (_, address) in service.addresses() {
            for (node, at) in lab.nodes.iter().enumerate() {
                questions.extend(questions_of(service, address, node, at));
            }
        }
    }
    questions
}

/// Those about one address at one node: its ports, and the node ports.
fn questions_of(service: &Service, address: IpAddr, node: usize, at: &LabNode) -> Vec<Question> {
    let ports = ports_of(service, address, node);
    ports
        .into_iter()
        .chain(node_ports_of(service, address, node, at))
        .collect()
}

fn ports_of(service: &Service, address: IpAddr, node: usize) -> Vec<Question> {
    let question = |port: &Port| Question {
        node,
        transport: port.transport,
        to: SocketAddr::new(address, port.number),
    };
    service.ports.iter().map(question).collect()
}

fn node_ports_of(service: &Service, like: IpAddr, node: usize, at: &LabNode) -> Vec<Question> {
    if !service.has_node_ports() {
        return Vec::new();
    }
    let question = |(index, port): (usize, &Port)| Question {
        node,
        transport: port.transport,
        to: SocketAddr::new(at.host.address_like(like), service.node_port(index)),
    };
    service.ports.iter().enumerate().map(question).collect()
}

/// Looks at every address at every node.
fn compare(
    lab: &Lab,
    world: &World,
    answers: &BTreeMap<Question, Answer>,
    announced: &Announced,
) -> (Tally, Vec<Disagreement>) {
    let mut tally = Tally::default();
    let mut by_address: BTreeMap<IpAddr, Vec<_>> = BTreeMap::new();
    for service in world.services.values() {
        for (kind, address) in service.addresses() {
            by_address.entry(address).or_default().push((service, kind));
        }
    }
    let mut disagreements = strays(&by_address, announced);
    let answered = |questions: &[Question]| {
        let mut answers = questions.iter().map(|question| answers[question]);
        answers.any(|answer| answer == Answer::Answered)
    };
    for (address, holders) in &by_address {
        for (node, at) in lab.nodes.iter().enumerate() {
            let is_announced = announced[node].contains(&Prefix::host(*address));
            let mut expectations = Vec::new();
            let mut services = Vec::new();
            let mut questions = Vec::new();
            for (service, kind) in holders {
                let slices = world.slices_of(&service.name, Family::of(*address));
                let case = Case {
                    service,
                    slices: &slices,
                    kind: *kind,
                    address: *address,
                    answered: answered(&ports_of(service, *address, node)),
                    node_port_answered: answered(&node_ports_of(service, *address, node, at)),
                };
                let (expected, exception) = case.expected();
                tally.cases += 1;
                if let Some(exception) = exception {
                    tally.exceptions[exception] += 1;
                }
                expectations.push(expected);
                services.push((service.name.clone(), summary(&case, expected)));
                questions.extend(questions_of(service, *address, node, at));
            }
            tally.announced += usize::from(is_announced);
            if !agrees(is_announced, &expectations) {
                disagreements.push(Disagreement {
                    node,
                    address: *address,
                    announced: is_announced,
                    services,
                    questions,
                });
            }
        }
    }
    (tally, disagreements)
}

/// What is announced though no Service has it.
fn strays(
    by_address: &BTreeMap<IpAddr, Vec<(&Service, Kind)>>,
    announced: &Announced,
) -> Vec<Disagreement> {
    let of_node = |(node, prefixes): (usize, &BTreeSet<Prefix>)| {
        let hosts = prefixes.iter().filter(|prefix| prefix.is_host());
        let addresses = hosts.map(|prefix| prefix.address());
        let unknown = addresses.filter(|address| !by_address.contains_key(address));
        let stray = |address| Disagreement {
            node,
            address,
            announced: true,
            services: Vec::new(),
            questions: Vec::new(),
        };
        unknown.map(stray).collect::<Vec<_>>()
    };
    announced.iter().enumerate().flat_map(of_node).collect()
}

/// An address is announced for the sake of any of the Services that have it.
fn agrees(announced: bool, expectations: &[Expected]) -> bool {
    if expectations.contains(&Expected::Announced) {
        announced
    } else {
        !announced || expectations.contains(&Expected::Either)
    }
}

/// A case in one line.
fn summary(case: &Case<'_>, expected: Expected) -> String {
    let Case {
        service,
        slices,
        kind,
        address,
        answered,
        node_port_answered,
    } = case;
    format!(
        "{kind:?} IP of {:?}, external {:?}, internal {:?}, proxy name {:?}, {:?}, {} slices, {:?}: \
         answered {answered}, node port {node_port_answered}: {expected:?}",
        service.service_type,
        service.external_policy,
        service.internal_policy,
        service.proxy_name,
        service.presence,
        slices.len(),
        Coverage::of(*address),
    )
}

fn report(lab: &Lab, disagreements: &[Disagreement], tally: &Tally) -> String {
    let mut text = format!("{tally}\n{} disagreements:\n", disagreements.len());
    for Disagreement {
        node,
        address,
        announced,
        services,
        questions: _,
    } in disagreements
    {
        let name = lab.nodes[*node].name;
        let _ = writeln!(text, "{address} at {name}: announced {announced}");
        for (service, summary) in services {
            let _ = writeln!(text, "    {service}: {summary}");
        }
    }
    for disagreement in disagreements.iter().take(SHOWN_IN_FULL) {
        let node = &lab.nodes[disagreement.node];
        let address = disagreement.address.to_string();
        let explained = node.agent.explain(&address).unwrap_or_else(|error| error);
        let _ = writeln!(text, "\n--- {address} at {} ---\n{explained}", node.name);
        for (service, _) in &disagreement.services {
            text += &lab.yaml(service);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_announced_for_any_of_the_services_that_share_it() {
        let [yes, no, either] = [
            Expected::Announced,
            Expected::NotAnnounced,
            Expected::Either,
        ];
        for (expectations, announced, withdrawn) in [
            (vec![yes], true, false),
            (vec![no], false, true),
            (vec![either], true, true),
            (vec![no, yes], true, false),
            (vec![either, yes], true, false),
            (vec![no, either], true, true),
            (vec![no, no], false, true),
        ] {
            assert_eq!(agrees(true, &expectations), announced, "{expectations:?}");
            assert_eq!(agrees(false, &expectations), withdrawn, "{expectations:?}");
        }
    }
}
