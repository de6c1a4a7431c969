//! Dates as feeds write them: RFC 3339 and the rest of ISO 8601, RFC 822 and what is taken for it, and `asctime`.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat};

/// Returns a date in RFC 3339 form and UTC; `None` if nobody can tell what it means. A date without a zone is in UTC.
pub(super) fn parse(text: &str) -> Option<String> {
    let text = text.trim();
    // What is longer says more than when.
    let text = if text.len() > 64 { return None } else { text };
    let (local, offset) = iso(text).or_else(|| in_words(text)).or_else(|| of_epoch(text))?;
    let utc = local.checked_sub_signed(Duration::minutes(offset))?.and_utc();
    Some(utc.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Reads `2026-11-20T12:00:00.123+01:00` and whatever is left when parts of it are missing.
fn iso(text: &str) -> Option<(NaiveDateTime, i64)> {
    let (date, rest) = iso_date(text)?;
    let rest = rest.strip_prefix(['T', 't', '_']).unwrap_or(rest).trim_start();
    let length = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(length);
    let (time, days) = if time.is_empty() { (NaiveTime::MIN, 0) } else { clock(time)? };
    let zone = zone.trim();
    let offset = if zone.is_empty() { 0 } else { zone_offset(zone)? };
    Some((date.and_time(time).checked_add_signed(Duration::days(days))?, offset))
}

/// Reads `2026-11-20`, `2026/11/20`, `20261120`, `2026-11` or `2026`, and returns what follows.
fn iso_date(text: &str) -> Option<(NaiveDate, &str)> {
    let year = number(text.get(..4)?)?;
    let rest = &text[4..];
    let date = |month, day| NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day);
    let Some(separator) = rest.chars().next().filter(|c| matches!(c, '-' | '/' | '.')) else {
        return match (rest.get(..2).and_then(number), rest.get(2..4).and_then(number)) {
            _ if rest.is_empty() => Some((date(1, 1)?, rest)),
            (Some(month), Some(day)) => Some((date(month, day)?, &rest[4..])),
            _ => None,
        };
    };
    let (month, rest) = digits(&rest[1..], 2)?;
    match rest.strip_prefix(separator) {
        Some(rest) => {
            let (day, rest) = digits(rest, 2)?;
            Some((date(month, day)?, rest))
        }
        None if rest.is_empty() => Some((date(month, 1)?, rest)),
        None => None,
    }
}

/// Reads a number of up to so many digits, and returns what follows.
fn digits(text: &str, most: usize) -> Option<(u32, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    Some((number(&text[..length])?, &text[length..]))
}

fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Reads `12:00:00.123`, `12:00`, `120000` or `12`, and returns how many days later that is.
fn clock(text: &str) -> Option<(NaiveTime, i64)> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let parts: Vec<&str> = match whole.len() {
        6 if !whole.contains(':') => vec![&whole[..2], &whole[2..4], &whole[4..]],
        4 if !whole.contains(':') => vec![&whole[..2], &whole[2..]],
        _ => whole.split(':').collect(),
    };
    let part = |index: usize| parts.get(index).map_or(Some(0), |text| number(text));
    let (hour, minute, second) = (part(0)?, part(1)?, part(2)?);
    if parts.len() > 3 {
        return None;
    }
    let nanoseconds = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<9}")[..9])? };
    // A leap second, and the end of a day.
    let time = NaiveTime::from_hms_nano_opt(if hour == 24 { 0 } else { hour }, minute, second.min(59), nanoseconds)?;
    Some((time, i64::from(hour == 24)))
}

/// Reads `Fri, 20 Nov 2026 12:00:00 +0100` and `Fri Nov 20 12:00:00 2026`, whatever is missing or in another order.
fn in_words(text: &str) -> Option<(NaiveDateTime, i64)> {
    let (mut day, mut month, mut year, mut time, mut offset) = (None, None, None, None, None);
    let mut after_noon = None;
    let separated = text.replace([',', '.'], " ");
    for word in separated.split_whitespace().flat_map(of_date) {
        let lower = word.to_ascii_lowercase();
        if word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit()) {
            // Some write the zone without a space before it.
            let end = word.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(word.len());
            time = Some(clock(&word[..end])?);
            if end < word.len() {
                offset = Some(zone_offset(&word[end..])?);
            }
        } else if let (true, Some(number)) = (word.len() <= 4, number(word)) {
            match (word.len(), day) {
                (1 | 2, None) => day = Some(number),
                (1 | 2, Some(_)) if year.is_none() => year = Some(number + if number < 90 { 2000 } else { 1900 }),
                (4, _) if year.is_none() => year = Some(number),
                (4, _) if time.is_none() => time = Some(clock(word)?),
                _ => return None,
            }
        } else if lower == "am" || lower == "pm" {
            after_noon = Some(lower == "pm");
        } else if month.is_none() && month_of(&lower).is_some() {
            month = month_of(&lower);
        } else if is_weekday(&lower) {
        } else if offset.is_none() || zone_offset(word).is_some_and(|offset| offset == 0) {
            offset = Some(zone_offset(word)?);
        } else if !word.starts_with('(') {
            return None;
        }
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(year?).ok()?, month?, day?)?;
    let (time, days) = time.unwrap_or((NaiveTime::MIN, 0));
    let hour = chrono::Timelike::hour(&time);
    let shift = match after_noon {
        Some(true) if hour < 12 => 12,
        Some(false) if hour == 12 => -12,
        _ => 0,
    };
    let local = date.and_time(time).checked_add_signed(Duration::days(days) + Duration::hours(shift))?;
    Some((local, offset.unwrap_or(0)))
}

