//! Draws what goes wrong, within what may.
//!
//! ```text
//! any node      stopped, killed, power cut, paused, slow, cut off, clock off, disk full, disk failing (stops)
//! one node      wiped, synced tail lost, directory restored, declared lost        (the same one for the whole run)
//! members       join, leave, weigh otherwise, replace each other, move to other zones and addresses
//! several       a zone, or a majority, lost for ever and declared lost            (once in a run, if at all)
//! ```
//!
//! But for the losses of several, only one node of a run ever loses what it had synced, so every write that two nodes
//! acknowledged has a holder that keeps it; writes of which all who acknowledged them have lost something since are the
//! checkers' exemption. Under durability `wal`
//! nobody loses power: there an acknowledgement promises no more than to survive a killed process.

use std::time::Duration;

use starling::config::Durability;
use starling::storage::memory::MemoryFaults;
use starling::time::{Timestamp, micros};

use super::{Action, Schedule, between, members, operator};
use crate::world::chance::{Chance, Use};
use crate::world::network::Cut;
use crate::world::node::{CrashPoint, Damage};
use crate::world::options::WorldOptions;

/// Which kinds of faults a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultMix {
    /// Cuts of the network.
    pub splits: bool,
    /// Processes that end and start again.
    pub crashes: bool,
    /// The one fragile disk.
    pub damage: bool,
    /// Nodes that stand still, slow disks, lossy links.
    pub slowness: bool,
    /// Clocks that jump.
    pub clocks: bool,
    /// Disks that are full, or fail.
    pub disks: bool,
    /// Members that come, go and are declared lost.
    pub members: bool,
    /// Where members change: other zones and addresses, several drained at once, zones and majorities lost.
    pub operator: bool,
    /// Mean time between two faults.
    pub gap: Duration,
}

impl FaultMix {
    /// Everything.
    pub const ALL: FaultMix = FaultMix {
        splits: true,
        crashes: true,
        damage: true,
        slowness: true,
        clocks: true,
        disks: true,
        members: true,
        operator: true,
        gap: Duration::from_secs(4),
    };

    /// Whether no node is ever away, slow or wrong about the time.
    pub fn is_quiet(&self) -> bool {
        !(self.splits || self.crashes || self.damage || self.slowness || self.clocks || self.disks || self.members)
    }

    /// A mix of its own for every seed; most kinds are there two times out of three.
    pub fn draw(chance: &mut Chance) -> FaultMix {
        FaultMix {
            splits: chance.happens(667),
            crashes: chance.happens(667),
            damage: chance.happens(667),
            slowness: chance.happens(667),
            clocks: chance.happens(400),
            disks: chance.happens(400),
            members: false,
            operator: false,
            gap: chance.span(Duration::from_secs(2), Duration::from_secs(12)),
        }
    }
}

/// Draws the schedule of a run from 0 to `end`.
pub fn draw(options: &WorldOptions, mix: FaultMix, end: Timestamp) -> Schedule {
    let mut chance = Chance::new(options.seed, Use::Faults);
    let fragile = chance.below(options.nodes as u64) as usize;
    let jumps = vec![0; options.places()];
    let mut atlas = Atlas { options, mix, chance, fragile, jumps, schedule: Schedule::default() };
    if mix.members {
        members::draw(options, fragile, end, &mut atlas.schedule);
        if mix.operator {
            operator::draw(options, end, &mut atlas.schedule);
        }
    }
    let mut at = Timestamp(0).after(Duration::from_secs(1));
    loop {
        at = at.after(atlas.chance.exponential(mix.gap));
        if at >= end {
            return atlas.schedule;
        }
        atlas.episode(at);
    }
}

struct Atlas<'a> {
    options: &'a WorldOptions,
    mix: FaultMix,
    chance: Chance,
    /// The only node whose disk may lose what was synced.
    fragile: usize,
    /// Sum of the jumps of each clock so far. Unit: milliseconds.
    jumps: Vec<i64>,
    schedule: Schedule,
}

