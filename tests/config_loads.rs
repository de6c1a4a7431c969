//! What a right configuration means.

#[path = "support/configuration.rs"]
mod configuration;

use std::time::Duration;

use configuration::load_files;
use pollhook::config::{Definitions, Environment, StoreChoice};
use pollhook::model::auth::{Auth, ClientAuth, OAuth2Grant};
use pollhook::model::change::{ChangeKind, EmptyRule, FirstPoll, HoldAbove, Lists, Share};
use pollhook::model::connector::{Method, RequestBody};
use pollhook::model::content::{BatchPolicy, DeliveryFormat, TooLarge};
use pollhook::model::egress::Egress;
use pollhook::model::expression::Expression;
use pollhook::model::pagination::PagingStyle;
use pollhook::model::quantity::ByteSize;
use pollhook::model::schedule::Schedule;
use pollhook::model::signing::{HeaderSignature, HmacAlgorithm, SignatureEncoding, Signing};

#[test]
fn every_key_means_what_it_says() {
    let environment =
        Environment::from([("TOKEN", "from-the-environment"), ("HOOK", "https://hooks.example.com/T/secret")]);
    let configuration = load_files(
        &[
            ("secrets/signing", "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
            (
                "config.toml",
                r#"
[server]
listen = "0.0.0.0:9000"
token = { env = "TOKEN" }

[store.sled]
path = "state"

[retention]
delivered = "1d"
dead = "2d"

[connectors.orders]
title = "Orders"
every = "30s"
timezone = "Europe/Rome"
jitter = "5s"

[connectors.orders.request]
url = "https://shop.example.com/api/orders"
method = "POST"
query = { status = ["open", "paid"], limit = 100 }
headers = { Accept = "application/json" }
body = { query = "orders", first = 10, nested = [1.50, true, "x"] }
timeout = "10s"
max_body = "1MiB"

[connectors.orders.auth.basic]
username = "me"
password = { env = "TOKEN" }

[connectors.orders.pagination.link]
max_pages = 7

[connectors.orders.response]
format = "json"
items = ".orders[]"
error = ".error?"

[connectors.orders.item]
key = [".shop", ".id"]
watch = [".status", ".total"]
ignore = ".fetched_at"
filter = ".status != \"draft\""
data = "{id, status}"

[connectors.orders.changes]
events = ["created", "updated", "removed"]
lists = "everything"
first_poll = { latest = 5 }
removed_after = 2
previous = true
forget_after = "10d"
hold_above = { created = 1000, removed = "20%" }
empty = "ok"

[connectors.orders.detail]
request = { url = "https://shop.example.com/api/orders/{{ item.id }}", headers = { X-Shop = "{{ item.shop }}" } }
concurrency = 2

[subscriptions.erp]
url = { env = "HOOK" }
connectors = ["orders"]
events = ["created", "orders.removed"]
filter = ".data.total > 100"
secret = ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", { file = "secrets/signing" }]
format = "standard"
headers = { X-Team = "erp" }
timeout = "3s"
concurrency = 2
retry = ["1s", "2m"]
"#,
            ),
        ],
        &environment,
    );

    assert_eq!(configuration.server.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(configuration.server.token.expect("a token").expose(), "from-the-environment");
    let StoreChoice::Sled { path } = configuration.store;
    assert!(path.is_absolute() && path.ends_with("state"), "{path:?}");
    assert_eq!(configuration.retention.delivered, Duration::from_secs(86_400));
    assert_eq!(configuration.retention.dead, Duration::from_secs(2 * 86_400));
    assert!(configuration.warnings.is_empty(), "{}", configuration.warnings);

    let [connector] = &configuration.connectors[..] else { panic!("one connector") };
    assert_eq!((connector.name.as_str(), connector.title.as_deref()), ("orders", Some("Orders")));
    assert_eq!(connector.schedule, Schedule::Every(Duration::from_secs(30)));
    assert_eq!(connector.jitter, Duration::from_secs(5));
    let request = &connector.request;
    assert_eq!((request.method, request.url.source()), (Method::Post, "https://shop.example.com/api/orders"));
    let pairs = |templates: &[(String, pollhook::model::template::Template)]| {
        templates.iter().map(|(name, value)| format!("{name}={}", value.source())).collect::<Vec<_>>().join("&")
    };
    assert_eq!(pairs(&request.query), "status=open&status=paid&limit=100");
    assert_eq!(pairs(&request.headers), "Accept=application/json");
    let Some(RequestBody::Json(body)) = &request.body else { panic!("a JSON body") };
    assert_eq!(
        format!("{body:?}"),
        r#"Object([("query", Text("orders")), ("first", Other(Number(10))), ("nested", Array([Other(Number(1.50)), Other(Bool(true)), Text("x")]))])"#
    );
    assert_eq!((request.timeout, request.max_body), (Duration::from_secs(10), ByteSize::mebibytes(1)));
    let Some(Auth::Basic { username, password }) = &connector.auth else { panic!("basic auth") };
    assert_eq!((username.as_str(), password.expose()), ("me", "from-the-environment"));
    assert!(matches!(connector.pagination.style, PagingStyle::Link));
    assert_eq!(connector.pagination.max_pages, 7);
    assert_eq!(connector.response.items.source(), ".orders[]");
    assert_eq!(connector.response.error.as_ref().expect("an expression").source(), ".error?");
    let item = &connector.item;
    let sources = |expressions: &[pollhook::model::expression::Expression]| {
        expressions.iter().map(|expression| expression.source().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sources(&item.key), [".shop", ".id"]);
    assert_eq!(sources(item.watch.as_deref().expect("watched")), [".status", ".total"]);
    assert_eq!(sources(&item.ignore), [".fetched_at"]);
    assert_eq!(item.filter.as_ref().expect("a filter").source(), ".status != \"draft\"");
    assert_eq!(item.data.as_ref().expect("data").source(), "{id, status}");
    let changes = &connector.changes;
    assert_eq!(changes.events, ChangeKind::ALL);
    assert_eq!((changes.lists, changes.first_poll), (Lists::Everything, FirstPoll::Latest(5)));
    assert_eq!((changes.removed_after.get(), changes.previous), (2, true));
    assert_eq!(changes.forget_after, Duration::from_secs(10 * 86_400));
    assert_eq!(changes.hold_above, HoldAbove { created: Some(1000), removed: Some(Share::Percent(20)) });
    assert_eq!(changes.empty, EmptyRule::Ok);
    let detail = connector.detail.as_ref().expect("a detail");
    assert_eq!(detail.request.url.source(), "https://shop.example.com/api/orders/{{ item.id }}");
    assert_eq!(pairs(&detail.request.headers), "X-Shop={{ item.shop }}");
    assert_eq!((detail.response.items.source(), detail.concurrency), (".", 2));
    assert_eq!(connector.redactor.redact("password from-the-environment"), "password ***");

    let [subscription] = &configuration.subscriptions[..] else { panic!("one subscription") };
    assert_eq!((subscription.name.as_str(), subscription.url.as_str()), ("erp", "https://hooks.example.com/T/secret"));
    assert_eq!(subscription.matching.connectors.len() + subscription.matching.events.len(), 3);
    assert!(subscription.matching.filter.is_some());
    let Signing::Standard(secrets) = &subscription.signing else { panic!("as Standard Webhooks says") };
    let secrets: Vec<_> = secrets.iter().map(|timed| format!("{:?}", timed.secret)).collect();
    assert_eq!(secrets, ["whsec_***", "whsk_***"]);
    assert_eq!(subscription.content.format, DeliveryFormat::Standard);
    assert_eq!((subscription.headers[0].0.as_str(), subscription.headers[0].1.expose()), ("X-Team", "erp"));
    assert_eq!((subscription.timeout, subscription.lane.concurrency), (Duration::from_secs(3), 2));
    assert_eq!(subscription.retry.waits(), [Duration::from_secs(1), Duration::from_secs(120)]);
    assert_eq!(subscription.redactor.redact("to https://hooks.example.com/T/secret"), "to ***");
}

#[test]
fn what_is_not_written_has_its_documented_default() {
    let configuration = load_files(
        &[(
            "config.toml",
            "[connectors.a]\nevery = \"1m\"\nrequest.url = \"http://127.0.0.1:1/\"\nitem.key = \".id\"\n\
             [subscriptions.b]\nurl = \"http://127.0.0.1:2/\"\n",
        )],
        &Environment::default(),
    );
    assert_eq!(configuration.server.listen.to_string(), "127.0.0.1:8787");
    assert!(configuration.server.token.is_none() && configuration.catalog.templates.is_empty());
    let StoreChoice::Sled { path } = configuration.store;
    assert!(path.ends_with("data"));
    assert_eq!(configuration.retention, pollhook::store::Retention::default());
    let connector = &configuration.connectors[0];
    assert_eq!(connector.changes, pollhook::model::change::ChangeRules::default());
    assert_eq!(connector.request.method, Method::Get);
    assert!(matches!(connector.pagination.style, PagingStyle::Single));
    assert_eq!(connector.request.timeout, Duration::from_secs(30));
    assert_eq!(connector.request.max_body, ByteSize::mebibytes(32));
    assert_eq!(connector.response.items.source(), ".[]");
    assert_eq!((connector.jitter, connector.auth.is_none()), (Duration::ZERO, true));
    let subscription = &configuration.subscriptions[0];
    assert_eq!((subscription.timeout, subscription.lane.concurrency), (Duration::from_secs(15), 8));
    assert_eq!(subscription.retry, pollhook::model::retry::RetryPolicy::default());
    let content = &subscription.content;
    assert_eq!((content.format, content.batch, content.body.is_none()), (DeliveryFormat::Standard, None, true));
    assert_eq!((content.max_body, content.too_large), (ByteSize::mebibytes(1), TooLarge::DeadLetter));
    assert!(matches!(&subscription.signing, Signing::Standard(secrets) if secrets.is_empty()));
    assert!(subscription.matching.connectors.is_empty());
}

/// Returns a connector with these lines, beside the certificates of `fixtures/tls`.
fn secured(lines: &str) -> pollhook::config::Configuration {
    let text = format!(
        "[connectors.orders]\nevery = \"1m\"\nrequest.url = \"https://shop.example.com/orders\"\nitem.key = \".id\"\n\
         params = {{ tenant = \"acme\" }}\n{lines}"
    );
    let files = [
        ("config.toml", text.as_str()),
        ("tls/ca.pem", include_str!("fixtures/tls/ca.pem")),
        ("tls/client.pem", include_str!("fixtures/tls/client.pem")),
        ("tls/expired.pem", include_str!("fixtures/tls/expired.pem")),
        ("tls/client.key", include_str!("fixtures/tls/client.key")),
    ];
    load_files(&files, &Environment::from([("KEY", include_str!("fixtures/tls/client.key")), ("ID", "me")]))
}

#[test]
fn certificates_and_keys_come_from_files_or_wherever_secrets_do() {
    let check = |tls: &str, has_identity: bool| {
        let configuration = secured(&format!("tls = {{ {tls} }}"));
        assert!(configuration.warnings.is_empty(), "{}", configuration.warnings);
        let tls = configuration.connectors[0].tls.as_ref().expect("certificates");
        assert_eq!(tls.identity().is_some(), has_identity);
    };
    check("ca = \"tls/ca.pem\"", false);
    check("cert = \"tls/client.pem\", key = \"tls/client.key\"", true);
    check("ca = \"tls/ca.pem\", cert = \"tls/client.pem\", key = { file = \"tls/client.key\" }", true);
    check("cert = \"tls/client.pem\", key = { env = \"KEY\" }", true);
}

#[test]
fn a_certificate_that_has_expired_keeps_nobody_from_starting() {
    let configuration = secured("tls = { cert = \"tls/expired.pem\", key = \"tls/client.key\" }");
    let warnings = configuration.warnings.to_string();
    assert!(warnings.contains("this certificate expired at 2020-02-01T00:00:00.000Z"), "{warnings}");
    assert!(configuration.connectors[0].tls.is_some());
}

#[test]
fn what_tokens_are_asked_with_can_be_filled_in() {
    let configuration = secured(
        "auth.oauth2 = { token_url = \"https://login.example.com/{{ params.tenant }}/token\", client_id = { env = \"ID\" }, \
         client_secret = \"secret\", scope = \"read\", params = { resource = \"{{ params.tenant }}\" } }",
    );
    let Some(Auth::OAuth2(oauth2)) = &configuration.connectors[0].auth else { panic!("no OAuth 2.0") };
    assert_eq!((oauth2.token_url.path(), oauth2.client_id.as_str()), ("/acme/token", "me"));
    assert_eq!((oauth2.client_auth, oauth2.scope.as_deref()), (ClientAuth::Basic, Some("read")));
    assert_eq!(oauth2.extra, [("resource".to_owned(), "acme".to_owned())]);
    assert!(matches!(oauth2.grant, OAuth2Grant::ClientCredentials));
    let redacted = configuration.connectors[0].redactor.redact("me secret");
    assert_eq!(redacted, "me ***");
}

#[test]
fn elements_are_named_after_what_may_be_shown_of_them() {
    let check = |element: &str, expected: &str| {
        let config = format!(
            "[connectors.repos]\nevery = \"1m\"\nrequest.url = \"https://api.example.com/\"\nitem.key = \".id\"\n\
             each = [{element}]"
        );
        let configuration = load_files(&[("config.toml", &config)], &Environment::from([("TOKEN", "hunter2")]));
        let connector = &configuration.connectors[0];
        assert_eq!(connector.events_as.as_str(), "repos");
        let name = connector.name.as_str().strip_prefix("repos/").expect("a label");
        if expected.is_empty() {
            assert!(name.len() == 12 && name.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
        } else {
            assert_eq!(name, expected);
        }
        assert!(!format!("{:?}", connector.element).contains("hunter2"));
    };
    check("{ repo = \"a.b-c_D\" }", "a.b-c_D");
    check("{ repo = \"rust\", owner = \"rust-lang\" }", "rust-lang,rust");
    check("{ owner = \"rust-lang\", repo = \"rust\" }", "rust-lang,rust");
    check("{ number = 7, on = true, token = { env = \"TOKEN\" } }", "7,true");
    check("{ repo = \"a b\" }", "");
    check("{ repo = \"a,b\" }", "");
    check("{ repo = \"..\" }", "");
    check("{ repos = [\"a\", \"b\"] }", "");
    check(&format!("{{ repo = \"{}\" }}", "a".repeat(65)), "");
}

/// Returns the only subscription, with these lines.
fn subscription(lines: &str) -> std::sync::Arc<pollhook::model::subscription::Subscription> {
    let text = format!("[subscriptions.erp]\nurl = \"https://erp.example.com/hooks\"\n{lines}");
    let environment = Environment::from([("SECRET", "It's a Secret to Everybody")]);
    let configuration = load_files(&[("config.toml", &text)], &environment);
    std::sync::Arc::clone(&configuration.subscriptions[0])
}

#[test]
fn what_a_receiver_reads_is_as_written() {
    let formats = [
        ("standard", DeliveryFormat::Standard),
        ("cloudevents", DeliveryFormat::CloudEvents),
        ("cloudevents-binary", DeliveryFormat::CloudEventsBinary),
        ("cloudevents-batch", DeliveryFormat::CloudEventsBatch),
        ("form", DeliveryFormat::Form),
        ("raw", DeliveryFormat::Raw),
    ];
    for (name, format) in formats {
        assert_eq!(subscription(&format!("format = \"{name}\"")).content.format, format);
    }
    let erp = subscription(
        "body = \"{text: .key}\"\nbatch = { max = 7, wait = \"2s\" }\nmax_body = \"256KiB\"\n\
         too_large = \"without-previous\"",
    );
    assert_eq!(erp.content.body.as_ref().map(Expression::source), Some("{text: .key}"));
    assert_eq!(erp.content.batch, Some(BatchPolicy { max: 7, wait: Duration::from_secs(2) }));
    assert_eq!((erp.content.max_body, erp.content.too_large), (ByteSize(256 * 1024), TooLarge::WithoutPrevious));
    let erp = subscription("[subscriptions.erp.batch]");
    assert_eq!(erp.content.batch, Some(BatchPolicy { max: 100, wait: Duration::from_secs(1) }));
}

#[test]
fn secrets_may_end_and_sign_in_other_headers() {
    let erp = subscription(
        r#"
secret = [
  { value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", until = "2026-12-01T01:00:00+01:00" },
  { value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", until = 2026-12-02T00:00:00.5Z },
  { value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", until = 2026-12-03 },
  "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
]
signature.style = "standard""#,
    );
    let Signing::Standard(secrets) = &erp.signing else { panic!("as Standard Webhooks says") };
    let ends: Vec<String> =
        secrets.iter().map(|timed| timed.until.map_or("never".to_owned(), |until| until.to_string())).collect();
    assert_eq!(ends, ["2026-12-01T00:00:00.000Z", "2026-12-02T00:00:00.500Z", "2026-12-03T00:00:00.000Z", "never"]);
    assert_eq!(erp.redactor.redact("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "***");

    let check = |lines: &str, expected: HeaderSignature| {
        let erp = subscription(&format!("secret = {{ env = \"SECRET\" }}\n{lines}"));
        let Signing::Header(signature, secrets) = &erp.signing else { panic!("in a header of its own") };
        assert_eq!((signature, secrets[0].secret.expose()), (&expected, "It's a Secret to Everybody"));
    };
    check("signature.style = \"github\"", HeaderSignature::github());
    let mut expected = HeaderSignature {
        header: "X-Shop-Hmac".to_owned(),
        prefix: String::new(),
        algorithm: HmacAlgorithm::Sha256,
        encoding: SignatureEncoding::Hex,
    };
    check("signature.header = \"X-Shop-Hmac\"", expected.clone());
    expected.prefix = "v0=".to_owned();
    expected.algorithm = HmacAlgorithm::Sha512;
    expected.encoding = SignatureEncoding::Base64;
    check(
        "signature = { header = \"X-Shop-Hmac\", prefix = \"v0=\", algorithm = \"sha512\", encoding = \"base64\" }",
        expected,
    );
}

#[test]
fn a_subscription_proves_who_it_is_with_texts_as_they_are_written() {
    let configuration = secured(
        "[subscriptions.basic]\nurl = \"https://a.example/\"\n\
         auth.basic = { username = \"{{ me }}\", password = \"{{ s3cret }}\" }\n\
         tls = { ca = \"tls/ca.pem\", cert = \"tls/expired.pem\", key = { env = \"KEY\" } }\n\
         [subscriptions.tokens]\nurl = \"https://a.example/\"\n\
         auth.oauth2 = { token_url = \"https://a.example/token\", client_id = { env = \"ID\" }, client_secret = \"secret\", \
         params = { audience = \"{{ x }}\" } }\n\
         [subscriptions.none]\nurl = \"https://a.example/\"\nauth.bearer.token = \"\"\n",
    );
    let [basic, tokens, none] = &configuration.subscriptions[..] else { panic!("three subscriptions") };
    let Some(Auth::Basic { username, password }) = &basic.auth else { panic!("{:?}", basic.auth) };
    assert_eq!((username.as_str(), password.expose()), ("{{ me }}", "{{ s3cret }}"));
    // Both the password and what is sent.
    assert_eq!(basic.redactor.redact("{{ s3cret }} e3sgbWUgfX06e3sgczNjcmV0IH19"), "*** ***");
    assert!(basic.tls.as_ref().is_some_and(|tls| tls.authorities().is_some() && tls.identity().is_some()));
    let warnings = configuration.warnings.to_string();
    assert!(warnings.contains("this certificate expired at 2020-02-01T00:00:00.000Z"), "{warnings}");

    let Some(Auth::OAuth2(oauth2)) = &tokens.auth else { panic!("{:?}", tokens.auth) };
    assert_eq!(oauth2.extra, [("audience".to_owned(), "{{ x }}".to_owned())]);
    assert_eq!(tokens.redactor.redact("me secret"), "me ***");
    assert!(none.auth.is_none() && none.tls.is_none());
}

#[test]
fn over_the_api_certificates_are_given_as_they_are() {
    let read = |tls: serde_json::Value| {
        let definition = serde_json::json!({ "url": "https://a.example/", "tls": tls });
        let name = "erp".parse().expect("a name");
        Definitions::of(&[], Egress::default()).read(&name, definition.as_object().expect("an object"), &[])
    };
    let [ca, cert, key] = [
        include_str!("fixtures/tls/ca.pem"),
        include_str!("fixtures/tls/client.pem"),
        include_str!("fixtures/tls/client.key"),
    ];
    let defined = read(serde_json::json!({ "ca": ca, "cert": cert, "key": key })).expect("nothing is wrong");
    let tls = defined.subscription.tls.as_ref().expect("certificates");
    assert!(tls.authorities().is_some() && tls.identity().is_some());
    assert_eq!(defined.shown["tls"], serde_json::json!({ "ca": ca, "cert": cert, "key": "***" }));

    let files = serde_json::json!({ "ca": "/etc/passwd", "cert": "a.pem", "key": { "file": "/etc/passwd" } });
    let mistakes = read(files).expect_err("files are not read").0;
    let told: Vec<_> = mistakes.iter().map(|mistake| (mistake.pointer.as_str(), mistake.detail.as_str())).collect();
    let refused = "over the API a certificate or key is given as it is";
    let expected =
        [("/tls/ca", refused), ("/tls/cert", refused), ("/tls/key", "over the API a secret is given as it is")];
    assert_eq!(told, expected);
}
