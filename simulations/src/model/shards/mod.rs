//! The specification on the real shards: a scheduler decides what happens next, and every promise is checked.
//!
//! ```text
//!             ┌──────────── draw ────────────┐            whole cores, real encoded frames, disks that lose their tail
//! seed ──→ Step, Step, Step … ──→ Cluster ──→ nodes ──→ frames, answers, facts ──→ record
//!             │                                                                     │
//!             └ shrink ←── failure ←── rest, finals ←───────────────────────────────┘
//! ```
//!
//! `machine` searches the rules with owners and messages of its own; here the owners are [`starling::shard::Shard`]s. The
//! swarm drives the same shards, but lets time decide the order; here any frame may arrive at any moment, or again, or
//! never, every turn has one input, and time stands still unless a step lets it go on. A history is a seed and its steps;
//! a failing one is made short and replays from them.
//!
//! | file | |
//! |---|---|
//! | `instance`, `step` | what is explored; what can happen |
//! | `node`, `cluster` | a shard on a directory; frames under way, turns, effects |
//! | `changes` | layouts that follow one another, and who has taken up which |
//! | `clients`, `asks` | under which names clients ask; requests and answers |
//! | `record`, `writes`, `rows` | what is known from outside of increments and of writes; what stands in a directory |
//! | `rules` | the rules of forgetting, seen by one who sees all nodes |
//! | `rest`, `finals` | the end of a history, and what must be true there |
//! | `draw`, `search`, `shrink`, `trace` | histories by chance, and what becomes of one that fails |
//!
//! Checked in each history: no dot is minted twice; what is acknowledged is durable at W nodes at that moment; no request
//! is answered twice; no node seals, freezes, compacts or folds against the rules. And at its end, with nothing failing: the cluster comes to rest within a bound (all owners have the
//! same bytes, nothing is owed, everything that expired is settled); every increment counts as its client was told; nothing
//! stands that an acknowledged write saw and took away, nothing is lost that no write took away, and the last writer wins.
//! The front page of `model` says what is not covered.

mod asks;
mod changes;
pub mod clients;
pub mod cluster;
pub mod draw;
mod finals;
pub mod instance;
pub mod node;
pub mod record;
mod rest;
pub mod rows;
mod rules;
pub mod search;
pub mod shrink;
pub mod step;
pub mod trace;
pub mod writes;
