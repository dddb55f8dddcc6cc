//! Whether the agent is being taken from the cluster, or only its pod: a pod that ends cannot tell by
//! itself, for the next version of a DaemonSet ends it in the same way.
//!
//! Asked once, by whoever is about to end. Every doubt is an upgrade: to keep routes for too long
//! costs the restart time, to withdraw them for nothing costs the traffic of the node.

use std::time::Duration;

use ::kube::{Api, Client};
use k8s_openapi::api::apps::v1::DaemonSet;

/// How long the API server may take: whoever asks is waited for itself.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// What became of the DaemonSet that runs the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, or about to be.
    Removed,
    /// It stays, and so will an agent on this node.
    Stays,
    /// Nobody could say, and why.
    Unknown(String),
}

/// Asks the API server for a DaemonSet, `NAMESPACE/NAME`.
pub async fn of_daemon_set(client: Client, namespace: &str, name: &str) -> Removal {
    let sets: Api<DaemonSet> = Api::namespaced(client, namespace);
    match tokio::time::timeout(ANSWER_TIME_MAX, sets.get_opt(name)).await {
        Ok(Ok(set)) => judge(set.as_ref()),
        Ok(Err(error)) => Removal::Unknown(error.to_string()),
        Err(_) => Removal::Unknown(format!(
            "the API server did not answer within {} s",
            ANSWER_TIME_MAX.as_secs()
        )),
    }
}

fn judge(set: Option<&DaemonSet>) -> Removal {
    match set {
        Some(set) if set.metadata.deletion_timestamp.is_none() => Removal::Stays,
        Some(_) | None => Removal::Removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_set_that_is_gone_or_marked_is_removed() {
        let set = |metadata: &str| -> DaemonSet {
            let text = format!(r#"{{"metadata": {metadata}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        let stays = set(r#"{"name": "rutter"}"#);
        let marked = set(r#"{"name": "rutter", "deletionTimestamp": "2025-01-01T00:00:00Z"}"#);
        assert_eq!(judge(Some(&stays)), Removal::Stays);
        assert_eq!(judge(Some(&marked)), Removal::Removed);
        assert_eq!(judge(None), Removal::Removed);
    }

    #[tokio::test]
    async fn an_api_server_that_is_away_is_no_removal() {
        // Nothing listens there.
        let url = "http://127.0.0.1:1".parse().unwrap();
        let client = Client::try_from(::kube::Config::new(url)).unwrap();
        let removal = of_daemon_set(client, "rutter-system", "rutter").await;
        assert!(matches!(removal, Removal::Unknown(_)), "{removal:?}");
    }
}
