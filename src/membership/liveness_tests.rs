//! Suspicion, trust after losses, clocks, and turns among many peers.

use super::*;

const ME: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);
const OTHER: NodeId = NodeId(3);

fn at(micros: u64) -> Now {
    Now { mono: Timestamp(micros), wall: WallTime(micros) }
}

#[test]
fn silence_makes_a_peer_suspect_and_an_answer_brings_it_back() {
    let mut liveness = Liveness::new(ME, [ME, PEER].into_iter());
    assert!(!liveness.is_reachable(PEER), "nobody has answered yet");
    assert!(liveness.on_answer(PEER, Timestamp(0)));
    assert!(!liveness.on_answer(PEER, Timestamp(10)));
    for number in 0..UNANSWERED_MIN {
        assert_eq!(liveness.suspect(Timestamp(1_000_010), Duration::from_secs(1)), [], "after {number} pings");
        assert_eq!(liveness.to_ping(Timestamp(900_000), Duration::from_millis(250)).first(), Some(&PEER));
    }
    assert_eq!(liveness.suspect(Timestamp(1_000_009), Duration::from_secs(1)), []);
    assert_eq!(liveness.suspect(Timestamp(1_000_010), Duration::from_secs(1)), [PEER]);
    assert!(!liveness.is_reachable(PEER));
    assert!(liveness.on_answer(PEER, Timestamp(1_000_020)));
}

/// A second of answers, and then it is lost: after how long of them it was believed each time.
fn believed_after(times: u64, pause: Duration) -> Vec<Option<u64>> {
    let mut liveness = Liveness::new(ME, [ME, PEER].into_iter());
    let mut now = Timestamp(0);
    let mut believed = Vec::new();
    for _ in 0..times {
        let began = now;
        believed.push(None);
        for _ in 0..50 {
            if liveness.on_answer(PEER, now) {
                believed.pop();
                believed.push(Some(now.since(began).as_millis() as u64));
            }
            now = now.after(Duration::from_millis(100));
        }
        liveness.on_lost(PEER, now);
        now = now.after(pause);
    }
    believed
}

#[test]
fn a_peer_that_comes_and_goes_is_believed_later_each_time_and_at_once_after_a_quiet_minute() {
    let times = |times: &[u64]| times.iter().copied().map(Some).collect::<Vec<_>>();
    assert_eq!(believed_after(7, Duration::from_secs(1)), times(&[0, 0, 500, 1000, 2000, 4000, 4000]));
    assert_eq!(believed_after(4, Duration::from_secs(61)), times(&[0, 0, 0, 0]));
}

#[test]
fn a_gap_in_its_answers_begins_the_wait_anew_and_a_new_start_ends_it() {
    let mut liveness = Liveness::new(ME, [ME, PEER].into_iter());
    let at = |ms: u64| Timestamp(ms * 1000);
    for ms in [0, 10, 20] {
        assert!(liveness.on_answer(PEER, at(ms)) == (ms < 20));
        liveness.on_lost(PEER, at(ms + 5));
    }
    assert!(!liveness.on_answer(PEER, at(100)));
    for _ in 0..=UNANSWERED_MIN {
        liveness.to_ping(at(500), Duration::from_millis(250));
    }
    assert!(!liveness.on_answer(PEER, at(700)), "it was silent for a while");
    assert!(liveness.on_answer(PEER, at(1_200)));
    for ms in [1_300, 1_400] {
        liveness.on_lost(PEER, at(ms));
        liveness.on_answer(PEER, at(ms + 50));
    }
    assert!(!liveness.is_reachable(PEER));
    liveness.on_epoch(PEER, Epoch(8));
    assert!(liveness.on_answer(PEER, at(1_500)), "another process answers");
}

#[test]
fn a_peer_that_answers_all_the_time_is_still_asked_for_its_clock() {
    let interval = Duration::from_millis(250);
    let mut liveness = Liveness::new(ME, [ME, PEER].into_iter());
    let mut asked = 0;
    for step in 0..1_000 {
        let now = at(step * 10_000);
        liveness.on_answer(PEER, now.mono);
        if liveness.to_ping(now.mono, interval) == [PEER] {
            liveness.on_clock(PEER, now.wall, now);
            asked += 1;
        }
    }
    assert_eq!(asked, 5, "at once, then every two of ten seconds");
}

#[test]
fn the_clock_is_compared_with_the_median_of_the_peers() {
    let mut liveness = Liveness::new(ME, [ME, PEER, OTHER].into_iter());
    liveness.on_answer(PEER, Timestamp(0));
    liveness.on_clock(PEER, WallTime(1_000), at(31_000));
    assert_eq!(liveness.clock_ahead(), 0, "one peer alone may be the one that is wrong");
    liveness.on_answer(OTHER, Timestamp(0));
    liveness.on_clock(OTHER, WallTime(1_000), at(41_000));
    assert_eq!(liveness.clock_ahead(), 30_000);
    assert_eq!(liveness.wall_of_peers(Timestamp(41_000)), Some(WallTime(11_000)), "the first told 10 ms ago");
}

/// This node and so many peers, all of which have answered.
fn among(peers: u64) -> Liveness {
    let mut liveness = Liveness::new(NodeId(1), (1..=peers + 1).map(NodeId));
    for node in 2..=peers + 1 {
        liveness.on_answer(NodeId(node), Timestamp(0));
    }
    liveness
}

#[test]
fn of_many_peers_a_few_are_asked_at_a_time_and_all_in_turn() {
    let peers = FULL_MESH_MAX as u64 * 4;
    let mut liveness = among(peers);
    let mut asked = std::collections::BTreeSet::new();
    for round in 0..peers / TURNS as u64 {
        let now = Timestamp(1_000_000 + round * 125_000);
        let pinged = liveness.to_ping(now, Duration::from_millis(250));
        assert!(pinged.len() <= TURNS, "{pinged:?}");
        for node in pinged {
            liveness.on_answer(node, now);
            liveness.on_clock(node, WallTime(now.0), Now { mono: now, wall: WallTime(now.0) });
            asked.insert(node);
        }
    }
    assert_eq!(asked.len() as u64, peers);
}

#[test]
fn one_that_does_not_answer_is_asked_again_at_once_and_suspected_also_among_many() {
    let mut liveness = among(100);
    let silent = NodeId(50);
    liveness.doubt(silent);
    let mut suspects = Vec::new();
    for round in 0..8 {
        let now = Timestamp(1_000_000 + round * 125_000);
        for node in liveness.to_ping(now, Duration::from_millis(250)) {
            if node != silent {
                liveness.on_answer(node, now);
            }
        }
        suspects.extend(liveness.suspect(now, Duration::from_secs(1)));
    }
    assert_eq!(suspects, [silent]);
    let [first, second] = [liveness.confidants(), liveness.confidants()];
    assert_eq!((first.len(), second.len()), (CONFIDANTS, CONFIDANTS));
    assert!(first.iter().all(|node| !second.contains(node) && *node != silent), "others each time");
    let mut few = among(5);
    assert_eq!(few.confidants(), [], "where everyone asks everyone nobody need be told");
}

#[test]
fn one_that_is_heard_again_is_asked_at_once() {
    let mut liveness = among(100);
    let back = NodeId(90);
    liveness.on_lost(back, Timestamp(1));
    let is_asked =
        |liveness: &mut Liveness, at| liveness.to_ping(Timestamp(at), Duration::from_millis(250)).contains(&back);
    assert!(!is_asked(&mut liveness, 1_000_000));
    liveness.on_heard(back);
    assert!(is_asked(&mut liveness, 1_200_000));
}
