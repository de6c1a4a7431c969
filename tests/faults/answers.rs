//! Answers with status 200 whose body is not what was asked for.

use crate::source::Reply;
use crate::trial::{BEFORE, MORE, Trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = other_things();
    trials.extend(broken_json());
    trials.extend(odd_json());
    trials.extend(encodings());
    trials
}

fn other_things() -> Vec<Trial> {
    let html = "<!doctype html><title>We will be back soon</title>";
    vec![
        Trial::new("a page for people", move |_| Reply::of(200, html).with("content-type", "text/html; charset=utf-8")),
        json("a page for people that is called JSON", html),
        Trial::new("a page for people that is called text", move |_| {
            Reply::of(200, html).with("content-type", "text/plain")
        }),
        json("an object with an error", r#"{"error":{"code":17,"message":"over capacity"}}"#),
        json("an object with an error that is looked for", r#"{"error":"over capacity"}"#)
            .rules("response.error = \".error?\""),
        json("an error in a list that is looked for", r#"[{"id":1,"error":"over capacity"}]"#)
            .rules("response.error = \".[0].error?\""),
        json("nothing", ""),
        json("nothing but blanks", " \r\n\t "),
        json("null", "null"),
        json("false", "false"),
        json("a number", "503"),
        json("a text", "\"try again later\""),
        json("an object of items", r#"{"1":{"state":"open"},"2":{"state":"open"}}"#),
        json("a list of lists", r#"[[{"id":1},{"id":2}]]"#),
        json("JSON within a text", r#""[{\"id\":1,\"state\":\"open\"}]""#),
        Trial::new("a picture", |_| Reply::of(200, b"\x89PNG\r\n\x1a\n".to_vec()).with("content-type", "image/png")),
        Trial::new("an archive", |_| Reply::of(200, b"PK\x03\x04".to_vec()).with("content-type", "application/zip")),
        Trial::new("a form of several parts", |_| {
            Reply::of(200, "--x\r\n\r\n[]\r\n--x--").with("content-type", "multipart/mixed; boundary=x")
        }),
        Trial::new("nothing, and says so (204)", |_| Reply::of(204, "")),
        Trial::new("nothing, as in a form (205)", |_| Reply::of(205, "")),
        Trial::new("a part that nobody asked for (206)", |_| {
            Reply { status: 206, ..Reply::json("[{\"id\":1,\"st") }.with("content-range", "bytes 0-11/96")
        }),
        Trial::harmless("a list that is called a page for people", |_| {
            Reply::of(200, MORE).with("content-type", "text/html")
        }),
        Trial::harmless("a list that is called a picture", |_| Reply::of(200, MORE).with("content-type", "image/png")),
        Trial::harmless("a list that is called nothing known", |_| Reply::of(200, MORE).with("content-type", ";;/")),
        Trial::harmless("a list with two types", |_| Reply::json(MORE).with("content-type", "text/html")),
        Trial::harmless("a list, for now (203)", |_| Reply { status: 203, ..Reply::json(MORE) }),
    ]
}

fn broken_json() -> Vec<Trial> {
    vec![
        json("a list that is cut off", &BEFORE[..20]),
        json("a list that is cut off between items", &BEFORE[..24]),
        json("a list without its end", BEFORE.trim_end_matches(']')),
        json("a list and something behind it", &format!("{BEFORE}\nWarning: mysql_connect(): too many connections")),
        json("something before the list", &format!("Notice: undefined index\n{BEFORE}")),
        json("two lists", "[{\"id\":1}]\n[{\"id\":2}]"),
        json("a comma too many", r#"[{"id":1},]"#),
        json("a comma too few", r#"[{"id":1} {"id":2}]"#),
        json("NaN", r#"[{"id":1,"total":NaN}]"#),
        json("Infinity", r#"[{"id":1,"total":-Infinity}]"#),
        json("a number with a leading zero", r#"[{"id":01}]"#),
        json("a hexadecimal number", r#"[{"id":0x1F}]"#),
        json("quotes that are single", "[{'id':1}]"),
        json("names without quotes", "[{id:1}]"),
        json("a comment", "[{\"id\":1} /* more to come */]"),
        json("a function call around it", &format!("callback({BEFORE});")),
        json("a guard before it", &format!(")]}}',\n{BEFORE}")),
        json("undefined", "undefined"),
        json("a line break within a text", "[{\"id\":\"1\n\"}]"),
        json("half of a surrogate pair", r#"[{"id":"\ud83d"}]"#),
        json("arrays, ten thousand deep", &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        json("objects, ten thousand deep", &format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000))),
    ]
}

fn odd_json() -> Vec<Trial> {
    vec![
        harmless("a byte order mark", &format!("\u{feff}{MORE}")),
        harmless("blanks around the list", &format!("\r\n\r\n  {MORE}\n\n\n")),
        harmless(
            "escapes where none are needed",
            &MORE.replace("open", "\\u006f\\u0070en").replace("\"id\"", "\"\\u0069d\""),
        ),
        harmless("members that come twice: the last one counts", &MORE.replace("{\"id\"", "{\"id\":7,\"id\"")),
        harmless(
            "members in another order",
            &MORE.replace("\"id\":1,\"state\":\"open\"", "\"state\":\"open\",\"id\":1"),
        ),
        json(
            "numbers that no float can hold",
            r#"[{"id":1,"state":"open"},{"id":2,"state":"open"},{"id":9,"x":1e400,"y":-1E-400}]"#,
        )
        .truth(r#"[{"id":1,"state":"open"},{"id":2,"state":"open"},{"id":9,"x":1e400,"y":-1E-400}]"#),
        json("a number of ten thousand digits as key", &format!("[{{\"id\":{}}}]", "9".repeat(10_000))),
    ]
}

fn encodings() -> Vec<Trial> {
    let utf16 = |mark: &[u8], to_bytes: fn(u16) -> [u8; 2]| {
        [mark, &BEFORE.encode_utf16().flat_map(to_bytes).collect::<Vec<_>>()].concat()
    };
    let little = utf16(b"\xff\xfe", u16::to_le_bytes);
    let big = utf16(b"\xfe\xff", u16::to_be_bytes);
    let unmarked = utf16(b"", u16::to_le_bytes);
    vec![
        Trial::new("UTF-8 that is broken", |_| Reply::json(b"[{\"id\":\"caf\xe9\"}]".to_vec())),
        Trial::new("UTF-8 with a surrogate in it", |_| Reply::json(b"[{\"id\":\"\xed\xa0\x80\"}]".to_vec())),
        Trial::new("UTF-16, the small end first", move |_| Reply::json(little.clone())),
        Trial::new("UTF-16, the big end first", move |_| Reply::json(big.clone())),
        Trial::new("UTF-16 that nothing tells of", move |_| Reply::json(unmarked.clone())),
        Trial::new("null bytes", |_| Reply::json(vec![0; 100])),
        Trial::new("a null byte at the end", |_| Reply::json(format!("{BEFORE}\0"))),
        Trial::harmless("a charset that is not the true one", |_| {
            Reply::of(200, MORE).with("content-type", "application/json; charset=klingon")
        }),
    ]
}

fn json(name: &'static str, body: &str) -> Trial {
    let body = body.to_owned();
    Trial::new(name, move |_| Reply::json(body.clone()))
}

fn harmless(name: &'static str, body: &str) -> Trial {
    json(name, body).truth(MORE)
}
