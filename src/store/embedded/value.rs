//! How values are written: a byte for the format, a checksum over key and body, and the body; and how values that are
//! too large for one entry are split into pieces.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::super::StoreError;
use super::super::kv::{Batch, KeyValue, Order};
use super::keys;

const INLINE: u8 = 1;
const IN_PIECES: u8 = 2;
const HEAD: usize = 9;

/// The largest body of one entry, by design. sled writes up to 20 entries as one node, and a node of more than 128 KiB
/// into a file of its own, which is slow.
pub(super) const LARGEST_PIECE: usize = 6 * 1024;

/// The most bytes of pieces that are written in one batch.
const PIECES_AT_ONCE: usize = 90 * 1024;

/// Where the pieces of a large value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    group: u64,
    pieces: u32,
}

/// What an entry's value holds.
#[derive(Debug)]
pub(super) enum Body<'v> {
    Whole(&'v [u8]),
    InPieces(Reference),
}

/// Gives large values their numbers. A number is never used twice by a database.
#[derive(Debug)]
pub(super) struct Groups {
    next: AtomicU64,
    /// Numbers below were given by earlier openings, so what nobody refers to among them was left by a crash.
    pub opened_at: u64,
}

/// A value ready to be written: first the pieces, if it has any, and then what refers to them.
#[derive(Debug)]
pub(super) struct Prepared {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Batches to be made durable, in order, before the value.
    pub before: Vec<Batch>,
}

impl Groups {
    /// Continues after the largest number in use.
    pub fn open(kv: &dyn KeyValue) -> Result<Self, StoreError> {
        let range = keys::pieces_from(0);
        let mut last = None;
        kv.scan(&range.from, &range.to, Order::Descending, &mut |key, _| {
            last = keys::piece_of(key);
            std::ops::ControlFlow::Break(())
        })?;
        let opened_at = last.map_or(0, |(group, _)| group + 1);
        Ok(Self { next: AtomicU64::new(opened_at), opened_at })
    }

    /// Prepares a body of any size for being written under a key.
    pub fn prepare(&self, key: Vec<u8>, body: &[u8]) -> Prepared {
        if body.len() <= LARGEST_PIECE {
            let value = seal(&key, body);
            return Prepared { key, value, before: Vec::new() };
        }
        let group = self.next.fetch_add(1, Ordering::Relaxed);
        let owner = keys::piece(group, 0);
        let mut batch = Batch::default();
        batch.put(owner.clone(), seal(&owner, &key));
        let mut before = Vec::new();
        let mut pieces = 0;
        for part in body.chunks(LARGEST_PIECE) {
            pieces += 1;
            let piece = keys::piece(group, pieces);
            let value = seal(&piece, part);
            batch.put(piece, value);
            if batch.bytes() >= PIECES_AT_ONCE {
                before.push(std::mem::take(&mut batch));
            }
        }
        before.push(batch);
        let mut reference = group.to_be_bytes().to_vec();
        reference.extend_from_slice(&pieces.to_be_bytes());
        let value = seal_as(IN_PIECES, &key, &reference);
        Prepared { key, value, before }
    }
}

impl Reference {
    /// Adds the removal of all pieces.
    pub fn delete(self, batch: &mut Batch) {
        for number in 0..=self.pieces {
            batch.delete(keys::piece(self.group, number));
        }
    }

    pub fn group(self) -> u64 {
        self.group
    }
}

/// Returns the value with this body.
pub(super) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    seal_as(INLINE, key, body)
}

fn seal_as(format: u8, key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD + body.len());
    value.push(format);
    value.extend_from_slice(&checksum(format, key, body).to_le_bytes());
    value.extend_from_slice(body);
    value
}

fn checksum(format: u8, key: &[u8], body: &[u8]) -> u64 {
    xxh3_64_with_seed(body, xxh3_64(key) ^ u64::from(format))
}

/// Checks a value and returns what it holds.
pub(super) fn unseal<'v>(key: &[u8], value: &'v [u8]) -> Result<Body<'v>, StoreError> {
    let (&format, rest) = value.split_first().ok_or_else(|| damaged(key, "it is empty"))?;
    let (sum, body) = rest.split_first_chunk().ok_or_else(|| damaged(key, "it is cut off"))?;
    if u64::from_le_bytes(*sum) != checksum(format, key, body) {
        return Err(damaged(key, "its checksum is wrong"));
    }
    match format {
        INLINE => Ok(Body::Whole(body)),
        IN_PIECES => {
            let body: &[u8; 12] = body.try_into().map_err(|_| damaged(key, "its reference has a wrong length"))?;
            let (group, pieces) = body.split_at(8);
            Ok(Body::InPieces(Reference {
                group: u64::from_be_bytes(group.try_into().expect("8 of 12 bytes")),
                pieces: u32::from_be_bytes(pieces.try_into().expect("4 of 12 bytes")),
            }))
        }
        _ => Err(damaged(key, "it was written by a newer version of pollhook")),
    }
}

/// Returns the body of a value that is never large.
pub(super) fn unseal_whole<'v>(key: &[u8], value: &'v [u8]) -> Result<&'v [u8], StoreError> {
    match unseal(key, value)? {
        Body::Whole(body) => Ok(body),
        Body::InPieces(_) => Err(damaged(key, "it should be whole")),
    }
}

/// Returns the body of a value of any size.
pub(super) fn assemble(kv: &dyn KeyValue, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
    let reference = match unseal(key, value)? {
        Body::Whole(body) => return Ok(body.to_vec()),
        Body::InPieces(reference) => reference,
    };
    let mut body = Vec::new();
    for number in 1..=reference.pieces {
        let piece = keys::piece(reference.group, number);
        let value = kv.get(&piece)?.ok_or_else(|| damaged(key, "a piece of it is missing"))?;
        body.extend_from_slice(unseal_whole(&piece, &value)?);
    }
    Ok(body)
}

/// Returns the body under a key, of any size.
pub(super) fn load(kv: &dyn KeyValue, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    kv.get(key)?.map(|value| assemble(kv, key, &value)).transpose()
}

/// Returns the error for an entry that is not what was written.
pub(super) fn damaged(key: &[u8], detail: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: format!("the store's entry {}", key.escape_ascii()), detail: detail.into() }
}

/// Writes numbers and texts one after the other.
#[derive(Debug, Default)]
pub(super) struct Encoder(pub Vec<u8>);

impl Encoder {
    pub fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub fn u16(&mut self, number: u16) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub fn i64(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Writes a text, its length first.
    pub fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Reads what an [`Encoder`] wrote; `None` where it ends too soon.
#[derive(Debug)]
pub(super) struct Decoder<'b>(pub &'b [u8]);

impl<'b> Decoder<'b> {
    pub fn u8(&mut self) -> Option<u8> {
        self.chunk().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.chunk().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.chunk().map(i64::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    /// Reads a text.
    pub fn text(&mut self) -> Option<&'b str> {
        let length = self.u32()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// Reads so many bytes.
    pub fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }
}
