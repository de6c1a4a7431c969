//! What is written into files, and what is not.

use std::os::unix::fs::PermissionsExt;

use crate::desk::{Desk, Said, api, check_fixture, check_shown};
use crate::source::{Reply, Source};

async fn orders() -> Source {
    api(&[("/orders", Reply::json(r#"[{"id":1,"total":10},{"id":2,"total":20}]"#))]).await
}

/// A configuration with comments, odd blanks and no line break at its end.
const EXISTING: &str = "# Mine, and it stays so.\n[server]\nlisten   = \"127.0.0.1:0\" # any port\n\n\n[connectors.old]\nevery = '1h'\n  \
                        request.url = \"https://old.example/\"\nitem.key = \".id\"   # odd";

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_stays_as_it_is_but_for_what_is_added() {
    let source = orders().await;
    let desk = Desk::new().with("config.toml", EXISTING);
    std::fs::set_permissions(desk.path("config.toml"), std::fs::Permissions::from_mode(0o640)).expect("they are set");
    let said = desk.well(&["new", &source.url("/orders"), "--write", "config.toml"]);
    let written = desk.read("config.toml");
    assert_eq!(written, format!("{EXISTING}\n\n{}", said.out));
    assert_eq!(mode(&desk, "config.toml"), 0o640);
    assert_eq!(desk.names(), ["config.toml"]);
    assert_eq!(desk.well(&["check"]).out, "ok: config.toml has 2 connectors and 0 subscriptions\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_are_given_where_the_service_runs_need_not_be_here() {
    let source = orders().await;
    let existing = "[subscriptions.erp]\nurl = \"https://erp.example/\"\nsecret = { env = \"ERP_SECRET\" }\n";
    let desk = Desk::new().with("config.toml", existing);
    desk.well(&["new", &source.url("/orders"), "--write", "config.toml"]);
    assert!(desk.read("config.toml").starts_with(&format!("{existing}\n#")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_gets_a_secret_of_its_own_beside_the_configuration() {
    let source = orders().await;
    let desk = Desk::new();
    let arguments = ["new", &source.url("/orders"), "--to", "http://127.0.0.1:9/hook"];
    let said = desk.well(&arguments);
    check_fixture("subscription", &said.shown(&arguments));
    check_fixture(
        "subscription-config",
        &Said { code: 0, out: desk.read("config.toml"), err: String::new() }.shown(&[]),
    );
    let secret = desk.read("secrets/orders");
    assert!(said.err.contains(secret.trim()) && secret.starts_with("whsec_"), "{}", said.err);
    assert!(!said.out.contains(secret.trim()) && !desk.read("config.toml").contains(secret.trim()));
    assert_eq!((mode(&desk, "secrets"), mode(&desk, "secrets/orders")), (0o700, 0o600));
    assert_eq!(desk.names(), ["config.toml", "secrets"]);
    assert_eq!(desk.well(&["check"]).out, "ok: config.toml has 1 connector and 1 subscription\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_a_secret_is_kept_beside_the_configuration() {
    let source = orders().await;
    for (url, secret, config) in [
        ("https://hooks.slack.com/services/T01/B02/xyzzy", "xyzzy", "secret-url-slack"),
        ("https://erp.example/hooks?token=xyzzy", "xyzzy", "secret-url-token"),
    ] {
        let desk = Desk::new();
        let said = desk.well(&["new", &source.url("/orders"), "--to", url]);
        check_fixture(config, &said.shown(&["new", &source.url("/orders"), "--to", "…"]));
        let config = desk.read("config.toml");
        for text in [&said.out, &said.err, &config] {
            assert!(!text.contains(secret), "{text}");
        }
        assert_eq!(desk.read("secrets/orders-url"), format!("{url}\n"));
        assert_eq!((mode(&desk, "secrets"), mode(&desk, "secrets/orders-url")), (0o700, 0o600));
        assert_eq!(desk.well(&["check"]).out, "ok: config.toml has 1 connector and 1 subscription\n");
        let shown = desk.well(&["try", "orders", "--show", "request"]).out;
        assert!(shown.contains("POST ") && !shown.contains(secret), "{shown}");
        let json = desk.well(&["new", &source.url("/orders"), "--to", url, "--name", "more", "--json"]).out;
        assert!(json.contains("\"url_file\":") && !json.contains(secret), "{json}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_added_leaves_everything_as_it_was() {
    let source = orders().await;
    let url = source.url("/orders");
    let taken = format!("{EXISTING}\n[connectors.orders]\nuse = \"hacker-news\"\n");
    let desk = Desk::new().with("config.toml", &taken).with("broken.toml", "[connectors.old]\nevry = \"1h\"\n");
    check_shown("name-taken", &desk, &["new", &url, "--to", "http://127.0.0.1:9/hook"]);
    check_shown("broken", &desk, &["new", &url, "--write", "broken.toml"]);
    check_shown("no-folder", &desk, &["new", &url, "--write", "nowhere/config.toml"]);
    std::fs::create_dir(desk.path("folder")).expect("a folder");
    check_shown("folder", &desk, &["new", &url, "--write", "folder"]);
    assert_eq!(desk.read("config.toml"), taken);
    assert_eq!(desk.names(), ["broken.toml", "config.toml", "folder"]);

    desk.well(&["new", &url, "--to", "http://127.0.0.1:9/hook", "--name", "orders-too"]);
    assert_eq!(desk.well(&["check"]).out, "ok: config.toml has 3 connectors and 1 subscription\n");
    let said = desk.run(&["new", &url, "--write", "config.toml", "--name", "Orders"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("a-z, 0-9"), "{}", said.err);
}

#[test]
fn init_writes_what_is_right_and_nothing_twice() {
    let desk = Desk::new();
    check_shown("init", &desk, &["init", "watch"]);
    check_fixture("init-config", &desk.read("watch/config.toml"));
    assert!(desk.path("watch/connectors").is_dir());
    let said = desk.well(&["check", "--config", "watch/config.toml"]);
    assert!(said.err.contains("there are no connectors"), "{}", said.err);
    check_shown("init-again", &desk, &["init", "watch"]);
}

fn mode(desk: &Desk, name: &str) -> u32 {
    std::fs::metadata(desk.path(name)).expect("it is there").permissions().mode() & 0o777
}
