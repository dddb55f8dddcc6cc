//! Learned routes on their way into the kernel: one task between the speaker, the pipeline and the
//! kernel.
//!
//! ```text
//! speaker --prefixes that changed--> task --changes--> kernel
//! pipeline --the node's prefixes----->|  <--news of others' changes--
//! ```
//! [`Fib`] decides; here it is fed and its changes are made. The task ends before the speaker says
//! goodbye to its peers, so that what the kernel has stays there: the next process finds it, and
//! until then traffic flows.

mod report;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::changed::ChangedRoutes;
use super::clock;
use super::driver::{SpeakerHandle, SpeakerStopped};
use super::netlink::{Interest, Kernel, KernelError, Ours};
use super::own_prefixes::{OwnNews, OwnPrefixes};
use super::pace::{Pace, Retry};
use crate::config::{KernelConfig, LearnedRoutes};
use crate::fib::{Change, Counts, Fib, PathWay, Pools};
use crate::rib::{Path, SourceId};
use crate::speaker::Speaker;
use crate::types::{Installation, Prefix};

/// How many prefixes are taken from the speaker in one turn.
const TAKEN_MAX: usize = 4096;
/// How many changes are made in one turn.
const CHANGES_MAX: usize = 256;

/// How often the speaker is asked whether its peers have sent all they had, while that is waited
/// for: two minutes at most.
const PEERS_INTERVAL: Duration = Duration::from_millis(500);

/// How the rest of the agent sees what is done. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct KernelRoutes {
    config: KernelConfig,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    fib: Fib,
    pools: Arc<Pools>,
    trouble: Option<Trouble>,
}

/// Why nothing at all can be done.
#[derive(Clone, Debug)]
struct Trouble {
    words: String,
    retry: Retry,
}

/// The running task.
#[derive(Debug)]
pub(super) struct Programming(JoinHandle<()>);

impl Programming {
    /// Ends it at once; the kernel's table stays as it is.
    pub(super) async fn stop(self) {
        self.0.abort();
        // It was ended, or has ended by itself.
        let _ = self.0.await;
    }
}

/// Starts the task. `changed` is what the speaker's driver adds to, or nobody where nothing is to
/// be installed.
pub(super) fn spawn(
    config: KernelConfig,
    speaker: SpeakerHandle,
    changed: ChangedRoutes,
    own: OwnPrefixes,
) -> (KernelRoutes, Programming) {
    let fib = match config.learned_routes {
        LearnedRoutes::Install => Fib::new(config.metric, config.own_blocks),
        LearnedRoutes::Remove => Fib::removing(config.metric, config.own_blocks),
    };
    let shared = Shared {
        fib,
        pools: Arc::default(),
        trouble: None,
    };
    let routes = KernelRoutes {
        config,
        shared: Arc::new(Mutex::new(shared)),
    };
    let now = clock::now();
    let task = Task {
        routes: routes.clone(),
        speaker,
        changed,
        own,
        kernel: None,
        pace: Pace::new(now),
        heard: false,
        peers_at: now,
    };
    (routes, Programming(tokio::spawn(task.run())))
}

impl KernelRoutes {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no holder panics")
    }
}

struct Task {
    routes: KernelRoutes,
    speaker: SpeakerHandle,
    changed: ChangedRoutes,
    own: OwnPrefixes,
    kernel: Option<Kernel>,
    /// When the kernel is to be read.
    pace: Pace,
    /// Whether others have changed something since.
    heard: bool,
    /// When the speaker is to be asked about its peers, while that matters.
    peers_at: Instant,
}

/// Whether the speaker had something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Some,
    None,
}

