//! What programs of other versions write and say: a row keeps what this one does not know, and an older one is asked as it understands.

use bytes::Bytes;

use super::*;
use crate::causality::{ActorId, Epoch, Tenure, Tick};
use crate::ids::OpId;
use crate::message::client::SessionWrite;
use crate::message::peer::{ExchangeOffer, Part, Replicate};

/// A row with one field under a tag that this program does not know, which merges to the larger bytes.
const NEWER: &[u8] = &[1, 40, 1, 1, 7];

fn config() -> ShardConfig {
    ShardConfig {
        tick: Duration::from_secs(1),
        actor_lease_ticks: 4,
        clock_ahead_max: Duration::from_secs(1),
        stability_interval: Duration::from_millis(500),
        ..ShardConfig::default()
    }
}

#[test]
fn a_sessions_row_with_a_field_of_a_newer_program_is_not_settled_away() {
    let mut bus = Bus::with(3, config());
    let expires = Tick(Tick::at(bus.now.wall, bus.config.tick).0 + 3);
    let actor = ActorId { expires, epoch: Epoch(5), tenure: Tenure::SESSION };
    let step = Command::IncrementAs(SessionWrite { actor, event: 1, p: 4, n: 0 });
    written(&bus.ask(NodeId(1), "k", step));
    let row = RowKey::main(&Key::new("k").unwrap()).session(actor);
    let partition = bus.ring.partition_of(&Key::new("k").unwrap());
    for node in 1..=3 {
        let from = NodeId(node % 3 + 1);
        let part = Part { row: row.clone(), version: crate::ids::RowVersion(1), delta: Bytes::from_static(NEWER) };
        let replicate = Replicate { op: OpId(9_999), parts: vec![part], owed: Vec::new(), only_removes: false };
        let message = Addressed { partition, layout: 1, message: PeerMessage::Replicate(replicate) };
        let frame = Frame {
            layout: bus.ring.epoch(),
            epoch: bus.nodes[&from].shard.site.identity.epoch,
            clock: crate::time::Hlc::default(),
            messages: vec![message],
        };
        bus.nodes.get_mut(&NodeId(node)).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
    }
    bus.run(Duration::from_secs(16));
    for node in 1..=3 {
        let bytes = bus.nodes[&NodeId(node)].store.fetch(Space::Rows, row.as_bytes()).unwrap();
        let stored = StoredRow::decode(&bytes.expect("it stays until a newer program settles it")).unwrap();
        assert!(stored.row.has_newer_fields());
        assert_eq!(bus.value(NodeId(node), "k"), number(4));
    }
}

/// It skips the sums of an offer, takes it for one of no rows, and shows all that it has.
#[test]
fn a_program_that_knows_of_no_sums_is_asked_by_hashes_and_nothing_is_taken_for_equal() {
    use super::trees::{NODES, owners, row, stored};
    let mut bus = owners(200, &[3, 50, 120]);
    bus.checks_proofs = true;
    for id in NODES {
        let config = &mut bus.nodes.get_mut(&id).unwrap().shard.site.config;
        (config.exchange, config.trees) = (true, false);
    }
    let mut skipped = 0;
    for _ in 0..800 {
        bus.now.mono = bus.now.mono.after(Duration::from_millis(5));
        for id in NODES {
            bus.turn(id);
        }
        for (from, to, mut frame) in std::mem::take(&mut bus.frames) {
            for addressed in &mut frame.messages {
                if let PeerMessage::ExchangeOffer(ExchangeOffer { sums, .. }) = &mut addressed.message {
                    skipped += usize::from(!std::mem::take(sums).is_empty());
                }
            }
            bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
        }
    }
    assert!(skipped > 0);
    let partitions = u64::from(bus.ring.layout().partitions);
    assert_eq!(bus.status(NODES[0]).exchanges, partitions, "each is complete");
    for number in [3, 50, 120] {
        let there = bus.nodes[&NODES[1]].store.fetch(Space::Rows, row(number).as_bytes()).unwrap().unwrap();
        assert_eq!(StoredRow::state_bytes(&there), StoredRow::state_bytes(&stored(2)), "{number}");
    }
}
