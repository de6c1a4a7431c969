//! The format `standard`: the body of Standard Webhooks.

use super::Rendered;
use crate::model::event::Event;

/// Returns the event's own JSON form.
pub(super) fn render(event: &Event) -> Rendered {
    let body = serde_json::to_vec(event).expect("an event is written without errors");
    Rendered { content_type: "application/json", body: body.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::deliver::fixture;
    use crate::model::id::EventId;
    use crate::model::time::Timestamp;

    #[test]
    fn the_body_is_the_event_with_numbers_as_the_api_wrote_them() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let mut event = fixture::event("orders", "updated", &serde_json::Value::Null);
        event.time = Timestamp::parse("2026-11-20T12:00:00.123Z").expect("a time");
        event.id = EventId::from_bytes([7; 16]);
        event.data = raw(r#"{"n":9007199254740993,"f":1.0,"e":1e400,"z":0.1000}"#);
        event.changes = Some(raw(r#"[{"op":"replace","path":"/f","value":1.0}]"#));
        event.previous = Some(raw(r#"{"f":2.50}"#));
        let body = render(&event).body;
        insta::assert_snapshot!(std::str::from_utf8(&body).expect("text"), @r#"{"type":"orders.updated","timestamp":"2026-11-20T12:00:00.123Z","id":"evt_07070707070707070707070707070707","connector":"orders","key":"k","data":{"n":9007199254740993,"f":1.0,"e":1e400,"z":0.1000},"changes":[{"op":"replace","path":"/f","value":1.0}],"previous":{"f":2.50}}"#);
    }
}