/// Splits `20-Nov-2026`, and leaves everything else alone.
fn of_date(word: &str) -> Vec<&str> {
    let parts: Vec<&str> = word.split('-').collect();
    match parts.as_slice() {
        [day, month, _] if number(day).is_some() && month_of(&month.to_ascii_lowercase()).is_some() => parts,
        _ => vec![word],
    }
}

fn month_of(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let index = MONTHS
        .iter()
        .position(|month| word.len() >= 3 && (month.starts_with(word) || word == "sept" && *month == "september"))?;
    u32::try_from(index + 1).ok()
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    word.len() >= 3 && DAYS.iter().any(|day| day.starts_with(word)) || word == "thur" || word == "thurs"
}

/// Returns how many minutes a zone is ahead of UTC.
fn zone_offset(zone: &str) -> Option<i64> {
    const NAMES: [(&str, i64); 29] = [
        ("z", 0),
        ("ut", 0),
        ("utc", 0),
        ("gmt", 0),
        ("wet", 0),
        ("west", 1),
        ("bst", 1),
        ("cet", 1),
        ("met", 1),
        ("cest", 2),
        ("mest", 2),
        ("eet", 2),
        ("eest", 3),
        ("msk", 3),
        ("jst", 9),
        ("kst", 9),
        ("aest", 10),
        ("aedt", 11),
        ("adt", -3),
        ("ast", -4),
        ("edt", -4),
        ("est", -5),
        ("cdt", -5),
        ("cst", -6),
        ("mdt", -6),
        ("mst", -7),
        ("pdt", -7),
        ("pst", -8),
        ("hst", -10),
    ];
    let lower = zone.trim_matches(['(', ')']).to_ascii_lowercase();
    if let Some((_, hours)) = NAMES.iter().find(|(name, _)| *name == lower) {
        return Some(hours * 60);
    }
    let signed = ["gmt", "utc"].iter().find_map(|name| lower.strip_prefix(name)).unwrap_or(&lower);
    let sign = match signed.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits: String = signed[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        1 | 2 => (number(&digits)?, 0),
        3 => (number(&digits[..1])?, number(&digits[1..])?),
        4 => (number(&digits[..2])?, number(&digits[2..])?),
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes))
}

/// Reads seconds since 1970, as scripts write them, or milliseconds.
fn of_epoch(text: &str) -> Option<(NaiveDateTime, i64)> {
    let seconds = match text.len() {
        10 => text.parse::<i64>().ok()?,
        13 => text.parse::<i64>().ok()? / 1000,
        _ => return None,
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    DateTime::from_timestamp(seconds, 0).filter(|_| is_number).map(|time| (time.naive_utc(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_however_they_are_written() {
        let check = |text: &str, expected: &str| assert_eq!(parse(text).as_deref(), Some(expected), "{text}");
        for text in [
            "2026-11-20T12:00:00Z",
            "2026-11-20T13:00:00+01:00",
            "2026-11-20T12:00:00",
            "2026-11-20 12:00:00",
            "2026-11-20T12:00Z",
            "20261120T120000Z",
            "2026/11/20 12:00:00",
            "2026-11-20T12:00:00.000Z",
            "2026-11-20t12:00:00z",
            "2026-11-20 12:00:00 UTC",
            "2026-11-20T05:00:00-0700",
            "Fri, 20 Nov 2026 12:00:00 GMT",
            "Fri, 20 Nov 2026 12:00:00 +0000",
            "20 Nov 2026 12:00:00 UT",
            "Fri, 20 Nov 26 12:00 Z",
            "Fri,20 Nov 2026 12:00:00 GMT",
            "Friday, 20-Nov-26 12:00:00 GMT",
            "Fri Nov 20 12:00:00 2026",
            "Fri, 20 November 2026 04:00:00 PST",
            "Fri, 20 Nov 2026 13:00:00 CET",
            "fri, 20 nov 2026 12:00:00 gmt",
            "Nov 20, 2026 12:00 PM",
            "Fri, 20 Nov 2026 13:00:00 GMT+01:00",
            "Fri, 20 Nov 2026 12:00:00 +0000 (UTC)",
            "Sat, 20 Nov 2026 12:00:00 +0000",
            "1795176000",
            "Fri, 20 Nov 2026 12:00:00+0000",
        ] {
            check(text, "2026-11-20T12:00:00Z");
        }
        for text in ["2026-11-20", "20261120", "20 Nov 2026", "2026-11-19T24:00:00Z", "Nov 20, 2026"] {
            check(text, "2026-11-20T00:00:00Z");
        }
        check("2026", "2026-01-01T00:00:00Z");
        check("2026-11", "2026-11-01T00:00:00Z");
        check("2026-11-20T12:00:00.123456Z", "2026-11-20T12:00:00.123456Z");
        check("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z");
        check("01 Jan 99 00:00:00 GMT", "1999-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_date_stays_unread() {
        for text in [
            "",
            "yesterday",
            "20/11/2026",
            "2026-13-01",
            "Fri, 32 Nov 2026 12:00:00 GMT",
            "12:00",
            "Nov 2026 x",
            "2026-11-20T99:00:00Z",
            "Fri, 20 Nov 2026 12:00:00 XYZ",
            "é026-11-20",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
