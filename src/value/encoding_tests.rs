//! The bytes of a row: what is refused, and what a program makes of fields that it does not know.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::time::WallTime;
use crate::value::Beside;
use crate::value::counter::Totals;
use crate::value::history::{World, any_step, future_row};
use crate::value::laws;
use crate::value::per_actor::Record;
use crate::value::register::{Stamp, Write};
use crate::value::settled::Sum;
use crate::value::unknown::Unknown;
use crate::value::visible::Visible;

/// A row read by a program that knows no tag at all: every field merges by kind alone.
#[derive(Clone, Debug, Default, PartialEq)]
struct Ignorant(Unknown);

impl Ignorant {
    fn decode(bytes: &[u8]) -> Ignorant {
        let mut reader = Reader::new(bytes.get(1..).unwrap_or_default());
        let mut row = Ignorant::default();
        while !reader.is_at_end() {
            let (tag, kind, payload) = read_field(&mut reader).unwrap();
            row.0.push(tag, kind, payload).unwrap();
        }
        row.0.check_floors().unwrap();
        row
    }

    fn merge(&mut self, other: &Ignorant) {
        self.0.merge(&other.0);
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = if self.0.is_empty() { vec![] } else { vec![VERSION] };
        for (tag, field) in self.0.iter() {
            put_head(*tag, field.kind(), field.encoded_bytes(), &mut out);
            field.encode(&mut out);
        }
        out
    }
}

/// Rows with totals and events that no history makes, equal events with different content among them.
fn any_row() -> impl Strategy<Value = Row> {
    let number = prop_oneof![0..4u128, 238..242u128, any::<u128>()];
    let record = (0..3u64, prop_oneof![1..4u64, 239..241u64], number.clone(), number.clone());
    let sum = (number.clone(), number.clone(), number).prop_map(|(events, p, n)| Sum { events, p, n });
    // Ticks of actors are 1 to 3, so that sums take away some of the records.
    let sums = (0..4u32, sum.clone(), 0..4u32, any::<bool>(), sum);
    let write = (0..3u64, 0..3u64, 1..3u64, proptest::option::of("[a-c]{0,2}"));
    (vec(record.clone(), 0..4), vec(record, 0..3), proptest::option::of(write), 0..3u64, sums).prop_map(
        |(entries, baselines, write, touched, (settled, settled_sum, covered, is_full, covered_sum))| {
            let mut row = Row::default();
            let actor =
                |number| ActorId { expires: Tick(number as u32 + 1), epoch: Epoch(7 - number), tenure: Tenure(0) };
            let collect = |records: Vec<(u64, u64, u128, u128)>| {
                let mut all = PerActor::default();
                for (number, event, p, n) in records {
                    let content = Totals { p, n };
                    all.merge(&PerActor::of(Record { actor: actor(number), event, content }));
                }
                all
            };
            row.string.counter.entries = collect(entries);
            row.string.counter.baselines = collect(baselines);
            row.string.counter.set_sums(Sums {
                settled: match settled {
                    0 => Settled::default(),
                    tick => Settled { tick: Tick(tick), sum: settled_sum },
                },
                covered: match covered {
                    0 => Covered::default(),
                    tick => Covered { tick: Tick(tick), is_full, sum: covered_sum },
                },
            });
            row.string.touched = Hlc { wall: touched, logical: 0 };
            if let Some((wall, number, event, value)) = write {
                let stamp = Stamp { hlc: Hlc { wall, logical: 1 }, actor: actor(number), event };
                let value = value.map(Bytes::from);
                row.string.register = Register::of(Write { stamp, value });
            }
            row
        },
    )
}

