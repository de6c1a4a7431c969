//! Amounts with units, as people write them.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error(
        "not a duration: write a whole number and a unit, such as \"500ms\", \"30s\", \"5m\", \"2h\", \"7d\" or \"1h30m\""
    )]
    Duration,
    #[error("not a size: write a whole number and a unit, such as \"64KiB\", \"32MiB\" or \"1GB\"")]
    ByteSize,
}

/// Parses a duration: whole numbers with units `ms`, `s`, `m`, `h`, `d` or `w`, the larger ones first.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    const UNITS: [(&str, u64); 6] =
        [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut left = text.trim();
    let mut total: u64 = 0;
    let mut coarsest_allowed = 0;
    if left.is_empty() {
        return Err(QuantityError::Duration);
    }
    while !left.is_empty() {
        let digits = left.find(|c: char| !c.is_ascii_digit()).ok_or(QuantityError::Duration)?;
        let unit_end = left[digits..].find(|c: char| c.is_ascii_digit()).map_or(left.len(), |end| digits + end);
        let number: u64 = left[..digits].parse().map_err(|_| QuantityError::Duration)?;
        let unit = left[digits..unit_end].trim();
        let rank = UNITS.iter().position(|(name, _)| *name == unit).ok_or(QuantityError::Duration)?;
        if rank < coarsest_allowed {
            return Err(QuantityError::Duration);
        }
        coarsest_allowed = rank + 1;
        let millis = number.checked_mul(UNITS[rank].1).ok_or(QuantityError::Duration)?;
        total = total.checked_add(millis).ok_or(QuantityError::Duration)?;
        left = &left[unit_end..];
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration the way [`parse_duration`] reads it, exact to the millisecond.
pub fn format_duration(duration: Duration) -> String {
    const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (unit, millis) in UNITS {
        if left >= millis {
            let _ = write!(text, "{}{unit}", left / millis);
            left %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Returns this many mebibytes.
    pub const fn mebibytes(count: u64) -> Self {
        Self(count * 1024 * 1024)
    }

    /// Returns the number of bytes, for comparing with lengths in memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| QuantityError::ByteSize)?;
        let unit: u64 = match text[digits..].trim() {
            "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(QuantityError::ByteSize),
        };
        number.checked_mul(unit).map(Self).ok_or(QuantityError::ByteSize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= size {
                let tenths = u128::from(self.0) * 10 / u128::from(size);
                return if tenths.is_multiple_of(10) {
                    write!(f, "{} {unit}", tenths / 10)
                } else {
                    write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_units_from_large_to_small() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("2w", 1_209_600_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "5", "s", "-1s", "1.5h", "30m1h", "1s1s", "1y", "99999999999999999999s", "18446744073709551615w"]
        {
            assert_eq!(parse_duration(text), Err(QuantityError::Duration), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["1d2h", "30s", "1h30m", "250ms", "1m1ms"] {
            assert_eq!(format_duration(parse_duration(text).expect("a duration")), text);
        }
        assert_eq!(format_duration(Duration::ZERO), "0s");
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        assert_eq!("32MiB".parse(), Ok(ByteSize::mebibytes(32)));
        assert_eq!("1 GB".parse(), Ok(ByteSize(1_000_000_000)));
        for text in ["", "32", "MiB", "-1B", "99999999999GiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(QuantityError::ByteSize), "{text}");
        }
        assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
        assert_eq!(ByteSize::mebibytes(32).to_string(), "32 MiB");
    }
}
