//! Lanes whose receiver fails at random and which are killed at random: what holds all the same.

use std::collections::HashMap;

use super::*;

const DELIVERIES: usize = 120;
const KILLS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_is_settled_and_its_repeats_are_alike_whatever_fails() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let endpoint = Receiver::start().await;
        endpoint.answer_next((0..2 * DELIVERIES).map(|_| random_answer(&mut random)));
        let mut erp = subscription("erp", &endpoint.url());
        erp.lane.concurrency = 4;
        erp.signing = secrets(&[HMAC]);
        erp.retry = RetryPolicy::new(vec![seconds(1); 3]);
        let mut house = House::new(vec![erp]);
        let mut ids = Vec::new();
        for number in 0..DELIVERIES {
            ids.push(house.add(number as u64, "erp").await);
        }

        house.run();
        for kill in 1..=KILLS {
            let progress = kill * DELIVERIES / KILLS / 2;
            eventually("the receiver is sent something", async || {
                house.clock.advance(Duration::from_millis(100));
                (endpoint.so_far().len() >= progress).then_some(())
            })
            .await;
            // Half of the times, only the lane dies; else the process does, and with it all leases.
            house.lanes.shutdown().await;
            if random.bool() {
                house.store.crash();
            }
            house.run();
        }
        for id in &ids {
            eventually("a delivery is settled", async || {
                house.clock.advance(Duration::from_millis(100));
                let (state, _) = house.attempts(id).await;
                (!matches!(state, DeliveryState::Pending { .. })).then_some(())
            })
            .await;
        }

        let mut bodies = HashMap::new();
        for request in endpoint.so_far() {
            let id = request.header("webhook-id").to_owned();
            let signed_at: i64 = request.header("webhook-timestamp").parse().expect("a number");
            let signed_at = Timestamp::from_millis(signed_at * 1000);
            assert_eq!(request.verify(&[HMAC], signed_at), Ok(()));
            let body = bodies.entry(id).or_insert_with(|| request.body.clone());
            assert_eq!(*body, request.body, "seed {seed}: a repeat differs");
        }
        for id in ids {
            assert!(bodies.contains_key(&id.event.to_string()), "seed {seed}: {id} was never sent");
            let (state, attempts) = house.attempts(&id).await;
            let acknowledged = attempts.iter().any(|attempt| attempt.status == Some(200));
            let delivered = matches!(state, DeliveryState::Delivered { .. });
            assert_eq!(delivered, acknowledged, "seed {seed}: {state:?}: {attempts:?}");
        }
    }
}

fn random_answer(random: &mut fastrand::Rng) -> Answer {
    match random.u8(..10) {
        0 => Answer::Status(500),
        1 => Answer::Status(302),
        2 => Answer::Reset,
        3 => Answer::Full(503, vec![("retry-after", random.u8(..5).to_string())], String::new()),
        4 => Answer::StatusThenClose(200),
        _ => Answer::Status(200),
    }
}
