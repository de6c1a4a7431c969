//! A disk that is really full: a small file system in memory, mounted in a namespace of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pollhook::store::embedded::{self, Options};
use pollhook::store::{EventQuery, HistoryStore, PollStore, SeenSelection, SeenUpdate, StoreError};
use pollhook::telemetry::Telemetry;

use super::support::{at, commit, connector, create, event, poll, raw, seen};

/// Where the child process finds its small file system.
const DIRECTORY: &str = "POLLHOOK_TEST_FULL_DISK";

/// Less than the service keeps back, and enough for the store to be opened with.
const BALLAST: u64 = 4 << 20;

#[test]
fn a_full_disk_stops_writing_loses_nothing_and_the_ballast_opens_the_store_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let mount = "mount -t tmpfs -o size=24m tmpfs \"$1\" && exec \"$2\" --exact full_disk::work --ignored --nocapture";
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"])
        .arg(directory.path())
        .arg(std::env::current_exe().expect("this test"))
        .env(DIRECTORY, directory.path())
        .output()
        .expect("unshare, of util-linux, starts");
    let said = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

/// What happens on the full disk. Not a test by itself: it is started by the test above.
#[tokio::test]
#[ignore = "the full disk test starts this in a file system of its own"]
async fn work() {
    let Some(disk) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let data = disk.join("data");
    let store = open(&data).expect("a new store");
    let orders = connector("orders");
    create(&store, &orders, &["first", "second"], &["erp"]).await;
    fill(&disk);

    // Written until there is no room: what was acknowledged before stays, what was refused is not there.
    let mut acknowledged = 2;
    let error = loop {
        let key = format!("item {acknowledged}");
        let event = event(&orders, &key, at(1), raw(&format!("{:?}", "d".repeat(20_000))), &["erp"]);
        let update = SeenUpdate { seen: seen(&key, 1, at(1)), kept: None, event: Some(event) };
        match poll(&store, &orders, commit(at(1), vec![update])).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    let StoreError::Io { source, .. } = error else { panic!("{error}") };
    let advice = "nothing more is written until the store is opened anew: free some space and restart pollhook";
    assert_eq!(source.to_string(), format!("no storage space; {advice}"));
    assert!(store.check_writable().await.is_err());
    drop(store);
    // What is too little for the database is too much for this test.
    fill(&disk);

    assert!(data.join("ballast").exists());
    let store = open(&data).expect("the ballast makes room");
    assert!(!data.join("ballast").exists());
    let seen = store.seen_items(&orders, SeenSelection::All).await.expect("a read");
    let events = store.events(EventQuery { limit: usize::MAX, ..EventQuery::default() }).await.expect("a read");
    assert_eq!(seen.len(), events.len());
    assert!(events.len() >= acknowledged, "{} of {acknowledged} events are there", events.len());
    store.check_writable().await.expect("it takes writes again");
}

fn open(data: &Path) -> Result<embedded::EmbeddedStore, StoreError> {
    let options = Options { ballast_bytes: BALLAST, ..Options::default() };
    embedded::open(data, options, Telemetry::shared())
}

/// Takes all the room that is left.
fn fill(disk: &Path) {
    let mut file = fs::File::options().create(true).append(true).open(disk.join("fill")).expect("a file");
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}
