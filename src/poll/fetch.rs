//! One page from its source: conditional, through redirects, tried again where that may help.

use std::collections::HashSet;
use std::time::Duration;

use url::Url;

use super::auth;
use super::context::FetchContext;
use super::error::{Excerpt, PageError, Status};
use super::request::PageRequest;
use crate::http::header::{
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use crate::http::header::{LOCATION, RETRY_AFTER};
use crate::http::{HttpError, HttpResponse, Method, retry_after};
use crate::model::connector::Connector;
use crate::model::item::PageMemory;
use crate::model::time::Timestamp;

/// The most redirects that are followed for one page.
pub(super) const MOST_REDIRECTS: usize = 5;

/// The waits between the tries of one page.
pub(super) const TRY_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// The longest `Retry-After` that is waited for within a poll.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A wait is lengthened at random by up to this part of it.
const JITTER: f64 = 0.25;

/// Fetches the pages of one poll.
pub(super) struct Fetcher<'a> {
    pub connector: &'a Connector,
    pub context: &'a FetchContext,
    /// Where the connector's auth may go: the address of its first page.
    pub home: Url,
    /// How many requests were sent.
    pub requests: usize,
}

/// A page that was answered with success, or a confirmation that it is as it was.
#[derive(Debug)]
pub(super) struct Answer {
    /// Where it was found in the end.
    pub url: Url,
    pub response: HttpResponse,
}

impl Answer {
    /// Tells whether the page is as it was.
    pub fn is_not_modified(&self) -> bool {
        self.response.status == 304
    }

    /// Returns a header's value as text, if it has one that is.
    pub fn header(&self, name: impl crate::http::header::AsHeaderName) -> Option<&str> {
        self.response.headers.get(name)?.to_str().ok()
    }

    pub fn content_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE)
    }

    pub fn etag(&self) -> Option<String> {
        self.header(ETAG).map(str::to_owned)
    }

    pub fn last_modified(&self) -> Option<String> {
        self.header(LAST_MODIFIED).map(str::to_owned)
    }
}

/// Why a page could not be fetched, and until when the source asked to be left alone.
#[derive(Debug)]
pub(super) struct FetchError {
    pub error: PageError,
    pub not_before: Option<Timestamp>,
}

impl From<PageError> for FetchError {
    fn from(error: PageError) -> Self {
        Self { error, not_before: None }
    }
}

/// What to do about an answer that is no success.
enum Remedy {
    /// Try again after the usual wait.
    Retry,
    /// Try again at this time: the source said so.
    Pause(Timestamp),
    GiveUp,
}

impl Fetcher<'_> {
    /// Returns the page's answer: a success, or 304 if validators of a remembered page were given.
    pub async fn fetch(
        &mut self,
        request: &PageRequest,
        remembered: Option<&PageMemory>,
    ) -> Result<Answer, FetchError> {
        let mut request = request.clone();
        if let Some(memory) = remembered.filter(|_| request.can_be_conditional()) {
            add_validators(&mut request.headers, memory);
        }
        let mut waits = TRY_WAITS.iter();
        let mut paused = false;
        loop {
            let result = self.follow(&request).await;
            let now = self.context.clock.now();
            let remedy = match &result {
                Ok(answer) => match remedy(&answer.response, &request, now) {
                    None => return Ok(result?),
                    Some(remedy) => remedy,
                },
                Err(PageError::Http(HttpError::BodyTooLarge(_) | HttpError::Tls(_))) => Remedy::GiveUp,
                Err(PageError::Http(_)) => Remedy::Retry,
                Err(_) => Remedy::GiveUp,
            };
            let error = match result {
                Ok(answer) => self.status_error(&answer.response),
                Err(error) => error,
            };
            let at = match remedy {
                Remedy::GiveUp => return Err(error.into()),
                Remedy::Pause(at) if paused || at.since(now) > LONGEST_PAUSE => {
                    return Err(FetchError { error, not_before: Some(at) });
                }
                Remedy::Pause(at) => {
                    paused = true;
                    at
                }
                Remedy::Retry => match waits.next() {
                    Some(wait) => now + wait.mul_f64(1.0 + JITTER * fastrand::f64()),
                    None => return Err(error.into()),
                },
            };
            let reason = self.connector.redactor.redact(&error.to_string());
            self.context.telemetry.poll.retrying(&self.connector.name, &reason, at.since(now));
            self.context.clock.sleep_until(at).await;
        }
    }

    /// Sends a request and follows redirects.
    async fn follow(&mut self, request: &PageRequest) -> Result<Answer, PageError> {
        let mut request = request.clone();
        let mut visited = HashSet::new();
        loop {
            let sent = auth::authorize(self.connector, &self.home, &request)?;
            self.requests += 1;
            let response = self.context.http.send(sent, request.limits).await?;
            let Some(target) = redirect_target(&request.url, &response)? else {
                return Ok(Answer { url: request.url, response });
            };
            visited.insert((request.method.clone(), request.url.clone()));
            if response.status == 303 || (request.method == Method::POST && matches!(response.status, 301 | 302)) {
                request = PageRequest { method: Method::GET, body: bytes::Bytes::new(), ..request };
                request.headers.remove(CONTENT_TYPE);
            }
            request.url = target;
            auth::forget_query_auth(self.connector, &mut request.url);
            if visited.contains(&(request.method.clone(), request.url.clone())) {
                return Err(redirect(format!("goes in a circle: it leads back to {}", self.shown(&request.url))));
            }
            if visited.len() > MOST_REDIRECTS {
                return Err(redirect(format!("is one of more than {MOST_REDIRECTS} in a row")));
            }
        }
    }

    /// Returns an address as people may read it.
    pub fn shown(&self, url: &Url) -> String {
        shown(self.connector, url)
    }

    fn status_error(&self, response: &HttpResponse) -> PageError {
        let hint = match response.status {
            401 | 403 => " (check the connector's `auth`, and what its token is allowed to do)",
            404 | 410 => " (check the connector's `request.url` and params)",
            429 => " (poll less often)",
            _ => "",
        };
        let excerpt = Excerpt::of(&self.connector.redactor, &response.body);
        PageError::Status { status: Status(response.status), hint, excerpt }
    }
}

