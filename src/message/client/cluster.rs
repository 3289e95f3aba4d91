//! Calls about the cluster: its plan, its layout, and how far a change of it is.
//!
//! ```text
//! Stage(change) … Plan ──→ what would follow ──Commit{base, content}──→ Committed │ refused, and why
//! ```
//!
//! Any member takes them; the plan is kept by the one that was asked. What came of a commit is never guessed: the refusals
//! say whether something was decided.

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::membership::layout::phase::RevertError;
use crate::membership::{Change, ChangeError, Layout, LayoutEpoch, LayoutError, Member, Phase, Plan};
use crate::message::peer::MoveState;

/// A call about the cluster. All but [`ClusterCall::is_read_only`] need an admin certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterCall {
    /// Adds a change to the plan, if the plan is still one then.
    Stage {
        /// What.
        change: Change,
        /// The loss that fencing may mean is accepted, for the whole plan.
        accepts_loss: bool,
    },
    /// Shows the plan, and the layout that would follow.
    Plan,
    /// Forgets the plan.
    DropPlan,
    /// Has the plan decided on, if it is the one that was shown.
    Commit {
        /// The layout that the operator saw.
        base: LayoutEpoch,
        /// Hash of the layout that would follow, as it was shown.
        content: u64,
    },
    /// Takes the change back that is under way.
    Revert,
    /// How far the change is, and whom it waits for.
    Progress,
    /// Halts the moving of data, or lets it go on. Until the nodes are restarted.
    PauseMoves(bool),
    /// Nodes that wait to be let join, as this node knows them.
    Candidates,
    /// Makes a layout without a majority: only the survivors are left, all others are fenced.
    Recover {
        /// Every node that is left.
        survivors: Vec<NodeId>,
        /// The cluster's name, typed by who accepts the loss.
        cluster: String,
    },
}

impl ClusterCall {
    /// Nothing is changed by it.
    pub fn is_read_only(&self) -> bool {
        matches!(self, ClusterCall::Plan | ClusterCall::Progress | ClusterCall::Candidates)
    }
}

/// Answer to a [`ClusterCall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterAnswer {
    /// To `Stage` and `Plan`; `None`: there is none.
    Plan(Option<Box<PlanView>>),
    /// To `DropPlan`.
    PlanDropped,
    /// To `Commit`, `Revert` and `Recover`: this layout was decided, and is adopted as it spreads.
    Committed(LayoutEpoch),
    /// To `Progress`.
    Progress(Box<Progress>),
    /// To `PauseMoves`.
    Paused(bool),
    /// To `Candidates`.
    Candidates(Vec<Member>),
    /// Refused, or it came to something else.
    Refused(ClusterError),
}

/// The plan of a node, with what would come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The plan.
    pub plan: Plan,
    /// The layout that is in force.
    pub present: Layout,
    /// The layout that would be committed, or why there is none any more.
    pub next: Result<Layout, ChangeError>,
}

/// How far the present change is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The layout of the node that answers.
    pub layout: LayoutEpoch,
    /// How far the change is.
    pub phase: Phase,
    /// Moving is halted by an operator.
    pub is_paused: bool,
    /// The member that proposes the next phase: the first voter that it can reach.
    pub driver: Option<NodeId>,
    /// Every member, in the order of their ids.
    pub members: Vec<MemberProgress>,
    /// Two layouts of one number are about: nothing goes on before one side is fenced.
    pub rival: Option<RivalLayout>,
    /// A majority of the voters does not answer.
    pub lacks_majority: bool,
}

impl Progress {
    /// Whom the next phase waits for, and why.
    pub fn waits_for(&self) -> impl Iterator<Item = (&MemberProgress, MoveWait)> {
        self.members.iter().filter_map(|member| Some((member, member.wait?)))
    }
}

/// How far one member is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberProgress {
    /// Who.
    pub node: NodeId,
    /// Number of the layout that all of its shards act by; `None`: it has not answered yet.
    pub adopted: Option<u64>,
    /// It was declared lost: nobody waits for it.
    pub is_fenced: bool,
    /// All of its shards together.
    pub state: MoveState,
    /// Why the next phase waits for it; `None`: it does not.
    pub wait: Option<MoveWait>,
}

