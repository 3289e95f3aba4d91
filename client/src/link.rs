//! A link: the lasting relation of a client to one node, through all the connections that come and go.
//!
//! ```text
//!        needed                greeted                lost
//! Idle ─────────→ Dialing ─────────────→ Up ─────────────────────┐
//!                   ↑  │ failed                                  │
//!                   │  ▼                                         ▼
//!                   └─ Down (pause, doubling) ←──────────────────┘   needed after the pause: Dialing
//! ```
//!
//! Nothing is dialled before it is needed. A task per attempt dials, keeps the state, and ends with its connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use starling::membership::Member;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ClientConfig;
use crate::connection::Connection;
use crate::dial::Dialer;
use crate::error::DialError;

/// A connection that lived at least this long was a good one: the next dial waits for nothing.
const GOOD_LIFE: Duration = Duration::from_secs(1);

pub(crate) struct Link {
    member: Member,
    dialer: Arc<Dialer>,
    backoff_min: Duration,
    backoff_max: Duration,
    state: Mutex<State>,
    /// Marked at every change of any link, for those who wait for one.
    changed: watch::Sender<()>,
}

/// How a link is now.
#[derive(Clone)]
pub(crate) enum LinkState {
    /// Dialled, and not there yet.
    Dialing {
        /// Why the dial before failed.
        last_error: Option<DialError>,
    },
    /// There.
    Up(Arc<Connection>),
    /// Not there, and not dialled before `retry_at`.
    Down { error: DialError, retry_at: Instant },
}

struct State {
    now: Option<LinkState>,
    /// Failures since the last good connection.
    failures: u32,
}

impl Link {
    pub(crate) fn new(
        member: Member,
        dialer: Arc<Dialer>,
        config: &ClientConfig,
        changed: watch::Sender<()>,
    ) -> Arc<Link> {
        Arc::new(Link {
            member,
            dialer,
            backoff_min: config.backoff_min,
            backoff_max: config.backoff_max,
            state: Mutex::new(State { now: None, failures: 0 }),
            changed,
        })
    }

    /// The state; starts a dial if one is due.
    pub(crate) fn want(self: &Arc<Self>) -> LinkState {
        let mut state = self.lock();
        let last_error = match &state.now {
            Some(now @ (LinkState::Dialing { .. } | LinkState::Up(_))) => return now.clone(),
            Some(now @ LinkState::Down { retry_at, .. }) if Instant::now() < *retry_at => return now.clone(),
            Some(LinkState::Down { error, .. }) => Some(error.clone()),
            None => None,
        };
        let dialing = LinkState::Dialing { last_error };
        state.now = Some(dialing.clone());
        tokio::spawn(self.clone().run());
        dialing
    }

    async fn run(self: Arc<Self>) {
        let connection = match self.dialer.dial(&self.member).await {
            Ok(connection) => connection,
            Err(error) => return self.down(error, true),
        };
        let opened = Instant::now();
        self.lock().now = Some(LinkState::Up(connection.clone()));
        self.changed.send_replace(());
        let error = connection.closed().await;
        let was_good = connection.has_answered() || opened.elapsed() >= GOOD_LIFE;
        self.down(error, !was_good);
    }

    fn down(&self, error: DialError, is_failure: bool) {
        {
            let mut state = self.lock();
            state.failures = if is_failure { state.failures.saturating_add(1) } else { 0 };
            let pause = if is_failure { self.pause(state.failures) } else { Duration::ZERO };
            state.now = Some(LinkState::Down { error, retry_at: Instant::now() + pause });
        }
        self.changed.send_replace(());
    }

    /// Doubles with each failure, up to the maximum; half of it is random, so that clients do not come in step.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.backoff_min.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.backoff_max);
        doubled.mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
