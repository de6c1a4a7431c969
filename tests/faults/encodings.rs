//! Bodies that are compressed badly, or to do harm.

use crate::source::{Reply, Request, Step};
use crate::trial::{BEFORE, MORE, Trial};

const SMALL: &str = "request.max_body = \"64KiB\"";

pub fn trials() -> Vec<Trial> {
    let whole = gzip(BEFORE.as_bytes());
    let cut = whole[..whole.len() - 12].to_vec();
    let mut wrong_sum = whole.clone();
    wrong_sum[whole.len() - 6] ^= 1;
    let trailing = [&gzip(MORE.as_bytes())[..], b"trailing"].concat();
    let (first, second) = MORE.split_at(30);
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let second_cut = members[..members.len() - 12].to_vec();
    let in_members = move |_: &Request| {
        let lines =
            ["{\"id\":1,\"state\":\"open\"}\n", "{\"id\":2,\"state\":\"open\"}\n", "{\"id\":9,\"state\":\"open\"}\n"];
        let members = lines.map(|line| gzip(line.as_bytes()));
        Reply::of(200, members.concat()).with("content-encoding", "gzip").with("content-type", "application/x-ndjson")
    };
    let empty_members = gzip(&gzip(b"").repeat(2000)).repeat(100);
    vec![
        encoded("a gzip bomb", "gzip", gzip_bomb(1 << 20)).rules(SMALL),
        Trial::new("a gzip bomb without end", |_| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n".to_vec();
            Reply::wire([Step::Send(head), Step::Send(gzip_start()), Step::Forever(GZIP_COPIES.repeat(100))])
        })
        .rules(SMALL),
        encoded("a deflate bomb", "deflate", deflate_bomb(1 << 20)).rules(SMALL),
        encoded("a brotli bomb", "br", BROTLI_BOMB.to_vec()).rules(SMALL),
        encoded("a zstd bomb", "zstd", zstd_bomb(8192)).rules(SMALL),
        encoded("zstd that wants a window of two gigabytes", "zstd", zstd_window(0xa8)),
        encoded("zstd that wants a window of 128 megabytes", "zstd", zstd_window(0x88)).truth(MORE),
        encoded("a bomb of gzip in gzip", "gzip, gzip", gzip(&gzip_bomb(1 << 10))),
        encoded("very much gzip of nothing in gzip", "gzip, gzip", empty_members).rules(SMALL),
        encoded("gzip that is cut off", "gzip", cut),
        encoded("gzip whose second member is cut off", "gzip", second_cut),
        encoded("gzip with a wrong checksum", "gzip", wrong_sum),
        encoded("gzip that is none", "gzip", BEFORE.into()),
        encoded("brotli that is none", "br", BEFORE.into()),
        encoded("zstd that is none", "zstd", BEFORE.into()),
        encoded("deflate that is none", "deflate", BEFORE.into()),
        encoded("gzip that is not announced", "identity", gzip(BEFORE.as_bytes())),
        encoded("gzip of nothing", "gzip", gzip(b"")),
        encoded("gzip that is empty", "gzip", Vec::new()),
        encoded("an unknown encoding", "snail", b"~~~~".to_vec()),
        encoded("an encoding that nobody asked for", "compress", b"\x1f\x9d\x90".to_vec()),
        encoded("gzip twice", "gzip, gzip", gzip(&gzip(BEFORE.as_bytes()))),
        encoded("gzip and something behind it", "gzip", trailing).truth(MORE),
        encoded("gzip of two members", "gzip", members).truth(MORE),
        Trial::harmless("lines in a gzip member each", in_members),
        encoded("gzip by its old name", "x-gzip", gzip(MORE.as_bytes())).truth(MORE),
        encoded("gzip in capitals", "GZIP", gzip(MORE.as_bytes())).truth(MORE),
        encoded("an unknown encoding of plain text", "snail", MORE.into()).truth(MORE),
        encoded("a charset in the place of an encoding", "UTF-8", MORE.into()).truth(MORE),
        encoded("more encodings than anybody uses", "gzip, gzip, gzip, gzip", MORE.into()),
        encoded("brotli and something behind it", "br", [&[0x3b], BEFORE.as_bytes()].concat()),
        encoded("deflate and something behind it", "deflate", [&deflate(MORE.as_bytes())[..], b"trailing"].concat()),
        encoded("deflate without its wrapping", "deflate", deflate(MORE.as_bytes())).truth(MORE),
        Trial::harmless("gzip in chunks", |_| {
            let body = gzip(MORE.as_bytes());
            let mut steps =
                vec![send("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")];
            for piece in body.chunks(7) {
                steps.extend([send(&format!("{:x}\r\n", piece.len())), Step::Send(piece.to_vec()), send("\r\n")]);
            }
            steps.push(send("0\r\n\r\n"));
            Reply::wire(steps)
        }),
    ]
}

fn encoded(name: &'static str, encoding: &'static str, body: Vec<u8>) -> Trial {
    Trial::new(name, move |_| Reply::json(body.clone()).with("content-encoding", encoding))
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// One stored block and its checksum (RFC 1952).
fn gzip(body: &[u8]) -> Vec<u8> {
    let crc = body.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let length = u32::try_from(body.len()).expect("a short body");
    [&GZIP_HEAD[..], &deflate(body), &(!crc).to_le_bytes(), &length.to_le_bytes()].concat()
}

/// One stored block (RFC 1951).
fn deflate(body: &[u8]) -> Vec<u8> {
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

pub fn gzip_start() -> Vec<u8> {
    [&GZIP_HEAD[..], &deflate_start()].concat()
}

/// A beginning of gzip of about so many bytes, each of which becomes 158. The rest is not needed to do harm.
pub fn gzip_bomb(bytes: usize) -> Vec<u8> {
    [gzip_start(), GZIP_COPIES.repeat(bytes / GZIP_COPIES.len())].concat()
}

fn deflate_bomb(bytes: usize) -> Vec<u8> {
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

/// A list in one raw block, behind a head that asks for a window: two to the power of ten and the upper five bits.
pub fn zstd_window(window: u8) -> Vec<u8> {
    let head = u32::try_from(MORE.len()).expect("a short body") << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, window], &head.to_le_bytes()[..3], MORE.as_bytes()].concat()
}