/// Why the next phase waits for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveWait {
    /// It does not answer. Start it, or declare it lost: `fence` or `replace --dead`.
    Silent,
    /// It answers, and acts by an older layout.
    Adopts,
    /// It takes over data.
    Takes,
    /// It hands over data.
    HandsOver,
}

/// Two layouts of one number, both said to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RivalLayout {
    /// The own one.
    pub own: LayoutEpoch,
    /// The other one.
    pub other: LayoutEpoch,
    /// Who acts by it.
    pub from: NodeId,
}

/// Why a call about the cluster was refused, or what it came to instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ClusterError {
    /// The plan cannot be.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// It cannot be taken back.
    #[error(transparent)]
    Revert(#[from] RevertError),
    /// The result is no layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// There is no plan.
    #[error("this node has no plan; stage changes at it first, or ask the node where they were staged")]
    NoPlan,
    /// The plan is not the one that was shown.
    #[error("the plan is not the one that was shown (the layout to come has the hash {now:016x}); look at it again")]
    OtherPlan {
        /// What the layout to come has now.
        now: u64,
    },
    /// Another layout was decided under this number.
    #[error("not committed: another layout was decided as number {}; look at it and plan again", .to.number)]
    Lost {
        /// Which.
        to: LayoutEpoch,
    },
    /// Voters may have accepted it, and it may still be decided.
    #[error(
        "it is not known whether it was committed: a majority of the voters did not answer in time; commit again, \
             which finishes it or says what was decided"
    )]
    Unknown,
    /// Nobody has accepted anything.
    #[error(
        "not committed: {answered} of {voters} voters answered, a majority is needed; bring voters back, or, if they are \
             lost for ever, use recover"
    )]
    NoMajority {
        /// Voters that answered, this node included.
        answered: usize,
        /// All of them.
        voters: usize,
    },
    /// This node decides on something already.
    #[error("this node decides on a layout already; wait a moment")]
    Busy,
    /// This node has a newer layout, and its shards do not act by it yet.
    #[error("layout {number} is being taken up; ask again in a moment")]
    Adopting {
        /// Which.
        number: u64,
    },
    /// Two layouts of one number.
    #[error("two layouts of number {} are about; nothing is decided before the nodes of one side are wiped and rejoin", .0.own.number)]
    Rival(RivalLayout),
    /// This node is no member.
    #[error("this node is no member of the cluster; ask one that is")]
    NotAMember,
    /// A node that was not announced.
    #[error(
        "no node called {name:?} waits to be let join (known: {known:?}); start it with its bundle, and ask the node that \
             status lists it on"
    )]
    NoCandidate {
        /// Who was named.
        name: String,
        /// Those that wait.
        known: Vec<String>,
    },
    /// The name was not typed as it is.
    #[error("the cluster is called {name:?}: type its name to accept the loss; nothing was changed")]
    NotAccepted {
        /// What it is called.
        name: String,
    },
    /// There is a majority.
    #[error("{answered} of {voters} voters answer, which is a majority: fence the others instead; nothing was changed")]
    HasMajority {
        /// Voters that answered, this node included.
        answered: usize,
        /// All of them.
        voters: usize,
    },
    /// A survivor does not answer.
    #[error(
        "the survivors {silent:?} do not answer; start them, or leave them out; nothing was decided. If they fell silent after they had \
         answered once, the others may vote on the next layout no more: recover again"
    )]
    SurvivorsSilent {
        /// Who.
        silent: Vec<NodeId>,
    },
    /// Somebody who is no member that is left.
    #[error("{node} cannot survive: it is no member, or was declared lost already")]
    NoSurvivor {
        /// Who.
        node: NodeId,
    },
}

/// The candidate that people call so.
pub fn candidate_named(candidates: &[Member], name: &str) -> Result<Member, ClusterError> {
    candidates.iter().find(|member| member.name == name).cloned().ok_or_else(|| ClusterError::NoCandidate {
        name: name.chars().take(200).collect(),
        known: candidates.iter().map(|member| member.name.clone()).collect(),
    })
}
