//! Power cuts, simulated: a process works on a store while a preloaded library records each write and sync below the
//! data directory. Cut at a random moment, what was not synced is kept or dropped page by page, and what is left must
//! open with everything that was acknowledged, and with nothing half there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use pollhook::model::delivery::{DeathReason, DeliveryState};
use pollhook::model::fingerprint::{BodyHash, KeyHash};
use pollhook::model::id::{DeliveryId, EventId};
use pollhook::model::secret::Secret;
use pollhook::store::embedded::EmbeddedStore;
use pollhook::store::{
    Claim, DeliveryStore, EventQuery, HistoryStore, PollStore, SeenSelection, SeenUpdate, Settlement, StoreError,
    Verdict,
};

use super::support::{
    self, LEASE, aside, at, attempt, commit, connector, event, open_sled, raw, seen, settlement, state, subscription,
};

const CUTS: usize = 110;
/// How many polls of each source a run makes.
const POLLS: u64 = 10;
const PAGE: usize = 4096;
const DIRECTORY: &str = "POWERCUT_DIRECTORY";
const LOG: &str = "POWERCUT_LOG";
/// What a failure is repeated with: the seed, and the directory with what was recorded.
const SEED: &str = "POWERCUT_SEED";
const RECORDED: &str = "POWERCUT_RECORDED";

/// What the working process was told, in the order in which it was told: lines in a file that is recorded too.
struct Acknowledgements(Mutex<fs::File>);

impl Acknowledgements {
    fn note(&self, line: &str) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{line}\n").as_bytes()).expect("a line");
    }
}

/// What the recorded process does. Not a test by itself: it is started by the test below.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the power loss test starts this in a process of its own"]
async fn work() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let marker = directory.join("acknowledged");
    let mut marker = fs::File::options().create(true).truncate(false).write(true).open(marker).expect("a file");
    marker.seek(SeekFrom::End(0)).expect("the end");
    let acknowledged = Arc::new(Acknowledgements(Mutex::new(marker)));
    // The first run makes the store and is broken off, the second one goes on.
    let run = u64::from(directory.join("data").exists());
    let store = Arc::new(open_sled(&directory.join("data")).expect("the store opens"));
    acknowledged.note("opened");

    let mut tasks = tokio::task::JoinSet::new();
    for source in ["orders", "tickets"] {
        let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            for number in 0..POLLS {
                let poll = run * POLLS + number;
                // Some polls are committed in one batch, some in several, and some items are large.
                let items = match number {
                    7 => 400,
                    4 => 3,
                    _ => 12,
                };
                let of = connector(source);
                let lease = store.lease_poll(&of, at(poll), LEASE).await.expect("a lease").expect("nobody holds it");
                let mut updates = Vec::new();
                for item in 0..items {
                    let key = format!("{source} {poll} {item}");
                    let length = if number == 4 { 60_000 } else { 200 };
                    let data = raw(&format!("{:?}", "d".repeat(length)));
                    let routed = event(&of, &key, at(poll), data.clone(), &["erp", "chat"]);
                    let update = SeenUpdate { seen: seen(&key, 1, at(poll)), kept: Some(data), event: Some(routed) };
                    updates.push(update);
                }
                // What the poll before set aside becomes an event.
                if let Some(earlier) = poll.checked_sub(1) {
                    let key = set_aside_by(source, earlier);
                    let routed = event(&of, &key, at(poll), raw("0"), &["erp"]);
                    updates.push(SeenUpdate {
                        seen: seen(&key, 1, at(poll)),
                        kept: Some(raw("0")),
                        event: Some(routed),
                    });
                }
                if number % 3 == 1 {
                    let ahead = updates.split_off(items / 2);
                    store.commit_items(&lease, ahead.into()).await.expect("a part");
                    acknowledged.note(&format!("polled in part {source} {poll} {items}"));
                }
                let mut whole = commit(at(poll), updates);
                whole.state = state(&poll.to_string(), at(poll));
                whole.record = Some(support::record(at(poll), 3));
                whole.set_aside = vec![aside(&set_aside_by(source, poll), 9000, at(poll))];
                store.commit_poll(lease, whole).await.expect("a commit");
                acknowledged.note(&format!("polled {source} {poll} {items}"));
                let grant = Secret::new(format!("{poll} {}", "g".repeat(7000)));
                store.keep_grant(BodyHash::of(source.as_bytes()), grant).await.expect("a change");
                acknowledged.note(&format!("granted {source} {poll}"));
            }
        });
    }
    for name in ["erp", "chat"] {
        let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            for round in 0..24_u64 {
                let claimed =
                    store.claim_deliveries(&subscription(name), at(1000 + round), Claim::up_to(8, LEASE)).await;
                for claimed in claimed.expect("a claim").deliveries {
                    // An attempt is made now, so its event must already be durable.
                    acknowledged.note(&format!("attempted {}", claimed.lease.id));
                    let (verdict, word) = match round % 4 {
                        0 => (Verdict::Retry(at(1000 + round)), "retry"),
                        1 => (Verdict::Dead(DeathReason::Exhausted), "dead"),
                        _ => (Verdict::Delivered, "delivered"),
                    };
                    let id = claimed.lease.id.clone();
                    let long = attempt(claimed.attempts + 1, at(round), &"a".repeat(3000));
                    let settlement = Settlement { attempt: long, ..settlement(&claimed, at(round), verdict) };
                    store.settle_delivery(settlement).await.expect("a settlement");
                    acknowledged.note(&format!("settled {id} {word}"));
                }
                tokio::task::yield_now().await;
            }
        });
    }
    tasks.join_all().await;
    // No farewell: the process ends as if it had been killed.
    #[expect(clippy::disallowed_methods, reason = "a process that is killed closes nothing")]
    std::process::exit(0);
}

