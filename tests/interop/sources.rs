//! Policy modules from a registry that is not ours: pushed, pulled, pinned and signed by the
//! command line, and run by an agent while the registry comes and goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rutter::api::StandIn;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cluster::{WORKERS, agent_config};
use crate::support::agent::{Agent, RUTTER, Source};
use crate::support::hostile::Way;
use crate::support::keys::{Authority, KeyPair};
use crate::support::netns::{Host, Network};
use crate::support::process::{Signal, run};
use crate::support::registry::Registry;
use crate::support::verdicts;
use crate::support::wait::{equal, eventually, throughout};

/// How long an agent may take to ask a registry again that was away for a moment, and more.
const RETRY_LIMIT: Duration = Duration::from_secs(60);

/// A host, a module in a file, and a place for more.
struct Bench {
    host: Host,
    folder: TempDir,
    module: PathBuf,
    _network: Network,
}

impl Bench {
    fn new() -> Self {
        let mut network = Network::new();
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("module.wasm");
        fs::write(&module, rutter::wasm::builtin_bytes()).unwrap();
        Self {
            host: network.host(1),
            folder,
            module,
            _network: network,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `rutter policy` on the host, as JSON.
    fn policy(&self, arguments: &[&str]) -> Result<Value, String> {
        self.policy_trusting(Path::new("/etc/ssl/certs/ca-certificates.crt"), arguments)
    }

    fn policy_trusting(&self, authority: &Path, arguments: &[&str]) -> Result<Value, String> {
        let mut command = self.host.command("env");
        command.arg(format!("SSL_CERT_FILE={}", authority.display()));
        command.args([RUTTER, "policy"]).args(arguments);
        let printed = run(command.args(["-o", "json"]))?;
        Ok(serde_json::from_str(&printed).unwrap())
    }

    /// Pushes the module and returns the reference that pins it.
    fn push(&self, registry: &Registry, name: &str, more: &[&str]) -> String {
        let reference = registry.reference(name);
        let arguments = ["push", text(&self.module), &reference];
        let report = self.policy(&[&arguments, more].concat()).unwrap();
        report["reference"].as_str().unwrap().to_owned()
    }
}

/// Whether what a source gave last stands in for what it gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stale {
    Yes,
    No,
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A policy with this module, and more keys.
fn policies(module: &str, more: &str) -> String {
    format!("[[policies]]\nname = \"default\"\nmodule = \"{module}\"\n{more}")
}

#[test]
fn a_pushed_module_is_pulled_as_it_was() {
    let bench = Bench::new();
    let registry = Registry::plain(&bench.host);
    let pinned = bench.push(&registry, "policies/default:v1", &[]);
    assert_eq!(bench.push(&registry, "policies/default:v1", &[]), pinned);
    let copy = bench.path("copy.wasm");
    for reference in [&registry.reference("policies/default:v1"), &pinned] {
        let report = bench.policy(&["pull", reference, text(&copy)]).unwrap();
        assert_eq!(report["reference"], *pinned);
        assert_eq!(fs::read(&copy).unwrap(), rutter::wasm::builtin_bytes());
        fs::remove_file(&copy).unwrap();
    }
    let inspected = bench.policy(&["inspect", &pinned]).unwrap();
    let pulled = bench.policy(&["pull", &pinned]).unwrap();
    assert_eq!(inspected["digest"], pulled["digest"]);

    // What is not there, and what is no module at all.
    let missing = bench.policy(&["pull", &registry.reference("policies/default:v2")]);
    assert!(missing.unwrap_err().contains("is not in its registry"));
    let none = bench.path("none.wasm");
    fs::write(&none, "none").unwrap();
    let refused = bench.policy(&["push", text(&none), &registry.reference("a:1")]);
    assert!(refused.unwrap_err().contains("is not WebAssembly"));

    // Other bytes than those that were pushed.
    registry.spoil(rutter::wasm::builtin_bytes());
    let spoilt = bench.policy(&["pull", &pinned, text(&copy)]).unwrap_err();
    assert!(spoilt.contains("has the digest sha256:"), "{spoilt}");
    assert!(!copy.exists());
}

#[test]
fn an_index_of_several_platforms_leads_to_the_module() {
    let bench = Bench::new();
    let keys = KeyPair::make();
    let registry = Registry::plain(&bench.host);
    let digest_of = |pinned: &str| pinned.rsplit_once('@').unwrap().1.to_owned();
    let module = digest_of(&bench.push(&registry, "p:wasm", &[]));
    let other = bench.path("other.wasm");
    fs::write(&other, verdicts::rejects(Way::Announce)).unwrap();
    let pushed = bench.policy(&["push", text(&other), &registry.reference("p:other")]);
    let other = digest_of(pushed.unwrap()["reference"].as_str().unwrap());
    let entry = |digest: &str, os: &str, architecture: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": 500,
            "platform": {"os": os, "architecture": architecture},
        })
    };
    let index = |entries: [Value; 2]| {
        let media_type = "application/vnd.oci.image.index.v1+json";
        json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).to_string()
    };
    let for_wasm = index([
        entry(&other, "linux", "amd64"),
        entry(&module, "wasi", "wasm"),
    ]);
    registry.put_index("p", "v1", &for_wasm);
    let copy = bench.path("copy.wasm");
    let tagged = registry.reference("p:v1");
    let report = bench.policy(&["pull", &tagged, text(&copy)]).unwrap();
    assert_eq!(fs::read(&copy).unwrap(), rutter::wasm::builtin_bytes());
    // What pins it is the index, and a signature is asked of that.
    let pinned = report["reference"].as_str().unwrap();
    let digest = format!("@sha256:{}", rutter::wasm::digest(for_wasm.as_bytes()));
    assert!(pinned.ends_with(&digest), "{pinned}");
    bench.policy(&["pull", pinned]).unwrap();
    let signed = ["pull", pinned, "--require-signature", text(&keys.public)];
    let unsigned = bench.policy(&signed).unwrap_err();
    assert!(unsigned.contains("signatures found: 0"), "{unsigned}");

    // One without a module among its platforms.
    let others = [
        entry(&other, "linux", "amd64"),
        entry(&module, "linux", "arm64"),
    ];
    registry.put_index("p", "v2", &index(others));
    let refused = bench.policy(&["pull", &registry.reference("p:v2")]);
    let refused = refused.unwrap_err();
    let words = "is an index of 2 artifacts, for linux/amd64, linux/arm64: 0 are for the";
    assert!(refused.contains(words), "{refused}");
}

