//! One established connection to one node: a framed stream on which many calls are in flight.
//!
//! ```text
//! callers ─ queue ─→ writer task ─ one write for many calls ─→ node
//! callers ←─ table ← reader task ←──────── answers, any order ─ node
//! ```
//!
//! Nothing counts before the HELLO exchange: under TLS 1.3 a dial succeeds before the node has looked at our
//! certificate. [`Connection::open`] does it; what it returns has been accepted. When either task ends, the table is
//! closed, so that each caller learns whether its call may have left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quinn::{RecvStream, SendStream, VarInt};
use starling::ids::{NodeId, RequestId};
use starling::limits;
use starling::membership::Layout;
use starling::message::client::{Answer, AnswerBody, Call, CallBody, Hello};
use starling::message::codec::{self, CodecError, Message};
use starling::message::envelope::EnvelopeBuffer;
use tokio::io::AsyncReadExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::dial;
use crate::error::DialError;
use crate::pending::{AnswerReceiver, Lost, Pending};

/// Calls that one write may carry.
const CALLS_PER_WRITE_MAX: usize = 256;

/// Bytes after which the writer hands over what it has. Unit: bytes.
const BYTES_PER_WRITE: usize = 128 * 1024;

/// Code with which a connection is closed that is not needed any more.
pub(crate) const CLOSE_DONE: VarInt = VarInt::from_u32(0);

/// Code with which a connection is closed on which the node said something malformed.
const CLOSE_MALFORMED: VarInt = VarInt::from_u32(1);

const TOO_LATE: &str = "the deadline passed before it was sent";

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It certainly never left this process.
    NotSent(String),
    /// It may have reached the node.
    MaybeSent(String),
}

/// Until when a call is worth anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// It is not sent any more after this.
    pub(crate) send_by: Instant,
    /// Its answer is not waited for any more after this.
    pub(crate) answer_by: Instant,
}

/// A call that waits for the writer.
struct Queued {
    call: Call,
    send_by: Instant,
}

pub(crate) struct Connection {
    quic: quinn::Connection,
    queue: mpsc::Sender<Queued>,
    slots: Semaphore,
    shared: Arc<Shared>,
    /// Number of the node's layout when it was greeted; 0 if it did not say.
    layout: u64,
}

/// What the callers and the two tasks share.
struct Shared {
    pending: Pending,
    opened: Instant,
    /// When the last answer came. Unit: microseconds since `opened`; 0 before the first.
    heard_us: AtomicU64,
    /// A call's deadline passed in silence; the next answer clears it.
    is_suspect: AtomicBool,
}

