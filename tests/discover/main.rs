//! What is found out about real-shaped answers, and how often that is right.
//!
//! `tests/fixtures/answers` has an answer a file, after the published descriptions of APIs, with what is right about it. The
//! lists of GitHub come out of its published description, every one that has an example.

mod answers;
mod github;

use std::fmt::Write as _;

use pollhook::discover::{About, Answer, Draft, Sureness, discover};
use pollhook::poll::value_of;
use serde_json::Value;

use answers::{Expected, Truth};

/// Of the answers, the share of which all must be right: format, items, key, paging, and what says that one is a failure.
const LEAST_SHARE: f64 = 0.95;

/// How often all was right, and what was not.
#[derive(Default)]
struct Tally {
    right: usize,
    all: usize,
    wrong: String,
    /// Wrong, and no word of doubt.
    deceived: String,
}

impl Tally {
    fn judge(&mut self, name: &str, answer: &Answer, expected: &Expected) {
        self.all += 1;
        let draft = match discover(answer, None) {
            Ok(draft) => draft,
            Err(error) => {
                let _ = writeln!(self.wrong, "{name}: nothing found: {error}");
                return;
            }
        };
        let verdicts = [
            ("format", About::Format, is_format_right(answer, &draft, &expected.format)),
            ("items", About::Items, is_right(&expected.items, &items(answer, &draft), &draft, About::Items)),
            ("key", About::Key, is_right(&expected.key, &key(&draft), &draft, About::Key)),
            ("paging", About::Paging, is_right(&expected.paging, &paging(&draft), &draft, About::Paging)),
            ("error", About::Errors, is_right(&expected.error, &error(&draft), &draft, About::Errors)),
        ];
        let wrong: Vec<_> = verdicts.iter().filter(|(_, _, is_right)| !is_right).collect();
        self.right += usize::from(wrong.is_empty());
        for (what, about, _) in wrong {
            let found = draft.about(*about).map(|finding| format!("{} ({})", finding.found, finding.sureness));
            let settings = draft.about(*about).map(|finding| format!("{:?}", finding.settings));
            let line = format!("{name}: {what}: {found:?} {settings:?}");
            let list = if is_doubted(&draft, *about) { &mut self.wrong } else { &mut self.deceived };
            let _ = writeln!(list, "{line}");
        }
    }

    #[expect(clippy::print_stdout, reason = "the share is what this test is for")]
    fn report(&self, of: &str) {
        let share = self.right as f64 / self.all as f64;
        println!("{of}: of {} answers, all is right in {} ({:.1} %)", self.all, self.right, share * 100.0);
        println!("wrong, and doubtful:\n{}\nwrong without a doubt:\n{}", self.wrong, self.deceived);
        assert!(self.deceived.is_empty(), "wrong without a doubt:\n{}", self.deceived);
        assert!(share >= LEAST_SHARE, "{:.1} % of {of}:\n{}", share * 100.0, self.wrong);
    }
}

fn is_format_right(answer: &Answer, draft: &Draft, expected: &str) -> bool {
    if let Some(format) = draft.setting("response.format") {
        return format == expected;
    }
    if draft.setting("response.html").is_some() || draft.setting("response.html.items").is_some() {
        return expected == "html";
    }
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
    let found = value_of(None, Some(&answer.url), content_type, &answer.body).expect("it can be read");
    format!("{:?}", found.0).to_lowercase().starts_with(expected)
}

fn is_right(expected: &Truth, found: &str, draft: &Draft, about: About) -> bool {
    let is_doubtful = is_doubted(draft, about);
    expected.accepts(found) || expected.accepts("doubt") && is_doubtful
}

/// Tells whether a person is told to look at something. Where the items are doubtful, so is what identifies them.
fn is_doubted(draft: &Draft, about: About) -> bool {
    // Nothing about failures is no doubt about them.
    let unsaid = about != About::Errors;
    let doubts = |about| draft.about(about).map_or(unsaid, |finding| finding.sureness == Sureness::Doubtful);
    doubts(about) || about == About::Key && doubts(About::Items)
}

/// Returns the expression that the items would be taken with.
fn items(answer: &Answer, draft: &Draft) -> String {
    if let Some(items) = draft.setting("response.items") {
        return items.as_str().expect("an expression").to_owned();
    }
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
    let format = draft.setting("response.format").and_then(Value::as_str).map(str::to_owned);
    let format = format.or_else(|| {
        let found = value_of(None, Some(&answer.url), content_type, &answer.body).ok()?;
        Some(format!("{:?}", found.0).to_lowercase())
    });
    if format.is_some_and(|format| format == "feed") { ".items[]" } else { ".[]" }.to_owned()
}

fn key(draft: &Draft) -> String {
    match draft.setting("item.key") {
        Some(Value::Array(parts)) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Some(key) => key.as_str().expect("an expression").to_owned(),
        None => "none".to_owned(),
    }
}

fn error(draft: &Draft) -> String {
    draft.setting("response.error").and_then(Value::as_str).unwrap_or("none").to_owned()
}

/// Returns the style of paging, and what it goes by: `next_url .next`, `page page`.
fn paging(draft: &Draft) -> String {
    let settings = draft.findings.iter().flat_map(|finding| &finding.settings);
    let mut of_paging =
        settings.filter_map(|setting| Some((setting.path.strip_prefix("pagination.")?, &setting.value)));
    let Some((first, value)) = of_paging.next() else { return "none".to_owned() };
    let style = first.split('.').next().unwrap_or_default().to_owned();
    let named = |name: &str| {
        let path = format!("pagination.{style}.{name}");
        let value = draft.setting(&path).or_else(|| value.get(name));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let what = match style.as_str() {
        "next_url" => named("value").or_else(|| named("header")),
        "cursor" => named("token").or_else(|| named("header")),
        "page" | "offset" => named("param"),
        _ => None,
    };
    what.map_or(style.clone(), |what| format!("{style} {what}"))
}

#[test]
fn answers_of_many_apis() {
    let mut tally = Tally::default();
    for (name, answer, expected) in answers::all() {
        tally.judge(&name, &answer, &expected);
    }
    assert!(tally.all >= 60);
    tally.report("many APIs");
}

#[test]
fn every_list_of_github_that_has_an_example() {
    let mut tally = Tally::default();
    for (name, answer, expected) in github::all() {
        tally.judge(&name, &answer, &expected);
    }
    assert!(tally.all >= 250, "{}", tally.all);
    tally.report("lists of GitHub");
}
