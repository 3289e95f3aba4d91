//! The machine against a network that loses, repeats and reorders, and against a cluster that keeps what it was told.

use std::collections::BTreeMap;

use proptest::prelude::*;
use starling::causality::Tick;
use starling::message::client::SessionTerms;

use super::*;

const TICK_US: u64 = 1_000_000;
const GRACE: Duration = Duration::from_secs(2);

fn key(number: u8) -> Key {
    Key::new(vec![b'k', number]).unwrap()
}

fn lease(now: WallTime, random: u64) -> Lease {
    let terms = SessionTerms { tick_us: TICK_US, lease_ticks_max: 100, wall: now };
    Lease::open(&terms, Duration::from_secs(8), random)
}

fn session(keys_max: usize) -> SessionState<u8> {
    SessionState::new(Bounds { keys_max, key_bytes_max: 1000, increments_max: 1000, grace: GRACE })
}

fn opened(keys_max: usize) -> SessionState<u8> {
    let mut session = session(keys_max);
    session.opened(lease(WallTime(0), 1), WallTime(0));
    session
}

#[test]
fn the_first_increment_asks_for_a_lease_and_goes_out_with_it() {
    let mut session = session(10);
    let (_, effects) = session.add(&key(1), 5, 0, WallTime(0)).unwrap();
    assert!(effects.open && effects.sends.is_empty());
    let (_, effects) = session.add(&key(2), 7, 0, WallTime(0)).unwrap();
    assert!(!effects.open, "one lease at a time");
    let effects = session.opened(lease(WallTime(0), 1), WallTime(0));
    let sent = effects.sends.iter().map(|send| (send.write.event, send.write.p, send.write.n)).collect::<Vec<_>>();
    assert_eq!(sent, [(1, 5, 0), (1, 7, 0)]);
}

#[test]
fn what_comes_while_an_event_is_under_way_goes_into_the_next_together() {
    let mut session = opened(10);
    let (first, effects) = session.add(&key(1), 5, 0, WallTime(0)).unwrap();
    let [send] = effects.sends.as_slice() else { panic!("{effects:?}") };
    for by in [1, -2, 10] {
        assert!(session.add(&key(1), by, 0, WallTime(0)).unwrap().1.sends.is_empty());
    }
    let effects = session.answered(send, Answer::Acknowledged, WallTime(0));
    assert_eq!(effects.settled, [(first, Settled::Applied)]);
    let [next] = effects.sends.as_slice() else { panic!("{effects:?}") };
    assert_eq!((next.write.event, next.write.p, next.write.n), (2, 16, 2));
    let effects = session.answered(next, Answer::Acknowledged, WallTime(0));
    assert_eq!(effects.settled.len(), 3);
    assert_eq!(session.unsettled(), 0);
}

#[test]
fn increments_that_want_different_quorums_share_no_event() {
    let mut session = opened(10);
    let (_, effects) = session.add(&key(1), 1, 0, WallTime(0)).unwrap();
    for (by, terms) in [(2, 1), (4, 1), (8, 0)] {
        session.add(&key(1), by, terms, WallTime(0)).unwrap();
    }
    let next = session.answered(&effects.sends[0], Answer::Acknowledged, WallTime(0)).sends;
    assert_eq!((next[0].write.p, next[0].terms), (7, 1));
    let last = session.answered(&next[0], Answer::Acknowledged, WallTime(0)).sends;
    assert_eq!((last[0].write.p, last[0].terms), (15, 0));
}

#[test]
fn an_event_never_carries_more_than_one_increment_could() {
    let mut session = opened(10);
    let (_, effects) = session.add(&key(1), i64::MAX, 0, WallTime(0)).unwrap();
    session.add(&key(1), i64::MAX, 0, WallTime(0)).unwrap();
    session.add(&key(1), 1, 0, WallTime(0)).unwrap();
    let next = session.answered(&effects.sends[0], Answer::Acknowledged, WallTime(0)).sends;
    assert_eq!(next[0].write.p, 2 * i64::MAX as u128);
    let last = session.answered(&next[0], Answer::Acknowledged, WallTime(0)).sends;
    assert_eq!(last[0].write.p, 2 * i64::MAX as u128 + 1);
    let mut session = opened(10);
    let (_, effects) = session.add(&key(1), i64::MIN, 0, WallTime(0)).unwrap();
    assert_eq!(effects.sends[0].write.n, 1 << 63);
}

