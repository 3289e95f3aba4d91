//! The knobs and bounds of the transport. [`Settings::new`] is tuned for a LAN with round trips below a millisecond.

use std::net::SocketAddr;
use std::time::Duration;

use super::TransportError;

/// Everything that can be set. Each bound says what happens at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the door is: one UDP port for peers and clients.
    pub listen: SocketAddr,
    /// Whether admins may inject faults. Never in production.
    pub drills: bool,

    /// A connection on which nothing arrives for this long is lost. Default 10 s. Both sides' smaller one counts.
    pub idle_timeout: Duration,
    /// The side that dialled shows life this often. Default 3 s: three losses in a row still keep the connection.
    pub keep_alive: Duration,
    /// From the first packet to the HELLO; a connection that takes longer is closed. Default 5 s.
    pub handshake_timeout: Duration,
    /// From the first byte of an envelope to its last; a slower sender is disconnected. Default 30 s.
    pub envelope_timeout: Duration,
    /// Assumed round trip before one was measured. Default 20 ms; it decides how soon a lost first packet is sent again.
    pub initial_rtt: Duration,
    /// Largest UDP payload that path discovery tries. Unit: bytes. Default 1452; 1200 switches discovery off, which helps
    /// on paths that lose large packets.
    pub mtu_max: u16,
    /// Whether the kernel may cut large sends into packets. Default on; off for network cards that break it.
    pub segmentation_offload: bool,

    /// Handshakes under way at once. Default 256. From half of it on, an address must prove itself by a second packet;
    /// at the bound further ones are refused.
    pub handshakes_max: usize,
    /// Client connections. Default 4096; further ones are closed with a reason.
    pub clients_max: usize,
    /// Calls of one client connection that are not answered yet. Default 4096; beyond it nothing is read from it.
    pub calls_max: usize,
    /// Answers to one client session that wait to be written. Unit: bytes. Default 64 MiB; a client that lets more pile
    /// up is disconnected.
    pub answer_bytes_max: usize,
    /// A client that takes nothing of what is written to it for this long is disconnected. Default 30 s.
    pub write_timeout: Duration,

    /// Frames that wait for one peer. Default 16,384; a further one comes back to its sender.
    pub queue_frames_max: usize,
    /// Bytes of frames that wait for one peer. Default 64 MiB; a further frame comes back to its sender.
    pub queue_bytes_max: usize,
    /// One attempt to reach a peer. Default 2 s.
    pub dial_timeout: Duration,
    /// Pause after a failed dial; doubles up to [`Settings::redial_max`], with jitter. Default 50 ms.
    pub redial_min: Duration,
    /// Longest pause between dials: how late a healed link is noticed. Default 1 s.
    pub redial_max: Duration,
    /// Frames sent before the first dial of a peer succeeded wait this long at most. Default 250 ms.
    pub first_dial_grace: Duration,
    /// How long [`super::Transport::close`] waits for calls under way. Default 2 s.
    pub close_grace: Duration,
}

impl Settings {
    /// The defaults, on this address.
    pub fn new(listen: SocketAddr) -> Settings {
        Settings {
            listen,
            drills: false,
            idle_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(5),
            envelope_timeout: Duration::from_secs(30),
            initial_rtt: Duration::from_millis(20),
            mtu_max: 1452,
            segmentation_offload: true,
            handshakes_max: 256,
            clients_max: 4096,
            calls_max: 4096,
            answer_bytes_max: 64 * 1024 * 1024,
            write_timeout: Duration::from_secs(30),
            queue_frames_max: 16_384,
            queue_bytes_max: 64 * 1024 * 1024,
            dial_timeout: Duration::from_secs(2),
            redial_min: Duration::from_millis(50),
            redial_max: Duration::from_secs(1),
            first_dial_grace: Duration::from_millis(250),
            close_grace: Duration::from_secs(2),
        }
    }
}

impl Settings {
    /// Refuses what could not work, naming it.
    pub fn validate(&self) -> Result<(), TransportError> {
        let wrong = |setting, reason: String| Err(TransportError::Setting { setting, reason });
        if self.keep_alive.saturating_mul(2) > self.idle_timeout {
            return wrong(
                "keep_alive and idle_timeout",
                format!(
                    "{:?} twice is longer than {:?}: a quiet connection would be lost",
                    self.keep_alive, self.idle_timeout
                ),
            );
        }
        if self.redial_min > self.redial_max {
            return wrong("redial_min and redial_max", format!("{:?} is above {:?}", self.redial_min, self.redial_max));
        }
        let bounds = [
            ("handshakes_max", self.handshakes_max),
            ("clients_max", self.clients_max),
            ("calls_max", self.calls_max),
            ("answer_bytes_max", self.answer_bytes_max),
            ("queue_frames_max", self.queue_frames_max),
            ("queue_bytes_max", self.queue_bytes_max),
        ];
        match bounds.into_iter().find(|(_, bound)| *bound == 0 || *bound > BOUND_MAX) {
            Some((setting, bound)) => wrong(setting, format!("{bound}; 1 to {BOUND_MAX} are possible")),
            None => Ok(()),
        }
    }
}

/// Above every sensible bound, and within what the semaphores can count.
const BOUND_MAX: usize = u32::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_possible_and_what_cannot_work_is_named() {
        let defaults = Settings::new(([127, 0, 0, 1], 0).into());
        assert!(defaults.validate().is_ok());
        for (wrong, named) in [
            (Settings { keep_alive: defaults.idle_timeout, ..defaults.clone() }, "keep_alive and idle_timeout"),
            (Settings { redial_min: Duration::from_secs(9), ..defaults.clone() }, "redial_min and redial_max"),
            (Settings { calls_max: 0, ..defaults.clone() }, "calls_max"),
        ] {
            let refused = wrong.validate();
            assert!(matches!(refused, Err(TransportError::Setting { setting, .. }) if setting == named), "{refused:?}");
        }
    }
}
