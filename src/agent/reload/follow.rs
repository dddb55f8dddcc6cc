//! What Calico's resources say, put in force over what the files say.
//!
//! Resources are facts, as Services are: no guard holds them back, and the policies in force decide
//! about the peers that come of them. What is wrong with one is told with its name, in status and by an
//! Event, and the rest is done.
//!
//! **Make before break.** Where peers go and others come in one step, as when a mesh gives way to
//! reflectors, the old sessions stay until the new ones carry the routes of both ends, or for
//! [`HANDOVER_TIME_MAX`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::join_all;
use tracing::{error, info, warn};

use super::Reloader;
use crate::agent::clock;
use crate::agent::events::Notice;
use crate::agent::peering::{Passwords, PeerKey};
use crate::agent::pipeline::Settings;
use crate::agent::resources::{Environment, Hearing, Merged, Problem, Said, SecretKey, merged};
use crate::config::{CalicoResources, Config, Peer};
use crate::kube::secrets::Secrets;
use crate::speaker::Speaker;
use crate::types::{Password, PeerId};

/// How long sessions that are to go wait for those that come in their place.
const HANDOVER_TIME_MAX: Duration = Duration::from_secs(30);
/// How often these are looked at meanwhile.
const HANDOVER_LOOK: Duration = Duration::from_millis(200);

/// What is put in force over the files.
pub(in crate::agent) struct Following {
    hearing: Hearing,
    secrets: Option<Secrets>,
    environment: Environment,
    /// What the resources said when they last said what our AS is.
    usable: Option<Arc<Said>>,
    /// What Secrets said last, or what is wrong with them.
    keys: BTreeMap<SecretKey, PeerKey>,
    /// Files and resources together, as they run.
    in_force: Option<Arc<Config>>,
    passwords: Passwords,
    handover: Option<Handover>,
    /// What was told of.
    told: BTreeSet<Problem>,
}

/// Peers that wait for others.
struct Handover {
    until: Instant,
    /// Those that they wait for.
    coming: BTreeSet<(IpAddr, u16)>,
}

/// Whether Secrets that are known are asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    AllSecrets,
    NewSecrets,
}

impl Following {
    /// Follows what is heard; without `secrets` there are none to be had.
    pub(in crate::agent) fn new(
        hearing: Hearing,
        secrets: Option<Secrets>,
        environment: Environment,
    ) -> Self {
        Self {
            hearing,
            secrets,
            environment,
            usable: None,
            keys: BTreeMap::new(),
            in_force: None,
            passwords: Passwords::default(),
            handover: None,
            told: BTreeSet::new(),
        }
    }

    /// Waits until there may be something to do. Cancel-safe: it only waits, and loses nothing.
    pub(super) async fn due(&mut self) {
        match self.handover {
            None => self.hearing.changed().await,
            Some(_) => {
                // What is heard meanwhile waits for no longer than that.
                tokio::time::sleep(HANDOVER_LOOK).await;
            }
        }
    }

    /// What the files and resources are together; the files alone while nothing was said.
    async fn over(
        &mut self,
        file: &Arc<Config>,
        passwords: &Passwords,
        refresh: Refresh,
    ) -> (Arc<Config>, Passwords, Vec<String>) {
        let said = match file.calico.resources {
            CalicoResources::Ignored => None,
            CalicoResources::Awaited | CalicoResources::Merged => self.hearing.said(),
        };
        let Some(said) = said else {
            return (Arc::clone(file), passwords.clone(), Vec::new());
        };
        if said.node.is_some() {
            self.usable = Some(Arc::clone(&said));
        }
        let usable = self.usable.as_ref().unwrap_or(&said);
        let Merged {
            config,
            secrets,
            barred,
            mut conflicts,
        } = merged(file, usable, self.environment);
        if said.node.is_none() && usable.node.is_some() {
            let words =
                "Calico's resources do not say any more what our AS is; what they said last stands";
            conflicts.push(words.to_owned());
        }
        let mut passwords = passwords.clone();
        self.ask_for_keys(secrets.values().cloned().collect(), refresh)
            .await;
        for (peer, secret) in secrets {
            if let Some(key) = self.keys.get(&secret) {
                passwords.insert(peer, key.clone());
            }
        }
        for (peer, why) in barred {
            passwords.insert(peer, PeerKey::Missing(why));
        }
        (Arc::new(config), passwords, conflicts)
    }

