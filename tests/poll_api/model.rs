//! A random source against a model of what must be told of it: whatever the source, the network, crashes and people who
//! edit the configuration do between any two steps.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use pollhook::clock::ManualClock;
use pollhook::http::HttpClient;
use pollhook::model::change::Decision;
use pollhook::model::event::{Event, Route};
use pollhook::model::id::SubscriptionName;
use pollhook::model::item::SetAside;
use pollhook::model::time::Timestamp;
use pollhook::poll::{FetchContext, PollContext, PollOutcome, Poller};
use pollhook::store::embedded::{self, Options};
use pollhook::store::memory::MemoryStore;
use pollhook::store::{EventQuery, SeenSelection, SharedStore};
use pollhook::telemetry::Telemetry;
use tokio::sync::Notify;

use crate::source::{Fault, Reply, Request, Source};
use crate::world::{configured, name};

/// How many items a page has.
const PAGE: usize = 3;

/// How often the clock is moved while a poll waits for it, in real time.
pub const TICK: Duration = Duration::from_millis(1);

/// How many polls and decisions a history has.
const STEPS: usize = 60;

const USUAL: &str = r#"
changes.first_poll = "send"
changes.lists = "everything"
changes.events = ["created", "updated", "removed"]
changes.empty = "ok"
item.data = "{id, version}"
pagination.link = {}
request.timeout = "5s"
"#;

/// What the rules can have beside the usual: nothing, another filter, or other rules for what counts.
const EDITS: [&str; 4] =
    ["", "item.filter = \".id >= 0\"\n", "item.watch = [\".version\"]\n", "item.ignore = [\".detailed\"]\n"];

/// The API.
#[derive(Default)]
struct Api {
    /// Key and version, in the order of the listing. No version ever comes again.
    rows: Vec<(u8, u32)>,
    /// Rows that are there but not listed yet.
    late: Vec<(u8, u32)>,
    versions: u32,
    /// Answers whoever asks conditionally that nothing has changed.
    lies: bool,
    /// What happens at requests, by their number within the present poll.
    mishaps: BTreeMap<usize, Mishap>,
    requests: usize,
    /// Everything that was listed since the source was last read under the present rules.
    listed: BTreeSet<(u8, u32)>,
    /// The keys that were missing at some time since the source was last read.
    missed: BTreeSet<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mishap {
    Status(u16),
    Fault(Fault),
    /// Rows are inserted or deleted before the answer.
    Shift,
    /// The process dies while it waits for the answer.
    Crash,
}

const KEYS: u8 = 14;

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
        match request.target.strip_prefix("/detail/") {
            Some(key) => self.detail(key.parse().expect("a key")),
            None => self.page(request),
        }
    }

    fn detail(&self, key: u8) -> Reply {
        if !self.rows.iter().any(|row| row.0 == key) {
            return Reply::of(404, "");
        }
        Reply::json(format!("{{\"detailed\":{key}}}"))
    }

    fn page(&mut self, request: &Request) -> Reply {
        let number = request.target.split_once("page=").map_or(0, |(_, number)| number.parse().expect("a number"));
        let mut json = String::new();
        for (key, version) in self.rows.iter().skip(number * PAGE).take(PAGE) {
            write!(json, ",{{\"id\":{key},\"version\":{version}}}").expect("a string takes everything");
        }
        let is_last = self.rows.len() <= (number + 1) * PAGE;
        let etag = format!("\"{is_last}{}\"", json.replace('"', ""));
        let asked_with = request.header("if-none-match");
        let reply = if asked_with == Some(&etag) || self.lies && asked_with.is_some() {
            Reply::of(304, "")
        } else {
            Reply::json(format!("[{}]", json.trim_start_matches(','))).with("etag", etag)
        };
        if is_last { reply } else { reply.with("link", format!("</items?page={}>; rel=\"next\"", number + 1)) }
    }

    /// Edits, inserts, deletes, hides, shows and reorders.
    fn change(&mut self, random: &mut Rng) {
        for _ in 0..random.usize(..4) {
            let key = random.u8(..KEYS);
            match self.rows.iter().position(|row| row.0 == key) {
                Some(place) if random.bool() => drop(self.rows.remove(place)),
                Some(place) => self.rows[place].1 = self.next_version(),
                None if !self.late.iter().any(|row| row.0 == key) => {
                    let row = (key, self.next_version());
                    if random.u8(..4) == 0 { self.late.push(row) } else { self.insert(row, random) }
                }
                None => {}
            }
        }
        if random.u8(..3) == 0 {
            for row in std::mem::take(&mut self.late) {
                self.insert(row, random);
            }
        }
        match random.u8(..12) {
            0 | 1 => random.shuffle(&mut self.rows),
            2 => self.rows.clear(),
            _ => {}
        }
        self.note();
    }

    fn shift(&mut self, random: &mut Rng) {
        let key = random.u8(KEYS..KEYS + 4);
        match self.rows.iter().position(|row| row.0 == key) {
            Some(place) => drop(self.rows.remove(place)),
            None => {
                let row = (key, self.next_version());
                self.rows.insert(0, row);
            }
        }
        self.note();
    }

    fn insert(&mut self, row: (u8, u32), random: &mut Rng) {
        let place = random.usize(..=self.rows.len());
        self.rows.insert(place, row);
    }

    fn next_version(&mut self) -> u32 {
        self.versions += 1;
        self.versions
    }

    fn note(&mut self) {
        self.listed.extend(&self.rows);
        let present: HashSet<u8> = self.rows.iter().map(|row| row.0).collect();
        self.missed.extend((0..KEYS + 4).filter(|key| !present.contains(key)));
    }
}