fn check_ignorant_merge(x: &Row, y: &Row) {
    let mut knowing = x.clone();
    knowing.merge(y);
    let mut ignorant = Ignorant::decode(&x.encode());
    ignorant.merge(&Ignorant::decode(&y.encode()));
    assert_eq!(ignorant.encode(), knowing.encode());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_program_that_knows_no_tag_merges_the_rows_of_histories_to_the_same_bytes(steps in vec(any_step(), 1..40)) {
        let world = World::after(&steps);
        for x in &world.replicas {
            for y in &world.replicas {
                check_ignorant_merge(&x.row, &y.row);
            }
            for (delta, _) in &world.messages {
                check_ignorant_merge(&x.row, delta);
            }
        }
    }

    #[test]
    fn a_program_that_knows_no_tag_merges_arbitrary_rows_to_the_same_bytes(x in any_row(), y in any_row()) {
        check_ignorant_merge(&x, &y);
    }

    #[test]
    fn the_laws_hold_for_arbitrary_rows(x in any_row(), y in any_row(), z in any_row()) {
        laws::check_merge(&x, &y, &z);
        laws::check_encoding(&x, &y);
        laws::check_reported_change(&x, &y);
    }

    #[test]
    fn whatever_can_be_read_is_the_one_encoding_of_its_state(
        steps in vec(any_step(), 1..12),
        damage in vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..4),
    ) {
        let world = World::after(&steps);
        for replica in &world.replicas {
            let mut bytes = replica.row.encode().to_vec();
            for (place, byte, how) in &damage {
                if bytes.is_empty() {
                    break;
                }
                let place = place.index(bytes.len());
                match how {
                    0 => bytes[place] = *byte,
                    1 => bytes[place] ^= 1 << (byte % 8),
                    2 => bytes.truncate(place),
                    _ => bytes.insert(place, *byte),
                }
            }
            if let Ok(row) = Row::decode(&bytes) {
                prop_assert_eq!(&row.encode()[..], &bytes[..]);
                row.visible(&Beside::NONE, WallTime(0));
                row.counter_sum_text(&Beside::NONE);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in vec(any::<u8>(), 0..200)) {
        let _ = Row::decode(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
            let _ = Row::decode(&bytes);
        }
    }
}

fn dot(event: u64) -> Dot {
    Dot { actor: ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall, logical: 0 }
}

#[test]
fn a_row_takes_as_much_memory_as_its_front_page_says() {
    assert!(size_of::<Row>() <= 192, "{}", size_of::<Row>());
    assert_eq!(size_of::<Record<Totals>>(), 64);
}

#[test]
fn an_empty_row_has_no_bytes() {
    assert!(Row::default().is_empty());
    assert!(Row::default().encode().is_empty());
    assert_eq!(Row::decode(b""), Ok(Row::default()));
}

#[test]
fn a_deleted_row_is_not_empty() {
    let mut row = Row::default();
    row.delete(dot(1), at(1), &Row::default());
    assert!(!row.is_empty() && row.visible(&Beside::NONE, WallTime(0)) == Visible::Nothing);
}

#[test]
fn a_put_covers_what_it_observed_and_not_what_its_row_has_besides() {
    let mut row = Row::default();
    row.increment(dot(1), at(1), 5, &Beside::NONE).unwrap();
    let observed = row.clone();
    row.increment(dot(2), at(2), 3, &Beside::NONE).unwrap();
    let delta = row.put(dot(3), at(3), Bytes::from_static(b"10"), &observed);
    assert_eq!(row.visible(&Beside::NONE, WallTime(0)), Visible::Integer { value: 13, saturated: false });
    assert_eq!(delta.visible(&Beside::NONE, WallTime(0)), Visible::Integer { value: 10, saturated: false });
}

#[test]
fn the_delta_of_an_increment_is_its_entry_alone() {
    let mut row = Row::default();
    row.put(dot(1), at(1), Bytes::from_static(b"10"), &Row::default());
    row.increment(dot(2), at(2), 5, &Beside::NONE).unwrap();
    let delta = row.increment(dot(3), at(3), 3, &Beside::NONE).unwrap();
    assert_eq!(delta.actors().collect::<Vec<_>>(), [(dot(3).actor, 3)]);
    assert_eq!((delta.counter_sum_text(&Beside::NONE).as_str(), delta.latest_stamp()), ("8", at(3)));
}

#[test]
fn a_newer_version_is_told_apart_from_damage() {
    let newer = Row::decode(&[2, 1, 2, 3]).unwrap_err();
    assert_eq!(newer, DecodeError::NewerVersion { version: 2, readable: 1 });
    let kind = Row::decode(&[1, 9, 77, 0]).unwrap_err();
    assert_eq!(kind, DecodeError::NewerKind { tag: 9, kind: 77 });
    assert!(newer.is_newer() && kind.is_newer() && !Row::decode(&[0]).unwrap_err().is_newer());
}

/// Each of these differs from a good row in one place.
#[test]
fn bytes_that_are_not_canonical_are_refused() {
    let touched = |wall: u8| vec![1, 1, 12, 0, 0, 0, 0, 0, 0, 0, wall, 0, 0, 0, 0];
    let actor = |number: u8| [0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, number, 0, 0, 0, 0];
    let entry = |number: u8, tail: &[u8]| [&actor(number)[..], tail].concat();
    let field = |tag: u8, kind: u8, payload: &[u8]| [&[tag, kind, payload.len() as u8], payload].concat();
    let row = |fields: &[Vec<u8>]| [vec![1], fields.concat()].concat();
    let plain = entry(1, &[1, 2, 5, 0]);
    Row::decode(&row(&[touched(7), field(3, 3, &plain)])).expect("the good row");

    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("version zero", vec![0, 1]),
        ("no fields", vec![1]),
        ("tag zero", row(&[field(0, 1, b"x")])),
        ("tags out of order", row(&[field(3, 3, &plain), touched(7)])),
        ("a tag twice", row(&[touched(7), touched(8)])),
        ("a long form of a tag", row(&[[vec![0xF0], touched(7)].concat()])),
        ("a known tag of another kind", row(&[field(3, 1, &plain)])),
        ("`touched` that says nothing", row(&[touched(0)])),
        ("`touched` of another width", row(&[field(1, 1, &[1; 13])])),
        ("an empty field", row(&[field(3, 3, b"")])),
        ("an empty unknown field", row(&[field(9, 1, b"")])),
        ("event zero", row(&[field(3, 3, &entry(1, &[0, 2, 5, 0]))])),
        ("a long form of an event", row(&[field(3, 3, &entry(1, &[0xF0, 1, 2, 5, 0]))])),
        ("an actor twice", row(&[field(3, 3, &[plain.clone(), plain.clone()].concat())])),
        ("actors out of order", row(&[field(3, 3, &[entry(2, &[1, 2, 5, 0]), plain.clone()].concat())])),
        ("totals cut short", row(&[field(3, 3, &entry(1, &[1, 1, 5]))])),
        ("bytes behind totals", row(&[field(3, 3, &entry(1, &[1, 3, 5, 0, 0]))])),
        ("a register of a third sort", row(&[field(2, 2, &[[1; 36].as_slice(), &[2]].concat())])),
        ("a deleted register with a value", row(&[field(2, 2, &[[1; 36].as_slice(), b"\0x"].concat())])),
        ("a register under event zero", row(&[field(2, 2, &[0; 37])])),
        ("union out of order", row(&[field(9, 4, &[1, b'b', 1, b'a'])])),
        ("an item twice", row(&[field(9, 4, &[1, b'a', 1, b'a'])])),
        ("an item cut short", row(&[field(9, 4, &[2, b'a'])])),
        ("a field cut short", vec![1, 9, 1, 5, 1]),
        ("merge kind zero", row(&[field(9, 0, b"x")])),
    ];
    for (what, bytes) in bad {
        assert!(matches!(Row::decode(&bytes), Err(DecodeError::Malformed(_))), "{what}: {:?}", Row::decode(&bytes));
    }
}

