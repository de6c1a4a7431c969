//! What a page's body says about the pages after it.

use serde_json::Value;

use crate::model::connector::Connector;
use crate::model::expression::Expression;
use crate::model::pagination::{PagingStyle, TokenSource};
use crate::poll::error::{Excerpt, PageError};

/// What a page's body says about the pages after it.
#[derive(Debug, Default)]
pub(in crate::poll) struct Clues {
    /// What the next page is asked with, or where it is.
    pub next: Option<Value>,
}

impl Clues {
    /// Tells whether the next page cannot be found without the body's value.
    pub fn are_needed(connector: &Connector) -> bool {
        match &connector.pagination.style {
            PagingStyle::Single | PagingStyle::Link => false,
            PagingStyle::NextUrl { .. } => true,
            PagingStyle::Cursor { token, more, .. } => matches!(token, TokenSource::Body(_)) || more.is_some(),
            PagingStyle::Page { total_pages, total, more, .. } => {
                total_pages.is_some() || total.is_some() || more.is_some()
            }
            PagingStyle::Offset { total, more, .. } => total.is_some() || more.is_some(),
        }
    }

    /// Looks for what the connector's style of paging needs to know.
    pub fn of(connector: &Connector, value: &Value) -> Result<Self, PageError> {
        let mut clues = Self::default();
        if let PagingStyle::NextUrl { value: expression } = &connector.pagination.style {
            let setting = "pagination.next_url.value";
            clues.next = first_output(connector, setting, expression, value)?;
        }
        Ok(clues)
    }
}

/// Returns the first thing that an expression gives, unless that says that there is nothing.
fn first_output(
    connector: &Connector,
    setting: &'static str,
    expression: &Expression,
    value: &Value,
) -> Result<Option<Value>, PageError> {
    let mut outputs = expression.outputs(value).map_err(|error| PageError::Response {
        setting,
        expression: expression.source().to_owned(),
        error: error.message,
        excerpt: Excerpt::of_value(&connector.redactor, value),
    })?;
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if outputs.is_empty() {
        return Ok(None);
    }
    Ok(Some(outputs.swap_remove(0).into_owned()).filter(|value| !says_nothing(value)))
}
