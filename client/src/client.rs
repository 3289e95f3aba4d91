//! The client: calls, and what happens when a node does not answer them.
//!
//! ```text
//! call ─→ choose a node ─→ send ─→ answered ─────────────────────────────────→ Ok, or Refused
//!            ↑                │      └ not applied, another node may do better ─┐
//!            │                ├─ certainly not sent ────────────────────────────┤
//!            │                └─ maybe sent ─ read ─────────────────────────────┤
//!            └──────────────── next node, until the deadline ←──────────────────┘
//!                             └─ maybe sent ─ write ──→ Unknown, never sent again
//! ```
//!
//! A retry is only ever made of what certainly changed nothing. A call is cheap: no allocation but the message and
//! one channel; dropping its future gives it up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use starling::ids::{Key, NodeId};
use starling::limits;
use starling::membership::Layout;
use starling::message::client::{
    AnswerBody, CallBody, Command, FaultPlan, Location, NodeAnswer, NodeCall, NodeStatus, Options, Outcome, Reason,
    ReplicaView, Request, RequestError, Response, ValueReply, WriteReply,
};
use starling::ring::RingView;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::{Limits, NoAnswer};
use crate::dial::Dialer;
use crate::error::{ConnectError, Error};
use crate::nodes::Nodes;
use crate::route::{self, Patience};
use crate::{Bundle, ClientConfig, tls};

/// A client of one cluster. Cheap to clone; clones share the connections, which close with the last one.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    pinned: Option<NodeId>,
}

struct Shared {
    nodes: Nodes,
    dialer: Arc<Dialer>,
    ring: Arc<RingView>,
    config: ClientConfig,
    changed: watch::Sender<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.dialer.close();
    }
}

impl Client {
    /// A client of the bundle's cluster. Nothing is dialled before the first call. Must be called within a tokio
    /// runtime. Fails if the certificates do not fit together, a setting makes no sense, or no socket can be opened.
    pub fn connect(bundle: Bundle, config: ClientConfig) -> Result<Client, ConnectError> {
        check(&config)?;
        let quic = tls::quic_config(&bundle)?;
        let ring = bundle.ring;
        let dialer = Arc::new(Dialer::new(&quic, ring.layout().clone(), config.dial_timeout, config.in_flight_max)?);
        let (changed, _) = watch::channel(());
        let nodes = Nodes::new(ring.clone(), &dialer, &config, &changed);
        Ok(Client { shared: Arc::new(Shared { nodes, dialer, ring, config, changed }), pinned: None })
    }

    /// The same client, but all its calls about keys go to this node and no other.
    pub fn on(&self, node: NodeId) -> Client {
        Client { shared: self.shared.clone(), pinned: Some(node) }
    }

    /// The ring of the bundle's layout.
    pub fn ring(&self) -> &Arc<RingView> {
        &self.shared.ring
    }

    /// The id of the member that people call so.
    pub fn node_named(&self, name: &str) -> Result<NodeId, Error> {
        self.shared.nodes.named(name)
    }

    /// What people call the member; its id as text if the layout has no such member.
    pub fn name_of(&self, node: NodeId) -> String {
        self.shared.nodes.name(node)
    }

