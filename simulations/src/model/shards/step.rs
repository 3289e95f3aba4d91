//! Steps: what a scheduler may let happen next. A history is a seed for entropy and a list of steps.
//!
//! Steps name nodes and places in queues, never what stands there, and a step that is not possible does nothing: so a
//! history stays one when steps are left out of it.

use std::fmt;

use starling::message::peer::PeerMessage;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A client asks a node.
    Ask {
        /// Whom.
        node: u8,
        /// What.
        ask: Ask,
    },
    /// A frame arrives; `nth` of those under way on this link counts from the oldest, modulo their number, unless it is
    /// [`Step::NEWEST`].
    Deliver {
        /// From whom.
        from: u8,
        /// To whom.
        to: u8,
        /// Which.
        nth: u8,
    },
    /// A frame arrives, and will arrive again.
    Repeat {
        /// From whom.
        from: u8,
        /// To whom.
        to: u8,
        /// Which.
        nth: u8,
    },
    /// A frame is lost.
    Lose {
        /// From whom.
        from: u8,
        /// To whom.
        to: u8,
        /// Which.
        nth: u8,
    },
    /// A frame is held up somewhere, for as long as it pleases the scheduler.
    Delay {
        /// From whom.
        from: u8,
        /// To whom.
        to: u8,
        /// Which.
        nth: u8,
    },
    /// One of those arrives after all.
    Late {
        /// Which, from the oldest, modulo their number.
        nth: u8,
    },
    /// A connection breaks: the sender is told, and gets back what never left.
    Break {
        /// Who is told.
        from: u8,
        /// Of whom.
        to: u8,
        /// What is under way never left; else nobody knows, and it may still arrive.
        comes_back: bool,
    },
    /// The disk has all written batches but the newest `lag`, and the shard is told.
    Sync {
        /// Where.
        node: u8,
        /// How many stay unsynced.
        lag: u8,
    },
    /// The oldest job that has not read yet reads.
    Read {
        /// Where.
        node: u8,
    },
    /// The oldest job ends; it reads now if it has not yet.
    Job {
        /// Where.
        node: u8,
    },
    /// Time goes on to the node's next timer, which fires; other nodes' are late.
    Fire {
        /// Where.
        node: u8,
    },
    /// Time goes on, and nobody does anything.
    Pass {
        /// Unit: milliseconds.
        millis: u16,
    },
    /// These nodes go on among themselves for a while, everything arriving in time: a split, if they are not all.
    Flow {
        /// Bit by bit, which nodes.
        among: u8,
        /// Unit: milliseconds.
        millis: u16,
        /// What stays under way meanwhile.
        holds: Talk,
    },
    /// A power cut; of the batches that were not synced the oldest `kept` are there afterwards.
    Crash {
        /// Where.
        node: u8,
        /// How many.
        kept: u8,
    },
    /// The process dies; the disk keeps all that was written.
    Kill {
        /// Where.
        node: u8,
    },
    /// The process dies, and its directory is lost.
    Wipe {
        /// Where.
        node: u8,
    },
    /// A process that died is started again.
    Start {
        /// Where.
        node: u8,
    },
    /// A node takes up the last layout that was committed.
    Adopt {
        /// Who.
        node: u8,
    },
    /// A node tells that it is through with the last layout.
    Tell {
        /// Who.
        node: u8,
    },
    /// A change of the members begins.
    Change {
        /// Who is to carry nothing.
        drained: u8,
    },
    /// The change is taken back.
    Revert,
    /// A wall clock is off from now on. Unit: milliseconds.
    Clock {
        /// Whose.
        node: u8,
        /// By how much.
        off: i16,
    },
}

/// Messages of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// None.
    Nothing,
    /// Fresh writes.
    Writes,
    /// What is owed.
    Deliveries,
    /// Exchanges.
    Exchanges,
    /// All three.
    Data,
    /// That something was taken.
    Acknowledgements,
    /// Questions and answers about what is settled.
    Stability,
}

impl Talk {
    /// All of them.
    pub const ALL: [Talk; 7] = [
        Talk::Nothing,
        Talk::Writes,
        Talk::Deliveries,
        Talk::Exchanges,
        Talk::Data,
        Talk::Acknowledgements,
        Talk::Stability,
    ];

    /// Whether a message is of this kind.
    pub fn has(self, message: &PeerMessage) -> bool {
        let kind = match message {
            PeerMessage::Replicate(_) => Talk::Writes,
            PeerMessage::Deliver(_) | PeerMessage::Repair(_) => Talk::Deliveries,
            PeerMessage::ExchangeOffer(_)
            | PeerMessage::ExchangeAnswer(_)
            | PeerMessage::ExchangePush(_)
            | PeerMessage::ExchangePushed(_)
            | PeerMessage::ExchangeDone(_)
            | PeerMessage::TreeOffer(_)
            | PeerMessage::TreeAnswer(_) => Talk::Exchanges,
            PeerMessage::Replicated(_) | PeerMessage::Delivered(_) => Talk::Acknowledgements,
            PeerMessage::StabilityQuery(_) | PeerMessage::StabilityAnswer(_) => Talk::Stability,
            _ => Talk::Nothing,
        };
        let is_data = matches!(kind, Talk::Writes | Talk::Deliveries | Talk::Exchanges);
        self != Talk::Nothing && (self == kind || self == Talk::Data && is_data)
    }
}

