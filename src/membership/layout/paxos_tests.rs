//! One content per number: every order of events of three acceptors and two proposers, with messages lost, repeated and
//! overtaken, and any of them stopped and started; and what single steps do.
//!
//! The search keeps every message that was ever sent and may deliver each at any time, often or never: so loss,
//! repetition and reordering need no steps of their own. Bounded are attempts, starts of proposers and crashes of acceptors.

use std::collections::BTreeSet;
use std::hash::Hash;

use xxhash_rust::xxh3::Xxh3;

use super::*;

const NUMBER: u64 = 2;
const VOTERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// How much may happen in one history.
#[derive(Clone, Copy, Debug, Hash)]
struct Budget {
    attempts: u8,
    restarts: u8,
    crashes: u8,
}

/// Everything there is at one moment.
#[derive(Clone)]
struct World {
    acceptors: [Acceptor<u8>; 3],
    /// What each of them has kept.
    disks: [Acceptor<u8>; 3],
    proposers: [Proposer<u8>; 2],
    asks: BTreeSet<Ask<u8>>,
    replies: BTreeSet<(usize, Reply<u8>)>,
    left: Budget,
    starts: u8,
    /// Values that a proposer saw chosen, or that a majority has accepted under one ballot.
    chosen: BTreeSet<u8>,
}

/// What a search met.
#[derive(Debug, Default)]
struct Found {
    worlds: usize,
    chosen: BTreeSet<BTreeSet<u8>>,
    /// A proposer had a value chosen that was not its own.
    finished_others: bool,
}

fn proposer(number: usize, start: u8) -> Proposer<u8> {
    // A proposer that was restarted proposes something else: that shows ballots that two starts share.
    let value = 10 * (number as u8 + 1) + start;
    Proposer::new(VOTERS[number], Epoch(start.into()), NUMBER, VOTERS.to_vec(), Some(value))
}

impl World {
    fn new(left: Budget) -> World {
        let acceptors = [(); 3].map(|()| Acceptor::new(NUMBER));
        World {
            disks: acceptors.clone(),
            acceptors,
            proposers: [proposer(0, 0), proposer(1, 0)],
            asks: BTreeSet::new(),
            replies: BTreeSet::new(),
            left,
            starts: 0,
            chosen: BTreeSet::new(),
        }
    }

    /// Every world that one step leads to.
    fn next(&self) -> Vec<World> {
        let mut next = Vec::new();
        for number in 0..2 {
            if self.left.attempts > 0 {
                let mut world = self.clone();
                world.left.attempts -= 1;
                let ask = world.proposers[number].begin();
                world.asks.insert(ask);
                next.push(world);
            }
            if self.left.restarts > 0 && self.proposers[number].attempts > 0 {
                let mut world = self.clone();
                world.left.restarts -= 1;
                world.starts += 1;
                world.proposers[number] = proposer(number, world.starts);
                next.push(world);
            }
        }
        for voter in 0..3 {
            if self.left.crashes > 0 && self.acceptors[voter] != self.disks[voter] {
                let mut world = self.clone();
                world.left.crashes -= 1;
                world.acceptors[voter] = world.disks[voter].clone();
                next.push(world);
            }
            for ask in &self.asks {
                let mut acceptor = self.acceptors[voter].clone();
                let Answered { reply, is_to_be_kept } = acceptor.on_ask(ask);
                // A refusal only makes the asker begin again, which it may do at any moment.
                let is_refusal = matches!(reply, Reply::Refused { .. });
                let is_news = acceptor != self.acceptors[voter] || !self.replies.contains(&(voter, reply.clone()));
                if is_news && !is_refusal {
                    let mut world = self.clone();
                    if is_to_be_kept {
                        world.disks[voter] = acceptor.clone();
                    }
                    world.acceptors[voter] = acceptor;
                    world.replies.insert((voter, reply));
                    world.note_majorities();
                    next.push(world);
                }
            }
        }
        for (voter, reply) in &self.replies {
            for number in 0..2 {
                let mut proposer = self.proposers[number].clone();
                let step = proposer.on_reply(VOTERS[*voter], reply.clone());
                if proposer != self.proposers[number] {
                    let mut world = self.clone();
                    world.proposers[number] = proposer;
                    match step {
                        Step::Ask(ask) => drop(world.asks.insert(ask)),
                        Step::Chosen(value) => drop(world.chosen.insert(value)),
                        _ => {}
                    }
                    next.push(world);
                }
            }
        }
        next
    }

    fn note_majorities(&mut self) {
        for (ballot, value) in self.acceptors.iter().filter_map(|acceptor| acceptor.accepted) {
            let has = |acceptor: &&Acceptor<u8>| acceptor.accepted == Some((ballot, value));
            if self.acceptors.iter().filter(has).count() >= 2 {
                self.chosen.insert(value);
            }
        }
    }

    /// Forgets answers that can change nothing any more: the proposer's present start has gone beyond them.
    fn forget_void_replies(&mut self) {
        let proposers = &self.proposers;
        self.replies.retain(|(voter, reply)| {
            let ballot = ballot_of(reply);
            let Some(asker) = proposers.iter().find(|proposer| proposer.me == ballot.node) else { return false };
            let mut after = asker.clone();
            after.on_reply(VOTERS[*voter], reply.clone());
            ballot.start != asker.start || after != *asker
        });
    }

