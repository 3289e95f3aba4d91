//! How a command fails: what the user reads, and what the exit code says. `starling --help` documents the codes.

use std::fmt;
use std::process::ExitCode;

use serde_json::{Value, json};
use starling::message::client::{Outcome, Reason};
use starling_client::{BundleError, ConnectError, Error, KeptError};

use super::output;

pub(crate) const DONE: u8 = 0;
pub(crate) const NOT_APPLIED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const UNKNOWN: u8 = 3;
pub(crate) const UNREACHABLE: u8 = 4;
pub(crate) const CERTIFICATE: u8 = 5;
pub(crate) const DIFFERENT: u8 = 6;
pub(crate) const STALE: u8 = 7;
pub(crate) const TOKEN_LOST: u8 = 8;
pub(crate) const UNPRINTED: u8 = 9;

/// Stands under the help of every command.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 not applied, 2 usage, 3 unknown, 4 unreachable, 5 certificate refused, 6 owners differ, 7 stale,
8 done but the token file was not written, 9 done but stdout was not.
`starling --help` says more.";

/// A command that did not do all it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments or the bundle cannot be used.
    Usage(String),
    /// A call failed.
    Call(Error),
    /// An increment failed; what earlier runs had left was resumed before, and told.
    Increment { error: Error, resumed: Vec<Value> },
    /// The key holds a value of another type than the command reads; what it is, and which command reads it.
    OtherType { held: &'static str, reads: &'static str },
    /// The kept session cannot be used; nothing was sent.
    Kept(KeptError),
    /// The call was carried out, and the file of its token could not be written.
    TokenLost(String),
    /// It was done, and what came of it could not be written to stdout.
    Unprinted(std::io::Error),
    /// Some of the nodes that were asked could not be reached; the rest was shown or done.
    Incomplete(String),
    /// Some of the nodes that were asked refused; what the others did was shown.
    Refused(String),
    /// The owners of a key hold different states; they were shown.
    Different(String),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => USAGE,
            Failure::Kept(KeptError::InUse { .. }) | Failure::OtherType { .. } => NOT_APPLIED,
            Failure::Kept(_) => USAGE,
            Failure::TokenLost(_) => TOKEN_LOST,
            Failure::Unprinted(_) => UNPRINTED,
            Failure::Call(error) | Failure::Increment { error, .. } => code_of(error),
            Failure::Incomplete(_) => UNREACHABLE,
            Failure::Refused(_) => NOT_APPLIED,
            Failure::Different(_) => DIFFERENT,
        }
    }

    fn kind(&self) -> &'static str {
        match self.code() {
            NOT_APPLIED => "not_applied",
            USAGE => "usage",
            UNKNOWN => "unknown",
            UNREACHABLE => "unreachable",
            CERTIFICATE => "certificate_refused",
            STALE => "stale",
            TOKEN_LOST => "token_lost",
            UNPRINTED => "unprinted",
            _ => "different",
        }
    }

    /// A word for the reason, finer than the kind.
    fn reason(&self) -> &'static str {
        match self {
            Failure::Usage(_) => "usage",
            Failure::TokenLost(_) => "token_not_written",
            Failure::Unprinted(_) => "stdout_not_written",
            Failure::OtherType { .. } => "wrong_type",
            Failure::Kept(KeptError::Io { .. }) => "state_unusable",
            Failure::Kept(KeptError::Malformed { .. }) => "state_malformed",
            Failure::Kept(KeptError::TooLarge { .. }) => "state_too_large",
            Failure::Kept(KeptError::InUse { .. }) => "state_in_use",
            Failure::Call(error) | Failure::Increment { error, .. } => error.code(),
            Failure::Incomplete(_) => "incomplete",
            Failure::Refused(_) => "refused",
            Failure::Different(_) => "different",
        }
    }

    fn message(&self) -> String {
        match self {
            Failure::Usage(text)
            | Failure::TokenLost(text)
            | Failure::Incomplete(text)
            | Failure::Refused(text)
            | Failure::Different(text) => text.clone(),
            Failure::Unprinted(error) => format!("done, but its result could not be written to stdout: {error}"),
            Failure::OtherType { held, reads } => format!("the key holds {held}; read it with `starling {reads}`"),
            Failure::Kept(error) => error.to_string(),
            Failure::Increment { error: Error::InDoubt { cause }, .. } => format!(
                "unknown: {cause}; it counts once at most: do not send it again yourself, the next `starling incr` or `decr` \
                 (of any key, with this state directory) asks for it once more and says what became of it"
            ),
            Failure::Call(error) | Failure::Increment { error, .. } => error.to_string(),
        }
    }
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::UnknownNode { .. } => USAGE,
        error if error.is_certificate_refused() => CERTIFICATE,
        error if error.reason() == Some(&Reason::Stale) => STALE,
        Error::Unreachable { .. } | Error::NoAnswer { .. } => UNREACHABLE,
        error => match error.outcome() {
            Outcome::NotApplied => NOT_APPLIED,
            Outcome::Unknown => UNKNOWN,
        },
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl From<KeptError> for Failure {
    fn from(error: KeptError) -> Failure {
        Failure::Kept(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Call(error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

/// Longest message: arguments may be long, and stand in it. Unit: bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4096;

/// Beginning and end of a text that is too long.
fn shortened(text: &str) -> String {
    if text.len() <= MESSAGE_BYTES_MAX {
        return text.to_owned();
    }
    let half = MESSAGE_BYTES_MAX / 2;
    let (start, end) = (text.as_bytes().get(..half), text.as_bytes().get(text.len() - half..));
    let part = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    format!("{} … {}", part(start), part(end))
}

/// Tells the user on stderr and gives the exit code.
pub(crate) fn report(failure: &Failure, json: bool) -> ExitCode {
    let message = shortened(&failure.message());
    if json {
        let mut error = json!({
            "kind": failure.kind(), "reason": failure.reason(), "exit_code": failure.code(), "message": message,
        });
        if let (Failure::Increment { resumed, .. }, Some(shown)) = (failure, error.as_object_mut())
            && !resumed.is_empty()
        {
            shown.insert("resumed".into(), json!(resumed));
        }
        output::remark(&json!({ "error": error }).to_string());
    } else if let Failure::Incomplete(_) | Failure::Different(_) = failure {
        output::remark(&message);
    } else {
        output::remark(&format!("error: {message}"));
    }
    ExitCode::from(failure.code())
}
