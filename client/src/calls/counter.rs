//! Calls about numbers.
//!
//! ```text
//! increment  ─ session ─→ IncrementAs (event, p, n)     the same event again changes nothing
//! reset, set_to ─→ Observe ─→ Overwrite (context, to)   the same context again changes nothing
//! increment_untagged ─→ Increment                       sent again, it counts again: never done by itself
//! ```

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{Command, ObservedReply, Options, Reason, Visible, WriteReply};
use tokio::time::Instant;

use crate::Client;
use crate::error::Error;

impl Client {
    /// Adds to the number of a key exactly once; `by` may be negative. Uses the session that all clones of this client
    /// share, and retries through every node. See [`crate::Session::increment`] for what errors mean.
    pub async fn increment(&self, key: &Key, by: i64, options: &Options) -> Result<WriteReply, Error> {
        self.own_session().increment_on(self.caller.pinned, key, by, options).await
    }

    /// Subtracts, exactly once. See [`Client::increment`].
    pub async fn decrement(&self, key: &Key, by: i64, options: &Options) -> Result<WriteReply, Error> {
        let Some(by) = by.checked_neg() else { return Err(Error::not_negatable(by)) };
        self.increment(key, by, options).await
    }

    /// Adds without a session: cheaper, and if the answer is lost nobody can tell whether it counts. It is never sent
    /// again by itself.
    pub async fn increment_untagged(&self, key: &Key, by: i64, options: &Options) -> Result<WriteReply, Error> {
        self.caller.write(key, Command::Increment { by }, options).await
    }

    /// Waits until the increments of this client have an outcome. See [`crate::Session::settled`].
    pub async fn settled(&self) {
        self.own_session().settled().await;
    }

    /// Sets a number to zero, which shows as nothing: covers what is seen now; increments that it does not see survive. Safe
    /// to retry, so it is retried through every node until the deadline. A text is refused.
    pub async fn reset(&self, key: &Key, options: &Options) -> Result<WriteReply, Error> {
        self.observe_and_overwrite(key, None, options).await
    }

    /// Sets a number: covers what is seen now; increments that it does not see survive and count on top. Safe to retry, so
    /// it is retried through every node until the deadline.
    pub async fn set_to(&self, key: &Key, to: i64, options: &Options) -> Result<WriteReply, Error> {
        self.observe_and_overwrite(key, Some(to), options).await
    }

    /// First step of [`Client::set_to`]: what there is now, and the context that covers it.
    pub async fn observe(&self, key: &Key, options: &Options) -> Result<ObservedReply, Error> {
        self.caller.observe(key, Command::Observe, options).await
    }

    /// Second step of [`Client::set_to`] (`None`: of [`Client::reset`]): covers what the context has seen. With the same
    /// context it may be repeated, at any time and through any node: it changes nothing more.
    pub async fn overwrite(
        &self,
        key: &Key,
        context: Bytes,
        to: Option<i64>,
        options: &Options,
    ) -> Result<WriteReply, Error> {
        self.caller.write(key, Command::Overwrite { context, to }, options).await
    }

    async fn observe_and_overwrite(&self, key: &Key, to: Option<i64>, options: &Options) -> Result<WriteReply, Error> {
        let deadline = Instant::now() + self.caller.allowed(options);
        let observed = self.observe(key, options).await?;
        if to.is_none() && matches!(observed.value, Visible::Text(_)) {
            // Covering it would delete it.
            return Err(Error::invalid(Reason::NotANumber));
        }
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
        let options = Options { deadline_ms: Some(left), ..options.clone() };
        let mut reply = self.overwrite(key, observed.context, to, &options).await?;
        reply.partial |= observed.partial;
        Ok(reply)
    }
}
