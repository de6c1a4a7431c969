//! Dates in the forms that APIs write, which can be written again in the same form.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};

/// A point in time and how it was written.
#[derive(Debug, Clone)]
pub(super) struct Date {
    at: DateTime<FixedOffset>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// `2026-11-20`, which is its first instant in UTC.
    Day,
    /// RFC 3339 and its relatives: without a zone, in UTC; with any number of fractional digits or none.
    Iso { separator: char, has_seconds: bool, fraction: Option<(char, usize)>, zone: String },
    /// RFC 2822, and so HTTP's.
    Mail { has_weekday: bool, has_seconds: bool, zone: String },
}

impl Date {
    /// Reads a date.
    pub fn parse(text: &str) -> Option<Self> {
        parse_iso(text).or_else(|| parse_mail(text))
    }

    /// Returns the point in time. Dates are compared by it.
    pub fn at(&self) -> DateTime<FixedOffset> {
        self.at
    }

    /// Returns the date so much earlier, written in the same form.
    pub fn minus(&self, duration: Duration) -> Option<String> {
        let at = self.at.checked_sub_signed(TimeDelta::from_std(duration).ok()?)?;
        let time = |has_seconds: bool| at.format(if has_seconds { "%H:%M:%S" } else { "%H:%M" });
        Some(match &self.form {
            Form::Day => at.format("%Y-%m-%d").to_string(),
            Form::Iso { separator, has_seconds, fraction, zone } => {
                let fraction = fraction.map(|(point, digits)| {
                    let nanos = format!("{:09}", at.timestamp_subsec_nanos());
                    format!("{point}{nanos:0<digits$.digits$}")
                });
                let fraction = fraction.unwrap_or_default();
                format!("{}{separator}{}{fraction}{zone}", at.format("%Y-%m-%d"), time(*has_seconds))
            }
            Form::Mail { has_weekday, has_seconds, zone } => {
                let day = at.format(if *has_weekday { "%a, %d %b %Y" } else { "%d %b %Y" });
                format!("{day} {} {zone}", time(*has_seconds))
            }
        })
    }
}

fn parse_iso(text: &str) -> Option<Date> {
    let (day, rest) = text.split_at_checked(10)?;
    let is_day = day.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().filter(|_| is_day)?;
    let Some(separator) = rest.chars().next() else {
        return Some(Date { at: day.and_time(NaiveTime::MIN).and_utc().fixed_offset(), form: Form::Day });
    };
    if !matches!(separator, 'T' | 't' | ' ') {
        return None;
    }
    let rest = &rest[1..];
    let (hour, rest) = two_digits(rest)?;
    let (minute, rest) = two_digits(rest.strip_prefix(':')?)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => two_digits(rest).map(|(second, rest)| (Some(second), rest))?,
        None => (None, rest),
    };
    let (fraction, nanos, zone) = match rest.chars().next().filter(|c| matches!(c, '.' | ',') && second.is_some()) {
        Some(point) => {
            let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            let (written, zone) = rest[1..].split_at(digits);
            let nanos: u32 = format!("{written:0<9.9}").parse().ok().filter(|_| digits > 0)?;
            (Some((point, digits)), nanos, zone)
        }
        None => (None, 0, rest),
    };
    // A leap second lasts as long as the one before it.
    let time = NaiveTime::from_hms_nano_opt(hour, minute, second.unwrap_or(0).min(59), nanos)?;
    if second.is_some_and(|second| second > 60) {
        return None;
    }
    let form = Form::Iso { separator, has_seconds: second.is_some(), fraction, zone: zone.to_owned() };
    Some(Date { at: at_offset(day.and_time(time), offset(zone.trim_start())?)?, form })
}

fn two_digits(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((number, rest))
}

