//! QUIC between nodes and to clients: one door per node, mutual TLS, and nothing else.
//!
//! ```text
//! shard thread ─ Transport::send ─→ queue ─→ peer.rs ──QUIC──→ acceptor.rs ─→ Inbound::peer_frame
//!               full or cut: the frame comes back                  │
//!                                             client ──QUIC──→ session.rs ─→ Inbound::client_call
//!                                                    ←──────── Answers ←──────── router
//! ```
//!
//! The runtime starts it with `Transport::start(settings, credentials, ring, inbound)` inside a tokio runtime, sends with
//! `Transport::send(to, frame) -> Result<(), NotSent>` from any thread without waiting (`NotSent` holds the frame and
//! whether the peer is unreachable or its queue is full), and ends with `Transport::close().await`.

pub mod certificates;
pub mod inbound;
pub(crate) mod weight;
