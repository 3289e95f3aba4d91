//! Exactly-once increments: whatever becomes of answers, an increment counts once or not at all, and its caller is told
//! the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use starling::ids::NodeId;
use starling::message::client::{CallBody, Options, Outcome, Reason};
use starling_client::{Error, SessionConfig};
use tokio::task::JoinSet;

use crate::cluster::{TestCluster, key};
use crate::fake_node::{Counters, FakeNode, Reaction, events, is_event, obliging, refused, terms, told, within};

#[tokio::test]
async fn increments_are_cumulative_events_of_one_session() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| served.serve(body));
    let client = cluster.client();
    for by in [5, -2, 10] {
        client.increment(&key("k"), by, &Options::default()).await.unwrap();
    }
    client.decrement(&key("k"), 1, &Options::default()).await.unwrap();
    let totals = events(&node).iter().map(|write| (write.event, write.p, write.n)).collect::<Vec<_>>();
    assert_eq!(totals, [(1, 5, 0), (2, 5, 2), (3, 15, 2), (4, 15, 3)]);
    assert!(events(&node).iter().all(|write| write.actor.is_session() && write.actor == events(&node)[0].actor));
    assert_eq!(node.calls().len(), 5, "one question for the terms");
    assert_eq!(counters.value(&key("k")), 12);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_through_another_node_and_counts_once() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let counters = Counters::default();
    let served = counters.clone();
    // The first owner applies it and is lost before it can say so.
    let first = FakeNode::start(&mut cluster, order[0], move |body| match served.serve(body) {
        _ if is_event(body) => Reaction::Close("out of order"),
        reaction => reaction,
    });
    let served = counters.clone();
    let second = FakeNode::start(&mut cluster, order[1], move |body| served.serve(body));
    let reply = cluster.client().increment(&likes, 7, &Options::default()).await.unwrap();
    assert_eq!(reply.acks.len(), 1);
    assert_eq!(counters.value(&likes), 7);
    assert_eq!((events(&first).len(), events(&first)), (1, events(&second)));
}

#[tokio::test]
async fn an_increment_without_an_answer_is_in_doubt_and_asked_for_until_it_is_known() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let (served, answers) = (counters.clone(), Arc::new(AtomicBool::new(false)));
    let is_back = answers.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        let reaction = served.serve(body);
        if is_event(body) && !is_back.load(Ordering::Relaxed) { Reaction::Silence } else { reaction }
    });
    let client = cluster.client();
    let started = Instant::now();
    let error = client.increment(&key("k"), 3, &within(300)).await.unwrap_err();
    assert!(matches!(error, Error::InDoubt { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(started.elapsed() < Duration::from_millis(1000), "{:?}", started.elapsed());
    answers.store(true, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(5), client.settled()).await.unwrap();
    assert_eq!(counters.value(&key("k")), 3);
    let sent = events(&node);
    assert!(sent.len() >= 2 && sent.iter().all(|write| *write == sent[0]), "{sent:?}");
    client.increment(&key("k"), 1, &Options::default()).await.unwrap();
    assert_eq!(events(&node).last().unwrap().event, 2);
}

#[tokio::test]
async fn a_refused_increment_is_not_applied_and_the_session_goes_on() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let (served, is_first) = (counters.clone(), AtomicBool::new(true));
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        if is_event(body) && is_first.swap(false, Ordering::Relaxed) {
            return Reaction::Answer(refused(Outcome::NotApplied, Reason::Overflow));
        }
        served.serve(body)
    });
    let client = cluster.client();
    let error = client.increment(&key("k"), i64::MAX, &Options::default()).await.unwrap_err();
    assert_eq!((error.outcome(), error.code()), (Outcome::NotApplied, "overflow"));
    client.increment(&key("k"), 1, &Options::default()).await.unwrap();
    assert_eq!(counters.value(&key("k")), 1);
    assert_eq!(events(&node).iter().map(|write| write.event).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_leaves_it_unknown() {
    let mut cluster = TestCluster::new(2);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let silent = |body: &CallBody| if is_event(body) { Reaction::Close("gone") } else { obliging(body) };
    let _first = FakeNode::start(&mut cluster, order[0], silent);
    let _second = FakeNode::start(&mut cluster, order[1], |body| match is_event(body) {
        true => Reaction::Answer(refused(Outcome::NotApplied, Reason::Overflow)),
        false => obliging(body),
    });
    let error = cluster.client().increment(&likes, 1, &within(600)).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
}

#[tokio::test]
async fn what_comes_while_an_event_is_under_way_shares_the_next() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| match served.serve(body) {
        Reaction::Answer(answer) if is_event(body) => Reaction::Later(Duration::from_millis(150), answer),
        reaction => reaction,
    });
    let client = cluster.client();
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        calls.spawn(async move { client.increment(&key("k"), 1, &Options::default()).await.map(|_| ()) });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(counters.value(&key("k")), 100);
    assert!(events(&node).len() <= 3, "{:?}", events(&node));
}

