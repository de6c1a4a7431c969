//! Answers that are no answers: each fails the poll, says why, and changes nothing.

use crate::source::Reply;
use crate::world::World;

/// Polls a good answer, then this one, and returns why that failed. Nothing else may come of it.
async fn failure(rules: &str, reply: Reply) -> String {
    let world = World::new(rules, |_| Reply::json(r#"{"orders":[{"id":1}]}"#)).await;
    assert_eq!(world.poll().await.outcome.failure(), None);
    let before = world.memory().await;
    world.source.respond(move |_| reply.clone());
    let failure = world.failure().await;
    assert_eq!(world.memory().await, before, "{failure}");
    assert_eq!(
        world
            .state()
            .await
            .expect("it was polled")
            .last_error
            .map(|error| error.replace(&world.source.url(""), "SOURCE"))
            .as_deref(),
        Some(&*failure)
    );
    failure.replace("connector orders: SOURCE/items: ", "")
}

const RULES: &str = r#"
response.items = ".orders[]"
response.error = ".error?"
request.max_body = "64KiB"
auth.bearer.token = { env = "TOKEN" }
changes.lists = "everything"
changes.events = ["created", "updated", "removed"]
"#;

/// Returns the failure of each answer on its own line.
async fn failures(rules: &str, replies: impl IntoIterator<Item = Reply>) -> String {
    let mut failures = Vec::new();
    for reply in replies {
        failures.push(failure(rules, reply).await);
    }
    failures.join("\n")
}

#[tokio::test]
async fn what_is_not_json_is_shown() {
    let replies = [
        Reply::json(r#"{"orders":[{"id":"#),
        Reply::json("{\"orders\":\n  [{\"id\": 1,}]}"),
        Reply::json(format!("{}1{}", "[".repeat(200), "]".repeat(200))),
        Reply::json(""),
        Reply::json(" \n "),
        Reply::json("null"),
        Reply::json("Service s3cret-token\u{1}unavailable"),
        Reply::json(r#"{"orders":[]} trailing"#),
        Reply::json([b'{', b'"', 0xff, b'"', b'}']),
        Reply::of(200, "<!doctype html><title>Log in</title>").with("content-type", "text/html"),
        Reply::json("\u{feff}<html>"),
        Reply::of(200, "a,b\n1,2\n").with("content-type", "text/plain"),
        Reply::of(204, ""),
        Reply::of(304, ""),
    ];
    insta::assert_snapshot!(failures(RULES, replies).await, @r##"
    the answer is not valid JSON: it is cut off (EOF while parsing a value at line 1 column 17); it begins: {"orders":[{"id":
    the answer is not valid JSON: trailing comma at line 2 column 13; it begins: {"orders":\n  [{"id": 1,}]}
    the answer is not valid JSON: it is nested too deep (recursion limit exceeded at line 1 column 128); it begins: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…
    the answer's body is empty
    the answer's body is empty
    the answer is `null`, where items were expected
    the answer is not valid JSON: expected value at line 1 column 1; it begins: Service ***\u{1}unavailable
    the answer is not valid JSON: trailing characters at line 1 column 15; it begins: {"orders":[]} trailing
    the answer is not valid JSON: the bytes at 2 are no text in UTF-8; it begins: {"�"}
    the answer is HTML, not JSON (to take items out of a page, say how in `response.html`); it begins: <!doctype html><title>Log in</title>
    the answer is HTML, not JSON; it begins: <html>
    the answer's format "text/plain" is not known: say what it is in `response.format`; it begins: a,b\n1,2\n
    the answer's body is empty
    the source answered 304 Not Modified (it was not asked whether anything has changed; is there a broken cache on the way?)
    "##);
}

#[tokio::test]
async fn what_has_the_wrong_shape_is_shown() {
    let replies = [
        Reply::json(r#"{"items":[{"id":1}]}"#),
        Reply::json(r#"{"orders":{"id":1}}"#),
        Reply::json(r#"[{"id":1}]"#),
        Reply::json(r#""orders""#),
        Reply::json(r#"{"orders":[{"id":1},{"uid":2}]}"#),
        Reply::json(r#"{"orders":[{"id":""}]}"#),
        Reply::json(r#"{"orders":[{"id":{"a":1}}]}"#),
        Reply::json(r#"{"orders":[{"id":[]}]}"#),
        Reply::json(r#"{"orders":[7]}"#),
    ];
    insta::assert_snapshot!(failures(RULES, replies).await, @r##"
    `response.items` (.orders[]) failed on the answer: `.orders` is null, so `[]` finds nothing to iterate over; the value has the keys: items; it begins: {"items":[{"id":1}]}
    item 1 of page 1: `item.key` (.id) failed: the value is a number, so `.id` finds no member in it; it begins: 1
    `response.items` (.orders[]) failed on the answer: the value is an array, so `.orders` finds no member in it; it begins: [{"id":1}]
    `response.items` (.orders[]) failed on the answer: the value is a string, so `.orders` finds no member in it; it begins: "orders"
    item 2 of page 1: `item.key` (.id) gives null, where a text, a number or a boolean is needed; it begins: {"uid":2}
    item 1 of page 1: `item.key` (.id) gives an empty text, where a text, a number or a boolean is needed; it begins: {"id":""}
    item 1 of page 1: `item.key` (.id) gives an object, where a text, a number or a boolean is needed; it begins: {"id":{"a":1}}
    item 1 of page 1: `item.key` (.id) gives an array, where a text, a number or a boolean is needed; it begins: {"id":[]}
    item 1 of page 1: `item.key` (.id) failed: the value is a number, so `.id` finds no member in it; it begins: 7
    "##);
    let long = failure(RULES, Reply::json(format!(r#"{{"orders":[{{"id":"{}"}}]}}"#, "x".repeat(1025)))).await;
    let start = "item 1 of page 1: the key has 1025 bytes, and the most is 1024; it begins: {\"id\":\"xxx";
    assert!(long.starts_with(start) && long.ends_with("xxx…") && long.len() < 300, "{long}");
}

#[tokio::test]
async fn a_failure_that_the_source_reports_is_repeated() {
    let replies =
        [Reply::json(r#"{"error":"rate limited, s3cret-token"}"#), Reply::json(r#"{"error":{"code":7},"orders":[]}"#)];
    insta::assert_snapshot!(failures(RULES, replies).await, @r##"
    the answer reports a failure: rate limited, ***
    the answer reports a failure: {"code":7}
    "##);
}

#[tokio::test]
async fn data_that_cannot_be_made_fails_the_poll() {
    let rules = "response.items = \".orders[]\"\nitem.data = \".id | tonumber\"";
    insta::assert_snapshot!(failure(rules, Reply::json(r#"{"orders":[{"id":"x"}]}"#)).await, @r#"connector orders: item x: `item.data` (.id | tonumber) failed: .id | tonumber: "cannot parse \"x\" as JSON: expected value at line 1 column 1"; it begins: {"id":"x"}"#);
    let rules = "response.items = \".orders[]\"\nitem.data = \"empty\"";
    insta::assert_snapshot!(failure(rules, Reply::json(r#"{"orders":[{"id":2}]}"#)).await, @r#"connector orders: item 2: `item.data` (empty) gives 0 values, where one is needed; it begins: {"id":2}"#);
}

#[tokio::test]
async fn bodies_are_limited_after_decompression() {
    let large = format!(r#"{{"orders":[],"x":"{}"}}"#, "x".repeat(64 * 1024));
    let replies = [
        Reply::json(large),
        Reply::json(zstd_zeros(8192)).with("content-encoding", "zstd"),
        Reply::json("not compressed").with("content-encoding", "gzip"),
    ];
    insta::assert_snapshot!(failures(RULES, replies).await, @r##"
    the answer is larger than 64 KiB
    the answer is larger than 64 KiB
    the answer's body cannot be read: Invalid gzip header
    "##);
}

#[tokio::test]
async fn compressed_answers_are_read() {
    let body = br#"{"orders":[{"id":1},{"id":2}]}"#;
    for (encoding, bytes) in
        [("gzip", gzip(body)), ("br", brotli(body)), ("zstd", zstd(body)), ("identity", body.to_vec())]
    {
        let world = World::new(RULES, |_| Reply::json(r#"{"orders":[{"id":1}]}"#)).await;
        world.poll().await;
        world.source.respond(move |request| {
            assert!(request.header("accept-encoding").is_some_and(|accepted| accepted.contains("zstd")));
            Reply::json(bytes.clone()).with("content-encoding", encoding)
        });
        assert_eq!(world.changes().await, ["created 2"], "{encoding}");
    }
}

#[tokio::test]
async fn json_is_recognised_whatever_it_is_called() {
    for content_type in [
        "application/json; charset=utf-8",
        "application/vnd.api+json",
        "text/plain",
        "Text/JSON",
        "application/octet-stream",
        "",
    ] {
        let world = World::new(RULES, |_| Reply::json(r#"{"orders":[]}"#)).await;
        world.poll().await;
        world.source.respond(move |_| {
            let reply = Reply::of(200, "\u{feff} {\"orders\":[{\"id\":1}]}");
            if content_type.is_empty() { reply } else { reply.with("content-type", content_type) }
        });
        assert_eq!(world.changes().await, ["created 1"], "{content_type}");
    }
}

/// One stored block and its checksum (RFC 1952).
fn gzip(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short body");
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(body);
    let crc = body.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    bytes.extend((!crc).to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

/// One uncompressed meta-block and an empty last one (RFC 7932).
fn brotli(body: &[u8]) -> Vec<u8> {
    let head = (u32::try_from(body.len()).expect("a short body") - 1) << 4 | 1 << 20;
    let mut bytes = head.to_le_bytes()[..3].to_vec();
    bytes.extend(body);
    bytes.push(3);
    bytes
}

/// One raw block (RFC 8878).
fn zstd(body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).expect("a short body");
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, length];
    bytes.extend((u32::from(length) << 3 | 1).to_le_bytes()[..3].to_vec());
    bytes.extend(body);
    bytes
}

/// So many blocks of 128 KiB of zeros, in four bytes each.
fn zstd_zeros(blocks: u32) -> Vec<u8> {
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for index in 1..=blocks {
        let head = (128 * 1024) << 3 | 1 << 1 | u32::from(index == blocks);
        bytes.extend(&head.to_le_bytes()[..3]);
        bytes.push(0);
    }
    bytes
}
