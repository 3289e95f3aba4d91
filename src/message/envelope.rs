//! Envelopes out of a stream of bytes, without the stream: the reading half of the codec that nodes and clients share.
//!
//! ```text
//! loop:  take() ─ Some ─→ message
//!          │ None
//!          └→ read the stream into room() ─→ filled(count)
//! ```
//!
//! A length is judged before memory is taken for it, and memory grows with what has arrived, never with what was
//! announced: each [`EnvelopeBuffer::room`] is at most 64 KiB beyond what is already there. Room starts small and doubles
//! while reads fill it: an idle stream costs little, a busy one few reads.

use bytes::{Buf, BytesMut};

use super::codec::{self, CodecError, LENGTH_BYTES, Message};

/// Room made for the first read, and the most that is made for one. Unit: bytes.
const ROOM_MIN: usize = 4 * 1024;
const ROOM_MAX: usize = 64 * 1024;

/// What has arrived of a stream and was not yet taken as a message.
#[derive(Debug)]
pub struct EnvelopeBuffer {
    arrived: BytesMut,
    envelope_bytes_max: usize,
    room: usize,
}

impl EnvelopeBuffer {
    /// An empty buffer that takes envelopes of at most so many bytes.
    pub fn new(envelope_bytes_max: usize) -> EnvelopeBuffer {
        EnvelopeBuffer { arrived: BytesMut::new(), envelope_bytes_max, room: ROOM_MIN }
    }

    /// Allows other sizes from now on: little before the HELLO, more after it.
    pub fn allow(&mut self, envelope_bytes_max: usize) {
        self.envelope_bytes_max = envelope_bytes_max;
    }

    /// Where the next bytes of the stream are appended, with room for them.
    pub fn room(&mut self) -> &mut BytesMut {
        self.arrived.reserve(self.room);
        &mut self.arrived
    }

    /// So many bytes were appended by one read.
    pub fn filled(&mut self, count: usize) {
        if count >= self.room {
            self.room = (2 * self.room).min(ROOM_MAX);
        }
    }

    /// The next message, if it has arrived whole. Its envelope is gone then, even if it was malformed; a length beyond the
    /// bound stays in front, so that every further call refuses it too.
    pub fn take<M: Message>(&mut self) -> Result<Option<M>, CodecError> {
        let Some(prefix) = self.arrived.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let bytes = codec::envelope_length(*prefix)?;
        if bytes > self.envelope_bytes_max {
            return Err(CodecError::TooLong { bytes, bytes_max: self.envelope_bytes_max });
        }
        if self.arrived.len() < LENGTH_BYTES + bytes {
            return Ok(None);
        }
        self.arrived.advance(LENGTH_BYTES);
        codec::decode(&self.arrived.split_to(bytes)).map(Some)
    }

    /// Nothing waits: the stream stands between two envelopes.
    pub fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RequestId;
    use crate::limits;
    use crate::message::client::{Call, CallBody, Hello, NodeCall};

    fn call(id: u64) -> Call {
        Call { id: RequestId(id), body: CallBody::Node(NodeCall::Status) }
    }

    fn encoded(ids: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for id in ids {
            codec::encode(&call(id), &mut bytes).unwrap();
        }
        bytes
    }

    /// As a stream would: one read into the room that there is.
    fn arrive(buffer: &mut EnvelopeBuffer, bytes: &[u8]) {
        buffer.room().extend_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    #[test]
    fn messages_come_out_in_order_however_their_bytes_arrive() {
        let bytes = encoded(0..100);
        for size in [1, 3, 7, 1000, bytes.len()] {
            let mut buffer = EnvelopeBuffer::new(1024);
            let mut ids = Vec::new();
            for chunk in bytes.chunks(size) {
                arrive(&mut buffer, chunk);
                while let Some(call) = buffer.take::<Call>().unwrap() {
                    ids.push(call.id.0);
                }
            }
            assert_eq!(ids, (0..100).collect::<Vec<u64>>());
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn memory_grows_with_what_arrived_not_with_what_was_announced() {
        let mut buffer = EnvelopeBuffer::new(limits::FRAME_BYTES_MAX);
        arrive(&mut buffer, &u32::try_from(limits::FRAME_BYTES_MAX).unwrap().to_be_bytes());
        for _ in 0..20 {
            arrive(&mut buffer, b"abc");
            assert_eq!(buffer.take::<Call>(), Ok(None));
            buffer.room();
        }
        assert!(buffer.arrived.capacity() <= 2 * ROOM_MAX, "{} bytes were taken", buffer.arrived.capacity());
    }

    #[test]
    fn room_grows_while_reads_fill_it_and_not_beyond_its_bound() {
        let mut buffer = EnvelopeBuffer::new(limits::FRAME_BYTES_MAX);
        arrive(&mut buffer, &u32::try_from(limits::FRAME_BYTES_MAX).unwrap().to_be_bytes());
        assert_eq!(buffer.room, ROOM_MIN);
        for _ in 0..10 {
            let room = buffer.room;
            arrive(&mut buffer, &vec![0; room]);
        }
        assert_eq!(buffer.room, ROOM_MAX);
    }

    #[test]
    fn a_length_that_cannot_be_is_refused_before_anything_follows() {
        let mut buffer = EnvelopeBuffer::new(1024);
        arrive(&mut buffer, &u32::MAX.to_be_bytes());
        assert!(matches!(buffer.take::<Call>(), Err(CodecError::Length { .. })));
        assert!(buffer.arrived.capacity() <= ROOM_MAX);
    }

    #[test]
    fn an_envelope_above_the_bound_of_the_stream_is_refused_until_more_is_allowed() {
        let mut buffer = EnvelopeBuffer::new(1024);
        arrive(&mut buffer, &1025_u32.to_be_bytes());
        assert_eq!(buffer.take::<Call>(), Err(CodecError::TooLong { bytes: 1025, bytes_max: 1024 }));
        buffer.allow(2048);
        assert_eq!(buffer.take::<Call>(), Ok(None));
    }

    #[test]
    fn another_kind_of_message_is_refused() {
        let mut buffer = EnvelopeBuffer::new(1024);
        arrive(&mut buffer, &encoded([7]));
        assert!(matches!(buffer.take::<Hello>(), Err(CodecError::Kind { .. })));
    }
}