    /// The merged value of a key.
    pub async fn get(&self, key: &Key, options: &Options) -> Result<ValueReply, Error> {
        match self.key_call(key, Command::Get, options).await? {
            (_, Response::Value(reply)) => Ok(reply),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }

    /// Adds to the number of a key; `by` may be negative. `Ok`: applied, held by the nodes in `acks`.
    pub async fn increment(&self, key: &Key, by: i64, options: &Options) -> Result<WriteReply, Error> {
        self.write(key, Command::Increment { by }, options).await
    }

    /// Writes a value and covers the counter that was seen. At most [`limits::VALUE_BYTES_MAX`] bytes.
    pub async fn put(&self, key: &Key, value: Bytes, options: &Options) -> Result<WriteReply, Error> {
        self.write(key, Command::Put { value }, options).await
    }

    /// Deletes what was seen of a key.
    pub async fn delete(&self, key: &Key, options: &Options) -> Result<WriteReply, Error> {
        self.write(key, Command::Delete, options).await
    }

    /// The own, unmerged view that one node has of a key.
    pub async fn inspect(&self, node: NodeId, key: &Key, options: &Options) -> Result<ReplicaView, Error> {
        self.shared.nodes.check(node)?;
        let request = Request { key: key.clone(), command: Command::Inspect, options: options.clone() };
        match self.carry_out(&[node], CallBody::Key(request), options, false).await? {
            (_, AnswerBody::Key(Response::Inspected(view))) => Ok(view),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }

    /// Where a key lies, as the cluster sees it. [`Client::ring`] answers the same from the bundle.
    pub async fn locate(&self, key: &Key, options: &Options) -> Result<Location, Error> {
        match self.key_call(key, Command::Locate, options).await? {
            (_, Response::Located(location)) => Ok(location),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }

    /// How a node is, and whom it sees.
    pub async fn status(&self, node: NodeId, options: &Options) -> Result<NodeStatus, Error> {
        match self.node_call(node, NodeCall::Status, options).await? {
            NodeAnswer::Status(status) => Ok(*status),
            other => Err(self.mismatch(node, &other)),
        }
    }

    /// The committed layout, as a node has it.
    pub async fn layout(&self, node: NodeId, options: &Options) -> Result<Layout, Error> {
        match self.node_call(node, NodeCall::Layout, options).await? {
            NodeAnswer::Layout(layout) => Ok(*layout),
            other => Err(self.mismatch(node, &other)),
        }
    }

    /// Replaces a node's injected faults; an empty plan heals. Needs an admin bundle and a node with `--drills`.
    pub async fn set_faults(&self, node: NodeId, plan: FaultPlan, options: &Options) -> Result<(), Error> {
        match self.node_call(node, NodeCall::SetFaults(plan), options).await? {
            NodeAnswer::FaultsSet => Ok(()),
            other => Err(self.mismatch(node, &other)),
        }
    }

    /// Closes the connections, of all clones, and gives the farewell a moment to leave. Without it the nodes learn only
    /// when the connections time out.
    pub async fn close(self) {
        self.shared.dialer.close();
        self.shared.dialer.say_farewell().await;
    }

    async fn write(&self, key: &Key, command: Command, options: &Options) -> Result<WriteReply, Error> {
        match self.key_call(key, command, options).await? {
            (_, Response::Written(reply)) => Ok(reply),
            (node, other) => Err(self.mismatch_of_write(node, &other)),
        }
    }

    async fn key_call(&self, key: &Key, command: Command, options: &Options) -> Result<(NodeId, Response), Error> {
        if let Command::Put { value } = &command
            && value.len() > limits::VALUE_BYTES_MAX
        {
            let reason = Reason::ValueTooLarge { bytes: value.len() as u64, bytes_max: limits::VALUE_BYTES_MAX as u64 };
            return Err(Error::Invalid { error: RequestError { outcome: Outcome::NotApplied, reason } });
        }
        let candidates = match self.pinned {
            Some(node) => {
                self.shared.nodes.check(node)?;
                vec![node]
            }
            None => self.shared.nodes.candidates(key),
        };
        let is_write = command.is_write();
        let request = Request { key: key.clone(), command, options: options.clone() };
        match self.carry_out(&candidates, CallBody::Key(request), options, true).await? {
            (node, AnswerBody::Key(response)) => Ok((node, response)),
            (node, other) if is_write => Err(self.mismatch_of_write(node, &other)),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }

    async fn node_call(&self, node: NodeId, call: NodeCall, options: &Options) -> Result<NodeAnswer, Error> {
        self.shared.nodes.check(node)?;
        match self.carry_out(&[node], CallBody::Node(call), options, false).await? {
            (_, AnswerBody::Node(answer)) => Ok(answer),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }

    /// Sends a call to the first candidate that takes it, and to the next as long as nothing can have changed.
    async fn carry_out(
        &self,
        candidates: &[NodeId],
        mut body: CallBody,
        options: &Options,
        insists: bool,
    ) -> Result<(NodeId, AnswerBody), Error> {
        let config = &self.shared.config;
        let allowed = options.deadline_ms.map_or(config.deadline, |ms| Duration::from_millis(ms.into()));
        let deadline = Instant::now() + allowed;
        let is_write = is_write(&body);
        let mut left = candidates.to_vec();
        let mut last = None;
        loop {
            let patience = Patience { deadline, stagger: config.dial_stagger, insists: insists && last.is_none() };
            let (node, connection) =
                match route::choose(&self.shared.nodes, &left, &self.shared.changed, patience).await {
                    Ok(found) => found,
                    Err(tried) => return Err(last.unwrap_or(Error::Unreachable { tried })),
                };
            let now = Instant::now();
            let remaining = deadline.saturating_duration_since(now);
            if remaining.is_zero() {
                let cause = "the deadline passed before it was sent".into();
                return Err(last.unwrap_or(Error::NotSent { cause }));
            }
            set_deadline(&mut body, remaining);
            // A read leaves time for another node; a write has only one chance.
            let can_move = !is_write && left.len() > 1;
            let wait = if can_move { remaining / 2 } else { remaining + config.deadline_slack };
            let limits = Limits { send_by: deadline, answer_by: now + wait };
            match connection.call(body.clone(), limits).await {
                Ok(answer) => match refusal(&answer) {
                    None => return Ok((node, answer)),
                    Some(error) => {
                        let may_move = moves_on(error, is_write);
                        let said = self.said(&error.reason);
                        last = Some(Error::Refused { node: self.name_of(node), error: error.clone(), said });
                        if !may_move {
                            break;
                        }
                        left.retain(|other| *other != node);
                    }
                },
                Err(NoAnswer::NotSent(cause)) => {
                    // The link is down now, or full: another round finds a better one, or the same again in time.
                    if !insists || Instant::now() >= deadline {
                        last = Some(Error::NotSent { cause: format!("node {}: {cause}", self.name_of(node)) });
                        break;
                    }
                }
                Err(NoAnswer::MaybeSent(cause)) if is_write => {
                    return Err(Error::Unknown { node: self.name_of(node), cause });
                }
                Err(NoAnswer::MaybeSent(cause)) => {
                    last = Some(Error::NoAnswer { node: self.name_of(node), cause });
                    left.retain(|other| *other != node);
                }
            }
            if left.is_empty() {
                break;
            }
        }
        Err(last.unwrap_or(Error::Unreachable { tried: Vec::new() }))
    }

    /// A node knows the others by their ids only; people know them by their names.
    fn said(&self, reason: &Reason) -> String {
        let text = reason.to_string();
        match reason {
            Reason::CoordinatorLost { node }
            | Reason::DiskReserve { node }
            | Reason::ClockAhead { node, .. }
            | Reason::StorageFailed { node, .. }
            | Reason::TwoClaimants { node }
            | Reason::NewerRow { node } => {
                text.replacen(&format!("node {node}"), &format!("node {}", self.name_of(*node)), 1)
            }
            _ => text,
        }
    }

    /// The answer does not fit the question: the node is of another kind than this program thinks.
    fn mismatch(&self, node: NodeId, answer: &impl std::fmt::Debug) -> Error {
        Error::NoAnswer { node: self.name_of(node), cause: mismatch_text(answer) }
    }

    fn mismatch_of_write(&self, node: NodeId, answer: &impl std::fmt::Debug) -> Error {
        Error::Unknown { node: self.name_of(node), cause: mismatch_text(answer) }
    }
}

fn mismatch_text(answer: &impl std::fmt::Debug) -> String {
    let text: String = format!("{answer:?}").chars().take(120).collect();
    format!("its answer does not fit the question ({text}); its version may differ from this one")
}

fn check(config: &ClientConfig) -> Result<(), ConnectError> {
    let refuse = |setting, reason: &str| Err(ConnectError::Setting { setting, reason: reason.to_owned() });
    if config.deadline.is_zero() || config.dial_timeout.is_zero() {
        return refuse("deadline and dial_timeout", "both must be longer than zero");
    }
    if config.backoff_min.is_zero() || config.backoff_max < config.backoff_min {
        return refuse("backoff_min and backoff_max", "the first must be longer than zero and not above the second");
    }
    if config.in_flight_max == 0 || config.in_flight_max > 1 << 20 {
        return refuse("in_flight_max", "1 to 1048576 are possible");
    }
    if config.connections_per_node == 0 || config.connections_per_node > 1024 {
        return refuse("connections_per_node", "1 to 1024 are possible");
    }
    Ok(())
}

fn is_write(body: &CallBody) -> bool {
    match body {
        CallBody::Key(request) => request.command.is_write(),
        // Setting the same faults twice is the same as once.
        CallBody::Node(_) => false,
    }
}

/// Tells the node what is left of the deadline.
fn set_deadline(body: &mut CallBody, remaining: Duration) {
    if let CallBody::Key(request) = body {
        request.options.deadline_ms = Some(u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX).max(1));
    }
}

fn refusal(answer: &AnswerBody) -> Option<&RequestError> {
    match answer {
        AnswerBody::Key(Response::Failed(error)) | AnswerBody::Node(NodeAnswer::Failed(error)) => Some(error),
        AnswerBody::Key(_) | AnswerBody::Node(_) => None,
    }
}

/// Whether another node may do better, and asking it cannot change anything twice.
fn moves_on(error: &RequestError, is_write: bool) -> bool {
    if is_write && error.outcome == Outcome::Unknown {
        return false;
    }
    match error.reason {
        Reason::TooFewReachable { .. }
        | Reason::NoOwner
        | Reason::NotEstablished
        | Reason::StaleLayout { .. }
        | Reason::CoordinatorLost { .. }
        | Reason::DiskReserve { .. }
        | Reason::ClockAhead { .. }
        | Reason::StorageFailed { .. }
        | Reason::TwoClaimants { .. }
        | Reason::Stale
        | Reason::Stopping => true,
        // More of these would only add load, or end the same way.
        Reason::DeadlineExceeded { .. }
        | Reason::QuorumFailed { .. }
        | Reason::ImpossibleQuorum { .. }
        | Reason::NotANumber
        | Reason::Overflow
        | Reason::ValueTooLarge { .. }
        | Reason::Busy { .. }
        | Reason::WrongType { .. }
        | Reason::NotFinite
        | Reason::TooMany { .. }
        | Reason::Malformed(_)
        | Reason::ForeignToken { .. }
        | Reason::SessionExpired
        | Reason::ContextSettled
        | Reason::LeaseTooLong { .. }
        | Reason::SessionReused { .. }
        | Reason::TooManySessions
        | Reason::NewerRow { .. }
        | Reason::Forbidden(_) => false,
    }
}
