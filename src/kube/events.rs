//! Kubernetes Events about the agent's own Node, and about Services, as `kubectl describe` lists them.
//!
//! What there is to say of a Service, the agent of every node says. So that it is one Event and not one
//! for each node, its name is made of what it says.
//!
//! The agent decides what is worth an Event and how often; here is only how one is written. The
//! client library has a recorder, too: it takes two Events of one reason for the same, whatever
//! they say, and so would lose the name of the second policy that fails.

use ::kube::api::{Patch, PatchParams, PostParams};
use ::kube::{Api, Client};
use anyhow::Context as _;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::facts::ServiceKey;

/// Where Events about objects without a namespace live.
const NAMESPACE: &str = "default";

/// The HTTP status for a name that is taken.
const CONFLICT: u16 = 409;

/// Who we are in `reportingController`.
const CONTROLLER: &str = "rutter";

/// The API server refuses a longer `note`.
const NOTE_BYTES_MAX: usize = 1024;

/// The API server refuses a longer `reportingInstance`.
const INSTANCE_BYTES_MAX: usize = 128;

/// Something that came to pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentEvent {
    /// What it is about.
    pub regarding: Regarding,
    /// Whether somebody should look at it.
    pub severity: Severity,
    /// What came to pass, in CamelCase, for machines.
    pub reason: &'static str,
    /// What the agent was doing, in CamelCase.
    pub action: &'static str,
    /// What came to pass, for people; cut where it is longer than the API server takes.
    pub note: String,
}

/// The object that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Regarding {
    /// The agent's own Node.
    Node,
    /// A Service.
    Service(ServiceKey),
}

/// An Event's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information.
    Normal,
    /// Something is not as it should be.
    Warning,
}

/// Writes Events about one Node, and about Services as that Node's agent.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    node_name: String,
}

/// An Event that the API server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    namespace: String,
    name: String,
}

impl Recorder {
    /// Writes about the Node of this name, which need not exist.
    #[must_use]
    pub fn new(client: Client, node_name: &str) -> Self {
        Self {
            client,
            node_name: node_name.to_owned(),
        }
    }

    /// Writes a new Event.
    ///
    /// # Errors
    /// The API server is away, or forbids it.
    pub async fn create(&self, event: &AgentEvent) -> anyhow::Result<Recorded> {
        let namespace = namespace(&event.regarding).to_owned();
        let object = self.object(event, Timestamp::now());
        let fixed = object.metadata.name.clone();
        let name = match self
            .events(&namespace)
            .create(&PostParams::default(), &object)
            .await
        {
            Ok(created) => created.metadata.name,
            // The agent of another node was the first to say it.
            Err(::kube::Error::Api(status)) if status.code == CONFLICT && fixed.is_some() => fixed,
            Err(error) => return Err(error.into()),
        };
        let name = name.context("the API server gave the Event no name")?;
        Ok(Recorded { namespace, name })
    }

    /// Says of an Event that it came to pass again, `count` times up to now.
    ///
    /// # Errors
    /// The API server is away, or has forgotten the Event: it keeps one for an hour.
    pub async fn repeat(&self, recorded: &Recorded, count: u32) -> anyhow::Result<()> {
        let series = EventSeries {
            count: i32::try_from(count).unwrap_or(i32::MAX),
            last_observed_time: MicroTime(Timestamp::now()),
        };
        let patch = Patch::Merge(json!({ "series": series }));
        let Recorded { namespace, name } = recorded;
        self.events(namespace)
            .patch(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    fn events(&self, namespace: &str) -> Api<Event> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn metadata(&self, event: &AgentEvent) -> ObjectMeta {
        let (name, generate_name) = match &event.regarding {
            // The API server adds what makes it unique, and cuts what is too long.
            Regarding::Node => (None, Some(format!("{}-", self.node_name))),
            Regarding::Service(service) => (Some(fixed_name(service, event)), None),
        };
        ObjectMeta {
            name,
            generate_name,
            namespace: Some(namespace(&event.regarding).to_owned()),
            ..ObjectMeta::default()
        }
    }

    fn reference(&self, regarding: &Regarding) -> ObjectReference {
        let named = |kind: &str, name: &str| ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            ..ObjectReference::default()
        };
        match regarding {
            Regarding::Node => ObjectReference {
                // As the kubelet does it, and `kubectl describe node` expects it: the name.
                uid: Some(self.node_name.clone()),
                ..named("Node", &self.node_name)
            },
            Regarding::Service(service) => ObjectReference {
                namespace: Some(service.namespace.to_string()),
                ..named("Service", &service.name)
            },
        }
    }

    fn object(&self, event: &AgentEvent, now: Timestamp) -> Event {
        let AgentEvent {
            regarding,
            severity,
            reason,
            action,
            note,
        } = event;
        let severity = match severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        Event {
            metadata: self.metadata(event),
            type_: Some(severity.to_owned()),
            reason: Some((*reason).to_owned()),
            action: Some((*action).to_owned()),
            note: Some(cut(note, NOTE_BYTES_MAX)),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(cut(&self.node_name, INSTANCE_BYTES_MAX)),
            regarding: Some(self.reference(regarding)),
            ..Event::default()
        }
    }
}

/// Where an Event about the object lives.
fn namespace(regarding: &Regarding) -> &str {
    match regarding {
        Regarding::Node => NAMESPACE,
        Regarding::Service(service) => &service.namespace,
    }
}

/// A name that no Event has that says something else of the Service: that of the Service and 64 bits.
fn fixed_name(service: &ServiceKey, event: &AgentEvent) -> String {
    let digest = Sha256::digest(format!("{service} {} {}", event.reason, event.note));
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}.{hex}", service.name)
}

/// The text, or as much of its beginning as fits.
fn cut(text: &str, bytes_max: usize) -> String {
    const MARK: &str = "...";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max - MARK.len());
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_service_has_one_name_whoever_says_it() {
        let service = ServiceKey::new("shop", "web");
        let event = |note: &str| AgentEvent {
            regarding: Regarding::Service(service.clone()),
            severity: Severity::Warning,
            reason: "AddressRefused",
            action: "Advertise",
            note: note.to_owned(),
        };
        let name = |note: &str| fixed_name(&service, &event(note));
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
        assert!(name("a").starts_with("web.") && name("a").len() == 4 + 16);
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lo...");
        assert_eq!(cut("ääää", 7), "ää...");
        assert_eq!(cut(&"x".repeat(2_000), NOTE_BYTES_MAX).len(), 1_024);
    }
}
