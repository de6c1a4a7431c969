//! Sources with more pages than one poll may read, and polls that stop at what is known.

use std::sync::{Arc, Mutex};

use pollhook::model::item::Completeness;
use pollhook::poll::PollOutcome;

use crate::source::{Reply, Request};
use crate::world::World;

/// A source whose newest items come first, a few a page, and what of it fails.
#[derive(Default)]
struct Feed {
    /// The newest last.
    ids: Vec<u32>,
    page: usize,
    refused: Option<&'static str>,
}

impl Feed {
    fn new(ids: impl Iterator<Item = u32>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { ids: ids.collect(), page: 2, refused: None }))
    }

    fn answer(&self, request: &Request) -> Reply {
        if self.refused.is_some_and(|refused| request.target.contains(refused)) {
            return Reply::of(404, "no such page");
        }
        let number: usize = request.target.split_once("page=").map_or(0, |(_, text)| text.parse().expect("a number"));
        let shown = self.ids.iter().rev().skip(number * self.page).take(self.page);
        let items: Vec<String> = shown.map(|id| format!(r#"{{"id":{id},"at":{id}}}"#)).collect();
        let reply = Reply::json(format!("[{}]", items.join(",")));
        let is_last = self.ids.len() <= (number + 1) * self.page;
        if is_last { reply } else { reply.with("link", format!("</items?page={}>; rel=next", number + 1)) }
    }
}

async fn world(rules: &str, feed: &Arc<Mutex<Feed>>) -> World {
    let served = Arc::clone(feed);
    World::new(rules, move |request| served.lock().expect("nobody panicked").answer(request)).await
}

fn change(feed: &Mutex<Feed>, change: impl FnOnce(&mut Feed)) {
    change(&mut feed.lock().expect("nobody panicked"));
}

async fn polls_of_the_pass(world: &World) -> Option<u32> {
    world.state().await.expect("it was polled").pass.map(|pass| pass.polls)
}

const CURSOR: &str = r#"
request.query = { since = "{{ cursor }}" }
pagination.link = { max_pages = 2 }
cursor.value = ".at"
"#;

#[tokio::test]
async fn what_one_poll_cannot_read_is_read_by_the_next_ones() {
    let feed = Feed::new(1..=9);
    let world = world(CURSOR, &feed).await;
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Truncated));
    assert_eq!(
        report.notes,
        ["there are more pages than one poll may read (max_pages): after 1 poll, the next one goes on"]
    );
    assert_eq!(polls_of_the_pass(&world).await, Some(1));
    change(&feed, |feed| feed.ids.push(10));
    assert_eq!(world.changes().await, [""; 0], "it is still the first time that the source is read");
    assert_eq!(polls_of_the_pass(&world).await, Some(2));
    assert_eq!(world.state().await.expect("it was polled").cursor, None);
    assert_eq!(world.changes().await, [""; 0]);
    let state = world.state().await.expect("it was polled");
    assert_eq!((state.pass, state.cursor.as_deref()), (None, Some("9")), "the largest of the whole pass");
    assert_eq!(world.asked(), ["/items", "/items?page=1", "/items?page=2", "/items?page=3", "/items?page=4",]);
    // What came in front meanwhile is newer than the cursor.
    assert_eq!(world.poll().await.changes.created, 1);
    assert_eq!(world.asked()[0], "/items?since=9");
}

#[tokio::test]
async fn a_source_that_ascends_is_asked_from_where_reading_ended() {
    let feed = Feed::new((1..=9).rev());
    let rules = format!("{CURSOR}cursor.ascending = true\n");
    let world = world(&rules, &feed).await;
    world.poll().await;
    let state = world.state().await.expect("it was polled");
    assert_eq!(state.cursor.as_deref(), Some("4"));
    assert!(state.pass.is_some() && !state.baselined);
    change(&feed, |feed| feed.ids.retain(|id| *id >= 4));
    assert_eq!(world.changes().await, [""; 0]);
    change(&feed, |feed| feed.ids.retain(|id| *id >= 7));
    assert_eq!(world.changes().await, [""; 0]);
    let state = world.state().await.expect("it was polled");
    assert_eq!((state.cursor.as_deref(), state.pass, state.baselined), (Some("9"), None, true));
    assert_eq!(
        world.asked(),
        ["/items", "/items?page=1", "/items?since=4", "/items?page=1", "/items?since=7", "/items?page=1",]
    );
}

