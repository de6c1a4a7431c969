//! What pollhook is built from: licences that can be shipped, one version of whatever is large, nothing unwanted.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences whose terms a binary can fulfil by naming them.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are built into the binary in one version or not at all: two would make it larger, and their types
/// would not fit together.
const SINGLE: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "axum",
    "bytes",
    "chrono",
    "chrono-tz",
    "clap",
    "futures-util",
    "h2",
    "http",
    "http-body",
    "hyper",
    "hyper-util",
    "indexmap",
    "regex",
    "reqwest",
    "rustix",
    "rustls",
    "serde",
    "serde_json",
    "sled",
    "thiserror",
    "tokio",
    "tokio-util",
    "tower",
    "tower-http",
    "tracing",
    "tracing-subscriber",
    "url",
    "uuid",
    "zstd-sys",
];

/// Crates that must not come in, not even through others.
const UNWANTED: &[(&str, &str)] = &[
    ("native-tls", "rustls is the one TLS library here"),
    ("openssl", "rustls is the one TLS library here"),
    ("openssl-sys", "rustls is the one TLS library here"),
    ("ring", "aws-lc-rs is the one cryptography library here"),
    ("time", "chrono is the one time library here"),
    ("tokio-postgres-native-tls", "rustls is the one TLS library here"),
];

#[test]
fn licences_can_be_shipped() {
    let offences: Vec<String> = built_in()
        .into_iter()
        .filter(|package| !is_allowed(&package.licence))
        .map(|package| format!("{} {}: {}", package.name, package.version, package.licence))
        .collect();
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn large_crates_come_in_one_version() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in built_in() {
        versions.entry(package.name).or_default().insert(package.version);
    }
    let offences: Vec<_> =
        versions.iter().filter(|(name, versions)| versions.len() > 1 && SINGLE.contains(&name.as_str())).collect();
    assert!(offences.is_empty(), "{offences:?}");
}

#[test]
fn unwanted_crates_stay_out() {
    let packages = built_in();
    assert!(
        packages.iter().any(|package| package.name == "tokio"),
        "the list of dependencies is not what it should be"
    );
    for (name, reason) in UNWANTED {
        assert!(packages.iter().all(|package| package.name != *name), "{name} is built in, but {reason}");
    }
}

#[test]
fn licence_expressions_are_understood() {
    check("MIT", true);
    check("GPL-3.0-only", false);
    check("Apache-2.0 OR GPL-2.0-only", true);
    check("MIT/GPL-3.0-only", true);
    check("MIT AND GPL-3.0-only", false);
    check("ISC AND (GPL-3.0-only OR MIT) AND Zlib", true);
    check("GPL-3.0-only OR MIT AND Zlib", true);
    check("Apache-2.0 WITH LLVM-exception", true);
    check("", false);
}

fn check(licence: &str, expected: bool) {
    assert_eq!(is_allowed(licence), expected, "{licence:?}");
}

struct Package {
    name: String,
    version: String,
    licence: String,
}

/// Returns the packages that end up in the binary or build it on this machine.
fn built_in() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    text.lines()
        .map(|line| {
            let (package, licence) = line.split_once('|').expect("the format has a bar");
            let (name, rest) = package.split_once(" v").expect("a package has a version");
            let version = rest.split(' ').next().unwrap_or_default();
            Package { name: name.to_owned(), version: version.to_owned(), licence: without_mark(licence).to_owned() }
        })
        .collect()
}

/// Takes off the mark of a package that the list shows in full elsewhere.
fn without_mark(licence: &str) -> &str {
    licence.trim_end_matches("(*)").trim()
}

/// Tells whether an SPDX expression can be fulfilled with the allowed licences.
fn is_allowed(expression: &str) -> bool {
    // The older way of writing `OR`.
    let expression = expression.replace('/', " OR ");
    let words = expression.replace('(', " ( ").replace(')', " ) ");
    let mut words = words.split_whitespace().peekable();
    let allowed = any_of(&mut words);
    allowed && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words) -> bool {
    let mut allowed = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all_of(words);
    }
    allowed
}

fn all_of(words: &mut Words) -> bool {
    let mut allowed = single(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= single(words);
    }
    allowed
}

fn single(words: &mut Words) -> bool {
    match words.next() {
        Some("(") => {
            let allowed = any_of(words);
            words.next_if_eq(&")").is_some() && allowed
        }
        Some(licence) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().unwrap_or_default();
            LICENCES.contains(&format!("{licence} WITH {exception}").as_str())
        }
        Some(licence) => LICENCES.contains(&licence),
        None => false,
    }
}
