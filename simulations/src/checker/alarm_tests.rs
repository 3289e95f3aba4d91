//! Every checker of what clients were told must be able to complain: short histories written by hand, each with one answer
//! that must not be, beside the same with the answer that should have come. A checker that has never failed proves nothing.
//!
//! Those of what stands on disks (`convergence`, `no_debt_left`, `dot_uniqueness`, `forgotten`, `actors_bounded`,
//! `rivals_refuse`) need nodes that go wrong: the mutants make such.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use starling::causality::{ActorId, Epoch, Tenure, Tick};
use starling::config::Durability;
use starling::ids::{CollectionKind, ConnectionId, NodeId};
use starling::message::client::{
    CollectionCommand, Command, ElementChange, ElementWrite, ObservedReply, Options, Outcome, PageReply, Reason,
    ReplicaView, Request, RequestError, Response, SessionWrite, ValueReply, Visible, WriteAck, WriteReply,
};
use starling::time::{Timestamp, WallTime};
use starling::value::Score;

use super::*;
use crate::workload::key;
use crate::workload::readers::FIRST_CONNECTION;
use crate::world::clock::WORLD_START;
use crate::world::history::{History, Op};
use crate::world::options::WorldOptions;

const KEY: &str = "k";

/// A history in the making: one question in each second.
struct Story {
    world: World,
    second: u64,
    connection: ConnectionId,
    options: Options,
}

impl Story {
    fn new() -> Story {
        let world = World::new(WorldOptions::calm(1)).unwrap();
        Story { world, second: 0, connection: ConnectionId(0), options: Options::default() }
    }

    fn owners(&self) -> Vec<NodeId> {
        let ring = self.world.ring();
        ring.owners(ring.partition_of(&key(KEY))).to_vec()
    }

    /// Asks, and is told this at once; a pause of ten seconds follows.
    fn asks(mut self, command: Command, response: Response) -> Story {
        self.second += 10;
        let at = Timestamp(0).after(Duration::from_secs(self.second));
        let number = self.world.history.invoke(Op {
            node: 0,
            connection: self.connection,
            request: Request { key: key(KEY), command, options: self.options.clone() },
            invoked_at: at,
            deadline: Duration::from_secs(2),
            answer: None,
            broken_at: None,
            is_refused: false,
        });
        self.world.history.answer(0, self.connection, History::request_id(number), at, response);
        self
    }

    /// Writes, and is told that so many owners hold it.
    fn writes_to(self, holders: usize, command: Command) -> Story {
        let ack = |node: &NodeId| WriteAck { node: *node, durability: Durability::Fsync, is_owner: true };
        let acks = self.owners().iter().take(holders).map(ack).collect();
        let token = self.options.token.clone();
        let value = Visible::Nothing;
        self.asks(command, Response::Written(WriteReply { value, acks, removed: 0, partial: false, token }))
    }

    fn writes(self, command: Command) -> Story {
        self.writes_to(2, command)
    }

    fn refused(self, command: Command) -> Story {
        let error = RequestError { outcome: Outcome::NotApplied, reason: Reason::Stopping };
        self.asks(command, Response::Failed(error))
    }

    fn reads(self, value: Visible) -> Story {
        let answered = self.owners().into_iter().take(2).collect();
        let token = self.options.token.clone();
        let reply = ValueReply { value, partial: false, conflict: false, answered, stale_ms: None, token };
        self.asks(Command::Get, Response::Value(reply))
    }

    fn observes(self, command: Command, value: Visible, context: &'static str) -> Story {
        let reply = ObservedReply { value, context: context.into(), partial: false, token: None };
        self.asks(command, Response::Observed(reply))
    }

    fn with_token(mut self) -> Story {
        self.connection = ConnectionId(FIRST_CONNECTION);
        self.options.token = Some(Bytes::from_static(b"token"));
        self
    }

    fn rests(mut self) -> Story {
        self.world.history.begin_rest();
        self
    }

    /// At rest, an owner by itself shows this; of a counter its sum.
    fn owner_shows(self, value: Visible) -> Story {
        let counter = match &value {
            Visible::Integer { value, .. } => value.to_string(),
            _ => "0".to_owned(),
        };
        let view = ReplicaView {
            node: self.owners()[0],
            is_owner: true,
            is_newborn: false,
            value,
            counter,
            seen: Default::default(),
            owes: Vec::new(),
            state_hash: String::new(),
            compared_elements: 0,
            leaves_out_elements: false,
            compacted: Tick(0),
            folded: Tick(0),
        };
        self.asks(Command::Inspect, Response::Inspected(view))
    }

