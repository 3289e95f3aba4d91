//! The job pool: reads that may wait for the disk, off the shards' threads.
//!
//! Single rows that parked requests wait for go before pages of scans, and a scan never takes the last free worker, so
//! no request waits behind one. The queues are bounded by those who ask: a shard fetches a row once at a time and has at
//! most `parked_max` requests parked; its exchanges and deliveries read one page each.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use starling::shard::{Input, Job};
use starling::storage::Store;

use super::counters::Counters;
use super::mailbox::Mailbox;
use crate::exit;

/// Threads of the pool. Two: one may scan, one is always there for rows.
pub const WORKERS: usize = 2;

/// The pool; cheap to share.
#[derive(Default)]
pub struct Jobs {
    queues: Mutex<Queues>,
    wake: Condvar,
}

#[derive(Default)]
struct Queues {
    rows: VecDeque<(Job, Arc<Mailbox>)>,
    scans: VecDeque<(Job, Arc<Mailbox>)>,
    scanning: usize,
    is_stopping: bool,
}

impl Queues {
    /// The next job that may start, and whether it is a scan.
    fn next(&mut self, workers: usize) -> Option<(Job, Arc<Mailbox>, bool)> {
        if let Some((job, mailbox)) = self.rows.pop_front() {
            return Some((job, mailbox, false));
        }
        if self.scanning + 1 >= workers.max(2) {
            return None;
        }
        let (job, mailbox) = self.scans.pop_front()?;
        self.scanning += 1;
        Some((job, mailbox, true))
    }
}

impl Jobs {
    /// Starts the pool's threads; they end after [`Jobs::stop`].
    pub fn start(
        self: &Arc<Jobs>,
        store: &Arc<dyn Store>,
        counters: &Arc<Counters>,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        (0..WORKERS)
            .map(|number| {
                let (jobs, store, counters) = (self.clone(), store.clone(), counters.clone());
                let name = format!("job-{number}");
                std::thread::Builder::new().name(name.clone()).spawn(move || {
                    exit::guarded(&name, || jobs.work(store.as_ref(), &counters));
                })
            })
            .collect()
    }

    /// Queues a job; its result goes to the mailbox as `JobDone`.
    pub fn submit(&self, job: Job, mailbox: Arc<Mailbox>) {
        let mut queues = self.lock();
        match job {
            Job::Fetch { .. } => queues.rows.push_back((job, mailbox)),
            Job::ScanRows { .. } | Job::ScanFamily { .. } | Job::ScanDebts { .. } => {
                queues.scans.push_back((job, mailbox))
            }
        }
        drop(queues);
        self.wake.notify_one();
    }

    /// Ends the threads after the jobs that run now; what waits is dropped.
    pub fn stop(&self) {
        self.lock().is_stopping = true;
        self.wake.notify_all();
    }

    fn work(&self, store: &dyn Store, counters: &Counters) {
        let mut queues = self.lock();
        loop {
            if queues.is_stopping {
                return;
            }
            let Some((job, mailbox, is_scan)) = queues.next(WORKERS) else {
                queues = self.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(queues);
            let result = job.run(store);
            mailbox.own(Input::JobDone(result));
            if is_scan {
                counters.pages_scanned.add(1)
            } else {
                counters.rows_fetched.add(1)
            }
            queues = self.lock();
            if is_scan {
                queues.scanning -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use starling::ids::{Key, OpId};
    use starling::storage::{PageLimit, Range, RowKey};

    use super::*;

    fn fetch(key: &'static str) -> Job {
        Job::Fetch { row: RowKey::main(&Key::new(key).unwrap()) }
    }

    fn scan(op: u64) -> Job {
        let range = Range { start: Bytes::new(), end: None };
        Job::ScanRows { op: OpId(op), range, limit: PageLimit { rows: 1, bytes: 1 } }
    }

    #[test]
    fn rows_go_before_scans_and_a_scan_never_takes_the_last_worker() {
        let mailbox = Arc::new(Mailbox::default());
        let mut queues = Queues::default();
        for job in [scan(1), scan(2)] {
            queues.scans.push_back((job, mailbox.clone()));
        }
        queues.rows.push_back((fetch("likes"), mailbox));
        let mut next = || queues.next(2).map(|(job, _, _)| job);
        assert_eq!(next(), Some(fetch("likes")));
        assert_eq!(next(), Some(scan(1)));
        assert_eq!(next(), None, "one worker stays free for rows");
    }
}
