//! What leaves a turn: replies, messages, jobs, observations, timers, and messages to the own node.
//!
//! Everything that rests on a row is held until the row's ticket is durable; the rest leaves when the turn is sealed.
//! A message to the own node takes the same road and comes out of [`Outbox::next_local`]: queued, never recursive.
//! Bounds: what is held belongs to open requests and dialogues, which are bounded each.

use std::collections::{BTreeMap, VecDeque};

use super::input::{Effect, Job};
use super::local::Local;
use super::observation::Observation;
use super::timer::TimerKey;
use crate::causality::Epoch;
use crate::ids::{ConnectionId, NodeId, PartitionId, RequestId, Ticket};
use crate::limits;
use crate::membership::LayoutEpoch;
use crate::message::client::Response;
use crate::message::peer::{Addressed, Frame, PeerMessage};
use crate::message::weight;
use crate::time::{Hlc, TimerQueue, Timestamp};

/// What a frame says of its sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub layout: LayoutEpoch,
    pub epoch: Epoch,
    pub clock: Hlc,
}

/// What leaves a shard.
#[derive(Debug)]
pub struct Outbox {
    me: NodeId,
    /// Number of the layout that the shard acts by.
    layout: u64,
    /// The newest sealed ticket.
    sealed: Ticket,
    /// The newest durable ticket.
    durable: Ticket,
    released: Vec<Released>,
    held: BTreeMap<Ticket, Vec<Released>>,
    local: VecDeque<Local>,
    timers: TimerQueue<TimerKey>,
}

#[derive(Debug)]
enum Released {
    Effect(Effect),
    Message { to: NodeId, message: Addressed },
    Back { to: NodeId, start: Epoch, message: Addressed },
    Local(Local),
}

impl Outbox {
    pub(crate) fn new(me: NodeId, layout: u64) -> Outbox {
        Outbox {
            me,
            layout,
            sealed: Ticket(0),
            durable: Ticket(0),
            released: Vec::new(),
            held: BTreeMap::new(),
            local: VecDeque::new(),
            timers: TimerQueue::default(),
        }
    }

    /// What is said from now on is said under this layout.
    pub(crate) fn on_layout(&mut self, number: u64) {
        self.layout = number;
    }

    /// The ticket that the open turn will get if it writes anything.
    pub fn open_ticket(&self) -> Ticket {
        Ticket(self.sealed.0 + 1)
    }

    /// The newest sealed ticket: what a snapshot taken off the shard's thread can reach.
    pub fn sealed_ticket(&self) -> Ticket {
        self.sealed
    }

    /// Sends a message that rests on nothing.
    pub fn send(&mut self, to: NodeId, partition: PartitionId, message: PeerMessage) {
        self.send_after(Ticket(0), to, partition, message);
    }

    /// Sends a message once everything up to the ticket is durable.
    pub fn send_after(&mut self, ticket: Ticket, to: NodeId, partition: PartitionId, message: PeerMessage) {
        let message = Addressed { partition, layout: self.layout, message };
        if to == self.me {
            self.hold(ticket, Released::Local(Local::Peer(message)));
        } else {
            self.hold(ticket, Released::Message { to, message });
        }
    }

    /// Sends a message to another shard of the own node, by way of the driver.
    pub(crate) fn send_around(&mut self, me: NodeId, partition: PartitionId, message: PeerMessage) {
        self.send_around_after(Ticket(0), me, partition, message);
    }

    /// The same once everything up to the ticket is durable.
    pub(crate) fn send_around_after(
        &mut self,
        ticket: Ticket,
        me: NodeId,
        partition: PartitionId,
        message: PeerMessage,
    ) {
        let message = Addressed { partition, layout: self.layout, message };
        self.hold(ticket, Released::Message { to: me, message });
    }

    /// Sends a message to one start of a peer, on the connection that the start opened. It rests on nothing.
    pub fn send_back(&mut self, to: NodeId, start: Epoch, partition: PartitionId, message: PeerMessage) {
        let message = Addressed { partition, layout: self.layout, message };
        self.released.push(Released::Back { to, start, message });
    }

    /// Answers a client; what the answer rests on is durable already.
    pub fn reply(&mut self, connection: ConnectionId, request_id: RequestId, response: Response) {
        self.reply_after(Ticket(0), connection, request_id, response);
    }