    async fn ask_for_keys(&mut self, wanted: BTreeSet<SecretKey>, refresh: Refresh) {
        self.keys.retain(|secret, _| wanted.contains(secret));
        let is_due = |secret: &SecretKey| match (refresh, self.keys.get(secret)) {
            (Refresh::AllSecrets, _) | (Refresh::NewSecrets, None) => true,
            (Refresh::NewSecrets, Some(_)) => false,
        };
        let due: Vec<SecretKey> = wanted.into_iter().filter(is_due).collect();
        let answers = due.iter().map(|secret| key(self.secrets.as_ref(), secret));
        let answers = join_all(answers).await;
        for (secret, answer) in due.into_iter().zip(answers) {
            let key = match answer {
                Ok(key) => PeerKey::Current(key),
                Err(error) => {
                    let SecretKey { name, key } = &secret;
                    let problem = format!("key {key} of Secret {name}: {error:#}");
                    match self.keys.remove(&secret) {
                        // A Secret that is briefly not to be had ends no session.
                        Some(PeerKey::Current(former) | PeerKey::Former(former, _)) => {
                            PeerKey::Former(former, problem)
                        }
                        Some(PeerKey::Missing(_)) | None => PeerKey::Missing(problem),
                    }
                }
            };
            self.keys.insert(secret, key);
        }
    }

    /// What is there for `next` to be put in force: with it, peers that go and have yet to wait.
    fn with_those_that_wait(&mut self, next: &Config, is_ready: impl Fn(&Peer) -> bool) -> Config {
        let mut config = next.clone();
        let Some(before) = &self.in_force else {
            return config;
        };
        let has = |config: &Config, peer: &Peer| config.peers.iter().any(|it| id(it) == id(peer));
        let takes_place = |peer: &&Peer| {
            let is_free = |it: &Peer| it.address != peer.address && it.name != peer.name;
            next.peers.iter().all(is_free)
        };
        let going: Vec<&Peer> = before.peers.iter().filter(takes_place).collect();
        let coming = next.peers.iter().filter(|peer| !has(before, peer)).map(id);
        let mut coming: BTreeSet<_> = coming.collect();
        let now = clock::now();
        let until = match self.handover.take() {
            Some(former) => {
                coming.extend(former.coming);
                former.until
            }
            None => now + HANDOVER_TIME_MAX,
        };
        let waited_for = next.peers.iter().filter(|peer| coming.contains(&id(peer)));
        let all_ready = waited_for.clone().all(&is_ready);
        if going.is_empty() || all_ready || now >= until || before.bgp.asn != next.bgp.asn {
            return config;
        }
        config.peers.extend(going.into_iter().cloned());
        self.handover = Some(Handover { until, coming });
        config
    }
}

fn id(peer: &Peer) -> (IpAddr, u16) {
    (peer.address, peer.port)
}

async fn key(secrets: Option<&Secrets>, secret: &SecretKey) -> anyhow::Result<Password> {
    let secrets = secrets.context("there are no Secrets with source = \"files\"")?;
    let value = secrets.value(&secret.name, &secret.key).await?;
    Ok(Password::new(value.trim_ascii_end())?)
}

impl Reloader {
    /// What a configuration that was read from files is together with what the resources say.
    pub(super) async fn over(
        &mut self,
        file: &Arc<Config>,
        passwords: &Passwords,
    ) -> (Arc<Config>, Passwords) {
        let over = self.following.over(file, passwords, Refresh::NewSecrets);
        let (config, passwords, conflicts) = over.await;
        self.tell_resources(conflicts);
        (config, passwords)
    }