/// Returns the key of the change that a poll sets aside.
fn set_aside_by(source: &str, poll: u64) -> String {
    format!("{source} {poll} aside")
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged() {
    let scratch = tempfile::tempdir().expect("a directory");
    let library = build_recorder(scratch.path());
    let recorded = std::env::var_os(RECORDED).map(PathBuf::from);
    let directory = recorded.as_deref().unwrap_or(scratch.path()).join("recorded");
    let log = recorded.as_deref().unwrap_or(scratch.path()).join("log");
    if recorded.is_none() {
        fs::create_dir(&directory).expect("a directory");
        // The second run goes on where the first one was broken off.
        for _ in 0..2 {
            record(&library, &directory, &log);
        }
    }
    let records = read_log(&fs::read(&log).expect("the log"));
    assert!(records.len() > 1000, "too little was recorded: {}", records.len());

    let seed = std::env::var_os(SEED).and_then(|seed| seed.to_str()?.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cuts: Vec<usize> = (0..CUTS).map(|_| random.usize(1..=records.len())).collect();
    // The making of the store is short, and the most delicate.
    let opened = records.iter().position(Record::is_acknowledgement).expect("the store was opened");
    cuts.extend((0..20).map(|_| random.usize(1..=opened + 1)));
    cuts.sort_unstable();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut disk = Disk::new(&directory);
    let mut done = 0;
    let mut refused = Vec::new();
    for cut in cuts {
        for record in &records[done..cut] {
            disk.take(record);
        }
        done = cut;
        let left = scratch.path().join("left");
        disk.write_out(&left, &mut random);
        let acknowledged = disk.acknowledged();
        match runtime.block_on(verify(&left.join("data"), &acknowledged)) {
            Ok(()) => {}
            Err(Verified::Refused(error)) => refused.push((cut, error)),
            Err(Verified::Wrong(what)) => {
                panic!("cut after {cut} of {}: {what}; {}", records.len(), repeat(seed, &scratch.keep()))
            }
        }
        fs::remove_dir_all(&left).expect("removed");
    }
    assert!(refused.is_empty(), "could not be opened: {refused:?}; {}", repeat(seed, &scratch.keep()));
}

/// Returns how to repeat a failure.
fn repeat(seed: u64, scratch: &Path) -> String {
    format!("to repeat this, set {SEED}={seed} and {RECORDED}={}", scratch.display())
}

fn record(library: &Path, directory: &Path, log: &Path) {
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "power_loss::work", "--ignored"])
        .env("LD_PRELOAD", library)
        .env(DIRECTORY, directory)
        .env(LOG, log)
        .stdout(std::process::Stdio::null())
        .status()
        .expect("the process starts");
    assert!(status.success(), "the recorded process failed: {status}");
}