#[test]
fn a_signature_is_asked_for_by_key() {
    let bench = Bench::new();
    let (keys, others) = (KeyPair::make(), KeyPair::make());
    let registry = Registry::plain(&bench.host);
    let pull = |reference: &str, key: &Path| {
        bench.policy(&["pull", reference, "--require-signature", text(key)])
    };
    let pinned = bench.push(&registry, "p:v1", &[]);
    let unsigned = pull(&pinned, &keys.public).unwrap_err();
    assert!(unsigned.contains("signatures found: 0"), "{unsigned}");
    bench.push(&registry, "p:v1", &["--sign-key", text(&others.private)]);
    let wrong = pull(&pinned, &keys.public).unwrap_err();
    assert!(wrong.contains("signatures found: 1"), "{wrong}");
    // Two keys' signatures stand side by side, and the same key's is made once.
    for _ in 0..2 {
        bench.push(&registry, "p:v1", &["--sign-key", text(&keys.private)]);
    }
    for key in [&keys.public, &others.public] {
        pull(&pinned, key).unwrap();
    }
    let third = pull(&pinned, &KeyPair::make().public).unwrap_err();
    assert!(third.contains("signatures found: 2"), "{third}");

    // A file is signed by openssl.
    let file = text(&bench.module);
    assert!(
        pull(file, &keys.public)
            .unwrap_err()
            .contains("signatures found: 0")
    );
    keys.sign(&bench.module);
    pull(file, &keys.public).unwrap();
    assert!(pull(file, &others.public).is_err());
}