/// What has been told, and what need not be.
#[derive(Default)]
pub struct Told {
    /// How many events were looked at.
    events: usize,
    pub versions: HashSet<(u8, u32)>,
    /// What the receiver believes to be there.
    pub present: BTreeMap<u8, u32>,
    /// Versions that were taken as seen: by an edit, or because somebody decided so.
    excused: HashSet<(u8, u32)>,
    /// Keys of which something was taken as seen that has not been told of since: what the receiver believes of them may
    /// not be true.
    doubtful: HashSet<u8>,
}

impl Told {
    /// Takes in what is new of all events. Only a key that was missing may be told to be removed.
    pub fn take(&mut self, events: &[Event], missed: &BTreeSet<u8>, place: &str) {
        for event in events.iter().skip(self.events).filter(|event| !event.connector.is_service()) {
            let key: u8 = event.key.parse().expect("a key");
            if event.event_type.action() == "removed" {
                assert!(missed.contains(&key), "{place}: {key} was there all the time");
                let was_present = self.present.remove(&key).is_some();
                assert!(self.doubtful.remove(&key) || was_present, "{place}: {key} was not there");
                continue;
            }
            let data: serde_json::Value = serde_json::from_str(event.data.get()).expect("JSON");
            let version = u32::try_from(data["version"].as_u64().expect("a version")).expect("a small one");
            assert!(self.versions.insert((key, version)), "{place}: {key}={version} is told again");
            let before = self.present.insert(key, version);
            let is_update = event.event_type.action() == "updated";
            assert!(self.doubtful.remove(&key) || before.is_some() == is_update, "{place}: {key}={version}");
        }
        self.events = events.len();
    }

    /// These versions, and what becomes of these keys, need not have been told.
    fn excuse(&mut self, rows: impl IntoIterator<Item = (u8, u32)>) {
        for (key, version) in rows {
            self.doubtful.insert(key);
            if !self.versions.contains(&(key, version)) {
                self.excused.insert((key, version));
            }
        }
    }
}

struct NoRoute;

impl Route for NoRoute {
    fn subscriptions(&self, _event: &Event) -> Vec<SubscriptionName> {
        Vec::new()
    }
}

/// Where the store is: in memory, or in a folder that outlives crashes.
pub enum Storing<'a> {
    Memory,
    Sled(&'a Path),
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
    /// Which of [`EDITS`] the rules have.
    edit: usize,
    poller: Poller,
    told: Told,
    /// Whether an edit has not been taken in yet.
    edited: bool,
    /// Whether rows shifted in the last poll that could count missing items.
    shifted: bool,
    outcomes: BTreeSet<&'static str>,
}

