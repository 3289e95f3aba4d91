//! Tests of the shard's thread: nothing goes out before the turn is written, nothing at all after a failed write.

use std::sync::Mutex;

use bytes::Bytes;
use starling::causality::Epoch;
use starling::ids::{ConnectionId, Key, RequestId, Ticket};
use starling::membership::LayoutEpoch;
use starling::message::client::{Command, FaultPlan, Options, Request};
use starling::storage::{Batch, Lookup, Page, PageLimit, Range, Space};
use starling::time::Hlc;

use super::*;

/// Writes one row and sends one frame per client request; notes what it was told.
#[derive(Default)]
struct Echo {
    turn: u64,
    batch: Batch,
    effects: Vec<Effect>,
    log: Arc<Mutex<Vec<String>>>,
}

fn frame() -> Frame {
    Frame { layout: LayoutEpoch::default(), epoch: Epoch(1), clock: Hlc::default(), messages: vec![] }
}

impl Machine for Echo {
    fn handle(&mut self, _: Now, input: Input) {
        let mut log = self.log.lock().unwrap();
        match input {
            Input::Client { request_id, .. } => {
                log.push(format!("client {}", request_id.0));
                self.batch.put(Space::Rows, Bytes::from_static(b"k"), Bytes::from_static(b"v"));
                self.effects.push(Effect::Send { to: NodeId(request_id.0), frame: frame() });
            }
            Input::Durable(ticket) => log.push(format!("durable {}", ticket.0)),
            Input::PeerQueueFull { node, .. } => log.push(format!("full {}", node.0)),
            Input::PeerUnreachable { node, .. } => log.push(format!("unreachable {}", node.0)),
            Input::Stopping => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    fn tick(&mut self, _: Now) {}
    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }
    fn turn_is_full(&self) -> bool {
        self.batch.changes.len() >= 2
    }
    fn seal(&mut self, _: Now) -> SealedTurn {
        self.turn += 1;
        let (batch, effects) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.effects));
        SealedTurn { batch, ticket: Ticket(self.turn), effects }
    }
    fn status(&self, _: Now) -> ShardStatus {
        ShardStatus { open_ops: 42, ..ShardStatus::default() }
    }
}

/// A disk and a network that write what happens into one log, in the order in which it happens.
#[derive(Debug, Default)]
struct Outside {
    log: Arc<Mutex<Vec<String>>>,
    disk_is_broken: bool,
}

impl Store for Outside {
    fn get(&self, _: Space, _: &[u8]) -> Lookup {
        Lookup::Absent
    }
    fn fetch(&self, _: Space, _: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }
    fn scan(&self, _: Space, _: &Range, _: PageLimit) -> Result<Page, StoreError> {
        Ok(Page::default())
    }
    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        if self.disk_is_broken {
            return Err(StoreError::corrupt("a compaction met a bad block"));
        }
        self.log.lock().unwrap().push(format!("write {}", batch.changes.len()));
        Ok(())
    }
    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl PeerLinks for Outside {
    fn send(&self, to: NodeId, frame: Frame) -> Result<(), NotSent> {
        self.log.lock().unwrap().push(format!("send {}", to.0));
        match to.0 {
            8 => Err(NotSent { frame, why: WhyNotSent::QueueFull }),
            9 => Err(NotSent { frame, why: WhyNotSent::Unreachable }),
            _ => Ok(()),
        }
    }
    fn set_layout(&self, _: &Arc<starling::membership::Layout>) {}
    fn send_back(&self, to: NodeId, start: Epoch, _: Frame) {
        self.log.lock().unwrap().push(format!("send back {} to {}", to.0, start.0));
    }
    fn faults(&self) -> FaultPlan {
        FaultPlan::default()
    }
}

struct Setup {
    log: Arc<Mutex<Vec<String>>>,
    mailbox: Arc<Mailbox>,
    syncs: Arc<Syncs>,
    thread: ShardThread<Echo>,
}

