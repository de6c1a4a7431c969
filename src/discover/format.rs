//! In which format an answer is, and whether a connector has to say so.

use serde_json::Value;

use super::{About, Answer, Finding, Setting, Sureness, Undiscovered, html, shape};
use crate::http::header::CONTENT_TYPE;
use crate::model::format::{CsvRules, ResponseFormat};
use crate::poll::{is_html, value_of};

/// An answer that was read, and what was found out on the way.
#[derive(Debug)]
pub(super) struct Read {
    pub format: ResponseFormat,
    /// What jq sees.
    pub value: Value,
    pub finding: Finding,
    /// Where the items are, if the format is one in which that has to be said.
    pub items: Option<Finding>,
}

/// What begins the version of a JSON Feed.
const JSON_FEED: &str = "https://jsonfeed.org/version/";

/// What some put before JSON, so that nobody can include it as a script.
const GUARDS: [&str; 4] = [")]}'", ")]}", "while(1);", "for(;;);"];

/// What can stand between the values of a line.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// Returns what an answer says, in the format that it has.
pub(super) fn read(answer: &Answer) -> Result<Read, Undiscovered> {
    let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if is_html(&answer.body) {
        let html::Found { format, value, format_finding, items_finding } = html::read(answer)?;
        return Ok(Read { format, value, finding: format_finding, items: Some(items_finding) });
    }
    let by_itself = value_of(None, Some(&answer.url), content_type, &answer.body);
    match by_itself {
        Ok((ResponseFormat::Json, value)) if is_json_feed(&value) => {
            let because = "it says so itself, though its `Content-Type` does not";
            said(answer, &ResponseFormat::Feed, "a JSON Feed", because)
                .ok_or_else(|| Undiscovered::Unreadable("it is no valid JSON Feed".to_owned()))
        }
        Ok((ResponseFormat::Csv(_), value)) => Ok(of_csv(answer, CsvRules::default(), value, &[])),
        Ok((format, value)) => {
            let because = match content_type {
                Some(_) => "its `Content-Type` and its beginning say so",
                None => "its beginning says so",
            };
            let finding = finding(format.name(), Vec::new(), Sureness::Certain, because);
            Ok(Read { format, value, finding, items: None })
        }
        Err(error) => match otherwise(answer) {
            Some(read) => Ok(read),
            None => Err(Undiscovered::Unreadable(guarded(&answer.body).unwrap_or_else(|| error.to_string()))),
        },
    }
}

/// Reads an answer in a format that it does not say it has.
fn otherwise(answer: &Answer) -> Option<Read> {
    let ndjson = said(
        answer,
        &ResponseFormat::Ndjson,
        "NDJSON",
        "each of its lines is a JSON value, though its `Content-Type` does not say so",
    );
    let has_rows =
        |read: &Read| read.value.as_array().is_some_and(|rows| rows.len() >= 2 && rows.iter().all(Value::is_object));
    if let Some(read) = ndjson.filter(has_rows) {
        return Some(read);
    }
    let says_csv = answer
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().contains("csv"));
    let format = || Setting::new("response.format", "csv");
    let mut tables = std::iter::once(None).chain(DELIMITERS.into_iter().map(Some));
    tables.find_map(|delimiter| {
        let rules = CsvRules { delimiter, columns: None };
        let (_, value) =
            value_of(Some(&ResponseFormat::Csv(rules.clone())), Some(&answer.url), None, &answer.body).ok()?;
        let columns = value.as_array()?.first()?.as_object()?;
        let are_names = columns.keys().all(|name| name.len() <= 100 && !name.contains(['{', '}', '<', '>', '\n']));
        (columns.len() >= 2 && are_names).then_some(())?;
        let settings = match delimiter {
            None => vec![format()],
            Some(delimiter) => vec![Setting::new("response.csv.delimiter", char::from(delimiter).to_string())],
        };
        let settings = if says_csv && delimiter.is_none() { Vec::new() } else { settings };
        Some(of_csv(answer, rules, value, &settings))
    })
}

