//! Steps of settling: freeze, report, compact, fold, forget, and how one owner takes over from another.

use super::apply::{settle, sync};
use super::rules::Rule;
use super::travelling::message;
use super::values::{Settled, Values};
use super::world::{Answer, Ghosts, Instance, Key, Node, Report, Sync, World};

impl Instance {
    pub(super) fn freeze<V: Values>(&self, world: &mut World<V>, owner: u8) -> bool {
        let node = &mut world.nodes[usize::from(owner)];
        let others = node.heard.iter().enumerate().filter(|(other, _)| *other != usize::from(owner));
        let heard = others.map(|(_, heard)| heard.as_ref().filter(|it| it.is_established).map_or(0, |it| it.sealed));
        let all = heard.min().unwrap_or(0).min(node.sealed);
        let tick = if self.has(Rule::AllSealed) { all } else { node.sealed };
        let may = !node.is_newborn && tick > node.frozen;
        node.frozen = tick;
        may
    }

    /// The incarnations of all owners as one of them knows them.
    pub(super) fn tags<V>(&self, node: &Node<V>, owner: u8) -> Option<Vec<u8>> {
        if !self.has(Rule::Tags) {
            return Some(vec![]);
        }
        (0..self.owners)
            .map(|other| {
                if other == usize::from(owner) {
                    return Some(node.life);
                }
                node.heard[other].as_ref().filter(|heard| heard.is_established).map(|heard| heard.life)
            })
            .collect()
    }

    /// The digest of all keys in their settled form, up to a tick; of baselines, or of entries.
    pub(super) fn digest<V: Values>(&self, node: &Node<V>, tick: u8, of_baselines: bool) -> u128 {
        let settled = node.now.settled;
        let mut digest = u128::from(settled.w) << 8 | u128::from(settled.v);
        for key in &node.now.keys {
            let mut row = key.row.clone();
            row.normalise(settled);
            row.retire(settled, self.lease, self.rules);
            let of_key = match of_baselines {
                true => row.baseline_digest(tick, self.lease, self.rules),
                false => row.digest(tick, self.rules),
            };
            digest = digest.wrapping_mul(0x1_0000_01b3).wrapping_add(of_key);
        }
        digest
    }

    pub(super) fn report<V: Values>(&self, world: &mut World<V>, owner: u8) -> bool {
        let node = &world.nodes[usize::from(owner)];
        let Some(tags) = self.tags(node, owner) else { return false };
        let tick = node.frozen;
        if node.is_newborn || tick <= node.now.settled.w {
            return false;
        }
        let report = Report { tick, digest: self.digest(node, tick, false), tags };
        if self.has(Rule::ReportSynced) {
            sync(world, owner);
        }
        world.nodes[usize::from(owner)].report.replace(report.clone()) != Some(report)
    }

    /// Whether the reports that count are equal: own and those heard, with the tags that are known now.
    pub(super) fn agrees<V>(
        &self,
        node: &Node<V>,
        owner: u8,
        mine: &Report,
        of: impl Fn(&Answer) -> Option<&Report>,
    ) -> bool {
        if self.tags(node, owner).as_ref() != Some(&mine.tags) {
            return false;
        }
        let others = (0..self.owners).filter(|other| *other != usize::from(owner));
        let equal = others.filter(|other| node.heard[*other].as_ref().and_then(&of) == Some(mine)).count() + 1;
        equal >= if self.has(Rule::AllReport) { self.owners } else { self.owners / 2 + 1 }
    }

    pub(super) fn compact<V: Values>(&self, world: &mut World<V>, owner: u8) -> bool {
        let node = &mut world.nodes[usize::from(owner)];
        let Some(mine) = node.report.clone() else { return false };
        if node.is_newborn
            || mine.tick <= node.now.settled.w
            || self.digest(node, mine.tick, false) != mine.digest
            || !self.agrees(node, owner, &mine, |answer| answer.report.as_ref())
        {
            return false;
        }
        settle(node, Settled { w: mine.tick, ..node.now.settled });
        true
    }

    /// Whether an owner that is ahead rests on a report like the own one.
    pub(super) fn is_like(&self, reached: u8, theirs: Option<&Report>, mine: Option<&Report>) -> bool {
        let of = |report: &Report| (report.tick, report.digest);
        !self.has(Rule::AdoptReported)
            || theirs.is_some_and(|theirs| theirs.tick == reached && mine.map(of) == Some(of(theirs)))
    }

    pub(super) fn adopt<V: Values>(&self, world: &mut World<V>, owner: u8, other: u8) -> bool {
        let node = &mut world.nodes[usize::from(owner)];
        let Some(heard) = node.heard[usize::from(other)].clone() else { return false };
        let w = heard.settled.w;
        let is_mine = node.report.as_ref().is_some_and(|mine| self.digest(node, mine.tick, false) == mine.digest);
        if node.is_newborn
            || !heard.is_established
            || w <= node.now.settled.w
            || self.has(Rule::AdoptReported) && !is_mine
            || !self.is_like(w, heard.report.as_ref(), node.report.as_ref())
        {
            return false;
        }
        settle(node, Settled { w, ..node.now.settled });
        true
    }

    pub(super) fn report_baselines<V: Values>(&self, world: &mut World<V>, owner: u8) -> bool {
        let node = &world.nodes[usize::from(owner)];
        let Some(tags) = self.tags(node, owner) else { return false };
        let tick = node.now.settled.w;
        if node.is_newborn || tick <= node.now.settled.v {
            return false;
        }
        let report = Report { tick, digest: self.digest(node, tick, true), tags };
        if self.has(Rule::ReportSynced) {
            sync(world, owner);
        }
        world.nodes[usize::from(owner)].baselines.replace(report.clone()) != Some(report)
    }

