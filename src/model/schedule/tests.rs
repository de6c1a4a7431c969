use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds};

use super::*;

fn cron(source: &str, zone: &str) -> Cron {
    Cron::parse(source, zone.parse().expect("a zone")).unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// Checks the times that follow a moment, all as local time with offset.
fn check(source: &str, zone: &str, after: &str, expected: &[&str]) {
    let cron = cron(source, zone);
    let mut at = Timestamp::parse(after).expect("a time");
    let mut times = Vec::new();
    for _ in expected {
        at = cron.next(at).expect("another time");
        times.push(at.to_utc().with_timezone(&cron.zone()).format("%m-%dT%H:%M%:z").to_string());
    }
    assert_eq!(times, expected, "{cron} after {after}");
}

fn check_error(source: &str, expected: &str) {
    let error = Cron::parse(source, Tz::UTC).expect_err(source).message;
    assert!(error.starts_with(expected), "{source}: {error}");
}

#[test]
fn fields_are_read_as_unix_cron_reads_them() {
    let (utc, start) = ("UTC", "2026-01-01T00:00:00Z"); // a Thursday
    check("*/20 * * * *", utc, start, &["01-01T00:20+00:00", "01-01T00:40+00:00", "01-01T01:00+00:00"]);
    check("0 12 * * 0", utc, start, &["01-04T12:00+00:00", "01-11T12:00+00:00"]);
    check("0 12 * * 7", utc, start, &["01-04T12:00+00:00"]);
    check("0 12 * * SUN", utc, start, &["01-04T12:00+00:00"]);
    check("0 12 * * 1", utc, start, &["01-05T12:00+00:00"]);
    check("0 12 * * 6-7", utc, start, &["01-03T12:00+00:00", "01-04T12:00+00:00", "01-10T12:00+00:00"]);
    check("0 12 * * sat-sun", utc, start, &["01-03T12:00+00:00", "01-04T12:00+00:00", "01-10T12:00+00:00"]);
    check("0 0 1 feb,APR *", utc, start, &["02-01T00:00+00:00", "04-01T00:00+00:00"]);
    check("50/5 9-10 * * *", utc, start, &["01-01T09:50+00:00", "01-01T09:55+00:00", "01-01T10:50+00:00"]);
    check("@weekly", utc, start, &["01-04T00:00+00:00"]);
    check(" @Hourly ", utc, start, &["01-01T01:00+00:00"]);
}

#[test]
fn a_day_of_the_month_or_of_the_week_is_enough_when_both_are_given() {
    let start = "2026-01-01T00:00:00Z";
    check("0 0 13 * fri", "UTC", start, &["01-02T00:00+00:00", "01-09T00:00+00:00", "01-13T00:00+00:00"]);
    check("0 0 */10 * thu", "UTC", start, &["05-21T00:00+00:00", "06-11T00:00+00:00"]);
}

#[test]
fn fixed_hours_run_once_a_day_when_the_clocks_change() {
    let rome = "Europe/Rome"; // 2026-03-29 02:00 becomes 03:00; 2026-10-25 03:00 becomes 02:00
    check("30 2 * * *", rome, "2026-03-28T00:00:00Z", &["03-28T02:30+01:00", "03-29T03:00+02:00", "03-30T02:30+02:00"]);
    check("15,45 2 * * *", rome, "2026-03-28T20:00:00Z", &["03-29T03:00+02:00", "03-30T02:15+02:00"]);
    check("30 2 * * *", rome, "2026-10-24T20:00:00Z", &["10-25T02:30+02:00", "10-26T02:30+01:00"]);
    check(
        "*/30 1-3 * * *",
        rome,
        "2026-10-24T23:30:00Z",
        &["10-25T02:00+02:00", "10-25T02:30+02:00", "10-25T03:00+01:00", "10-25T03:30+01:00"],
    );
    check("0 0 * * *", "America/Havana", "2026-03-07T12:00:00Z", &["03-08T01:00-04:00", "03-09T00:00-04:00"]);
    check("0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", &["12-31T00:00+14:00"]);
}

#[test]
fn every_hour_goes_by_elapsed_time_when_the_clocks_change() {
    let rome = "Europe/Rome";
    check("30 * * * *", rome, "2026-03-29T00:00:00Z", &["03-29T01:30+01:00", "03-29T03:30+02:00"]);
    check(
        "*/30 * * * *",
        rome,
        "2026-10-24T23:45:00Z",
        &["10-25T02:00+02:00", "10-25T02:30+02:00", "10-25T02:00+01:00", "10-25T02:30+01:00", "10-25T03:00+01:00"],
    );
    check("0 * * * *", "Australia/Lord_Howe", "2026-04-04T13:59:00Z", &["04-05T01:00+11:00", "04-05T02:00+10:30"]);
    check(
        "45 * * * *",
        "Australia/Lord_Howe",
        "2026-04-04T14:00:00Z",
        &["04-05T01:45+11:00", "04-05T01:45+10:30", "04-05T02:45+10:30"],
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_field_and_what_it_may_hold() {
    check_error(
        "61 * * * *",
        "the minute is `61`, and `61` is out of range: it may hold * and numbers from 0 to 59, ranges",
    );
    check_error("* 9-25 * * *", "the hour is `9-25`, and `25` is out of range");
    check_error("* 17-9 * * *", "the hour is `17-9`, and the range `17-9` runs backwards");
    check_error("*/0 * * * *", "the minute is `*/0`, and the step of `*/0` is no number from 1 on");
    check_error("* * 0 * *", "the day of the month is `0`, and `0` is out of range");
    check_error(
        "* * * foo *",
        "the month is `foo`, and `foo` is none: it may hold * and numbers from 1 to 12, or names from jan",
    );
    check_error("* * * * 8", "the day of the week is `8`");
    check_error("1,,2 * * * *", "the minute is `1,,2`, and a part is empty");
    check_error("* * * *", "a cron expression has five fields");
    check_error("", "a cron expression has five fields");
    check_error("@reboot", "`@reboot` is unknown");
    check_error("0 0 30 2 *", "`0 0 30 2 *` names a date that does not exist");
    check_error("0 0 31 2,4,6 *", "`0 0 31 2,4,6 *` names a date that does not exist");
    check("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["02-29T00:00+00:00"]);
}

#[test]
fn intervals_are_due_at_once_when_late_and_never_in_a_burst() {
    let at = |text| Timestamp::parse(text).expect("a time");
    let every = Schedule::Every(Duration::from_secs(30));
    let now = at("2026-01-01T00:01:00Z");
    assert_eq!(every.next(None, now), Some(now));
    assert_eq!(every.next(Some(at("2026-01-01T00:00:50Z")), now), Some(at("2026-01-01T00:01:20Z")));
    assert_eq!(every.next(Some(at("2025-01-01T00:00:00Z")), now), Some(now));
    assert_eq!(every.to_string(), "every 30s");
    let cron = Schedule::Cron(cron("*/5 * * * *", "Europe/Rome"));
    assert_eq!(cron.next(Some(at("2025-01-01T00:00:00Z")), now), Some(at("2026-01-01T00:05:00Z")));
    assert_eq!(cron.to_string(), "*/5 * * * * in Europe/Rome");
}

const ZONES: [&str; 6] =
    ["UTC", "Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"];

const EXPRESSIONS: [&str; 30] = [
    "* * * * *",
    "*/5 * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "30 * * * *",
    "15,45 * * * *",
    "0 */2 * * *",
    "5 */6 * * *",
    "59 * * * *",
    "*/30 * * * *",
    "0 0 * * *",
    "30 2 * * *",
    "0 2 * * *",
    "45 1 * * *",
    "15 3 * * *",
    "0 9-17 * * *",
    "30 9 * * mon-fri",
    "0 12 * * 7",
    "0 12 * * 0",
    "0 8 1 * *",
    "0 8 1,15 * *",
    "0 0 13 * fri",
    "0 0 29 2 *",
    "0 6 31 * *",
    "0 22 * jan,jul *",
    "0 0 1 1 *",
    "30 4 1-7 * 1",
    "10 23 28-31 * *",
    "0 5 * 3-5 tue,thu",
    "0 0 */10 * *",
];

/// Both give the same times before, in and after each change of the clocks, and in between.
#[test]
fn croner_agrees() {
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    for zone in ZONES {
        let zone: Tz = zone.parse().expect("a zone");
        for source in EXPRESSIONS {
            let ours = Cron::parse(source, zone).expect("an expression");
            let theirs = parser.parse(source).expect("an expression");
            for start in moments(zone) {
                let mut at = start;
                for _ in 0..5 {
                    let Some(next) = ours.next(at.into()).map(Timestamp::to_utc) else { break };
                    let expected =
                        theirs.find_next_occurrence(&at.with_timezone(&zone), false).expect("a time").to_utc();
                    assert_eq!(next, expected, "{source} in {zone} after {at}");
                    at = next;
                }
            }
        }
    }
}

/// Returns moments before, in and after each change of the clocks from 2024 to 2028, and some in between.
fn moments(zone: Tz) -> Vec<DateTime<Utc>> {
    let start = Utc.with_ymd_and_hms(2024, 1, 1, 0, 0, 0).single().expect("a time");
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
    let mut moments = Vec::new();
    for hour in 0..5 * 366 * 24 {
        let at = start + TimeDelta::hours(hour);
        if local(at) != local(at + TimeDelta::hours(1)) {
            moments.extend([-26, -2, -1, 0, 1].map(|hours| at + TimeDelta::hours(hours) + TimeDelta::minutes(7)));
        }
        if hour % (24 * 97) == 0 {
            moments.push(at);
        }
    }
    moments
}