/// Returns a table, whose first line may be values instead of names.
fn of_csv(answer: &Answer, rules: CsvRules, value: Value, settings: &[Setting]) -> Read {
    let names: Vec<String> = match value.as_array().and_then(|rows| rows.first()?.as_object()) {
        Some(columns) => columns.keys().cloned().collect(),
        None => Vec::new(),
    };
    let is_value = |name: &String| name.parse::<f64>().is_ok() || shape::date(&Value::from(name.as_str())).is_some();
    if names.iter().any(is_value) {
        let columns: Vec<String> = (1..=names.len()).map(|number| format!("column_{number}")).collect();
        let format = ResponseFormat::Csv(CsvRules { columns: Some(columns.clone()), ..rules.clone() });
        if let Ok((format, value)) = value_of(Some(&format), Some(&answer.url), None, &answer.body) {
            // The rules say the format as well.
            let mut settings: Vec<Setting> =
                settings.iter().filter(|setting| setting.path != "response.format").cloned().collect();
            settings.push(Setting::new("response.csv.columns", columns));
            let because = "its first line looks like values, so that its columns have no names";
            let finding = finding("CSV without names", settings, Sureness::Doubtful, because);
            return Read { format, value, finding, items: None };
        }
    }
    let (sureness, because) = match settings.first().map(|setting| setting.path.as_str()) {
        None => (Sureness::Certain, "its `Content-Type` says so"),
        Some("response.format") => (Sureness::Likely, "its lines have as many values as the first one names"),
        Some(_) => (Sureness::Likely, "its lines have as many values as the first one, parted like this"),
    };
    let finding = finding("CSV", settings.to_vec(), sureness, because);
    Read { format: ResponseFormat::Csv(rules), value, finding, items: None }
}

/// Reads an answer in a format that a connector has to name.
fn said(answer: &Answer, format: &ResponseFormat, found: &str, because: &str) -> Option<Read> {
    let word = match format {
        ResponseFormat::Feed => "feed",
        _ => "ndjson",
    };
    let (format, value) = value_of(Some(format), Some(&answer.url), None, &answer.body).ok()?;
    let finding = finding(found, vec![Setting::new("response.format", word)], Sureness::Certain, because);
    Some(Read { format, value, finding, items: None })
}

fn finding(found: &str, settings: Vec<Setting>, sureness: Sureness, because: &str) -> Finding {
    Finding { about: About::Format, settings, found: found.to_owned(), sureness, because: because.to_owned() }
}

fn is_json_feed(value: &Value) -> bool {
    value.get("version").and_then(Value::as_str).is_some_and(|version| version.starts_with(JSON_FEED))
        && value.get("items").is_some_and(Value::is_array)
}

