//! One page from its source: conditional, through redirects, tried again where that may help.

use std::collections::HashSet;
use std::time::Duration;

use url::Url;

use super::auth::{self, Authorized};
use super::context::FetchContext;
use super::cursor;
use super::error::PageError;
use super::request::PageRequest;
use super::tape::Tape;
use crate::http::header::{
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use crate::http::{
    Account, HttpError, HttpResponse, Method, Status, Turn, asked_to_wait, fresh_for, last_modified, server_time,
};
use crate::model::connector::Connector;
use crate::model::excerpt::Excerpt;
use crate::model::item::PageMemory;
use crate::model::limits::HostName;
use crate::model::template::TemplateContext;
use crate::model::time::Timestamp;

/// The most redirects that are followed for one page.
pub(super) const MOST_REDIRECTS: usize = 5;

/// The waits between the tries of one page.
pub(super) const TRY_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// The longest that a host asks to be left alone and is waited for within a poll.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The longest that a poll waits for its turn at a host, unless requests are further apart than this at the rate that is
/// configured.
const LONGEST_TURN: Duration = Duration::from_secs(60);

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
    /// When it came, by our clock.
    pub received_at: Timestamp,
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

    /// Returns its ETag exactly as it came, if it tells versions apart.
    pub fn etag(&self) -> Option<String> {
        // A star would match every version.
        self.header(ETAG).filter(|etag| !matches!(*etag, "" | "*")).map(str::to_owned)
    }

    /// Returns its `Last-Modified`, if that tells this version of the page from every later one.
    pub fn last_modified(&self) -> Option<String> {
        last_modified(&self.response.headers, self.received_at).map(str::to_owned)
    }

    /// Returns the time when it came by the server's clock, as far as that can be told.
    pub fn date(&self) -> Option<Timestamp> {
        server_time(&self.response.headers, self.received_at)
    }

    /// Returns for how much longer it stands, if it says so.
    pub fn fresh_for(&self) -> Option<Duration> {
        fresh_for(&self.response.headers, self.received_at)
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
        let not_before = match &error {
            PageError::Spent { until, .. } => Some(*until),
            _ => None,
        };
        Self { error, not_before }
    }
}

