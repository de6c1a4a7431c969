//! Random histories of a source with several pages, some of which fail now and then.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use pollhook::poll::PollOutcome;

use crate::source::{Reply, Request};
use crate::world::World;

const RULES: &str = r#"
pagination.link = {}
changes.lists = "everything"
changes.first_poll = "send"
changes.events = ["created", "updated", "removed"]
item.data = ".version"
"#;

const PAGE: usize = 3;

/// What the API has, and which of its pages fails at present.
#[derive(Default)]
struct Content {
    items: Vec<(u8, u32)>,
    failing: Option<usize>,
}

impl Content {
    fn answer(&self, request: &Request) -> Reply {
        let number = request.target.split_once("page=").map_or(0, |(_, number)| number.parse().expect("a number"));
        if self.failing == Some(number) {
            return Reply::of(404, "not now");
        }
        let mut json = String::new();
        for (key, version) in self.items.iter().skip(number * PAGE).take(PAGE) {
            write!(json, ",{{\"id\":{key},\"version\":{version}}}").expect("a string takes everything");
        }
        let json = format!("[{}]", json.trim_start_matches(','));
        let reply = if request.header("if-none-match") == Some(&json) {
            Reply::of(304, "")
        } else {
            Reply::json(json.clone()).with("etag", json)
        };
        let is_last = self.items.len() <= (number + 1) * PAGE;
        if is_last { reply } else { reply.with("link", format!("<?page={}>; rel=\"next\"", number + 1)) }
    }

    /// Edits, inserts, deletes and reorders at random. Each version is a new number.
    fn change(&mut self, random: &mut fastrand::Rng, versions: &mut u32) {
        for _ in 0..random.usize(..3) {
            let key = random.u8(..12);
            *versions += 1;
            match self.items.iter().position(|item| item.0 == key) {
                Some(place) if random.bool() => drop(self.items.remove(place)),
                Some(place) => self.items[place].1 = *versions,
                None => self.items.insert(random.usize(..=self.items.len()), (key, *versions)),
            }
        }
        if random.u8(..4) == 0 {
            random.shuffle(&mut self.items);
        }
        self.failing = (random.u8(..3) == 0).then(|| random.usize(..4));
    }
}

#[tokio::test]
async fn events_tell_each_version_once_and_add_up_to_what_the_source_has() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let content = Arc::new(Mutex::new(Content::default()));
        let served = Arc::clone(&content);
        let world = World::new(RULES, move |request| served.lock().expect("nobody panicked").answer(request)).await;
        let (mut versions, mut told, mut outcomes) = (0, 0, HashSet::new());
        let mut versions_told = HashSet::new();
        let mut known: BTreeMap<u8, u32> = BTreeMap::new();
        for step in 0..40 {
            let expected = {
                let mut content = content.lock().expect("nobody panicked");
                content.change(&mut random, &mut versions);
                if step == 39 {
                    content.failing = None;
                }
                content.items.iter().copied().collect::<BTreeMap<_, _>>()
            };
            let report = world.poll().await;
            outcomes.insert(report.outcome.as_str());
            // One poll of several pages, or two of none, do not prove that an item is gone.
            for _ in 0..2 {
                outcomes.insert(world.poll().await.outcome.as_str());
            }
            let events = world.events().await;
            for event in events[told..].iter().filter(|event| !event.connector.is_service()) {
                let key: u8 = event.key.parse().expect("a key");
                let before = match event.event_type.action() {
                    "removed" => {
                        assert!(!expected.contains_key(&key), "{seed}.{step}: {key} is still there");
                        known.remove(&key)
                    }
                    action => {
                        let version: u32 = event.data.get().parse().expect("a version");
                        assert!(versions_told.insert((key, version)), "{seed}.{step}: {key}={version} again");
                        let before = known.insert(key, version);
                        assert_eq!(before.is_some(), action == "updated", "{seed}.{step}: {key} {action}");
                        before
                    }
                };
                assert_eq!(before.is_none(), event.event_type.action() == "created", "{seed}.{step}: {key}");
            }
            told = events.len();
            if matches!(report.outcome, PollOutcome::Compared(_) | PollOutcome::Unchanged) {
                assert_eq!(known, expected, "{seed}.{step}: {report:?}");
            }
        }
        assert!(outcomes.len() >= 4, "{seed}: {outcomes:?}");
    }
}
