//! What a page's body says about the pages after it.

use serde_json::Value;

use crate::model::connector::Connector;
use crate::model::excerpt::Excerpt;
use crate::model::expression::{Expression, ExpressionError};
use crate::model::pagination::{PagingStyle, TokenSource};
use crate::poll::error::PageError;

/// What a page's body says about the pages after it.
#[derive(Debug, Default)]
pub(in crate::poll) struct Clues {
    /// What the next page is asked with, or where it is.
    pub next: Option<Value>,
    /// Whether there is another page.
    pub more: Option<bool>,
    /// How many items all pages have.
    pub total: Option<u64>,
    /// How many pages there are.
    pub total_pages: Option<u64>,
}

impl Clues {
    /// Tells whether the next page cannot be found without the body's value.
    pub fn are_needed(connector: &Connector) -> bool {
        match &connector.pagination.style {
            PagingStyle::Single | PagingStyle::Link => false,
            PagingStyle::NextUrl { address } => matches!(address, TokenSource::Body(_)),
            PagingStyle::Cursor { token, more, .. } => matches!(token, TokenSource::Body(_)) || more.is_some(),
            PagingStyle::Page { total_pages, total, more, .. } => {
                total_pages.is_some() || total.is_some() || more.is_some()
            }
            PagingStyle::Offset { total, more, .. } => total.is_some() || more.is_some(),
        }
    }

    /// Looks for what the connector's style of paging needs to know.
    pub fn of(connector: &Connector, value: &Value) -> Result<Self, PageError> {
        let body = Body { connector, value };
        let mut clues = Self::default();
        match &connector.pagination.style {
            PagingStyle::Single | PagingStyle::Link | PagingStyle::NextUrl { address: TokenSource::Header(_) } => {}
            PagingStyle::NextUrl { address: TokenSource::Body(address) } => {
                clues.next = body.first("pagination.next_url.value", address)?;
            }
            PagingStyle::Cursor { token, more, .. } => {
                if let TokenSource::Body(token) = token {
                    clues.next = body.first("pagination.cursor.token", token)?;
                }
                clues.more = body.is_truthy("pagination.cursor.more", more.as_ref())?;
            }
            PagingStyle::Page { total_pages, total, more, .. } => {
                clues.total_pages = body.number("pagination.page.total_pages", total_pages.as_ref())?;
                clues.total = body.number("pagination.page.total", total.as_ref())?;
                clues.more = body.is_truthy("pagination.page.more", more.as_ref())?;
            }
            PagingStyle::Offset { total, more, .. } => {
                clues.total = body.number("pagination.offset.total", total.as_ref())?;
                clues.more = body.is_truthy("pagination.offset.more", more.as_ref())?;
            }
        }
        Ok(clues)
    }
}

struct Body<'a> {
    connector: &'a Connector,
    value: &'a Value,
}

impl Body<'_> {
    /// Returns the first thing that an expression gives, unless that says that there is nothing.
    fn first(&self, setting: &'static str, expression: &Expression) -> Result<Option<Value>, PageError> {
        let outputs = expression.outputs(self.value).map_err(|error| self.failed(setting, expression, error))?;
        let first = outputs.into_iter().next();
        Ok(first.filter(|value| !says_nothing(value)).map(std::borrow::Cow::into_owned))
    }

    fn is_truthy(&self, setting: &'static str, expression: Option<&Expression>) -> Result<Option<bool>, PageError> {
        let Some(expression) = expression else { return Ok(None) };
        expression.is_truthy(self.value).map(Some).map_err(|error| self.failed(setting, expression, error))
    }

    /// Returns a whole number, which may be written as a text; `None` if there is nothing.
    fn number(&self, setting: &'static str, expression: Option<&Expression>) -> Result<Option<u64>, PageError> {
        let Some(expression) = expression else { return Ok(None) };
        let Some(found) = self.first(setting, expression)? else { return Ok(None) };
        let text = match &found {
            Value::Number(number) => number.as_str(),
            Value::String(text) => text.trim(),
            _ => "",
        };
        // Some write 12.0.
        let text =
            text.split_once('.').filter(|(_, rest)| rest.bytes().all(|c| c == b'0')).map_or(text, |(whole, _)| whole);
        text.parse().map(Some).map_err(|_| {
            let message = format!("it gives {found}, where a whole number is needed");
            self.failed(setting, expression, message.into())
        })
    }

    fn failed(&self, setting: &'static str, expression: &Expression, error: ExpressionError) -> PageError {
        PageError::Response {
            setting,
            expression: expression.source().to_owned(),
            error: error.message,
            excerpt: Excerpt::of_value(&self.connector.redactor, self.value),
        }
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
