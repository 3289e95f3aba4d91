//! What can happen, one step at a time.

use super::values::Values;
use super::world::{Instance, World};

/// One step. Nodes are numbered, the fallback comes after the owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A session's event arrives at a node: (session, event, node).
    Request(u8, u8, u8),
    /// An untagged increment at a node, under an actor that expires so many ticks after its seal, of a key.
    /// (The same three numbers in all mints.)
    Increment(u8, u8, u8),
    /// A reset of what the node holds.
    Reset(u8, u8, u8),
    /// A reset of what the node holds and another owner shows: (node, other, key).
    ResetObserved(u8, u8, u8),
    /// A blind add of a dot.
    Add(u8, u8, u8),
    /// A removal of every dot that is live at the node.
    Remove(u8, u8, u8),
    /// An add that replaces every dot that is live at the node.
    Replace(u8, u8, u8),
    /// A register write.
    Set(u8, u8, u8),
    /// A register tombstone.
    Delete(u8, u8, u8),
    /// A message of the network arrives.
    Deliver(u8, u8),
    /// The first takes the state of the second.
    Exchange(u8, u8),
    /// An exchange of a key sets out from this owner: (owner, key).
    Ship(u8, u8),
    /// A whole state of a key sets out from this owner, not as an exchange.
    Snapshot(u8, u8),
    /// The node's state becomes durable.
    Sync(u8),
    /// The node loses what is not durable.
    Crash(u8),
    /// The node loses its directory.
    Wipe(u8),
    /// A copy of the node's directory is made.
    Copy(u8),
    /// The node's directory is replaced by the copy.
    Restore(u8),
    /// The node seals the next tick.
    Seal(u8),
    /// The first hears the second in its round.
    Hear(u8, u8),
    /// A dead incarnation's last word arrives.
    HearLate(u8, u8),
    /// The owner freezes what all have sealed.
    Freeze(u8),
    /// The owner reports what is frozen.
    Report(u8),
    /// The owner settles what all report alike.
    Compact(u8),
    /// The first takes over the second's w.
    Adopt(u8, u8),
    /// The owner reports its baselines.
    ReportBaselines(u8),
    /// The owner folds the baselines that all report alike.
    Fold(u8),
    /// The first takes over the second's v.
    AdoptFold(u8, u8),
    /// The owner forgets what it may.
    Retire(u8),
    /// The fallback delivers its hint of a key to an owner: (owner, key).
    Hint(u8, u8),
    /// A newborn, or an owner that is behind, takes the next page of the second.
    Page(u8, u8),
    /// The pages are complete.
    EndSync(u8, u8),
    /// A wiped fallback takes the seal of an owner.
    TakeSeal(u8),
}

/// Every step that may be possible; [`Instance::apply`] says whether it is.
pub fn steps<V: Values>(of: &Instance, world: &World<V>) -> Vec<Step> {
    let (used, may) = (&world.used, &of.budget);
    let owners = of.owners as u8;
    let nodes = world.nodes.len() as u8;
    let mut all = Vec::with_capacity(64);
    for node in 0..nodes {
        if used.requests < may.requests {
            for (session, (_, events)) in of.sessions.iter().enumerate() {
                for event in 1..=events.len() as u8 {
                    all.push(Step::Request(session as u8, event, node));
                }
            }
        }
        for (ahead, key) in (1..=of.lease).flat_map(|ahead| (0..of.keys).map(move |key| (ahead, key))) {
            let mints = [
                (used.increments < may.increments, Step::Increment(node, ahead, key)),
                (used.resets < may.resets, Step::Reset(node, ahead, key)),
                (used.adds < may.adds, Step::Add(node, ahead, key)),
                (used.removals < may.removals, Step::Remove(node, ahead, key)),
                (used.adds < may.adds && used.removals < may.removals, Step::Replace(node, ahead, key)),
                (used.sets < may.sets, Step::Set(node, ahead, key)),
                (used.deletes < may.deletes, Step::Delete(node, ahead, key)),
            ];
            all.extend(mints.into_iter().filter(|(may, _)| *may).map(|(_, step)| step));
        }
        if used.deliveries < may.deliveries {
            all.extend((0..world.net.len() as u8).map(|message| Step::Deliver(message, node)));
        }
        if used.crashes < may.crashes {
            all.push(Step::Crash(node));
        }
        if used.wipes < may.wipes {
            all.push(Step::Wipe(node));
        }
        if used.restores < may.restores {
            let has_copy = world.nodes[usize::from(node)].copy.is_some();
            all.push(if has_copy { Step::Restore(node) } else { Step::Copy(node) });
        }
        if !of.is_durable {
            all.push(Step::Sync(node));
        }
        all.push(Step::Seal(node));
    }
    for owner in 0..owners {
        for key in 0..of.keys {
            if used.ships < may.ships {
                all.push(Step::Ship(owner, key));
            }
            if used.snapshots < may.snapshots {
                all.push(Step::Snapshot(owner, key));
            }
            if of.has_fallback {
                all.push(Step::Hint(owner, key));
            }
        }
        if of.has_fallback {
            all.push(Step::TakeSeal(owner));
            all.push(Step::Hear(owner, owners));
        }
        all.extend((0..world.late.len() as u8).map(|late| Step::HearLate(owner, late)));
        all.extend([Step::Freeze(owner), Step::Report(owner), Step::Compact(owner)]);
        if of.forgets {
            all.extend([Step::ReportBaselines(owner), Step::Fold(owner), Step::Retire(owner)]);
        }
        for other in (0..owners).filter(|other| *other != owner) {
            if used.exchanges < may.exchanges {
                all.push(Step::Exchange(owner, other));
            }
            if used.observed < may.observed {
                all.extend((0..of.keys).map(|key| Step::ResetObserved(owner, other, key)));
            }
            all.extend([Step::Hear(owner, other), Step::Adopt(owner, other)]);
            all.extend([Step::Page(owner, other), Step::EndSync(owner, other)]);
            if of.forgets {
                all.push(Step::AdoptFold(owner, other));
            }
        }
    }
    all
}
