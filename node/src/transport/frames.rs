//! Envelopes on a stream: many small reads or one large one come out as whole messages, in order.
//!
//! What arrived is kept and judged by the core's [`EnvelopeBuffer`]; the stream and the time are added here: whoever
//! begins an envelope must finish it within a time, so a dripping sender holds neither memory nor a task.
//! [`EnvelopeReader::next`] may be cancelled without loss: sessions wait for it and for answers at once.

use std::time::Duration;

use starling::message::codec::{CodecError, Message};
use starling::message::envelope::EnvelopeBuffer;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// What came is no envelope, or did not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// Not an envelope of the expected kind, or larger than this stream may send.
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
            ReadError::Codec(_) | ReadError::TooSlow(_) => true,
            ReadError::Torn | ReadError::Lost(_) => false,
        }
    }
}

/// Reads envelopes from a stream.
#[derive(Debug)]
pub(super) struct EnvelopeReader<R> {
    stream: R,
    buffer: EnvelopeBuffer,
    envelope_timeout: Duration,
    /// When the envelope that was begun must be complete.
    due: Option<Instant>,
}

impl<R: AsyncRead + Unpin> EnvelopeReader<R> {
    /// A reader that takes envelopes of at most `envelope_bytes_max`, each complete within `envelope_timeout` after its
    /// first byte.
    pub(super) fn new(stream: R, envelope_bytes_max: usize, envelope_timeout: Duration) -> EnvelopeReader<R> {
        EnvelopeReader { stream, buffer: EnvelopeBuffer::new(envelope_bytes_max), envelope_timeout, due: None }
    }

    /// Allows other sizes from now on: little before the HELLO, more after it.
    pub(super) fn allow(&mut self, envelope_bytes_max: usize) {
        self.buffer.allow(envelope_bytes_max);
    }

    /// The next message, or `None` at the end of the stream. May be cancelled without loss.
    pub(super) async fn next<M: Message>(&mut self) -> Result<Option<M>, ReadError> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            let read = self.stream.read_buf(self.buffer.room());
            let count = match self.due {
                None => read.await?,
                Some(due) => tokio::time::timeout_at(due, read)
                    .await
                    .map_err(|_| ReadError::TooSlow(self.envelope_timeout))??,
            };
            if count == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ReadError::Torn) };
            }
            self.buffer.filled(count);
            if self.due.is_none() {
                self.due = Some(Instant::now() + self.envelope_timeout);
            }
        }
    }

    /// A message that has already arrived whole, without waiting.
    pub(super) fn buffered<M: Message>(&mut self) -> Result<Option<M>, ReadError> {
        let message = self.buffer.take()?;
        if message.is_some() {
            self.due = if self.buffer.is_empty() { None } else { Some(Instant::now() + self.envelope_timeout) };
        }
        Ok(message)
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
