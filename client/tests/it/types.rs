//! Every type: what its calls send, and what they make of answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use starling::ids::NodeId;
use starling::message::client::{
    AnswerBody, CallBody, CollectionCommand, CollectionKind, Command, ElementChange, ElementWrite, ObservedReply,
    Options, Outcome, PageReply, Reason, Response, Visible,
};
use starling::time::WallTime;
use starling::value::Score;
use starling_client::Error;

use crate::cluster::{TestCluster, key};
use crate::fake_node::{FakeNode, Reaction, commands, obliging, refused, written};

pub fn of(kind: CollectionKind, command: CollectionCommand) -> Command {
    Command::Collection { kind, command }
}

pub fn changes(changes: &[(&'static str, ElementChange)]) -> CollectionCommand {
    let write = |(element, change): &(&'static str, ElementChange)| ElementWrite {
        element: Bytes::from(*element),
        change: change.clone(),
    };
    CollectionCommand::Write { changes: changes.iter().map(write).collect() }
}

pub fn score(value: f64) -> Visible {
    Visible::Score(Score::new(value).unwrap())
}

/// A node that keeps one collection and serves it in pages of two; a field named `torn` is in conflict.
pub fn collection(elements: Vec<(&'static str, Visible)>) -> impl Fn(&CallBody) -> Reaction + Send + Sync {
    let elements: Vec<(Bytes, Visible)> =
        elements.into_iter().map(|(element, value)| (Bytes::from(element), value)).collect();
    move |body| {
        let CallBody::Key(request) = body else { return obliging(body) };
        let Command::Collection { command, .. } = &request.command else { return obliging(body) };
        let size = elements.len() as u64;
        let page = |elements: Vec<(Bytes, Visible)>, next: Option<Bytes>| {
            let torn = elements.iter().filter(|(element, _)| element == "torn");
            let conflicts = torn.map(|(element, _)| element.clone()).collect();
            Reaction::Answer(AnswerBody::Key(Response::Page(PageReply {
                elements,
                conflicts,
                next,
                size,
                partial: false,
                token: None,
            })))
        };
        match command {
            CollectionCommand::Write { .. } => Reaction::Answer(written(size as i64)),
            CollectionCommand::Size => page(Vec::new(), None),
            CollectionCommand::Read { elements: wanted } => {
                page(elements.iter().filter(|(element, _)| wanted.contains(element)).cloned().collect(), None)
            }
            CollectionCommand::Page { after, count } => {
                let rest = elements.iter().filter(|(element, _)| Some(element) > after.as_ref());
                let shown = rest.clone().take(usize::from(*count).min(2)).cloned().collect::<Vec<_>>();
                let next = (rest.count() > shown.len()).then(|| shown.last().unwrap().0.clone());
                page(shown, next)
            }
        }
    }
}

fn names(members: &[Bytes]) -> Vec<&str> {
    members.iter().map(|member| std::str::from_utf8(member).unwrap()).collect()
}

#[tokio::test]
async fn sets_change_read_and_page() {
    let mut cluster = TestCluster::new(1);
    let members = vec![("a", Visible::Member), ("b", Visible::Member), ("c", Visible::Member)];
    let node = FakeNode::start(&mut cluster, NodeId(1), collection(members));
    let client = cluster.client();
    let tags = client.set(&key("tags"), &Options::default());
    tags.add([Bytes::from("x"), Bytes::from("y")]).await.unwrap();
    tags.remove([Bytes::from("x")]).await.unwrap();
    assert!(tags.contains(Bytes::from("b")).await.unwrap() && !tags.contains(Bytes::from("z")).await.unwrap());
    assert_eq!(tags.size().await.unwrap(), 3);
    let sent = commands(&node);
    let written = [
        of(CollectionKind::Set, changes(&[("x", ElementChange::Add), ("y", ElementChange::Add)])),
        of(CollectionKind::Set, changes(&[("x", ElementChange::Remove)])),
    ];
    assert_eq!(sent[..2], written);
    let mut pages = tags.pages(100);
    assert_eq!(names(&pages.next_page().await.unwrap().unwrap()), ["a", "b"]);
    assert_eq!(names(&pages.next_page().await.unwrap().unwrap()), ["c"]);
    assert_eq!(pages.next_page().await.unwrap(), None);
    assert_eq!(pages.next_page().await.unwrap(), None, "the end stays the end");
    assert!(!pages.is_partial());
}

#[tokio::test]
async fn a_page_that_failed_can_be_asked_for_again() {
    let mut cluster = TestCluster::new(1);
    let (serve, turn) =
        (collection(vec![("a", Visible::Member), ("b", Visible::Member), ("c", Visible::Member)]), AtomicUsize::new(0));
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |body| match turn.fetch_add(1, Ordering::Relaxed) {
        1 => Reaction::Answer(refused(Outcome::NotApplied, Reason::Busy { queue: "test".into() })),
        _ => serve(body),
    });
    let client = cluster.client();
    let mut pages = client.set(&key("tags"), &Options::default()).pages(2);
    assert_eq!(names(&pages.next_page().await.unwrap().unwrap()), ["a", "b"]);
    assert!(pages.next_page().await.is_err());
    assert_eq!(names(&pages.next_page().await.unwrap().unwrap()), ["c"]);
}

#[tokio::test]
async fn a_page_that_leads_nowhere_ends_the_iteration() {
    let mut cluster = TestCluster::new(1);
    let page = PageReply {
        elements: Vec::new(),
        conflicts: Vec::new(),
        next: Some(Bytes::from("a")),
        size: 9,
        partial: true,
        token: None,
    };
    let node = FakeNode::start(&mut cluster, NodeId(1), move |_| {
        Reaction::Answer(AnswerBody::Key(Response::Page(page.clone())))
    });
    let client = cluster.client();
    let mut pages = client.set(&key("tags"), &Options::default()).pages(2);
    while pages.next_page().await.unwrap().is_some() {}
    assert!(node.calls().len() <= 3 && pages.is_partial());
}

#[tokio::test]
async fn maps_hold_values_and_numbers() {
    let mut cluster = TestCluster::new(1);
    let number = Visible::Integer { value: 7, saturated: false };
    let fields = vec![("age", number.clone()), ("name", Visible::Text(Bytes::from("Ann")))];
    let node = FakeNode::start(&mut cluster, NodeId(1), collection(fields));
    let client = cluster.client();
    let user = client.map(&key("user"), &Options::default());
    user.put([(Bytes::from("name"), Bytes::from("Ann"))]).await.unwrap();
    user.increment(Bytes::from("age"), -2).await.unwrap();
    user.remove([Bytes::from("city")]).await.unwrap();
    let written = [
        of(CollectionKind::Map, changes(&[("name", ElementChange::Put(Bytes::from("Ann")))])),
        of(CollectionKind::Map, changes(&[("age", ElementChange::Increment(-2))])),
        of(CollectionKind::Map, changes(&[("city", ElementChange::Remove)])),
    ];
    assert_eq!(commands(&node), written);
    assert_eq!(user.get(Bytes::from("age")).await.unwrap(), Some(number));
    assert_eq!(user.get(Bytes::from("city")).await.unwrap(), None);
    assert_eq!(user.get_all([Bytes::from("age"), Bytes::from("name")]).await.unwrap().len(), 2);
    assert_eq!(user.pages(9).next_page().await.unwrap().unwrap().len(), 2);
    assert_eq!(user.size().await.unwrap(), 2);
}

#[tokio::test]
async fn sorted_sets_hold_finite_scores() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), collection(vec![("ann", score(10.0)), ("bob", score(-7.5))]));
    let client = cluster.client();
    let board = client.sorted_set(&key("board"), &Options::default());
    board.add([(Bytes::from("ann"), 10.0)]).await.unwrap();
    board.increment(Bytes::from("bob"), -0.5).await.unwrap();
    board.remove([Bytes::from("eve")]).await.unwrap();
    let written = [
        of(CollectionKind::SortedSet, changes(&[("ann", ElementChange::Score(10f64.to_bits()))])),
        of(CollectionKind::SortedSet, changes(&[("bob", ElementChange::AddToScore((-0.5f64).to_bits()))])),
        of(CollectionKind::SortedSet, changes(&[("eve", ElementChange::Remove)])),
    ];
    assert_eq!(commands(&node), written);
    assert_eq!(board.score(Bytes::from("bob")).await.unwrap(), Some(-7.5));
    assert_eq!(board.score(Bytes::from("eve")).await.unwrap(), None);
    let page = board.pages(9).next_page().await.unwrap().unwrap();
    assert_eq!(page, [(Bytes::from("ann"), 10.0), (Bytes::from("bob"), -7.5)]);
    let before = node.calls().len();
    for wrong in [f64::NAN, f64::INFINITY] {
        let error = board.add([(Bytes::from("x"), wrong)]).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid { error } if error.reason == Reason::NotFinite), "{error:?}");
        assert!(board.increment(Bytes::from("x"), wrong).await.is_err());
    }
    assert_eq!(node.calls().len(), before, "nothing was sent");
}

