//! Which edits of a connector make remembered things incomparable.

#[path = "support/configuration.rs"]
mod configuration;

use configuration::load_files;
use pollhook::config::Environment;
use pollhook::model::connector::RulesDigest;

const TEMPLATE: &str = r#"
[params.repo]
example = "rust"

[params.token]
default = ""
secret = true

[request]
url = "https://api.example.com/{{ params.repo }}/issues"
query = { state = "open", per_page = 50 }
headers = { Accept = "application/json" }

[auth.bearer]
token = "{{ params.token }}"

[response]
items = ".issues[]"

[item]
key = ".id"
watch = [".status"]
ignore = [".votes"]
"#;

const CONFIG: &str = r#"
[connectors.a]
use = "repo"
every = "1m"
params = { repo = "rust", token = { env = "TOKEN" } }
request.timeout = "10s"
item.data = "{id}"
"#;

fn digest(config: &str, template: &str, token: &str) -> RulesDigest {
    let files = [("config.toml", config), ("connectors/repo.toml", template)];
    load_files(&files, &Environment::from([("TOKEN", token)])).connectors[0].digest
}

/// Says what an edit of the configuration changes: any of pages, keys and fingerprints.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    let edited = CONFIG.replace(from, to);
    assert_ne!(edited, CONFIG, "`{from}` is there to be edited");
    check_digests(digest(CONFIG, TEMPLATE, "one"), digest(&edited, TEMPLATE, "one"), expected);
}

#[track_caller]
fn check_digests(before: RulesDigest, after: RulesDigest, expected: &[&str]) {
    let parts = [
        ("pages", before.pages != after.pages),
        ("keys", before.keys != after.keys),
        ("fingerprints", before.fingerprints != after.fingerprints),
    ];
    let changed: Vec<&str> = parts.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect();
    assert_eq!(changed, expected);
}

#[test]
fn other_items_or_other_keys_are_not_comparable() {
    for (from, to) in [
        ("repo = \"rust\"", "repo = \"cargo\""),
        ("item.data", "item.key = \".number\"\nitem.data"),
        ("item.data", "item.key = [\".id\", \".repo\"]\nitem.data"),
        ("item.data", "item.filter = \".open\"\nitem.data"),
        ("item.data", "response.items = \".[]\"\nitem.data"),
        ("item.data", "request.query.state = \"all\"\nitem.data"),
        ("item.data", "request.method = \"POST\"\nrequest.body = { a = 1 }\nitem.data"),
        ("item.data", "pagination.link = {}\nitem.data"),
        ("item.data", "request.query.since = \"{{ cursor }}\"\ncursor.value = \".at\"\nitem.data"),
    ] {
        check(from, to, &["pages", "keys"]);
    }
}

#[test]
fn how_pages_are_found_decides_which_items_there_are_but_names_do_not() {
    let check = |from: &str, to: &str, expected: &[&str]| {
        let with = |pagination: &str| {
            digest(&CONFIG.replace("item.data", &format!("pagination.{pagination}\nitem.data")), TEMPLATE, "one")
        };
        check_digests(with(from), with(to), expected);
    };
    let page = "page = { param = \"page\", size = 10 }";
    for other in [
        "page = { param = \"page\", size = 20 }",
        "page = { param = \"page\", size = 10, start = 0 }",
        "page = { param = \"page\", size = 10, max_pages = 9 }",
        "page = { param = \"page\", size = 10, total = \".total\" }",
        "offset = { param = \"page\", size = 10 }",
        "next_url.value = \".next\"",
        "link = {}",
    ] {
        check(page, other, &["pages", "keys"]);
    }
    check(
        "cursor = { token = \".a\", param = \"c\" }",
        "cursor = { token = \".b\", param = \"c\" }",
        &["pages", "keys"],
    );
    for other in [
        "page = { param = \"p\", size = 10 }",
        "page = { param = \"page\", size = 10, size_param = \"n\" }",
        "page = { param = \"page\", size = 10, stop = \"known\" }",
    ] {
        check(page, other, &["pages"]);
    }
    check("link = {}", "link.origins = [\"https://b.example\"]", &["pages"]);
    check("link = {}", "link.max_pages = 50", &[]);
}

#[test]
fn other_content_makes_other_fingerprints() {
    check("item.data", "item.watch = [\".title\"]\nitem.data", &["pages", "fingerprints"]);
    check("item.data", "item.ignore = []\nitem.data", &["pages", "fingerprints"]);
}

#[test]
fn what_is_needed_of_the_same_items_reads_the_pages_again() {
    for addition in [
        "request.headers.Accept = \"text/json\"",
        "response.error = \".error\"",
        "changes.previous = true",
        "changes.lists = \"everything\"",
    ] {
        check("item.data", &format!("{addition}\nitem.data"), &["pages"]);
    }
}

#[test]
fn all_else_can_be_edited_freely() {
    check("every = \"1m\"", "schedule = \"@hourly\"\njitter = \"5s\"", &[]);
    check("timeout = \"10s\"", "timeout = \"20s\"\nrequest.max_body = \"1MiB\"", &[]);
    check("item.data = \"{id}\"", "", &[]);
    check("item.data", "title = \"Issues\"\nitem.data", &[]);
    check("item.data", "changes.events = [\"created\"]\nchanges.forget_after = \"9d\"\nitem.data", &[]);
    check("item.data", "changes.hold_above = { created = 5 }\nchanges.empty = \"ok\"\nitem.data", &[]);
    check("item.data", "detail.request.url = \"https://api.example.com/{{ item.id }}\"\nitem.data", &[]);
    check("item.data", "auth.basic = { username = \"me\", password = \"x\" }\nitem.data", &[]);
    check("[connectors.a]", "[connectors.b]", &[]);
}

#[test]
fn how_a_rule_is_written_does_not_count() {
    let before = digest(CONFIG, TEMPLATE, "one");
    let reordered = TEMPLATE
        .replace("query = { state = \"open\", per_page = 50 }", "query = { per_page = \"50\", state = \"open\" }")
        .replace("{{ params.repo }}", "{{params.repo}}")
        .replace("watch = [\".status\"]\nignore = [\".votes\"]", "ignore = \".votes\"\nwatch = \".status\"");
    assert_ne!(reordered, TEMPLATE);
    check_digests(before, digest(CONFIG, &reordered, "one"), &[]);
    let inline = r#"
[connectors.a]
every = "1m"
item = { watch = ".status", ignore = ".votes", key = ".id" }
response.items = ".issues[]"
[connectors.a.request]
headers = { Accept = "application/json" }
query = { per_page = 50, state = "open" }
url = "https://api.example.com/rust/issues"
"#;
    check_digests(before, digest(inline, TEMPLATE, "one"), &[]);
}

#[test]
fn a_renewed_secret_changes_nothing() {
    check_digests(digest(CONFIG, TEMPLATE, "one"), digest(CONFIG, TEMPLATE, "two"), &[]);
    let in_address = TEMPLATE.replace("/issues\"", "/issues?key={{ params.token }}\"");
    check_digests(digest(CONFIG, &in_address, "one"), digest(CONFIG, &in_address, "two"), &[]);
}
