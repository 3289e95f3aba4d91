//! Durations and sizes as people write them: `250ms`, `30s`, `1GiB`.
//!
//! A number and a unit, nothing else; the decimal point is not needed and not allowed, because 1.5GiB can be 1536MiB.

use std::time::Duration;

const DURATIONS: [(&str, u64); 6] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000)];

const SIZES: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// A duration: `0`, or a whole number of `us`, `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let wrong = || format!("{text:?} is not a duration; write a whole number and a unit: 250ms, 30s, 5m, 1h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    if unit.is_empty() && number == 0 {
        return Ok(Duration::ZERO);
    }
    let (_, micros) = DURATIONS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    number.checked_mul(*micros).map(Duration::from_micros).ok_or_else(|| format!("{text:?} is too long"))
}

/// A size in bytes: a whole number, bare or of `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024), `kB`, `MB`, `GB`, `TB`.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let wrong = || format!("{text:?} is not a size; write a whole number and a unit: 512MiB, 1GiB, 20GB");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "" => 1,
        unit => SIZES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor).ok_or_else(wrong)?,
    };
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_written() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30 s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
    }

    #[test]
    fn sizes_read_as_written() {
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("20 GB"), Ok(20_000_000_000));
        assert_eq!(size("4096"), Ok(4096));
    }

    #[test]
    fn what_is_not_a_number_with_a_unit_is_refused() {
        for text in ["", "5", "s", "-1s", "1.5s", "5 parsecs", "99999999999999999999s", "999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5GiB", "1gib", "99999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
