//! When a delivery is given up, and when a receiver is.

use super::*;

const DAY: u64 = 24 * 60 * 60;

#[tokio::test(flavor = "multi_thread")]
async fn some_answers_are_given_up_on_at_once() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Status(422), Answer::Status(429)]);
    let mut erp = subscription("erp", &endpoint.url());
    erp.retry.give_up_on = vec!["4xx".parse().expect("statuses")];
    let mut house = House::new(vec![erp]);
    let (refused, busy) = (house.add(1, "erp").await, house.add(2, "erp").await);
    house.run();
    let (state, attempts) = house.after_attempts(&refused, 1).await;
    assert!(matches!(state, DeliveryState::Dead { reason: DeathReason::Refused, .. }), "{state:?}");
    let failure = attempts[0].failure.as_ref().expect("a failure");
    assert_eq!(failure.class, FailureClass::Status);
    assert_eq!(failure.message, "the receiver answered 422 Unprocessable Entity");
    let (state, _) = house.after_attempts(&busy, 1).await;
    assert!(matches!(state, DeliveryState::Pending { .. }), "{state:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_attempted_again_after_the_end_of_patience() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Status(500));
    let mut erp = subscription("erp", &endpoint.url());
    erp.retry = RetryPolicy::new(vec![seconds(40); 20]);
    erp.retry.give_up_after = Some(seconds(100));
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();
    for attempt in 1..=2 {
        house.after_attempts(&id, attempt).await;
        house.clock.advance(seconds(44));
    }
    let (state, attempts) = house.after_attempts(&id, 3).await;
    assert!(matches!(state, DeliveryState::Dead { reason: DeathReason::Exhausted, .. }), "{attempts:?}");
    endpoint.received(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_acknowledges_nothing_for_days_is_left_alone_until_someone_enables_the_subscription() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Status(500));
    let mut erp = subscription("erp", &endpoint.url());
    erp.retry = RetryPolicy::new(vec![seconds(DAY); 9]);
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();
    house.after_attempts(&id, 1).await;
    for day in 1..=5 {
        // A wait is lengthened by up to a tenth.
        house.clock.advance(seconds(DAY + DAY / 10));
        house.after_attempts(&id, day + 1).await;
        if day == 2 {
            house.stop().await;
            house.run();
        }
    }
    let disabled = eventually("the subscription is disabled", async || {
        house.store.lane_state(&id.subscription).await.expect("a state").disabled
    })
    .await;
    insta::assert_snapshot!(disabled.reason, @"nothing was acknowledged for 5d12h, since 2026-11-20T12:00:00.000Z: at least 6 attempts failed, the last one with: the receiver answered 500 Internal Server Error");
    let told = house.news().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0.as_str(), &told[0].1["reason"]), ("pollhook.subscription.disabled", &json!(disabled.reason)));

    house.clock.advance(seconds(10 * DAY));
    endpoint.received(6).await;
    endpoint.answer_always(Answer::Status(200));
    assert!(enable(&*house.store, &id.subscription).await.expect("enabled"));
    House::assert_delivered(&house.after_attempts(&id, 7).await.0);
    assert_eq!(house.store.lane_state(&id.subscription).await.expect("a state"), LaneState::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_begins_anew_after_enabling() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Status(500));
    let mut erp = subscription("erp", &endpoint.url());
    erp.retry = RetryPolicy::new(vec![seconds(DAY); 20]);
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();
    for attempt in 1..=6 {
        house.after_attempts(&id, attempt).await;
        house.clock.advance(seconds(DAY + DAY / 10));
    }
    let lane = async || house.store.lane_state(&id.subscription).await.expect("a state");
    eventually("the subscription is disabled", async || lane().await.disabled).await;
    enable(&*house.store, &id.subscription).await.expect("enabled");
    for attempt in 7..=11 {
        house.after_attempts(&id, attempt).await;
        assert_eq!(lane().await.disabled, None, "after {attempt} attempts");
        house.clock.advance(seconds(DAY + DAY / 10));
    }
    house.after_attempts(&id, 12).await;
    eventually("the subscription is disabled again", async || lane().await.disabled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_shows_that_a_receiver_works() {
    let endpoint = Receiver::start().await;
    let mut erp = subscription("erp", &endpoint.url());
    erp.retry = RetryPolicy::new(vec![seconds(DAY); 20]);
    let mut house = House::new(vec![erp]);
    endpoint.answer_always(Answer::Status(500));
    let id = house.add(1, "erp").await;
    house.run();
    for attempt in 1..=4 {
        house.after_attempts(&id, attempt).await;
        house.clock.advance(seconds(DAY + DAY / 10));
    }
    house.after_attempts(&id, 5).await;
    let lane = async || house.store.lane_state(&id.subscription).await.expect("a state");
    eventually("failing is stored", async || lane().await.failing_since).await;
    endpoint.answer_next([Answer::Status(200)]);
    let other = house.add(2, "erp").await;
    House::assert_delivered(&house.after_attempts(&other, 1).await.0);
    eventually("failing is forgotten", async || (lane().await == LaneState::default()).then_some(())).await;
    for attempt in 6..=8 {
        house.clock.advance(seconds(DAY + DAY / 10));
        house.after_attempts(&id, attempt).await;
    }
    assert_eq!(lane().await.disabled, None);
}