#[tokio::test]
async fn too_many_elements_are_refused_before_they_are_sent() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let client = cluster.client();
    let many = (0..513).map(|number: u32| Bytes::from(number.to_string())).collect::<Vec<_>>();
    let error = client.set(&key("k"), &Options::default()).add(many.clone()).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("too_many", Outcome::NotApplied));
    assert_eq!(client.add_to_sketch(&key("k"), many, &Options::default()).await.unwrap_err().code(), "too_many");
    let large = (0..40).map(|number: u32| (Bytes::from(number.to_string()), Bytes::from(vec![b'x'; 1 << 20])));
    let started = Instant::now();
    let error = client.map(&key("k"), &Options::default()).put(large).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("command_too_large", Outcome::NotApplied));
    assert!(started.elapsed() < Duration::from_secs(1), "it is not tried until the deadline");
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn flags_sketches_siblings_and_deadlines_send_what_they_say() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let (client, k, options) = (cluster.client(), key("k"), Options::default());
    client.set_flag(&k, true, &options).await.unwrap();
    client.set_flag(&k, false, &options).await.unwrap();
    client.add_to_sketch(&k, vec![Bytes::from("x")], &options).await.unwrap();
    client.put_sibling(&k, Bytes::from("v"), Some(Bytes::from("seen")), &options).await.unwrap();
    client.expire_at(&k, WallTime(17), &options).await.unwrap();
    client.persist(&k, &options).await.unwrap();
    let sent = [
        Command::SetFlag { on: true },
        Command::SetFlag { on: false },
        Command::AddToSketch { items: vec![Bytes::from("x")] },
        Command::PutSibling { value: Bytes::from("v"), context: Some(Bytes::from("seen")) },
        Command::Expire { deadline: Some(WallTime(17)) },
        Command::Expire { deadline: None },
    ];
    assert_eq!(commands(&node), sent);
}

