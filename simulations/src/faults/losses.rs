//! Several machines lost for ever, and what an operator does about it: a zone declared lost, or a recovery without a majority.
//!
//! ```text
//! Zone      all members of a zone die ────────────→ DeclareZone   decided by the others, if they are a majority
//! Majority  so many voters die that none is left ─→ Recover       the survivors go on alone
//! ```
//!
//! The dead stay away until all is made well ([`World::take_away`]); those that were declared lost by then stay away for ever.
//! A majority is lost only where recovering is sound, and of use: the survivors can carry all replicas, and one of them has the
//! newest layout, for what the dead had decided among themselves nobody could know. What may be gone then the checkers tell
//! from the acknowledgements: what only the lost had.

use std::collections::BTreeSet;

use starling::membership::Change;
use starling::message::client::ClusterCall;

use crate::world::World;
use crate::world::chance::{Chance, Use};
use crate::world::options::WorldOptions;

/// A loss, or its declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Every member of some zone dies, if others are left that can carry all replicas.
    Zone,
    /// The zone all of whose members are away is declared lost.
    DeclareZone {
        /// Even if partitions lose their last owner.
        accepts_loss: bool,
    },
    /// So many members die that those who are left are no majority.
    Majority,
    /// Those who are left are told to go on alone, if they are no majority.
    Recover,
}

impl Loss {
    /// Lets it happen, if it may.
    pub(super) fn happen(self, world: &mut World, drawn: u64) {
        let mut chance = Chance::new(drawn, Use::Operator);
        match self {
            Loss::Zone => lose_zone(world, &mut chance),
            Loss::Majority => lose_majority(world, &mut chance),
            Loss::DeclareZone { accepts_loss } => {
                let (zone, door) = (lost_zone(world), door(world, &mut chance));
                if let Some((zone, door)) = zone.zip(door) {
                    world.change_through(door, vec![Change::ZoneLost(zone)], accepts_loss);
                }
            }
            Loss::Recover => {
                let left = left(world);
                let voters = world.ring().layout().voters();
                let voting = voters.iter().filter(|voter| left.iter().any(|node| WorldOptions::id(*node) == **voter));
                let is_sound = voting.count() <= voters.len() / 2 && knows_newest(world, &left);
                if let Some(door) = door(world, &mut chance).filter(|_| is_sound) {
                    let survivors = left.into_iter().map(WorldOptions::id).collect();
                    let cluster = world.ring().layout().name.clone();
                    world.call(door, ClusterCall::Recover { survivors, cluster });
                }
            }
        }
    }
}

/// Members that are not away.
fn left(world: &World) -> Vec<usize> {
    world.doors().iter().copied().filter(|node| !world.node(*node).is_away).collect()
}

fn door(world: &World, chance: &mut Chance) -> Option<usize> {
    chance.pick(&left(world)).copied()
}

/// Members of the newest layout on which partitions are placed.
fn carriers(world: &World) -> Vec<usize> {
    let layout = world.ring().layout();
    let carries = |node: &usize| layout.member(WorldOptions::id(*node)).is_some_and(|member| member.carries());
    world.doors().iter().copied().filter(carries).collect()
}

fn zone_of(world: &World, node: usize) -> &str {
    world.ring().layout().member(WorldOptions::id(node)).map_or("", |member| &member.zone)
}

fn lose_zone(world: &mut World, chance: &mut Chance) {
    let zones: BTreeSet<String> = world.doors().iter().map(|node| zone_of(world, *node).to_owned()).collect();
    let zones: Vec<String> = zones.into_iter().filter(|zone| !zone.is_empty()).collect();
    let Some(lost) = chance.pick(&zones).cloned() else { return };
    let stay = carriers(world).into_iter().filter(|node| zone_of(world, *node) != lost).count();
    if stay < usize::from(world.options.replicas) {
        return;
    }
    for node in world.doors().to_vec().into_iter().filter(|node| zone_of(world, *node) == lost).collect::<Vec<usize>>()
    {
        world.take_away(node);
    }
}

/// The zone of the machines that are away.
fn lost_zone(world: &World) -> Option<String> {
    let away = world.doors().iter().filter(|node| world.node(**node).is_away);
    away.map(|node| zone_of(world, *node).to_owned()).find(|zone| !zone.is_empty())
}

/// Whether one of these has the newest layout on its disk: a disk may have been set back since it was taken up.
fn knows_newest(world: &World, nodes: &[usize]) -> bool {
    let newest = world.ring().epoch();
    nodes.iter().any(|node| world.layout_on_disk(*node) == Some(newest))
}

fn lose_majority(world: &mut World, chance: &mut Chance) {
    let (mut carriers, replicas) = (carriers(world), usize::from(world.options.replicas));
    let voters = world.ring().layout().voters().len();
    // As many as are no majority; all of them voters, at worst.
    let most = voters / 2;
    if most < replicas || carriers.len() < most {
        return;
    }
    let count = chance.between(replicas as u64, most as u64);
    let survivors: Vec<usize> =
        (0..count).map(|_| carriers.swap_remove(chance.below(carriers.len() as u64) as usize)).collect();
    if !knows_newest(world, &survivors) {
        return;
    }
    for node in world.doors().to_vec().into_iter().filter(|node| !survivors.contains(node)) {
        world.take_away(node);
    }
}
