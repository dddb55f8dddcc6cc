//! Between the generated bindings and a [`Policy`]: resolves the indexes of a batch, asks the
//! policy about each candidate, and interns what it answers, so that a reason or an attribute
//! set crosses to the agent once however often it is used.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use crate::bindings::announce::{self, Answer, Batch};
use crate::bindings::module;
use crate::bindings::types;
use crate::{
    AddressKind, Decision, Description, Family, Node, PeerGroup, Policy, Prefix, RouteAttributes,
    Service, Serving, Verdict, settings,
};

/// What all candidates of a batch have in common.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The node the agent runs on.
    pub node: &'a Node,
    /// Our own AS number.
    pub asn: u32,
    /// Whom the routes would go to.
    pub peer_group: &'a PeerGroup,
    pub(crate) reasons: Reasons,
}

/// Whether anybody will read reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasons {
    Wanted,
    Unwanted,
}

impl From<bool> for Reasons {
    /// From a batch's `want-reasons`.
    fn from(want_reasons: bool) -> Self {
        if want_reasons {
            Self::Wanted
        } else {
            Self::Unwanted
        }
    }
}

impl Context<'_> {
    /// A reason that costs something to make: `text` is called only if the reason will be read.
    pub fn explain(&self, text: impl FnOnce() -> String) -> Cow<'static, str> {
        match self.reasons {
            Reasons::Wanted => text().into(),
            Reasons::Unwanted => Cow::Borrowed(""),
        }
    }
}

/// A prefix this node could announce.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What would be announced.
    pub prefix: Prefix,
    /// And why.
    pub origin: Origin<'a>,
    /// The configured range, itself a candidate, that this address lies in.
    pub covered_by: Option<Prefix>,
    /// What becomes of traffic for it on this node: kube-proxy's rule. Absent for everything but
    /// a Service's addresses.
    pub serving: Option<Serving>,
    /// What it would be announced with so far.
    pub attributes: &'a RouteAttributes,
}

/// Why a prefix is a candidate.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A pod CIDR of this node.
    PodCidr,
    /// A block of pod addresses that an IPAM gave this node.
    IpamBlock,
    /// A whole configured range of Service addresses.
    ServiceCidr(AddressKind),
    /// One address of a Service, as a /32 or /128.
    ServiceAddress {
        /// Whose.
        service: Service<'a>,
        /// Which of its addresses.
        kind: AddressKind,
    },
    /// Written in the configuration.
    StaticRoute,
    /// Learned from another peer.
    LearnedRoute,
}

impl<'a> Candidate<'a> {
    /// The family of its prefix.
    #[must_use]
    pub fn family(&self) -> Family {
        self.prefix.family()
    }

    /// The Service it is an address of.
    #[must_use]
    pub fn service(&self) -> Option<Service<'a>> {
        match self.origin {
            Origin::ServiceAddress { service, .. } => Some(service),
            Origin::PodCidr
            | Origin::IpamBlock
            | Origin::ServiceCidr(_)
            | Origin::StaticRoute
            | Origin::LearnedRoute => None,
        }
    }

    /// Whether it is an address of a Service that this node answers for.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.serving.is_some_and(Serving::is_served)
    }

    /// The endpoints of its family on this node that traffic for it may use; none where the node
    /// does not answer for it, and for everything but a Service's addresses.
    #[must_use]
    pub fn usable_endpoints_here(&self) -> u32 {
        let service = self.service().filter(|_| self.is_served());
        service.map_or(0, |service| service.node_endpoints(self.family()).usable())
    }

    fn resolve(batch: &'a Batch, raw: &types::Candidate) -> Option<Self> {
        let origin = match raw.origin {
            types::Origin::PodCidr => Origin::PodCidr,
            types::Origin::IpamBlock => Origin::IpamBlock,
            types::Origin::StaticRoute => Origin::StaticRoute,
            types::Origin::LearnedRoute => Origin::LearnedRoute,
            types::Origin::ServiceCidr(kind) => Origin::ServiceCidr(kind),
            types::Origin::ServiceAddress(address) => Origin::ServiceAddress {
                service: Service::new(batch, address.service)?,
                kind: address.kind,
            },
        };
        Some(Self {
            prefix: raw.prefix,
            origin,
            covered_by: raw.covered_by,
            serving: raw.serving,
            attributes: at(&batch.attribute_sets, raw.attributes)?,
        })
    }
}

/// The entry of a table that an index names.
pub(crate) fn at<T>(table: &[T], index: u32) -> Option<&T> {
    table.get(usize::try_from(index).ok()?)
}

/// Whether a policy takes these settings.
///
/// # Errors
/// What is wrong with them, in the policy's own words.
pub fn validate_settings<P: Policy>(json: &str) -> Result<(), String> {
    settings::parse(json).and_then(P::new).map(drop)
}

/// Asks a policy about every candidate of a batch.
///
/// # Errors
/// The settings are not the policy's, or the batch is inconsistent.
pub fn evaluate<P: Policy>(batch: &Batch) -> Result<Answer, String> {
    let policy = settings::parse(&batch.settings).and_then(P::new)?;
    let context = Context {
        node: &batch.node,
        asn: batch.asn,
        peer_group: &batch.peer_group,
        reasons: batch.want_reasons.into(),
    };
    let mut decisions = Vec::with_capacity(batch.candidates.len());
    let mut attribute_sets = Interned::default();
    let mut reasons = Interned::default();
    for raw in &batch.candidates {
        let candidate = Candidate::resolve(batch, raw)
            .ok_or_else(|| format!("the batch has no entry that {} names", raw.prefix))?;
        let Decision { verdict, reason } = policy.decide(&context, &candidate);
        decisions.push(announce::Decision {
            verdict: match verdict {
                Verdict::Abstain => announce::Verdict::Abstain,
                Verdict::Accept(new) => {
                    announce::Verdict::Accept(new.map(|set| attribute_sets.index_of(set)))
                }
                Verdict::Reject => announce::Verdict::Reject,
            },
            reason: reason
                .filter(|_| batch.want_reasons)
                .map(|text| reasons.index_of(text)),
        });
    }
    Ok(Answer {
        decisions,
        attribute_sets: attribute_sets.into_table(),
        reasons: reasons.into_table().into_iter().map(Into::into).collect(),
    })
}

/// Values numbered in the order they were first seen.
pub(crate) struct Interned<T> {
    indexes: BTreeMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            indexes: BTreeMap::new(),
        }
    }
}

impl<T: Ord> Interned<T> {
    pub(crate) fn index_of(&mut self, value: T) -> u32 {
        // There are no more values than candidates, whose list the contract bounds.
        let next = u32::try_from(self.indexes.len()).unwrap_or(u32::MAX);
        *self.indexes.entry(value).or_insert(next)
    }

    pub(crate) fn into_table(self) -> Vec<T> {
        let mut entries: Vec<_> = self.indexes.into_iter().collect();
        entries.sort_unstable_by_key(|&(_, index)| index);
        entries.into_iter().map(|(value, _)| value).collect()
    }
}

/// The exports of a module whose policy is `P`; named by
/// [`export_policy!`](crate::export_policy) only.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: Policy> module::Guest for Exported<P> {
    fn describe() -> Description {
        P::describe()
    }

    fn validate_settings(settings: String) -> Result<(), String> {
        validate_settings::<P>(&settings)
    }
}

impl<P: Policy> announce::Guest for Exported<P> {
    fn evaluate(batch: Batch) -> Result<Answer, String> {
        // The agent drops the whole instance after the call: freeing its strings one by one
        // takes time and gains nothing.
        evaluate::<P>(&ManuallyDrop::new(batch))
    }
}
