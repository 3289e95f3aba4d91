//! Clients: what they ask, under which names, and what they were told.
//!
//! A session sends an event until it is acknowledged, through whichever node the scheduler picks, and only then begins the
//! next one; after its tick it sends a few times more, for requests may be late, and takes a new name. The `nth`
//! increment of a key adds 4^nth: the digits of a sum to base 4 tell which increments it counts, and how often.

use std::collections::BTreeMap;

use starling::causality::{ActorId, Epoch, Tenure, Tick};
use starling::ids::{ConnectionId, Key, RequestId};
use starling::message::client::{Command, Options, Outcome, Reason, Request, Response, SessionWrite, WriteReply};
use starling::shard::Input;
use starling::storage::RowKey;

use super::cluster::Cluster;
use super::instance::{Instance, QUORUM};
use super::record::Fate;
use super::rows::Family;
use super::step::Ask;

/// Increments of a key: more would not fit the digits of an i64.
pub const INCREMENTS_MAX: usize = 30;

/// How often a session sends an event after its tick has passed.
const LATE_SENDS: u8 = 2;

/// The clients, and what they asked.
#[derive(Debug)]
pub struct Clients {
    keys: Vec<Key>,
    sessions: Vec<Option<Session>>,
    /// Names that were given to sessions.
    names: u64,
    ops: Vec<Op>,
}

#[derive(Debug)]
struct Session {
    actor: ActorId,
    late_sends: u8,
    keys: BTreeMap<u8, OnKey>,
}

/// What a session did to a key.
#[derive(Clone, Copy, Debug, Default)]
struct OnKey {
    event: u64,
    p: u128,
    n: u128,
    /// The increment of the last event, until it is acknowledged.
    open: Option<usize>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Op {
    /// Whom it was sent to.
    pub node: usize,
    /// Which key.
    pub key: u8,
    /// The increment of the key that it brings.
    pub increment: usize,
    /// The client of a session.
    client: Option<u8>,
    /// Nothing came yet, and the node has run since.
    is_open: bool,
    /// How often each node's directory had been lost.
    wipes: Vec<u32>,
}

impl Clients {
    /// Nobody has asked anything.
    pub fn new(instance: &Instance) -> Clients {
        let key = |number: usize| Key::new(format!("key-{number}")).expect("a short key");
        Clients {
            keys: (0..instance.keys.len()).map(key).collect(),
            sessions: (0..instance.sessions).map(|_| None).collect(),
            names: 0,
            ops: Vec::new(),
        }
    }

    /// The keys, by number.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Requests so far.
    pub fn asked(&self) -> usize {
        self.ops.len()
    }

    /// A process ended: its clients hear nothing any more.
    pub fn on_stopped(&mut self, node: usize) {
        for op in self.ops.iter_mut().filter(|op| op.node == node) {
            op.is_open = false;
        }
    }
}

impl Cluster {
    /// A client asks; false if that is not possible.
    pub(super) fn ask(&mut self, node: usize, ask: Ask) -> bool {
        if self.running(node as u8).is_none() {
            return false;
        }
        let (Ask::Count { key, .. } | Ask::Add { key }) = ask;
        let Some(name) = self.clients.keys.get(usize::from(key)).cloned() else { return false };
        let written = match ask {
            Ask::Count { client, key } => self.count(client, key),
            Ask::Add { key } => {
                self.record.begin(key, None).map(|(increment, by)| (increment, Command::Increment { by }))
            }
        };
        let Some((increment, command)) = written else { return false };
        let client = if let Ask::Count { client, .. } = ask { Some(client) } else { None };
        self.record.sent(key, increment);
        let request = Request { key: name, command, options: Options::default() };
        let wipes = self.nodes.iter().map(|it| it.wipes).collect();
        let number = self.clients.ops.len() as u64;
        self.clients.ops.push(Op { node, key, increment, client, is_open: true, wipes });
        self.say(|| format!("    request {number}: {:?} of key {key}", request.command));
        let (connection, request_id) = (ConnectionId(number + 1), RequestId(number));
        self.turn(node as u8, [Input::Client { connection, request_id, request }]);
        true
    }

