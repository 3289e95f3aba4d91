//! Who handles what: every input, message and local message on its way to the part that knows. Timers stand in
//! [`timers`](super::timers).
//!
//! Decides nothing; each arm hands over the powers that its part needs, and no others: the coordinator gets the outbox,
//! the replica and what else touches rows gets the turn.

use super::*;
use crate::antientropy::Built;
use crate::causality::Epoch;
use crate::mutation::{self, Mutation};
use crate::replica::marks;

impl Shard {
    pub(super) fn on_client(&mut self, now: Now, connection: ConnectionId, request_id: RequestId, request: Request) {
        let env = self.site.env(now);
        let standing = Standing::of(&env, &self.turn, env.ring.partition_of(&request.key));
        self.coordinator.on_client(&env, &mut self.turn.out, standing, (connection, request_id), request);
    }

    pub(super) fn on_frame(&mut self, now: Now, from: NodeId, frame: Frame) {
        if !self.hears(from, frame.layout) {
            self.on_layout_heard(now, from, frame.layout);
            for addressed in frame.messages {
                if let PeerMessage::Layout(message) = addressed.message
                    && message.may_come_from_outside()
                {
                    self.on_layout_message(now, (from, frame.epoch), *message);
                }
            }
            return;
        }
        if frame.layout != self.site.ring.epoch() {
            self.on_layout_heard(now, from, frame.layout);
            self.turn.out.observe(Observation::ForeignLayout { from, number: frame.layout.number });
        }
        self.site.liveness.on_heard(from);
        if self.site.liveness.on_epoch(from, frame.epoch) {
            self.stability.on_other_start(&self.site.env(now), from);
        }
        self.site.claims.on_frame(from, frame.epoch, now.mono);
        self.replica.clock.observe(frame.clock, now.wall, self.site.config.clock_ahead_max);
        for addressed in frame.messages {
            self.on_message(now, from, frame.epoch, addressed);
            self.drain_local(now);
        }
    }

