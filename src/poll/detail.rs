//! A second request for each new or changed item.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use url::Url;

use super::context::FetchContext;
use super::decode::{Decoded, RawPage, decode};
use super::error::PageError;
use super::extract::check_reported_error;
use super::fetch::{Answer, FetchError, Fetcher, shown};
use super::request::PageRequest;
use crate::model::connector::{Connector, Detail};
use crate::model::excerpt::Excerpt;
use crate::model::template::TemplateContext;
use crate::model::time::Timestamp;

/// The longest that a poll may fetch details. What is not asked for by then waits for the next poll.
pub(super) const LONGEST_FETCHING: Duration = Duration::from_secs(5 * 60);

/// After how many failures in a row no more details are asked for: the source is in trouble, and not some items.
const MOST_FAILURES_IN_A_ROW: usize = 8;

/// What came of asking for an item's detail.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Detailed {
    /// The item with its detail laid over it.
    Whole(Value),
    /// The source does not have the item.
    Absent,
    /// Why it could not be had, secrets taken out.
    Failed(String),
    /// It was not asked for: there was no time, or the source wants to be left alone.
    NotAsked,
}

/// Fetches details.
pub(super) struct DetailFetcher<'a> {
    connector: &'a Connector,
    detail: &'a Detail,
    context: &'a FetchContext,
    /// Where the connector's auth may go: the address of its first page.
    home: Url,
    /// Nothing is asked for after this.
    until: Timestamp,
    requests: AtomicUsize,
    bytes: AtomicUsize,
    trouble: Mutex<Trouble>,
}

/// What keeps from asking further.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    failures_in_a_row: usize,
    not_before: Option<Timestamp>,
}

impl<'a> DetailFetcher<'a> {
    /// Returns what fetches the details of a connector whose first page is at `home`.
    pub fn new(connector: &'a Connector, detail: &'a Detail, context: &'a FetchContext, home: Url) -> Self {
        Self {
            connector,
            detail,
            context,
            home,
            until: context.clock.now() + LONGEST_FETCHING,
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            trouble: Mutex::default(),
        }
    }

    /// Asks for the details of items, several at once, and returns what came of each, in their order.
    pub async fn fetch(&self, items: Vec<Value>) -> Vec<Detailed> {
        let count = items.len();
        let fetching = futures_util::stream::iter(items).map(|item| self.fetch_one(item));
        let mut fetching = std::pin::pin!(fetching.buffered(self.detail.concurrency.max(1)));
        let mut fetched = Vec::with_capacity(count);
        loop {
            tokio::select! {
                biased;
                detailed = fetching.next() => match detailed {
                    Some(detailed) => fetched.push(detailed),
                    None => break,
                },
                () = self.context.clock.sleep_until(self.until) => break,
            }
        }
        fetched.resize(count, Detailed::NotAsked);
        fetched
    }

    /// Returns how many requests were sent, redirects and repeated tries included.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns how many bytes came, after decompression.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns until when the source asked to be left alone, if it did.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).not_before
    }

    async fn fetch_one(&self, item: Value) -> Detailed {
        let Trouble { failures_in_a_row, not_before } = *self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if not_before.is_some() || failures_in_a_row >= MOST_FAILURES_IN_A_ROW {
            return Detailed::NotAsked;
        }
        let (detailed, not_before) = match self.ask(&item).await {
            Ok(Some(detail)) => (Detailed::Whole(laid_over(item, detail)), None),
            Ok(None) => (Detailed::Absent, None),
            Err((address, FetchError { error, not_before, .. })) => {
                let problem = address.map_or_else(|| error.to_string(), |address| format!("{address}: {error}"));
                (Detailed::Failed(self.connector.redactor.redact(&problem)), not_before)
            }
        };
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.failures_in_a_row =
            if matches!(detailed, Detailed::Failed(_)) { trouble.failures_in_a_row + 1 } else { 0 };
        trouble.not_before = trouble.not_before.max(not_before);
        detailed
    }

    /// Returns an item's detail; `None` if there is no such item. A failure comes with the address that was asked.
    async fn ask(&self, item: &Value) -> Result<Option<Value>, (Option<String>, FetchError)> {
        let (params, now) = (&self.connector.params.0, self.context.clock.now());
        let context = TemplateContext { params, cursor: None, item: Some(item), now, page: None };
        let request = PageRequest::new(&self.detail.request, &context, &[])
            .and_then(|request| self.check_origin(request))
            .map_err(|error| (None, error.into()))?;
        let address = shown(self.connector, &request.url);
        let mut fetcher =
            Fetcher { connector: self.connector, context: self.context, home: self.home.clone(), requests: 0 };
        let result = fetcher.fetch(&request, None).await;
        self.requests.fetch_add(fetcher.requests, Ordering::Relaxed);
        let answer = match result {
            Ok(answer) => answer,
            Err(FetchError { error: PageError::Status { status, .. }, .. }) if matches!(status.0, 404 | 410) => {
                return Ok(None);
            }
            Err(error) => return Err((Some(address), error)),
        };
        self.bytes.fetch_add(answer.response.body.len(), Ordering::Relaxed);
        read(self.connector, self.detail, &answer).map_err(|error| (Some(address), error.into()))
    }

    /// Refuses an address that the item leads elsewhere with: only the configuration may say which hosts are asked.
    fn check_origin(&self, request: PageRequest) -> Result<PageRequest, PageError> {
        let origin = request.url.origin();
        let is_allowed = origin == self.home.origin()
            || names_its_origin(self.detail.request.url.source())
            || self.connector.pagination.origins.iter().any(|allowed| *allowed == origin.ascii_serialization());
        if is_allowed {
            return Ok(request);
        }
        let problem = format!("the item leads to another origin ({})", origin.ascii_serialization());
        Err(PageError::Request { part: "url".to_owned(), problem })
    }
}

