//! Where deliveries may go depends on who wrote the URL, and each attempt tells where it went.

use super::*;

fn from(origin: Origin, url: &str) -> Subscription {
    Subscription { origin, ..subscription("erp", url) }
}

#[tokio::test]
async fn a_url_of_the_api_leads_to_no_private_address_and_one_of_the_configuration_does() {
    let endpoint = Receiver::start().await;
    let mut house = House::new(vec![from(Origin::Api, &endpoint.url())]);
    house.run();
    let delivery = house.add(1, "erp").await;
    let (state, attempts) = house.after_attempts(&delivery, 1).await;
    // It counts as any other failure: what may be connected to is configured, and that can change.
    assert!(matches!(state, DeliveryState::Pending { .. }), "{state:?}");
    let failure = attempts[0].failure.as_ref().expect("a failure");
    assert_eq!(failure.class, FailureClass::Egress);
    assert_eq!(
        failure.message,
        "the address 127.0.0.1 (loopback) may not be connected to; `[egress] allow` could name it"
    );
    assert_eq!((attempts[0].address, attempts[0].phases), (None, Phases::default()));

    let mut house = House::new(vec![from(Origin::Configuration, &endpoint.url())]);
    house.run();
    let delivery = house.add(2, "erp").await;
    let (state, attempts) = house.after_attempts(&delivery, 1).await;
    House::assert_delivered(&state);
    assert_eq!(attempts[0].address, endpoint.url()["http://".len()..].split('/').next().and_then(|at| at.parse().ok()));
    let phases = attempts[0].phases;
    assert!(phases.connect.is_some() && phases.answer.is_some() && phases.body.is_some(), "{phases:?}");
    endpoint.received(1).await;
}

#[tokio::test]
async fn an_attempt_on_a_connection_that_was_kept_open_tells_where_it_went_but_of_no_connecting() {
    let endpoint = Receiver::start().await;
    let mut house = House::new(vec![subscription("erp", &endpoint.url())]);
    house.run();
    let mut attempts = Vec::new();
    for number in 1..=2 {
        let delivery = house.add(number, "erp").await;
        attempts.extend(house.after_attempts(&delivery, 1).await.1);
    }
    let connects: Vec<bool> = attempts.iter().map(|attempt| attempt.phases.connect.is_some()).collect();
    assert_eq!(connects, [true, false]);
    assert!(attempts[0].address.is_some() && attempts[0].address == attempts[1].address, "{attempts:?}");
}