    fn on_message(&mut self, now: Now, from: NodeId, epoch: Epoch, addressed: Addressed) {
        let Addressed { partition, layout, message } = addressed;
        let is_peer = from != self.site.identity.node;
        if is_peer && message.is_answer() && self.site.liveness.on_answer(from, now.mono) {
            self.on_reachable(now, from);
        }
        if message.asked_by().is_some_and(|asker| asker != self.site.identity.epoch) {
            // Whoever asked is gone.
            return;
        }
        // A proof of loss rests on what this node said to others as an owner beside them, under this layout.
        let is_current = layout == self.site.ring.epoch().number;
        if let Some(marks) = message.marks().filter(|_| is_peer && is_current) {
            self.on_marks(now, partition, from, marks);
        }
        let env = self.site.env(now);
        let Shard { turn, coordinator, replica, ledger, delivery, stability, next_exchange, .. } = self;
        match message {
            PeerMessage::Ping(ping) => {
                turn.out.send(from, partition, PeerMessage::Pong(Ping { wall: now.wall }));
                self.site.liveness.on_clock(from, ping.wall, now);
            }
            PeerMessage::Pong(pong) => self.site.liveness.on_clock(from, pong.wall, now),
            PeerMessage::Challenge(Challenge { round, rival }) => {
                let change = self.site.claims.on_challenge((from, epoch), round, rival, now.mono);
                turn.out.send(from, partition, PeerMessage::Claim(Claim { round, epoch }));
                self.on_claim_changes(change);
            }
            PeerMessage::Claim(claim) => self.site.claims.on_claim(from, epoch, claim.round, now.mono),
            PeerMessage::Forward(forward) => {
                let standing = Standing::of(&env, turn, env.ring.partition_of(&forward.request.key));
                coordinator.on_forward(&env, &mut turn.out, standing, (from, epoch), forward);
            }
            PeerMessage::Forwarded(answer) => coordinator.on_forwarded(&env, &mut turn.out, from, answer),
            PeerMessage::Replicate(Replicate { op, parts, owed, only_removes }) => {
                let Some(row) = parts.first().map(|part| part.row.main_row()) else { return };
                let body = TaskBody::Replicate { from, epoch, op, parts, owed, only_removes, layout };
                replica.on_task(&env, turn, Task { row, body });
            }
            PeerMessage::Replicated(answer) => {
                if !coordinator.on_replicated(&env, &mut turn.out, from, &answer) {
                    ledger.on_replicated(&mut turn.out, from, &answer);
                }
            }
            PeerMessage::Read(Read { op, row, beside }) => {
                let asker = Asker::Coordinator { from, epoch, op };
                replica.on_task(&env, turn, Task { row, body: TaskBody::Read { asker, beside } });
            }
            PeerMessage::ReadAnswer(answer) => coordinator.on_read_answer(&env, &mut turn.out, from, answer),
            PeerMessage::Deliver(deliver) => {
                let is_vouched = deliver.marks.is_some_and(|marks| {
                    let is_level = marks::is_level(turn, partition, &marks);
                    let is_known = marks::is_known(&env, turn, from, &marks);
                    if !is_known && is_peer {
                        stability.ask_again(&env, turn, partition, from);
                    }
                    is_known && is_level && env.ring.is_owner(partition, from)
                });
                for OwedRow { row, version, state } in deliver.rows {
                    let source = MergeSource::Delivery { from, epoch, op: deliver.op, version, is_vouched };
                    replica.on_task(&env, turn, Task { row, body: TaskBody::Merge { state, source } });
                }
            }
            PeerMessage::Delivered(answer) => {
                if let Some(frozen) = answer.first_frozen()
                    && Standing::of(&env, turn, partition_of(&env, frozen)) == Standing::Fallback
                {
                    // A fallback holds nothing of what it has sealed: perhaps it has lost its memory.
                    stability.ask_again(&env, turn, partition_of(&env, frozen), from);
                }
                let had_sealed = |row: &RowKey| stability.had_sealed(partition_of(&env, row));
                delivery.on_delivered(&env, &mut turn.out, from, answer, had_sealed);
            }
            PeerMessage::NewbornQuery(query) => {
                if is_peer {
                    if let Some(council) = &mut self.council {
                        council.on_newborn(env.ring, turn, partition, from);
                    }
                    Newborns::on_query(&env, turn, (from, epoch), partition, query);
                }
                self.on_newborn(now, from, query);
            }
            PeerMessage::NewbornAnswer(answer) => {
                let finding = self.newborns.on_answer(&env, turn, (from, epoch), partition, answer);
                self.on_findings(now, finding);
            }
            PeerMessage::ExchangeOffer(offer) => {
                let op = next_op(next_exchange);
                let standing = Standing::of(&env, turn, partition);
                let asker = ((from, epoch), partition);
                if !marks::is_known(&env, turn, from, &offer.marks) {
                    stability.ask_again(&env, turn, partition, from);
                }
                self.responders.on_offer(&env, turn, op, standing, asker, offer);
            }
            PeerMessage::ExchangeAnswer(answer) => {
                if let Ok(findings) = &answer.outcome
                    && !marks::is_known(&env, turn, from, &findings.marks)
                {
                    stability.ask_again(&env, turn, partition, from);
                }
                let ended = self.exchanges.on_answer(&env, turn, ((from, partition), layout), answer);
                self.on_exchange_ends(now, ended);
            }
            PeerMessage::ExchangePush(push) => {
                let op = next_op(next_exchange);
                self.responders.on_push(&env, turn, op, ((from, epoch), partition), push);
            }
            PeerMessage::ExchangePushed(answer) => {
                let ended = self.exchanges.on_pushed(&env, turn, (from, partition), answer);
                self.on_exchange_ends(now, ended);
            }
            PeerMessage::ExchangeDone(done) => {
                if done.to == self.site.identity.epoch {
                    let (rows, is_current) = (done.rows, done.layout == env.ring.epoch().number);
                    if let Some(began) = self.site.exchanged.on_done(now, partition, from, done) {
                        self.compared.note(partition, from, began, rows == Some(0));
                        self.turn.prove_repair(partition, from, began);
                    }
                    // Who is loaded has credit of what it began itself alone.
                    if is_current && self.turn.memory(partition).is_established {
                        self.on_credit(now, partition, from, None);
                    }
                }
            }
            PeerMessage::Repair(repair) => {
                for (row, state) in repair.rows {
                    let body = TaskBody::Merge { state, source: MergeSource::Repair { from } };
                    replica.on_task(&env, turn, Task { row, body });
                }
            }
            PeerMessage::TreeOffer(offer) => {
                if !marks::is_known(&env, turn, from, &offer.marks) {
                    stability.ask_again(&env, turn, partition, from);
                }
                let standing = Standing::of(&env, turn, partition);
                answer_tree(&env, turn, standing, ((from, epoch), partition), offer);
            }
            PeerMessage::Layout(message) => self.on_layout_message(now, (from, epoch), *message),
            PeerMessage::TreeAnswer(answer) => {
                if let Ok(findings) = &answer.outcome
                    && !marks::is_known(&env, turn, from, &findings.marks)
                {
                    stability.ask_again(&env, turn, partition, from);
                }
                let walked = self.walks.on_answer(&env, turn, ((from, partition), layout), answer);
                self.on_walked(now, walked);
            }
            PeerMessage::StabilityQuery(query) => {
                let about = (partition, layout);
                stability.on_query(&env, turn, (from, epoch), about, query, || next_op(next_exchange));
            }
            PeerMessage::StabilityAnswer(answer) => {
                let about = (partition, layout);
                let hurries = stability.on_answer(&env, turn, from, about, *answer, || next_op(next_exchange));
                self.on_hurries(now, hurries);
            }
        }
    }

