//! Stability: what may be forgotten, by proof and never by a timer.
//!
//! Actors expire; once all that they did up to a tick is known to be the same on every owner, it is replaced by its sum,
//! and deletions that everybody knows are forgotten. Per partition, and per tick:
//!
//! ```text
//!          R6 all seal            R7 all have sealed          R9 all owners' reports equal       R10 the same, baselines
//! events ──────────────→ sealed ─────────────────────→ frozen ───────────────────────────→ compacted ─────────────→ folded
//! accepted          clients refused           changed by exchange only      │ R8 survey,        │ ignored         │ tombstones
//!                   (a fallback has            between known directories     │ report of what   ↓                 ↓ forgotten
//!                    none left)                                              │ is durable       sweep: rows rewritten, deleted
//! ```
//!
//! Every owner with something to settle asks the accept set once per `stability_interval` and acts on the answers to its
//! present round alone (`decide`): no vote, no leader. A node that is down stops this for the partitions whose accept set
//! it is in, and no write. What must survive a crash stands in `PartitionMemory`; the rest is asked and surveyed again.
//!
//! ```text
//! mod.rs      rounds: who is asked when, and what is answered      seal.rs     when a tick may be sealed
//! decide.rs   the rules, as a pure function of the answers         scan.rs     surveys and sweeps, page by page
//! footing.rs  what turns must know while they change rows          normal.rs   a row with what is settled summed up
//! waiting.rs  who waits for whom, for `status`                     part.rs     what is known of one partition
//! ```
//!
//! Called by the shard. Costs nothing for a partition in which nothing can be settled; else one message per node of the
//! accept set and interval, one survey and one sweep of the partition per step. Bounded: partitions per round, scans at
//! once, pages. Source: rules R1 to R11 of the counters that count exactly once.

pub mod decide;
mod footing;
pub mod normal;
mod part;
mod scan;
mod seal;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

pub use decide::{Step, View};
pub use footing::{Footing, Held, Watch};
pub use scan::{Found, Purpose};
pub use seal::holds_back;
pub use waiting::{Need, PartitionStability, Waiting};

use crate::causality::{Epoch, Tick};
use crate::ids::{NodeId, OpId, PartitionId};
use crate::message::peer::{
    Marks, PeerMessage, Report, StabilityAnswer, StabilityQuery, StabilityStanding, StabilityState,
};
use crate::mutation::{self, Mutation};
use crate::replica::PartitionMemory;
use crate::shard::{Env, Local, Observation, TimerKey, Turn};
use crate::storage::{Page, StoreError};
use crate::time::Timestamp;
use part::Part;
use scan::Scans;

/// Partitions asked about at one firing of the timer; the others follow at the next ones.
const PARTITIONS_PER_ROUND_MAX: usize = 256;

/// Who was asked by another node stays awake for so many intervals.
const AWAKE_INTERVALS: u32 = 3;

/// A partition that waits is measured once in so many intervals.
const MEASURE_INTERVALS: u32 = 12;

/// Largest number by which the pause between two comparisons of unequal owners is doubled.
const COMPARE_DOUBLINGS_MAX: u32 = 4;

/// An exchange that is needed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hurry {
    /// Of which partition.
    pub partition: PartitionId,
    /// With whom.
    pub node: NodeId,
}

/// A survey whose rows are durable now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// The dialogue.
    pub op: OpId,
    /// Where.
    pub partition: PartitionId,
    /// Of entries.
    pub entries: Report,
    /// Of baselines.
    pub baselines: Report,
}

/// What a question is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// That this tick be sealed.
    Seal(Tick),
    /// That a step which is under way go on.
    Help,
    /// Only the answer.
    Answer,
}

/// The settling of one shard's partitions.
#[derive(Debug, Default)]
pub struct Stability {
    round: u64,
    rounds_at: Timestamp,
    /// The partition after which the next round begins.
    cursor: Option<PartitionId>,
    parts: BTreeMap<PartitionId, Part>,
    scans: Scans,
    /// Owners that are ahead, and from whom this node must take over what they have settled.
    catching_up: BTreeSet<(PartitionId, NodeId)>,
}