/// A source that ascends, of which as many items have the same value as three polls may read.
fn equal_ones(request: &Request) -> Reply {
    let number: u32 = request.target.split_once("page=").map_or(0, |(_, text)| text.parse().expect("a number"));
    let since = request.target.split_once("since=").map_or("", |(_, text)| &text[..1]);
    let reply = Reply::json(format!(r#"[{{"id":{number},"at":{}}}]"#, if number == 6 { 8 } else { 7 }));
    let next = format!("</items?since={since}&page={}>; rel=next", number + 1);
    if number == 6 { reply } else { reply.with("link", next) }
}

#[tokio::test]
async fn more_equal_values_than_one_poll_may_read_are_read_by_the_next_ones() {
    let rules = format!("{CURSOR}cursor.ascending = true\nchanges.first_poll = \"send\"\n");
    let world = World::new(&rules, equal_ones).await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(world.changes().await.len());
    }
    assert_eq!(created, [2, 0, 2, 2, 1], "the second asks from the value that was read");
    let state = world.state().await.expect("it was polled");
    assert_eq!((state.cursor.as_deref(), state.pass), (Some("8"), None));
}

#[tokio::test]
async fn a_pass_whose_cursor_is_too_old_is_given_up() {
    let feed = Feed::new((1..=9).rev());
    let world = world(&format!("{CURSOR}cursor.ascending = true\n"), &feed).await;
    world.poll().await;
    world.source.respond(|request| {
        let is_refused = request.target.contains("since");
        if is_refused { Reply::of(410, "") } else { Reply::json(r#"[{"id":9,"at":9}]"#) }
    });
    assert_eq!(world.poll().await.outcome, PollOutcome::Compared(Completeness::Complete));
    assert_eq!(world.asked(), ["/items", "/items?page=1", "/items?since=4", "/items"]);
}

const KNOWN: &str = r#"
pagination.link = { max_pages = 3, stop = "known" }
changes.events = ["created", "updated"]
"#;

#[tokio::test]
async fn a_page_that_is_known_ends_the_poll() {
    let feed = Feed::new(1..=20);
    let world = world(KNOWN, &feed).await;
    world.poll().await;
    assert_eq!(polls_of_the_pass(&world).await, None, "a first poll is content with the newest");
    change(&feed, |feed| feed.ids.push(21));
    world.asked();
    let report = world.poll().await;
    assert_eq!((report.outcome.clone(), report.changes.created), (PollOutcome::Compared(Completeness::Known), 1));
    assert_eq!(report.outcome.as_str(), "complete");
    assert_eq!(world.asked(), ["/items", "/items?page=1"]);
    assert_eq!(world.poll().await.outcome, PollOutcome::Unchanged);
}

#[tokio::test]
async fn a_poll_that_broke_off_leaves_no_gap_behind_what_it_found() {
    let feed = Feed::new(1..=4);
    let world = world(KNOWN, &feed).await;
    world.poll().await;
    change(&feed, |feed| {
        feed.ids.extend([5, 6, 7, 8]);
        feed.refused = Some("page=1");
    });
    let report = world.poll().await;
    assert!(matches!(report.outcome, PollOutcome::Partial(_)));
    assert_eq!(report.changes.created, 2);
    // The first page is known by now, but what follows it is not.
    change(&feed, |feed| feed.refused = None);
    assert_eq!(world.changes().await, ["created 6", "created 5"]);
}

#[tokio::test]
async fn a_pass_ends_with_what_was_known_before_it_began() {
    let feed = Feed::new(1..=4);
    let world = world(KNOWN, &feed).await;
    world.poll().await;
    change(&feed, |feed| feed.ids.extend(5..=18));
    assert_eq!(world.poll().await.changes.created, 6);
    // As many new ones as were read move those to the pages that are read next.
    change(&feed, |feed| feed.ids.extend(19..=24));
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(polls_of_the_pass(&world).await, Some(2));
    assert_eq!(world.poll().await.changes.created, 6);
    assert_eq!(world.poll().await.changes.created, 2);
    assert_eq!(polls_of_the_pass(&world).await, None);
    // Those in front fill a whole poll, so that the next one has to see what comes after them.
    assert_eq!(world.poll().await.changes.created, 6);
    assert_eq!(polls_of_the_pass(&world).await, Some(1));
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(polls_of_the_pass(&world).await, None);
}

#[tokio::test]
async fn a_page_that_is_gone_begins_the_pass_anew() {
    let feed = Feed::new(1..=9);
    let world = world(CURSOR, &feed).await;
    world.poll().await;
    change(&feed, |feed| feed.refused = Some("page=2"));
    world.asked();
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Truncated));
    assert!(report.notes[0].starts_with("it could not go on where it had stopped, so it began anew"), "{report:?}");
    assert_eq!(world.asked(), ["/items?page=2", "/items", "/items?page=1"]);
    assert_eq!(polls_of_the_pass(&world).await, Some(1));
}

#[tokio::test]
async fn an_edit_forgets_the_pass_but_not_that_the_first_poll_is_not_over() {
    let feed = Feed::new(1..=9);
    let mut world = world(CURSOR, &feed).await;
    world.poll().await;
    world.asked();
    world.edit(&format!("{CURSOR}request.headers = {{ X-A = \"b\" }}\n"));
    for _ in 0..3 {
        assert_eq!(world.changes().await, [""; 0]);
    }
    assert_eq!(world.asked()[0], "/items");
    assert_eq!(world.state().await.expect("it was polled").cursor.as_deref(), Some("9"));
    // New keys are taken as seen by all polls of the pass.
    world.edit(&format!("{CURSOR}item.key = \"\\\"x\\\\(.id)\\\"\"\n"));
    for _ in 0..3 {
        assert_eq!(world.changes().await, [""; 0]);
    }
    assert_eq!(polls_of_the_pass(&world).await, None);
    change(&feed, |feed| feed.ids.push(10));
    assert_eq!(world.poll().await.changes.created, 1);
}

#[tokio::test]
async fn new_keys_are_taken_as_seen_although_the_pass_cannot_go_on() {
    let feed = Feed::new(1..=9);
    let mut world = world(CURSOR, &feed).await;
    for _ in 0..3 {
        world.poll().await;
    }
    world.edit(&format!("{CURSOR}item.key = \"\\\"x\\\\(.id)\\\"\"\n"));
    world.poll().await;
    change(&feed, |feed| feed.refused = Some("/items"));
    assert!(matches!(world.poll().await.outcome, PollOutcome::Failed(_)));
    change(&feed, |feed| feed.refused = Some("page="));
    assert!(matches!(world.poll().await.outcome, PollOutcome::Partial(_)));
    change(&feed, |feed| feed.refused = None);
    for _ in 0..2 {
        assert_eq!(world.changes().await, [""; 0]);
    }
    assert_eq!(polls_of_the_pass(&world).await, None);
}

#[tokio::test]
async fn the_latest_items_of_a_first_pass_are_those_that_its_first_poll_finds() {
    let feed = Feed::new(1..=9);
    let world = world(&format!("{CURSOR}changes.first_poll = {{ latest = 1 }}\n"), &feed).await;
    assert_eq!(world.changes().await, ["created 9"]);
    for _ in 0..2 {
        assert_eq!(world.changes().await, [""; 0]);
    }
    assert_eq!(polls_of_the_pass(&world).await, None);
}

#[tokio::test]
async fn a_known_page_proves_nothing_if_rows_moved_before_it() {
    let rules = r#"
pagination.offset = { param = "o", size = 2, overlap = 1, stop = "known" }
"#;
    let feed = Arc::new(Mutex::new(vec![6, 5, 4, 3, 2, 1]));
    let served = Arc::clone(&feed);
    let world = World::new(rules, move |request| {
        let offset: usize = request.target.split_once("o=").map_or(0, |(_, text)| text.parse().expect("a number"));
        let mut ids = served.lock().expect("nobody panicked");
        let items: Vec<String> = ids.iter().skip(offset).take(2).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
        if ids[0] == 9 {
            // While it is read, the newest goes, and another one comes to stand where nobody looks for it.
            ids.remove(0);
        }
        Reply::json(format!("[{}]", items.join(",")))
    })
    .await;
    world.poll().await;
    *feed.lock().expect("nobody panicked") = vec![9, 8, 7, 6, 5, 4, 3, 2, 1];
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Truncated), "{report:?}");
    world.poll().await;
    let created: Vec<String> = world.events().await.into_iter().map(|event| event.key).collect();
    assert_eq!(created, ["9", "8", "7"]);
}
