//! How heavy a message is before it is encoded: frames are filled by it, and queues are bounded by it.
//!
//! Called by the shard's outbox and by the node's queues. An estimate that no message exceeds by more than a fraction:
//! payloads are counted exactly, the rest by a flat rate per message and per item. It costs one pass over the items of
//! a message and never looks at bytes. Unit of everything: bytes.

use bytes::Bytes;

use super::client::{
    Answer, AnswerBody, ClusterAnswer, ClusterCall, ClusterError, CollectionCommand, Command, ConflictStatus,
    ElementChange, NodeAnswer, Request, Response, Upkeep,
};
use super::peer::{Frame, LayoutMessage, MoveState, PeerMessage, Shown, Wanted};
use crate::membership::layout::paxos::Reply;
use crate::membership::{Change, ChangeError, Committed, Forced, Layout, Member, OwnerTable};
use crate::storage::RowKey;
use crate::value::Visible;

/// Flat rate of a frame, a message or an answer around its payload.
const MESSAGE: usize = 128;

/// Flat rate of an item in a list.
const ITEM: usize = 32;

/// Flat rate of what a directory says of itself in an exchange.
const MARKS: usize = 3 * ITEM;

/// Flat rate of an answer about the node itself, around its lists.
const NODE_ANSWER: usize = 4 * 1024;

/// Flat rate of a layout, around its lists.
const LAYOUT: usize = 512;

/// Flat rate of what such an answer says of a peer, a member, a link or a partition: fields have their names with them.
const NODE_ITEM: usize = 256;

/// Estimated size of a frame.
pub fn of_frame(frame: &Frame) -> usize {
    MESSAGE + frame.messages.iter().map(|addressed| of_message(&addressed.message)).sum::<usize>()
}

/// Estimated size of one message of a frame, with its address.
pub fn of_message(message: &PeerMessage) -> usize {
    MESSAGE
        + match message {
            PeerMessage::Forward(forward) => MESSAGE + of_request(&forward.request),
            PeerMessage::Forwarded(forwarded) => of_response(&forwarded.response),
            PeerMessage::Replicate(replicate) => {
                replicate.parts.iter().map(|part| ITEM + of_key(&part.row) + part.delta.len()).sum::<usize>()
                    + replicate.owed.len() * ITEM
            }
            PeerMessage::Replicated(replicated) => {
                ITEM + replicated.rows.iter().map(|(row, _)| of_key(row)).sum::<usize>()
            }
            PeerMessage::Read(read) => {
                let beside = match &read.beside {
                    Wanted::Nothing | Wanted::Sessions => 0,
                    Wanted::Elements(rows) => rows.iter().map(of_key).sum(),
                    Wanted::Page { after, .. } => 2 * ITEM + of_token(after),
                };
                ITEM + of_key(&read.row) + beside
            }
            PeerMessage::ReadAnswer(answer) => answer.outcome.as_ref().map_or(ITEM, of_shown),
            PeerMessage::Deliver(deliver) => {
                MARKS + deliver.rows.iter().map(|owed| ITEM + of_key(&owed.row) + owed.state.len()).sum::<usize>()
            }
            PeerMessage::Delivered(delivered) => {
                let rows = delivered.rows.iter().map(|(row, _)| of_key(row));
                let refused = delivered.refused.iter().map(|(row, _)| ITEM + of_key(row));
                rows.chain(refused).sum()
            }
            PeerMessage::ExchangeOffer(offer) => {
                MARKS
                    + offer.start.len()
                    + offer.end.len()
                    + offer.hashes.iter().map(|(row, _)| of_key(row)).sum::<usize>()
                    + offer.sums.iter().map(|part| 2 * ITEM + part.end.len()).sum::<usize>()
            }
            PeerMessage::ExchangeAnswer(answer) => answer.outcome.as_ref().map_or(ITEM, |found| {
                let differing = found.differing.as_ref().map_or(0, |parts| ITEM + parts.len() * size_of::<u32>());
                let wanted = found.wanted.iter().map(of_key).sum::<usize>();
                MARKS + found.covered.len() + of_rows(&found.rows) + wanted + differing
            }),
            PeerMessage::ExchangePush(push) => MARKS + of_rows(&push.rows),
            PeerMessage::Repair(repair) => of_rows(&repair.rows),
            PeerMessage::TreeOffer(offer) => MARKS + 2 * ITEM + offer.nodes.len() * ITEM,
            PeerMessage::TreeAnswer(answer) => answer
                .outcome
                .as_ref()
                .map_or(ITEM, |found| MARKS + ITEM + found.differing.as_ref().map_or(0, Vec::len) * size_of::<u32>()),
            PeerMessage::StabilityQuery(_) => MARKS,
            PeerMessage::Layout(message) => of_layout_message(message),
            // Ticks, two reports, and the owners' directories.
            PeerMessage::StabilityAnswer(answer) => MARKS + 8 * ITEM + answer.state.tags.len() * ITEM,
            PeerMessage::Ping(_)
            | PeerMessage::Pong(_)
            | PeerMessage::Challenge(_)
            | PeerMessage::Claim(_)
            | PeerMessage::NewbornQuery(_)
            | PeerMessage::NewbornAnswer(_)
            | PeerMessage::ExchangePushed(_)
            | PeerMessage::ExchangeDone(_) => 0,
        }
}