#[test]
fn a_refused_event_does_not_count_and_its_number_is_not_used_again() {
    let mut session = opened(10);
    let (ticket, effects) = session.add(&key(1), 5, 0, WallTime(0)).unwrap();
    let effects = session.answered(&effects.sends[0], Answer::NotApplied, WallTime(0));
    assert_eq!(effects.settled, [(ticket, Settled::NotApplied)]);
    let (_, effects) = session.add(&key(1), 1, 0, WallTime(0)).unwrap();
    assert_eq!((effects.sends[0].write.event, effects.sends[0].write.p), (2, 1));
}

#[test]
fn a_refusal_after_a_lost_answer_does_not_settle_it() {
    let mut session = opened(10);
    let (ticket, effects) = session.add(&key(1), 5, 0, WallTime(0)).unwrap();
    let retry = session.answered(&effects.sends[0], Answer::MaybeApplied, WallTime(0)).retry.unwrap();
    assert_eq!((retry.write, retry.attempt), (effects.sends[0].write, 2));
    let effects = session.answered(&retry, Answer::NotApplied, WallTime(0));
    let again = effects.retry.unwrap();
    assert!(effects.settled.is_empty());
    assert_eq!(
        session.answered(&again, Answer::Acknowledged, WallTime(0)).settled,
        [(ticket, Settled::Applied)],
        "an acknowledgement says that it counts"
    );
}

#[test]
fn an_old_answer_settles_nothing_unless_it_acknowledges() {
    let mut session = opened(10);
    let (_, effects) = session.add(&key(1), 5, 0, WallTime(0)).unwrap();
    let first = &effects.sends[0];
    session.answered(first, Answer::MaybeApplied, WallTime(0)).retry.unwrap();
    for late in [Answer::NotApplied, Answer::MaybeApplied, Answer::Expired] {
        assert_eq!(session.answered(first, late, WallTime(0)), Effects::default());
    }
    assert_eq!(session.answered(first, Answer::Acknowledged, WallTime(0)).settled.len(), 1);
    assert_eq!(session.answered(first, Answer::Acknowledged, WallTime(0)), Effects::default());
}

#[test]
fn before_the_lease_ends_the_session_takes_another_name_and_retries_under_the_old() {
    let mut session = opened(10);
    let (_, effects) = session.add(&key(1), 5, 0, WallTime(0)).unwrap();
    let old = effects.sends[0].clone();
    let late = WallTime(7_000_000);
    assert!(!session.current.as_ref().unwrap().lease.is_fresh(late));
    assert!(session.add(&key(1), 2, 0, late).unwrap().1.open);
    let effects = session.opened(lease(late, 2), late);
    assert_eq!((effects.sends[0].write.event, effects.sends[0].write.p), (1, 2));
    assert_ne!(effects.sends[0].write.actor, old.write.actor);
    let retry = session.answered(&old, Answer::MaybeApplied, late).retry.unwrap();
    assert_eq!(retry.write, old.write);
    assert_eq!(session.snapshot().len(), 2);
    session.answered(&retry, Answer::Acknowledged, late);
    assert_eq!(session.snapshot().len(), 1, "a name without events under way is forgotten");
}

#[test]
fn after_the_lease_an_event_in_doubt_is_given_up_as_expired() {
    let mut session = opened(10);
    let (ticket, effects) = session.add(&key(1), 5, 0, WallTime(0)).unwrap();
    let retry = session.answered(&effects.sends[0], Answer::MaybeApplied, WallTime(0)).retry.unwrap();
    let over = WallTime(20_000_000);
    let effects = session.answered(&retry, Answer::MaybeApplied, over);
    assert_eq!((effects.settled, effects.retry), (vec![(ticket, Settled::Expired)], None));
    assert_eq!(session.unsettled(), 0);
}

