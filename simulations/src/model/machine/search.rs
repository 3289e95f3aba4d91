//! Searches: random histories, every interleaving, and making a failing history short.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::step::{Step, steps};
use super::values::Values;
use super::world::{Instance, World};

/// A failing history and what is wrong at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The steps, all of them possible.
    pub steps: Vec<Step>,
    /// What the check said.
    pub error: String,
}

/// What a search has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Histories.
    pub histories: u64,
    /// Steps of random histories, or distinct states of a complete search; each was checked.
    pub states: u64,
    /// Settlements.
    pub compactions: u64,
    /// Folds of baselines.
    pub folds: u64,
    /// Rows that forgot something.
    pub retired: u64,
    /// Delivered hints.
    pub hints: u64,
    /// Wipes and crashes.
    pub faults: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "  {step:?}")?;
        }
        write!(f, "  {}", self.error)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { histories, states, compactions, folds, retired, hints, faults } = self;
        write!(
            f,
            "{histories} histories, {states} states, {compactions} settlements, {folds} folds, {retired} sweeps that \
             forgot something, {hints} hints, {faults} crashes and wipes"
        )
    }
}

/// A small generator: a seed gives the same history for ever.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }
}

impl Instance {
    /// Replays a history, leaving out what is not possible: where it fails, and how.
    pub fn replay<V: Values>(&self, history: &[Step], progress: bool) -> Option<Failure> {
        let mut world = self.world::<V>();
        let mut taken = vec![];
        for step in history {
            let mut next = world.clone();
            if is_in_range(step, &next) && self.apply(&mut next, *step) {
                world = next;
                taken.push(*step);
                if let Err(error) = self.check(&world) {
                    return Some(Failure { steps: taken, error });
                }
            }
        }
        let error = progress.then(|| self.check_progress(&world).err()).flatten()?;
        Some(Failure { steps: taken, error })
    }

    /// Leaves out steps while the history still fails.
    fn shrink<V: Values>(&self, mut failure: Failure) -> Failure {
        let progress = failure.error.starts_with("progress");
        loop {
            let mut is_smallest = true;
            let mut index = 0;
            while index < failure.steps.len() {
                let mut shorter = failure.steps.clone();
                shorter.remove(index);
                match self.replay::<V>(&shorter, progress) {
                    Some(found) if found.steps.len() < failure.steps.len() => {
                        failure = found;
                        is_smallest = false;
                    }
                    _ => index += 1,
                }
            }
            if is_smallest {
                return failure;
            }
        }
    }

