//! How attempts are spaced, and how first tries and retries share a lane.

use super::*;

/// Returns when each delivery's first attempt began, in milliseconds from the start.
async fn begun(house: &House, ids: &[DeliveryId]) -> Vec<i64> {
    let mut begun = Vec::new();
    for id in ids {
        let (_, attempts) = house.after_attempts(id, 1).await;
        begun.push(attempts[0].started_at.as_millis() - start().as_millis());
    }
    begun
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_burst_attempts_follow_each_other_at_the_rate() {
    let endpoint = Receiver::start().await;
    let mut erp = subscription("erp", &endpoint.url());
    (erp.lane.concurrency, erp.lane.rate, erp.lane.burst) = (8, "2/s".parse().ok(), Some(3));
    let mut house = House::new(vec![erp]);
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(house.add(number, "erp").await);
    }
    house.run();
    for count in 3..=6 {
        endpoint.received(count).await;
        house.clock.advance(Duration::from_millis(499));
        house.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(begun(&house, &ids).await, [0, 0, 0, 500, 1000, 1500]);
    let metrics = house.telemetry.metrics();
    assert!(metrics.contains("pollhook_lane_rate_waits_total{subscription=\"erp\"}"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_keep_to_the_rate_as_well() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Status(500), Answer::Status(500)]);
    let mut erp = subscription("erp", &endpoint.url());
    (erp.lane.concurrency, erp.lane.rate, erp.lane.burst) = (8, "1/s".parse().ok(), Some(1));
    erp.retry = RetryPolicy::new(vec![Duration::from_millis(10)]);
    let mut house = House::new(vec![erp]);
    let ids = [house.add(0, "erp").await, house.add(1, "erp").await];
    house.run();
    for made in 1..=4 {
        house.after_attempts_of_all(&ids, made).await;
        house.clock.advance(seconds(1));
    }
    let mut begun = Vec::new();
    for id in &ids {
        let (state, attempts) = house.after_attempts(id, 2).await;
        House::assert_delivered(&state);
        begun.extend(attempts.iter().map(|attempt| attempt.started_at));
    }
    begun.sort_unstable();
    assert!(begun.is_sorted_by(|before, after| after.since(*before) >= seconds(1)), "{begun:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rate_does_not_let_out_soon_is_not_held() {
    let endpoint = Receiver::start().await;
    let mut erp = subscription("erp", &endpoint.url());
    (erp.lane.rate, erp.lane.burst) = ("1/h".parse().ok(), Some(1));
    let mut house = House::new(vec![erp]);
    let (first, second) = (house.add(0, "erp").await, house.add(1, "erp").await);
    house.run();
    House::assert_delivered(&house.after_attempts(&first, 1).await.0);
    let given_back = eventually("the second is given back", async || {
        let claim = Claim::up_to(5, Duration::from_millis(1));
        house
            .store
            .claim_deliveries(&second.subscription, house.clock.now(), claim)
            .await
            .expect("a claim")
            .deliveries
            .pop()
    })
    .await;
    assert_eq!(given_back.lease.id, second);
    house.clock.advance(seconds(3599));
    house.clock.advance(seconds(1));
    let (state, attempts) = house.after_attempts(&second, 1).await;
    House::assert_delivered(&state);
    assert!(attempts[0].started_at >= start() + seconds(3600), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_first_tries_nor_retries_starve_the_others() {
    const EACH: usize = 60;
    let endpoint = Receiver::start().await;
    endpoint.answer_next((0..EACH).map(|_| Answer::Status(500)));
    let mut erp = subscription("erp", &endpoint.url());
    erp.lane.breaker = None;
    let mut house = House::new(vec![erp]);
    let mut ids = Vec::new();
    for number in 0..EACH {
        ids.push(house.add(number as u64, "erp").await);
    }
    house.run();
    for id in &ids {
        house.after_attempts(id, 1).await;
    }
    house.stop().await;
    house.clock.advance(seconds(60));
    for number in EACH..2 * EACH {
        house.add(number as u64, "erp").await;
    }
    house.run();
    let received = endpoint.received(3 * EACH).await;
    let is_retry = |request: &&Received| request.json()["data"]["id"].as_u64().expect("an id") < EACH as u64;
    let retries = received[EACH..2 * EACH].iter().filter(is_retry).count();
    assert!((EACH / 5..EACH / 3).contains(&retries), "{retries} of {EACH}");
}
