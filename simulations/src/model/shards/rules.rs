//! The rules of forgetting, looked at by one who sees all nodes at once, at the moment when a node acts on them.
//!
//! ```text
//! R6   a fallback says sealed t    it holds nothing of ticks ≤ t that could still have to be delivered
//! R7   an owner says frozen t      every node of the accept set that knows how far it is sealed has sealed t
//! R7   a write or a hint comes     it brings no entry and no live dot of ticks that are frozen there
//! R9   the first owner compacts t  all established owners have counted the same of ticks ≤ t, and have seen each other's
//!                                  live dots of these ticks
//! R10  the first owner folds t     they have the same baselines of ticks ≤ t
//! R11  anybody says anything       it is established
//! moves  anybody says anything      writes are not counted in two placements, and of who hands over nothing is left
//! ```
//!
//! What an owner settles it has reported before: for R9 and R10 its directory is looked at as it was until that turn.
//!
//! A step that a rule forbids often does no harm by itself, because another rule stands behind it; here it is seen at once.
//! The numbers are those of the front page of `model`.

use std::collections::{BTreeMap, BTreeSet};

use starling::causality::{ActorId, Dot, Tick};
use starling::ids::{NodeId, PartitionId};
use starling::message::peer::PeerMessage;
use starling::replica::{PartitionMemory, Partitions, StoredRow, normal};
use starling::ring::RingView;
use starling::shard::{Input, Observation};
use starling::storage::memory::MemoryStore;
use starling::storage::{RowKey, Space};
use starling::value::{Closed, Row};

use super::cluster::Cluster;
use super::node::Node;
use super::rows;

/// What one directory holds of ticks up to one of them.
#[derive(Debug, Default)]
pub struct Old {
    /// By main or element row and actor, the event up to which is counted.
    entries: BTreeMap<(RowKey, ActorId), u64>,
    /// The same of what resets have seen.
    baselines: BTreeMap<(RowKey, ActorId), u64>,
    /// By row and place of the field, what stands.
    live: BTreeSet<(RowKey, usize, Dot)>,
    rows: BTreeMap<RowKey, Row>,
}

impl Old {
    /// Reads it. Rows are in the normal form of `memory`.
    fn of(store: &MemoryStore, ring: &RingView, place: (PartitionId, Tick), memory: &PartitionMemory) -> Old {
        let (partition, through) = place;
        let mut old = Old::default();
        for (key, bytes) in rows::all(store, Space::Rows) {
            let (Ok(key), Ok(mut stored)) = (RowKey::parse(key), StoredRow::decode(&bytes)) else { continue };
            let is_its = key.partition(ring.layout().partitions) == partition;
            if !is_its || normal::settle(&key, &mut stored, memory) == normal::Normal::Absent {
                continue;
            }
            let counter = if key.actor().is_some() { key.main_row() } else { key.clone() };
            let is_old = |actor: &ActorId| actor.expires <= through;
            for (actor, event) in stored.row.counted_by().filter(|(actor, _)| is_old(actor)) {
                old.entries.insert((counter.clone(), actor), event);
            }
            for (actor, event) in stored.row.covered_by().filter(|(actor, _)| is_old(actor)) {
                let known = old.baselines.entry((counter.clone(), actor)).or_default();
                *known = event.max(*known);
            }
            for (place, (live, _)) in stored.row.dotted_parts().into_iter().enumerate() {
                let of_field = live.into_iter().filter(|dot| is_old(&dot.actor));
                old.live.extend(of_field.map(|dot| (key.clone(), place, dot)));
            }
            old.rows.insert(key, stored.row);
        }
        old
    }

    /// Something that the other has counted and this one has not, or that stands there and was never seen here.
    fn lacks_entry_of(&self, other: &Old) -> Option<String> {
        let lacks = |(row, actor): &(RowKey, ActorId), event: &u64| {
            // It may have taken over the sum of an owner that settled first, and is lost.
            let settled = self.rows.get(row).map_or(Tick(0), Row::settled_tick);
            actor.expires > settled && self.entries.get(&(row.clone(), *actor)) != Some(event)
        };
        let entry = other.entries.iter().find(|(place, event)| lacks(place, event));
        let has_seen = |(row, place, dot): &&(RowKey, usize, Dot)| {
            let fields = self.rows.get(row).map(Row::dotted_parts);
            fields.is_some_and(|fields| fields.get(*place).is_some_and(|(_, seen)| seen.has_seen(*dot)))
        };
        let entry = entry.map(|((row, actor), event)| format!("event {event} of {actor} in {row}"));
        entry.or_else(|| other.live.iter().find(|it| !has_seen(it)).map(|(row, _, dot)| format!("{dot:?} of {row}")))
    }

