//! What is done when time has passed: every timer on its way to the part that set it, and the shard's own rounds.

use super::routes::next_op;
use super::*;
use crate::message::peer::LayoutMessage;

/// While clients are busy, deliveries of debts are slowed down: a millisecond between pages for this many open requests.
const OPS_PER_PAUSE_MS: u32 = 16;

/// Longest pause between two pages of a delivery. Unit: ms.
const DELIVERY_PAUSE_MS_MAX: u32 = 500;

impl Shard {
    pub(super) fn on_timer(&mut self, now: Now, timer: TimerKey) {
        let env = self.site.env(now);
        let out = &mut self.turn.out;
        match timer {
            TimerKey::Liveness => self.on_liveness_timer(now),
            TimerKey::Waiting(connection, request_id) => self.coordinator.on_waited(out, connection, request_id),
            TimerKey::OpDeadline(op) => self.coordinator.on_deadline(&env, out, op),
            TimerKey::OpWiden(op) => self.coordinator.on_widen(&env, out, op),
            TimerKey::Ledger => self.ledger.on_timer(&env, out),
            TimerKey::Delivery(node) => {
                let owed = self.turn.owed_to(node);
                self.delivery.on_timer(&env, &mut self.turn.out, node, owed);
            }
            TimerKey::ExchangeSchedule => {
                out.set_timer(TimerKey::ExchangeSchedule, now.mono.after(env.config.ping_interval));
                let Shard { turn, next_exchange, .. } = self;
                turn.trees.begin(&env, &mut turn.out, || next_op(next_exchange));
                self.begin_moves(now);
            }
            TimerKey::Pace(op) if self.exchanges.has(op) => self.exchanges.on_paced(&env, &mut self.turn, op),
            TimerKey::Pace(op) => self.responders.on_paced(&mut self.turn, op),
            TimerKey::ExchangeTimeout(op) => {
                let ended = self.exchanges.on_timeout(out, op);
                self.on_exchange_ends(now, ended);
            }
            TimerKey::Walk(op) => {
                let walked = self.walks.on_timer(&env, &mut self.turn, op);
                self.on_walked(now, walked);
            }
            TimerKey::Stability => {
                let Shard { turn, stability, next_exchange, .. } = self;
                stability.on_timer(&env, turn, || next_op(next_exchange));
            }
            TimerKey::TreePage(op) => self.turn.trees.on_timer(&mut self.turn.out, op),
            TimerKey::ScanPage(op) => self.stability.on_scan_timer(&mut self.turn, op),
            TimerKey::Council | TimerKey::Proposal | TimerKey::Progress | TimerKey::Recovery => {
                let Some(council) = &mut self.council else { return };
                match timer {
                    TimerKey::Proposal => council.on_proposal_timer(&env, &mut self.turn),
                    TimerKey::Progress => council.answer_progress(&env, &mut self.turn),
                    TimerKey::Recovery => council.on_recovery_timer(&env, &mut self.turn),
                    _ => council.on_timer(&env, &mut self.turn),
                }
            }
            TimerKey::Newborn => {
                let findings = self.newborns.on_timer(&env, &mut self.turn);
                self.on_findings(now, findings);
            }
        }
    }

    /// Pings the silent, suspects those that stay silent, looks at the own clock, and delivers what is owed.
    fn on_liveness_timer(&mut self, now: Now) {
        let ping_interval = self.site.config.ping_interval;
        // Any partition of this shard will do: it reaches a shard of the peer that is alive or not like the others.
        let partition = PartitionId(self.site.scope.index as u16);
        for node in self.site.liveness.to_ping(now.mono, ping_interval) {
            self.turn.out.send(node, partition, PeerMessage::Ping(Ping { wall: now.wall }));
        }
        for node in self.site.liveness.suspect(now.mono, self.site.config.suspect_after) {
            for confidant in self.site.liveness.confidants() {
                let doubt = PeerMessage::Layout(Box::new(LayoutMessage::Doubt(node)));
                self.turn.out.send(confidant, partition, doubt);
            }
            self.on_lost(now, node);
        }
        self.challenge_claimants(now, partition);
        let open_ops = self.coordinator.open_ops() as u32;
        self.site.delivery_pause_ms = (open_ops / OPS_PER_PAUSE_MS).min(DELIVERY_PAUSE_MS_MAX);
        self.heal(now);
        if let Some(observation) = self.site.check_clock() {
            self.turn.out.observe(observation);
        }
        self.sweep_expired(now);
        self.retargets.begin(&self.site.env(now), &mut self.turn);
        let owing: Vec<NodeId> = self.site.liveness.peers().filter(|node| self.turn.owed_to(*node) > 0).collect();
        for node in owing {
            self.delivery.kick(&self.site.env(now), &mut self.turn.out, node);
        }
        self.turn.out.set_timer(TimerKey::Liveness, now.mono.after(ping_interval / 2));
    }

    /// Sweeps the keys whose deadline has passed and that are this node's to sweep.
    fn sweep_expired(&mut self, now: Now) {
        let env = self.site.env(now);
        for row in self.turn.deadlines().take_due(now.wall) {
            // An owner to come cannot mint yet.
            let readers = env.ring.readers(row.partition(env.ring.layout().partitions));
            let first = readers.iter().find(|owner| **owner == env.me || env.liveness.is_reachable(**owner));
            if first == Some(&env.me) {
                self.coordinator.sweep(&env, &mut self.turn.out, row.key());
            }
        }
    }

    /// Asks the starts of a member that more than one start speaks for, each on its own connection.
    fn challenge_claimants(&mut self, now: Now, partition: PartitionId) {
        let (questions, changes) = self.site.claims.on_timer(now.mono, self.site.config.suspect_after);
        for Question { node, start, round, rival } in questions {
            let challenge = PeerMessage::Challenge(Challenge { round, rival });
            self.turn.out.send_back(node, start, partition, challenge);
        }
        self.on_claim_changes(changes);
    }

    pub(super) fn on_claim_changes(&mut self, changes: impl IntoIterator<Item = Change>) {
        for Change { node, is_contested } in changes {
            self.turn.out.observe(Observation::TwoClaimants { node, is_contested });
        }
    }
}
