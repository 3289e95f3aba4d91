//! The cluster: nodes, and between each two of them the frames that are under way. Applies steps.
//!
//! ```text
//! Step ──→ inputs of one node ──→ handle … tick, seal ──→ batch ──→ store
//!                                                    └──→ effects: frames as bytes, answers, jobs, facts
//! ```
//!
//! A turn takes one input, except while nodes go on among themselves: then it takes all that has come. Everything is a
//! function of the seed and the steps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use starling::membership::LayoutError;
use starling::message::codec;
use starling::message::peer::Frame;
use starling::ring::RingView;
use starling::shard::{Effect, Input, SealedTurn};
use starling::time::Timestamp;

use super::clients::Clients;
use super::instance::{Instance, SKEW_MAX};
use super::node::Node;
use super::record::Record;
use super::step::{Step, Talk};
use crate::world::chance::{Chance, Use};

/// Frames under way on a link; of more, the oldest is lost.
const UNDER_WAY_MAX: usize = 64;

/// Rounds of turns at one moment after which nodes are said to talk without end.
const ROUNDS_MAX: usize = 400;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which promise is broken; shrinking keeps it.
    pub promise: &'static str,
    /// How.
    pub text: String,
}

/// A cluster of shards in the hands of a scheduler.
#[derive(Debug)]
pub struct Cluster {
    /// What is explored.
    pub instance: Instance,
    /// Who owns what, by the last layout that was committed. Nodes may have taken up an earlier one.
    pub ring: Arc<RingView>,
    /// Who has told that it is through with it.
    pub(super) told: BTreeSet<u8>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Since the beginning.
    pub now: Timestamp,
    /// The clients.
    pub clients: Clients,
    /// What is known from outside.
    pub record: Record,
    /// The first thing that was wrong.
    pub found: Option<Finding>,
    /// What happened, for people; `None`: nobody reads it.
    pub lines: Option<Vec<String>>,
    links: BTreeMap<(u8, u8), VecDeque<Bytes>>,
    /// What was held up: from whom, to whom.
    late: VecDeque<(u8, u8, Bytes)>,
    /// What stays under way while nodes go on among themselves.
    holds: Talk,
    held: BTreeMap<(u8, u8), VecDeque<Bytes>>,
    entropy: Chance,
}

impl Cluster {
    /// A cluster whose nodes have all been started, and have found each other.
    pub fn new(instance: &Instance, seed: u64) -> Result<Cluster, LayoutError> {
        let mut entropy = Chance::new(seed, Use::Entropy);
        let ring = instance.ring()?;
        let node = |node: usize| Node::new(Instance::id(node), ring.clone(), entropy.number());
        let nodes = (0..instance.nodes).map(node).collect();
        let mut cluster = Cluster {
            instance: instance.clone(),
            ring,
            told: BTreeSet::new(),
            nodes,
            now: Timestamp(1_000_000),
            clients: Clients::new(instance),
            record: Record::default(),
            found: None,
            lines: None,
            links: BTreeMap::new(),
            late: VecDeque::new(),
            holds: Talk::Nothing,
            held: BTreeMap::new(),
            entropy,
        };
        for node in 0..instance.nodes {
            cluster.start(node);
        }
        cluster.flow(u8::MAX, Duration::from_secs(3), Talk::Nothing);
        Ok(cluster)
    }

