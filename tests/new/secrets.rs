//! Secrets are sent, and neither written down nor shown.

use crate::desk::{Desk, api};
use crate::source::Reply;

const SECRET: &str = "hunter2hunter2";

/// Checks what an API is sent, which gives it back, and what is written of it instead.
async fn check(path: &str, arguments: &[&str], sent: impl Fn(&crate::source::Request) -> bool, written: &str) {
    let source = api(&[("/x", Reply::json(format!(r#"[{{"id":1,"echo":"{SECRET}"}}]"#)))]).await;
    let url = source.url(path);
    let desk = Desk::new().set("X_TOKEN", SECRET);
    let is_given = [&[path], arguments].concat().iter().any(|text| text.contains(SECRET) || *text == "X_TOKEN");
    let said = desk.well(&[&["new", &url, "--write", "config.toml"], arguments].concat());
    let requests = source.take_requests();
    assert!(requests.len() >= 2 && requests.iter().all(sent), "{requests:?}");
    let config = desk.read("config.toml");
    assert!(config.contains(written), "{config}");
    for text in [&said.out, &said.err, &config] {
        assert!(!is_given || !text.contains(SECRET), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sent_and_not_written_down() {
    let bearer = |request: &crate::source::Request| request.header("authorization") == Some("Bearer hunter2hunter2");
    check("/x", &["--bearer-env", "X_TOKEN"], bearer, "auth.bearer.token = { env = \"X_TOKEN\" }").await;
    let header = format!("authorization: Bearer {SECRET}");
    check("/x", &["--header", &header], bearer, "auth.bearer.token = { env = \"API_TOKEN\" }").await;
    let header = format!("X-Api-Key:{SECRET}");
    let sent = |request: &crate::source::Request| request.header("x-api-key") == Some(SECRET);
    let written = "auth.header = { name = \"X-Api-Key\", value = { env = \"API_KEY\" } }";
    check("/x", &["--header", &header], sent, written).await;
    let sent = |request: &crate::source::Request| request.target.contains("api_key=hunter2hunter2");
    check(&format!("/x?a=1&api_key={SECRET}"), &[], sent, "auth.query = { name = \"api_key\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_headers_are_written_as_they_are() {
    let sent = |request: &crate::source::Request| request.header("accept") == Some("application/vnd.x+json");
    let written = "request.headers.Accept = \"application/vnd.x+json\"";
    check("/x", &["--header", "Accept: application/vnd.x+json"], sent, written).await;
}
