//! Starling's core: the protocol of a Dynamo-style, always-writable, eventually consistent store of CRDTs.
//!
//! A library without I/O: no sockets, clocks, threads or entropy. A driver feeds [`shard::Input`]s and performs
//! [`shard::Effect`]s; `starling-node` does so with QUIC and RocksDB, `starling-sim` with a seeded virtual world.
//! What a simulation proves, it proves of the product.
//!
//! # The life of an increment
//!
//! ```text
//! client ─Increment─→ any node's shard      coordinator/mod.rs   order per connection and key
//!    not an owner ─Forward─→ an owner        coordinator/forward  one hop
//!    owner: Mint ─→ own replica              replica/mint.rs      a new dot, in one step; the row is in the turn
//!    end of turn: Replicate ─→ N−1 others    coordinator/write.rs one delta for all increments of the key in the turn
//!    their replicas merge                    replica/apply.rs     the acknowledgement waits for the row's sync
//!    W durable acknowledgements ─→ client    coordinator/tally.rs distinct nodes only
//!    an owner missing ─→ ledger ─→ debt      hints/, replica/debts.rs   delivered when it answers again
//!    what no debt knows of                   antientropy/         found by exchange between co-owners
//! ```
//!
//! A *get* asks R replicas and answers with their merge; a *put* or *delete* first observes like a get, then mints a
//! register write and covers exactly the counter entries that it saw. An increment of a client's *session* mints nothing:
//! the session is the actor, and its entry stands in a row of its own beside the key's (`replica/family.rs`). What has
//! expired is summed up or forgotten once that is proven safe (`stability/`).
//!
//! # Modules, from the ground up
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`], [`time`], [`limits`], [`sealed`], [`config`] | names, time that is handed in, every bound, what only the cluster can make, every knob |
//! | [`causality`] | actors, dots, version vectors, contexts with a floor |
//! | [`value`] | rows: lattices with one canonical encoding |
//! | [`ring`], [`membership`] | key → partition → preference list; the layout, who answers |
//! | [`storage`], [`message`] | what is asked of a disk; what nodes and clients say |
//! | [`coordinator`], [`replica`], [`hints`], [`antientropy`], [`stability`], [`transfer`], [`council`] | the protocols; they meet only in `shard` |
//! | [`shard`] | the machine that joins them, and its interface |
//! | [`restore`] | backups of several nodes become the directories of a new cluster |
//! | [`mutation`] | protections that tests switch off, to see a checker notice |
//!
//! A module imports from those above it and from its own row, with one exception: the protocols speak through what
//! `shard` lends them (`Env`, `Turn`, `Outbox`, `Local`), and use of each other only what `replica` says of a row (its
//! normal form), of a partition (its marks) and of the own standing.
//!
//! # Invariants
//!
//! - A dot is minted once, ever: whatever is wiped, restored, cloned or forgotten.
//! - State travels, never "+1"; it is applied only by merge; so loss, repetition and reordering are harmless.
//! - An acknowledgement leaves after the row that it speaks of is durable, even if the merge changed nothing.
//! - Every owner that has not acknowledged a write is in the ledger, in a mark on disk, or found by exchange.
//! - A hint is deleted when every owner has acknowledged it; an owner's row only when nothing is left of it that is not
//!   known everywhere.
//! - Nothing is forgotten by a timer: clocks decide when a tick is sealed, never whether it is safe.
//! - A read error is never "absent"; a refusal says what happened to the data.
//! - The core never reads a clock, never draws entropy, never iterates an unordered map.
//!
//! # Glossary
//!
//! - **slot**: one of 16384 hash classes of keys; **partition**: Q equal ranges of slots; the unit of ownership.
//! - **owner**: one of the N nodes that a partition belongs to; **fallback**: a node that stands in; **accept set**:
//!   owners and fallbacks; **preference list**: the accept set in order.
//! - **coordinator**: the node that carries a request to a quorum; **replica**: a node's copy of a row.
//! - **row**: what is stored for a key; **local header**: what one directory knows of its copy, never replicated.
//! - **actor**: a memory that mints (expiry **tick** + **epoch** of a start + **tenure** of a partition);
//!   **event**: its count of writes on a row; **dot**: actor and event.
//! - **delta**: a small row that holds one write; **stamp**: (hybrid clock, actor, event), orders register writes.
//! - **baseline**: what a covering write saw of the counter; **covering write**: put or delete.
//! - **hint**: a row held for owners that could not be reached; **debt**, **mark**: an owner that has not acknowledged
//!   a version of a row; **ledger**: the same in memory, while the acknowledgement may still come; **delivery** (Dynamo
//!   calls it *handoff*, and so does the setting): paying debts to an owner that answers again.
//! - **exchange**: co-owners compare and repair a partition; **newborn**: an owner whose directory does not hold its
//!   partition's data yet; **founding**: all owners newborn together.
//! - **claimant**: a live start that speaks for a member; two of them are **rivals**, and the member's id is *contested*.
//! - **family**: the rows of one key: the **main row**, and **side rows** for sessions and elements; what the side rows add
//!   up to stands **beside** the main row, in its local header.
//! - **session**: a client as an actor, with a lease; **element**: a member of a set, a field of a map, a scored member.
//! - **context**: what a client has seen of a key, sealed, for the second step of a write; **siblings**: values that have
//!   not seen each other.
//! - **sealed** (events of a tick are refused), **frozen** (its rows change by exchange only), **compacted** (its entries
//!   are one sum), **folded** (so are its baselines, and its tombstones are forgotten): how far a partition is *settled*.
//! - **survey**, **sweep**: looking through a partition to report it, to rewrite what is settled; **incarnation**: a data
//!   directory, whatever starts on it; **marks**: the incarnation and how far it is settled, on all that may change frozen
//!   ticks.
//! - **token**: what a client's session has seen and written, sealed; a read that cannot show all of it is **stale**.
//! - **turn**: the inputs handled between two seals; **ticket**: number of a sealed turn, cumulative.
//! - **phase**: where a layout stands between two placements (*moving*, *switched*, *closing*; else *steady*); **readers**,
//!   **write sets**, **leavers**: who is who in it; **fenced**: declared lost, never to speak again under its id; **voters**:
//!   members that decide on the next layout; **ballot**: one attempt to.
//! - **layout epoch** (which decision on ownership) and **actor epoch** (which start) are two things.

pub mod antientropy;
pub mod causality;
pub mod config;
pub mod coordinator;
pub mod council;
pub mod hints;
pub mod ids;
pub mod limits;
pub mod membership;
pub mod message;
pub mod mutation;
pub mod replica;
pub mod restore;
pub mod ring;
pub mod sealed;
pub mod shard;
pub mod stability;
pub mod storage;
pub mod time;
pub mod transfer;
pub mod value;
