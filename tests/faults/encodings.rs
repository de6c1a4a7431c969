//! Bodies that are compressed badly, or to do harm.

use crate::packing::{
    BROTLI_BOMB, GZIP_COPIES, deflate, deflate_bomb, gzip, gzip_bomb, gzip_start, zstd_bomb, zstd_window,
};
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
        encoded("zstd that wants a window of two gigabytes", "zstd", zstd_window(0xa8, MORE.as_bytes())),
        encoded("zstd that wants a window of 128 megabytes", "zstd", zstd_window(0x88, MORE.as_bytes())).truth(MORE),
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
