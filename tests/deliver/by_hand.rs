//! What people decide about a subscription while its lane runs.

use super::*;
use pollhook::deliver::disable;

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_disabled_by_hand_is_sent_nothing_more() {
    let endpoint = Receiver::start().await;
    endpoint.answer_next([Answer::Held(Box::new(Answer::Status(200)))]);
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    let first = house.add(1, "erp").await;
    let mut last = first.clone();
    for number in 2..40 {
        last = house.add(number, "erp").await;
    }
    house.run();
    endpoint.received(1).await;
    disable(&*house.store, &house.subscriptions[0], "moving", house.clock.now()).await.expect("a change");
    eventually("the lane knows", async || {
        let metrics = house.telemetry.metrics();
        metrics.contains("pollhook_subscription_disabled{subscription=\"erp\"} 1").then_some(())
    })
    .await;
    endpoint.release();
    House::assert_delivered(&house.after_attempts(&first, 1).await.0);
    house.stop().await;
    assert_eq!(endpoint.so_far().len(), 1, "what was claimed already is given back");

    house.run();
    enable(&*house.store, &first.subscription).await.expect("a change");
    House::assert_delivered(&house.after_attempts(&last, 1).await.0);
    assert_eq!(endpoint.received(39).await.len(), 39);
}
