//! The lists of GitHub, as its published description shows them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use pollhook::discover::Answer;
use serde::Deserialize;
use serde_json::Value;

use crate::answers::{Expected, Truth};

#[derive(Deserialize)]
struct List {
    path: String,
    items: String,
    paged: bool,
    body: Value,
}

/// What identifies the things of GitHub, by its documentation.
const KEYS: &[&str] = &[
    "id",
    "node_id",
    "number",
    "sha",
    "ghsa_id",
    "version_id",
    "version",
    "key",
    "spdx_id",
    "url",
    "html_url",
    "name",
    "full_name",
    "property_name",
    "custom_property_name",
    "group_name",
    "group_url",
    "run_id",
    "run_url",
    "ref",
    "ref_name",
    "path",
    "filename",
    "download_url",
    "issue_field_id",
    "issue_field_name",
    "referrer",
    "subject_id",
    "actor_id",
    "repository_id",
    "repository_full_name",
    "repository_name",
    "oid",
    "package_url",
    "api_route",
    "display_name",
    "guid",
    "github_username",
    "roster_identifier",
    "student_repository_name",
    "student_repository_url",
    "secret_name",
    // Of statistics, one for each time.
    "timestamp",
];

/// Returns every list that has an example, with its path and what is right about it.
pub fn all() -> Vec<(String, Answer, Expected)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/node/github-lists.json");
    let text = fs::read_to_string(path).expect("tests/run installs it");
    let lists: Vec<List> = serde_json::from_str(&text).expect("lists");
    lists.into_iter().map(|list| (list.path.clone(), answer(&list), expected(&list))).collect()
}

fn answer(list: &List) -> Answer {
    let url = format!("https://api.github.com{}", list.path.replace(['{', '}'], ""));
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert("x-ratelimit-limit", HeaderValue::from_static("60"));
    if list.paged {
        let next = format!("<{url}?page=2>; rel=\"next\", <{url}?page=4>; rel=\"last\"");
        headers.insert("link", next.parse().expect("a header"));
    }
    Answer { url: url.parse().expect("an address"), status: 200, headers, body: Bytes::from(list.body.to_string()) }
}

fn expected(list: &List) -> Expected {
    let rows =
        match list.items.strip_prefix('.').and_then(|rest| rest.strip_suffix("[]")).filter(|name| !name.is_empty()) {
            Some(name) => list.body[name].as_array(),
            None => list.body.as_array(),
        };
    let rows = rows.expect("a list");
    // Some examples show the same thing twice; nothing identifies their items.
    let is_unique = |name: &&&str| {
        let values: Vec<String> = rows.iter().filter_map(|row| row.get(**name)).map(Value::to_string).collect();
        values.len() == rows.len() && values.iter().collect::<BTreeSet<_>>().len() == rows.len()
    };
    let mut keys: Vec<String> = KEYS.iter().filter(is_unique).map(|name| format!(".{name}")).collect();
    keys.push("doubt".to_owned());
    // These lists are of what each row holds.
    keys.extend([".configuration.id", ".repository.id"].map(str::to_owned));
    let paging = if list.paged { "link" } else { "none" };
    Expected {
        format: "json".to_owned(),
        items: Truth(vec![list.items.clone()]),
        key: Truth(keys),
        paging: Truth(vec![paging.to_owned()]),
        error: Truth(vec!["none".to_owned()]),
    }
}
