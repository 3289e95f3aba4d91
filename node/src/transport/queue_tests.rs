//! A peer's queue: order, bounds, classes, and what comes back when it is full, cut or shut.

use std::time::Duration;

use bytes::Bytes;
use starling::ids::OpId;
use starling::message::peer::{PeerMessage, ReadAnswer, Shown};

use super::super::testing::{frame, frame_of, number};
use super::*;

fn heavy(bytes: usize) -> Frame {
    let main = Bytes::from(vec![7; bytes]);
    let outcome = Ok(Shown {
        main,
        beside: Bytes::new(),
        rows: Vec::new(),
        until: None,
        settled: Default::default(),
        folded: Default::default(),
        exchanged: Vec::new(),
    });
    frame_of(vec![PeerMessage::ReadAnswer(ReadAnswer { op: OpId(1), epoch: Default::default(), outcome })])
}

fn numbers(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(number).collect()
}

#[tokio::test]
async fn frames_that_wait_go_together_and_in_order() {
    let queue = SendQueue::new(1000, 1_000_000);
    for index in 0..300 {
        queue.push(frame(index), None).unwrap();
    }
    let mut taken = queue.batch(Lane::Small).await;
    assert_eq!(taken.len(), BATCH_FRAMES_MAX);
    taken.extend(queue.batch(Lane::Small).await);
    assert_eq!(numbers(&taken), (0..300).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_full_queue_gives_the_frame_back() {
    let queue = SendQueue::new(2, 1_000_000);
    queue.push(frame(1), None).unwrap();
    queue.push(frame(2), None).unwrap();
    assert_eq!(queue.push(frame(3), None), Err(NotSent { frame: frame(3), why: WhyNotSent::QueueFull }));
    assert_eq!(numbers(&queue.batch(Lane::Small).await), [1, 2]);
    queue.push(frame(3), None).unwrap();
}

#[tokio::test]
async fn bytes_are_bounded_too_but_one_frame_always_fits() {
    let queue = SendQueue::new(1000, 100_000);
    queue.push(heavy(500_000), None).unwrap();
    assert_eq!(queue.push(frame(1), None).unwrap_err().why, WhyNotSent::QueueFull);
    assert_eq!(queue.batch(Lane::Bulk).await, [heavy(500_000)]);
    queue.push(frame(1), None).unwrap();
}

#[tokio::test]
async fn a_bulk_frame_does_not_hold_up_small_ones() {
    let queue = SendQueue::new(1000, 10_000_000);
    queue.push(heavy(500_000), None).unwrap();
    queue.push(frame(1), None).unwrap();
    assert_eq!(numbers(&queue.batch(Lane::Small).await), [1]);
    assert_eq!(queue.batch(Lane::Bulk).await.len(), 1);
}

#[tokio::test]
async fn a_shut_queue_refuses_and_gives_out_what_waited() {
    let queue = SendQueue::new(1000, 1_000_000);
    queue.push(frame(1), None).unwrap();
    queue.push(heavy(100_000), None).unwrap();
    assert_eq!(queue.shut(), Some(vec![frame(1), heavy(100_000)]));
    assert_eq!(queue.shut(), None, "it is told once");
    assert_eq!(queue.push(frame(2), None).unwrap_err().why, WhyNotSent::Unreachable);
    queue.open();
    queue.push(frame(3), None).unwrap();
    assert_eq!(numbers(&queue.batch(Lane::Small).await), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_frame_keeps_its_place() {
    let queue = SendQueue::new(1000, 1_000_000);
    let begun = Instant::now();
    queue.push(frame(1), Some(begun + Duration::from_secs(5))).unwrap();
    queue.push(frame(2), None).unwrap();
    assert_eq!(numbers(&queue.batch(Lane::Small).await), [1, 2]);
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_waiting_writer_is_woken() {
    let queue = std::sync::Arc::new(SendQueue::new(1000, 1_000_000));
    let writer = tokio::spawn({
        let queue = std::sync::Arc::clone(&queue);
        async move { queue.batch(Lane::Small).await }
    });
    tokio::task::yield_now().await;
    queue.push(frame(9), None).unwrap();
    assert_eq!(numbers(&writer.await.unwrap()), [9]);
}
