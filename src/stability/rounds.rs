//! Rounds: who is asked when, and what is answered.
//!
//! ```text
//! timer ──partitions with something to settle──→ StabilityQuery to the accept set ──→ StabilityAnswer ──→ steps.rs
//!       ──an owner that is the whole accept set──────────────────────────────────────────────────────────→ steps.rs
//! a peer answers again, or speaks from an unknown directory ──→ the same, to that peer alone
//! ```
//!
//! Only answers to the present round count, the first of each node, and a round ends when another start of a node is heard.
//! Who speaks from another directory than before takes back all that it said, and voids what was reported with it.

use super::*;

impl Stability {
    /// Asks about the partitions that have something to settle, and, for those of which this node is a fallback without a
    /// past, how far they are sealed.
    pub fn on_timer(&mut self, env: &Env<'_>, turn: &mut Turn, next_op: impl FnMut() -> OpId) {
        if !env.config.stability {
            return;
        }
        if !std::mem::replace(&mut self.has_looked, true) {
            // Once per start: finds the deadlines and the ticks that only the disk remembers.
            for (partition, _) in turn.memories().filter(|(partition, _)| env.ring.is_owner(*partition, env.me)) {
                self.scans.wish(partition, Purpose::Measure);
            }
        }
        let strangers: Vec<PartitionId> = turn
            .memories()
            .filter(|(partition, memory)| {
                let is_to_learn = Standing::is_loading(env, turn, *partition) && !memory.knows_seal;
                !memory.is_established && (is_fallback(env, *partition) || is_to_learn)
            })
            .map(|(partition, _)| partition)
            .take(PARTITIONS_PER_ROUND_MAX)
            .collect();
        for partition in &strangers {
            self.begin_round(env, turn, *partition, Want::Answer);
        }
        if self.rounds_at <= env.now.mono {
            self.rounds_at = env.now.mono.after(env.config.stability_interval);
            self.begin_rounds(env, turn);
        }
        self.scans.begin(env, turn, next_op);
        let pause = if strangers.is_empty() { env.config.stability_interval } else { env.config.ping_interval };
        turn.out.set_timer(TimerKey::Stability, env.now.mono.after(pause.min(env.config.stability_interval)));
    }

    pub(super) fn begin_rounds(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let due: Vec<(PartitionId, Want)> = turn
            .memories()
            .filter(|(partition, memory)| may_act(memory) && env.ring.is_owner(*partition, env.me))
            .filter(|(partition, _)| may_settle(env, *partition))
            .filter_map(|(partition, _)| Some((partition, self.wanted(env, turn, partition)?)))
            .collect();
        let turn_of = |partition: PartitionId| self.cursor.is_some_and(|cursor| partition <= cursor);
        let mut order: Vec<(PartitionId, Want)> = due.iter().copied().filter(|due| !turn_of(due.0)).collect();
        order.extend(due.iter().copied().filter(|due| turn_of(due.0)));
        order.truncate(PARTITIONS_PER_ROUND_MAX);
        self.cursor = order.last().map(|(partition, _)| *partition);
        for (partition, want) in order {
            self.begin_round(env, turn, partition, want);
            if env.ring.accept_set(partition) == [env.me] {
                // No answer will come that would let it go on.
                let hurries = self.advance(env, turn, partition);
                debug_assert!(hurries.is_empty(), "there is nobody to compare with");
            }
            self.measure(env, partition);
        }
        let is_due: BTreeSet<PartitionId> = due.iter().map(|(partition, _)| *partition).collect();
        self.parts.retain(|partition, part| {
            let is_awake = is_due.contains(partition) || part.is_awake(env);
            is_awake || turn.memory(*partition).is_unswept || !turn.memory(*partition).is_established
        });
        let unswept: Vec<PartitionId> =
            turn.memories().filter(|(_, memory)| memory.is_unswept).map(|(partition, _)| partition).collect();
        for partition in unswept {
            self.sweep(env, turn, partition);
        }
    }

    /// What an established owner wants of the others; `None` if it has nothing to settle, and nobody else has.
    pub(super) fn wanted(&self, env: &Env<'_>, turn: &Turn, partition: PartitionId) -> Option<Want> {
        let memory = turn.memory(partition);
        let is_under_way = memory.frozen > memory.compacted || memory.folded < memory.compacted;
        let is_asked = self.parts.get(&partition).is_some_and(|part| part.is_awake(env));
        let oldest = turn.footing().oldest(partition, memory.compacted).filter(|_| memory.newest > memory.compacted);
        match oldest {
            Some(oldest) if oldest <= env.sealable() => Some(Want::Seal(oldest)),
            Some(_) | None if is_under_way => Some(Want::Help),
            Some(_) | None if is_asked => Some(Want::Answer),
            Some(_) | None => None,
        }
    }

    pub(super) fn begin_round(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId, want: Want) {
        if let Want::Seal(tick) = want {
            self.seal(env, turn, partition, tick);
        }
        self.round += 1;
        self.parts.entry(partition).or_default().begin(self.round, env.now.mono);
        for node in env.ring.accept_set(partition).iter().filter(|node| **node != env.me) {
            if env.liveness.is_reachable(*node) {
                ask(env, turn, partition, *node, self.round, want);
            }
        }
    }

    /// A peer answers again, perhaps from another directory: asks it about a partition that both have to do with.
    pub fn greet(&mut self, env: &Env<'_>, turn: &mut Turn, node: NodeId) {
        let shared = env.ring.partitions().find(|partition| {
            env.scope.has(*partition) && env.ring.accepts(*partition, env.me) && env.ring.accepts(*partition, node)
        });
        if let Some(partition) = shared {
            self.ask_again(env, turn, partition, node);
        }
    }

