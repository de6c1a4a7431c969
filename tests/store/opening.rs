//! Opening a data directory: whatever is wrong with it, the error says what to do, and nothing is lost silently.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use pollhook::store::embedded::{self, EmbeddedStore, Options};
use pollhook::store::{
    Claim, DeliveryStore, EventQuery, HistoryStore, PollStore, SeenSelection, SeenUpdate, StoreError,
};
use pollhook::telemetry::Telemetry;

use super::support::{
    LEASE, MapKeyValue, at, commit, connector, create, event, open_map, open_sled, poll, raw, seen, subscription,
};

/// Returns the error of opening a directory, with its causes, and with the directory called `DATA`.
fn refusal(directory: &Path) -> String {
    match open_sled(directory) {
        Ok(_) => panic!("it opened"),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text.replace(&directory.display().to_string(), "DATA")
        }
    }
}

/// Makes a store with so many items, each with an event, and closes it.
async fn filled(directory: &Path, items: u32) {
    let store = open_sled(directory).expect("a new store");
    fill(&store, 0..items).await;
    store.close().await.expect("it closes");
}

async fn fill(store: &EmbeddedStore, numbers: std::ops::Range<u32>) {
    let orders = connector("orders");
    let updates = numbers.map(|number| {
        let key = number.to_string();
        let event = event(&orders, &key, at(0), raw(&format!("{:?}", "d".repeat(400))), &["erp"]);
        SeenUpdate { seen: seen(&key, 1, at(0)), kept: None, event: Some(event) }
    });
    poll(store, &orders, commit(at(0), updates.collect())).await.expect("a commit");
}

/// Reads everything; returns how many items and events there are.
async fn read_all(store: &EmbeddedStore) -> Result<(usize, usize), StoreError> {
    let seen = store.seen_items(&connector("orders"), SeenSelection::All).await?;
    let events = store.events(EventQuery { limit: usize::MAX, ..EventQuery::default() }).await?;
    Ok((seen.len(), events.len()))
}

#[test]
fn nobody_but_its_owner_may_read_a_store() {
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let directory = tempfile::tempdir().expect("a directory");
    let new = directory.path().join("new");
    drop(open_sled(&new).expect("a new store"));
    assert_eq!((mode(&new), mode(&new.join("sled"))), (0o700, 0o700));

    let open_to_all = directory.path().join("open");
    fs::create_dir(&open_to_all).expect("a directory");
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o755)).expect("permissions");
    drop(open_sled(&open_to_all).expect("a new store"));
    assert_eq!((mode(&open_to_all), mode(&open_to_all.join("sled"))), (0o755, 0o700));
}

#[tokio::test]
async fn a_store_that_was_closed_or_dropped_opens_again_with_everything() {
    let directory = tempfile::tempdir().expect("a directory");
    filled(directory.path(), 300).await;
    let store = open_sled(directory.path()).expect("it opens");
    assert_eq!(read_all(&store).await.expect("a read"), (300, 300));
    fill(&store, 300..400).await;
    drop(store);
    let store = open_sled(directory.path()).expect("it opens");
    assert_eq!(read_all(&store).await.expect("a read"), (400, 400));
}

#[test]
fn a_file_in_the_place_of_the_directory_is_refused() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("data");
    fs::write(&path, "not a directory").expect("a file");
    insta::assert_snapshot!(
        refusal(&path),
        @"the store cannot be in DATA, because there is a file in its place; name a directory"
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let locked = directory.path().join("data");
    fs::create_dir(&locked).expect("a directory");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).expect("permissions");
    if fs::write(locked.join("probe"), "").is_ok() {
        // The superuser may write anywhere.
        return;
    }
    insta::assert_snapshot!(refusal(&locked), @"cannot open the store at DATA: Permission denied (os error 13)");
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_is_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_sled(directory.path()).expect("a new store");
    insta::assert_snapshot!(
        refusal(directory.path()),
        @"the store in DATA is in use by another process; stop it first, or give each service a directory of its own"
    );
    create(&store, &connector("orders"), &["1"], &[]).await;
    drop(store);
    open_sled(directory.path()).expect("it opens");
}

#[tokio::test]
async fn an_older_copy_of_the_database_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    filled(directory.path(), 10).await;
    let older = tempfile::tempdir().expect("a directory");
    copy(&directory.path().join("sled"), &older.path().join("sled"));
    let store = open_sled(directory.path()).expect("it opens");
    fill(&store, 10..20).await;
    drop(store);
    fs::remove_dir_all(directory.path().join("sled")).expect("removed");
    copy(&older.path().join("sled"), &directory.path().join("sled"));
    insta::assert_snapshot!(
        refusal(directory.path()),
        @"the store in DATA has lost data that was acknowledged: the database is at commit 1, but had come to commit 2. Put back a backup of the whole directory; or, to go on with what is left, delete DATA/canary"
    );
    fs::remove_file(directory.path().join("canary")).expect("removed");
    let store = open_sled(directory.path()).expect("it opens with what is left");
    assert_eq!(read_all(&store).await.expect("a read"), (10, 10));
}

