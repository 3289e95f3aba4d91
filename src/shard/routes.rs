//! Who handles what: every input, message, timer and local message on its way to the part that knows.
//!
//! Decides nothing; each arm hands over the powers that its part needs, and no others: the coordinator gets the outbox,
//! the replica and what else touches rows gets the turn.

use super::*;

/// Splits a shard into what its parts may look at and the parts themselves.
macro_rules! with_env {
    ($shard:ident, $now:expr, |$env:ident| $body:expr) => {{
        let $env = Env {
            now: $now,
            scope: $shard.scope,
            config: &$shard.config,
            me: $shard.identity.node,
            epoch: $shard.identity.epoch,
            ring: &$shard.ring,
            liveness: &$shard.liveness,
            is_below_reserve: $shard.is_below_reserve,
            clock_ahead_ms: $shard.clock_ahead_ms,
        };
        $body
    }};
}
pub(super) use with_env;

impl Shard {
    pub(super) fn on_client(&mut self, now: Now, connection: ConnectionId, request_id: RequestId, request: Request) {
        with_env!(self, now, |env| {
            let standing = Standing::of(&env, &self.turn, env.ring.partition_of(&request.key));
            self.coordinator.on_client(&env, &mut self.turn.out, standing, (connection, request_id), request);
        });
    }

    pub(super) fn on_frame(&mut self, now: Now, from: NodeId, frame: Frame) {
        if frame.layout != self.ring.epoch() {
            self.turn.out.observe(Observation::ForeignLayout { from, number: frame.layout.number });
        }
        self.replica.clock.observe(frame.clock, now.wall, self.config.clock_ahead_max);
        for addressed in frame.messages {
            self.on_message(now, from, frame.epoch, addressed);
            self.drain_local(now);
        }
    }

    fn on_message(&mut self, now: Now, from: NodeId, epoch: crate::causality::Epoch, addressed: Addressed) {
        let Addressed { partition, message } = addressed;
        if from != self.identity.node && message.is_answer() && self.liveness.on_answer(from, now.mono) {
            self.on_reachable(now, from);
        }
        let me = self.identity.epoch;
        with_env!(self, now, |env| match message {
            PeerMessage::Ping(ping) => {
                self.liveness.on_clock(from, ping.wall, now);
                self.turn.out.send(from, partition, PeerMessage::Pong(Ping { wall: now.wall }));
            }
            PeerMessage::Pong(pong) => self.liveness.on_clock(from, pong.wall, now),
            PeerMessage::Forward(forward) => {
                let standing = Standing::of(&env, &self.turn, env.ring.partition_of(&forward.request.key));
                let origin = Origin::Peer { node: from, epoch, op: forward.op };
                self.coordinator.on_forward(&env, &mut self.turn.out, standing, origin, forward);
            }
            PeerMessage::Forwarded(answer) if answer.epoch == me => {
                self.coordinator.on_forwarded(&env, &mut self.turn.out, answer);
            }
            PeerMessage::Replicate(replicate) => {
                let crate::message::peer::Replicate { op, row, version, delta, owed } = replicate;
                let body = TaskBody::Replicate { from, epoch, op, version, delta, owed };
                self.replica.on_task(&env, &mut self.turn, Task { row, body });
            }
            PeerMessage::Replicated(answer) if answer.epoch == me => {
                if !self.coordinator.on_replicated(&env, &mut self.turn.out, from, &answer) {
                    self.ledger.on_replicated(&mut self.turn.out, from, &answer);
                }
            }
            PeerMessage::Read(read) => {
                let body = TaskBody::Read { from, epoch, op: read.op };
                self.replica.on_task(&env, &mut self.turn, Task { row: read.row, body });
            }
            PeerMessage::ReadAnswer(answer) if answer.epoch == me => {
                self.coordinator.on_read_answer(&env, &mut self.turn.out, from, answer);
            }
            PeerMessage::Deliver(deliver) => {
                for owed in deliver.rows {
                    let source = MergeSource::Delivery { from, epoch, op: deliver.op, version: owed.version };
                    let body = TaskBody::Merge { state: owed.state, source };
                    self.replica.on_task(&env, &mut self.turn, Task { row: owed.row, body });
                }
            }
            PeerMessage::Delivered(answer) if answer.epoch == me => {
                self.delivery.on_delivered(&env, &mut self.turn.out, from, answer);
            }
            PeerMessage::NewbornQuery(query) => {
                Newborns::on_query(&env, &mut self.turn, from, epoch, partition, query);
            }
            PeerMessage::NewbornAnswer(answer) if answer.epoch == me => {
                let finding = self.newborns.on_answer(&env, &self.turn, (from, epoch), partition, answer);
                self.on_findings(now, finding);
            }
            PeerMessage::ExchangeOffer(offer) => {
                let standing = Standing::of(&env, &self.turn, partition);
                self.next_exchange += 1;
                let op = OpId(self.next_exchange);
                self.responders.on_offer(&env, &mut self.turn.out, op, standing, (from, epoch), partition, offer);
            }
            PeerMessage::ExchangeAnswer(answer) if answer.epoch == me => {
                let ended = self.exchanges.on_answer(&env, &mut self.turn.out, answer);
                self.on_exchange_ends(now, ended);
            }
            PeerMessage::ExchangePush(push) => {
                self.next_exchange += 1;
                let op = OpId(self.next_exchange);
                self.responders.on_push(&mut self.turn.out, op, (from, epoch), partition, push);
            }
            PeerMessage::ExchangePushed(answer) if answer.epoch == me => {
                let ended = self.exchanges.on_pushed(&env, &mut self.turn.out, answer);
                self.on_exchange_ends(now, ended);
            }
            // Answers to a question of an earlier start: whoever asked is gone.
            PeerMessage::Forwarded(_)
            | PeerMessage::Replicated(_)
            | PeerMessage::ReadAnswer(_)
            | PeerMessage::Delivered(_)
            | PeerMessage::NewbornAnswer(_)
            | PeerMessage::ExchangeAnswer(_)
            | PeerMessage::ExchangePushed(_) => {}
        });
    }

