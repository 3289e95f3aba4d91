//! What scripts do to a world: start, crash, pause, cut, heal, and turn clocks.

use std::time::Duration;

use starling::config::{Candidate, ShardConfig};
use starling::ids::NodeId;
use starling::membership::{Layout, Member};
use starling::replica::{Identity, OpenError, begin_candidate, begin_start};
use starling::shard::{Effect, Input, Shard, ShardScope};
use starling::storage::Store;
use starling::storage::memory::{MemoryFaults, Survivors};
use starling::time::Timestamp;

use super::network::{Cut, Delays, NetworkOptions};
use super::node::{CrashPoint, Damage, Process, ShardSlot};
use super::{Event, World};

impl World {
    /// Starts a node's process, unless it runs, its machine is away, or no layout names it and nobody let it in.
    pub fn start(&mut self, node: usize) {
        if self.node(node).is_up() || self.node(node).is_away || !self.may_start(node) {
            return;
        }
        let (base, entropy) = (self.entropy.below(3_600_000_000), self.entropy.number());
        let seeds: Vec<u64> = (0..self.options.shards).map(|_| self.entropy.number()).collect();
        let (ring, count) = (self.layout_of_start(node), self.options.shards);
        let candidate = || {
            let Member { name, address, zone, weight, .. } = self.options.member(node);
            Candidate { name, address, zone, weight }
        };
        let candidate = (node < self.options.places()).then(candidate);
        let config = ShardConfig { seal_key: self.options.seal_key(), candidate, ..self.options.config.clone() };
        let now = self.now;
        let faults = self.options.disk;
        let place = self.node_mut(node);
        place.life += 1;
        place.clock.restart(base);
        place.paused_until = None;
        let node_now = place.clock.now(now);
        // Opening reads what it must, as a process that cannot read its directory would not start.
        place.store.set_faults(MemoryFaults::default());
        place.ring = ring.clone();
        let identity = match begin(&place.store, ring.layout(), place.id, entropy) {
            Ok(identity) => identity,
            Err(error) => panic!("node {} cannot start: {error}", place.id),
        };
        let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(place.store.clone());
        let open = |(index, seed): (usize, u64)| {
            let scope = ShardScope { index, count };
            let shard = Shard::open(config.clone(), identity, scope, ring.clone(), store.clone(), seed, node_now);
            match shard {
                Ok(shard) => ShardSlot::new(shard),
                Err(error) => panic!("node {} cannot open a shard: {error}", identity.node),
            }
        };
        let shards = seeds.into_iter().enumerate().map(open).collect();
        place.store.set_faults(faults);
        place.process = Some(Process { identity, shards, is_syncing: false });
        self.trace.event(now, "start", node as u64, &entropy.to_le_bytes());
        self.trace.line(now, || format!("{} starts", NodeId(node as u64 + 1)));
        for shard in 0..count {
            self.schedule_turn(node, shard, now);
        }
    }

    /// Starts a node later.
    pub fn start_after(&mut self, node: usize, span: Duration) {
        self.queue.push(self.now.after(span), Event::Start { node });
    }

    /// Ends a node's process now, with what that does to its disk.
    pub fn crash(&mut self, node: usize, damage: Damage) {
        let now = self.now;
        self.trace.event(now, "crash", node as u64, format!("{damage:?}").as_bytes());
        self.trace.line(now, || format!("{} crashes: {damage:?}", NodeId(node as u64 + 1)));
        let seed = self.entropy.number();
        let place = self.node_mut(node);
        let was_up = place.process.take().is_some();
        place.armed = None;
        place.paused_until = None;
        match damage {
            Damage::None => {
                // The operating system writes back what a killed process left behind.
                place.store.crash(Survivors::First(usize::MAX));
            }
            Damage::UnsyncedTail => {
                place.store.crash(Survivors::Random);
            }
            Damage::AllUnsynced => {
                place.store.crash(Survivors::First(0));
            }
            Damage::SyncedTail(batches) => {
                place.store.lose_synced_tail(batches);
            }
            Damage::Wiped => place.store.wipe(),
            Damage::Restored => {
                if let Some(copy) = &place.copy {
                    place.store = copy.copy(seed);
                }
            }
        }
        if matches!(damage, Damage::SyncedTail(_) | Damage::Wiped | Damage::Restored) {
            place.damaged_at = Some(now);
        }
        self.history.break_connections(node, now);
        self.network.forget_sender(node);
        self.facts.end_contest(node, now);
        if was_up && self.is_dialled(node) {
            self.tell_peers_down(node);
        }
    }

    /// A node dies, and nobody starts it again before all is made well.
    pub fn take_away(&mut self, node: usize) {
        self.crash(node, Damage::None);
        self.node_mut(node).is_away = true;
    }

    /// Ends a process in good order: its shards write what they keep for the next start.
    pub fn stop(&mut self, node: usize) {
        let now = self.now;
        self.trace.event(now, "stop", node as u64, &[]);
        let (id, life, node_now) = (self.node(node).id, self.node(node).life, self.node(node).clock.now(now));
        for shard in 0..self.options.shards {
            let Some(slot) = self.slot(node, shard) else { break };
            slot.shard.handle(node_now, Input::Stopping);
            let turn = slot.shard.seal(node_now);
            self.note_batch(node, &turn.batch, turn.ticket);
            for effect in &turn.effects {
                if let Effect::Observe(fact) = effect {
                    self.facts.record((node, id, life), now, fact);
                }
            }
            if !turn.batch.is_empty() && self.node(node).store.write(&turn.batch).is_err() {
                break;
            }
        }
        self.crash(node, Damage::None);
    }

