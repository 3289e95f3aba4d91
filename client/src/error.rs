//! What can go wrong, by what happened to the data.
//!
//! ```text
//! Refused      a node answered that it did not do it       outcome as the node says
//! Invalid      every node would refuse it                  not applied
//! Cluster      a node refused a change of the cluster      not applied; or unknown, if it says so
//! Unknown      a write may have been sent, no answer       unknown
//! InDoubt      the same, and the session goes on asking    unknown
//! SessionOver  the same, and the session has ended         unknown
//! NoAnswer     a read or a node call got no answer         not applied (nothing was to be changed)
//! NotSent      the call never left this process            not applied
//! Unreachable  no node could be dialled                    not applied
//! UnknownNode  the layout has no such member               not applied
//! ```

use starling::ids::NodeId;
use starling::membership::ChangeError;
use starling::membership::layout::phase::RevertError;
use starling::message::client::{ClusterError, Outcome, Reason, RequestError};

use crate::BundleError;

/// A call that was not answered with success. [`Error::outcome`] says what happened to the data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A node answered that it was not done, or that it cannot tell.
    #[error("{}: {said}{} (answered by node {node})", .error.outcome, .error.advice())]
    Refused {
        /// Name of the node.
        node: String,
        /// What it said.
        error: RequestError,
        /// The reason in it, as text in which nodes have their names.
        said: String,
    },
    /// This client did not send it, because every node would refuse it.
    #[error("{error}")]
    Invalid {
        /// Why.
        error: RequestError,
    },
    /// A node refused a call about the cluster, or it came to something else.
    #[error("{}: {said} (node {node})", if **.error == ClusterError::Unknown { "unknown" } else { "not applied" })]
    Cluster {
        /// Name of the node.
        node: String,
        /// What it said.
        error: Box<ClusterError>,
        /// The same as text in which nodes have their names.
        said: String,
    },
    /// A write was sent, perhaps, and no answer came. It is never sent again by itself.
    #[error(
        "unknown: node {node}: {cause}; it may have been done or may still be, so look (at the value, or with `starling cluster \
         plan` and `progress`) before you send it again"
    )]
    Unknown {
        /// Name of the node.
        node: String,
        /// Why there is no answer.
        cause: String,
    },
    /// An increment of a session may have been sent, and no answer came before the deadline. The session goes on
    /// sending it; it counts once at most.
    #[error(
        "unknown: {cause}; it counts once at most, and the session goes on asking until it is acknowledged or its lease \
         is over: do not send it again yourself"
    )]
    InDoubt {
        /// Why there is no answer.
        cause: String,
    },
    /// The session ended before an increment that may have been sent was acknowledged.
    #[error(
        "unknown: the session ended without an acknowledgement ({cause}); the increment counts, once, only if one of its \
         sends was applied: read the value, and never send it in a new session"
    )]
    SessionOver {
        /// What the last send ended with.
        cause: String,
    },
    /// A read, or a question about a node, got no answer.
    #[error("no answer: node {node}: {cause}; nothing was changed, retry")]
    NoAnswer {
        /// Name of the node.
        node: String,
        /// Why there is no answer.
        cause: String,
    },
    /// The call certainly never left this process.
    #[error("not applied: {cause}; it never left this process, so it can safely be sent again")]
    NotSent {
        /// Why.
        cause: String,
    },
    /// No node that could take the call can be reached.
    #[error("not applied: no node can be reached: {}", Unreached::list(.tried))]
    Unreachable {
        /// Each node with the reason.
        tried: Vec<Unreached>,
    },
    /// The layout has no such member.
    #[error("not applied: the layout has no member {name}; its members are {members}")]
    UnknownNode {
        /// What was named.
        name: String,
        /// Who there is.
        members: String,
    },
}

/// A node that could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// The address that was dialled.
    pub address: String,
    /// Why.
    pub error: DialError,
}

/// Why a node could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Its address has no meaning here.
    #[error("the address cannot be resolved: {0}")]
    Address(String),
    /// It did not complete the handshake in time.
    #[error("it does not answer")]
    Timeout,
    /// It refused our certificate.
    #[error("it refused our certificate ({0}); use a bundle of this cluster")]
    WeAreRefused(String),
    /// We refused its certificate.
    #[error("its certificate is not that of the member ({0}); check the address and the bundle")]
    ItIsRefused(String),
    /// It speaks something else, or an other version.
    #[error("it does not speak this protocol: {0}")]
    Protocol(String),
    /// It closed the connection and said why.
    #[error("it closed the connection: {0}")]
    Closed(String),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The call's deadline passed while it was being dialled.
    #[error("it was still being dialled at the deadline")]
    Unfinished,
}

