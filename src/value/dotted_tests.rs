//! Values under dots, against the `crdts` crate: its set where that is right, its multi-value register where it is not.

use bytes::Bytes;
use crdts::{CmRDT, CvRDT, MVReg, Orswot};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::causality::{Epoch, Tenure};
use crate::value::laws;

fn actor(number: u64) -> ActorId {
    ActorId { expires: Tick(number as u32 + 1), epoch: Epoch(9 - number), tenure: Tenure(0) }
}

fn dot(number: u64, event: u64) -> Dot {
    Dot { actor: actor(number), event }
}

fn values<V: Content>(state: &Dotted<V>) -> Vec<V> {
    state.live().iter().map(|(_, value)| value.clone()).collect()
}

const REPLICAS: usize = 3;

/// One step at a replica.
#[derive(Clone, Debug)]
enum Step {
    /// Puts a value that replaces what the replica shows, or is blind.
    Put { at: usize, value: u8, sees: bool },
    /// Takes away what the replica shows.
    Clear { at: usize },
    /// The whole state of one replica arrives at another.
    Exchange { from: usize, to: usize },
    /// A state that was sent at any time arrives.
    Late { message: usize, to: usize },
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let at = 0..REPLICAS;
    let step = prop_oneof![
        3 => (at.clone(), any::<u8>(), any::<bool>()).prop_map(|(at, value, sees)| Step::Put { at, value, sees }),
        2 => at.clone().prop_map(|at| Step::Clear { at }),
        3 => (at.clone(), at.clone()).prop_map(|(from, to)| Step::Exchange { from, to }),
        2 => (any::<usize>(), at).prop_map(|(message, to)| Step::Late { message, to }),
    ];
    vec(step, 1..40)
}

/// What a replica should hold: every dot that it has heard of, and those of them that somebody took away.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    heard: std::collections::BTreeMap<Dot, Option<u8>>,
    gone: std::collections::BTreeSet<Dot>,
}

impl Model {
    fn merge(&mut self, other: &Model) {
        self.heard.extend(other.heard.iter().map(|(dot, value)| (*dot, *value)));
        self.gone.extend(other.gone.iter());
    }

    fn live(&self) -> Vec<(Dot, Bytes)> {
        let live = self.heard.iter().filter(|(dot, _)| !self.gone.contains(dot));
        live.filter_map(|(dot, value)| value.map(|value| (*dot, Bytes::copy_from_slice(&[value])))).collect()
    }
}

type Replica = (Dotted<Bytes>, Model);

