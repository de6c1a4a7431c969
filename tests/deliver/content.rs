//! What receivers read, and what it is signed with, attempt by attempt.

use pollhook::model::content::{BatchPolicy, DeliveryFormat, TooLarge};
use pollhook::model::expression::Expression;
use pollhook::model::quantity::ByteSize;
use pollhook::model::signing::HeaderSignature;
use serde_json::value::to_raw_value;

use super::*;

fn jq(source: &str) -> Expression {
    Expression::parse(source).expect("jq")
}

fn ending(text: &str, after: u64) -> Timed<SigningSecret> {
    Timed { secret: SigningSecret::parse(text).expect("a secret"), until: Some(start() + seconds(after)) }
}

#[tokio::test]
async fn every_attempt_of_a_delivery_has_the_same_bytes_in_every_format() {
    let contents = [
        (DeliveryFormat::Standard, None),
        (DeliveryFormat::Standard, Some(jq("{text: .key, n: .data.id}"))),
        (DeliveryFormat::CloudEvents, None),
        (DeliveryFormat::CloudEventsBatch, None),
        (DeliveryFormat::CloudEventsBinary, None),
        (DeliveryFormat::Form, None),
        (DeliveryFormat::Raw, None),
    ];
    for (format, body) in contents {
        let endpoint = Receiver::start().await;
        endpoint.answer_next([Answer::Status(500)]);
        let mut erp = subscription("erp", &endpoint.url());
        erp.content = Content { format, body, ..Content::default() };
        let mut house = House::new(vec![erp]);
        let id = house.add(1, "erp").await;
        house.run();
        house.after_attempts(&id, 1).await;
        house.clock.advance(seconds(11));
        let (state, _) = house.after_attempts(&id, 2).await;
        House::assert_delivered(&state);
        let mut received = endpoint.received(2).await;
        for request in &mut received {
            assert!(request.headers.remove("webhook-timestamp").is_some(), "each attempt has its own time");
        }
        assert_eq!((&received[0].headers, &received[0].body), (&received[1].headers, &received[1].body), "{format:?}");
        assert!(!received[0].body.is_empty());
    }
}

#[tokio::test]
async fn a_secret_that_ends_between_attempts_signs_the_first_and_not_the_second() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Status(500)]);
    let mut erp = subscription("erp", &endpoint.url());
    let new = Timed::always(SigningSecret::parse(OTHER_HMAC).expect("a secret"));
    erp.signing = Signing::Standard(vec![ending(HMAC, 5), new]);
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();
    house.after_attempts(&id, 1).await;
    house.clock.advance(seconds(11));
    house.after_attempts(&id, 2).await;
    let received = endpoint.received(2).await;
    let verdicts = |secret: &str| -> Vec<_> {
        let times = [start(), start() + seconds(11)];
        received.iter().zip(times).map(|(request, time)| request.verify(&[secret], time)).collect()
    };
    assert_eq!(verdicts(HMAC), [Ok(()), Err(VerifyError::NoMatch)]);
    assert_eq!(verdicts(OTHER_HMAC), [Ok(()), Ok(())]);
}

#[tokio::test]
async fn when_all_secrets_have_ended_nothing_is_sent_and_attempts_go_on() {
    let endpoint = Receiver::start().await;
    let mut erp = subscription("erp", &endpoint.url());
    erp.signing = Signing::Standard(vec![ending(HMAC, 0)]);
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();
    let (state, attempts) = house.after_attempts(&id, 1).await;
    assert!(matches!(state, DeliveryState::Pending { .. }), "{state:?}");
    let failure = attempts[0].failure.as_ref().expect("a failure");
    assert_eq!(failure.class, FailureClass::Render);
    assert!(failure.message.contains("configure a new one"), "{}", failure.message);
    assert!(endpoint.so_far().is_empty());

    // A new secret comes before the attempts are used up.
    house.stop().await;
    let mut erp = subscription("erp", &endpoint.url());
    let new = Timed::always(SigningSecret::parse(OTHER_HMAC).expect("a secret"));
    erp.signing = Signing::Standard(vec![ending(HMAC, 0), new]);
    house.subscriptions = vec![Arc::new(erp)];
    house.clock.advance(seconds(11));
    house.run();
    let (state, _) = house.after_attempts(&id, 2).await;
    House::assert_delivered(&state);
    assert_eq!(endpoint.received(1).await[0].verify(&[OTHER_HMAC], start() + seconds(11)), Ok(()));
}

