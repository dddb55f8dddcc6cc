//! Write Rutter route policies in Rust: implement [`Policy`], then [`export_policy!`]; for the
//! routes that peers announce to us, [`ImportPolicy`] and [`export_import_policy!`]; for both in
//! one module, both traits and [`export_two_way_policy!`].
//!
//! ```
//! use rutter_policy::{Candidate, Context, Decision, Description, NoSettings, Policy};
//!
//! struct PodsOnly;
//!
//! impl Policy for PodsOnly {
//!     type Settings = NoSettings;
//!
//!     fn describe() -> Description {
//!         rutter_policy::description!("Announces pod CIDRs and nothing else")
//!     }
//!
//!     fn new(NoSettings: NoSettings) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn decide(&self, _context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
//!         if candidate.service().is_none() {
//!             Decision::accept()
//!         } else {
//!             Decision::reject("only pods are announced")
//!         }
//!     }
//! }
//!
//! rutter_policy::export_policy!(PodsOnly);
//! ```
//!
//! Compiled to WebAssembly the crate is a module that the agent loads; compiled natively it is
//! an ordinary library, tested with [`testing`]. A panic stops the module: the agent keeps the
//! routes as they were and reports a trap, but the panic's text is lost. Return an error from
//! [`Policy::new`] instead, and let `decide` always decide. What is worth telling otherwise goes to
//! the [`log`].

mod amend;
#[cfg(any(target_family = "wasm", test))]
mod arena;
pub mod bindings;
mod decision;
mod facts;
mod learn;
pub mod log;
mod run;
mod select;
mod service;
mod settings;
pub mod testing;
mod two_way;
mod values;

pub use amend::{COMMUNITIES_MAX, LEARNED_COMMUNITIES_MAX, PREPEND_MAX};
pub use bindings::learn::{Installation, OriginCode, Peer, Segment, SegmentKind};
pub use bindings::module::Description;
pub use bindings::types::{
    AddressKind, ConditionStatus, EndpointCounts, FamilyCounts, IpAddress, IpMode, Label,
    LargeCommunity, LinkBandwidth, Node, NodeAddress, NodeAddressKind, NodeCondition, PeerGroup,
    PeerKind, Prefix, RouteAttributes, ServiceType, Serving, SessionAffinity, Taint, TrafficPolicy,
    UnservedReason,
};
pub use decision::{Decision, Verdict};
pub use facts::{Family, find};
pub use learn::{
    Acceptance, ExportedImport, ImportDecision, ImportPolicy, ImportVerdict, LearnedRoute,
    evaluate_import, validate_import_settings,
};
pub use run::{Candidate, Context, Exported, Origin, evaluate, validate_settings};
pub use select::{Selector, Wanted, has_all, has_any};
pub use service::{Protocol, Service, ServiceIp, ServicePort};
pub use settings::NoSettings;
pub use two_way::{ExportedTwoWay, validate_two_way_settings};
pub use values::{Cidr, Community, RouteKind};

use serde::de::DeserializeOwned;

/// A route policy: a pure function from a candidate to a decision.
///
/// The agent splits batches, reorders them and remembers decisions, so `decide` must depend on
/// nothing but the settings, the context and the candidate.
pub trait Policy: Sized {
    /// What the operator may set. Derive `Deserialize` with `#[serde(deny_unknown_fields)]`, so
    /// that a misspelt key is an error; [`NoSettings`] where there is nothing to set.
    type Settings: DeserializeOwned;

    /// Name, version, summary and settings schema; see [`description!`].
    fn describe() -> Description;

    /// The policy with these settings, prepared for many candidates.
    ///
    /// # Errors
    /// What is wrong with the settings, for the operator: name the key, the value and what
    /// would be right.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// Decides about one candidate.
    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision;
}

