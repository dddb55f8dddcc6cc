//! Next hops of learned routes, looked up in the kernel: one task between the speaker and netlink.
//!
//! Asking needs no privilege. What the speaker does not know yet is looked up at once; when somebody
//! changes routes, addresses or interfaces, all of it again. Where the kernel cannot be asked, the
//! speaker is told, and takes next hops for reachable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::clock;
use super::driver::{SpeakerHandle, SpeakerStopped};
use super::netlink::{Interest, Kernel, KernelError, Ours};
use super::pace::{Pace, Retry};
use crate::config::{KernelConfig, LearnedRoutes};
use crate::rib::Resolution;
use crate::speaker::{Input, Speaker};
use crate::types::Reachability;

/// How many next hops are looked up in one turn.
const LOOKUPS_MAX: usize = 256;
/// A kernel answers at once. Paths wait for it, so that whatever keeps it from answering must not
/// keep them for ever.
const PATIENCE: Duration = Duration::from_secs(2);

/// The running task; it ends with the speaker, or when this is dropped.
#[derive(Debug)]
pub(super) struct Resolving(JoinHandle<()>);

impl Drop for Resolving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the task. From when this returns the speaker waits for answers, if there are any to be
/// had: to be called before it has peers.
///
/// # Errors
/// The speaker has stopped.
pub(super) async fn spawn(
    config: Option<KernelConfig>,
    speaker: SpeakerHandle,
) -> Result<Resolving, SpeakerStopped> {
    let mut task = Task::new(config, speaker, |ours| {
        Kernel::open(ours, Interest::NextHops)
    });
    task.turn().await?;
    Ok(Resolving(tokio::spawn(task.run())))
}

struct Task {
    ours: Ours,
    resolution: Resolution,
    speaker: SpeakerHandle,
    open: fn(Ours) -> io::Result<Kernel>,
    kernel: Option<Kernel>,
    /// When all next hops are to be looked up again.
    pace: Pace,
    /// Why none can be, and when that is tried again.
    trouble: Option<(String, Retry)>,
}

impl Task {
    fn new(
        config: Option<KernelConfig>,
        speaker: SpeakerHandle,
        open: fn(Ours) -> io::Result<Kernel>,
    ) -> Self {
        Self {
            ours: config.map_or(Ours::NOTHING, |config| Ours::of(&config)),
            resolution: match config.map(|config| config.learned_routes) {
                Some(LearnedRoutes::Install) => Resolution::KernelAndLearned,
                Some(LearnedRoutes::Remove) | None => Resolution::Kernel,
            },
            speaker,
            open,
            kernel: None,
            pace: Pace::new(clock::now()),
            trouble: None,
        }
    }

    async fn run(mut self) {
        loop {
            let wake = match &self.trouble {
                Some((_, retry)) => retry.at,
                None => self.pace.at(),
            };
            let news = async {
                match &self.kernel {
                    Some(kernel) => kernel.news().await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: each is heard by whoever waits next, and the time is worked out anew.
            tokio::select! {
                () = self.speaker.unanswered_next_hops() => {}
                () = news => self.pace.soon(clock::now()),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            // The speaker's end is the agent's.
            if let Err(SpeakerStopped) = self.turn().await {
                return;
            }
        }
    }

    /// Looks up what is to be looked up.
    async fn turn(&mut self) -> Result<(), SpeakerStopped> {
        let now = clock::now();
        if let Some((_, retry)) = &self.trouble
            && now < retry.at
        {
            return Ok(());
        }
        match self.look_up().await {
            Ok(()) => Ok(()),
            Err(Failed::Speaker(stopped)) => Err(stopped),
            Err(Failed::Kernel(error)) => self.begin_trouble(&error).await,
        }
    }

    async fn look_up(&mut self) -> Result<(), Failed> {
        let now = clock::now();
        if self.kernel.is_none() {
            let kernel = (self.open)(self.ours);
            self.kernel = Some(kernel.context("cannot open netlink")?);
            // Something may have changed unheard.
            self.pace = Pace::new(now);
        }
        if self.pace.at() <= now {
            let all = self.speaker.ask(Speaker::next_hops).await?;
            let all: Vec<IpAddr> = all.into_iter().collect();
            for some in all.chunks(LOOKUPS_MAX) {
                self.answer(some.iter().copied().collect()).await?;
            }
            self.pace.was_read(now);
            // Asked, it answers.
            if all.is_empty() {
                self.probe().await?;
            }
            self.end_trouble().await?;
        }
        loop {
            let unanswered = |speaker: &Speaker| speaker.unanswered_next_hops(LOOKUPS_MAX);
            let unanswered = self.speaker.ask(unanswered).await?;
            if unanswered.is_empty() {
                return Ok(());
            }
            self.answer(unanswered).await?;
        }
    }

    /// Tells the speaker how these are reached.
    async fn answer(&self, next_hops: BTreeSet<IpAddr>) -> Result<(), Failed> {
        let answers = self.ask(&next_hops).await?;
        self.speaker.feed(Input::NextHops(answers)).await?;
        Ok(())
    }

    /// Whether the kernel answers at all.
    async fn probe(&self) -> Result<(), Failed> {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        self.ask(&BTreeSet::from([loopback])).await.map(drop)
    }

    async fn ask(
        &self,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<BTreeMap<IpAddr, Reachability>, Failed> {
        let kernel = self.kernel.as_ref().ok_or(KernelError::Closed);
        let kernel = kernel.context("cannot look up next hops")?;
        let answers = tokio::time::timeout(PATIENCE, kernel.reachability(addresses));
        let answers = answers.await.context("the kernel does not answer")?;
        Ok(answers.context("cannot look up next hops")?)
    }

    async fn begin_trouble(&mut self, error: &anyhow::Error) -> Result<(), SpeakerStopped> {
        self.kernel = None;
        let words = format!("{error:#}");
        let before = self.trouble.take();
        if before.as_ref().is_none_or(|(before, _)| *before != words) {
            warn!(
                "next hops are not looked up: {words}; a next hop counts as reachable unless it was \
                 found not to be"
            );
        }
        let retry = Retry::after(before.map(|(_, retry)| retry), clock::now());
        self.trouble = Some((words, retry));
        self.speaker
            .feed(Input::Resolution(Resolution::Unasked))
            .await
    }

    async fn end_trouble(&mut self) -> Result<(), SpeakerStopped> {
        if self.trouble.take().is_some() {
            info!("next hops are looked up again");
        }
        self.speaker.feed(Input::Resolution(self.resolution)).await
    }
}

/// Why next hops were not looked up.
enum Failed {
    Speaker(SpeakerStopped),
    Kernel(anyhow::Error),
}

impl From<SpeakerStopped> for Failed {
    fn from(stopped: SpeakerStopped) -> Self {
        Self::Speaker(stopped)
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Kernel(error)
    }
}

#[cfg(test)]
mod tests;
