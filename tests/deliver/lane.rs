//! What is sent, when, and what becomes of it.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_the_event_signed_with_each_secret() {
    let endpoint = Receiver::start().await;
    let mut erp = subscription("erp", &endpoint.url());
    erp.signing = secrets(&[HMAC, ED25519]);
    erp.headers = vec![("X-Team".to_owned(), Secret::new("erp".to_owned()))];
    let mut house = House::new(vec![erp]);
    let event = event(1017, start());
    let body = serde_json::to_vec(&event).expect("JSON");
    let id = house.add_event(event, "erp").await;
    house.run();

    let (state, attempts) = house.after_attempts(&id, 1).await;
    House::assert_delivered(&state);
    assert_eq!((attempts[0].number, attempts[0].status, &attempts[0].failure), (1, Some(200), &None));

    let mut received = endpoint.received(1).await.remove(0);
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/hook"));
    assert_eq!(received.body, body);
    assert_eq!(received.json()["data"]["id"], 1017);
    assert_eq!(received.header("webhook-id"), id.event.to_string());
    assert_eq!(received.header("webhook-timestamp"), start().as_seconds().to_string());
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("user-agent"), concat!("pollhook/", env!("CARGO_PKG_VERSION")));
    assert_eq!(received.header("x-team"), "erp");
    for key in [HMAC, ED25519] {
        assert_eq!(received.verify(&[key], start()), Ok(()));
    }
    assert_eq!(received.verify(&[OTHER_HMAC], start()), Err(VerifyError::NoMatch));
    received.body[20] ^= 1;
    assert_eq!(received.verify(&[HMAC, ED25519], start()), Err(VerifyError::NoMatch));

    let metrics = house.telemetry.metrics();
    let line = r#"pollhook_delivery_attempts_total{subscription="erp",outcome="delivered"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_repeated_on_schedule_with_the_same_id_and_body_and_a_fresh_signature() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Full(500, Vec::new(), "no <token>".to_owned()), Answer::Status(404)]);
    let mut erp = subscription("erp", &endpoint.url());
    erp.signing = secrets(&[HMAC]);
    erp.redactor = Redactor::new([Secret::new("<token>".to_owned())]);
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();

    let (state, _) = house.after_attempts(&id, 1).await;
    let DeliveryState::Pending { due } = state else { panic!("{state:?}") };
    assert!((start() + seconds(10)..=start() + seconds(11)).contains(&due), "{due}");
    house.clock.advance(seconds(11));
    let (state, _) = house.after_attempts(&id, 2).await;
    let DeliveryState::Pending { due } = state else { panic!("{state:?}") };
    assert!((start() + seconds(71)..=start() + seconds(77)).contains(&due), "{due}");
    house.clock.advance(seconds(66));
    let (state, attempts) = house.after_attempts(&id, 3).await;
    House::assert_delivered(&state);
    let numbers_and_statuses: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.status)).collect();
    assert_eq!(numbers_and_statuses, [(1, Some(500)), (2, Some(404)), (3, Some(200))]);
    assert_eq!(attempts[0].answer, "no ***");

    let received = endpoint.received(3).await;
    for (request, time) in received.iter().zip([start(), start() + seconds(11), start() + seconds(77)]) {
        assert_eq!(request.header("webhook-id"), received[0].header("webhook-id"));
        assert_eq!(request.body, received[0].body);
        assert_eq!(request.header("webhook-timestamp"), time.as_seconds().to_string());
        assert_eq!(request.verify(&[HMAC], time), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_rest_gets_it_from_the_whole_lane_also_after_a_restart() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Full(503, vec![("retry-after", "120".to_owned())], String::new())]);
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    let first = house.add(1, "erp").await;
    let second = house.add(2, "erp").await;
    house.run();

    let (state, _) = house.after_attempts(&first, 1).await;
    assert_eq!(state, DeliveryState::Pending { due: start() + seconds(120) });
    let paused = LaneState { paused_until: Some(start() + seconds(120)), ..LaneState::default() };
    eventually("the pause is stored", async || {
        (house.store.lane_state(&first.subscription).await.expect("a state") == paused).then_some(())
    })
    .await;

    house.stop().await;
    house.run();
    house.clock.advance(seconds(119));
    endpoint.received(1).await;
    house.clock.advance(seconds(1));
    House::assert_delivered(&house.after_attempts(&second, 1).await.0);
    House::assert_delivered(&house.after_attempts(&first, 2).await.0);
    let keys: Vec<_> = endpoint.received(3).await.iter().map(|request| request.json()["key"].clone()).collect();
    assert_eq!(keys, ["1", "2", "1"], "first tries go ahead of retries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_left_alone_until_someone_enables_the_subscription() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Status(410)]);
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    let (first, second) = (house.add(1, "erp").await, house.add(2, "erp").await);
    house.run();

    let (state, attempts) = house.after_attempts(&first, 1).await;
    assert_eq!(state, DeliveryState::Dead { at: start() + attempts[0].duration, reason: DeathReason::Gone });
    let disabled = eventually("the subscription is disabled", async || {
        house.store.lane_state(&first.subscription).await.expect("a state").disabled
    })
    .await;
    assert_eq!((disabled.at, disabled.url), (start(), endpoint.url()));
    let told = house.news().await;
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["pollhook.subscription.disabled", "pollhook.delivery.dead"]);
    assert_eq!(told[0].1["subscription"], "erp");
    assert_eq!((&told[1].1["reason"], &told[1].1["status"]), (&json!("gone"), &json!(410)));

    house.stop().await;
    house.run();
    house.clock.advance(seconds(3600));
    endpoint.received(1).await;
    assert!(enable(&*house.store, &first.subscription).await.expect("enabled"));
    House::assert_delivered(&house.after_attempts(&second, 1).await.0);
    assert!(!enable(&*house.store, &first.subscription).await.expect("nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_url_enables_a_subscription() {
    let (gone, new) = (Receiver::start().await, Receiver::start().await);
    gone.answer_always(Answer::Status(410));
    let mut house = House::new(vec![subscription("erp", &gone.url())]);
    let (first, second) = (house.add(1, "erp").await, house.add(2, "erp").await);
    house.run();
    house.after_attempts(&first, 1).await;
    house.stop().await;
    gone.received(1).await;

    house.subscriptions = vec![Arc::new(subscription("erp", &new.url()))];
    house.run();
    House::assert_delivered(&house.after_attempts(&second, 1).await.0);
    assert_eq!(house.store.lane_state(&first.subscription).await.expect("a state"), LaneState::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_counts_as_a_failure() {
    let (endpoint, elsewhere) = (Receiver::start().await, Receiver::start().await);
    for status in [301, 302, 303, 307, 308] {
        endpoint.answer_next([Answer::Full(status, vec![("location", elsewhere.url())], String::new())]);
    }
    let mut erp = subscription("erp", &endpoint.url());
    erp.lane.concurrency = 5;
    let mut house = House::new(vec![erp]);
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(house.add(number, "erp").await);
    }
    house.run();
    for id in &ids {
        let (state, attempts) = house.after_attempts(id, 1).await;
        assert!(matches!(state, DeliveryState::Pending { .. }), "{state:?}");
        assert!(matches!(attempts[0].status, Some(300..=308)), "{attempts:?}");
    }
    endpoint.received(5).await;
    elsewhere.received(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_schedule_is_exhausted_the_delivery_is_a_dead_letter_and_news() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Status(500));
    let mut erp = subscription("erp", &endpoint.url());
    erp.retry = RetryPolicy::new(vec![seconds(10)]);
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();
    house.after_attempts(&id, 1).await;
    house.clock.advance(seconds(11));
    let (state, _) = house.after_attempts(&id, 2).await;
    assert!(matches!(state, DeliveryState::Dead { reason: DeathReason::Exhausted, .. }), "{state:?}");
    let expected = json!({
        "delivery": id, "event": id.event, "type": "orders.created", "connector": "orders", "key": "1",
        "subscription": "erp", "reason": "exhausted", "attempts": 2, "status": 500,
        "failure": { "class": "status", "message": "the receiver answered 500 Internal Server Error" },
    });
    assert_eq!(house.news().await, [("pollhook.delivery.dead".to_owned(), expected)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_carries_news_makes_no_news() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Status(500));
    let mut news = subscription("news", &endpoint.url());
    news.matching.connectors = vec![Pattern::new("pollhook")];
    news.retry = RetryPolicy::new(Vec::new());
    let mut erp = subscription("erp", &endpoint.url());
    erp.retry = RetryPolicy::new(Vec::new());
    let mut house = House::new(vec![news, erp]);
    house.add(1, "erp").await;
    house.run();
    let received = endpoint.received(2).await;
    assert_eq!(received[1].json()["type"], "pollhook.delivery.dead");
    let dead = DeliveryId {
        event: received[1].header("webhook-id").parse().expect("an event id"),
        subscription: "news".parse().expect("a name"),
    };
    let (state, _) = house.after_attempts(&dead, 1).await;
    assert!(matches!(state, DeliveryState::Dead { .. }), "{state:?}");
    assert_eq!(house.news().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_delays_nobody_else() {
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    slow.answer_always(Answer::Held(Box::new(Answer::Status(200))));
    let mut house = House::new(vec![subscription("slow", &slow.url()), subscription("quick", &quick.url())]);
    let mut ids = Vec::new();
    for number in 0..100 {
        house.add(number, "slow").await;
        ids.push(house.add(number, "quick").await);
    }
    house.run();
    for id in &ids {
        House::assert_delivered(&house.after_attempts(id, 1).await.0);
    }
    slow.received(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deliveries_are_each_sent_once_with_no_more_at_once_than_allowed() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Held(Box::new(Answer::Status(204))));
    let mut erp = subscription("erp", &endpoint.url());
    erp.lane.concurrency = 7;
    let mut house = House::new(vec![erp]);
    let mut ids = Vec::new();
    for number in 0..500 {
        ids.push(house.add(number, "erp").await);
    }
    house.run();
    endpoint.received(7).await;
    endpoint.release();
    for id in &ids {
        House::assert_delivered(&house.after_attempts(id, 1).await.0);
    }
    let mut keys: Vec<u64> =
        endpoint.received(500).await.iter().map(|request| request.json()["data"]["id"].as_u64().expect("id")).collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..500).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_cut() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::EndlessBody]);
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    let id = house.add(1, "erp").await;
    house.run();
    let (state, attempts) = house.after_attempts(&id, 1).await;
    House::assert_delivered(&state);
    assert_eq!(attempts[0].answer.len(), ANSWER_KEPT);
}

#[track_caller]
fn assert_failed(state: &DeliveryState, attempts: &[Attempt], class: FailureClass) {
    assert!(matches!(state, DeliveryState::Pending { .. }), "{state:?}");
    assert_eq!(attempts[0].failure.as_ref().map(|failure| failure.class), Some(class), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deadline_covers_header_and_body() {
    for answer in [Answer::StalledHeader, Answer::StalledBody, Answer::Held(Box::new(Answer::Status(200)))] {
        let endpoint = Receiver::start().await;
        endpoint.answer_next([answer]);
        let mut erp = subscription("erp", &endpoint.url());
        erp.timeout = Duration::from_millis(500);
        let mut house = House::new(vec![erp]);
        let id = house.add(1, "erp").await;
        house.run();
        let (state, attempts) = house.after_attempts(&id, 1).await;
        assert_failed(&state, &attempts, FailureClass::Timeout);
        house.clock.advance(seconds(11));
        House::assert_delivered(&house.after_attempts(&id, 2).await.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_or_is_refused_is_a_failure() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Reset]);
    let mut house = House::new(vec![
        subscription("erp", &endpoint.url()),
        // Nothing listens at port 1.
        subscription("nobody", "http://127.0.0.1:1/"),
    ]);
    let (reset, refused) = (house.add(1, "erp").await, house.add(2, "nobody").await);
    house.run();
    let (state, attempts) = house.after_attempts(&reset, 1).await;
    assert_failed(&state, &attempts, FailureClass::Transport);
    let (state, attempts) = house.after_attempts(&refused, 1).await;
    assert_failed(&state, &attempts, FailureClass::Connect);
    house.clock.advance(seconds(11));
    House::assert_delivered(&house.after_attempts(&reset, 2).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_closes_its_idle_connections_costs_no_attempt() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::StatusThenClose(200));
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    house.run();
    for number in 0..200 {
        let id = house.add(number, "erp").await;
        let (state, attempts) = house.after_attempts(&id, 1).await;
        assert!(matches!(state, DeliveryState::Delivered { .. }), "{attempts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_is_under_way_and_gives_back_the_rest() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Held(Box::new(Answer::Status(200))));
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    let (first, second) = (house.add(1, "erp").await, house.add(2, "erp").await);
    house.run();
    endpoint.received(1).await;
    house.shutdown.cancel();
    // The second delivery was claimed with the first one: nobody else gets it before it is given back.
    let given_back = eventually("the second is given back", async || {
        let claimed = house.store.claim_deliveries(&second.subscription, start(), Claim::up_to(5, seconds(60))).await;
        claimed.expect("a claim").deliveries.pop()
    })
    .await;
    assert_eq!(given_back.lease.id, second);
    endpoint.release();
    house.stop().await;
    House::assert_delivered(&house.attempts(&first).await.0);
    endpoint.received(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dropped_lane_held_is_sent_when_its_lease_ends() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Held(Box::new(Answer::Status(200)))]);
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    let (first, second) = (house.add(1, "erp").await, house.add(2, "erp").await);
    house.run();
    endpoint.received(1).await;
    house.lanes.shutdown().await;
    house.run();
    // A lease covers a minute of waiting, the timeout, and ten seconds for settling.
    house.clock.advance(seconds(81));
    House::assert_delivered(&house.after_attempts(&first, 1).await.0);
    House::assert_delivered(&house.after_attempts(&second, 1).await.0);
    let received = endpoint.received(3).await;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_a_dead_letter_that_says_why() {
    let mut erp = subscription("erp", "http://127.0.0.1:1/");
    erp.headers = vec![("X-Team".to_owned(), Secret::new("two\nlines".to_owned()))];
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();
    let (state, attempts) = house.after_attempts(&id, 1).await;
    assert!(matches!(state, DeliveryState::Dead { reason: DeathReason::Unsendable, .. }), "{state:?}");
    let failure = attempts[0].failure.as_ref().expect("a failure");
    assert_eq!(failure.class, FailureClass::Render);
    insta::assert_snapshot!(failure.message, @"the value of the header `X-Team` has characters that a header cannot have");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_too_long_for_a_slot_is_given_back_and_claimed_anew() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Held(Box::new(Answer::Status(200)))]);
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    let (first, second) = (house.add(1, "erp").await, house.add(2, "erp").await);
    house.run();
    endpoint.received(1).await;
    // Both leases still run, but the second one not for long enough to send with.
    house.clock.advance(seconds(70));
    endpoint.release();
    House::assert_delivered(&house.after_attempts(&first, 1).await.0);
    House::assert_delivered(&house.after_attempts(&second, 1).await.0);
    endpoint.received(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_left_alone_for_longer_each_time() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Held(Box::new(Answer::Status(200)))]);
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    house.add(1, "erp").await;
    house.add(2, "erp").await;
    house.run();
    endpoint.received(1).await;
    house.store.close().await.expect("closed");
    endpoint.release();
    let failures = async |count: usize| {
        let line = format!("pollhook_lane_store_failures_total{{subscription=\"erp\"}} {count}\n");
        eventually(&line, async || house.telemetry.metrics().contains(&line).then_some(())).await;
    };
    // The settlement fails, and each look thereafter; the second delivery is not sent without being settled.
    failures(1).await;
    for (rest, count) in [(1, 2), (2, 3), (4, 4), (8, 5), (16, 6), (30, 7), (30, 8)] {
        house.clock.advance(seconds(rest));
        failures(count).await;
    }
    endpoint.received(1).await;
}
