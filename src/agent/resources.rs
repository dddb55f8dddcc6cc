//! What Calico's resources say, from the pipeline, which has them, to the reload task, which puts it
//! in force; and what both files and resources are as one configuration.
//!
//! The pipeline tells once everything was seen, and then whenever it means another thing. What was
//! told and not taken yet is replaced: only the last counts.

mod merge;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::watch;

use crate::calico::{NodeConfig, Resources};

pub(super) use merge::{Environment, Merged, SecretKey, merged};

/// What all resources mean for this node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    /// Nothing where the cluster's AS cannot be read: there are no sessions then.
    pub(super) node: Option<NodeConfig>,
    /// What is not as somebody wrote it.
    pub(super) problems: Vec<Problem>,
}

/// Something about a resource that its owner would want to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    /// What it is about.
    pub(super) kind: crate::calico::Kind,
    /// Its `metadata.name`.
    pub(super) name: String,
    /// All of it in words, with kind and name.
    pub(super) words: String,
}

/// The pipeline's end.
#[derive(Debug)]
pub(super) struct Saying(watch::Sender<Option<Arc<Said>>>);

/// The reload task's end.
#[derive(Clone, Debug)]
pub(super) struct Hearing(watch::Receiver<Option<Arc<Said>>>);

/// Both ends.
pub(super) fn channel() -> (Saying, Hearing) {
    let (sender, receiver) = watch::channel(None);
    (Saying(sender), Hearing(receiver))
}

impl Said {
    /// What they say of the node of this name.
    pub(super) fn of(resources: &Resources, node: &str) -> Self {
        let node = resources.node(node);
        let by_themselves = resources.problems();
        let together = node.iter().flat_map(|node| &node.problems);
        let problems = by_themselves.chain(together).map(|problem| Problem {
            kind: problem.kind,
            name: problem.name.clone(),
            words: problem.to_string(),
        });
        let mut problems: Vec<_> = problems.collect();
        problems.sort();
        problems.dedup();
        Self { node, problems }
    }
}

impl Saying {
    /// Tells what they say, if it is another thing than before.
    pub(super) fn tell(&self, said: Said) {
        self.0.send_if_modified(|before| {
            let is_news = before.as_deref() != Some(&said);
            if is_news {
                *before = Some(Arc::new(said));
            }
            is_news
        });
    }
}

impl Hearing {
    /// What they say at present; nothing before everything was seen once.
    pub(super) fn said(&mut self) -> Option<Arc<Said>> {
        self.0.borrow_and_update().clone()
    }

    /// The same, without being told of it again or not.
    pub(super) fn last(&self) -> Option<Arc<Said>> {
        self.0.borrow().clone()
    }

    /// Waits until they say something else than was last asked for. Cancel-safe: what was not
    /// returned is by the next call. Without a pipeline it never returns.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