    /// Lets a step happen; false if it is not possible, and then nothing has happened.
    pub fn apply(&mut self, step: Step) -> bool {
        match step {
            Step::Ask { node, ask } => self.ask(usize::from(node), ask),
            Step::Deliver { from, to, nth } => self.deliver(from, to, nth, false),
            Step::Repeat { from, to, nth } => self.deliver(from, to, nth, true),
            Step::Lose { from, to, nth } => self.take_frame(from, to, nth, false).is_some(),
            Step::Delay { from, to, nth } => {
                let Some(frame) = self.take_frame(from, to, nth, false) else { return false };
                self.late.push_back((from, to, frame));
                if self.late.len() > UNDER_WAY_MAX {
                    self.late.pop_front();
                }
                true
            }
            Step::Late { nth } => self.deliver_late(nth),
            Step::Break { from, to, comes_back } => self.break_link(from, to, comes_back),
            Step::Sync { node, lag } => {
                let Some(it) = self.running(node) else { return false };
                let Some(ticket) = it.sync(usize::from(lag)) else { return false };
                self.turn(node, [Input::Durable(ticket)]);
                true
            }
            Step::Read { node } => {
                let Some(it) = self.running(node) else { return false };
                let store = it.store.clone();
                let Some((job, read)) = it.jobs.iter_mut().find(|(_, read)| read.is_none()) else { return false };
                *read = Some(job.run(&store));
                true
            }
            Step::Job { node } => self.end_job(node),
            Step::Fire { node } => {
                let Some(deadline) = self.running(node).and_then(|it| it.deadline()) else { return false };
                self.now = self.now.max(deadline);
                self.turn(node, []);
                true
            }
            Step::Pass { millis } => {
                self.now = self.now.after(Duration::from_millis(millis.into()));
                true
            }
            Step::Flow { among, millis, holds } => {
                self.flow(among, Duration::from_millis(millis.into()), holds);
                true
            }
            Step::Crash { node, kept } => self.stop(node, |it, _| it.stop(usize::from(kept))),
            Step::Kill { node } => self.stop(node, |it, _| it.stop(usize::MAX)),
            Step::Wipe { node } => self.stop(node, |it, seed| it.wipe(seed)),
            Step::Start { node } => {
                let node = usize::from(node);
                let is_down = self.nodes.get(node).is_some_and(|it| it.shard.is_none());
                if is_down {
                    self.start(node);
                }
                is_down
            }
            Step::Adopt { node } => self.adopt(node),
            Step::Tell { node } => self.tell(node),
            Step::Change { drained } => self.change(drained),
            Step::Revert => self.revert(),
            Step::Clock { node, off } => {
                let Some(it) = self.nodes.get_mut(usize::from(node)) else { return false };
                it.off = (i64::from(off) * 1_000).clamp(-SKEW_MAX, SKEW_MAX);
                true
            }
        }
    }

    /// Frames under way on a link.
    pub fn under_way(&self, from: u8, to: u8) -> usize {
        self.links.get(&(from, to)).map_or(0, VecDeque::len)
    }

    /// Links with frames under way.
    pub fn busy_links(&self) -> Vec<(u8, u8)> {
        self.links.iter().filter(|(_, frames)| !frames.is_empty()).map(|(link, _)| *link).collect()
    }

    /// All that is under way is lost.
    pub fn lose_all(&mut self) {
        self.links.clear();
        self.late.clear();
    }

    /// All that was held up arrives.
    pub fn end_delays(&mut self) {
        while self.deliver_late(0) {}
        self.late.clear();
    }

    /// These nodes go on among themselves, everything arriving in time but what is held.
    pub fn flow(&mut self, among: u8, span: Duration, holds: Talk) {
        self.holds = holds;
        self.flow_freely(among, span);
        self.holds = Talk::Nothing;
        for (link, mut frames) in std::mem::take(&mut self.held) {
            let under_way = self.links.entry(link).or_default();
            frames.append(under_way);
            let too_many = frames.len().saturating_sub(UNDER_WAY_MAX);
            frames.drain(..too_many);
            *under_way = frames;
        }
    }

    fn flow_freely(&mut self, among: u8, span: Duration) {
        let end = self.now.after(span);
        let nodes: Vec<u8> = (0..self.nodes.len() as u8).filter(|node| among >> node & 1 == 1).collect();
        loop {
            let mut rounds = 0;
            while self.round(&nodes) {
                rounds += 1;
                if rounds == ROUNDS_MAX {
                    return self.wrong("rest", format!("nodes talk without end at {:?}", self.now));
                }
            }
            let running = nodes.iter().filter_map(|node| self.nodes.get(usize::from(*node)));
            match running.filter_map(Node::deadline).min() {
                Some(next) if next <= end => self.now = self.now.max(next),
                Some(_) | None => break,
            }
        }
        self.now = self.now.max(end);
    }

