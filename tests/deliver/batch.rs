//! Several events in one delivery.

use pollhook::model::content::BatchPolicy;

use super::*;

fn house(endpoint: &Receiver, max: usize, wait: Duration) -> House {
    let mut erp = subscription("erp", &endpoint.url());
    erp.content.batch = Some(BatchPolicy { max, wait });
    House::new(vec![erp])
}

async fn add(house: &House, count: u64) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(house.add(number, "erp").await);
    }
    ids
}

/// Returns how many events each request carries.
fn sizes(received: &[Received]) -> Vec<usize> {
    received.iter().map(|request| request.json().as_array().expect("a list").len()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_out_when_it_is_full_or_has_waited() {
    let endpoint = Receiver::start().await;
    let mut house = house(&endpoint, 100, seconds(1));
    let ids = add(&house, 250).await;
    house.run();
    assert_eq!(sizes(&endpoint.received(2).await), [100, 100]);
    house.clock.advance(Duration::from_millis(999));
    house.clock.advance(Duration::from_millis(1));
    assert_eq!(sizes(&endpoint.received(3).await), [100, 100, 50]);
    for id in &ids {
        House::assert_delivered(&house.after_attempts(id, 1).await.0);
    }
    let mut keys: Vec<u64> = Vec::new();
    for request in endpoint.received(3).await {
        let body = request.json();
        let events = body.as_array().expect("a list").iter();
        keys.extend(events.map(|event| event["data"]["id"].as_u64().expect("an id")));
    }
    assert_eq!(keys, (0..250).collect::<Vec<_>>());
    let metrics = house.telemetry.metrics();
    for line in [
        "pollhook_delivery_batches_total{subscription=\"erp\"} 3",
        "pollhook_delivery_batched_events_total{subscription=\"erp\"} 250",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_is_repeated_as_it_was_also_after_a_restart() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Status(500));
    let mut house = house(&endpoint, 10, seconds(1));
    let ids = add(&house, 10).await;
    house.run();
    house.after_attempts(&ids[0], 1).await;
    let later = house.add(10, "erp").await;
    house.lanes.shutdown().await;
    house.store.crash();
    house.run();
    house.clock.advance(seconds(11));
    house.after_attempts(&ids[0], 2).await;
    // No lease must end while its attempt is under way.
    house.after_attempts(&later, 1).await;
    endpoint.answer_always(Answer::Status(200));
    house.clock.advance(seconds(70));
    for id in ids.iter().chain([&later]) {
        let last = eventually("it is delivered", async || {
            let (state, attempts) = house.attempts(id).await;
            (!matches!(state, DeliveryState::Pending { .. })).then_some((state, attempts))
        })
        .await;
        House::assert_delivered(&last.0);
    }
    let received = endpoint.received(5).await;
    let whole: Vec<_> =
        received.iter().filter(|request| request.json().as_array().is_some_and(|l| l.len() == 10)).collect();
    assert_eq!(whole.len(), 3);
    for repeat in &whole[1..] {
        assert_eq!((repeat.header("webhook-id"), &repeat.body), (whole[0].header("webhook-id"), &whole[0].body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_gives_back_what_is_gathered() {
    let endpoint = Receiver::start().await;
    let mut house = house(&endpoint, 100, seconds(60));
    let ids = add(&house, 3).await;
    house.run();
    let claim = || house.store.claim_deliveries(&ids[0].subscription, start(), Claim::up_to(5, seconds(1)));
    eventually("they are gathered", async || claim().await.expect("a claim").deliveries.is_empty().then_some(())).await;
    house.stop().await;
    let claimed = house.store.claim_deliveries(&ids[0].subscription, start() + seconds(2), Claim::up_to(5, seconds(1)));
    assert_eq!(claimed.await.expect("a claim").deliveries.len(), 3);
    endpoint.received(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_for_its_receiver_makes_the_next_ones_smaller() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Status(413)]);
    let mut house = house(&endpoint, 8, seconds(1));
    add(&house, 8).await;
    house.run();
    endpoint.received(1).await;
    eventually("the refusal is settled", async || {
        house.telemetry.metrics().contains("outcome=\"retry\"} 1").then_some(())
    })
    .await;
    add(&house, 8).await;
    assert_eq!(sizes(&endpoint.received(3).await), [8, 4, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_keeps_within_the_largest_body() {
    let endpoint = Receiver::start().await;
    let mut erp = subscription("erp", &endpoint.url());
    erp.content.batch = Some(BatchPolicy { max: 100, wait: seconds(0) });
    erp.content.max_body = pollhook::model::quantity::ByteSize(10_000);
    let mut house = House::new(vec![erp]);
    let ids = add(&house, 60).await;
    house.run();
    for id in &ids {
        House::assert_delivered(&house.after_attempts(id, 1).await.0);
    }
    let received = endpoint.so_far();
    assert!(
        received.len() < 20 && received.iter().all(|request| request.body.len() <= 10_000),
        "{:?}",
        sizes(&received)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_a_dead_letter_is_one_news_of_all_its_events() {
    let endpoint = Receiver::start().await;
    endpoint.answer_always(Answer::Status(500));
    let mut house = house(&endpoint, 3, seconds(1));
    let mut erp = subscription("erp", &endpoint.url());
    erp.content.batch = Some(BatchPolicy { max: 3, wait: seconds(1) });
    erp.retry = RetryPolicy::new(Vec::new());
    house.subscriptions = vec![Arc::new(erp)];
    let ids = add(&house, 3).await;
    house.run();
    for id in &ids {
        let (state, _) = house.after_attempts(id, 1).await;
        assert!(matches!(state, DeliveryState::Dead { reason: DeathReason::Exhausted, .. }), "{state:?}");
    }
    let told = house.news().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let data = &told[0].1;
    assert_eq!((&data["event"], &data["joined"]), (&json!(ids[0].event), &json!([ids[1].event, ids[2].event])));
}