#[test]
fn a_name_that_a_node_calls_expired_is_not_used_again() {
    let mut session = opened(10);
    let (ticket, effects) = session.add(&key(1), 5, 0, WallTime(0)).unwrap();
    let effects = session.answered(&effects.sends[0], Answer::Expired, WallTime(0));
    assert_eq!(effects.settled, [(ticket, Settled::Expired)]);
    assert!(session.add(&key(1), 1, 0, WallTime(0)).unwrap().1.open);
}

#[test]
fn at_its_bound_of_keys_the_session_takes_another_name_instead_of_forgetting_one() {
    let mut session = opened(2);
    for number in 1..=2 {
        assert_eq!(session.add(&key(number), 1, 0, WallTime(0)).unwrap().1.sends.len(), 1);
    }
    assert!(session.add(&key(3), 1, 0, WallTime(0)).unwrap().1.open);
    let effects = session.opened(lease(WallTime(0), 2), WallTime(0));
    assert_eq!(effects.sends.len(), 1);
    assert_eq!(session.snapshot().iter().map(|kept| kept.under_way.len()).sum::<usize>(), 3);
}

#[test]
fn who_gives_up_while_waiting_was_not_applied_and_who_is_under_way_is() {
    let mut session = opened(10);
    let (first, effects) = session.add(&key(1), 1, 0, WallTime(0)).unwrap();
    let (second, _) = session.add(&key(1), 2, 0, WallTime(0)).unwrap();
    assert!(!session.withdraw(&key(1), first));
    assert!(session.withdraw(&key(1), second) && !session.withdraw(&key(1), second));
    assert!(session.answered(&effects.sends[0], Answer::Acknowledged, WallTime(0)).sends.is_empty());
    assert_eq!(session.unsettled(), 0);
}

#[test]
fn without_a_lease_what_waits_is_not_applied() {
    let mut session = session(10);
    let (ticket, _) = session.add(&key(1), 1, 0, WallTime(0)).unwrap();
    assert_eq!(session.not_opened().settled, [(ticket, Settled::NotApplied)]);
    assert_eq!(session.unsettled(), 0);
    assert!(session.add(&key(1), 1, 0, WallTime(0)).unwrap().1.open, "the next one asks again");
}

#[test]
fn a_full_session_refuses_and_takes_more_when_some_are_settled() {
    let mut session = SessionState::new(Bounds { keys_max: 9, key_bytes_max: 1000, increments_max: 1, grace: GRACE });
    session.opened(lease(WallTime(0), 1), WallTime(0));
    let (_, effects) = session.add(&key(1), 1, 0u8, WallTime(0)).unwrap();
    assert_eq!(session.add(&key(2), 1, 0, WallTime(0)).unwrap_err(), Full);
    session.answered(&effects.sends[0], Answer::Acknowledged, WallTime(0));
    assert!(session.add(&key(2), 1, 0, WallTime(0)).is_ok());
}

#[test]
fn a_restored_session_retries_what_was_under_way_before_it_goes_on() {
    let mut before = opened(10);
    let (_, effects) = before.add(&key(1), 5, 0, WallTime(0)).unwrap();
    let sent = effects.sends[0].clone();
    let (mut after, resumed) = SessionState::restore(before.bounds, before.snapshot());
    assert_eq!(after.amount(sent.write.actor, &key(1)), Some((5, 0)));
    assert!(after.add(&key(1), 2, 0, WallTime(0)).unwrap().1.sends.is_empty());
    let [(ticket, retry)] = resumed.try_into().unwrap();
    assert_eq!(retry.write, sent.write);
    let again = after.answered(&retry, Answer::NotApplied, WallTime(0)).retry.unwrap();
    let effects = after.answered(&again, Answer::Acknowledged, WallTime(0));
    assert_eq!(effects.settled, [(ticket, Settled::Applied)]);
    assert_eq!((effects.sends[0].write.event, effects.sends[0].write.p), (2, 7));
}

/// What may happen. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Add {
        key: u8,
        is_negative: bool,
        terms: u8,
    },
    /// A copy of some message that was ever sent arrives.
    Arrive(usize),
    /// The answer of some send is told, or its absence.
    Tell(usize, Fate),
    Withdraw(usize),
    Pass(u64),
    Open(bool),
    /// The process ends and another one takes over what was written down.
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    /// What the cluster says.
    Honest,
    /// Nothing came back.
    Lost,
    /// It certainly did not arrive, and never will.
    Refused,
    Expired,
}

