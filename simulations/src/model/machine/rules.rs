//! The rules, each of which can be switched off to see that the checks notice.

/// One rule; named by what it demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rule {
    /// R6: a node refuses client and session events of ticks that it has sealed.
    Seal,
    /// R6: an owner freezes a tick only when the whole accept set has sealed it.
    AllSealed,
    /// R6: a fallback seals only ticks of which it holds nothing.
    HintsDrained,
    /// R6: a fallback that has sealed takes no hints of those ticks.
    SealedHints,
    /// R7: what would change frozen ticks is refused whole, unless it is an exchange.
    Freeze,
    /// R7: an exchange ships only what is durable.
    ShipSynced,
    /// R7: only an exchange of the incarnation now known may change frozen ticks.
    KnownIncarnation,
    /// R8: reports of all owners, not of a majority.
    AllReport,
    /// R8: a report is durable before it is given.
    ReportSynced,
    /// R8: reports count only with the tags that are known now.
    Tags,
    /// R8: dots that are seen are part of the digest.
    DigestSeen,
    /// R9: another owner's w is taken only on a report that is equal to the own present one.
    AdoptReported,
    /// R9: who takes over a whole state is settled as far as its source was at the first page.
    FirstMarks,
    /// R2: entries of ticks that a sum covers are dropped.
    DropSettled,
    /// R3: a reset travels with the entries that it covers.
    ResetWhole,
    /// R4: a full cover supersedes the baselines of its ticks.
    FullSupersedes,
    /// R5: a start takes a new epoch.
    Epoch,
    /// R10: baselines are folded when all reports of them are equal.
    EqualBaselines,
    /// R10: the tombstones that may go are part of the second digest.
    DigestTombstones,
    /// R11: a newborn accepts nothing.
    NewbornWaits,
    /// R11: a newborn takes seal and freeze from the owner that it synced with.
    NewbornTakesSeal,
    /// R11: a newborn takes nothing but the pages of its one sync.
    NewbornOnlyPages,
    /// R11: an owner serves only the newborn that it knows from its own round.
    ServeKnown,
    /// A wiped fallback takes the seal of an established owner before it accepts.
    FallbackTakesSeal,
    /// The owner that gives a wiped fallback its seal forgets what the earlier one had said.
    GiverForgets,
    /// A fallback covers no live counter.
    FallbackNoReset,
    /// A cover of what others showed leaves out frozen ticks that the coordinator itself does not have.
    ObservedFrozen,
    /// Only answers of the living count: not the late word of a dead incarnation.
    PresentAnswers,
    /// Covers of old stamps are frozen like entries.
    FreezeCovers,
    /// A hint with a cover is drained before the tick of that cover is sealed.
    HintedCovers,
    /// A hint with a removal is drained before the tick of that removal is sealed.
    HintedRemovals,
    /// An established owner ignores sums of settled ticks that it does not have: it has forgotten them.
    IgnoreRetiredSums,
    /// An established owner takes a settled dot that is not live here for dead.
    IgnoreDeadDots,
    /// Counters and tombstones are forgotten at v, not at w.
    RetireFolded,
    /// A counter is forgotten only when its last cover is older than all that can still arrive.
    RetireOldCovers,
    /// A tombstone is forgotten only when no write that it shadows can still arrive.
    RetireWaitsLease,
    /// Exchanges from before the receiver's fold are dropped.
    Generation,
    /// A state with a fresh dot may carry old seen ones (availability: without it more is refused).
    SeenWithFresh,
    /// An owner that remembers less than what a co-owner has settled rests on is newborn again; a fallback refuses what it
    /// had sealed.
    ProveLoss,
    /// Such a newborn gives up what its teacher has forgotten.
    GiveUp,
    /// A round ends when another start of a node is heard.
    StartEndsRound,
    /// A session whose tick the clock allows to seal is refused, sealed or not.
    SessionClock,
    /// R7: old dots that are only seen are refused where they come without a fresh one.
    OldSeenAlone,
    /// R7, R10: covers of what is compacted change by exchange only; of what is only frozen, also by fresh covers.
    CompactedCovers,
    /// R6: a fallback takes no cover of ticks that it has sealed.
    SealedCovers,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 45] = [
        Rule::Seal,
        Rule::AllSealed,
        Rule::HintsDrained,
        Rule::SealedHints,
        Rule::Freeze,
        Rule::ShipSynced,
        Rule::KnownIncarnation,
        Rule::AllReport,
        Rule::ReportSynced,
        Rule::Tags,
        Rule::DigestSeen,
        Rule::AdoptReported,
        Rule::FirstMarks,
        Rule::DropSettled,
        Rule::ResetWhole,
        Rule::FullSupersedes,
        Rule::Epoch,
        Rule::EqualBaselines,
        Rule::DigestTombstones,
        Rule::NewbornWaits,
        Rule::NewbornTakesSeal,
        Rule::NewbornOnlyPages,
        Rule::ServeKnown,
        Rule::FallbackTakesSeal,
        Rule::GiverForgets,
        Rule::FallbackNoReset,
        Rule::ObservedFrozen,
        Rule::PresentAnswers,
        Rule::FreezeCovers,
        Rule::HintedCovers,
        Rule::HintedRemovals,
        Rule::IgnoreRetiredSums,
        Rule::IgnoreDeadDots,
        Rule::RetireFolded,
        Rule::RetireOldCovers,
        Rule::RetireWaitsLease,
        Rule::Generation,
        Rule::SeenWithFresh,
        Rule::ProveLoss,
        Rule::GiveUp,
        Rule::StartEndsRound,
        Rule::SessionClock,
        Rule::OldSeenAlone,
        Rule::CompactedCovers,
        Rule::SealedCovers,
    ];

    /// Rules that no search has missed alone: they stand behind another one, bound what is refused or who may do what, or
    /// belong to the rejected design that forgets counters at once.
    pub fn is_second_line(self) -> bool {
        matches!(
            self,
            Rule::FirstMarks
                | Rule::Tags
                | Rule::FallbackNoReset
                | Rule::ObservedFrozen
                | Rule::FreezeCovers
                | Rule::HintedCovers
                | Rule::IgnoreRetiredSums
                | Rule::RetireOldCovers
                | Rule::SeenWithFresh
                | Rule::OldSeenAlone
                | Rule::SealedCovers
        )
    }
}

/// The rules that are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rules {
    off: u64,
    /// Whether counters that are covered whole are forgotten: a rejected design, kept to show why.
    pub retires_counters: bool,
}

impl Rules {
    /// All in force.
    pub const ALL: Rules = Rules { off: 0, retires_counters: false };

    /// Without one of them.
    #[must_use]
    pub fn without(self, rule: Rule) -> Rules {
        Rules { off: self.off | 1 << rule as u8, ..self }
    }

    /// Whether this rule is in force.
    pub fn has(self, rule: Rule) -> bool {
        self.off >> rule as u8 & 1 == 0
    }
}
