//! Polls that are too large to be kept in memory.

use pollhook::model::item::Completeness;
use pollhook::poll::{MOST_PENDING_BYTES, PollOutcome};
use tokio_util::sync::CancellationToken;

use crate::source::{Fault, Reply, Request};
use crate::world::{World, name};

const ITEMS_OF_A_PAGE: usize = 64;

/// Pages of items that together are twice what a poll keeps in memory.
const PAGES: usize = 4;

const RULES: &str = "pagination.link = {}\nchanges.first_poll = \"send\"\nitem.data = \".id\"\n";

/// Answers with large pages, of which those from `broken` on come to nothing.
fn pages(version: u32, broken: usize, fault: Fault) -> impl FnMut(&Request) -> Reply + Send + 'static {
    move |request| {
        let number: usize = request.target.split_once("page=").map_or(0, |(_, text)| text.parse().expect("a number"));
        if number >= broken {
            return Reply::fault(fault.clone());
        }
        let text = "x".repeat(2 * MOST_PENDING_BYTES / PAGES / ITEMS_OF_A_PAGE);
        let first = number * ITEMS_OF_A_PAGE;
        let items: Vec<String> = (first..first + ITEMS_OF_A_PAGE)
            .map(|id| format!(r#"{{"id":{id},"version":{version},"text":"{text}"}}"#))
            .collect();
        let reply = Reply::json(format!("[{}]", items.join(",")));
        if number + 1 < PAGES { reply.with("link", format!("</items?page={}>; rel=next", number + 1)) } else { reply }
    }
}

/// Polls until the last page is asked for, and stops there.
async fn stop_at_the_last_page(world: &World) {
    let (poller, stop) = (world.poller(), CancellationToken::new());
    let (report, ()) = tokio::join!(poller.poll_until(&stop), async {
        let mut asked = 0;
        while asked < PAGES {
            asked += world.source.take_requests().len();
            tokio::time::timeout(std::time::Duration::from_millis(1), std::future::pending::<()>()).await.ok();
        }
        stop.cancel();
    });
    assert_eq!(report.expect("the store works").outcome, PollOutcome::Stopped);
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_committed_on_the_way_and_never_twice() {
    let world = World::new(RULES, pages(1, PAGES - 1, Fault::Hang)).await;
    stop_at_the_last_page(&world).await;
    let on_the_way = world.events().await.len();
    assert!((ITEMS_OF_A_PAGE..PAGES * ITEMS_OF_A_PAGE).contains(&on_the_way), "{on_the_way}");
    assert_eq!(world.state().await, None, "the poll is not over");

    world.source.respond(pages(1, PAGES, Fault::None));
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Complete));
    assert_eq!(report.items, PAGES * ITEMS_OF_A_PAGE);
    let events = world.events().await;
    let keys: std::collections::HashSet<&str> = events.iter().map(|event| event.key.as_str()).collect();
    assert_eq!((events.len(), keys.len()), (PAGES * ITEMS_OF_A_PAGE, PAGES * ITEMS_OF_A_PAGE));

    // The same with updates.
    world.source.respond(pages(2, PAGES - 1, Fault::Close));
    let report = world.poll().await;
    assert!(matches!(report.outcome, PollOutcome::Partial(_)));
    assert_eq!(report.changes.updated, (PAGES - 1) * ITEMS_OF_A_PAGE);
    world.source.respond(pages(2, PAGES, Fault::None));
    assert_eq!(world.poll().await.changes.updated, ITEMS_OF_A_PAGE);
    assert_eq!(world.events().await.len(), 2 * PAGES * ITEMS_OF_A_PAGE);
}

#[tokio::test]
async fn where_changes_may_be_held_nothing_is_committed_before_all_are_known() {
    let rules = format!("{RULES}changes.hold_above = {{ created = 1000 }}\n");
    let world = World::new(&rules, |_| Reply::json("[]")).await;
    world.poll().await;
    world.asked();
    let before = world.memory().await;
    world.source.respond(pages(1, PAGES - 1, Fault::Hang));
    stop_at_the_last_page(&world).await;
    assert_eq!(world.memory().await, before);
}

#[tokio::test]
async fn the_history_tells_what_came_of_each_poll() {
    let world = World::new("pagination.link = { max_pages = 1 }", |request| {
        Reply::json(format!(r#"[{{"id":"{}"}}]"#, request.target)).with("link", "</next>; rel=next")
    })
    .await;
    world.poll().await;
    world.poll().await;
    world.source.respond(|_| Reply::of(404, ""));
    world.poll().await;
    let polls = world.store.polls(&name(), None, 10).await.expect("the store works");
    let told: Vec<(&str, Option<&str>, u64)> =
        polls.iter().map(|poll| (poll.outcome.as_str(), poll.cause.as_deref(), poll.requests)).collect();
    let failure = world.state().await.expect("it was polled").last_error;
    assert_eq!(
        told,
        [
            ("failed", failure.as_deref(), 1),
            ("unchanged", None, 1),
            ("truncated", Some("there are more than 1 pages (max_pages)"), 1),
        ]
    );
    assert!(polls.iter().all(|poll| poll.next > Some(poll.at)), "{polls:?}");
}
