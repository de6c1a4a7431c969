//! The answers of a source as they came: kept to be looked at, saved to a folder, and given again without asking anybody.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::http::header::{HeaderMap, HeaderName, HeaderValue};
use crate::http::{HttpResponse, Method};
use crate::model::secret::Redactor;

/// One answer, secrets taken out of all of it.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub method: Method,
    /// The address that was asked.
    pub url: String,
    pub status: u16,
    pub headers: HeaderMap,
    /// After decompression.
    pub body: Bytes,
}

/// Answers that are recorded, or given again. Clones share them.
#[derive(Debug, Clone)]
pub struct Tape(Arc<Mutex<Reel>>);

#[derive(Debug)]
struct Reel {
    answers: Vec<Recorded>,
    /// Which of them were given; `None` while recording.
    given: Option<Vec<bool>>,
}

/// Why a folder cannot be read or written as a recording.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    #[error("`{path}` cannot be {done}")]
    File { path: String, done: &'static str, source: std::io::Error },
    #[error("`{path}` is no recording of answers: {problem}")]
    Contents { path: String, problem: String },
}

/// What a folder's `answers.json` says of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default = "get", skip_serializing_if = "is_get")]
    method: String,
    url: String,
    #[serde(default = "ok", skip_serializing_if = "is_ok")]
    status: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    /// The file with the body, beside this one.
    body: String,
}

/// The file of a recording that lists its answers in the order in which they came.
const LIST: &str = "answers.json";

/// Headers that are not saved: they tell of the way that the answer came, or are for whoever asked.
const NOT_SAVED: [&str; 5] = ["connection", "content-encoding", "content-length", "set-cookie", "transfer-encoding"];

impl Tape {
    /// Returns an empty tape that records.
    pub fn recording() -> Self {
        Self(Arc::new(Mutex::new(Reel { answers: Vec::new(), given: None })))
    }

    /// Returns a tape that gives these answers instead of asking.
    pub fn replaying(answers: Vec<Recorded>) -> Self {
        let given = Some(vec![false; answers.len()]);
        Self(Arc::new(Mutex::new(Reel { answers, given })))
    }

    /// Returns a tape that gives the answers that were saved to a folder.
    pub fn read(folder: &Path) -> Result<Self, TapeError> {
        let path = folder.join(LIST);
        let contents = |problem: String| TapeError::Contents { path: path.display().to_string(), problem };
        let list: Vec<Entry> = serde_json::from_slice(&read(&path)?).map_err(|error| contents(error.to_string()))?;
        let answers = list.into_iter().map(|entry| {
            let name = |name: &str| name.parse::<HeaderName>().map_err(|_| contents(format!("{name:?} is no header")));
            let value = |value: &str| {
                value.parse::<HeaderValue>().map_err(|_| contents(format!("{value:?} is no value of a header")))
            };
            let headers: Result<HeaderMap, TapeError> =
                entry.headers.iter().map(|(key, text)| Ok((name(key)?, value(text)?))).collect();
            Ok(Recorded {
                method: entry.method.parse().map_err(|_| contents(format!("{:?} is no method", entry.method)))?,
                url: entry.url,
                status: entry.status,
                headers: headers?,
                body: read(&folder.join(&entry.body))?.into(),
            })
        });
        Ok(Self::replaying(answers.collect::<Result<_, TapeError>>()?))
    }

    /// Tells whether answers were saved to a folder.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(LIST).is_file()
    }

    /// Saves the answers to a folder, which is made if it is not there: a list, and a file for each body.
    pub fn write(&self, folder: &Path) -> Result<(), TapeError> {
        let failed =
            |path: &Path, source| TapeError::File { path: path.display().to_string(), done: "written", source };
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let mut list = Vec::new();
        for (index, answer) in self.answers().iter().enumerate() {
            let body = format!("{}.{}", index + 1, extension(answer));
            let path = folder.join(&body);
            std::fs::write(&path, &answer.body).map_err(|error| failed(&path, error))?;
            let headers = answer.headers.iter().filter(|(name, _)| !NOT_SAVED.contains(&name.as_str()));
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            list.push(Entry {
                method: answer.method.to_string(),
                url: answer.url.clone(),
                status: answer.status,
                headers: headers.map(|(name, value)| (name.to_string(), text(value))).collect(),
                body,
            });
        }
        let path = folder.join(LIST);
        let text = serde_json::to_string_pretty(&list).expect("texts and numbers can be written as JSON");
        std::fs::write(&path, text + "\n").map_err(|error| failed(&path, error))
    }

    /// Returns the answers that were recorded so far, or are there to be given.
    pub fn answers(&self) -> Vec<Recorded> {
        self.reel().answers.clone()
    }

    /// Tells whether it gives answers instead of recording them.
    pub fn replays(&self) -> bool {
        self.reel().given.is_some()
    }

    /// Takes an answer down.
    pub(super) fn record(&self, method: &Method, url: &str, response: &HttpResponse, redactor: &Redactor) {
        let shown = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => redactor.redact(text).into_bytes(),
            Err(_) => bytes.to_vec(),
        };
        let headers = response
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_bytes(&shown(value.as_bytes())).ok()?)));
        let recorded = Recorded {
            method: method.clone(),
            url: url.to_owned(),
            status: response.status,
            headers: headers.collect(),
            body: shown(&response.body).into(),
        };
        self.reel().answers.push(recorded);
    }

    /// Returns the next answer to this request: one that was not given yet, or else the last one. Where the address was
    /// never asked, one of the same path will do, because some addresses hold the time.
    pub(super) fn answer(&self, method: &Method, url: &str) -> Option<HttpResponse> {
        let mut reel = self.reel();
        let Reel { answers, given } = &mut *reel;
        let given = given.as_mut()?;
        let path = |url: &str| url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let same = |answer: &Recorded| answer.method == *method && answer.url == url;
        let alike = |answer: &Recorded| answer.method == *method && path(&answer.url) == path(url);
        let fresh = |index: &usize, given: &[bool]| !given[*index];
        let all = 0..answers.len();
        let index = all.clone().find(|index| fresh(index, given) && same(&answers[*index]));
        let index = index.or_else(|| all.clone().rev().find(|index| same(&answers[*index])));
        let index = index.or_else(|| all.clone().find(|index| fresh(index, given) && alike(&answers[*index])))?;
        given[index] = true;
        let Recorded { status, headers, body, .. } = answers[index].clone();
        Some(HttpResponse { status, headers, body, received: 0 })
    }

    fn reel(&self) -> MutexGuard<'_, Reel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TapeError> {
    std::fs::read(path).map_err(|source| TapeError::File { path: path.display().to_string(), done: "read", source })
}

