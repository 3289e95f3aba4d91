//! Requests on their way to a node, and what is made of the answers.

use bytes::Bytes;
use starling::ids::{CollectionKind, ConnectionId, RequestId};
use starling::message::client::{
    CollectionCommand, Command, ElementChange, ElementWrite, Options, Outcome, Reason, Request, Response, WriteReply,
};
use starling::shard::Input;
use starling::storage::RowKey;
use starling::time::WallTime;

use super::clients::Op;
use super::cluster::Cluster;
use super::instance::Topic;
use super::record::{Fate, Place};
use super::rows::Family;
use super::step::{Ask, Change};
use super::writes::{Asked, What};

/// What a request brings, as far as it can be told from the state of the rows.
#[derive(Debug)]
struct Brings {
    increment: Option<(Place, usize)>,
    client: Option<u8>,
    what: What,
}

impl Cluster {
    /// A client asks; false if that is not possible.
    pub(super) fn ask(&mut self, node: usize, ask: Ask) -> bool {
        let key = ask.key();
        let Some(name) = self.clients.keys.get(usize::from(key)).cloned() else { return false };
        if self.running(node as u8).is_none() {
            return false;
        }
        let Some((command, brings)) = self.command(ask) else { return false };
        if let Some((place, increment)) = brings.increment {
            self.record.sent(place, increment);
        }
        // What is counted shows by its digit which write was acknowledged; of all else a token tells.
        let token = (command.is_write() && brings.increment.is_none()).then(Bytes::new);
        let request = Request { key: name, command, options: Options { token, ..Options::default() } };
        let wipes = self.nodes.iter().map(|it| it.wipes).collect();
        let number = self.clients.ops.len() as u64;
        let Brings { increment, client, what } = brings;
        let asked = Asked { what, since: self.record.writes.len() };
        self.clients.ops.push(Op { node, key, increment, asked, client, is_open: true, fate: None, wipes });
        self.say(|| format!("    request {number}: {:?} of key {key}", request.command));
        let (connection, request_id) = (ConnectionId(number + 1), RequestId(number));
        self.turn(node as u8, [Input::Client { connection, request_id, request }]);
        true
    }

    fn command(&mut self, ask: Ask) -> Option<(Command, Brings)> {
        let unique = self.clients.ops.len() as i64;
        let brings = |what| Brings { increment: None, client: None, what };
        Some(match ask {
            Ask::Count { client, key } => {
                let (increment, command) = self.count(client, key)?;
                let increment = Some(((key, None), increment));
                (command, Brings { increment, client: Some(client), what: What::Nothing })
            }
            Ask::Add { key } => {
                let (increment, by) = self.record.begin((key, None), None)?;
                let increment = Some(((key, None), increment));
                (Command::Increment { by }, Brings { increment, client: None, what: What::Nothing })
            }
            Ask::Put { .. } => {
                let value = Bytes::from(unique.to_string());
                (Command::Put { value: value.clone() }, brings(What::Register(Some(value))))
            }
            Ask::Delete { .. } => (Command::Delete, brings(What::Register(None))),
            Ask::Observe { .. } => (Command::Observe, brings(What::Nothing)),
            Ask::Overwrite { key } => {
                let (context, to) = self.clients.contexts.get(&key)?.clone();
                let main = RowKey::main(self.clients.keys.get(usize::from(key))?);
                self.record.note_second_step(&self.instance.config().seal_key, &main, &context, to);
                let value = to.map(|to| Bytes::from(to.to_string()));
                (Command::Overwrite { context, to }, brings(What::Register(value)))
            }
            Ask::Expire { millis, .. } => {
                let wall = super::node::wall(self.now).0 + u64::from(millis) * 1_000;
                let deadline = (millis > 0).then_some(WallTime(wall));
                (Command::Expire { deadline }, brings(What::Deadline(deadline)))
            }
            Ask::Element { key, element, change } => self.element(key, element, change, unique)?,
            Ask::Siblings { .. } => (Command::Siblings, brings(What::Nothing)),
            Ask::PutSibling { key, has_read } => {
                let context = self.clients.read.get(&key).filter(|_| has_read).cloned();
                let value = Bytes::from(unique.to_string());
                (Command::PutSibling { value: value.clone(), context }, brings(What::Sibling(value)))
            }
            Ask::Flag { on, .. } => (Command::SetFlag { on }, brings(What::Flag)),
            Ask::Get { .. } => (Command::Get, brings(What::Nothing)),
        })
    }

