//! The event's own JSON form, or what the subscription's `body` makes of it.

use serde_json::{Map, Value};

use super::recipe::{RenderError, described, write_json};
use crate::model::content::Content;
use crate::model::event::Event;
use crate::model::expression::Expression;
use crate::model::fingerprint::BodyHash;
use crate::model::json;
use crate::model::secret::Secret;

/// What takes the place of events: an expression, and what it finds at `.params`.
#[derive(Clone)]
pub(super) struct Body {
    expression: Expression,
    params: Map<String, Value>,
}

impl Body {
    /// Returns what the contents have in place of events, if they have.
    pub fn of(content: &Content) -> Option<Self> {
        let param = |(name, value): &(String, Secret)| (name.clone(), Value::from(value.expose()));
        Some(Self { expression: content.body.clone()?, params: content.params.iter().map(param).collect() })
    }

    /// Returns what tells this from all that make something else of the same event.
    pub fn id(&self) -> BodyHash {
        let params = Value::Object(self.params.clone()).to_string();
        BodyHash::of(format!("{params}\n{}", self.expression.source()).as_bytes())
    }

    fn output(&self, event: &Event) -> Result<Value, RenderError> {
        let mut text = Vec::with_capacity(event.size());
        write_json(event, &mut text);
        let read = json::parse(&text);
        let mut input = read.map_err(|source| RenderError::Unreadable { event: described(event), source })?;
        if let Some(members) = input.as_object_mut().filter(|_| !self.params.is_empty()) {
            members.insert("params".to_owned(), Value::Object(self.params.clone()));
        }
        let output = self.expression.first_output(&input);
        let output = output.map_err(|source| RenderError::Failed { event: described(event), source })?;
        output.ok_or_else(|| RenderError::Nothing { event: described(event) })
    }
}

impl std::fmt::Debug for Body {
    /// Writes the expression alone: params are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.expression.fmt(f)
    }
}

/// Writes the event, or the expression's first output for it.
pub(super) fn write(body: Option<&Body>, event: &Event, out: &mut Vec<u8>) -> Result<(), RenderError> {
    match body {
        Some(body) => write_json(&body.output(event)?, out),
        None => write_json(event, out),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::deliver::fixture;

    #[track_caller]
    fn check(body: &str, data: &str, expected: &Result<&str, &str>) {
        let mut event = fixture::golden();
        event.data = RawValue::from_string(data.to_owned()).expect("JSON");
        let mut out = Vec::new();
        let content = Content {
            body: Some(Expression::parse(body).expect("jq")),
            params: vec![("token".to_owned(), Secret::new("T\"0".to_owned()))],
            ..Content::default()
        };
        let result = write(Body::of(&content).as_ref(), &event, &mut out);
        let result = result.map(|()| String::from_utf8(out).expect("text"));
        let result = result.map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        });
        assert_eq!(result.as_deref().map_err(String::as_str), *expected);
    }

    #[test]
    fn the_first_output_takes_the_place_of_the_event() {
        check(
            "{text: \"Order \\(.key) is \\(.data.status)\"}",
            r#"{"status":"paid"}"#,
            &Ok(r#"{"text":"Order 1017 is paid"}"#),
        );
        check(".data[]", "[1,2]", &Ok("1"));
        check(".data[] | select(. > 1)", "[1,2,3]", &Ok("2"));
        check("[.data[]]", "[1,2]", &Ok("[1,2]"));
        check("{token: .params.token, key}", "[1,2]", &Ok(r#"{"token":"T\"0","key":"1017"}"#));
    }

    #[test]
    fn numbers_keep_their_text() {
        let numbers = "[9007199254740993,1.0,1e400,0.1000,-0]";
        check(".data", numbers, &Ok(numbers));
        check("{n: .data} | .n", numbers, &Ok(numbers));
    }

    #[test]
    fn an_expression_that_gives_nothing_or_fails_says_so_and_of_which_event() {
        check(
            "empty",
            "{}",
            &Err(
                r#"the expression in `body` gives nothing for evt_07070707070707070707070707070707 (orders.updated, "1017")"#,
            ),
        );
        check(
            ".data.a.b",
            r#"{"a":"text"}"#,
            &Err(
                r#"the expression in `body` failed on evt_07070707070707070707070707070707 (orders.updated, "1017"): `.data.a` is a string, so `.b` finds no member in it"#,
            ),
        );
    }
}
