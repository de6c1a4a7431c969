//! Why polls fail, in words for the people who configured them.

use std::fmt;

use super::cursor::Incomparable;
use crate::auth::{AuthError, TokenError};
use crate::http::{HttpError, Method, Status};
use crate::model::connector::Connector;
use crate::model::delivery::FailureClass;
use crate::model::excerpt::{EXCERPT_BEGINS, Excerpt};
use crate::model::limits::HostName;
use crate::model::template::TemplateError;
use crate::model::time::Timestamp;

/// Why a poll failed, or could not be finished. Its text names the connector, the address and the cause, with secrets
/// taken out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PollFailure {
    message: String,
    /// How the source refused what it was asked, if it did.
    refusal: Option<Refusal>,
    /// The source asked not to be polled before this.
    pub not_before: Option<Timestamp>,
    /// In which part of the exchange it lay, if there was no answer.
    pub class: Option<FailureClass>,
}

/// How a source refused what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// What it was asked with is wrong, or not there any more.
    Request,
    /// It says that the cursor is too old.
    Cursor,
}

/// The most characters of an address in a failure's text: the cause stands behind it.
const LONGEST_ADDRESS: usize = 300;

/// The most characters of a failure's text.
const LONGEST_MESSAGE: usize = 2000;

impl PollFailure {
    /// Returns the failure of a connector at an address.
    pub(super) fn at(connector: &Connector, address: &str, error: &PageError) -> Self {
        let refusal = match error {
            PageError::Status { says_too_old: true, .. } => Some(Refusal::Cursor),
            // The others say that it is asked too often, too slowly, or by somebody who may not.
            PageError::Status { status: Status(400 | 404 | 405 | 409 | 410 | 416 | 422), .. } => Some(Refusal::Request),
            _ => None,
        };
        let address = match address.char_indices().nth(LONGEST_ADDRESS) {
            Some((end, _)) => &format!("{}…", &address[..end]),
            None => address,
        };
        let class = match error {
            PageError::Http(error) => Some(error.class()),
            _ => None,
        };
        Self { refusal, class, ..Self::of(connector, &format!("{address}: {error}")) }
    }

    /// Tells whether the page that was asked for is not, or no longer, to be had.
    pub(super) fn refuses_page(&self) -> bool {
        self.refusal.is_some()
    }

    /// Tells whether the source says that the cursor is too old.
    pub(super) fn refuses_cursor(&self) -> bool {
        self.refusal == Some(Refusal::Cursor)
    }

    /// Returns the failure with the time before which the source asked not to be polled.
    pub(super) fn and_not_before(self, not_before: Option<Timestamp>) -> Self {
        Self { not_before, ..self }
    }

    /// Returns the failure without the beginning of what was answered, where something else explains it better.
    pub(super) fn without_excerpt(mut self) -> Self {
        if let Some((before, _)) = self.message.split_once(EXCERPT_BEGINS) {
            self.message.truncate(before.len());
        }
        self
    }

    /// Returns the failure of a connector, wherever it was.
    pub(super) fn of(connector: &Connector, cause: &dyn fmt::Display) -> Self {
        let whole = connector.redactor.redact(&format!("connector {}: {cause}", connector.name));
        let mut message = String::with_capacity(whole.len());
        for (count, c) in whole.chars().enumerate() {
            match c {
                _ if count == LONGEST_MESSAGE => {
                    message.push('…');
                    break;
                }
                // Keys come from outside, and messages go to terminals.
                c if c.is_control() => message.extend(c.escape_default()),
                c => message.push(c),
            }
        }
        Self { message, refusal: None, not_before: None, class: None }
    }
}

/// Why a page could not be had or understood.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("the request's {part} cannot be filled in: {error}")]
    Template { part: String, error: TemplateError },
    #[error("the request's {part} is not valid: {problem}")]
    Request { part: String, problem: String },
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the certificate in `tls.cert` expired at {expired_at}; a new one is needed")]
    Certificate { expired_at: Timestamp },
    #[error("the source answered {status}{hint}{excerpt}")]
    Status {
        status: Status,
        hint: &'static str,
        excerpt: Excerpt,
        /// Whether it says that the cursor is too old.
        says_too_old: bool,
    },
    #[error("{host} allows no more requests until {until}: what it allows is spent")]
    Spent { host: HostName, until: Timestamp },
    #[error("the redirect {problem}")]
    Redirect { problem: String },
    #[error("what the source names as its next page is no address{excerpt}")]
    Link { excerpt: Excerpt },
    #[error(
        "the next page is on {next}, which is not where the first one is ({home}), and is not asked for; if that is right, allow it with `pagination.{style}.origins = [\"{next}\"]`: it gets no credentials"
    )]
    Origin { style: &'static str, next: String, home: String },
    #[error("the recording has no answer to {method} {url}")]
    NotRecorded { method: Method, url: String },
    #[error("the answer's body is empty")]
    Empty,
    #[error("the answer is `null`, where items were expected")]
    Null,
    #[error("the answer is {found}, not {expected}{hint}{excerpt}")]
    Markup { found: &'static str, expected: &'static str, hint: &'static str, excerpt: Excerpt },
    #[error("the answer's format {content_type:?} is not known: say what it is in `response.format`{excerpt}")]
    Format { content_type: String, excerpt: Excerpt },
    #[error("the answer is not {expected}: {problem}{excerpt}")]
    Invalid { expected: &'static str, problem: String, excerpt: Excerpt },
    #[error("the answer reports a failure: {message}")]
    Reported { message: String },
    #[error("`{setting}` ({expression}) failed on the answer: {error}{excerpt}")]
    Response { setting: &'static str, expression: String, error: String, excerpt: Excerpt },
    #[error("`cursor.answer` ({expression}) gives {found}, where a text or a number is needed")]
    AnswerCursor { expression: String, found: &'static str },
    #[error(transparent)]
    Cursor(#[from] Incomparable),
    #[error("{item}: {problem}{}", item.excerpt)]
    Item { item: Place, problem: Box<ItemProblem> },
}

impl From<AuthError> for PageError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Request { part, problem } => Self::Request { part, problem },
            AuthError::Client(error) => Self::Http(error),
            AuthError::Token(error) => Self::Token(error),
            AuthError::Certificate { expired_at } => Self::Certificate { expired_at },
        }
    }
}

/// Where in a poll an item stands, and how it begins. Shown without its beginning.
#[derive(Debug)]
pub struct Place {
    /// Counted from 1.
    pub page: usize,
    /// Counted from 1, within its page.
    pub position: usize,
    pub excerpt: Excerpt,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} of page {}", self.position, self.page)
    }
}

/// What is wrong with an item.
#[derive(Debug, thiserror::Error)]
pub enum ItemProblem {
    #[error("`{setting}` ({expression}) failed: {error}")]
    Expression { setting: &'static str, expression: String, error: String },
    #[error("`item.key` ({expression}) gives {found}, where a text, a number or a boolean is needed")]
    Key { expression: String, found: &'static str },
    #[error("the key has {0} bytes, and the most is {most}", most = super::extract::LONGEST_KEY)]
    LongKey(usize),
    #[error("`cursor.value` ({expression}) gives {found}, where a text or a number is needed")]
    Cursor { expression: String, found: &'static str },
    #[error("`item.data` ({expression}) gives {found} values, where one is needed")]
    Data { expression: String, found: usize },
}
