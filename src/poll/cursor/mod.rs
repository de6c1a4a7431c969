//! The watermark that an incremental API is asked from: which value is the largest, and what is asked with it.

mod date;
mod number;

use std::cmp::Ordering;
use std::time::Duration;

use serde_json::Value;

use self::date::Date;
use self::number::Decimal;
use crate::http::HttpResponse;
use crate::model::connector::Connector;
use crate::model::cursor::{CursorInitial, CursorOverlap, CursorRules, CursorSource};
use crate::model::expression::ExpressionError;
use crate::model::json;
use crate::model::time::Timestamp;

/// How much further back the first poll begins if the source's clock is not known yet: as far as clocks usually differ.
pub(super) const UNKNOWN_CLOCK_MARGIN: Duration = Duration::from_secs(5 * 60);

/// Returns the point in time that a text is, if cursors are compared as dates in this form.
pub fn date_of(text: &str) -> Option<Timestamp> {
    Date::parse(text).map(|date| Timestamp::from(date.at().to_utc()))
}

/// A cursor value as the source wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CursorValue {
    text: Box<str>,
    is_number: bool,
}

/// What a cursor value is compared as.
#[derive(Debug, Clone)]
enum Order {
    Number(Decimal),
    Date(Date),
    Text,
}

/// Cursor values that have no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`cursor.value` gives {first}, which is {first_kind}, and {second}, which is {second_kind}: none is the largest"
)]
pub struct Incomparable {
    first: String,
    first_kind: &'static str,
    second: String,
    second_kind: &'static str,
}

/// Why a stored cursor cannot be asked from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OverlapError {
    #[error("`cursor.overlap` is a time, and the cursor {0} is neither a date nor a number of seconds since 1970")]
    NoTime(String),
    #[error("`cursor.overlap` is a number, and the cursor {0} is none")]
    NoNumber(String),
}

/// Why an item has no cursor value that could be used.
#[derive(Debug)]
pub(super) enum ValueError {
    Expression(ExpressionError),
    /// What it gives is neither text nor number.
    Kind(&'static str),
}

impl CursorValue {
    /// Returns the value that a source wrote; `None` if that is nothing, `null` or an empty text.
    fn of(value: &Value) -> Result<Option<Self>, ValueError> {
        let (text, is_number) = match value {
            Value::Null => return Ok(None),
            Value::String(text) => (text.as_str(), false),
            Value::Number(number) => (number.as_str(), true),
            Value::Bool(_) => return Err(ValueError::Kind("a truth value")),
            Value::Array(_) => return Err(ValueError::Kind("an array")),
            Value::Object(_) => return Err(ValueError::Kind("an object")),
        };
        Ok((!text.is_empty()).then(|| Self { text: text.into(), is_number }))
    }

    /// Returns the value that was stored.
    pub fn stored(text: &str) -> Self {
        Self { text: text.into(), is_number: false }
    }

    /// Returns it as the source wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn order(&self) -> Order {
        // A text such as `12e4` is rather a part of a hash than a number.
        let may_be_number = self.is_number || !self.text.contains(['e', 'E']);
        if let Some(number) = may_be_number.then(|| Decimal::parse(&self.text)).flatten() {
            return Order::Number(number);
        }
        Date::parse(&self.text).map_or(Order::Text, Order::Date)
    }
}

impl Order {
    fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Date(_) => "a date",
            Self::Text => "a text",
        }
    }
}

/// The largest of some cursor values; or the last one, where they are tokens that are compared with nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Watermark {
    value: Option<(CursorValue, Order)>,
    /// How many items have no value.
    pub missing: usize,
}

impl Watermark {
    /// Returns the watermark of one value.
    pub fn of(value: CursorValue) -> Self {
        let order = value.order();
        Self { value: Some((value, order)), missing: 0 }
    }

    /// Takes in the value of one more item.
    pub fn raise(&mut self, value: Option<&CursorValue>) -> Result<(), Incomparable> {
        let Some(value) = value else {
            self.missing += 1;
            return Ok(());
        };
        if self.value.as_ref().is_some_and(|(largest, _)| largest == value) {
            return Ok(());
        }
        self.raise_to(value.clone(), value.order())
    }

    /// Takes in what another part of the source came to, of which the values are tokens or not.
    pub fn merge(&mut self, other: Self, are_tokens: bool) -> Result<(), Incomparable> {
        self.missing += other.missing;
        match other.value {
            None => Ok(()),
            Some(token) if are_tokens => {
                self.value = Some(token);
                Ok(())
            }
            Some((value, order)) => self.raise_to(value, order),
        }
    }

    fn raise_to(&mut self, value: CursorValue, order: Order) -> Result<(), Incomparable> {
        let ordering = match &self.value {
            None => Ordering::Greater,
            Some((largest, largest_order)) => match (&order, largest_order) {
                (Order::Number(one), Order::Number(other)) => one.cmp(other),
                (Order::Date(one), Order::Date(other)) => one.at().cmp(&other.at()),
                (Order::Text, Order::Text) => value.text.cmp(&largest.text),
                (one, other) => {
                    return Err(Incomparable {
                        first: quoted(&largest.text),
                        first_kind: other.kind(),
                        second: quoted(&value.text),
                        second_kind: one.kind(),
                    });
                }
            },
        };
        if ordering == Ordering::Greater {
            self.value = Some((value, order));
        }
        Ok(())
    }

