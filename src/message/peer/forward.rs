//! A client's request on its way to a coordinator ([`crate::coordinator`]).

use serde::{Deserialize, Serialize};

use crate::causality::Epoch;
use crate::ids::OpId;
use crate::message::client::{Request, Response};

/// A client's request on its way to a coordinator. It is never forwarded again, and never coordinated twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The forwarder's dialogue.
    pub op: OpId,
    /// The start of the receiver that is meant. Another one cannot know what became of an earlier copy.
    pub target: Epoch,
    /// What the client asked.
    pub request: Request,
    /// What is left of its deadline. Unit: milliseconds.
    pub remaining_ms: u32,
}

/// The coordinator's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// The forwarder's dialogue.
    pub op: OpId,
    /// The start of the forwarder that asked.
    pub epoch: Epoch,
    /// For the client.
    pub response: Response,
}