    /// Answers a client once everything up to the ticket is durable.
    pub fn reply_after(&mut self, ticket: Ticket, connection: ConnectionId, request_id: RequestId, response: Response) {
        self.hold(ticket, Released::Effect(Effect::Reply { connection, request_id, response }));
    }

    /// Has the driver do something once everything up to the ticket is durable.
    pub(crate) fn perform_after(&mut self, ticket: Ticket, effect: Effect) {
        self.hold(ticket, Released::Effect(effect));
    }

    /// Tells another part of this shard, within this turn.
    pub fn tell(&mut self, local: Local) {
        self.local.push_back(local);
    }

    /// Tells another part of this shard once everything up to the ticket is durable.
    pub fn tell_after(&mut self, ticket: Ticket, local: Local) {
        self.hold(ticket, Released::Local(local));
    }

    /// Starts a job. Jobs are bounded by their dialogues.
    pub fn start_job(&mut self, job: Job) {
        self.released.push(Released::Effect(Effect::StartJob(job)));
    }

    /// Something for the driver that waits for nothing.
    pub(super) fn effect(&mut self, effect: Effect) {
        self.released.push(Released::Effect(effect));
    }

    /// Reports a fact.
    pub fn observe(&mut self, observation: Observation) {
        self.released.push(Released::Effect(Effect::Observe(observation)));
    }

    /// Sets or moves a timer.
    pub fn set_timer(&mut self, key: TimerKey, at: Timestamp) {
        self.timers.set(key, at);
    }

    /// Removes a timer.
    pub fn cancel_timer(&mut self, key: &TimerKey) {
        self.timers.cancel(key);
    }

    /// When a timer fires, if it is set.
    pub fn timer_at(&self, key: &TimerKey) -> Option<Timestamp> {
        self.timers.at(key)
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next_deadline()
    }

    pub(crate) fn pop_due_timer(&mut self, now: Timestamp) -> Option<TimerKey> {
        self.timers.pop_due(now)
    }

    pub(crate) fn next_local(&mut self) -> Option<Local> {
        self.local.pop_front()
    }

    /// Everything up to the ticket is durable: releases what waited for it.
    pub(crate) fn on_durable(&mut self, ticket: Ticket) {
        self.durable = self.durable.max(ticket);
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > self.durable {
                break;
            }
            for released in entry.remove() {
                self.release(released);
            }
        }
    }

    /// Hands out what is released, and moves the sealed ticket on if the turn wrote something.
    pub(crate) fn seal(&mut self, wrote: bool, sender: Sender) -> (Ticket, Vec<Effect>) {
        if wrote {
            self.sealed = self.open_ticket();
        }
        let mut effects = Vec::with_capacity(self.released.len());
        let mut frames: BTreeMap<NodeId, OpenFrame> = BTreeMap::new();
        for released in self.released.drain(..) {
            match released {
                Released::Effect(effect) => effects.push(effect),
                Released::Message { to, message } => {
                    let weight = weight::of_message(&message.message);
                    let open = frames.entry(to).or_default();
                    let is_full = open.messages.len() >= limits::MESSAGES_PER_FRAME_MAX
                        || open.weight + weight > limits::FRAME_WEIGHT_MAX;
                    if is_full && !open.messages.is_empty() {
                        effects.push(std::mem::take(open).close(to, sender));
                    }
                    open.weight += weight;
                    open.push(message);
                }
                Released::Back { to, start, message } => {
                    let Sender { layout, epoch, clock } = sender;
                    let frame = Frame { layout, epoch, clock, messages: vec![message] };
                    effects.push(Effect::SendBack { to, start, frame });
                }
                Released::Local(_) => unreachable!("local messages are released into their own queue"),
            }
        }
        effects.extend(frames.into_iter().map(|(to, open)| open.close(to, sender)));
        (self.sealed, effects)
    }

    fn hold(&mut self, ticket: Ticket, released: Released) {
        if ticket <= self.durable {
            self.release(released);
        } else {
            self.held.entry(ticket).or_default().push(released);
        }
    }

    fn release(&mut self, released: Released) {
        match released {
            Released::Local(local) => self.local.push_back(local),
            Released::Effect(_) | Released::Message { .. } | Released::Back { .. } => self.released.push(released),
        }
    }
}

