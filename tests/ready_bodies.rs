//! The examples of docs/deliveries.md that are ready for chat, alerts and phones make what their receivers document.

#[path = "support/configuration.rs"]
mod configuration;

use std::sync::Arc;

use configuration::load_files;
use pollhook::config::Environment;
use pollhook::deliver::RequestWriter;
use pollhook::model::event::Event;
use pollhook::model::id::{DeliveryId, EventId, LeaseToken};
use pollhook::model::subscription::Subscription;
use pollhook::model::time::Timestamp;
use pollhook::store::{ClaimedDelivery, DeliveryLease};
use serde_json::{Value, json};

/// Events of each kind, with texts that are long, empty, or mean something to the receivers.
fn events() -> Vec<Event> {
    let long = "🦀 & <b> \"@everyone\" \\ ".repeat(600);
    let mut many = json!({ "title": long, "": "", "none": null, "list": [1, { "a": long }] });
    for number in 0..100 {
        many[format!("{number} {long}")] = json!(long);
    }
    let event = |action: &str, key: &str, more: Value| {
        let mut event = json!({
            "type": format!("orders.{action}"), "timestamp": "2026-11-20T12:00:00.123Z",
            "id": EventId::new(Timestamp::EPOCH), "connector": "orders", "key": key,
        });
        let members = event.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        serde_json::from_str(&event.to_string()).expect("an event")
    };
    let changes = json!([{ "op": "replace", "path": "/status", "value": "paid" }]);
    vec![
        event("created", "1017", json!({ "data": { "title": "A new order", "total": 129.9, "paid": false } })),
        event("updated", "1017", json!({ "data": { "status": "paid" }, "changes": changes })),
        event("removed", "1017", json!({ "data": null })),
        event("created", &"k<&>".repeat(256), json!({ "data": "only a text" })),
        event("created", "<!channel>", json!({ "data": many })),
        event("created", "", json!({ "data": { "title": "" } })),
        event("created", "1", json!({ "data": [1, 2] })),
    ]
}

/// Returns the first example under this heading, as it is configured.
fn example(heading: &str) -> Arc<Subscription> {
    let [first, ..] = &examples(heading)[..] else { panic!("{heading} has an example") };
    load(first)
}

/// Returns what is configured under this heading of the documentation, up to the next one of its level.
fn examples(heading: &str) -> Vec<&'static str> {
    let (level, _) = heading.split_once(' ').expect("a level and a title");
    let documentation = include_str!("../docs/deliveries.md");
    let section = documentation.split(&format!("\n{heading}\n")).nth(1).expect("the section is there");
    let section = section.split(&format!("\n{level} ")).next().expect("a split has a first part");
    section.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn load(toml: &str) -> Arc<Subscription> {
    let signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let environment = Environment::from([
        ("SLACK_URL", "https://hooks.slack.com/services/T000/B000/XXXX"),
        ("DISCORD_URL", "https://discord.com/api/webhooks/1/XXXX"),
        ("TEAMS_URL", "https://example.webhook.office.com/workflows/XXXX"),
        ("PAGERDUTY_ROUTING_KEY", "0123456789abcdef0123456789abcdef"),
        ("NTFY_TOPIC", "my_topic-1"),
        ("TICKET_TOKEN", "t0ken"),
        ("CI_SECRET", "plain"),
        ("SHOP_SECRET", "plain"),
        ("ERP_SECRET_OLD", signing),
        ("ERP_SECRET", signing),
    ]);
    let configuration = load_files(&[("config.toml", toml)], &environment);
    Arc::clone(&configuration.subscriptions[0])
}

#[test]
fn the_examples_of_bodies_and_signatures_can_be_configured() {
    for (heading, count) in [("### A body of your own", 1), ("## Signatures", 2)] {
        let examples = examples(heading);
        assert_eq!(examples.len(), count, "{heading}");
        for example in examples {
            load(example);
        }
    }
}

/// Checks what an example makes of each event.
fn check(heading: &str, looks_right: impl Fn(&Event, &Value)) {
    let subscription = example(heading);
    let writer = RequestWriter::new(Arc::clone(&subscription), Arc::default());
    let at = Timestamp::parse("2026-11-20T12:00:05Z").expect("a time");
    for event in events() {
        let event = Arc::new(event);
        let id = DeliveryId { event: event.id, subscription: subscription.name.clone() };
        let lease = DeliveryLease { id, token: LeaseToken::new(), until: Timestamp::LAST };
        let claimed = ClaimedDelivery {
            lease,
            event: Arc::clone(&event),
            joined: Vec::new(),
            closed: false,
            since: at,
            attempts: 0,
            failures: 0,
        };
        let request = writer.write(&claimed, at).unwrap_or_else(|error| panic!("{heading}: {}", error.message));
        assert_eq!(request.headers["content-type"], "application/json");
        looks_right(&event, &serde_json::from_slice(&request.body).expect("JSON"));
    }
}

