//! The calls of one connection that have no answer yet, and for each whether it may have left the process.
//!
//! ```text
//!            register            the writer takes it        answer
//!   (new) ─────────────→ queued ────────────────────→ sent ───────→ answered
//!                          │ forget, close              │ forget, close
//!                          ▼                            ▼
//!                     certainly not sent            maybe sent
//! ```
//!
//! The whole honesty of the client about lost connections rests on this table: a call is marked as sent *before* its
//! first byte is given to QUIC. Costs one short lock per step.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use starling::ids::RequestId;
use starling::message::client::AnswerBody;
use tokio::sync::oneshot;

/// The connection went away before the answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The call may have reached the node.
    pub(crate) is_sent: bool,
    /// Why the connection went away.
    pub(crate) reason: Arc<str>,
}

/// Where the answer of a call arrives.
pub(crate) type AnswerReceiver = oneshot::Receiver<Result<AnswerBody, Lost>>;

#[derive(Default)]
pub(crate) struct Pending {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: HashMap<RequestId, Entry>,
    next_id: u64,
    /// Set once, when the connection is gone.
    closed: Option<Arc<str>>,
}

struct Entry {
    answer: oneshot::Sender<Result<AnswerBody, Lost>>,
    is_sent: bool,
}

impl Pending {
    /// A new call. Refused when the connection is already gone.
    pub(crate) fn register(&self) -> Result<(RequestId, AnswerReceiver), Lost> {
        let mut state = self.lock();
        if let Some(reason) = &state.closed {
            return Err(Lost { is_sent: false, reason: reason.clone() });
        }
        let id = RequestId(state.next_id);
        state.next_id = state.next_id.wrapping_add(1);
        let (answer, receiver) = oneshot::channel();
        state.calls.insert(id, Entry { answer, is_sent: false });
        Ok((id, receiver))
    }

    /// The writer is about to send it. `false`: nobody waits for it any more, so it need not be sent.
    pub(crate) fn mark_sent(&self, id: RequestId) -> bool {
        match self.lock().calls.get_mut(&id) {
            Some(entry) => {
                entry.is_sent = true;
                true
            }
            None => false,
        }
    }

    /// The answer came. An answer that nobody waits for is dropped.
    pub(crate) fn answer(&self, id: RequestId, body: AnswerBody) {
        let entry = self.lock().calls.remove(&id);
        if let Some(entry) = entry {
            // The caller may be gone since: then nobody wants the answer.
            let _ = entry.answer.send(Ok(body));
        }
    }

    /// A call that could not even be encoded: it did not leave.
    pub(crate) fn refuse(&self, id: RequestId, reason: &str) {
        let entry = self.lock().calls.remove(&id);
        if let Some(entry) = entry {
            let _ = entry.answer.send(Err(Lost { is_sent: false, reason: reason.into() }));
        }
    }

    /// The caller gives up. Whether the call may have been sent; `None` if it was answered meanwhile.
    pub(crate) fn forget(&self, id: RequestId) -> Option<bool> {
        self.lock().calls.remove(&id).map(|entry| entry.is_sent)
    }

    /// The connection is gone: every call learns it, and what became of itself. The first reason stays.
    pub(crate) fn close(&self, reason: &str) {
        let (calls, reason) = {
            let mut state = self.lock();
            let reason = state.closed.get_or_insert_with(|| reason.into()).clone();
            (std::mem::take(&mut state.calls), reason)
        };
        for entry in calls.into_values() {
            let _ = entry.answer.send(Err(Lost { is_sent: entry.is_sent, reason: reason.clone() }));
        }
    }

    /// Why the connection is gone, if it is.
    pub(crate) fn closed(&self) -> Option<Arc<str>> {
        self.lock().closed.clone()
    }

    /// Calls without an answer.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().calls.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half way, so a poisoned table is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_learns_whether_it_may_have_left_when_the_connection_goes() {
        let pending = Pending::default();
        let (_, mut queued) = pending.register().unwrap();
        let (id, mut sent) = pending.register().unwrap();
        assert!(pending.mark_sent(id));
        pending.close("cut");
        pending.close("a later reason");
        let reason: Arc<str> = "cut".into();
        assert_eq!(queued.try_recv(), Ok(Err(Lost { is_sent: false, reason: reason.clone() })));
        assert_eq!(sent.try_recv(), Ok(Err(Lost { is_sent: true, reason: reason.clone() })));
        assert_eq!(pending.register().unwrap_err(), Lost { is_sent: false, reason });
    }

    #[test]
    fn a_forgotten_call_is_not_sent() {
        let pending = Pending::default();
        let (id, _receiver) = pending.register().unwrap();
        assert_eq!(pending.forget(id), Some(false));
        assert!(!pending.mark_sent(id));
        assert_eq!(pending.forget(id), None);
        assert_eq!(pending.len(), 0);
    }
}