fn set_up(durability: Durability, disk_is_broken: bool) -> Setup {
    let log = Arc::new(Mutex::new(Vec::new()));
    let outside = Arc::new(Outside { log: log.clone(), disk_is_broken });
    let mailbox = Arc::new(Mailbox::default());
    let syncs = Arc::new(Syncs::new(1));
    let outlets = Outlets {
        adopter: Arc::default(),
        links: outside.clone(),
        connections: Arc::default(),
        jobs: Arc::default(),
        syncs: syncs.clone(),
        counters: Arc::default(),
    };
    let machine = Echo { log: log.clone(), ..Echo::default() };
    let thread = ShardThread::new(0, machine, mailbox.clone(), outside, durability, Clock::start(), outlets);
    Setup { log, mailbox, syncs, thread }
}

fn ask(mailbox: &Mailbox, number: u64) {
    let request = Request { key: Key::new("k").unwrap(), command: Command::Get, options: Options::default() };
    let input = Input::Client { connection: ConnectionId(0), request_id: RequestId(number), request };
    mailbox.client(input, 1).unwrap();
}

#[test]
fn effects_go_out_after_the_write_and_a_full_turn_is_sealed() {
    let Setup { log, mailbox, thread, .. } = set_up(Durability::Fsync, false);
    for number in 1..=3 {
        ask(&mailbox, number);
    }
    mailbox.control(Control::Stop).ok().unwrap();
    thread.run().unwrap();
    let log = log.lock().unwrap();
    assert_eq!(*log, ["client 1", "client 2", "write 2", "send 1", "send 2"]);
}

#[test]
fn under_wal_the_written_turn_counts_as_durable_at_once() {
    let Setup { log, mailbox, mut thread, .. } = set_up(Durability::Wal, false);
    ask(&mailbox, 1);
    thread.fill_turn();
    thread.close_turn().unwrap();
    assert!(!thread.fill_turn());
    assert_eq!(*log.lock().unwrap(), ["client 1", "write 1", "send 1", "durable 1"]);
}

#[test]
fn a_synced_turn_comes_back_as_durable() {
    let Setup { log, mailbox, syncs, mut thread } = set_up(Durability::Fsync, false);
    ask(&mailbox, 1);
    thread.fill_turn();
    thread.close_turn().unwrap();
    syncs.stop();
    let gauge = crate::status::SyncGauge::default();
    syncs.run(thread.store.as_ref(), &[mailbox], &gauge, &Counters::default()).unwrap();
    thread.fill_turn();
    assert_eq!(*log.lock().unwrap(), ["client 1", "write 1", "send 1", "durable 1"]);
    assert!(gauge.last_us() > 0);
}

#[test]
fn nothing_goes_out_after_a_failed_write() {
    let Setup { log, mailbox, thread, .. } = set_up(Durability::Fsync, true);
    ask(&mailbox, 1);
    let failed = thread.run().unwrap_err();
    assert_eq!(failed, StoreError::io("a compaction met a bad block"), "nobody was asked whether it may be given up");
    assert_eq!(*log.lock().unwrap(), ["client 1"]);
}

#[test]
fn frames_that_cannot_leave_come_back_to_the_shard() {
    let Setup { log, mailbox, mut thread, .. } = set_up(Durability::Fsync, false);
    ask(&mailbox, 8);
    ask(&mailbox, 9);
    thread.fill_turn();
    thread.close_turn().unwrap();
    thread.fill_turn();
    let expected = ["client 8", "client 9", "write 2", "send 8", "send 9", "full 8", "unreachable 9"];
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn the_shard_tells_its_status_between_turns() {
    let Setup { mailbox, mut thread, .. } = set_up(Durability::Fsync, false);
    let (sender, receiver) = std::sync::mpsc::channel();
    let tell = Box::new(move |status: ShardStatus| sender.send(status.open_ops).unwrap());
    mailbox.control(Control::Status(tell)).ok().unwrap();
    thread.fill_turn();
    assert_eq!(receiver.try_recv(), Ok(42));
}
