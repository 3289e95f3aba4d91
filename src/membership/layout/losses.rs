//! What a loss leaves to be done: places that are empty are filled by others, and a change that declares members lost is
//! taken back without them.
//!
//! ```text
//! Moving(A→B, x lost) ──revert──→ Moving(A→A without x)    others take over what x owned; Steady(A) if too few are left,
//!                                                          refused if nobody of A is left of some partition
//! Closing(A→B, x lost in it) ──→ Steady(B), x's places empty ──→ Moving(B→B without x), of the members' own accord
//! Steady, x's places empty for want of members ──join──→ Moving(… without x)
//! ```
//!
//! A declaration that a member is lost is never taken back: others may have acted by it. Its places are filled as soon as
//! those who are left are enough for all replicas; until then partitions have fewer owners than N, and quorums count on those
//! who stand in. Pure functions; [`crate::council`] has the results decided.

use super::change::{ChangeError, lost_partitions};
use super::draft::Draft;
use super::phase::RevertError;
use super::{Forced, Layout, LayoutError, Member, Phase};
use crate::ids::NodeId;
use crate::mutation::{self, Mutation};
use crate::ring::RingView;
use crate::time::WallTime;

/// The change that is under way taken back: the members of before again, but those who were declared lost; what they owned
/// moves to the others then. If too few would be left for all replicas, their places stay, and are empty. Refused if all owners of
/// before of a partition are lost: what was written since stands with those to come alone.
pub(crate) fn reverted(ring: &RingView) -> Result<Layout, RevertError> {
    let present = ring.layout();
    let plain = present.reverted()?;
    let taken_over = ring.partitions().find(|partition| ring.is_taken_over(*partition));
    if let Some(partition) = taken_over.filter(|_| !mutation::is_off(Mutation::TakenOverTakenBack)) {
        return Err(RevertError::NobodyLeft { partition });
    }
    let mut draft = Draft::new(present);
    draft.members.clone_from(&plain.members);
    if !draft.empty_places() || mutation::is_off(Mutation::LossTakenBack) {
        return Ok(plain);
    }
    let stays = |member: &&Member| !member.leaving;
    if draft.members.iter().filter(stays).eq(present.members.iter().filter(stays)) {
        return Err(RevertError::OnlyLosses);
    }
    draft.into_layout(ring, Vec::new()).map_err(|error| match error {
        ChangeError::Layout(error) => RevertError::Layout(error),
        other => RevertError::Layout(LayoutError(other.to_string())),
    })
}

/// The change that fills the empty places of lost members; `None` if there are none, another change is under way, or too few
/// are left for all replicas.
pub(crate) fn filled(ring: &RingView) -> Option<Layout> {
    let present = ring.layout();
    let has_lost = present.members.iter().any(|member| member.carries() && present.is_fenced(member.id));
    if !present.phase.is_steady() || !has_lost {
        return None;
    }
    let mut draft = Draft::new(present);
    draft.empty_places().then(|| draft.into_layout(ring, Vec::new()).ok()).flatten()
}

/// The layout after a loss of most: all but the survivors are declared lost. Those who are left take over what the others owned,
/// if they are enough for all replicas, and found what nobody is left of; else the places of the lost stay, and are empty until
/// enough others have joined. With all as survivors everything stays but the number.
pub(crate) fn recovered(
    ring: &RingView,
    survivors: &[NodeId],
    number: u64,
    at: WallTime,
) -> Result<Layout, ChangeError> {
    let present = ring.layout();
    let survives = |node: &NodeId| survivors.contains(node);
    let mut draft = Draft::new(present);
    let carriers = present.members.iter().filter(|member| member.carries() && survives(&member.id)).count();
    let goes = matches!(present.phase, Phase::Steady | Phase::Moving) && carriers >= usize::from(present.replicas);
    for member in &mut draft.members {
        if !survives(&member.id) && !present.is_fenced(member.id) {
            draft.lost.insert(member.id);
            member.leaving |= goes;
        }
    }
    let lost = draft.lost.clone();
    // Nobody is lost, but too many vote no more: the same layout under another number, on which all vote again.
    let is_same = lost.is_empty();
    let mut next = if is_same { present.successor() } else { draft.into_layout(ring, lost_partitions(ring, &lost))? };
    next.epoch.number = number;
    next.forced = Some(Forced { survivors: survivors.to_vec(), fenced: lost.into_iter().collect(), at });
    Ok(next.seal()?)
}

#[cfg(test)]
#[path = "losses_tests.rs"]
mod tests;
