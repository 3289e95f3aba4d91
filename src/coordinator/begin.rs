//! How a request begins: what refuses it at once, who may coordinate it, and which op carries it.

use super::candidates::Candidates;
use super::quorum_read::QuorumRead;
use super::read::ReadOp;
use super::tally::zones;
use super::write::{Stage, Waiter, WriteOp};
use super::{Coordinator, Op, Origin, answers, bounds, observes, session};
use crate::ids::{Key, NodeId, OpId, PartitionId};
use crate::message::client::{Location, Observe, Reason, Request, RequestError, Response};
use crate::replica::Standing;
use crate::shard::{Env, Outbox, TimerKey, not_applied};
use crate::storage::RowKey;
use crate::time::Timestamp;
use crate::value::Visible;

impl Coordinator {
    /// What can be refused before anything is done.
    pub(super) fn check(&self, env: &Env<'_>, request: &Request) -> Result<(), RequestError> {
        if self.open_ops() >= env.config.ops_max {
            return Err(not_applied(Reason::Busy { queue: "the list of open requests".into() }));
        }
        if env.has_rival && request.command.is_write() {
            return Err(not_applied(Reason::TwoClaimants { node: env.me }));
        }
        bounds::check(request).map_err(not_applied)?;
        session::open(env, request.options.token.as_ref()).map_err(not_applied)?;
        if request.options.token.is_some() && session::is_unfollowed(&request.command) {
            return Err(not_applied(Reason::NotFollowed));
        }
        let replicas = env.ring.layout().replicas;
        for asked in [request.options.r, request.options.w].into_iter().flatten() {
            if asked == 0 || asked > replicas {
                return Err(not_applied(Reason::ImpossibleQuorum { asked, replicas }));
            }
        }
        Ok(())
    }

    /// Begins a read or a write here.
    pub(super) fn coordinate(
        &mut self,
        env: &Env<'_>,
        out: &mut Outbox,
        op: OpId,
        origin: Origin,
        request: Request,
        deadline: Timestamp,
    ) {
        let partition = env.ring.partition_of(&request.key);
        let layout = env.ring.layout();
        let strict = request.options.strict || env.config.strict;
        let candidates = Candidates { partition, strict, zones: request.options.zones.unwrap_or(0) };
        let r = usize::from(request.options.r.unwrap_or(layout.read_quorum));
        let w = usize::from(request.options.w.unwrap_or(layout.write_quorum));
        let refusal = match request.command.is_write() {
            true => {
                let sets = candidates.write_sets(env).iter();
                sets.filter_map(|set| too_few(env, candidates, candidates.within(set), w)).next()
            }
            false => too_few(env, candidates, candidates.readable(env), r),
        };
        if let Some(reason) = refusal {
            return self.finish(out, op, partition, vec![(origin, Response::Failed(not_applied(reason)))]);
        }
        let token = match session::open(env, request.options.token.as_ref()) {
            Ok(token) => token,
            Err(reason) => {
                return self.finish(out, op, partition, vec![(origin, Response::Failed(not_applied(reason)))]);
            }
        };
        let row = RowKey::main(&request.key);
        out.set_timer(TimerKey::OpDeadline(op), deadline);
        let command = request.command;
        if !command.is_write() {
            let mut wanted = answers::wanted(&row, &command);
            if token.is_some() {
                wanted = session::wanted(&command, wanted);
            }
            let quorum = QuorumRead::new(row, candidates, r, wanted).of_session(token);
            self.ops.insert(op, Op::Read(ReadOp { origin, quorum, command }));
            out.set_timer(TimerKey::OpWiden(op), env.now.mono.after(env.config.widen_after));
            return self.advance_read(env, out, op);
        }
        let waiter = Waiter { origin, deadline, value: Visible::Nothing, token, partial: false };
        let observes_quorum = observes::is_covering(&command) && request.options.observe == Observe::Quorum;
        let mut write = WriteOp { row, candidates, r, w, command, stage: Stage::Minting, waiters: vec![waiter] };
        if observes_quorum {
            let progress = write.observe(env, out, op);
            self.ops.insert(op, Op::Write(write));
            out.set_timer(TimerKey::OpWiden(op), env.now.mono.after(env.config.widen_after));
            self.follow(env, out, op, progress);
        } else {
            write.mint(out, op, None);
            self.ops.insert(op, Op::Write(write));
        }
    }
}

/// Why a quorum of a list cannot be met now, whoever answers.
fn too_few(env: &Env<'_>, candidates: Candidates, list: &[NodeId], needed: usize) -> Option<Reason> {
    let there: Vec<NodeId> = list.iter().copied().filter(|node| env.liveness.is_reachable(*node)).collect();
    let (reachable, strict) = (there.len(), candidates.strict);
    if reachable < needed {
        return Some(Reason::TooFewReachable { needed: needed as u8, reachable: reachable as u8, strict });
    }
    let zones = zones(&there, |node| env.ring.zone_of(node));
    let is_short = zones < usize::from(candidates.zones);
    is_short.then_some(Reason::TooFewZones { needed: candidates.zones, reachable: zones as u8 })
}

/// Whether this node mints for the partition: as an owner, or as a fallback while no owner is reachable.
pub(super) fn may_coordinate(env: &Env<'_>, partition: PartitionId, standing: Standing) -> bool {
    match standing {
        Standing::Owner => true,
        Standing::Newborn | Standing::Joining | Standing::Leaving | Standing::Outside => false,
        Standing::Fallback => !env.ring.readers(partition).iter().any(|owner| env.liveness.is_reachable(*owner)),
    }
}

pub(super) fn locate(env: &Env<'_>, key: &Key) -> Response {
    let partition = env.ring.partition_of(key);
    let list = env.ring.preference_list(partition);
    Response::Located(Location {
        slot: crate::ring::slot::of_key(key.as_bytes()).0,
        partition,
        owners: list.owners().to_vec(),
        fallbacks: list.fallbacks().to_vec(),
    })
}