    /// A turn of each node that has something to do; false if none has.
    fn round(&mut self, nodes: &[u8]) -> bool {
        let mut any = false;
        for node in nodes {
            let now = self.now;
            let Some(it) = self.running(*node) else { continue };
            let is_due = it.deadline().is_some_and(|deadline| deadline <= now);
            let mut inputs: Vec<Input> = it.sync(0).map(Input::Durable).into_iter().collect();
            let store = it.store.clone();
            let ended = it.jobs.drain(..).map(|(job, read)| read.unwrap_or_else(|| job.run(&store)));
            inputs.extend(ended.map(Input::JobDone));
            for from in nodes {
                let frames: Vec<Bytes> =
                    self.links.get_mut(&(*from, *node)).map(|frames| frames.drain(..).collect()).unwrap_or_default();
                inputs.extend(frames.iter().filter_map(|frame| self.passing((*from, *node), frame)));
            }
            if is_due || !inputs.is_empty() {
                any = true;
                self.turn(*node, inputs);
            }
        }
        any
    }

    /// A turn: inputs, timers, and what leaves.
    pub(super) fn turn(&mut self, node: u8, inputs: impl IntoIterator<Item = Input>) {
        let now = self.now;
        let inputs: Vec<Input> = inputs.into_iter().collect();
        let frozen = self.frozen_before(node, &inputs);
        let Some(it) = self.running(node) else { return };
        let clock = it.clock(now);
        let Some(shard) = &mut it.shard else { return };
        for input in inputs {
            shard.handle(clock, input);
        }
        shard.tick(clock);
        let SealedTurn { batch, ticket, effects } = shard.seal(clock);
        // What is settled was reported before: it stands in the directory as it was until this turn.
        for effect in &effects {
            if let Effect::Observe(fact) = effect {
                self.check_settled(node, fact);
            }
        }
        let Some(it) = self.running(node) else { return };
        if !batch.is_empty() {
            it.wrote(ticket, batch);
        }
        let store = it.store.clone();
        self.record.note_writes(&effects, &store);
        self.check_frozen(node, frozen);
        for effect in effects {
            self.perform(node, effect);
        }
    }

    fn perform(&mut self, node: u8, effect: Effect) {
        match effect {
            Effect::Reply { request_id, response, .. } => self.on_reply(request_id, response),
            Effect::Send { to, frame } => {
                let to = self.nodes.iter().position(|it| it.id == to);
                if let Some(to) = to {
                    self.send(node, to as u8, &frame);
                }
            }
            Effect::SendBack { to, start, frame } => {
                let is_it = |it: &Node| it.id == to && it.epoch == Some(start);
                if let Some(to) = self.nodes.iter().position(is_it) {
                    self.send(node, to as u8, &frame);
                }
            }
            Effect::StartJob(job) => {
                if let Some(it) = self.running(node) {
                    it.jobs.push_back((job, None));
                }
            }
            Effect::Observe(fact) => self.on_fact(node, fact),
            Effect::NodeReply { .. } | Effect::Adopt(_) | Effect::Restart { .. } => {}
        }
    }

    fn send(&mut self, from: u8, to: u8, frame: &Frame) {
        self.say(|| format!("    n{} → n{}: {}", from + 1, to + 1, super::trace::of_frame(frame)));
        let under_way = self.links.entry((from, to)).or_default();
        if under_way.len() == UNDER_WAY_MAX {
            under_way.pop_front();
        }
        under_way.push_back(encoded(frame));
    }

    fn deliver(&mut self, from: u8, to: u8, nth: u8, again: bool) -> bool {
        if self.running(to).is_none() {
            return false;
        }
        let Some(frame) = self.take_frame(from, to, nth, again) else { return false };
        let input = self.arriving(from, &frame);
        self.turn(to, [input]);
        true
    }

    fn deliver_late(&mut self, nth: u8) -> bool {
        let Some(place) = usize::from(nth).checked_rem(self.late.len()) else { return false };
        let is_up = self
            .late
            .get(place)
            .is_some_and(|(_, to, _)| self.nodes.get(usize::from(*to)).is_some_and(|it| it.shard.is_some()));
        let Some((from, to, frame)) = self.late.remove(place).filter(|_| is_up) else { return false };
        let input = self.arriving(from, &frame);
        self.turn(to, [input]);
        true
    }

