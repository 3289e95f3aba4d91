//! `--session-token FILE`: read your writes and monotonic reads from one run of the program to the next.
//!
//! The file is read before the call and written anew after it. Runs at the same time that share a file may each forget
//! what the other one saw; give each its own.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use starling::limits;
use starling_client::Token;

use super::exit::Failure;

/// The token in a file; a new one if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Token, Failure> {
    let unusable =
        |cause: String| Failure::Usage(format!("--session-token {}: {cause}; nothing was sent", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Token::new()),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let mut bytes = Vec::new();
    let bound = limits::CONTEXT_BYTES_MAX as u64;
    file.take(bound + 1).read_to_end(&mut bytes).map_err(|error| unusable(error.to_string()))?;
    if bytes.len() as u64 > bound {
        return Err(unusable(format!("it has more than {bound} bytes, so it is no token")));
    }
    Ok(Token::from_bytes(bytes))
}

/// Replaces the file as a whole. The call before was carried out, whatever becomes of this.
pub(crate) async fn write(path: &Path, token: &Token) -> Result<(), Failure> {
    let bytes = token.bytes().await;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let written = std::fs::File::create(&new)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| std::fs::rename(&new, path));
    written.map_err(|error| {
        let what = format!("--session-token {}: {error}", path.display());
        Failure::TokenLost(format!("{what}; the call was carried out, but what it saw is not in the file"))
    })
}
