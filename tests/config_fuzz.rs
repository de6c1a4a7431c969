//! Whatever is written in a configuration, it is loaded or refused with a reason, and never with a panic.
//!
//! `fixtures/fuzz/config` has configurations with all keys: as they are, and damaged in the same ways each time, beside the
//! templates of the catalogue. `POLLHOOK_FUZZ_SECONDS=600 cargo test --test config_fuzz` goes on for so long, with other
//! damages each time.

#[path = "support/configuration.rs"]
mod configuration;
#[path = "support/damage.rs"]
mod damage;

use configuration::{load_files, try_load};
use damage::{damaged, files, for_seeds};
use pollhook::config::Environment;

/// How many damaged configurations are tried.
const CASES: usize = 600;

/// Pieces that mean something in a configuration.
const PIECES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "'",
    "\"\"\"",
    "\n",
    "#",
    "\\",
    "\u{0}",
    "\u{feff}",
    "é",
    "{{ ",
    " }}",
    "{% if ",
    "cursor",
    "page",
    "item",
    "params.",
    "true",
    "-1",
    "99999999999999999999",
    "1e400",
    "0s",
    "1h",
    "5/s",
    "10%",
    "[connectors.x]\n",
    "each = [{}]\n",
    "def f: f; f",
    ".[]",
    "..",
    "$__loc__",
    "li > a",
    ":not(",
    "https://",
    "http://[",
    "{ env = \"A\" }",
    "{ file = \"/etc\" }",
    "\"* * * * *\"",
    "1979-05-27",
];

fn configurations() -> Vec<Vec<u8>> {
    let mut documents = files("fuzz/config");
    documents.push(include_bytes!("../config.toml").to_vec());
    documents
}

fn templates() -> Vec<Vec<u8>> {
    files("../../connectors")
}

#[test]
fn the_configurations_that_are_damaged_load() {
    for document in files("fuzz/config") {
        let text = String::from_utf8(document).expect("a configuration is text");
        let configuration = load_files(&[("config.toml", &text)], &Environment::default());
        assert!(!configuration.connectors.is_empty());
    }
}

#[test]
fn no_text_makes_loading_panic() {
    let (configurations, templates) = (configurations(), templates());
    assert!(configurations.len() >= 3 && templates.len() >= 5, "there is something to damage");
    for_seeds(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        for case in 0..CASES {
            let config = damaged(random.choice(&configurations).expect("some"), &configurations, PIECES, &mut random);
            let template = damaged(random.choice(&templates).expect("some"), &templates, PIECES, &mut random);
            let (config, template) = (String::from_utf8_lossy(&config), String::from_utf8_lossy(&template));
            let loaded =
                try_load(&[("config.toml", &config), ("connectors/any.toml", &template)], &Environment::default());
            if let Err(mistakes) = loaded {
                assert!(mistakes.errors() > 0, "case {case} of seed {seed} is refused without a reason");
                assert!(!mistakes.render(true).is_empty() && !mistakes.to_string().is_empty());
            }
        }
    });
}