/// A client that cannot be made. Nothing was sent anywhere.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The bundle's certificates do not fit together.
    #[error("the certificates in {directory} cannot be used: {reason}; copy the bundle again from where it was made")]
    Certificates {
        /// Where.
        directory: String,
        /// What is wrong.
        reason: String,
    },
    /// A setting makes no sense.
    #[error("{setting}: {reason}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// What would be right.
        reason: String,
    },
    /// No UDP socket could be opened.
    #[error("cannot open a UDP socket: {0}")]
    Socket(std::io::Error),
    /// The bundle could not be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl Error {
    /// What the call did to the data.
    pub fn outcome(&self) -> Outcome {
        match self {
            Error::Refused { error, .. } | Error::Invalid { error } => error.outcome,
            Error::Cluster { error, .. } if **error == ClusterError::Unknown => Outcome::Unknown,
            Error::Cluster { .. } => Outcome::NotApplied,
            Error::Unknown { .. } | Error::InDoubt { .. } | Error::SessionOver { .. } => Outcome::Unknown,
            Error::NoAnswer { .. } | Error::NotSent { .. } | Error::Unreachable { .. } | Error::UnknownNode { .. } => {
                Outcome::NotApplied
            }
        }
    }

    /// What a node said, if one did.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Error::Refused { error, .. } | Error::Invalid { error } => Some(&error.reason),
            Error::Cluster { .. }
            | Error::Unknown { .. }
            | Error::InDoubt { .. }
            | Error::SessionOver { .. }
            | Error::NoAnswer { .. }
            | Error::NotSent { .. }
            | Error::Unreachable { .. }
            | Error::UnknownNode { .. } => None,
        }
    }

    /// A word that programs can tell errors apart by: that of the reason, if a node gave one.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Refused { error, .. } | Error::Invalid { error } => error.reason.code(),
            Error::Cluster { error, .. } => cluster_code(error),
            Error::Unknown { .. } => "answer_lost",
            Error::InDoubt { .. } => "in_doubt",
            Error::SessionOver { .. } => "session_over",
            Error::NoAnswer { .. } => "no_answer",
            Error::NotSent { .. } => "not_sent",
            Error::Unreachable { .. } => "unreachable",
            Error::UnknownNode { .. } => "unknown_node",
        }
    }

    /// A call that this client refuses because every node would.
    pub(crate) fn invalid(reason: Reason) -> Error {
        Error::Invalid { error: RequestError { outcome: Outcome::NotApplied, reason } }
    }

    /// A decrement whose amount has no negative.
    pub(crate) fn not_negatable(by: i64) -> Error {
        Error::invalid(Reason::Malformed(format!(
            "{by} cannot be subtracted in one step: its negative does not fit 64 bits"
        )))
    }

    /// Whether the certificates are the reason: every node that was tried refused ours, or showed a wrong one.
    pub fn is_certificate_refused(&self) -> bool {
        match self {
            Error::Unreachable { tried } => {
                !tried.is_empty() && tried.iter().all(|node| node.error.is_certificate_refused())
            }
            _ => false,
        }
    }
}

/// A word for why a call about the cluster was refused.
fn cluster_code(error: &ClusterError) -> &'static str {
    match error {
        ClusterError::Change(change) => match change {
            ChangeError::NotSteady { .. } => "not_steady",
            ChangeError::PlanIsStale { .. } => "plan_is_stale",
            ChangeError::LastHolder { .. } => "last_holder",
            ChangeError::WouldBreakQuorum { .. } => "would_break_quorum",
            ChangeError::TooFewForReplicas { .. } => "too_few_for_replicas",
            ChangeError::ZeroWeight => "zero_weight",
            ChangeError::UnknownMember { .. } => "unknown_member",
            ChangeError::IdTaken { .. } => "id_taken",
            _ => "impossible_change",
        },
        ClusterError::Revert(RevertError::TooLate { .. }) => "revert_too_late",
        ClusterError::Revert(RevertError::OnlyLosses) => "only_losses",
        ClusterError::Revert(RevertError::NobodyLeft { .. }) => "nobody_left",
        ClusterError::Revert(_) => "nothing_to_revert",
        ClusterError::Layout(_) => "impossible_layout",
        ClusterError::NoPlan => "no_plan",
        ClusterError::OtherPlan { .. } => "other_plan",
        ClusterError::Lost { .. } => "lost_to_another",
        ClusterError::Unknown => "commit_unknown",
        ClusterError::NoMajority { .. } => "no_majority",
        ClusterError::Busy => "busy",
        ClusterError::Adopting { .. } => "adopting",
        ClusterError::Rival(_) => "rival_layout",
        ClusterError::NotAMember => "not_a_member",
        ClusterError::NoCandidate { .. } => "no_candidate",
        ClusterError::NotAccepted { .. } => "loss_not_accepted",
        ClusterError::HasMajority { .. } => "has_majority",
        ClusterError::SurvivorsSilent { .. } => "survivors_silent",
        ClusterError::NoSurvivor { .. } => "no_survivor",
    }
}

impl DialError {
    /// Whether a certificate was refused, ours or the node's. Dialling again does not help.
    pub fn is_certificate_refused(&self) -> bool {
        matches!(self, DialError::WeAreRefused(_) | DialError::ItIsRefused(_))
    }
}

impl Unreached {
    /// `a (address), b (address): it does not answer; c (address): …`: nodes with the same reason stand together.
    fn list(tried: &[Unreached]) -> String {
        if tried.is_empty() {
            return "there is none to try".into();
        }
        let mut reasons: Vec<(&DialError, Vec<String>)> = Vec::new();
        for node in tried {
            let name = format!("{} ({})", node.name, node.address);
            match reasons.iter_mut().find(|(error, _)| **error == node.error) {
                Some((_, names)) => names.push(name),
                None => reasons.push((&node.error, vec![name])),
            }
        }
        let reasons = reasons.into_iter().map(|(error, names)| format!("{}: {error}", names.join(", ")));
        reasons.collect::<Vec<_>>().join("; ")
    }
}