/// Makes a type the module of this crate, with these interfaces beside the description.
#[doc(hidden)]
#[macro_export]
macro_rules! export_interfaces {
    ($module:ty: $($interface:ident::$export:ident),+) => {
        const _: () = {
            type Module = $module;
            #[cfg(target_family = "wasm")]
            $crate::bindings::describing::export_module!(
                Module with_types_in $crate::bindings::describing
            );
            $(
                #[cfg(target_family = "wasm")]
                $crate::bindings::$interface::$export!(
                    Module with_types_in $crate::bindings::$interface
                );
            )+
            #[cfg(not(target_family = "wasm"))]
            const _: ::core::marker::PhantomData<Module> = ::core::marker::PhantomData;
        };
    };
}

/// Makes a [`Policy`] the one that this crate's WebAssembly module exports. Once a crate; it
/// does nothing in native builds, so that unit tests link.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        $crate::export_interfaces!($crate::Exported<$policy>: announcing::export_announce);
    };
}

/// Makes an [`ImportPolicy`] the one that this crate's WebAssembly module exports. Once a crate,
/// and not beside [`export_policy!`], whose place in a module that decides both ways
/// [`export_two_way_policy!`] takes; it does nothing in native builds.
#[macro_export]
macro_rules! export_import_policy {
    ($policy:ty) => {
        $crate::export_interfaces!($crate::ExportedImport<$policy>: learning::export_learn);
    };
}

/// Makes a [`Policy`] and an [`ImportPolicy`] those that this crate's WebAssembly module exports: it
/// may be configured under `[[policies]]`, under `[[import-policies]]`, or under both, each time
/// with settings of its own. Once a crate, and alone; it does nothing in native builds.
///
/// Both have the same [`Settings`](Policy::Settings), and settings that either refuses are refused.
/// The first describes the module. One type may be both:
///
/// ```
/// use rutter_policy::{
///     Candidate, Context, Decision, Description, ImportDecision, ImportPolicy, LearnedRoute,
///     NoSettings, Policy,
/// };
///
/// struct NoDefaultRoute;
///
/// impl Policy for NoDefaultRoute {
///     type Settings = NoSettings;
///
///     fn describe() -> Description {
///         rutter_policy::description!("Keeps the default route out of both directions")
///     }
///
///     fn new(NoSettings: NoSettings) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn decide(&self, _context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
///         match candidate.prefix.length {
///             0 => Decision::reject("the default route is not announced"),
///             _ => Decision::abstain(),
///         }
///     }
/// }
///
/// impl ImportPolicy for NoDefaultRoute {
///     type Settings = NoSettings;
///
///     fn describe() -> Description {
///         <Self as Policy>::describe()
///     }
///
///     fn new(NoSettings: NoSettings) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn decide(&self, _context: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision {
///         match route.prefix.length {
///             0 => ImportDecision::reject("the default route is not used"),
///             _ => ImportDecision::abstain(),
///         }
///     }
/// }
///
/// rutter_policy::export_two_way_policy!(NoDefaultRoute, NoDefaultRoute);
/// ```
#[macro_export]
macro_rules! export_two_way_policy {
    ($policy:ty, $import_policy:ty) => {
        $crate::export_interfaces!(
            $crate::ExportedTwoWay<$policy, $import_policy>:
                announcing::export_announce, learning::export_learn
        );
    };
}

/// A [`Description`] with the name and version of the crate it is written in.
///
/// The first argument is one sentence for people, the second, optional, a JSON Schema of the
/// settings as text.
#[macro_export]
macro_rules! description {
    ($summary:expr) => {
        $crate::description!(@ $summary, ::core::option::Option::None)
    };
    ($summary:expr, $schema:expr) => {
        $crate::description!(@ $summary, ::core::option::Option::Some($schema.into()))
    };
    (@ $summary:expr, $schema:expr) => {
        $crate::Description {
            name: ::core::env!("CARGO_PKG_NAME").into(),
            version: ::core::env!("CARGO_PKG_VERSION").into(),
            summary: $summary.into(),
            settings_schema: $schema,
        }
    };
}

/// Compiles the guide's example.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Guide;

#[cfg(test)]
mod tests;