    /// A baseline of the other that is neither here nor in a sum.
    fn lacks_baseline_of(&self, other: &Old) -> Option<String> {
        let lacks = |(row, actor): &(RowKey, ActorId), event: &u64| {
            let folded = self.rows.get(row).map_or(Tick(0), Row::covered_tick);
            actor.expires > folded && self.baselines.get(&(row.clone(), *actor)).is_none_or(|known| known < event)
        };
        let baseline = other.baselines.iter().find(|(place, event)| lacks(place, event));
        baseline.map(|((row, actor), event)| format!("the baseline of event {event} of {actor} in {row}"))
    }
}

impl Cluster {
    /// A node says what it has done: whether the rules allow it.
    pub(super) fn check_rule(&mut self, node: u8, fact: &Observation) {
        let (partition, tick) = match fact {
            Observation::Sealed { partition, tick }
            | Observation::Frozen { partition, tick }
            | Observation::Compacted { partition, tick }
            | Observation::Folded { partition, tick } => (*partition, *tick),
            _ => return,
        };
        let Some(it) = self.nodes.get(usize::from(node)) else { return };
        let present = memory(&it.store, partition);
        let wrong = if !present.is_established && !present.is_cleared {
            Some(("R11", "it is newborn".to_owned()))
        } else if let Some(text) = unsettleable(it, partition).or_else(|| self.still_held(it, partition, fact)) {
            Some(("moves", text))
        } else {
            match fact {
                Observation::Sealed { .. } => self.unsealable(it, partition, tick).map(|text| ("R6", text)),
                Observation::Frozen { .. } => self.unfreezable(it, partition, tick).map(|text| ("R7", text)),
                _ => None,
            }
        };
        if let Some((rule, text)) = wrong {
            self.wrong(rule, format!("n{} reports {fact:?}, but {text}", node + 1));
        }
    }

    /// A turn of a node is over, and not written yet: whether what it has settled in it is the same everywhere. Afterwards its
    /// directory would not tell. The turn may have deleted the row of a session, because it had something else to write there,
    /// and left it to the sweep to write the main row, which knows the session's part of the sum.
    pub(super) fn check_settled(&mut self, node: u8, fact: &Observation) {
        let Some(it) = self.nodes.get(usize::from(node)) else { return };
        let wrong = match fact {
            Observation::Compacted { partition, tick } => self
                .unequal(it, *partition, *tick, |memory| memory.compacted, Old::lacks_entry_of)
                .map(|text| ("R9", text)),
            Observation::Folded { partition, tick } => self
                .unequal(it, *partition, *tick, |memory| memory.folded, Old::lacks_baseline_of)
                .map(|text| ("R10", text)),
            _ => None,
        };
        if let Some((rule, text)) = wrong {
            self.wrong(rule, format!("n{} reports {fact:?}, but {text}", node + 1));
        }
    }

    /// What a fallback holds and must deliver first.
    fn unsealable(&self, it: &Node, partition: PartitionId, tick: Tick) -> Option<String> {
        if it.ring.is_owner(partition, it.id) {
            return None;
        }
        let memory = memory(&it.store, partition);
        let old = Old::of(&it.store, &it.ring, (partition, tick), &memory);
        let closed = Closed::to_fallback(tick);
        let holds = old.rows.iter().find(|(_, row)| Row::default().touches(row, closed));
        holds.map(|(row, _)| format!("holds {row} for its owners"))
    }

    /// What a node that hands over still holds, when an owner settles.
    fn still_held(&self, first: &Node, partition: PartitionId, fact: &Observation) -> Option<String> {
        let settles = !matches!(fact, Observation::Sealed { .. });
        let leavers = if settles { first.ring.leavers(partition) } else { &[] };
        let holder = self.nodes.iter().filter(|it| leavers.contains(&it.id)).find(|it| {
            let rows = rows::all(&it.disk, Space::Rows).into_iter();
            let mut its = rows.filter_map(|(key, _)| RowKey::parse(key).ok());
            its.any(|row| row.partition(first.ring.layout().partitions) == partition)
        });
        holder.map(|it| format!("{} has not handed over all of it", it.id))
    }

    /// Who has not sealed.
    fn unfreezable(&self, first: &Node, partition: PartitionId, tick: Tick) -> Option<String> {
        let accept_set = first.ring.accept_set(partition);
        self.nodes.iter().filter(|it| accept_set.contains(&it.id)).find_map(|it| {
            // What it has announced is durable; of itself it may know more.
            let store = if it.id == first.id { &it.store } else { &it.disk };
            let memory = memory(store, partition);
            (memory.is_established && memory.sealed < tick)
                .then(|| format!("{} has sealed only {:?}", it.id, memory.sealed))
        })
    }

