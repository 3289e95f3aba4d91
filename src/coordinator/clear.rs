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
    has_removed: bool,
    /// Who holds every removal so far; none if no quorum holds all.
    holders: Option<Vec<WriteAck>>,
}

#[derive(Debug)]
enum Stage {
    Listing,
    Removing { next: Option<Bytes> },
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
        ClearOp { origin, partition, then, deadline, kinds, stage: Stage::Listing, has_removed: false, holders: None }
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
            (Stage::Listing, Response::Page(PageReply { elements, next, .. })) => match (self.kinds.last(), next) {
                (Some(kind), next) if !elements.is_empty() => {
                    let elements = elements.into_iter().map(|(element, _)| element).collect();
                    let request = self.ask(Command::Upkeep(Upkeep::Remove { kind: *kind, elements }));
                    self.stage = Stage::Removing { next };
                    Next::Ask(request)
                }
                (_, Some(next)) => Next::Ask(self.list(Some(next))),
                (_, None) => Next::Ask(self.next_kind()),
            },
            (Stage::Removing { next }, response) => {
                self.has_removed = true;
                if let Response::Written(reply) = response {
                    self.note_holders(reply.acks);
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

    fn note_holders(&mut self, acks: Vec<WriteAck>) {
        match &mut self.holders {
            None => self.holders = Some(acks),
            // Pages that different nodes hold have no holders in common that would make a quorum.
            Some(holders) if holders.iter().any(|holder| !acks.iter().any(|ack| ack.node == holder.node)) => {
                holders.clear();
            }
            Some(_) => {}
        }
    }

    /// Nothing of the command itself was done, but elements are gone: nobody may say "not applied". And who holds their
    /// removals is told where the command itself had nothing more to write.
    fn tell_of_removals(&mut self, response: Response) -> Response {
        match response {
            Response::Written(mut reply) if reply.acks.is_empty() => {
                reply.acks = self.holders.take().unwrap_or_default();
                Response::Written(reply)
            }
            Response::Failed(mut error) if self.has_removed => {
                error.outcome = Outcome::Unknown;
                Response::Failed(error)
            }
            response => response,
        }
    }
}
