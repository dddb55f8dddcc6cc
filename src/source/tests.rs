//! What is handed out, and what is not, with a server that does everything wrong.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::manifest::WASM_LAYER;
use super::testing::{Server, answer, empty, manifest as describe, ok};
use super::*;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

const MODULE: &[u8] = b"a module";

/// Asks, with a cache of its own.
struct Node {
    folder: TempDir,
    fetcher: Fetcher,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fetcher = Fetcher {
            cache: Some(Cache::new(&folder.path().join("modules"))),
            registry_auth: None,
            patience: PATIENCE,
        };
        Self { folder, fetcher }
    }

    async fn obtain(&self, module: &PolicyModule) -> Result<Obtained, String> {
        self.obtain_pinned(module, None).await
    }

    async fn obtain_pinned(
        &self,
        module: &PolicyModule,
        digest: Option<Digest>,
    ) -> Result<Obtained, String> {
        let demands = Demands {
            digest,
            signed_by: None,
            signed_for: None,
        };
        self.obtain_as(module, demands).await
    }

    async fn obtain_signed(&self, module: &PolicyModule, key: &Path) -> Result<Obtained, String> {
        let demands = Demands {
            digest: None,
            signed_by: Some(key.into()),
            signed_for: None,
        };
        self.obtain_as(module, demands).await
    }

    async fn obtain_as(&self, module: &PolicyModule, demands: Demands) -> Result<Obtained, String> {
        let obtained = self.fetcher.obtain(module, &demands).await;
        obtained.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    /// Shows these credentials to `registry`.
    fn with_auth(mut self, registry: &str, auth: &str) -> Self {
        let path = self.folder.path().join("auth.json");
        let text = format!(r#"{{"auths": {{"{registry}": {{"auth": "{auth}"}}}}}}"#);
        std::fs::write(&path, text).unwrap();
        self.fetcher.registry_auth = Some(path);
        self
    }
}

/// The error of a node that was never given anything.
async fn refusal(module: &PolicyModule) -> String {
    Node::new().obtain(module).await.unwrap_err()
}

fn url(server: &Server, path: &str) -> PolicyModule {
    let text = format!("http://{}{path}", server.address);
    PolicyModule::parse(&text, "".as_ref()).unwrap()
}

#[tokio::test]
async fn a_pinned_module_is_these_bytes_or_none() {
    let node = Node::new();
    let path = node.folder.path().join("a.wasm");
    std::fs::write(&path, MODULE).unwrap();
    let file = PolicyModule::File(path.clone());
    let pin = Some(digest_of(MODULE));
    let obtained = node.obtain_pinned(&file, pin).await.unwrap();
    assert_eq!(obtained.bytes, MODULE);
    std::fs::write(&path, "other").unwrap();
    let error = node.obtain_pinned(&file, pin).await.unwrap_err();
    let (pinned, found) = (digest_of(MODULE), digest_of(b"other"));
    let expected = format!("the module has the digest {found}, not {pinned}");
    assert_eq!(error, expected);
    assert_eq!(node.obtain(&file).await.unwrap().digest, found);
}

#[tokio::test]
async fn a_tag_is_resolved_to_the_digest_it_stands_for() {
    let server = Server::start().await;
    for media_type in [WASM_LAYER, "application/vnd.wasm.content.layer.v1+wasm"] {
        let digest = server.hold("v1", media_type, MODULE);
        let obtained = Node::new().obtain(&server.reference(":v1")).await.unwrap();
        assert_eq!(obtained.bytes, MODULE);
        assert_eq!(obtained.digest, digest_of(MODULE));
        let pinned = server.reference(&format!(":v1@{digest}"));
        assert_eq!(obtained.source, pinned);
        assert!(Node::new().obtain(&pinned).await.is_ok());
    }
}

/// An index that names a manifest for `wasi/wasm`, beside another platform's.
fn index_of(manifest: Digest) -> String {
    let entry = |digest: Digest, os: &str, architecture: &str| {
        let platform = json!({"architecture": architecture, "os": os});
        json!({"digest": digest.to_string(), "size": 7, "platform": platform})
    };
    let other = entry(digest_of(b"other"), "linux", "amd64");
    let entries = [other, entry(manifest, "wasi", "wasm")];
    json!({"schemaVersion": 2, "manifests": entries}).to_string()
}

#[tokio::test]
async fn an_index_leads_to_the_module_and_is_what_a_tag_stands_for() {
    let server = Server::start().await;
    let manifest = server.hold("wasm", WASM_LAYER, MODULE);
    let index = server.hold_manifest("v1", &index_of(manifest));
    let node = Node::new();
    let tagged = server.reference(":v1");
    let obtained = node.obtain(&tagged).await.unwrap();
    assert_eq!(obtained.bytes, MODULE);
    let pinned = server.reference(&format!(":v1@{index}"));
    assert_eq!(obtained.source, pinned);
    node.obtain(&pinned).await.unwrap();

    // A manifest that is not the one named, under its digest.
    let path = format!("/v2/p/manifests/{manifest}");
    let other = describe(WASM_LAYER, b"other", 5);
    server.answer(&path, ok(other.as_bytes()));
    let blob = format!("/v2/p/blobs/{}", digest_of(b"other"));
    server.answer(&blob, ok(b"other"));
    let error = refusal(&tagged).await;
    assert!(
        error.starts_with("the manifest has the digest sha256:"),
        "{error}"
    );
    // Another index, an index in it, and a manifest that is not there.
    server.hold_manifest("v2", &index_of(index));
    let error = refusal(&server.reference(":v2")).await;
    assert!(error.contains("is an index, in an index"), "{error}");
    server.hold_manifest("v3", &index_of(digest_of(b"nowhere")));
    let error = refusal(&server.reference(":v3")).await;
    assert!(error.contains("is an index, and its sha256:"), "{error}");
    let wrong = server.reference(&format!("@{}", digest_of(b"elsewhere")));
    let path = format!("/v2/p/manifests/{}", digest_of(b"elsewhere"));
    server.answer(&path, ok(index_of(manifest).as_bytes()));
    server.hold("wasm", WASM_LAYER, MODULE);
    let error = refusal(&wrong).await;
    assert!(error.starts_with("the index has the digest"), "{error}");

    // Without its registry the node has all of it.
    drop(server);
    assert_eq!(node.obtain(&pinned).await.unwrap().bytes, MODULE);
    assert_eq!(node.obtain(&tagged).await.unwrap().source, pinned);
}

#[tokio::test]
async fn an_artifact_that_is_not_what_its_names_say_is_refused() {
    let server = Server::start().await;
    let digest = server.hold("v1", WASM_LAYER, MODULE);
    let pinned = server.reference(&format!("@{digest}"));
    // Another manifest under the digest.
    let other = describe(WASM_LAYER, b"other", 5);
    server.answer(&format!("/v2/p/manifests/{digest}"), ok(other.as_bytes()));
    server.answer(
        &format!("/v2/p/blobs/{}", digest_of(b"other")),
        ok(b"other"),
    );
    let error = refusal(&pinned).await;
    assert!(
        error.starts_with("the manifest has the digest sha256:"),
        "{error}"
    );
    // Another blob under the digest.
    server.answer(&format!("/v2/p/blobs/{}", digest_of(MODULE)), ok(b"other"));
    let error = refusal(&server.reference(":v1")).await;
    assert!(error.starts_with("a blob of 127.0.0.1:"), "{error}");
    // The right artifact with a module that is not the pinned one.
    server.hold("v1", WASM_LAYER, MODULE);
    let pin = Some(digest_of(b"pinned"));
    let node = Node::new();
    let error = node.obtain_pinned(&server.reference(":v1"), pin).await;
    assert!(
        error
            .unwrap_err()
            .starts_with("the module has the digest sha256:")
    );
    assert_eq!(node.fetcher.cache.as_ref().unwrap().load("oci"), None);
}

#[tokio::test]
async fn what_is_too_large_is_not_downloaded() {
    let server = Server::start().await;
    let most = format!("has more than {MODULE_BYTES_MAX} bytes, the most that are read");
    // The manifest says so.
    server.hold_manifest("v1", &describe(WASM_LAYER, MODULE, MODULE_BYTES_MAX + 1));
    let error = refusal(&server.reference(":v1")).await;
    assert!(error.ends_with(&most), "{error}");
    // The answer says so, and what follows would never end.
    let length = format!("content-length: {}", MODULE_BYTES_MAX + 1);
    server.answer("/large.wasm", answer("200 OK", &[&length], b""));
    let error = refusal(&url(&server, "/large.wasm")).await;
    assert!(error.ends_with(&most), "{error}");
    // Nothing says so.
    let endless = vec![0; MODULE_BYTES_MAX + 1];
    server.answer("/endless.wasm", answer("200 OK", &[], &endless));
    let error = refusal(&url(&server, "/endless.wasm")).await;
    assert!(error.ends_with(&most), "{error}");
    // One byte less is taken.
    server.answer("/most.wasm", ok(&endless[1..]));
    assert!(
        Node::new()
            .obtain(&url(&server, "/most.wasm"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_download_that_breaks_off_is_no_module() {
    let server = Server::start().await;
    server.hold("v1", WASM_LAYER, MODULE);
    let cut = answer("200 OK", &["content-length: 8"], b"a mod");
    server.answer(&format!("/v2/p/blobs/{}", digest_of(MODULE)), cut.clone());
    server.answer("/a.wasm", cut);
    for module in [server.reference(":v1"), url(&server, "/a.wasm")] {
        let error = refusal(&module).await;
        assert!(
            error.starts_with("cannot fetch http://127.0.0.1:"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn of_a_server_without_the_module_status_and_known_codes_are_told_and_no_word_more() {
    let server = Server::start().await;
    let reference = server.reference(":v1");
    assert_eq!(
        refusal(&reference).await,
        format!("{reference} is not in its registry")
    );
    let path = "/v2/p/manifests/v1";
    let said = |code: &str| {
        let message = "hunter2 \u{1b}[31m";
        json!({"errors": [{"code": code, "message": message, "detail": message}]}).to_string()
    };
    let (denied, unknown) = (said("DENIED"), said("hunter2"));
    for (status, body, ending) in [
        (
            "500 What hunter2",
            &*denied,
            "answered 500 Internal Server Error (DENIED)",
        ),
        (
            "403 Forbidden",
            &denied,
            "answered 403 Forbidden (DENIED); are there credentials for it in registry-auth?",
        ),
        ("404 hunter2", "hunter2", "is not in its registry"),
        (
            "500 hunter2",
            &unknown,
            "answered 500 Internal Server Error",
        ),
        ("502 x", "<b>hunter2", "answered 502 Bad Gateway"),
        ("502 x", "[7]", "answered 502 Bad Gateway"),
    ] {
        let length = format!("content-length: {}", body.len());
        server.answer(path, answer(status, &[&length], body.as_bytes()));
        let error = refusal(&reference).await;
        assert!(error.ends_with(ending), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    // Nor of an answer that is no manifest.
    for body in [
        r#"{"layers": "hunter2"}"#,
        r#"{"manifests": {"hunter2": 1}}"#,
    ] {
        server.answer(path, ok(body.as_bytes()));
        let error = refusal(&reference).await;
        assert!(
            error.contains("is no manifest: it cannot be read"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
    let endless = "x".repeat(100_000);
    for manifest in [
        describe(&endless, MODULE, 1),
        describe(WASM_LAYER, MODULE, 1).replace("sha256:", &endless),
    ] {
        server.answer(path, ok(manifest.as_bytes()));
        let error = refusal(&reference).await;
        assert!(error.len() < 1000, "{error}");
    }
    server.answer(path, ok(b"<html>"));
    let error = refusal(&reference).await;
    assert!(error.contains("is no manifest"), "{error}");
    server.answer(path, b"SSH-2.0-OpenSSH\r\n".to_vec());
    let error = refusal(&reference).await;
    assert!(error.starts_with("cannot fetch"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("http://{}/a.wasm", listener.local_addr().unwrap());
    let module = PolicyModule::parse(&text, "".as_ref()).unwrap();
    let mut node = Node::new();
    node.fetcher.patience = Duration::from_millis(50);
    let error = node.obtain(&module).await.unwrap_err();
    assert_eq!(error, format!("no module from {text} within 50ms"));
}

#[tokio::test]
async fn redirections_are_followed_to_protected_places_only() {
    let (server, store) = (Server::start().await, Server::start().await);
    store.answer("/blob?signed=secret", ok(MODULE));
    let elsewhere = format!(
        "location: http://localhost:{}/blob?signed=secret",
        store.address.port()
    );
    server.answer("/a.wasm", empty("307 Temporary Redirect", &elsewhere));
    server.answer("/b.wasm", empty("302 Found", "location: /a.wasm"));
    let obtained = Node::new().obtain(&url(&server, "/b.wasm")).await.unwrap();
    assert_eq!(obtained.bytes, MODULE);
    for (location, problem) in [
        (
            "http://192.0.2.1/a?token=x",
            "\"http://192.0.2.1/a\", without TLS to another host",
        ),
        ("ftp://localhost/a", "which is neither https: nor http:"),
        (
            "http://127.0.0.1:0@192.0.2.1/a",
            "with a name or a password in it",
        ),
        ("http://localhost.evil/a", "without TLS to another host"),
        ("a.wasm", "which is no URL"),
        ("/c.wasm", "and so did those before it"),
    ] {
        let header = format!("location: {location}");
        server.answer("/c.wasm", empty("302 Found", &header));
        let error = refusal(&url(&server, "/c.wasm")).await;
        assert!(error.ends_with(problem), "{error}");
    }
}

#[tokio::test]
async fn credentials_are_shown_when_asked_for_and_to_nobody_else() {
    let (server, store) = (Server::start().await, Server::start().await);
    server.hold("v1", WASM_LAYER, MODULE);
    store.answer("/blob", ok(MODULE));
    let elsewhere = format!("location: http://{}/blob", store.address);
    let blob = format!("/v2/p/blobs/{}", digest_of(MODULE));
    server.answer(&blob, empty("307 Temporary Redirect", &elsewhere));
    let realm = format!(
        "www-authenticate: Bearer realm=\"http://{}/token\",service=\"s\",scope=\"repository:p:pull\"",
        server.address
    );
    server.answer(
        "/token?service=s&scope=repository%3Ap%3Apull",
        ok(br#"{"token": "T"}"#),
    );
    let node = Node::new().with_auth(&server.address.to_string(), "dTpw");

    // The answer stays a demand, whatever is shown: each is asked for once more and no further.
    server.answer("/v2/p/manifests/v1", empty("401 Unauthorized", &realm));
    let error = node.obtain(&server.reference(":v1")).await.unwrap_err();
    assert!(error.contains("answered 401 Unauthorized"), "{error}");
    let asked = server.asked();
    let shown: Vec<bool> = asked
        .iter()
        .map(|head| head.contains("authorization: "))
        .collect();
    assert_eq!(shown, [false, true, true], "{asked:?}");
    assert!(asked[1].contains("authorization: Basic dTpw"), "{asked:?}");
    assert!(asked[2].contains("authorization: Bearer T"), "{asked:?}");

    // To the store of blobs nothing is shown.
    server.hold_manifest("v1", &describe(WASM_LAYER, MODULE, MODULE.len()));
    assert!(node.obtain(&server.reference(":v1")).await.is_ok());
    assert!(
        !store.asked()[0].contains("authorization"),
        "{:?}",
        store.asked()
    );

    // Nor to a server of tokens that anyone can listen to.
    let realm = "www-authenticate: Bearer realm=\"http://192.0.2.1/token\"";
    server.answer("/v2/p/manifests/v2", empty("401 Unauthorized", realm));
    let error = node.obtain(&server.reference(":v2")).await.unwrap_err();
    assert!(
        error.ends_with("sends on to \"http://192.0.2.1/token\", without TLS to another host"),
        "{error}"
    );
}

#[tokio::test]
async fn a_place_that_a_registry_sends_on_to_asks_for_credentials_in_vain() {
    let (server, store) = (Server::start().await, Server::start().await);
    server.hold("v1", WASM_LAYER, MODULE);
    let blob = format!("/v2/p/blobs/{}", digest_of(MODULE));
    let elsewhere = format!("location: http://{}/blob", store.address);
    server.answer(&blob, empty("307 Temporary Redirect", &elsewhere));
    store.answer("/token?", ok(br#"{"token": "T"}"#));
    let node = Node::new().with_auth(&server.address.to_string(), "dTpw");
    let bearer = format!("Bearer realm=\"http://{}/token\"", store.address);
    for challenge in ["Basic realm=\"x\"", &bearer] {
        let challenge = format!("www-authenticate: {challenge}");
        store.answer("/blob", empty("401 Unauthorized", &challenge));
        let error = node.obtain(&server.reference(":v1")).await.unwrap_err();
        assert!(error.contains("/blob answered 401 Unauthorized"), "{error}");
    }
    let asked = [server.asked(), store.asked()].concat();
    let shown = asked.iter().any(|head| head.contains("authorization"));
    assert!(!shown, "{asked:?}");
    let tokens = asked.iter().filter(|head| head.contains("/token"));
    assert_eq!(tokens.count(), 0, "{asked:?}");
}

#[tokio::test]
async fn what_is_pinned_and_kept_is_not_asked_for_again() {
    let server = Server::start().await;
    let node = Node::new();
    let digest = server.hold("v1", WASM_LAYER, MODULE);
    server.answer("/a.wasm", ok(MODULE));
    let pinned = server.reference(&format!("@{digest}"));
    let file = url(&server, "/a.wasm");
    let pin = Some(digest_of(MODULE));
    node.obtain(&pinned).await.unwrap();
    node.obtain_pinned(&file, pin).await.unwrap();
    let asked = server.asked().len();
    drop(server);
    for _ in 0..2 {
        assert_eq!(node.obtain(&pinned).await.unwrap().bytes, MODULE);
        let again = node.obtain_pinned(&file, pin).await.unwrap();
        assert_eq!(again.bytes, MODULE);
        assert!(again.stands_in.is_none());
    }
    assert_eq!(asked, 3);
    // On another node there is nothing to stand in.
    let error = refusal(&pinned).await;
    assert!(
        error.starts_with("cannot fetch http://127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_tag_gave_last_stands_in_while_it_gives_nothing_good() {
    let server = Server::start().await;
    let node = Node::new();
    let tag = server.reference(":v1");
    server.hold("v1", WASM_LAYER, MODULE);
    assert!(node.obtain(&tag).await.unwrap().stands_in.is_none());
    server.hold("v1", WASM_LAYER, b"newer");
    assert_eq!(node.obtain(&tag).await.unwrap().bytes, b"newer"[..]);
    // Nothing good: a blob that is another, then nobody there.
    server.answer(&format!("/v2/p/blobs/{}", digest_of(b"newer")), ok(MODULE));
    let obtained = node.obtain(&tag).await.unwrap();
    assert_eq!(obtained.bytes, b"newer"[..]);
    assert!(matches!(
        obtained.stands_in,
        Some(SourceError::WrongDigest { .. })
    ));
    drop(server);
    let obtained = node.obtain(&tag).await.unwrap();
    assert_eq!(obtained.bytes, b"newer"[..]);
    assert!(matches!(
        obtained.stands_in,
        Some(SourceError::Fetch { .. })
    ));
    assert!(obtained.source.to_string().contains(":v1@sha256:"));
}

#[tokio::test]
async fn a_module_that_cannot_be_kept_is_used_all_the_same() {
    let server = Server::start().await;
    server.hold("v1", WASM_LAYER, MODULE);
    let node = Node::new();
    std::fs::write(node.folder.path().join("modules"), "in the way").unwrap();
    let obtained = node.obtain(&server.reference(":v1")).await.unwrap();
    assert_eq!(obtained.bytes, MODULE);
    let fault = obtained.cache_fault.unwrap();
    assert!(fault.starts_with("cannot keep oci://127.0.0.1:"), "{fault}");
}

#[tokio::test]
async fn a_signed_file_is_taken_and_no_other() {
    let (keys, others) = (Keys::make(), Keys::make());
    let server = Server::start().await;
    let node = Node::new();
    let path = node.folder.path().join("a.wasm");
    std::fs::write(&path, MODULE).unwrap();
    server.answer("/a.wasm?v=1", ok(MODULE));
    let places = [
        PolicyModule::File(path.clone()),
        url(&server, "/a.wasm?v=1"),
    ];
    let write = |signature: &str| {
        std::fs::write(path.with_extension("wasm.sig"), signature).unwrap();
        server.answer("/a.wasm.sig?v=1", ok(signature.as_bytes()));
    };
    for place in &places {
        let error = node.obtain_signed(place, &keys.public).await.unwrap_err();
        assert!(error.ends_with("; signatures found: 0"), "{error}");
    }
    write(&others.sign(MODULE));
    for place in &places {
        let error = node.obtain_signed(place, &keys.public).await.unwrap_err();
        assert!(error.contains("is not signed by the owner of"), "{error}");
    }
    write(&keys.sign(MODULE));
    for place in &places {
        let obtained = node.obtain_signed(place, &keys.public).await.unwrap();
        assert_eq!(obtained.bytes, MODULE);
        assert!(obtained.stands_in.is_none());
    }
    std::fs::write(&path, "other").unwrap();
    let error = node.obtain_signed(&places[0], &keys.public).await;
    assert!(error.unwrap_err().ends_with("; signatures found: 1"));
}

#[tokio::test]
async fn what_is_kept_without_a_signature_does_not_satisfy_a_later_demand_for_one() {
    let keys = Keys::make();
    let server = Server::start().await;
    let node = Node::new();
    let digest = server.hold("v1", WASM_LAYER, MODULE);
    let pinned = server.reference(&format!("@{digest}"));
    node.obtain(&pinned).await.unwrap();
    let error = node.obtain_signed(&pinned, &keys.public).await;
    assert!(error.unwrap_err().ends_with("; signatures found: 0"));
    // Signed meanwhile, and then kept with its signature.
    hold_signatures(
        &server,
        digest,
        &[vouched(&keys, &repository(&server), digest)],
    );
    assert!(node.obtain_signed(&pinned, &keys.public).await.is_ok());
    drop(server);
    let obtained = node.obtain_signed(&pinned, &keys.public).await.unwrap();
    assert_eq!(obtained.bytes, MODULE);
    let other = Keys::make();
    let error = node.obtain_signed(&pinned, &other.public).await;
    assert!(error.unwrap_err().starts_with("cannot fetch"));
}

#[tokio::test]
async fn a_built_in_module_needs_no_signature() {
    let keys = Keys::make();
    let builtin = PolicyModule::Builtin(Builtin::Default);
    assert!(
        Node::new()
            .obtain_signed(&builtin, &keys.public)
            .await
            .is_ok()
    );
}

/// The repository `p` of this registry.
fn repository(server: &Server) -> String {
    format!("{}/p", server.address)
}

fn vouched(keys: &Keys, repository: &str, digest: Digest) -> signature::Signature {
    let key = SigningKey::read(&keys.private).unwrap();
    key.vouch(repository, digest).unwrap()
}

/// Holds these signatures for the artifact of this digest.
fn hold_signatures(server: &Server, digest: Digest, signatures: &[signature::Signature]) {
    let mut manifest: Option<String> = None;
    for signature in signatures {
        let payload = signature.payload.as_ref().unwrap();
        let blob = format!("/v2/p/blobs/{}", digest_of(payload.as_bytes()));
        server.answer(&blob, ok(payload.as_bytes()));
        let before = manifest.as_ref().map(String::as_bytes);
        let with = manifest::of_signatures(before, b"{}", payload, &signature.signature);
        manifest = Some(with);
    }
    server.hold_manifest(&pull::signature_tag(digest), &manifest.unwrap());
}

#[tokio::test]
async fn a_signature_counts_in_the_repository_that_it_was_made_for() {
    let keys = Keys::make();
    let server = Server::start().await;
    let digest = server.hold("v1", WASM_LAYER, MODULE);
    let pinned = server.reference(&format!("@{digest}"));
    let origin = "registry.example/policies/p";
    let obtain = async |signed_for: Option<&str>| {
        let demands = Demands {
            digest: None,
            signed_by: Some(keys.public.clone()),
            signed_for: signed_for.map(|name| RepositoryName::parse(name).unwrap()),
        };
        Node::new().obtain_as(&pinned, demands).await.map(|_| ())
    };
    hold_signatures(&server, digest, &[vouched(&keys, origin, digest)]);
    let own = repository(&server);
    let error = obtain(None).await.unwrap_err();
    let words = format!(
        "but for {origin}, not for {own}; if it is a mirror of that, set signed-for = \"{origin}\""
    );
    assert!(error.ends_with(&words), "{error}");
    assert_eq!(obtain(Some(origin)).await, Ok(()));
    // What is a mirror of one is of no other, and not itself.
    hold_signatures(&server, digest, &[vouched(&keys, &own, digest)]);
    assert_eq!(obtain(None).await, Ok(()));
    let error = obtain(Some(origin)).await.unwrap_err();
    assert!(error.contains(&format!("not for {origin}")), "{error}");
}

#[tokio::test]
async fn of_all_signatures_there_are_the_right_one_suffices() {
    let (keys, others) = (Keys::make(), Keys::make());
    let server = Server::start().await;
    let digest = server.hold("v1", WASM_LAYER, MODULE);
    let pinned = server.reference(&format!("@{digest}"));
    let own = repository(&server);
    let right = vouched(&keys, &own, digest);
    let lost = vouched(&keys, "lost.example/p", digest);
    let mut signatures = vec![
        vouched(&others, &own, digest),
        vouched(&keys, "another.example/p", digest),
        vouched(&keys, &own, digest_of(b"other")),
        lost.clone(),
        right.clone(),
        vouched(&others, "another.example/p", digest),
    ];
    hold_signatures(&server, digest, &signatures);
    let payload = lost.payload.unwrap();
    let blob = format!("/v2/p/blobs/{}", digest_of(payload.as_bytes()));
    server.answer(&blob, empty("404 Not Found", "x-a: b"));
    let obtained = Node::new().obtain_signed(&pinned, &keys.public).await;
    assert_eq!(obtained.unwrap().bytes, MODULE);

    // Without it there is one for another repository, wherever that stands.
    signatures.drain(3..5);
    hold_signatures(&server, digest, &signatures);
    let error = Node::new().obtain_signed(&pinned, &keys.public).await;
    assert!(error.unwrap_err().contains("but for another.example/p"));

    // More than are looked at.
    let many = vec![vouched(&others, &own, digest); 16];
    hold_signatures(&server, digest, &[many, vec![right]].concat());
    let error = Node::new().obtain_signed(&pinned, &keys.public).await;
    assert!(error.unwrap_err().ends_with("; signatures found: 16"));
}
