//! Reads a peer's frames from one stream and hands them to the router, in order.
//!
//! The router never waits: it drops the requests for which a shard has no room, because answers may stand behind them
//! in the same stream. A drill may drop frames here or hold them back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use starling::causality::Epoch;
use starling::ids::NodeId;
use starling::message::peer::Frame;
use tokio::io::AsyncRead;
use tokio::time::Instant;

use super::faults::{Faults, Verdict, Way};
use super::frames::{EnvelopeReader, ReadError};
use super::inbound::Inbound;

/// Frames held back by a drill; at the bound nothing more is read.
const HELD_MAX: usize = 4096;

/// Receives until the stream ends. `heard` is told the start that each frame names, also of those that a drill drops.
pub(super) async fn run<I: Inbound, R: AsyncRead + Unpin>(
    mut reader: EnvelopeReader<R>,
    from: NodeId,
    inbound: I,
    faults: Arc<Faults>,
    mut heard: impl FnMut(Epoch),
) -> Result<(), ReadError> {
    let mut held: VecDeque<(Instant, Frame)> = VecDeque::new();
    let mut is_ended = false;
    loop {
        let front_due = held.front().map(|(due, _)| *due);
        let frame = match front_due {
            None if is_ended => return Ok(()),
            None => reader.next::<Frame>().await?,
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(due) => {
                    if let Some((_, frame)) = held.pop_front() {
                        inbound.peer_frame(from, frame);
                    }
                    continue;
                }
                frame = reader.next::<Frame>(), if held.len() < HELD_MAX && !is_ended => frame?,
            },
        };
        let Some(frame) = frame else {
            is_ended = true;
            continue;
        };
        heard(frame.epoch);
        let delay = match faults.judge(from, Way::In) {
            Verdict::Drop => continue,
            Verdict::Pass => Duration::ZERO,
            Verdict::Delay(delay) => delay,
        };
        if held.is_empty() && delay.is_zero() {
            inbound.peer_frame(from, frame);
        } else {
            held.push_back((Instant::now() + delay, frame));
        }
    }
}

#[cfg(test)]
mod tests {
    use starling::message::client::{Direction, FaultPlan, LinkFault};
    use starling::message::codec;
    use tokio::io::AsyncWriteExt;

    use super::super::testing::{Recorder, frame, layout, number};
    use super::*;

    const PEER: NodeId = NodeId(2);

    fn faults(drop_per_mille: u16, delay_ms: u32) -> Arc<Faults> {
        let faults = Faults::new(NodeId(1), true);
        let link = LinkFault { peer: PEER, direction: Direction::Inbound, drop_per_mille, delay_ms };
        faults.set(&FaultPlan { links: vec![link], for_ms: 600_000 }, &layout(3), Instant::now()).unwrap();
        Arc::new(faults)
    }

    /// What arrives of ten frames, and after how many milliseconds each.
    async fn arrivals(faults: Arc<Faults>, heal_after: Option<usize>) -> Vec<(u64, u128)> {
        let (mut near, far) = tokio::io::duplex(1024 * 1024);
        let reader = EnvelopeReader::new(far, 1024, Duration::from_secs(600));
        let (recorder, mut frames) = Recorder::new();
        let begun = Instant::now();
        let receiving = tokio::spawn(run(reader, PEER, recorder, Arc::clone(&faults), |_| {}));
        for index in 0..10 {
            let mut bytes = Vec::new();
            codec::encode(&frame(index), &mut bytes).unwrap();
            near.write_all(&bytes).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            if heal_after == Some(usize::try_from(index).unwrap()) {
                faults.set(&FaultPlan::default(), &layout(3), Instant::now()).unwrap();
            }
        }
        drop(near);
        let mut seen = Vec::new();
        while let Some((from, frame)) = frames.recv().await {
            assert_eq!(from, PEER);
            seen.push((number(&frame), begun.elapsed().as_millis()));
        }
        receiving.await.unwrap().unwrap();
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_link_delivers_nothing_until_it_is_healed() {
        let seen = arrivals(faults(1000, 0), Some(4)).await;
        assert_eq!(seen.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_frames_come_late_in_order_and_the_delay_does_not_add_up() {
        let seen = arrivals(faults(0, 500), None).await;
        for (index, (number, after_ms)) in seen.iter().enumerate() {
            assert_eq!(*number, index as u64);
            let expected = 500 + 10 * u128::from(*number);
            assert!((expected..expected + 5).contains(after_ms), "frame {number} after {after_ms} ms");
        }
        assert_eq!(seen.len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_behind_a_delayed_one_do_not_overtake_it_after_the_heal() {
        let seen = arrivals(faults(0, 500), Some(4)).await;
        assert_eq!(seen.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..10).collect::<Vec<u64>>());
    }
}
