//! The knobs of a client. The defaults suit a LAN.

use std::time::Duration;

/// How a [`crate::Client`] behaves. Change what you need of [`ClientConfig::default`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// A call that brings no deadline gets this one; it is sent along, so that the nodes keep to it. Default 2 s.
    pub deadline: Duration,
    /// How much longer than the deadline the client waits for the answer, which is on its way by then. Default 300 ms.
    pub deadline_slack: Duration,
    /// A node that does not complete the handshake within this time counts as unreachable. Default 1 s.
    pub dial_timeout: Duration,
    /// While the preferred node is being dialled for the first time, the next one is dialled too after this long. Nobody
    /// waits for one whose last dial failed while another one is there. Default 100 ms.
    pub dial_stagger: Duration,
    /// First pause after a dial that failed; it doubles with each failure. Default 50 ms.
    pub backoff_min: Duration,
    /// Longest pause between two dials of a node. Default 2 s.
    pub backoff_max: Duration,
    /// Unanswered calls on one connection; a further one waits, until its deadline. Default 4096.
    pub in_flight_max: usize,
    /// Connections to each node, used in turn. More than one helps only clients with very many calls. Default 1.
    pub connections_per_node: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            deadline: Duration::from_secs(2),
            deadline_slack: Duration::from_millis(300),
            dial_timeout: Duration::from_secs(1),
            dial_stagger: Duration::from_millis(100),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            in_flight_max: 4096,
            connections_per_node: 1,
        }
    }
}
