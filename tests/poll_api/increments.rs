//! Random sources that are asked only for what is new, or read only as far as they are known, against the model of what
//! must be told of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use pollhook::clock::ManualClock;
use pollhook::model::event::Event;
use pollhook::model::item::Completeness;
use pollhook::model::time::Timestamp;
use pollhook::poll::{PollOutcome, Poller};
use pollhook::store::{EventQuery, SharedStore};
use tokio::sync::Notify;

use crate::model::{Mishap, Storing, TICK, Told, open, poller};
use crate::source::{Fault, Reply, Request, Source};
use crate::world::name;

/// How many items a page has.
const PAGE: usize = 3;

/// How many polls a history has.
const STEPS: usize = 70;

/// How far before its cursor a connector asks.
const OVERLAP: u64 = 4;

const USUAL: &str = r#"
changes.first_poll = "send"
changes.empty = "ok"
item.data = "{id, version}"
request.timeout = "5s"
"#;

const SINCE: &str = r#"
request.query = { since = "{{ cursor }}" }
cursor.value = ".at"
cursor.overlap = 4
"#;

const EVERYTHING: &str = r#"
cursor.reconcile = "10m"
changes.lists = "everything"
changes.events = ["created", "updated", "removed"]
"#;

/// An edit after which positions in the source are no longer valid.
const EDIT: &str = "request.headers = { X-Edited = \"yes\" }\n";

/// Keys that change between polls; as many as [`MOVING`] follow that change within them.
const KEYS: u8 = 14;
const MOVING: u8 = 4;

/// What kind of source it is.
#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    /// Whether the smallest value comes first, and not the largest.
    ascends: bool,
    /// Whether pages have numbers, so that a row that goes moves those behind it. Otherwise each page begins behind the
    /// last row of the one before.
    is_numbered: bool,
    /// How much the source's time goes on at most before a row that is there is listed.
    lateness: u64,
}

/// One row, in the order of the listing. No version ever comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    at: u64,
    key: u8,
    version: u32,
}

#[derive(Default)]
struct Api {
    kind: Kind,
    rows: Vec<Row>,
    /// Rows that are there, but not listed yet.
    late: Vec<Row>,
    /// The source's time.
    now: u64,
    versions: u32,
    /// Answers whoever asks conditionally that nothing has changed.
    lies: bool,
    mishaps: BTreeMap<usize, Mishap>,
    /// Whether nothing may move that could make a poll miss a row.
    is_gentle: bool,
    /// Of the present poll.
    requests: usize,
    is_asked_for_all: bool,
    /// The keys that were missing at some time since everything was last read, and between then and the time before.
    missed: BTreeSet<u8>,
    missed_before: BTreeSet<u8>,
}

impl Api {
    fn answer(&mut self, request: &Request, random: &mut Rng, crash: &Notify) -> Reply {
        self.requests += 1;
        match self.mishaps.get(&self.requests) {
            Some(Mishap::Status(status)) => return Reply::of(*status, "not now"),
            Some(Mishap::Fault(fault)) => return Reply { fault: fault.clone(), ..Reply::json("[{}]") },
            Some(Mishap::Crash) => {
                crash.notify_one();
                return Reply::fault(Fault::Hang);
            }
            Some(Mishap::Shift) => self.shift(random),
            None => {}
        }
        self.page(request)
    }