#[test]
fn rows_beyond_a_limit_are_refused() {
    assert_eq!(
        Row::decode(&vec![1; limits::ROW_BYTES_MAX + 1]),
        Err(DecodeError::TooLarge { bytes: limits::ROW_BYTES_MAX + 1 })
    );
    let fields = |count: usize| {
        let mut bytes = vec![VERSION];
        for tag in 105..105 + count as u32 {
            put_head(tag, MergeKind::LargestBytes, 1, &mut bytes);
            bytes.push(1);
        }
        bytes
    };
    assert!(Row::decode(&fields(limits::FIELDS_PER_ROW_MAX)).is_ok());
    assert_eq!(Row::decode(&fields(limits::FIELDS_PER_ROW_MAX + 1)), Err(DecodeError::Malformed("too many fields")));
}

/// A row whose counter has this many actors, made as merges would make it.
fn crowd(actors: usize) -> Row {
    let mut payload = Vec::new();
    for number in 0..actors as u64 {
        let actor = ActorId { expires: Tick(1), epoch: Epoch(number), tenure: Tenure(0) };
        payload.extend(actor.to_bytes());
        payload.extend([1, 2, 1, 0]);
    }
    let mut row = Row::default();
    // Two halves, so that each is within the limit.
    for half in payload.chunks(payload.len() / 2 / 20 * 20 + 20) {
        let mut bytes = vec![VERSION];
        put_head(ENTRIES, MergeKind::LargestEventPerActor, half.len(), &mut bytes);
        bytes.extend_from_slice(half);
        row.merge(&Row::decode(&bytes).unwrap());
    }
    row
}

