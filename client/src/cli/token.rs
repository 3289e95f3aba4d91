//! `--session-token FILE`: read your writes and monotonic reads from one run of the program to the next.
//!
//! ```text
//! open ──a regular file, or none yet; its directory takes a new one──→ call ──→ keep: the new file takes the old one's place
//!   └── else nothing is sent                                                      └── cannot: the call was carried out (exit code 8)
//! ```
//!
//! The file is replaced as a whole, and only its owner may read it: a token says which keys were used. Runs at the same
//! time that share a file may each forget what the other one saw; give each its own.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use starling::limits;
use starling_client::Token;

use super::exit::Failure;

/// Only its owner reads and writes it.
const MODE: u32 = 0o600;

/// The file of a token, and the one that takes its place after the call.
pub(crate) struct TokenFile {
    /// As it was named.
    name: PathBuf,
    /// Where it lies: links are followed.
    path: PathBuf,
    new_path: PathBuf,
    new: File,
    token: Token,
}

/// Reads the token in a file, a new one if there is no such file, and makes sure that it can be written after the call.
pub(crate) fn open(name: &Path) -> Result<TokenFile, Failure> {
    let unusable =
        |cause: String| Failure::Usage(format!("--session-token {}: {cause}; nothing was sent", name.display()));
    let (path, token) = match std::fs::symlink_metadata(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => (name.to_owned(), Token::new()),
        Err(error) => return Err(unusable(error.to_string())),
        Ok(_) => {
            let path = name.canonicalize().map_err(|error| unusable(error.to_string()))?;
            // Looked at before it is opened: to open a pipe is to wait for it.
            let kind = std::fs::metadata(&path).map_err(|error| unusable(error.to_string()))?;
            if !kind.is_file() {
                return Err(unusable("it is no regular file, and a token would take its place".into()));
            }
            let token = read(&path).map_err(unusable)?;
            (path, token)
        }
    };
    let (new_path, new) = beside(&path).map_err(|error| unusable(format!("its directory takes no file: {error}")))?;
    Ok(TokenFile { name: name.to_owned(), path, new_path, new, token })
}

fn read(path: &Path) -> Result<Token, String> {
    let mut bytes = Vec::new();
    let bound = limits::CONTEXT_BYTES_MAX as u64;
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(bound + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > bound {
        return Err(format!("it has more than {bound} bytes, so it is no token"));
    }
    Ok(Token::from_bytes(bytes))
}

/// Makes an empty file of this process in the same directory. One of the same name is left from a process that was killed.
fn beside(path: &Path) -> std::io::Result<(PathBuf, File)> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let path = PathBuf::from(name);
    let make = || OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path);
    let file = match make() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            std::fs::remove_file(&path)?;
            make()?
        }
        made => made?,
    };
    Ok((path, file))
}

impl TokenFile {
    /// The token, which calls add to.
    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// Replaces the file as a whole. The call before was carried out, whatever becomes of this.
    pub(crate) async fn keep(mut self) -> Result<(), Failure> {
        let bytes = self.token.bytes().await;
        let written = self.new.write_all(&bytes).and_then(|()| self.new.sync_all());
        written.and_then(|()| std::fs::rename(&self.new_path, &self.path)).map_err(|error| {
            // It is of no use to anybody.
            let _ = std::fs::remove_file(&self.new_path);
            let what = format!("--session-token {}: {error}", self.name.display());
            Failure::TokenLost(format!(
                "{what}; the call was carried out, do not send it again, but what it saw is not in the file"
            ))
        })
    }
}