fn any_step() -> impl Strategy<Value = Step> {
    let fate =
        prop_oneof![5 => Just(Fate::Honest), 3 => Just(Fate::Lost), 2 => Just(Fate::Refused), 1 => Just(Fate::Expired)];
    prop_oneof![
        6 => (0..3u8, any::<bool>(), 0..2u8).prop_map(|(key, is_negative, terms)| Step::Add { key, is_negative, terms }),
        6 => any::<prop::sample::Index>().prop_map(|index| Step::Arrive(index.index(1 << 16))),
        8 => (any::<prop::sample::Index>(), fate).prop_map(|(index, fate)| Step::Tell(index.index(1 << 16), fate)),
        1 => any::<prop::sample::Index>().prop_map(|index| Step::Withdraw(index.index(1 << 16))),
        2 => (0..3_000_000u64).prop_map(Step::Pass),
        3 => (0..4u8).prop_map(|dice| Step::Open(dice > 0)),
        1 => Just(Step::Restart),
    ]
}

/// The whole world: the machine, every message that was ever sent, and a cluster.
struct World {
    session: SessionState<u8>,
    now: WallTime,
    leases: u64,
    /// Every send that is out, with whether it may still arrive.
    sends: Vec<(Send<u8>, bool)>,
    /// Those whose answer the machine waits for.
    asked: Vec<usize>,
    /// Per row the event that the cluster holds: the larger one wins.
    cluster: BTreeMap<(ActorId, Key), SessionWrite>,
    /// Payload of every event that ever left: it never changes.
    payloads: BTreeMap<(ActorId, Key, u64), SessionWrite>,
    /// Increment number i adds or subtracts 4^i, so a sum tells how often each one counts.
    increments: Vec<((u32, Ticket), Key, i64)>,
    outcomes: BTreeMap<(u32, Ticket), Settled>,
    /// Counts the processes: each numbers its tickets anew.
    generation: u32,
    is_opening: bool,
}

impl World {
    fn new() -> World {
        World {
            session: session(2),
            now: WallTime(0),
            leases: 0,
            sends: Vec::new(),
            asked: Vec::new(),
            cluster: BTreeMap::new(),
            payloads: BTreeMap::new(),
            increments: Vec::new(),
            outcomes: BTreeMap::new(),
            generation: 0,
            is_opening: false,
        }
    }

    fn act(&mut self, effects: Effects<u8>) {
        for send in effects.sends.into_iter().chain(effects.retry) {
            let id = (send.write.actor, send.key.clone(), send.write.event);
            let known = *self.payloads.entry(id).or_insert(send.write);
            assert_eq!(known, send.write, "an event has one payload for ever");
            self.asked.push(self.sends.len());
            self.sends.push((send, true));
        }
        for (ticket, settled) in effects.settled {
            assert_eq!(self.outcomes.insert((self.generation, ticket), settled), None, "settled twice");
        }
        if effects.open {
            assert!(!self.is_opening, "two leases at once");
            self.is_opening = true;
        }
    }

    fn arrive(&mut self, index: usize) {
        let Some((send, true)) = self.sends.get(index).cloned() else { return };
        let held = self.cluster.entry((send.write.actor, send.key)).or_insert(send.write);
        if send.write.event > held.event {
            *held = send.write;
        }
    }

    fn tell(&mut self, asked: usize, fate: Fate) {
        let index = self.asked.remove(asked);
        let (send, may_arrive) = self.sends[index].clone();
        let held = self.cluster.get(&(send.write.actor, send.key.clone())).map(|write| write.event);
        let has_it = held.is_some_and(|event| event >= send.write.event);
        let answer = match fate {
            Fate::Honest => {
                self.arrive(index);
                if may_arrive || has_it { Answer::Acknowledged } else { Answer::MaybeApplied }
            }
            Fate::Lost => Answer::MaybeApplied,
            // A refusal is true: no copy of this send was taken or will be.
            Fate::Refused if !has_it => {
                self.sends[index].1 = false;
                Answer::NotApplied
            }
            Fate::Refused => Answer::MaybeApplied,
            Fate::Expired => {
                self.sends
                    .iter_mut()
                    .filter(|(other, _)| other.write.actor == send.write.actor)
                    .for_each(|(_, may)| *may = false);
                Answer::Expired
            }
        };
        let effects = self.session.answered(&send, answer, self.now);
        self.act(effects);
    }