/// Returns the offset that a zone's text says: nothing, `Z`, `UTC`, `GMT`, `+01:00`, `+0100` or `+01`.
fn offset(zone: &str) -> Option<FixedOffset> {
    let (sign, digits) = match zone {
        "" | "Z" | "z" | "UTC" | "GMT" => return FixedOffset::east_opt(0),
        _ if zone.starts_with('+') => (1, &zone[1..]),
        _ if zone.starts_with('-') => (-1, &zone[1..]),
        _ => return None,
    };
    let (hours, rest) = two_digits(digits)?;
    let minutes = match rest.strip_prefix(':').unwrap_or(rest) {
        "" if rest.is_empty() => 0,
        minutes => two_digits(minutes).filter(|(_, rest)| rest.is_empty())?.0,
    };
    FixedOffset::east_opt(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?)
}

fn at_offset(local: NaiveDateTime, offset: FixedOffset) -> Option<DateTime<FixedOffset>> {
    offset.from_local_datetime(&local).single()
}

fn parse_mail(text: &str) -> Option<Date> {
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    let zone = text.split_ascii_whitespace().next_back()?.to_owned();
    let has_seconds = text.bytes().filter(|byte| *byte == b':').count() == 2;
    Some(Date { at, form: Form::Mail { has_weekday: text.contains(','), has_seconds, zone } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_points_in_time_however_they_are_written() {
        let check = |text: &str, expected: Option<&str>| {
            let at = Date::parse(text).map(|date| date.at().to_utc().to_rfc3339());
            assert_eq!(at.as_deref(), expected, "{text}");
        };
        check("2026-11-20T12:00:00Z", Some("2026-11-20T12:00:00+00:00"));
        check("2026-11-20T13:00:00.5+01:00", Some("2026-11-20T12:00:00.500+00:00"));
        check("2026-11-20T13:00:00.123456789123+0100", Some("2026-11-20T12:00:00.123456789+00:00"));
        check("2026-11-20 12:00:00", Some("2026-11-20T12:00:00+00:00"));
        check("2026-11-20 07:00:00 -0500", Some("2026-11-20T12:00:00+00:00"));
        check("2026-11-20T12:00Z", Some("2026-11-20T12:00:00+00:00"));
        check("2026-11-20 12:00:00,250 UTC", Some("2026-11-20T12:00:00.250+00:00"));
        check("2026-11-20", Some("2026-11-20T00:00:00+00:00"));
        check("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59+00:00"));
        check("Fri, 20 Nov 2026 12:00:00 GMT", Some("2026-11-20T12:00:00+00:00"));
        check("20 Nov 2026 13:00 +0100", Some("2026-11-20T12:00:00+00:00"));
        for text in [
            "",
            "2026",
            "20261120",
            "2026-11-31",
            "2026-1-1",
            "2026-11-20x",
            "2026-11-20T",
            "2026-11-20T25:00:00Z",
            "2026-11-20T12:00:61Z",
            "2026-11-20T12:00:00.Z",
            "2026-11-20T12:00:00 Europe/Rome",
            "2026-11-20T12:00:00+1",
            "ä026-11-20",
            "yesterday",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn an_earlier_date_has_the_same_form() {
        let check = |text: &str, seconds, expected: &str| {
            let date = Date::parse(text).expect("a date");
            assert_eq!(date.minus(Duration::from_secs(seconds)).as_deref(), Some(expected));
        };
        check("2026-11-20T12:00:00Z", 300, "2026-11-20T11:55:00Z");
        check("2026-11-20t12:00:00.000z", 0, "2026-11-20t12:00:00.000z");
        check("2026-11-20T00:00:00.120+01:00", 1, "2026-11-19T23:59:59.120+01:00");
        check("2026-11-20T00:00:00.123456789012+0100", 1, "2026-11-19T23:59:59.123456789000+0100");
        check("2026-11-20 12:00", 61, "2026-11-20 11:58");
        check("2026-03-01", 300, "2026-02-28");
        check("Fri, 20 Nov 2026 00:00:00 GMT", 60, "Thu, 19 Nov 2026 23:59:00 GMT");
        check("20 Nov 2026 00:00 +0100", 60, "19 Nov 2026 23:59 +0100");
    }
}