    /// An owner told how far a partition is settled there.
    pub(super) fn on_marks(&mut self, now: Now, partition: PartitionId, from: NodeId, marks: Marks) {
        let env = self.site.env(now);
        if self.stability.on_marks(&env, &mut self.turn, partition, from, marks) {
            // They took the own rows for an owner's.
            let mut ended = self.exchanges.abandon(&mut self.turn.out, partition);
            ended.extend(self.walks.abandon(&mut self.turn.out, partition));
            self.on_exchange_ends(now, ended);
        }
        let hurry = self.stability.follow_while_moving(&self.site.env(now), &self.turn, (partition, from), marks);
        self.on_hurries(now, hurry.into_iter().collect());
    }

    /// What the parts told each other, until they are silent.
    pub(super) fn drain_local(&mut self, now: Now) {
        while let Some(local) = self.turn.out.next_local() {
            match local {
                Local::Peer(addressed) => {
                    let Identity { node, epoch, .. } = self.site.identity;
                    self.on_message(now, node, epoch, addressed);
                }
                Local::Task(task) => self.replica.on_task(&self.site.env(now), &mut self.turn, task),
                Local::Minted(minted) => {
                    self.coordinator.on_minted(&self.site.env(now), &mut self.turn.out, minted);
                }
                Local::Missing(missing) => {
                    self.ledger.on_missing(&self.site.env(now), &mut self.turn.out, missing);
                }
                Local::Merged(Merged { op, outcome }) if self.exchanges.has(op) => {
                    let ended = self.exchanges.on_merged(&self.site.env(now), &mut self.turn, op, outcome);
                    self.on_exchange_ends(now, ended);
                }
                Local::Merged(Merged { op, outcome }) => {
                    self.responders.on_merged(&mut self.turn.out, op, outcome);
                }
                Local::Answered { op, response } => {
                    self.coordinator.on_own_answer(&self.site.env(now), &mut self.turn.out, op, response);
                }
                Local::Surveyed(surveyed) => {
                    let Shard { site, turn, stability, next_exchange, .. } = self;
                    let hurries = stability.on_surveyed(&site.env(now), turn, surveyed, || next_op(next_exchange));
                    self.on_hurries(now, hurries);
                }
                Local::Retargeted { op, is_done } => {
                    if self.retargets.on_retargeted(&self.site.env(now), &mut self.turn, op, is_done) {
                        self.delivery.begin_anew(&mut self.turn.out);
                    }
                }
                Local::Dropped(partition) => self.on_dropped(now, partition),
                Local::Settled { op, is_done } => {
                    let Shard { site, turn, stability, next_exchange, .. } = self;
                    stability.on_settled(&site.env(now), turn, op, is_done, || next_op(next_exchange));
                }
                Local::Start(start) => {
                    let env = self.site.env(now);
                    let standing = Standing::of(&env, &self.turn, env.ring.partition_of(&start.request.key));
                    self.coordinator.on_start(&env, &mut self.turn.out, standing, start);
                }
            }
        }
    }

