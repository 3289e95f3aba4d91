//! Estimates against encodings, of every message and answer whose size depends on what is in it.

use super::*;
use crate::causality::{Epoch, Tick};
use crate::config::Durability;
use crate::ids::{Incarnation, Key, NodeId, OpId, PartitionId, RequestId, RowVersion};
use crate::limits;
use crate::membership::{Before, Fallbacks, Fenced, Forced, Layout, LayoutEpoch, Member, PartitionRun, Phase};
use crate::message::client::{
    ConflictStatus, Direction, FaultPlan, LinkFault, Need, NodeStatus, Options, PartitionRepair, PartitionStability,
    PeerStatus, SessionTerms, ShardStatus, ValueReply, Waiting, WriteAck, WriteReply,
};
use crate::message::codec;
use crate::message::peer::{
    Addressed, Deliver, Delivered, ExchangeAnswer, ExchangeFindings, ExchangeOffer, ExchangePush, Forward, Forwarded,
    Lifetimes, Marks, OwedRow, Part, Read, ReadAnswer, Refusal, Replicate, Replicated, Report, StabilityAnswer,
    StabilityQuery, StabilityStanding, StabilityState, TreeAnswer, TreeFindings, TreeNode, TreeOffer,
};
use crate::time::Hlc;

const OP: OpId = OpId(u64::MAX);
const EPOCH: Epoch = Epoch(u64::MAX);
const VERSION: RowVersion = RowVersion(u64::MAX);
const DIRECTORY: Incarnation = Incarnation(u64::MAX);
const LATE: Tick = Tick(u32::MAX);
const MARKS: Marks = Marks { incarnation: DIRECTORY, sealed: LATE, frozen: LATE, compacted: LATE, folded: LATE };

fn bytes(count: usize) -> Bytes {
    Bytes::from(vec![7; count])
}

fn row() -> RowKey {
    RowKey::main(&Key::new("a key").unwrap())
}

fn forwarded(response: Response) -> PeerMessage {
    PeerMessage::Forwarded(Forwarded { op: OP, epoch: EPOCH, response })
}

fn value(count: usize) -> PeerMessage {
    let answered = vec![NodeId(u64::MAX); 3];
    let value = Visible::Text(bytes(count));
    forwarded(Response::Value(ValueReply {
        value,
        partial: true,
        conflict: false,
        answered,
        stale_ms: None,
        token: None,
    }))
}

fn written(count: usize) -> PeerMessage {
    let ack = WriteAck { node: NodeId(u64::MAX), durability: Durability::Fsync, is_owner: true };
    forwarded(Response::Written(WriteReply {
        value: Visible::Text(bytes(count)),
        acks: vec![ack; 3],
        partial: true,
        token: None,
    }))
}

