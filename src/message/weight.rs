//! How heavy a message is before it is encoded: frames are filled by it, and queues are bounded by it.
//!
//! Called by the shard's outbox and by the node's queues. An estimate that no message exceeds by more than a fraction:
//! payloads are counted exactly, the rest by a flat rate per message and per item. It costs one pass over the items of
//! a message and never looks at bytes. Unit of everything: bytes.

use bytes::Bytes;

use super::client::{Answer, AnswerBody, CollectionCommand, Command, ElementChange, Request, Response, Upkeep};
use super::peer::{Frame, PeerMessage, Shown, Wanted};
use crate::storage::RowKey;
use crate::value::Visible;

/// Flat rate of a frame, a message or an answer around its payload.
const MESSAGE: usize = 128;

/// Flat rate of an item in a list.
const ITEM: usize = 32;

/// Flat rate of what a directory says of itself in an exchange.
const MARKS: usize = 3 * ITEM;

/// Flat rate of an answer about the node itself.
const NODE_ANSWER: usize = 8 * 1024;

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
            }
            PeerMessage::ExchangeAnswer(answer) => answer.outcome.as_ref().map_or(ITEM, |found| {
                MARKS + found.covered.len() + of_rows(&found.rows) + found.wanted.iter().map(of_key).sum::<usize>()
            }),
            PeerMessage::ExchangePush(push) => MARKS + of_rows(&push.rows),
            PeerMessage::StabilityQuery(_) => MARKS,
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

/// Estimated size of an answer to a client.
pub fn of_answer(answer: &Answer) -> usize {
    match &answer.body {
        AnswerBody::Key(response) => MESSAGE + of_response(response),
        AnswerBody::Node(_) => NODE_ANSWER,
    }
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
            3 * ITEM + elements + of_token(&page.next) + of_token(&page.token)
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
pub(super) mod tests {
    use super::*;
    use crate::causality::{Epoch, Tick};
    use crate::config::Durability;
    use crate::ids::{Incarnation, Key, NodeId, OpId, PartitionId, RowVersion};
    use crate::limits;
    use crate::membership::LayoutEpoch;
    use crate::message::client::{Options, ValueReply, WriteAck, WriteReply};
    use crate::message::codec;
    use crate::message::peer::{
        Addressed, Deliver, Delivered, ExchangeAnswer, ExchangeFindings, ExchangeOffer, ExchangePush, Forward,
        Forwarded, Lifetimes, Marks, OwedRow, Part, Read, ReadAnswer, Refusal, Replicate, Replicated, Report,
        StabilityAnswer, StabilityQuery, StabilityStanding, StabilityState,
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
                start: bytes(count),
                end: bytes(count),
                hashes: vec![(row(), u128::MAX); items],
                marks: MARKS,
            }),
            PeerMessage::ExchangeAnswer(ExchangeAnswer { op: OP, epoch: EPOCH, outcome: Ok(found) }),
            PeerMessage::ExchangePush(ExchangePush { op: OP, rows: vec![(row(), bytes(count)); 3], marks: MARKS }),
            PeerMessage::StabilityQuery(StabilityQuery {
                round: u64::MAX,
                marks: MARKS,
                wanted: LATE,
                is_needed: true,
            }),
            PeerMessage::StabilityAnswer(Box::new(StabilityAnswer { round: u64::MAX, epoch: EPOCH, state })),
        ]
    }

    #[test]
    fn no_message_is_heavier_than_its_estimate_and_a_heavy_one_not_far_below() {
        for count in [0, 100, 100_000] {
            for message in messages(count) {
                let layout = LayoutEpoch { number: u64::MAX, content: u64::MAX, parent: u64::MAX };
                let clock = Hlc { wall: u64::MAX, logical: u32::MAX };
                let messages = vec![Addressed { partition: PartitionId(u16::MAX), message }];
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
}