#[tokio::test]
async fn a_header_of_another_style_signs_the_body_and_id_and_time_are_sent_as_well() {
    let endpoint = Receiver::start().await;
    let mut ci = subscription("ci", &endpoint.url());
    let secret = Secret::new("It's a Secret to Everybody".to_owned());
    ci.signing = Signing::Header(HeaderSignature::github(), vec![Timed::always(secret)]);
    let keys = pollhook::deliver::VerifyingKey::all_of(&ci.signing);
    let mut house = House::new(vec![ci]);
    let id = house.add(1, "ci").await;
    house.run();
    house.after_attempts(&id, 1).await;
    let received = &endpoint.received(1).await[0];
    assert_eq!(received.header("webhook-id"), id.event.to_string());
    assert_eq!(received.header("webhook-timestamp"), start().as_seconds().to_string());
    assert!(!received.headers.contains_key("webhook-signature"));
    let verify = |body: &[u8]| pollhook::deliver::verify(&keys, &received.headers, body, start());
    assert_eq!(verify(&received.body), Ok(()));
    assert_eq!(verify(b"{}"), Err(VerifyError::NoMatch));
}

/// Delivers an event of about 3 KiB, half of it in `previous`. Returns what became of it, what was said, and what was sent.
async fn outcome(content: Content) -> (DeliveryState, Option<String>, Vec<receiver::Received>) {
    let endpoint = Receiver::start().await;
    let mut erp = subscription("erp", &endpoint.url());
    erp.content = content;
    erp.redactor = Redactor::new([Secret::new("T0KEN".to_owned())]);
    let mut house = House::new(vec![erp]);
    let mut event = event(1, start());
    event.data = to_raw_value(&json!({ "text": "d".repeat(1500), "token": "T0KEN" })).expect("JSON");
    event.previous = Some(to_raw_value(&json!({ "text": "p".repeat(1500) })).expect("JSON"));
    let id = house.add_event(event, "erp").await;
    house.run();
    let (state, attempts) = house.after_attempts(&id, 1).await;
    (state, attempts[0].failure.as_ref().map(|failure| failure.message.clone()), endpoint.so_far())
}

#[tokio::test]
async fn what_cannot_be_made_of_an_event_is_a_dead_letter_that_says_of_which_and_why() {
    let check = async |content: Content, expected: DeathReason, words: &[&str]| {
        let (state, said, sent) = outcome(content).await;
        assert!(matches!(state, DeliveryState::Dead { reason, .. } if reason == expected), "{state:?}");
        let said = said.expect("a failure");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert!(sent.is_empty());
    };
    let body = |source| Content { body: Some(jq(source)), ..Content::default() };
    check(body("empty"), DeathReason::Unsendable, &["gives nothing for evt_", "(orders.created, \"1\")"]).await;
    check(body(".data.text.a"), DeathReason::Unsendable, &["failed on evt_", "`.data.text` is a string"]).await;
    check(body(".data.token | error"), DeathReason::Unsendable, &["failed on evt_", "***"]).await;
    let form = Content { format: DeliveryFormat::Form, ..body("[]") };
    check(form, DeathReason::Unsendable, &["gives a list for evt_"]).await;
    let small = Content { max_body: ByteSize(1024), ..Content::default() };
    check(small, DeathReason::TooLarge, &["the body has 3.", "`max_body` is 1 KiB"]).await;
}

#[tokio::test]
async fn what_is_too_large_is_sent_without_previous_where_that_is_enough() {
    let content = Content { max_body: ByteSize(2 * 1024), too_large: TooLarge::WithoutPrevious, ..Content::default() };
    let (state, _, sent) = outcome(content).await;
    House::assert_delivered(&state);
    let event = sent[0].json();
    assert!(event["data"].is_object() && event["previous"].is_null(), "{event}");
}

#[tokio::test]
async fn a_batch_is_a_signed_list_that_stays_together_under_an_id_of_its_own() {
    for format in [DeliveryFormat::Standard, DeliveryFormat::CloudEvents] {
        let endpoint = Receiver::start().await;
        endpoint.answer_next([Answer::Status(500)]);
        let mut erp = subscription("erp", &endpoint.url());
        erp.signing = secrets(&[HMAC, ED25519]);
        erp.content =
            Content { format, batch: Some(BatchPolicy { max: 3, wait: Duration::ZERO }), ..Content::default() };
        let mut house = House::new(vec![erp]);
        let mut ids = Vec::new();
        for number in 1..=3 {
            ids.push(house.add(number, "erp").await);
        }
        house.run();
        endpoint.received(1).await;
        eventually("the first attempt is settled", async || {
            let (_, attempts) = house.attempts(&ids[0]).await;
            (!attempts.is_empty()).then_some(())
        })
        .await;
        house.clock.advance(seconds(11));
        let received = endpoint.received(2).await;
        assert_eq!(received[0].body, received[1].body);
        let id = ids[0].event.to_string().replace("evt_", "bat_");
        for (request, time) in received.iter().zip([start(), start() + seconds(11)]) {
            assert_eq!(request.header("webhook-id"), id);
            assert_eq!(request.verify(&[HMAC], time), Ok(()));
        }
        let listed = received[0].json();
        let listed: Vec<_> = listed.as_array().expect("a list").iter().map(|event| event["id"].clone()).collect();
        assert_eq!(listed, ids.iter().map(|id| json!(id.event)).collect::<Vec<_>>());
    }
}
