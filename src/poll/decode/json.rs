//! JSON, with numbers exactly as they are written.

use serde_json::Value;
use serde_json::error::Category;

use super::without_byte_order_mark;
use crate::model::json;
use crate::model::secret::Redactor;
use crate::poll::error::{Excerpt, PageError};

/// Returns the value of a JSON text. More than 128 levels are refused.
pub(super) fn decode(body: &[u8], redactor: &Redactor) -> Result<Value, PageError> {
    match json::parse(without_byte_order_mark(body)) {
        Ok(Value::Null) => Err(PageError::Null),
        Ok(value) => Ok(value),
        Err(error) => {
            let problem = match error.classify() {
                Category::Eof => format!("it is cut off ({error})"),
                _ if error.to_string().starts_with("recursion limit") => format!("it is nested too deep ({error})"),
                _ => error.to_string(),
            };
            Err(PageError::Json { problem, excerpt: Excerpt::of(redactor, body) })
        }
    }
}
