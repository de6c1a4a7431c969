use serde_json::json;

use super::*;
use crate::deliver::fixture::{claimed, golden, subscription};
use crate::model::auth::Auth;
use crate::model::content::{BatchPolicy, Content, DeliveryFormat};
use crate::model::expression::Expression;
use crate::model::id::EventId;
use crate::model::secret::{Redactor, Secret, SigningSecret};
use crate::model::signing::{HeaderSignature, Signing, Timed};

const HMAC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ED25519: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

fn at() -> Timestamp {
    Timestamp::parse("2026-11-20T12:00:05Z").expect("a time")
}

fn writer(content: Content, change: impl FnOnce(&mut Subscription)) -> RequestWriter {
    let mut subscription = subscription("erp", "https://erp.example.com/hooks/T0KEN");
    subscription.content = content;
    change(&mut subscription);
    RequestWriter::new(Arc::new(subscription), Arc::default())
}

fn timed(text: &str, until: Option<&str>) -> Timed<SigningSecret> {
    let until = until.map(|until| Timestamp::parse(until).expect("a time"));
    Timed { secret: SigningSecret::parse(text).expect("a secret"), until }
}

#[test]
fn a_request_is_described_without_its_secrets_and_with_what_a_verifier_computes() {
    let writer = writer(Content::default(), |subscription| {
        let token = Secret::new("T0KEN".to_owned());
        subscription.redactor = Redactor::new([token.clone(), Secret::new(HMAC.to_owned())]);
        subscription.headers = vec![("X-Team".to_owned(), token.clone())];
        subscription.auth = Some(Auth::Bearer { token });
        subscription.signing = Signing::Standard(vec![timed(HMAC, Some("2026-12-01T00:00:00Z")), timed(ED25519, None)]);
    });
    let mut event = golden();
    event.previous = None;
    let claimed = claimed(vec![event]);
    let description = writer.describe(&claimed, at()).expect("a request");
    let written = writer.write(&claimed, at()).expect("a request");
    assert_eq!(description.body.as_bytes(), &written.body[..]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&description).expect("JSON"), @r#"
    {
      "method": "POST",
      "url": "https://erp.example.com/hooks/***",
      "headers": {
        "x-team": "***",
        "content-type": "application/json",
        "webhook-signature": "v1,opPfttOv8LK5UZMGib6qW+bc5/LPFvClh/+Zv6/uzf4= v1a,FVqXCVihtu/zyJV9vnME9xPhhelN3Sy2sK+5XLWvqQs849DOTq0YNdLPiB6OrYc4KnsR1ySiE1KO5uRgsK1cBw==",
        "webhook-id": "evt_07070707070707070707070707070707",
        "webhook-timestamp": "1795176005",
        "authorization": "***"
      },
      "body": "{\"type\":\"orders.updated\",\"timestamp\":\"2026-11-20T12:00:00.123Z\",\"id\":\"evt_07070707070707070707070707070707\",\"connector\":\"orders\",\"element\":{\"shop\":\"Ä 1\"},\"key\":\"1017\",\"data\":{\"id\":1017,\"status\":\"paid\",\"n\":9007199254740993,\"f\":1.0,\"e\":1e400,\"z\":0.1000},\"changes\":[{\"op\":\"replace\",\"path\":\"/f\",\"value\":1.0}]}",
      "signature": {
        "header": "webhook-signature",
        "signed": "evt_07070707070707070707070707070707.1795176005.{body}",
        "signed_bytes": 354,
        "body_sha256": "d3e66412a6289ad01c620decb74125029540053cb0930059fc4a85b3880502b4",
        "keys": [
          {
            "scheme": "v1",
            "expected": "v1,opPfttOv8LK5UZMGib6qW+bc5/LPFvClh/+Zv6/uzf4=",
            "key_fingerprint": "f74e1720",
            "until": "2026-12-01T00:00:00.000Z"
          },
          {
            "scheme": "v1a",
            "expected": "v1a,FVqXCVihtu/zyJV9vnME9xPhhelN3Sy2sK+5XLWvqQs849DOTq0YNdLPiB6OrYc4KnsR1ySiE1KO5uRgsK1cBw==",
            "key_fingerprint": "21fe31df",
            "public_key": "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
          }
        ]
      }
    }
    "#);
}

