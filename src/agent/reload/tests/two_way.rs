//! One module file that both chains name, and modules under the key of the other direction.

use super::*;
use crate::api::PolicyStatus;
use crate::wasm::tests::hostile::Way;
use crate::wasm::tests::verdicts::{self, Mind, two_ways};
use crate::wasm::{self, builtin_bytes};

const BOTH: &str = "[[policies]]\nname = 'own'\nmodule = 'modules/own.wasm'\n\
                    [[import-policies]]\nname = 'own'\nmodule = 'modules/own.wasm'\n";

fn digest(bytes: &[u8]) -> Option<String> {
    Some(format!("sha256:{}", wasm::digest(bytes)))
}

/// An agent with this module for routes of either direction.
async fn started(module: &[u8]) -> Parts {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("modules")).unwrap();
    std::fs::write(folder.path().join("modules/own.wasm"), module).unwrap();
    Parts::start_with(folder, &text(BOTH)).await
}

/// How the policy of each chain stands: announced routes first.
async fn policies(parts: &Parts) -> [PolicyStatus; 2] {
    let mut status = parts.reporter.status().await.unwrap();
    assert_eq!(status.config.error, None, "the file itself is well");
    [
        status.policies.swap_remove(0),
        status.import_policies.swap_remove(0),
    ]
}

/// Replaces the module and lets it be taken or refused.
async fn replaced(parts: &mut Parts, module: &[u8]) -> [PolicyStatus; 2] {
    std::fs::write(parts.folder.path().join("modules/own.wasm"), module).unwrap();
    parts.reloader.look(Trigger::Noticed).await;
    policies(parts).await
}

#[tokio::test]
async fn one_file_under_both_keys_is_taken_for_both_chains_at_once() {
    let one = two_ways(Mind::Abstains, Mind::Abstains);
    let mut parts = started(&one).await;
    for policy in policies(&parts).await {
        assert_eq!((policy.digest, policy.error), (digest(&one), None));
    }
    let other = two_ways(Mind::Abstains, Mind::Rejects);
    for policy in replaced(&mut parts, &other).await {
        assert_eq!((policy.digest, policy.refused), (digest(&other), None));
    }
    assert_eq!(parts.told.try_recv(), Ok(Notice::ConfigurationReloaded));
    assert!(parts.told.is_empty(), "it is one change");

    for policy in replaced(&mut parts, b"broken").await {
        assert_eq!((policy.digest, policy.error), (digest(&other), None));
        assert!(policy.refused.is_some());
    }
}

#[tokio::test]
async fn a_module_that_lost_a_direction_is_refused_there_and_the_one_before_stays() {
    let both = two_ways(Mind::Abstains, Mind::Abstains);
    let mut parts = started(&both).await;
    let one_way = verdicts::abstains(Way::Announce);
    let [export, import] = replaced(&mut parts, &one_way).await;
    assert_eq!((export.digest, export.refused), (digest(&one_way), None));
    assert_eq!(import.digest, digest(&both));
    let refused = import.refused.unwrap();
    assert!(
        refused.starts_with("import-policies.module ")
            && refused.contains(
                "own.wasm: module `own` decides on announced routes and is asked about learned \
                 routes"
            ),
        "{refused}"
    );
    let [export, import] = replaced(&mut parts, &verdicts::abstains(Way::Learn)).await;
    assert_eq!(export.digest, digest(&one_way));
    let refused = export.refused.unwrap();
    assert!(
        refused.starts_with("policies.module ")
            && refused.contains(
                "own.wasm: module `own` decides on learned routes and is asked about announced \
                 routes"
            ),
        "{refused}"
    );
    assert_eq!(import.refused, None);
}

#[tokio::test]
async fn a_configuration_with_a_module_under_the_wrong_key_is_refused_as_a_whole() {
    let cases = [
        (
            builtin_bytes().to_vec(),
            "import-policies",
            "decides on announced routes and is asked about learned routes",
        ),
        (
            verdicts::abstains(Way::Learn),
            "policies",
            "decides on learned routes and is asked about announced routes",
        ),
    ];
    for (module, key, words) in cases {
        let mut parts = Parts::start(&text("")).await;
        std::fs::write(parts.folder.path().join("other.wasm"), module).unwrap();
        let wrong = format!("{SECOND_PEER}[[{key}]]\nname = 'other'\nmodule = 'other.wasm'\n");
        let status = after(&mut parts, &text(&wrong), Trigger::Noticed).await;
        let error = status.config.error.unwrap();
        assert!(
            error.contains(&format!("{key}.module "))
                && error.contains(&format!("other.wasm: module `other` {words}")),
            "{error}"
        );
        assert_eq!((status.peers.len(), status.import_policies.len()), (1, 0));
    }
}
