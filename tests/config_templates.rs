//! Templates, params and secrets: how a connector comes out of several places.

#[path = "support/configuration.rs"]
mod configuration;

use std::sync::Arc;
use std::time::Duration;

use configuration::{load_files, try_load};
use pollhook::config::Environment;
use pollhook::model::auth::Auth;
use pollhook::model::connector::{Connector, RequestBody};
use pollhook::model::schedule::Schedule;
use pollhook::model::template::TemplateContext;
use pollhook::model::time::Timestamp;

const TEMPLATE: &str = r#"
title = "Shop orders"
homepage = "https://shop.example.com/docs"
schedule = "@hourly"

[params.shop]
description = "The name of the shop"
example = "acme"

[params.token]
default = ""
secret = true

[request]
url = "https://{{ params.shop }}.example.com/orders"
headers = { Accept = "application/json", X-Version = "1" }

[auth.bearer]
token = "{{ params.token }}"

[item]
key = ".id"
watch = [".status"]
"#;

fn connector(config: &str, environment: &Environment) -> Arc<Connector> {
    let files = [("config.toml", config), ("connectors/shop.toml", TEMPLATE)];
    Arc::clone(&load_files(&files, environment).connectors[0])
}

fn url(connector: &Connector) -> String {
    let context =
        TemplateContext { params: &connector.params.0, cursor: None, item: None, now: Timestamp::EPOCH, page: None };
    connector.request.url.render(&context).expect("an address")
}

fn bearer(connector: &Connector) -> Option<&str> {
    match &connector.auth {
        Some(Auth::Bearer { token }) => Some(token.expose()),
        None => None,
        other => panic!("not a bearer token: {other:?}"),
    }
}

#[test]
fn an_instance_is_its_template_with_params() {
    let environment = Environment::default();
    let connector = connector("[connectors.a]\nuse = \"shop\"\nparams.shop = \"acme\"\n", &environment);
    assert_eq!((connector.name.as_str(), connector.title.as_deref()), ("a", Some("Shop orders")));
    assert_eq!(url(&connector), "https://acme.example.com/orders");
    assert_eq!(bearer(&connector), None, "an empty token is none");
    assert!(matches!(connector.schedule, Schedule::Cron(_)));
}

#[test]
fn what_an_instance_says_comes_on_top_table_by_table() {
    let connector = connector(
        r#"
[connectors.a]
use = "shop"
params = { shop = "acme" }
every = "10m"
request.headers = { X-Version = "2", X-More = "yes" }
item.watch = [".total"]
[connectors.a.auth.basic]
username = "{{ params.shop }}"
password = "hunter2"
"#,
        &Environment::default(),
    );
    assert_eq!(connector.schedule, Schedule::Every(Duration::from_secs(600)), "it replaces the template's schedule");
    let headers: Vec<(&str, &str)> =
        connector.request.headers.iter().map(|(name, value)| (name.as_str(), value.source())).collect();
    assert_eq!(headers, [("Accept", "application/json"), ("X-Version", "2"), ("X-More", "yes")]);
    assert_eq!(connector.item.key[0].source(), ".id");
    assert_eq!(connector.item.watch.as_ref().expect("watched")[0].source(), ".total");
    let Some(Auth::Basic { username, password }) = &connector.auth else { panic!("it replaces the template's auth") };
    assert_eq!((username.as_str(), password.expose()), ("acme", "hunter2"));
}

#[test]
fn secrets_come_from_the_environment_or_a_file_and_are_redacted() {
    let environment = Environment::from([("SHOP_TOKEN", "from-environment")]);
    let files = [
        (
            "config.toml",
            r#"
[connectors.a]
use = "shop"
params = { shop = { env = "SHOP_TOKEN" }, token = { file = "secrets/token" } }

[connectors.b]
use = "shop"
params = { shop = "acme", token = "literal {{ params.shop }}" }
"#,
        ),
        ("connectors/shop.toml", TEMPLATE),
        ("secrets/token", "from-file\r\n"),
    ];
    let configuration = load_files(&files, &environment);
    let [a, b] = &configuration.connectors[..] else { panic!("two connectors") };
    assert_eq!(bearer(a), Some("from-file"), "the newline at its end does not count");
    assert_eq!(bearer(b), Some("literal {{ params.shop }}"), "a param is no template itself");
    assert_eq!(a.redactor.redact("from-file, from-environment, acme"), "***, ***, acme");
    assert!(!format!("{configuration:?}").contains("from-"), "nothing shows a secret");
}

#[test]
fn what_comes_from_elsewhere_is_no_template() {
    let environment = Environment::from([("SHOP_TOKEN", "{{ params.shop }}")]);
    let config =
        "[connectors.a]\nuse = \"shop\"\nparams.shop = \"acme\"\nauth.bearer.token = { env = \"SHOP_TOKEN\" }\n";
    assert_eq!(bearer(&connector(config, &environment)), Some("{{ params.shop }}"));
}

#[test]
fn an_inline_connector_declares_its_params_by_giving_them() {
    let connector = connector(
        r#"
[connectors.a]
every = "1m"
params = { key = { env = "KEY" }, depth = 2, wide = true }
request.method = "POST"
request.url = "https://example.com/{{ params.depth }}?key={{ params.key }}"
request.form = { wide = "{{ params.wide }}", since = "{{ now }}" }
item.key = ".id"
"#,
        &Environment::from([("KEY", "hunter2")]),
    );
    assert_eq!(url(&connector), "https://example.com/2?key=hunter2");
    assert_eq!(connector.redactor.redact("/2?key=hunter2"), "/2?key=***");
    assert!(matches!(&connector.request.body, Some(RequestBody::Form(fields)) if fields.len() == 2));
}

#[test]
fn an_override_replaces_a_secret_from_another_place() {
    let config = r#"
[connectors.a]
use = "shop"
params = { shop = "acme" }
auth.bearer.token = { env = "SHOP_TOKEN" }
"#;
    let template = TEMPLATE.replace("\"{{ params.token }}\"", "{ file = \"secrets/none\" }");
    let environment = Environment::from([("SHOP_TOKEN", "hunter2")]);
    let configuration = load_files(&[("config.toml", config), ("connectors/shop.toml", &template)], &environment);
    assert_eq!(bearer(&configuration.connectors[0]), Some("hunter2"));
}

#[test]
fn no_mistake_shows_a_param_that_is_secret() {
    for text in [
        "request.url = \"{{ params.token }}\"",
        "request.url = \"ftp://{{ params.token }}/\"",
        "request.query = { a = \"{{ params.token | int }}\" }",
        "auth.bearer.token = \"{{ params.token.x }}\"",
    ] {
        let config =
            format!("[connectors.a]\nuse = \"shop\"\nparams = {{ shop = \"a\", token = \"hunter2\" }}\n{text}\n");
        let mistakes =
            try_load(&[("config.toml", &config), ("connectors/shop.toml", TEMPLATE)], &Environment::default())
                .expect_err(text);
        assert!(mistakes.errors() > 0 && !mistakes.to_string().contains("hunter2"), "{mistakes}");
        assert!(!mistakes.render(true).contains("hunter2"), "{mistakes}");
    }
}