    pub(super) fn on_job(&mut self, now: Now, result: JobResult) {
        if let Some(error) = result.error() {
            self.on_store_error(error);
        }
        let env = self.site.env(now);
        match result {
            JobResult::Fetched { row, outcome } => {
                self.replica.on_fetched(&env, &mut self.turn, row, outcome);
            }
            JobResult::Rows { op, outcome } if self.exchanges.has(op) => {
                let ended = self.exchanges.on_page(&env, &mut self.turn, op, outcome);
                self.on_exchange_ends(now, ended);
            }
            JobResult::Rows { op, outcome } if self.stability.has(op) => {
                let Shard { turn, stability, next_exchange, .. } = self;
                stability.on_page(&env, turn, op, outcome, || next_op(next_exchange));
            }
            JobResult::Rows { op, outcome } if self.transfer.outgoing.has(op) => {
                self.on_outgoing_page(now, op, outcome);
            }
            JobResult::Rows { op, outcome } if self.turn.trees.has(op) => {
                let Shard { turn, schedule, next_exchange, .. } = self;
                let built = turn.trees.on_page(&env, &mut turn.out, op, outcome);
                if let Some(Built { partition, differs }) = built {
                    turn.out.observe(Observation::TreeBuilt { partition, differs });
                    if differs && !mutation::is_off(Mutation::LostRowsCached) {
                        turn.doubt_loaded(partition);
                    }
                    turn.trees.begin(&env, &mut turn.out, || next_op(next_exchange));
                    schedule.wake(&env, partition);
                }
            }
            JobResult::Rows { op, outcome } => self.responders.on_page(&env, &mut self.turn, op, outcome),
            JobResult::Family { op, outcome } => {
                self.replica.on_side_rows(&env, &mut self.turn, op, outcome);
            }
            JobResult::Debts { op, outcome } if self.retargets.has(op) => {
                if self.retargets.on_page(&env, &mut self.turn, op, outcome) {
                    self.delivery.begin_anew(&mut self.turn.out);
                }
            }
            JobResult::Debts { op, outcome } => {
                self.delivery.on_page(&env, &mut self.turn, op, outcome);
            }
        }
    }

    fn on_reachable(&mut self, now: Now, node: NodeId) {
        let env = self.site.env(now);
        self.turn.out.observe(Observation::PeerReachable { node });
        self.stability.greet(&env, &mut self.turn, node);
        self.schedule.on_reachable(&env, node);
        self.delivery.on_reachable(&env, &mut self.turn.out, node);
    }

    pub(super) fn on_lost(&mut self, now: Now, node: NodeId) {
        let env = self.site.env(now);
        let out = &mut self.turn.out;
        out.observe(Observation::PeerSuspected { node });
        self.coordinator.on_lost(&env, out, node);
        self.ledger.on_lost(out, node);
        self.delivery.on_lost(&env, out, node);
        let mut ended = self.exchanges.on_lost(out, node);
        ended.extend(self.walks.on_lost(out, node));
        self.on_exchange_ends(now, ended);
    }

    pub(super) fn on_not_sent(&mut self, now: Now, node: NodeId, frame: &Frame) {
        self.coordinator.on_not_sent(&self.site.env(now), &mut self.turn.out, node, frame);
    }

    /// Exchanges that are needed at once.
    fn on_hurries(&mut self, now: Now, hurries: Vec<Hurry>) {
        for Hurry { partition, node } in &hurries {
            let env = self.site.env(now);
            self.schedule.hurry(&env, *partition, *node);
            // Who is first to be learned from may be another one, now that this one has told of itself.
            self.schedule.wake(&env, *partition);
        }
        if !hurries.is_empty() {
            self.begin_exchanges(now);
        }
    }

    pub(super) fn on_findings(&mut self, now: Now, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            match finding {
                Finding::Founded(partition) => self.establish(partition, true),
                Finding::Teacher(partition, node) => self.schedule.hurry(&self.site.env(now), partition, node),
            }
        }
    }
}

fn partition_of(env: &Env<'_>, row: &RowKey) -> PartitionId {
    row.partition(env.ring.layout().partitions)
}

/// A fresh dialogue of an exchange, begun here or there.
pub(super) fn next_op(last: &mut u64) -> OpId {
    *last += 1;
    OpId(*last)
}
