//! The keeper of the layout: decides with the others on the next one, spreads it, and leads a change through its phases.
//!
//! ```text
//! operator ──Stage, Plan, Commit, Revert──→ operate ──→ propose ⇄ vote (of every voter)     Paxos, one number after the other
//!                                                          │ chosen
//! drive: every member has adopted, and is through ──→ propose        ↓
//! peers that speak under another number ───────────→ spread: adopt ──→ durable ──Effect::Adopt──→ RingChanged to every shard
//! nodes that are in no layout yet ──Announce───────→ candidates                       recover: a layout without a majority
//! ```
//!
//! Lives in shard 0 of every node. What it acts by is `present`, the newest layout that it knows to be decided; the shards
//! follow as soon as their view of it is built. Everything that it promises another node is durable before it leaves: its vote,
//! and the layout itself.
//!
//! Promises:
//! - of one number one layout, by `paxos.rs`; who meets another one refuses it and says so ([`Observation::RivalLayout`]);
//! - the next phase is proposed only when every member that is not fenced acts by the present one and is through with it;
//! - a change that was begun is led on by whoever is the first reachable voter; nothing of it is kept by that one alone.
//!
//! Costs: while a change is under way, one question per shard of the cluster and second; in the steady phase nothing.

mod candidates;
mod drive;
mod operate;
mod propose;
mod record;
mod recover;
mod spread;
mod vote;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub use record::stored_layout;

use crate::causality::Epoch;
use crate::ids::{ConnectionId, NodeId, PartitionId, RequestId};
use crate::membership::layout::paxos::Acceptor;
use crate::membership::{Committed, Layout, Member, Plan};
use crate::message::client::{ClusterAnswer, RivalLayout, ShardStatus};
use crate::message::codec::Message;
use crate::message::peer::{LayoutMessage, Paused, PeerMessage};
use crate::replica::{Identity, OpenError, Partitions};
use crate::ring::RingView;
use crate::shard::{Effect, Env, Observation, TimerKey, Turn};
use crate::storage::{Store, keyspace};
use crate::time::Timestamp;

use candidates::Candidates;
use drive::Moves;
use propose::Proposal;
use recover::Recovery;

/// Who waits for the answer to a call.
type Asker = (ConnectionId, RequestId);

/// The partition whose shard keeps the layout.
const KEEPER: PartitionId = PartitionId(0);

/// The keeper of the layout. Of shard 0 only.
#[derive(Debug)]
pub struct Council {
    me: NodeId,
    start: Epoch,
    /// The newest layout that is known to be decided.
    present: Committed,
    vote: Acceptor<Layout>,
    /// Number of the layout that the driver was told of last.
    announced: u64,
    /// Since when a vote stands here of which nothing has come.
    voted_since: Option<Timestamp>,
    /// While the vote may have been forgotten: owners that were heard to be newborn, by partition.
    newborns: BTreeMap<PartitionId, BTreeSet<NodeId>>,
    plan: Option<Plan>,
    proposal: Option<Proposal>,
    /// Who was heard to act by a newer layout, and its number: asked for it again and again until it has come, for a question
    /// or its answer may be lost, and to one that has left nobody speaks of its own accord.
    ahead: Option<(NodeId, u64)>,
    /// When each peer was last asked for its layout.
    pulled: BTreeMap<NodeId, Timestamp>,
    /// When each peer was last sent the own one.
    pushed: BTreeMap<NodeId, Timestamp>,
    candidates: Candidates,
    moves: Moves,
    paused: Paused,
    /// Another layout that cannot be, and when it was heard of last.
    rival: Option<(RivalLayout, Timestamp)>,
    recovery: Option<Recovery>,
    /// State of the generator of jitter and of whom to tell.
    random: u64,
}

impl Council {
    /// Reads what this node has decided and promised. `ring` is what the shards begin with; a newer layout that is kept here is
    /// told at the first timer.
    pub(crate) fn open(
        store: &dyn Store,
        (ring, partitions): (&RingView, &Partitions),
        identity: &Identity,
        seed: u64,
    ) -> Result<Council, OpenError> {
        let stored = record::stored_committed(store)?;
        let number = ring.epoch().number;
        let present = match stored.filter(|stored| stored.layout.epoch.number >= number) {
            Some(stored) => stored,
            None => Committed::first(Layout::clone(ring.layout())),
        };
        let next = present.layout.epoch.number + 1;
        let vote = vote::stored_vote(store, ring, partitions, (identity.node, next))?;
        let plan: Option<Plan> = record::fetch(store, &keyspace::plan_key(), "the plan of changes")?;
        Ok(Council {
            me: identity.node,
            start: identity.epoch,
            vote,
            voted_since: None,
            newborns: BTreeMap::new(),
            announced: number,
            present,
            plan,
            proposal: None,
            ahead: None,
            pulled: BTreeMap::new(),
            pushed: BTreeMap::new(),
            candidates: Candidates::default(),
            moves: Moves::default(),
            paused: Paused::default(),
            rival: None,
            recovery: None,
            random: identity.epoch.0 ^ seed,
        })
    }

