//! Envelopes on a stream: many small reads or one large one come out as whole messages, in order.
//!
//! A length is judged before memory is taken for it, and memory grows with what has arrived, not with what was announced.
//! Whoever begins an envelope must finish it within a time, so a dripping sender holds neither memory nor a task.
//! [`EnvelopeReader::next`] may be cancelled without loss: sessions wait for it and for answers at once.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use starling::message::codec::{self, CodecError, LENGTH_BYTES, Message};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// Room made for the first read, and the most that is made for one. Unit: bytes. It doubles while reads fill it: an idle
/// client costs little, a busy peer few calls.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;

/// What came is no envelope, or did not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// Larger than this stream may send.
    #[error("an envelope of {bytes} bytes was announced, at most {bytes_max} are allowed here")]
    TooLong {
        /// Announced.
        bytes: usize,
        /// Allowed.
        bytes_max: usize,
    },
    /// Not an envelope of the expected kind.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The stream ended within an envelope.
    #[error("the stream ended within an envelope")]
    Torn,
    /// An envelope was begun and not finished in time.
    #[error("an envelope was begun and not finished within {0:?}")]
    TooSlow(Duration),
    /// The stream or its connection is gone.
    #[error("{0}")]
    Lost(#[from] std::io::Error),
}

impl ReadError {
    /// The other side sent what it must not send; else it just went away.
    pub(super) fn is_offence(&self) -> bool {
        match self {
            ReadError::TooLong { .. } | ReadError::Codec(_) | ReadError::TooSlow(_) => true,
            ReadError::Torn | ReadError::Lost(_) => false,
        }
    }
}

/// Reads envelopes from a stream.
#[derive(Debug)]
pub(super) struct EnvelopeReader<R> {
    stream: R,
    buffer: BytesMut,
    envelope_bytes_max: usize,
    envelope_timeout: Duration,
    read_bytes: usize,
    /// When the envelope that was begun must be complete.
    due: Option<Instant>,
}

impl<R: AsyncRead + Unpin> EnvelopeReader<R> {
    /// A reader that takes envelopes of at most `envelope_bytes_max`, each complete within `envelope_timeout` after its
    /// first byte.
    pub(super) fn new(stream: R, envelope_bytes_max: usize, envelope_timeout: Duration) -> EnvelopeReader<R> {
        EnvelopeReader {
            stream,
            buffer: BytesMut::new(),
            envelope_bytes_max,
            envelope_timeout,
            read_bytes: READ_BYTES_MIN,
            due: None,
        }
    }

    /// Allows other sizes from now on: little before the HELLO, more after it.
    pub(super) fn allow(&mut self, envelope_bytes_max: usize) {
        self.envelope_bytes_max = envelope_bytes_max;
    }

    /// The next message, or `None` at the end of the stream. May be cancelled without loss.
    pub(super) async fn next<M: Message>(&mut self) -> Result<Option<M>, ReadError> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            self.buffer.reserve(self.read_bytes);
            let read = self.stream.read_buf(&mut self.buffer);
            let count = match self.due {
                None => read.await?,
                Some(due) => tokio::time::timeout_at(due, read)
                    .await
                    .map_err(|_| ReadError::TooSlow(self.envelope_timeout))??,
            };
            if count == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ReadError::Torn) };
            }
            if count >= self.read_bytes {
                self.read_bytes = (2 * self.read_bytes).min(READ_BYTES_MAX);
            }
            if self.due.is_none() {
                self.due = Some(Instant::now() + self.envelope_timeout);
            }
        }
    }

    /// A message that has already arrived whole, without waiting.
    pub(super) fn buffered<M: Message>(&mut self) -> Result<Option<M>, ReadError> {
        match self.split_envelope()? {
            Some(envelope) => Ok(Some(codec::decode(&envelope)?)),
            None => Ok(None),
        }
    }

    fn split_envelope(&mut self) -> Result<Option<Bytes>, ReadError> {
        let Some(length) = self.announced()? else { return Ok(None) };
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let envelope = self.buffer.split_to(length).freeze();
        self.due = if self.buffer.is_empty() { None } else { Some(Instant::now() + self.envelope_timeout) };
        Ok(Some(envelope))
    }

    /// The length of the envelope at the front, judged.
    fn announced(&self) -> Result<Option<usize>, ReadError> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let bytes = codec::envelope_length(*prefix)?;
        if bytes > self.envelope_bytes_max {
            return Err(ReadError::TooLong { bytes, bytes_max: self.envelope_bytes_max });
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