#[tokio::test]
async fn a_caller_whose_turn_did_not_come_is_told_that_nothing_was_sent() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| match served.serve(body) {
        Reaction::Answer(answer) if is_event(body) => Reaction::Later(Duration::from_millis(1400), answer),
        reaction => reaction,
    });
    let client = cluster.client();
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.increment(&key("k"), 1, &Options::default()).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let error = client.increment(&key("k"), 2, &within(200)).await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
    first.await.unwrap().unwrap();
    client.settled().await;
    assert_eq!((counters.value(&key("k")), events(&node).len()), (1, 1));
}

#[tokio::test]
async fn an_expired_session_is_told_as_over_and_the_next_increment_has_a_new_one() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let (served, is_first) = (counters.clone(), AtomicBool::new(true));
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        if is_event(body) && is_first.swap(false, Ordering::Relaxed) {
            return Reaction::Answer(refused(Outcome::Unknown, Reason::SessionExpired));
        }
        served.serve(body)
    });
    let client = cluster.client();
    let error = client.increment(&key("k"), 1, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::SessionOver { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    client.increment(&key("k"), 4, &Options::default()).await.unwrap();
    let sent = events(&node);
    assert_eq!(sent.len(), 2, "an expired increment is never sent again: {sent:?}");
    assert_ne!(sent[0].actor, sent[1].actor);
    assert_eq!((sent[1].event, sent[1].p), (1, 4));
}

#[tokio::test]
async fn a_session_takes_another_name_before_its_lease_ends() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| match body {
        CallBody::Node(_) => told(1, terms(500_000, 3)),
        other => served.serve(other),
    });
    let client = cluster.client();
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_millis(2500) {
        client.increment(&key("k"), 1, &Options::default()).await.unwrap();
        count += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(counters.value(&key("k")), count);
    let sessions = counters.sessions(&key("k"));
    assert!((3..=10).contains(&sessions), "{sessions}");
    let now_us = terms(1, 1).wall.0;
    let actors = events(&node).iter().map(|write| write.actor.expires.0).collect::<Vec<_>>();
    assert!(actors.is_sorted() && u64::from(*actors.last().unwrap()) * 500_000 > now_us - 500_000);
}

#[tokio::test]
async fn terms_under_which_no_session_can_live_are_refused() {
    let mut cluster = TestCluster::new(1);
    // So many ticks since 1970 do not fit 32 bits.
    let _node = FakeNode::start(&mut cluster, NodeId(1), |_| told(1, terms(1_000, 100)));
    let error = cluster.client().increment(&key("k"), 1, &Options::default()).await.unwrap_err();
    assert!(matches!(&error, Error::NotSent { cause } if cause.contains("tick")), "{error:?}");
}

#[tokio::test]
async fn a_session_that_knows_too_many_keys_takes_another_name() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| served.serve(body));
    let session = cluster.client().session(SessionConfig { keys_max: 2, ..SessionConfig::one_shot() });
    for _ in 0..2 {
        for name in ["a", "b", "c", "d"] {
            session.increment(&key(name), 1, &Options::default()).await.unwrap();
        }
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(counters.value(&key(name)), 2);
    }
    let actors: std::collections::BTreeSet<_> = events(&node).iter().map(|write| write.actor).collect();
    assert_eq!(actors.len(), 4);
}

#[tokio::test]
async fn without_a_node_nothing_is_applied_and_the_session_opens_later() {
    let mut cluster = TestCluster::new(1);
    let client = cluster.client();
    let error = client.increment(&key("k"), 1, &within(300)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let counters = Counters::default();
    let served = counters.clone();
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |body| served.serve(body));
    client.increment(&key("k"), 1, &Options::default()).await.unwrap();
    assert_eq!(counters.value(&key("k")), 1);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_is_never_sent() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| match served.serve(body) {
        Reaction::Answer(answer) if is_event(body) => Reaction::Later(Duration::from_millis(300), answer),
        reaction => reaction,
    });
    let client = cluster.client();
    client.increment(&key("k"), 0, &Options::default()).await.unwrap();
    let options = Options::default();
    let impatient = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let likes = key("k");
        let dropped = client.increment(&likes, 8, &options);
        assert!(tokio::time::timeout(Duration::from_millis(50), dropped).await.is_err());
    };
    let likes = key("k");
    let (first, ()) = tokio::join!(client.increment(&likes, 1, &options), impatient);
    first.unwrap();
    client.settled().await;
    assert_eq!((counters.value(&key("k")), events(&node).len()), (1, 2));
}

#[tokio::test]
async fn pinned_increments_go_to_their_node_alone() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let nodes = [0, 1].map(|at| FakeNode::start(&mut cluster, order[at], obliging));
    cluster.client().on(order[1]).increment(&likes, 1, &Options::default()).await.unwrap();
    assert_eq!((nodes[0].calls().len(), events(&nodes[1]).len()), (0, 1));
}
