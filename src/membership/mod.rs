//! Who belongs to the cluster and who is reachable.
//!
//! Two different questions, kept apart on purpose (Dynamo 2007 §4.8): the [`Layout`] says who *belongs* and changes
//! only by an explicit act; [`liveness`] says who *answers* and steers nothing but routing and hints. [`claims`] finds
//! two live processes that answer for one member. [`naming`] says how members and addresses may be called.

pub mod bundle;
pub mod claims;
pub mod layout;
pub mod liveness;
pub mod naming;
pub mod principal;

pub use layout::{
    Before, Change, ChangeError, Committed, Fallbacks, Fenced, Forced, Layout, LayoutEpoch, LayoutError, Member,
    OwnerTable, PartitionRun, Phase, Plan,
};
