//! A server on loopback for tests: what it answers, to the letter, and what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::digest_of;
use crate::config::PolicyModule;
use crate::types::Digest;

/// Answers until it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// By path, with its query.
    answers: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The head of each request.
    asked: Mutex<Vec<String>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (connection, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(connection, Arc::clone(&shared)));
                }
            }
        });
        Self {
            address,
            shared,
            task,
        }
    }

    /// From now on, `path` gets this answer.
    pub(super) fn answer(&self, path: &str, answer: Vec<u8>) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(path.to_owned(), answer);
    }

    /// The head of each request so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// A reference into the repository `p` of the registry that this is.
    pub(super) fn reference(&self, version: &str) -> PolicyModule {
        let text = format!("oci://{}/p{version}", self.address);
        PolicyModule::parse(&text, "".as_ref()).unwrap()
    }

    /// Holds an artifact with this layer under this tag and its digest, which is returned.
    pub(super) fn hold(&self, tag: &str, media_type: &str, layer: &[u8]) -> Digest {
        let manifest = manifest(media_type, layer, layer.len());
        self.answer(&format!("/v2/p/blobs/{}", digest_of(layer)), ok(layer));
        self.hold_manifest(tag, &manifest)
    }

    /// Holds a manifest under this tag and its digest, which is returned.
    pub(super) fn hold_manifest(&self, tag: &str, manifest: &str) -> Digest {
        let digest = digest_of(manifest.as_bytes());
        for version in [tag.to_owned(), digest.to_string()] {
            let path = format!("/v2/p/manifests/{version}");
            self.answer(&path, ok(manifest.as_bytes()));
        }
        digest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A manifest that says this of its layer.
pub(super) fn manifest(media_type: &str, layer: &[u8], size: usize) -> String {
    let layer =
        json!({"mediaType": media_type, "digest": digest_of(layer).to_string(), "size": size});
    json!({"schemaVersion": 2, "layers": [layer]}).to_string()
}

/// An answer of this status, with these headers.
pub(super) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

pub(super) fn ok(body: &[u8]) -> Vec<u8> {
    answer(
        "200 OK",
        &[&format!("content-length: {}", body.len())],
        body,
    )
}

pub(super) fn empty(status: &str, header: &str) -> Vec<u8> {
    answer(status, &["content-length: 0", header], b"")
}

async fn serve(mut connection: TcpStream, shared: Arc<Shared>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(octet) = connection.read_u8().await else {
            return;
        };
        head.push(octet);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    shared.asked.lock().unwrap().push(head);
    let answer = shared.answers.lock().unwrap().get(&path).cloned();
    let answer = answer.unwrap_or_else(|| empty("404 Not Found", "x-a: b"));
    // One that has heard enough hangs up.
    let _ = connection.write_all(&answer).await;
    let _ = connection.shutdown().await;
}