    /// What the parts told each other, until they are silent.
    pub(super) fn drain_local(&mut self, now: Now) {
        while let Some(local) = self.turn.out.next_local() {
            match local {
                Local::Peer(addressed) => {
                    self.on_message(now, self.identity.node, self.identity.epoch, addressed);
                }
                Local::Task(task) => {
                    with_env!(self, now, |env| self.replica.on_task(&env, &mut self.turn, task));
                }
                Local::Minted(minted) => {
                    self.coordinator.on_minted(&mut self.turn.out, minted);
                }
                Local::Missing(missing) => {
                    with_env!(self, now, |env| self.ledger.on_missing(&env, &mut self.turn.out, missing));
                }
                Local::Merged(Merged { op, outcome }) => {
                    if self.exchanges.has(op) {
                        let ended = with_env!(self, now, |env| {
                            self.exchanges.on_merged(&env, &mut self.turn.out, op, outcome)
                        });
                        self.on_exchange_ends(now, ended);
                    } else {
                        self.responders.on_merged(&mut self.turn.out, op, outcome);
                    }
                }
                Local::Start { connection, request_id, request, deadline } => {
                    with_env!(self, now, |env| {
                        let standing = Standing::of(&env, &self.turn, env.ring.partition_of(&request.key));
                        let client = (connection, request_id);
                        self.coordinator.on_start(&env, &mut self.turn.out, standing, client, request, deadline);
                    });
                }
            }
        }
    }

    pub(super) fn on_job(&mut self, now: Now, result: JobResult) {
        with_env!(self, now, |env| match result {
            JobResult::Fetched { row, outcome } => {
                self.replica.on_fetched(&env, &mut self.turn, row, outcome);
            }
            JobResult::Rows { op, outcome } => {
                if self.exchanges.has(op) {
                    let ended = self.exchanges.on_page(&env, &mut self.turn.out, op, outcome);
                    self.on_exchange_ends(now, ended);
                } else {
                    self.responders.on_page(&mut self.turn.out, op, outcome);
                }
            }
            JobResult::Debts { op, outcome } => self.delivery.on_page(&env, &mut self.turn.out, op, outcome),
        });
    }

    pub(super) fn on_timer(&mut self, now: Now, timer: TimerKey) {
        match timer {
            TimerKey::Liveness => self.on_liveness_timer(now),
            TimerKey::OpDeadline(op) => {
                with_env!(self, now, |env| self.coordinator.on_deadline(&env, &mut self.turn.out, op));
            }
            TimerKey::OpWiden(op) => {
                with_env!(self, now, |env| self.coordinator.on_widen(&env, &mut self.turn.out, op));
            }
            TimerKey::Ledger => with_env!(self, now, |env| self.ledger.on_timer(&env, &mut self.turn.out)),
            TimerKey::Delivery(node) => {
                let owed = self.turn.owed_to(node);
                with_env!(self, now, |env| self.delivery.on_timer(&env, &mut self.turn.out, node, owed));
            }
            TimerKey::ExchangeSchedule => {
                self.begin_exchanges(now);
                self.turn.out.set_timer(TimerKey::ExchangeSchedule, now.mono.after(self.config.ping_interval));
            }
            TimerKey::ExchangeTimeout(op) => {
                let ended = self.exchanges.on_timeout(&mut self.turn.out, op);
                self.on_exchange_ends(now, ended);
            }
            TimerKey::Newborn => {
                let findings = with_env!(self, now, |env| self.newborns.on_timer(&env, &mut self.turn));
                self.on_findings(now, findings);
            }
        }
    }

