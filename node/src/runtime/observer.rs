//! The observer: facts that shards report become counters and log lines.
//!
//! Facts about single rows are `debug` (`trace` for dots): there are as many as writes. Facts about peers and partitions
//! are `info`. Alarms are `warn`, and conflicts `info`, at most one line per kind and second; a line says how many were left out before it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use starling::shard::Observation;
use tracing::{debug, error, info, trace, warn};

use super::counters::Counters;

/// Alarms of one kind are logged at most this often.
const ALARM_PAUSE: Duration = Duration::from_secs(1);

/// One per shard thread.
pub struct Observer {
    shard: usize,
    counters: Arc<Counters>,
    amnesia: Alarm,
    malformed: Alarm,
    needs_repair: Alarm,
    foreign_layout: Alarm,
    conflict: Alarm,
    memory_lost: Alarm,
    hint_lost: Alarm,
}

/// Decides which alarms of a kind are logged.
#[derive(Default)]
struct Alarm {
    last: Option<Instant>,
    left_out: u64,
}

impl Alarm {
    /// How many were left out since the last line, if this one is to be logged.
    fn ring(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < ALARM_PAUSE) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Observer {
    /// For one shard.
    pub fn new(shard: usize, counters: Arc<Counters>) -> Observer {
        Observer {
            shard,
            counters,
            amnesia: Alarm::default(),
            malformed: Alarm::default(),
            needs_repair: Alarm::default(),
            foreign_layout: Alarm::default(),
            conflict: Alarm::default(),
            memory_lost: Alarm::default(),
            hint_lost: Alarm::default(),
        }
    }

    /// Counts and logs a fact.
    pub fn observe(&mut self, fact: &Observation) {
        let shard = self.shard;
        match fact {
            Observation::Minted { row, dot, delta_hash } => {
                self.counters.minted.add(1);
                trace!(shard, key = %row, actor = %dot.actor, event = dot.event, delta_hash, "minted a dot");
            }
            Observation::DebtRecorded { owner, row, version } => {
                self.counters.debts_recorded.add(1);
                debug!(shard, peer = %owner, key = %row, version = version.0, "a row is owed");
            }
            Observation::DebtStruck { owner, row } => {
                self.counters.debts_struck.add(1);
                debug!(shard, peer = %owner, key = %row, "an owner has what was owed");
            }
            Observation::HintDropped { row } => {
                self.counters.hints_dropped.add(1);
                debug!(shard, key = %row, "a hint reached all its owners");
            }
            Observation::Conflict { row } => {
                self.counters.conflicts.add(1);
                if let Some(left_out) = self.conflict.ring(Instant::now()) {
                    info!(shard, key = %row, left_out, "a split or a slow replica left what does not fit together (two types, \
                        a text beside increments, or increments that a put or a delete did not see): `starling status` lists it, \
                        del covers all of it");
                }
            }
            Observation::ExchangeDone { partition, peer, received, sent } => {
                self.counters.exchanges.add(1);
                debug!(shard, %partition, %peer, received, sent, "exchange done");
            }
            Observation::TreeBuilt { partition, differs: false } => debug!(shard, %partition, "tree built"),
            Observation::TreeBuilt { partition, differs: true } => error!(
                shard, %partition,
                "rows on disk are gone or changed that this node did not change; the other owners' copies repair them. Look \
                 at the disk"
            ),
            Observation::Damaged { detail } => error!(
                shard,
                detail,
                "the data directory is damaged: what cannot be read is read elsewhere, and the node begins anew without this                  directory as soon as every other owner answers. Look at the disk"
            ),
            Observation::PeerSuspected { node } => info!(shard, peer = %node, "peer does not answer"),
            Observation::PeerReachable { node } => info!(shard, peer = %node, "peer answers"),
            Observation::Established { partition, is_founding: true } => debug!(shard, %partition, "founded"),
            Observation::Established { partition, is_founding: false } => {
                debug!(shard, %partition, "data taken over from the other owners");
            }
            Observation::ClockAhead { ahead_ms, is_refusing: true } => {
                warn!(shard, ahead_ms, "the clock runs ahead of the peers: register writes are refused; correct it");
            }
            Observation::ClockAhead { ahead_ms, is_refusing: false } => {
                info!(shard, ahead_ms, "the clock agrees again")
            }
            Observation::TwoClaimants { node, is_contested: true } => {
                self.counters.two_claimants.add(1);
                warn!(shard, member = %node, "two live processes claim this member id: both refuse writes; end the one that \
                    runs on a copy of the bundle or of the data directory");
            }
            Observation::TwoClaimants { node, is_contested: false } => {
                info!(shard, member = %node, "one process claims this member id again")
            }
            Observation::Amnesia { row, actor, event, tenure } => {
                self.counters.amnesia.add(1);
                if let Some(left_out) = self.amnesia.ring(Instant::now()) {
                    let (key, tenure) = (row, tenure.0);
                    warn!(shard, %key, %actor, event, tenure, left_out, "an own write came back that this directory \
                        does not remember: it was copied or restored, or the disk lost what was synced");
                }
            }
            Observation::Malformed { row, detail } => {
                self.counters.malformed.add(1);
                if let Some(left_out) = self.malformed.ring(Instant::now()) {
                    warn!(shard, key = %row, detail, left_out, "a row could not be read");
                }
            }
            Observation::NeedsRepair { owner, partition } => {
                if let Some(left_out) = self.needs_repair.ring(Instant::now()) {
                    let peer = owner;
                    warn!(shard, %peer, %partition, left_out, "debts are at their bound; exchanges must close the rest");
                }
            }
            Observation::RepairProved { owner, partition } => {
                info!(shard, peer = %owner, %partition, "an exchange closed what no debt told of");
            }
            Observation::Sealed { partition, tick } => debug!(shard, %partition, tick = tick.0, "sealed"),
            Observation::Frozen { partition, tick } => debug!(shard, %partition, tick = tick.0, "frozen"),
            Observation::Compacted { partition, tick } => {
                self.counters.compactions.add(1);
                debug!(shard, %partition, tick = tick.0, "expired actors are summed up");
            }
            Observation::Folded { partition, tick } => {
                debug!(shard, %partition, tick = tick.0, "what was deleted is forgotten");
            }
            Observation::MemoryLost { partition, peer, theirs, own } => {
                self.counters.amnesia.add(1);
                if let Some(left_out) = self.memory_lost.ring(Instant::now()) {
                    warn!(shard, %partition, %peer, ?theirs, ?own, left_out, "this directory has forgotten what it once told \
                        its peers: it was replaced by an earlier copy, or the disk lost what was synced. Its data is taken \
                        over anew from the other owners, and what they have deleted and forgotten is given up; writes that \
                        only this node had acknowledged since the copy are lost");
                }
            }
            Observation::GivenUp { row } => {
                self.counters.given_up.add(1);
                debug!(shard, key = %row, "what the other owners have deleted and forgotten is given up");
            }
            Observation::HintLost { row, owner } => {
                self.counters.hints_lost.add(1);
                if let Some(left_out) = self.hint_lost.ring(Instant::now()) {
                    warn!(shard, key = %row, peer = %owner, left_out, "a hint is dropped: this node had sealed its ticks, so it \
                        was delivered before the directory was replaced by an earlier copy, or taken by this node alone \
                        since, and is lost");
                }
            }
            Observation::Repaired { row, from } => {
                self.counters.repaired.add(1);
                debug!(shard, peer = %from, key = %row, "a read found what this node lacked");
            }
            Observation::FrozenRefused { row, from } => {
                self.counters.frozen_refused.add(1);
                debug!(shard, peer = %from, key = %row, "a late message was refused");
            }
            Observation::PartitionSynced { partition, rows, bytes } => {
                info!(shard, %partition, rows, bytes, "has all that the owners of before had");
            }
            Observation::PartitionCleared { partition, rows, bytes, number } => {
                info!(shard, %partition, rows, bytes, number, "handed the partition over and holds nothing of it");
            }
            Observation::LayoutAdopted { number } => info!(shard, number, "acts by another layout"),
            Observation::LayoutDecided { number, phase } => info!(shard, number, %phase, "a layout was decided"),
            Observation::RivalLayout { from, number } => {
                error!(shard, peer = %from, number, "two layouts that cannot both have been decided are about; fence one side's nodes");
            }
            Observation::LayoutUnkept { detail } => error!(shard, detail, "a record of the layout was not written"),
            Observation::ForeignLayout { from, number } => {
                if let Some(left_out) = self.foreign_layout.ring(Instant::now()) {
                    warn!(shard, peer = %from, number, left_out, "a message of another layout");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_logged_once_a_second_and_says_what_it_left_out() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        assert_eq!(alarm.ring(start), Some(0));
        assert_eq!(alarm.ring(start + ALARM_PAUSE / 2), None);
        assert_eq!(alarm.ring(start + ALARM_PAUSE / 2), None);
        assert_eq!(alarm.ring(start + ALARM_PAUSE), Some(2));
    }
}
