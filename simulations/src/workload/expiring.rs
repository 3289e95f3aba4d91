//! Keys that expire, with one client each: texts, counters, flags, sets and siblings. All but texts are also emptied before
//! their deadline, and written again.
//!
//! What empties a key, and what sets its deadline, all owners must hold: whoever takes the next write has then heard of it,
//! and what that write becomes follows (`checker/begun_anew.rs`). The others take the cluster's settings.

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{
    CollectionCommand, CollectionKind, Command, ElementChange, ElementWrite, Options, Response,
};
use starling::time::WallTime;

use super::serial::Serial;
use crate::world::World;
use crate::world::chance::Chance;

/// Members of the sets.
const MEMBERS: [&str; 3] = ["e0", "e1", "e2"];

/// What a key holds, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Counter,
    Flag,
    Set,
    Siblings,
}

impl Kind {
    /// The kind of a key with this name: the number at its end decides.
    pub(super) fn of(name: &str) -> Kind {
        let number = name.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0_u64);
        match number % 5 {
            0 => Kind::Text,
            1 => Kind::Counter,
            2 => Kind::Flag,
            3 => Kind::Set,
            _ => Kind::Siblings,
        }
    }
}

/// What draws of a moment, and makes texts that were never used.
pub(super) struct Draw<'a> {
    pub chance: &'a mut Chance,
    pub moment: WallTime,
    pub text: Bytes,
    pub step: i64,
}

/// The next request of a key's client, which waits for nothing.
pub(super) fn next(world: &World, serial: &Serial, key: &Key, kind: Kind, draw: Draw<'_>) -> (Command, Options) {
    let Draw { chance, moment, text, step } = draw;
    let by_all = Options { w: Some(world.options.replicas), ..Options::default() };
    let usual = Options::default();
    if let Some((Command::Observe, Some(Response::Observed(reply)))) = serial.last(world, key) {
        return (Command::Overwrite { context: reply.context.clone(), to: None }, by_all);
    }
    let expire = |deadline, options| (Command::Expire { deadline }, options);
    match (kind, chance.below(20)) {
        (_, 0..5) => (Command::Get, usual),
        (Kind::Text, 5..12) => (Command::Put { value: text }, usual),
        (Kind::Text, 12) => (Command::Delete, usual),
        (Kind::Text, 13 | 14) => expire(None, usual),
        (Kind::Text, _) => expire(Some(moment), usual),
        (_, 5..8) => expire(Some(moment), by_all),
        (_, 8) => expire(None, usual),
        (Kind::Counter, 9..13) => (Command::Observe, usual),
        (Kind::Counter, _) => (Command::Increment { by: step }, usual),
        (Kind::Flag, 9..13) => (Command::SetFlag { on: false }, by_all),
        (Kind::Flag, _) => (Command::SetFlag { on: true }, usual),
        (Kind::Set, 9..13) => (change(&MEMBERS, ElementChange::Remove), by_all),
        (Kind::Set, _) => (change(chance.pick(&MEMBERS).as_slice(), ElementChange::Add), usual),
        (Kind::Siblings, 9) => (Command::Delete, usual),
        (Kind::Siblings, _) => (Command::PutSibling { value: text, context: None }, usual),
    }
}

fn change<T: AsRef<str>>(members: &[T], change: ElementChange) -> Command {
    let write = |member: &T| ElementWrite {
        element: Bytes::copy_from_slice(member.as_ref().as_bytes()),
        change: change.clone(),
    };
    let changes = members.iter().map(write).collect();
    Command::Collection { kind: CollectionKind::Set, command: CollectionCommand::Write { changes } }
}