    /// The same for worlds that differ only in which acceptor is which: all three are alike.
    fn hash(&self) -> u128 {
        let of_voter = |voter: usize| {
            let node = VOTERS[voter];
            let mut hasher = Xxh3::new();
            (&self.acceptors[voter], &self.disks[voter]).hash(&mut hasher);
            self.replies.iter().filter(|(from, _)| *from == voter).for_each(|(_, reply)| reply.hash(&mut hasher));
            for proposer in &self.proposers {
                match &proposer.stage {
                    Stage::Preparing { promises, .. } => (1, promises.get(&node)).hash(&mut hasher),
                    Stage::Accepting { accepted, .. } => (2, accepted.contains(&node)).hash(&mut hasher),
                    Stage::Resting | Stage::Chosen(_) => 0.hash(&mut hasher),
                }
            }
            hasher.digest128()
        };
        let mut voters = [0, 1, 2].map(of_voter);
        voters.sort_unstable();
        let mut hasher = Xxh3::new();
        for proposer in &self.proposers {
            (proposer.round, proposer.attempts, proposer.start, &proposer.own).hash(&mut hasher);
            match &proposer.stage {
                Stage::Resting => 0.hash(&mut hasher),
                Stage::Preparing { ballot, .. } => (1, ballot).hash(&mut hasher),
                Stage::Accepting { ballot, value, .. } => (2, ballot, value).hash(&mut hasher),
                Stage::Chosen(value) => (3, value).hash(&mut hasher),
            }
        }
        (voters, &self.asks, self.left, self.starts, &self.chosen).hash(&mut hasher);
        hasher.digest128()
    }
}

fn ballot_of(reply: &Reply<u8>) -> Ballot {
    match reply {
        Reply::Promise { ballot, .. }
        | Reply::Accepted { ballot }
        | Reply::Refused { ballot, .. }
        | Reply::Closed { ballot }
        | Reply::OtherNumber { ballot, .. } => *ballot,
    }
}

/// Every world that can be reached, until one has two chosen values.
fn search(left: Budget) -> Found {
    let mut found = Found::default();
    let first = World::new(left);
    let mut seen = BTreeSet::from([first.hash()]);
    let mut open = vec![first];
    while let Some(world) = open.pop() {
        found.worlds += 1;
        let finished_others =
            |proposer: &Proposer<u8>| proposer.chosen().is_some_and(|value| u64::from(value / 10) != proposer.me.0);
        found.finished_others |= world.proposers.iter().any(finished_others);
        if found.chosen.insert(world.chosen.clone()) && world.chosen.len() > 1 {
            return found;
        }
        for mut next in world.next() {
            next.forget_void_replies();
            if seen.insert(next.hash()) {
                open.push(next);
            }
        }
    }
    found
}

/// Some ten thousand worlds each. Three attempts, a restart and a crash together are 243,056: searched once, a minute.
const BUDGETS: [Budget; 2] =
    [Budget { attempts: 2, restarts: 1, crashes: 1 }, Budget { attempts: 3, restarts: 0, crashes: 1 }];

#[cfg(feature = "mutations")]
fn is_one_value_chosen() -> bool {
    BUDGETS.into_iter().all(|budget| search(budget).chosen.iter().all(|chosen| chosen.len() <= 1))
}