impl Connection {
    /// Opens the stream of a fresh QUIC connection and exchanges HELLO. The caller bounds the time.
    pub(crate) async fn open(
        quic: quinn::Connection,
        node: NodeId,
        layout: &Layout,
        in_flight_max: usize,
    ) -> Result<Arc<Connection>, DialError> {
        let (mut send, stream) = quic.open_bi().await.map_err(|error| dial::error_of(&error))?;
        let mut incoming = Incoming { stream, buffer: EnvelopeBuffer::new(limits::FRAME_BYTES_MAX) };
        let hello = Hello {
            cluster: layout.cluster,
            node: None,
            layout: Some(layout.epoch),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut bytes = Vec::new();
        codec::encode(&hello, &mut bytes).map_err(|error| DialError::Protocol(error.to_string()))?;
        let greeting: Result<Hello, ReadError> = match send.write_all(&bytes).await {
            Ok(()) => incoming.next().await,
            Err(error) => Err(ReadError::Stream(error.to_string())),
        };
        let greeting = match greeting {
            Ok(greeting) => greeting,
            Err(error) => return Err(hello_failed(&quic, error).await),
        };
        if greeting.cluster != layout.cluster {
            return Err(DialError::Protocol(format!("it belongs to cluster {}", greeting.cluster)));
        }
        if greeting.node != Some(node) {
            return Err(DialError::Protocol("it says that it is another node".into()));
        }
        let (queue, calls) = mpsc::channel(in_flight_max);
        let shared = Arc::new(Shared {
            pending: Pending::default(),
            opened: Instant::now(),
            heard_us: AtomicU64::new(0),
            is_suspect: AtomicBool::new(false),
        });
        tokio::spawn(write_calls(send, calls, shared.clone(), quic.clone()));
        tokio::spawn(read_answers(incoming, shared.clone(), quic.clone()));
        let layout = greeting.layout.map_or(0, |layout| layout.number);
        Ok(Arc::new(Connection { quic, queue, slots: Semaphore::new(in_flight_max), shared, layout }))
    }

    /// Number of the node's layout when it was greeted; 0 if it did not say.
    pub(crate) fn layout(&self) -> u64 {
        self.layout
    }

    /// Sends a call and waits for its answer. Dropping the future gives the call up.
    pub(crate) async fn call(&self, body: CallBody, limits: Limits) -> Result<AnswerBody, NoAnswer> {
        let started = Instant::now();
        let Limits { send_by, answer_by } = limits;
        let not_sent = |reason: &str| Err(NoAnswer::NotSent(reason.to_owned()));
        let Ok(Ok(_slot)) = timeout_at(send_by, self.slots.acquire()).await else {
            return not_sent("too many calls were in flight until the deadline");
        };
        let (id, mut receiver) = match self.shared.pending.register() {
            Ok(registered) => registered,
            Err(lost) => return not_sent(&lost.reason),
        };
        let waiting = Waiting { pending: &self.shared.pending, id };
        match timeout_at(send_by, self.queue.send(Queued { call: Call { id, body }, send_by })).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return not_sent(&self.loss_reason()),
            Err(_) => return not_sent("the connection took no calls until the deadline"),
        }
        match timeout_at(answer_by, &mut receiver).await {
            Ok(Ok(outcome)) => outcome.map_err(NoAnswer::from),
            // The table was dropped with the sender in it: cannot happen while `self` lives, and is answered anyway.
            Ok(Err(_)) => Err(NoAnswer::MaybeSent(self.loss_reason())),
            Err(_) => self.give_up(waiting, &mut receiver, started),
        }
    }

    /// The deadline passed: whatever came in the last moment still counts.
    fn give_up(
        &self,
        waiting: Waiting<'_>,
        receiver: &mut AnswerReceiver,
        started: Instant,
    ) -> Result<AnswerBody, NoAnswer> {
        match self.shared.pending.forget(waiting.id) {
            Some(false) => Err(NoAnswer::NotSent(TOO_LATE.into())),
            Some(true) => {
                let heard = self.shared.opened + Duration::from_micros(self.shared.heard_us.load(Ordering::Relaxed));
                // Other calls may have been answered just after this one left; a node that is there goes on answering.
                if heard < started + started.elapsed() / 2 {
                    self.shared.is_suspect.store(true, Ordering::Relaxed);
                }
                Err(NoAnswer::MaybeSent("no answer before the deadline".into()))
            }
            None => match receiver.try_recv() {
                Ok(outcome) => outcome.map_err(NoAnswer::from),
                Err(_) => Err(NoAnswer::MaybeSent("no answer before the deadline".into())),
            },
        }
    }

    /// Calls went unanswered in silence: others are preferred until it answers again.
    pub(crate) fn is_suspect(&self) -> bool {
        self.shared.is_suspect.load(Ordering::Relaxed)
    }

    /// Whether any call was ever answered on it.
    pub(crate) fn has_answered(&self) -> bool {
        self.shared.heard_us.load(Ordering::Relaxed) > 0
    }

    /// Waits until the connection is gone and says why.
    pub(crate) async fn closed(&self) -> DialError {
        let error = self.quic.closed().await;
        self.shared.pending.close(&dial::reason_of(&error));
        match (&error, self.shared.pending.closed()) {
            (quinn::ConnectionError::LocallyClosed, Some(reason)) => DialError::Lost(reason.to_string()),
            _ => dial::error_of(&error),
        }
    }

    fn loss_reason(&self) -> String {
        match self.shared.pending.closed() {
            Some(reason) => reason.to_string(),
            None => "the connection is closing".into(),
        }
    }
}

impl From<Lost> for NoAnswer {
    fn from(lost: Lost) -> NoAnswer {
        let reason = lost.reason.to_string();
        if lost.is_sent { NoAnswer::MaybeSent(reason) } else { NoAnswer::NotSent(reason) }
    }
}

/// Takes the call out of the table when its caller goes away.
struct Waiting<'a> {
    pending: &'a Pending,
    id: RequestId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pending.forget(self.id);
    }
}