/// What a client asks. Keys and clients are numbers below those of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A session adds: again what it sent last, while that is not acknowledged; else a new event.
    Count {
        /// Which client.
        client: u8,
        /// Where.
        key: u8,
    },
    /// Somebody adds without a session.
    Add {
        /// Where.
        key: u8,
    },
    /// Puts a number that was never put before, in place of what is observed.
    Put {
        /// Where.
        key: u8,
    },
    /// Deletes what is observed, of every type.
    Delete {
        /// Where.
        key: u8,
    },
    /// The first step of a reset or of setting a number; the scheduler decides when the second follows.
    Observe {
        /// Where.
        key: u8,
    },
    /// The second step, from what was observed last: also again, however late.
    Overwrite {
        /// Where.
        key: u8,
    },
    /// The key goes so many milliseconds from now; 0: it stays.
    Expire {
        /// Where.
        key: u8,
        /// Unit: milliseconds.
        millis: u16,
    },
    /// Adds an element of a collection, gives it another value, or removes it.
    Element {
        /// Where.
        key: u8,
        /// Which.
        element: u8,
        /// What becomes of it.
        change: Change,
    },
    /// Reads siblings, for a put that takes their place.
    Siblings {
        /// Where.
        key: u8,
    },
    /// Puts a value beside those that were not read.
    PutSibling {
        /// Where.
        key: u8,
        /// In place of those that were read last; else in place of none.
        has_read: bool,
    },
    /// Raises or lowers a flag.
    Flag {
        /// Where.
        key: u8,
        /// Raised.
        on: bool,
    },
    /// Reads.
    Get {
        /// Where.
        key: u8,
    },
}

/// What becomes of an element of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there; in a sorted set with another score, in a map with another value.
    Put,
    /// A field of a map holds more.
    Add,
    /// It is gone.
    Remove,
}

impl Ask {
    /// The key that it is about.
    pub fn key(self) -> u8 {
        match self {
            Ask::Count { key, .. }
            | Ask::Add { key }
            | Ask::Put { key }
            | Ask::Delete { key }
            | Ask::Observe { key }
            | Ask::Overwrite { key }
            | Ask::Expire { key, .. }
            | Ask::Element { key, .. }
            | Ask::Siblings { key }
            | Ask::PutSibling { key, .. }
            | Ask::Flag { key, .. }
            | Ask::Get { key } => key,
        }
    }
}

impl Step {
    /// Instead of a number: the frame that was sent last.
    pub const NEWEST: u8 = u8::MAX;
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |node: &u8| format!("n{}", node + 1);
        let frame = |from: &u8, to: &u8, nth: &u8| format!("frame {nth} of {} → {}", n(from), n(to));
        match self {
            Step::Ask { node, ask } => write!(f, "a client asks {}: {ask:?}", n(node)),
            Step::Deliver { from, to, nth } => write!(f, "{} arrives", frame(from, to, nth)),
            Step::Repeat { from, to, nth } => write!(f, "{} arrives, not for the last time", frame(from, to, nth)),
            Step::Lose { from, to, nth } => write!(f, "{} is lost", frame(from, to, nth)),
            Step::Delay { from, to, nth } => write!(f, "{} is held up", frame(from, to, nth)),
            Step::Late { nth } => write!(f, "frame {nth} of those that were held up arrives"),
            Step::Break { from, to, comes_back } => {
                let what =
                    if *comes_back { "gets back what was under way" } else { "knows nothing of what was under way" };
                write!(f, "{} loses its connection to {} and {what}", n(from), n(to))
            }
            Step::Sync { node, lag } => write!(f, "{} has synced all but its newest {lag} batches", n(node)),
            Step::Read { node } => write!(f, "a job of {} reads", n(node)),
            Step::Job { node } => write!(f, "a job of {} ends", n(node)),
            Step::Fire { node } => write!(f, "the next timer of {} fires", n(node)),
            Step::Pass { millis } => write!(f, "{millis} ms pass"),
            Step::Flow { among, millis, holds } => {
                let nodes: Vec<String> = (0..8).filter(|node| among >> node & 1 == 1).map(|node| n(&node)).collect();
                write!(f, "for {millis} ms {} go on among themselves", nodes.join(", "))?;
                if *holds == Talk::Nothing { Ok(()) } else { write!(f, ", and {holds:?} stay under way") }
            }
            Step::Crash { node, kept } => write!(f, "power cut at {}; {kept} unsynced batches survive", n(node)),
            Step::Kill { node } => write!(f, "the process of {} is killed", n(node)),
            Step::Wipe { node } => write!(f, "{} loses its directory", n(node)),
            Step::Start { node } => write!(f, "{} is started", n(node)),
            Step::Adopt { node } => write!(f, "{} takes up the last layout", n(node)),
            Step::Tell { node } => write!(f, "{} tells that it is through with the layout", n(node)),
            Step::Change { drained } => write!(f, "a change begins that drains {}", n(drained)),
            Step::Revert => write!(f, "the change is taken back"),
            Step::Clock { node, off } => write!(f, "the wall clock of {} is {off} ms off", n(node)),
        }
    }
}
