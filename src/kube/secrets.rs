//! Keys in Secrets of the agent's own namespace, asked for by name: that takes the right to `get`
//! these Secrets and no others, and neither to list nor to watch any.

use std::time::Duration;

use ::kube::{Api, Client};
use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use tokio::time::timeout;

/// Short: whoever asks has other things to do as well.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Where Secrets are asked for.
#[derive(Clone)]
pub struct Secrets(Api<Secret>);

impl Secrets {
    /// Those of the namespace that the client's credentials are of.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(Api::default_namespaced(client))
    }

    /// What a Secret has under a key.
    ///
    /// # Errors
    /// The API server is away or forbids it, or there is no such Secret or key.
    pub async fn value(&self, name: &str, key: &str) -> anyhow::Result<Vec<u8>> {
        let secret = timeout(ANSWER_TIME_MAX, self.0.get_opt(name)).await;
        let secret = secret.with_context(|| format!("no answer within {ANSWER_TIME_MAX:?}"))??;
        let secret = secret.context("there is no such Secret in the agent's namespace")?;
        let value = secret.data.and_then(|mut data| data.remove(key));
        Ok(value.context("the Secret has no such key")?.0)
    }
}
