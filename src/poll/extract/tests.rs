use std::fmt::Write as _;
use std::sync::Arc;

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Environment, load};

fn connector(rules: &str) -> Arc<Connector> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let usual = "every = \"1m\"\nrequest.url = \"http://api.example/\"\n";
    std::fs::write(&path, format!("[connectors.orders]\n{usual}{rules}\n")).expect("a file");
    let configuration = load(&path, &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Arc::clone(&configuration.connectors[0])
}

fn clock() -> SharedClock {
    SystemClock::shared()
}

fn address() -> Url {
    "http://api.example/".parse().expect("an address")
}

fn described(result: Result<Extraction, PageError>) -> Result<(usize, Vec<String>), String> {
    let describe = |item: &Item| format!("{} {} {} {}", item.key, item.key_hash, item.fingerprint, item.record.value());
    let extraction = result.map_err(|error| error.to_string())?;
    Ok((extraction.rows.len(), extraction.items.iter().map(describe).collect()))
}

/// Extracts without any memory of texts, from the page's value.
fn plainly(connector: &Connector, body: &[u8]) -> Result<Extraction, PageError> {
    let raw = RawPage { url: None, content_type: None, body };
    extract_values(connector, 1, decode(&connector.response, raw, &connector.redactor)?)
}

#[test]
fn a_text_that_is_remembered_is_not_parsed() {
    let connector = connector("response.items = \".[]\"\nitem.key = \".id\"");
    let body = Bytes::from_static(br#"[{"id":1},{"id":2},{"id":3}]"#);
    let identity = Identity {
        key: "another".into(),
        key_hash: KeyHash::of("another"),
        fingerprint: Fingerprint::of([&Value::from(1)]),
    };
    let mut memo = Memo::default();
    let meaning = |identity| Meaning { identity, cursor: None };
    memo.extend(vec![
        (blake3::hash(br#"{"id":2}"#), meaning(Some(identity))),
        (blake3::hash(br#"{"id":3}"#), meaning(None)),
    ]);
    let extraction = extract(&connector, 1, &address(), None, &body, &memo, &*clock()).expect("items");
    let keys: Vec<&str> = extraction.items.iter().map(|item| &*item.key).collect();
    assert_eq!(keys, ["1", "another"]);
    assert_eq!((extraction.rows.len(), extraction.meanings.len()), (3, 3));
}

#[test]
fn nesting_is_limited_as_in_the_whole_page() {
    let connector = connector("response.items = \".data.items[]\"\nitem.key = \".id\"");
    let check = |levels: usize, is_well: bool| {
        let (opening, closing) = ("[".repeat(levels - 4), "]".repeat(levels - 4));
        let body = Bytes::from(format!(r#"{{"data":{{"items":[{{"id":1,"a":{opening}{closing}}}]}}}}"#));
        assert_eq!(extract_texts(&connector, None, &body, &Memo::default(), &*clock()).is_some(), is_well, "{levels}");
        assert_eq!(plainly(&connector, &body).is_ok(), is_well, "{levels}");
    };
    check(5, true);
    check(MOST_LEVELS, true);
    check(MOST_LEVELS + 1, false);
}

/// Writes some JSON value, in one of many notations, and some that are none.
fn write_value(text: &mut String, random: &mut Rng, levels: usize) {
    let spaces = ["", "", "", " ", "\n\t"];
    let space = |random: &mut Rng| spaces[random.usize(..spaces.len())];
    text.push_str(space(random));
    match random.usize(..if levels == 0 { 8 } else { 12 }) {
        0 => text.push_str("null"),
        1 => text.push_str("true"),
        2 => text.push_str(["1", "1.0", "-0", "1e5", "1E+05", "9007199254740993", "0.10e-3"][random.usize(..7)]),
        3..=6 => {
            text.push_str(
                [r#""a""#, r#""\u0061""#, r#""1e5""#, r#""\"]}\\""#, r#""ä\ud83d\ude00""#][random.usize(..5)],
            );
        }
        7 if random.usize(..20) == 0 => {
            text.push_str([r#""\ud800""#, "01", "nul", r#""\x""#, "1e", "]"][random.usize(..6)]);
        }
        7 => write!(text, "{}", random.u8(..)).expect("a text takes it"),
        8 | 9 => write_listing(text, random, |text, random| {
            write_value(text, random, levels - 1);
        }),
        _ => {
            text.push('{');
            for index in 0..random.usize(..4) {
                text.push_str(if index > 0 { "," } else { "" });
                text.push_str([r#""a":"#, r#""b" :"#, r#""\u0061":"#, r#""":"#][random.usize(..4)]);
                write_value(text, random, levels - 1);
            }
            text.push('}');
        }
    }
    text.push_str(space(random));
}

fn write_listing(text: &mut String, random: &mut Rng, write: impl Fn(&mut String, &mut Rng)) {
    text.push('[');
    for index in 0..random.usize(..4) {
        text.push_str(if index > 0 { "," } else { "" });
        write(text, random);
    }
    text.push(']');
}

fn item_text(random: &mut Rng) -> String {
    let mut text = "{\"a\":".to_owned();
    write_value(&mut text, random, 3);
    write!(text, r#","id":{},"s":{}"#, random.u8(..40), random.bool()).expect("a text takes it");
    if random.usize(..10) == 0 {
        write!(text, r#","id":"{}""#, random.u8(..4)).expect("a text takes it");
    }
    if random.usize(..60) == 0 {
        let levels = random.usize(118..130);
        write!(text, ",\"d\":{}{}", "[".repeat(levels), "]".repeat(levels)).expect("a text takes it");
    }
    text.push('}');
    if random.usize(..60) == 0 { "{\"a\":1}".to_owned() } else { text }
}

fn page(random: &mut Rng, items: &[String]) -> String {
    let listing = format!("[{}]", items.join(if random.bool() { "," } else { " ,\n" }));
    let mut text = String::new();
    text.push('{');
    if random.bool() {
        text.push_str("\"before\":");
        write_value(&mut text, random, 2);
        text.push(',');
    }
    if random.usize(..8) == 0 {
        text.push_str(["\"items\":[{\"id\":1}],", "\"items\":null,", "\"items\":{},"][random.usize(..3)]);
    }
    write!(text, "\"{}\":{listing}", ["items", "\\u0069tems"][random.usize(..2)]).expect("a text takes it");
    if random.usize(..4) == 0 {
        text.push_str(",\"after\":");
        write_value(&mut text, random, 2);
    }
    text.push_str(if random.usize(..30) == 0 { ["", "}}", ",}", "} x"][random.usize(..4)] } else { "}" });
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is remembered of earlier pages, a page gives the items, or the error, that its value gives.
    #[test]
    fn memory_of_texts_changes_nothing(seed: u64, rules in 0..5_usize) {
        let rules = [
            "item.key = \".id\"",
            "item.key = [\".id\", \".s\"]\nitem.filter = \".s\"",
            "item.key = \".id\"\nitem.watch = [\".a\"]",
            "item.key = \".id | tostring\"\nitem.ignore = [\".a?.b?\", \".s\"]",
            "item.key = \".id\"\nitem.filter = \".id != 7\"",
        ][rules];
        let connector = connector(&format!("response.items = \".items[]\"\n{rules}"));
        let mut random = Rng::with_seed(seed);
        let mut items: Vec<String> = (0..random.usize(..12)).map(|_| item_text(&mut random)).collect();
        let mut memo = Memo::default();
        for _ in 0..12 {
            let body = Bytes::from(page(&mut random, &items));
            let found = extract(&connector, 1, &address(), None, &body, &memo, &*clock());
            if let Ok(extraction) = &found {
                memo = Memo::default();
                memo.extend(extraction.meanings.clone());
            }
            prop_assert_eq!(described(found), described(plainly(&connector, &body)), "{:?}", body);
            if !items.is_empty() && random.bool() {
                let at = random.usize(..items.len());
                items[at] = item_text(&mut random);
                items.rotate_left(at);
            }
            items.push(item_text(&mut random));
            items.retain(|_| random.usize(..6) > 0);
        }
    }
}
