//! What must be true at rest: every increment counts as often as its client was told.

use starling::ids::NodeId;
use starling::storage::RowKey;

use super::cluster::Cluster;
use super::record::Certainty;
use super::rows::Family;

impl Cluster {
    /// Compares what every owner holds with what clients were told.
    pub fn check_finals(&mut self) {
        let keys = self.clients.keys().to_vec();
        for (key, name) in keys.iter().enumerate() {
            let owners: Vec<NodeId> = self.ring.owners(self.ring.partition_of(name)).to_vec();
            let main = RowKey::main(name);
            for owner in owners {
                let Some(it) = self.nodes.iter().find(|it| it.id == owner) else { continue };
                let family = Family::of(&it.store, &main);
                self.check_increments(key as u8, owner, &family);
            }
        }
    }

    /// Each counts exactly once if it was acknowledged, never if it was refused, and at most once in any case.
    fn check_increments(&mut self, key: u8, owner: NodeId, family: &Family) {
        let digits = family.digits();
        let wrong: Vec<String> = self
            .record
            .increments(key)
            .iter()
            .enumerate()
            .filter_map(|(number, increment)| {
                let (count, certainty) = (digits.counted(number), increment.certainty());
                let is_right = match certainty {
                    Certainty::Must => count == 1,
                    Certainty::May => count <= 1,
                    Certainty::MustNot => count == 0,
                };
                let who = increment.session.map_or("no session".to_owned(), |actor| format!("session {actor}"));
                (!is_right).then(|| format!("increment {number} ({who}) counts {count} times and {certainty:?} count"))
            })
            .collect();
        if !wrong.is_empty() {
            self.wrong("exactly once", format!("key {key} at {owner}: {}", wrong.join("; ")));
        }
    }
}
