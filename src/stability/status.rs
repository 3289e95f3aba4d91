//! What `status` shows: the partitions that are not settled, and whom they wait for.

use super::*;
use crate::message::client::PartitionStability;

impl Stability {
    /// The own partitions in which something is not settled.
    pub fn settling<'a>(
        &self,
        env: &'a Env<'_>,
        turn: &'a Turn,
    ) -> impl Iterator<Item = (PartitionId, PartitionMemory)> + 'a {
        turn.memories().filter(|(partition, memory)| {
            let is_behind = memory.newest > memory.compacted || memory.folded < memory.compacted;
            is_behind && env.ring.is_owner(*partition, env.me)
        })
    }

    /// Of these, up to `count`, and whom they wait for; those that wait come first.
    pub fn status(&self, env: &Env<'_>, turn: &Turn, count: usize) -> Vec<PartitionStability> {
        let mut all: Vec<PartitionStability> = self
            .settling(env, turn)
            .map(|(partition, memory)| {
                let part = self.parts.get(&partition);
                let counted = part.and_then(|part| part.count);
                PartitionStability {
                    partition,
                    sealed: memory.sealed,
                    frozen: memory.frozen,
                    compacted: memory.compacted,
                    folded: memory.folded,
                    newest: memory.newest,
                    unsettled_rows: counted.map(|count| count.unsettled_rows),
                    unsettled_bytes: counted.map(|count| count.unsettled_bytes),
                    waiting: part.map(|part| part.waiting.clone()).unwrap_or_default(),
                }
            })
            .collect();
        all.sort_by_key(|settling| (settling.waiting.is_empty(), settling.partition));
        all.truncate(count);
        all
    }
}
