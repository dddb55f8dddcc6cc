//! `rutter leave` and `rutter join`: the node goes from its peers while the agent runs, and comes back.

use std::time::Duration;

use anyhow::Context as _;
use tracing::{info, warn};

use super::driver::SpeakerHandle;
use crate::api::Membership;
use crate::kube;
use crate::kube::removal::Removal;
use crate::speaker::{Input, SessionState};

/// What peers' operators read (RFC 9003).
const MESSAGE: &str = "rutter leave";

/// Between two looks at whether the sessions are over.
const LOOK: Duration = Duration::from_millis(20);

/// A little more than the speaker gives its peers.
const SESSIONS_TIME_MAX: Duration = Duration::from_millis(3400);

/// Withdraws everything, ends all sessions, and waits until that is done.
///
/// # Errors
/// The speaker has stopped.
pub(super) async fn leave(speaker: &SpeakerHandle) -> anyhow::Result<Membership> {
    info!("leaving: every route is withdrawn, every session ends");
    let message = MESSAGE.to_owned();
    speaker.feed(Input::Leave { message }).await?;
    let over = async {
        loop {
            let idle = speaker.ask(|speaker| {
                let mut peers = speaker.peers();
                peers.all(|peer| peer.state == SessionState::Idle)
            });
            if idle.await? {
                return anyhow::Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let told = match tokio::time::timeout(SESSIONS_TIME_MAX, over).await {
        Ok(over) => {
            over?;
            "every route is withdrawn and every session has ended"
        }
        Err(_) => "not every peer took its withdrawals in time",
    };
    Ok(Membership {
        left: true,
        reason: format!("{told}; `rutter join`, or a restart, brings the node back"),
    })
}

/// [`leave`], if the DaemonSet `NAMESPACE/NAME` is gone or about to be.
///
/// # Errors
/// The name is none, or the speaker has stopped.
pub(super) async fn leave_if_removed(
    speaker: &SpeakerHandle,
    daemon_set: &str,
) -> anyhow::Result<Membership> {
    let (namespace, name) = daemon_set
        .split_once('/')
        .with_context(|| format!("{daemon_set:?} is no NAMESPACE/NAME of a DaemonSet"))?;
    let removal = match kube::connect().await {
        Ok((client, _)) => kube::removal::of_daemon_set(client, namespace, name).await,
        Err(error) => Removal::Unknown(format!("{error:#}")),
    };
    let reason = match removal {
        Removal::Removed => return leave(speaker).await,
        Removal::Stays => format!("the DaemonSet {daemon_set} stays: peers keep the routes"),
        Removal::Unknown(error) => {
            warn!(
                daemon_set,
                error, "cannot tell a removal from an upgrade: taken for the latter"
            );
            format!(
                "nobody can say whether the DaemonSet {daemon_set} stays, so peers keep the routes: \
                 {error}"
            )
        }
    };
    Ok(Membership {
        left: false,
        reason,
    })
}

/// Sessions begin again.
///
/// # Errors
/// The speaker has stopped.
pub(super) async fn join(speaker: &SpeakerHandle) -> anyhow::Result<Membership> {
    info!("joining: sessions begin again");
    speaker.feed(Input::Join).await?;
    Ok(Membership {
        left: false,
        reason: "sessions begin again".to_owned(),
    })
}