/// Returns what is said of JSON behind something that hides it.
fn guarded(body: &[u8]) -> Option<String> {
    let beginning = String::from_utf8_lossy(&body[..body.len().min(200)]);
    let beginning = beginning.trim_start();
    if let Some(guard) = GUARDS.iter().find(|guard| beginning.starts_with(**guard)) {
        return Some(format!("it is JSON behind `{guard}`, which pollhook does not take off"));
    }
    let (function, rest) = beginning.split_once('(')?;
    let is_name = !function.is_empty()
        && function.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$' | '/' | '*' | ' '));
    let is_call = is_name && rest.trim_start().starts_with(['{', '[']);
    is_call.then(|| {
        "it is JSONP, a script that calls a function: leave out the parameter that names the function".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::discover;
    use crate::http::header::{HeaderMap, HeaderValue};

    fn answer(content_type: Option<&'static str>, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Answer {
            url: "https://a.example/x".parse().expect("an address"),
            status: 200,
            headers,
            body: body.to_owned().into(),
        }
    }

    #[track_caller]
    fn check(content_type: Option<&'static str>, body: &str, expected: &str) {
        let answer = answer(content_type, body);
        let shown = match read(&answer) {
            Ok(read) => {
                let settings =
                    read.finding.settings.iter().map(|setting| format!(" {}={}", setting.path, setting.value));
                let draft = discover(&answer, None).unwrap_or_else(|error| panic!("{body}: {error}"));
                assert_eq!(draft.about(About::Format), Some(&read.finding));
                format!("{}{} ({})", read.finding.found, settings.collect::<String>(), draft.items)
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{content_type:?} {body}");
    }

    #[test]
    fn a_format_is_written_only_where_it_is_not_found_by_itself() {
        check(Some("application/json"), r#"[{"id":1},{"id":2}]"#, "JSON (2)");
        check(None, r#"[{"id":1},{"id":2}]"#, "JSON (2)");
        check(Some("text/plain"), "{\"id\":1}\n{\"id\":2}\n", "NDJSON (2)");
        check(Some("application/json"), "{\"id\":1}\n{\"id\":2}\n", "NDJSON response.format=\"ndjson\" (2)");
        check(Some("text/csv"), "id,name\n1,a\n2,b\n", "CSV (2)");
        check(Some("text/plain"), "id,name\n1,a\n2,b\n", "CSV response.format=\"csv\" (2)");
        check(None, "id;name\n1;a\n2;b\n", "CSV response.format=\"csv\" (2)");
        check(Some("application/octet-stream"), "id\tname\n1\ta\n", "CSV response.format=\"csv\" (1)");
        check(Some("text/csv"), "a,b;c,d\n1;2\n3;4\n", "CSV response.csv.delimiter=\";\" (2)");
        let columns = "CSV without names response.csv.columns=[\"column_1\",\"column_2\"] (3)";
        check(Some("text/csv"), "2026-11-20,a\n2026-11-21,b\n2026-11-22,c\n", columns);
        check(None, "1,a\n2,b\n3,c\n", columns);
        check(Some("application/rss+xml"), "<rss><channel><item><guid>1</guid></item></channel></rss>", "a feed (1)");
        check(Some("text/html"), "<feed><entry><id>1</id></entry></feed>", "a feed (1)");
        let feed = r#"{"version":"https://jsonfeed.org/version/1.1","title":"x","items":[{"id":"1"}]}"#;
        check(Some("application/json"), feed, "a JSON Feed response.format=\"feed\" (1)");
        check(Some("application/feed+json"), feed, "a feed (1)");
    }

    #[test]
    fn xml_that_is_no_feed_is_a_list_of_its_repeated_elements() {
        let catalog = "<?xml version='1.0'?><catalog><meta><n>2</n></meta><books><book id='a'><t>x</t></book><book id='b'><t>y</t></book></books></catalog>";
        check(Some("application/xml"), catalog, "XML (2)");
        let draft = discover(&answer(Some("text/xml"), catalog), None).expect("a draft");
        let setting = |path: &str| draft.setting(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        assert_eq!(
            (setting("response.items").as_str(), setting("item.key").as_str()),
            (".catalog.books.book[]", ".\"@id\"")
        );
    }

    #[test]
    fn what_is_no_format_is_said_to_be_so() {
        let error = |content_type, body: &str| read(&answer(content_type, body)).expect_err("no format").to_string();
        assert!(error(Some("text/plain"), "Hello world").contains("Hello world"));
        assert_eq!(
            error(Some("application/json"), ")]}'\n[]"),
            "it is JSON behind `)]}'`, which pollhook does not take off"
        );
        assert!(error(Some("application/javascript"), "callback({\"a\":1});").starts_with("it is JSONP"));
        assert!(!error(None, "").is_empty());
        assert!(!error(Some("text/plain"), "no table, just\na sentence or\ntwo\n").is_empty());
    }
}
