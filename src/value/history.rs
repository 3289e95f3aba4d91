//! Histories for tests: what a few replicas do to one key, beside a model that knows every single write.
//!
//! The model is a set of increments, a set of register writes and the set of increments that were covered. Its merge is
//! the union, so there is nothing clever in it that could be wrong in the same way as the row. An increment's delta
//! carries all earlier increments of its actor with it (the entry is cumulative).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::register::Stamp;
use super::wire::put_number;
use super::{Beside, MergeKind, Row, ValueError, Visible, laws};
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::time::{Hlc, HybridClock, WallTime};

/// Replicas of the key.
pub const REPLICAS: usize = 3;

/// One step of a history. Replica and message numbers are taken modulo how many there are.
#[derive(Clone, Debug)]
pub enum Step {
    /// A replica coordinates an increment.
    Increment { at: usize, wall: u64, by: i64 },
    /// A replica coordinates a put (`None`: a delete), having observed itself and perhaps another.
    Cover { at: usize, wall: u64, value: Option<&'static str>, observes: Option<usize> },
    /// A message that was sent at any time arrives, perhaps again.
    Deliver { message: usize, to: usize },
    /// One replica's whole state arrives at another.
    Exchange { from: usize, to: usize },
    /// A replica goes on under a new actor, as after a start.
    Restart { at: usize },
    /// A newer program writes a field that this one does not know.
    Future { at: usize, wall: u64, tag: u32, kind: MergeKind, content: u8 },
}

/// Steps; mostly small amounts, sometimes such that sums leave the visible range.
pub fn any_step() -> impl Strategy<Value = Step> {
    let at = 0..REPLICAS;
    let wall = 0..20u64;
    let by = prop_oneof![8 => -9..10i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()];
    let value = proptest::sample::select(vec![
        None,
        Some("0"),
        Some("10"),
        Some("-3"),
        Some("9223372036854775807"),
        Some("-9223372036854775808"),
        Some("text"),
        Some("007"),
        Some(""),
    ]);
    // A tag has one kind in all programs.
    let field = proptest::sample::select(vec![
        (105, MergeKind::LargestBytes),
        (106, MergeKind::LatestStamp),
        (107, MergeKind::LargestEventPerActor),
        (108, MergeKind::Union),
        (109, MergeKind::Floor),
        (110, MergeKind::Dotted),
        (111, MergeKind::Sketch),
        (300, MergeKind::Union),
    ]);
    prop_oneof![
        8 => (at.clone(), wall.clone(), by).prop_map(|(at, wall, by)| Step::Increment { at, wall, by }),
        4 => (at.clone(), wall.clone(), value, proptest::option::of(at.clone()))
            .prop_map(|(at, wall, value, observes)| Step::Cover { at, wall, value, observes }),
        8 => (any::<usize>(), at.clone()).prop_map(|(message, to)| Step::Deliver { message, to }),
        3 => (at.clone(), at.clone()).prop_map(|(from, to)| Step::Exchange { from, to }),
        1 => at.clone().prop_map(|at| Step::Restart { at }),
        2 => (at, wall, field, any::<u8>())
            .prop_map(|(at, wall, (tag, kind), content)| Step::Future { at, wall, tag, kind, content }),
    ]
}

/// Every write that someone has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    increments: BTreeMap<Dot, (i64, Hlc)>,
    covered: BTreeSet<Dot>,
    writes: BTreeMap<(Hlc, Dot), Option<&'static str>>,
    future: BTreeSet<(u32, MergeKind, Dot, Hlc, u8)>,
}

impl Model {
    fn merge(&mut self, other: &Model) {
        self.increments.extend(other.increments.iter().map(|(dot, increment)| (*dot, *increment)));
        self.covered.extend(other.covered.iter());
        self.writes.extend(other.writes.iter().map(|(stamp, value)| (*stamp, *value)));
        self.future.extend(other.future.iter());
    }

    /// The exact sum of the increments that nobody covered.
    fn sum(&self) -> i128 {
        let live = self.increments.iter().filter(|(dot, _)| !self.covered.contains(dot));
        live.map(|(_, (by, _))| i128::from(*by)).sum()
    }

    fn is_live(&self) -> bool {
        self.increments.keys().any(|dot| !self.covered.contains(dot))
    }

