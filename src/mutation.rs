//! Protections that can be switched off, one at a time, to see that a checker notices.
//!
//! Only in builds with the feature `mutations` (the mutation tests of `simulations`); without it [`is_off`] is a
//! constant `false` and the protection cannot be missing. The switch belongs to the thread that runs a world, so
//! worlds on other threads stay whole.

/// A protection, named by what goes wrong without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A write is answered before W nodes hold it durably.
    AckBeforeW,
    /// A merge that changed nothing is acknowledged without waiting for the row it rests on.
    AckUnchangedMergeEarly,
    /// A debt is struck by an acknowledgement of an older version of the row.
    StrikeDespiteGrowth,
    /// An owner deletes a row without marks as if it were a delivered hint.
    OwnerRowDeletedAsHint,
    /// A start takes an epoch that a wiped or copied directory can repeat.
    EpochReused,
    /// A row continues an own actor that it learned from a peer.
    LearnedEntryContinued,
    /// A row with a header is deleted without advancing the tenure.
    TenureKept,
    /// A fetched row is used although the key was touched since it was asked for.
    StaleFetchUsed,
    /// A node goes on taking writes although another live process claims its member id.
    RivalIgnored,
    /// The counter merges to the larger sum instead of the larger event per actor.
    MergeTakesLargerSum,
    /// A counter keeps entries that stand in its sum already.
    MergeKeepsSettledEntries,
    /// A reset leaves the entries that it covers out of its delta.
    ResetWithoutEntries,
    /// A reset that covers a whole sum leaves older baselines beside it.
    BaselineNotSuperseded,
    /// A merge keeps what one side has seen removed.
    DottedIgnoresContext,
    /// A read does not look at what its session has seen.
    TokenIgnored,
    /// R6: clients' events of sealed ticks are accepted.
    SealIgnored,
    /// R6: a fallback seals although it holds rows of the tick.
    SealWithHints,
    /// R7: an owner freezes when it has sealed, whoever else has not.
    FreezeBeforeAllSealed,
    /// R7: whatever comes may change frozen ticks.
    FreezeIgnored,
    /// R8: reports count whatever became of the directories that they speak of.
    ReportsSurviveWipe,
    /// R9: the reports of a majority are enough.
    CompactOnMajority,
    /// R10: baselines are summed up without asking the others.
    LocalBaselineFold,
    /// R11: a newborn owner seals, freezes and reports like an established one.
    NewbornReports,
    /// An owner that a co-owner proves to have lost its memory goes on as if nothing were.
    LossIgnored,
    /// Who takes over what it has slept through keeps what the others have forgotten meanwhile.
    ForgottenKept,
    /// Answers count whichever start of another node they were given before.
    StartsShareRounds,
    /// A row is taken although it says that ticks are settled which are not sealed.
    UnsealedSumTaken,
    /// An actor that was begun while the clock was ahead is continued when the clock is right again.
    FutureContinued,
    /// R6: a node seals what its own clock allows, whatever its peers' clocks show.
    SealByOwnClock,
    /// Rows of an owner that has forgotten less than this node may change frozen ticks.
    OlderFoldVouched,
    /// R6: a session is taken whose tick the clocks allow to seal, because it is not sealed here.
    ExpiredTaken,
    /// What a read found to be missing is sent to fallbacks too, which nobody owes it to.
    RepairToFallback,
    /// What only remembers a removal is left out of the sums that owners compare.
    TreeIgnoresTombstones,
    /// What differs in one comparison of trees is exchanged, although it may only have been on its way.
    ComparedOnce,
    /// Backups are restored into the cluster from which they are.
    RestoredUnderOldCluster,
    /// A layout counts as decided when fewer than a majority of the voters have accepted it.
    LayoutByMinority,
    /// A voter answers before its promise is durable, and forgets it with a crash.
    PromiseNotDurable,
    /// A peer that was lost again and again counts as reachable at its first answer.
    FlapsBelieved,
    /// A partition that is marked as in need of repair stays so, whatever exchange has repaired it.
    RepairMarkNeverProved,
    /// While a partition moves, a write is answered when W of the owners to come hold it, whatever those of before do.
    QuorumInNewOnly,
    /// What was told under a layout that counts too few nodes is taken.
    StaleWriterTaken,
    /// The owners to come are read before they are loaded.
    JoinerCountsAsReader,
    /// Who becomes an owner keeps what it was established for as a stand-in.
    RoleKeepsEstablished,
    /// What is owed to a node that is no owner any more stays owed to it alone.
    HintNotRetargeted,
    /// Rows that are gone from the disk stay loaded.
    LostRowsCached,
    /// What cannot be read any more is refused to every reader, and nothing else is done about it.
    DamageIgnored,
    /// Trees that a start finds on disk are taken for true, whatever happened since they were written.
    TreeTrustedAfterCrash,
    /// Backups are restored although W owners or more have none.
    RestoredWithoutQuorum,
    /// Whatever answer comes in a comparison of co-owners counts as that to the question that is open.
    AnyAnswerTaken,
    /// An owner of before drops its rows before the others have them.
    TransferDropsBeforeProof,
    /// An owner to come counts as loaded after an exchange with one owner of before.
    SyncWithOneTeacher,
    /// A partition is settled while writes are counted in two placements.
    SettleWhileMoving,
    /// Who hands over answers as if it held nothing.
    LeaverSealsAsOwner,
    /// A member that was declared lost is heard as any other.
    FencedSpeaks,
    /// The next phase of a change is proposed before every member acts by the present one.
    PhaseWithoutBarrier,
    /// What is written to a key that was emptied before its deadline goes with the deadline.
    DeadlineOutlivesKey,
    /// A stand-in counts beside the owners that it stood in for, although it may have handed its row to them and dropped it.
    StandInsCountTwice,
    /// What an owner refused under one layout is not delivered under the next before the back-off is over.
    BackOffOutlivesLayout,
    /// A placement of which every owner was declared lost is read and counted like any other.
    LostPlacementCounts,
    /// A change that is taken back gives members their places again that it had declared lost.
    LossTakenBack,
    /// A voter whose directory is new does not vote on what it may have voted on before.
    ForgottenVoteRepeated,
    /// A change is not taken back when of some partition only those to come are left, who hold what was written since.
    TakenOverTakenBack,
    /// Rows behind the page that was read count as equal to none.
    UnreadRowsSummed,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Mutation; 63] = [
        Mutation::AckBeforeW,
        Mutation::AckUnchangedMergeEarly,
        Mutation::StrikeDespiteGrowth,
        Mutation::OwnerRowDeletedAsHint,
        Mutation::EpochReused,
        Mutation::LearnedEntryContinued,
        Mutation::TenureKept,
        Mutation::StaleFetchUsed,
        Mutation::RivalIgnored,
        Mutation::MergeTakesLargerSum,
        Mutation::MergeKeepsSettledEntries,
        Mutation::ResetWithoutEntries,
        Mutation::BaselineNotSuperseded,
        Mutation::DottedIgnoresContext,
        Mutation::TokenIgnored,
        Mutation::SealIgnored,
        Mutation::SealWithHints,
        Mutation::FreezeBeforeAllSealed,
        Mutation::FreezeIgnored,
        Mutation::ReportsSurviveWipe,
        Mutation::CompactOnMajority,
        Mutation::LocalBaselineFold,
        Mutation::NewbornReports,
        Mutation::LossIgnored,
        Mutation::ForgottenKept,
        Mutation::StartsShareRounds,
        Mutation::UnsealedSumTaken,
        Mutation::FutureContinued,
        Mutation::SealByOwnClock,
        Mutation::OlderFoldVouched,
        Mutation::ExpiredTaken,
        Mutation::RepairToFallback,
        Mutation::TreeIgnoresTombstones,
        Mutation::ComparedOnce,
        Mutation::RestoredUnderOldCluster,
        Mutation::LayoutByMinority,
        Mutation::PromiseNotDurable,
        Mutation::RepairMarkNeverProved,
        Mutation::FlapsBelieved,
        Mutation::QuorumInNewOnly,
        Mutation::StaleWriterTaken,
        Mutation::JoinerCountsAsReader,
        Mutation::RoleKeepsEstablished,
        Mutation::HintNotRetargeted,
        Mutation::AnyAnswerTaken,
        Mutation::TransferDropsBeforeProof,
        Mutation::SyncWithOneTeacher,
        Mutation::SettleWhileMoving,
        Mutation::LeaverSealsAsOwner,
        Mutation::FencedSpeaks,
        Mutation::PhaseWithoutBarrier,
        Mutation::RestoredWithoutQuorum,
        Mutation::TreeTrustedAfterCrash,
        Mutation::DamageIgnored,
        Mutation::LostRowsCached,
        Mutation::DeadlineOutlivesKey,
        Mutation::StandInsCountTwice,
        Mutation::BackOffOutlivesLayout,
        Mutation::LostPlacementCounts,
        Mutation::LossTakenBack,
        Mutation::ForgottenVoteRepeated,
        Mutation::TakenOverTakenBack,
        Mutation::UnreadRowsSummed,
    ];
}

#[cfg(feature = "mutations")]
thread_local! {
    static OFF: std::cell::Cell<Option<Mutation>> = const { std::cell::Cell::new(None) };
}

/// Whether this protection is switched off on this thread.
#[cfg(feature = "mutations")]
pub fn is_off(protection: Mutation) -> bool {
    OFF.get() == Some(protection)
}

/// Whether this protection is switched off: never, in this build.
#[cfg(not(feature = "mutations"))]
pub const fn is_off(_: Mutation) -> bool {
    false
}

/// Switches one protection off on this thread, and all others on.
#[cfg(feature = "mutations")]
pub fn switch_off(protection: Option<Mutation>) {
    OFF.set(protection);
}
