//! Requests about sets, maps and sorted sets: a few elements of each key, so that clients meet on them.
//!
//! Fields whose names begin with `t` hold texts, those with `c` are counted, those with `m` are put and counted; members of sorted sets whose names begin
//! with `a` are added to, the others are given scores. So each element has one rule for what it shows.

use bytes::Bytes;
use starling::message::client::{CollectionCommand, CollectionKind, Command, ElementChange, ElementWrite};

use crate::world::chance::Chance;

/// Elements of one key.
const ELEMENTS: u64 = 12;

/// A request about a collection. `text` makes texts that were never used before.
pub fn request(chance: &mut Chance, kind: CollectionKind, text: &mut impl FnMut(&mut Chance) -> Bytes) -> Command {
    let command = match chance.below(20) {
        0..13 => CollectionCommand::Write { changes: changes(chance, kind, text) },
        13..15 => {
            let elements = numbers(chance).into_iter().map(|number| name(kind, number)).collect();
            CollectionCommand::Read { elements }
        }
        15..18 => {
            let number = chance.below(ELEMENTS);
            let after = chance.happens(500).then(|| name(kind, number));
            CollectionCommand::Page { after, count: chance.between(1, 8) as u16 }
        }
        18 => CollectionCommand::Size,
        _ => return Command::Get,
    };
    Command::Collection { kind, command }
}

/// Some numbers, none twice.
fn numbers(chance: &mut Chance) -> Vec<u64> {
    let count = if chance.happens(700) { 1 } else { chance.between(2, 5) };
    let mut numbers: Vec<u64> = (0..count).map(|_| chance.below(ELEMENTS)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The element with a number. The same number always has the same rule.
fn name(kind: CollectionKind, number: u64) -> Bytes {
    let rule = match kind {
        CollectionKind::Set => 'e',
        CollectionKind::Map => match number % 3 {
            0 => 't',
            1 => 'c',
            _ => 'm',
        },
        CollectionKind::SortedSet if number.is_multiple_of(4) => 'a',
        CollectionKind::SortedSet => 's',
    };
    Bytes::from(format!("{rule}{number}"))
}

fn changes(
    chance: &mut Chance,
    kind: CollectionKind,
    text: &mut impl FnMut(&mut Chance) -> Bytes,
) -> Vec<ElementWrite> {
    numbers(chance)
        .into_iter()
        .map(|number| {
            let element = name(kind, number);
            let removes = chance.happens(300);
            let change = match (kind, element.first()) {
                _ if removes => ElementChange::Remove,
                (CollectionKind::Set, _) => ElementChange::Add,
                (CollectionKind::Map, Some(b't')) => ElementChange::Put(text(chance)),
                (CollectionKind::Map, Some(b'm')) if chance.happens(400) => ElementChange::Put(text(chance)),
                (CollectionKind::Map, _) => ElementChange::Increment(step(chance)),
                (CollectionKind::SortedSet, Some(b'a')) => ElementChange::AddToScore(score(chance)),
                (CollectionKind::SortedSet, _) => ElementChange::Score(score(chance)),
            };
            ElementWrite { element, change }
        })
        .collect()
}

/// Large and of both signs, so that a sum tells what it contains.
fn step(chance: &mut Chance) -> i64 {
    let size = chance.between(1, 1 << 46) as i64;
    if chance.happens(300) { -size } else { size }
}

/// The bits of a finite score. No two draws are likely to be equal, so a score tells who wrote it.
fn score(chance: &mut Chance) -> u64 {
    let whole = chance.between(0, 1 << 40) as f64 - (1_u64 << 39) as f64;
    (whole / 1024.0).to_bits()
}
