//! Bytes of a member that does not keep to the rules: they are refused, and nothing that they say makes this node fail.

use bytes::Bytes;

use super::stability::{SETTLED, config};
use super::*;
use crate::causality::{ActorId, Context, Dot, Tenure, Tick, VersionVector};
use crate::message::client::Outcome;
use crate::message::contexts;
use crate::message::peer::{Deliver, ExchangeAnswer, ExchangeFindings, Marks, Part};
use crate::replica::PartitionMemory;
use crate::time::Hlc;
use crate::value::Row;

const KEY: &str = "k";

fn row_key() -> RowKey {
    RowKey::main(&Key::new(KEY).unwrap())
}

fn dot(expires: u32) -> Dot {
    let epoch = crate::causality::Epoch(77);
    Dot { actor: ActorId { expires: Tick(expires), epoch, tenure: Tenure(0) }, event: 1 }
}

/// Rows that say that everything is settled that ever will be: a sum, a cover, and a floor of siblings.
fn impossible() -> [Row; 3] {
    let (ever, at) = (u32::MAX, |wall| Hlc { wall, logical: 0 });
    let mut sum = Row::default();
    sum.increment(dot(ever), at(1), 1, &Beside::NONE).unwrap();
    sum.compact(Tick(ever));
    let mut cover = sum.clone();
    cover.reset(dot(ever), at(2), &sum);
    let mut floor = Row::default();
    floor.put_sibling(dot(ever), at(1), Bytes::from_static(b"x"), &Context::default()).unwrap();
    floor.compact(Tick(ever));
    [sum, cover, floor]
}

/// A member sends rows that say that every tick is settled, in every way in which rows come. Whether nothing of them is
/// taken, and the node goes on counting.
fn is_the_impossible_refused() -> bool {
    let mut bus = Bus::with(3, config());
    let (node, faulty) = (NodeId(1), NodeId(2));
    written(&bus.increment(node, KEY, 5));
    bus.run(SETTLED);
    let partition = bus.partition(KEY);
    let memory = bus.nodes[&node].shard.turn.memory(partition);
    let incarnation = bus.nodes[&faulty].shard.site.identity.incarnation;
    let PartitionMemory { sealed, frozen, compacted, folded, .. } = memory;
    let marks = Marks { incarnation, sealed, frozen, compacted, folded };
    for (number, row) in impossible().into_iter().enumerate() {
        let (op, state, version) = (OpId(900 + number as u64), row.encode(), crate::ids::RowVersion(1));
        let parts = vec![Part { row: row_key(), version, delta: state.clone() }];
        bus.hear(
            node,
            faulty,
            KEY,
            PeerMessage::Replicate(Replicate { op, parts, owed: Vec::new(), only_removes: false }),
        );
        let rows = vec![OwedRow { row: row_key(), version, state: state.clone() }];
        bus.hear(node, faulty, KEY, PeerMessage::Deliver(Deliver { op, rows, marks: Some(marks) }));
        let push = crate::message::peer::ExchangePush { op, step: 1, rows: vec![(row_key(), state)], marks };
        bus.hear(node, faulty, KEY, PeerMessage::ExchangePush(push));
    }
    let stored = bus.stored(node, KEY).unwrap();
    let is_as_it_was = stored.row.settled_until() <= sealed && stored.row.sibling_values().count() == 0;
    let is_taken = matches!(bus.increment(node, KEY, 1), Response::Written(_));
    is_as_it_was && is_taken && bus.value(node, KEY) == number(6)
}

#[test]
fn a_row_that_says_that_unsealed_ticks_are_settled_is_refused() {
    assert!(is_the_impossible_refused());
}

#[test]
fn a_context_that_has_seen_what_nobody_can_have_seen_covers_nothing() {
    let mut bus = Bus::with(3, config());
    let node = NodeId(1);
    let put = |context| Command::PutSibling { value: "a".into(), context };
    written(&bus.ask(node, KEY, put(None)));
    let seal_key = bus.config.seal_key.clone();
    let sealed = |seen: &Context| Some(contexts::seal_siblings(&seal_key, &row_key(), seen));
    // A floor above all ticks: every later dot would count as seen.
    let floor = Context::new(Tick(u32::MAX), VersionVector::default());
    match bus.ask(node, KEY, put(sealed(&floor))) {
        Response::Failed(error) => assert_eq!(error.outcome, Outcome::NotApplied, "{error}"),
        other => panic!("{other:?}"),
    }
    // The node's own actor, further than it ever was: it mints under another one from now on.
    let mine = bus.stored(node, KEY).unwrap().row.actors().next().unwrap().0;
    let mut further = Context::default();
    further.observe(Dot { actor: mine, event: u64::MAX });
    written(&bus.ask(node, KEY, put(sealed(&further))));
    written(&bus.ask(node, KEY, put(None)));
    assert!(bus.status(node).amnesia_alarms > 0, "which raises an alarm");
}

#[test]
fn a_page_of_an_exchange_that_says_it_ends_the_exchange_without_a_change() {
    // Rows travel although both have the same.
    let mut bus = Bus::with(3, ShardConfig { trees: false, ..config() });
    let node = NodeId(1);
    written(&bus.increment(node, KEY, 5));
    bus.run(Duration::from_secs(1));
    let partition = bus.partition(KEY);
    for row in impossible() {
        let before = bus.stored(node, KEY);
        let Shard { site, schedule, .. } = &mut bus.nodes.get_mut(&node).unwrap().shard;
        schedule.hurry(&site.env(bus.now), partition, NodeId(2));
        // The answer that comes is another one than the peer gave.
        let mut changed = 0;
        for _ in 0..400 {
            bus.now.mono = bus.now.mono.after(Duration::from_millis(5));
            for id in [node, NodeId(2)] {
                bus.turn(id);
            }
            let frames: Vec<_> = bus.frames.drain(..).collect();
            for (from, to, mut frame) in frames {
                for addressed in &mut frame.messages {
                    if let PeerMessage::ExchangeAnswer(ExchangeAnswer { outcome: Ok(found), .. }) =
                        &mut addressed.message
                        && addressed.partition == partition
                        && to == node
                    {
                        let ExchangeFindings { rows, differing, .. } = found;
                        match differing {
                            // Nothing travels before a sum differs.
                            Some(differing) => *differing = vec![0],
                            None => {
                                *rows = vec![(row_key(), row.encode())];
                                changed += 1;
                            }
                        }
                    }
                }
                bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
            }
        }
        assert!(changed > 0);
        assert_eq!(bus.stored(node, KEY).map(|stored| stored.row), before.map(|stored| stored.row));
    }
    written(&bus.increment(node, KEY, 1));
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_it_goes_wrong() {
    use crate::mutation::Mutation;
    assert!(goes_wrong_without(Mutation::UnsealedSumTaken, is_the_impossible_refused));
}
