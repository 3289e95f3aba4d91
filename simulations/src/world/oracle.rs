//! What only a world can see: the rows of all nodes at once, read without their faults.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use starling::antientropy::tree::{self, MerkleTree};
use starling::council::stored_layout;
use starling::ids::{NodeId, PartitionId};
use starling::membership::{LayoutEpoch, Phase};
use starling::replica::StoredRow;
use starling::storage::memory::MemoryFaults;
use starling::storage::{PageLimit, Range, RowKey, RowKind, Space, Store};

use starling::time::Timestamp;

use super::World;
use super::node::Node;

/// Every stored row, by row and by node.
pub type StoredRows = BTreeMap<RowKey, BTreeMap<NodeId, StoredRow>>;

/// Why the cluster is not at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A node does not run, or stands still.
    Down(NodeId),
    /// An owner's row differs from another owner's, or is missing.
    Row(RowKey, Vec<NodeId>),
    /// A node holds a row that is not its own.
    Foreign(RowKey, NodeId),
    /// A node owes something.
    Debts(NodeId, usize),
    /// A node has entries in its ledger, or open requests.
    Busy(NodeId, u64),
    /// An owner has not taken over its data.
    Newborn(NodeId, u32),
    /// A node does not see another.
    Suspects(NodeId, NodeId),
    /// A change of the members is under way.
    Changing(Phase),
    /// A member has not taken up the last layout.
    Behind(NodeId),
    /// A node knows of two live starts of a member, maybe of its own.
    Contested(NodeId, NodeId),
    /// The tree that a node has kept up says something else than the rows on its disk.
    Tree(NodeId, PartitionId),
}

impl World {
    /// Whether a node's disk counts: it is a member, and was not declared lost. What a member that leaves still has is handed
    /// over before it is none any more; what is left with one whose joining was taken back counts for nobody: until then every
    /// write had its W among the owners of before.
    pub fn counts(&self, node: NodeId) -> bool {
        let ring = self.ring();
        ring.layout().members.iter().any(|member| member.id == node) && !ring.is_fenced(node)
    }

    /// The newest layout that stands on a node's disk, or in its bundle.
    pub fn layout_on_disk(&self, node: usize) -> Option<LayoutEpoch> {
        let bundle = self.layouts().first().map(|founding| founding.ring.epoch());
        let store = &self.node(node).store;
        let faults = store.faults();
        store.set_faults(MemoryFaults::default());
        let stored = stored_layout(store).ok().flatten().map(|layout| layout.epoch);
        store.set_faults(faults);
        bundle.into_iter().chain(stored).max_by_key(|epoch| epoch.number)
    }

