//! How heavy a message is before it is encoded: what queues are bounded by, and what tells a bulk frame from a small one.
//!
//! An estimate from above within a small factor: payloads are counted exactly, the rest by a flat rate per item.

use starling::message::client::{Answer, AnswerBody, Command, ReplicaView, Request, Response, Visible, WriteReply};
use starling::message::peer::{Addressed, Frame, PeerMessage};

/// Flat rate of a message or an answer around its payload. Unit: bytes.
const MESSAGE: usize = 128;

/// A frame above this is cut between its messages. Unit: bytes.
const SPLIT_BYTES: usize = 1024 * 1024;

/// Flat rate of an item in a list. Unit: bytes.
const ITEM: usize = 32;

/// Estimated size of a frame. Unit: bytes.
pub(crate) fn of_frame(frame: &Frame) -> usize {
    MESSAGE + frame.messages.iter().map(of_message).sum::<usize>()
}

/// Estimated size of one message of a frame. Unit: bytes.
pub(super) fn of_message(addressed: &Addressed) -> usize {
    MESSAGE
        + match &addressed.message {
            PeerMessage::Ping(_) | PeerMessage::Pong(_) => 0,
            PeerMessage::Forward(forward) => of_request(&forward.request),
            PeerMessage::Forwarded(forwarded) => of_response(&forwarded.response),
            PeerMessage::Replicate(replicate) => {
                replicate.row.as_bytes().len() + replicate.delta.len() + replicate.owed.len() * ITEM
            }
            PeerMessage::Replicated(replicated) => replicated.row.as_bytes().len(),
            PeerMessage::Read(read) => read.row.as_bytes().len(),
            PeerMessage::ReadAnswer(answer) => answer.outcome.as_ref().map_or(ITEM, |state| state.len()),
            PeerMessage::Deliver(deliver) => {
                deliver.rows.iter().map(|owed| 2 * ITEM + owed.row.as_bytes().len() + owed.state.len()).sum()
            }
            PeerMessage::Delivered(delivered) => {
                delivered.rows.iter().map(|(row, _)| ITEM + row.as_bytes().len()).sum::<usize>()
                    + delivered.refused.iter().map(|(row, _)| 2 * ITEM + row.as_bytes().len()).sum::<usize>()
            }
            PeerMessage::NewbornQuery(_) | PeerMessage::NewbornAnswer(_) => 0,
            PeerMessage::ExchangeOffer(offer) => {
                offer.start.len()
                    + offer.end.len()
                    + offer.hashes.iter().map(|(row, _)| ITEM + row.as_bytes().len()).sum::<usize>()
            }
            PeerMessage::ExchangeAnswer(answer) => answer.outcome.as_ref().map_or(ITEM, |found| {
                found.covered.len()
                    + found.rows.iter().map(|(row, state)| ITEM + row.as_bytes().len() + state.len()).sum::<usize>()
                    + found.wanted.iter().map(|row| ITEM + row.as_bytes().len()).sum::<usize>()
            }),
            PeerMessage::ExchangePush(push) => {
                push.rows.iter().map(|(row, state)| ITEM + row.as_bytes().len() + state.len()).sum()
            }
            PeerMessage::ExchangePushed(_) => 0,
        }
}

/// Estimated size of an answer. Unit: bytes.
pub(crate) fn of_answer(answer: &Answer) -> usize {
    match &answer.body {
        AnswerBody::Key(response) => MESSAGE + of_response(response),
        AnswerBody::Node(_) => 8 * 1024,
    }
}

/// Estimated size of a request. Unit: bytes.
pub(crate) fn of_request(request: &Request) -> usize {
    let value = match &request.command {
        Command::Put { value } => value.len(),
        Command::Get | Command::Increment { .. } | Command::Delete | Command::Inspect | Command::Locate => 0,
    };
    request.key.as_bytes().len() + value
}

fn of_response(response: &Response) -> usize {
    match response {
        Response::Value(reply) => of_value(&reply.value) + reply.answered.len() * ITEM,
        Response::Written(WriteReply { value, acks, partial: _ }) => of_value(value) + acks.len() * 2 * ITEM,
        Response::Inspected(ReplicaView { value, counter, owes, .. }) => {
            of_value(value) + counter.len() + owes.len() * ITEM + 16 * ITEM
        }
        Response::Located(location) => (location.owners.len() + location.fallbacks.len()) * ITEM,
        Response::Failed(_) => 4 * ITEM,
    }
}

fn of_value(value: &Visible) -> usize {
    match value {
        Visible::Nothing | Visible::Integer { .. } => 0,
        Visible::Text(text) => text.len(),
    }
}

/// Cuts a frame that is heavier than [`SPLIT_BYTES`] into several: each message is addressed on its own, so a frame
/// says the same in parts, and no part comes near the bound of an envelope.
pub(super) fn split(frame: Frame) -> Vec<(Frame, usize)> {
    let bytes = of_frame(&frame);
    if bytes <= SPLIT_BYTES || frame.messages.len() < 2 {
        return vec![(frame, bytes)];
    }
    let Frame { layout, epoch, clock, messages } = frame;
    let mut parts = Vec::new();
    let mut part = Frame { layout, epoch, clock, messages: Vec::new() };
    let mut part_bytes = MESSAGE;
    for message in messages {
        let message_bytes = of_message(&message);
        if !part.messages.is_empty() && part_bytes + message_bytes > SPLIT_BYTES {
            let rest = Frame { layout, epoch, clock, messages: Vec::new() };
            parts.push((std::mem::replace(&mut part, rest), part_bytes));
            part_bytes = MESSAGE;
        }
        part.messages.push(message);
        part_bytes += message_bytes;
    }
    parts.push((part, part_bytes));
    parts
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use starling::message::codec;
    use starling::message::peer::ReadAnswer;

    use super::super::testing::{frame, frame_of};
    use super::*;

    fn answer(bytes: usize) -> PeerMessage {
        let outcome = Ok(Bytes::from(vec![7; bytes]));
        PeerMessage::ReadAnswer(ReadAnswer { op: starling::ids::OpId(1), epoch: Default::default(), outcome })
    }

    #[test]
    fn the_estimate_is_not_below_the_encoded_size() {
        for frame in [frame(1), frame_of(vec![answer(10_000)]), frame_of(vec![answer(1); 50])] {
            let mut encoded = Vec::new();
            codec::encode(&frame, &mut encoded).unwrap();
            let weight = of_frame(&frame);
            assert!(encoded.len() <= weight && weight <= 4 * encoded.len(), "{} as {weight}", encoded.len());
        }
    }

    #[test]
    fn a_heavy_frame_is_cut_between_messages_and_keeps_their_order() {
        let messages: Vec<PeerMessage> = (0..40).map(|index| answer(100_000 + index)).collect();
        let parts = split(frame_of(messages.clone()));
        assert!(parts.len() > 3 && parts.iter().all(|(_, bytes)| *bytes <= SPLIT_BYTES), "{} parts", parts.len());
        let joined: Vec<PeerMessage> =
            parts.into_iter().flat_map(|(part, _)| part.messages).map(|addressed| addressed.message).collect();
        assert_eq!(joined, messages);
    }

    #[test]
    fn one_heavy_message_stays_whole() {
        assert_eq!(split(frame_of(vec![answer(5_000_000)])).len(), 1);
    }
}
