//! What travels at a time from one shard to one peer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PeerMessage;
use crate::causality::Epoch;
use crate::ids::PartitionId;
use crate::membership::LayoutEpoch;
use crate::time::Hlc;

/// What one shard sends to one peer at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The sender's layout.
    pub layout: LayoutEpoch,
    /// The sender's start. Answers carry it back where they must not outlive it.
    pub epoch: Epoch,
    /// The sender's hybrid logical clock.
    pub clock: Hlc,
    /// At most [`crate::limits::MESSAGES_PER_FRAME_MAX`].
    pub messages: Vec<Addressed>,
}

/// A message and the partition whose shard it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressed {
    /// For routing within the receiving node.
    pub partition: PartitionId,
    /// Number of the layout under which it was said. A message that waited for the disk leaves in a frame of a younger one;
    /// 0: an older program, which knows no changes of the layout.
    #[serde(default)]
    pub layout: u64,
    /// What is said.
    pub message: PeerMessage,
}

impl Frame {
    /// One frame per shard of the receiver that it has messages for, by the number of the shard, of `shards`. What
    /// concerns the whole node goes to each.
    pub fn by_shard(self, shards: usize) -> Vec<(usize, Frame)> {
        if shards <= 1 {
            return vec![(0, self)];
        }
        let mut parts: BTreeMap<usize, Vec<Addressed>> = BTreeMap::new();
        for message in self.messages {
            if matches!(message.message, PeerMessage::Challenge(_)) {
                for shard in 0..shards {
                    parts.entry(shard).or_default().push(message.clone());
                }
            } else {
                parts.entry(message.partition.shard(shards)).or_default().push(message);
            }
        }
        parts.into_iter().map(|(shard, messages)| (shard, Frame { messages, ..self })).collect()
    }

    /// The answers and the requests of a frame, each in their order; `None` where it has none. Drivers hand a shard the
    /// answers first: they end what is under way, and there is room for them by construction.
    pub fn apart(self) -> (Option<Frame>, Option<Frame>) {
        let (answers, requests): (Vec<_>, Vec<_>) =
            self.messages.into_iter().partition(|addressed| addressed.message.is_answer());
        let some = |messages: Vec<Addressed>| (!messages.is_empty()).then_some(Frame { messages, ..self });
        (some(answers), some(requests))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::peer::{Challenge, Ping};
    use crate::time::WallTime;

    fn ping(partition: u16) -> Addressed {
        Addressed {
            partition: PartitionId(partition),
            layout: 1,
            message: PeerMessage::Ping(Ping { wall: WallTime(1) }),
        }
    }

    fn pong(partition: u16) -> Addressed {
        Addressed {
            partition: PartitionId(partition),
            layout: 1,
            message: PeerMessage::Pong(Ping { wall: WallTime(1) }),
        }
    }

    fn frame(messages: Vec<Addressed>) -> Frame {
        Frame { layout: LayoutEpoch::default(), epoch: Epoch(7), clock: Hlc::default(), messages }
    }

    #[test]
    fn each_shard_gets_the_messages_of_its_partitions_in_order() {
        let parts = frame(vec![ping(3), ping(1), pong(2), ping(4)]).by_shard(3);
        let expected = [(0, frame(vec![ping(3)])), (1, frame(vec![ping(1), ping(4)])), (2, frame(vec![pong(2)]))];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_challenge_reaches_every_shard() {
        let challenge = PeerMessage::Challenge(Challenge { round: 1, rival: None });
        let challenge = Addressed { partition: PartitionId(1), layout: 1, message: challenge };
        let parts = frame(vec![ping(1), challenge.clone()]).by_shard(2);
        assert_eq!(parts, [(0, frame(vec![challenge.clone()])), (1, frame(vec![ping(1), challenge]))]);
    }

    #[test]
    fn a_single_shard_gets_the_frame_as_it_is() {
        let whole = frame(vec![ping(3), pong(2)]);
        assert_eq!(whole.clone().by_shard(1), [(0, whole)]);
    }

    #[test]
    fn answers_and_requests_come_apart_in_their_order() {
        let (answers, requests) = frame(vec![ping(1), pong(2), ping(3), pong(4)]).apart();
        assert_eq!(answers, Some(frame(vec![pong(2), pong(4)])));
        assert_eq!(requests, Some(frame(vec![ping(1), ping(3)])));
        assert_eq!(frame(vec![pong(1)]).apart(), (Some(frame(vec![pong(1)])), None));
    }
}