    fn kept_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes().iter().filter(|node| self.counts(node.id))
    }

    /// Every row of every node, decoded, but of those that were declared lost. A row that cannot be decoded is a fault of
    /// the core, and ends the world.
    pub fn stored_rows(&self) -> StoredRows {
        let mut rows = StoredRows::new();
        for node in self.kept_nodes() {
            for (key, value) in entries(self, node.id, Space::Rows) {
                let parsed = RowKey::parse(key).map_err(|error| error.to_string());
                let stored = StoredRow::decode(&value).map_err(|error| error.to_string());
                match (parsed, stored) {
                    (Ok(row), Ok(stored)) => {
                        rows.entry(row).or_default().insert(node.id, stored);
                    }
                    (Err(error), _) | (_, Err(error)) => panic!("{} stores a malformed row: {error}", node.id),
                }
            }
        }
        rows
    }

    /// Rows of sessions on all nodes together.
    pub fn session_rows(&self) -> usize {
        let of_node = |node: &Node| {
            let rows = entries(self, node.id, Space::Rows);
            rows.into_iter()
                .filter_map(|(key, _)| RowKey::parse(key).ok())
                .filter(|row| row.kind() == RowKind::Session)
                .count()
        };
        self.kept_nodes().map(of_node).sum()
    }

    /// Entries of a space of a node.
    pub fn entries_of(&self, node: NodeId, space: Space) -> Vec<(Bytes, Bytes)> {
        entries(self, node, space)
    }

    /// What keeps the cluster from being at rest, at most `most` findings; empty: every owner of every row has the
    /// same, nobody owes anything, and nobody holds what is not its own.
    pub fn unrest(&self, most: usize) -> Vec<Difference> {
        let mut found = self.cheap_unrest();
        if !found.is_empty() {
            found.truncate(most);
            return found;
        }
        let partitions = self.ring().layout().partitions;
        let mut states: BTreeMap<RowKey, BTreeMap<NodeId, Bytes>> = BTreeMap::new();
        for node in self.kept_nodes() {
            for (key, value) in entries(self, node.id, Space::Rows) {
                let state = StoredRow::state_bytes(&value);
                if let (Ok(row), Ok(state)) = (RowKey::parse(key), state) {
                    states.entry(row).or_default().insert(node.id, state);
                }
            }
        }
        found.extend(self.wrong_trees());
        for (row, by_node) in states {
            let owners = self.ring().owners(row.partition(partitions));
            for node in by_node.keys().filter(|node| !owners.contains(node)) {
                found.push(Difference::Foreign(row.clone(), *node));
            }
            let first = owners.first().and_then(|owner| by_node.get(owner));
            if owners.iter().any(|owner| by_node.get(owner) != first || first.is_none()) {
                found.push(Difference::Row(row.clone(), owners.to_vec()));
            }
            if found.len() >= most {
                break;
            }
        }
        found
    }

    /// Trees that are not what a look through the rows of their node adds up to.
    fn wrong_trees(&self) -> Vec<Difference> {
        let partitions = self.ring().layout().partitions;
        let mut wrong = Vec::new();
        for node in self.nodes() {
            let mut scanned: BTreeMap<PartitionId, MerkleTree> = BTreeMap::new();
            for (key, value) in entries(self, node.id, Space::Rows) {
                let Ok(row) = RowKey::parse(key) else { continue };
                let partition = row.partition(partitions);
                let tree = scanned.entry(partition).or_insert_with(|| MerkleTree::new(partition, partitions));
                tree.replace(row.as_bytes(), None, tree::contribution(row.as_bytes(), &value));
            }
            let shards = node.process.iter().flat_map(|process| &process.shards);
            for (partition, kept) in shards.flat_map(|slot| slot.shard.trees().iter()) {
                let empty = MerkleTree::new(partition, partitions);
                if !kept.means(scanned.get(&partition).unwrap_or(&empty)) {
                    wrong.push(Difference::Tree(node.id, partition));
                }
            }
        }
        wrong
    }

    /// The most that any wall clock was off so far.
    pub fn skew_bound(&self) -> Duration {
        self.skew_bound
    }

    /// When the pauses end that are under way at `at`, of one node or of all, and those that follow without a gap;
    /// `at` itself if there are none.
    pub fn pauses_end(&self, node: Option<usize>, at: Timestamp) -> Timestamp {
        let mut end = at;
        loop {
            let asked = self.nodes().iter().enumerate().filter(|(number, _)| node.is_none_or(|node| node == *number));
            let under_way =
                asked.flat_map(|(_, node)| &node.pauses).filter(|(from, until)| *from <= end && end < *until);
            match under_way.map(|(_, until)| *until).max() {
                Some(until) => end = until,
                None => return end,
            }
        }
    }

    fn cheap_unrest(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        let (phase, layout) = (self.ring().layout().phase, self.ring().epoch());
        if !phase.is_steady() {
            found.push(Difference::Changing(phase));
        }
        for (number, node) in self.nodes().iter().enumerate() {
            let debts = node.store.len(Space::Debts);
            if debts > 0 && self.counts(node.id) {
                found.push(Difference::Debts(node.id, debts));
            }
            if !self.is_member(number) {
                continue;
            }
            if node.ring.epoch() != layout {
                found.push(Difference::Behind(node.id));
            }
            let is_paused = node.paused_until.is_some_and(|until| until > self.now());
            if !node.is_up() || is_paused {
                found.push(Difference::Down(node.id));
                continue;
            }
            for status in self.status(number) {
                let open = status.ledger_entries + status.open_ops;
                if open > 0 {
                    found.push(Difference::Busy(node.id, open));
                }
                let unseen = status.peers.iter().filter(|peer| !peer.is_reachable);
                found.extend(unseen.map(|peer| Difference::Suspects(node.id, peer.node)));
                let contested = status.peers.iter().filter(|peer| peer.is_contested).map(|peer| peer.node);
                let own = status.rival.is_some().then_some(node.id);
                found.extend(contested.chain(own).map(|claimed| Difference::Contested(node.id, claimed)));
                if status.newborn_partitions > 0 {
                    found.push(Difference::Newborn(node.id, status.newborn_partitions));
                }
            }
        }
        found
    }
}

fn entries(world: &World, node: NodeId, space: Space) -> Vec<(Bytes, Bytes)> {
    let store = &world.node(world.number_of(node)).store;
    let faults = store.faults();
    store.set_faults(MemoryFaults { sees_through_rot: true, ..MemoryFaults::default() });
    let everything = Range { start: Bytes::new(), end: None };
    let limit = PageLimit { rows: usize::MAX, bytes: usize::MAX };
    let page = store.scan(space, &everything, limit);
    store.set_faults(faults);
    match page {
        Ok(page) => page.entries,
        Err(error) => panic!("the memory of {node} cannot be read: {error}"),
    }
}