    /// Pings the silent, suspects those that stay silent, looks at the own clock, and delivers what is owed.
    fn on_liveness_timer(&mut self, now: Now) {
        let partition = PartitionId(self.scope.index as u16);
        for node in self.liveness.silent(now.mono, self.config.ping_interval) {
            self.turn.out.send(node, partition, PeerMessage::Ping(Ping { wall: now.wall }));
        }
        for node in self.liveness.suspect(now.mono, self.config.suspect_after) {
            self.on_lost(now, node);
        }
        self.check_clock();
        let owing: Vec<NodeId> = self.liveness.peers().filter(|node| self.turn.owed_to(*node) > 0).collect();
        for node in owing {
            with_env!(self, now, |env| self.delivery.kick(&env, &mut self.turn.out, node));
        }
        self.turn.out.set_timer(TimerKey::Liveness, now.mono.after(self.config.ping_interval / 2));
    }

    fn check_clock(&mut self) {
        let ahead = self.liveness.clock_ahead();
        let is_ahead = ahead > i64::try_from(micros(self.config.clock_ahead_max)).unwrap_or(i64::MAX);
        let ahead_ms = (ahead / 1000).max(0) as u64;
        if is_ahead != self.clock_ahead_ms.is_some() {
            self.turn.out.observe(Observation::ClockAhead { ahead_ms, is_refusing: is_ahead });
        }
        self.clock_ahead_ms = is_ahead.then_some(ahead_ms);
    }

    fn on_reachable(&mut self, now: Now, node: NodeId) {
        self.turn.out.observe(Observation::PeerReachable { node });
        with_env!(self, now, |env| {
            self.schedule.on_reachable(&env, node);
            self.delivery.on_reachable(&env, &mut self.turn.out, node);
        });
    }

    pub(super) fn on_lost(&mut self, now: Now, node: NodeId) {
        self.turn.out.observe(Observation::PeerSuspected { node });
        with_env!(self, now, |env| {
            self.coordinator.on_lost(&env, &mut self.turn.out, node);
            self.ledger.on_lost(&mut self.turn.out, node);
            self.delivery.on_lost(&env, &mut self.turn.out, node);
        });
        let ended = self.exchanges.on_lost(&mut self.turn.out, node);
        self.on_exchange_ends(now, ended);
    }

    pub(super) fn on_not_sent(&mut self, now: Now, node: NodeId, frame: &Frame) {
        with_env!(self, now, |env| self.coordinator.on_not_sent(&env, &mut self.turn.out, node, frame));
    }

    /// Begins the exchanges that are due, as many as may run at once. The smaller id begins, or the newborn.
    fn begin_exchanges(&mut self, now: Now) {
        let room = self.config.exchanges_max.saturating_sub(self.exchanges.len());
        with_env!(self, now, |env| {
            let is_newborn = |partition| !self.turn.memory(partition).is_established;
            let may_begin = |partition, peer| is_newborn(partition) || (env.config.exchange && env.me < peer);
            for (partition, peer) in self.schedule.take_due(&env, room, may_begin) {
                self.next_exchange += 1;
                let pushes = self.turn.memory(partition).is_established;
                let op = OpId(self.next_exchange);
                self.exchanges.start(&env, &mut self.turn.out, op, peer, partition, pushes);
            }
        });
    }

    fn on_exchange_ends(&mut self, now: Now, ended: impl IntoIterator<Item = Outcome>) {
        let mut any = false;
        for Outcome { partition, peer, is_complete, received, sent } in ended {
            any = true;
            with_env!(self, now, |env| self.schedule.on_end(&env, partition, peer, is_complete));
            if is_complete {
                self.exchanges_done += 1;
                self.exchanged_rows += received + sent;
                self.turn.out.observe(Observation::ExchangeDone { partition, peer, received, sent });
                if !self.turn.memory(partition).is_established {
                    self.establish(partition, false);
                }
            }
        }
        if any {
            self.begin_exchanges(now);
        }
    }

    fn on_findings(&mut self, now: Now, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            match finding {
                Finding::Founded(partition) => self.establish(partition, true),
                Finding::Teacher(partition, node) => {
                    with_env!(self, now, |env| self.schedule.hurry(&env, partition, node));
                }
            }
        }
    }

    fn establish(&mut self, partition: PartitionId, is_founding: bool) {
        self.turn.establish(partition);
        self.turn.out.observe(Observation::Established { partition, is_founding });
    }
}
