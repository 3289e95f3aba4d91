//! The file outlives programs: its bytes mean what they always meant, and whatever else stands there is refused.

use starling::causality::{Epoch, Tenure, Tick};

use super::*;

const CLUSTER: &str = "07070707070707070707070707070707";

/// Rounds of damage; `make fuzz` builds with more.
fn rounds() -> u64 {
    option_env!("STARLING_FUZZ_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(2_000)
}

fn home() -> Home {
    Home { boot: "a boot".into(), lock: "8:17:21.000000042".into() }
}

fn kept() -> Vec<Kept<Terms>> {
    let actor = ActorId { expires: Tick(0x0102_0304), epoch: Epoch(0x1112_1314_1516_1718), tenure: Tenure::SESSION };
    let lease = Lease { actor, fresh_until: WallTime(1_700_000_000_000_000), ends: WallTime(1_700_000_010_000_000) };
    let (likes, odd) = (Key::new("likes").unwrap(), Key::new(vec![0xff, 0]).unwrap());
    let mut named = Named::new(lease);
    *named.totals_mut(&likes) = Totals { event: 7, p: u128::MAX, n: 0 };
    *named.totals_mut(&odd) = Totals { event: 2, p: 3, n: 4 };
    let write = SessionWrite { actor, event: 2, p: 5, n: 4 };
    let options = Options { w: Some(3), strict: true, ..Options::default() };
    let idle = ActorId { epoch: Epoch(9), ..actor };
    vec![
        Kept { named, is_current: true, under_way: vec![(odd, write, Terms { pinned: None, options })] },
        Kept { named: Named::new(Lease { actor: idle, ..lease }), is_current: false, under_way: Vec::new() },
    ]
}

fn read(bytes: &[u8]) -> Option<Vec<Kept<Terms>>> {
    Form::read(bytes, CLUSTER, &home(), None).ok().map(|(_, kept)| kept)
}

fn write(kept: &[Kept<Terms>]) -> Vec<u8> {
    Form::write(CLUSTER, &home(), -5, kept)
}

#[test]
fn a_kept_session_has_its_old_bytes() {
    let old = include_str!("golden/session.json");
    assert_eq!(String::from_utf8(write(&kept())).unwrap(), old.trim_end());
    assert_eq!(read(old.as_bytes()), Some(kept()));
}

#[test]
fn a_key_that_stands_twice_under_a_name_is_refused() {
    let text = String::from_utf8(write(&kept())).unwrap();
    assert!(read(text.replace("6c696b6573", "ff00").as_bytes()).is_none());
}

#[test]
fn whatever_is_read_as_a_kept_session_comes_back_when_it_is_written() {
    let good = write(&kept());
    // SplitMix64.
    let mut state = 0_u64;
    let mut random = |below: usize| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
    };
    let mut read_again = 0;
    for round in 0..rounds() {
        let mut bad = good.clone();
        for _ in 0..=random(3) {
            let at = random(bad.len());
            let end = (at + random(200)).min(bad.len());
            match random(6) {
                0 => bad[at] = random(256) as u8,
                1 => bad[at] = b"0123456789abcdefnul\"{}[],:-. "[random(29)],
                2 => bad.truncate(at),
                3 => bad.insert(at, b"0123456789\"{}[],:"[random(17)]),
                4 => drop(bad.drain(at..end)),
                _ => {
                    let part = bad[at..end].to_vec();
                    bad.splice(at..at, part);
                }
            }
            if bad.is_empty() {
                break;
            }
        }
        if let Some(kept) = read(&bad) {
            read_again += 1;
            assert_eq!(read(&write(&kept)), Some(kept), "round {round}: {}", String::from_utf8_lossy(&bad));
        }
    }
    assert!(read_again > 0, "digits may change");
}
