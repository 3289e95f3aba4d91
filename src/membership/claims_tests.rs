//! What counts as two live starts of one member, and what never does.

use super::*;

const ME: NodeId = NodeId(1);
const MEMBER: NodeId = NodeId(2);
const PATIENCE: Duration = Duration::from_secs(1);
const MINE: Epoch = Epoch(1);
const OLD: Epoch = Epoch(100);
const NEW: Epoch = Epoch(200);

/// A witness and the moment, in ticks of a tenth of a second.
struct Witness {
    claims: Claims,
    now: Timestamp,
}

impl Witness {
    fn new() -> Witness {
        Witness { claims: Claims::new(ME, MINE, [ME, MEMBER, NodeId(3)].into_iter()), now: Timestamp(0) }
    }

    fn hears(&mut self, start: Epoch) {
        self.claims.on_frame(MEMBER, start, self.now);
    }

    /// A tick: the questions, the answers of those that live, and the alarms that changed.
    fn tick(&mut self, live: &[Epoch]) -> Vec<Change> {
        self.now = self.now.after(Duration::from_millis(100));
        let (questions, changes) = self.claims.on_timer(self.now, PATIENCE);
        for question in questions.iter().filter(|question| live.contains(&question.start)) {
            self.claims.on_frame(MEMBER, question.start, self.now);
            self.claims.on_claim(MEMBER, question.start, question.round, self.now);
        }
        changes
    }

    fn ticks(&mut self, count: usize, live: &[Epoch]) -> Vec<bool> {
        let changes = (0..count).flat_map(|_| self.tick(live)).collect::<Vec<_>>();
        changes.into_iter().map(|change| change.is_contested).collect()
    }

    fn starts(&self) -> usize {
        self.claims.peers[&MEMBER].starts.len()
    }
}

#[test]
fn one_start_is_asked_nothing() {
    let mut witness = Witness::new();
    for _ in 0..10 {
        witness.hears(OLD);
        let (questions, changes) = witness.claims.on_timer(witness.now, PATIENCE);
        assert!(questions.is_empty() && changes.is_empty());
    }
}

#[test]
fn a_restart_is_no_alarm_and_the_earlier_start_is_forgotten() {
    let mut witness = Witness::new();
    witness.hears(OLD);
    witness.hears(NEW);
    assert_eq!(witness.ticks(50, &[NEW]), []);
    assert_eq!(witness.starts(), 1);
}

#[test]
fn late_and_repeated_frames_of_an_earlier_start_are_no_alarm() {
    let mut witness = Witness::new();
    for _ in 0..200 {
        witness.hears(OLD);
        witness.hears(NEW);
        assert_eq!(witness.tick(&[NEW]), []);
    }
    assert_eq!(witness.claims.alarms(), 0);
}

#[test]
fn two_that_answer_are_found_and_each_is_told_the_other() {
    let mut witness = Witness::new();
    witness.hears(OLD);
    witness.hears(NEW);
    assert_eq!(witness.ticks(3, &[OLD, NEW]), [true]);
    assert!(witness.claims.is_contested(MEMBER));
    let (questions, _) = witness.claims.on_timer(witness.now, PATIENCE);
    let told: Vec<_> = questions.iter().map(|question| (question.start, question.rival)).collect();
    assert_eq!(told, [(OLD, Some(NEW)), (NEW, Some(OLD))]);
}

#[test]
fn the_alarm_ends_when_one_of_them_answers_no_more_and_an_old_answer_does_not_bring_it_back() {
    let mut witness = Witness::new();
    witness.hears(OLD);
    witness.hears(NEW);
    witness.ticks(5, &[OLD, NEW]);
    assert_eq!(witness.ticks(50, &[NEW]), [false]);
    assert_eq!(witness.starts(), 1);
    // A frame of the dead start that was on its way for long, and with it every answer it ever gave.
    for _ in 0..50 {
        witness.hears(OLD);
        for round in 0..6 {
            witness.claims.on_claim(MEMBER, OLD, round, witness.now);
        }
        assert_eq!(witness.tick(&[NEW]), []);
    }
    assert_eq!(witness.claims.alarms(), 1);
}

#[test]
fn a_flood_of_starts_keeps_a_bounded_memory() {
    let mut witness = Witness::new();
    for epoch in 0..1_000 {
        witness.hears(Epoch(epoch));
    }
    assert_eq!(witness.starts(), STARTS_MAX);
    assert_eq!(witness.ticks(50, &[Epoch(999)]), []);
    assert_eq!(witness.starts(), 1);
}

#[test]
fn who_is_told_of_a_rival_has_one_until_nobody_tells_it_any_more() {
    let mut claims = Claims::new(MEMBER, OLD, [ME, MEMBER].into_iter());
    let told = claims.on_challenge((ME, MINE), 7, Some(NEW), Timestamp(0));
    assert_eq!(told, Some(Change { node: MEMBER, is_contested: true }));
    assert_eq!(claims.rival(), Some(NEW));
    assert_eq!(claims.on_challenge((ME, MINE), 8, Some(NEW), Timestamp(500_000)), None, "told already");
    assert_eq!(claims.on_timer(Timestamp(1_400_000), PATIENCE).1, []);
    let ended = claims.on_timer(Timestamp(1_500_000), PATIENCE).1;
    assert_eq!(ended, [Change { node: MEMBER, is_contested: false }]);
    for round in 0..=8 {
        let repeated = claims.on_challenge((ME, MINE), round, Some(NEW), Timestamp(1_600_000));
        assert_eq!(repeated, None, "a word from the past");
    }
    assert_eq!(claims.rival(), None);
    assert_eq!(claims.on_challenge((ME, MINE), 9, Some(OLD), Timestamp(1_600_000)), None, "that is this start itself");
    assert_eq!(claims.alarms(), 1);
}