/// Tells whether an address is on the same origin whatever the item is.
fn names_its_origin(template: &str) -> bool {
    let Some((_, rest)) = template.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What is still open where the path seems to begin may be anything.
    let is_fixed = |part: &str| part.split_once("}}").is_some_and(|(inner, _)| !inner.contains("item"));
    !host.contains("{%") && host.split("{{").skip(1).all(is_fixed)
}

/// Returns what an answer says of an item; `None` if it says that there is none.
fn read(connector: &Connector, detail: &Detail, answer: &Answer) -> Result<Option<Value>, PageError> {
    let raw = RawPage { url: Some(&answer.url), content_type: answer.content_type(), body: &answer.response.body };
    let Decoded { value, items: expression, .. } = match decode(&detail.response, raw, &connector.redactor) {
        Err(PageError::Null) => return Ok(None),
        decoded => decoded?,
    };
    check_reported_error(connector, &detail.response, &value)?;
    let excerpt = Excerpt::of_value(&connector.redactor, &value);
    let fail = |error: String| PageError::Response {
        setting: "detail.response.items",
        expression: expression.source().to_owned(),
        error,
        excerpt,
    };
    match expression.into_outputs(value) {
        Err(error) => Err(fail(error.message)),
        Ok(outputs) if outputs.len() > 1 => {
            Err(fail(format!("it gives {} values, where one is needed", outputs.len())))
        }
        Ok(mut outputs) => Ok(outputs.pop().filter(|detail| !detail.is_null())),
    }
}

/// Lays a detail over its item: members over members, and anything else in the item's place.
fn laid_over(item: Value, detail: Value) -> Value {
    match (item, detail) {
        (Value::Object(mut members), Value::Object(detail)) => {
            members.extend(detail);
            Value::Object(members)
        }
        (_, detail) => detail,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_detail_is_laid_over_its_item() {
        let check = |item: Value, detail: Value, expected: &str| {
            assert_eq!(laid_over(item, detail).to_string(), expected);
        };
        check(json!({"id": 1, "a": 1}), json!({"a": {"b": 2}, "c": 3}), r#"{"id":1,"a":{"b":2},"c":3}"#);
        check(json!({"id": 1}), json!({}), r#"{"id":1}"#);
        check(json!(8863), json!({"id": 8863, "title": "x"}), r#"{"id":8863,"title":"x"}"#);
        check(json!({"id": 1}), json!([1]), "[1]");
    }

    #[test]
    fn an_item_can_only_lead_to_another_origin_if_the_configuration_says_so() {
        let check = |template: &str, expected: bool| assert_eq!(names_its_origin(template), expected, "{template}");
        check("https://a.example/items/{{ item.id }}", true);
        check("https://a.example?id={{ item }}", true);
        check("https://{{ params.host }}/{{ item.id }}", true);
        check("https://items.example:{{ params.port }}/x", true);
        check("{{ item.url }}", false);
        check("https://{{ item.host }}/x", false);
        check("https://a.example.{{ item.zone }}", false);
        check("https://{{ params.a ~ '/' ~ item.b }}", false);
        check("https://{% if params.a %}a{% endif %}/x", false);
        check("{{ params.base }}/{{ item.id }}", false);
    }
}