impl Atlas<'_> {
    fn episode(&mut self, at: Timestamp) {
        let mix = self.mix;
        let mut kinds: Vec<fn(&mut Self, Timestamp)> = Vec::new();
        let mut add = |is_on: bool, weight: usize, kind: fn(&mut Self, Timestamp)| {
            kinds.extend(std::iter::repeat_n(kind, if is_on { weight } else { 0 }));
        };
        add(mix.splits, 4, Self::split);
        add(mix.crashes, 4, Self::crash);
        add(mix.damage, 2, Self::damage);
        add(mix.slowness, 3, Self::slowness);
        add(mix.clocks, 1, Self::clock);
        add(mix.disks, 1, Self::disk);
        if let Some(kind) = self.chance.pick(&kinds) {
            kind(self, at);
        }
    }

    fn node(&mut self) -> usize {
        self.chance.below(self.options.places() as u64) as usize
    }

    fn span(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        self.chance.span(Duration::from_millis(low_ms), Duration::from_millis(high_ms))
    }

    fn split(&mut self, at: Timestamp) {
        let cut = if self.chance.happens(250) { Cut::Jams } else { Cut::Loses };
        let node = self.node();
        let others: Vec<usize> = (0..self.options.places()).filter(|other| *other != node).collect();
        let (left, right): (Vec<usize>, Vec<usize>) = others.iter().partition(|_| self.chance.happens(500));
        let links = match self.chance.below(6) {
            // One node alone.
            0 => between(&[node], &others),
            // Two groups; the drawn node belongs to the first.
            1 => between(&[&left[..], &[node]].concat(), &right),
            // A bridge: two groups that both hear the drawn node.
            2 => between(&left, &right),
            // One direction of one link.
            3 => vec![(node, self.chance.pick(&others).copied().unwrap_or(node))],
            // One direction of all links of a node: it hears but is not heard, or the reverse.
            4 => others.iter().map(|other| (node, *other)).collect(),
            _ => others.iter().map(|other| (*other, node)).collect(),
        };
        let lasts = self.span(300, 25_000);
        if self.chance.happens(150) {
            // A flapping link.
            let period = self.span(300, 3_000);
            let mut time = at;
            while time < at.after(lasts) {
                self.schedule.at(time, Action::Cut(links.clone(), cut));
                self.schedule.at(time.after(period / 2), Action::Heal(links.clone()));
                time = time.after(period);
            }
            return;
        }
        self.schedule.at(at, Action::Cut(links.clone(), cut));
        self.schedule.at(at.after(lasts), Action::Heal(links));
    }

    fn crash(&mut self, at: Timestamp) {
        let damage = match (self.options.config.durability, self.chance.below(3)) {
            (Durability::Wal, _) | (Durability::Fsync, 0) => Damage::None,
            (Durability::Fsync, 1) => Damage::UnsyncedTail,
            (Durability::Fsync, _) => Damage::AllUnsynced,
        };
        let node = self.node();
        let down = self.span(5, 15_000);
        match self.chance.below(6) {
            // Between two steps of its choice.
            0..3 => {
                let points =
                    [CrashPoint::BeforeWrite, CrashPoint::AfterWrite, CrashPoint::AmidEffects, CrashPoint::AfterSync];
                let point = self.chance.pick(&points).copied().unwrap_or(CrashPoint::AfterWrite);
                self.schedule.at(at, Action::Arm(node, point, damage));
                self.schedule.at(at.after(down), Action::Start(node));
            }
            // What is killed without a loss is stopped in good order every second time.
            3 | 4 if damage == Damage::None && down.as_micros().is_multiple_of(2) => {
                self.schedule.at(at, Action::Stop(node, down));
            }
            3 | 4 => self.schedule.at(at, Action::Crash(node, damage, down)),
            // Several at once, up to all.
            _ => {
                for other in 0..self.options.places() {
                    if self.chance.happens(600) {
                        let down = self.span(5, 5_000);
                        self.schedule.at(at, Action::Crash(other, damage, down));
                    }
                }
            }
        }
    }

    fn damage(&mut self, at: Timestamp) {
        let node = self.fragile;
        let down = self.span(5, 10_000);
        let damage = match self.chance.below(3) {
            0 => Damage::Wiped,
            1 => Damage::SyncedTail(self.chance.between(1, 200) as usize),
            _ => {
                let age = self.span(1_000, 20_000);
                self.schedule.at(Timestamp(at.0.saturating_sub(micros(age))), Action::Copy(node));
                Damage::Restored
            }
        };
        self.schedule.at(at, Action::Crash(node, damage, down));
    }

    fn slowness(&mut self, at: Timestamp) {
        let node = self.node();
        let others: Vec<usize> = (0..self.options.places()).filter(|other| *other != node).collect();
        let lasts = self.span(500, 15_000);
        match self.chance.below(4) {
            0 => self.schedule.at(at, Action::Pause(node, lasts)),
            1 => {
                let factor = self.chance.between(10, 200) as u32;
                self.schedule.at(at, Action::SlowDisk(node, factor));
                self.schedule.at(at.after(lasts), Action::SlowDisk(node, 1));
            }
            _ => {
                let loss = self.chance.below(300) as u16;
                let delay = self.span(0, 400);
                let links = between(&[node], &others);
                self.schedule.at(at, Action::Degrade(links.clone(), loss, delay));
                self.schedule.at(at.after(lasts), Action::Heal(links));
            }
        }
    }

    /// The jumps of a clock add up to 30 s at most.
    fn clock(&mut self, at: Timestamp) {
        let node = self.node();
        let by = self.chance.between(0, 40_000) as i64 - 20_000;
        if let Some(sum) = self.jumps.get_mut(node)
            && (*sum + by).abs() <= 30_000
        {
            *sum += by;
            self.schedule.at(at, Action::Jump(node, by));
        }
    }

    fn disk(&mut self, at: Timestamp) {
        let node = self.node();
        let lasts = self.span(500, 10_000);
        match self.chance.below(3) {
            0 => {
                self.schedule.at(at, Action::Reserve(node, true));
                self.schedule.at(at.after(lasts), Action::Reserve(node, false));
            }
            1 if self.options.config.durability == Durability::Fsync => {
                let is_write = self.chance.happens(500);
                self.schedule.at(at, Action::FailDisk(node, is_write));
            }
            _ => {
                let usual = self.options.disk;
                let failed_reads_per_mille = self.chance.between(1, 30) as u16;
                self.schedule.at(at, Action::Disks(MemoryFaults { failed_reads_per_mille, ..usual }));
                self.schedule.at(at.after(lasts), Action::Disks(usual));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> Vec<(Timestamp, Action)> {
        draw(&WorldOptions::calm(seed), FaultMix::ALL, Timestamp(300_000_000)).sorted()
    }

    #[test]
    fn only_one_node_ever_loses_what_it_had_synced() {
        for seed in 0..20 {
            let mut damaged: Vec<usize> = drawn(seed)
                .into_iter()
                .filter_map(|(_, action)| match action {
                    Action::Crash(node, Damage::Wiped | Damage::SyncedTail(_) | Damage::Restored, _) => Some(node),
                    _ => None,
                })
                .collect();
            damaged.dedup();
            assert_eq!(damaged.len(), 1, "seed {seed}");
        }
    }

    #[test]
    fn a_schedule_is_a_function_of_the_seed() {
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
    }
}