#[test]
fn a_row_of_too_many_actors_says_so_and_is_refused_by_others() {
    let full = crowd(limits::ACTORS_PER_FIELD_MAX);
    assert!(full.is_within_limits());
    assert_eq!(Row::decode(&full.encode()).as_ref(), Ok(&full));
    let over = crowd(limits::ACTORS_PER_FIELD_MAX + 1);
    assert!(!over.is_within_limits());
    assert_eq!(Row::decode(&over.encode()), Err(DecodeError::Malformed("too many actors in one field")));
    assert_eq!(over.counter_sum_text(&Beside::NONE), (limits::ACTORS_PER_FIELD_MAX + 1).to_string());
}

#[test]
fn a_field_of_a_newer_program_is_kept_merged_and_shown_to_the_amnesia_check() {
    let newer = |event: u64, content: u8| {
        Row::decode(&future_row(40, MergeKind::LargestEventPerActor, dot(event), at(1), content)).unwrap()
    };
    let mut row = Row::default();
    row.increment(dot(1), at(1), 5, &Beside::NONE).unwrap();
    assert!(row.merge(&newer(7, 1)) && !row.merge(&newer(6, 2)));
    assert_eq!(row.version_vector().event(dot(1).actor), 7);
    assert_eq!(row.visible(&Beside::NONE, WallTime(0)), Visible::Integer { value: 5, saturated: false });
    assert_eq!(Row::decode(&row.encode()), Ok(row));

    let stamped = Row::decode(&future_row(41, MergeKind::LatestStamp, dot(3), at(99), 0)).unwrap();
    assert_eq!((stamped.latest_stamp(), stamped.version_vector().event(dot(1).actor)), (at(99), 3));
}

#[test]
fn rows_that_disagree_on_the_kind_of_a_tag_still_converge() {
    let kinds = [
        MergeKind::LargestBytes,
        MergeKind::LatestStamp,
        MergeKind::LargestEventPerActor,
        MergeKind::Union,
        MergeKind::Floor,
    ];
    let rows: Vec<Row> =
        kinds.iter().map(|kind| Row::decode(&future_row(109, *kind, dot(1), at(1), 7)).unwrap()).collect();
    for x in &rows {
        for y in &rows {
            for z in &rows {
                laws::check_merge(x, y, z);
            }
        }
    }
}
