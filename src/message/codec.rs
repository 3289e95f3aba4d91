//! Messages as bytes: `length u32 │ version u8 │ kind u8 │ msgpack`, with named fields.
//!
//! The only user of `rmp-serde`. The length is checked against [`limits::FRAME_BYTES_MAX`] before memory is taken; the
//! decoder follows at most [`limits::MESSAGE_DEPTH_MAX`] levels. Unknown fields are skipped, unknown versions refused.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Answer, Call, Hello};
use super::peer::Frame;
use crate::limits;

/// The protocol, as it is named in the handshake (ALPN).
pub const ALPN: &[u8] = b"starling/1";

/// Version of the envelope that this program writes.
pub const VERSION: u8 = 1;

/// Bytes of the length in front of an envelope.
pub const LENGTH_BYTES: usize = 4;

/// A message that travels in an envelope of its own.
pub trait Message: Serialize + DeserializeOwned {
    /// Stands in the envelope, so that one kind is never taken for another.
    const KIND: u8;
}

impl Message for Hello {
    const KIND: u8 = 1;
}
impl Message for Call {
    const KIND: u8 = 2;
}
impl Message for Answer {
    const KIND: u8 = 3;
}
impl Message for Frame {
    const KIND: u8 = 4;
}

/// Bytes that are not the message that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than the bound, or too short to be an envelope.
    #[error("an envelope of {bytes} bytes, 2 to {} are possible", limits::FRAME_BYTES_MAX)]
    Length {
        /// Announced length.
        bytes: usize,
    },
    /// Longer than this stream may send.
    #[error("an envelope of {bytes} bytes was announced, at most {bytes_max} are allowed here")]
    TooLong {
        /// Announced.
        bytes: usize,
        /// Allowed.
        bytes_max: usize,
    },
    /// Of a version that this program does not speak.
    #[error("envelope version {got}, this program speaks {VERSION}")]
    Version {
        /// What came.
        got: u8,
    },
    /// Another kind of message.
    #[error("message kind {got}, {expected} was expected")]
    Kind {
        /// What came.
        got: u8,
        /// What was expected here.
        expected: u8,
    },
    /// Not msgpack of the expected shape.
    #[error("malformed message: {0}")]
    Malformed(String),
}

/// Appends an envelope with its length in front. Refuses a message above the frame bound; the buffer is then unchanged.
pub fn encode<M: Message>(message: &M, into: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = into.len();
    into.extend_from_slice(&[0; LENGTH_BYTES]);
    into.extend_from_slice(&[VERSION, M::KIND]);
    let mut serializer = rmp_serde::Serializer::new(&mut *into).with_struct_map();
    if let Err(error) = message.serialize(&mut serializer) {
        into.truncate(start);
        return Err(CodecError::Malformed(error.to_string()));
    }
    let bytes = into.len() - start - LENGTH_BYTES;
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= limits::FRAME_BYTES_MAX);
    match (length, into.get_mut(start..start + LENGTH_BYTES)) {
        (Some(length), Some(place)) => {
            place.copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        _ => {
            into.truncate(start);
            Err(CodecError::Length { bytes })
        }
    }
}

/// The length of the envelope that follows, checked: only now may memory be taken for it.
pub fn envelope_length(prefix: [u8; LENGTH_BYTES]) -> Result<usize, CodecError> {
    let bytes = u32::from_be_bytes(prefix) as usize;
    if (2..=limits::FRAME_BYTES_MAX).contains(&bytes) { Ok(bytes) } else { Err(CodecError::Length { bytes }) }
}

/// Reads an envelope (without its length).
pub fn decode<M: Message>(envelope: &[u8]) -> Result<M, CodecError> {
    let [version, kind, body @ ..] = envelope else {
        return Err(CodecError::Length { bytes: envelope.len() });
    };
    if *version != VERSION {
        return Err(CodecError::Version { got: *version });
    }
    if *kind != M::KIND {
        return Err(CodecError::Kind { got: *kind, expected: M::KIND });
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(limits::MESSAGE_DEPTH_MAX);
    M::deserialize(&mut deserializer).map_err(|error| CodecError::Malformed(error.to_string()))
}
