//! A request that may be sent again: through another node whenever the last one refused, was lost, or takes too long.
//!
//! An earlier copy may still be on its way when the next is sent, so copies overtake each other and meet in every order.

use std::time::Duration;

use starling::message::client::{Reason, Request, Response};
use starling::time::Timestamp;

use crate::world::World;
use crate::world::chance::Chance;
use crate::world::history::OpNumber;

/// A request under way.
#[derive(Debug)]
pub struct Resend {
    request: Request,
    connection: u64,
    current: OpNumber,
    /// When the next copy goes, whatever became of this one.
    again_at: Timestamp,
    /// When the client gives up.
    gives_up_at: Timestamp,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not yet answered.
    Open,
    /// Answered, or refused for good.
    Answered(Box<Response>),
    /// The client has given up.
    GivenUp,
}

impl Resend {
    /// Sends it for the first time.
    pub fn begin(
        world: &mut World,
        chance: &mut Chance,
        connection: u64,
        request: Request,
        gives_up_at: Timestamp,
    ) -> Resend {
        let current = send(world, chance, connection, &request);
        Resend { request, connection, current, again_at: patience(world, chance), gives_up_at }
    }

    /// Looks for an answer, and sends the request again where that is due.
    pub fn go_on(&mut self, world: &mut World, chance: &mut Chance) -> Progress {
        let op = world.history.op(self.current);
        if let Some((_, response)) = &op.answer
            && is_final(response)
        {
            return Progress::Answered(Box::new(response.clone()));
        }
        if world.now() >= self.gives_up_at {
            return Progress::GivenUp;
        }
        let has_failed = op.ended_at().is_some() || op.is_refused;
        if has_failed {
            let soon = world.after(chance.span(Duration::from_millis(20), Duration::from_millis(400)));
            self.again_at = self.again_at.min(soon);
        }
        if world.now() >= self.again_at {
            self.current = send(world, chance, self.connection, &self.request);
            self.again_at = patience(world, chance);
        }
        Progress::Open
    }
}

fn send(world: &mut World, chance: &mut Chance, connection: u64, request: &Request) -> OpNumber {
    let node = chance.pick(world.doors()).copied().unwrap_or(0);
    world.request(node, connection, request.clone())
}

/// Some clients are impatient: their next copy goes while the last is still being worked on.
fn patience(world: &World, chance: &mut Chance) -> Timestamp {
    let least = if chance.happens(200) { 10 } else { 300 };
    world.after(chance.span(Duration::from_millis(least), Duration::from_millis(3_500)))
}

/// Whether another copy could come to anything else.
fn is_final(response: &Response) -> bool {
    match response {
        Response::Failed(error) => matches!(
            error.reason,
            Reason::NotANumber
                | Reason::Overflow
                | Reason::WrongType { .. }
                | Reason::ForeignToken { .. }
                | Reason::SessionExpired
                | Reason::ContextSettled
                | Reason::SessionReused { .. }
                | Reason::Malformed(_)
                | Reason::Forbidden(_)
        ),
        _ => true,
    }
}
