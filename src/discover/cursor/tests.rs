use serde_json::{Value, json};

use crate::discover::testing::answer;
use crate::discover::{About, Answer, Finding, Sureness, discover};

/// Returns what was found out from an answer at an address.
fn found(url: &str, body: &Value) -> Option<Finding> {
    let answer = Answer { url: url.parse().expect("an address"), ..answer(body) };
    discover(&answer, None).expect("a draft").about(About::Cursor).cloned()
}

/// Checks which settings there are, written one after the other, and how sure they are.
fn check(url: &str, body: &Value, expected: &str) {
    let said = match found(url, body) {
        None => "nothing".to_owned(),
        Some(Finding { settings, sureness, .. }) => {
            let settings = settings.iter().map(|setting| format!("{}={}; ", setting.path, setting.value));
            format!("{}{sureness}", settings.collect::<String>())
        }
    };
    assert_eq!(said, expected, "{url} {body}");
}

fn items(count: u32) -> Value {
    let item = |id: u32| json!({"id": id * 7, "created_at": "2026-11-01T00:00:00Z", "updated_at": format!("2026-11-{:02}T12:00:00Z", 20 - id), "due_at": "2027-01-01"});
    (1..=count).map(item).collect()
}

#[test]
fn a_date_is_asked_from_where_the_address_names_the_parameter() {
    for (url, expected) in [
        (
            "https://x.example/issues?since=2026-11-01T00:00:00Z",
            r#"cursor.value=".updated_at"; request.query.since="{{ cursor }}"; cursor.initial="2026-11-01T00:00:00Z"; likely"#,
        ),
        (
            "https://x.example/issues?updated_after=2026-11-01T00:00:00Z&state=all",
            r#"cursor.value=".updated_at"; request.query.updated_after="{{ cursor }}"; cursor.initial="2026-11-01T00:00:00Z"; likely"#,
        ),
        (
            "https://x.example/issues?created_after=2026-11-01T00:00:00Z",
            r#"cursor.value=".created_at"; request.query.created_after="{{ cursor }}"; cursor.initial="2026-11-01T00:00:00Z"; likely"#,
        ),
        (
            "https://x.example/issues?since=",
            r#"cursor.value=".updated_at"; request.query.since="{{ cursor }}"; likely"#,
        ),
        (
            "https://x.example/issues?since=2026-11-01",
            r#"cursor.value=".updated_at"; request.query.since="{{ cursor }}"; cursor.initial="2026-11-01"; doubtful"#,
        ),
        (
            "https://x.example/issues?since_id=12",
            r#"cursor.value=".id"; request.query.since_id="{{ cursor }}"; cursor.initial="12"; likely"#,
        ),
        // What only looks like it: an id to page from, what is relative to the present, and the end of a range.
        ("https://x.example/users?since=135", "likely"),
        ("https://x.example/issues?since=24h", "likely"),
        ("https://x.example/issues?updated_before=2026-11-01T00:00:00Z", "likely"),
        ("https://x.example/issues?from=20", "likely"),
        ("https://x.example/issues", "likely"),
    ] {
        check(url, &items(4), expected);
    }
}

#[test]
fn the_answer_can_name_the_parameter() {
    let body = |address: &str| json!({"items": items(3), "links": {"self": address}});
    let url = "https://x.example/orders";
    let asked = r#"cursor.value=".updated_at"; request.query.modifiedSince="{{ cursor }}"; likely"#;
    check(url, &body("/orders{?page,modifiedSince,sort}"), asked);
    check(url, &body("https://x.example/orders?modifiedSince="), asked);
    // Of another list, and of another host.
    check(url, &body("/invoices{?modifiedSince}"), "likely");
    check(url, &body("https://y.example/orders?modifiedSince="), "likely");
    let next = "/orders?since=2026-11-02T00:00:00Z";
    check(url, &body(next), r#"cursor.value=".updated_at"; request.query.since="{{ cursor }}"; doubtful"#);
}

#[test]
fn tokens_of_answers_are_asked_with() {
    let changes =
        json!({"results": [{"seq": "2-b", "id": "a", "changes": [{"rev": "1-a"}]}], "last_seq": "2-b", "pending": 0});
    check(
        "https://x.example/db/_changes?since=0",
        &changes,
        r#"cursor.answer=".last_seq"; request.query.since="{{ cursor }}"; certain"#,
    );
    check(
        "https://x.example/calendar/events",
        &json!({"items": [{"id": "a"}, {"id": "b"}], "nextSyncToken": "CPDA"}),
        r#"cursor.answer=".nextSyncToken"; request.query.syncToken="{{ cursor }}"; likely"#,
    );
    let delta =
        json!({"value": [{"id": "a"}], "@odata.deltaLink": "https://x.example/users/delta?$deltatoken=abc&$top=5"});
    let finding = found("https://x.example/users/delta", &delta).expect("a finding");
    assert_eq!(
        (finding.settings[1].path.as_str(), finding.sureness),
        ("request.query.$deltatoken", Sureness::Doubtful)
    );
    let expression = crate::model::expression::Expression::parse(finding.settings[0].value.as_str().expect("a text"));
    let token = expression.expect("an expression").first_output(&delta).expect("an output");
    assert_eq!(token, Some(json!("abc")));
    assert!(!finding.because.is_empty());
}

#[test]
fn what_is_listed_oldest_first_is_said_to_ascend() {
    let item = |id: u32| json!({"id": id * 7, "time": 1_763_640_000 + id * 60});
    let rows: Value = (1..=6).map(item).collect();
    check(
        "https://x.example/events?starttime=1763640000",
        &rows,
        r#"cursor.value=".time"; request.query.starttime="{{ cursor }}"; cursor.initial="1763640000"; cursor.ascending=true; likely"#,
    );
    assert_eq!(found("https://x.example/events", &rows).expect("a finding").found, "`.time`, oldest first");
    assert_eq!(found("https://x.example/events", &items(4)).expect("a finding").found, "`.updated_at`, newest first");
    check("https://x.example/events?since=", &json!([{"id": 1, "due_date": "2026-11-20"}]), "nothing");
}

#[test]
fn what_is_still_to_come_is_not_asked_from() {
    let hours: Vec<Value> = (0..72).map(|hour| json!(1_795_176_000 + hour * 3600)).collect();
    let body = json!({"hourly": {"time": hours, "rain": vec![0; 72]}});
    let url = "https://x.example/forecast?start_date=1795176000";
    let mut answer = Answer { url: url.parse().expect("an address"), ..answer(&body) };
    for (date, expected) in [
        // The first of the hours, and the day after the last one.
        ("Fri, 20 Nov 2026 12:00:00 GMT", None),
        ("Tue, 24 Nov 2026 12:00:00 GMT", Some(json!(".time"))),
    ] {
        answer.headers.insert("date", date.parse().expect("a header"));
        let draft = discover(&answer, None).expect("a draft");
        assert_eq!(draft.setting("cursor.value").cloned(), expected, "{date}");
    }
}
