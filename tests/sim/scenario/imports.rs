//! What an owner does about the routes that its speaker learns.

use rutter::speaker::{Input, Learning};

use super::Scenario;
use crate::sim::check;
use crate::sim::importer::{Again, Answer, Looks};
use crate::sim::network::HostId;

impl Scenario {
    /// From all routes to those decided about, or back. What was in use may stay until then.
    pub(super) fn learn_otherwise(&mut self, host: HostId) {
        let in_use = check::paths(self.network.hosts[host].speaker.loc_rib()).into_iter();
        let in_use = in_use.map(|(key, path)| (key, Looks::of(&path.attributes)));
        let in_use: Vec<_> = in_use.collect();
        let owner = self.owner(host);
        owner.config.learning = match owner.config.learning {
            Learning::Everything => {
                for (key, looks) in in_use {
                    owner.importer.grant(key, looks);
                }
                Learning::Decided
            }
            Learning::Decided => Learning::Everything,
        };
        self.configure(host);
    }

    pub(super) fn change_import_rule(&mut self, host: HostId) {
        let rule = self.random.next_u64();
        let importer = &mut self.owner(host).importer;
        importer.set_rule(rule);
        importer.ask_again();
    }

    /// Perhaps takes some of what is undecided, and perhaps answers some of what was taken.
    pub(super) fn consider_imports(&mut self, host: HostId) {
        if self.below(2) == 0 {
            let most = 1 + self.below(20);
            self.take_undecided(host, most);
        }
        let mut answers = Vec::new();
        for _ in 0..self.below(12) {
            let questions = self.owners[host].importer.questions();
            if questions == 0 {
                break;
            }
            let question = self.below(questions);
            let again = match self.below(4) {
                0 => Again::Yes,
                _ => Again::No,
            };
            answers.push(self.owners[host].importer.answer(question, again));
        }
        self.answer(host, answers);
    }

    /// Whether there was anything to take.
    fn take_undecided(&mut self, host: HostId, most: usize) -> bool {
        let undecided = self.network.hosts[host].speaker.take_undecided(most);
        let taken = !undecided.is_empty();
        self.owner(host).importer.take(undecided);
        taken
    }

    fn answer(&mut self, host: HostId, answers: Vec<Answer>) {
        let before = check::Before::of(self, host, &answers);
        let imports = answers.into_iter().map(|answer| answer.import);
        self.network.input(host, Input::Import(imports.collect()));
        before.check(self, host);
    }

    /// Every host decides about everything.
    pub(super) fn decide_all(&mut self) {
        for host in 0..self.owners.len() {
            while self.take_undecided(host, usize::MAX) {}
            let answers = self.owners[host].importer.answer_all();
            self.answer(host, answers);
        }
    }
}
