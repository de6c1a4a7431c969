//! A receiver that fails is left alone, and found again.

use pollhook::model::lane::BreakerPolicy;

use super::*;

/// Returns a house with so many deliveries to a receiver.
async fn house(endpoint: &Receiver, count: u64, change: impl FnOnce(&mut Subscription)) -> (House, Vec<DeliveryId>) {
    let mut erp = subscription("erp", &endpoint.url());
    erp.retry = RetryPolicy::new(vec![seconds(600); 5]);
    change(&mut erp);
    let house = House::new(vec![erp]);
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(house.add(number, "erp").await);
    }
    (house, ids)
}

async fn state(house: &House) -> LaneState {
    house.store.lane_state(&"erp".parse().expect("a name")).await.expect("a state")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_only_fails_gets_single_trials_at_growing_distances_also_after_a_restart() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next((0..11).map(|_| Answer::Status(500)));
    let (mut house, ids) = house(&endpoint, 40, |_| {}).await;
    house.run();
    let opened = eventually("the breaker opens", async || state(&house).await.breaker).await;
    assert_eq!((opened.since, opened.until, opened.failed_trials), (start(), start() + seconds(10), 0));
    endpoint.received(10).await;

    house.stop().await;
    house.run();
    house.clock.advance(seconds(9));
    house.clock.advance(seconds(1));
    let opened = eventually("the trial fails", async || {
        state(&house).await.breaker.filter(|breaker| breaker.failed_trials == 1)
    })
    .await;
    assert_eq!((opened.since, opened.until), (start(), start() + seconds(30)));
    endpoint.received(11).await;

    house.clock.advance(seconds(19));
    house.clock.advance(seconds(1));
    endpoint.received(40).await;
    for id in &ids[11..] {
        let (state, attempts) = house.after_attempts(id, 1).await;
        House::assert_delivered(&state);
        assert_eq!(attempts.len(), 1, "waiting uses up no attempt");
        assert!(attempts[0].started_at >= start() + seconds(30), "{attempts:?}");
    }
    eventually("the breaker is closed", async || (state(&house).await == LaneState::default()).then_some(())).await;
    let metrics = house.telemetry.metrics();
    for line in [
        "pollhook_lane_breaker_openings_total{subscription=\"erp\"} 1",
        "pollhook_lane_breaker_open{subscription=\"erp\"} 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_about_single_events_do_not_stop_the_others() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next((0..30).map(|_| Answer::Status(422)));
    let (mut house, ids) = house(&endpoint, 40, |_| {}).await;
    house.run();
    for id in &ids {
        house.after_attempts(id, 1).await;
    }
    endpoint.received(40).await;
    assert_eq!(state(&house).await, LaneState::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_failures_suffices_if_so_configured() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([200, 500, 200, 500].map(Answer::Status));
    let policy = BreakerPolicy { failure_percent: 50, attempts: 4, ..BreakerPolicy::default() };
    let (mut house, _) = house(&endpoint, 10, |erp| erp.lane.breaker = Some(policy)).await;
    house.run();
    eventually("the breaker opens", async || state(&house).await.breaker).await;
    endpoint.received(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_breaker_a_lane_goes_on() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Status(500));
    let (mut house, ids) = house(&endpoint, 30, |erp| erp.lane.breaker = None).await;
    house.run();
    for id in &ids {
        house.after_attempts(id, 1).await;
    }
    endpoint.received(30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_knows_better_closes_the_breaker() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next((0..10).map(|_| Answer::Status(500)));
    let (mut house, _) = house(&endpoint, 20, |_| {}).await;
    house.run();
    eventually("the breaker opens", async || state(&house).await.breaker).await;
    endpoint.received(10).await;
    assert!(enable(&*house.store, &"erp".parse().expect("a name")).await.expect("enabled"));
    endpoint.received(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_more_rest_than_the_breaker_gives_gets_it() {
    let endpoint = Receiver::start().await;
    let busy = Answer::Full(503, vec![("retry-after", "60".to_owned())], String::new());
    endpoint.answer_next((0..9).map(|_| Answer::Status(500)).chain([busy]));
    let (mut house, ids) = house(&endpoint, 11, |_| {}).await;
    house.run();
    eventually("the breaker opens", async || state(&house).await.breaker).await;
    house.clock.advance(seconds(59));
    house.clock.advance(seconds(1));
    let (state, attempts) = house.after_attempts(&ids[10], 1).await;
    House::assert_delivered(&state);
    assert_eq!(attempts[0].started_at, start() + seconds(60));
}