#[tokio::test]
async fn a_database_that_is_missing_empty_or_another_one_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    filled(directory.path(), 10).await;
    let place = directory.path().join("sled");
    fs::rename(&place, directory.path().join("away")).expect("moved");
    assert!(refusal(directory.path()).contains("the database's file is missing"));
    fs::create_dir(&place).expect("a directory");
    fs::write(place.join("db"), "").expect("a file");
    assert!(refusal(directory.path()).contains("the database's file has 0 bytes"));
    fs::remove_dir_all(&place).expect("removed");

    let other = tempfile::tempdir().expect("a directory");
    filled(other.path(), 500).await;
    copy(&other.path().join("sled"), &place);
    assert!(refusal(directory.path()).contains("the database is another one than was here before"));
}

#[tokio::test]
async fn a_canary_that_cannot_be_read_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    filled(directory.path(), 10).await;
    fs::write(directory.path().join("canary"), "pollhook store 1 2 3 4\n").expect("a file");
    insta::assert_snapshot!(
        refusal(directory.path()),
        @"DATA/canary is damaged: it says how far the database had come, and cannot be read; if you are sure that the database beside it is whole, delete this file"
    );
}

#[tokio::test]
async fn an_unfinished_snapshot_is_cleared_away() {
    let directory = tempfile::tempdir().expect("a directory");
    filled(directory.path(), 100).await;
    let unfinished = directory.path().join("sled/snap.00000000FFFFFFFF.generating");
    fs::write(&unfinished, "half a snapsh").expect("a file");
    let store = open_sled(directory.path()).expect("it opens");
    assert_eq!(read_all(&store).await.expect("a read"), (100, 100));
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_database_cut_off_anywhere_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    filled(directory.path(), 3000).await;
    let length = fs::metadata(directory.path().join("sled/db")).expect("the file").len();
    let mut random = fastrand::Rng::with_seed(7);
    for cut in (0..24).map(|_| random.u64(0..length)).chain([0, length - 1]) {
        let damaged = tempfile::tempdir().expect("a directory");
        copy(directory.path(), damaged.path());
        let file = fs::File::options().write(true).open(damaged.path().join("sled/db")).expect("the file");
        file.set_len(cut).expect("cut off");
        let refusal = refusal(damaged.path());
        assert!(refusal.contains("has lost data"), "cut at {cut}: {refusal}");
    }
}

#[tokio::test]
async fn flipped_bytes_are_an_error_or_do_no_harm_but_for_the_rarest() {
    let directory = tempfile::tempdir().expect("a directory");
    filled(directory.path(), 2000).await;
    let bytes = fs::read(directory.path().join("sled/db")).expect("the file");
    let mut random = fastrand::Rng::with_seed(11);
    let (mut noticed, mut lost) = (0, 0);
    for _ in 0..40 {
        let damaged = tempfile::tempdir().expect("a directory");
        copy(directory.path(), damaged.path());
        let mut bytes = bytes.clone();
        let place = random.usize(..bytes.len());
        bytes[place] ^= random.u8(1..);
        let mut file = fs::File::create(damaged.path().join("sled/db")).expect("the file");
        file.write_all(&bytes).expect("written");
        drop(file);
        match open_sled(damaged.path()) {
            Ok(store) => match read_all(&store).await {
                Ok((2000, 2000)) => {}
                // sled believes the head of a record before it checks its sum: about one flip in hundreds makes it take a
                // record for one that was cancelled. Nothing beside that record is harmed.
                Ok(all) if all >= (1999, 1999) => lost += 1,
                Ok(all) => panic!("byte {place} harmed more than a record: {all:?}"),
                Err(_) => noticed += 1,
            },
            Err(_) => noticed += 1,
        }
    }
    assert!(noticed > 0, "no flip hit anything");
    assert!(lost <= 2, "{lost} flips were not noticed");
}

#[tokio::test]
async fn after_a_failed_write_nothing_more_is_written_and_nothing_acknowledged_is_lost() {
    let map = Arc::new(MapKeyValue::default());
    let store = open_map(&map);
    fill(&store, 0..10).await;
    map.fail_after(0);
    let error = store.check_writable().await.expect_err("the disk is full");
    let text = format!("{error}: {}", std::error::Error::source(&error).expect("a cause"));
    insta::assert_snapshot!(
        text,
        @"cannot write to the store at the map: no storage space; nothing more is written until the store is opened anew: free some space and restart pollhook"
    );
    map.repair();
    assert!(store.check_writable().await.is_err(), "it stays so until the store is opened anew");
    let claimed = store.claim_deliveries(&subscription("erp"), at(0), Claim::up_to(1, LEASE)).await;
    assert!(matches!(claimed, Err(StoreError::Io { .. })), "what cannot be settled is not attempted: {claimed:?}");
    assert_eq!(read_all(&store).await.expect("a read"), (10, 10));
    drop(store);
    let store = open_map(&map);
    assert_eq!(read_all(&store).await.expect("a read"), (10, 10));
    store.check_writable().await.expect("it can be written to");
}

#[tokio::test]
async fn the_ballast_takes_real_space_and_is_made_once() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options { ballast_bytes: 1 << 20, ..Options::default() };
    for _ in 0..2 {
        let store = embedded::open(directory.path(), options.clone(), Telemetry::shared()).expect("it opens");
        let metadata = fs::metadata(directory.path().join("ballast")).expect("the ballast");
        assert_eq!(metadata.len(), 1 << 20);
        assert!(metadata.blocks() * 512 >= 1 << 20);
        drop(store);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
