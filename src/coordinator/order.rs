//! Order within one connection: commands on one key take effect as they were sent.
//!
//! The next command on a key starts once the previous one has minted, been refused or been answered; increments may
//! overlap each other, because they commute. Holds nothing for keys without a command under way. Bounded by the open
//! requests of the shard.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{ConnectionId, Key, RequestId};
use crate::shard::Start;

/// Commands under way and waiting, by connection and key.
#[derive(Debug, Default)]
pub(super) struct ConnectionOrder {
    lanes: BTreeMap<(ConnectionId, Key), Lane>,
    /// The keys that waiting commands wait for. A client that gives one number to two commands has one entry here.
    waiting: BTreeMap<(ConnectionId, RequestId), Key>,
    /// Commands that wait, each counted.
    queued: usize,
}

#[derive(Debug, Default)]
struct Lane {
    running: usize,
    only_increments: bool,
    waiting: VecDeque<Start>,
}

impl ConnectionOrder {
    /// Whether a command may start now; if so it counts as running, else it is queued.
    pub fn admit(&mut self, start: Start) -> Option<Start> {
        let is_increment = start.request.command.is_increment();
        let lane = self.lanes.entry((start.connection, start.request.key.clone())).or_default();
        let may_start = lane.waiting.is_empty() && (lane.running == 0 || (lane.only_increments && is_increment));
        if may_start {
            lane.only_increments = is_increment;
            lane.running += 1;
            return Some(start);
        }
        self.waiting.insert((start.connection, start.request_id), start.request.key.clone());
        lane.waiting.push_back(start);
        self.queued += 1;
        None
    }

    /// Commands that wait.
    pub fn len(&self) -> usize {
        self.queued
    }

    /// A waiting command's deadline passed: takes it out of its lane.
    pub fn give_up(&mut self, connection: ConnectionId, request_id: RequestId) -> Option<Start> {
        let key = self.waiting.remove(&(connection, request_id))?;
        let waiting = &mut self.lanes.get_mut(&(connection, key))?.waiting;
        let place = waiting.iter().position(|start| start.request_id == request_id)?;
        self.queued = self.queued.saturating_sub(1);
        waiting.remove(place)
    }

    /// A running command let the next ones go: the ones that may start now, in order.
    pub fn release(&mut self, connection: ConnectionId, key: &Key) -> Vec<Start> {
        let place = (connection, key.clone());
        let Some(lane) = self.lanes.get_mut(&place) else { return Vec::new() };
        lane.running = lane.running.saturating_sub(1);
        let mut started = Vec::new();
        while let Some(next) = lane.waiting.front() {
            let is_increment = next.request.command.is_increment();
            if lane.running > 0 && !(lane.only_increments && is_increment) {
                break;
            }
            lane.only_increments = is_increment;
            lane.running += 1;
            started.extend(lane.waiting.pop_front());
        }
        self.queued = self.queued.saturating_sub(started.len());
        for start in &started {
            self.waiting.remove(&(start.connection, start.request_id));
        }
        if lane.running == 0 && lane.waiting.is_empty() {
            self.lanes.remove(&place);
        }
        started
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::client::{Command, Options, Request};
    use crate::time::Timestamp;

    fn start(connection: u64, id: u64, command: Command) -> Start {
        let request = Request { key: Key::new("k").unwrap(), command, options: Options::default() };
        let connection = ConnectionId(connection);
        Start { connection, request_id: RequestId(id), request, deadline: Timestamp(0) }
    }

    fn ids(started: &[Start]) -> Vec<u64> {
        started.iter().map(|start| start.request_id.0).collect()
    }

    #[test]
    fn increments_overlap_and_other_commands_wait_for_them() {
        let mut order = ConnectionOrder::default();
        let (connection, key) = (ConnectionId(1), Key::new("k").unwrap());
        assert!(order.admit(start(1, 1, Command::Increment { by: 1 })).is_some());
        assert!(order.admit(start(1, 2, Command::Increment { by: 1 })).is_some());
        assert!(order.admit(start(1, 3, Command::Get)).is_none());
        assert!(order.admit(start(1, 4, Command::Increment { by: 1 })).is_none(), "the get goes first");
        assert!(order.release(connection, &key).is_empty());
        assert_eq!(ids(&order.release(connection, &key)), [3]);
        assert_eq!(ids(&order.release(connection, &key)), [4]);
        assert!(order.release(connection, &key).is_empty());
        assert!(order.lanes.is_empty());
    }

    #[test]
    fn a_command_that_gave_up_waiting_does_not_start() {
        let mut order = ConnectionOrder::default();
        assert!(order.admit(start(1, 1, Command::Delete)).is_some());
        assert!(order.admit(start(1, 2, Command::Get)).is_none());
        assert!(order.admit(start(1, 3, Command::Get)).is_none());
        assert_eq!(order.give_up(ConnectionId(1), RequestId(2)).map(|start| start.request_id), Some(RequestId(2)));
        assert!(order.give_up(ConnectionId(1), RequestId(2)).is_none());
        assert_eq!(ids(&order.release(ConnectionId(1), &Key::new("k").unwrap())), [3]);
        assert_eq!(order.len(), 0);
    }

    #[test]
    fn commands_under_one_number_are_counted_each() {
        let mut order = ConnectionOrder::default();
        assert!(order.admit(start(1, 1, Command::Delete)).is_some());
        for _ in 0..3 {
            assert!(order.admit(start(1, 2, Command::Increment { by: 1 })).is_none());
        }
        assert_eq!(order.len(), 3);
        assert!(order.give_up(ConnectionId(1), RequestId(2)).is_some());
        assert_eq!(order.len(), 2);
        assert_eq!(ids(&order.release(ConnectionId(1), &Key::new("k").unwrap())), [2, 2]);
        assert_eq!(order.len(), 0);
    }

    #[test]
    fn connections_do_not_wait_for_each_other() {
        let mut order = ConnectionOrder::default();
        assert!(order.admit(start(1, 1, Command::Get)).is_some());
        assert!(order.admit(start(2, 1, Command::Delete)).is_some());
    }
}