/// Every message whose size depends on what is in it, with about so many bytes in its heaviest part.
pub fn messages(count: usize) -> Vec<PeerMessage> {
    let items = count / 16;
    let request = Request {
        key: Key::new("a key").unwrap(),
        command: Command::Put { value: bytes(count) },
        options: Options::default(),
    };
    let found = ExchangeFindings {
        leaves_out: true,
        covered: bytes(count),
        rows: vec![(row(), bytes(count)); 3],
        wanted: vec![row(); items],
        marks: MARKS,
    };
    let report = Some(Report { tick: LATE, digest: u128::MAX });
    let state = StabilityState {
        standing: StabilityStanding::Fallback,
        lifetimes: Lifetimes { tick_us: u64::MAX, lease_ticks: u32::MAX },
        marks: MARKS,
        tags: vec![(NodeId(u64::MAX), DIRECTORY); items.min(64)],
        report,
        baseline_report: report,
    };
    let shown = Shown {
        main: bytes(count),
        beside: bytes(count),
        rows: vec![(row(), bytes(count)); 2],
        until: Some(bytes(count)),
        settled: Tick(u32::MAX),
        folded: Tick(u32::MAX),
        exchanged: vec![(NodeId(u64::MAX), u64::MAX); 2],
    };
    vec![
        value(count),
        written(count),
        PeerMessage::Forward(Forward { op: OP, target: EPOCH, request, remaining_ms: u32::MAX }),
        PeerMessage::Replicate(Replicate {
            op: OP,
            parts: vec![Part { row: row(), version: VERSION, delta: bytes(count) }; 2],
            owed: vec![NodeId(u64::MAX); items],
            only_removes: true,
        }),
        PeerMessage::Replicated(Replicated {
            op: OP,
            epoch: EPOCH,
            rows: vec![(row(), VERSION); items],
            outcome: Ok(Durability::Fsync),
        }),
        PeerMessage::Read(Read { op: OP, row: row(), beside: Wanted::Elements(vec![row(); items]) }),
        PeerMessage::ReadAnswer(ReadAnswer { op: OP, epoch: EPOCH, outcome: Ok(shown) }),
        PeerMessage::Deliver(Deliver {
            op: OP,
            rows: vec![OwedRow { row: row(), version: VERSION, state: bytes(count) }; 3],
            marks: Some(MARKS),
        }),
        PeerMessage::Delivered(Delivered {
            op: OP,
            epoch: EPOCH,
            rows: vec![(row(), VERSION); items],
            refused: vec![(row(), Refusal::DiskReserve); items],
            pause_ms: u32::MAX,
        }),
        PeerMessage::ExchangeOffer(ExchangeOffer {
            op: OP,
            step: u32::MAX,
            start: bytes(count),
            end: bytes(count),
            hashes: vec![(row(), u128::MAX); items],
            marks: MARKS,
            gives: true,
        }),
        PeerMessage::ExchangeAnswer(ExchangeAnswer { op: OP, step: u32::MAX, epoch: EPOCH, outcome: Ok(found) }),
        PeerMessage::ExchangePush(ExchangePush {
            op: OP,
            step: u32::MAX,
            rows: vec![(row(), bytes(count)); 3],
            marks: MARKS,
        }),
        PeerMessage::TreeOffer(TreeOffer {
            op: OP,
            step: u32::MAX,
            nodes: vec![TreeNode { bits: 18, prefix: u32::MAX, rows: u32::MAX, hash: u128::MAX }; items],
            marks: MARKS,
        }),
        PeerMessage::TreeAnswer(TreeAnswer {
            op: OP,
            step: u32::MAX,
            epoch: EPOCH,
            outcome: Ok(TreeFindings { differing: Some(vec![u16::MAX; items]), leaf_bits: 18, marks: MARKS }),
        }),
        PeerMessage::StabilityQuery(StabilityQuery { round: u64::MAX, marks: MARKS, wanted: LATE, is_needed: true }),
        PeerMessage::StabilityAnswer(Box::new(StabilityAnswer { round: u64::MAX, epoch: EPOCH, state })),
    ]
}

#[test]
fn no_message_is_heavier_than_its_estimate_and_a_heavy_one_not_far_below() {
    for count in [0, 100, 100_000] {
        for message in messages(count) {
            let layout = LayoutEpoch { number: u64::MAX, content: u64::MAX, parent: u64::MAX };
            let clock = Hlc { wall: u64::MAX, logical: u32::MAX };
            let messages = vec![Addressed { partition: PartitionId(u16::MAX), layout: 1, message }];
            let frame = Frame { layout, epoch: EPOCH, clock, messages };
            let mut encoded = Vec::new();
            codec::encode(&frame, &mut encoded).unwrap();
            let weight = of_frame(&frame);
            let name = format!("{:.120}", format!("{:?}", frame.messages));
            assert!(encoded.len() <= weight, "{} bytes as {weight}: {name}", encoded.len());
            assert!(weight <= 4 * encoded.len(), "{} bytes as {weight}: {name}", encoded.len());
        }
    }
}

#[test]
fn a_forwarded_value_of_the_largest_size_fills_a_frame_by_itself() {
    assert!(of_message(&value(limits::VALUE_BYTES_MAX)) > limits::FRAME_WEIGHT_MAX);
}

