//! Newborn owners: a directory that does not hold its partitions' data yet.
//!
//! It neither accepts nor answers for them until one exchange with an established co-owner is complete and durable.
//! If all N owners are newborn there is nobody to learn from: they found the partition together.
//!
//! ```text
//! round 1: every co-owner says "newborn" (in start e1, e2 …)     a newborn owner becomes established only once per
//! round 2: every co-owner says it again, in the same starts      start, so between the two rounds all of them were
//!          ──→ founded                                           newborn at one moment: nobody's data is passed over
//! ```
//!
//! One question per newborn partition, co-owner and round.

use std::collections::{BTreeMap, BTreeSet};

use crate::causality::Epoch;
use crate::ids::{NodeId, PartitionId};
use crate::message::peer::{NewbornAnswer, NewbornQuery, PeerMessage};
use crate::shard::{Env, TimerKey, Turn};

/// Who is to own a partition and is not read yet is loaded by the owners of before ([`crate::transfer`]): it founds nothing.
/// They ask it, for it may have been loaded already.
fn may_found(env: &Env<'_>, partition: PartitionId) -> bool {
    env.ring.readers(partition).contains(&env.me)
}

/// What the newborn partitions of this shard have heard.
#[derive(Debug, Default)]
pub struct Newborns {
    round: u64,
    /// Per partition: who said in this round that it is newborn, and in which start.
    said: BTreeMap<PartitionId, BTreeMap<NodeId, Epoch>>,
    /// Per partition: the last round in which every co-owner said so, and what they said.
    said_by_all: BTreeMap<PartitionId, (u64, BTreeMap<NodeId, Epoch>)>,
}

/// What was learned about a newborn partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Every owner is newborn: it is founded.
    Founded(PartitionId),
    /// This co-owner has the data.
    Teacher(PartitionId, NodeId),
}

impl Newborns {
    /// The next round: asks every co-owner of every newborn partition. Partitions with one owner are founded at once.
    pub fn on_timer(&mut self, env: &Env<'_>, turn: &mut Turn) -> Vec<Finding> {
        self.round += 1;
        self.said.clear();
        let newborn: Vec<PartitionId> = turn
            .memories()
            .filter(|(partition, memory)| may_found(env, *partition) && !memory.is_established)
            .map(|(partition, _)| partition)
            .collect();
        let mut founded = Vec::new();
        for partition in &newborn {
            let owners = env.ring.owners(*partition);
            if owners.len() == 1 {
                founded.push(Finding::Founded(*partition));
            }
            for peer in owners.iter().filter(|owner| **owner != env.me) {
                let query = PeerMessage::NewbornQuery(NewbornQuery { round: self.round });
                turn.out.send(*peer, *partition, query);
            }
        }
        if newborn.len() > founded.len() {
            turn.out.set_timer(TimerKey::Newborn, env.now.mono.after(env.config.ping_interval));
        }
        founded
    }

    /// A co-owner asks. What became established must be durable before it is told: a crash would take it back.
    pub fn on_query(
        env: &Env<'_>,
        turn: &mut Turn,
        from: (NodeId, Epoch),
        partition: PartitionId,
        query: NewbornQuery,
    ) {
        if !env.ring.is_owner(partition, env.me) {
            return;
        }
        let (node, epoch) = from;
        let is_newborn = !turn.memory(partition).is_established;
        let answer = PeerMessage::NewbornAnswer(NewbornAnswer { round: query.round, epoch, is_newborn });
        turn.out.send_after(turn.memory_ticket(), node, partition, answer);
    }

    /// A co-owner answered, in its start `theirs`.
    pub fn on_answer(
        &mut self,
        env: &Env<'_>,
        turn: &Turn,
        from: (NodeId, Epoch),
        partition: PartitionId,
        answer: NewbornAnswer,
    ) -> Option<Finding> {
        let (node, theirs) = from;
        if !may_found(env, partition) || turn.memory(partition).is_established {
            return None;
        }
        if !answer.is_newborn {
            return Some(Finding::Teacher(partition, node));
        }
        if answer.round != self.round {
            return None;
        }
        let said = self.said.entry(partition).or_default();
        said.insert(node, theirs);
        let co_owners: BTreeSet<NodeId> =
            env.ring.owners(partition).iter().copied().filter(|owner| *owner != env.me).collect();
        if said.keys().copied().collect::<BTreeSet<_>>() != co_owners {
            return None;
        }
        match self.said_by_all.get(&partition) {
            Some((round, earlier)) if *round < self.round && earlier == said => Some(Finding::Founded(partition)),
            Some((round, _)) if *round == self.round => None,
            Some(_) | None => {
                self.said_by_all.insert(partition, (self.round, said.clone()));
                None
            }
        }
    }
}
