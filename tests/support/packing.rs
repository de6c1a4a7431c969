//! Bodies that are compressed, well or to do harm.

/// Returns one stored block and its checksum (RFC 1952).
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let crc = body.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let length = u32::try_from(body.len()).expect("a short body");
    [&GZIP_HEAD[..], &deflate(body), &(!crc).to_le_bytes(), &length.to_le_bytes()].concat()
}

/// Returns one stored block (RFC 1951).
pub fn deflate(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short body");
    [&[1], &length.to_le_bytes()[..], &(!length).to_le_bytes(), body].concat()
}

const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Eight times "258 more bytes like the last one", in fixed Huffman codes of thirteen bits each.
pub const GZIP_COPIES: [u8; 13] = copies();

const fn copies() -> [u8; 13] {
    let mut bytes = [0; 13];
    let mut copy = 0;
    while copy < 8 {
        // The code 11000101, of which the first bit comes first; the distance, 00000, leaves zeros.
        let mut bit = 0;
        while bit < 8 {
            let place = copy * 13 + bit;
            bytes[place / 8] |= ((0b1100_0101 >> (7 - bit)) & 1) << (place % 8);
            bit += 1;
        }
        copy += 1;
    }
    bytes
}

/// The head of a block in fixed Huffman codes and five letters of nine bits: together it ends with a byte.
fn deflate_start() -> Vec<u8> {
    let mut bits = vec![0, 1, 0];
    for _ in 0..5 {
        bits.extend([1, 1, 0, 0, 1, 0, 0, 0, 0]);
    }
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |packed, bit| packed << 1 | bit)).collect()
}

/// Returns what [`GZIP_COPIES`] can follow.
pub fn gzip_start() -> Vec<u8> {
    [&GZIP_HEAD[..], &deflate_start()].concat()
}

/// A beginning of gzip of about so many bytes, each of which becomes 158. The rest is not needed to do harm.
pub fn gzip_bomb(bytes: usize) -> Vec<u8> {
    [gzip_start(), GZIP_COPIES.repeat(bytes / GZIP_COPIES.len())].concat()
}

/// The same without gzip's head.
pub fn deflate_bomb(bytes: usize) -> Vec<u8> {
    [&[0x78, 0x9c], &deflate_start()[..], &GZIP_COPIES.repeat(bytes / GZIP_COPIES.len())].concat()
}

/// 256 MiB of zeros.
pub const BROTLI_BOMB: &[u8] = include_bytes!("../fixtures/faults/zeros.br");

/// So many blocks of 128 KiB of zeros, in four bytes each (RFC 8878).
pub fn zstd_bomb(blocks: u32) -> Vec<u8> {
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for index in 1..=blocks {
        let head = (128 * 1024) << 3 | 1 << 1 | u32::from(index == blocks);
        bytes.extend(&head.to_le_bytes()[..3]);
        bytes.push(0);
    }
    bytes
}

/// A body in one raw block, behind a head that asks for a window: two to the power of ten and the upper five bits.
pub fn zstd_window(window: u8, body: &[u8]) -> Vec<u8> {
    let head = u32::try_from(body.len()).expect("a short body") << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, window], &head.to_le_bytes()[..3], body].concat()
}