/// Gathers what is queued into few writes. Ends when the connection or the client is gone.
async fn write_calls(
    mut send: SendStream,
    mut calls: mpsc::Receiver<Queued>,
    shared: Arc<Shared>,
    quic: quinn::Connection,
) {
    let mut taken = Vec::with_capacity(CALLS_PER_WRITE_MAX);
    let mut bytes = Vec::with_capacity(BYTES_PER_WRITE);
    loop {
        if calls.recv_many(&mut taken, CALLS_PER_WRITE_MAX).await == 0 {
            return;
        }
        let mut rest = taken.drain(..).peekable();
        while let Some(Queued { call, send_by }) = rest.next() {
            if Instant::now() >= send_by {
                shared.pending.refuse(call.id, TOO_LATE);
            } else if shared.pending.mark_sent(call.id)
                && let Err(error) = codec::encode(&call, &mut bytes)
            {
                shared.pending.refuse(call.id, &error.to_string());
            }
            let is_full = bytes.len() >= BYTES_PER_WRITE;
            if (is_full || rest.peek().is_none()) && !bytes.is_empty() {
                if let Err(error) = send.write_all(&bytes).await {
                    shared.pending.close(&stream_reason(&quic, &error.to_string()));
                    quic.close(CLOSE_DONE, b"the stream of calls is broken");
                    return;
                }
                bytes.clear();
                bytes.shrink_to(4 * BYTES_PER_WRITE);
            }
        }
    }
}

/// Hands answers to their callers. Ends when the connection is gone or the node says something malformed.
async fn read_answers(mut incoming: Incoming, shared: Arc<Shared>, quic: quinn::Connection) {
    loop {
        match incoming.next::<Answer>().await {
            Ok(answer) => {
                let heard = u64::try_from(shared.opened.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
                shared.heard_us.store(heard, Ordering::Relaxed);
                shared.is_suspect.store(false, Ordering::Relaxed);
                shared.pending.answer(answer.id, answer.body);
            }
            Err(ReadError::Stream(error)) => {
                shared.pending.close(&stream_reason(&quic, &error));
                quic.close(CLOSE_DONE, b"the stream of answers has ended");
                return;
            }
            Err(ReadError::Malformed(error)) => {
                shared.pending.close(&format!("the node sent something malformed ({error})"));
                quic.close(CLOSE_MALFORMED, error.to_string().as_bytes());
                return;
            }
        }
    }
}

enum ReadError {
    /// The stream ended or broke.
    Stream(String),
    /// What came is no message.
    Malformed(CodecError),
}

/// The node's side of the stream.
struct Incoming {
    stream: RecvStream,
    buffer: EnvelopeBuffer,
}

impl Incoming {
    /// Waits for the next message. Takes no memory on the node's word: the buffer grows with what arrives.
    async fn next<M: Message>(&mut self) -> Result<M, ReadError> {
        loop {
            if let Some(message) = self.buffer.take().map_err(ReadError::Malformed)? {
                return Ok(message);
            }
            match self.stream.read_buf(self.buffer.room()).await {
                Ok(0) => return Err(ReadError::Stream("the node ended it, as one does that is stopping".into())),
                Ok(count) => self.buffer.filled(count),
                Err(error) => return Err(ReadError::Stream(error.to_string())),
            }
        }
    }
}

/// The connection knows better than its stream why the stream ended.
fn stream_reason(quic: &quinn::Connection, error: &str) -> String {
    match quic.close_reason() {
        Some(reason) => dial::reason_of(&reason),
        None => format!("the stream is over: {error}"),
    }
}

/// Why the HELLO exchange failed. A refusal of our certificate arrives just after the dial succeeded, so the stream
/// may break a moment before the connection says why.
async fn hello_failed(quic: &quinn::Connection, error: ReadError) -> DialError {
    match error {
        ReadError::Malformed(error) => {
            quic.close(CLOSE_MALFORMED, error.to_string().as_bytes());
            DialError::Protocol(error.to_string())
        }
        ReadError::Stream(error) => match tokio::time::timeout(Duration::from_millis(50), quic.closed()).await {
            Ok(reason) => dial::error_of(&reason),
            Err(_) => {
                quic.close(CLOSE_DONE, b"no hello");
                DialError::Lost(format!("its stream was over before the greeting: {error}"))
            }
        },
    }
}