    fn open(&mut self, succeeds: bool) {
        if !std::mem::take(&mut self.is_opening) {
            return;
        }
        self.leases += 1;
        let effects = match succeeds {
            true => self.session.opened(lease(self.now, self.leases), self.now),
            false => self.session.not_opened(),
        };
        self.act(effects);
    }

    /// Whoever waited for an answer is gone with the process; what was written down goes on.
    fn restart(&mut self) {
        let (after, resumed) = SessionState::restore(self.session.bounds, self.session.snapshot());
        assert_eq!(after.snapshot(), self.session.snapshot());
        self.session = after;
        self.generation += 1;
        self.is_opening = false;
        self.asked.clear();
        for (_, send) in resumed {
            self.asked.push(self.sends.len());
            self.sends.push((send, true));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add { key: number, is_negative, terms } if self.increments.len() < 30 => {
                let by = 4i64.pow(self.increments.len() as u32) * if is_negative { -1 } else { 1 };
                let (ticket, effects) = self.session.add(&key(number), by, terms, self.now).unwrap();
                self.increments.push(((self.generation, ticket), key(number), by));
                self.act(effects);
            }
            Step::Add { .. } => {}
            Step::Arrive(index) if !self.sends.is_empty() => self.arrive(index % self.sends.len()),
            Step::Tell(index, fate) if !self.asked.is_empty() => self.tell(index % self.asked.len(), fate),
            Step::Withdraw(index) if !self.increments.is_empty() => {
                let ((generation, ticket), key, _) = self.increments[index % self.increments.len()].clone();
                if generation == self.generation && self.session.withdraw(&key, ticket) {
                    assert_eq!(self.outcomes.insert((generation, ticket), Settled::NotApplied), None);
                }
            }
            Step::Pass(us) => self.now = WallTime(self.now.0 + us),
            Step::Open(succeeds) => self.open(succeeds),
            Step::Restart => self.restart(),
            Step::Arrive(_) | Step::Tell(..) | Step::Withdraw(_) => {}
        }
    }

    /// How often increment number `index` counts in the cluster: the sums of a key are digits to the base of 4.
    fn check(&self) {
        for number in 0..3 {
            let rows = self.cluster.iter().filter(|((_, row), _)| *row == key(number));
            let (p, n) = rows.fold((0u128, 0u128), |(p, n), (_, write)| (p + write.p, n + write.n));
            for (index, (ticket, of, by)) in self.increments.iter().enumerate() {
                let sum = if *by < 0 { n } else { p };
                let times = if *of == key(number) { sum >> (2 * index) & 3 } else { continue };
                let outcome = self.outcomes.get(ticket);
                assert!(times <= 1, "increment {index} counts {times} times ({outcome:?})");
                match outcome {
                    Some(Settled::Applied) => {
                        assert_eq!(times, 1, "increment {index} was acknowledged and does not count")
                    }
                    Some(Settled::NotApplied) => assert_eq!(times, 0, "increment {index} was refused and counts"),
                    Some(Settled::Expired) | None => {}
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_acknowledged_increment_counts_once_whatever_the_network_does(
        steps in proptest::collection::vec(any_step(), 0..120)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        // A fair end: every answer comes, every copy arrives.
        for _ in 0..200 {
            world.open(true);
            if world.asked.is_empty() {
                break;
            }
            world.tell(0, Fate::Honest);
        }
        for index in 0..world.sends.len() {
            world.arrive(index);
        }
        world.check();
        prop_assert_eq!(world.session.unsettled(), 0, "{:?}", world.session);
    }
}

#[test]
fn the_expiry_tick_is_part_of_the_name() {
    let lease = lease(WallTime(5_500_000), 3);
    assert_eq!(lease.actor.expires, Tick(14));
}
