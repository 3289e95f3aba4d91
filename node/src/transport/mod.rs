//! The QUIC door (front page follows).

pub mod certificates;