#[test]
fn a_registry_with_a_certificate_and_a_password_takes_and_gives() {
    let bench = Bench::new();
    let ca = Authority::make();
    let registry = Registry::guarded(&bench.host, &ca);
    let (reference, auth) = (registry.reference("p:v1"), registry.auth_file());
    let push = ["push", text(&bench.module), &reference];
    let with_auth = |arguments: &[&str]| {
        bench.policy_trusting(
            &ca.certificate(),
            &[arguments, &["--registry-auth", text(&auth)]].concat(),
        )
    };
    let pushed = with_auth(&push).unwrap();
    let pulled = with_auth(&["pull", pushed["reference"].as_str().unwrap()]).unwrap();
    assert_eq!(pulled["reference"], pushed["reference"]);

    let nobody = bench.policy_trusting(&ca.certificate(), &["pull", &reference]);
    let nobody = nobody.unwrap_err();
    assert!(nobody.contains("401 Unauthorized"), "{nobody}");
    let stranger = Authority::make();
    let untrusted = bench.policy_trusting(&stranger.certificate(), &["pull", &reference]);
    let untrusted = untrusted.unwrap_err();
    assert!(untrusted.contains("certificate"), "{untrusted}");
}

#[test]
fn a_node_keeps_its_policy_while_the_registry_comes_and_goes() {
    let bench = Bench::new();
    let keys = KeyPair::make();
    let mut registry = Registry::plain(&bench.host);
    let pinned = bench.push(&registry, "p:v1", &["--sign-key", text(&keys.private)]);
    let signed = format!("require-signature = {:?}\n", keys.public);

    // Nothing kept and nobody there: nothing is let through, until the registry is back.
    registry.stop();
    let manifests = bench.path("manifests");
    fs::create_dir(&manifests).unwrap();
    let mut config = agent_config(Source::Files(manifests), Vec::new());
    config.policies = policies(&pinned, &signed);
    let mut agent = Agent::start(&bench.host, WORKERS[0], &config);
    eventually(RETRY_LIMIT, || {
        let policy = agent.policy()?;
        let error = policy.error.unwrap_or_default();
        if policy.stand_in == Some(StandIn::Closed)
            && error.contains("cannot fetch http://127.0.0.1")
            && error.ends_with("; nothing is announced")
        {
            Ok(())
        } else {
            Err(format!("{}: {error}", policy.module))
        }
    });
    registry.start();
    let runs = |agent: &Agent, module: &str| {
        let policy = agent.policy()?;
        match policy.error {
            None if policy.module == module => Ok(()),
            error => Err(format!("{}: {error:?}", policy.module)),
        }
    };
    eventually(RETRY_LIMIT, || runs(&agent, &pinned));

    // A restart without the registry: what is kept runs, and nothing is amiss.
    registry.stop();
    agent.signal(Signal::Terminate);
    eventually(RETRY_LIMIT, || {
        let ended = agent.process().exit_status();
        ended.map(drop).ok_or_else(|| "still runs".to_owned())
    });
    agent.start_again();
    eventually(RETRY_LIMIT, || runs(&agent, &pinned));
    assert_eq!(agent.status().unwrap().config.warnings, [""; 0]);

    // What cannot be had, or is not signed by the right key, never takes the place of what runs.
    let mut refused = |policies: String, complaint: &str| {
        config.policies = policies;
        agent.configure(&config);
        eventually(RETRY_LIMIT, || {
            let error = agent.status()?.config.error.unwrap_or_default();
            if error.contains(complaint) {
                Ok(())
            } else {
                Err(error)
            }
        });
        throughout(Duration::from_secs(1), || runs(&agent, &pinned));
    };
    let other = pinned.replace("/p:v1", "/q:v1");
    refused(policies(&other, ""), "cannot fetch http://127.0.0.1");
    registry.start();
    refused(policies(&other, ""), "is not in its registry");
    let no_key = "require-signature = \"/nonexistent/cosign.pub\"\n";
    refused(
        policies(&pinned, no_key),
        "cannot use /nonexistent/cosign.pub",
    );
    let strangers = KeyPair::make();
    let wrong_key = format!("require-signature = {:?}\n", strangers.public);
    refused(
        policies(&pinned, &wrong_key),
        "is not signed by the owner of",
    );
    let wrong_digest = format!("digest = \"sha256:{}\"\n", "0".repeat(64));
    refused(policies(&pinned, &wrong_digest), "has the digest sha256:");
}