#[test]
fn of_one_number_at_most_one_value_is_chosen_in_every_order_of_events() {
    for budget in BUDGETS {
        let found = search(budget);
        assert!(found.worlds > 5_000, "{budget:?}: only {} worlds", found.worlds);
        assert!(found.chosen.iter().all(|chosen| chosen.len() <= 1), "{budget:?}: {:?}", found.chosen);
        for value in [10, 20] {
            assert!(found.chosen.contains(&BTreeSet::from([value])), "{budget:?}: {value} was never chosen");
        }
        assert!(found.finished_others || budget.restarts > 0, "nobody finished what another had begun");
    }
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_number_has_two_layouts() {
    use crate::mutation::switch_off;
    for protection in [Mutation::LayoutByMinority, Mutation::PromiseNotDurable] {
        switch_off(Some(protection));
        let is_well = is_one_value_chosen();
        switch_off(None);
        assert!(!is_well, "{protection:?}");
    }
    assert!(is_one_value_chosen());
}

fn ballot(round: u64, node: u64) -> Ballot {
    Ballot { round, node: NodeId(node), start: Epoch(0) }
}

fn ask(ballot: Ballot, value: Option<u8>) -> Ask<u8> {
    Ask { number: NUMBER, ballot, value }
}

#[test]
fn an_acceptor_promises_a_ballot_once_and_accepts_nothing_below_it() {
    let mut acceptor: Acceptor<u8> = Acceptor::new(NUMBER);
    let (low, high) = (ballot(1, 2), ballot(2, 1));
    let promise = acceptor.on_ask(&ask(high, None));
    let kept = |reply| Answered { reply, is_to_be_kept: true };
    let said = |reply| Answered { reply, is_to_be_kept: false };
    assert_eq!(promise, kept(Reply::Promise { ballot: high, accepted: None }));
    assert_eq!(acceptor.on_ask(&ask(high, None)), said(Reply::Refused { ballot: high, promised: high }));
    assert_eq!(acceptor.on_ask(&ask(low, None)), said(Reply::Refused { ballot: low, promised: high }));
    assert_eq!(acceptor.on_ask(&ask(low, Some(1))), said(Reply::Refused { ballot: low, promised: high }));
    assert_eq!(acceptor.accepted(), None);
    for _ in 0..2 {
        assert_eq!(acceptor.on_ask(&ask(high, Some(7))), kept(Reply::Accepted { ballot: high }), "and so again");
    }
    assert_eq!(acceptor.accepted(), Some(&7));
    let higher = ballot(3, 1);
    let reply = Reply::Promise { ballot: higher, accepted: Some((high, 7)) };
    assert_eq!(acceptor.on_ask(&ask(higher, None)), kept(reply));
}

#[test]
fn an_acceptor_votes_on_one_number_only() {
    let mut acceptor: Acceptor<u8> = Acceptor::new(NUMBER);
    for number in [NUMBER - 1, NUMBER + 1] {
        for value in [None, Some(1)] {
            let answered = acceptor.on_ask(&Ask { number, ballot: ballot(1, 1), value });
            let reply = Reply::OtherNumber { ballot: ballot(1, 1), number: NUMBER };
            assert_eq!(answered, Answered { reply, is_to_be_kept: false });
        }
    }
    assert_eq!(acceptor, Acceptor::new(NUMBER));
    let mut proposer = proposer(0, 0);
    let ballot = proposer.begin().ballot;
    let step = proposer.on_reply(NodeId(2), Reply::OtherNumber { ballot, number: 9 });
    assert_eq!(step, Step::OtherNumber { number: 9 });
}

#[test]
fn any_voter_finishes_what_another_one_began() {
    let mut finisher: Proposer<u8> = Proposer::new(NodeId(3), Epoch(0), NUMBER, VOTERS.to_vec(), None);
    let first = finisher.begin().ballot;
    let promise = |ballot, accepted| Reply::Promise { ballot, accepted };
    assert_eq!(finisher.on_reply(NodeId(1), promise(first, None)), Step::Wait);
    assert_eq!(finisher.on_reply(NodeId(1), promise(first, None)), Step::Wait, "one voter is one, however often");
    assert_eq!(finisher.on_reply(NodeId(9), promise(first, None)), Step::Wait, "who does not vote is nobody");
    assert_eq!(finisher.on_reply(NodeId(2), promise(first, None)), Step::NothingBegun);
    let second = finisher.begin().ballot;
    assert!(second > first);
    assert_eq!(finisher.on_reply(NodeId(1), promise(first, None)), Step::Wait, "of the attempt before");
    assert_eq!(finisher.on_reply(NodeId(1), promise(second, Some((ballot(1, 1), 11)))), Step::Wait);
    let accept = Step::Ask(ask(second, Some(12)));
    assert_eq!(finisher.on_reply(NodeId(2), promise(second, Some((ballot(1, 2), 12)))), accept, "the highest ballot");
    assert_eq!(finisher.on_reply(NodeId(2), Reply::Accepted { ballot: second }), Step::Wait);
    assert_eq!(finisher.on_reply(NodeId(3), Reply::Accepted { ballot: second }), Step::Chosen(12));
    assert_eq!(finisher.chosen(), Some(&12));
}

#[test]
fn who_is_outbid_pauses_longer_each_time_and_bids_higher() {
    let mut proposer = proposer(0, 0);
    let mut pauses = Vec::new();
    for attempt in 0..9 {
        let mine = proposer.begin().ballot;
        let promised = ballot(mine.round + 5, 2);
        assert_eq!(
            proposer.on_reply(NodeId(2), Reply::Refused { ballot: mine, promised: mine }),
            Step::Wait,
            "a repetition"
        );
        assert_eq!(proposer.on_reply(NodeId(2), Reply::Refused { ballot: mine, promised }), Step::Outbid);
        assert_eq!(
            proposer.on_reply(NodeId(3), Reply::Refused { ballot: mine, promised }),
            Step::Wait,
            "known already"
        );
        assert_eq!(mine.round, 1 + attempt * 6);
        pauses.push(proposer.pause(0).as_millis());
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 6_400, 6_400]);
    assert!((0..100).all(|jitter| proposer.pause(jitter * 777_777_777) < PAUSE_MAX * 2));
}

#[test]
fn no_two_starts_of_a_proposer_share_a_ballot() {
    let [first, second] = [0, 1].map(|start| proposer(0, start).begin().ballot);
    assert_eq!((first.round, first.node), (second.round, second.node));
    assert_ne!(first, second);
    let mut restarted = proposer(0, 1);
    restarted.begin();
    for voter in VOTERS {
        let late = Reply::Promise { ballot: first, accepted: None };
        assert_eq!(restarted.on_reply(voter, late), Step::Wait, "told to the start before");
    }
}
