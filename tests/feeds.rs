//! Feeds as they are found: each gives its items under stable keys, and other people's reader agrees.
//!
//! `fixtures/feeds` has documents of all versions, shaped like those of well-known publishers, in many languages and
//! charsets. `fixtures/feeds.txt` lists the keys of each; `UPDATE_FIXTURES=1 cargo test --test feeds` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pollhook::model::connector::Response;
use pollhook::model::expression::Expression;
use pollhook::poll::items_of;
use serde_json::{Value, json};
use url::Url;

const URL: &str = "https://example.com/blog/feed.xml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the names and bytes of all documents, in order.
fn documents() -> BTreeMap<String, Vec<u8>> {
    let folder = root().join("tests/fixtures/feeds");
    let paths = fs::read_dir(folder).expect("the documents").map(|entry| entry.expect("a document").path());
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    paths.map(|path| (name(&path), fs::read(&path).expect("a document"))).collect()
}

fn is_json(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "json")
}

fn items(name: &str, body: &[u8]) -> Vec<Value> {
    let items = Expression::parse(".[]").expect("an expression");
    let response = Response { format: None, items, items_by_default: true, error: None };
    let url: Url = URL.parse().expect("an address");
    let content_type = if is_json(name) { "application/feed+json" } else { "text/xml" };
    items_of(&response, Some(&url), Some(content_type), body).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn keys(name: &str, body: &[u8]) -> Vec<String> {
    let key = |item: &Value| item["id"].as_str().expect("each item has an id").to_owned();
    items(name, body).iter().map(key).collect()
}

#[test]
fn each_feed_gives_its_items_under_their_keys() {
    let documents = documents();
    assert!(documents.len() >= 200, "only {} documents", documents.len());
    let mut found = String::new();
    for (name, body) in &documents {
        let keys = keys(name, body);
        writeln!(found, "{name} {}", keys.len()).expect("a string");
        for key in keys {
            writeln!(found, "  {key}").expect("a string");
        }
    }
    let path = root().join("tests/fixtures/feeds.txt");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &found).expect("a fixture");
    }
    let expected = fs::read_to_string(&path).expect("a fixture");
    let differing = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "the first difference: {differing:?}");
}

#[test]
fn keys_stay_when_a_document_is_laid_out_differently_or_in_another_order() {
    let mut count = 0;
    for (name, body) in documents() {
        let Ok(text) = String::from_utf8(body) else { continue };
        let before = keys(&name, text.as_bytes());
        for (what, edited) in [("laid out anew", laid_out(&name, &text)), ("reversed", reversed(&name, &text))] {
            let mut after = keys(&name, edited.as_bytes());
            if what == "reversed" {
                after.reverse();
            }
            assert_eq!(after, before, "{name} {what}");
            assert_ne!(edited, text, "{name} {what}");
            count += 1;
        }
    }
    assert!(count >= 200, "only {count} edits");
}

/// Returns the document with line breaks between all elements, or with none.
fn laid_out(name: &str, text: &str) -> String {
    if is_json(name) {
        let value: Value = serde_json::from_str(text).expect("JSON");
        return value.to_string();
    }
    text.replace("><", ">\n\t<").replace("='", " = '").replace("</title>", "\n</title>").replace("<link>", "<link> ")
}

/// Returns the document with its items in reverse order.
fn reversed(name: &str, text: &str) -> String {
    if is_json(name) {
        let mut value: Value = serde_json::from_str(text).expect("JSON");
        value["items"].as_array_mut().expect("items").reverse();
        return value.to_string();
    }
    let (start, end) = ["item", "entry", "a:entry"]
        .into_iter()
        .find_map(|tag| {
            let start =
                [format!("<{tag}>"), format!("<{tag} ")].into_iter().find(|start| text.contains(start.as_str()))?;
            Some((start, format!("</{tag}>")))
        })
        .expect("a feed has items");
    let first = text.find(&start).expect("it has");
    let last = text.rfind(&end).expect("it has") + end.len();
    let mut items: Vec<&str> = text[first..last].split_inclusive(end.as_str()).collect();
    items.reverse();
    format!("{}{}{}", &text[..first], items.concat(), &text[last..])
}

#[test]
fn another_reader_of_feeds_agrees() {
    let python = root().join("target/test-tools/python/bin/python");
    assert!(python.exists(), "{} is missing: run `./tests/run`, which installs it", python.display());
    let mut child = Command::new(python)
        .arg(root().join("tests/support/python/feeds.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    let mut input = child.stdin.take().expect("it is piped");
    let (mut cases, mut count) = (String::new(), 0);
    // The other one reads no JSON.
    for (name, body) in documents().into_iter().filter(|(name, _)| !is_json(name)) {
        let items = items(&name, &body);
        count += items.len();
        let path = root().join("tests/fixtures/feeds").join(name);
        writeln!(cases, "{}", json!({ "path": path, "url": URL, "items": items })).expect("a string");
    }
    let writing = std::thread::spawn(move || input.write_all(cases.as_bytes()));
    let output = child.wait_with_output().expect("Python ends");
    writing.join().expect("no panic").expect("Python reads its input");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(said, format!("{count}\n"), "{said}");
}