/// Returns how a file with this body is called, so that editors know what it is.
fn extension(answer: &Recorded) -> &'static str {
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = [("ndjson", "ndjson"), ("jsonl", "ndjson"), ("json", "json"), ("csv", "csv"), ("html", "html")];
    let others = [("xml", "xml"), ("rss", "xml"), ("atom", "xml")];
    let found = known.iter().chain(&others).find(|(part, _)| content_type.to_ascii_lowercase().contains(part));
    found.map_or("txt", |(_, extension)| *extension)
}

fn get() -> String {
    "GET".to_owned()
}

fn is_get(method: &str) -> bool {
    method == "GET"
}

fn ok() -> u16 {
    200
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_ok(status: &u16) -> bool {
    *status == 200
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    fn recorded(url: &str, body: &'static str) -> Recorded {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert("content-length", HeaderValue::from_static("7"));
        Recorded {
            method: Method::GET,
            url: url.to_owned(),
            status: 200,
            headers,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn given(tape: &Tape, url: &str) -> Option<String> {
        let response = tape.answer(&Method::GET, url)?;
        Some(String::from_utf8(response.body.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn answers_are_given_in_their_order_and_the_last_one_again() {
        let tape =
            Tape::replaying(vec![recorded("https://a.example/x?n=1", "1"), recorded("https://a.example/x?n=1", "2")]);
        let asked: Vec<_> = (0..3).map(|_| given(&tape, "https://a.example/x?n=1").expect("an answer")).collect();
        assert_eq!(asked, ["1", "2", "2"]);
        assert_eq!(given(&tape, "https://a.example/y"), None);
        assert!(tape.answer(&Method::POST, "https://a.example/x?n=1").is_none());
    }

    #[test]
    fn an_address_that_holds_the_time_is_answered_by_one_of_the_same_path() {
        let tape = Tape::replaying(vec![recorded("https://a.example/x?since=1", "1")]);
        assert_eq!(given(&tape, "https://a.example/x?since=2").as_deref(), Some("1"));
        assert_eq!(given(&tape, "https://a.example/x?since=3"), None);
    }

    #[test]
    fn what_was_recorded_is_the_same_after_saving_and_without_secrets() {
        let tape = Tape::recording();
        let Recorded { headers, .. } = recorded("", "");
        let body = Bytes::from_static(b"{\"token\":\"hunter2hunter2\"}");
        let response = HttpResponse { status: 203, headers, body, received: 0 };
        let redactor = Redactor::new([Secret::new("hunter2hunter2".to_owned())]);
        tape.record(&Method::GET, "https://a.example/x", &response, &redactor);
        let folder = tempfile::tempdir().expect("a folder");
        tape.write(folder.path()).expect("it can be written");
        let [read] = &Tape::read(folder.path()).expect("it can be read").answers()[..] else { panic!("one answer") };
        assert_eq!((read.status, read.url.as_str()), (203, "https://a.example/x"));
        assert_eq!(read.body, "{\"token\":\"***\"}");
        assert!(read.headers.contains_key("content-type") && !read.headers.contains_key("content-length"));
        assert!(folder.path().join("1.json").is_file());
    }

    #[test]
    fn a_folder_that_is_no_recording_says_what_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let problem = |folder: &Path| Tape::read(folder).expect_err("no recording").to_string();
        assert!(problem(folder.path()).ends_with("answers.json` cannot be read"));
        std::fs::write(folder.path().join("answers.json"), "[{\"url\":\"x\",\"body\":\"1.json\",\"odd\":1}]")
            .expect("written");
        assert!(problem(folder.path()).contains("unknown field `odd`"));
        std::fs::write(folder.path().join("answers.json"), "[{\"url\":\"x\",\"body\":\"1.json\"}]").expect("written");
        assert!(problem(folder.path()).ends_with("1.json` cannot be read"));
    }
}