/// Estimated size of a request.
pub fn of_request(request: &Request) -> usize {
    let value = match &request.command {
        Command::Put { value } => value.len(),
        Command::PutSibling { value, context } => value.len() + context.as_ref().map_or(0, Bytes::len),
        Command::Overwrite { context, .. } => ITEM + context.len(),
        Command::IncrementAs(_) => 4 * ITEM,
        Command::AddToSketch { items } => of_items(items),
        Command::Collection { command, .. } => ITEM + of_collection_command(command),
        Command::Upkeep(Upkeep::Remove { elements, .. }) => of_items(elements),
        Command::Upkeep(Upkeep::List { after, .. }) => of_token(after),
        Command::Get
        | Command::Increment { .. }
        | Command::Delete
        | Command::Observe
        | Command::Siblings
        | Command::SetFlag { .. }
        | Command::Expire { .. }
        | Command::Upkeep(Upkeep::Sweep)
        | Command::Inspect
        | Command::Locate => 0,
    };
    let token = request.options.token.as_ref().map_or(0, Bytes::len);
    request.key.as_bytes().len() + value + token
}

/// Estimated size of the rows that a command names, with what it carries for them: each row has the key in its own.
pub fn of_named_rows(request: &Request) -> usize {
    let named = match &request.command {
        Command::Collection { command: CollectionCommand::Write { changes }, .. } => changes.len(),
        Command::Collection { command: CollectionCommand::Read { elements }, .. }
        | Command::Upkeep(Upkeep::Remove { elements, .. }) => elements.len(),
        _ => 0,
    };
    of_request(request) + named * (ITEM + request.key.as_bytes().len())
}

fn of_collection_command(command: &CollectionCommand) -> usize {
    match command {
        CollectionCommand::Write { changes } => changes
            .iter()
            .map(|write| {
                let value = if let ElementChange::Put(value) = &write.change { value.len() } else { 0 };
                2 * ITEM + write.element.len() + value
            })
            .sum(),
        CollectionCommand::Read { elements } => of_items(elements),
        CollectionCommand::Page { after, .. } => after.as_ref().map_or(0, Bytes::len),
        CollectionCommand::Size => 0,
    }
}

fn of_items(items: &[Bytes]) -> usize {
    items.iter().map(|item| ITEM + item.len()).sum()
}

/// Estimated size of a call about the cluster.
pub fn of_cluster_call(call: &ClusterCall) -> usize {
    NODE_ITEM
        + match call {
            ClusterCall::Stage { change, .. } => of_changes(std::slice::from_ref(change)),
            ClusterCall::Recover { survivors, cluster } => survivors.len() * ITEM + cluster.len(),
            ClusterCall::Plan
            | ClusterCall::DropPlan
            | ClusterCall::Commit { .. }
            | ClusterCall::Revert
            | ClusterCall::Progress
            | ClusterCall::PauseMoves(_)
            | ClusterCall::Candidates => 0,
        }
}

