//! An exact sum of many 128-bit numbers: 192 bits, two's complement.
//!
//! A hostile or damaged row may hold totals near 2^128 for each of its actors; the sum must neither panic nor wrap,
//! because then replicas would show different values for one state.

use std::fmt;

/// `high × 2^128 + low`. Room for 2^63 additions of a u128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExactSum {
    high: i64,
    low: u128,
}

impl ExactSum {
    /// Adds.
    pub fn add(&mut self, number: u128) {
        let (low, carries) = self.low.overflowing_add(number);
        self.low = low;
        self.high = self.high.saturating_add(i64::from(carries));
    }

    /// Takes away.
    pub fn subtract(&mut self, number: u128) {
        let (low, borrows) = self.low.overflowing_sub(number);
        self.low = low;
        self.high = self.high.saturating_sub(i64::from(borrows));
    }

    /// Adds a signed number.
    pub fn add_signed(&mut self, number: i64) {
        let amount = u128::from(number.unsigned_abs());
        if number < 0 { self.subtract(amount) } else { self.add(amount) }
    }

    /// The sum, if an i64 can hold it.
    pub fn exact(&self) -> Option<i64> {
        self.small().and_then(|sum| i64::try_from(sum).ok())
    }

    /// The nearest i64.
    pub fn saturated(&self) -> i64 {
        self.exact().unwrap_or(if self.high < 0 { i64::MIN } else { i64::MAX })
    }

    /// The sum, if an i128 can hold it.
    fn small(&self) -> Option<i128> {
        let low = self.low as i128;
        (self.high == if low < 0 { -1 } else { 0 }).then_some(low)
    }

    /// Without the sign: the upper and the lower part.
    fn magnitude(&self) -> (u64, u128) {
        if self.high >= 0 {
            return (self.high as u64, self.low);
        }
        let (low, is_zero) = (!self.low).overflowing_add(1);
        ((!self.high as u64).saturating_add(u64::from(is_zero)), low)
    }
}

impl Ord for ExactSum {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.high, self.low).cmp(&(other.high, other.low))
    }
}

impl PartialOrd for ExactSum {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Decimal text.
impl fmt::Display for ExactSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sum) = self.small() {
            return write!(f, "{sum}");
        }
        // Nineteen digits at a time: as many as a 64-bit remainder can hold.
        const CHUNK: u128 = 10_000_000_000_000_000_000;
        let (high, low) = self.magnitude();
        let mut limbs = [high, (low >> 64) as u64, low as u64];
        let mut chunks = Vec::new();
        while limbs != [0; 3] {
            let mut remainder = 0u128;
            for limb in &mut limbs {
                let part = remainder << 64 | u128::from(*limb);
                *limb = (part / CHUNK) as u64;
                remainder = part % CHUNK;
            }
            chunks.push(remainder);
        }
        let mut text = if self.high < 0 { "-".to_owned() } else { String::new() };
        for (place, chunk) in chunks.iter().rev().enumerate() {
            text += &if place == 0 { format!("{chunk}") } else { format!("{chunk:019}") };
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(added: &[u128], taken: &[u128]) -> ExactSum {
        let mut sum = ExactSum::default();
        added.iter().for_each(|number| sum.add(*number));
        taken.iter().for_each(|number| sum.subtract(*number));
        sum
    }

    #[test]
    fn a_sum_beyond_128_bits_is_exact_in_both_directions() {
        // 2^128 = 340282366920938463463374607431768211456
        let large = of(&[u128::MAX, u128::MAX, 2], &[]);
        assert_eq!(large.to_string(), "680564733841876926926749214863536422912");
        let small = of(&[], &[u128::MAX, u128::MAX, 2]);
        assert_eq!(small.to_string(), "-680564733841876926926749214863536422912");
        assert_eq!(of(&[], &[u128::MAX, 1]).to_string(), "-340282366920938463463374607431768211456");
        assert_eq!((large.exact(), large.saturated(), small.saturated()), (None, i64::MAX, i64::MIN));
        assert_eq!(of(&[u128::MAX, u128::MAX, 5], &[u128::MAX, u128::MAX]).exact(), Some(5));
    }

    #[test]
    fn zeros_inside_the_decimal_text_are_kept() {
        let ten_to_38 = 10u128.pow(38);
        assert_eq!(of(&[ten_to_38; 10], &[]).to_string(), format!("1{}", "0".repeat(39)));
        assert_eq!(of(&[ten_to_38; 10], &[ten_to_38 - 7]).to_string(), format!("9{}7", "0".repeat(37)));
    }

    #[test]
    fn the_ends_of_the_visible_range_are_exact_and_one_more_is_not() {
        let mut sum = of(&[i64::MAX as u128], &[]);
        assert_eq!(sum.exact(), Some(i64::MAX));
        sum.add_signed(1);
        assert_eq!((sum.exact(), sum.saturated()), (None, i64::MAX));
        let mut sum = ExactSum::default();
        sum.add_signed(i64::MIN);
        assert_eq!(sum.exact(), Some(i64::MIN));
        sum.add_signed(-1);
        assert_eq!((sum.exact(), sum.saturated()), (None, i64::MIN));
    }

    proptest! {
        #[test]
        fn small_sums_agree_with_plain_arithmetic(numbers in proptest::collection::vec(any::<i64>(), 0..20)) {
            let mut sum = ExactSum::default();
            numbers.iter().for_each(|number| sum.add_signed(*number));
            let plain: i128 = numbers.iter().map(|number| i128::from(*number)).sum();
            prop_assert_eq!(sum.to_string(), plain.to_string());
            prop_assert_eq!(sum.exact(), i64::try_from(plain).ok());
        }
    }
}