fn build_recorder(scratch: &Path) -> PathBuf {
    let library = scratch.join("powercut.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/powercut.c");
    let status = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .status()
        .expect("a C compiler, `cc`, is installed");
    assert!(status.success(), "the recorder could not be built: {status}");
    library
}

/// Something that the process did.
struct Record {
    what: u8,
    path: PathBuf,
    offset: usize,
    data: Vec<u8>,
}

impl Record {
    fn is_acknowledgement(&self) -> bool {
        self.what == b'w' && self.path.ends_with("acknowledged")
    }
}

fn read_log(mut bytes: &[u8]) -> Vec<Record> {
    fn take<'b>(bytes: &mut &'b [u8], length: usize) -> &'b [u8] {
        let (taken, rest) = bytes.split_at(length);
        *bytes = rest;
        taken
    }
    fn number(bytes: &mut &[u8]) -> usize {
        let number = u64::from_ne_bytes(take(bytes, 8).try_into().expect("8 bytes"));
        usize::try_from(number).expect("a length in memory")
    }
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let what = take(&mut bytes, 1)[0];
        let length = number(&mut bytes);
        let path = PathBuf::from(String::from_utf8(take(&mut bytes, length).to_vec()).expect("a path"));
        let offset = number(&mut bytes);
        let length = number(&mut bytes);
        records.push(Record { what, path, offset, data: take(&mut bytes, length).to_vec() });
    }
    records
}

/// A change of a file's content that was not synced.
enum Unsynced {
    Page { offset: usize, data: Vec<u8> },
    Length(usize),
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(usize),
    Directory,
}

/// What is on the disk, and what is only in the machine's memory.
struct Disk {
    root: PathBuf,
    files: Vec<File>,
    /// What the process sees.
    entries: BTreeMap<PathBuf, Entry>,
    /// What is sure to be found again.
    synced: BTreeMap<PathBuf, Entry>,
}

impl Disk {
    fn new(root: &Path) -> Self {
        let entries = BTreeMap::from([(root.to_owned(), Entry::Directory)]);
        Self { root: root.to_owned(), files: Vec::new(), synced: entries.clone(), entries }
    }

    fn take(&mut self, record: &Record) {
        match record.what {
            b'c' => {
                self.files.push(File::default());
                self.entries.insert(record.path.clone(), Entry::File(self.files.len() - 1));
            }
            b'd' => {
                self.entries.insert(record.path.clone(), Entry::Directory);
            }
            b'w' => self.write(record),
            b't' => self.file(&record.path).unsynced.push(Unsynced::Length(record.offset)),
            b's' => self.sync(&record.path),
            b'u' => {
                self.entries.remove(&record.path);
            }
            b'r' => {
                let to = PathBuf::from(String::from_utf8(record.data.clone()).expect("a path"));
                self.entries = rename(&self.entries, &record.path, &to);
                if self.entries.get(&to) == Some(&Entry::Directory) {
                    // A directory moves with what is in it.
                    let inside: Vec<_> =
                        self.synced.keys().filter(|path| path.starts_with(&record.path)).cloned().collect();
                    for path in inside {
                        let moved = to.join(path.strip_prefix(&record.path).expect("a path inside"));
                        if path != record.path
                            && let Some(entry) = self.synced.get(&path).copied()
                        {
                            self.synced.insert(moved, entry);
                        }
                    }
                }
            }
            other => panic!("an unknown record {other}"),
        }
    }

    fn file(&mut self, path: &Path) -> &mut File {
        match self.entries.get(path) {
            Some(Entry::File(file)) => &mut self.files[*file],
            other => panic!("{} is {other:?}", path.display()),
        }
    }

    fn write(&mut self, record: &Record) {
        let mut offset = record.offset;
        let mut data = &record.data[..];
        while !data.is_empty() {
            let length = (PAGE - offset % PAGE).min(data.len());
            let (page, rest) = data.split_at(length);
            self.file(&record.path).unsynced.push(Unsynced::Page { offset, data: page.to_vec() });
            offset += length;
            data = rest;
        }
    }

