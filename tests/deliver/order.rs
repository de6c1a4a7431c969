//! Lanes that keep an order.

use std::collections::BTreeMap;

use pollhook::model::lane::{Order, WhenBlocked};

use super::*;

/// Adds an event of this item and returns its delivery.
async fn add(house: &House, key: &str, number: u64) -> DeliveryId {
    let mut event = event(number, house.clock.now());
    key.clone_into(&mut event.key);
    // Ids order events by their milliseconds.
    house.clock.advance(Duration::from_millis(1));
    house.add_event(event, "erp").await
}

fn house(endpoint: &Receiver, order: Order, when_blocked: WhenBlocked) -> House {
    let mut erp = subscription("erp", &endpoint.url());
    erp.lane =
        LanePolicy { concurrency: 4, order, when_blocked, breaker: None, disable_after: None, ..LanePolicy::default() };
    House::new(vec![erp])
}

/// Returns the number of each event that was received, in their order.
fn numbers(received: &[Received]) -> Vec<u64> {
    received.iter().map(|request| request.json()["data"]["id"].as_u64().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_changes_of_an_item_wait_for_each_other_and_others_do_not() {
    let endpoint = Receiver::start().await;
    let mut house = house(&endpoint, Order::Item, WhenBlocked::Skip);
    endpoint.answer_next([Answer::Status(500)]);
    let first = add(&house, "a", 1).await;
    let second = add(&house, "a", 2).await;
    house.run();
    house.after_attempts(&first, 1).await;
    let other = add(&house, "b", 3).await;
    House::assert_delivered(&house.after_attempts(&other, 1).await.0);
    assert_eq!(numbers(&endpoint.received(2).await), [1, 3]);
    house.clock.advance(seconds(11));
    House::assert_delivered(&house.after_attempts(&second, 1).await.0);
    assert_eq!(numbers(&endpoint.received(4).await), [1, 3, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_sent_strictly_one_after_the_other() {
    let endpoint = Receiver::start().await;
    let mut house = house(&endpoint, Order::All, WhenBlocked::Skip);
    endpoint.answer_next([Answer::Status(200), Answer::Status(500)]);
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(add(&house, &number.to_string(), number).await);
    }
    house.run();
    house.after_attempts(&ids[1], 1).await;
    endpoint.received(2).await;
    house.stop().await;
    house.run();
    house.clock.advance(seconds(11));
    House::assert_delivered(&house.after_attempts(&ids[19], 1).await.0);
    let expected: Vec<u64> = [0, 1].into_iter().chain(1..20).collect();
    assert_eq!(numbers(&endpoint.received(21).await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_never_acknowledged_is_skipped_in_the_end() {
    let endpoint = Receiver::start().await;
    for order in [Order::Item, Order::All] {
        let before = endpoint.so_far().len();
        let mut house = house(&endpoint, order, WhenBlocked::Skip);
        endpoint.answer_next([500, 500, 500].map(Answer::Status));
        let (first, second) = (add(&house, "a", 1).await, add(&house, "a", 2).await);
        house.run();
        let ids = [first.clone(), second.clone()];
        for made in 1..=3 {
            house.after_attempts_of_all(&ids, made).await;
            house.clock.advance(seconds(67));
        }
        let (state, _) = house.after_attempts(&first, 3).await;
        assert!(matches!(state, DeliveryState::Dead { reason: DeathReason::Exhausted, .. }), "{state:?}");
        House::assert_delivered(&house.after_attempts(&second, 1).await.0);
        assert_eq!(numbers(&endpoint.so_far()[before..]), [1, 1, 1, 2]);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_waits_for_its_head_attempts_it_until_it_is_acknowledged() {
    let endpoint = Receiver::start().await;
    let mut house = house(&endpoint, Order::All, WhenBlocked::Wait);
    endpoint.answer_next((0..9).map(|_| Answer::Status(500)));
    let (first, second) = (add(&house, "a", 1).await, add(&house, "b", 2).await);
    house.run();
    for made in 1..=9 {
        house.after_attempts(&first, made).await;
        house.clock.advance(seconds(67));
    }
    House::assert_delivered(&house.after_attempts(&first, 10).await.0);
    House::assert_delivered(&house.after_attempts(&second, 1).await.0);
    assert_eq!(numbers(&endpoint.received(11).await), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
    let attempts = house.attempts(&first).await.1;
    let waits: Vec<_> = attempts.windows(2).map(|pair| pair[1].started_at.since(pair[0].started_at)).collect();
    assert!(waits[1..].iter().all(|wait| (seconds(60)..=seconds(67)).contains(wait)), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_blocks_nothing() {
    let endpoint = Receiver::start().await;
    let mut erp = subscription("erp", &endpoint.url());
    (erp.lane.order, erp.lane.when_blocked) = (Order::All, WhenBlocked::Wait);
    erp.content.max_body = pollhook::model::quantity::ByteSize(2000);
    let mut house = House::new(vec![erp]);
    let mut large = event(1, start());
    large.data = serde_json::value::to_raw_value(&"x".repeat(3000)).expect("JSON");
    let first = house.add_event(large, "erp").await;
    house.clock.advance(seconds(1));
    let second = house.add(2, "erp").await;
    house.run();
    House::assert_delivered(&house.after_attempts(&second, 1).await.0);
    let (state, _) = house.after_attempts(&first, 1).await;
    assert!(matches!(state, DeliveryState::Dead { reason: DeathReason::TooLarge, .. }), "{state:?}");
}

/// Whatever a receiver answers and whenever the service dies, the first attempts of an item's changes are made in order,
/// none before its predecessor is settled, and each is delivered or dead as the answers say.
#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_whatever_fails() {
    const ITEMS: u64 = 5;
    const EVENTS: u64 = 60;
    for (seed, order) in [(1, Order::Item), (2, Order::All), (3, Order::Item), (4, Order::All)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let endpoint = Receiver::start().await;
        let answer = |random: &mut fastrand::Rng| match random.u8(..8) {
            0 | 1 => Answer::Status(500),
            2 => Answer::Reset,
            3 => Answer::Full(503, vec![("retry-after", random.u8(..5).to_string())], String::new()),
            _ => Answer::Status(200),
        };
        endpoint.answer_next((0..2 * EVENTS).map(|_| answer(&mut random)));
        let mut house = house(&endpoint, order, WhenBlocked::Skip);
        let mut ids = Vec::new();
        for number in 0..EVENTS {
            ids.push(add(&house, &random.u64(..ITEMS).to_string(), number).await);
        }
        house.run();
        for kill in 1..=5 {
            eventually("requests are received", async || {
                house.clock.advance(Duration::from_millis(20));
                (endpoint.so_far().len() >= kill * 10).then_some(())
            })
            .await;
            house.lanes.shutdown().await;
            if random.bool() {
                house.store.crash();
            }
            house.run();
        }
        let mut settled: BTreeMap<String, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
        for id in &ids {
            let attempts = eventually("a delivery is settled", async || {
                house.clock.advance(Duration::from_millis(20));
                let (state, attempts) = house.attempts(id).await;
                let acknowledged = attempts.iter().any(|attempt| attempt.status == Some(200));
                match state {
                    DeliveryState::Pending { .. } => return None,
                    DeliveryState::Delivered { .. } => assert!(acknowledged, "seed {seed}: {attempts:?}"),
                    DeliveryState::Dead { .. } => {
                        assert!(!acknowledged && attempts.len() == 3, "seed {seed}: {attempts:?}");
                    }
                }
                Some(attempts)
            })
            .await;
            let key = match order {
                Order::All => String::new(),
                _ => house.store.event(id.event).await.expect("a read").expect("the event").event.key.clone(),
            };
            let span = (attempts[0].started_at, attempts[attempts.len() - 1].started_at);
            settled.entry(key).or_default().push(span);
        }
        for (key, spans) in settled {
            assert!(spans.is_sorted_by(|before, after| before.1 <= after.0), "seed {seed}, item {key}: {spans:?}");
        }
        house.stop().await;
    }
}
