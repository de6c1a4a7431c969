//! Answers in files: what is right about them, their address and headers, and their body.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use pollhook::discover::Answer;

/// What is right about an answer.
pub struct Expected {
    pub format: String,
    pub items: Truth,
    pub key: Truth,
    pub paging: Truth,
    /// What says that an answer is a failure; `none` if it is not written.
    pub error: Truth,
}

/// What may be found, any of it; `doubt` means that nothing is sure, as long as that is said.
pub struct Truth(pub Vec<String>);

impl Truth {
    /// Tells whether this is right. A truth of one word, such as `cursor`, leaves open what the style goes by.
    pub fn accepts(&self, found: &str) -> bool {
        let style = found.split(' ').next().unwrap_or_default();
        self.0.iter().any(|right| right == found || !right.contains(' ') && right == style)
            || self.0.iter().any(|right| right == "to_entries") && found.starts_with("to_entries")
    }
}

/// Returns all answers, each with its name and what is right about it.
pub fn all() -> Vec<(String, Answer, Expected)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/answers");
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).expect("UTF-8");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let (answer, expected) = parse(&text).unwrap_or_else(|| panic!("{name} is not an answer"));
        (name, answer, expected)
    };
    paths.iter().map(read).collect()
}

fn parse(text: &str) -> Option<(Answer, Expected)> {
    let (head, body) = text.split_once("\n\n")?;
    let mut lines = head.lines();
    let expected = expected(lines.by_ref().nth(1)?.strip_prefix("# ")?)?;
    let url = lines.next()?.strip_prefix("GET ")?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        headers.insert(name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?);
    }
    Some((Answer { url, status: 200, headers, body: Bytes::from(body.to_owned()) }, expected))
}

/// Reads `format: json; items: .[]; key: .id | .name; paging: none; error: .error`.
fn expected(line: &str) -> Option<Expected> {
    let truth = |name: &str| {
        let (_, rest) = line.split_once(&format!("; {name}: "))?;
        // An expression in quotes may have in it what stands between others.
        if let Some((quoted, _)) = rest.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
            return Some(Truth(vec![quoted.to_owned()]));
        }
        let value = rest.split("; ").next()?;
        Some(Truth(value.split('|').map(|one| one.trim().to_owned()).collect()))
    };
    let format = line.strip_prefix("format: ")?.split("; ").next()?.to_owned();
    let error = truth("error").unwrap_or_else(|| Truth(vec!["none".to_owned()]));
    Some(Expected { format, items: truth("items")?, key: truth("key")?, paging: truth("paging")?, error })
}