    /// What of a frame arrives; the rest is held.
    fn passing(&mut self, link: (u8, u8), frame: &Bytes) -> Option<Input> {
        let mut input = self.arriving(link.0, frame);
        if let Input::Peer { frame, .. } = &mut input
            && frame.messages.iter().any(|addressed| self.holds.has(&addressed.message))
        {
            let messages = std::mem::take(&mut frame.messages);
            let (held, passing) = messages.into_iter().partition(|addressed| self.holds.has(&addressed.message));
            self.held.entry(link).or_default().push_back(encoded(&Frame { messages: held, ..frame.clone() }));
            frame.messages = passing;
            if frame.messages.is_empty() {
                return None;
            }
        }
        Some(input)
    }

    fn arriving(&self, from: u8, frame: &Bytes) -> Input {
        let from = Instance::id(usize::from(from));
        match codec::decode::<Frame>(frame.get(codec::LENGTH_BYTES..).unwrap_or_default()) {
            Ok(frame) => Input::Peer { from, frame },
            Err(error) => panic!("a frame of the core cannot be read back: {error}"),
        }
    }

    fn take_frame(&mut self, from: u8, to: u8, nth: u8, keeps: bool) -> Option<Bytes> {
        let frames = self.links.get_mut(&(from, to))?;
        let last = frames.len().checked_sub(1)?;
        let place = if nth == Step::NEWEST { last } else { usize::from(nth) % frames.len() };
        if keeps { frames.get(place).cloned() } else { frames.remove(place) }
    }

    fn break_link(&mut self, from: u8, to: u8, comes_back: bool) -> bool {
        if from == to || usize::from(to) >= self.nodes.len() || self.running(from).is_none() {
            return false;
        }
        let frames = match self.links.get_mut(&(from, to)) {
            Some(frames) if comes_back => frames.drain(..).collect(),
            Some(_) | None => Vec::new(),
        };
        let not_sent = frames.iter().filter_map(|frame| match self.arriving(from, frame) {
            Input::Peer { frame, .. } => Some(frame),
            _ => None,
        });
        let not_sent = not_sent.collect();
        self.turn(from, [Input::PeerUnreachable { node: Instance::id(usize::from(to)), not_sent }]);
        true
    }

    fn end_job(&mut self, node: u8) -> bool {
        let Some(it) = self.running(node) else { return false };
        let Some((job, read)) = it.jobs.pop_front() else { return false };
        let result = read.unwrap_or_else(|| job.run(&it.store));
        self.turn(node, [Input::JobDone(result)]);
        true
    }

    fn start(&mut self, node: usize) {
        let entropy = std::array::from_fn(|_| self.entropy.number());
        let (config, now) = (self.instance.config(), self.now);
        let not_in_memory = self.instance.not_in_memory_per_mille;
        if let Some(it) = self.nodes.get_mut(node) {
            it.start(config, entropy, now, not_in_memory);
        }
    }

    fn stop(&mut self, node: u8, how: impl FnOnce(&mut Node, u64)) -> bool {
        if self.running(node).is_none() {
            return false;
        }
        let seed = self.entropy.number();
        if let Some(it) = self.running(node) {
            how(it, seed);
        }
        self.clients.on_stopped(usize::from(node));
        true
    }

    /// A node whose process runs.
    pub(super) fn running(&mut self, node: u8) -> Option<&mut Node> {
        self.nodes.get_mut(usize::from(node)).filter(|it| it.shard.is_some())
    }

    /// Notes what is wrong, if nothing was before.
    pub fn wrong(&mut self, promise: &'static str, text: String) {
        self.say(|| format!("    WRONG: {text}"));
        self.found.get_or_insert(Finding { promise, text });
    }

    /// Tells people, if somebody reads it.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }
}

fn encoded(frame: &Frame) -> Bytes {
    let mut bytes = Vec::new();
    if let Err(error) = codec::encode(frame, &mut bytes) {
        panic!("the core made a frame that cannot be sent: {error}");
    }
    bytes.into()
}