    fn page(&mut self, request: &Request) -> Reply {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let query: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let number = |name: &str| query.get(name).map(|text| text.parse::<u64>().expect("a number"));
        self.is_asked_for_all |= query.is_empty();
        let since = number("since");
        let mut rows: Vec<Row> = self.rows.iter().copied().filter(|row| Some(row.at) >= since).collect();
        rows.sort_unstable();
        if !self.kind.ascends {
            rows.reverse();
        }
        let after = number("at").zip(number("key"));
        let is_before = |row: &&Row| {
            after.is_some_and(|(at, key)| {
                let (place, after) = ((row.at, u64::from(row.key)), (at, key));
                if self.kind.ascends { place <= after } else { place >= after }
            })
        };
        let page = number("page").unwrap_or(0);
        let skipped = usize::try_from(page).expect("a small one") * PAGE;
        let rest: Vec<&Row> = rows.iter().skip_while(is_before).skip(skipped).collect();
        let shown = &rest[..PAGE.min(rest.len())];
        let mut json = String::new();
        for Row { at, key, version } in shown {
            write!(json, ",{{\"id\":{key},\"version\":{version},\"at\":{at}}}").expect("a string takes everything");
        }
        let json = format!("[{}]", json.trim_start_matches(','));
        let next = shown.last().filter(|_| rest.len() > PAGE).map(|last| {
            let since = since.map(|since| format!("since={since}&")).unwrap_or_default();
            if self.kind.is_numbered {
                format!("</items?{since}page={}>; rel=next", page + 1)
            } else {
                format!("</items?{since}at={}&key={}>; rel=next", last.at, last.key)
            }
        });
        let etag = format!("\"{}{}\"", next.is_some(), json.replace('"', ""));
        let asked_with = request.header("if-none-match");
        let reply = if asked_with == Some(&etag) || self.lies && asked_with.is_some() {
            Reply::of(304, "")
        } else {
            Reply::json(json).with("etag", etag)
        };
        match next {
            Some(next) => reply.with("link", next),
            None => reply,
        }
    }

    /// Edits, inserts and deletes, a few rows or many at the same time, and lists what is late.
    fn change(&mut self, random: &mut Rng) {
        let is_burst = random.u8(..8) == 0;
        for _ in 0..if is_burst { random.usize(12..24) } else { random.usize(..4) } {
            if !is_burst {
                self.tick(random);
            }
            let key = random.u8(..KEYS);
            if random.u8(..5) == 0 {
                self.rows.retain(|row| row.key != key);
                self.late.retain(|row| row.key != key);
                continue;
            }
            let row = self.next_version(key);
            if self.kind.lateness > 0 && random.u8(..3) == 0 { self.late.push(row) } else { self.put(row) }
        }
        self.tick(random);
        self.note();
    }

    /// Lets the source's time go on, or not. No row stays late for longer than it may.
    fn tick(&mut self, random: &mut Rng) {
        self.now += random.u64(..2);
        for row in std::mem::take(&mut self.late) {
            if self.now - row.at >= self.kind.lateness || random.u8(..8) == 0 {
                self.put(row);
            } else {
                self.late.push(row);
            }
        }
    }

    /// Inserts, edits or deletes a row while the source is read.
    fn shift(&mut self, random: &mut Rng) {
        let key = random.u8(KEYS..KEYS + MOVING);
        let is_listed = self.rows.iter().any(|row| row.key == key);
        if is_listed && self.is_gentle {
            return;
        }
        if is_listed && random.bool() {
            self.rows.retain(|row| row.key != key);
        } else {
            let row = self.next_version(key);
            self.put(row);
        }
        self.note();
    }

    /// Lists this version of a row, unless a newer one is listed.
    fn put(&mut self, row: Row) {
        if self.rows.iter().any(|listed| listed.key == row.key && listed.version > row.version) {
            return;
        }
        self.rows.retain(|listed| listed.key != row.key);
        self.rows.push(row);
    }

    fn next_version(&mut self, key: u8) -> Row {
        self.versions += 1;
        Row { at: self.now, key, version: self.versions }
    }

    fn note(&mut self) {
        let present: HashSet<u8> = self.rows.iter().map(|row| row.key).collect();
        self.missed.extend((0..KEYS + MOVING).filter(|key| !present.contains(key)));
    }
}

