//! Policies on learned routes: the trait, what it is shown and what it may say, and the way
//! between the generated bindings and it.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use serde::de::DeserializeOwned;

use crate::bindings::learn::{
    self, Answer, Batch, Installation, OriginCode, Peer, Segment, SegmentKind,
};
use crate::bindings::module;
use crate::run::{Interned, at};
use crate::{Context, Description, Family, Prefix, RouteAttributes, settings};

/// A policy on the routes that peers announce to us: a pure function from a route to a decision.
///
/// The agent splits batches, reorders them and remembers decisions, so `decide` must depend on
/// nothing but the settings, the context and the route.
///
/// ```
/// use rutter_policy::{
///     Acceptance, Context, Description, ImportDecision, ImportPolicy, LearnedRoute, NoSettings,
/// };
///
/// struct DefaultRouteOnly;
///
/// impl ImportPolicy for DefaultRouteOnly {
///     type Settings = NoSettings;
///
///     fn describe() -> Description {
///         rutter_policy::description!("Takes the default route and nothing else")
///     }
///
///     fn new(NoSettings: NoSettings) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn decide(&self, _context: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision {
///         if route.prefix.length == 0 {
///             ImportDecision::accept(Acceptance::default())
///         } else {
///             ImportDecision::reject("only the default route is taken")
///         }
///     }
/// }
///
/// rutter_policy::export_import_policy!(DefaultRouteOnly);
/// ```
pub trait ImportPolicy: Sized {
    /// What the operator may set; see [`Policy::Settings`](crate::Policy::Settings).
    type Settings: DeserializeOwned;

    /// Name, version, summary and settings schema; see [`description!`](crate::description).
    fn describe() -> Description;

    /// The policy with these settings, prepared for many routes.
    ///
    /// # Errors
    /// What is wrong with the settings, for the operator: name the key, the value and what
    /// would be right.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// Decides about one route. The context's group is that of the peer it came from.
    fn decide(&self, context: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision;
}

/// A route as a peer announced it.
#[derive(Clone, Copy, Debug)]
pub struct LearnedRoute<'a> {
    /// Its destination.
    pub prefix: Prefix,
    /// The peer that it was learned from.
    pub peer: &'a Peer,
    /// ORIGIN.
    pub origin: OriginCode,
    /// AS_PATH, the nearest segment first; empty for a route that began in our own AS.
    pub as_path: &'a [Segment],
    /// What it would be used with so far; for the first policy, as it was received.
    pub attributes: &'a RouteAttributes,
}

impl<'a> LearnedRoute<'a> {
    /// The family of its prefix.
    #[must_use]
    pub fn family(&self) -> Family {
        self.prefix.family()
    }

    /// The length of its path as the choice of the best one counts it: a set is one AS, however
    /// many it names (RFC 4271 section 9.1.2.2).
    #[must_use]
    pub fn path_length(&self) -> usize {
        let length = |segment: &Segment| match segment.kind {
            SegmentKind::AsSequence => segment.asns.len(),
            SegmentKind::AsSet => 1,
        };
        self.as_path.iter().map(length).sum()
    }

    /// Whether it passed through this AS.
    #[must_use]
    pub fn passed(&self, asn: u32) -> bool {
        self.as_path
            .iter()
            .any(|segment| segment.asns.contains(&asn))
    }

    /// The AS it began in; absent where that is our own, or hidden by a set.
    #[must_use]
    pub fn origin_asn(&self) -> Option<u32> {
        let last = self.as_path.last()?;
        match last.kind {
            SegmentKind::AsSequence => last.asns.last().copied(),
            SegmentKind::AsSet => None,
        }
    }

    fn resolve(batch: &'a Batch, raw: &learn::LearnedRoute) -> Option<Self> {
        let path = at(&batch.paths, raw.path)?;
        Some(Self {
            prefix: raw.prefix,
            peer: &batch.peer,
            origin: path.origin,
            as_path: &path.as_path,
            attributes: at(&batch.attribute_sets, raw.attributes)?,
        })
    }
}

