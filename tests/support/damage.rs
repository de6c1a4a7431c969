//! Damages documents at random, in ways that readers stumble over.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pollhook::clock::SystemClock;

/// Returns the bytes of all files in a folder of fixtures, in the order of their names.
pub fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a fixture").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("a fixture")).collect()
}

/// Damages a document in a few places, among others with pieces that mean something in its format.
pub fn damaged(document: &[u8], others: &[Vec<u8>], pieces: &[&str], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = document.to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(0..40)).min(bytes.len());
        match random.usize(0..7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 if at < bytes.len() => bytes[at] = random.u8(..),
            3 => {
                let part = bytes[at..end].repeat(random.usize(1..300));
                bytes.splice(at..at, part);
            }
            4 => {
                let other = &others[random.usize(0..others.len())];
                let from = random.usize(0..=other.len());
                let to = (from + random.usize(0..200)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let piece = pieces[random.usize(0..pieces.len())].repeat(random.usize(1..4));
                bytes.splice(at..end, piece.into_bytes());
            }
        }
    }
    bytes
}

/// Calls a trial with a seed: once, always the same; or with other seeds for as long as `POLLHOOK_FUZZ_SECONDS` says.
pub fn for_seeds(mut trial: impl FnMut(u64)) {
    let clock = SystemClock::shared();
    let began = clock.monotonic();
    let lengthened = std::env::var_os("POLLHOOK_FUZZ_SECONDS").and_then(|text| text.to_str()?.parse().ok());
    let until = Duration::from_secs(lengthened.unwrap_or(0));
    let mut seed = if until.is_zero() { 20_261_121 } else { fastrand::u64(..) };
    loop {
        trial(seed);
        if clock.monotonic().saturating_sub(began) >= until {
            return;
        }
        seed = seed.wrapping_add(1);
    }
}