    fn register(&self) -> Option<&'static str> {
        self.writes.last_key_value().and_then(|(_, value)| *value)
    }

    fn is_text(&self) -> bool {
        self.register().is_some_and(|value| integer(value).is_none())
    }

    fn number(&self) -> i128 {
        self.register().and_then(integer).map_or(0, i128::from) + self.sum()
    }

    fn visible(&self) -> Visible {
        match self.register() {
            Some(text) if self.is_text() => Visible::Text(Bytes::from(text)),
            None if !self.is_live() => Visible::Nothing,
            _ => {
                let number = self.number();
                let value = number.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
                Visible::Integer { value, saturated: i128::from(value) != number }
            }
        }
    }

    fn refusal(&self, by: i64) -> Option<ValueError> {
        if self.is_text() {
            return Some(ValueError::NotANumber);
        }
        i64::try_from(self.number() + i128::from(by)).err().map(|_| ValueError::Overflow)
    }

    fn latest_stamp(&self) -> Hlc {
        let increments = self.increments.values().map(|(_, stamp)| *stamp);
        let stamped = |kind: MergeKind| matches!(kind, MergeKind::LatestStamp | MergeKind::Sketch);
        let future = self.future.iter().filter(|write| stamped(write.1)).map(|write| write.3);
        increments.chain(self.writes.keys().map(|(stamp, _)| *stamp)).chain(future).max().unwrap_or_default()
    }
}

