//! Estimates against encodings, of every message and answer whose size depends on what is in it.

use super::*;
use crate::causality::{Epoch, Tick};
use crate::config::Durability;
use crate::ids::{Incarnation, Key, NodeId, OpId, PartitionId, RequestId, RowVersion};
use crate::limits;
use crate::membership::layout::paxos::{Ask, Ballot, Reply};
use crate::membership::{
    Before, Change, ChangeError, Committed, Fallbacks, Fenced, Forced, Layout, LayoutEpoch, Member, OwnerTable,
    PartitionRun, Phase,
};
use crate::message::client::{
    Call, CallBody, ClusterAnswer, ClusterError, ConflictStatus, Direction, FaultPlan, LinkFault, MemberProgress,
    MoveWait, Need, NodeCall, NodeStatus, Options, PartitionRepair, PartitionStability, PeerStatus, PlanView, Progress,
    RivalLayout, SessionTerms, ShardStatus, ValueReply, Waiting, WriteAck, WriteReply,
};
use crate::message::codec;
use crate::message::peer::{
    Addressed, Deliver, Delivered, ExchangeAnswer, ExchangeFindings, ExchangeOffer, ExchangePush, Forward, Forwarded,
    LayoutMessage, Lifetimes, Marks, MoveAnswer, MoveQuery, MoveState, MoveStep, OwedRow, Part, PartSum, PartitionMove,
    Passed, Paused, Read, ReadAnswer, RecoverAnswer, RecoverQuery, Refusal, Replicate, Replicated, Report,
    StabilityAnswer, StabilityQuery, StabilityStanding, StabilityState, TreeAnswer, TreeFindings, TreeNode, TreeOffer,
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
        removed: 0,
        partial: true,
        token: None,
    }))
}

/// With so many members in each of its lists.
fn far_layout(count: usize) -> Layout {
    let late = NodeId(u64::MAX);
    let run = PartitionRun { first: PartitionId(u16::MAX), last: PartitionId(u16::MAX) };
    let mut layout = Layout::founding(crate::ids::ClusterId([255; 16]), &"x".repeat(500), vec![far_member(); count]);
    layout.epoch = LayoutEpoch { number: u64::MAX, content: u64::MAX, parent: u64::MAX };
    layout.phase = Phase::Switched;
    let owners = OwnerTable::new(vec![late; count], &vec![vec![usize::MAX; 3]; count]);
    let owners = Some(Box::new(owners));
    layout.owners.clone_from(&owners);
    let members = vec![far_member(); count];
    let before = Before { since: u64::MAX, fallbacks: Fallbacks::Next(255), members, owners };
    layout.before = Some(Box::new(before));
    layout.voters = vec![late; count.min(9)];
    layout.fenced = vec![Fenced { node: late, since: u64::MAX, declared_lost: vec![run; count.min(100)] }; count];
    let at = crate::time::WallTime(u64::MAX);
    layout.forced = Some(Forced { survivors: vec![late; count], fenced: vec![late; count], at });
    layout
}

fn far_member() -> Member {
    let late = NodeId(u64::MAX);
    let member = Member::new(late, "n".repeat(63), "h".repeat(200));
    Member { weight: u32::MAX, place: Some(late), leaving: true, ..member }
}

fn move_state(count: usize) -> MoveState {
    let step = MoveStep::WaitsFor(NodeId(u64::MAX));
    let (node, partition, late) = (NodeId(u64::MAX), PartitionId(u16::MAX), u64::MAX);
    let waiting = PartitionMove {
        partition,
        step,
        peer: Some(node),
        rows: late,
        bytes: late,
        rows_of: Some(late),
        full: Some(node),
    };
    let passed = Passed { node, rows: late, bytes: late };
    MoveState {
        moved: u32::MAX,
        asked: u32::MAX,
        unsynced: u32::MAX,
        uncleared: u32::MAX,
        stray_rows: u64::MAX,
        waiting: vec![waiting; count.min(limits::MOVES_SHOWN_MAX)],
        rows: u64::MAX,
        bytes: u64::MAX,
        rows_to_come: Some(u64::MAX),
        bytes_to_come: Some(u64::MAX),
        rows_given: u64::MAX,
        bytes_given: u64::MAX,
        taken_from: vec![passed; count.min(limits::MOVE_PEERS_SHOWN_MAX)],
        given_to: vec![passed; count.min(limits::MOVE_PEERS_SHOWN_MAX)],
    }
}