/// Returns an address without secrets.
pub(super) fn shown(connector: &Connector, url: &Url) -> String {
    if url.password().is_none() {
        return connector.redactor.redact(url.as_str());
    }
    let mut url = url.clone();
    // An address that has a password can have another one.
    let _ = url.set_password(Some(crate::model::secret::HIDDEN));
    connector.redactor.redact(url.as_str())
}

fn add_validators(headers: &mut HeaderMap, memory: &PageMemory) {
    for (name, validator) in [(IF_NONE_MATCH, &memory.etag), (IF_MODIFIED_SINCE, &memory.last_modified)] {
        if let Some(value) = validator.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
}

/// Returns what to do about an answer; `None` if it is what was asked for.
fn remedy(response: &HttpResponse, request: &PageRequest, now: Timestamp) -> Option<Remedy> {
    let is_conditional = request.headers.contains_key(IF_NONE_MATCH) || request.headers.contains_key(IF_MODIFIED_SINCE);
    match response.status {
        200..=299 => None,
        304 if is_conditional => None,
        429 | 503 if response.headers.contains_key(RETRY_AFTER) => Some(match retry_after(&response.headers, now) {
            Some(at) => Remedy::Pause(at),
            None if response.status == 503 => Remedy::Retry,
            None => Remedy::GiveUp,
        }),
        501 => Some(Remedy::GiveUp),
        408 | 500..=599 => Some(Remedy::Retry),
        _ => Some(Remedy::GiveUp),
    }
}

fn redirect(problem: String) -> PageError {
    PageError::Redirect { problem }
}

/// Returns where an answer redirects to; `None` if it does not.
fn redirect_target(from: &Url, response: &HttpResponse) -> Result<Option<Url>, PageError> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    match target.filter(|target| matches!(target.scheme(), "http" | "https")) {
        Some(target) if from.scheme() == "https" && target.scheme() == "http" => {
            Err(redirect(format!("({}) leads from https to plain http", response.status)))
        }
        Some(mut target) => {
            target.set_fragment(None);
            Ok(Some(target))
        }
        None => Err(redirect(format!("({}) leads to no web address", response.status))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_web_addresses_and_never_out_of_tls() {
        let check = |from: &str, status, location: Option<&str>, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.extend(location.map(|location| (LOCATION, location.parse().expect("a header value"))));
            let response = HttpResponse { status, headers, body: bytes::Bytes::new() };
            let target = redirect_target(&from.parse().expect("an address"), &response);
            let text = match target {
                Ok(target) => target.map_or_else(|| "no redirect".to_owned(), String::from),
                Err(error) => error.to_string(),
            };
            assert_eq!(text, expected, "{location:?}");
        };
        check("https://a.example/x", 200, Some("/y"), "no redirect");
        check("https://a.example/x", 304, None, "no redirect");
        check("https://a.example/x", 302, Some("/y#z"), "https://a.example/y");
        check("http://a.example/x", 308, Some("https://b.example/"), "https://b.example/");
        check(
            "https://a.example/x",
            301,
            Some("http://a.example/x"),
            "the redirect (301) leads from https to plain http",
        );
        check("https://a.example/x", 301, Some("file:///etc/passwd"), "the redirect (301) leads to no web address");
        check("https://a.example/x", 307, None, "the redirect (307) leads to no web address");
    }
}
