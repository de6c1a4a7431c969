//! The example configuration and the ready-made connectors.

#[path = "support/configuration.rs"]
mod configuration;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use pollhook::config::{Configuration, Environment, load};
use pollhook::model::connector::{Connector, ItemRules};
use pollhook::model::expression::Expression;
use pollhook::model::fingerprint::Fingerprint;
use pollhook::model::template::TemplateContext;
use pollhook::model::time::Timestamp;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example() -> Configuration {
    load(&root().join("config.toml"), &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Loads an instance of each template, with each param's example.
fn instances() -> Vec<(String, std::sync::Arc<Connector>)> {
    let mut config = format!("[catalog]\npath = \"{}\"\n", root().join("connectors").display());
    let names: Vec<String> = example().catalog.templates.iter().map(|template| template.name.clone()).collect();
    for template in example().catalog.templates {
        let name = template.name;
        writeln!(config, "[connectors.{name}]\nuse = \"{name}\"\n[connectors.{name}.params]").expect("a string");
        for param in template.params.iter().filter(|param| param.default.is_none()) {
            writeln!(config, "{} = {}", param.name, param.example.as_ref().expect("an example")).expect("a string");
        }
    }
    let configuration = configuration::load_files(&[("config.toml", &config)], &Environment::default());
    names.into_iter().zip(configuration.connectors).collect()
}

/// What a poll would make of an answer: each item's fingerprint and data by key. `details` is what the API says of each
/// item by itself, in the place of what it lists.
fn read(connector: &Connector, answer: &Value, details: &Value) -> BTreeMap<String, (Fingerprint, Value)> {
    let rules = &connector.item;
    let items = connector.response.items.outputs(answer).expect("items");
    let filtered = items
        .into_iter()
        .filter(|item| rules.filter.as_ref().is_none_or(|filter| filter.is_truthy(item).expect("a truth value")));
    let read = filtered.map(|item| {
        let key = key(rules, &item);
        let whole = if connector.detail.is_some() { &details[&key] } else { &item };
        (key.clone(), (fingerprint(rules, &item), data(rules, whole)))
    });
    read.collect()
}

fn one(expression: &Expression, item: &Value) -> Value {
    let outputs = expression.outputs(item).unwrap_or_else(|error| panic!("{expression:?}: {error}"));
    let [output] = &outputs[..] else { panic!("{} gives {} values", expression.source(), outputs.len()) };
    output.clone().into_owned()
}

fn key(rules: &ItemRules, item: &Value) -> String {
    match one(&rules.key[0], item) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn fingerprint(rules: &ItemRules, item: &Value) -> Fingerprint {
    match &rules.watch {
        Some(watched) => Fingerprint::of(&watched.iter().map(|expression| one(expression, item)).collect::<Vec<_>>()),
        None => Fingerprint::of([item]),
    }
}

fn data(rules: &ItemRules, item: &Value) -> Value {
    rules.data.as_ref().map_or_else(|| item.clone(), |data| one(data, item))
}

#[test]
fn the_example_configuration_and_the_whole_catalogue_load_without_any_environment() {
    let configuration = example();
    assert!(configuration.warnings.is_empty(), "{}", configuration.warnings);
    assert!(!configuration.connectors.is_empty() && !configuration.subscriptions.is_empty());
    let names: Vec<&str> = configuration.catalog.templates.iter().map(|template| template.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "any-json",
            "crates-io",
            "feed",
            "github-issues",
            "github-releases",
            "hacker-news",
            "npm-package",
            "pypi-project",
            "statuspage-incidents",
            "usgs-earthquakes"
        ]
    );
    for template in &configuration.catalog.templates {
        assert!(template.title.is_some() && template.homepage.is_some(), "{}", template.name);
        for param in &template.params {
            assert!(param.description.is_some(), "{}: {}", template.name, param.name);
            assert!(param.example.is_some() || param.default.is_some(), "{}: {}", template.name, param.name);
        }
    }
}

#[test]
fn the_first_connector_of_the_readme_loads_as_it_is_printed() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let catalog = format!("catalog.path = \"{}\"\n", root().join("connectors").display());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let environment = Environment::from([("SHOP_TOKEN", "a token"), ("ERP_SECRET", secret)]);
    let configuration = configuration::load_files(&[("config.toml", &(catalog + example))], &environment);
    let names: Vec<&str> = configuration.connectors.iter().map(|connector| connector.name.as_str()).collect();
    assert_eq!(names, ["rust-releases", "orders"]);
    assert_eq!(configuration.subscriptions.len(), 1);
}

#[test]
fn ready_made_connectors_read_what_their_apis_answer() {
    for (name, connector) in instances() {
        let path = root().join("tests/fixtures/catalog").join(&name).with_extension("json");
        let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).expect(&name)).expect("JSON");
        let read_now = read(&connector, &fixture["answer"], &fixture["details"]);
        let data: BTreeMap<&String, &Value> = read_now.iter().map(|(key, (_, data))| (key, data)).collect();
        let expected: BTreeMap<&String, &Value> = fixture["items"].as_object().expect("items by key").iter().collect();
        assert_eq!(data, expected, "{name}");

        let fingerprints = |read: &BTreeMap<String, (Fingerprint, Value)>| {
            read.iter().map(|(key, (fingerprint, _))| (key.clone(), *fingerprint)).collect::<Vec<_>>()
        };
        let read_later = read(&connector, &fixture["later"], &fixture["details"]);
        assert_ne!(fixture["later"], fixture["answer"], "{name}");
        assert_eq!(fingerprints(&read_now), fingerprints(&read_later), "{name}: habits of the API are no updates");
    }
}

#[test]
fn ready_made_connectors_ask_for_the_right_addresses() {
    let address = |connector: &Connector| {
        let context = TemplateContext {
            params: &connector.params.0,
            cursor: None,
            item: None,
            now: Timestamp::EPOCH,
            page: None,
        };
        connector.request.url.render(&context).expect("an address")
    };
    let addresses: Vec<String> = instances().iter().map(|(_, connector)| address(connector)).collect();
    insta::assert_snapshot!(addresses.join("\n"), @r"
    https://api.example.com/items
    https://crates.io/api/v1/crates/serde/versions
    https://blog.rust-lang.org/feed.xml
    https://api.github.com/repos/rust-lang/cargo/issues
    https://api.github.com/repos/rust-lang/rust/releases
    https://hacker-news.firebaseio.com/v0/topstories.json
    https://registry.npmjs.org/@types%2Fnode
    https://pypi.org/simple/requests/
    https://www.githubstatus.com/api/v2/incidents.json
    https://earthquake.usgs.gov/earthquakes/feed/v1.0/summary/2.5_day.geojson
    ");
}
