//! Opening a data directory without ever losing silently what was acknowledged.
//!
//! Beside the database lie three files: `lock`, which keeps other processes out; `canary`, which says how far the
//! database had come, so that one which is behind is noticed; and `ballast`, which is deleted when the disk is full,
//! because the database cannot be opened without some space.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::StoreError;
use super::embedded::{Options, committed_sequence, first_batch, read_database_id};
use super::kv::KeyValue as _;
use super::sled::{SledKeyValue, file_of};
use crate::telemetry::SharedTelemetry;

/// A database that was found to hold all that it should.
pub struct Opened {
    pub kv: SledKeyValue,
    pub canary: Canary,
}

/// Opens the database in a data directory and checks it against the canary.
pub fn open(directory: &Path, options: &Options, telemetry: &SharedTelemetry) -> Result<Opened, StoreError> {
    create_directory(directory)?;
    let lock = lock(directory)?;
    let place = directory.join("sled");
    let noted = Note::read(directory)?;
    if let Some(noted) = &noted {
        noted.check_file(directory, &place)?;
    }
    let open = || {
        // Also before the second attempt: the first one leaves such a snapshot when there is no room for it.
        remove_unfinished_snapshots(&place, telemetry).map_err(|source| io_error("open", &place, source))?;
        create_database(directory, &place, options)?;
        SledKeyValue::open(&place, options.cache_bytes)
    };
    let mut ballast = options.ballast_bytes;
    let kv = match open() {
        Err(StoreError::Io { source, .. }) if is_full(&source) && remove_ballast(directory) => {
            telemetry.store.ballast_removed(directory);
            // What it held is for writing now; it is put back at a start that finds room.
            ballast = 0;
            open()
        }
        opened => opened,
    }
    .map_err(|error| explained(error, directory))?;
    sync_all(&place).and_then(|()| sync_all(directory)).map_err(|source| io_error("sync", &place, source))?;

    let database = read_database_id(&kv)?.ok_or_else(|| lost(directory, "the database is empty"))?;
    let sequence = committed_sequence(&kv)?.unwrap_or(0);
    if let Some(noted) = &noted {
        noted.check_database(directory, database, sequence)?;
    }
    let mut canary = Canary { directory: directory.to_owned(), database, sequence, _lock: lock };
    canary.write(sequence).map_err(|source| io_error("write the canary of", directory, source))?;
    if let Err(error) = place_ballast(directory, ballast) {
        telemetry.store.ballast_missing(&error);
    }
    Ok(Opened { kv, canary })
}

/// Makes a directory if there is none, and sees to it that a power cut does not take it away again.
fn create_directory(directory: &Path) -> Result<(), StoreError> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    match created.and_then(|()| fs::canonicalize(directory)) {
        Ok(whole) => {
            for parent in whole.ancestors().skip(1) {
                // A directory that may not be read was not made just now.
                if File::open(parent).and_then(|parent| parent.sync_all()).is_err() {
                    break;
                }
            }
            Ok(())
        }
        Err(source) if matches!(source.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) => {
            Err(StoreError::Refused(format!(
                "the store cannot be in {}, because there is a file in its place; name a directory",
                directory.display()
            )))
        }
        Err(source) => Err(io_error("make a directory for", directory, source)),
    }
}

/// Makes a database if there is none. It is made beside its place and put there when it is durable, so that a crash
/// never leaves half a database behind.
fn create_database(directory: &Path, place: &Path, options: &Options) -> Result<(), StoreError> {
    if place.exists() {
        return Ok(());
    }
    let new = directory.join("sled.new");
    let io = |source| io_error("create", &new, source);
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    // Nobody else may read what was polled, whoever made the directory around it.
    fs::DirBuilder::new().mode(0o700).create(&new).map_err(io)?;
    let kv = SledKeyValue::open(&new, options.cache_bytes)?;
    kv.apply(&first_batch(fastrand::u128(..)))?;
    drop(kv);
    sync_all(&new).map_err(io)?;
    fs::rename(&new, place).and_then(|()| File::open(directory)?.sync_all()).map_err(io)
}

/// Keeps other processes out for as long as the file is open.
fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| io_error("open", directory, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Refused(format!(
            "the store in {} is in use by another process; stop it first, or give each service a directory of its own",
            directory.display()
        ))),
        Err(fs::TryLockError::Error(source)) => Err(io_error("lock", directory, source)),
    }
}

/// A kill or a full disk while the database is being opened leaves these; the database would take them for whole.
fn remove_unfinished_snapshots(place: &Path, telemetry: &SharedTelemetry) -> io::Result<()> {
    let entries = match fs::read_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(&path)?;
            telemetry.store.unfinished_snapshot_removed(&path);
        }
    }
    Ok(())
}

/// Makes a directory's files and its list of files durable, but not what lies in directories below it.
fn sync_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn ballast_of(directory: &Path) -> PathBuf {
    directory.join("ballast")
}

fn remove_ballast(directory: &Path) -> bool {
    fs::remove_file(ballast_of(directory)).is_ok()
}

/// Sees to it that the ballast is there in full. Its bytes are random, so that no file system saves them.
fn place_ballast(directory: &Path, bytes: u64) -> io::Result<()> {
    let path = ballast_of(directory);
    if bytes == 0 || fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= bytes) {
        return Ok(());
    }
    let written = write_ballast(&path, bytes);
    if written.is_err() {
        // Half a ballast helps nobody, and the space may be needed.
        let _ = fs::remove_file(&path);
    }
    written
}

