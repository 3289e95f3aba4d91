//! A wall clock jumps ahead for a moment and is put right: what was done meanwhile must not last.

use super::stability::{SETTLED, config};
use super::*;
use crate::causality::Tick;
use crate::message::peer::StabilityQuery;

const KEY: &str = "k";
const NODE: NodeId = NodeId(1);
const DAY: u64 = 24 * 3600 * 1_000_000;

impl Bus {
    fn tick_now(&self) -> Tick {
        Tick::at(self.now.wall, self.config.tick)
    }
}

/// Node 1's clock is a day ahead while it is asked to seal: whether it seals no more than the time that it is.
fn does_a_jump_seal_no_future() -> bool {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NODE, KEY, 5));
    bus.run(Duration::from_secs(3));
    let (partition, tick) = (bus.partition(KEY), bus.tick_now());
    let ahead = Now { wall: WallTime(bus.now.wall.0 + DAY), ..bus.now };
    let query = StabilityQuery { round: 1, marks: Default::default(), wanted: tick, is_needed: true };
    let epoch = bus.nodes[&NodeId(2)].shard.site.identity.epoch;
    let messages = vec![Addressed { partition, layout: 1, message: PeerMessage::StabilityQuery(query) }];
    let frame = Frame { layout: bus.ring.epoch(), epoch, clock: Default::default(), messages };
    let shard = &mut bus.nodes.get_mut(&NODE).unwrap().shard;
    shard.handle(ahead, Input::Peer { from: NodeId(2), frame });
    shard.turn.memory(partition).sealed <= tick
}

/// Node 1 counts while its clock is a day ahead, and when it is right again. Whether all that it counts then settles
/// in time.
fn does_what_follows_a_jump_settle() -> bool {
    let mut bus = Bus::with(3, config());
    let ahead = Now { wall: WallTime(bus.now.wall.0 + DAY), ..bus.now };
    let request =
        Request { key: Key::new(KEY).unwrap(), command: Command::Increment { by: 1 }, options: Options::default() };
    let input = Input::Client { connection: ConnectionId(1), request_id: RequestId(9000), request };
    bus.nodes.get_mut(&NODE).unwrap().shard.handle(ahead, input);
    bus.run(Duration::from_millis(400));
    written(&bus.replies[&9000]);
    for _ in 0..3 {
        written(&bus.increment(NODE, KEY, 10));
    }
    bus.run(SETTLED);
    assert_eq!(bus.value(NodeId(2), KEY), number(31));
    assert_eq!(bus.status(NODE).amnesia_alarms, 0);
    let latest = bus.tick_now().0 + 2 * bus.config.actor_lease_ticks;
    let stored = bus.stored(NODE, KEY).unwrap();
    let late: Vec<u64> =
        stored.row.actors().filter(|(actor, _)| actor.expires.0 > latest).map(|(_, event)| event).collect();
    // But for the one that was counted by the wrong clock.
    late == [1]
}

#[test]
fn a_clock_that_jumped_ahead_seals_no_future_and_begins_no_actor_that_lasts() {
    assert!(does_a_jump_seal_no_future());
    assert!(does_what_follows_a_jump_settle());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_each_of_them_goes_wrong() {
    use crate::mutation::Mutation;
    let stories: [(Mutation, fn() -> bool); 2] = [
        (Mutation::SealByOwnClock, does_a_jump_seal_no_future),
        (Mutation::FutureContinued, does_what_follows_a_jump_settle),
    ];
    for (protection, story) in stories {
        assert!(goes_wrong_without(protection, story), "{protection:?}");
    }
}
