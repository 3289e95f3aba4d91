//! Changes of the members, drawn: joins, leaves, other weights, replacements, reverts, and one member declared lost. What
//! operators do beside that is drawn in [`super::operator`].
//!
//! What is drawn is a wish; whom it concerns is chosen from those who are there when its moment has come, and a wish that
//! the layout of that moment does not allow is not granted. Only the one fragile node is declared lost here: then every
//! write that two nodes acknowledged still has a holder that keeps it. Losses of several are those of [`super::losses`].

use starling::membership::Change;
use starling::message::client::ClusterCall;
use starling::time::Timestamp;

use super::{Action, Schedule};
use crate::world::World;
use crate::world::chance::{Chance, Use};
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

/// A wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Some spares join and some members leave, in one change.
    JoinAndLeave {
        /// How many come, if so many are left.
        join: usize,
        /// How many go.
        leave: usize,
    },
    /// A member gets another weight.
    Weigh(u32),
    /// So many members are drained in one change; later they carry their share again.
    Drain(usize),
    /// Every member that is drained carries its share again.
    Fill,
    /// A member moves into the zone of this number, or into one of its own.
    Zone(Option<usize>),
    /// A member gets another address, with this port.
    Address(u16),
    /// A spare takes the place of a member.
    Replace,
    /// The change that is under way is taken back.
    Revert,
    /// The moving of data is halted, or goes on.
    Halt(bool),
    /// This node dies for ever, and a while later it is declared lost.
    Fence(usize),
    /// This node dies for ever, and a spare takes its place.
    ReplaceDead(usize),
}

/// Wishes from some moments between 0 and `end` on.
pub fn draw(options: &WorldOptions, fragile: usize, end: Timestamp, schedule: &mut Schedule) {
    let mut chance = Chance::new(options.seed, Use::Members);
    // Some operators are in a hurry: the next change comes while the last one is under way.
    let mean = std::time::Duration::from_micros(end.0 / *chance.pick(&[4, 4, 8, 16]).unwrap_or(&4));
    let mut at = Timestamp(3_000_000);
    let mut may_lose = true;
    loop {
        at = at.after(chance.exponential(mean));
        if at >= end {
            return;
        }
        if chance.happens(100) {
            let lasts = chance.span(std::time::Duration::from_secs(1), std::time::Duration::from_secs(10));
            schedule.at(at, Action::Members(Wish::Halt(true), chance.number()));
            schedule.at(at.after(lasts), Action::Members(Wish::Halt(false), chance.number()));
            continue;
        }
        let wish = match chance.below(10) {
            0..4 => Wish::JoinAndLeave { join: chance.below(3) as usize, leave: chance.below(3) as usize },
            4 => Wish::Weigh(chance.between(0, 3) as u32),
            5 | 6 => Wish::Replace,
            7 => Wish::Revert,
            8 if may_lose => Wish::Fence(fragile),
            9 if may_lose => Wish::ReplaceDead(fragile),
            _ => Wish::Revert,
        };
        if let Wish::Fence(_) | Wish::ReplaceDead(_) = wish {
            may_lose = false;
            let away = chance.span(std::time::Duration::ZERO, std::time::Duration::from_secs(8));
            let dies_at = Timestamp(at.0.saturating_sub(starling::time::micros(away)));
            schedule.at(dies_at, Action::Crash(fragile, Damage::None, std::time::Duration::from_secs(3_600)));
        }
        schedule.at(at, Action::Members(wish, chance.number()));
    }
}

impl Wish {
    /// Grants the wish, if it can be: whom it concerns follows from the number that was drawn.
    pub(super) fn grant(self, world: &mut World, drawn: u64) {
        let mut chance = Chance::new(drawn, Use::Members);
        let mut members = world.doors().to_vec();
        let mut spares: Vec<usize> =
            (0..world.options.places()).filter(|node| world.node(*node).life == 0 && !world.is_member(*node)).collect();
        let mut take = |from: &mut Vec<usize>| {
            (!from.is_empty()).then(|| from.swap_remove(chance.below(from.len() as u64) as usize))
        };
        let id = WorldOptions::id;
        let mut changes = Vec::new();
        match self {
            Wish::JoinAndLeave { join, leave } => {
                let joins = (0..join).filter_map(|_| take(&mut spares)).collect::<Vec<usize>>();
                changes.extend(joins.into_iter().map(|node| Change::Join(world.options.member(node))));
                changes.extend((0..leave).filter_map(|_| take(&mut members)).map(|node| Change::Leave(id(node))));
            }
            Wish::Weigh(weight) => {
                changes.extend(take(&mut members).map(|node| Change::Weight { node: id(node), weight }));
            }
            Wish::Drain(count) => {
                let drained = (0..count).filter_map(|_| take(&mut members));
                changes.extend(drained.map(|node| Change::Weight { node: id(node), weight: 0 }));
            }
            Wish::Fill => {
                let drained = world.ring().layout().members.iter().filter(|member| member.weight == 0);
                changes.extend(drained.map(|member| Change::Weight { node: member.id, weight: 1 }));
            }
            Wish::Zone(zone) => {
                let zone = zone.map_or_else(String::new, WorldOptions::zone);
                changes.extend(take(&mut members).map(|node| Change::Zone { node: id(node), zone }));
            }
            Wish::Address(port) => {
                let address = |node| format!("node-{}:{port}", node + 1);
                changes
                    .extend(take(&mut members).map(|node| Change::Address { node: id(node), address: address(node) }));
            }
            Wish::Replace => {
                let pair = take(&mut members).zip(take(&mut spares));
                changes.extend(pair.map(|(old, new)| {
                    let new = world.options.member(new);
                    Change::Replace { old: id(old), new, is_dead: false }
                }));
            }
            Wish::Fence(node) => changes.push(Change::Fence(id(node))),
            Wish::ReplaceDead(node) => changes.extend(take(&mut spares).map(|new| {
                let new = world.options.member(new);
                Change::Replace { old: id(node), new, is_dead: true }
            })),
            Wish::Halt(is_paused) => {
                if let Some(door) = take(&mut members) {
                    world.call(door, ClusterCall::PauseMoves(is_paused));
                }
            }
            Wish::Revert => {
                if let Some(door) = take(&mut members) {
                    world.call(door, ClusterCall::Revert);
                }
            }
        }
        if let Some(door) = take(&mut world.doors().to_vec()).filter(|_| !changes.is_empty()) {
            world.change_through(door, changes, false);
        }
    }
}
