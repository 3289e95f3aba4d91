//! The trace: a hash over every event of a world in order, so that two runs can be compared; printed on request.

use std::fmt;

use starling::time::Timestamp;
use xxhash_rust::xxh3::Xxh3;

/// Hash of all that happened so far.
pub struct Trace {
    hash: Xxh3,
    events: u64,
    prints: bool,
}

impl Trace {
    /// An empty trace; with `prints` every line also goes to standard output.
    pub fn new(prints: bool) -> Trace {
        Trace { hash: Xxh3::new(), events: 0, prints }
    }

    /// Takes an event into account: its time, what it was, and the bytes that made it up.
    pub fn event(&mut self, at: Timestamp, what: &str, place: u64, bytes: &[u8]) {
        self.events += 1;
        self.hash.update(&at.0.to_le_bytes());
        self.hash.update(what.as_bytes());
        self.hash.update(&place.to_le_bytes());
        self.hash.update(bytes);
    }

    /// Prints a line, if lines are printed. The text is only made then.
    pub fn line(&self, at: Timestamp, text: impl FnOnce() -> String) {
        if self.prints {
            println!("{:>13.6} {}", at.0 as f64 / 1e6, text());
        }
    }

    /// The hash of all events so far.
    pub fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// How many there were.
    pub fn events(&self) -> u64 {
        self.events
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x} over {} events)", self.hash(), self.events)
    }
}