    /// Notes what was put in force.
    pub(super) fn followed(&mut self, config: Arc<Config>, passwords: Passwords) {
        self.following.in_force = Some(config);
        self.following.passwords = passwords;
        self.following.handover = None;
    }

    /// Puts in force what the resources say.
    pub(super) async fn follow(&mut self, refresh: Refresh) {
        if let Err(refusal) = self.try_to_follow(refresh).await {
            let text = format!("{refusal:#}");
            error!("what Calico's resources say cannot be done: {text}");
            self.tell_resources(vec![text]);
        }
    }

    async fn try_to_follow(&mut self, refresh: Refresh) -> anyhow::Result<()> {
        let (file, passwords) = (
            Arc::clone(&self.in_force.config),
            self.in_force.passwords.clone(),
        );
        let over = self.following.over(&file, &passwords, refresh);
        let (next, mut passwords, conflicts) = over.await;
        self.tell_resources(conflicts);
        if next.calico.resources != CalicoResources::Merged {
            // Not known yet.
            return Ok(());
        }
        let ready = self.ready(&next).await?;
        let is_ready = |peer: &Peer| ready.contains(&id(peer));
        let config = Arc::new(self.following.with_those_that_wait(&next, is_ready));
        for peer in config.peers.iter().skip(next.peers.len()) {
            passwords.take_over(&self.following.passwords, &peer.name);
        }
        if self.following.in_force.as_ref() == Some(&config)
            && self.following.passwords == passwords
        {
            return Ok(());
        }
        let settings = Settings {
            config: Arc::clone(&config),
            passwords: passwords.clone(),
            chain: None,
            import_chain: None,
            stood_in: Vec::new(),
        };
        let trial = self.pipeline.prepare(settings).await?;
        let tried = tokio::task::spawn_blocking(move || trial.run()).await?;
        let listen = config.bgp.listen.clone();
        self.speaker.listen_on(listen).await.context("listening")?;
        self.pipeline.adopt(tried).await?;
        info!(
            peers = config.peers.len(),
            "what Calico's resources say is in force"
        );
        self.following.in_force = Some(config);
        self.following.passwords = passwords;
        Ok(())
    }

    /// The peers of a configuration whose sessions carry the routes of both ends.
    async fn ready(&self, config: &Arc<Config>) -> anyhow::Result<BTreeSet<(IpAddr, u16)>> {
        let config = Arc::clone(config);
        let ids = self.pipeline.ask(move |pipeline| {
            let peers = config.peers.iter();
            let ids = peers.filter_map(|peer| Some((pipeline.peering.known_id(peer)?, id(peer))));
            ids.collect::<BTreeMap<PeerId, (IpAddr, u16)>>()
        });
        let ids = ids.await?;
        let supplied = self.speaker.ask(Speaker::supplied_peers).await?;
        let ready = supplied.iter().filter_map(|peer| ids.get(peer).copied());
        Ok(ready.collect())
    }

    /// Says once of each resource what is wrong with it, and shows in status what is.
    fn tell_resources(&mut self, conflicts: Vec<String>) {
        let said = self.following.hearing.last();
        let problems: BTreeSet<Problem> = said
            .iter()
            .flat_map(|said| said.problems.iter().cloned())
            .collect();
        for problem in problems.difference(&self.following.told) {
            warn!("{}", problem.words);
            self.notices.tell(Notice::ResourceNotHeeded {
                kind: problem.kind,
                name: problem.name.clone(),
                words: problem.words.clone(),
            });
        }
        let words = problems.iter().map(|problem| problem.words.clone());
        let words: Vec<String> = words.chain(conflicts).collect();
        self.following.told = problems;
        let mut state = self.state.lock().expect("no holder panics");
        if state.resources != words {
            for news in words.iter().filter(|it| !state.resources.contains(it)) {
                info!("Calico's resources: {news}");
            }
            state.resources = words;
        }
    }
}

#[cfg(test)]
impl Following {
    /// Those that wait for others have waited long enough.
    pub(super) fn end_handover(&mut self) {
        if let Some(handover) = &mut self.handover {
            handover.until = clock::now();
        }
    }
}