    /// Returns the largest value.
    pub fn value(&self) -> Option<&str> {
        self.value.as_ref().map(|(value, _)| value.as_str())
    }

    /// Returns this watermark or a stored one, whichever is larger. If the source writes its values differently by now,
    /// this one counts.
    pub fn or_larger(&self, stored: Option<&str>) -> Option<String> {
        let Some(stored) = stored else { return self.value().map(str::to_owned) };
        let mut largest = self.clone();
        if largest.value.is_none() {
            return Some(stored.to_owned());
        }
        let _ = largest.raise(Some(&CursorValue::stored(stored)));
        largest.value().map(str::to_owned)
    }
}

/// The most characters of a value that a message shows.
const MOST_SHOWN: usize = 60;

fn quoted(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}

/// Returns the largest cursor value that an item gives, whether the filter leaves it out or not; `None` if the
/// connector has no cursor in its items, or this one has no value.
pub(super) fn value_of_item(connector: &Connector, item: &Value) -> Result<Option<CursorValue>, ValueError> {
    let Some(CursorRules { value: CursorSource::Item(expression), .. }) = &connector.cursor else { return Ok(None) };
    let mut largest = Watermark::default();
    for output in expression.outputs(item).map_err(ValueError::Expression)? {
        if let Some(value) = CursorValue::of(&output)? {
            largest.raise(Some(&value)).map_err(|_| ValueError::Kind("values that cannot be compared"))?;
        }
    }
    Ok(largest.value.map(|(value, _)| value))
}

/// Tells whether cursor values come from items.
pub(super) fn is_in_items(connector: &Connector) -> bool {
    matches!(&connector.cursor, Some(CursorRules { value: CursorSource::Item(_), .. }))
}

/// Tells whether the cursor comes from the answer as a whole, and so is a token that is compared with nothing.
pub(super) fn is_in_answer(connector: &Connector) -> bool {
    matches!(&connector.cursor, Some(CursorRules { value: CursorSource::Answer(_), .. }))
}

/// Returns the cursor that an answer gives as a whole, if the connector's is of that kind.
pub(super) fn value_of_answer(connector: &Connector, answer: &Value) -> Result<Watermark, ValueError> {
    let Some(CursorRules { value: CursorSource::Answer(expression), .. }) = &connector.cursor else {
        return Ok(Watermark::default());
    };
    let outputs = expression.outputs(answer).map_err(ValueError::Expression)?;
    let value = outputs.first().map(|value| CursorValue::of(value)).transpose()?.flatten();
    Ok(value.map_or_else(Watermark::default, Watermark::of))
}

/// Returns what the source is asked with for a stored cursor: the overlap before it.
pub(super) fn with_overlap(rules: &CursorRules, cursor: &str) -> Result<String, OverlapError> {
    let order = CursorValue::stored(cursor).order();
    let lessened = match (&rules.overlap, &order) {
        (None, _) => return Ok(cursor.to_owned()),
        (Some(CursorOverlap::Time(overlap)), Order::Date(date)) => date.minus(*overlap),
        (Some(CursorOverlap::Time(overlap)), Order::Number(number)) => {
            units_in(number, *overlap).and_then(|units| number.minus(units))
        }
        (Some(CursorOverlap::Number(overlap)), Order::Number(number)) => number.minus(u128::from(*overlap)),
        _ => None,
    };
    lessened.ok_or_else(|| match rules.overlap {
        Some(CursorOverlap::Number(_)) => OverlapError::NoNumber(quoted(cursor)),
        _ => OverlapError::NoTime(quoted(cursor)),
    })
}

/// Returns how many seconds, milliseconds, microseconds or nanoseconds since 1970 a duration is, in whichever of them
/// the number is a date of our time; `None` if it is in none.
fn units_in(number: &Decimal, duration: Duration) -> Option<u128> {
    match number.point() {
        9 | 10 => Some(u128::from(duration.as_secs())),
        12 | 13 => Some(duration.as_millis()),
        15 | 16 => Some(duration.as_micros()),
        18 | 19 => Some(duration.as_nanos()),
        _ => None,
    }
}

/// Returns what the first poll is asked with: a literal, or the time so long ago by the clock of the source.
pub(super) fn initial(initial: &CursorInitial, source_now: Timestamp) -> String {
    match initial {
        CursorInitial::Literal(text) => text.clone(),
        CursorInitial::Ago(ago) => (source_now - *ago).to_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    }
}

