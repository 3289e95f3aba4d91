//! How a request begins: what refuses it at once, who may coordinate it, and which op carries it.

use super::candidates::Candidates;
use super::quorum_read::QuorumRead;
use super::read::ReadOp;
use super::write::{Covering, Stage, Waiter, WriteOp};
use super::{Coordinator, Op, Origin};
use crate::ids::{Key, OpId, PartitionId};
use crate::limits;
use crate::message::client::{Command, Location, Observe, Reason, Request, RequestError, Response};
use crate::replica::Standing;
use crate::shard::{Env, MintCommand, Outbox, TimerKey, not_applied};
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
        if let Command::Put { value } = &request.command
            && value.len() > limits::VALUE_BYTES_MAX
        {
            let bytes_max = limits::VALUE_BYTES_MAX as u64;
            return Err(not_applied(Reason::ValueTooLarge { bytes: value.len() as u64, bytes_max }));
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
        let candidates = Candidates { partition, strict };
        let reachable = candidates.reachable(env).len();
        let r = usize::from(request.options.r.unwrap_or(layout.read_quorum));
        let w = usize::from(request.options.w.unwrap_or(layout.write_quorum));
        let needed = if request.command.is_write() { w } else { r };
        if reachable < needed {
            let reason = Reason::TooFewReachable { needed: needed as u8, reachable: reachable as u8, strict };
            return self.finish(out, op, partition, vec![(origin, Response::Failed(not_applied(reason)))]);
        }
        let row = RowKey::main(&request.key);
        out.set_timer(TimerKey::OpDeadline(op), deadline);
        let waiter = Waiter { origin, deadline, value: Visible::Nothing, partial: false };
        match request.command {
            Command::Get => {
                let quorum = QuorumRead::new(row, candidates, r);
                self.ops.insert(op, Op::Read(ReadOp { origin, quorum }));
                out.set_timer(TimerKey::OpWiden(op), env.now.mono.after(env.config.widen_after));
                self.advance_read(env, out, op);
            }
            Command::Increment { by } => {
                let write = WriteOp::new(row, candidates, w, Stage::Minting, waiter);
                self.mint(out, op, write, MintCommand::Increment(by));
            }
            Command::Put { value } if request.options.observe == Observe::Local => {
                let write = WriteOp::new(row, candidates, w, Stage::Minting, waiter);
                self.mint(out, op, write, MintCommand::Put { value, observed: None });
            }
            Command::Delete if request.options.observe == Observe::Local => {
                let write = WriteOp::new(row, candidates, w, Stage::Minting, waiter);
                self.mint(out, op, write, MintCommand::Delete { observed: None });
            }
            Command::Put { value } => {
                let stage = Stage::observing(env, &row, partition, Covering::Put { value }, r);
                self.observe(env, out, op, WriteOp::new(row, candidates, w, stage, waiter));
            }
            Command::Delete => {
                let stage = Stage::observing(env, &row, partition, Covering::Delete, r);
                self.observe(env, out, op, WriteOp::new(row, candidates, w, stage, waiter));
            }
            _ => {
                let reason = Reason::Forbidden("this command is answered by the node that is asked".into());
                self.finish(out, op, partition, vec![(origin, Response::Failed(not_applied(reason)))]);
            }
        }
    }

    /// Begins a write that needs to observe nothing.
    fn mint(&mut self, out: &mut Outbox, op: OpId, mut write: WriteOp, command: MintCommand) {
        write.mint(out, op, command);
        self.ops.insert(op, Op::Write(write));
    }

    /// Begins a write that observes before it covers.
    fn observe(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, mut write: WriteOp) {
        let progress = write.advance_observation(env, out, op);
        self.ops.insert(op, Op::Write(write));
        out.set_timer(TimerKey::OpWiden(op), env.now.mono.after(env.config.widen_after));
        self.follow(out, op, progress);
    }
}

/// Whether this node mints for the partition: as an owner, or as a fallback while no owner is reachable.
pub(super) fn may_coordinate(env: &Env<'_>, partition: PartitionId, standing: Standing) -> bool {
    match standing {
        Standing::Owner => true,
        Standing::Newborn | Standing::Outside => false,
        Standing::Fallback => !env.ring.owners(partition).iter().any(|owner| env.liveness.is_reachable(*owner)),
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
