use serde_json::json;

use super::*;
use crate::deliver::fixture::{self, golden};
use crate::model::content::{BatchPolicy, Content, DeliveryFormat};
use crate::model::expression::Expression;
use crate::model::secret::Secret;

fn recipe(format: DeliveryFormat, body: Option<&str>) -> Recipe {
    let body = body.map(|source| Expression::parse(source).expect("jq"));
    Recipe::new(&Content { format, body, ..Content::default() })
}

fn render(recipe: &Recipe, events: &[Event]) -> Rendered {
    recipe.render(&events.iter().collect::<Vec<_>>()).expect("it is rendered")
}

/// Returns content type, headers of the format and body, a line each.
fn said(rendered: &Rendered) -> String {
    let headers = rendered.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("text")));
    let headers: String = headers.collect();
    format!("{}\n{headers}{}", rendered.content_type, std::str::from_utf8(&rendered.body).expect("text"))
}

fn golden_in(format: DeliveryFormat) -> String {
    said(&render(&recipe(format, None), &[golden()]))
}

/// Returns the golden event as a removal of an item that was not kept, without what is optional.
fn bare() -> Event {
    Event {
        element: None,
        changes: None,
        previous: None,
        reappeared: true,
        ..fixture::event("orders", "removed", &json!(null))
    }
}