/// Tells whether a failed answer says that the cursor it was asked with is too old.
pub(super) fn is_too_old(connector: &Connector, response: &HttpResponse) -> bool {
    let Some(rules) = &connector.cursor else { return false };
    let says_so = || {
        let predicate = rules.too_old.as_ref()?;
        let body = json::parse(&response.body).ok()?;
        predicate.is_truthy(&body).ok()
    };
    response.status == 410 || ((400..500).contains(&response.status) && says_so() == Some(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn largest(values: &[Value]) -> Result<Option<String>, Incomparable> {
        let mut watermark = Watermark::default();
        for value in values {
            watermark.raise(CursorValue::of(value).expect("a value").as_ref())?;
        }
        Ok(watermark.value().map(str::to_owned))
    }

    #[test]
    fn values_are_compared_by_their_kind() {
        let check = |values: Value, expected: Option<&str>| {
            let values = values.as_array().expect("a list").clone();
            assert_eq!(largest(&values).expect("comparable").as_deref(), expected, "{values:?}");
        };
        check(json!([]), None);
        check(json!([null, "", null]), None);
        check(json!([9, 10, 2]), Some("10"));
        check(json!(["9", 10, "0011"]), Some("0011"));
        check(serde_json::from_str("[9007199254740993, 9007199254740992.5]").expect("JSON"), Some("9007199254740993"));
        check(json!(["2026-11-20T12:00:00+02:00", "2026-11-20T11:00:00Z"]), Some("2026-11-20T11:00:00Z"));
        check(json!(["2026-11-20", null, "2026-11-20T00:00:00.001Z"]), Some("2026-11-20T00:00:00.001Z"));
        check(json!(["Fri, 20 Nov 2026 12:00:00 GMT", "2026-11-20"]), Some("Fri, 20 Nov 2026 12:00:00 GMT"));
        check(json!(["01HZ", "01HA"]), Some("01HZ"));
        // Of equal ones, the first is kept as it was written.
        check(json!(["2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000Z"]), Some("2026-11-20T12:00:00Z"));
    }

    #[test]
    fn values_of_several_kinds_have_no_largest() {
        let error = largest(&[json!("2026-11-20"), json!(7)]).expect_err("a date and a number");
        insta::assert_snapshot!(error, @r#"`cursor.value` gives "2026-11-20", which is a date, and "7", which is a number: none is the largest"#);
        let error = largest(&[json!("12e4"), json!(7)]).expect_err("a text and a number");
        insta::assert_snapshot!(error, @r#"`cursor.value` gives "12e4", which is a text, and "7", which is a number: none is the largest"#);
    }

    #[test]
    fn the_cursor_never_goes_back_unless_the_source_writes_differently() {
        let check = |found: Option<&str>, stored: Option<&str>, expected: Option<&str>| {
            let watermark = found.map_or_else(Watermark::default, |text| Watermark::of(CursorValue::stored(text)));
            assert_eq!(watermark.or_larger(stored).as_deref(), expected);
        };
        check(None, None, None);
        check(None, Some("5"), Some("5"));
        check(Some("10"), None, Some("10"));
        check(Some("10"), Some("9"), Some("10"));
        check(Some("9"), Some("10"), Some("10"));
        check(Some("2026-11-20"), Some("10"), Some("2026-11-20"));
    }

    fn rules(overlap: CursorOverlap) -> CursorRules {
        CursorRules {
            value: CursorSource::Item(crate::model::expression::Expression::parse(".").expect("an expression")),
            initial: None,
            overlap: Some(overlap),
            ascending: false,
            too_old: None,
            reconcile: None,
        }
    }

    #[test]
    fn the_overlap_is_taken_off_in_the_values_own_form() {
        let check = |overlap: &CursorOverlap, cursor: &str, expected: Result<&str, &str>| {
            let asked = with_overlap(&rules(overlap.clone()), cursor).map_err(|error| error.to_string());
            assert_eq!(asked.as_deref().map_err(String::as_str), expected, "{cursor}");
        };
        let minutes = CursorOverlap::Time(Duration::from_secs(300));
        check(&minutes, "2026-11-20T12:00:00.000+01:00", Ok("2026-11-20T11:55:00.000+01:00"));
        check(&minutes, "1795000000", Ok("1794999700"));
        check(&minutes, "1795000000.5", Ok("1794999700.5"));
        check(&minutes, "1795000000123", Ok("1794999700123"));
        check(&minutes, "1795000000123456", Ok("1794999700123456"));
        let no_time =
            "`cursor.overlap` is a time, and the cursor \"17\" is neither a date nor a number of seconds since 1970";
        check(&minutes, "17", Err(no_time));
        check(&CursorOverlap::Number(10), "17", Ok("7"));
        check(&CursorOverlap::Number(10), "7", Ok("0"));
        let no_number = "`cursor.overlap` is a number, and the cursor \"2026-11-20\" is none";
        check(&CursorOverlap::Number(10), "2026-11-20", Err(no_number));
    }

    #[test]
    fn the_first_poll_begins_so_long_ago_or_at_a_literal() {
        let now = Timestamp::parse("2026-11-20T12:00:00.789Z").expect("a time");
        let day = CursorInitial::Ago(Duration::from_secs(24 * 60 * 60));
        assert_eq!(initial(&day, now), "2026-11-19T12:00:00Z");
        assert_eq!(initial(&CursorInitial::Literal("0".to_owned()), now), "0");
    }
}
