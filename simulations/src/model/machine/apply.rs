//! What each step does, and when it is possible: clients, messages, faults. See `settling` for the others.

use super::rules::Rule;
use super::step::Step;
use super::values::{Actor, Bits, Closed, Mint, Settled, Values};
use super::world::{Answer, Data, Ghosts, Instance, Key, Message, Node, World};

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

    /// Whether a node takes events now.
    pub(super) fn accepts<V>(&self, node: &Node<V>) -> bool {
        !node.is_newborn || !self.has(Rule::NewbornWaits)
    }

    pub(super) fn request<V: Values>(&self, world: &mut World<V>, session: u8, event: u8, at: u8) -> bool {
        world.used.requests += 1;
        let (key, event) = self.session_event(usize::from(session), event);
        let node = &mut world.nodes[usize::from(at)];
        let late = if self.has(Rule::SessionClock) { node.wall } else { 0 };
        let refused = node.sealed.max(node.refusing).max(late);
        if !self.accepts(node) || self.has(Rule::Seal) && event.actor.tick <= refused {
            return false;
        }
        let key_state = &mut node.now.keys[usize::from(key)];
        let before = key_state.row.clone();
        let parts = key_state.row.request(event);
        key_state.note();
        // It was answered as applied.
        key_state.ghosts.counted |= event.p | event.n;
        let is_new = key_state.row != before;
        !parts.is_empty() && (world.net.insert(delta(key, parts)) || is_new)
    }

    /// The next dot of a node on a key.
    pub(super) fn mint<V: Values>(&self, node: &mut Node<V>, number: u8, ahead: u8, key: u8) -> Mint {
        let wall = node.sealed.max(node.now.settled.w).max(node.wall).max(node.refusing);
        let actor = Actor { tick: wall + ahead, kind: 1, number, epoch: node.epoch };
        let key = &mut node.now.keys[usize::from(key)];
        let event = key.minted.entry(actor).or_default();
        *event += 1;
        let at = match key.row.latest() {
            Some((seen, logical)) if seen >= wall => (seen, logical + 1),
            _ => (wall, 0),
        };
        Mint { actor, event: *event, at }
    }

    pub(super) fn increment<V: Values>(&self, world: &mut World<V>, at: u8, ahead: u8, key: u8) -> bool {
        world.used.increments += 1;
        let ghost = 1 << world.counted;
        world.counted += 1;
        let node = &mut world.nodes[usize::from(at)];
        if !self.accepts(node) {
            return false;
        }
        let mint = self.mint(node, at, ahead, key);
        let state = &mut node.now.keys[usize::from(key)];
        let parts = state.row.increment(mint, ghost);
        state.note();
        if !parts.is_empty() {
            state.ghosts.counted |= ghost;
        }
        !parts.is_empty() && world.net.insert(delta(key, parts))
    }

    pub(super) fn reset<V: Values>(
        &self,
        world: &mut World<V>,
        at: u8,
        ahead: u8,
        key: u8,
        observed: Option<u8>,
    ) -> bool {
        match observed {
            Some(_) => world.used.observed += 1,
            None => world.used.resets += 1,
        }
        if observed.is_some_and(|other| world.nodes[usize::from(other)].is_newborn) {
            return false;
        }
        let other = observed.map(|other| world.nodes[usize::from(other)].now.keys[usize::from(key)].row.clone());
        let node = &mut world.nodes[usize::from(at)];
        if !self.may_cover(node, at, key) {
            return false;
        }
        let mint = self.mint(node, at, ahead, key);
        let (frozen, settled) = (node.frozen, node.now.settled);
        let state = &mut node.now.keys[usize::from(key)];
        let parts = state.row.reset(mint, other.as_ref(), frozen, settled, self.rules);
        state.note();
        !parts.is_empty() && world.net.insert(fresh(key, parts, state))
    }

    /// Whether a node takes a covering operation now.
    pub(super) fn may_cover<V: Values>(&self, node: &Node<V>, at: u8, key: u8) -> bool {
        let shown = node.now.keys[usize::from(key)].row.shown();
        let is_live = shown.value != 0 || shown.counted != shown.reset;
        self.accepts(node) && !(self.is_fallback(at) && self.has(Rule::FallbackNoReset) && is_live)
    }

    pub(super) fn dotted<V: Values>(
        &self,
        world: &mut World<V>,
        at: u8,
        ahead: u8,
        key: u8,
        what: (bool, bool),
    ) -> bool {
        let (adds, removes) = what;
        world.used.adds += u8::from(adds);
        world.used.removals += u8::from(removes);
        let ghost = world.writes;
        world.writes += u8::from(adds);
        let node = &mut world.nodes[usize::from(at)];
        let covers = V::SET_COVERS && removes && !adds;
        if !self.accepts(node) || covers && !self.may_cover(node, at, key) {
            return false;
        }
        let mint = self.mint(node, at, ahead, key);
        let state = &mut node.now.keys[usize::from(key)];
        let live = state.row.shown().live;
        let parts = state.row.write_dots(mint, adds.then_some(ghost), removes);
        if parts.is_empty() {
            return false;
        }
        state.ghosts.removed |= if removes { live } else { 0 };
        state.ghosts.added |= Bits::from(adds) << ghost;
        state.note();
        world.net.insert(fresh(key, parts, state))
    }

    pub(super) fn set<V: Values>(&self, world: &mut World<V>, at: u8, ahead: u8, key: u8, is_value: bool) -> bool {
        let value = is_value.then_some(world.writes);
        world.writes += 1;
        world.used.sets += u8::from(is_value);
        world.used.deletes += u8::from(!is_value);
        let node = &mut world.nodes[usize::from(at)];
        if !self.accepts(node) || V::SET_COVERS && !self.may_cover(node, at, key) {
            return false;
        }
        let mint = self.mint(node, at, ahead, key);
        let state = &mut node.now.keys[usize::from(key)];
        let parts = state.row.set(mint, value);
        state.note();
        !parts.is_empty() && world.net.insert(fresh(key, parts, state))
    }

    /// Takes what a message carries, without asking whether it may.
    pub(super) fn merge<V: Values>(&self, node: &mut Node<V>, message: &Message<V::Part>) {
        let (settled, is_established) = (node.now.settled, !node.is_newborn);
        let key = &mut node.now.keys[usize::from(message.key)];
        key.row.merge(&message.parts, settled, is_established, self.rules);
        // A dot that is taken for dead was not taken; if it was alive elsewhere, the closure will say so.
        let ignored = message.live & !key.row.shown().live & !key.ghosts.added;
        key.ghosts.added |= message.added & !ignored;
        key.ghosts.removed |= message.removed;
        key.note();
    }

    /// A message that is not an exchange: refused whole when it would change what is frozen.
    pub(super) fn receive<V: Values>(&self, node: &mut Node<V>, at: u8, message: &Message<V::Part>) -> bool {
        let (bound, rule) = if self.is_fallback(at) {
            (node.sealed.max(node.refusing), Rule::SealedHints)
        } else {
            (node.frozen, Rule::Freeze)
        };
        let covers = match self.is_fallback(at) {
            true if self.has(Rule::SealedCovers) => bound,
            false if self.has(Rule::CompactedCovers) => node.now.settled.w,
            true | false => 0,
        };
        let closed = Closed { through: bound, covers };
        let row = &node.now.keys[usize::from(message.key)].row;
        if node.is_newborn && (self.has(Rule::NewbornOnlyPages) || self.is_fallback(at))
            || self.has(rule) && row.touches(&message.parts, closed, node.now.settled, self.rules)
        {
            return false;
        }
        self.merge(node, message);
        true
    }

    pub(super) fn deliver<V: Values>(&self, world: &mut World<V>, message: u8, at: u8) -> bool {
        world.used.deliveries += 1;
        let Some(mut message) = world.net.iter().nth(usize::from(message)).cloned() else { return false };
        let node = &mut world.nodes[usize::from(at)];
        let before = node.now.clone();
        let may = match message.exchange {
            None => self.receive(node, at, &message),
            Some((from, life, folded)) => {
                let is_known = !self.has(Rule::KnownIncarnation)
                    || node.heard[usize::from(from)].as_ref().is_some_and(|heard| heard.life == life);
                if self.is_fallback(at) || from == at || node.is_newborn && self.has(Rule::NewbornOnlyPages) {
                    return false;
                }
                if self.hear_fold(node, folded) {
                    return true;
                }
                if is_known && self.is_vouched::<V>(node.now.settled.v, folded) {
                    self.leave_forgotten::<V>(node.now.settled.v, &mut message, folded);
                    self.merge(node, &message);
                    true
                } else {
                    self.receive(node, at, &message)
                }
            }
        };
        may && node.now != before
    }

    pub(super) fn knows<V: Values>(&self, world: &World<V>, owner: u8, other: u8) -> bool {
        let life = world.nodes[usize::from(other)].life;
        let heard = &world.nodes[usize::from(owner)].heard[usize::from(other)];
        !self.has(Rule::KnownIncarnation) || heard.as_ref().is_some_and(|heard| heard.life == life)
    }

    /// The first takes the state of the second; false if that changed nothing.
    pub(super) fn exchange<V: Values>(&self, world: &mut World<V>, to: u8, from: u8) -> bool {
        if world.nodes[usize::from(from)].is_newborn || world.nodes[usize::from(to)].is_newborn {
            return false;
        }
        if self.compare_marks(world, to, from) {
            return true;
        }
        if self.has(Rule::ShipSynced) {
            sync(world, from);
        }
        let source = world.nodes[usize::from(from)].now.clone();
        let node = &mut world.nodes[usize::from(to)];
        let before = node.now.clone();
        for key in 0..self.keys {
            let mut message = message(key, &source);
            if self.is_vouched::<V>(node.now.settled.v, source.settled.v) {
                self.leave_forgotten::<V>(node.now.settled.v, &mut message, source.settled.v);
                self.merge(node, &message);
            } else {
                let _ = self.receive(node, to, &message);
            }
        }
        node.now != before
    }

    pub(super) fn ship<V: Values>(&self, world: &mut World<V>, from: u8, key: u8) -> bool {
        world.used.ships += 1;
        if self.has(Rule::ShipSynced) {
            sync(world, from);
        }
        let node = &world.nodes[usize::from(from)];
        let whole = message(key, &node.now);
        if node.is_newborn || whole.parts.is_empty() {
            return false;
        }
        // Debts travel row by row: the main row and each session's are messages of their own.
        let exchange = Some((from, node.life, node.now.settled.v));
        let mut is_new = false;
        for part in &whole.parts {
            let row = match V::has_dots(part) {
                true => whole.clone(),
                false => delta(key, vec![]),
            };
            is_new |= world.net.insert(Message { parts: vec![part.clone()], exchange, ..row });
        }
        is_new
    }

    /// What an exchange from before the receiver's fold brings of things that the receiver may have forgotten.
    pub(super) fn leave_forgotten<V: Values>(&self, v: u8, message: &mut Message<V::Part>, folded: u8) {
        if self.has(Rule::Generation) && folded < v {
            message.parts = V::leave_forgotten(std::mem::take(&mut message.parts), v, self.lease);
        }
    }

    /// Whether an exchange of an owner that had folded so far may change what is frozen.
    pub(super) fn is_vouched<V: Values>(&self, v: u8, folded: u8) -> bool {
        !V::VOUCHED_ONLY || !self.has(Rule::Generation) || folded >= v
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

impl<V: Values> Key<V> {
    /// Whatever a row contains, it has taken.
    fn note(&mut self) {
        let shown = self.row.shown();
        self.ghosts.counted |= shown.counted;
        self.ghosts.reset |= shown.reset;
        self.ghosts.newest = self.ghosts.newest.max(shown.register);
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

/// A fresh write's delta.
fn delta<P>(key: u8, parts: Vec<P>) -> Message<P> {
    Message { key, parts, added: 0, removed: 0, live: 0, exchange: None }
}

/// A fresh write's delta, with the dots that it carries.
fn fresh<V: Values>(key: u8, parts: Vec<V::Part>, state: &Key<V>) -> Message<V::Part> {
    if !parts.iter().any(V::has_dots) {
        return delta(key, parts);
    }
    let Ghosts { added, removed, .. } = state.ghosts;
    Message { added, removed, live: state.row.shown().live, ..delta(key, parts) }
}

/// The whole state of a key.
pub(super) fn message<V: Values>(key: u8, data: &Data<V>) -> Message<V::Part> {
    let state = &data.keys[usize::from(key)];
    let Ghosts { added, removed, .. } = state.ghosts;
    Message { key, parts: state.row.parts(), added, removed, live: state.row.shown().live, exchange: None }
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
