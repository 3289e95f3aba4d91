//! Nodes that hold a certificate of the cluster and are in no layout: they say what they would be, members list them.
//!
//! ```text
//! candidate ──Announce, every second, to a few members in turn──→ listed (status) ──join NAME──→ in the plan ──→ in the layout
//!     ↑ the layout that names it, pushed because it speaks under an older one ────────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::Council;
use crate::ids::NodeId;
use crate::limits;
use crate::membership::{Member, naming};
use crate::message::peer::LayoutMessage;
use crate::shard::{Env, Turn};
use crate::time::Timestamp;

/// How often a candidate announces itself.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);

/// Members that it tells each time, in turn.
const ANNOUNCED_TO: usize = 3;

/// A candidate that was silent for so long is no longer listed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Candidates as this node knows them, and its own announcements if it is one.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    known: BTreeMap<NodeId, (Member, Timestamp)>,
    announced_at: Option<Timestamp>,
    /// Where in the list of members the next announcements go.
    place: usize,
}

impl Candidates {
    pub(super) fn list(&self) -> Vec<Member> {
        self.known.values().map(|(member, _)| member.clone()).collect()
    }
}

impl Council {
    /// A node that is in no layout says what it would be.
    pub(super) fn on_announce(&mut self, env: &Env<'_>, from: NodeId, member: Member) {
        let layout = &self.present.layout;
        let is_new = !self.candidates.known.contains_key(&from);
        let is_fit = naming::is_name(&member.name)
            && naming::is_address(&member.address)
            && (member.zone.is_empty() || naming::is_name(&member.zone));
        if member.id != from || layout.member(from).is_some() || layout.is_fenced(from) || !is_fit {
            return;
        }
        if is_new && self.candidates.known.len() >= limits::CANDIDATES_MAX {
            return;
        }
        let member = Member { place: None, leaving: false, ..member };
        self.candidates.known.insert(from, (member, env.now.mono));
    }

    /// Announces this node, if it is in no layout and was told what it would be.
    pub(super) fn announce(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let Some(candidate) = &env.config.candidate else { return };
        let is_due = self.candidates.announced_at.is_none_or(|at| env.now.mono.since(at) >= ANNOUNCE_INTERVAL);
        if self.present.layout.member(self.me).is_some() || !is_due {
            return;
        }
        self.candidates.announced_at = Some(env.now.mono);
        let member = Member {
            weight: candidate.weight,
            zone: candidate.zone.clone(),
            ..Member::new(self.me, candidate.name.clone(), candidate.address.clone())
        };
        let living: Vec<NodeId> = self.living().map(|member| member.id).collect();
        for _ in 0..ANNOUNCED_TO.min(living.len()) {
            let place = self.candidates.place % living.len().max(1);
            self.candidates.place = place + 1;
            if let Some(node) = living.get(place) {
                self.say(turn, *node, LayoutMessage::Announce(member.clone()));
            }
        }
    }

    /// Who is a member now is no candidate any more.
    pub(super) fn forget_joined(&mut self) {
        let layout = &self.present.layout;
        self.candidates.known.retain(|node, _| layout.member(*node).is_none() && !layout.is_fenced(*node));
    }

    pub(super) fn forget_candidates(&mut self, env: &Env<'_>) {
        self.candidates.known.retain(|_, (_, at)| env.now.mono.since(*at) < FORGOTTEN_AFTER);
    }
}
