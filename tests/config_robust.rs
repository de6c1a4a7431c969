//! Whatever is wrong with a configuration, it is said without a panic and without showing a secret.

#[path = "support/configuration.rs"]
mod configuration;

use configuration::{load_files, try_load};
use pollhook::config::Environment;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:8787"
token = "hunter2"

[connectors.orders]
use = "shop"
params = { shop = "acmé", token = "hunter2", code = "hunter2" }
schedule = "*/5 * * * *"

[connectors.more]
every = "1m"
request = { url = "https://example.com/", headers = { Accept = "*/*" } }
auth.basic = { username = "më", password = "hunter2" }
item = { key = [".id", '.["shöp"]'], data = """
{
  id, "é": "\\(.id)"
}""" }

[subscriptions.erp]
url = "https://erp.example.com/"
secret = ["whsec_hunter2hunter2hunter2hunter2hunter2a", 'whsec_hunter2hunter2hunter2hunter2hunter2b']
filter = ".data.total > 100"
headers = { X-Key = "hunter2", X-Other = 'hunter2' }
retry = ["5s", "5m"]
"#;

const TEMPLATE: &str = r#"
params.shop.example = "acme"
params.token = { secret = true, default = "" }
params.code = { secret = true, default = "hunter2" }
request.url = "https://{{ params.shop }}.example.com/{{ params.code }}"
auth.header = { name = "X-Token", value = "{{ params.token }}" }
item.key = ".id"
"#;

/// What tells that a value is a secret.
const SECRET_NAMES: [&str; 4] = ["token", "password", "secret", "X-"];

/// What begins and ends a text of several lines.
const LONG_QUOTES: [&str; 2] = ["\"\"\"", "'''"];

fn counts(text: &str, words: &[&str]) -> Vec<usize> {
    words.iter().map(|word| text.matches(word).count()).collect()
}

/// Replaces a few characters of a text, but none of a secret. Where that begins or ends a long text, which may take in
/// whole lines, the names of secrets stay too: a secret that is part of another text under another name looks like any
/// other word.
fn damaged(original: &str, damages: &[(usize, usize, String)]) -> String {
    let mut text = original.to_owned();
    for (at, length, replacement) in damages {
        let boundary = |offset: usize| (offset..=text.len()).find(|offset| text.is_char_boundary(*offset));
        let start = boundary(at % text.len()).expect("the end is a boundary");
        let end = boundary((start + length).min(text.len())).expect("the end is a boundary");
        let mut edited = text.clone();
        edited.replace_range(start..end, replacement);
        let same = |words: &[&str]| counts(&edited, words) == counts(original, words);
        if same(&["hunter2"]) && (same(&LONG_QUOTES) || same(&SECRET_NAMES)) {
            text = edited;
        }
    }
    text
}

fn damages() -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    let replacement = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}\"'=.,#\\\\\n é|$]{1,3}",
        "[a-z_]{1,6}",
        Just("\"\"\"".to_owned()),
        Just("{{ x".to_owned()),
    ];
    prop::collection::vec((any::<usize>(), 0..6usize, replacement), 1..4)
}

#[test]
fn an_undamaged_configuration_loads() {
    let configuration =
        load_files(&[("config.toml", CONFIG), ("connectors/shop.toml", TEMPLATE)], &Environment::default());
    assert_eq!((configuration.connectors.len(), configuration.subscriptions.len()), (2, 1));
}

proptest! {
    // The same cases each time: `PROPTEST_CASES` tries more of them.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_261_121),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_damaged_configuration_is_refused_without_a_panic_and_without_a_secret(
        config in damages(),
        template in prop::option::of(damages()),
    ) {
        let config = damaged(CONFIG, &config);
        let template = template.map_or_else(|| TEMPLATE.to_owned(), |damages| damaged(TEMPLATE, &damages));
        let files = [("config.toml", config.as_str()), ("connectors/shop.toml", template.as_str())];
        let said = match try_load(&files, &Environment::default()) {
            Ok(configuration) => format!("{configuration:?}"),
            Err(mistakes) => {
                prop_assert!(mistakes.errors() > 0);
                mistakes.render(true) + &mistakes.to_string()
            }
        };
        prop_assert!(!said.contains("hunter2"), "{said}");
    }
}