    fn sync(&mut self, path: &Path) {
        match self.entries.get(path) {
            Some(Entry::File(file)) => {
                let file = &mut self.files[*file];
                for change in std::mem::take(&mut file.unsynced) {
                    change.make(&mut file.synced);
                }
            }
            Some(Entry::Directory) => {
                let is_child = |child: &Path| child.parent() == Some(path);
                self.synced.retain(|child, _| !is_child(child) || self.entries.contains_key(child));
                for (child, entry) in self.entries.iter().filter(|(child, _)| is_child(child)) {
                    self.synced.insert(child.clone(), *entry);
                }
            }
            // A file that was removed while it was open.
            None => {}
        }
    }

    /// Writes what a power cut leaves: of each change that was not synced, chance decides.
    fn write_out(&self, to: &Path, random: &mut fastrand::Rng) {
        // Sometimes nearly everything was written already, sometimes hardly anything.
        let kept = *random.choice(&[0.0, 0.1, 0.5, 0.9, 1.0]).expect("five choices");
        let paths: BTreeSet<&PathBuf> = self.entries.keys().chain(self.synced.keys()).collect();
        for path in paths {
            let (seen, synced) = (self.entries.get(path), self.synced.get(path));
            let entry = if seen == synced || random.f64() < kept { seen } else { synced };
            let target = to.join(path.strip_prefix(&self.root).expect("a path inside"));
            if !target.parent().is_some_and(Path::is_dir) && path != &self.root {
                continue;
            }
            match entry {
                Some(Entry::Directory) => fs::create_dir(&target).expect("a directory"),
                Some(Entry::File(file)) => {
                    let File { synced, unsynced } = &self.files[*file];
                    let mut content = synced.clone();
                    for change in unsynced {
                        if random.f64() < kept {
                            change.make(&mut content);
                        }
                    }
                    fs::write(&target, content).expect("a file");
                }
                None => {}
            }
        }
    }

    /// Returns the lines that the process was told: it was told them, whether they are on the disk or not.
    fn acknowledged(&self) -> Vec<String> {
        let Some(Entry::File(file)) = self.entries.get(&self.root.join("acknowledged")) else { return Vec::new() };
        let mut content = self.files[*file].synced.clone();
        for change in &self.files[*file].unsynced {
            change.make(&mut content);
        }
        String::from_utf8(content).expect("text").lines().map(str::to_owned).collect()
    }
}

fn rename(entries: &BTreeMap<PathBuf, Entry>, from: &Path, to: &Path) -> BTreeMap<PathBuf, Entry> {
    let moved = |(path, entry): (&PathBuf, &Entry)| match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => (to.to_owned(), *entry),
        Ok(rest) => (to.join(rest), *entry),
        Err(_) => (path.clone(), *entry),
    };
    // What is moved comes last, so that it replaces what was there.
    let (inside, outside): (Vec<_>, Vec<_>) = entries.iter().partition(|(path, _)| path.starts_with(from));
    outside.into_iter().chain(inside).map(moved).collect()
}

impl Unsynced {
    fn make(&self, content: &mut Vec<u8>) {
        match self {
            Self::Page { offset, data } => {
                let end = offset + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(data);
            }
            Self::Length(length) => content.resize(*length, 0),
        }
    }
}

/// What is wrong with what a power cut left.
enum Verified {
    Refused(String),
    Wrong(String),
}

impl From<StoreError> for Verified {
    fn from(error: StoreError) -> Self {
        Self::Wrong(format!("{error:?}"))
    }
}

/// Checks that the state of a source, its history and what it set aside are of one piece.
async fn verify_poll(store: &EmbeddedStore, source: &str, sent: &BTreeSet<KeyHash>) -> Result<(), Verified> {
    let of = connector(source);
    let wrong = |what: String| Err(Verified::Wrong(what));
    let polled = store.connector_state(&of).await?.map(|state| state.polled_at);
    let noted = store.polls(&of, None, 1).await?.first().map(|record| record.at);
    if polled != noted {
        return wrong(format!("{source} was polled at {polled:?}, and its history says {noted:?}"));
    }
    let waiting: BTreeSet<KeyHash> =
        store.set_aside(&of, SeenSelection::All).await?.into_iter().map(|change| change.key_hash).collect();
    let polls = polled.map_or(0, |polled| polled.since(at(0)).as_secs() + 1);
    for poll in 0..polls {
        let key = KeyHash::of(&set_aside_by(source, poll));
        if waiting.contains(&key) == sent.contains(&key) {
            return wrong(format!("what poll {poll} of {source} set aside is lost or repeated"));
        }
    }
    Ok(())
}