#[test]
fn standard_is_the_event_with_numbers_as_the_api_wrote_them() {
    insta::assert_snapshot!(golden_in(DeliveryFormat::Standard), @r#"
    application/json
    {"type":"orders.updated","timestamp":"2026-11-20T12:00:00.123Z","id":"evt_07070707070707070707070707070707","connector":"orders","element":{"shop":"Ä 1"},"key":"1017","data":{"id":1017,"status":"paid","n":9007199254740993,"f":1.0,"e":1e400,"z":0.1000},"changes":[{"op":"replace","path":"/f","value":1.0}],"previous":{"id":1017,"status":"open","f":2.50}}
    "#);
}

#[test]
fn cloudevents_have_the_item_as_data_and_the_rest_as_attributes() {
    insta::assert_snapshot!(golden_in(DeliveryFormat::CloudEvents), @r#"
    application/cloudevents+json
    {"specversion":"1.0","id":"evt_07070707070707070707070707070707","source":"pollhook/orders","type":"orders.updated","time":"2026-11-20T12:00:00.123Z","subject":"1017","connector":"orders","element":"{\"shop\":\"Ä 1\"}","datacontenttype":"application/json","changes":"[{\"op\":\"replace\",\"path\":\"/f\",\"value\":1.0}]","previous":"{\"id\":1017,\"status\":\"open\",\"f\":2.50}","data":{"id":1017,"status":"paid","n":9007199254740993,"f":1.0,"e":1e400,"z":0.1000}}
    "#);
    let mut event = bare();
    (event.id, event.key) = (golden().id, String::new());
    insta::assert_snapshot!(said(&render(&recipe(DeliveryFormat::CloudEvents, None), &[event])), @r#"
    application/cloudevents+json
    {"specversion":"1.0","id":"evt_07070707070707070707070707070707","source":"pollhook/orders","type":"orders.removed","time":"2026-11-20T12:00:00.000Z","connector":"orders","reappeared":true,"datacontenttype":"application/json","data":null}
    "#);
}

#[test]
fn a_binary_cloudevent_has_its_attributes_in_headers() {
    let mut event = golden();
    event.key = "Euro € 😀 \"100%\"\r\nx: y".to_owned();
    event.reappeared = true;
    insta::assert_snapshot!(said(&render(&recipe(DeliveryFormat::CloudEventsBinary, None), &[event])), @r#"
    application/json
    ce-specversion: 1.0
    ce-id: evt_07070707070707070707070707070707
    ce-source: pollhook/orders
    ce-type: orders.updated
    ce-time: 2026-11-20T12:00:00.123Z
    ce-subject: Euro%20%E2%82%AC%20%F0%9F%98%80%20%22100%25%22%0D%0Ax:%20y
    ce-connector: orders
    ce-element: {%22shop%22:%22%C3%84%201%22}
    ce-reappeared: true
    {"id":1017,"status":"paid","n":9007199254740993,"f":1.0,"e":1e400,"z":0.1000}
    "#);
}

#[test]
fn a_batch_of_cloudevents_is_a_list_also_of_one() {
    let one = golden_in(DeliveryFormat::CloudEvents);
    let (_, one) = one.split_once('\n').expect("a body");
    assert_eq!(golden_in(DeliveryFormat::CloudEventsBatch), format!("application/cloudevents-batch+json\n[{one}]"));
    // What was joined before the format was edited is sent as a batch all the same.
    for format in [DeliveryFormat::CloudEvents, DeliveryFormat::CloudEventsBinary, DeliveryFormat::CloudEventsBatch] {
        let two = said(&render(&recipe(format, None), &[golden(), golden()]));
        assert_eq!(two, format!("application/cloudevents-batch+json\n[{one},{one}]"));
    }
}

#[test]
fn a_form_has_a_field_for_each_member() {
    let form = render(&recipe(DeliveryFormat::Form, None), &[golden()]);
    assert_eq!(form.content_type, "application/x-www-form-urlencoded");
    let fields: Vec<String> =
        url::form_urlencoded::parse(&form.body).map(|(name, value)| format!("{name}={value}")).collect();
    insta::assert_snapshot!(fields.join("\n"), @r#"
    type=orders.updated
    timestamp=2026-11-20T12:00:00.123Z
    id=evt_07070707070707070707070707070707
    connector=orders
    element={"shop":"Ä 1"}
    key=1017
    data={"id":1017,"status":"paid","n":9007199254740993,"f":1.0,"e":1e400,"z":0.1000}
    changes=[{"op":"replace","path":"/f","value":1.0}]
    previous={"id":1017,"status":"open","f":2.50}
    "#);
    insta::assert_snapshot!(std::str::from_utf8(&form.body).expect("text"), @"type=orders.updated&timestamp=2026-11-20T12%3A00%3A00.123Z&id=evt_07070707070707070707070707070707&connector=orders&element=%7B%22shop%22%3A%22%C3%84+1%22%7D&key=1017&data=%7B%22id%22%3A1017%2C%22status%22%3A%22paid%22%2C%22n%22%3A9007199254740993%2C%22f%22%3A1.0%2C%22e%22%3A1e400%2C%22z%22%3A0.1000%7D&changes=%5B%7B%22op%22%3A%22replace%22%2C%22path%22%3A%22%2Ff%22%2C%22value%22%3A1.0%7D%5D&previous=%7B%22id%22%3A1017%2C%22status%22%3A%22open%22%2C%22f%22%3A2.50%7D");
}

#[test]
fn a_form_of_a_body_has_the_fields_that_it_makes() {
    let body = r#"{text: "a&b=ü", n: .data.n, none: null, yes: true, list: [.data.f, null], object: {a: "x"}}"#;
    let form = said(&render(&recipe(DeliveryFormat::Form, Some(body)), &[golden()]));
    insta::assert_snapshot!(form, @r"
    application/x-www-form-urlencoded
    text=a%26b%3D%C3%BC&n=9007199254740993&none=&yes=true&list=%5B1.0%2Cnull%5D&object=%7B%22a%22%3A%22x%22%7D
    ");
    for (body, found) in
        [("[]", "a list"), (".key", "a text"), (".data.n", "a number"), ("null", "null"), ("true", "a truth value")]
    {
        let error = recipe(DeliveryFormat::Form, Some(body)).render(&[&golden()]).expect_err(body);
        assert_eq!(
            error.to_string(),
            format!(
                "a form is made of an object, and the expression in `body` gives {found} for \
                 evt_07070707070707070707070707070707 (orders.updated, \"1017\")"
            )
        );
    }
    let two = said(&render(&recipe(DeliveryFormat::Form, Some(".key")), &[golden(), golden()]));
    insta::assert_snapshot!(two, @r"
    application/x-www-form-urlencoded
    events=%5B%221017%22%2C%221017%22%5D
    ");
}

#[test]
fn raw_is_the_item_alone() {
    insta::assert_snapshot!(golden_in(DeliveryFormat::Raw), @r#"
    application/json
    {"id":1017,"status":"paid","n":9007199254740993,"f":1.0,"e":1e400,"z":0.1000}
    "#);
    assert_eq!(said(&render(&recipe(DeliveryFormat::Raw, None), &[bare()])), "application/json\nnull");
}

#[test]
fn where_events_are_joined_a_single_one_is_a_list_as_well() {
    let batch = Some(BatchPolicy { max: 10, wait: std::time::Duration::ZERO });
    let recipe = Recipe::new(&Content { batch, ..Content::default() });
    let one = serde_json::to_string(&golden()).expect("JSON");
    assert_eq!(said(&render(&recipe, &[golden()])), format!("application/json\n[{one}]"));
    assert_eq!(said(&render(&recipe, &[golden(), golden()])), format!("application/json\n[{one},{one}]"));
}

#[test]
fn lanes_that_send_the_same_event_share_its_body() {
    let (renderer, event) = (Renderer::default(), golden());
    let pointer = |recipe: &Recipe| renderer.render(recipe, &[&event]).expect("it is rendered").body.as_ptr();
    for body in [None, Some("{key}")] {
        let (first, second) = (recipe(DeliveryFormat::Standard, body), recipe(DeliveryFormat::Standard, body));
        assert_eq!(pointer(&first), pointer(&second));
    }
}

#[test]
fn subscriptions_that_want_different_bodies_never_get_each_other_s() {
    let (renderer, event) = (Renderer::default(), golden());
    let with_token = |token: &str| {
        let body = Some(Expression::parse("{token: .params.token}").expect("jq"));
        let params = vec![("token".to_owned(), Secret::new(token.to_owned()))];
        Recipe::new(&Content { body, params, ..Content::default() })
    };
    let batch = Some(BatchPolicy { max: 10, wait: std::time::Duration::ZERO });
    let recipes = [
        recipe(DeliveryFormat::Standard, None),
        recipe(DeliveryFormat::Standard, Some(".key")),
        recipe(DeliveryFormat::Standard, Some(".id")),
        recipe(DeliveryFormat::Form, Some("{key}")),
        with_token("one"),
        with_token("other"),
        recipe(DeliveryFormat::Raw, None),
        Recipe::new(&Content { batch, ..Content::default() }),
    ];
    for _ in 0..2 {
        for recipe in &recipes {
            let alone = recipe.render(&[&event]).expect("it is rendered");
            assert_eq!(renderer.render(recipe, &[&event]).expect("it is rendered"), alone);
        }
    }
}

#[test]
fn what_is_remembered_is_bounded_in_bytes_and_number() {
    let (renderer, recipe) = (Renderer::default(), recipe(DeliveryFormat::Standard, None));
    let render = |event: &Event| renderer.render(&recipe, &[event]).expect("it is rendered");
    for size in [10, 3 * 1024 * 1024, 10, 3 * 1024 * 1024, 5 * 1024 * 1024] {
        render(&fixture::event("orders", "created", &json!("x".repeat(size))));
        assert!(renderer.recent().bytes <= REMEMBERED_BYTES);
    }
    for _ in 0..2 * REMEMBERED_BODIES {
        render(&fixture::event("orders", "created", &json!(1)));
    }
    let recent = renderer.recent();
    assert_eq!((recent.rendered.len(), recent.order.len()), (REMEMBERED_BODIES, REMEMBERED_BODIES));
    assert_eq!(recent.bytes, recent.rendered.values().map(|rendered| rendered.body.len()).sum::<usize>());
}