/// Returns a text that has at least one character and at most so many.
#[track_caller]
fn text(value: &Value, most: usize) -> &str {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    assert!((1..=most).contains(&text.chars().count()), "{} characters, {most} are allowed", text.chars().count());
    text
}

/// Incoming webhooks: `text` is required beside blocks; a section's text has up to 3000 characters; `&`, `<` and `>` are
/// control characters.
#[test]
fn slack_gets_a_text_and_blocks() {
    check("#### Slack", |_, body| {
        let is_plain = |text: &str| {
            let left = ["&amp;", "&lt;", "&gt;"].iter().fold(text.to_owned(), |text, entity| text.replace(entity, ""));
            assert!(!left.contains(['&', '<', '>']), "{text}");
        };
        is_plain(text(&body["text"], 40_000));
        let blocks = body["blocks"].as_array().expect("blocks");
        assert!((1..=50).contains(&blocks.len()));
        assert_eq!((&blocks[0]["type"], &blocks[0]["text"]["type"]), (&json!("section"), &json!("mrkdwn")));
        is_plain(text(&blocks[0]["text"]["text"], 3000));
        assert_eq!((&blocks[1]["type"], &blocks[1]["elements"][0]["type"]), (&json!("context"), &json!("plain_text")));
        text(&blocks[1]["elements"][0]["text"], 3000);
    });
}

/// Execute Webhook: one of `content`, `embeds` and others is required; an embed's title has up to 256 characters, its
/// description 4096, its fields are up to 25 of 256 and 1024, all together 6000.
#[test]
fn discord_gets_an_embed_that_mentions_nobody() {
    check("#### Discord", |event, body| {
        assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
        let [embed] = body["embeds"].as_array().expect("embeds").as_slice() else { panic!("one embed") };
        let mut all = text(&embed["title"], 256).chars().count() + text(&embed["description"], 4096).chars().count();
        assert_eq!(embed["timestamp"], event.time.to_string());
        let fields = embed["fields"].as_array().expect("fields");
        assert!(fields.len() <= 25);
        for field in fields {
            all += text(&field["name"], 256).chars().count() + text(&field["value"], 1024).chars().count();
        }
        assert!(all <= 6000, "{all} characters");
    });
}

/// A message of Teams' workflows: an Adaptive Card as the attachment, in no more than 28 KB.
#[test]
fn teams_gets_an_adaptive_card() {
    check("#### Microsoft Teams", |_, body| {
        assert_eq!(body["type"], "message");
        let [attachment] = body["attachments"].as_array().expect("attachments").as_slice() else { panic!("one") };
        assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
        let card = &attachment["content"];
        assert_eq!((&card["type"], &card["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
        assert_eq!(card["$schema"], "http://adaptivecards.io/schemas/adaptive-card.json");
        for element in card["body"].as_array().expect("elements") {
            match element["type"].as_str() {
                Some("TextBlock") => assert!(element["text"].is_string()),
                Some("FactSet") => {
                    let facts = element["facts"].as_array().expect("facts");
                    assert!(facts.iter().all(|fact| fact["title"].is_string() && fact["value"].is_string()));
                }
                other => panic!("{other:?} is no element of a card"),
            }
        }
        assert!(body.to_string().len() <= 28 * 1024);
    });
}

/// Events API v2: a routing key of 32 characters, an action, a key of up to 255 characters to recognise the alert by, and
/// a payload with summary (up to 1024), source and severity.
#[test]
fn pagerduty_gets_an_event_that_removal_resolves() {
    check("#### PagerDuty", |event, body| {
        assert_eq!(body["routing_key"].as_str().map(str::len), Some(32));
        let action = if event.event_type.action() == "removed" { "resolve" } else { "trigger" };
        assert_eq!(body["event_action"], action);
        let key = text(&body["dedup_key"], 255);
        assert!(format!("orders/{}", event.key).starts_with(key));
        text(&body["payload"]["summary"], 1024);
        assert_eq!(body["payload"]["source"], "orders");
        assert!(["critical", "error", "warning", "info"].contains(&text(&body["payload"]["severity"], 10)));
        assert!(Timestamp::parse(text(&body["payload"]["timestamp"], 30)).is_ok());
        assert!(body["payload"]["custom_details"].is_object());
    });
}

/// Publishing as JSON: a topic of up to 64 letters, digits, `_` and `-`; a message of up to 4096 bytes; priorities 1 to 5.
#[test]
fn ntfy_gets_a_message_to_a_topic() {
    check("#### ntfy", |_, body| {
        let topic = text(&body["topic"], 64);
        assert!(topic.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
        assert!(body["message"].as_str().is_some_and(|message| message.len() <= 4096));
        text(&body["title"], 200);
        assert!(body["tags"].as_array().is_some_and(|tags| tags.iter().all(Value::is_string)));
        assert!(body["priority"].as_u64().is_some_and(|priority| (1..=5).contains(&priority)));
    });
}
