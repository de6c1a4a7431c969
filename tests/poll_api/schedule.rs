//! A connector's own loop.

use std::time::Duration;

use pollhook::poll::driver;
use tokio_util::sync::CancellationToken;

use crate::source::{Fault, Reply};
use crate::world::World;

/// Waits, without moving the clock, until the source was asked so often in all.
async fn asked(world: &World, times: &mut usize, expected: usize) {
    while *times < expected {
        *times += world.source.take_requests().len();
        tokio::task::yield_now().await;
    }
    assert_eq!(*times, expected);
}

/// Waits until the last poll that began is recorded.
async fn recorded(world: &World) {
    while world.state().await.is_none_or(|state| state.polled_at < world.now()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connector_is_polled_each_time_that_it_is_due_until_it_is_told_to_stop() {
    let world = World::new("", |_| Reply::json("[]")).await;
    let stop = CancellationToken::new();
    let (result, ()) = tokio::join!(driver::run(world.poller(), stop.clone()), async {
        let mut times = 0;
        for expected in 1..=3 {
            asked(&world, &mut times, expected).await;
            recorded(&world).await;
            world.clock.advance(Duration::from_secs(60));
        }
        asked(&world, &mut times, 4).await;
        recorded(&world).await;
        world.clock.advance(Duration::from_secs(59));
        stop.cancel();
    });
    result.expect("the store works");
    assert_eq!(world.asked(), [""; 0], "a minute had not passed");
}

#[tokio::test]
async fn a_restart_does_not_poll_before_it_is_time() {
    let world = World::new("", |_| Reply::json("[]")).await;
    world.poll().await;
    world.asked();
    let stop = CancellationToken::new();
    let (result, ()) = tokio::join!(driver::run(world.poller(), stop.clone()), async {
        world.clock.advance(Duration::from_secs(60));
        asked(&world, &mut 0, 1).await;
        stop.cancel();
    });
    result.expect("the store works");
}

#[tokio::test]
async fn a_driver_that_is_told_to_stop_does_not_wait_for_the_source() {
    let world = World::new("", |_| Reply::fault(Fault::Hang)).await;
    let stop = CancellationToken::new();
    let (result, ()) = tokio::join!(driver::run(world.poller(), stop.clone()), async {
        asked(&world, &mut 0, 1).await;
        stop.cancel();
    });
    result.expect("the store works");
    assert_eq!(world.state().await, None);
}
