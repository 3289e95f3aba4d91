//! Why a node does not start, and the exit code that says so.

use std::net::SocketAddr;
use std::path::PathBuf;

use starling::replica::OpenError;

use super::adopter::Ending;
use crate::bundle::BundleError;
use crate::exit::Exit;
use crate::storage::OpenStoreError;
use crate::transport::TransportError;

/// A node that could not start. Nothing was acknowledged; the data directory holds what it held.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The data directory.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// The data directory's owner, or what stands in it.
    #[error("{}: {source}", .data.display())]
    Open {
        /// Which directory.
        data: PathBuf,
        /// What is wrong.
        source: OpenError,
    },
    /// The address for metrics.
    #[error("cannot serve metrics on TCP {address}: {reason}; give --metrics another IP:PORT, or off")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A layout that was decided has no place for it.
    #[error("{}: {ending}", .data.display())]
    NoPlace {
        /// Which directory.
        data: PathBuf,
        /// Why.
        ending: Ending,
    },
    /// The member's address names nothing to listen on.
    #[error("cannot listen on {address}, the member's address in the layout ({reason}); give --listen IP:PORT")]
    Address {
        /// The address.
        address: String,
        /// What the resolver said.
        reason: String,
    },
    /// The door.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No randomness for the epoch.
    #[error("the operating system gave no random bytes")]
    NoEntropy,
    /// No thread.
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            StartError::Bundle(_) => Exit::Bundle,
            StartError::Store(_) => Exit::Data,
            StartError::Open { source: OpenError::Config(_), .. } => Exit::Config,
            StartError::Open { source: OpenError::NotAMember { .. }, .. } => Exit::Bundle,
            StartError::Open { .. } => Exit::Data,
            StartError::NoPlace { ending, .. } => ending.exit(),
            StartError::Address { .. } | StartError::Metrics { .. } => Exit::Listen,
            StartError::Transport(error) => match error {
                TransportError::PortInUse { .. } | TransportError::Bind { .. } | TransportError::Socket(_) => {
                    Exit::Listen
                }
                TransportError::Setting { .. } => Exit::Config,
                TransportError::Credentials(_)
                | TransportError::Certificate(_)
                | TransportError::OtherCluster { .. } => Exit::Bundle,
            },
            StartError::NoEntropy | StartError::Thread(_) => Exit::Internal,
        }
    }
}
