//! From a file's form to questions: what a case leaves out is filled in, candidates are worked out,
//! and expectations find theirs.

mod learned;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::document::{
    Advertise, Attributes, Case, Document, Expectation, ExpectedVerdict, Group, Node, RouteKind,
    Service, Settings, UsedPolicy,
};
use super::error::{CaseError, CaseErrors};
use super::fill::{advertise_config, node_facts, service_facts};
use super::learned::{Learned, Peer};
use super::lines::{self, Lines};
use super::question::{Check, ExpectedDecision, Question, Scene};
use crate::candidates::{Candidate, CandidateKey, Candidates};
use crate::facts::{ClusterChange, ClusterView, ServiceKey};
use crate::policy::{ChainDefault, PeerGroup, PeerKind};
use crate::types::{Asn, Prefix};

pub use learned::{ExpectedImport, LearnedScene, Received};

/// The configuration's own default.
const ASN_DEFAULT: Asn = Asn(64512);

/// Whom routes go to where the file does not say: some router in another AS.
const GROUP_DEFAULT: (&str, Asn) = ("peer", Asn(64513));

/// A file, understood.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// As the caller called it.
    pub name: String,
    /// What it asks about.
    pub asks: Asks,
    /// The reasons that the policy is known to give.
    pub reasons: Vec<String>,
    /// The chain of the node that was recorded; empty in a file that somebody wrote.
    pub policies: Vec<UsedPolicy>,
    /// How that chain ends.
    pub policy_default: ChainDefault,
    /// The chain for learned routes of the node that was recorded.
    pub import_policies: Vec<UsedPolicy>,
    /// How that chain ends.
    pub import_policy_default: ChainDefault,
    /// The questions about candidates, in the order of the file.
    pub scenes: Vec<Scene>,
    /// The questions about learned routes, in the order of the file.
    pub learned: Vec<LearnedScene>,
}

/// What a file asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Its cases.
    Cases,
    /// All candidates, once for each peer group, and all learned routes, once for each peer: what
    /// a recording asks.
    Everything,
}

impl CaseFile {
    /// Reads a file's text. `name` is the file as the operator knows it; errors begin with it.
    ///
    /// # Errors
    /// The first place where the text is not in the form of a [`Document`], or else everything
    /// that is wrong with what it says.
    pub fn parse(name: &str, text: &str) -> Result<Self, CaseErrors> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            CaseErrors::one(CaseError {
                file: name.to_owned(),
                line: lines::line_of(text, offset),
                case: None,
                problem: error.message().replace('\n', ", "),
            })
        })?;
        Self::of(name, document, &Lines::of(text))
    }

    /// What a document means that is no text.
    ///
    /// # Errors
    /// Everything that is wrong with what it says.
    pub fn from_document(name: &str, document: Document) -> Result<Self, CaseErrors> {
        Self::of(name, document, &Lines::default())
    }

    fn of(name: &str, document: Document, lines: &Lines) -> Result<Self, CaseErrors> {
        let Document {
            recorded: _, // is for people
            asn,
            policy_default,
            reasons,
            settings,
            advertise,
            node,
            peer_groups,
            policies,
            import_policies,
            import_policy_default,
            services,
            peers,
            learned,
            cases,
        } = document;
        let mut reader = Reader {
            file: name,
            lines,
            asn: asn.unwrap_or(ASN_DEFAULT),
            settings,
            advertise,
            node,
            groups: peer_groups,
            services: BTreeMap::new(),
            peers: Vec::new(),
            learned: BTreeMap::new(),
            errors: Vec::new(),
        };
        reader.read_services(services);
        reader.read_peers(peers);
        reader.read_learned(learned);
        let (asks, Scenes { announced, learned }) = if cases.is_empty() {
            (Asks::Everything, reader.everything())
        } else {
            (Asks::Cases, reader.scenes(cases))
        };
        CaseErrors::check(reader.errors)?;
        Ok(Self {
            name: name.to_owned(),
            asks,
            reasons,
            policies,
            policy_default,
            import_policies,
            import_policy_default,
            scenes: announced,
            learned,
        })
    }

    /// Every question, in the order of the file; those about candidates first where that is one
    /// place.
    #[must_use]
    pub fn questions(&self) -> Vec<Question<'_>> {
        let announced = self.scenes.iter().map(Question::Announced);
        let learned = self.learned.iter().map(Question::Learned);
        let mut questions: Vec<_> = announced.chain(learned).collect();
        questions.sort_by_key(Question::line);
        questions
    }
}

