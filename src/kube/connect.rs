//! A client for the API server, from the environment. Called once, when the agent starts.

use std::net::IpAddr;
use std::time::Duration;

use ::kube::config::KubeConfigOptions;
use ::kube::{Client, Config};
use anyhow::Context;

use crate::files;

/// With the certificates of many clusters in it.
const KUBECONFIG_BYTES_MAX: usize = 4 << 20;

/// For TCP and TLS together. Short: a node that cannot reach the API server should say so soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that was silent for this long is given up. Above any time-out of a watch, which
/// are finer; this one catches what they do not.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// A client as the file named by `KUBECONFIG` says, or as the pod's service account says; and the
/// address that it asks, where that is one and not a name.
///
/// No request is made: an API server that is away is the watchers' business.
///
/// # Errors
/// There is neither, or what there is cannot be used.
pub async fn connect() -> anyhow::Result<(Client, Option<IpAddr>)> {
    let config = match std::env::var("KUBECONFIG") {
        Ok(path) if !path.is_empty() => from_kubeconfig(&path)
            .await
            .with_context(|| format!("cannot use the kubeconfig {path} (named by KUBECONFIG)"))?,
        Ok(_) | Err(_) => Config::incluster_env().context(
            "no credentials for the Kubernetes API: set KUBECONFIG to a kubeconfig file, \
             or run in a pod with a service account token",
        )?,
    };
    let server = address(config.cluster_url.host().unwrap_or_default());
    Ok((client(config)?, server))
}

async fn from_kubeconfig(paths: &str) -> anyhow::Result<Config> {
    // The library would wait for whoever writes to a pipe.
    for path in std::env::split_paths(paths) {
        match files::read(&path, KUBECONFIG_BYTES_MAX) {
            Ok(_) => {}
            // It says so itself, unless there is another that will do.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Config::from_kubeconfig(&KubeConfigOptions::default()).await?)
}

/// The address that the host of a URL is, if it is one; of IPv6 it is in brackets there.
fn address(host: &str) -> Option<IpAddr> {
    let host = host.strip_prefix('[').unwrap_or(host);
    host.strip_suffix(']').unwrap_or(host).parse().ok()
}

/// A client for these credentials, with the time limits and without the retries of the library.
///
/// # Errors
/// The credentials cannot be used.
pub fn client(mut config: Config) -> anyhow::Result<Client> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // Else the time a pooled connection was idle counts as silence.
    config.reset_reader_on_write = true;
    // The watchers retry, and show that they do; the library would retry unseen for minutes.
    config.default_retry = false;
    let server = config.cluster_url.clone();
    Client::try_from(config).with_context(|| format!("cannot make a client for {server}"))
}

/// The name of the Node the agent runs on, from `NODE_NAME`.
///
/// # Errors
/// It is not set.
pub fn node_name() -> anyhow::Result<String> {
    std::env::var("NODE_NAME")
        .ok()
        .filter(|name| !name.is_empty())
        .context("NODE_NAME is not set: set it to this Node's name (fieldRef spec.nodeName)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::make_pipe;

    #[tokio::test]
    async fn a_kubeconfig_that_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("kubeconfig");
        make_pipe(&pipe);
        let paths = format!("/nonexistent/kubeconfig:{}", pipe.display());
        let error = from_kubeconfig(&paths).await.unwrap_err().to_string();
        assert_eq!(error, "it is a named pipe; name a regular file");
    }

    #[test]
    fn the_host_of_a_url_may_be_an_address() {
        assert_eq!(address("10.0.0.1"), "10.0.0.1".parse().ok());
        assert_eq!(address("[fd00::1]"), "fd00::1".parse().ok());
        assert_eq!(address("api.example"), None);
        assert_eq!(address(""), None);
    }
}
