//! What the bytes between the nodes are about.

use starling::message::peer::{Frame, PeerMessage};

/// Bytes that were sent, by what they are about. The bytes of a frame are shared evenly among its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Who is there.
    pub liveness: u64,
    /// Who is to be a member, and how far a change is.
    pub layout: u64,
    /// What owners compare, and what they lack.
    pub repair: u64,
    /// How far partitions are settled.
    pub settling: u64,
    /// What clients write and read, and what is owed.
    pub data: u64,
}

impl Traffic {
    /// A frame of so many bytes is sent.
    pub fn note(&mut self, frame: &Frame, bytes: usize) {
        let share = (bytes / frame.messages.len().max(1)) as u64;
        for addressed in &frame.messages {
            *self.about(&addressed.message) += share;
        }
    }

    fn about(&mut self, message: &PeerMessage) -> &mut u64 {
        use PeerMessage as M;
        match message {
            M::Ping(_) | M::Pong(_) | M::Challenge(_) | M::Claim(_) => &mut self.liveness,
            M::Layout(_) => &mut self.layout,
            M::NewbornQuery(_)
            | M::NewbornAnswer(_)
            | M::ExchangeOffer(_)
            | M::ExchangeAnswer(_)
            | M::ExchangePush(_)
            | M::ExchangePushed(_)
            | M::ExchangeDone(_)
            | M::TreeOffer(_)
            | M::TreeAnswer(_) => &mut self.repair,
            M::StabilityQuery(_) | M::StabilityAnswer(_) => &mut self.settling,
            M::Forward(_)
            | M::Forwarded(_)
            | M::Replicate(_)
            | M::Replicated(_)
            | M::Read(_)
            | M::ReadAnswer(_)
            | M::Deliver(_)
            | M::Delivered(_)
            | M::Repair(_) => &mut self.data,
        }
    }

    /// What was sent since an earlier moment.
    pub fn since(&self, before: &Traffic) -> Traffic {
        Traffic {
            liveness: self.liveness - before.liveness,
            layout: self.layout - before.layout,
            repair: self.repair - before.repair,
            settling: self.settling - before.settling,
            data: self.data - before.data,
        }
    }

    /// All of it.
    pub fn sum(&self) -> u64 {
        self.liveness + self.layout + self.repair + self.settling + self.data
    }
}