    /// Random histories of so many attempted steps each, from a seed on, until one fails.
    pub fn random<V: Values>(&self, histories: u64, length: usize, seed: u64, seen: &mut Seen) -> Option<Failure> {
        for history in 0..histories {
            let mut draws = Draws((seed + history + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            for _ in 0..4 {
                draws.below(2);
            }
            let mut world = self.world::<V>();
            let mut taken = vec![];
            seen.histories += 1;
            for _ in 0..length {
                for step in self.draw(&world, &mut draws) {
                    let mut next = world.clone();
                    if !self.apply(&mut next, step) {
                        continue;
                    }
                    world = next;
                    taken.push(step);
                    seen.count(step);
                    if let Err(error) = self.check(&world) {
                        return Some(self.shrink::<V>(Failure { steps: taken, error }));
                    }
                }
            }
            if let Err(error) = self.check_progress(&world) {
                return Some(self.shrink::<V>(Failure { steps: taken, error }));
            }
        }
        None
    }

    /// A kind of step first, then one of its kind, so that rare kinds do occur. Every other time a part of the chain
    /// that leads to a settlement, which chance alone would hardly ever walk.
    fn draw<V: Values>(&self, world: &World<V>, draws: &mut Draws) -> Vec<Step> {
        let owner = draws.below(self.owners) as u8;
        let others = (0..world.nodes.len() as u8).filter(|other| *other != owner);
        if draws.below(100) < 60 {
            let peer = (owner + 1 + draws.below(self.owners - 1) as u8) % self.owners as u8;
            if world.nodes[usize::from(owner)].is_newborn {
                let mut sync = vec![Step::Hear(peer, owner)];
                sync.extend(vec![Step::Page(owner, peer); 1 + draws.below(usize::from(self.keys))]);
                sync.push(Step::EndSync(owner, peer));
                return sync;
            }
            let mut round: Vec<Step> = others.map(|other| Step::Hear(owner, other)).collect();
            match draws.below(9) {
                0 => return (0..world.nodes.len() as u8).map(Step::Seal).collect(),
                1 => round.extend([Step::Freeze(owner), Step::Report(owner)]),
                2 => round.extend([Step::Report(owner), Step::Exchange(owner, peer), Step::Report(owner)]),
                3 => round.extend([Step::Compact(owner), Step::Adopt(owner, peer)]),
                4 if self.forgets => round.extend([Step::ReportBaselines(owner), Step::Fold(owner)]),
                5 if self.forgets => round.extend([Step::AdoptFold(owner, peer), Step::Retire(owner)]),
                6 if self.has_fallback => {
                    return vec![Step::TakeSeal(owner), Step::Hint(owner, draws.below(usize::from(self.keys)) as u8)];
                }
                7 => round.extend([Step::Page(owner, peer), Step::Page(owner, peer), Step::EndSync(owner, peer)]),
                _ => return vec![Step::Exchange(owner, peer)],
            }
            let keep = draws.below(round.len()) * draws.below(2);
            round.drain(..keep);
            return round;
        }
        let all = steps(self, world);
        let mut kinds: Vec<(u64, &Step)> =
            all.iter().map(|step| (hash(&std::mem::discriminant(step), 0), step)).collect();
        kinds.sort_by_key(|(kind, _)| *kind);
        kinds.dedup_by_key(|(kind, _)| *kind);
        let Some((_, kind)) = kinds.get(draws.below(kinds.len())) else { return vec![] };
        let kind = std::mem::discriminant(*kind);
        let of_kind: Vec<&Step> = all.iter().filter(|step| std::mem::discriminant(*step) == kind).collect();
        of_kind.get(draws.below(of_kind.len())).map_or(vec![], |step| vec![**step])
    }

    /// Every interleaving, breadth first: the first failure is a shortest one. Stops at so many states.
    pub fn complete<V: Values + Hash>(&self, most: u64, seen: &mut Seen) -> Result<bool, Failure> {
        #[expect(clippy::disallowed_types, reason = "asked for membership only; its order is never seen")]
        let mut known = std::collections::HashSet::new();
        // What is heard and reported has no part in the check; most states differ in that alone.
        #[expect(clippy::disallowed_types, reason = "asked for membership only; its order is never seen")]
        let mut checked = std::collections::HashSet::new();
        let mut parents: Vec<(u32, Step)> = vec![(0, Step::Seal(0))];
        let mut queue = VecDeque::new();
        let first = self.world::<V>();
        known.insert(fingerprint(&first));
        queue.push_back((first, 0u32));
        while let Some((world, id)) = queue.pop_front() {
            for step in steps(self, &world) {
                let mut next = world.clone();
                if !self.apply(&mut next, step) || !known.insert(fingerprint(&next)) {
                    continue;
                }
                let next_id = parents.len() as u32;
                parents.push((id, step));
                seen.count(step);
                let verdict = if checked.insert(what_is_checked(&next)) { self.check(&next) } else { Ok(()) };
                if let Err(error) = verdict {
                    let mut taken = vec![];
                    let mut at = next_id;
                    while at != 0 {
                        let (parent, step) = parents[at as usize];
                        taken.push(step);
                        at = parent;
                    }
                    taken.reverse();
                    return Err(Failure { steps: taken, error });
                }
                if seen.states >= most {
                    return Ok(false);
                }
                queue.push_back((next, next_id));
            }
        }
        Ok(true)
    }
}

impl Seen {
    fn count(&mut self, step: Step) {
        self.states += 1;
        match step {
            Step::Compact(_) | Step::Adopt(..) => self.compactions += 1,
            Step::Fold(_) | Step::AdoptFold(..) => self.folds += 1,
            Step::Retire(_) => self.retired += 1,
            Step::Hint(..) => self.hints += 1,
            Step::Wipe(_) | Step::Crash(_) | Step::Restore(_) => self.faults += 1,
            _ => {}
        }
    }
}

fn is_in_range<V: Values>(step: &Step, world: &World<V>) -> bool {
    match step {
        Step::Deliver(message, _) => usize::from(*message) < world.net.len(),
        Step::HearLate(_, late) => usize::from(*late) < world.late.len(),
        _ => true,
    }
}

fn hash(of: &impl Hash, salt: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    salt.hash(&mut hasher);
    of.hash(&mut hasher);
    hasher.finish()
}

fn what_is_checked<V: Values + Hash>(world: &World<V>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for node in &world.nodes {
        (&node.now, node.is_newborn, node.life, node.sealed, node.frozen, node.source).hash(&mut hasher);
        (node.refusing, node.wall).hash(&mut hasher);
    }
    world.net.hash(&mut hasher);
    hasher.finish()
}

fn fingerprint<V: Values + Hash>(world: &World<V>) -> (u64, u64) {
    (hash(world, 1), hash(world, 2))
}
