//! JSON, with numbers exactly as they are written.

use serde_json::Value;
use serde_json::error::Category;

use crate::model::json;

/// Returns the value of a JSON text. More than 127 levels are refused.
pub(super) fn decode(text: &str) -> Result<Value, String> {
    json::parse(text.as_bytes()).map_err(|error| match error.classify() {
        Category::Eof => format!("it is cut off ({error})"),
        _ if is_too_deep(&error) => format!("it is nested too deep ({error})"),
        _ => error.to_string(),
    })
}

/// Returns what is wrong with the JSON text of a line.
pub(super) fn problem(error: &serde_json::Error, line: usize) -> String {
    let text = error.to_string();
    let what = text.rfind(" at line ").map_or(&*text, |end| &text[..end]);
    let column = error.column();
    match error.classify() {
        Category::Eof => format!("line {line}: it is cut off ({what}, column {column})"),
        _ if is_too_deep(error) => format!("line {line}: it is nested too deep ({what}, column {column})"),
        _ => format!("line {line}: {what} (column {column})"),
    }
}

fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit")
}
