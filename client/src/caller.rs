//! How a call is carried out: which node takes it, and what happens when it does not answer.
//!
//! ```text
//! call ─→ choose a node ─→ send ─→ answered ─────────────────────────────────→ Ok, or Refused
//!            ↑                │      └ not applied, another node may do better ─┐
//!            │                ├─ certainly not sent ────────────────────────────┤
//!            │                ├─ maybe sent ─ changes nothing, or is the same if sent twice ─┤
//!            └──────────────── next node, until the deadline ←──────────────────┘
//!                             └─ maybe sent ─ another write ──→ Unknown, never sent again
//! ```
//!
//! A retry is only ever made of what certainly changed nothing, or of what changes nothing more when it is repeated:
//! reads, events of sessions, and overwrites with a context. A call is cheap: no allocation but the message and one
//! channel; dropping its future gives it up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use starling::ids::{Key, NodeId};
use starling::limits;
use starling::message::client::{
    AnswerBody, CallBody, ClusterError, CollectionCommand, Command, NodeAnswer, NodeCall, Options, Outcome, Reason,
    Request, RequestError, Response,
};
use starling::message::weight;
use tokio::time::Instant;

use crate::connection::{Limits, NoAnswer};
use crate::engine::Engine;
use crate::error::Error;
use crate::naming;
use crate::repetition::Repetition;
use crate::route::{self, Patience};
use crate::token::Token;

/// Pause before nodes that left an idempotent write in doubt are asked again.
const ROUND_PAUSE: Duration = Duration::from_millis(50);

/// The connections, and who may use them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) engine: Arc<Engine>,
    /// Calls about keys go to this node and no other.
    pub(crate) pinned: Option<NodeId>,
    /// What calls about keys must see, and what they add to it.
    pub(crate) token: Option<Token>,
}

impl Caller {
    /// Until when a call with these options may take, without the slack.
    pub(crate) fn allowed(&self, options: &Options) -> Duration {
        options.deadline_ms.map_or(self.engine.config.deadline, |ms| Duration::from_millis(ms.into()))
    }

    pub(crate) fn name_of(&self, node: NodeId) -> String {
        self.engine.nodes().name(node)
    }

    /// A call about a key. With a token, calls go one after the other, because each must see what the others saw.
    pub(crate) async fn key_call(
        &self,
        key: &Key,
        command: Command,
        options: &Options,
    ) -> Result<(NodeId, Response), Error> {
        let Some(token) = self.token.as_ref().filter(|_| options.token.is_none()) else {
            return self.send_key_call(key, command, options.clone()).await;
        };
        let is_followed = is_followed(&command);
        let mut seen = token.lock().await;
        let options = Options { token: Some(seen.clone()), ..options.clone() };
        let answered = self.send_key_call(key, command, options).await;
        match answered? {
            (node, response) if is_followed && token_of(&response).is_none() => {
                let cause = "it answers without a token, so what it shows may be older than what was seen".into();
                Err(Error::NoAnswer { node: self.name_of(node), cause })
            }
            (node, response) => {
                if let Some(newer) = token_of(&response) {
                    *seen = newer.clone();
                }
                Ok((node, response))
            }
        }
    }

