//! Kubernetes Events about the agent's own Node and about Services, as `kubectl describe` lists them.
//!
//! What there is to say of a Service, the agent of every node may say. So that it is one Event and not
//! one for each node, its name is made of what it says.
//!
//! The agent decides what is worth an Event and how often; here is only how one is written. The
//! client library has a recorder, too: it takes two Events of one reason for the same, whatever
//! they say, and so would lose the name of the second policy that fails.

use ::kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use ::kube::{Api, Client};
use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ObjectReference, Service};
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::CalicoKind;
use crate::calico::{self, ApiGroup};
use crate::facts::ServiceKey;
use crate::types::shortened;

/// Where Events about objects without a namespace live; others live with their object.
const NAMESPACE: &str = "default";

/// The HTTP status for a name that is taken.
const CONFLICT: u16 = 409;

/// Who we are in `reportingController`.
const CONTROLLER: &str = "rutter";

/// The API server refuses a longer `note`.
const NOTE_BYTES_MAX: usize = 1024;

/// The API server refuses a longer `reportingInstance`.
const INSTANCE_BYTES_MAX: usize = 128;

/// Something that came to pass on this Node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
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

/// The object that an Event is listed with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Regarding {
    /// The agent's own Node.
    Node,
    /// This Service.
    Service(ServiceKey),
    /// The object of this name, of a kind of Calico's; Kubernetes' own if it is a Node.
    Calico(calico::Kind, String),
}

/// An Event's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information.
    Normal,
    /// Something is not as it should be.
    Warning,
}

/// Writes Events of one Node.
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
    /// Writes for the Node of this name, which need not exist.
    #[must_use]
    pub fn new(client: Client, node_name: &str) -> Self {
        Self {
            client,
            node_name: node_name.to_owned(),
        }
    }

    fn events(&self, namespace: &str) -> Api<Event> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Writes a new Event.
    ///
    /// # Errors
    /// The API server is away, or forbids it.
    pub async fn create(&self, event: &Occurrence) -> anyhow::Result<Recorded> {
        let regarding = match &event.regarding {
            Regarding::Node => self.node(),
            Regarding::Service(key) => self.service(key).await?,
            Regarding::Calico(kind, name) => self.calicos(*kind, name).await?,
        };
        let namespace = regarding.namespace.as_deref().unwrap_or(NAMESPACE);
        let namespace = namespace.to_owned();
        let object = self.object(event, regarding, &namespace, Timestamp::now());
        let fixed = object.metadata.name.clone();
        let events = self.events(&namespace);
        let name = match events.create(&PostParams::default(), &object).await {
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

    fn node(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(self.node_name.clone()),
            // As the kubelet does it, and `kubectl describe node` expects it: the name.
            uid: Some(self.node_name.clone()),
            ..ObjectReference::default()
        }
    }

    /// With its UID, without which `kubectl describe service` would not find the Event.
    async fn service(&self, key: &ServiceKey) -> anyhow::Result<ObjectReference> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let service = services.get_metadata(&key.name).await?;
        Ok(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(key.namespace.to_string()),
            name: Some(key.name.to_string()),
            uid: service.metadata.uid,
            ..ObjectReference::default()
        })
    }

    /// As the first group has it that serves it.
    async fn calicos(&self, kind: calico::Kind, name: &str) -> anyhow::Result<ObjectReference> {
        let groups = match kind {
            calico::Kind::Node => [ApiGroup::Core, ApiGroup::V3],
            calico::Kind::BgpConfiguration
            | calico::Kind::BgpPeer
            | calico::Kind::BgpFilter
            | calico::Kind::IpPool
            | calico::Kind::BlockAffinity => [ApiGroup::V3, ApiGroup::Crd],
        };
        for group in groups {
            let resource = CalicoKind { group, kind }.api_resource();
            let objects: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            if let Some(object) = objects.get_metadata_opt(name).await? {
                return Ok(ObjectReference {
                    api_version: Some(group.api_version().to_owned()),
                    kind: Some(kind.name().to_owned()),
                    name: Some(name.to_owned()),
                    uid: object.metadata.uid,
                    ..ObjectReference::default()
                });
            }
        }
        anyhow::bail!("{kind} {name} is gone")
    }

    fn object(
        &self,
        event: &Occurrence,
        regarding: ObjectReference,
        namespace: &str,
        now: Timestamp,
    ) -> Event {
        let (name, generate_name) = match &event.regarding {
            // The API server adds what makes it unique, and cuts what is too long.
            Regarding::Node => (None, Some(format!("{}-", self.node_name))),
            Regarding::Service(service) => (Some(fixed_name(&service.name, event)), None),
            Regarding::Calico(_, name) => (Some(fixed_name(name, event)), None),
        };
        let Occurrence {
            regarding: _, // with what the API server knows of it
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
            metadata: ObjectMeta {
                name,
                generate_name,
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(severity.to_owned()),
            reason: Some((*reason).to_owned()),
            action: Some((*action).to_owned()),
            note: Some(shortened(note, NOTE_BYTES_MAX).into_owned()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(shortened(&self.node_name, INSTANCE_BYTES_MAX).into_owned()),
            regarding: Some(regarding),
            ..Event::default()
        }
    }
}

/// A name that no Event has that says something else of the object: that of the object and 64 bits.
fn fixed_name(name: &str, event: &Occurrence) -> String {
    let digest = Sha256::digest(match &event.regarding {
        Regarding::Service(service) => format!("{service} {} {}", event.reason, event.note),
        Regarding::Node | Regarding::Calico(..) => {
            format!("{:?} {} {}", event.regarding, event.reason, event.note)
        }
    });
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}.{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_service_has_one_name_whoever_says_it() {
        let service = ServiceKey::new("shop", "web");
        let event = |note: &str| Occurrence {
            regarding: Regarding::Service(service.clone()),
            severity: Severity::Warning,
            reason: "AddressRefused",
            action: "Advertise",
            note: note.to_owned(),
        };
        let name = |note: &str| fixed_name(&service.name, &event(note));
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
        assert!(name("a").starts_with("web.") && name("a").len() == 4 + 16);
    }
}
