//! The event's own JSON form, or what the subscription's `body` makes of it.

use super::recipe::{RenderError, described, write_json};
use crate::model::event::Event;
use crate::model::expression::Expression;
use crate::model::json;

/// Writes the event, or the expression's first output for it.
pub(super) fn write(body: Option<&Expression>, event: &Event, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let Some(body) = body else {
        write_json(event, out);
        return Ok(());
    };
    let mut text = Vec::with_capacity(event.size());
    write_json(event, &mut text);
    let input = json::parse(&text).map_err(|source| RenderError::Unreadable { event: described(event), source })?;
    let output = body.first_output(&input).map_err(|source| RenderError::Failed { event: described(event), source })?;
    let output = output.ok_or_else(|| RenderError::Nothing { event: described(event) })?;
    write_json(&output, out);
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
        let result = write(Some(&Expression::parse(body).expect("jq")), &event, &mut out);
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
