//! What it takes to fill an owner again whose disk was wiped.

use std::cell::Cell;

use super::trees::{row, stored};
use super::*;
use crate::causality::Epoch;
use crate::membership::LayoutEpoch;
use crate::message::codec;
use crate::storage::Batch;

const WIPED: NodeId = NodeId(3);

thread_local! {
    /// Bytes of all that co-owners say to each other to become equal.
    static SAID: Cell<usize> = const { Cell::new(0) };
}

/// Counts what a message takes on the wire. None is lost.
fn count(message: &PeerMessage) -> bool {
    let is_of_repair = matches!(
        message,
        PeerMessage::ExchangeOffer(_)
            | PeerMessage::ExchangeAnswer(_)
            | PeerMessage::ExchangePush(_)
            | PeerMessage::ExchangePushed(_)
            | PeerMessage::ExchangeDone(_)
            | PeerMessage::TreeOffer(_)
            | PeerMessage::TreeAnswer(_)
    );
    if is_of_repair {
        let messages = vec![Addressed { partition: PartitionId(9), layout: 1, message: message.clone() }];
        let layout = LayoutEpoch { number: 1, content: u64::MAX, parent: u64::MAX };
        let frame = Frame { layout, epoch: Epoch(1), clock: Default::default(), messages };
        let mut bytes = Vec::new();
        codec::encode(&frame, &mut bytes).unwrap();
        SAID.set(SAID.get() + bytes.len());
    }
    false
}

/// Bytes of keys and states on a disk, and how many rows that is.
fn held(bus: &Bus, at: NodeId) -> (usize, usize) {
    let all = Range { start: bytes::Bytes::new(), end: None };
    let page = bus.nodes[&at].store.scan(Space::Rows, &all, EVERYTHING).unwrap();
    let bytes = page.entries.iter().map(|(key, value)| key.len() + StoredRow::state_bytes(value).unwrap().len());
    (bytes.sum(), page.entries.len())
}

/// Under load, which goes on, an owner of many counters loses its disk: how many bytes were missing, and how many travelled.
fn filled_again(rows: u32) -> (usize, usize) {
    let mut bus = Bus::new(3);
    for id in bus.everyone() {
        let store = bus.nodes.remove(&id).unwrap().store;
        let mut batch = Batch::default();
        (0..rows).for_each(|number| batch.put(Space::Rows, row(number).as_bytes().clone(), stored(1)));
        store.write(&batch).unwrap();
        bus.start(id, store);
    }
    bus.run(Duration::from_secs(3));
    let (missing, count_of_rows) = held(&bus, WIPED);
    assert!(missing <= 64 * count_of_rows, "these are counters: {missing} bytes, {count_of_rows} rows");
    bus.nodes.remove(&WIPED);
    let load = |bus: &mut Bus, steps: u32| {
        for number in 0..steps {
            let command = Command::Increment { by: 1 };
            bus.send(NodeId(1), &format!("load/{}", number % 40), command, Options::default());
            bus.run(Duration::from_millis(20));
        }
    };
    load(&mut bus, 50);
    SAID.set(0);
    bus.loses = count;
    bus.start(WIPED, Arc::new(MemoryStore::new(33)));
    load(&mut bus, 500);
    bus.run(Duration::from_secs(5));
    let partitions = u32::from(bus.ring.layout().partitions);
    assert_eq!(bus.status(WIPED).equal_partitions, partitions, "each is known to be equal to both others");
    assert_eq!(held(&bus, WIPED).1, held(&bus, NodeId(1)).1);
    (missing, SAID.get())
}

#[test]
fn a_wiped_owner_of_small_rows_takes_them_over_with_less_than_twice_their_bytes() {
    let (missing, travelled) = filled_again(8_000);
    println!("{missing} bytes were missing, {travelled} travelled: {:.2} times", travelled as f64 / missing as f64);
    assert!(travelled < 2 * missing, "{missing} bytes were missing, {travelled} travelled");
}