    async fn send_key_call(&self, key: &Key, command: Command, options: Options) -> Result<(NodeId, Response), Error> {
        let candidates = match self.pinned {
            Some(node) => {
                self.engine.nodes().check(node)?;
                vec![node]
            }
            None => self.engine.nodes().candidates(key),
        };
        let is_write = command.is_write();
        let request = Request { key: key.clone(), command, options: options.clone() };
        check_size(&request)?;
        match self.carry_out(&candidates, CallBody::Key(request), &options, true).await? {
            (node, AnswerBody::Key(response)) => Ok((node, response)),
            (node, other) if is_write => Err(self.mismatch_of_write(node, &other)),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }

    /// A call to one node, whatever this caller is pinned to.
    pub(crate) async fn node_call(&self, node: NodeId, call: NodeCall, options: &Options) -> Result<NodeAnswer, Error> {
        self.engine.nodes().check(node)?;
        match self.carry_out(&[node], CallBody::Node(call), options, false).await? {
            (_, AnswerBody::Node(answer)) => Ok(answer),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }

    /// Whether the first node that can be reached has named a newer layout than the one that calls go by.
    pub(crate) async fn hears_of_newer(&self, options: &Options) -> Result<bool, Error> {
        let nodes = self.engine.nodes();
        let candidates = self.pinned.map_or_else(|| nodes.all(), |node| vec![node]);
        let deadline = Instant::now() + self.allowed(options);
        let patience = Patience { deadline, stagger: self.engine.config.dial_stagger, insists: false };
        match route::choose(&nodes, &candidates, &self.engine.changed, patience).await {
            Ok((_, connection)) => Ok(connection.layout() > nodes.ring().epoch().number),
            Err(tried) => Err(Error::Unreachable { tried }),
        }
    }

    /// A question that any node can answer.
    pub(crate) async fn any_node_call(&self, call: NodeCall, options: &Options) -> Result<(NodeId, NodeAnswer), Error> {
        let candidates = match self.pinned {
            Some(node) => {
                self.engine.nodes().check(node)?;
                vec![node]
            }
            None => self.engine.nodes().all(),
        };
        match self.carry_out(&candidates, CallBody::Node(call), options, true).await? {
            (node, AnswerBody::Node(answer)) => Ok((node, answer)),
            (node, other) => Err(self.mismatch(node, &other)),
        }
    }

    /// Sends a call to the first candidate that takes it, and to the next as long as nothing can be changed twice.
    pub(crate) async fn carry_out(
        &self,
        candidates: &[NodeId],
        mut body: CallBody,
        options: &Options,
        insists: bool,
    ) -> Result<(NodeId, AnswerBody), Error> {
        let config = &self.engine.config;
        let deadline = Instant::now() + self.allowed(options);
        let repetition = Repetition::of(&body);
        let mut left = candidates.to_vec();
        let mut last = None;
        // Why an earlier send of a write that may be repeated has no answer.
        let mut doubt: Option<(NodeId, String)> = None;
        loop {
            let patience = Patience { deadline, stagger: config.dial_stagger, insists: insists && last.is_none() };
            let nodes = self.engine.nodes();
            let (node, connection) = match route::choose(&nodes, &left, &self.engine.changed, patience).await {
                Ok(found) => found,
                Err(tried) => {
                    last = Some(last.unwrap_or(Error::Unreachable { tried }));
                    break;
                }
            };
            if connection.layout() > nodes.ring().epoch().number {
                self.engine.follow(connection.clone());
            }
            let now = Instant::now();
            let remaining = deadline.saturating_duration_since(now);
            if remaining.is_zero() {
                let cause = "the deadline passed before it was sent".into();
                last = Some(last.unwrap_or(Error::NotSent { cause }));
                break;
            }
            set_deadline(&mut body, remaining);
            // What may be repeated leaves time for another node; another write has only one chance.
            let can_move = repetition != Repetition::Doubles && left.len() > 1;
            let wait = if can_move { remaining / 2 } else { remaining + config.deadline_slack };
            let limits = Limits { send_by: deadline, answer_by: now + wait };
            match connection.call(body.clone(), limits).await {
                Ok(answer) => match refusal(&answer) {
                    None => return Ok((node, answer)),
                    Some(error) => {
                        let may_move = repetition.moves_on(error);
                        if let Reason::StaleLayout { have } = error.reason
                            && have > nodes.ring().epoch().number
                        {
                            self.engine.follow(connection.clone());
                        }
                        let said = self.said(&error.reason);
                        if repetition == Repetition::Repeats && error.outcome == Outcome::Unknown {
                            doubt = Some((node, said.clone()));
                        }
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
                Err(NoAnswer::MaybeSent(cause)) => {
                    left.retain(|other| *other != node);
                    let name = self.name_of(node);
                    match repetition {
                        Repetition::Doubles => return Err(Error::Unknown { node: name, cause }),
                        Repetition::Repeats => {
                            doubt = Some((node, cause.clone()));
                            last = Some(Error::Unknown { node: name, cause });
                        }
                        Repetition::Reads => last = Some(Error::NoAnswer { node: name, cause }),
                    }
                }
            }
            if left.is_empty() {
                if doubt.is_none() || Instant::now() + ROUND_PAUSE >= deadline {
                    break;
                }
                tokio::time::sleep(ROUND_PAUSE).await;
                left = candidates.to_vec();
            }
        }
        Err(self.verdict(last, doubt))
    }

    /// What a call ended with. A refusal says nothing about earlier sends that have no answer.
    fn verdict(&self, last: Option<Error>, doubt: Option<(NodeId, String)>) -> Error {
        let last = last.unwrap_or(Error::Unreachable { tried: Vec::new() });
        match doubt {
            Some((node, cause)) if last.outcome() == Outcome::NotApplied => {
                Error::Unknown { node: self.name_of(node), cause }
            }
            Some(_) | None => last,
        }
    }

    /// A node knows the others by their ids only; people know them by their names.
    fn said(&self, reason: &impl std::fmt::Display) -> String {
        let nodes = self.engine.nodes();
        let members = &nodes.ring().layout().members;
        naming::with_names(&reason.to_string(), |id| {
            members.iter().find(|member| member.id == id).map(|member| &*member.name)
        })
    }

    /// A call about the cluster that a node refused, or that came to something else.
    pub(crate) fn refused_cluster(&self, node: NodeId, error: ClusterError) -> Error {
        Error::Cluster { node: self.name_of(node), said: self.said(&error), error: Box::new(error) }
    }

    /// The answer does not fit the question: the node is of another kind than this program thinks.
    pub(crate) fn mismatch(&self, node: NodeId, answer: &impl std::fmt::Debug) -> Error {
        Error::NoAnswer { node: self.name_of(node), cause: mismatch_text(answer) }
    }

    /// As [`Caller::mismatch`], to a write: it may have been applied.
    pub(crate) fn mismatch_of_write(&self, node: NodeId, answer: &impl std::fmt::Debug) -> Error {
        Error::Unknown { node: self.name_of(node), cause: mismatch_text(answer) }
    }
}

fn mismatch_text(answer: &impl std::fmt::Debug) -> String {
    let text: String = format!("{answer:?}").chars().take(120).collect();
    format!("its answer does not fit the question ({text}); its version may differ from this one")
}

/// Refuses a request that every node would refuse, or that would fit into no message at all.
fn check_size(request: &Request) -> Result<(), Error> {
    let bytes = weight::of_named_rows(request);
    if bytes <= limits::COMMAND_BYTES_MAX {
        return Ok(());
    }
    let (bytes, bytes_max) = (bytes as u64, limits::COMMAND_BYTES_MAX as u64);
    Err(Error::invalid(Reason::CommandTooLarge { bytes, bytes_max }))
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

/// A read whose answer brings a token, unless the node does not know of tokens and so shows whatever it has.
fn is_followed(command: &Command) -> bool {
    match command {
        Command::Get | Command::Observe | Command::Siblings => true,
        // With pages and sizes no token may go.
        Command::Collection { command, .. } => matches!(command, CollectionCommand::Read { .. }),
        _ => false,
    }
}

/// The token that an answer brings.
fn token_of(response: &Response) -> Option<&Bytes> {
    match response {
        Response::Value(reply) => reply.token.as_ref(),
        Response::Written(reply) => reply.token.as_ref(),
        Response::Observed(reply) => reply.token.as_ref(),
        Response::Page(reply) => reply.token.as_ref(),
        Response::Inspected(_) | Response::Located(_) | Response::Failed(_) => None,
    }
}