    pub(super) fn fold<V: Values>(&self, world: &mut World<V>, owner: u8) -> bool {
        let node = &mut world.nodes[usize::from(owner)];
        let Some(mine) = node.baselines.clone() else { return false };
        if node.is_newborn
            || mine.tick <= node.now.settled.v
            || self.digest(node, mine.tick, true) != mine.digest
            || self.has(Rule::EqualBaselines) && !self.agrees(node, owner, &mine, |answer| answer.baselines.as_ref())
        {
            return false;
        }
        settle(node, Settled { v: mine.tick, ..node.now.settled });
        true
    }

    pub(super) fn adopt_fold<V: Values>(&self, world: &mut World<V>, owner: u8, other: u8) -> bool {
        let node = &mut world.nodes[usize::from(owner)];
        let Some(heard) = node.heard[usize::from(other)].clone() else { return false };
        let v = heard.settled.v;
        let is_mine = node.baselines.as_ref().is_some_and(|mine| self.digest(node, mine.tick, true) == mine.digest);
        if node.is_newborn
            || !heard.is_established
            || v <= node.now.settled.v
            || v > node.now.settled.w
            || self.has(Rule::AdoptReported) && !is_mine
            || !self.is_like(v, heard.baselines.as_ref(), node.baselines.as_ref())
        {
            return false;
        }
        settle(node, Settled { v, ..node.now.settled });
        true
    }

    pub(super) fn retire<V: Values>(&self, world: &mut World<V>, owner: u8) -> bool {
        let node = &mut world.nodes[usize::from(owner)];
        let settled = node.now.settled;
        let mut changed = false;
        for key in &mut node.now.keys {
            changed |= key.row.retire(settled, self.lease, self.rules);
        }
        !node.is_newborn && changed
    }

    /// The fallback delivers its hint; once one owner has it durably it is struck, and the row goes.
    pub(super) fn hint<V: Values>(&self, world: &mut World<V>, owner: u8, key: u8) -> bool {
        let hint = message(key, &world.nodes[self.owners].now);
        if hint.parts.is_empty() {
            return false;
        }
        if !self.receive(&mut world.nodes[usize::from(owner)], owner, &hint) {
            return self.drop_hint(world, key);
        }
        sync(world, owner);
        let fallback = &mut world.nodes[self.owners];
        fallback.now.keys[usize::from(key)] =
            Key { row: V::default(), minted: Default::default(), ghosts: Ghosts::default(), copied: Ghosts::default() };
        // A deleted row advances the tenure: the next actor is another one.
        fallback.epoch += 1;
        true
    }

    /// The next page of a newborn's sync, or of an owner's that cannot compare any more what the other has settled.
    pub(super) fn page<V: Values>(&self, world: &mut World<V>, to: u8, owner: u8) -> bool {
        if self.compare_marks(world, to, owner) {
            return true;
        }
        let life = world.nodes[usize::from(to)].life;
        let source = &world.nodes[usize::from(owner)];
        let is_known = source.heard[usize::from(to)].as_ref().is_some_and(|heard| heard.life == life);
        let node = &world.nodes[usize::from(to)];
        let is_behind = (node.now.settled.w, node.now.settled.v) < (source.now.settled.w, source.now.settled.v);
        if source.is_newborn
            || node.is_newborn && self.has(Rule::ServeKnown) && !is_known
            || !(node.is_newborn || is_behind && self.knows(world, to, owner))
        {
            return false;
        }
        let begin = Sync { owner, life: source.life, first: source.now.settled, next: 0 };
        let under_way = node.source.filter(|sync| sync.owner == owner && sync.life == source.life);
        let sync_of = under_way.unwrap_or(begin);
        if node.source.is_some() && under_way.is_none() || sync_of.next == self.keys {
            return false;
        }
        sync(world, owner);
        let source = world.nodes[usize::from(owner)].clone();
        let node = &mut world.nodes[usize::from(to)];
        self.give_up(node, sync_of.next, &source);
        self.merge(node, &message(sync_of.next, &source.now));
        node.source = Some(Sync { next: sync_of.next + 1, ..sync_of });
        true
    }

    pub(super) fn end_sync<V: Values>(&self, world: &mut World<V>, to: u8, owner: u8) -> bool {
        let source = world.nodes[usize::from(owner)].clone();
        let node = &mut world.nodes[usize::from(to)];
        let Some(done) = node.source.filter(|sync| sync.owner == owner && sync.next == self.keys) else {
            return false;
        };
        if done.life != source.life || source.is_newborn {
            return false;
        }
        node.source = None;
        let taken = if self.has(Rule::FirstMarks) { done.first } else { source.now.settled };
        let settled = Settled { w: node.now.settled.w.max(taken.w), v: node.now.settled.v.max(taken.v) };
        if self.has(Rule::NewbornTakesSeal) {
            node.frozen = node.frozen.max(source.frozen).max(settled.w);
            node.sealed = node.sealed.max(source.sealed).max(node.frozen);
        }
        node.is_newborn = false;
        settle(node, settled);
        node.durable = node.now.clone();
        true
    }

    /// A wiped fallback takes the seal of an established owner.
    pub(super) fn take_seal<V: Values>(&self, world: &mut World<V>, owner: u8) -> bool {
        if self.has(Rule::GiverForgets) {
            world.nodes[usize::from(owner)].heard[self.owners] = None;
        }
        let Node { sealed, is_newborn, .. } = &world.nodes[usize::from(owner)];
        let (sealed, is_newborn) = (*sealed, *is_newborn);
        let fallback = &mut world.nodes[self.owners];
        let may = fallback.is_newborn && !is_newborn;
        fallback.is_newborn = false;
        fallback.sealed = sealed;
        may
    }
}