/// Rounds.
impl Stability {
    /// Asks about the partitions that have something to settle, and, for those of which this node is a fallback without a
    /// past, how far they are sealed.
    pub fn on_timer(&mut self, env: &Env<'_>, turn: &mut Turn, next_op: impl FnMut() -> OpId) {
        if !env.config.stability {
            return;
        }
        let strangers: Vec<PartitionId> = turn
            .memories()
            .filter(|(partition, memory)| !memory.is_established && is_fallback(env, *partition))
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

    fn begin_rounds(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let due: Vec<(PartitionId, Want)> = turn
            .memories()
            .filter(|(partition, memory)| may_act(memory) && env.ring.is_owner(*partition, env.me))
            .filter_map(|(partition, _)| Some((partition, self.wanted(env, turn, partition)?)))
            .collect();
        let turn_of = |partition: PartitionId| self.cursor.is_some_and(|cursor| partition <= cursor);
        let mut order: Vec<(PartitionId, Want)> = due.iter().copied().filter(|due| !turn_of(due.0)).collect();
        order.extend(due.iter().copied().filter(|due| turn_of(due.0)));
        order.truncate(PARTITIONS_PER_ROUND_MAX);
        self.cursor = order.last().map(|(partition, _)| *partition);
        for (partition, want) in order {
            self.begin_round(env, turn, partition, want);
            self.measure(env, partition);
        }
        self.parts.retain(|partition, part| {
            let is_awake = due.iter().any(|(due, _)| due == partition) || part.is_awake(env);
            is_awake || turn.memory(*partition).is_unswept || !turn.memory(*partition).is_established
        });
        let unswept: Vec<PartitionId> =
            turn.memories().filter(|(_, memory)| memory.is_unswept).map(|(partition, _)| partition).collect();
        for partition in unswept {
            self.sweep(turn, partition);
        }
    }

    /// What an established owner wants of the others; `None` if it has nothing to settle, and nobody else has.
    fn wanted(&self, env: &Env<'_>, turn: &Turn, partition: PartitionId) -> Option<Want> {
        let memory = turn.memory(partition);
        let is_under_way = memory.frozen > memory.compacted || memory.folded < memory.compacted;
        let is_asked = self.parts.get(&partition).is_some_and(|part| part.is_awake(env));
        let oldest = turn.footing().oldest(partition, memory.compacted).filter(|_| memory.newest > memory.compacted);
        match oldest {
            Some(oldest) if oldest <= seal::sealable(env) => Some(Want::Seal(oldest)),
            Some(_) | None if is_under_way => Some(Want::Help),
            Some(_) | None if is_asked => Some(Want::Answer),
            Some(_) | None => None,
        }
    }

    fn begin_round(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId, want: Want) {
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
        partition: PartitionId,
        query: StabilityQuery,
        next_op: impl FnMut() -> OpId,
    ) {
        let (node, epoch) = from;
        if !env.ring.accepts(partition, env.me) || !env.ring.accepts(partition, node) {
            return;
        }
        if turn.footing().incarnation_of(node).is_some_and(|known| known != query.incarnation) {
            self.on_other_directory(turn, node);
        }
        if query.is_needed {
            self.parts.entry(partition).or_default().asked_at = Some(env.now.mono);
        }
        if query.wanted > Tick(0) {
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
        partition: PartitionId,
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
        if is_fallback(env, partition) && !turn.memory(partition).is_established {
            if state.standing == StabilityStanding::Owner {
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

    /// A node speaks from another directory than before: what its earlier one said, and what rests on that, is void.
    fn on_other_directory(&mut self, turn: &mut Turn, node: NodeId) {
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

/// Steps.
impl Stability {
    /// R6: seals what the clock allows, if the wanted tick is not sealed yet.
    fn seal(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId, wanted: Tick) {
        let memory = turn.memory(partition);
        let tick = seal::sealable(env);
        if !may_act(&memory) || memory.sealed >= wanted || tick < wanted || !seal::is_worthwhile(env, partition) {
            return;
        }
        if env.ring.is_owner(partition, env.me) {
            turn.change_memory(partition, |memory| memory.sealed = tick);
            turn.out.observe(Observation::Sealed { partition, tick });
        } else {
            turn.refuse(partition, tick);
            self.scans.wish(partition, Purpose::Seal(tick));
        }
    }

    /// Does what the answers allow. Says which exchanges are needed.
    fn advance(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId) -> Vec<Hurry> {
        let memory = turn.memory(partition);
        if !may_act(&memory) || !env.ring.is_owner(partition, env.me) || !env.config.stability {
            return Vec::new();
        }
        loop {
            let own = self.state(env, turn, partition);
            let Some(part) = self.parts.get_mut(&partition) else { return Vec::new() };
            let (owners, accept_set) = (env.ring.owners(partition), env.ring.accept_set(partition));
            let view = View { me: env.me, owners, accept_set, own: &own, said: &part.said };
            let step = decide::next(&view);
            part.waiting.clear();
            match step {
                // Each of these moves a tick on, and there are few ticks to move.
                Step::Freeze(tick) => {
                    turn.change_memory(partition, |memory| memory.frozen = tick);
                    turn.out.observe(Observation::Frozen { partition, tick });
                }
                Step::Compact(tick) => {
                    part.compared = 0;
                    self.compact(turn, partition, tick);
                }
                Step::Fold(tick) => {
                    turn.change_memory(partition, |memory| {
                        memory.folded = tick;
                        memory.is_unswept = true;
                    });
                    turn.footing_mut().unwatch(partition);
                    turn.settle_loaded(partition);
                    turn.out.observe(Observation::Folded { partition, tick });
                    self.sweep(turn, partition);
                }
                Step::Survey(entries, baselines) => {
                    let purpose = Purpose::Report(entries, baselines);
                    if !self.scans.is_under_way(partition, purpose) {
                        self.scans.wish(partition, purpose);
                    }
                    return Vec::new();
                }
                Step::Compare(nodes) => {
                    part.waiting = nodes.iter().copied().map(Need::Exchange.of()).collect();
                    if part.compare_at > env.now.mono {
                        return Vec::new();
                    }
                    let pause = env.config.stability_interval * (1 << part.compared.min(COMPARE_DOUBLINGS_MAX));
                    part.compared = part.compared.saturating_add(1);
                    part.compare_at = env.now.mono.after(pause);
                    return nodes.into_iter().map(|node| Hurry { partition, node }).collect();
                }
                Step::CatchUp(node) => {
                    part.waiting = vec![Need::Exchange.of()(node)];
                    self.catching_up.insert((partition, node));
                    return vec![Hurry { partition, node }];
                }
                Step::Wait(waiting) => {
                    part.waiting = waiting;
                    return Vec::new();
                }
            }
        }
    }

    /// R9.
    fn compact(&mut self, turn: &mut Turn, partition: PartitionId, tick: Tick) {
        turn.change_memory(partition, |memory| {
            memory.compacted = tick;
            memory.is_unswept = true;
        });
        turn.footing_mut().unwatch_entries(partition);
        turn.footing_mut().settle(partition, tick);
        turn.settle_loaded(partition);
        turn.out.observe(Observation::Compacted { partition, tick });
        self.sweep(turn, partition);
    }

    /// Sweeps out what has been settled, soon.
    fn sweep(&mut self, turn: &Turn, partition: PartitionId) {
        if !self.scans.is_under_way(partition, Purpose::Sweep) {
            let memory = turn.memory(partition);
            self.parts.entry(partition).or_default().sweep_of = (memory.compacted, memory.folded);
            self.scans.wish(partition, Purpose::Sweep);
        }
    }

    /// A partition that waits is measured now and then, for `status`.
    fn measure(&mut self, env: &Env<'_>, partition: PartitionId) {
        let Some(part) = self.parts.get(&partition) else { return };
        let is_old = part.count.is_none()
            || env.now.mono.since(part.counted_at) >= env.config.stability_interval * MEASURE_INTERVALS;
        if is_old && !part.waiting.is_empty() {
            self.scans.wish(partition, Purpose::Measure);
        }
    }

    /// The own state, as it is told to others.
    fn state(&self, env: &Env<'_>, turn: &Turn, partition: PartitionId) -> StabilityState {
        let memory = turn.memory(partition);
        let standing = match (may_act(&memory), env.ring.is_owner(partition, env.me)) {
            (true, true) => StabilityStanding::Owner,
            (true, false) => StabilityStanding::Fallback,
            (false, _) => StabilityStanding::Newborn,
        };
        let owners = env.ring.owners(partition).iter();
        let directory = |node: &NodeId| match *node == env.me {
            true => Some((*node, env.incarnation)),
            false => Some((*node, turn.footing().incarnation_of(*node)?)),
        };
        let tags = owners.filter_map(directory).collect();
        let part = self.parts.get(&partition);
        let watch = turn.footing().watch_of(partition);
        // A report that has been acted on stays; one that has not counts only while its rows are as they were.
        let report = part.and_then(|part| part.report).filter(|report| {
            report.tick <= memory.compacted || watch.is_some_and(|watch| watch.entries == Some(report.tick))
        });
        let baseline_report = part.and_then(|part| part.baseline_report).filter(|report| {
            report.tick <= memory.folded || watch.is_some_and(|watch| watch.baselines == Some(report.tick))
        });
        StabilityState { standing, marks: marks(env, turn, partition), tags, report, baseline_report }
    }
}

/// Scans.
impl Stability {
    /// Whether a dialogue is a scan of this part.
    pub fn has(&self, op: OpId) -> bool {
        self.scans.has(op)
    }

    /// The pause after a page is over.
    pub fn on_scan_timer(&mut self, turn: &mut Turn, op: OpId) {
        self.scans.on_timer(turn, op);
    }

    /// A page of a scan was read.
    pub fn on_page(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<Page, StoreError>,
        next_op: impl FnMut() -> OpId,
    ) {
        let found = self.scans.on_page(env, turn, op, outcome);
        self.on_found(env, turn, found, next_op);
    }

    /// A row of a sweep was settled, or could not be.
    pub fn on_settled(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        is_done: bool,
        next_op: impl FnMut() -> OpId,
    ) {
        let found = self.scans.on_settled(env, turn, op, is_done);
        self.on_found(env, turn, found, next_op);
    }

    fn on_found(&mut self, env: &Env<'_>, turn: &mut Turn, found: Option<Found>, next_op: impl FnMut() -> OpId) {
        let Some(Found { op, partition, purpose, is_whole, count }) = found else { return };
        let memory = turn.memory(partition);
        let part = self.parts.entry(partition).or_default();
        match purpose {
            _ if !is_whole => {}
            Purpose::Seal(tick) => {
                if !count.holds_back && tick > memory.sealed {
                    turn.change_memory(partition, |memory| memory.sealed = tick);
                    turn.out.observe(Observation::Sealed { partition, tick });
                }
            }
            Purpose::Report(through, baselines) => {
                let digest = |sum: u128, tick: Tick| {
                    let ticks = [memory.compacted.0, memory.folded.0, tick.0].map(u32::to_be_bytes);
                    xxhash_rust::xxh3::xxh3_128(&[&sum.to_be_bytes()[..], &ticks.concat()].concat())
                };
                let entries = Report { tick: through, digest: digest(count.entries, through) };
                let baselines = Report { tick: baselines, digest: digest(count.baselines, baselines) };
                // The pages may show rows of every turn sealed so far: it speaks when these are durable.
                let surveyed = Surveyed { op, partition, entries, baselines };
                turn.out.tell_after(turn.out.sealed_ticket(), Local::Surveyed(surveyed));
            }
            Purpose::Measure => {}
            Purpose::Sweep => {
                if part.sweep_of == (memory.compacted, memory.folded) {
                    turn.change_memory(partition, |memory| memory.is_unswept = false);
                }
            }
        }
        if is_whole && matches!(purpose, Purpose::Report(..) | Purpose::Measure) {
            turn.footing_mut().note_all(partition);
            part.count = Some(count);
            part.counted_at = env.now.mono;
        }
        if purpose == Purpose::Sweep && turn.memory(partition).is_unswept && is_whole {
            self.sweep(turn, partition);
        }
        self.scans.begin(env, turn, next_op);
    }

    /// What a survey found is durable: it is the own report from now on, if nothing of it has changed meanwhile.
    pub fn on_surveyed(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        surveyed: Surveyed,
        next_op: impl FnMut() -> OpId,
    ) -> Vec<Hurry> {
        let Surveyed { op, partition, entries, baselines } = surveyed;
        let Some(watch) = turn.footing().watch_of(partition).filter(|watch| watch.op == op) else { return Vec::new() };
        let part = self.parts.entry(partition).or_default();
        part.report = watch.entries.map(|_| entries);
        part.baseline_report = watch.baselines.map(|_| baselines);
        let hurries = self.advance(env, turn, partition);
        // The others have reported too, perhaps: asks at once, unless it has just done so.
        let is_early = self
            .parts
            .get(&partition)
            .is_some_and(|part| env.now.mono.since(part.round_at) < env.config.stability_interval / 4);
        if !is_early {
            self.begin_round(env, turn, partition, Want::Help);
        }
        self.scans.begin(env, turn, next_op);
        hurries
    }
}

/// Exchanges.
impl Stability {
    /// Whether this node must begin an exchange with that owner, whoever else would, and only take.
    pub fn is_catching_up(&self, partition: PartitionId, node: NodeId) -> bool {
        self.catching_up.contains(&(partition, node))
    }

    /// An exchange that this node began is complete. `first` and `last` are what the other side said of itself in its
    /// first answer and in its last. A newborn owner takes over its ticks, and so does one that was behind: what it was
    /// settled as far as at the beginning, all rows that came are settled as far as too.
    pub fn on_exchanged(&mut self, turn: &mut Turn, with: (PartitionId, NodeId), first: Marks, last: Marks) {
        let (partition, _) = with;
        self.catching_up.remove(&with);
        let memory = turn.memory(partition);
        if first.compacted <= memory.compacted && first.folded <= memory.folded && memory.is_established {
            return;
        }
        turn.change_memory(partition, |memory| {
            memory.compacted = memory.compacted.max(first.compacted);
            memory.folded = memory.folded.max(first.folded);
            memory.frozen = memory.frozen.max(last.frozen).max(memory.compacted);
            memory.sealed = memory.sealed.max(last.sealed).max(memory.frozen);
            memory.is_unswept = true;
        });
        let compacted = turn.memory(partition).compacted;
        turn.footing_mut().unwatch(partition);
        turn.footing_mut().settle(partition, compacted);
        turn.settle_loaded(partition);
        self.parts.entry(partition).or_default().void();
        self.sweep(turn, partition);
    }
}

/// For `status`.
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

impl Part {
    fn is_awake(&self, env: &Env<'_>) -> bool {
        self.asked_at.is_some_and(|at| env.now.mono.since(at) < env.config.stability_interval * AWAKE_INTERVALS)
    }
}

/// The own directory, and how far a partition is settled in it.
pub fn marks(env: &Env<'_>, turn: &Turn, partition: PartitionId) -> Marks {
    let memory = turn.memory(partition);
    Marks {
        incarnation: env.incarnation,
        sealed: memory.sealed,
        frozen: memory.frozen,
        compacted: memory.compacted,
        folded: memory.folded,
    }
}

/// R7: whether what a co-owner sends under these marks may change frozen ticks: its directory is the one that is known
/// here, from its answer to an own round.
pub fn is_known(env: &Env<'_>, turn: &Turn, node: NodeId, marks: &Marks) -> bool {
    !env.config.stability || turn.footing().incarnation_of(node) == Some(marks.incarnation)
}

/// R11.
fn may_act(memory: &PartitionMemory) -> bool {
    memory.is_established || mutation::is_off(Mutation::NewbornReports)
}

fn is_fallback(env: &Env<'_>, partition: PartitionId) -> bool {
    env.ring.accepts(partition, env.me) && !env.ring.is_owner(partition, env.me)
}

fn ask(env: &Env<'_>, turn: &mut Turn, partition: PartitionId, node: NodeId, round: u64, want: Want) {
    let wanted = if let Want::Seal(tick) = want { tick } else { Tick(0) };
    let query = StabilityQuery { round, incarnation: env.incarnation, wanted, is_needed: want != Want::Answer };
    turn.out.send(node, partition, PeerMessage::StabilityQuery(query));
}