fn write_ballast(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut block = vec![0; 1 << 20];
    fastrand::fill(&mut block);
    let mut left = bytes;
    while left > 0 {
        let length = left.min(block.len() as u64) as usize;
        file.write_all(&block[..length])?;
        left -= length as u64;
    }
    file.sync_all()
}

/// What the canary says: which database it belongs to, how far that had come, and how large its file was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    database: u128,
    sequence: u64,
    /// Known only of a database that was closed, because the file of an open one grows and shrinks; otherwise 0.
    length: u64,
}

impl Note {
    fn read(directory: &Path) -> Result<Option<Self>, StoreError> {
        let path = canary_of(directory);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error("read the canary of", directory, source)),
        };
        Self::parse(&text).map(Some).ok_or_else(|| StoreError::Corrupt {
            what: path.display().to_string(),
            detail: "it says how far the database had come, and cannot be read; if you are sure that the database \
                     beside it is whole, delete this file"
                .into(),
        })
    }

    fn write(&self) -> String {
        let fields = format!("pollhook store {:032x} {} {}", self.database, self.sequence, self.length);
        format!("{fields} {:016x}\n", xxh3_64(fields.as_bytes()))
    }

    fn parse(text: &str) -> Option<Self> {
        let (fields, sum) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        if u64::from_str_radix(sum, 16).ok()? != xxh3_64(fields.as_bytes()) {
            return None;
        }
        let mut words = fields.strip_prefix("pollhook store ")?.split(' ');
        let note = Self {
            database: u128::from_str_radix(words.next()?, 16).ok()?,
            sequence: words.next()?.parse().ok()?,
            length: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(note)
    }

    /// Checks the database's file before it is opened.
    fn check_file(&self, directory: &Path, place: &Path) -> Result<(), StoreError> {
        match fs::metadata(file_of(place)) {
            Ok(metadata) if metadata.len() >= self.length => Ok(()),
            Ok(metadata) => {
                let detail = format!("the database's file has {} bytes, but had {}", metadata.len(), self.length);
                Err(lost(directory, &detail))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(lost(directory, "the database's file is missing"))
            }
            Err(source) => Err(io_error("open", place, source)),
        }
    }

    fn check_database(&self, directory: &Path, database: u128, sequence: u64) -> Result<(), StoreError> {
        if database != self.database {
            return Err(lost(directory, "the database is another one than was here before"));
        }
        if sequence < self.sequence {
            let detail = format!("the database is at commit {sequence}, but had come to commit {}", self.sequence);
            return Err(lost(directory, &detail));
        }
        Ok(())
    }
}

/// The file that says how far the database has come. It also keeps the directory locked.
#[derive(Debug)]
pub struct Canary {
    directory: PathBuf,
    database: u128,
    sequence: u64,
    _lock: File,
}

impl Canary {
    /// Returns the number of the commit that was noted last.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Notes that the database has come to this commit.
    pub fn write(&mut self, sequence: u64) -> io::Result<()> {
        self.replace(sequence, 0)
    }

    /// Notes how large the file of the closed database is. Does nothing if somebody still has the database open.
    pub fn seal(mut self) -> io::Result<()> {
        let file = File::open(file_of(&self.directory.join("sled")))?;
        match file.try_lock() {
            Ok(()) => self.replace(self.sequence, file.metadata()?.len()),
            Err(fs::TryLockError::WouldBlock) => Ok(()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn replace(&mut self, sequence: u64, length: u64) -> io::Result<()> {
        let note = Note { database: self.database, sequence, length };
        let new = self.directory.join("canary.new");
        let mut file = File::create(&new)?;
        file.write_all(note.write().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, canary_of(&self.directory))?;
        File::open(&self.directory)?.sync_all()?;
        self.sequence = sequence;
        Ok(())
    }
}

fn canary_of(directory: &Path) -> PathBuf {
    directory.join("canary")
}

fn io_error(action: &'static str, place: &Path, source: io::Error) -> StoreError {
    StoreError::Io { action, place: place.display().to_string(), source }
}

fn lost(directory: &Path, detail: &str) -> StoreError {
    StoreError::Refused(format!(
        "the store in {} has lost data that was acknowledged: {detail}. Put back a backup of the whole directory; or, \
         to go on with what is left, delete {}",
        directory.display(),
        canary_of(directory).display()
    ))
}

fn explained(error: StoreError, directory: &Path) -> StoreError {
    match error {
        StoreError::Io { source, .. } if is_full(&source) => StoreError::Refused(format!(
            "the store in {} cannot be opened, because the disk is full ({source}); free some space and start again",
            directory.display()
        )),
        StoreError::Corrupt { what, detail } => StoreError::Corrupt {
            what,
            detail: format!("{detail}. Put back a backup of the whole directory {}", directory.display()),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_survives_its_text_and_any_change_to_that_is_noticed() {
        let note = Note { database: 7, sequence: 42, length: 4096 };
        let text = note.write();
        assert_eq!(Note::parse(&text), Some(note));
        for cut in 0..text.len() {
            assert_eq!(Note::parse(&text[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Note::parse(&text.replace("42", "43")), None);
    }
}