    /// Asks one node in which directory it is, in a round of its own if it has answered the present one.
    pub fn ask_again(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId, node: NodeId) {
        if !env.config.stability {
            return;
        }
        let part = self.parts.entry(partition).or_default();
        if part.round == 0 || part.said.contains_key(&node) {
            self.round += 1;
            part.begin(self.round, env.now.mono);
        }
        ask(env, turn, partition, node, part.round, Want::Answer);
    }

    /// Another node asks: seals what it can, and answers when all that it says is durable.
    pub fn on_query(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        from: (NodeId, Epoch),
        (partition, layout): (PartitionId, u64),
        query: StabilityQuery,
        next_op: impl FnMut() -> OpId,
    ) {
        let (node, epoch) = from;
        if !env.ring.accepts(partition, env.me) || !env.ring.accepts(partition, node) {
            return;
        }
        if turn.footing().incarnation_of(node).is_some_and(|known| known != query.marks.incarnation) {
            self.on_other_directory(turn, node);
        }
        let is_current = layout == env.ring.epoch().number;
        if query.is_needed && is_current {
            self.parts.entry(partition).or_default().asked_at = Some(env.now.mono);
        }
        if query.wanted > Tick(0) && is_current {
            self.seal(env, turn, partition, query.wanted);
        }
        self.scans.begin(env, turn, next_op);
        let state = self.state(env, turn, partition);
        let answer = PeerMessage::StabilityAnswer(Box::new(StabilityAnswer { round: query.round, epoch, state }));
        turn.out.send_after(turn.memory_ticket(), node, partition, answer);
    }

    /// A node answered a question of this start. Says which exchanges are needed.
    pub fn on_answer(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        from: NodeId,
        (partition, layout): (PartitionId, u64),
        answer: StabilityAnswer,
        next_op: impl FnMut() -> OpId,
    ) -> Vec<Hurry> {
        let Some(part) = self.parts.get_mut(&partition) else { return Vec::new() };
        if answer.round != part.round || part.said.contains_key(&from) {
            return Vec::new();
        }
        let state = answer.state;
        if turn.footing_mut().learn(from, state.marks.incarnation) {
            self.on_other_directory(turn, from);
            turn.footing_mut().learn(from, state.marks.incarnation);
        }
        if layout != env.ring.epoch().number {
            // It counts other nodes as owners, or has not stopped settling for those who come.
            return Vec::new();
        }
        if Standing::is_loading(env, turn, partition) {
            return self.on_answer_to_come(env, turn, (partition, from), state);
        }
        if is_fallback(env, partition) && !turn.memory(partition).is_established {
            let is_alike = state.lifetimes == self.state(env, turn, partition).lifetimes;
            if state.standing == StabilityStanding::Owner && is_alike {
                turn.change_memory(partition, |memory| {
                    memory.sealed = memory.sealed.max(state.marks.sealed);
                    memory.is_established = true;
                });
                turn.out.observe(Observation::Established { partition, is_founding: false });
            }
            return Vec::new();
        }
        if let Some(part) = self.parts.get_mut(&partition) {
            part.said.insert(from, state);
        }
        let hurries = self.advance(env, turn, partition);
        self.scans.begin(env, turn, next_op);
        hurries
    }

    /// An owner to come takes the seal of one established owner of before that acts by the same layout: nobody freezes what that
    /// one has not sealed, and its word counts in no older round any more. Never frozen what is only sealed: a hint of that would
    /// be refused here, and could never be delivered.
    fn on_answer_to_come(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        (partition, from): (PartitionId, NodeId),
        state: StabilityState,
    ) -> Vec<Hurry> {
        let is_alike = state.lifetimes == self.state(env, turn, partition).lifetimes;
        let is_teacher = state.standing == StabilityStanding::Owner && env.ring.readers(partition).contains(&from);
        if is_teacher && is_alike && !turn.memory(partition).knows_seal {
            turn.learn_seal(partition, state.marks.sealed, state.marks.frozen);
        }
        if let Some(part) = self.parts.get_mut(&partition) {
            part.said.insert(from, state);
        }
        if is_teacher { vec![Hurry { partition, node: from }] } else { Vec::new() }
    }

    /// Another start of a node is heard: a round that began before may hold what its earlier start said, and what others
    /// said who rested on that. A directory that was replaced by an earlier copy does not hold it any more.
    pub fn on_other_start(&mut self, env: &Env<'_>, node: NodeId) {
        if mutation::is_off(Mutation::StartsShareRounds) {
            return;
        }
        for part in self.parts.iter_mut().filter(|(partition, _)| env.ring.accepts(**partition, node)) {
            part.1.end_round();
        }
    }

    /// A node speaks from another directory than before: what its earlier one said, and what rests on that, is void.
    pub(super) fn on_other_directory(&mut self, turn: &mut Turn, node: NodeId) {
        turn.footing_mut().doubt(node);
        if mutation::is_off(Mutation::ReportsSurviveWipe) {
            return;
        }
        for (partition, part) in &mut self.parts {
            part.said.remove(&node);
            part.void();
            turn.footing_mut().unwatch(*partition);
        }
    }
}

#[cfg(test)]
impl Stability {
    /// Its present round.
    pub fn round_of(&self, partition: PartitionId) -> u64 {
        self.parts.get(&partition).map_or(0, |part| part.round)
    }

    /// Whether a node's answer counts.
    pub fn has_said(&self, partition: PartitionId, node: NodeId) -> bool {
        self.parts.get(&partition).is_some_and(|part| part.said.contains_key(&node))
    }
}