    /// The next thing that a session sends on a key: which increment, and how.
    fn count(&mut self, client: u8, key: u8) -> Option<(usize, Command)> {
        let tick = Tick::at(self.true_wall(), self.instance.config().tick);
        let Clients { sessions, names, .. } = &mut self.clients;
        let place = sessions.get_mut(usize::from(client))?;
        if let Some(session) = place.as_mut().filter(|session| session.actor.expires <= tick) {
            session.late_sends += 1;
            let has_open = session.keys.get(&key).is_some_and(|on| on.open.is_some());
            if !has_open || session.late_sends > LATE_SENDS {
                *place = None;
            }
        }
        let session = place.get_or_insert_with(|| {
            *names += 1;
            // The tick after next, or one more: within the longest lease.
            let expires = Tick(tick.0 + 2 + u32::from(client % 2));
            let actor = ActorId { expires, epoch: Epoch(*names), tenure: Tenure::SESSION };
            Session { actor, late_sends: 0, keys: BTreeMap::new() }
        });
        let on = session.keys.entry(key).or_default();
        let actor = session.actor;
        let increment = match on.open {
            Some(open) => open,
            None => {
                let (increment, by) = self.record.begin(key, Some(actor))?;
                on.event += 1;
                let part = if by < 0 { &mut on.n } else { &mut on.p };
                *part += u128::from(by.unsigned_abs());
                on.open = Some(increment);
                increment
            }
        };
        let write = SessionWrite { actor, event: on.event, p: on.p, n: on.n };
        Some((increment, Command::IncrementAs(write)))
    }

    /// A node answers.
    pub(super) fn on_reply(&mut self, request: RequestId, response: Response) {
        self.say(|| format!("    answer to request {}: {response:?}", request.0));
        let Some(op) = self.clients.ops.get_mut(request.0 as usize) else { return };
        if !std::mem::replace(&mut op.is_open, false) {
            return self.wrong("answers", format!("request {} is answered twice, now with {response:?}", request.0));
        }
        let op = op.clone();
        let fate = match &response {
            Response::Written(reply) => {
                self.check_acknowledged(&op, reply);
                Fate::Acknowledged
            }
            Response::Failed(error) => {
                if matches!(error.reason, Reason::SessionReused { .. }) {
                    self.wrong("answers", format!("a repetition is taken for another payload: {error}"));
                }
                match error.outcome {
                    Outcome::NotApplied => Fate::Refused,
                    Outcome::Unknown => Fate::Unknown,
                }
            }
            other => return self.wrong("answers", format!("an increment is answered with {other:?}")),
        };
        self.record.answered(op.key, op.increment, fate);
        if fate == Fate::Acknowledged
            && let Some(client) = op.client
            && let Some(Some(session)) = self.clients.sessions.get_mut(usize::from(client))
            && let Some(on) = session.keys.get_mut(&op.key)
            && on.open == Some(op.increment)
        {
            on.open = None;
        }
    }

    /// W nodes hold durably what is acknowledged, at that moment. They may be others than those that acknowledged it: a hint
    /// may have been delivered since, and a directory lost.
    fn check_acknowledged(&mut self, op: &Op, reply: &WriteReply) {
        let Some(name) = self.clients.keys.get(usize::from(op.key)) else { return };
        let main = RowKey::main(name);
        let holders = self.nodes.iter().zip(&op.wipes).filter(|(it, wipes)| {
            let was_wiped = it.wipes != **wipes && reply.acks.iter().any(|ack| ack.node == it.id);
            was_wiped || Family::of(&it.disk, &main).has_counted(op.increment)
        });
        let holders: Vec<String> = holders.map(|(it, _)| it.id.to_string()).collect();
        if holders.len() < usize::from(QUORUM) {
            let acks: Vec<String> = reply.acks.iter().map(|ack| ack.node.to_string()).collect();
            let text = format!(
                "increment {} of key {} is acknowledged by {}, and durable at {}",
                op.increment,
                op.key,
                acks.join(", "),
                holders.join(", ")
            );
            self.wrong("acknowledged", text);
        }
    }

    /// What a clock without fault shows.
    pub fn true_wall(&self) -> starling::time::WallTime {
        super::node::wall(self.now)
    }
}
