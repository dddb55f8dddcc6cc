//! Processes that end, with a word or without, and begin again with nothing but their configuration.

use rutter::speaker::{Input, Speaker};

use super::{Exports, GROUPS, SETTLING, SETTLING_ROUNDS, Scenario};
use crate::sim::check::{self, Mirror};
use crate::sim::importer::Importer;
use crate::sim::network::HostId;

/// Less than the restart time by what a session takes to come back after a row of ends.
const ABSENCE_MS: usize = 45_000;

impl Scenario {
    /// Whoever stays must not notice: no best path changes, and in the end both agree.
    pub(in crate::sim) fn run_restarts(mut self) {
        for host in 0..self.owners.len() {
            for group in GROUPS {
                self.export(host, group, 8);
            }
            self.configure(host);
        }
        self.heal();
        for _ in 0..3 {
            let who: &[HostId] = [&[0][..], &[1], &[0, 1]][self.below(3)];
            for host in 0..self.owners.len() {
                assert!(self.network.hosts[host].speaker.restart().over);
                self.network.hosts[host].changed.clear();
            }
            for host in who {
                self.stop(*host);
            }
            self.pass(ABSENCE_MS);
            for host in who {
                self.start(*host);
                self.pass(1000);
            }
            // The caches take their time, and until then nothing is said.
            self.pass(20_000);
            self.heal_quietly(who);
        }
        check::quiescent(&self);
    }

    /// As at any time in foul weather.
    pub(super) fn restart(&mut self, host: HostId) {
        self.stop(host);
        self.pass(100_000);
        self.start(host);
    }

    fn stop(&mut self, host: HostId) {
        check::transmitted(self);
        if self.below(2) == 0 {
            let message = "upgrade".to_owned();
            self.network.input(host, Input::Restart { message });
        }
        let seed = self.random.next_u64();
        self.network.hosts[host].listening = false;
        self.network.replace(host, Speaker::new(seed));
        let owner = &mut self.owners[host];
        owner.complete = false;
        owner.mirror = Mirror::default();
        let rule = owner.importer.rule();
        owner.importer = Importer::new(&owner.config.peers);
        owner.importer.set_rule(rule);
    }

    fn start(&mut self, host: HostId) {
        self.network.hosts[host].listening = true;
        let exports: Exports = std::mem::take(&mut self.owners[host].exports);
        for group in GROUPS {
            let of_group = exports.iter().filter(|((of, _), _)| *of == group);
            let changes = of_group.map(|((_, prefix), route)| (*prefix, Some(route.clone())));
            let changes = changes.collect();
            self.give(host, group, changes);
        }
        self.configure(host);
    }

    /// Everybody has time to agree, and those who were there all the time see nothing of it.
    fn heal_quietly(&mut self, restarted: &[HostId]) {
        for host in 0..self.owners.len() {
            self.complete(host);
        }
        for _ in 0..SETTLING_ROUNDS {
            self.network.run(SETTLING);
            if check::all_established(&self.network) {
                break;
            }
        }
        self.network.run(SETTLING);
        self.decide_all();
        for host in 0..self.owners.len() {
            if !restarted.contains(&host) {
                let changed = &self.network.hosts[host].changed;
                assert!(changed.is_empty(), "{host} lost its way to {changed:?}");
            }
        }
        check::in_flight(self);
    }
}
