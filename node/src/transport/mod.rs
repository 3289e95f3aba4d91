//! QUIC between nodes and to clients.