    /// A node speaks of the layout.
    pub(crate) fn on_message(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, message: LayoutMessage) {
        match message {
            LayoutMessage::Pull { have } => self.on_pull(env, turn, from, have),
            LayoutMessage::Push(committed) => self.on_push(env, turn, from, committed),
            LayoutMessage::Announce(member) => self.on_announce(env, from, member),
            _ if self.rival_from(from) || !self.is_member(from) => {}
            LayoutMessage::Ask(ask) => self.on_ask(env, turn, from, ask),
            LayoutMessage::Reply(reply) => self.on_reply(env, turn, from, reply),
            LayoutMessage::MoveAnswer(answer) => self.on_move_answer(env, turn, from, answer),
            LayoutMessage::RecoverQuery(query) => self.on_recover_query(env, turn, from, query),
            LayoutMessage::RecoverAnswer(answer) => self.on_recover_answer(env, turn, from, answer),
            // Of every shard, and handled there.
            LayoutMessage::MoveQuery(_) | LayoutMessage::Pause(_) | LayoutMessage::Doubt(_) => {}
        }
    }

    /// Something that is due from time to time: rounds, announcements, votes of which nothing came.
    pub(crate) fn on_timer(&mut self, env: &Env<'_>, turn: &mut Turn) {
        turn.out.set_timer(TimerKey::Council, env.now.mono.after(env.config.ping_interval));
        self.forget_old(env);
        self.pull_again(env, turn);
        if self.present.layout.epoch.number > env.ring.epoch().number {
            // It was kept, and the shards began with an older one.
            self.announce_decided(turn);
        }
        self.announce(env, turn);
        self.finish_what_was_begun(env, turn);
        self.drive(env, turn);
    }

    /// What `status` says of the layout.
    pub(crate) fn fill_status(&self, status: &mut ShardStatus) {
        status.candidates = self.candidates.list();
        status.rival_layout = self.rival.map(|(rival, _)| rival);
        status.is_move_paused = self.paused.is_paused;
    }

    /// The newest layout that is known to be decided.
    pub fn present(&self) -> &Layout {
        &self.present.layout
    }

    /// An operator has halted the moving of data, or let it go on: the newest word counts.
    pub(crate) fn on_paused(&mut self, paused: Paused) {
        self.paused = self.paused.newer(paused);
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.present.layout.member(node).is_some() && !self.present.layout.is_fenced(node)
    }

    /// Every member that is not fenced.
    fn living(&self) -> impl Iterator<Item = &Member> {
        self.present.layout.members.iter().filter(|member| !self.present.layout.is_fenced(member.id))
    }

    fn say(&self, turn: &mut Turn, to: NodeId, message: LayoutMessage) {
        turn.out.send(to, KEEPER, PeerMessage::Layout(Box::new(message)));
    }

    /// Says something once all that is remembered is durable.
    fn say_durably(&self, turn: &mut Turn, to: NodeId, message: LayoutMessage) {
        let ticket = turn.memory_ticket();
        turn.out.send_after(ticket, to, KEEPER, PeerMessage::Layout(Box::new(message)));
    }

    /// Writes a record down with this turn. False if it is too large for that: nothing may rest on it then.
    fn keep<M: Message>(&self, turn: &mut Turn, key: Bytes, record: &M) -> bool {
        match record::encode(record) {
            Ok(bytes) => turn.keep(key, bytes),
            Err(error) => {
                turn.out.observe(Observation::LayoutUnkept { detail: error.to_string() });
                return false;
            }
        }
        true
    }

    fn answer(&self, turn: &mut Turn, (connection, request_id): Asker, answer: ClusterAnswer) {
        let ticket = turn.memory_ticket();
        turn.out.perform_after(ticket, Effect::NodeReply { connection, request_id, answer });
    }

    /// A number that no two nodes draw alike (splitmix64).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
