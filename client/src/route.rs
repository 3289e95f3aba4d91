//! Which node takes a call: the preference list of the key, then everyone else, whoever can be reached first.
//!
//! ```text
//! owner ─ owner ─ owner ─ fallback ─ fallback ─ others        candidates, in order
//!   up?  take it
//!   dialling?  wait a stagger, then look one further
//!   dialling again, after it has failed?  look one further; wait for it if nobody else is there
//!   down, in its pause?  look one further
//!   up but silent?  only if nobody else is there
//! ```
//!
//! Costs nothing but a look at each link's state while the first candidate is up.

use std::sync::Arc;
use std::time::Duration;

use starling::ids::NodeId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::error::{DialError, Unreached};
use crate::link::LinkState;
use crate::nodes::Nodes;

/// How long a choice may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Nothing is waited for beyond it.
    pub(crate) deadline: Instant,
    /// While a candidate is dialled, one more is looked at after each such pause.
    pub(crate) stagger: Duration,
    /// Whether to dial again, until the deadline, when every candidate has failed.
    pub(crate) insists: bool,
}

/// The first candidate that can take a call. Waits for dials; `Err` lists why each candidate cannot.
pub(crate) async fn choose(
    nodes: &Nodes,
    candidates: &[NodeId],
    changed: &watch::Sender<()>,
    patience: Patience,
) -> Result<(NodeId, Arc<Connection>), Vec<Unreached>> {
    if let Some(found) = survey(nodes, candidates, 0).up {
        return Ok(found);
    }
    let started = Instant::now();
    let mut changed = changed.subscribe();
    loop {
        // Before the look, so that no change between look and wait is missed.
        changed.mark_unchanged();
        let waited = started.elapsed().as_micros() / patience.stagger.as_micros().max(1);
        let look = survey(nodes, candidates, usize::try_from(waited).unwrap_or(usize::MAX));
        if let Some(found) = look.up {
            return Ok(found);
        }
        let now = Instant::now();
        let is_hopeless = look.dialling == 0
            && look.redialling == 0
            && look.down.iter().all(|node| node.error.is_certificate_refused());
        let has_settled = look.dialling == 0 && look.redialling == 0 && !patience.insists;
        if now >= patience.deadline || is_hopeless || has_settled {
            return Err(look.down);
        }
        let stagger_ends = now + patience.stagger;
        let wake = [Some(patience.deadline), (look.dialling > 0).then_some(stagger_ends), look.retry_at];
        let wake = wake.into_iter().flatten().min().unwrap_or(patience.deadline);
        tokio::select! {
            // The sender lives as long as the client that waits here.
            _ = changed.changed() => {}
            () = sleep_until(wake) => {}
        }
    }
}

/// What one look at the candidates found.
#[derive(Default)]
struct Survey {
    up: Option<(NodeId, Arc<Connection>)>,
    dialling: usize,
    /// Dialled again after a failure: in the background, for who is down stays so for a while.
    redialling: usize,
    /// Why the others cannot take it, those still being dialled too.
    down: Vec<Unreached>,
    /// When the first of them may be dialled again.
    retry_at: Option<Instant>,
}

/// Looks at the candidates in order, and past as many as `patience` that are being dialled for the first time.
fn survey(nodes: &Nodes, candidates: &[NodeId], patience: usize) -> Survey {
    let mut survey = Survey::default();
    let mut silent = None;
    for node in candidates {
        if survey.dialling > patience {
            break;
        }
        let unreached = |error| nodes.unreached(*node, error);
        match nodes.want(*node) {
            Some(LinkState::Up(connection)) if connection.is_suspect() => {
                silent = silent.or(Some((*node, connection)));
            }
            Some(LinkState::Up(connection)) => {
                survey.up = Some((*node, connection));
                return survey;
            }
            Some(LinkState::Dialing { last_error: Some(error) }) => {
                survey.redialling += 1;
                survey.down.extend(unreached(error));
            }
            Some(LinkState::Dialing { last_error: None }) => {
                survey.dialling += 1;
                survey.down.extend(unreached(DialError::Unfinished));
            }
            Some(LinkState::Down { error, retry_at }) => {
                survey.retry_at = Some(survey.retry_at.map_or(retry_at, |first| first.min(retry_at)));
                survey.down.extend(unreached(error));
            }
            None => {}
        }
    }
    if survey.dialling == 0 {
        survey.up = silent;
    }
    survey
}