    fn element(&mut self, key: u8, element: u8, change: Change, unique: i64) -> Option<(Command, Brings)> {
        let kind = match self.instance.keys.get(usize::from(key))? {
            Topic::Map => CollectionKind::Map,
            Topic::SortedSet => CollectionKind::SortedSet,
            _ => CollectionKind::Set,
        };
        let name = element_name(element);
        let mut brings = Brings { increment: None, client: None, what: What::Element(name.clone()) };
        let change = match (change, kind) {
            (Change::Remove, _) => ElementChange::Remove,
            (Change::Add, CollectionKind::Map) => {
                let place = (key, Some(element));
                let (increment, by) = self.record.begin(place, None)?;
                brings.increment = Some((place, increment));
                ElementChange::Increment(by)
            }
            (_, CollectionKind::Map) => ElementChange::Put(Bytes::from(unique.to_string())),
            (_, CollectionKind::SortedSet) => ElementChange::Score((unique as f64).to_bits()),
            (_, CollectionKind::Set) => ElementChange::Add,
        };
        let changes = vec![ElementWrite { element: name, change }];
        Some((Command::Collection { kind, command: CollectionCommand::Write { changes } }, brings))
    }

    /// A node answers.
    pub(super) fn on_reply(&mut self, request: RequestId, response: Response) {
        self.say(|| format!("    answer to request {}: {response:?}", request.0));
        let Some(op) = self.clients.ops.get_mut(request.0 as usize) else { return };
        if !std::mem::replace(&mut op.is_open, false) {
            return self.wrong("answers", format!("request {} is answered twice, now with {response:?}", request.0));
        }
        let op = op.clone();
        let fate = match response {
            Response::Written(reply) => {
                self.check_acknowledged(request, &op, &reply);
                self.clients.on_acknowledged(&op);
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
            Response::Observed(reply) if self.instance.keys.get(usize::from(op.key)) == Some(&Topic::Siblings) => {
                self.clients.read.insert(op.key, reply.context);
                return;
            }
            Response::Observed(reply) => {
                // Every other one is a reset.
                let to = (!request.0.is_multiple_of(2)).then_some(request.0 as i64);
                self.clients.contexts.insert(op.key, (reply.context, to));
                return;
            }
            Response::Value(_) | Response::Page(_) | Response::Inspected(_) | Response::Located(_) => return,
        };
        if let Some((place, increment)) = op.increment {
            self.record.answered(place, increment, fate);
        }
        if let Some(op) = self.clients.ops.get_mut(request.0 as usize) {
            op.fate = Some(fate);
        }
    }

    /// W nodes hold durably what is acknowledged, at that moment. They may be others than those that acknowledged it: a hint
    /// may have been delivered since, and a directory lost.
    fn check_acknowledged(&mut self, request: RequestId, op: &Op, reply: &WriteReply) {
        let Some(name) = self.clients.keys.get(usize::from(op.key)) else { return };
        let main = RowKey::main(name);
        // Nothing was written, as when what is not there is removed.
        if reply.acks.is_empty() && op.increment.is_none() {
            return;
        }
        let fresh = match &reply.token {
            Some(token) => self.record.acknowledge(&self.instance.config().seal_key, token, &op.asked, &main),
            None => Vec::new(),
        };
        let holds = |it: &super::node::Node| {
            let family = Family::of(&it.disk, &main);
            op.increment.is_none_or(|(place, increment)| family.digits(place.1).counted(increment) > 0)
                && fresh
                    .iter()
                    .all(|write| self.record.writes.get(*write).is_none_or(|write| write.is_held_by(&family)))
        };
        let holders = self.nodes.iter().zip(&op.wipes).filter(|(it, wipes)| {
            let was_wiped = it.wipes != **wipes && reply.acks.iter().any(|ack| ack.node == it.id);
            was_wiped || holds(it)
        });
        let holders: Vec<String> = holders.map(|(it, _)| it.id.to_string()).collect();
        if holders.len() < usize::from(self.instance.write_quorum) {
            let acks: Vec<String> = reply.acks.iter().map(|ack| ack.node.to_string()).collect();
            let text = format!(
                "request {} on key {} is acknowledged by {}, and durable at {}",
                request.0,
                op.key,
                acks.join(", "),
                if holders.is_empty() { "none".to_owned() } else { holders.join(", ") }
            );
            self.wrong("acknowledged", text);
        }
    }
}

/// What an element is called.
pub fn element_name(element: u8) -> Bytes {
    Bytes::copy_from_slice(&[b'e', b'0' + element])
}
