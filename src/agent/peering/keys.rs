//! Peers' keys for TCP MD5, as far as the files that hold them can be used.
//!
//! A peer that is to have a key is never dialled or accepted without. At start, one whose file
//! cannot be used is down, and everybody else is not. Under a running agent the key in force
//! stays: a file that is briefly not there must not end a session.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::types::Password;

/// The keys of all peers that are to have one, by the peer's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::agent) struct Passwords(BTreeMap<String, PeerKey>);

/// A peer's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::agent) enum PeerKey {
    /// As the file has it.
    Current(Password),
    /// As the file had it before it became of no use, and what is wrong with it.
    Former(Password, String),
    /// There was none yet, and this is what is wrong with the file.
    Missing(String),
}

impl FromIterator<(String, PeerKey)> for Passwords {
    fn from_iter<I: IntoIterator<Item = (String, PeerKey)>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl Passwords {
    /// What a peer's segments are signed with.
    pub(super) fn key(&self, peer: &str) -> Option<&Password> {
        match self.0.get(peer)? {
            PeerKey::Current(key) | PeerKey::Former(key, _) => Some(key),
            PeerKey::Missing(_) => None,
        }
    }

    /// Why a peer cannot be talked to.
    pub(super) fn missing(&self, peer: &str) -> Option<&str> {
        match self.0.get(peer)? {
            PeerKey::Current(_) | PeerKey::Former(..) => None,
            PeerKey::Missing(problem) => Some(problem),
        }
    }

    /// What an operator should mend, a sentence a peer.
    pub(in crate::agent) fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.values().filter_map(|key| match key {
            PeerKey::Current(_) => None,
            PeerKey::Former(_, problem) => Some(format!(
                "{problem}; the key from before stays in force until the agent restarts"
            )),
            PeerKey::Missing(problem) => Some(format!(
                "{problem}; the peer is neither dialled nor accepted before this is mended"
            )),
        })
    }

    /// A peer is to have this key.
    pub(in crate::agent) fn insert(&mut self, peer: String, key: PeerKey) {
        self.0.insert(peer, key);
    }

    /// A peer keeps the key that it has among `others`, if it has one.
    pub(in crate::agent) fn take_over(&mut self, others: &Self, peer: &str) {
        if let Some(key) = others.0.get(peer) {
            self.0.insert(peer.to_owned(), key.clone());
        }
    }

    /// Keeps keys in force whose file is of no use any more.
    ///
    /// # Errors
    /// A peer that runs without a key is to have one that cannot be read: what is wrong with its
    /// file. To take such a configuration would end the session.
    pub(in crate::agent) fn keep(
        &mut self,
        in_force: &Self,
        config_in_force: &Config,
    ) -> anyhow::Result<()> {
        for (peer, key) in &mut self.0 {
            let PeerKey::Missing(problem) = key else {
                continue;
            };
            let runs = || config_in_force.peers.iter().any(|one| one.name == *peer);
            match in_force.0.get(peer) {
                Some(PeerKey::Current(former) | PeerKey::Former(former, _)) => {
                    *key = PeerKey::Former(former.clone(), std::mem::take(problem));
                }
                Some(PeerKey::Missing(_)) => {}
                None => anyhow::ensure!(!runs(), "{problem}"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Passwords {
    /// The key of a peer, whatever is wrong with it.
    pub(in crate::agent) fn of(&self, peer: &str) -> &PeerKey {
        &self.0[peer]
    }
}