/// The process under test, and the world around it.
struct History<'a> {
    seed: u64,
    random: Rng,
    source: Source,
    api: Arc<Mutex<Api>>,
    crash: Arc<Notify>,
    clock: Arc<ManualClock>,
    storing: Storing<'a>,
    store: SharedStore,
    rules: String,
    is_edited: bool,
    poller: Poller,
    told: Told,
    outcomes: BTreeSet<&'static str>,
}

impl<'a> History<'a> {
    async fn begin(seed: u64, rules: &str, kind: Kind, storing: Storing<'a>) -> Self {
        let api = Arc::new(Mutex::new(Api { kind, now: 1000, ..Api::default() }));
        let crash = Arc::new(Notify::new());
        let (answering, crashing) = (Arc::clone(&api), Arc::clone(&crash));
        let mut shifting = Rng::with_seed(!seed);
        let source = Source::start(move |request| {
            answering.lock().unwrap_or_else(PoisonError::into_inner).answer(request, &mut shifting, &crashing)
        })
        .await;
        let clock = ManualClock::starting_at(Timestamp::from_millis(1_795_000_000_000));
        let store = open(&storing, None).await;
        let poller = poller(&source, rules, &clock, &store);
        Self {
            seed,
            random: Rng::with_seed(seed),
            source,
            api,
            crash,
            clock,
            storing,
            store,
            rules: rules.to_owned(),
            is_edited: false,
            poller,
            told: Told::default(),
            outcomes: BTreeSet::new(),
        }
    }

    fn api(&self) -> MutexGuard<'_, Api> {
        self.api.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_poller(&self) -> Poller {
        let edit = if self.is_edited { EDIT } else { "" };
        poller(&self.source, &format!("{}{edit}", self.rules), &self.clock, &self.store)
    }

    async fn restart(&mut self) {
        self.store = open(&self.storing, Some(Arc::clone(&self.store))).await;
        // A lease that nobody gave back ends.
        self.clock.advance(Duration::from_secs(2 * 3600));
        self.poller = self.new_poller();
    }

    fn edit(&mut self) {
        self.is_edited = !self.is_edited;
        self.outcomes.insert("edited");
        self.poller = self.new_poller();
    }

    /// Polls once, and checks what is told. Returns how that ended, unless the process died.
    async fn poll(&mut self, place: &str) -> Option<PollOutcome> {
        self.clock.advance(Duration::from_secs(60));
        {
            let mut api = self.api();
            api.requests = 0;
            api.is_asked_for_all = false;
            api.note();
        }
        let poller = self.poller.clone();
        let report = {
            let mut poll = pin!(poller.poll());
            let mut ended = async || {
                tokio::select! {
                    biased;
                    () = self.crash.notified() => None,
                    report = &mut poll => Some(report.expect("the store works")),
                }
            };
            loop {
                match tokio::time::timeout(TICK, ended()).await {
                    Ok(report) => break report,
                    Err(_) => self.clock.advance(Duration::from_secs(2)),
                }
            }
        };
        drop(poller);
        let Some(report) = report else {
            self.outcomes.insert("crashed");
            self.restart().await;
            self.check(place).await;
            return None;
        };
        self.outcomes.insert(report.outcome.as_str());
        self.outcomes.extend(self.is_behind().await.then_some("behind"));
        self.check(place).await;
        let mut api = self.api();
        if report.outcome == PollOutcome::Compared(Completeness::Complete) && api.is_asked_for_all {
            // It takes two such polls that miss a row to remove it, so that not both may be made to.
            api.is_gentle = api.mishaps.values().any(|mishap| *mishap == Mishap::Shift);
            api.missed_before = std::mem::take(&mut api.missed);
            api.note();
        }
        drop(api);
        Some(report.outcome)
    }

    async fn is_behind(&self) -> bool {
        let state = self.store.connector_state(&name()).await.expect("the store works");
        state.is_some_and(|state| state.pass.is_some())
    }