#[test]
fn an_import_policy_comes_from_a_registry_and_is_kept_on_the_node() {
    let mut bench = Bench::new();
    let keys = KeyPair::make();
    let mut registry = Registry::plain(&bench.host);
    bench.module = bench.path("learn.wasm");
    fs::write(&bench.module, verdicts::abstains(Way::Learn)).unwrap();
    let pinned = bench.push(&registry, "learn:v1", &["--sign-key", text(&keys.private)]);
    let manifests = bench.path("manifests");
    fs::create_dir(&manifests).unwrap();
    let mut config = agent_config(Source::Files(manifests), Vec::new());
    config.policies = format!(
        "[[import-policies]]\nname = \"learn\"\nmodule = \"{pinned}\"\nrequire-signature = {:?}\n",
        keys.public
    );

    // Nothing kept and nobody there: no learned route is used until the registry is back.
    registry.stop();
    let mut agent = Agent::start(&bench.host, WORKERS[0], &config);
    let only = |agent: &Agent| {
        let policies = agent.status()?.import_policies;
        let [policy] = policies.as_slice() else {
            return Err(format!("not one import policy: {policies:?}"));
        };
        Ok((policy.module.clone(), policy.error.clone()))
    };
    eventually(RETRY_LIMIT, || {
        let (module, error) = only(&agent)?;
        let error = error.unwrap_or_default();
        if module == pinned && error.ends_with("; no learned route is used") {
            Ok(())
        } else {
            Err(format!("{module}: {error}"))
        }
    });
    registry.start();
    let runs = |agent: &Agent| equal(only(agent)?, (pinned.clone(), None));
    eventually(RETRY_LIMIT, || runs(&agent));

    // A restart without the registry: what is kept runs.
    registry.stop();
    agent.signal(Signal::Terminate);
    eventually(RETRY_LIMIT, || {
        let ended = agent.process().exit_status();
        ended.map(drop).ok_or_else(|| "still runs".to_owned())
    });
    agent.start_again();
    eventually(RETRY_LIMIT, || runs(&agent));

    // What is not signed by the right key never takes the place of what runs.
    let stranger = KeyPair::make();
    let signed = format!("require-signature = {:?}", keys.public);
    let wrong = format!("require-signature = {:?}", stranger.public);
    config.policies = config.policies.replace(&signed, &wrong);
    registry.start();
    agent.configure(&config);
    eventually(RETRY_LIMIT, || {
        let error = agent.status()?.config.error.unwrap_or_default();
        if error.starts_with("import-policies.module ") && error.contains("is not signed by") {
            Ok(())
        } else {
            Err(error)
        }
    });
    runs(&agent).unwrap();
}

#[test]
fn a_tag_that_cannot_be_resolved_stands_for_what_it_gave_last() {
    let bench = Bench::new();
    let mut registry = Registry::plain(&bench.host);
    let pinned = bench.push(&registry, "p:v1", &[]);
    let manifests = bench.path("manifests");
    fs::create_dir(&manifests).unwrap();
    let config = agent_config(Source::Files(manifests), Vec::new());
    let mut agent = Agent::start(&bench.host, WORKERS[0], &config);
    let mut tagged = config.clone();
    tagged.policies = policies(&registry.reference("p:v1"), "");
    let rendered = agent.rendered(&tagged);
    eventually(RETRY_LIMIT, || agent.status().map(drop));
    // A tag needs leave.
    agent.configure_text(&rendered);
    eventually(RETRY_LIMIT, || {
        let error = agent.status()?.config.error.unwrap_or_default();
        if error.contains("may be another module tomorrow") {
            Ok(())
        } else {
            Err(error)
        }
    });
    let leave = rendered.replace("[policy]\n", "[policy]\nrequire-digest = false\n");
    agent.configure_text(&leave);
    let runs = |agent: &Agent, stale: Stale| {
        let status = agent.status()?;
        let warnings = &status.config.warnings;
        let last_time = |text: &String| text.contains("is the one of last time");
        let told = if warnings.iter().any(last_time) {
            Stale::Yes
        } else {
            Stale::No
        };
        match &status.policies[..] {
            [policy] if policy.module == pinned && policy.error.is_none() && told == stale => {
                Ok(())
            }
            policies => Err(format!("{policies:?}, {warnings:?}")),
        }
    };
    eventually(RETRY_LIMIT, || runs(&agent, Stale::No));
    registry.stop();
    agent.signal(Signal::Terminate);
    eventually(RETRY_LIMIT, || {
        let ended = agent.process().exit_status();
        ended.map(drop).ok_or_else(|| "still runs".to_owned())
    });
    agent.start_again();
    eventually(RETRY_LIMIT, || runs(&agent, Stale::Yes));
    registry.start();
    eventually(RETRY_LIMIT, || runs(&agent, Stale::No));
}
