//! A fuzz harness: sequences of operations on every type, and decoders fed with what those made, damaged.
//!
//! Every round is a function of its number, so a failure is repeated by its round. `make test` runs some hundred rounds;
//! `make fuzz` sets `STARLING_FUZZ_ROUNDS` and runs many more. (The number is read when the tests are built: the core
//! names no environment.)
//!
//! ```text
//! operations   three replicas, all writes, deltas and states in any order, twice or late      the laws of `laws`, and in
//!              the end all of everything: equal bytes
//! decoders     their bytes with bits flipped, cut, spliced, repeated; and noise                never a panic, and what is
//!              read encodes to the same bytes
//! ```

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Beside, Row, Score, Totals, ValueError, ValueType, laws};
use crate::causality::{ActorId, Context, Dot, Epoch, Tenure, Tick};
use crate::ids::{CollectionKind, NodeId, RowVersion};
use crate::replica::{Minting, StoredRow};
use crate::storage::RowKey;
use crate::time::{Hlc, WallTime};

/// Rounds of each harness.
pub(crate) fn rounds() -> u64 {
    option_env!("STARLING_FUZZ_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(150)
}

const REPLICAS: usize = 3;

/// A replica with its actor.
#[derive(Clone, Debug)]
struct Replica {
    row: Row,
    actor: ActorId,
    event: u64,
}

/// A history of one row, of all types at once.
struct World {
    random: ChaCha8Rng,
    replicas: Vec<Replica>,
    messages: Vec<Row>,
    sessions: Vec<(ActorId, u64, Totals)>,
    stamps: u64,
}

impl World {
    fn new(round: u64) -> World {
        let mut random = ChaCha8Rng::seed_from_u64(round);
        let replicas = (0..REPLICAS).map(|_| Replica { row: Row::default(), actor: actor(&mut random), event: 0 });
        let replicas = replicas.collect();
        World { random, replicas, messages: Vec::new(), sessions: Vec::new(), stamps: 0 }
    }

    fn play(round: u64, steps: usize) -> World {
        let mut world = World::new(round);
        for _ in 0..steps {
            world.step();
        }
        world
    }

    fn step(&mut self) {
        let at = self.random.random_range(0..REPLICAS);
        match self.random.random_range(0..10) {
            0..5 => self.write(at),
            5..7 => {
                let from = self.random.random_range(0..REPLICAS);
                let row = self.replicas[from].row.clone();
                self.receive(at, &row);
            }
            7..9 => {
                if let Some(message) = self.pick_message() {
                    self.receive(at, &message);
                }
            }
            _ => {
                self.replicas[at].actor = actor(&mut self.random);
                self.replicas[at].event = 0;
            }
        }
        laws::check_encoding(&self.replicas[at].row, &self.replicas[(at + 1) % REPLICAS].row);
    }

    fn pick_message(&mut self) -> Option<Row> {
        let count = self.messages.len();
        (count > 0).then(|| self.random.random_range(0..count)).map(|place| self.messages[place].clone())
    }

    fn receive(&mut self, at: usize, row: &Row) {
        laws::check_reported_change(&self.replicas[at].row, row);
        self.replicas[at].row.merge(row);
    }

    fn write(&mut self, at: usize) {
        let other = self.replicas[(at + 1) % REPLICAS].row.clone();
        let mut row = self.replicas[at].row.clone();
        let observed = if self.random.random() {
            let mut both = row.clone();
            both.merge(&other);
            both
        } else {
            row.clone()
        };
        let before = row.clone();
        let replica = &mut self.replicas[at];
        replica.event += 1;
        self.stamps += 1;
        let dot = Dot { actor: replica.actor, event: replica.event };
        let stamp = Hlc { wall: self.stamps, logical: 0 }.max(row.latest_stamp().max(observed.latest_stamp()).next());
        let delta = match self.operate(&mut row, dot, stamp, &observed) {
            Ok(delta) => delta,
            Err(error) => {
                assert_eq!(row, before, "{error}: a refusal changes nothing");
                return;
            }
        };
        laws::check_delta(&before, &delta, &row, &other);
        show(&row);
        self.replicas[at].row = row;
        self.messages.push(delta);
    }

    /// One write of any type.
    fn operate(&mut self, row: &mut Row, dot: Dot, stamp: Hlc, observed: &Row) -> Result<Row, ValueError> {
        let random = &mut self.random;
        Ok(match random.random_range(0..18) {
            0 => row.increment(dot, stamp, number(random), &Beside::NONE)?,
            1 => row.increment(dot, stamp, random.random_range(-3..4), &Beside::NONE)?,
            2 => row.put(dot, stamp, text(random), observed),
            3 => row.reset(dot, stamp, observed),
            4 => row.delete(dot, stamp, observed),
            5 => row.sweep(dot, stamp, observed),
            6 => row.set_expiry(dot, stamp, random.random::<bool>().then(|| WallTime(random.random_range(0..200)))),
            7 | 8 => {
                let seen = match random.random_range(0..3) {
                    0 => Context::default(),
                    1 => observed.siblings_context(),
                    _ => row.siblings_context(),
                };
                row.put_sibling(dot, stamp, text(random), &seen)?
            }
            9 => row.set_flag(dot, stamp),
            10 => row.clear_flag(dot, stamp, observed),
            11 => {
                let count = if random.random_ratio(1, 40) { 6_000 } else { random.random_range(1..9) };
                let items: Vec<[u8; 4]> = (0..count).map(|_| random.random()).collect();
                row.add_to_sketch(dot, stamp, items)
            }
            12 => row.add_member(dot),
            13 => row.remove_member(dot, observed),
            14 => row.put_score(dot, stamp, Score::new(f64::from_bits(random.random()))?),
            15 => row.remove_score(dot, observed),
            16 => row.begin_anew(dot, stamp, observed),
            _ => return self.as_session(row),
        })
    }

    /// A session's totals: fresh, sent again, or contradicting themselves.
    fn as_session(&mut self, row: &mut Row) -> Result<Row, ValueError> {
        if self.sessions.is_empty() || self.random.random_ratio(1, 4) {
            let session = ActorId { tenure: Tenure::SESSION, ..actor(&mut self.random) };
            self.sessions.push((session, 1, Totals { p: 1, n: 0 }));
        }
        let place = self.random.random_range(0..self.sessions.len());
        let (actor, event, totals) = &mut self.sessions[place];
        if self.random.random() {
            *event += 1;
            totals.p += self.random.random_range(0..5);
            totals.n += self.random.random_range(0..5);
        }
        let (actor, event, totals) = (*actor, *event, *totals);
        let mut known = row.clone();
        known.increment_as(actor, event, totals)?;
        let wrong = Totals { p: totals.p + 1, n: totals.n };
        assert!(known.session_change(actor, event, wrong).is_err(), "an event has one payload");
        row.increment_as(actor, event, totals)
    }
}

/// Everything that a reader may ask of a row.
fn show(row: &Row) {
    row.visible(&Beside::NONE, WallTime(50));
    row.visible_type(&Beside::NONE, WallTime(0));
    row.has_conflict(&Beside::NONE);
    row.counter_sum_text(&Beside::NONE);
    row.version_vector();
    row.digest(Tick(3));
    row.baseline_digest(Tick(3), std::time::Duration::from_secs(1), 2);
    for kind in [CollectionKind::Set, CollectionKind::Map, CollectionKind::SortedSet] {
        row.is_live_element(kind);
        assert!(row.can_write(ValueType::Collection(kind), &Beside::NONE, WallTime(0)).is_ok() || !row.is_empty());
    }
    assert!(row.is_within_limits());
}

/// Few ticks and epochs, so that actors stand before and behind each other.
fn actor(random: &mut ChaCha8Rng) -> ActorId {
    let tenure = Tenure(random.random_range(0..2));
    ActorId { expires: Tick(random.random_range(1..6)), epoch: Epoch(random.random()), tenure }
}

fn number(random: &mut ChaCha8Rng) -> i64 {
    let number: i64 = random.random();
    number >> random.random_range(0..64)
}

fn text(random: &mut ChaCha8Rng) -> Bytes {
    match random.random_range(0..3) {
        0 => Bytes::from(number(random).to_string()),
        1 => Bytes::new(),
        _ => Bytes::copy_from_slice(&random.random::<[u8; 9]>()),
    }
}

#[test]
fn operations_on_every_type_keep_the_laws_and_converge() {
    for round in 0..rounds() {
        let mut world = World::play(round, 40);
        let rows: Vec<Row> = world.replicas.iter().map(|replica| replica.row.clone()).collect();
        laws::check_merge(&rows[0], &rows[1], &rows[2]);
        let last: Vec<Row> = world.messages.iter().rev().take(2).cloned().collect();
        if let [one, other] = &last[..] {
            laws::check_merge(&rows[0], one, other);
        }
        // Everybody gets everything, in an order of its own.
        for at in 0..REPLICAS {
            let mut all: Vec<Row> = world.messages.iter().chain(&rows).cloned().collect();
            while !all.is_empty() {
                let row = all.swap_remove(world.random.random_range(0..all.len()));
                world.receive(at, &row);
            }
        }
        let first = world.replicas[0].row.clone();
        for replica in &world.replicas {
            assert_eq!(replica.row.encode(), first.encode(), "round {round}");
        }
        check_compaction(&first, round);
    }
}

/// At stability: nothing that is shown changes, in no order, and who has compacted absorbs who has not.
fn check_compaction(row: &Row, round: u64) {
    let now = WallTime(0);
    for through in (1..6).map(Tick) {
        let mut compacted = row.clone();
        let changed = compacted.compact(through);
        assert_eq!(changed, compacted != *row, "round {round}");
        assert_eq!(compacted.visible(&Beside::NONE, now), row.visible(&Beside::NONE, now), "round {round}");
        assert_eq!(compacted.counter_sum_text(&Beside::NONE), row.counter_sum_text(&Beside::NONE), "round {round}");
        let mut folded = compacted.clone();
        folded.fold_baselines(through);
        assert_eq!(folded.visible(&Beside::NONE, now), row.visible(&Beside::NONE, now), "round {round}");
        for (x, y) in [(row, &compacted), (&compacted, row), (row, &folded), (&compacted, &folded)] {
            let mut met = x.clone();
            met.merge(y);
            assert_eq!(met.visible(&Beside::NONE, now), row.visible(&Beside::NONE, now), "round {round}");
            laws::check_encoding(&met, row);
        }
        laws::check_merge(row, &compacted, &folded);
        let (main, sessions) = folded.clone().split_sessions();
        let whole = sessions.iter().fold(main, |mut whole, (actor, row)| {
            assert!(actor.is_session() && actor.expires > whole.settled_tick());
            whole.merge(row);
            whole
        });
        assert_eq!(whole, folded, "round {round}: what was taken apart is put together again");
        let mut retired = folded.clone();
        retired.retire(Tick(u32::MAX), std::time::Duration::from_secs(1), 1, &Beside::NONE);
        assert_eq!(retired.visible(&Beside::NONE, now), row.visible(&Beside::NONE, now), "round {round}");
        laws::check_encoding(&retired, &folded);
    }
}

/// Damages bytes in one to three places.
/// Flips, cuts, splices, repeats; `other` are good bytes of the same kind.
pub(crate) fn damage(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..random.random_range(1..4) {
        let place = |random: &mut ChaCha8Rng, bytes: &[u8]| random.random_range(0..bytes.len().max(1));
        let at = place(random, bytes).min(bytes.len());
        match random.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = random.random(),
            2 if at < bytes.len() => bytes[at] = [0, 1, 0x7F, 0xEF, 0xF0, 0xF7, 0xFF][random.random_range(0..7)],
            3 => bytes.truncate(at),
            4 => bytes.insert(at, random.random()),
            5 if at < bytes.len() => drop(bytes.remove(at)),
            6 => {
                let end = (at + random.random_range(0..40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let from = place(random, other).min(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

pub(crate) fn noise(random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..200)];
    random.fill_bytes(&mut bytes);
    if let Some(first) = bytes.first_mut().filter(|_| random.random()) {
        *first = 1;
    }
    bytes
}

/// Feeds a decoder with good bytes, damaged ones and noise. It gives the encoding of what it has read.
pub(crate) fn feed(round: u64, good: &[Vec<u8>], mut decode: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
    let mut random = ChaCha8Rng::seed_from_u64(round ^ 0xD1CE);
    for bytes in good {
        assert_eq!(decode(bytes).as_ref(), Some(bytes), "round {round}: good bytes come back");
        for _ in 0..20 {
            let mut bad = bytes.clone();
            let other = &good[random.random_range(0..good.len())];
            damage(&mut random, &mut bad, other);
            if let Some(again) = decode(&bad) {
                assert_eq!(again, bad, "round {round}: what is read is the one encoding of its state");
            }
        }
    }
    for _ in 0..20 {
        let bytes = noise(&mut random);
        if let Some(again) = decode(&bytes) {
            assert_eq!(again, bytes, "round {round}: noise that is read is an encoding");
        }
    }
}

/// Rows of every type, some of them compacted.
pub(crate) fn good_rows(round: u64) -> Vec<Row> {
    let world = World::play(round, 30);
    let mut rows: Vec<Row> = world.replicas.into_iter().map(|replica| replica.row).collect();
    rows.extend(world.messages.into_iter().rev().take(4));
    for (through, row) in (1..).zip(&mut rows) {
        row.compact(Tick(through % 6));
        row.fold_baselines(Tick(through % 3));
    }
    rows
}

/// What may stand beside a row.
fn beside(random: &mut ChaCha8Rng) -> Beside {
    let mut beside = Beside::NONE;
    for _ in 0..random.random_range(0..4) {
        let actor = ActorId { tenure: Tenure::SESSION, ..actor(random) };
        let mut row = Row::default();
        row.increment_as(actor, 1, Totals { p: random.random::<u32>().into(), n: 3 }).unwrap();
        if random.random() {
            let whole = row.clone();
            row.reset(Dot { actor, event: 9 }, Hlc { wall: 1, logical: 0 }, &whole);
        }
        beside.replace_session(None, Some(&row), actor);
    }
    if random.random() {
        beside.replace_element(CollectionKind::Map, false, true, false, true);
    }
    beside
}

#[test]
fn whatever_a_decoder_of_rows_reads_is_the_one_encoding_of_its_state() {
    for round in 0..rounds() {
        let good: Vec<Vec<u8>> = good_rows(round).iter().map(|row| row.encode().to_vec()).collect();
        feed(round, &good, |bytes| {
            let row = Row::decode(bytes).ok()?;
            show_what_was_read(&row);
            Some(row.encode().to_vec())
        });
    }
}

/// Rows from outside hold what no history makes; nothing of that may panic.
fn show_what_was_read(row: &Row) {
    row.visible(&Beside::NONE, WallTime(50));
    row.has_conflict(&Beside::NONE);
    row.counter_sum_text(&Beside::NONE);
    row.has_live_counter(&Beside::NONE);
    row.version_vector();
    row.digest(Tick(3));
    let mut changed = row.clone();
    changed.compact(Tick(4));
    changed.fold_baselines(Tick(4));
    changed.retire(Tick(5), std::time::Duration::from_secs(1), 1, &Beside::NONE);
    changed.ignore_settled(row, Tick(4), Tick(4));
    row.touches(&changed, crate::value::Closed::to_owner(Tick(4), Tick(3)));
    laws::check_merge(row, &changed, &Row::default());
    laws::check_encoding(&changed, row);
    laws::check_encoding(&row.clone().split_sessions().0, row);
}

#[test]
fn whatever_a_decoder_of_stored_rows_and_headers_reads_is_the_one_encoding_of_it() {
    for round in 0..rounds() {
        let mut random = ChaCha8Rng::seed_from_u64(round ^ 0x5709);
        let stored: Vec<Vec<u8>> = good_rows(round)
            .into_iter()
            .map(|row| {
                let mut stored = StoredRow { row, ..StoredRow::default() };
                stored.header.version = RowVersion(random.random());
                if random.random() {
                    stored.header.minting = Some(Minting { actor: actor(&mut random), event: random.random() });
                }
                for _ in 0..random.random_range(0..3) {
                    stored.header.owe(
                        NodeId(random.random_range(0..5)),
                        RowVersion(random.random()),
                        WallTime(random.random()),
                    );
                }
                stored.header.beside = beside(&mut random);
                stored.encode().to_vec()
            })
            .collect();
        feed(round, &stored, |bytes| StoredRow::decode(bytes).ok().map(|stored| stored.encode().to_vec()));
        let besides: Vec<Vec<u8>> = (0..4)
            .map(|_| {
                let mut bytes = Vec::new();
                beside(&mut random).encode_into(&mut bytes);
                bytes
            })
            .collect();
        feed(round, &besides, |bytes| {
            let mut beside = Beside::decode(bytes).ok()?;
            let mut again = Vec::new();
            beside.encode_into(&mut again);
            let mut row = Row::default();
            row.visible(&beside, WallTime(0));
            beside.settle(&mut row, Tick(3));
            row.visible(&beside, WallTime(0));
            Some(again)
        });
    }
}

#[test]
fn whatever_is_read_as_the_key_of_a_row_is_one() {
    for round in 0..rounds() {
        let mut random = ChaCha8Rng::seed_from_u64(round ^ 0x6EE5);
        let key = |random: &mut ChaCha8Rng| {
            let mut name = vec![0; random.random_range(0..20)];
            random.fill_bytes(&mut name);
            RowKey::main(&crate::ids::Key::new(name).unwrap())
        };
        let mut good = Vec::new();
        for _ in 0..3 {
            let main = key(&mut random);
            let mut element = vec![0; random.random_range(0..9)];
            random.fill_bytes(&mut element);
            good.push(main.session(actor(&mut random)));
            good.push(main.element(CollectionKind::Set, &Bytes::from(element)));
            good.push(main);
        }
        let good: Vec<Vec<u8>> = good.iter().map(|key| key.as_bytes().to_vec()).collect();
        feed(round, &good, |bytes| {
            let key = RowKey::parse(Bytes::copy_from_slice(bytes)).ok()?;
            assert_eq!(key.main_row().key(), key.key());
            key.actor();
            Some(key.as_bytes().to_vec())
        });
    }
}
