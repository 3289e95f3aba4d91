//! The score of a sorted set's member: a finite number, and when it was given.
//!
//! The score stands under the dot that wrote it (see `dotted`). A new score takes the place of those that it saw; of two
//! that were given at the same time the later one (by stamp, then dot) is shown, and the next write covers both.
//!
//! Encoding: `wall u64 │ logical u32 │ number u64`, big-endian. The number is the `f64` with its bits turned so that their
//! order is the order of the numbers; there is no minus zero.

use serde::{Deserialize, Serialize};

use super::error::{DecodeError, ValueError};
use super::per_actor::Content;
use super::register::{HLC_BYTES, decode_hlc, encode_hlc};
use super::wire::Reader;
use crate::time::Hlc;

/// A finite number; minus zero is zero. Equal numbers have equal bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Score(u64);

const SIGN: u64 = 1 << 63;

impl Score {
    /// The score with this value. NaN and the infinities are refused.
    pub fn new(value: f64) -> Result<Score, ValueError> {
        if !value.is_finite() {
            return Err(ValueError::NotFinite);
        }
        let bits = if value == 0.0 { 0 } else { value.to_bits() };
        Ok(Score(if bits & SIGN == 0 { bits | SIGN } else { !bits }))
    }

    /// The value.
    pub fn value(self) -> f64 {
        f64::from_bits(if self.0 & SIGN == 0 { !self.0 } else { self.0 & !SIGN })
    }

    /// The score with so much more; a sum beyond the largest number is refused.
    pub fn plus(self, more: Score) -> Result<Score, ValueError> {
        Score::new(self.value() + more.value())
    }
}

/// The bits of an `f64`, as messages carry them.
impl TryFrom<u64> for Score {
    type Error = ValueError;
    fn try_from(bits: u64) -> Result<Score, ValueError> {
        Score::new(f64::from_bits(bits))
    }
}

impl From<Score> for u64 {
    fn from(score: Score) -> u64 {
        score.value().to_bits()
    }
}

/// A score as it was given; the fields stand in the order in which they decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given {
    /// When.
    pub hlc: Hlc,
    /// What.
    pub score: Score,
}

impl Content for Given {
    fn encoded_bytes(&self) -> usize {
        HLC_BYTES + 8
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_hlc(self.hlc, out);
        out.extend_from_slice(&self.score.0.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Given, DecodeError> {
        let mut reader = Reader::new(bytes);
        let hlc = decode_hlc(&mut reader)?;
        let score = Score(u64::from_be_bytes(reader.array()?));
        let is_canonical = Score::new(score.value()).is_ok_and(|again| again == score);
        if reader.is_at_end() && is_canonical {
            Ok(Given { hlc, score })
        } else {
            Err(DecodeError::Malformed("a score that is no finite number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Score::new(value), Err(ValueError::NotFinite));
            let mut bytes = vec![0; HLC_BYTES];
            bytes.extend((value.to_bits() | SIGN).to_be_bytes());
            assert!(Given::decode(&bytes).is_err(), "{value}");
        }
        let largest = Score::new(f64::MAX).unwrap();
        assert_eq!(largest.plus(largest), Err(ValueError::NotFinite));
        assert!(rmp_serde::from_slice::<Score>(&rmp_serde::to_vec(&f64::NAN.to_bits()).unwrap()).is_err());
    }

    #[test]
    fn there_is_one_zero() {
        assert_eq!(Score::new(-0.0), Score::new(0.0));
        assert!(Score::new(-0.0).unwrap().value().is_sign_positive());
        let mut minus_zero = vec![0; HLC_BYTES];
        minus_zero.extend((!SIGN).to_be_bytes());
        assert!(Given::decode(&minus_zero).is_err());
    }

    proptest! {
        #[test]
        fn scores_order_like_their_numbers_and_come_back(a in any::<f64>(), b in any::<f64>()) {
            if let (Ok(score_a), Ok(score_b)) = (Score::new(a), Score::new(b)) {
                prop_assert_eq!(score_a.value(), a);
                prop_assert_eq!(score_a.cmp(&score_b), a.partial_cmp(&b).unwrap());
                let given = Given { hlc: Hlc { wall: 1, logical: 2 }, score: score_a };
                let mut bytes = Vec::new();
                given.encode(&mut bytes);
                prop_assert_eq!(Given::decode(&bytes), Ok(given));
                let sent = rmp_serde::to_vec(&score_b).unwrap();
                prop_assert_eq!(rmp_serde::from_slice::<Score>(&sent).unwrap(), score_b);
            }
        }
    }
}
