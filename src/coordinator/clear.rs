//! Removing the elements of a key page by page, before the key itself is deleted, swept or written anew.
//!
//! ```text
//! listing a page ──elements──→ removing them ──W hold it──→ next page … next kind … ──→ the command itself
//!      └── none left ─────────────────────────────────────────────────────┘
//! ```
//!
//! Each step is a request of its own to this coordinator, so it observes, mints and counts like any other. Not atomic: a
//! reader may see some elements gone and others not, and what fails half-way says "unknown". Costs two quorums per page of
//! [`crate::limits::ELEMENTS_PER_COMMAND_MAX`] elements; nothing for keys without elements.

use bytes::Bytes;

use super::origin::Origin;
use crate::ids::{CollectionKind, PartitionId};
use crate::message::client::{Command, Outcome, PageReply, Request, Response, Upkeep, WriteAck, WriteReply};
use crate::time::Timestamp;

/// A key that is being cleared.
#[derive(Debug)]
pub(super) struct ClearOp {
    pub origin: Origin,
    pub partition: PartitionId,
    /// The command that needs it, carried out at the end.
    pub then: Request,
    pub deadline: Timestamp,
    /// Collections still to be cleared, the present one last.
    kinds: Vec<CollectionKind>,
    stage: Stage,
    /// Elements that were removed so far.
    removed: u64,
    /// Of all pages of removals, those who hold the one that the fewest hold.
    holders: Vec<WriteAck>,
    /// Some page was listed or removed with fewer than R owners.
    partial: bool,
}

#[derive(Debug)]
enum Stage {
    Listing,
    Removing { count: u64, next: Option<Bytes> },
    Finishing,
}

/// What comes next.
pub(super) enum Next {
    /// A request of its own.
    Ask(Request),
    /// The answer for the origin.
    Answer(Response),
}

impl ClearOp {
    /// Begins with the first page of the first kind.
    pub fn new(
        origin: Origin,
        partition: PartitionId,
        then: Request,
        deadline: Timestamp,
        kinds: Vec<CollectionKind>,
    ) -> ClearOp {
        ClearOp {
            origin,
            partition,
            then,
            deadline,
            kinds,
            stage: Stage::Listing,
            removed: 0,
            holders: Vec::new(),
            partial: false,
        }
    }

    /// The first request.
    pub fn begin(&mut self) -> Request {
        self.list(None)
    }

    /// A step was answered.
    pub fn on_answer(&mut self, response: Response) -> Next {
        // What was removed so far is seen by the steps to come, and by the answer's token.
        if let Response::Written(WriteReply { token: Some(token), .. }) = &response {
            self.then.options.token = Some(token.clone());
        }
        match (std::mem::replace(&mut self.stage, Stage::Listing), response) {
            (Stage::Finishing, response) => Next::Answer(self.tell_of_removals(response)),
            (_, Response::Failed(error)) => Next::Answer(self.tell_of_removals(Response::Failed(error))),
            (Stage::Listing, Response::Page(PageReply { elements, next, partial, .. })) => {
                self.partial |= partial;
                match (self.kinds.last(), next) {
                    (Some(kind), next) if !elements.is_empty() => {
                        let elements: Vec<Bytes> = elements.into_iter().map(|(element, _)| element).collect();
                        let count = elements.len() as u64;
                        let request = self.ask(Command::Upkeep(Upkeep::Remove { kind: *kind, elements }));
                        self.stage = Stage::Removing { count, next };
                        Next::Ask(request)
                    }
                    (_, Some(next)) => Next::Ask(self.list(Some(next))),
                    (_, None) => Next::Ask(self.next_kind()),
                }
            }
            (Stage::Removing { count, next }, response) => {
                if let Response::Written(reply) = response {
                    self.note_removed(count, reply);
                }
                Next::Ask(match next {
                    Some(next) => self.list(Some(next)),
                    None => self.next_kind(),
                })
            }
            // Only a list is answered by a page.
            (Stage::Listing, _) => Next::Ask(self.next_kind()),
        }
    }

    fn next_kind(&mut self) -> Request {
        self.kinds.pop();
        self.list(None)
    }

    fn list(&mut self, after: Option<Bytes>) -> Request {
        match self.kinds.last() {
            Some(kind) => {
                self.stage = Stage::Listing;
                self.ask(Command::Upkeep(Upkeep::List { kind: *kind, after }))
            }
            None => {
                self.stage = Stage::Finishing;
                self.then.clone()
            }
        }
    }

    fn ask(&self, command: Command) -> Request {
        Request { command, ..self.then.clone() }
    }

    /// A page whose elements somebody else has removed meanwhile wrote nothing, and nobody holds it.
    fn note_removed(&mut self, count: u64, reply: WriteReply) {
        self.partial |= reply.partial;
        if reply.acks.is_empty() {
            return;
        }
        self.removed += count;
        self.note_holders(reply.acks);
    }

