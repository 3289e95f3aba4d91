//! What stands on disk behind a row key: the local header and the replicated state.
//!
//! ```text
//! version u8 │ header length u32 │ row version u64 │ has actor u8 [ actor 16 │ event u64 ]
//!            │ debts u16 × [ owner u64 │ row version u64 │ since u64 ] │ what stands beside the row │ state
//!
//! The state is the canonical encoding of the row.
//! ```
//!
//! All numbers are big-endian. The header is never replicated, hashed or compared: it is what *this directory* knows
//! of the row. Version 2 had no `since`; it is read as of unknown age.

use bytes::Bytes;

use crate::causality::ActorId;
use crate::ids::{NodeId, RowVersion};
use crate::time::WallTime;
use crate::value::{Beside, DecodeError, Row};

/// Version of the layout of a stored row that this program writes.
const VERSION: u8 = 3;

/// The one before it, which is still read: its debts do not say since when they stand.
const VERSION_WITHOUT_SINCE: u8 = 2;

/// Bytes before the header.
const PREFIX_BYTES: usize = 5;

/// A row as it stands on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredRow {
    /// What only this directory knows.
    pub header: LocalHeader,
    /// What is replicated.
    pub row: Row,
}

/// What a directory knows of one of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalHeader {
    /// Grows with every change of the state.
    pub version: RowVersion,
    /// The actor that this row may continue. Only a mint writes it.
    pub minting: Option<Minting>,
    /// Owners that have not acknowledged the row, in the order of their ids.
    pub debts: Vec<Debt>,
    /// Of a main row: what the side rows of its family add up to.
    pub beside: Beside,
}

/// The actor of a row and the last event that was minted under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minting {
    /// Who.
    pub actor: ActorId,
    /// The last event.
    pub event: u64,
}

/// A mark: this owner has not acknowledged this version of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debt {
    /// To whom the row is owed.
    pub owner: NodeId,
    /// The version that was current when the debt arose.
    pub version: RowVersion,
    /// When the first write arose that it has not acknowledged, by this node's clock; 0: unknown.
    pub since: WallTime,
}

impl LocalHeader {
    /// Owes the row, at this version, to an owner. What it owes already stands since it did.
    pub fn owe(&mut self, owner: NodeId, version: RowVersion, since: WallTime) {
        match self.debts.binary_search_by_key(&owner, |debt| debt.owner) {
            Ok(place) => {
                if let Some(debt) = self.debts.get_mut(place) {
                    debt.version = debt.version.max(version);
                }
            }
            Err(place) => self.debts.insert(place, Debt { owner, version, since }),
        }
    }

    /// The mark of an owner.
    pub fn debt_to(&self, owner: NodeId) -> Option<Debt> {
        self.debts.iter().find(|debt| debt.owner == owner).copied()
    }

    fn decode(bytes: &[u8], has_since: bool) -> Result<LocalHeader, DecodeError> {
        let mut rest = Reader(bytes);
        let version = RowVersion(rest.number()?);
        let minting = match rest.array::<1>()? {
            [0] => None,
            [1] => Some(Minting { actor: ActorId::from_bytes(rest.array()?), event: rest.number()? }),
            _ => return Err(malformed()),
        };
        let count = u16::from_be_bytes(rest.array()?);
        if rest.0.len() < usize::from(count) * if has_since { 24 } else { 16 } {
            return Err(malformed());
        }
        let mut debts = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (owner, version) = (NodeId(rest.number()?), RowVersion(rest.number()?));
            debts.push(Debt { owner, version, since: WallTime(if has_since { rest.number()? } else { 0 }) });
        }
        Ok(LocalHeader { version, minting, debts, beside: Beside::decode(rest.0)? })
    }
}