/// The strings of the histories that are numbers are those that print as themselves.
fn integer(value: &str) -> Option<i64> {
    value.parse::<i64>().ok().filter(|number| number.to_string() == value)
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Replica {
    /// What the program has.
    pub row: Row,
    /// What it should show.
    pub model: Model,
    actor: ActorId,
    event: u64,
    clock: HybridClock,
}

/// Replicas and everything that was ever sent.
#[derive(Clone, Debug)]
pub struct World {
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// Deltas and states, with what the model says about them.
    pub messages: Vec<(Row, Model)>,
    starts: u64,
}

impl World {
    /// The world after these steps; every step is checked.
    pub fn after(steps: &[Step]) -> World {
        let mut world = World { replicas: Vec::new(), messages: Vec::new(), starts: 0 };
        for _ in 0..REPLICAS {
            let actor = world.new_actor();
            let (row, model, clock) = (Row::default(), Model::default(), HybridClock::default());
            world.replicas.push(Replica { row, model, actor, event: 0, clock });
        }
        for step in steps {
            world.take(step);
        }
        world
    }

    fn new_actor(&mut self) -> ActorId {
        self.starts += 1;
        // Epochs are random: a later start may sort before an earlier one.
        let epoch = Epoch(self.starts.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        ActorId { expires: Tick(7), epoch, tenure: Tenure((self.starts % 2) as u32) }
    }

    fn take(&mut self, step: &Step) {
        let changed = match step {
            Step::Increment { at, wall, by } => self.increment(*at, *wall, *by),
            Step::Cover { at, wall, value, observes } => self.cover(*at, *wall, *value, *observes),
            Step::Future { at, wall, tag, kind, content } => self.write_future(*at, *wall, *tag, *kind, *content),
            Step::Deliver { message, to } => {
                if !self.messages.is_empty() {
                    let (row, model) = self.messages[message % self.messages.len()].clone();
                    self.replicas[*to].receive(&row, &model);
                }
                *to
            }
            Step::Exchange { from, to } => {
                let Replica { row, model, .. } = self.replicas[*from].clone();
                self.replicas[*to].receive(&row, &model);
                *to
            }
            Step::Restart { at } => {
                let actor = self.new_actor();
                let replica = &mut self.replicas[*at];
                (replica.actor, replica.event, replica.clock) = (actor, 0, HybridClock::default());
                *at
            }
        };
        self.replicas[changed].check();
    }

    fn increment(&mut self, at: usize, wall: u64, by: i64) -> usize {
        let other = self.replicas[(at + 1) % REPLICAS].row.clone();
        let replica = &mut self.replicas[at];
        let before = replica.row.clone();
        let refusal = replica.model.refusal(by);
        assert_eq!(replica.row.can_increment(by, &Beside::NONE).err(), refusal);
        let (dot, stamp) = replica.mint(wall, before.latest_stamp());
        match replica.row.increment(dot, stamp, by, &Beside::NONE) {
            Err(error) => {
                assert_eq!((Some(error), &replica.row), (refusal, &before), "a refusal changes nothing");
                replica.event -= 1;
            }
            Ok(delta) => {
                assert_eq!(refusal, None);
                laws::check_delta(&before, &delta, &replica.row, &other);
                let mut model = Model::default();
                replica.model.increments.insert(dot, (by, stamp));
                let own = replica.model.increments.iter().filter(|(other, _)| other.actor == dot.actor);
                model.increments.extend(own.map(|(dot, increment)| (*dot, *increment)));
                self.messages.push((delta, model));
            }
        }
        at
    }

    fn cover(&mut self, at: usize, wall: u64, value: Option<&'static str>, observes: Option<usize>) -> usize {
        let other = self.replicas[(at + 1) % REPLICAS].row.clone();
        let mut observed = self.replicas[at].clone();
        if let Some(observes) = observes {
            let Replica { row, model, .. } = self.replicas[observes].clone();
            observed.receive(&row, &model);
        }
        let replica = &mut self.replicas[at];
        let before = replica.row.clone();
        let (dot, stamp) = replica.mint(wall, observed.row.latest_stamp());
        let delta = match value {
            Some(value) => replica.row.put(dot, stamp, Bytes::from(value), &observed.row),
            None => replica.row.delete(dot, stamp, &observed.row),
        };
        laws::check_delta(&before, &delta, &replica.row, &other);
        let mut model = observed.model;
        model.covered.extend(model.increments.keys().copied());
        model.writes.insert((stamp, dot), value);
        replica.model.merge(&model);
        self.messages.push((delta, model));
        at
    }

    fn write_future(&mut self, at: usize, wall: u64, tag: u32, kind: MergeKind, content: u8) -> usize {
        let replica = &mut self.replicas[at];
        let (dot, stamp) = replica.mint(wall, replica.row.latest_stamp());
        let delta = Row::decode(&future_row(tag, kind, dot, stamp, content)).unwrap();
        let mut model = Model::default();
        model.future.insert((tag, kind, dot, stamp, content));
        replica.receive(&delta, &model);
        self.messages.push((delta, model));
        at
    }
}

impl Replica {
    fn mint(&mut self, wall: u64, seen: Hlc) -> (Dot, Hlc) {
        self.event += 1;
        (Dot { actor: self.actor, event: self.event }, self.clock.stamp(WallTime(wall), seen))
    }

    /// Merges what came.
    pub fn receive(&mut self, row: &Row, model: &Model) {
        laws::check_reported_change(&self.row, row);
        self.row.merge(row);
        self.model.merge(model);
    }

    /// Compares the row with the model.
    pub fn check(&self) {
        let Replica { row, model, .. } = self;
        assert_eq!(row.visible(&Beside::NONE, WallTime(0)), model.visible());
        assert_eq!(row.counter_sum_text(&Beside::NONE), model.sum().to_string());
        assert_eq!(row.has_live_counter(&Beside::NONE), model.is_live());
        assert_eq!(row.has_conflict(&Beside::NONE), model.is_text() && model.is_live());
        assert_eq!(row.latest_stamp(), model.latest_stamp());
        assert_eq!(row.is_empty(), *model == Model::default());
        let seen = row.version_vector();
        for dot in model.increments.keys() {
            assert!(seen.event(dot.actor) >= dot.event, "{dot:?} was seen");
        }
    }
}

/// The bytes of a row that a newer program wrote: one field under a tag of its own.
pub fn future_row(tag: u32, kind: MergeKind, dot: Dot, stamp: Hlc, content: u8) -> Vec<u8> {
    let mut payload = Vec::new();
    match kind {
        MergeKind::LargestBytes => payload.extend([content]),
        MergeKind::LatestStamp => {
            Stamp::new(stamp, dot).encode(&mut payload);
            payload.push(content);
        }
        MergeKind::LargestEventPerActor => {
            payload.extend(dot.actor.to_bytes());
            payload.extend([u8::try_from(dot.event).unwrap(), 1, content]);
        }
        MergeKind::Union => payload.extend([2, b'#', content]),
        // The actors of these histories expire at tick 7: some floors take them away, some do not.
        MergeKind::Floor => payload.extend([107, 0, 0, 0, content % 8, content]),
        MergeKind::Dotted => {
            let event = u8::try_from(dot.event).unwrap();
            payload.extend([0, 0, 0, 0, 1]);
            payload.extend(dot.actor.to_bytes());
            payload.push(event);
            payload.extend(dot.actor.to_bytes());
            payload.extend([event, 1, content]);
        }
        MergeKind::Sketch => {
            payload.push(0);
            Stamp::new(stamp, dot).encode(&mut payload);
            payload.extend([1, 0, content, 1]);
        }
    }
    let mut bytes = vec![1];
    put_number(tag.into(), &mut bytes);
    bytes.extend([kind as u8, u8::try_from(payload.len()).unwrap()]);
    bytes.extend(payload);
    bytes
}