/// A policy's answer about one learned route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportDecision {
    /// Yes, no, or no opinion.
    pub verdict: ImportVerdict,
    /// In words the operator understands.
    pub reason: Option<Cow<'static, str>>,
}

/// Yes, no, or no opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportVerdict {
    /// No opinion: what other policies of the chain say counts.
    Abstain,
    /// Use it in this way, unless a later policy changes that or rejects.
    Accept(Acceptance),
    /// Do not use it, whatever other policies say.
    Reject,
}

/// How a route is used; by default as proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// In place of the proposed attributes. Start from a copy of [`LearnedRoute::attributes`] to
    /// change only some.
    pub attributes: Option<RouteAttributes>,
    /// Whether the kernel forwards by it. Absent: as the policies before said, and
    /// [`Installation::Install`] where none did.
    pub installation: Option<Installation>,
}

impl ImportDecision {
    /// Use the route in this way.
    #[must_use]
    pub fn accept(acceptance: Acceptance) -> Self {
        ImportVerdict::Accept(acceptance).into()
    }

    /// Do not use the route. A reason is required: a missing route is what operators ask about.
    #[must_use]
    pub fn reject(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from(ImportVerdict::Reject).because(reason)
    }

    /// Leave it to the other policies of the chain.
    #[must_use]
    pub fn abstain() -> Self {
        ImportVerdict::Abstain.into()
    }

    /// The same decision with a reason; see [`Context::explain`] for texts that cost something
    /// to make.
    #[must_use]
    pub fn because(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }
}

impl From<ImportVerdict> for ImportDecision {
    fn from(verdict: ImportVerdict) -> Self {
        Self {
            verdict,
            reason: None,
        }
    }
}

/// Whether an import policy takes these settings.
///
/// # Errors
/// What is wrong with them, in the policy's own words.
pub fn validate_import_settings<P: ImportPolicy>(json: &str) -> Result<(), String> {
    settings::parse(json).and_then(P::new).map(drop)
}

/// Asks an import policy about every route of a batch.
///
/// # Errors
/// The settings are not the policy's, or the batch is inconsistent.
pub fn evaluate_import<P: ImportPolicy>(batch: &Batch) -> Result<Answer, String> {
    let policy = settings::parse(&batch.settings).and_then(P::new)?;
    let context = Context {
        node: &batch.node,
        asn: batch.asn,
        peer_group: &batch.peer_group,
        reasons: batch.want_reasons.into(),
    };
    let mut decisions = Vec::with_capacity(batch.routes.len());
    let mut attribute_sets = Interned::default();
    let mut reasons = Interned::default();
    for raw in &batch.routes {
        let route = LearnedRoute::resolve(batch, raw)
            .ok_or_else(|| format!("the batch has no entry that {} names", raw.prefix))?;
        let ImportDecision { verdict, reason } = policy.decide(&context, &route);
        decisions.push(learn::Decision {
            verdict: match verdict {
                ImportVerdict::Abstain => learn::Verdict::Abstain,
                ImportVerdict::Accept(Acceptance {
                    attributes,
                    installation,
                }) => learn::Verdict::Accept(learn::Acceptance {
                    attributes: attributes.map(|set| attribute_sets.index_of(set)),
                    installation,
                }),
                ImportVerdict::Reject => learn::Verdict::Reject,
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

/// The exports of a module whose import policy is `P`; named by
/// [`export_import_policy!`](crate::export_import_policy) only.
#[derive(Debug)]
pub struct ExportedImport<P>(PhantomData<P>);

impl<P: ImportPolicy> module::Guest for ExportedImport<P> {
    fn describe() -> Description {
        P::describe()
    }

    fn validate_settings(settings: String) -> Result<(), String> {
        validate_import_settings::<P>(&settings)
    }
}

impl<P: ImportPolicy> learn::Guest for ExportedImport<P> {
    fn evaluate(batch: Batch) -> Result<Answer, String> {
        // The agent drops the whole instance after the call: freeing it piece by piece takes
        // time and gains nothing.
        evaluate_import::<P>(&ManuallyDrop::new(batch))
    }
}

#[cfg(test)]
mod tests;
