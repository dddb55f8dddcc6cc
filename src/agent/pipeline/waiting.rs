//! What the log is told of that the agent waits for: each thing once.

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    told: Option<String>,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Something else than before, or something again.
    WaitingFor(String),
    /// Nothing any more.
    Over,
}

impl Waiting {
    pub(super) fn step(&mut self, waiting_for: Option<String>) -> Option<News> {
        if self.told == waiting_for {
            return None;
        }
        self.told.clone_from(&waiting_for);
        Some(waiting_for.map_or(News::Over, News::WaitingFor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_told_when_it_changes_and_when_it_is_over() {
        let mut waiting = Waiting::default();
        let mut step = |what: Option<&str>| waiting.step(what.map(str::to_owned));
        let waits_for = |what: &str| Some(News::WaitingFor(what.to_owned()));
        assert_eq!(step(None), None, "it never waited");
        assert_eq!(
            step(Some("the list of Nodes")),
            waits_for("the list of Nodes")
        );
        assert_eq!(step(Some("the list of Nodes")), None);
        assert_eq!(step(Some("the own Node")), waits_for("the own Node"));
        assert_eq!(step(None), Some(News::Over));
        assert_eq!(step(None), None);
        assert_eq!(step(Some("the own Node")), waits_for("the own Node"));
    }
}