impl StoredRow {
    /// The bytes on disk.
    pub fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(96 + self.header.debts.len() * 24);
        bytes.push(VERSION);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.header.version.0.to_be_bytes());
        bytes.push(u8::from(self.header.minting.is_some()));
        if let Some(minting) = self.header.minting {
            bytes.extend_from_slice(&minting.actor.to_bytes());
            bytes.extend_from_slice(&minting.event.to_be_bytes());
        }
        bytes.extend_from_slice(&(self.header.debts.len() as u16).to_be_bytes());
        for debt in &self.header.debts {
            bytes.extend_from_slice(&debt.owner.0.to_be_bytes());
            bytes.extend_from_slice(&debt.version.0.to_be_bytes());
            bytes.extend_from_slice(&debt.since.0.to_be_bytes());
        }
        self.header.beside.encode_into(&mut bytes);
        let header_bytes = (bytes.len() - PREFIX_BYTES) as u32;
        if let Some(length) = bytes.get_mut(1..PREFIX_BYTES) {
            length.copy_from_slice(&header_bytes.to_be_bytes());
        }
        self.row.encode_into(&mut bytes);
        bytes.into()
    }

    /// The reverse of [`StoredRow::encode`].
    pub fn decode(bytes: &[u8]) -> Result<StoredRow, DecodeError> {
        let (has_since, header, state) = StoredRow::split(bytes)?;
        Ok(StoredRow { header: LocalHeader::decode(header, has_since)?, row: Row::decode(state)? })
    }

    /// The encoded state alone, undecoded: what exchanges compare and ship.
    pub fn state_bytes(bytes: &Bytes) -> Result<Bytes, DecodeError> {
        let (_, _, state) = StoredRow::split(bytes)?;
        Ok(bytes.slice(bytes.len() - state.len()..))
    }

    /// Local header and encoded state, the latter undecoded.
    pub fn header_and_state(bytes: &Bytes) -> Result<(LocalHeader, Bytes), DecodeError> {
        let (has_since, header, state) = StoredRow::split(bytes)?;
        Ok((LocalHeader::decode(header, has_since)?, bytes.slice(bytes.len() - state.len()..)))
    }

    /// Whether its debts say since when they stand, the header, and the state.
    fn split(bytes: &[u8]) -> Result<(bool, &[u8], &[u8]), DecodeError> {
        let Some(&[version, l0, l1, l2, l3]) = bytes.get(..PREFIX_BYTES) else {
            return Err(malformed());
        };
        let has_since = match version {
            VERSION => true,
            VERSION_WITHOUT_SINCE => false,
            version => return Err(DecodeError::NewerVersion { version, readable: VERSION }),
        };
        let header_bytes = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let split = bytes.get(PREFIX_BYTES..).and_then(|rest| rest.split_at_checked(header_bytes));
        split.map(|(header, state)| (has_since, header, state)).ok_or_else(malformed)
    }
}

/// Takes fixed-size pieces off the front of a byte string.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], DecodeError> {
        let (piece, rest) = self.0.split_first_chunk::<LENGTH>().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*piece)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }
}

fn malformed() -> DecodeError {
    DecodeError::Malformed("local header")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{Epoch, Tenure, Tick};
    use crate::value::golden_tests::unhex;

    #[test]
    fn a_stored_row_reads_back_as_it_was_written() {
        let mut stored = StoredRow::default();
        stored.header.version = RowVersion(9);
        stored.header.minting =
            Some(Minting { actor: ActorId { expires: Tick(1), epoch: Epoch(2), tenure: Tenure(3) }, event: 4 });
        stored.header.owe(NodeId(5), RowVersion(7), WallTime(70));
        stored.header.owe(NodeId(2), RowVersion(8), WallTime(80));
        stored.header.owe(NodeId(5), RowVersion(6), WallTime(90));
        let debt = Debt { owner: NodeId(5), version: RowVersion(7), since: WallTime(70) };
        assert_eq!(stored.header.debt_to(NodeId(5)), Some(debt));
        let bytes = stored.encode();
        assert_eq!(StoredRow::decode(&bytes), Ok(stored.clone()));
        assert_eq!(StoredRow::state_bytes(&bytes), Ok(stored.row.encode()));
    }

    #[test]
    fn a_row_of_the_version_before_is_read_and_nobody_knows_since_when_it_is_owed() {
        let mut stored = StoredRow::default();
        stored.header.version = RowVersion(9);
        stored.header.owe(NodeId(5), RowVersion(7), WallTime(0x0102));
        let now = stored.encode();
        let old = "02 0000001B 0000000000000009 00 0001 0000000000000005 0000000000000007";
        let mut old = unhex(old);
        let beside_and_state = &now[PREFIX_BYTES + 8 + 1 + 2 + 24..];
        old.extend_from_slice(beside_and_state);
        let header_bytes = u32::from_be_bytes([now[1], now[2], now[3], now[4]]) - 8;
        old[1..PREFIX_BYTES].copy_from_slice(&header_bytes.to_be_bytes());
        let mut expected = stored.clone();
        expected.header.debts[0].since = WallTime(0);
        assert_eq!(StoredRow::decode(&old), Ok(expected));
        let now_before_beside =
            "03 0000 0000 0000000000000009 00 0001 0000000000000005 0000000000000007 0000000000000102";
        let mut golden = unhex(now_before_beside);
        golden[1..PREFIX_BYTES].copy_from_slice(&now[1..PREFIX_BYTES]);
        assert_eq!(&now[..golden.len()], &golden[..]);
    }

    #[test]
    fn a_torn_header_is_refused() {
        let mut stored = StoredRow::default();
        stored.header.owe(NodeId(5), RowVersion(7), WallTime(8));
        let bytes = stored.encode();
        for length in 0..bytes.len() {
            assert!(StoredRow::decode(&bytes[..length]).is_err(), "{length}");
        }
    }
}
