//! What the keys of a run are about: each topic has keys, requests and checkers of its own, so that a seed can have one
//! alone or several side by side.

use std::fmt;

use clap::ValueEnum;

use crate::world::chance::Chance;

/// One kind of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Topic {
    /// Increments above zero, reads: the sum says exactly what is missing.
    Up,
    /// Increments of both signs, reads.
    Pn,
    /// Puts of texts that name their write, deletes, reads.
    Register,
    /// Puts, deletes, increments and reads of strings.
    Mix,
    /// Increments of sessions beside untagged ones, reads.
    Sessions,
    /// The same, with resets and set-to-value in two steps.
    Resets,
    /// Values that stand side by side until a put has seen them.
    Siblings,
    /// Flags that are raised and lowered.
    Flags,
    /// Sketches of distinct items.
    Sketches,
    /// Members that come and go.
    Sets,
    /// Fields: registers and counters.
    Maps,
    /// Members with scores.
    Sorted,
    /// Texts, counters, flags, sets and siblings that expire.
    Expiry,
    /// Clients that read what they wrote.
    Tokens,
    /// Every command on the same few keys: types meet.
    Everything,
}

impl Topic {
    /// How the names of its keys begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Topic::Up => "up",
            Topic::Pn => "pn",
            Topic::Register => "reg",
            Topic::Mix => "mix",
            Topic::Sessions => "session",
            Topic::Resets => "reset",
            Topic::Siblings => "siblings",
            Topic::Flags => "flag",
            Topic::Sketches => "sketch",
            Topic::Sets => "set",
            Topic::Maps => "map",
            Topic::Sorted => "sorted",
            Topic::Expiry => "expiry",
            Topic::Tokens => "token",
            Topic::Everything => "any",
        }
    }
}

/// A choice of topics.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Topics(u32);

impl Topics {
    /// Strings without sessions.
    pub const STRINGS: Topics =
        Topics(1 << Topic::Up as u32 | 1 << Topic::Pn as u32 | 1 << Topic::Register as u32 | 1 << Topic::Mix as u32);

    /// What the core serves.
    pub const SERVED: Topics = Topics(u32::MAX);

    /// These.
    pub fn of(topics: &[Topic]) -> Topics {
        Topics(topics.iter().fold(0, |bits, topic| bits | 1 << *topic as u32))
    }

    /// All of them.
    pub fn all() -> Topics {
        Topics::of(Topic::value_variants())
    }

    /// The choice of a seed: every third time one topic alone, every third time some, else all.
    pub fn draw(chance: &mut Chance, from: Topics) -> Topics {
        let possible = from.list();
        let drawn: Vec<Topic> = match chance.below(3) {
            0 => chance.pick(&possible).copied().into_iter().collect(),
            1 => possible.iter().copied().filter(|_| chance.happens(400)).collect(),
            _ => possible,
        };
        if drawn.is_empty() { from } else { Topics::of(&drawn) }
    }

    /// The topics, in their order.
    pub fn list(self) -> Vec<Topic> {
        Topic::value_variants().iter().copied().filter(|topic| self.has(*topic)).collect()
    }

    /// Whether a topic is among them.
    pub fn has(self, topic: Topic) -> bool {
        self.0 & 1 << topic as u32 != 0
    }

    /// Without a topic.
    pub fn without(self, topic: Topic) -> Topics {
        Topics(self.0 & !(1 << topic as u32))
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .list()
            .into_iter()
            .filter_map(|topic| topic.to_possible_value())
            .map(|value| value.get_name().to_owned())
            .collect();
        write!(f, "{}", names.join(","))
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::chance::Use;

    #[test]
    fn every_topic_is_met_alone_in_some_seed() {
        let mut alone: Vec<Topic> = (0..400)
            .map(|seed| Topics::draw(&mut Chance::new(seed, Use::Options), Topics::all()).list())
            .filter_map(|topics| if topics.len() == 1 { topics.first().copied() } else { None })
            .collect();
        alone.sort_unstable();
        alone.dedup();
        assert_eq!(alone, Topic::value_variants());
    }
}
