//! The numbers of the row encoding, and the reader that takes them apart.
//!
//! ```text
//! number < 240      one byte: itself
//! else              0xF0 + width - 1 │ big-endian, `width` bytes (1 to 16), the first not zero
//! ```
//!
//! A number has one encoding only, and the order of the encodings is the order of the numbers. So code that does not
//! know what a field means may compare its bytes and comes to the same result as code that does.

use super::error::DecodeError;

const DIRECT_END: u8 = 0xF0;

/// Appends a number.
pub fn put_number(number: u128, out: &mut Vec<u8>) {
    match u8::try_from(number) {
        Ok(direct) if direct < DIRECT_END => out.push(direct),
        _ => {
            let width = width(number);
            out.push(DIRECT_END + (width - 1) as u8);
            out.extend(number.to_be_bytes().iter().skip(16 - width));
        }
    }
}

/// Bytes that [`put_number`] appends.
pub fn number_bytes(number: u128) -> usize {
    if number < u128::from(DIRECT_END) { 1 } else { 1 + width(number) }
}

/// Bytes without leading zeros; the number is not zero.
fn width(number: u128) -> usize {
    16 - number.leading_zeros() as usize / 8
}

/// What is left to read of a row or a field. Every read checks that the bytes are there.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Whether all was read.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*array)
    }

    /// The next `count` bytes.
    pub fn slice(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (slice, rest) = self.rest.split_at_checked(count).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(slice)
    }

    /// A number's worth of bytes behind their length.
    pub fn prefixed(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.number()?;
        self.slice(usize::try_from(length).map_err(|_| CUT_SHORT)?)
    }

    /// All that is left.
    pub fn remainder(self) -> &'a [u8] {
        self.rest
    }

    /// The next number, in its shortest form.
    pub fn number(&mut self) -> Result<u128, DecodeError> {
        let first = self.byte()?;
        let Some(width) = first.checked_sub(DIRECT_END) else {
            return Ok(u128::from(first));
        };
        let bytes = self.slice(usize::from(width) + 1)?;
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
        if number_bytes(number) == bytes.len() + 1 {
            Ok(number)
        } else {
            Err(DecodeError::Malformed("a number is not in its shortest form"))
        }
    }

    /// The next number, of 64 bits.
    pub fn number64(&mut self) -> Result<u64, DecodeError> {
        u64::try_from(self.number()?).map_err(|_| DecodeError::Malformed("a number has more than 64 bits"))
    }
}

const CUT_SHORT: DecodeError = DecodeError::Malformed("cut short");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(number: u128) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_number(number, &mut bytes);
        bytes
    }

    #[test]
    fn small_numbers_take_one_byte_and_the_largest_seventeen() {
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(239), [239]);
        assert_eq!(encoded(240), [0xF0, 240]);
        assert_eq!(encoded(256), [0xF1, 1, 0]);
        assert_eq!(encoded(u128::MAX).len(), 17);
    }

    #[test]
    fn a_longer_form_than_needed_is_refused() {
        for bytes in [&[0xF0, 239][..], &[0xF1, 0, 240], &[0xF2, 0, 0, 0]] {
            assert!(matches!(Reader::new(bytes).number(), Err(DecodeError::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_number_that_is_cut_short_is_refused() {
        assert_eq!(Reader::new(&[0xFF, 1, 2]).number(), Err(CUT_SHORT));
        assert_eq!(Reader::new(&[]).number(), Err(CUT_SHORT));
    }

    fn any_number() -> impl Strategy<Value = u128> {
        (any::<u128>(), 0..=128u32).prop_map(|(number, shift)| number.checked_shr(shift).unwrap_or(0))
    }

    proptest! {
        #[test]
        fn numbers_come_back_and_their_bytes_keep_their_order(a in any_number(), b in any_number()) {
            let (bytes_a, bytes_b) = (encoded(a), encoded(b));
            let mut reader = Reader::new(&bytes_a);
            prop_assert_eq!(reader.number().unwrap(), a);
            prop_assert!(reader.is_at_end());
            prop_assert_eq!(number_bytes(a), bytes_a.len());
            prop_assert_eq!(a.cmp(&b), bytes_a.cmp(&bytes_b));
        }
    }
}
