//! What waits to be sent to one peer: two lanes, bounded together by count and bytes.
//!
//! ```text
//!            ┌ open ─ push ─→ small lane ─┐
//! shut ──────┤                            ├─ batch ─→ writer of the lane
//!  push      └──────────────→ bulk lane ──┘           (due frames, in order, several at a time)
//!  refused      full: refused
//! ```
//!
//! A frame above [`BULK_BYTES`] takes the bulk lane, so that it cannot hold up small ones; between the lanes there is no
//! order. Pushing never waits and is done by shard threads; only the peer's own task takes, opens and shuts.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use starling::message::peer::Frame;
use starling::message::weight;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A frame above this goes in the bulk lane. Unit: bytes.
pub(super) const BULK_BYTES: usize = 64 * 1024;

/// Frames that go in one write.
const BATCH_FRAMES_MAX: usize = 256;

/// Bytes that go in one write; a larger frame goes alone. Unit: bytes.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// A frame that certainly did not leave, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSent {
    /// What did not leave.
    pub frame: Frame,
    /// Why.
    pub why: WhyNotSent,
}

/// Why a frame did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNotSent {
    /// No connection to the peer.
    Unreachable,
    /// Too much waits for the peer already; it may be well.
    QueueFull,
}

/// Which stream a frame takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Frames up to [`BULK_BYTES`].
    Small,
    /// Larger ones.
    Bulk,
}

/// The queue of one peer.
#[derive(Debug)]
pub(super) struct SendQueue {
    inner: Mutex<Inner>,
    small_ready: Notify,
    bulk_ready: Notify,
    frames_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Inner {
    is_open: bool,
    small: VecDeque<Waiting>,
    bulk: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    frame: Frame,
    bytes: usize,
    /// Not before this: a drill delays it.
    due: Option<Instant>,
}

impl SendQueue {
    /// An open queue: frames may wait for the first dial.
    pub(super) fn new(frames_max: usize, bytes_max: usize) -> SendQueue {
        SendQueue {
            inner: Mutex::new(Inner { is_open: true, small: VecDeque::new(), bulk: VecDeque::new(), bytes: 0 }),
            small_ready: Notify::new(),
            bulk_ready: Notify::new(),
            frames_max,
            bytes_max,
        }
    }

    /// Takes a frame, or gives it back.
    pub(super) fn push(&self, frame: Frame, due: Option<Instant>) -> Result<(), NotSent> {
        let bytes = weight::of_frame(&frame);
        let mut inner = self.lock();
        if !inner.is_open {
            return Err(NotSent { frame, why: WhyNotSent::Unreachable });
        }
        if inner.frames() >= self.frames_max || (inner.bytes + bytes > self.bytes_max && inner.bytes > 0) {
            return Err(NotSent { frame, why: WhyNotSent::QueueFull });
        }
        inner.bytes += bytes;
        let (lane, ready) = match bytes > BULK_BYTES {
            true => (Lane::Bulk, &self.bulk_ready),
            false => (Lane::Small, &self.small_ready),
        };
        inner.lane(lane).push_back(Waiting { frame, bytes, due });
        drop(inner);
        ready.notify_one();
        Ok(())
    }

    /// Waits for frames of a lane and takes several, in order. May be cancelled without loss.
    pub(super) async fn batch(&self, lane: Lane) -> Vec<Frame> {
        let ready = match lane {
            Lane::Small => &self.small_ready,
            Lane::Bulk => &self.bulk_ready,
        };
        loop {
            let next_due = match self.take(lane, Instant::now()) {
                Taken::Frames(frames) => return frames,
                Taken::NotBefore(due) => Some(due),
                Taken::Nothing => None,
            };
            match next_due {
                None => ready.notified().await,
                Some(due) => tokio::time::sleep_until(due).await,
            }
        }
    }

    /// From now on frames are taken.
    pub(super) fn open(&self) {
        self.lock().is_open = true;
    }

    /// From now on frames are refused; what waited comes out. `None` if it was shut already.
    pub(super) fn shut(&self) -> Option<Vec<Frame>> {
        let mut inner = self.lock();
        if !inner.is_open {
            return None;
        }
        inner.is_open = false;
        inner.bytes = 0;
        let small = std::mem::take(&mut inner.small);
        let bulk = std::mem::take(&mut inner.bulk);
        Some(small.into_iter().chain(bulk).map(|waiting| waiting.frame).collect())
    }

    fn take(&self, lane: Lane, now: Instant) -> Taken {
        let mut inner = self.lock();
        let mut frames = Vec::new();
        let mut bytes = 0;
        while let Some(front) = inner.lane(lane).front() {
            if let Some(due) = front.due
                && due > now
            {
                if frames.is_empty() {
                    return Taken::NotBefore(due);
                }
                break;
            }
            if frames.len() >= BATCH_FRAMES_MAX || (bytes + front.bytes > BATCH_BYTES_MAX && !frames.is_empty()) {
                break;
            }
            if let Some(waiting) = inner.lane(lane).pop_front() {
                bytes += waiting.bytes;
                frames.push(waiting.frame);
            }
        }
        inner.bytes = inner.bytes.saturating_sub(bytes);
        if frames.is_empty() { Taken::Nothing } else { Taken::Frames(frames) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Taken {
    Frames(Vec<Frame>),
    NotBefore(Instant),
    Nothing,
}

impl Inner {
    fn frames(&self) -> usize {
        self.small.len() + self.bulk.len()
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Waiting> {
        match lane {
            Lane::Small => &mut self.small,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
