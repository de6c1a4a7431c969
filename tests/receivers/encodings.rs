//! Answers that are compressed badly, or to do harm. At most the beginning of an answer is kept, and whether it can be
//! read says nothing of whether the delivery was taken.

use crate::fault::Step;
use crate::packing::{
    BROTLI_BOMB, GZIP_COPIES, deflate, deflate_bomb, gzip, gzip_bomb, gzip_start, zstd_bomb, zstd_window,
};
use crate::send;
use crate::trial::Trial;

const BODY: &[u8] = b"thank you";

pub fn trials() -> Vec<Trial> {
    let whole = gzip(BODY);
    let cut = whole[..whole.len() - 12].to_vec();
    let mut wrong_sum = whole.clone();
    wrong_sum[whole.len() - 6] ^= 1;
    vec![
        encoded("gzip", "gzip", whole),
        encoded("deflate", "deflate", deflate(BODY)),
        encoded("gzip twice", "gzip, gzip", gzip(&gzip(BODY))),
        encoded("a gzip bomb", "gzip", gzip_bomb(1 << 20)),
        Trial::new(
            "a gzip bomb without end",
            [
                Step::Request,
                send("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"),
                Step::Send(gzip_start()),
                Step::Forever(GZIP_COPIES.repeat(100)),
            ],
        ),
        encoded("a deflate bomb", "deflate", deflate_bomb(1 << 20)),
        encoded("a brotli bomb", "br", BROTLI_BOMB.to_vec()),
        encoded("a zstd bomb", "zstd", zstd_bomb(8192)),
        encoded("zstd that wants a window of two gigabytes", "zstd", zstd_window(0xa8, BODY)),
        encoded("a bomb of gzip in gzip", "gzip, gzip", gzip(&gzip_bomb(1 << 10))),
        encoded("very much gzip of nothing in gzip", "gzip, gzip", gzip(&gzip(b"").repeat(2000)).repeat(100)),
        failed("a bomb with a failure", "gzip", gzip_bomb(1 << 20)),
        failed("gzip that is none with a failure", "gzip", BODY.to_vec()),
        encoded("gzip that is cut off", "gzip", cut),
        encoded("gzip with a wrong checksum", "gzip", wrong_sum),
        encoded("gzip that is none", "gzip", BODY.to_vec()),
        encoded("brotli that is none", "br", BODY.to_vec()),
        encoded("zstd that is none", "zstd", BODY.to_vec()),
        encoded("gzip that is empty", "gzip", Vec::new()),
        encoded("an unknown encoding", "snail", b"~~~~".to_vec()),
        encoded("more encodings than anybody uses", "gzip, gzip, gzip, gzip", BODY.to_vec()),
    ]
}

fn encoded(name: &'static str, encoding: &str, body: Vec<u8>) -> Trial {
    answered(name, "200 OK", encoding, body)
}

fn failed(name: &'static str, encoding: &str, body: Vec<u8>) -> Trial {
    answered(name, "500 No", encoding, body)
}

fn answered(name: &'static str, status: &str, encoding: &str, body: Vec<u8>) -> Trial {
    let head = format!("HTTP/1.1 {status}\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", body.len());
    Trial::new(name, [Step::Request, send(&head), Step::Send(body), Step::Keep])
}