impl Task {
    async fn run(mut self) {
        loop {
            // The speaker's end is the agent's.
            if let Err(SpeakerStopped) = self.turn().await {
                return;
            }
            let wake = self.wake();
            let news = async {
                match &self.kernel {
                    Some(kernel) => kernel.news().await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: each is heard by whoever waits next, and the time is worked out anew.
            tokio::select! {
                () = self.changed.wait() => {}
                () = self.own.news() => {}
                () = news => self.on_news(),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Somebody changed something: the kernel is read when that has settled.
    fn on_news(&mut self) {
        self.heard = true;
        self.pace.soon(clock::now());
    }

    fn wake(&self) -> Instant {
        let now = clock::now();
        let shared = self.routes.lock();
        if let Some(trouble) = &shared.trouble {
            return trouble.retry.at;
        }
        if shared.fib.has_changes() {
            return now;
        }
        let peers = shared.fib.awaits_peers().then_some(self.peers_at);
        let times = [Some(self.pace.at()), peers, shared.fib.poll_timeout()];
        times.into_iter().flatten().min().unwrap_or(now)
    }

    /// Takes what has come, and does a part of what is to be done.
    async fn turn(&mut self) -> Result<(), SpeakerStopped> {
        self.take_own();
        self.take_wanted().await?;
        if !self.is_due() {
            return Ok(());
        }
        match self.program().await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.trouble(&error);
                Ok(())
            }
        }
    }

    fn take_own(&mut self) {
        let OwnNews {
            whole,
            changes,
            pools,
        } = self.own.take();
        let mut shared = self.routes.lock();
        if let Some(own) = whole {
            shared.fib.own_is(clock::now(), own);
        }
        shared.fib.own_changed(changes);
        if let Some(pools) = pools
            && pools != shared.pools
        {
            let before = std::mem::replace(&mut shared.pools, pools);
            self.ask_again(&shared.fib, &before);
            self.ask_again(&shared.fib, &shared.pools);
        }
    }

    /// Routes in these pools may have to lead elsewhere.
    fn ask_again(&self, fib: &Fib, pools: &Pools) {
        for pool in &pools.pools {
            for prefix in fib.wanted_within(&pool.cidr) {
                self.changed.add(prefix);
            }
        }
    }

    /// Takes what the speaker has to say, and whether that is all its peers had.
    async fn take_wanted(&mut self) -> Result<(), SpeakerStopped> {
        let now = clock::now();
        let asks = self.peers_at <= now && self.routes.lock().fib.awaits_peers();
        let are_complete = if asks {
            self.peers_at = now + PEERS_INTERVAL;
            self.speaker.ask(Speaker::has_initial_routes).await?
        } else {
            false
        };
        while self.take_some().await? == Taken::Some && are_complete {}
        // Only now: all that they had is taken.
        if are_complete {
            self.routes.lock().fib.peers_are_complete();
        }
        Ok(())
    }

    async fn take_some(&mut self) -> Result<Taken, SpeakerStopped> {
        let prefixes = self.changed.take(TAKEN_MAX);
        if prefixes.is_empty() {
            return Ok(Taken::None);
        }
        let wanted = self.speaker.ask(move |speaker| {
            let wanted = |prefix| (prefix, ways(speaker, &prefix));
            prefixes.into_iter().map(wanted).collect::<Vec<_>>()
        });
        let wanted = wanted.await?;
        let shared = &mut *self.routes.lock();
        let tunnel = shared.fib.tunnel();
        for (prefix, ways) in wanted {
            let target = (!ways.is_empty()).then(|| shared.pools.target(&prefix, ways, tunnel));
            shared.fib.want(prefix, target);
        }
        Ok(Taken::Some)
    }

    fn is_due(&self) -> bool {
        let shared = self.routes.lock();
        let trouble = shared.trouble.as_ref();
        trouble.is_none_or(|trouble| trouble.retry.at <= clock::now())
    }

    /// Reads the kernel where that is due, and makes some of the changes.
    ///
    /// # Errors
    /// Nothing can be done at present.
    async fn program(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        let in_trouble = self.routes.lock().trouble.is_some();
        if self.kernel.is_none() || in_trouble || self.pace.at() <= now {
            self.read().await?;
        }
        let Some(kernel) = &self.kernel else {
            return Ok(());
        };
        let changes = self.routes.lock().fib.changes(now, CHANGES_MAX);
        let Counts {
            refused: before, ..
        } = self.routes.lock().fib.counts();
        let surprised = apply(kernel, &self.routes, changes).await?;
        self.tell_refusals(before);
        if surprised {
            self.pace.soon(now);
        }
        Ok(())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let ours = Ours::of(&self.routes.config);
        let kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None => Kernel::open(ours, Interest::OurRoutes).context("cannot open netlink")?,
        };
        let view = match kernel.read().await {
            Ok(view) => view,
            Err(error) => {
                if !error.is_closed() {
                    self.kernel = Some(kernel);
                }
                return Err(anyhow::Error::from(error).context("cannot read the kernel's routes"));
            }
        };
        let now = clock::now();
        self.pace.was_read(now);
        let (first, troubled) = {
            let mut shared = self.routes.lock();
            let first = !shared.fib.is_read();
            let tunnel = shared.fib.tunnel();
            shared.fib.kernel_is(view);
            if tunnel != shared.fib.tunnel() {
                self.ask_again(&shared.fib, &shared.pools);
            }
            if std::mem::take(&mut self.heard) {
                shared.fib.retry_all(now);
            }
            (first, shared.trouble.is_some())
        };
        let probed = if first || troubled {
            kernel.probe().await
        } else {
            Ok(())
        };
        self.kernel = Some(kernel);
        probed?;
        if self.routes.lock().trouble.take().is_some() {
            info!("the kernel's routes can be changed again");
        }
        Ok(())
    }

    fn trouble(&mut self, error: &anyhow::Error) {
        let words = match error.downcast_ref::<KernelError>() {
            Some(refused) if refused.is_forbidden() => format!(
                "{refused}: changing the kernel's routes needs CAP_NET_ADMIN; give it to the agent, \
                 or take [kernel] out of the configuration"
            ),
            Some(closed) if closed.is_closed() => {
                self.kernel = None;
                format!("{error:#}")
            }
            Some(_) | None => format!("{error:#}"),
        };
        let mut shared = self.routes.lock();
        let before = shared.trouble.as_ref();
        let retry = Retry::after(before.map(|before| before.retry), clock::now());
        if before.is_none_or(|before| before.words != words) {
            warn!("learned routes do not get into the kernel: {words}");
        }
        shared.trouble = Some(Trouble { words, retry });
    }

    /// Once when the kernel begins to refuse routes, and once when it has taken all of them.
    fn tell_refusals(&self, before: usize) {
        let shared = self.routes.lock();
        match (before, shared.fib.first_refusal()) {
            (0, Some((prefix, refusal))) => warn!(
                %prefix, error = refusal.words,
                "the kernel refuses a learned route; it is tried again, see `rutter routes --received`"
            ),
            (1.., None) => info!("the kernel refuses no learned route any more"),
            (0, None) | (1.., Some(_)) => {}
        }
    }
}

/// Makes these changes, one after the other; says whether the kernel has other routes than was
/// thought.
///
/// # Errors
/// Nothing at all may be changed, or the kernel cannot be asked; what was not tried is kept.
async fn apply(
    kernel: &Kernel,
    routes: &KernelRoutes,
    changes: Vec<Change>,
) -> Result<bool, KernelError> {
    let mut surprised = false;
    let mut trouble = None;
    for change in changes {
        if trouble.is_some() {
            routes.lock().fib.postponed(&change);
            continue;
        }
        match kernel.apply(&change).await {
            Ok(()) => {
                debug!(?change, "the kernel took a change");
                routes.lock().fib.done(change);
            }
            Err(error) if error.is_forbidden() || error.is_closed() => {
                routes.lock().fib.postponed(&change);
                trouble = Some(error);
            }
            Err(error) => {
                debug!(?change, %error, "the kernel refused a change");
                surprised |= error.is_surprise();
                let words = error.to_string();
                routes.lock().fib.refused(clock::now(), &change, words);
            }
        }
    }
    trouble.map_or(Ok(surprised), Err)
}

/// The ways that the paths in use lead which the kernel may have; none where it may have no path.
fn ways(speaker: &Speaker, prefix: &Prefix) -> Vec<PathWay> {
    let paths = speaker.loc_rib().selected(prefix).iter();
    paths
        .filter_map(|path| way(speaker, prefix, path))
        .collect()
}

/// The way that a path in use leads, if the kernel may have it.
pub(super) fn way(speaker: &Speaker, prefix: &Prefix, path: &Path) -> Option<PathWay> {
    let SourceId::Peer(peer) = path.source.id() else {
        return None;
    };
    match speaker.installation(peer, prefix) {
        // The next hop of one that has just taken another's place may not be looked up yet.
        Installation::Install => {
            let way = speaker.way(prefix, path);
            Some(PathWay {
                next_hop: path.attributes.next_hop.address,
                hops: way.map(|way| way.hops()).unwrap_or_default(),
            })
        }
        Installation::Keep => None,
    }
}