    fn lists(self, kind: CollectionKind, elements: &[(&'static str, Visible)]) -> Story {
        let elements: Vec<_> = elements.iter().map(|(name, value)| (Bytes::from(*name), value.clone())).collect();
        let size = elements.len() as u64;
        let token = self.options.token.clone();
        let page = PageReply { elements, conflicts: Vec::new(), next: None, size, partial: false, token };
        let command = CollectionCommand::Page { after: None, count: 9 };
        self.asks(Command::Collection { kind, command }, Response::Page(page))
    }

    /// The checkers that complain.
    fn alarms(mut self) -> BTreeSet<&'static str> {
        self.world.run_for(Duration::from_secs(self.second + 100));
        // Nothing of this was ever sent, so what stands on disks is judged elsewhere.
        let told: [Checker; 18] = [
            counter_bounds::check,
            no_lost_ack::check,
            exactly_once::check,
            sets::check,
            maps::check,
            sorted_sets::check,
            siblings::check,
            flags::check,
            sketches::check,
            expiry::check,
            begun_anew::check,
            reads_see_acks::check,
            honest_answers::check,
            quorums_met::check,
            rivals_refuse::check,
            tokens::check,
            dot_uniqueness::check,
            no_debt_left::check,
        ];
        let evidence = Evidence::of(&self.world);
        told.iter().flat_map(|check| check(&evidence)).map(|violation| violation.checker).collect()
    }
}

/// The story with its right end raises no alarm, and with each wrong one this checker's.
fn check_alarm(checker: &'static str, story: impl Fn(Story) -> Story, right: Visible, wrong: &[Visible]) {
    let tell = |value: &Visible| story(Story::new()).rests().reads(value.clone()).owner_shows(value.clone()).alarms();
    assert_eq!(tell(&right), BTreeSet::new(), "{checker}: {right:?}");
    for value in wrong {
        assert!(tell(value).contains(checker), "{checker} says nothing about {value:?}");
    }
}

fn number(value: i64) -> Visible {
    Visible::Integer { value, saturated: false }
}

fn text(text: &'static str) -> Visible {
    Visible::Text(text.into())
}

fn put(value: &'static str) -> Command {
    Command::Put { value: value.into() }
}

fn flag(on: bool) -> Command {
    Command::SetFlag { on }
}

fn change(kind: CollectionKind, element: &'static str, change: ElementChange) -> Command {
    let changes = vec![ElementWrite { element: element.into(), change }];
    Command::Collection { kind, command: CollectionCommand::Write { changes } }
}

fn step(event: u64, p: u128) -> Command {
    let actor = ActorId { expires: Tick(9), epoch: Epoch(7), tenure: Tenure::SESSION };
    Command::IncrementAs(SessionWrite { actor, event, p, n: 0 })
}

fn expire(second: u64) -> Command {
    Command::Expire { deadline: Some(WallTime(WORLD_START + second * 1_000_000)) }
}

#[test]
fn a_counter_that_lacks_or_doubles_an_acknowledged_increment_is_found() {
    let story = |story: Story| story.writes(Command::Increment { by: 5 }).writes(Command::Increment { by: 7 });
    check_alarm("counter_bounds", story, number(12), &[number(5), number(17), number(0)]);
    check_alarm("reads_see_acks", story, number(12), &[number(5), number(17)]);
}

#[test]
fn a_session_that_counts_never_or_twice_is_found() {
    let story = |story: Story| story.writes(step(1, 5)).writes(step(1, 5)).writes(step(2, 8));
    check_alarm("exactly_once", story, number(8), &[number(13), number(3), number(5), number(16)]);
}

#[test]
fn after_resets_in_doubt_the_last_one_that_is_certain_still_bounds_the_sum() {
    let reset = |context: &'static str| Command::Overwrite { context: context.into(), to: None };
    let unknown = || Response::Failed(RequestError { outcome: Outcome::Unknown, reason: Reason::Stopping });
    let story = |story: Story| {
        let seen = story.writes(step(1, 5)).observes(Command::Observe, number(5), "one").asks(reset("one"), unknown());
        let seen = seen.writes(step(2, 9)).observes(Command::Observe, number(4), "two").writes(reset("two"));
        seen.writes(Command::Increment { by: 3 }).writes(step(3, 16))
    };
    check_alarm("exactly_once", story, number(10), &[number(19), number(14), number(7), number(3)]);
}

#[test]
fn a_text_that_is_lost_or_that_nobody_put_is_found() {
    let story = |story: Story| story.writes(put("text 1")).writes(put("text 2"));
    check_alarm("no_lost_ack", story, text("text 2"), &[text("text 1"), Visible::Nothing, text("text 3")]);
    let story = |story: Story| story.writes(put("text 1")).refused(put("text 2"));
    check_alarm("honest_answers", story, text("text 1"), &[text("text 2")]);
}

#[test]
fn a_flag_on_the_wrong_side_is_found() {
    check_alarm("flags", |story| story.writes(flag(true)), Visible::Flag, &[Visible::Nothing]);
    let story = |story: Story| story.writes(flag(true)).writes(flag(false));
    check_alarm("flags", story, Visible::Nothing, &[Visible::Flag]);
}

#[test]
fn a_sketch_that_is_far_off_is_found() {
    let items = |from: u64| (from..from + 200).map(|item| Bytes::from(format!("item {item}"))).collect();
    let story = |story: Story| {
        story.writes(Command::AddToSketch { items: items(0) }).writes(Command::AddToSketch { items: items(200) })
    };
    check_alarm("sketches", story, Visible::Estimate(401), &[Visible::Estimate(205), Visible::Estimate(600)]);
}

#[test]
fn members_fields_and_scores_that_should_not_be_or_lack_are_found() {
    let ends = |kind, story: &dyn Fn(Story) -> Story, shown: &[(&'static str, Visible)]| {
        story(Story::new()).rests().lists(kind, shown).alarms()
    };
    let set = CollectionKind::Set;
    let story = |story: Story| {
        story.writes(change(set, "a", ElementChange::Add)).writes(change(set, "b", ElementChange::Add)).writes(change(
            set,
            "a",
            ElementChange::Remove,
        ))
    };
    assert_eq!(ends(set, &story, &[("b", Visible::Member)]), BTreeSet::new());
    for wrong in [&[][..], &[("a", Visible::Member), ("b", Visible::Member)]] {
        assert_eq!(ends(set, &story, wrong), ["sets"].into(), "{wrong:?}");
    }
    let map = CollectionKind::Map;
    let story = |story: Story| {
        let counted = story.writes(change(map, "c", ElementChange::Increment(5)));
        counted.writes(change(map, "t", ElementChange::Put("text 1".into())))
    };
    assert_eq!(ends(map, &story, &[("c", number(5)), ("t", text("text 1"))]), BTreeSet::new());
    for wrong in [[("c", number(6)), ("t", text("text 1"))], [("c", number(5)), ("t", text("text 2"))]] {
        assert_eq!(ends(map, &story, &wrong), ["maps"].into(), "{wrong:?}");
    }
    let sorted = CollectionKind::SortedSet;
    let score = |value: f64| Visible::Score(Score::new(value).unwrap());
    let story = |story: Story| {
        let given = story.writes(change(sorted, "s", ElementChange::Score(1.5_f64.to_bits())));
        let added = given.writes(change(sorted, "a", ElementChange::AddToScore(1.0_f64.to_bits())));
        added.writes(change(sorted, "a", ElementChange::AddToScore(2.0_f64.to_bits())))
    };
    // An addition may have missed the one before, and overwrite it.
    for right in [3.0, 2.0] {
        assert_eq!(ends(sorted, &story, &[("a", score(right)), ("s", score(1.5))]), BTreeSet::new(), "{right}");
    }
    for (added, given) in [(1.0, 1.5), (4.0, 1.5), (3.0, 2.5)] {
        let wrong = [("a", score(added)), ("s", score(given))];
        assert_eq!(ends(sorted, &story, &wrong), ["sorted_sets"].into(), "{wrong:?}");
    }
}

#[test]
fn a_sibling_that_is_lost_or_was_replaced_is_found() {
    let both = Visible::Siblings(vec!["a".into(), "b".into()]);
    let sibling = |value: &'static str, context: Option<&'static str>| Command::PutSibling {
        value: value.into(),
        context: context.map(Bytes::from),
    };
    let tell = |shown: &[&'static str]| {
        let shown = Visible::Siblings(shown.iter().map(|value| Bytes::from(*value)).collect());
        let put = Story::new().writes(sibling("a", None)).writes(sibling("b", None));
        let seen = put.observes(Command::Siblings, both.clone(), "both").writes(sibling("c", Some("both")));
        seen.writes(sibling("d", None)).rests().observes(Command::Siblings, shown, "end").alarms()
    };
    assert_eq!(tell(&["c", "d"]), BTreeSet::new());
    for wrong in [&["c"][..], &["a", "c", "d"], &["c", "d", "e"], &[]] {
        assert_eq!(tell(wrong), ["siblings"].into(), "{wrong:?}");
    }
}

#[test]
fn what_outlives_its_deadline_or_goes_with_an_old_one_is_found() {
    let story = |story: Story| story.writes(flag(true)).writes_to(3, expire(40));
    check_alarm("begun_anew", story, Visible::Nothing, &[Visible::Flag]);
    let story = |story: Story| {
        let emptied = story.writes(flag(true)).writes_to(3, expire(100)).writes_to(3, flag(false));
        emptied.writes(flag(true))
    };
    check_alarm("begun_anew", story, Visible::Flag, &[Visible::Nothing]);
    let story = |story: Story| {
        let counted = story.writes(Command::Increment { by: 5 }).writes_to(3, expire(100));
        let reset = Command::Overwrite { context: "seen".into(), to: None };
        let emptied = counted.observes(Command::Observe, number(5), "seen").writes_to(3, reset);
        emptied.writes(Command::Increment { by: 7 })
    };
    check_alarm("begun_anew", story, number(7), &[Visible::Nothing, number(12)]);
    let story = |story: Story| story.writes(put("text 1")).writes(expire(40));
    check_alarm("expiry", story, Visible::Nothing, &[text("text 1")]);
}

#[test]
fn a_quorum_that_was_not_met_is_found() {
    let tell = |holders| Story::new().writes_to(holders, put("text 1")).alarms();
    assert_eq!(tell(2), BTreeSet::new());
    assert_eq!(tell(1), ["quorums_met"].into());
    let mut story = Story::new();
    story.options.w = Some(1);
    let ack = WriteAck { node: story.owners()[0], durability: Durability::Fsync, is_owner: false };
    let reply = WriteReply { value: Visible::Nothing, acks: vec![ack], removed: 0, partial: false, token: None };
    assert_eq!(story.asks(put("text 1"), Response::Written(reply)).alarms(), ["quorums_met"].into());
    let reply = WriteReply { value: Visible::Nothing, acks: Vec::new(), removed: 3, partial: false, token: None };
    assert_eq!(Story::new().asks(Command::Delete, Response::Written(reply)).alarms(), ["quorums_met"].into());
}

#[test]
fn a_session_that_is_shown_less_than_it_wrote_or_saw_is_found() {
    let session = || Story::new().with_token();
    let counted = || session().writes(Command::Increment { by: 5 });
    assert!(!counted().reads(number(5)).alarms().contains("tokens"));
    assert!(counted().reads(number(4)).alarms().contains("tokens"));
    assert!(counted().reads(number(9)).reads(number(5)).alarms().contains("tokens"));
    let written = || session().writes(put("text 1")).writes(put("text 2"));
    assert!(!written().reads(text("text 2")).alarms().contains("tokens"));
    for wrong in [text("text 1"), Visible::Nothing] {
        assert!(written().reads(wrong).alarms().contains("tokens"));
    }
    assert!(!session().writes(flag(true)).reads(Visible::Flag).alarms().contains("tokens"));
    assert!(session().writes(flag(true)).reads(Visible::Nothing).alarms().contains("tokens"));
    assert!(session().reads(Visible::Flag).reads(Visible::Nothing).alarms().contains("tokens"));
    let has = |story: Story, members: &[&'static str]| {
        let elements = members.iter().map(|member| (Bytes::from(*member), Visible::Member)).collect();
        let token = story.options.token.clone();
        let page = PageReply { elements, conflicts: Vec::new(), next: None, size: 1, partial: false, token };
        let read = CollectionCommand::Read { elements: vec!["m".into()] };
        story.asks(Command::Collection { kind: CollectionKind::Set, command: read }, Response::Page(page))
    };
    let added = || session().writes(change(CollectionKind::Set, "m", ElementChange::Add));
    assert!(!has(added(), &["m"]).alarms().contains("tokens"));
    assert!(has(added(), &[]).alarms().contains("tokens"));
    assert!(has(has(session(), &["m"]), &[]).alarms().contains("tokens"));
    let without = session().writes(put("text 1"));
    let untold = ValueReply {
        value: text("text 1"),
        partial: false,
        conflict: false,
        answered: Vec::new(),
        stale_ms: None,
        token: None,
    };
    assert!(without.asks(Command::Get, Response::Value(untold)).alarms().contains("tokens"));
}
