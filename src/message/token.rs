//! The token of a client's session: what it has seen and written, row by row, so that another node can tell whether it
//! shows all of that.
//!
//! Opaque to clients, sealed by the cluster, of bounded size: [`limits::TOKEN_BYTES_MAX`]. Where that is not enough, the row
//! that was used longest ago goes first, and of that row **nothing is promised any longer**: a later read of it may show an
//! older state, exactly as a read without a token. A row whose own part is larger than a whole token (thousands of live
//! sessions on one key) is never in it. So a client that must not lose a promise uses one token for few keys.
//!
//! Payload: `version u8 │ (hash of the row key u64 │ length u32 │ what was seen)*`, the row used longest ago first. One of
//! another version is refused as foreign: a client begins a new token.

use bytes::Bytes;

use crate::limits;
use crate::sealed::{NotSealedHere, SealKey, Sealed};
use crate::storage::RowKey;
use crate::value::Seen;

/// What a session has seen; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// By hash of the row key, the one used longest ago first.
    rows: Vec<(u64, Seen)>,
}

/// Of the payload, and of what stands in it of each row ([`Seen::encode`]).
const VERSION: u8 = 1;

/// Bytes in front of what was seen of a row.
const ROW_HEAD_BYTES: usize = 12;

/// Longest token, with the seal around it.
const TOKEN_SEALED_BYTES_MAX: usize = limits::TOKEN_BYTES_MAX + 64;

impl Token {
    /// Opens what a client sent. No bytes begin a token.
    pub fn open(key: &SealKey, token: &Bytes) -> Result<Token, NotSealedHere> {
        if token.is_empty() {
            return Ok(Token::default());
        }
        if token.len() > TOKEN_SEALED_BYTES_MAX {
            return Err(NotSealedHere);
        }
        let payload = key.open(Sealed::SessionToken, token)?;
        let [VERSION, rest @ ..] = payload.as_ref() else { return Err(NotSealedHere) };
        let mut rest = rest;
        let mut rows = Vec::new();
        while let Some((head, behind)) = rest.split_first_chunk::<ROW_HEAD_BYTES>() {
            let [h0, h1, h2, h3, h4, h5, h6, h7, l0, l1, l2, l3] = *head;
            let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
            let (seen, behind) = behind.split_at_checked(length).ok_or(NotSealedHere)?;
            let hash = u64::from_be_bytes([h0, h1, h2, h3, h4, h5, h6, h7]);
            rows.push((hash, Seen::decode(seen).map_err(|_| NotSealedHere)?));
            rest = behind;
        }
        if rest.is_empty() { Ok(Token { rows }) } else { Err(NotSealedHere) }
    }

    /// Seals it for the client; forgets the rows used longest ago where it would be too large.
    pub fn seal(&self, key: &SealKey) -> Bytes {
        let mut kept = Vec::new();
        let mut bytes = 0;
        for (hash, seen) in self.rows.iter().rev() {
            let mut row = Vec::with_capacity(64);
            row.extend_from_slice(&hash.to_be_bytes());
            row.extend_from_slice(&[0; 4]);
            seen.encode(&mut row);
            let length = (row.len() - ROW_HEAD_BYTES) as u32;
            if row.len() > limits::TOKEN_BYTES_MAX {
                continue;
            }
            bytes += row.len();
            if bytes > limits::TOKEN_BYTES_MAX {
                break;
            }
            if let Some(place) = row.get_mut(8..ROW_HEAD_BYTES) {
                place.copy_from_slice(&length.to_be_bytes());
            }
            kept.push(row);
        }
        kept.push(vec![VERSION]);
        kept.reverse();
        key.seal(Sealed::SessionToken, &kept.concat())
    }

    /// What was seen of a row.
    pub fn of(&self, row: &RowKey) -> Option<&Seen> {
        let hash = hash(row);
        self.rows.iter().find(|(known, _)| *known == hash).map(|(_, seen)| seen)
    }

    /// Adds what was written to a row, which is now the one used last.
    pub fn add(&mut self, row: &RowKey, seen: &Seen) {
        self.change(row, |all| all.merge(seen));
    }

    /// Adds what was shown of a row after all that was known of it: it is now the one used last.
    pub fn add_shown(&mut self, row: &RowKey, seen: &Seen) {
        self.change(row, |all| all.add_shown(seen));
    }

    fn change(&mut self, row: &RowKey, change: impl FnOnce(&mut Seen)) {
        let hash = hash(row);
        let known = self.rows.iter().position(|(known, _)| *known == hash).map(|place| self.rows.remove(place).1);
        let mut all = known.unwrap_or_default();
        change(&mut all);
        if !all.is_nothing() {
            self.rows.push((hash, all));
        }
    }
}

fn hash(row: &RowKey) -> u64 {
    xxhash_rust::xxh3::xxh3_64(row.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
    use crate::ids::Key;
    use crate::time::Hlc;
    use crate::value::{Beside, Row};

    const KEY: SealKey = SealKey([7; 32]);

    fn row(name: &str) -> RowKey {
        RowKey::main(&Key::new(name.to_owned()).unwrap())
    }

    fn seen(actors: u64) -> Seen {
        let mut state = Row::default();
        for epoch in 0..actors {
            let actor = ActorId { expires: Tick(9), epoch: Epoch(epoch), tenure: Tenure(0) };
            state.increment(Dot { actor, event: 1 }, Hlc { wall: 1, logical: 0 }, 1, &Beside::NONE).unwrap();
        }
        state.seen()
    }

    #[test]
    fn a_token_comes_back_and_only_as_this_cluster_sealed_it() {
        let mut token = Token::default();
        token.add(&row("a"), &seen(1));
        token.add(&row("b"), &seen(2));
        let sealed = token.seal(&KEY);
        assert_eq!(Token::open(&KEY, &sealed), Ok(token));
        assert_eq!(Token::open(&KEY, &Bytes::new()), Ok(Token::default()), "begins one");
        assert!(Token::open(&SealKey([8; 32]), &sealed).is_err(), "of another cluster");
        for length in 1..sealed.len() {
            assert!(Token::open(&KEY, &sealed.slice(..length)).is_err(), "cut at {length}");
        }
        let mut forged = sealed.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert!(Token::open(&KEY, &forged.into()).is_err());
        assert!(Token::open(&KEY, &KEY.seal(Sealed::CounterContext, b"")).is_err(), "a context is no token");
    }

    #[test]
    fn a_token_is_bounded_and_forgets_the_row_used_longest_ago() {
        let mut token = Token::default();
        for number in 0..4000 {
            token.add(&row(&format!("k{number}")), &seen(5));
        }
        token.add(&row("k0"), &Seen::default());
        let sealed = token.seal(&KEY);
        assert!(sealed.len() <= limits::TOKEN_BYTES_MAX + 64, "{}", sealed.len());
        let opened = Token::open(&KEY, &sealed).unwrap();
        assert!(opened.of(&row("k0")).is_some(), "used last");
        assert!(opened.of(&row("k3999")).is_some() && opened.of(&row("k1")).is_none());
        token.add(&row("huge"), &seen(20_000));
        let opened = Token::open(&KEY, &token.seal(&KEY)).unwrap();
        assert!(opened.of(&row("huge")).is_none() && opened.of(&row("k0")).is_some(), "too large alone");
    }
}