/// Estimated size of an answer to a client.
pub fn of_answer(answer: &Answer) -> usize {
    match &answer.body {
        AnswerBody::Key(response) => MESSAGE + of_response(response),
        AnswerBody::Node(answer) => NODE_ANSWER + of_node_answer(answer),
    }
}

fn of_node_answer(answer: &NodeAnswer) -> usize {
    match answer {
        NodeAnswer::Status(status) => {
            let shards = &status.shards;
            let of_conflict = |conflict: &ConflictStatus| conflict.key.as_bytes().len() + of_token(&conflict.field);
            let keys: usize = shards.conflicting.iter().map(of_conflict).sum();
            let waiting: usize = shards.settling.iter().map(|partition| partition.waiting.len() * ITEM).sum();
            let lacking: usize = shards.needs_repair.iter().map(|partition| partition.owners.len() * ITEM).sum();
            let lists = shards.peers.len()
                + shards.candidates.len()
                + shards.moves.waiting.len()
                + status.faults.links.len()
                + shards.conflicting.len()
                + shards.settling.len()
                + shards.needs_repair.len();
            lists * NODE_ITEM + of_members(&shards.candidates) + keys + waiting + lacking
        }
        NodeAnswer::Layout(layout) => of_layout(layout),
        NodeAnswer::Cluster(answer) => of_cluster_answer(answer),
        NodeAnswer::FaultsSet | NodeAnswer::BackedUp(_) | NodeAnswer::Failed(_) => 0,
    }
}

/// Estimated size of what is said of the layout.
fn of_layout_message(message: &LayoutMessage) -> usize {
    match message {
        LayoutMessage::Push(committed) => of_committed(committed),
        LayoutMessage::Ask(ask) => MESSAGE + ask.value.as_ref().map_or(0, of_layout),
        LayoutMessage::Reply(Reply::Promise { accepted: Some((_, layout)), .. }) => 2 * MESSAGE + of_layout(layout),
        LayoutMessage::Announce(member) => of_members(std::slice::from_ref(member)),
        LayoutMessage::RecoverAnswer(answer) => MESSAGE + answer.newer.as_ref().map_or(0, of_committed),
        LayoutMessage::MoveAnswer(answer) => 2 * MESSAGE + of_move_state(&answer.state),
        LayoutMessage::Reply(_)
        | LayoutMessage::Pull { .. }
        | LayoutMessage::MoveQuery(_)
        | LayoutMessage::Pause(_)
        | LayoutMessage::Doubt(_)
        | LayoutMessage::RecoverQuery(_) => MESSAGE,
    }
}

fn of_committed(committed: &Committed) -> usize {
    of_layout(&committed.layout) + committed.lineage.len() * ITEM
}

fn of_move_state(state: &MoveState) -> usize {
    MESSAGE + (state.waiting.len() + 1) * 4 * ITEM + (state.taken_from.len() + state.given_to.len()) * 2 * ITEM
}

fn of_cluster_answer(answer: &ClusterAnswer) -> usize {
    match answer {
        ClusterAnswer::Plan(Some(view)) => {
            let next = view.next.as_ref().map_or(0, of_layout);
            of_layout(&view.present)
                + next
                + of_changes(&view.plan.changes)
                + view.next.as_ref().err().map_or(0, of_change_error)
        }
        ClusterAnswer::Progress(progress) => {
            progress.members.iter().map(|member| NODE_ITEM + of_move_state(&member.state)).sum()
        }
        ClusterAnswer::Candidates(members) => of_members(members),
        ClusterAnswer::Refused(ClusterError::Change(error)) => of_change_error(error),
        ClusterAnswer::Refused(ClusterError::NoCandidate { known, .. }) => {
            known.iter().map(|name| ITEM + name.len()).sum()
        }
        ClusterAnswer::Refused(ClusterError::SurvivorsSilent { silent }) => silent.len() * ITEM,
        ClusterAnswer::Plan(None)
        | ClusterAnswer::PlanDropped
        | ClusterAnswer::Committed(_)
        | ClusterAnswer::Paused(_)
        | ClusterAnswer::Refused(_) => 0,
    }
}