/// All states that a history made; every step is compared with the model.
fn play(steps: &[Step]) -> (Vec<Replica>, Vec<Replica>) {
    let mut replicas = vec![Replica::default(); REPLICAS];
    let mut messages: Vec<Replica> = Vec::new();
    for (event, step) in (1..).zip(steps) {
        let changed = match step {
            Step::Put { at, value, sees } => {
                let (state, model) = &mut replicas[*at];
                let seen = if *sees { state.context().clone() } else { Context::default() };
                state.put(dot(*at as u64, event), Bytes::copy_from_slice(&[*value]), &seen);
                if *sees {
                    let heard: Vec<Dot> = model.heard.keys().copied().collect();
                    model.gone.extend(heard);
                }
                model.heard.insert(dot(*at as u64, event), Some(*value));
                *at
            }
            Step::Clear { at } => {
                let (state, model) = &mut replicas[*at];
                state.clear(dot(*at as u64, event));
                let heard: Vec<Dot> = model.heard.keys().copied().collect();
                model.gone.extend(heard);
                model.heard.insert(dot(*at as u64, event), None);
                *at
            }
            Step::Exchange { from, to } => {
                let (state, model) = replicas[*from].clone();
                let (ours, known) = &mut replicas[*to];
                let before = ours.clone();
                let changed = ours.merge(&state);
                assert_eq!(changed, *ours != before, "merge reports a change exactly if there was one");
                known.merge(&model);
                *to
            }
            Step::Late { message, to } => {
                if !messages.is_empty() {
                    let (state, model) = messages[message % messages.len()].clone();
                    replicas[*to].0.merge(&state);
                    replicas[*to].1.merge(&model);
                }
                *to
            }
        };
        let (state, model) = &replicas[changed];
        assert_eq!(state.live(), model.live());
        messages.push(replicas[changed].clone());
    }
    (replicas, messages)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_stands_is_what_was_put_and_not_seen_removed(steps in any_steps()) {
        play(&steps);
    }

    #[test]
    fn the_merge_laws_hold_for_states_of_histories(steps in any_steps(), through in 0..5u32) {
        let (replicas, messages) = play(&steps);
        let mut states: Vec<Dotted<Bytes>> = replicas.into_iter().chain(messages).map(|(state, _)| state).collect();
        states.truncate(5);
        // Everybody has compacted the same: the state of all.
        let mut joined = states.iter().fold(Dotted::default(), |mut joined, state| {
            joined.merge(state);
            joined
        });
        joined.compact(Tick(through));
        states.push(joined);
        for x in &states {
            for y in &states {
                for z in &states {
                    laws::check_merge(x, y, z);
                }
            }
        }
    }

    #[test]
    fn the_merge_laws_hold_for_arbitrary_states(a in any_dotted(), b in any_dotted(), c in any_dotted()) {
        laws::check_merge(&a, &b, &c);
    }

    #[test]
    fn states_come_back_from_their_bytes(a in any_dotted(), b in any_dotted()) {
        let encode = |state: &Dotted<Bytes>| {
            let mut bytes = Vec::new();
            state.encode(&mut bytes);
            assert_eq!(bytes.len(), state.encoded_bytes());
            bytes
        };
        if !a.is_empty() {
            prop_assert_eq!(Dotted::decode(&encode(&a)), Ok(a.clone()));
        }
        prop_assert_eq!(a == b, encode(&a) == encode(&b));
    }

    #[test]
    fn compaction_at_stability_changes_no_value_whoever_has_done_it(steps in any_steps(), through in 0..5u32) {
        let (mut replicas, _) = play(&steps);
        // Stability: everybody has seen everything.
        let joined = replicas.iter().fold(Dotted::default(), |mut joined, (state, _)| {
            joined.merge(state);
            joined
        });
        for (state, _) in &mut replicas {
            state.merge(&joined);
            let mut compacted = state.clone();
            compacted.compact(Tick(through));
            prop_assert_eq!(compacted.live(), state.live());
            let mut met = compacted.clone();
            met.merge(state);
            prop_assert_eq!(&met, &compacted, "who has compacted stays so");
            state.merge(&compacted);
            prop_assert_eq!(&*state, &compacted, "who has not adopts it");
            let seen = state.context().seen();
            prop_assert!(seen.through(Tick(through)).next().is_none(), "actors are bounded");
        }
    }

    /// Each step is an addition or a removal of one of three members at a replica, or a merge.
    #[test]
    fn presence_of_members_is_that_of_the_set_of_crdts(
        steps in vec((0..REPLICAS, 0..3u8, 0..3u8), 1..50),
    ) {
        let mut ours = vec![vec![Dotted::<()>::default(); 3]; REPLICAS];
        let mut theirs = vec![Orswot::<u8, ActorId>::new(); REPLICAS];
        for (event, (at, member, action)) in (1..).zip(steps) {
            match action {
                0 => {
                    let context = ours[at][member as usize].context().clone();
                    ours[at][member as usize].put(dot(at as u64, event), (), &context);
                    let add = theirs[at].add(member, theirs[at].read_ctx().derive_add_ctx(actor(at as u64)));
                    theirs[at].apply(add);
                }
                1 => {
                    ours[at][member as usize].clear(dot(at as u64, event));
                    let remove = theirs[at].rm(member, theirs[at].contains(&member).derive_rm_ctx());
                    theirs[at].apply(remove);
                }
                _ => {
                    let from = (at + 1) % REPLICAS;
                    let (rows, oracle) = (ours[from].clone(), theirs[from].clone());
                    for (row, other) in ours[at].iter_mut().zip(&rows) {
                        row.merge(other);
                    }
                    CvRDT::merge(&mut theirs[at], oracle);
                }
            }
            for member in 0..3u8 {
                prop_assert_eq!(ours[at][member as usize].is_live(), theirs[at].contains(&member).val, "{}", member);
            }
        }
    }
}

/// States that no history makes, too: any values under any dots that were seen.
fn any_dotted() -> impl Strategy<Value = Dotted<Bytes>> {
    let write = (0..3u64, 1..4u64, any::<bool>(), 0..3u8);
    (0..4u32, vec(write, 0..7)).prop_map(|(floor, writes)| {
        let mut context = Context::new(Tick(floor), VersionVector::default());
        let mut live = std::collections::BTreeMap::new();
        for (number, event, is_live, value) in writes {
            context.observe(dot(number, event));
            if is_live {
                live.insert(dot(number, event), Bytes::copy_from_slice(&[value]));
            }
        }
        Dotted { live: live.into_iter().collect(), context }
    })
}