impl<'a> History<'a> {
    async fn begin(seed: u64, rules: &str, storing: Storing<'a>) -> Self {
        let (api, crash) = (Arc::new(Mutex::new(Api::default())), Arc::new(Notify::new()));
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
            edit: 0,
            poller,
            told: Told::default(),
            edited: false,
            shifted: false,
            outcomes: BTreeSet::new(),
        }
    }

    fn api(&self) -> MutexGuard<'_, Api> {
        self.api.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process again, maybe with an edited configuration.
    async fn restart(&mut self) {
        self.store = open(&self.storing, Some(Arc::clone(&self.store))).await;
        // A lease that nobody gave back ends.
        self.clock.advance(Duration::from_secs(2 * 3600));
        self.poller = self.new_poller();
    }

    fn new_poller(&self) -> Poller {
        poller(&self.source, &format!("{}{}", self.rules, EDITS[self.edit]), &self.clock, &self.store)
    }

    /// Polls once, and checks what is told. Returns whether the source was read.
    async fn poll(&mut self, place: &str) -> bool {
        self.clock.advance(Duration::from_secs(60));
        {
            let mut api = self.api();
            api.requests = 0;
            api.note();
        }
        let poller = self.poller.clone();
        let crashed = {
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
        let Some(report) = crashed else {
            self.outcomes.insert("crashed");
            self.restart().await;
            self.check(place).await;
            return false;
        };
        self.outcomes.insert(report.outcome.as_str());
        if report.held > 0 {
            self.outcomes.insert("held");
        }
        if matches!(report.outcome, PollOutcome::Compared(_)) {
            if self.edited {
                let listed: Vec<(u8, u32)> = self.api().listed.iter().copied().collect();
                self.told.excuse(listed);
                self.told.doubtful.extend(0..KEYS + 4);
                self.edited = false;
            }
            let shifted = self.api().mishaps.values().any(|mishap| *mishap == Mishap::Shift);
            self.shifted = shifted;
        }
        self.check(place).await;
        {
            let mut api = self.api();
            if !self.edited {
                api.listed.clear();
            }
            if matches!(report.outcome, PollOutcome::Compared(_)) {
                api.missed.clear();
            }
            api.note();
        }
        matches!(report.outcome, PollOutcome::Compared(_) | PollOutcome::Unchanged)
    }

    async fn check(&mut self, place: &str) {
        let query = EventQuery { limit: usize::MAX, ..EventQuery::default() };
        let events = self.store.events(query).await.expect("the store works");
        let events: Vec<Event> = events.iter().rev().map(|routed| Event::clone(&routed.event)).collect();
        let api = Arc::clone(&self.api);
        let api = api.lock().unwrap_or_else(PoisonError::into_inner);
        self.told.take(&events, &api.missed, place);
    }

    async fn set_aside(&self) -> Vec<SetAside> {
        self.store.set_aside(&name(), SeenSelection::All).await.expect("the store works")
    }

    async fn is_held(&self) -> bool {
        let state = self.store.connector_state(&name()).await.expect("the store works");
        state.is_some_and(|state| state.hold.is_some())
    }

    /// Decides at random about what is held, if anything is.
    async fn decide(&mut self, decision: Decision, place: &str) {
        if !self.is_held().await {
            return;
        }
        if decision == Decision::Baseline {
            let version = |change: &SetAside| {
                let record = change.record.as_ref()?;
                let record: serde_json::Value = serde_json::from_str(record.get()).expect("JSON");
                u32::try_from(record["version"].as_u64()?).ok()
            };
            let held = self.set_aside().await;
            let rows: Vec<(u8, u32)> = held
                .iter()
                .map(|change| (change.key.parse().expect("a key"), version(change).unwrap_or_default()))
                .collect();
            self.told.excuse(rows);
        }
        self.poller.decide(decision).await.expect("it is held");
        self.outcomes.insert(decision.as_str());
        self.check(place).await;
        assert!(!self.is_held().await, "{place}");
    }

    /// Edits the rules so that keys or fingerprints are no longer comparable, or comparable with what they once were.
    fn edit(&mut self) {
        self.edit = (self.edit + self.random.usize(1..EDITS.len())) % EDITS.len();
        self.edited = true;
        self.outcomes.insert("edited");
        self.poller = self.new_poller();
    }

    /// Lets things go wrong at some request of the next poll.
    fn mishaps(&mut self) -> BTreeMap<usize, Mishap> {
        let mut mishaps = BTreeMap::new();
        for _ in 0..self.random.usize(..3) {
            let at = 1 + self.random.usize(..8);
            let mishap = match self.random.u8(..10) {
                0 | 1 => Mishap::Status([404, 500, 403][self.random.usize(..3)]),
                2 => Mishap::Fault(Fault::Close),
                3 => Mishap::Fault(Fault::CutAfter(1)),
                4 => Mishap::Crash,
                5..=7 if !self.shifted => Mishap::Shift,
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
            {
                let lies = self.random.u8(..6) == 0;
                let mut changing = std::mem::replace(&mut self.random, Rng::with_seed(0));
                let mut api = self.api();
                api.change(&mut changing);
                api.mishaps = mishaps;
                api.lies = lies;
                drop(api);
                self.random = changing;
            }
            match self.random.u8(..20) {
                0 => self.edit(),
                1 => self.restart().await,
                2 | 3 => self.decide(Decision::Approve, &place).await,
                4 => self.decide(Decision::Baseline, &place).await,
                5 => self.decide(Decision::Drop, &place).await,
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
        }
        // By then no validator is believed any more that the source has lied about.
        self.clock.advance(Duration::from_secs(25 * 3600));
        for round in 0..8 {
            let place = format!("history {}, end {round}", self.seed);
            assert!(self.poll(&place).await, "{place}: nothing goes wrong any more");
            self.decide(Decision::Approve, &place).await;
        }
        assert_eq!(self.set_aside().await.len(), 0);
        let rows: BTreeMap<u8, u32> = self.api().rows.iter().copied().collect();
        for (key, version) in &rows {
            assert!(
                self.told.versions.contains(&(*key, *version)) || self.told.excused.contains(&(*key, *version)),
                "history {}: {key}={version} was never told",
                self.seed
            );
        }
        for key in self.told.present.keys() {
            assert!(
                rows.contains_key(key) || self.told.doubtful.contains(key),
                "history {}: {key} was never said to be removed",
                self.seed
            );
        }
    }
}

pub async fn open(storing: &Storing<'_>, before: Option<SharedStore>) -> SharedStore {
    match (storing, before) {
        (Storing::Memory, Some(before)) => before,
        (Storing::Memory, None) => MemoryStore::new(),
        (Storing::Sled(path), before) => {
            if let Some(before) = before {
                before.close().await.expect("it can be closed");
            }
            Arc::new(embedded::open(path, Options::default(), Telemetry::shared()).expect("it opens"))
        }
    }
}

pub fn poller(source: &Source, rules: &str, clock: &Arc<ManualClock>, store: &SharedStore) -> Poller {
    let http = HttpClient::new().expect("a client");
    let fetching = FetchContext::new(http, clock.clone(), Telemetry::shared());
    let context = PollContext { fetching, store: Arc::clone(store), route: Arc::new(NoRoute) };
    Poller::new(configured(source, rules), context)
}

/// Lives through histories under these rules, and checks that together they knew all of this.
async fn check(rules: &str, seeds: std::ops::Range<u64>, on_disk: bool, known: &[&str]) {
    let rules = format!("{USUAL}{rules}\n");
    let mut outcomes = BTreeSet::new();
    for seed in seeds {
        let folder = tempfile::tempdir().expect("a folder");
        let storing = if on_disk { Storing::Sled(folder.path()) } else { Storing::Memory };
        let mut history = History::begin(seed, &rules, storing).await;
        history.live().await;
        history.end().await;
        outcomes.append(&mut history.outcomes);
    }
    for outcome in known {
        assert!(outcomes.contains(outcome), "{outcome} is not among {outcomes:?}");
    }
}

#[tokio::test]
async fn every_version_is_told_once_and_nothing_false() {
    check("", 0..8, false, &["complete", "unchanged", "partial", "failed", "crashed", "edited"]).await;
}

#[tokio::test]
async fn every_version_is_told_once_and_nothing_false_from_disk() {
    check("", 100..103, true, &["complete", "unchanged", "crashed", "edited"]).await;
}

#[tokio::test]
async fn it_is_so_with_items_that_are_missing_for_long() {
    check("changes.removed_after = 3", 200..204, false, &["complete", "partial"]).await;
}

#[tokio::test]
async fn it_is_so_with_holds() {
    let rules = "changes.hold_above = { created = 2, removed = \"40%\" }";
    check(rules, 300..308, false, &["held", "approve", "baseline", "drop", "edited"]).await;
    check(rules, 350..352, true, &["held"]).await;
}

#[tokio::test]
async fn it_is_so_with_details() {
    let rules = "detail = { request = { url = \"SOURCE/detail/{{ item.id }}\" } }";
    check(rules, 400..406, false, &["complete", "partial", "crashed"]).await;
}

#[tokio::test]
async fn it_is_so_with_holds_and_details() {
    let rules =
        "changes.hold_above = { created = 2 }\ndetail = { request = { url = \"SOURCE/detail/{{ item.id }}\" } }";
    check(rules, 500..506, false, &["held", "approve", "partial"]).await;
    check(rules, 550..551, true, &["held"]).await;
}