    async fn check(&mut self, place: &str) {
        let query = EventQuery { limit: usize::MAX, ..EventQuery::default() };
        let events = self.store.events(query).await.expect("the store works");
        let events: Vec<Event> = events.iter().rev().map(|routed| Event::clone(&routed.event)).collect();
        let missed: BTreeSet<u8> = {
            let api = self.api();
            api.missed.union(&api.missed_before).copied().collect()
        };
        self.told.take(&events, &missed, place);
        let is_told_of_removals = events.iter().any(|event| event.event_type.action() == "removed");
        self.outcomes.extend(is_told_of_removals.then_some("removed"));
    }

    fn mishaps(&mut self) -> BTreeMap<usize, Mishap> {
        let mut mishaps = BTreeMap::new();
        for _ in 0..self.random.usize(..3) {
            let at = 1 + self.random.usize(..6);
            let mishap = match self.random.u8(..10) {
                0 | 1 => Mishap::Status([404, 500, 403, 410][self.random.usize(..4)]),
                2 => Mishap::Fault(Fault::Close),
                3 => Mishap::Fault(Fault::CutAfter(1)),
                4 => Mishap::Crash,
                5..=8 => Mishap::Shift,
                _ => continue,
            };
            mishaps.insert(at, mishap);
        }
        mishaps
    }

    async fn live(&mut self) {
        for step in 0..STEPS {
            let place = format!("history {}, step {step}", self.seed);
            let mishaps = self.mishaps();
            let lies = self.random.u8(..6) == 0;
            let mut changing = self.random.fork();
            {
                let mut api = self.api();
                // Now and then, polls come to an end of what there is.
                if step % 10 < 7 {
                    api.change(&mut changing);
                }
                api.mishaps = mishaps;
                api.lies = lies;
            }
            match self.random.u8(..20) {
                0 => self.edit(),
                1 => self.restart().await,
                _ => {}
            }
            self.poll(&place).await;
        }
    }

    /// Lets the source come to rest, and checks that everything was told.
    async fn end(&mut self) {
        {
            let mut api = self.api();
            api.mishaps.clear();
            api.lies = false;
            for row in std::mem::take(&mut api.late) {
                api.put(row);
            }
            api.note();
        }
        for round in 0..3 {
            // By then no validator is believed any more that the source has lied about, and all is to be read again.
            self.clock.advance(Duration::from_secs(25 * 3600));
            let mut is_read_through = false;
            for poll in 0..8 {
                let place = format!("history {}, end {round}.{poll}", self.seed);
                let outcome = self.poll(&place).await;
                let is_read = matches!(outcome, Some(PollOutcome::Compared(_) | PollOutcome::Unchanged));
                assert!(is_read, "{place}: nothing goes wrong any more, but {outcome:?}");
                is_read_through |= !self.is_behind().await;
            }
            assert!(is_read_through, "history {}, end {round}: no poll comes to the last page", self.seed);
        }
        let rows: BTreeMap<u8, u32> = self.api().rows.iter().map(|row| (row.key, row.version)).collect();
        for (key, version) in &rows {
            let is_told = self.told.versions.contains(&(*key, *version));
            assert!(is_told, "history {}: {key}={version} was never told", self.seed);
        }
        // More pages than one poll may read prove nothing of what is not there.
        if self.rules.contains("reconcile") && !self.rules.contains("max_pages") {
            let gone: Vec<&u8> = self.told.present.keys().filter(|key| !rows.contains_key(key)).collect();
            assert!(gone.is_empty(), "history {}: {gone:?} were never said to be removed", self.seed);
        }
    }
}

