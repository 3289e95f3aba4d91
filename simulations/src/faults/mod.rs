//! What goes wrong in a world, and when.
//!
//! An [`Action`] is one thing done at one moment; [`atlas`] draws schedules of them that stay within what the cluster
//! promises to survive, so that every finding is a bug and none an excuse.

pub mod atlas;
pub mod losses;
pub mod members;
pub mod operator;

use std::time::Duration;

use starling::storage::memory::MemoryFaults;
use starling::time::Timestamp;

use crate::world::World;
use crate::world::network::Cut;
use crate::world::node::{CrashPoint, Damage};

/// One thing done to a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Cuts directed links.
    Cut(Vec<(usize, usize)>, Cut),
    /// Heals directed links, and what [`Action::Degrade`] did to them.
    Heal(Vec<(usize, usize)>),
    /// Makes directed links lossy (per mille) and slow.
    Degrade(Vec<(usize, usize)>, u16, Duration),
    /// Ends a process; it starts again after the span.
    Crash(usize, Damage, Duration),
    /// Ends a process in good order; it starts again after the span.
    Stop(usize, Duration),
    /// Ends a process at the next step that reaches the point; a later start is an action of its own.
    Arm(usize, CrashPoint, Damage),
    /// Starts a node that does not run.
    Start(usize),
    /// Keeps a copy of a directory.
    Copy(usize),
    /// A node stands still.
    Pause(usize, Duration),
    /// Syncs take so many times as long.
    SlowDisk(usize, u32),
    /// A disk falls below its reserve, or rises above it.
    Reserve(usize, bool),
    /// A wall clock jumps. Unit: milliseconds.
    Jump(usize, i64),
    /// All disks get these faults.
    Disks(MemoryFaults),
    /// The next write (else the next sync) of one disk fails: the process stops.
    FailDisk(usize, bool),
    /// The members change, as the number that was drawn says.
    Members(members::Wish, u64),
    /// Several machines are lost for ever, or are declared so, as the number that was drawn says.
    Loss(losses::Loss, u64),
}

/// What is done, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    actions: Vec<(Timestamp, Action)>,
}

impl Schedule {
    /// Adds an action.
    pub fn at(&mut self, at: Timestamp, action: Action) {
        self.actions.push((at, action));
    }

    /// All actions in order of time; those of one moment in the order in which they were added.
    pub fn sorted(mut self) -> Vec<(Timestamp, Action)> {
        self.actions.sort_by_key(|(at, _)| *at);
        self.actions
    }
}

impl Action {
    /// Does it.
    pub fn apply(&self, world: &mut World) {
        world.trace.line(world.now(), || format!("fault: {self:?}"));
        match self {
            Action::Cut(links, cut) => links.iter().for_each(|(from, to)| world.cut(*from, *to, *cut)),
            Action::Heal(links) => links.iter().for_each(|(from, to)| world.heal(*from, *to)),
            Action::Degrade(links, loss, delay) => {
                links.iter().for_each(|(from, to)| world.network.degrade(*from, *to, *loss, *delay));
            }
            Action::Crash(node, damage, down) => {
                world.crash(*node, *damage);
                world.start_after(*node, *down);
            }
            Action::Stop(node, down) => {
                world.stop(*node);
                world.start_after(*node, *down);
            }
            Action::Arm(node, point, damage) => world.arm(*node, *point, *damage),
            Action::Start(node) => world.start(*node),
            Action::Copy(node) => world.copy_directory(*node),
            Action::Pause(node, span) => world.pause(*node, *span),
            Action::SlowDisk(node, factor) => world.slow_disk(*node, *factor),
            Action::Reserve(node, is_below) => world.disk_reserve(*node, *is_below),
            Action::Jump(node, ms) => world.jump_clock(*node, ms.saturating_mul(1000)),
            Action::Members(wish, drawn) => wish.grant(world, *drawn),
            Action::Loss(loss, drawn) => loss.happen(world, *drawn),
            Action::Disks(faults) => world.set_disk_faults(*faults),
            Action::FailDisk(node, is_write) => {
                let store = &world.node(*node).store;
                let faults = MemoryFaults { fail_writes: *is_write, fail_syncs: !is_write, ..store.faults() };
                store.set_faults(faults);
            }
        }
    }
}

/// Both directions of every link between two groups.
pub fn between(one: &[usize], other: &[usize]) -> Vec<(usize, usize)> {
    one.iter().flat_map(|a| other.iter().flat_map(move |b| [(*a, *b), (*b, *a)])).collect()
}