/// Every message about layouts whose size depends on what is in it.
fn layout_messages(count: usize) -> Vec<PeerMessage> {
    let members = count.min(40);
    let ballot = Ballot { round: u64::MAX, node: NodeId(u64::MAX), start: EPOCH };
    let committed = Committed { layout: far_layout(members), lineage: vec![(u64::MAX, u64::MAX); count] };
    let paused = Paused { is_paused: true, at: crate::time::WallTime(u64::MAX) };
    let answer = MoveAnswer {
        round: u64::MAX,
        epoch: EPOCH,
        shard: u16::MAX,
        shards: u16::MAX,
        adopted: u64::MAX,
        state: move_state(count),
    };
    let recovered = RecoverAnswer {
        round: u64::MAX,
        epoch: EPOCH,
        newer: Some(committed.clone()),
        is_closed: true,
        promised: Some(ballot),
    };
    let promise = Reply::Promise { ballot, accepted: Some((ballot, far_layout(members))) };
    [
        LayoutMessage::Pull { have: u64::MAX },
        LayoutMessage::Push(committed),
        LayoutMessage::Ask(Ask { number: u64::MAX, ballot, value: Some(far_layout(members)) }),
        LayoutMessage::Reply(promise),
        LayoutMessage::Reply(Reply::Refused { ballot, promised: ballot }),
        LayoutMessage::MoveQuery(MoveQuery { round: u64::MAX, paused }),
        LayoutMessage::MoveAnswer(answer),
        LayoutMessage::Pause(paused),
        LayoutMessage::Announce(far_member()),
        LayoutMessage::Doubt(NodeId(u64::MAX)),
        LayoutMessage::RecoverQuery(RecoverQuery { round: u64::MAX, epoch: EPOCH, closes: true, have: u64::MAX }),
        LayoutMessage::RecoverAnswer(recovered),
    ]
    .map(|message| PeerMessage::Layout(Box::new(message)))
    .to_vec()
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
        rows_here: Some(u64::MAX),
        covered: bytes(count),
        rows: vec![(row(), bytes(count)); 3],
        wanted: vec![row(); items],
        differing: Some(vec![u16::MAX; items]),
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
    let mut messages = layout_messages(items);
    messages.extend([
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
            sums: vec![PartSum { end: bytes(9), rows: u32::MAX, hash: u128::MAX }; items],
            takes_over: true,
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
            outcome: Ok(TreeFindings {
                differing: Some(vec![u16::MAX; items]),
                is_building: true,
                leaf_bits: 18,
                marks: MARKS,
            }),
        }),
        PeerMessage::StabilityQuery(StabilityQuery { round: u64::MAX, marks: MARKS, wanted: LATE, is_needed: true }),
        PeerMessage::StabilityAnswer(Box::new(StabilityAnswer { round: u64::MAX, epoch: EPOCH, state })),
    ]);
    messages
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
            conflicting: (0..count)
                .map(|number| ConflictStatus {
                    key: key(number),
                    field: Some(vec![7; 60_000].into()),
                    kind: Default::default(),
                    ms_ago: u64::MAX,
                })
                .collect(),
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
            rows_bytes: u64::MAX,
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
fn no_answer_about_the_cluster_is_heavier_than_its_estimate() {
    let late = NodeId(u64::MAX);
    let epoch = LayoutEpoch { number: u64::MAX, content: u64::MAX, parent: u64::MAX };
    let rival = RivalLayout { own: epoch, other: epoch, from: late };
    for count in [0, 1, 1_000] {
        let changes = [
            Change::Join(far_member()),
            Change::Replace { old: late, new: far_member(), is_dead: true },
            Change::Zone { node: late, zone: "z".repeat(63) },
            Change::Address { node: late, address: "h".repeat(255) },
            Change::Weight { node: late, weight: u32::MAX },
        ];
        let changes: Vec<Change> = changes.into_iter().cycle().take(count).collect();
        let lost = ChangeError::LastHolder { partitions: vec![PartitionId(u16::MAX); count] };
        let view = |next| PlanView {
            plan: crate::membership::Plan { base: epoch, changes: changes.clone(), accepts_loss: true },
            present: far_layout(count),
            next,
        };
        let member = MemberProgress {
            node: late,
            adopted: Some(u64::MAX),
            is_fenced: true,
            state: move_state(count),
            wait: Some(MoveWait::HandsOver),
        };
        let progress = Progress {
            layout: epoch,
            phase: Phase::Switched,
            is_paused: true,
            driver: Some(late),
            members: vec![member; count],
            rival: Some(rival),
            lacks_majority: true,
        };
        let known = vec!["n".repeat(63); count];
        for answer in [
            NodeAnswer::Layout(Box::new(far_layout(count))),
            NodeAnswer::Cluster(ClusterAnswer::Plan(Some(Box::new(view(Ok(far_layout(count))))))),
            NodeAnswer::Cluster(ClusterAnswer::Plan(Some(Box::new(view(Err(lost.clone())))))),
            NodeAnswer::Cluster(ClusterAnswer::Progress(Box::new(progress))),
            NodeAnswer::Cluster(ClusterAnswer::Candidates(vec![far_member(); count])),
            NodeAnswer::Cluster(ClusterAnswer::Refused(lost.into())),
            NodeAnswer::Cluster(ClusterAnswer::Refused(ClusterError::Rival(rival))),
            NodeAnswer::Cluster(ClusterAnswer::Refused(ClusterError::NoCandidate { name: "x".repeat(200), known })),
            NodeAnswer::Cluster(ClusterAnswer::Refused(ClusterError::SurvivorsSilent { silent: vec![late; count] })),
        ] {
            let answer = Answer { id: RequestId(u64::MAX), body: AnswerBody::Node(answer) };
            let mut encoded = Vec::new();
            codec::encode(&answer, &mut encoded).unwrap();
            let weight = of_answer(&answer);
            assert!(encoded.len() <= weight, "{} bytes as {weight} with {count}", encoded.len());
        }
    }
}

#[test]
fn no_call_about_the_cluster_is_heavier_than_its_estimate() {
    let late = NodeId(u64::MAX);
    for change in [
        Change::Join(far_member()),
        Change::Replace { old: late, new: far_member(), is_dead: true },
        Change::Zone { node: late, zone: "z".repeat(63) },
        Change::ZoneLost("z".repeat(63)),
    ] {
        assert_call(&ClusterCall::Stage { change, accepts_loss: true });
    }
    for count in [0, 1, 1_000] {
        assert_call(&ClusterCall::Recover { survivors: vec![late; count], cluster: "c".repeat(63) });
    }
}

fn assert_call(call: &ClusterCall) {
    let whole = Call { id: RequestId(u64::MAX), body: CallBody::Node(NodeCall::Cluster(call.clone())) };
    let mut encoded = Vec::new();
    codec::encode(&whole, &mut encoded).unwrap();
    let weight = of_cluster_call(call);
    assert!(encoded.len() <= weight && std::mem::size_of_val(call) <= weight, "{} bytes as {weight}", encoded.len());
}