/// Lives through histories under these rules, and checks that together they knew all of this.
async fn check(rules: &str, kind: Kind, seeds: std::ops::Range<u64>, on_disk: bool, known: &[&str]) {
    let rules = format!("{USUAL}{rules}\n");
    let mut outcomes = BTreeSet::new();
    for seed in seeds {
        let folder = tempfile::tempdir().expect("a folder");
        let storing = if on_disk { Storing::Sled(folder.path()) } else { Storing::Memory };
        let mut history = History::begin(seed, &rules, kind, storing).await;
        history.live().await;
        history.end().await;
        outcomes.append(&mut history.outcomes);
    }
    for outcome in known {
        assert!(outcomes.contains(outcome), "{outcome} is not among {outcomes:?}");
    }
}

const ALL_PAGES: &str = "pagination.link = {}\n";
const TWO_PAGES: &str = "pagination.link = { max_pages = 2 }\n";
const ASCENDING: &str = "cursor.ascending = true\n";
const MISHAPS: &[&str] = &["complete", "unchanged", "partial", "failed", "crashed", "edited"];

#[tokio::test]
async fn what_is_new_since_the_cursor_is_told_once() {
    // Within the overlap, rows may be listed late.
    let kind = Kind { lateness: OVERLAP, ..Kind::default() };
    let rules = format!("{SINCE}{ALL_PAGES}");
    check(&rules, kind, 0..4, false, MISHAPS).await;
    check(&rules, kind, 50..51, true, &["crashed"]).await;
}

#[tokio::test]
async fn it_is_so_where_the_source_ascends() {
    let kind = Kind { ascends: true, lateness: OVERLAP, ..Kind::default() };
    let rules = format!("{SINCE}{ASCENDING}{ALL_PAGES}");
    check(&rules, kind, 100..104, false, MISHAPS).await;
    check(&rules, kind, 150..151, true, &["crashed"]).await;
}

#[tokio::test]
async fn it_is_so_if_one_poll_cannot_read_all() {
    let kind = Kind { lateness: OVERLAP, ..Kind::default() };
    check(&format!("{SINCE}{TWO_PAGES}"), kind, 200..204, false, &["behind", "partial", "crashed", "edited"]).await;
    check(&format!("{SINCE}{TWO_PAGES}"), kind, 250..251, true, &["behind"]).await;
    // Polls that follow each other forwards may end beyond the overlap of what was listed late behind them, so that only
    // another poll of everything finds it.
    let kind = Kind { ascends: true, ..Kind::default() };
    let rules = format!("{SINCE}{ASCENDING}{TWO_PAGES}");
    check(&rules, kind, 300..304, false, &["behind", "partial", "crashed", "edited"]).await;
}

#[tokio::test]
async fn a_poll_of_everything_finds_what_is_later_than_the_overlap_and_what_is_gone() {
    let kind = Kind { lateness: 5 * OVERLAP, is_numbered: true, ..Kind::default() };
    let rules = format!("{SINCE}{EVERYTHING}{ALL_PAGES}");
    check(&rules, kind, 400..403, false, &["removed", "partial", "crashed"]).await;
    check(&rules, kind, 450..451, true, &["removed"]).await;
    check(&format!("{SINCE}{EVERYTHING}{TWO_PAGES}"), kind, 500..502, false, &["behind"]).await;
    let kind = Kind { ascends: true, is_numbered: false, ..kind };
    check(&format!("{SINCE}{EVERYTHING}{ASCENDING}{ALL_PAGES}"), kind, 550..552, false, &["removed"]).await;
    check(&format!("{SINCE}{EVERYTHING}{ASCENDING}{TWO_PAGES}"), kind, 600..602, false, &["behind"]).await;
}

#[tokio::test]
async fn polls_that_stop_at_what_is_known_tell_all_that_is_new() {
    let known = |most: usize| format!("pagination.link = {{ max_pages = {most}, stop = \"known\" }}\n");
    check(&known(2), Kind::default(), 700..704, false, &["behind", "partial", "failed", "crashed", "edited"]).await;
    check(&known(2), Kind::default(), 750..751, true, &["behind", "crashed"]).await;
    check(&known(20), Kind::default(), 800..802, false, &["complete", "unchanged"]).await;
}