/// Holds what is left against what was acknowledged.
async fn verify(data: &Path, acknowledged: &[String]) -> Result<(), Verified> {
    let store = open_sled(data).map_err(|error| Verified::Refused(format!("{error:?}")))?;
    let wrong = |what: String| Err(Verified::Wrong(what));
    let events = store.events(EventQuery { limit: usize::MAX, ..EventQuery::default() }).await?;
    let mut keys = BTreeSet::new();
    for routed in &events {
        if !keys.insert(KeyHash::of(&routed.event.key)) {
            return wrong(format!("{} has two events", routed.event.key));
        }
        for name in &routed.subscriptions {
            let id = DeliveryId { event: routed.event.id, subscription: name.clone() };
            if store.delivery(&id).await?.is_none() {
                return wrong(format!("{id} is missing"));
            }
        }
    }
    let mut seen_keys = BTreeSet::new();
    for source in ["orders", "tickets"] {
        let items = store.seen_items(&connector(source), SeenSelection::All).await?;
        verify_poll(&store, source, &keys).await?;
        let hashes: Vec<KeyHash> = items.iter().map(|item| item.key_hash).collect();
        let kept = store.kept_items(&connector(source), hashes.clone()).await?;
        if let Some(missing) = kept.iter().position(Option::is_none) {
            return wrong(format!("{:?} was not kept", items[missing].key));
        }
        seen_keys.extend(hashes);
    }
    if seen_keys != keys {
        return wrong(format!("{} items were seen, but {} have events", seen_keys.len(), keys.len()));
    }
    for line in acknowledged {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["opened"] => {}
            ["polled", source, poll, items] => {
                let cursor = store.connector_state(&connector(source)).await?.and_then(|state| state.cursor);
                let reached: Option<u64> = cursor.and_then(|cursor| cursor.parse().ok());
                if reached < poll.parse().ok() {
                    return wrong(format!("{line}: the state is at {reached:?}"));
                }
                for item in 0..items.parse::<usize>().expect("a count") {
                    let key = format!("{source} {poll} {item}");
                    if !keys.contains(&KeyHash::of(&key)) {
                        return wrong(format!("{line}: item {item} is lost"));
                    }
                }
            }
            ["polled", "in", "part", source, poll, items] => {
                for item in items.parse::<usize>().expect("a count") / 2..items.parse().expect("a count") {
                    if !keys.contains(&KeyHash::of(&format!("{source} {poll} {item}"))) {
                        return wrong(format!("{line}: item {item} is lost"));
                    }
                }
            }
            ["granted", source, poll] => {
                let kept = store.kept_grant(BodyHash::of(source.as_bytes())).await?;
                let reached: Option<u64> =
                    kept.and_then(|grant| grant.expose().split_once(' ').and_then(|(number, _)| number.parse().ok()));
                if reached < poll.parse().ok() {
                    return wrong(format!("{line}: the grant is at {reached:?}"));
                }
            }
            ["attempted", id] => {
                let event: EventId = id.parse::<DeliveryId>().expect("an id").event;
                if store.event(event).await?.is_none() {
                    return wrong(format!("{line}: the event is lost"));
                }
            }
            ["settled", id, word] => {
                let found = store.delivery(&id.parse().expect("an id")).await?;
                let Some((delivery, attempts)) = found else { return wrong(format!("{line}: it is lost")) };
                let holds = match word {
                    "delivered" => matches!(delivery.state, DeliveryState::Delivered { .. }),
                    "dead" => matches!(delivery.state, DeliveryState::Dead { .. }),
                    _ => !attempts.is_empty(),
                };
                if !holds || attempts.iter().any(|attempt| attempt.answer.len() != 3000) {
                    return wrong(format!("{line}: it is {:?}", delivery.state));
                }
            }
            _ => return wrong(format!("an acknowledgement cannot be read: {line}")),
        }
    }
    store.check_writable().await?;
    store.close().await?;
    Ok(())
}