/// What a file says for all of its cases.
struct Reader<'a> {
    file: &'a str,
    lines: &'a Lines,
    asn: Asn,
    settings: Option<Settings>,
    advertise: Advertise,
    node: Node,
    groups: Vec<Group>,
    services: BTreeMap<ServiceKey, Service>,
    peers: Vec<Peer>,
    /// By the name of its peer, and its prefix.
    learned: BTreeMap<(String, Prefix), Learned>,
    errors: Vec<CaseError>,
}

/// The questions of a file.
#[derive(Default)]
struct Scenes {
    announced: Vec<Scene>,
    learned: Vec<LearnedScene>,
}

/// What a case asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Candidates,
    LearnedRoutes,
}

/// Where in a file something is wrong.
#[derive(Clone, Copy)]
struct Place<'a> {
    line: usize,
    case: Option<&'a str>,
}

impl Reader<'_> {
    fn problem(&mut self, place: Place<'_>, problem: String) {
        self.errors.push(CaseError {
            file: self.file.to_owned(),
            line: place.line,
            case: place.case.map(str::to_owned),
            problem,
        });
    }

    fn read_services(&mut self, services: Vec<Service>) {
        for (index, service) in services.into_iter().enumerate() {
            let key = service.name.clone();
            if self.services.insert(key.clone(), service).is_some() {
                let place = Place {
                    line: self.lines.service(index),
                    case: None,
                };
                self.problem(place, format!("{key} is there twice; remove one"));
            }
        }
    }

    /// Whom routes go to in a file that says nothing about it.
    fn groups(&self) -> Vec<Group> {
        if self.groups.is_empty() {
            let (name, asn) = GROUP_DEFAULT;
            vec![Group {
                name: name.to_owned(),
                asn,
                labels: [].into(),
            }]
        } else {
            self.groups.clone()
        }
    }

    /// What a file without cases asks. One that has nothing but learned routes asks about nothing
    /// else.
    fn everything(&mut self) -> Scenes {
        let learned = self.scene_for_each_peer();
        let mut announced = self.scene_for_each_group();
        if !learned.is_empty() {
            announced.retain(|scene| !scene.candidates.is_empty());
        }
        Scenes { announced, learned }
    }

    fn scene_for_each_group(&self) -> Vec<Scene> {
        let groups = self.groups();
        let Some(first) = groups.first() else {
            return Vec::new();
        };
        let scene = self.scene(1, first, &Case::default());
        // Groups of one name differ in their AS or labels.
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        let mut name = |group: &Group| {
            let met = met.entry(group.name.clone()).or_default();
            *met += 1;
            match *met {
                1 => format!("towards {}", group.name),
                times => format!("towards {} ({times})", group.name),
            }
        };
        groups
            .iter()
            .map(|group| Scene {
                name: name(group),
                peer_group: peer_group(group, scene.asn),
                ..scene.clone()
            })
            .collect()
    }

    fn scenes(&mut self, cases: Vec<Case>) -> Scenes {
        let mut names = BTreeSet::new();
        let mut scenes = Scenes::default();
        for (index, case) in cases.into_iter().enumerate() {
            let name = case.name.clone();
            let place = Place {
                line: self.lines.case(index),
                case: Some(&name),
            };
            self.check_name(&mut names, place, &name);
            if case.refused.is_some() && case.expect.is_some() {
                let problem = "settings that are refused lead to no decision: remove refused, \
                               or expect";
                self.problem(place, problem.to_owned());
                continue;
            }
            match self.about(&case, place) {
                None => {}
                Some(About::Candidates) => {
                    scenes.announced.extend(self.announced(index, place, case));
                }
                Some(About::LearnedRoutes) => {
                    scenes
                        .learned
                        .extend(self.learned_scene(index, place, case));
                }
            }
        }
        scenes
    }

    fn check_name(&mut self, names: &mut BTreeSet<String>, place: Place<'_>, name: &str) {
        if name.is_empty() || name.contains(char::is_control) {
            let place = Place {
                case: None,
                ..place
            };
            let problem = "a case needs a name: one line that says what it shows";
            self.problem(place, problem.to_owned());
        } else if !names.insert(name.to_owned()) {
            self.problem(
                place,
                "another case has this name; choose another".to_owned(),
            );
        }
    }

    /// What a case asks about: what it says itself, else what the file has.
    fn about(&mut self, case: &Case, place: Place<'_>) -> Option<About> {
        let learned = case.peer.is_some() || !case.learned.is_empty();
        let announced = case.peer_group.is_some()
            || !case.services.is_empty()
            || case.advertise != Advertise::default()
            || case.proposed != Attributes::default();
        let file_announces = !self.services.is_empty() || self.advertise != Advertise::default();
        let problem = match (announced, learned) {
            (true, false) => return Some(About::Candidates),
            (false, true) => return Some(About::LearnedRoutes),
            (true, true) => {
                "peer and learned are for learned routes; peer-group, services, advertise and \
                 proposed for those that the node announces: make two cases of it"
            }
            (false, false) if self.learned.is_empty() || case.refused.is_some() => {
                return Some(About::Candidates);
            }
            (false, false) if !file_announces => return Some(About::LearnedRoutes),
            (false, false) => {
                "the file has Services and learned routes: name a peer-group to ask about routes \
                 towards it, or a peer to ask about routes learned from it"
            }
        };
        self.problem(place, problem.to_owned());
        None
    }

    fn announced(&mut self, index: usize, place: Place<'_>, case: Case) -> Option<Scene> {
        let group = self.group(&case, place)?;
        let mut scene = self.scene(place.line, &group, &case);
        scene.check = match (case.refused, case.expect) {
            (None, None) => Check::Snapshot,
            (Some(words), _) => Check::Refusal(words),
            (None, Some(expected)) => {
                let found = |line, expectation| decision(line, &scene, expectation);
                Check::Decisions(self.decisions(index, place, expected, found))
            }
        };
        Some(scene)
    }

    fn group(&mut self, case: &Case, place: Place<'_>) -> Option<Group> {
        let groups = self.groups();
        let Some(name) = &case.peer_group else {
            return groups.into_iter().next();
        };
        let found = groups.iter().find(|group| group.name == *name).cloned();
        if found.is_none() {
            let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
            let names = names.join(", ");
            self.problem(
                place,
                format!("no peer group is called {name:?}; there are: {names}"),
            );
        }
        found
    }

    /// To be compared with its snapshot.
    fn scene(&self, line: usize, group: &Group, case: &Case) -> Scene {
        let asn = case.asn.unwrap_or(self.asn);
        let node = Arc::new(node_facts(case.node.clone().or(self.node.clone())));
        let mut services = self.services.clone();
        for service in &case.services {
            let service = match services.remove(&service.name) {
                Some(written) => service.clone().or(written),
                None => service.clone(),
            };
            services.insert(service.name.clone(), service);
        }
        let view = ClusterView {
            node: Some(Arc::clone(&node)),
            services: services
                .into_iter()
                .map(|(key, service)| (key, Arc::new(service_facts(service))))
                .collect(),
            ..ClusterView::default()
        };
        let advertise = advertise_config(case.advertise.clone().or(self.advertise.clone()));
        let mut possible = Candidates::new(advertise);
        // A Node that appears makes a candidate of everything that can be one.
        possible.apply(&view, &[ClusterChange::Node]);
        Scene {
            name: case.name.clone(),
            line,
            settings: case.settings.clone().or_else(|| self.settings.clone()),
            node,
            asn,
            peer_group: peer_group(group, asn),
            candidates: possible.iter().cloned().collect(),
            proposed: Arc::new(case.proposed.clone().into()),
            check: Check::Snapshot,
            view,
            possible,
        }
    }

    /// The expectations of a case, each as `found` understands it, each about something else.
    fn decisions<D: Expected>(
        &mut self,
        case: usize,
        place: Place<'_>,
        expected: Vec<Expectation>,
        found: impl Fn(usize, Expectation) -> Result<D, String>,
    ) -> Vec<D> {
        let mut decisions: Vec<D> = Vec::new();
        if expected.is_empty() {
            let problem = "expect is empty: list decisions, or remove it for a snapshot of all";
            self.problem(place, problem.to_owned());
        }
        for (index, expectation) in expected.into_iter().enumerate() {
            let place = Place {
                line: self.lines.expectation(case, index),
                ..place
            };
            match found(place.line, expectation) {
                Ok(decision) if decisions.iter().any(|d| d.subject() == decision.subject()) => {
                    let subject = decision.subject();
                    self.problem(place, format!("{subject} is expected twice"));
                }
                Ok(decision) => decisions.push(decision),
                Err(problem) => self.problem(place, problem),
            }
        }
        decisions
    }
}