#[test]
fn github_s_style_signs_the_body_alone_and_with_the_first_secret_in_use() {
    let secret = |text: &str, until: Option<&str>| Timed {
        secret: Secret::new(text.to_owned()),
        until: until.map(|until| Timestamp::parse(until).expect("a time")),
    };
    let writer = writer(Content { format: DeliveryFormat::Raw, ..Content::default() }, |subscription| {
        let secrets = vec![
            secret("ended", Some("2026-11-20T12:00:05Z")),
            secret("It's a Secret to Everybody", None),
            secret("later", None),
        ];
        subscription.signing = Signing::Header(HeaderSignature::github(), secrets);
    });
    let mut event = golden();
    event.data = serde_json::value::to_raw_value("x").expect("JSON");
    let description = writer.describe(&claimed(vec![event]), at()).expect("a request");
    insta::assert_snapshot!(serde_json::to_string_pretty(&description).expect("JSON"), @r#"
    {
      "method": "POST",
      "url": "https://erp.example.com/hooks/T0KEN",
      "headers": {
        "content-type": "application/json",
        "x-hub-signature-256": "sha256=6258f8672c3d32bae60bf93f20db14b6a8b48e1cf093bc17cc44226e8fd7388b",
        "webhook-id": "evt_07070707070707070707070707070707",
        "webhook-timestamp": "1795176005"
      },
      "body": "\"x\"",
      "signature": {
        "header": "X-Hub-Signature-256",
        "signed": "{body}",
        "signed_bytes": 3,
        "body_sha256": "ba2df4903a2c14e86dc3bcca58911b44ac1d2514b7227bf6eb08cfb978f55a1b",
        "keys": [
          {
            "scheme": "HMAC-SHA256",
            "expected": "sha256=6258f8672c3d32bae60bf93f20db14b6a8b48e1cf093bc17cc44226e8fd7388b",
            "key_fingerprint": "2f8894d9"
          }
        ]
      }
    }
    "#);
}

#[test]
fn nothing_is_sent_unsigned_when_all_secrets_have_ended() {
    let writer = writer(Content::default(), |subscription| {
        subscription.signing = Signing::Standard(vec![
            timed(HMAC, Some("2026-11-20T12:00:05Z")),
            timed(ED25519, Some("2026-11-19T00:00:00Z")),
        ]);
    });
    let before = Timestamp::parse("2026-11-20T12:00:04.999Z").expect("a time");
    let signed = writer.write(&claimed(vec![golden()]), before).expect("still signed");
    assert!(signed.headers.contains_key(sign::SIGNATURE));
    let refused = writer.write(&claimed(vec![golden()]), at()).expect_err("no secret is left");
    assert_eq!(refused.reason, None, "a new secret may come before the attempts are used up");
    insta::assert_snapshot!(refused.message, @"none of the subscription's secrets may be used any more, the last one ended at 2026-11-20T12:00:05.000Z: configure a new one");
}

fn batch_of(count: u8) -> Vec<Event> {
    let event = |number| Event { id: EventId::from_bytes([number; 16]), ..golden() };
    (1..=count).map(event).collect()
}

#[test]
fn a_batch_is_a_list_under_an_id_of_its_own_and_a_single_event_keeps_its_id() {
    let content = || Content {
        body: Some(Expression::parse(".id").expect("jq")),
        batch: Some(BatchPolicy { max: 3, wait: std::time::Duration::ZERO }),
        ..Content::default()
    };
    let sent = |events: Vec<Event>| {
        let request = writer(content(), |_| ()).write(&claimed(events), at()).expect("a request");
        let id = request.headers[sign::ID].to_str().expect("text").to_owned();
        (id, String::from_utf8(request.body.to_vec()).expect("text"))
    };
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    assert_eq!(sent(batch_of(2)), (format!("bat_{one}"), format!("[\"evt_{one}\",\"evt_{two}\"]")));
    assert_eq!(sent(batch_of(1)), (format!("evt_{one}"), format!("[\"evt_{one}\"]")));
}

/// Writes a request with this limit and says how large its body is, or why there is none.
#[track_caller]
fn check_size(content: Content, events: Vec<Event>, expected: Result<usize, &str>) {
    let result = writer(content, |_| ()).write(&claimed(events), at());
    let result = result.map(|request| request.body.len()).map_err(|unsendable| {
        assert_eq!(unsendable.reason, Some(DeathReason::TooLarge));
        unsendable.message
    });
    assert_eq!(result.as_ref().map_err(String::as_str), expected.as_ref().map_err(|message| &**message));
}

#[test]
fn what_is_too_large_is_not_sent_or_sent_without_previous() {
    let content = |max_body: u64, too_large| Content { max_body: ByteSize(max_body), too_large, ..Content::default() };
    let large = |previous: usize| Event {
        data: serde_json::value::to_raw_value(&json!("d".repeat(2000))).expect("JSON"),
        changes: None,
        previous: Some(serde_json::value::to_raw_value(&json!("p".repeat(previous))).expect("JSON")),
        ..golden()
    };
    let whole = serde_json::to_vec(&large(1000)).expect("JSON").len();
    let fits = u64::try_from(whole).expect("small");
    let shorter = whole - 1000 - r#","previous":"""#.len();
    check_size(content(fits, TooLarge::DeadLetter), vec![large(1000)], Ok(whole));
    let message = format!("the body has 3.1 KiB ({whole} bytes), and `max_body` is 3.1 KiB");
    check_size(content(fits - 1, TooLarge::DeadLetter), vec![large(1000)], Err(&message));
    check_size(content(fits - 1, TooLarge::WithoutPrevious), vec![large(1000)], Ok(shorter));
    let message = format!(
        "the body has 3.1 KiB ({whole} bytes), 2.1 KiB ({shorter} bytes) without `previous`, and `max_body` is 1 KiB"
    );
    check_size(content(1024, TooLarge::WithoutPrevious), vec![large(1000)], Err(&message));
    let two = format!("the body of 2 events has 6.2 KiB ({} bytes), and `max_body` is 3.1 KiB", 2 * whole + 3);
    check_size(content(fits, TooLarge::DeadLetter), vec![large(1000), large(1000)], Err(&two));
}

#[test]
fn what_is_estimated_is_never_less_than_what_is_sent() {
    let mut wild = golden();
    wild.key = "k\"\\\u{1}".repeat(50);
    wild.changes = Some(serde_json::value::to_raw_value(&json!(["\"\\".repeat(500)])).expect("JSON"));
    for format in [
        DeliveryFormat::Standard,
        DeliveryFormat::CloudEvents,
        DeliveryFormat::CloudEventsBatch,
        DeliveryFormat::CloudEventsBinary,
        DeliveryFormat::Form,
        DeliveryFormat::Raw,
    ] {
        let content = Content { format, ..Content::default() };
        let writer = writer(content, |_| ());
        let sent = writer.write(&claimed(vec![wild.clone()]), at()).expect("a request").body.len();
        let most = writer.most_bytes(&wild).expect("it can be rendered");
        assert!((sent..4 * sent + 2048).contains(&most), "{format:?}: {sent} estimated as {most}");
    }
    let fails = Content { body: Some(Expression::parse("empty").expect("jq")), ..Content::default() };
    assert_eq!(writer(fails, |_| ()).most_bytes(&wild), None);
}
