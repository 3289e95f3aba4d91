//! The event queue: what happens next. Events of one instant happen in the order in which they were scheduled.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use starling::time::Timestamp;

#[derive(Debug)]
struct Entry<E> {
    at: Timestamp,
    number: u64,
    event: E,
}

/// Events by time.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Entry<E>>,
    number: u64,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue { heap: BinaryHeap::new(), number: 0 }
    }
}

impl<E> EventQueue<E> {
    /// Adds an event.
    pub fn push(&mut self, at: Timestamp, event: E) {
        self.number += 1;
        self.heap.push(Entry { at, number: self.number, event });
    }

    /// Takes the first event, unless it lies after `until`.
    pub fn pop_until(&mut self, until: Timestamp) -> Option<(Timestamp, E)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Reversed: the heap shows its largest, the queue its earliest.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_time_then_of_scheduling() {
        let mut queue = EventQueue::default();
        queue.push(Timestamp(5), "c");
        queue.push(Timestamp(3), "a");
        queue.push(Timestamp(3), "b");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_until(Timestamp(4))).collect();
        assert_eq!(order, [(Timestamp(3), "a"), (Timestamp(3), "b")]);
        assert_eq!(queue.pop_until(Timestamp(9)), Some((Timestamp(5), "c")));
    }
}