    fn tell_peers_down(&mut self, node: usize) {
        for peer in 0..self.nodes.len() {
            if peer != node
                && self.node(peer).is_up()
                && let Some(after) = self.network.on_peer_down(peer, node)
            {
                let life = self.node(peer).life;
                self.queue.push(self.now.after(after), Event::Unreachable { node: peer, life, peer: node });
            }
        }
    }

    /// The node dies at this point of its next step that reaches it.
    pub fn arm(&mut self, node: usize, point: CrashPoint, damage: Damage) {
        self.node_mut(node).armed = Some((point, damage));
    }

    /// Keeps a copy of a node's directory as it is on disk now.
    pub fn copy_directory(&mut self, node: usize) {
        let seed = self.entropy.number();
        let place = self.node_mut(node);
        place.copy = Some(place.store.copy(seed));
    }

    /// The node, if it runs, stands still for a while: nothing is lost, nothing happens.
    pub fn pause(&mut self, node: usize, span: Duration) {
        if !self.node(node).is_up() {
            return;
        }
        let until = self.now.after(span);
        self.trace.line(self.now, || format!("{} stands still until {until:?}", NodeId(node as u64 + 1)));
        let now = self.now;
        let place = self.node_mut(node);
        place.paused_until = Some(until);
        place.pauses.push((now, until));
    }

    /// Syncs of a node take so many times as long.
    pub fn slow_disk(&mut self, node: usize, factor: u32) {
        self.node_mut(node).sync_factor = factor.max(1);
    }

    /// A node's disk falls below its reserve, or rises above it again.
    pub fn disk_reserve(&mut self, node: usize, is_below: bool) {
        let now = self.now;
        for shard in 0..self.options.shards {
            if let Some(slot) = self.slot(node, shard) {
                slot.answers.push_back(Input::DiskReserve { is_below });
                self.schedule_turn(node, shard, now);
            }
        }
    }

    /// A node's wall clock jumps. Unit: microseconds.
    pub fn jump_clock(&mut self, node: usize, by_micros: i64) {
        let now = self.now;
        self.node_mut(node).clock.jump(by_micros);
        let skew = self.node(node).clock.skew(now);
        self.skew_bound = self.skew_bound.max(skew);
    }

    /// Faults of every disk from now on; opening a node keeps them off until it runs.
    pub fn set_disk_faults(&mut self, faults: MemoryFaults) {
        self.options.disk = faults;
        for node in &self.nodes {
            node.store.set_faults(faults);
        }
    }

    /// Cuts a link in one direction.
    pub fn cut(&mut self, from: usize, to: usize, cut: Cut) {
        self.trace.line(self.now, || format!("cut {from} → {to}"));
        self.network.cut(from, to, cut);
    }

    /// Cuts every link between nodes of different groups, both ways.
    pub fn split(&mut self, groups: &[Vec<usize>], cut: Cut) {
        for (place, group) in groups.iter().enumerate() {
            for other in groups.iter().skip(place + 1) {
                for (a, b) in group.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
                    self.cut(a, b, cut);
                    self.cut(b, a, cut);
                }
            }
        }
    }

    /// Cuts a node off from all others, both ways.
    pub fn isolate(&mut self, node: usize, cut: Cut) {
        let others = (0..self.nodes.len()).filter(|other| *other != node).collect();
        self.split(&[vec![node], others], cut);
    }

    /// Heals a link in one direction; what was jammed arrives.
    pub fn heal(&mut self, from: usize, to: usize) {
        let frames = self.network.heal(&mut self.network_chance, from, to, self.now);
        self.arrivals(from, to, frames);
    }

    /// Opens a jammed link in one direction; what was jammed stays on its way.
    pub fn set_jammed_aside(&mut self, from: usize, to: usize) {
        self.network.set_jammed_aside(from, to);
    }

    /// What was set aside arrives at last.
    pub fn release_set_aside(&mut self, from: usize, to: usize) {
        let frames = self.network.release_set_aside(from, to, self.now);
        self.arrivals(from, to, frames);
    }

    /// Heals every link.
    pub fn heal_all(&mut self) {
        self.trace.line(self.now, || "all links heal".into());
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                self.heal(from, to);
            }
        }
    }

    /// Sets the wall clocks right.
    pub fn correct_clocks(&mut self) {
        for node in &mut self.nodes {
            node.clock.correct();
        }
    }

    /// Everything is made well: links, disks, clocks; every member runs, once.
    pub fn make_well(&mut self) {
        self.end_twin();
        self.heal_all();
        self.correct_clocks();
        self.set_disk_faults(MemoryFaults::default());
        let delays = match self.network.options.delays {
            Delays::Lan | Delays::HeavyTail => Delays::Lan,
            Delays::Wan => Delays::Wan,
        };
        self.network.options = NetworkOptions { delays, ..NetworkOptions::CALM };
        for node in 0..self.options.places() {
            let place = self.node_mut(node);
            place.armed = None;
            place.is_away = false;
            place.sync_factor = 1;
            self.disk_reserve(node, false);
            self.start(node);
        }
    }

    /// The moment so long after now.
    pub fn after(&self, span: Duration) -> Timestamp {
        self.now.after(span)
    }
}

/// Begins a start of a member, or of a node that would become one.
fn begin(store: &dyn Store, layout: &Layout, node: NodeId, entropy: u64) -> Result<Identity, OpenError> {
    match layout.member(node) {
        Some(_) => begin_start(store, layout, node, entropy),
        None => begin_candidate(store, layout.cluster, node, entropy),
    }
}
