//! What must be true of every state.
//!
//! Local exactness: each node shows just what it has taken, less what covers known to it had observed. Closure: if all
//! that is in flight arrives, or all of it is lost, and owners then exchange, they show the same, and the truth.
//! Progress: if from then on nothing fails, everything settles and is the same everywhere.

use super::step::Step;
use super::values::{Bits, Values};
use super::world::{Budget, Ghosts, Instance, Key, World};

impl Instance {
    fn sum<V: Values>(world: &World<V>, ghosts: Bits) -> i128 {
        i128::from(ghosts & !world.negative) - i128::from(ghosts & world.negative)
    }

    /// Checks one state.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check<V: Values>(&self, world: &World<V>) -> Result<(), String> {
        for (index, node) in world.nodes.iter().enumerate() {
            for key in &node.now.keys {
                let what = key.is_exact(world).map_err(|error| format!("local: node {index} {error}"));
                what?;
            }
        }
        for arrives in [false, true] {
            let what = if arrives { "all arrives" } else { "all in flight is lost" };
            let mut after = world.clone();
            if self.heal(&mut after, arrives) {
                self.check_equal(&after).map_err(|error| format!("closure ({what}): {error}"))?;
            }
        }
        Ok(())
    }

    /// Newborns sync, the hint is delivered, and owners exchange; false if no owner is established.
    pub(super) fn heal<V: Values>(&self, world: &mut World<V>, arrives: bool) -> bool {
        let owners = self.owners as u8;
        let Some(established) = (0..owners).find(|owner| !world.nodes[usize::from(*owner)].is_newborn) else {
            return false;
        };
        // Twice: a round ends when another start is heard.
        for node in (0..world.nodes.len() as u8).chain(0..world.nodes.len() as u8) {
            for owner in 0..owners {
                let _ = self.apply(world, Step::Hear(owner, node));
            }
        }
        for owner in 0..owners {
            if world.nodes[usize::from(owner)].is_newborn {
                let source = world.nodes[usize::from(owner)].source.map_or(established, |sync| sync.owner);
                if !self.sync_whole(world, owner, source) {
                    world.nodes[usize::from(owner)].source = None;
                    let _ = self.sync_whole(world, owner, established);
                }
            }
        }
        for node in 0..owners {
            for owner in 0..owners {
                let _ = self.apply(world, Step::Hear(owner, node));
            }
        }
        if self.has_fallback {
            for key in 0..self.keys {
                self.hint_whole(world, key);
            }
        }
        if arrives {
            for index in 0..world.net.len() as u8 {
                for owner in 0..owners {
                    let _ = self.apply(world, Step::Deliver(index, owner));
                }
            }
        }
        let far = (0..owners).max_by_key(|owner| {
            let settled = world.nodes[usize::from(*owner)].now.settled;
            (settled.w, settled.v)
        });
        for owner in 0..owners {
            world.nodes[usize::from(owner)].source = None;
            let _ = self.sync_whole(world, owner, far.unwrap_or(established));
        }
        for _ in 0..2 {
            for to in 0..owners {
                for from in (0..owners).filter(|from| *from != to) {
                    let _ = self.exchange(world, to, from);
                }
            }
        }
        true
    }

    /// Takes over what is left of a whole state.
    fn sync_whole<V: Values>(&self, world: &mut World<V>, to: u8, owner: u8) -> bool {
        for _ in 0..self.keys {
            let mut next = world.clone();
            if self.apply(&mut next, Step::Page(to, owner)) {
                *world = next;
            }
        }
        self.apply(world, Step::EndSync(to, owner))
    }

    fn check_equal<V: Values>(&self, world: &World<V>) -> Result<(), String> {
        for index in 0..usize::from(self.keys) {
            let mut all = Ghosts::default();
            for node in &world.nodes {
                let ghosts = &node.now.keys[index].ghosts;
                all.counted |= ghosts.counted;
                all.reset |= ghosts.reset;
                all.added |= ghosts.added;
                all.removed |= ghosts.removed;
                all.newest = all.newest.max(ghosts.newest);
            }
            for (owner, node) in world.nodes[..self.owners].iter().enumerate() {
                let key = Key { ghosts: all, ..node.now.keys[index].clone() };
                key.is_exact(world).map_err(|error| format!("key {index}, owner {owner} {error}"))?;
            }
        }
        Ok(())
    }

    /// From here on nothing fails: every tick must settle, fold and be forgotten, alike everywhere.
    ///
    /// # Errors
    /// What is stuck, or differs.
    pub fn check_progress<V: Values>(&self, world: &World<V>) -> Result<(), String> {
        let mut world = world.clone();
        world.net.clear();
        let calm = Instance { budget: Budget::default(), ..self.clone() };
        if !calm.heal(&mut world, false) {
            return Ok(());
        }
        let owners = self.owners as u8;
        let nodes = world.nodes.len() as u8;
        for _ in 0..4 * (usize::from(self.ticks) + 1) {
            if self.has_fallback {
                let mut next = world.clone();
                if calm.apply(&mut next, Step::TakeSeal(0)) {
                    world = next;
                }
                for key in 0..self.keys {
                    let mut next = world.clone();
                    if calm.apply(&mut next, Step::Hint(0, key)) {
                        world = next;
                    }
                }
            }
            for node in 0..nodes {
                let _ = calm.apply(&mut world, Step::Seal(node));
            }
            for step in [Step::Freeze as fn(u8) -> Step, Step::Report, Step::ReportBaselines, Step::Compact, Step::Fold]
            {
                for owner in 0..owners {
                    for other in (0..nodes).filter(|other| *other != owner) {
                        let _ = calm.apply(&mut world, Step::Hear(owner, other));
                        if other < owners {
                            let _ = calm.exchange(&mut world, owner, other);
                        }
                    }
                    // Tried on a copy: a step that is refused may leave traces.
                    let mut next = world.clone();
                    if calm.apply(&mut next, step(owner)) {
                        world = next;
                    }
                    for other in (0..owners).filter(|other| *other != owner) {
                        for _ in 0..=self.keys {
                            let mut next = world.clone();
                            if calm.apply(&mut next, Step::Page(owner, other)) {
                                world = next;
                            }
                        }
                        for adopt in [Step::EndSync as fn(u8, u8) -> Step, Step::Adopt, Step::AdoptFold] {
                            let mut next = world.clone();
                            if calm.apply(&mut next, adopt(owner, other)) {
                                world = next;
                            }
                        }
                    }
                    let mut next = world.clone();
                    if calm.apply(&mut next, Step::Retire(owner)) {
                        world = next;
                    }
                }
            }
        }
        calm.check_equal(&world).map_err(|error| format!("progress: {error}"))?;
        for (index, node) in world.nodes[..self.owners].iter().enumerate() {
            let settled = node.now.settled;
            if settled.w < self.ticks || settled.v < self.ticks {
                return Err(format!(
                    "progress: owner {index} is stuck at {settled:?}, sealed {}, frozen {}",
                    node.sealed, node.frozen
                ));
            }
            let first = &world.nodes[0].now.keys;
            if let Some((one, other)) = first.iter().zip(&node.now.keys).find(|(one, other)| one.row != other.row) {
                return Err(format!("progress: owners 0 and {index} differ: {:?} and {:?}", one.row, other.row));
            }
        }
        Ok(())
    }
}

impl<V: Values> Key<V> {
    /// Whether the key shows just what it has taken, less what covers known to it had observed.
    fn is_exact(&self, world: &World<V>) -> Result<(), String> {
        let Ghosts { counted, reset, added, removed, newest } = self.ghosts;
        let shown = self.row.shown();
        let want = Instance::sum(world, counted & !reset);
        if shown.value != want {
            return Err(format!("shows {:#b} but has taken {want:#b}", shown.value));
        }
        if shown.live != added & !removed {
            return Err(format!("has the adds {:#b} but has taken {:#b}", shown.live, added & !removed));
        }
        let value = |register: Option<(u128, Option<u8>)>| register.and_then(|(_, value)| value);
        if value(shown.register) != value(newest) {
            return Err(format!("shows the register {:?} but has taken {newest:?}", shown.register));
        }
        Ok(())
    }
}