    /// How the established owners differ, if this is the first of them that goes so far.
    fn unequal(
        &self,
        first: &Node,
        partition: PartitionId,
        tick: Tick,
        reached: impl Fn(&PartitionMemory) -> Tick,
        lacks: impl Fn(&Old, &Old) -> Option<String>,
    ) -> Option<String> {
        let owners = first.ring.readers(partition);
        let is_owner = |it: &&Node| owners.contains(&it.id);
        let memories: Vec<(&Node, PartitionMemory)> =
            self.nodes.iter().filter(is_owner).map(|it| (it, memory(&it.store, partition))).collect();
        let others = memories.iter().filter(|(it, memory)| it.id != first.id && memory.is_established);
        if others.clone().any(|(_, memory)| reached(memory) >= tick) {
            return None;
        }
        // The first one is as it was before, too.
        let before = others.map(|(_, memory)| memory).max_by_key(|memory| (memory.compacted, memory.folded))?;
        let old_of = |(it, memory): &(&Node, PartitionMemory)| {
            let old = Old::of(&it.store, &first.ring, (partition, tick), before);
            memory.is_established.then_some((it.id, old))
        };
        let all: Vec<(NodeId, Old)> = memories.iter().filter_map(old_of).collect();
        all.iter().find_map(|(one, old)| {
            all.iter().find_map(|(other, theirs)| Some(format!("{one} lacks {} of {other}", lacks(old, theirs)?)))
        })
    }

    /// What an established owner holds of what is frozen in each partition, if these inputs may not change it.
    pub(super) fn frozen_before(&self, node: u8, inputs: &[Input]) -> Vec<(PartitionId, Tick, Old)> {
        let any = |input: &Input, is_it: fn(&PeerMessage) -> bool| match input {
            Input::Peer { frame, .. } => frame.messages.iter().any(|addressed| is_it(&addressed.message)),
            _ => false,
        };
        let may_change = |input: &Input| matches!(input, Input::JobDone(_)) || any(input, is_exchange);
        let brings = |input: &Input| any(input, is_write);
        let Some(it) = self.nodes.get(usize::from(node)) else { return Vec::new() };
        if inputs.iter().any(may_change) || !inputs.iter().any(brings) {
            return Vec::new();
        }
        let owned = it.ring.partitions().filter(|partition| it.ring.is_owner(*partition, it.id));
        let frozen = owned.map(|partition| (partition, memory(&it.store, partition)));
        frozen
            .filter(|(_, memory)| memory.is_established && memory.frozen > Tick(0))
            .map(|(partition, memory)| {
                let place = (partition, memory.frozen);
                (partition, memory.frozen, Old::of(&it.store, &it.ring, place, &memory))
            })
            .collect()
    }

    /// Whether a write has brought what is frozen.
    pub(super) fn check_frozen(&mut self, node: u8, before: Vec<(PartitionId, Tick, Old)>) {
        for (partition, frozen, before) in before {
            let Some(it) = self.nodes.get(usize::from(node)) else { return };
            let memory = memory(&it.store, partition);
            let after = Old::of(&it.store, &it.ring, (partition, frozen), &memory);
            let entry = after.entries.iter().find(|(place, event)| before.entries.get(*place) < Some(*event));
            let dot = after.live.iter().find(|it| !before.live.contains(it));
            let brought = entry.map(|((row, actor), event)| format!("event {event} of {actor} in {row}"));
            let brought = brought.or_else(|| dot.map(|(row, _, dot)| format!("{dot:?} of {row}")));
            if let Some(brought) = brought {
                self.wrong("R7", format!("a write has brought {brought} to n{}, where {frozen:?} is frozen", node + 1));
            }
        }
    }
}

/// Why nothing may settle, if writes are counted in two placements.
fn unsettleable(it: &Node, partition: PartitionId) -> Option<String> {
    (!it.ring.may_settle(partition)).then(|| format!("the partition moves, by layout {}", it.ring.epoch().number))
}

/// Whether it may change what is frozen, if its sender is known.
fn is_exchange(message: &PeerMessage) -> bool {
    match message {
        PeerMessage::Deliver(deliver) => deliver.marks.is_some(),
        PeerMessage::ExchangeOffer(_) | PeerMessage::ExchangeAnswer(_) | PeerMessage::ExchangePush(_) => true,
        _ => false,
    }
}

/// Whether it brings rows and may not change what is frozen: a fresh write, or a hint.
fn is_write(message: &PeerMessage) -> bool {
    match message {
        PeerMessage::Deliver(deliver) => deliver.marks.is_none(),
        PeerMessage::Replicate(_) => true,
        _ => false,
    }
}

/// What a directory remembers of a partition.
fn memory(store: &MemoryStore, partition: PartitionId) -> PartitionMemory {
    match Partitions::read(store, partition) {
        Ok(memory) => memory,
        Err(error) => panic!("a directory cannot be read: {error}"),
    }
}
