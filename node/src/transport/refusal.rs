//! Who was not let in, and why: every refused connection is counted by kind and logged with its address.
//!
//! The log is bounded to [`LOGGED_PER_SECOND`] lines, so knocking at the door cannot fill a disk; the counts are exact.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quinn::{ConnectionError, VarInt};
use starling::ids::{ClusterId, NodeId};

use super::certificates::CertificateError;
use super::frames::ReadError;

/// Lines per second; what is beyond is only counted, and the next line says how many.
pub const LOGGED_PER_SECOND: u32 = 20;

/// Application close codes. The reason beside them is for people.
pub mod close_code {
    /// The node is stopping; use another.
    pub const STOPPING: u32 = 1;
    /// The certificate or the HELLO was not accepted.
    pub const REFUSED: u32 = 2;
    /// A malformed or oversized envelope, or a broken rule of the dialogue.
    pub const MALFORMED: u32 = 3;
    /// A limit was reached: too many connections, or answers that nobody reads.
    pub const LIMIT: u32 = 4;
    /// The same member opened a newer connection, or is let in as something else now.
    pub const REPLACED: u32 = 5;
    /// The session failed on the node's side; other sessions are well.
    pub const INTERNAL: u32 = 6;
}

/// Why a connection was refused. Its text is the close reason that the other side sees.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No certificate, one of another authority, expired, another protocol, or the network.
    #[error("the handshake failed: {0}")]
    Handshake(#[from] ConnectionError),
    /// The handshake or the HELLO took too long.
    #[error("no HELLO within {0:?}")]
    TooSlow(Duration),
    /// Too many handshakes at once.
    #[error("{0} handshakes are under way; retry later")]
    TooManyHandshakes(usize),
    /// The certificate names nobody.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Another protocol, or none.
    #[error("another protocol than starling/1")]
    Protocol,
    /// The certificate or the HELLO speaks for another cluster.
    #[error("of cluster {theirs}, this is {ours}")]
    OtherCluster {
        /// Named by the other side.
        theirs: ClusterId,
        /// This node's.
        ours: ClusterId,
    },
    /// A certificate of this very node is used elsewhere.
    #[error("this node's own certificate is used elsewhere; give every process its own bundle")]
    OwnCertificate,
    /// The HELLO names another member than the certificate.
    #[error("the certificate is of {certificate}, the HELLO says {hello:?}")]
    OtherMember {
        /// Proven.
        certificate: NodeId,
        /// Claimed.
        hello: Option<NodeId>,
    },
    /// A client or admin that speaks as a node.
    #[error("a client's certificate cannot speak as {0}")]
    ClientAsNode(NodeId),
    /// The HELLO could not be read.
    #[error("no HELLO: {0}")]
    Hello(String),
    /// The connection went away before the HELLO.
    #[error("gone before the HELLO: {0}")]
    Gone(String),
    /// The bound on client connections.
    #[error("{0} clients are connected, which is the bound; use another node")]
    TooManyClients(usize),
    /// The bound on nodes that are no members.
    #[error("{0} nodes that are no members are connected, which is the bound; let some join, or stop them")]
    TooManyOutsiders(usize),
}

impl Refusal {
    /// Name of the kind, for counts.
    pub fn kind(&self) -> &'static str {
        match self {
            Refusal::Handshake(_) => "handshake",
            Refusal::TooSlow(_) => "too_slow",
            Refusal::TooManyHandshakes(_) => "too_many_handshakes",
            Refusal::Certificate(_) => "certificate",
            Refusal::Protocol => "protocol",
            Refusal::OtherCluster { .. } => "other_cluster",
            Refusal::OwnCertificate => "own_certificate",
            Refusal::OtherMember { .. } => "other_member",
            Refusal::ClientAsNode(_) => "client_as_node",
            Refusal::Hello(_) => "hello",
            Refusal::Gone(_) => "gone",
            Refusal::TooManyClients(_) => "too_many_clients",
            Refusal::TooManyOutsiders(_) => "too_many_outsiders",
        }
    }

    /// What the connection is closed with.
    pub(super) fn close_code(&self) -> VarInt {
        VarInt::from_u32(match self {
            Refusal::TooManyClients(_) | Refusal::TooManyOutsiders(_) | Refusal::TooManyHandshakes(_) => {
                close_code::LIMIT
            }
            Refusal::Hello(_) => close_code::MALFORMED,
            Refusal::Handshake(_)
            | Refusal::TooSlow(_)
            | Refusal::Certificate(_)
            | Refusal::Protocol
            | Refusal::OtherCluster { .. }
            | Refusal::OwnCertificate
            | Refusal::OtherMember { .. }
            | Refusal::ClientAsNode(_)
            | Refusal::Gone(_) => close_code::REFUSED,
        })
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Refusal {
        if error.is_offence() { Refusal::Hello(error.to_string()) } else { Refusal::Gone(error.to_string()) }
    }
}

/// Counts and logs refusals.
#[derive(Debug, Default)]
pub struct Refusals {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    counts: BTreeMap<&'static str, u64>,
    second: Option<Instant>,
    logged: u32,
    suppressed: u64,
}

impl Refusals {
    /// Refusals by kind since the start.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }

    /// Notes a refusal.
    pub(super) fn note(&self, address: SocketAddr, refusal: &Refusal) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        *book.counts.entry(refusal.kind()).or_default() += 1;
        if let Some(suppressed) = book.may_log(Instant::now()) {
            drop(book);
            tracing::warn!(peer = %address, kind = refusal.kind(), reason = %refusal, suppressed, "connection refused");
        }
    }
}

impl Book {
    /// Whether a line may be written now, and how many were left out before it.
    fn may_log(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.logged = 0;
        }
        if self.logged >= LOGGED_PER_SECOND {
            self.suppressed += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, count)) in self.counts().into_iter().enumerate() {
            write!(f, "{}{kind}: {count}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_counted_and_the_log_is_bounded() {
        let refusals = Refusals::default();
        for _ in 0..100 {
            refusals.note(([127, 0, 0, 1], 1).into(), &Refusal::Protocol);
        }
        refusals.note(([127, 0, 0, 1], 1).into(), &Refusal::OwnCertificate);
        assert_eq!(refusals.to_string(), "own_certificate: 1, protocol: 100");
        let mut book = Book::default();
        let begun = Instant::now();
        let lines = (0..100).filter(|_| book.may_log(begun).is_some()).count();
        assert_eq!(lines, 20);
        assert_eq!(book.may_log(begun + Duration::from_secs(1)), Some(80), "the next line says what was left out");
    }
}
