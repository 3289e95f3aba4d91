//! Steps: what a node does once the answers allow it, and what it tells of itself.

use super::*;
use crate::message::client::{Need, Waiting};

impl Stability {
    /// R6: seals what the clock allows, if the wanted tick is not sealed yet.
    pub(super) fn seal(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId, wanted: Tick) {
        let memory = turn.memory(partition);
        let tick = env.sealable();
        if env.clock_ahead_ms.is_some() {
            // A clock that is known to have jumped ahead must not seal the future.
            return;
        }
        let has_cleared = is_leaver(env, partition) && has_cleared(&memory);
        let may_act = may_act(&memory) || has_cleared;
        if !may_act || memory.sealed >= wanted || tick < wanted || !seal::is_worthwhile(env, partition) {
            return;
        }
        if !may_settle(env, partition) || is_leaver(env, partition) && !has_cleared {
            return;
        }
        if env.ring.is_owner(partition, env.me) || has_cleared {
            turn.change_memory(partition, |memory| memory.sealed = tick);
            turn.out.observe(Observation::Sealed { partition, tick });
        } else {
            turn.refuse(partition, tick);
            self.scans.wish(partition, Purpose::Seal(tick));
        }
    }

    /// Does what the answers allow. Says which exchanges are needed.
    pub(super) fn advance(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId) -> Vec<Hurry> {
        let memory = turn.memory(partition);
        let is_one_of_them =
            env.ring.readers(partition).contains(&env.me) || mutation::is_off(Mutation::SettleWhileMoving);
        let is_its_turn = is_one_of_them && may_settle(env, partition) && env.config.stability;
        if !may_act(&memory) || !env.ring.is_owner(partition, env.me) || !is_its_turn {
            return Vec::new();
        }
        if let Some(part) = self.parts.get_mut(&partition) {
            // What they hold may change what the others have frozen: nothing goes on before all of it has come.
            let has_handed_over =
                |node: &NodeId| part.said.get(node).is_some_and(|state| state.standing != StabilityStanding::Newborn);
            let leavers = env.ring.leavers(partition).iter().copied();
            let waiting: Vec<Waiting> = leavers.filter(|node| !has_handed_over(node)).map(Need::Move.of()).collect();
            if !waiting.is_empty() {
                part.waiting = waiting;
                return Vec::new();
            }
        }
        loop {
            let own = self.state(env, turn, partition);
            let Some(part) = self.parts.get_mut(&partition) else { return Vec::new() };
            let (owners, accept_set) = (env.ring.readers(partition), env.ring.accept_set(partition));
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
                    self.compact(env, turn, partition, tick);
                }
                Step::Fold(tick) => {
                    turn.change_memory(partition, |memory| {
                        memory.folded = tick;
                        memory.is_unswept = true;
                    });
                    turn.footing_mut().unwatch(partition);
                    turn.settle_loaded(partition);
                    turn.out.observe(Observation::Folded { partition, tick });
                    self.sweep(env, turn, partition);
                }
                Step::Survey(entries, baselines) => {
                    part.waiting = vec![Need::Report.of()(env.me)];
                    let purpose = Purpose::Report(entries, baselines);
                    if part.scan_at <= env.now.mono && !self.scans.is_under_way(partition, purpose) {
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
    pub(super) fn compact(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId, tick: Tick) {
        turn.change_memory(partition, |memory| {
            memory.compacted = tick;
            memory.is_unswept = true;
        });
        turn.footing_mut().unwatch_entries(partition);
        turn.footing_mut().settle(partition, tick);
        turn.settle_loaded(partition);
        turn.out.observe(Observation::Compacted { partition, tick });
        self.sweep(env, turn, partition);
    }

    /// Sweeps out what has been settled, soon.
    pub(super) fn sweep(&mut self, env: &Env<'_>, turn: &Turn, partition: PartitionId) {
        let is_early = self.parts.get(&partition).is_some_and(|part| part.scan_at > env.now.mono);
        if !is_early && !self.scans.is_under_way(partition, Purpose::Sweep) {
            let memory = turn.memory(partition);
            self.parts.entry(partition).or_default().sweep_of = (memory.compacted, memory.folded);
            self.scans.wish(partition, Purpose::Sweep);
        }
    }

    /// A partition that waits is measured now and then, for `status`.
    pub(super) fn measure(&mut self, env: &Env<'_>, partition: PartitionId) {
        let Some(part) = self.parts.get(&partition) else { return };
        let is_old = part.count.is_none()
            || env.now.mono.since(part.counted_at) >= env.config.stability_interval * MEASURE_INTERVALS;
        if is_old && !part.waiting.is_empty() {
            self.scans.wish(partition, Purpose::Measure);
        }
    }

    /// The own state, as it is told to others.
    pub(super) fn state(&self, env: &Env<'_>, turn: &Turn, partition: PartitionId) -> StabilityState {
        let memory = turn.memory(partition);
        let standing = match (may_act(&memory), env.ring.is_owner(partition, env.me)) {
            // While it hands over, nothing is frozen.
            _ if is_leaver(env, partition) && has_cleared(&memory) => StabilityStanding::Fallback,
            _ if is_leaver(env, partition) => StabilityStanding::Newborn,
            (true, true) => StabilityStanding::Owner,
            (true, false) => StabilityStanding::Fallback,
            (false, _) => StabilityStanding::Newborn,
        };
        let owners = env.ring.readers(partition).iter();
        let directory = |node: &NodeId| match *node == env.me {
            true => Some((*node, env.incarnation)),
            false => Some((*node, turn.footing().incarnation_of(*node)?)),
        };
        let tags = owners.filter_map(directory).collect();
        let part = self.parts.get(&partition);
        let watch = turn.footing().watch_of(partition);
        // A report that has been acted on stays; one that has not counts only while its rows are as they were.
        let watch = watch.filter(|watch| part.is_some_and(|part| part.report_op == watch.op));
        let report = part.and_then(|part| part.report).filter(|report| {
            report.tick <= memory.compacted || watch.is_some_and(|watch| watch.entries == Some(report.tick))
        });
        let baseline_report = part.and_then(|part| part.baseline_report).filter(|report| {
            report.tick <= memory.folded || watch.is_some_and(|watch| watch.baselines == Some(report.tick))
        });
        let lifetimes = Lifetimes { tick_us: micros(env.config.tick), lease_ticks: env.config.actor_lease_ticks };
        let marks = marks::marks(env, turn, partition);
        StabilityState { standing, lifetimes, marks, tags, report, baseline_report }
    }
}