/// Two clients that saw nothing put a value each, through one coordinator.
#[test]
fn blind_values_through_one_coordinator_both_stand_where_crdts_loses_one() {
    let mut oracle = MVReg::<&str, ActorId>::new();
    let blind = [oracle.read_ctx(), oracle.read_ctx()];
    for (value, seen) in ["milk", "eggs"].into_iter().zip(blind) {
        let put = oracle.write(value, seen.derive_add_ctx(actor(1)));
        oracle.apply(put);
    }
    assert_eq!(oracle.read().val, ["eggs"], "both were given one dot, so the second took the place of the first");

    let mut ours = Dotted::<Bytes>::default();
    for (event, value) in (1..).zip(["milk", "eggs"]) {
        ours.put(dot(1, event), Bytes::from(value), &Context::default());
    }
    assert_eq!(values(&ours), ["milk", "eggs"]);
}

#[test]
fn a_put_takes_the_place_of_what_its_context_saw_and_of_nothing_else() {
    let mut state = Dotted::<Bytes>::default();
    state.put(dot(1, 1), Bytes::from("a"), &Context::default());
    let seen = state.context().clone();
    state.put(dot(1, 2), Bytes::from("b"), &Context::default());
    state.put(dot(2, 1), Bytes::from("c"), &seen);
    assert_eq!(values(&state), ["b", "c"]);
    let all = state.context().clone();
    state.put(dot(2, 2), Bytes::from("d"), &all);
    assert_eq!(values(&state), ["d"]);
}

#[test]
fn what_is_added_beside_a_removal_survives_it() {
    let mut here = Dotted::<()>::default();
    here.put(dot(1, 1), (), &Context::default());
    let mut there = here.clone();
    here.clear(dot(1, 2));
    let seen = there.context().clone();
    there.put(dot(2, 1), (), &seen);
    here.merge(&there);
    assert!(here.is_live());
    here.clear(dot(1, 3));
    here.merge(&there);
    assert!(!here.is_live(), "this removal saw it");
}

#[test]
#[should_panic(expected = "a dot is minted once")]
fn a_dot_that_was_seen_is_not_minted_again() {
    let mut state = Dotted::<()>::default();
    state.clear(dot(1, 2));
    state.put(dot(1, 1), (), &Context::default());
}

#[test]
fn bytes_that_are_not_canonical_are_refused() {
    let part = |number: u64, event: u8| [&actor(number).to_bytes()[..], &[event]].concat();
    let all = |parts: &[&[u8]]| parts.concat();
    let live = |number: u64, event: u8| [part(number, event), vec![1, b'x']].concat();
    let good = all(&[&[0, 0, 0, 0, 2], &part(0, 3), &part(1, 4), &live(0, 3), &live(1, 1)]);
    Dotted::<Bytes>::decode(&good).expect("the good state");
    let bad: [(&str, Vec<u8>); 9] = [
        ("nothing", vec![0, 0, 0, 0, 0]),
        ("cut short", good[..good.len() - 1].to_vec()),
        ("more actors than bytes", vec![0, 0, 0, 0, 0xF1, 0xFF, 0xFF]),
        ("actors out of order", all(&[&[0, 0, 0, 0, 2], &part(1, 4), &part(0, 3)])),
        ("an actor twice", all(&[&[0, 0, 0, 0, 2], &part(0, 3), &part(0, 3)])),
        ("an actor below the floor", all(&[&[0, 0, 0, 1, 1], &part(0, 3)])),
        ("event zero", all(&[&[0, 0, 0, 0, 1], &part(0, 0)])),
        ("a value that was not seen", all(&[&[0, 0, 0, 0, 1], &part(0, 3), &live(0, 4)])),
        ("dots out of order", all(&[&[0, 0, 0, 0, 1], &part(0, 3), &live(0, 3), &live(0, 2)])),
    ];
    for (what, bytes) in bad {
        assert!(matches!(Dotted::<Bytes>::decode(&bytes), Err(DecodeError::Malformed(_))), "{what}");
    }
    assert!(Dotted::<()>::decode(&good).is_err(), "a flag has no values");
}

/// A checker that has never failed proves nothing.
#[cfg(feature = "mutations")]
#[test]
fn the_histories_notice_a_merge_that_ignores_contexts() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    mutation::switch_off(Some(Mutation::DottedIgnoresContext));
    let is_noticed = (0..100).any(|_| {
        let steps = any_steps().new_tree(&mut runner).unwrap().current();
        std::panic::catch_unwind(|| play(&steps)).is_err()
    });
    mutation::switch_off(None);
    assert!(is_noticed);
}

/// What the mutation tests rely on: with the protection off, a removal comes back.
#[cfg(feature = "mutations")]
#[test]
fn without_the_protection_what_was_removed_comes_back() {
    let mut here = Dotted::<()>::default();
    here.put(dot(1, 1), (), &Context::default());
    let there = here.clone();
    here.clear(dot(1, 2));
    mutation::switch_off(Some(Mutation::DottedIgnoresContext));
    here.merge(&there);
    mutation::switch_off(None);
    assert!(here.is_live());
}
