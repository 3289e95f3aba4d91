//! The knobs and bounds of the transport. [`Settings::new`] is tuned for a LAN with round trips below a millisecond.

use std::net::SocketAddr;
use std::time::Duration;

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
