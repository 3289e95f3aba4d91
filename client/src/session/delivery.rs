//! Sending events until their outcome is known, and asking for leases: the tasks of a session.

use std::sync::Weak;
use std::time::Duration;

use starling::message::client::{Command, NodeAnswer, NodeCall, Outcome, Reason, Response, SessionTerms, WriteReply};

use super::clock::ClusterClock;
use super::event::{Answer, Send, Settled};
use super::lease::Lease;
use super::{Shared, Terms};
use crate::caller::Caller;
use crate::error::Error;

/// First pause before an event in doubt is sent again; it doubles each time.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

impl Shared {
    /// Sends an event once.
    async fn attempt(&self, send: &Send<Terms>) -> Result<WriteReply, Error> {
        // A repetition was written down before its first send.
        if send.attempt == 1
            && let Err(error) = self.keep().await
        {
            return Err(Error::NotSent { cause: error.to_string() });
        }
        let caller = Caller { pinned: send.terms.pinned, ..self.caller.clone() };
        match caller.key_call(&send.key, Command::IncrementAs(send.write), &send.terms.options).await? {
            (_, Response::Written(reply)) => Ok(reply),
            (node, other) => Err(caller.mismatch_of_write(node, &other)),
        }
    }
}

/// Sends an event until its outcome is known, or nobody holds the session any more.
pub(super) async fn deliver(session: Weak<Shared>, mut send: Send<Terms>) {
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        {
            let Some(shared) = session.upgrade() else { return };
            let outcome = shared.attempt(&send).await;
            let answer = answer_of(&outcome);
            let mut effects = {
                let mut inner = shared.lock();
                let now = inner.clock.now();
                if is_name_spent(&outcome) {
                    inner.state.abandon(send.write.actor);
                }
                let effects = inner.state.answered(&send, answer, now);
                match (&effects.retry, &outcome) {
                    (Some(_), Err(error)) => inner.doubts.insert(send.key.clone(), plain(error)),
                    (Some(_) | None, _) => inner.doubts.remove(&send.key),
                };
                effects
            };
            let retry = effects.retry.take();
            shared.act(effects, Some(&outcome), &send.terms);
            match retry {
                Some(next) => send = next,
                None => return,
            }
        }
        tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
}

/// Asks for the terms of a new lease.
pub(super) async fn open(session: Weak<Shared>, terms: Terms) {
    let Some(shared) = session.upgrade() else { return };
    let opened = session_terms(&shared.caller, &terms).await.and_then(|told| {
        let lease = Lease::open(&told, shared.config.lease, rand::random());
        if lease.is_fresh(told.wall) { Ok((told, lease)) } else { Err(impossible(&told)) }
    });
    match opened {
        Ok((told, lease)) => {
            let effects = {
                let mut inner = shared.lock();
                inner.clock = ClusterClock::told(told.wall);
                inner.state.opened(lease, told.wall)
            };
            shared.act(effects, None, &terms);
        }
        Err(error) => {
            let effects = shared.lock().state.not_opened();
            shared.act(effects, Some(&Err(error)), &terms);
        }
    }
}

fn impossible(terms: &SessionTerms) -> Error {
    Error::NotSent { cause: format!("no session can live with ticks of {} µs at {} µs", terms.tick_us, terms.wall.0) }
}

async fn session_terms(caller: &Caller, terms: &Terms) -> Result<SessionTerms, Error> {
    let caller = Caller { pinned: terms.pinned, ..caller.clone() };
    match caller.any_node_call(NodeCall::Status, &terms.options).await? {
        (_, NodeAnswer::Status(status)) => Ok(status.sessions),
        (node, other) => Err(caller.mismatch(node, &other)),
    }
}

fn answer_of(outcome: &Result<WriteReply, Error>) -> Answer {
    match outcome {
        Ok(_) => Answer::Acknowledged,
        Err(error) if error.outcome() == Outcome::NotApplied => Answer::NotApplied,
        Err(error) if error.reason() == Some(&Reason::SessionExpired) => Answer::Expired,
        Err(_) => Answer::MaybeApplied,
    }
}

/// Whether every later event under this name would be refused too.
fn is_name_spent(outcome: &Result<WriteReply, Error>) -> bool {
    let reason = outcome.as_ref().err().and_then(Error::reason);
    matches!(reason, Some(Reason::SessionExpired | Reason::LeaseTooLong { .. } | Reason::SessionReused { .. }))
}

/// An error without the advice, which is another one for sessions.
fn plain(error: &Error) -> String {
    match error {
        Error::Unknown { node, cause } => format!("node {node}: {cause}"),
        Error::Refused { node, said, .. } => format!("node {node}: {said}"),
        other => other.to_string(),
    }
}

/// What a caller is told.
pub(super) fn outcome(settled: Settled, cause: Option<&Result<WriteReply, Error>>) -> Result<WriteReply, Error> {
    match (settled, cause) {
        (Settled::Applied, Some(Ok(reply))) => Ok(reply.clone()),
        (Settled::NotApplied, Some(Err(error))) => Err(error.clone()),
        (Settled::Expired, Some(Err(error))) => Err(Error::SessionOver { cause: plain(error) }),
        // A step settles only what its answer says.
        (Settled::Applied | Settled::NotApplied | Settled::Expired, _) => {
            Err(Error::InDoubt { cause: "the session lost the answer".into() })
        }
    }
}
