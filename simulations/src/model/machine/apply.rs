//! What each step does: the dispatcher, and crashes, wipes and seals. Each other kind of step has a file of its own.

use super::rules::Rule;
use super::step::Step;
use super::travelling::message;
use super::values::{Settled, Values};
use super::world::{Answer, Data, Ghosts, Instance, Key, Node, World};

impl Instance {
    pub(super) fn has(&self, rule: Rule) -> bool {
        self.rules.has(rule)
    }

    /// Applies a step; false when it is not possible or changes nothing (the world is then not to be used).
    pub fn apply<V: Values>(&self, world: &mut World<V>, step: Step) -> bool {
        let applied = match step {
            Step::Request(session, event, node) => self.request(world, session, event, node),
            Step::Increment(node, ahead, key) => self.increment(world, node, ahead, key),
            Step::Reset(node, ahead, key) => self.reset(world, node, ahead, key, None),
            Step::ResetObserved(node, other, key) => self.reset(world, node, 1, key, Some(other)),
            Step::Add(node, ahead, key) => self.dotted(world, node, ahead, key, (true, false)),
            Step::Remove(node, ahead, key) => self.dotted(world, node, ahead, key, (false, true)),
            Step::Replace(node, ahead, key) => self.dotted(world, node, ahead, key, (true, true)),
            Step::Set(node, ahead, key) => self.set(world, node, ahead, key, true),
            Step::Delete(node, ahead, key) => self.set(world, node, ahead, key, false),
            Step::Deliver(message, node) => self.deliver(world, message, node),
            Step::Exchange(to, from) => {
                world.used.exchanges += 1;
                self.knows(world, to, from) && self.exchange(world, to, from)
            }
            Step::Ship(from, key) => self.ship(world, from, key),
            Step::Snapshot(from, key) => {
                world.used.snapshots += 1;
                let node = &world.nodes[usize::from(from)];
                let sent = message(key, &node.now);
                !node.is_newborn && !sent.parts.is_empty() && world.net.insert(sent)
            }
            Step::Sync(node) => {
                let node = &mut world.nodes[usize::from(node)];
                let is_new = node.durable != node.now;
                node.durable = node.now.clone();
                is_new
            }
            Step::Crash(node) => self.crash(world, node),
            Step::Wipe(node) => self.wipe(world, node),
            Step::Copy(node) => self.copy(world, node),
            Step::Restore(node) => self.restore(world, node),
            Step::Seal(node) => self.seal(world, node),
            Step::Hear(owner, other) => {
                let before = (world.nodes[usize::from(owner)].clone(), world.nodes[usize::from(other)].clone());
                self.compare_marks(world, owner, other);
                let answer = answer(&world.nodes[usize::from(other)]);
                world.nodes[usize::from(owner)].heard[usize::from(other)] = Some(answer);
                before != (world.nodes[usize::from(owner)].clone(), world.nodes[usize::from(other)].clone())
            }
            Step::HearLate(owner, late) => {
                let (who, answer) = world.late[usize::from(late)].clone();
                let heard = &mut world.nodes[usize::from(owner)].heard[usize::from(who)];
                !self.has(Rule::PresentAnswers) && who != owner && heard.replace(answer.clone()) != Some(answer)
            }
            Step::Freeze(owner) => self.freeze(world, owner),
            Step::Report(owner) => self.report(world, owner),
            Step::Compact(owner) => self.compact(world, owner),
            Step::Adopt(owner, other) => self.adopt(world, owner, other),
            Step::ReportBaselines(owner) => self.report_baselines(world, owner),
            Step::Fold(owner) => self.fold(world, owner),
            Step::AdoptFold(owner, other) => self.adopt_fold(world, owner, other),
            Step::Retire(owner) => self.retire(world, owner),
            Step::Hint(owner, key) => self.hint(world, owner, key),
            Step::Page(to, owner) => self.page(world, to, owner),
            Step::EndSync(to, owner) => self.end_sync(world, to, owner),
            Step::TakeSeal(owner) => self.take_seal(world, owner),
        };
        if applied && self.is_durable {
            for node in &mut world.nodes {
                node.durable = node.now.clone();
            }
        }
        applied
    }

    pub(super) fn is_fallback(&self, node: u8) -> bool {
        usize::from(node) == self.owners
    }

    pub(super) fn crash<V: Values>(&self, world: &mut World<V>, at: u8) -> bool {
        world.used.crashes += 1;
        let node = &mut world.nodes[usize::from(at)];
        node.now = node.durable.clone();
        node.heard = vec![None; node.heard.len()];
        node.source = None;
        node.start += 1;
        node.starts = Default::default();
        if self.has(Rule::Epoch) {
            node.epoch += 1;
        }
        true
    }

    pub(super) fn wipe<V: Values>(&self, world: &mut World<V>, at: u8) -> bool {
        world.used.wipes += 1;
        let last_word = answer(&world.nodes[usize::from(at)]);
        if !self.has(Rule::PresentAnswers) {
            world.late.push((at, last_word));
        }
        let node = &mut world.nodes[usize::from(at)];
        let (life, epoch, nodes) = (node.life + 1, node.epoch + 1, node.heard.len());
        let (start, copy) = (node.start + 1, node.copy.take());
        let key =
            Key { row: V::default(), minted: Default::default(), ghosts: Ghosts::default(), copied: Ghosts::default() };
        let data = Data { keys: vec![key; usize::from(self.keys)], settled: Settled::default() };
        let heard = vec![None; nodes];
        *node = Node { heard, now: data.clone(), durable: data, life, epoch, start, copy, ..Node::default() };
        node.is_newborn = !self.is_fallback(at) || self.has(Rule::FallbackTakesSeal);
        true
    }

    pub(super) fn seal<V: Values>(&self, world: &mut World<V>, at: u8) -> bool {
        let is_fallback = self.is_fallback(at);
        let node = &mut world.nodes[usize::from(at)];
        let tick = node.sealed + 1;
        let owes = is_fallback && node.now.keys.iter().any(|key| key.row.has_old(tick, self.rules));
        if tick > self.ticks || node.is_newborn || self.has(Rule::HintsDrained) && owes {
            return false;
        }
        node.sealed = tick;
        node.wall = node.wall.max(tick);
        if is_fallback {
            node.durable = node.now.clone();
        }
        true
    }
}

/// Moves an owner's bounds and brings its rows into the form of them.
pub(super) fn settle<V: Values>(node: &mut Node<V>, settled: Settled) {
    node.now.settled = settled;
    for key in &mut node.now.keys {
        key.row.normalise(settled);
    }
}

/// Makes a node's state durable.
pub(super) fn sync<V: Values>(world: &mut World<V>, at: u8) {
    let node = &mut world.nodes[usize::from(at)];
    node.durable = node.now.clone();
}

pub(super) fn answer<V>(node: &Node<V>) -> Answer {
    Answer {
        life: node.life,
        is_established: !node.is_newborn,
        sealed: node.sealed,
        settled: node.now.settled,
        report: node.report.clone(),
        baselines: node.baselines.clone(),
    }
}