/// A node whose first overwrite is applied and not answered; shared by the nodes of a test.
pub fn two_steps(body: &CallBody) -> Reaction {
    match body {
        CallBody::Key(request) if request.command == Command::Observe => {
            let observed = ObservedReply {
                value: Visible::Integer { value: 5, saturated: false },
                context: Bytes::from("what was seen"),
                partial: true,
                token: None,
            };
            Reaction::Answer(AnswerBody::Key(Response::Observed(observed)))
        }
        other => obliging(other),
    }
}

#[tokio::test]
async fn a_reset_is_retried_through_another_node_with_the_same_context() {
    let mut cluster = TestCluster::new(2);
    let k = key("k");
    let order = cluster.preference(&k);
    let first = FakeNode::start(&mut cluster, order[0], |body| match body {
        CallBody::Key(request) if matches!(request.command, Command::Overwrite { .. }) => Reaction::Close("gone"),
        other => two_steps(other),
    });
    let second = FakeNode::start(&mut cluster, order[1], two_steps);
    let client = cluster.client();
    let reply = client.reset(&k, &Options::default()).await.unwrap();
    assert!(reply.partial, "what was observed was partial");
    let step = Command::Overwrite { context: Bytes::from("what was seen"), to: None };
    assert_eq!((commands(&first).last(), commands(&second).last()), (Some(&step), Some(&step)));
    client.set_to(&k, -4, &Options::default()).await.unwrap();
    let step = Command::Overwrite { context: Bytes::from("what was seen"), to: Some(-4) };
    assert_eq!(commands(&second).last(), Some(&step));
}

#[tokio::test]
async fn a_reset_without_an_answer_is_unknown() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), |body| match body {
        CallBody::Key(request) if matches!(request.command, Command::Overwrite { .. }) => Reaction::Silence,
        other => two_steps(other),
    });
    let options = Options { deadline_ms: Some(300), ..Options::default() };
    let error = cluster.client().reset(&key("k"), &options).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
}

#[tokio::test]
async fn a_reset_of_a_text_is_refused_after_its_first_step() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), |_| {
        let value = Visible::Text(Bytes::from("hello"));
        let observed = ObservedReply { value, context: Bytes::from("seen"), partial: false, token: None };
        Reaction::Answer(AnswerBody::Key(Response::Observed(observed)))
    });
    let error = cluster.client().reset(&key("k"), &Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("not an integer"), "{error}");
    assert_eq!(commands(&node), [Command::Observe]);
}