    fn note_holders(&mut self, acks: Vec<WriteAck>) {
        if self.holders.is_empty() || acks.len() < self.holders.len() {
            self.holders = acks;
        }
    }

    /// Nothing of the command itself was done, but elements are gone: nobody may say "not applied". Of a delete the removals
    /// are a part: its answer tells how many there were, and counts no more holders than each of them has.
    fn tell_of_removals(&mut self, response: Response) -> Response {
        match response {
            Response::Written(mut reply) if self.removed > 0 && self.then.command == Command::Delete => {
                reply.removed = self.removed;
                reply.partial |= self.partial;
                if !reply.acks.is_empty() {
                    self.note_holders(std::mem::take(&mut reply.acks));
                }
                reply.acks = std::mem::take(&mut self.holders);
                Response::Written(reply)
            }
            Response::Failed(mut error) if self.removed > 0 => {
                error.outcome = Outcome::Unknown;
                Response::Failed(error)
            }
            response => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Durability;
    use crate::ids::{Key, NodeId};
    use crate::message::client::{Options, Reason};
    use crate::shard::not_applied;
    use crate::value::Visible;

    fn clearing() -> ClearOp {
        let key = Key::new("set").unwrap();
        let then = Request { key, command: Command::Delete, options: Options::default() };
        ClearOp::new(
            Origin::Own { op: crate::ids::OpId(1) },
            PartitionId(0),
            then,
            Timestamp(9),
            vec![CollectionKind::Set],
        )
    }

    fn page(elements: &[&'static str], next: Option<&'static str>) -> Response {
        let elements = elements.iter().map(|element| (Bytes::from(*element), Visible::Member)).collect();
        let next = next.map(Bytes::from);
        Response::Page(PageReply { elements, conflicts: Vec::new(), next, size: 9, partial: false, token: None })
    }

    fn held_by(nodes: &[u64]) -> Response {
        let ack = |node: &u64| WriteAck { node: NodeId(*node), durability: Durability::Fsync, is_owner: true };
        let acks = nodes.iter().map(ack).collect();
        Response::Written(WriteReply { value: Visible::Nothing, acks, removed: 0, partial: false, token: None })
    }

    /// Feeds answers; the last one must lead to the answer for the client.
    fn answer(answers: Vec<Response>) -> Response {
        let mut clear = clearing();
        clear.begin();
        let mut told = None;
        for response in answers {
            assert!(told.is_none(), "it was answered already");
            if let Next::Answer(response) = clear.on_answer(response) {
                told = Some(response);
            }
        }
        told.expect("answered")
    }

    fn nodes(response: &Response) -> (u64, Vec<u64>) {
        match response {
            Response::Written(reply) => (reply.removed, reply.acks.iter().map(|ack| ack.node.0).collect()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pages_that_different_nodes_hold_are_told_with_as_many_holders_as_each_of_them_has() {
        let pages = || {
            vec![
                page(&["a", "b"], Some("b")),
                held_by(&[1, 2]),
                page(&["c", "d"], Some("d")),
                held_by(&[2, 3, 1]),
                page(&["e"], Some("e")),
                held_by(&[1, 3]),
                page(&["f"], None),
                // Somebody else removed it.
                held_by(&[]),
            ]
        };
        for last in [held_by(&[]), held_by(&[3, 2, 1])] {
            let told = answer(pages().into_iter().chain([last]).collect());
            assert_eq!(nodes(&told), (5, vec![1, 2]), "{told:?}");
        }
        let told = answer(pages().into_iter().chain([held_by(&[3])]).collect());
        assert_eq!(nodes(&told), (5, vec![3]), "the delete itself counts as one of them");
    }

    #[test]
    fn a_delete_that_removed_nothing_tells_of_the_key_alone() {
        let told = answer(vec![page(&[], None), held_by(&[2, 3])]);
        assert_eq!(nodes(&told), (0, vec![2, 3]));
        let told = answer(vec![page(&["a"], None), held_by(&[]), held_by(&[])]);
        assert_eq!(nodes(&told), (0, vec![]));
    }

    #[test]
    fn once_something_is_removed_a_failure_is_unknown() {
        let failed = || Response::Failed(not_applied(Reason::Stopping));
        let outcome = |response| match response {
            Response::Failed(error) => error.outcome,
            other => panic!("{other:?}"),
        };
        assert_eq!(outcome(answer(vec![page(&["a"], None), failed()])), Outcome::NotApplied);
        assert_eq!(outcome(answer(vec![page(&["a"], None), held_by(&[]), failed()])), Outcome::NotApplied);
        assert_eq!(outcome(answer(vec![page(&["a"], None), held_by(&[1, 2]), failed()])), Outcome::Unknown);
    }
}