#[test]
fn no_answer_about_a_node_is_heavier_than_its_estimate() {
    let of_partition = |partition| PartitionStability {
        partition: PartitionId(partition),
        sealed: LATE,
        frozen: LATE,
        compacted: LATE,
        folded: LATE,
        newest: LATE,
        unsettled_rows: Some(u64::MAX),
        unsettled_bytes: Some(u64::MAX),
        waiting: vec![Waiting { node: NodeId(u64::MAX), need: Need::Directories }; 9],
    };
    let lacking = |partition| PartitionRepair { partition: PartitionId(partition), owners: vec![NodeId(u64::MAX); 9] };
    let peer = PeerStatus {
        node: NodeId(u64::MAX),
        is_reachable: true,
        heard_ms_ago: Some(u64::MAX),
        owed_rows: u64::MAX,
        is_contested: true,
        lag: crate::message::client::PeerLag {
            operations: u64::MAX,
            oldest_ms: Some(u64::MAX),
            compared_ms_ago: Some(u64::MAX),
            uncompared_partitions: u32::MAX,
        },
    };
    let link =
        LinkFault { peer: NodeId(u64::MAX), direction: Direction::Outbound, drop_per_mille: 1000, delay_ms: u32::MAX };
    for count in [0, 1, limits::CONFLICTS_LISTED_MAX] {
        let key = |number: usize| Key::new(format!("{number:060000}")).unwrap();
        let shards = ShardStatus {
            peers: vec![peer.clone(); count * 30],
            conflicting: (0..count).map(|number| ConflictStatus { key: key(number), ms_ago: u64::MAX }).collect(),
            settling: (0..2 * count as u16).map(of_partition).collect(),
            needs_repair: (0..2 * count as u16).map(lacking).collect(),
            ..ShardStatus::default()
        };
        let status = NodeStatus {
            node: NodeId(u64::MAX),
            version: "0.1.0".into(),
            layout: LayoutEpoch { number: u64::MAX, content: u64::MAX, parent: u64::MAX },
            epoch: EPOCH.to_string(),
            starts: u32::MAX,
            uptime_s: u64::MAX,
            durability: Durability::Fsync,
            disk_free_bytes: u64::MAX,
            is_below_reserve: true,
            drills: true,
            faults: FaultPlan { links: vec![link.clone(); count * 30], for_ms: u64::MAX },
            last_sync_us: u64::MAX,
            sessions: SessionTerms::default(),
            shards,
        };
        let body = AnswerBody::Node(NodeAnswer::Status(Box::new(status)));
        let answer = Answer { id: RequestId(u64::MAX), body };
        let mut encoded = Vec::new();
        codec::encode(&answer, &mut encoded).unwrap();
        let weight = of_answer(&answer);
        assert!(encoded.len() <= weight, "{} bytes as {weight} with {count}", encoded.len());
    }
}

#[test]
fn no_layout_is_heavier_than_its_estimate() {
    let late = NodeId(u64::MAX);
    let far = Member {
        weight: u32::MAX,
        place: Some(late),
        leaving: true,
        ..Member::new(late, "n".repeat(63), "h".repeat(200))
    };
    let run = PartitionRun { first: PartitionId(u16::MAX), last: PartitionId(u16::MAX) };
    for count in [0, 1, 1_000] {
        let mut layout = Layout::founding(crate::ids::ClusterId([255; 16]), &"x".repeat(500), vec![far.clone(); count]);
        layout.epoch = LayoutEpoch { number: u64::MAX, content: u64::MAX, parent: u64::MAX };
        layout.phase = Phase::Switched;
        let before = Before { since: u64::MAX, fallbacks: Fallbacks::Next(255), members: vec![far.clone(); count] };
        layout.before = Some(Box::new(before));
        layout.voters = vec![late; count.min(9)];
        layout.fenced = vec![Fenced { node: late, since: u64::MAX, declared_lost: vec![run; count.min(100)] }; count];
        let at = crate::time::WallTime(u64::MAX);
        layout.forced = Some(Forced { survivors: vec![late; count], fenced: vec![late; count], at });
        let answer = Answer { id: RequestId(u64::MAX), body: AnswerBody::Node(NodeAnswer::Layout(Box::new(layout))) };
        let mut encoded = Vec::new();
        codec::encode(&answer, &mut encoded).unwrap();
        let weight = of_answer(&answer);
        assert!(encoded.len() <= weight, "{} bytes as {weight} with {count}", encoded.len());
    }
}
