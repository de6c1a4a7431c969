//! Dates as HTTP writes them.

use chrono::NaiveDateTime;

use crate::model::time::Timestamp;

/// Parses the three forms of RFC 9110: IMF-fixdate, RFC 850 and asctime; `now` tells the century of the second. The day of the week says nothing that the
/// date does not, so it is not looked at.
pub fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let at = if let Some((_, date)) = text.split_once(", ") {
        let date = date.strip_suffix("GMT").or_else(|| date.strip_suffix("UTC"))?.trim_end();
        parse(date, "%d %b %Y %H:%M:%S").or_else(|| parse(&with_century(date, now)?, "%d-%b-%Y %H:%M:%S"))?
    } else {
        parse(text.split_once(' ')?.1, "%b %e %H:%M:%S %Y")?
    };
    Some(Timestamp::from(at.and_utc()))
}

fn parse(text: &str, format: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, format).ok()
}

/// Writes out the year of an RFC 850 date, which has two digits: it lies no more than 50 years ahead.
fn with_century(date: &str, now: Timestamp) -> Option<String> {
    let (day_and_month, year_and_time) = date.rsplit_once('-')?;
    let (year, time) = year_and_time.split_once(' ')?;
    if year.len() != 2 {
        return None;
    }
    let this_year: u32 = now.to_utc().format("%Y").to_string().parse().ok()?;
    let year = this_year - this_year % 100 + year.parse::<u32>().ok()?;
    let year = if year > this_year + 50 { year - 100 } else { year };
    Some(format!("{day_and_month}-{year} {time}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_of_a_date_are_read() {
        let now = Timestamp::parse("2026-11-20T12:00:00Z").expect("a time");
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(http_date(text, now).map(|at| at.to_string()).as_deref(), expected, "{text}");
        };
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some("1994-11-06T08:49:37.000Z"));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some("1994-11-06T08:49:37.000Z"));
        check("Sun Nov  6 08:49:37 1994", Some("1994-11-06T08:49:37.000Z"));
        check("Friday, 20-Nov-26 12:10:00 GMT", Some("2026-11-20T12:10:00.000Z"));
        for text in ["", "soon", "Fri, 32 Nov 2026 12:10:00 GMT", "Fri, 20 Nov 2026", ", ", "-", "0"] {
            check(text, None);
        }
    }
}
