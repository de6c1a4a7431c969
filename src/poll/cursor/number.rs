//! Decimal numbers as texts, of any size and precision.

use std::cmp::Ordering;

/// A decimal number: 0.DIGITS times ten to the power of `point`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    point: i64,
}

/// The most digits that a number may have when it is written out.
const MOST_DIGITS: i64 = 1000;

impl Decimal {
    /// Reads a number as JSON writes it; leading zeros are allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (is_negative, unsigned) = match mantissa.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, mantissa),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let leading = i64::try_from(all.len() - digits.len()).ok()?;
        let point = i64::try_from(whole.len()).ok()?.saturating_sub(leading).saturating_add(exponent);
        let digits = digits.trim_end_matches('0').to_owned();
        Some(if digits.is_empty() {
            Self { is_negative: false, digits, point: 0 }
        } else {
            Self { is_negative, digits, point }
        })
    }

    /// Returns how many digits stand before the point; negative if zeros follow it.
    pub fn point(&self) -> i64 {
        self.point
    }

    /// Returns the number less a whole one, without an exponent; not below zero if it was not before. `None` if that
    /// is too long to be written out.
    pub fn minus(&self, amount: u128) -> Option<String> {
        let (whole, fraction) = self.parts()?;
        let rest = |whole: String| if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") };
        if self.is_negative {
            let whole: u128 = whole.parse().ok()?;
            return Some(format!("-{}", rest(whole.checked_add(amount)?.to_string())));
        }
        let amount = amount.to_string();
        if (whole.len(), &whole) < (amount.len(), &amount) {
            return Some("0".to_owned());
        }
        Some(rest(subtract(&whole, &amount)))
    }

    /// Returns the digits before and after the point.
    fn parts(&self) -> Option<(String, String)> {
        let length = i64::try_from(self.digits.len()).ok()?;
        if self.point.abs() > MOST_DIGITS || length > MOST_DIGITS {
            return None;
        }
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let whole_length = usize::try_from(self.point.clamp(0, length)).ok()?;
        let (whole, fraction) = self.digits.split_at(whole_length);
        let whole = format!("{whole}{}", zeros(self.point - length));
        let fraction = format!("{}{fraction}", if fraction.is_empty() { String::new() } else { zeros(-self.point) });
        Some((if whole.is_empty() { "0".to_owned() } else { whole }, fraction))
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Some(if text.starts_with('-') { -size } else { size })
}

/// Subtracts a whole number from one that is not smaller, digit by digit.
fn subtract(from: &str, amount: &str) -> String {
    let mut digits = from.as_bytes().to_vec();
    let mut borrowed = 0;
    let amounts = amount.bytes().rev().map(|digit| digit - b'0').chain(std::iter::repeat(0));
    for (digit, amount) in digits.iter_mut().rev().zip(amounts) {
        let (have, take) = (*digit - b'0', amount + borrowed);
        borrowed = u8::from(have < take);
        *digit = b'0' + have + 10 * borrowed - take;
    }
    let text = String::from_utf8(digits).expect("digits are text");
    let trimmed = text.trim_start_matches('0');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.is_negative) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => -1,
        };
        let size = || self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        sign(self).cmp(&sign(other)).then_with(|| if self.is_negative { size().reverse() } else { size() })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).expect("a number")
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let ascending = [
            "-1e400",
            "-10",
            "-9.5",
            "-1e-400",
            "0",
            "1E-400",
            "0.1",
            "0.10000000000000000001",
            "1",
            "9007199254740992",
            "9007199254740993",
            "123456789012345678901234567890",
            "123456789012345678901234567890.5",
            "1e400",
            "1e99999999999999999999",
        ];
        for (index, smaller) in ascending.iter().enumerate() {
            for greater in &ascending[index + 1..] {
                assert!(number(smaller) < number(greater), "{smaller} < {greater}");
            }
        }
        for (one, other) in [("1.0", "1"), ("1e2", "100.00"), ("-0", "0"), ("007", "7"), ("0.5e1", "5")] {
            assert_eq!(number(one).cmp(&number(other)), Ordering::Equal, "{one} = {other}");
        }
        for text in ["", "-", "1.", ".5", "1e", "1e+", "0x1", "1 ", "+1", "1_000", "NaN"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn subtraction_keeps_the_fraction_and_stays_above_zero() {
        let check = |text: &str, amount, expected: Option<&str>| {
            assert_eq!(number(text).minus(amount).as_deref(), expected, "{text} - {amount}");
        };
        check("1700000000.125", 300, Some("1699999700.125"));
        check("100000000000000000000000000000000000000000", 1, Some("99999999999999999999999999999999999999999"));
        check("1e3", 1, Some("999"));
        check("0.05", 0, Some("0.05"));
        check("5", 10, Some("0"));
        check("5.5", 5, Some("0.5"));
        check("-5.5", 5, Some("-10.5"));
        check("1e5000", 1, None);
    }

    proptest! {
        #[test]
        fn whole_numbers_are_handled_as_the_processor_does(one: i64, other: i64, amount: u32) {
            let (left, right) = (number(&one.to_string()), number(&other.to_string()));
            prop_assert_eq!(left.cmp(&right), one.cmp(&other));
            let less = i128::from(one) - i128::from(amount);
            let expected = if one >= 0 { less.max(0) } else { less };
            prop_assert_eq!(left.minus(u128::from(amount)), Some(expected.to_string()));
        }
    }
}
