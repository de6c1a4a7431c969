//! One configured source: when and how it is polled, and what its items are.

use std::time::Duration;

use serde_json::Value;

use super::auth::Auth;
use super::change::ChangeRules;
use super::cursor::CursorRules;
use super::expression::Expression;
use super::fingerprint::BodyHash;
use super::format::ResponseFormat;
use super::id::ConnectorName;
use super::limits::Rate;
use super::pagination::Pagination;
use super::quantity::ByteSize;
use super::schedule::Schedule;
use super::secret::Redactor;
use super::template::Template;
use super::tls::Tls;

/// One configured source.
#[derive(Debug)]
pub struct Connector {
    /// The name under which its state is kept and people see it: the configured name, or `NAME/ELEMENT` for an element of
    /// `each`.
    pub name: ConnectorName,
    /// The configured name, which its events and subscriptions go by.
    pub events_as: ConnectorName,
    /// The element of `each` that this is, without secrets; its events carry it.
    pub element: Option<Value>,
    /// What the template calls itself, for people.
    pub title: Option<String>,
    pub schedule: Schedule,
    /// Each poll is put off by a random part of this.
    pub jitter: Duration,
    /// What `{{ params }}` stands for; may hold secrets.
    pub params: Params,
    pub request: Request,
    pub auth: Option<Auth>,
    /// What its secure connections need beyond the usual.
    pub tls: Option<Tls>,
    pub pagination: Pagination,
    pub response: Response,
    pub item: ItemRules,
    /// Set if the source is asked only for what is new.
    pub cursor: Option<CursorRules>,
    /// Set if each new or changed item is asked for by itself.
    pub detail: Option<Detail>,
    pub changes: ChangeRules,
    /// How often this connector may send a request.
    pub rate: Option<Rate>,
    /// How long nothing new may come before an event tells of it.
    pub silence: Option<Duration>,
    /// What identifies these rules, so that an edit is noticed.
    pub digest: RulesDigest,
    /// Takes this connector's secrets out of what people read.
    pub redactor: Redactor,
}

/// The values of a connector's params. Some are secrets, so it has no readable `Debug` form.
#[derive(Clone, Default)]
pub struct Params(pub Value);

impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Params(***)")
    }
}

/// The request that a poll begins with.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    /// Without `query`, which is added to it.
    pub url: Template,
    pub query: Vec<(String, Template)>,
    pub headers: Vec<(String, Template)>,
    pub body: Option<RequestBody>,
    /// How long one request may take, from connecting to the last byte.
    pub timeout: Duration,
    /// The most bytes of one page, after decompression.
    pub max_body: ByteSize,
}

/// The methods that a poll can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// What a POST carries.
#[derive(Debug)]
pub enum RequestBody {
    /// Sent as it is rendered, without a content type of its own.
    Text(Template),
    /// A JSON value, every text in it a template.
    Json(JsonTemplate),
    /// Sent as `application/x-www-form-urlencoded`.
    Form(Vec<(String, Template)>),
}

/// A JSON value whose texts are templates.
#[derive(Debug)]
pub enum JsonTemplate {
    Text(Template),
    Array(Vec<JsonTemplate>),
    Object(Vec<(String, JsonTemplate)>),
    Other(Value),
}

/// A second request for each new or changed item. What it gives is laid over the item: members over members, and
/// anything else in the item's place.
#[derive(Debug)]
pub struct Detail {
    /// `{{ item }}` is the item.
    pub request: Request,
    /// How the answer is read; `items` gives what is laid over the item.
    pub response: Response,
    /// The most of these requests at once; at least 1.
    pub concurrency: usize,
}

/// How an answer is read.
#[derive(Debug)]
pub struct Response {
    /// `None` goes by the answer's `Content-Type`.
    pub format: Option<ResponseFormat>,
    /// Yields the items.
    pub items: Expression,
    /// Whether `items` only holds as long as the answer turns out to be no feed, because neither it nor a format is
    /// written.
    pub items_by_default: bool,
    /// Truthy means that this answer is a failure, whatever its status.
    pub error: Option<Expression>,
}

/// What identifies an item and what of it counts.
#[derive(Debug)]
pub struct ItemRules {
    /// One expression for a plain key, several for a composite one; at least one.
    pub key: Vec<Expression>,
    /// What counts as content; `None` means the whole item.
    pub watch: Option<Vec<Expression>>,
    /// What does not count, even if it is watched.
    pub ignore: Vec<Expression>,
    /// Only items for which this is truthy are looked at.
    pub filter: Option<Expression>,
    /// What an event carries; `None` means the item.
    pub data: Option<Expression>,
}

/// Hashes of those rules whose change makes remembered things incomparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RulesDigest {
    /// Of all that decides which pages are fetched and how they are read: when it changes, nothing remembered of
    /// pages is used.
    pub pages: BodyHash,
    /// Of all that decides which items there are and what their keys are: when it changes, what the next poll finds
    /// is taken as seen.
    pub keys: BodyHash,
    /// Of all that decides fingerprints: when it changes, the next poll replaces them without detecting updates.
    pub fingerprints: BodyHash,
}
