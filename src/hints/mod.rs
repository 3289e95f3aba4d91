//! Hints and debts: nobody who missed a write is forgotten.
//!
//! ```text
//! write answered, owners missing ─→ ledger.rs (in memory, until they acknowledge)
//!                                      │ deadline, suspicion, full
//!                                      ↓
//!                        marks in the row's local header, index by owner   (replica/debts.rs)
//!                                      │ the owner answers again
//!                                      ↓
//!                                   delivery.rs ─Deliver→ owner ─Delivered→ marks struck; a fallback's row goes
//! ```
//!
//! A hint is typed state, applied by merge, at least once; never an update (ScyllaDB issue 5833). What no debt knows of
//! (a coordinator that died before it told anybody, a wiped directory) is `antientropy`'s to find.
//! `retarget.rs` turns what is owed to a node that is no owner any more into debts to those that are.
//! `lag.rs` counts what is not confirmed, and since when; `repair_marks.rs` remembers where a debt was left out for want of room.
//! Called by the shard. Source: Dynamo 2007 §4.6.

mod delivery;
pub mod lag;
mod ledger;
mod repair_marks;
mod retarget;

pub use delivery::Delivery;
pub use ledger::Ledger;
pub use repair_marks::RepairMarks;
pub use retarget::Retargets;