/// Messages of this turn to one peer.
#[derive(Debug, Default)]
struct OpenFrame {
    weight: usize,
    messages: Vec<Addressed>,
}

impl OpenFrame {
    /// Adds a message, or lets the last one say both.
    fn push(&mut self, Addressed { partition, layout, message }: Addressed) {
        let rest = match self.messages.last_mut() {
            Some(last) if (last.partition, last.layout) == (partition, layout) => last.message.absorb(message),
            Some(_) | None => Some(message),
        };
        self.messages.extend(rest.map(|message| Addressed { partition, layout, message }));
    }

    fn close(self, to: NodeId, sender: Sender) -> Effect {
        let Sender { layout, epoch, clock } = sender;
        Effect::Send { to, frame: Frame { layout, epoch, clock, messages: self.messages } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OpId;
    use crate::message::client::ValueReply;
    use crate::message::peer::{Forwarded, Ping};
    use crate::time::WallTime;
    use crate::value::Visible;

    const SENDER: Sender = Sender {
        layout: LayoutEpoch { number: 1, content: 0, parent: 0 },
        epoch: Epoch(7),
        clock: Hlc { wall: 0, logical: 0 },
    };

    fn ping(wall: u64) -> PeerMessage {
        PeerMessage::Ping(Ping { wall: WallTime(wall) })
    }

    #[test]
    fn what_rests_on_an_unsynced_row_is_held_until_its_ticket_is_durable() {
        let mut out = Outbox::new(NodeId(1), 1);
        out.send_after(out.open_ticket(), NodeId(2), PartitionId(0), ping(1));
        out.send(NodeId(2), PartitionId(0), ping(2));
        let (ticket, effects) = out.seal(true, SENDER);
        assert_eq!(ticket, Ticket(1));
        assert!(matches!(&effects[..], [Effect::Send { frame, .. }] if frame.messages.len() == 1));
        out.on_durable(Ticket(1));
        let (ticket, effects) = out.seal(false, SENDER);
        assert_eq!((ticket, effects.len()), (Ticket(1), 1));
    }

    #[test]
    fn messages_of_a_turn_to_one_peer_leave_as_one_frame_in_order() {
        let mut out = Outbox::new(NodeId(1), 1);
        for wall in 0..3 {
            out.send(NodeId(2), PartitionId(0), ping(wall));
        }
        let (_, effects) = out.seal(false, SENDER);
        let [Effect::Send { to: NodeId(2), frame }] = &effects[..] else { panic!("{effects:?}") };
        let walls: Vec<_> = frame.messages.iter().map(|message| message.message.clone()).collect();
        assert_eq!(walls, [ping(0), ping(1), ping(2)]);
    }

    #[test]
    fn a_heavy_message_leaves_alone_and_light_ones_before_and_after_it_together() {
        let mut out = Outbox::new(NodeId(1), 1);
        let value = Visible::Text(vec![7; limits::VALUE_BYTES_MAX].into());
        let reply =
            ValueReply { value, partial: false, conflict: false, answered: Vec::new(), stale_ms: None, token: None };
        let heavy = Forwarded { op: OpId(1), epoch: Epoch(7), response: Response::Value(reply) };
        let heavy = PeerMessage::Forwarded(heavy);
        for message in [ping(1), ping(2), heavy.clone(), heavy, ping(3), ping(4)] {
            out.send(NodeId(2), PartitionId(0), message);
        }
        let (_, effects) = out.seal(false, SENDER);
        let counts: Vec<usize> = effects
            .iter()
            .map(|effect| match effect {
                Effect::Send { frame, .. } => frame.messages.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [2, 1, 1, 2]);
    }

    #[test]
    fn the_own_node_is_a_peer_that_is_reached_through_the_queue() {
        let mut out = Outbox::new(NodeId(1), 1);
        out.send_after(out.open_ticket(), NodeId(1), PartitionId(0), ping(1));
        assert!(out.next_local().is_none());
        out.seal(true, SENDER);
        out.on_durable(Ticket(1));
        assert!(matches!(out.next_local(), Some(Local::Peer(_))));
    }
}