/// An expectation that was understood.
trait Expected {
    /// What it is about, in words.
    fn subject(&self) -> String;
}

impl Expected for ExpectedDecision {
    fn subject(&self) -> String {
        let CandidateKey { prefix, origin } = &self.candidate;
        format!("{prefix}, {origin},")
    }
}

/// An expectation about the candidate it means.
fn decision(
    line: usize,
    scene: &Scene,
    expectation: Expectation,
) -> Result<ExpectedDecision, String> {
    let Expectation {
        prefix,
        route,
        service,
        verdict,
        attributes,
        installation,
        reason,
    } = expectation;
    if installation.is_some() {
        return Err(
            "installation is said of learned routes only: remove it, or ask about them by peer"
                .to_owned(),
        );
    }
    let meant = |candidate: &&Candidate| {
        let CandidateKey { prefix: of, origin } = &candidate.key;
        *of == prefix
            && route.is_none_or(|route| route == RouteKind::from(origin))
            && (service.is_none() || service.as_ref() == origin.service())
    };
    let found: Vec<&Candidate> = scene.candidates.iter().filter(meant).collect();
    let candidate = match found.as_slice() {
        [candidate] => candidate.key.clone(),
        [] => return Err(no_candidate(scene, prefix)),
        several => {
            let origins: Vec<_> = several.iter().map(|c| c.key.origin.to_string()).collect();
            let origins = origins.join("; ");
            return Err(format!(
                "{prefix} is a candidate for several reasons; say which by route or service: \
                 {origins}"
            ));
        }
    };
    let attributes = match (verdict, attributes) {
        (ExpectedVerdict::Accept, Some(attributes)) => Arc::new(attributes.into()),
        (_, None) => Arc::clone(&scene.proposed),
        (ExpectedVerdict::Reject | ExpectedVerdict::Abstain, Some(_)) => {
            return Err("only an accepted route has attributes: remove them".to_owned());
        }
    };
    Ok(ExpectedDecision {
        line,
        candidate,
        verdict,
        attributes,
        reason,
    })
}

/// Why nothing can be expected of a prefix.
fn no_candidate(scene: &Scene, prefix: Prefix) -> String {
    let services = scene.view.services.values();
    let excluded = services.flat_map(|service| {
        let of = scene.possible.exclusions(service).into_iter();
        of.map(move |excluded| (&service.key, excluded))
    });
    let reasons: Vec<String> = excluded
        .filter(|(_, (address, _, _))| Prefix::host(*address) == prefix)
        .map(|(service, (_, kind, reason))| format!("{kind} IP of {service}: {reason}"))
        .collect();
    if reasons.is_empty() {
        format!(
            "{prefix} is no candidate of the kind: no Service has the address, and neither the \
             node's pod CIDRs nor the ranges of advertise have the prefix"
        )
    } else {
        format!("{prefix} is no candidate: {}", reasons.join("; "))
    }
}

fn peer_group(group: &Group, asn: Asn) -> PeerGroup {
    let Group {
        name,
        asn: theirs,
        labels,
    } = group.clone();
    PeerGroup {
        name,
        asn: theirs,
        kind: if theirs == asn {
            PeerKind::Ibgp
        } else {
            PeerKind::Ebgp
        },
        labels,
    }
}