fn of_change_error(error: &ChangeError) -> usize {
    match error {
        ChangeError::LastHolder { partitions } => partitions.len() * ITEM,
        _ => 0,
    }
}

fn of_changes(changes: &[Change]) -> usize {
    let of_change = |change: &Change| match change {
        Change::Join(member) | Change::Replace { new: member, .. } => of_members(std::slice::from_ref(member)),
        Change::Zone { zone: text, .. } | Change::Address { address: text, .. } | Change::ZoneLost(text) => text.len(),
        Change::Leave(_) | Change::Weight { .. } | Change::Fence(_) => 0,
    };
    changes.iter().map(|change| NODE_ITEM + of_change(change)).sum()
}

fn of_layout(layout: &Layout) -> usize {
    let of_owners = |owners: &Option<Box<OwnerTable>>| owners.as_ref().map_or(0, |owners| NODE_ITEM + owners.bytes());
    let before =
        layout.before.as_ref().map_or(0, |before| NODE_ITEM + of_members(&before.members) + of_owners(&before.owners));
    let fenced: usize = layout.fenced.iter().map(|fenced| NODE_ITEM + fenced.declared_lost.len() * ITEM).sum();
    let nodes = |forced: &Forced| forced.survivors.len() + forced.fenced.len();
    let forced = layout.forced.as_ref().map_or(0, |forced| NODE_ITEM + nodes(forced) * ITEM);
    LAYOUT
        + of_owners(&layout.owners)
        + layout.name.len()
        + of_members(&layout.members)
        + before
        + layout.voters.len() * ITEM
        + fenced
        + forced
}

fn of_members(members: &[Member]) -> usize {
    let texts = |member: &Member| member.name.len() + member.address.len() + member.zone.len();
    members.iter().map(|member| NODE_ITEM + texts(member)).sum()
}

/// Estimated size of an answer about a key.
pub fn of_response(response: &Response) -> usize {
    match response {
        Response::Value(reply) => {
            3 * ITEM + of_value(&reply.value) + reply.answered.len() * ITEM + of_token(&reply.token)
        }
        Response::Written(reply) => {
            2 * ITEM + of_value(&reply.value) + reply.acks.len() * 2 * ITEM + of_token(&reply.token)
        }
        Response::Observed(reply) => 2 * ITEM + of_value(&reply.value) + reply.context.len() + of_token(&reply.token),
        Response::Page(page) => {
            let elements: usize =
                page.elements.iter().map(|(element, value)| 2 * ITEM + element.len() + of_value(value)).sum();
            let conflicts: usize = page.conflicts.iter().map(|field| ITEM + field.len()).sum();
            3 * ITEM + elements + conflicts + of_token(&page.next) + of_token(&page.token)
        }
        Response::Inspected(view) => of_value(&view.value) + view.counter.len() + view.owes.len() * ITEM + 16 * ITEM,
        Response::Located(location) => 2 * ITEM + (location.owners.len() + location.fallbacks.len()) * ITEM,
        Response::Failed(_) => 4 * ITEM,
    }
}

fn of_token(token: &Option<Bytes>) -> usize {
    token.as_ref().map_or(0, Bytes::len)
}

fn of_value(value: &Visible) -> usize {
    match value {
        Visible::Nothing | Visible::Integer { .. } => 0,
        Visible::Flag | Visible::Estimate(_) | Visible::Collection { .. } | Visible::Member | Visible::Score(_) => ITEM,
        Visible::Text(text) => text.len(),
        Visible::Siblings(values) => values.iter().map(|value| ITEM + value.len()).sum(),
    }
}

fn of_shown(shown: &Shown) -> usize {
    2 * ITEM
        + shown.main.len()
        + shown.beside.len()
        + of_rows(&shown.rows)
        + of_token(&shown.until)
        + shown.exchanged.len() * ITEM
}

fn of_rows(rows: &[(RowKey, Bytes)]) -> usize {
    rows.iter().map(|(row, state)| of_key(row) + state.len()).sum()
}

/// Of an item of a list that is a row's key with a number beside it.
fn of_key(row: &RowKey) -> usize {
    ITEM + row.as_bytes().len()
}

#[cfg(test)]
#[path = "weight_tests.rs"]
pub(super) mod tests;
