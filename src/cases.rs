//! Situations written down: the facts that a policy is given, as people write them in case files
//! and as the agent records them from a live node.
//!
//! A [`Document`] is the file's form, in TOML, and the agent's answer to `/v1/policy/batch`, in
//! JSON. A [`CaseFile`] is what it means: one [`Scene`] for each question to a policy, with the
//! candidates worked out by the agent's own code, so that an author writes Services and not
//! candidates. A [`LearnedScene`] is the same of routes that a peer announced. `rutter policy test`
//! and its like ask the questions; nothing in here runs a policy, reads a file or knows WebAssembly.
//!
//! What a file may hold is told in `policies/README.md`.

mod document;
mod endpoints;
mod error;
mod fill;
mod learned;
mod lines;
mod question;
mod record;
mod scene;
mod written;

#[cfg(test)]
mod tests;

pub use document::{
    Advertise, Attributes, Case, Document, Expectation, ExpectedVerdict, Group, IpFamily, Node,
    Port, RouteKind, Service, Settings, UsedPolicy,
};
pub use endpoints::{ByFamily, Counts, Endpoints};
pub use error::{CaseError, CaseErrors};
pub use learned::{InvalidPath, Learned, OriginText, PathText, Peer};
pub use question::{Check, ExpectedDecision, Question, Scene};
pub use record::Recorded;
pub use scene::{Asks, CaseFile, ExpectedImport, LearnedScene, Received};
