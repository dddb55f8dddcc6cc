//! Batches of learned routes.
//!
//! ```
//! use rutter_policy::testing;
//!
//! let batch = testing::learned().path(&[64513, 64520]).route("203.0.113.0/24");
//! assert_eq!(batch.build().routes.len(), 1);
//! ```

use super::{index, node, parsed, prefix};
use crate::bindings::learn::{self, Batch};
use crate::{
    Acceptance, ImportDecision, ImportPolicy, ImportVerdict, Node, OriginCode, Peer, PeerGroup,
    PeerKind, RouteAttributes, Segment, SegmentKind, evaluate_import,
};

/// A batch without routes, with reasons wanted, learned from an external peer of AS 64513. Routes
/// have its AS as their path until another is given.
#[must_use]
pub fn learned() -> LearnedBuilder {
    LearnedBuilder(Batch {
        settings: "{}".into(),
        node: node("node"),
        asn: 64512,
        peer_group: PeerGroup {
            name: "tor".into(),
            asn: 64513,
            kind: PeerKind::Ebgp,
            labels: Vec::new(),
        },
        peer: Peer {
            name: "tor-1".into(),
            address: parsed("198.51.100.1").into(),
            router_id: 0xC633_6401,
        },
        paths: vec![path(&[64513])],
        attribute_sets: vec![RouteAttributes::default()],
        routes: Vec::new(),
        want_reasons: true,
    })
}

/// A batch of learned routes in the making.
#[derive(Clone, Debug)]
pub struct LearnedBuilder(Batch);

impl LearnedBuilder {
    /// Settings as JSON text.
    #[must_use]
    pub fn settings(mut self, json: &str) -> Self {
        self.0.settings = json.into();
        self
    }

    /// The node.
    #[must_use]
    pub fn node(mut self, node: Node) -> Self {
        self.0.node = node;
        self
    }

    /// The group of the peer.
    #[must_use]
    pub fn peer_group(mut self, peer_group: PeerGroup) -> Self {
        self.0.peer_group = peer_group;
        self
    }

    /// The peer.
    #[must_use]
    pub fn peer(mut self, peer: Peer) -> Self {
        self.0.peer = peer;
        self
    }

    /// The path, a sequence, of routes added from here on; empty for routes of our own AS.
    #[must_use]
    pub fn path(mut self, asns: &[u32]) -> Self {
        self.0.paths.push(path(asns));
        self
    }

    /// Routes added from here on have this set at the end of their path.
    #[must_use]
    pub fn aggregated(mut self, asns: &[u32]) -> Self {
        let mut path = self
            .0
            .paths
            .last()
            .cloned()
            .expect("there is a path from the start");
        path.as_path.push(Segment {
            kind: SegmentKind::AsSet,
            asns: asns.to_vec(),
        });
        self.0.paths.push(path);
        self
    }

    /// What routes added from here on are proposed with.
    #[must_use]
    pub fn proposed(mut self, attributes: RouteAttributes) -> Self {
        self.0.attribute_sets.push(attributes);
        self
    }

    /// Nobody will read reasons.
    #[must_use]
    pub fn without_reasons(mut self) -> Self {
        self.0.want_reasons = false;
        self
    }

    /// One more route.
    #[must_use]
    pub fn route(mut self, destination: &str) -> Self {
        self.0.routes.push(learn::LearnedRoute {
            prefix: prefix(destination),
            path: index(self.0.paths.len() - 1),
            attributes: index(self.0.attribute_sets.len() - 1),
        });
        self
    }

    /// The batch as a module is given it.
    #[must_use]
    pub fn build(self) -> Batch {
        self.0
    }

    /// What a policy decides, in the order the routes were added.
    ///
    /// # Errors
    /// The policy refuses the settings.
    pub fn decide<P: ImportPolicy>(self) -> Result<Vec<ImportDecision>, String> {
        let answer = evaluate_import::<P>(&self.0)?;
        let set = |set: u32| answer.attribute_sets[set as usize].clone();
        let decision = |raw: &learn::Decision| ImportDecision {
            verdict: match raw.verdict {
                learn::Verdict::Abstain => ImportVerdict::Abstain,
                learn::Verdict::Accept(learn::Acceptance {
                    attributes,
                    installation,
                }) => ImportVerdict::Accept(Acceptance {
                    attributes: attributes.map(set),
                    installation,
                }),
                learn::Verdict::Reject => ImportVerdict::Reject,
            },
            reason: raw
                .reason
                .map(|reason| answer.reasons[reason as usize].clone().into()),
        };
        Ok(answer.decisions.iter().map(decision).collect())
    }
}

fn path(asns: &[u32]) -> learn::Path {
    let sequence = Segment {
        kind: SegmentKind::AsSequence,
        asns: asns.to_vec(),
    };
    learn::Path {
        origin: OriginCode::Igp,
        as_path: (!asns.is_empty()).then_some(sequence).into_iter().collect(),
    }
}
