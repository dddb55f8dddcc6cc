//! One file of manifests: YAML documents (JSON is YAML too) into objects. Pure.
//!
//! A file is taken as a whole or not at all: an edit with a mistake in it should not be half in
//! force.

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::kube::{Calico, CalicoKind, Kind, Object};

/// Values of a file, however deep: a Service has some fifty.
pub(super) const NODES_MAX: usize = 2_000_000;
pub(super) const DOCUMENTS_MAX: usize = 100_000;

/// The namespace of an object that names none, as `kubectl` has it by default.
const DEFAULT_NAMESPACE: &str = "default";

/// The Nodes, Namespaces, Services and EndpointSlices in a file, those in Lists too; Calico's
/// resources and Pods where they count. Other kinds are none of our business and left alone.
///
/// # Errors
/// The text is no YAML, or one of the objects does not read as its kind; says in which line that
/// is, or its document begins.
pub(super) fn parse(text: &str, calico: Calico) -> Result<Vec<Object>, String> {
    let options = serde_saphyr::options! {
        // What one of the largest file has; without a bound, brackets alone would take hundreds of
        // times their size.
        budget: serde_saphyr::budget! {
            max_events: 2 * NODES_MAX,
            max_nodes: NODES_MAX,
            max_documents: DOCUMENTS_MAX,
        },
        with_snippet: false,
    };
    let documents: Vec<Spanned<Value>> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| {
            let error = error.without_snippet();
            error.render_with_formatter(&serde_saphyr::UserMessageFormatter)
        })?;
    let mut objects = Vec::new();
    for document in documents {
        let line = document.referenced.line();
        collect(document.value, calico, &mut objects)
            .map_err(|error| format!("line {line}: {error}"))?;
    }
    Ok(objects)
}

fn collect(document: Value, calico: Calico, objects: &mut Vec<Object>) -> Result<(), String> {
    if document.is_null() {
        return Ok(());
    }
    let field = |name: &str| Some(document.get(name)?.as_str()?.to_owned());
    let Some(kind) = field("kind") else {
        return Err("a document without a kind is no Kubernetes object".to_owned());
    };
    match (
        field("apiVersion").unwrap_or_default().as_str(),
        kind.as_str(),
    ) {
        ("v1", "Node") => objects.push(Object::Node(Box::new(decode(Kind::Node, document)?))),
        ("v1", "Namespace") => {
            let namespace = decode(Kind::Namespace, document)?;
            objects.push(Object::Namespace(Box::new(namespace)));
        }
        ("v1", "Service") => {
            let mut service: Service = decode(Kind::Service, document)?;
            default_namespace(&mut service.metadata.namespace);
            objects.push(Object::Service(Box::new(service)));
        }
        ("discovery.k8s.io/v1", "EndpointSlice") => {
            let mut slice: EndpointSlice = decode(Kind::EndpointSlice, document)?;
            default_namespace(&mut slice.metadata.namespace);
            objects.push(Object::EndpointSlice(Box::new(slice)));
        }
        ("v1", "List" | "NodeList" | "NamespaceList" | "ServiceList")
        | ("discovery.k8s.io/v1", "EndpointSliceList") => {
            return collect_list(document, calico, objects);
        }
        (version, kind) => match calico {
            Calico::Watched => return collect_calico((version, kind), document, objects),
            Calico::Ignored => {}
        },
    }
    Ok(())
}

/// What counts where Calico's resources do.
fn collect_calico(
    (version, kind): (&str, &str),
    document: Value,
    objects: &mut Vec<Object>,
) -> Result<(), String> {
    let of = |kind| CalicoKind::of(version, kind);
    let is_ours = |kind| of(kind).is_some() || (version, kind) == ("v1", "Pod");
    match (of(kind), kind.strip_suffix("List")) {
        (Some(kind), _) => {
            let object = decode(Kind::Calico(kind), document)?;
            objects.push(Object::Calico(kind, Box::new(object)));
        }
        (None, Some(item)) if is_ours(item) => {
            return collect_list(document, Calico::Watched, objects);
        }
        (None, _) if is_ours(kind) => {
            let mut pod: Pod = decode(Kind::Pod, document)?;
            default_namespace(&mut pod.metadata.namespace);
            objects.push(Object::Pod(Box::new(pod)));
        }
        (None, _) => {}
    }
    Ok(())
}

/// The items of a List. In one that is named for its kind, items may leave out what they are.
fn collect_list(mut list: Value, calico: Calico, objects: &mut Vec<Object>) -> Result<(), String> {
    let api_version = list["apiVersion"].take();
    let kind = list["kind"].take();
    let kind = kind.as_str().and_then(|kind| kind.strip_suffix("List"));
    let items = match list["items"].take() {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            return Err("items of a List are no list".to_owned());
        }
    };
    for mut item in items {
        if let (Some(kind), Some(fields)) =
            (kind.filter(|kind| !kind.is_empty()), item.as_object_mut())
        {
            fields.entry("kind").or_insert_with(|| kind.into());
            fields
                .entry("apiVersion")
                .or_insert_with(|| api_version.clone());
        }
        collect(item, calico, objects)?;
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(kind: Kind, document: Value) -> Result<T, String> {
    let name = document["metadata"]["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(format!("a {kind} without metadata.name"));
    }
    let name = name.to_owned();
    serde_json::from_value(document).map_err(|error| format!("{kind} {name}: {error}"))
}

fn default_namespace(namespace: &mut Option<String>) {
    if namespace.as_deref().unwrap_or_default().is_empty() {
        *namespace = Some(DEFAULT_NAMESPACE.to_owned());
    }
}
