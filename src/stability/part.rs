//! What this shard knows of settling one partition: answers to the present round, and the own reports. In memory only.

use std::collections::BTreeMap;

use super::scan::Count;
use crate::causality::Tick;
use crate::ids::{NodeId, OpId};
use crate::message::client::Waiting;
use crate::message::peer::{Report, StabilityState};
use crate::time::Timestamp;

/// One partition.
#[derive(Debug)]
pub struct Part {
    /// The present round, 0 if there is none; answers to another one are not looked at.
    pub round: u64,
    /// When it began.
    pub round_at: Timestamp,
    /// Answers to it, the first of each node.
    pub said: BTreeMap<NodeId, StabilityState>,
    /// When another node last asked: it has something to settle, and needs this one.
    pub asked_at: Option<Timestamp>,
    /// The survey that the own reports came from.
    pub report_op: OpId,
    /// The own report of entries. It stays after it has been acted on, for those who come late.
    pub report: Option<Report>,
    /// The own report of baselines.
    pub baseline_report: Option<Report>,
    /// Whom the own next step waits for.
    pub waiting: Vec<Waiting>,
    /// What the last look through the rows found.
    pub count: Option<Count>,
    /// When it ended.
    pub counted_at: Timestamp,
    /// Not before this is the partition surveyed or swept again: a scan met a row that it could not read, or took long.
    pub scan_at: Timestamp,
    /// Not before this are unequal owners compared again.
    pub compare_at: Timestamp,
    /// How often they were, in this step.
    pub compared: u32,
    /// How far the partition was compacted and folded when the sweep was wished for.
    pub sweep_of: (Tick, Tick),
}

impl Default for Part {
    fn default() -> Part {
        Part {
            round: 0,
            round_at: Timestamp(0),
            said: BTreeMap::new(),
            asked_at: None,
            report_op: OpId(0),
            report: None,
            baseline_report: None,
            waiting: Vec::new(),
            count: None,
            counted_at: Timestamp(0),
            scan_at: Timestamp(0),
            compare_at: Timestamp(0),
            compared: 0,
            sweep_of: (Tick(0), Tick(0)),
        }
    }
}

impl Part {
    /// A new round: earlier answers count no longer.
    pub fn begin(&mut self, round: u64, now: Timestamp) {
        self.round = round;
        self.round_at = now;
        self.said.clear();
    }

    /// No round is under way: nobody's answer counts.
    pub fn end_round(&mut self) {
        self.round = 0;
        self.said.clear();
    }

    /// What the own reports rest on is in doubt.
    pub fn void(&mut self) {
        self.report = None;
        self.baseline_report = None;
    }
}
