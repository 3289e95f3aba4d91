//! What a driver does: turns, writes, effects, syncs and jobs, with a crash between any two of them.

use std::time::Duration;

use bytes::Bytes;
use starling::config::Durability;
use starling::ids::{NodeId, Ticket};
use starling::limits;
use starling::message::client::{Answer, AnswerBody, Response};
use starling::message::codec;
use starling::message::peer::Frame;
use starling::shard::{Effect, Input};
use starling::storage::{Batch, Change, Store};
use starling::time::Timestamp;

use super::history::OpNumber;
use super::node::{CrashPoint, Damage, ShardSlot, Sync, turn_time};
use super::{Event, World};

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Turn { node, life, shard } => {
                let is_due =
                    self.lives(node, life) && self.slot(node, shard).and_then(|slot| slot.turn_at) == Some(self.now);
                if is_due {
                    self.on_turn_due(node, shard);
                }
            }
            Event::Arrive { from, to, frame } => self.on_arrival(from, to, &frame),
            Event::Unreachable { node, life, peer } => {
                let frames = self.network.take_not_sent(node, peer);
                if self.lives(node, life) {
                    self.on_unreachable(node, peer, &frames);
                }
            }
            Event::QueueFull { node, life, peer, frame } => {
                if self.lives(node, life) {
                    let peer = self.node(peer).id;
                    for (shard, frame) in self.decoded(&frame) {
                        self.answer_input(node, shard, Input::PeerQueueFull { node: peer, frame });
                    }
                }
            }
            Event::Synced { node, life, sync } => {
                if self.lives(node, life) {
                    self.on_synced(node, sync);
                }
            }
            Event::JobReads { node, life, shard, job } => {
                if self.lives(node, life) {
                    let result = job.run(&self.node(node).store);
                    let after = self.node_chance.exponential(Duration::from_micros(200));
                    self.queue.push(self.now.after(after), Event::JobEnds { node, life, shard, result });
                }
            }
            Event::JobEnds { node, life, shard, result } => {
                if self.lives(node, life) {
                    self.answer_input(node, shard, Input::JobDone(result));
                }
            }
            Event::Start { node } => self.start(node),
            Event::Operate { operation } => self.operate(operation),
        }
    }

    /// Gives a shard an input of the mailbox that is drained first.
    pub(super) fn answer_input(&mut self, node: usize, shard: usize, input: Input) {
        let now = self.now;
        if let Some(slot) = self.slot(node, shard) {
            slot.answers.push_back(input);
            self.schedule_turn(node, shard, now);
        }
    }

    /// Makes sure that a shard takes a turn at `at`, or as soon as it is free.
    pub(super) fn schedule_turn(&mut self, node: usize, shard: usize, at: Timestamp) {
        let life = self.node(node).life;
        let Some(slot) = self.slot(node, shard) else { return };
        let at = at.max(slot.busy_until);
        if slot.turn_at.is_none_or(|set| at < set) {
            slot.turn_at = Some(at);
            self.queue.push(at, Event::Turn { node, life, shard });
        }
    }

    fn on_turn_due(&mut self, node: usize, shard: usize) {
        let now = self.now;
        if let Some(until) = self.node(node).paused_until {
            let life = self.node(node).life;
            if until > now {
                if let Some(slot) = self.slot(node, shard) {
                    slot.turn_at = Some(until);
                }
                self.queue.push(until, Event::Turn { node, life, shard });
                return;
            }
            self.node_mut(node).paused_until = None;
        }
        self.turn(node, shard);
    }

    /// One turn: drain, handle, tick, seal, write, effects, and a sync if there is something to sync.
    fn turn(&mut self, node: usize, shard: usize) {
        let now = self.now;
        let node_now = self.node(node).clock.now(now);
        // Sometimes a turn of a single input: what could have been in one batch is then in two.
        let inputs_max = match self.node_chance.below(8) {
            0 => 1,
            1 => self.node_chance.between(1, 4) as usize,
            _ => limits::INPUTS_PER_TURN_MAX,
        };
        let prints = self.options.prints;
        let id = self.node(node).id;
        let mut lines = Vec::new();
        let Some(slot) = self.slot(node, shard) else { return };
        slot.turn_at = None;
        let mut inputs = 0;
        while inputs < inputs_max && !slot.shard.turn_is_full() {
            let Some(input) = slot.next_input() else { break };
            if prints {
                lines.push(format!("{id} ← {input:?}"));
            }
            slot.shard.handle(node_now, input);
            inputs += 1;
        }
        slot.shard.tick(node_now);
        let turn = slot.shard.seal(node_now);
        slot.busy_until = now.after(turn_time(inputs));
        for line in lines {
            self.trace.line(now, || line);
        }
        self.note_batch(node, &turn.batch, turn.ticket);
        // A fact is known to the checkers even if the node dies before it could report it.
        let life = self.node(node).life;
        for effect in &turn.effects {
            if let Effect::Observe(fact) = effect {
                self.facts.record((node, id, life), now, fact);
            }
        }
        if self.dies_at(node, CrashPoint::BeforeWrite) {
            return;
        }
        if !turn.batch.is_empty() {
            if let Err(error) = self.node(node).store.write(&turn.batch) {
                self.trace.line(now, || format!("{id} stops: {error}"));
                return self.fail_stop(node);
            }
            if let Some(slot) = self.slot(node, shard) {
                slot.written = turn.ticket;
            }
            if self.dies_at(node, CrashPoint::AfterWrite) {
                return;
            }
        }
        let begins_anew = turn.effects.iter().any(|effect| matches!(effect, Effect::Restart { .. }));
        let cut_at = turn.effects.len() / 2;
        for (place, effect) in turn.effects.into_iter().enumerate() {
            if place == cut_at && self.dies_at(node, CrashPoint::AmidEffects) {
                return;
            }
            self.perform(node, shard, effect);
        }
        if begins_anew {
            // The directory is set aside, and the next start makes an empty one.
            self.crash(node, Damage::Wiped);
            return self.start_after(node, Duration::from_secs(1));
        }
        self.after_writes(node);
        self.schedule_next(node, shard);
    }

    fn schedule_next(&mut self, node: usize, shard: usize) {
        let clock = self.node(node).clock;
        let now = self.now;
        let Some(slot) = self.slot(node, shard) else { return };
        let next = if slot.has_input() {
            Some(now)
        } else {
            slot.shard.next_deadline().map(|deadline| clock.world_time(deadline).max(now))
        };
        if let Some(at) = next {
            self.schedule_turn(node, shard, at);
        }
    }

    fn perform(&mut self, node: usize, shard: usize, effect: Effect) {
        let (now, life, id) = (self.now, self.node(node).life, self.node(node).id);
        match effect {
            Effect::Reply { connection, request_id, response } => {
                self.trace.line(now, || format!("{id} → client {request_id:?}: {response:?}"));
                let answer = Answer { id: request_id, body: AnswerBody::Key(response) };
                let bytes = encoded(&answer);
                self.trace.event(now, "reply", id.0, &bytes);
                let AnswerBody::Key(response) = answer.body else { return };
                self.history.answer(node, connection, request_id, now, response);
            }
            Effect::Send { to, frame } => {
                self.trace.line(now, || format!("{id} → {to}: {:?}", frame.messages));
                self.send(node, to, &frame);
            }
            Effect::SendBack { to, start, frame } => {
                self.trace.line(now, || format!("{id} → {to} back to {start}: {:?}", frame.messages));
                if let Some(place) = self.place_of_start(to, start) {
                    self.send_to(node, place, &frame);
                }
            }
            Effect::StartJob(job) => {
                let after = self.node_chance.exponential(Duration::from_micros(150));
                self.queue.push(now.after(after), Event::JobReads { node, life, shard, job });
            }
            Effect::Restart { why } => self.trace.line(now, || format!("{id} begins anew: {why}")),
            Effect::Adopt(committed) => self.adopt(node, committed.layout),
            Effect::NodeReply { request_id, answer, .. } => self.on_cluster_answer(request_id, answer),
            Effect::Observe(fact) => self.trace.line(now, || format!("{id} observes {fact:?}")),
        }
    }

    fn send(&mut self, node: usize, to: NodeId, frame: &Frame) {
        self.send_to(node, self.dialled(to), frame);
    }

    fn send_to(&mut self, node: usize, peer: usize, frame: &Frame) {
        let (now, life) = (self.now, self.node(node).life);
        let bytes = encoded(frame);
        if peer == node {
            // From one shard to another of the same process.
            return self.queue.push(now, Event::Arrive { from: node, to: node, frame: bytes });
        }
        self.traffic.note(frame, bytes.len());
        self.trace.event(now, "send", (node * self.nodes.len() + peer) as u64, &bytes);
        let is_up = self.node(peer).is_up();
        let fate = self.network.send(&mut self.network_chance, now, (node, peer), bytes.clone(), is_up);
        if fate.is_queue_full {
            self.queue.push(now, Event::QueueFull { node, life, peer, frame: bytes });
        }
        if let Some(after) = fate.notice_after {
            self.queue.push(now.after(after), Event::Unreachable { node, life, peer });
        }
        self.arrivals(node, peer, fate.arrivals);
    }

    pub(super) fn arrivals(&mut self, from: usize, to: usize, frames: Vec<(Duration, Bytes)>) {
        for (delay, frame) in frames {
            self.queue.push(self.now.after(delay), Event::Arrive { from, to, frame });
        }
    }

    fn on_arrival(&mut self, from: usize, to: usize, frame: &Bytes) {
        if !self.node(to).is_up() {
            return;
        }
        self.trace.event(self.now, "arrive", (from * self.nodes.len() + to) as u64, frame);
        let (sender, now) = (self.node(from).id, self.now);
        for (shard, mut frame) in self.decoded(frame) {
            if !self.let_in(to, sender, &mut frame) {
                self.tell_layout(from, to);
                self.tell_layout(to, from);
            }
            if let Some(slot) = self.slot(to, shard) {
                slot.on_frame(sender, frame);
                self.schedule_turn(to, shard, now);
            }
        }
    }

    fn on_unreachable(&mut self, node: usize, peer: usize, frames: &[Bytes]) {
        let peer = self.node(peer).id;
        let mut by_shard = vec![Vec::new(); self.options.shards];
        for frame in frames {
            for (shard, frame) in self.decoded(frame) {
                if let Some(not_sent) = by_shard.get_mut(shard) {
                    not_sent.push(frame);
                }
            }
        }
        for (shard, not_sent) in by_shard.into_iter().enumerate() {
            self.answer_input(node, shard, Input::PeerUnreachable { node: peer, not_sent });
        }
    }

    fn decoded(&self, frame: &Bytes) -> Vec<(usize, Frame)> {
        let envelope = frame.get(codec::LENGTH_BYTES..).unwrap_or_default();
        match codec::decode::<Frame>(envelope) {
            Ok(frame) => frame.by_shard(self.options.shards),
            Err(error) => panic!("the core sent a frame that cannot be read back: {error}"),
        }
    }

    /// Reports durability under `wal`; starts a sync under `fsync`, unless one is under way.
    fn after_writes(&mut self, node: usize) {
        if self.options.config.durability == Durability::Wal {
            for shard in 0..self.options.shards {
                self.report_durable(node, shard, None);
            }
            return;
        }
        let (now, life, longest) = (self.now, self.node(node).life, self.options.sync);
        let batch = self.node(node).store.written();
        let factor = self.node(node).sync_factor;
        let Some(process) = self.node_mut(node).process.as_mut() else { return };
        let has_unsynced = process.shards.iter().any(|slot| slot.written > slot.durable);
        if process.is_syncing || !has_unsynced {
            return;
        }
        process.is_syncing = true;
        let tickets: Vec<Ticket> = process.shards.iter().map(|slot| slot.written).collect();
        let is_at_end = self.node_chance.happens(500);
        let sync = Sync { tickets, batch, is_at_end };
        if !is_at_end && self.node(node).store.sync_through(batch).is_err() {
            return self.fail_stop(node);
        }
        let takes = self.node_chance.span(longest.0, longest.1) * factor;
        let place = self.node_mut(node);
        place.longest_sync = place.longest_sync.max(takes);
        self.queue.push(now.after(takes), Event::Synced { node, life, sync });
    }

    fn on_synced(&mut self, node: usize, sync: Sync) {
        if sync.is_at_end && self.node(node).store.sync_through(sync.batch).is_err() {
            return self.fail_stop(node);
        }
        if self.dies_at(node, CrashPoint::AfterSync) {
            return;
        }
        if let Some(process) = self.node_mut(node).process.as_mut() {
            process.is_syncing = false;
        }
        for (shard, ticket) in sync.tickets.into_iter().enumerate() {
            self.report_durable(node, shard, Some(ticket));
        }
        self.after_writes(node);
    }

    /// Tells a shard that a ticket (or all that was written) is durable.
    fn report_durable(&mut self, node: usize, shard: usize, ticket: Option<Ticket>) {
        let Some(slot) = self.slot(node, shard) else { return };
        let ticket = ticket.unwrap_or(slot.written);
        if ticket > slot.durable {
            slot.durable = ticket;
            self.answer_input(node, shard, Input::Durable(ticket));
        }
    }

    fn dies_at(&mut self, node: usize, point: CrashPoint) -> bool {
        match self.node(node).armed {
            Some((armed, damage)) if armed == point => {
                self.crash(node, damage);
                true
            }
            _ => false,
        }
    }

    /// A write or a sync failed: the process stops, and is started again a second later.
    fn fail_stop(&mut self, node: usize) {
        self.crash(node, Damage::UnsyncedTail);
        self.queue.push(self.now.after(Duration::from_secs(1)), Event::Start { node });
    }

    pub(super) fn note_batch(&mut self, node: usize, batch: &Batch, ticket: Ticket) {
        for (space, key, change) in &batch.changes {
            self.trace.event(self.now, "write", node as u64, key);
            if let Change::Put(value) = change {
                self.trace.event(self.now, "value", *space as u64, value);
            }
        }
        let id = self.node(node).id;
        if !batch.is_empty() {
            self.trace.line(self.now, || format!("{id} writes {} changes under {ticket:?}", batch.changes.len()));
        }
    }

    /// The answer of an operation, if it has come.
    pub fn answer(&self, number: OpNumber) -> Option<&Response> {
        self.history.op(number).answer.as_ref().map(|(_, response)| response)
    }
}

impl ShardSlot {
    /// Newest ticket that was reported durable.
    pub fn durable(&self) -> Ticket {
        self.durable
    }
}

fn encoded<M: codec::Message>(message: &M) -> Bytes {
    let mut bytes = Vec::with_capacity(512);
    if let Err(error) = codec::encode(message, &mut bytes) {
        panic!("the core made a message that cannot be sent: {error}");
    }
    bytes.into()
}