/// What to do about an answer that is no success.
enum Remedy {
    /// Try again after the usual wait.
    Retry,
    /// Try again at this time: the source said so.
    Pause(Timestamp),
    /// Ask for the page itself: what was made of its validators cannot be right.
    Unconditionally,
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
        let mut waits = TRY_WAITS.iter().take(if self.context.is_patient { TRY_WAITS.len() } else { 0 });
        let mut paused = false;
        loop {
            let result = self.follow(&request).await;
            let now = self.context.clock.now();
            let remedy = match &result {
                Ok(answer) => match remedy(&answer.response, &request, now) {
                    None => return Ok(result?),
                    Some(Remedy::Unconditionally) => {
                        request.headers.remove(IF_NONE_MATCH);
                        request.headers.remove(IF_MODIFIED_SINCE);
                        continue;
                    }
                    Some(remedy) => remedy,
                },
                Err(PageError::Http(
                    HttpError::Request(_)
                    | HttpError::BodyTooLarge(_)
                    | HttpError::Encoding(_)
                    | HttpError::Egress(_)
                    | HttpError::Tls(_),
                )) => Remedy::GiveUp,
                Err(PageError::Http(_)) => Remedy::Retry,
                Err(PageError::Token(error)) => match error.not_before {
                    Some(at) => Remedy::Pause(at),
                    None if error.may_pass() => Remedy::Retry,
                    None => Remedy::GiveUp,
                },
                Err(_) => Remedy::GiveUp,
            };
            let error = match result {
                Ok(answer) => self.status_error(&answer.response, now),
                Err(error) => error,
            };
            let at = match remedy {
                Remedy::GiveUp | Remedy::Unconditionally => return Err(error.into()),
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
            let answer = self.exchange(&request).await?;
            let Some(target) = redirect_target(&answer.url, &answer.response)? else { return Ok(answer) };
            visited.insert((request.method.clone(), request.url.clone()));
            let status = answer.response.status;
            if status == 303 || (request.method == Method::POST && matches!(status, 301 | 302)) {
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

    /// Sends a request; once more if the source refuses what it was sent with and there will be something else.
    async fn exchange(&mut self, request: &PageRequest) -> Result<Answer, PageError> {
        if let Some(tape) = self.context.tape.as_ref().filter(|tape| tape.replays()) {
            return self.replayed(tape, request);
        }
        let host = HostName::of(&request.url);
        let mut is_second = false;
        loop {
            let turn = self.turn(&host).await?;
            let Authorized { request: sent, client, proof } =
                auth::authorize(self.connector, self.context, &self.home, request).await?;
            self.requests += 1;
            let response = client.send(sent, request.limits).await?;
            drop(turn);
            let answer = Answer { url: request.url.clone(), response, received_at: self.context.clock.now() };
            if let Some(tape) = &self.context.tape {
                let (url, redactor) = (self.shown(&request.url), &self.connector.redactor);
                tape.record(&request.method, &url, &answer.response, redactor);
            }
            self.learn(&host, &answer);
            let refused = answer.response.status == 401 && !is_second;
            if !refused || !self.context.credentials.renew(&proof, &answer.response) {
                return Ok(answer);
            }
            is_second = true;
        }
    }

    fn replayed(&mut self, tape: &Tape, request: &PageRequest) -> Result<Answer, PageError> {
        let url = self.shown(&request.url);
        let Some(response) = tape.answer(&request.method, &url) else {
            return Err(PageError::NotRecorded { method: request.method.clone(), url });
        };
        self.requests += 1;
        Ok(Answer { url: request.url.clone(), response, received_at: self.context.clock.now() })
    }

    /// Waits until a host may be sent a request. Fails if it wants to be left alone for longer than a poll waits.
    async fn turn(&self, host: &HostName) -> Result<Turn, PageError> {
        let FetchContext { budgets, clock, .. } = self.context;
        let account = Account::of(self.connector);
        let patience = LONGEST_TURN.max(budgets.spacing(host, &account));
        loop {
            if let Some(until) = budgets.quiet_until(host, account.credentials) {
                if until.since(clock.now()) > LONGEST_PAUSE {
                    return Err(PageError::Spent { host: host.clone(), until });
                }
                clock.sleep_until(until).await;
            }
            let wait = budgets.wait(host, &account);
            if wait > patience {
                return Err(PageError::Spent { host: host.clone(), until: clock.now() + wait });
            }
            let turn = budgets.turn(host, &account).await;
            // Meanwhile others may have been told to wait.
            if budgets.quiet_until(host, account.credentials).is_none() {
                return Ok(turn);
            }
        }
    }

    /// Takes note of what an answer says of its host.
    fn learn(&self, host: &HostName, answer: &Answer) {
        let HttpResponse { status, headers, .. } = &answer.response;
        if let Some(until) = asked_to_wait(*status, headers, answer.received_at) {
            self.context.budgets.keep_quiet(host, self.connector.redactor.identity(), until);
        }
        if let Some(theirs) = answer.date() {
            self.context.compare_clocks(host, theirs);
        }
    }

    /// Returns an address as people may read it.
    pub fn shown(&self, url: &Url) -> String {
        shown(self.connector, url)
    }

    fn status_error(&self, response: &HttpResponse, now: Timestamp) -> PageError {
        let hint = match response.status {
            403 if asked_to_wait(403, &response.headers, now).is_some() => " (it allows no more requests for now)",
            401 | 403 => " (check the connector's `auth`, and what its token is allowed to do)",
            304 => " (it was not asked whether anything has changed; is there a broken cache on the way?)",
            404 | 410 => " (check the connector's `request.url` and params)",
            429 => " (poll less often)",
            _ => "",
        };
        let excerpt = Excerpt::of(&self.connector.redactor, &response.body);
        let says_too_old = cursor::is_too_old(self.connector, response);
        PageError::Status { status: Status(response.status), hint, excerpt, says_too_old }
    }
}

/// Returns the longest that a request of a connector waits for its turn at its host because of rates; zero without rates.
pub(super) fn longest_turn(connector: &Connector, context: &FetchContext) -> Duration {
    let Some(host) = home_host(connector, None, context.clock.now()) else { return Duration::ZERO };
    match context.budgets.spacing(&host, &Account::of(connector)) {
        Duration::ZERO => Duration::ZERO,
        spacing => LONGEST_TURN.max(spacing),
    }
}

/// Returns the host of a connector's first page, as a poll at that time would ask it; `None` if that cannot be told.
pub(super) fn home_host(connector: &Connector, cursor: Option<&str>, now: Timestamp) -> Option<HostName> {
    let page = serde_json::Value::from(1);
    let context = TemplateContext { params: &connector.params.0, cursor, item: None, now, page: Some(&page) };
    let url: Url = connector.request.url.render(&context).ok()?.trim().parse().ok()?;
    Some(HostName::of(&url))
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

/// Adds the one validator that tells more: an ETag exactly as it came, weak or strong, or else a date.
fn add_validators(headers: &mut HeaderMap, memory: &PageMemory) {
    let value = |validator: &Option<String>| HeaderValue::from_str(validator.as_deref()?).ok();
    if let Some(etag) = value(&memory.etag) {
        headers.insert(IF_NONE_MATCH, etag);
    } else if let Some(date) = value(&memory.last_modified) {
        headers.insert(IF_MODIFIED_SINCE, date);
    }
}

/// Tells whether a 304 confirms another version of the page than the one that was asked about.
fn confirms_another(request: &HeaderMap, response: &HeaderMap) -> bool {
    let differ = |asked, answered, same: fn(&HeaderValue, &HeaderValue) -> bool| {
        request.get(asked).zip(response.get(answered)).is_some_and(|(asked, answered)| !same(asked, answered))
    };
    differ(IF_NONE_MATCH, ETAG, |one, other| opaque_tag(one.as_bytes()) == opaque_tag(other.as_bytes()))
        || differ(IF_MODIFIED_SINCE, LAST_MODIFIED, |one, other| one == other)
}

/// Returns the part of an ETag that tells versions apart: weak or strong, of the compressed form or of the plain one.
fn opaque_tag(etag: &[u8]) -> &[u8] {
    let tag = etag.strip_prefix(b"W/").unwrap_or(etag);
    let tag = tag.strip_prefix(b"\"").unwrap_or(tag);
    let tag = tag.strip_suffix(b"\"").unwrap_or(tag);
    let suffixes: [&[u8]; 6] = [b"--gzip", b"-gzip", b";gzip", b"-br", b"-zstd", b"-deflate"];
    suffixes.iter().find_map(|suffix| tag.strip_suffix(*suffix)).unwrap_or(tag)
}

/// Returns what to do about an answer; `None` if it is what was asked for.
fn remedy(response: &HttpResponse, request: &PageRequest, now: Timestamp) -> Option<Remedy> {
    let is_conditional = request.headers.contains_key(IF_NONE_MATCH) || request.headers.contains_key(IF_MODIFIED_SINCE);
    match response.status {
        200..=299 => None,
        304 if is_conditional && !confirms_another(&request.headers, &response.headers) => None,
        304 | 412 if is_conditional => Some(Remedy::Unconditionally),
        403 | 429 | 503 => Some(match asked_to_wait(response.status, &response.headers, now) {
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
    fn a_confirmation_is_of_the_version_that_was_asked_about() {
        let check = |asked: (&str, &str), answered: &[(&str, &str)], expected: bool| {
            let headers = |pairs: &[(&str, &str)]| {
                let pairs =
                    pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
                pairs.collect::<HeaderMap>()
            };
            assert_eq!(confirms_another(&headers(&[asked]), &headers(answered)), expected, "{asked:?} {answered:?}");
        };
        let asked = ("if-none-match", "W/\"x\"");
        check(asked, &[], false);
        check(asked, &[("etag", "W/\"x\"")], false);
        check(asked, &[("etag", "\"x\"")], false);
        check(asked, &[("etag", "\"x-gzip\"")], false);
        check(asked, &[("etag", "\"y\"")], true);
        check(("if-none-match", "\"x--gzip\""), &[("etag", "\"x\"")], false);
        check(("if-none-match", "x"), &[("etag", "\"x\"")], false);
        let asked = ("if-modified-since", "Fri, 20 Nov 2026 12:00:00 GMT");
        check(asked, &[("etag", "\"y\"")], false);
        check(asked, &[("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT")], false);
        check(asked, &[("last-modified", "Fri, 20 Nov 2026 12:00:01 GMT")], true);
    }

    #[test]
    fn redirects_lead_to_web_addresses_and_never_out_of_tls() {
        let check = |from: &str, status, location: Option<&str>, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.extend(location.map(|location| (LOCATION, location.parse().expect("a header value"))));
            let response = HttpResponse { status, headers, body: bytes::Bytes::new(), received: 0 };
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
