//! Frames and clusters for the transport's tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starling::ids::{ClusterId, ConnectionId, NodeId, PartitionId, RequestId};
use starling::membership::principal::Role;
use starling::membership::{Layout, LayoutEpoch, Member};
use starling::message::client::{Answer, AnswerBody, Call};
use starling::message::peer::{Addressed, Frame, PeerMessage, Ping};
use starling::time::WallTime;
use tokio::sync::mpsc;

use super::inbound::{Answers, Inbound};

/// The cluster of the tests.
pub(super) const CLUSTER: ClusterId = ClusterId([1; 16]);

/// A call with this id makes a [`Recorder`] panic.
pub(super) const PANICS: RequestId = RequestId(u64::MAX);

/// A small frame that can be told from others by its number.
pub(super) fn frame(number: u64) -> Frame {
    frame_of(vec![PeerMessage::Ping(Ping { wall: WallTime(number) })])
}

/// The number of a [`frame`].
pub(super) fn number(frame: &Frame) -> u64 {
    match frame.messages.first().map(|addressed| &addressed.message) {
        Some(PeerMessage::Ping(ping)) => ping.wall.0,
        other => panic!("not a numbered frame: {other:?}"),
    }
}

/// A frame with these messages.
pub(super) fn frame_of(messages: Vec<PeerMessage>) -> Frame {
    let messages =
        messages.into_iter().map(|message| Addressed { partition: PartitionId(0), layout: 1, message }).collect();
    Frame { layout: Default::default(), epoch: Default::default(), clock: Default::default(), messages }
}

/// A layout of this many members, n1 to n`count`, at addresses where nobody is.
pub(super) fn layout(count: u64) -> Layout {
    let members = (1..=count).map(|id| member(id, format!("127.0.0.1:{}", 10 + id))).collect();
    Layout::founding(CLUSTER, "test", members).seal().unwrap()
}

/// A member with this address.
pub(super) fn member(id: u64, address: String) -> Member {
    Member::new(NodeId(id), format!("m{id}"), address)
}

/// What a [`Recorder`] was told beside frames.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Layouts of others, in the order in which they were heard.
    pub(super) heard: Vec<(NodeId, LayoutEpoch)>,
    /// In order.
    pub(super) unreachable: Vec<(NodeId, Vec<Frame>)>,
    /// Clients that are connected.
    pub(super) clients: BTreeMap<ConnectionId, (Role, Answers)>,
    /// Calls in order.
    pub(super) calls: Vec<(ConnectionId, Call)>,
    /// Clients that went.
    pub(super) gone: Vec<ConnectionId>,
}

/// A router that writes down what it is told.
#[derive(Clone)]
pub(super) struct Recorder {
    frames: mpsc::UnboundedSender<(NodeId, Frame)>,
    /// What else it was told.
    pub(super) record: Arc<Mutex<Record>>,
    /// Answers calls with this, at once.
    pub(super) answer: Option<AnswerBody>,
}

impl Recorder {
    /// A recorder, and the frames it is given.
    pub(super) fn new() -> (Recorder, mpsc::UnboundedReceiver<(NodeId, Frame)>) {
        let (frames, received) = mpsc::unbounded_channel();
        (Recorder { frames, record: Arc::default(), answer: None }, received)
    }

    /// Waits until the record shows something.
    pub(super) async fn until<T>(&self, mut find: impl FnMut(&mut Record) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(&mut self.record.lock().unwrap()) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Inbound for Recorder {
    fn peer_frame(&self, from: NodeId, frame: Frame) {
        // The test may have seen enough.
        let _ = self.frames.send((from, frame));
    }

    fn layout_heard(&self, from: NodeId, theirs: LayoutEpoch) {
        self.record.lock().unwrap().heard.push((from, theirs));
    }

    fn peer_unreachable(&self, node: NodeId, not_sent: Vec<Frame>) {
        self.record.lock().unwrap().unreachable.push((node, not_sent));
    }

    fn connection_opened(&self, connection: ConnectionId, role: &Role, answers: Answers) {
        self.record.lock().unwrap().clients.insert(connection, (role.clone(), answers));
    }

    fn client_call(&self, connection: ConnectionId, call: Call) {
        if call.id == PANICS {
            panic!("asked to, by a test");
        }
        let mut record = self.record.lock().unwrap();
        if let (Some(body), Some((_, answers))) = (&self.answer, record.clients.get(&connection)) {
            answers.send(Answer { id: call.id, body: body.clone() });
        }
        record.calls.push((connection, call));
    }

    fn connection_closed(&self, connection: ConnectionId) {
        let mut record = self.record.lock().unwrap();
        record.clients.remove(&connection);
        record.gone.push(connection);
    }
}
