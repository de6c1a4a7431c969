//! The rules of the house, held against the sources as text, so that they do not depend on anyone's memory.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, and which others each may know. What is not here does not exist.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &["model"]),
    ("telemetry", &["model", "poll", "store"]),
    ("config", &["clock", "model", "store"]),
    ("http", &["clock", "model", "telemetry"]),
    ("store", &["clock", "model", "telemetry"]),
    ("auth", &["clock", "http", "model", "store", "telemetry"]),
    ("poll", &["auth", "clock", "http", "model", "store", "telemetry"]),
    ("discover", &["http", "model", "poll"]),
    ("deliver", &["auth", "clock", "http", "model", "store", "telemetry"]),
    ("server", &["clock", "config", "deliver", "model", "store", "telemetry"]),
    ("service", &["clock", "config", "deliver", "http", "model", "poll", "server", "store", "telemetry"]),
    (
        "cli",
        &["clock", "config", "deliver", "discover", "http", "model", "poll", "server", "service", "store", "telemetry"],
    ),
    ("main", &["cli"]),
];

/// What may be written only in some places: beginnings of paths under `src/`.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("sled::", &["store/sled"], "its types stay in the file that implements the key-value trait with it"),
    ("reqwest::", &["http/"], "whoever leaves the house goes through `http`"),
    ("axum::", &["server/", "service/", "cli/"], "only these serve HTTP"),
    ("prometheus_client::", &["telemetry/"], "log line and metric are made together there"),
    ("annotate_snippets::", &["config/"], "mistakes in configuration are its alone"),
    ("jaq_", &["model/expression"], "expressions hide the language they are written in"),
    ("minijinja::", &["model/template"], "templates hide the engine behind them"),
    ("tokio::spawn", &["service/supervisor"], "the supervisor names each task and handles its end"),
    ("Instant::now", &["clock"], "time is read through `clock::Clock`"),
    ("SystemTime::now", &["clock"], "time is read through `clock::Clock`"),
    ("Utc::now", &["clock"], "time is read through `clock::Clock`"),
    ("time::sleep", &["clock"], "waiting goes through `clock::Clock`"),
    ("env::var", &["config/environment", "cli/"], "the environment is a parameter"),
    ("println!", &["cli/"], "only commands talk to a terminal"),
];

/// What is written nowhere, tests included.
const FORBIDDEN: &[(&str, &str)] = &[
    ("todo!(", "finish it"),
    ("dbg!(", "take it out"),
    ("#[allow(", "use `#[expect(…, reason = \"…\")]`"),
    ("#![allow(", "use `#![expect(…, reason = \"…\")]`"),
    ("#[ignore]", "say why: `#[ignore = \"…\"]`"),
    ("FIXME", "fix it, or open an issue"),
    ("TODO", "do it, or open an issue"),
    ("super::super::super", "name the room: `crate::…`"),
];

/// The most lines of a file, its tests not counted.
const LONGEST_FILE: usize = 500;

/// The most lines of `main.rs`.
const LONGEST_MAIN: usize = 40;

#[test]
fn rooms_know_only_the_rooms_they_may() {
    let mut offences = Vec::new();
    for file in product() {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == file.room()) else {
            if file.name != "lib.rs" {
                offences.push(format!("{}: the house has no room `{}`", file.name, file.room()));
            }
            continue;
        };
        for (number, line) in file.product_lines() {
            for other in rooms_named_in(line) {
                if other != file.room() && !allowed.contains(&other) {
                    offences.push(format!("{}:{number}: `{}` may not know `{other}`", file.name, file.room()));
                }
            }
        }
    }
    report(&offences);
}

#[test]
fn what_belongs_to_one_room_stays_in_it() {
    let mut offences = Vec::new();
    for file in product() {
        for (number, line) in file.product_lines() {
            for (text, places, reason) in CONFINED {
                if holds_word(line, text) && !places.iter().any(|place| file.name.starts_with(place)) {
                    offences.push(format!("{}:{number}: `{text}`: {reason}", file.name));
                }
            }
        }
    }
    report(&offences);
}

#[test]
fn nothing_is_left_unfinished_or_silenced() {
    let mut offences = Vec::new();
    let this_file = Path::new(file!()).file_name().expect("a source file has a name");
    for file in product().into_iter().chain(sources("tests")).chain(sources("benches")) {
        if Path::new(&file.name) == Path::new(this_file) {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            for (text, advice) in FORBIDDEN {
                if line.contains(text) {
                    offences.push(format!("{}:{}: `{text}`: {advice}", file.name, index + 1));
                }
            }
        }
    }
    report(&offences);
}

#[test]
fn exceptions_from_lints_give_their_reason() {
    let mut offences = Vec::new();
    for file in product() {
        for (start, _) in file.text.match_indices("#[expect(") {
            let attribute = file.text[start..].split(")]").next().unwrap_or_default();
            if !attribute.contains("reason = ") {
                offences.push(format!("{}: {attribute})]", file.name));
            }
        }
    }
    report(&offences);
}

#[test]
fn public_items_are_described() {
    let mut offences = Vec::new();
    for file in product() {
        if !file.text.starts_with("//!") {
            offences.push(format!("{}: the file does not say what it is for", file.name));
        }
        let lines: Vec<&str> = file.text.lines().collect();
        let mut in_private_module = false;
        for (number, line) in file.product_lines() {
            in_private_module = line != "}" && (in_private_module || line.starts_with("mod ") && line.ends_with('{'));
            let item = line.trim_start();
            if !in_private_module
                && is_public_item(item)
                && !is_described(&lines[..number - 1])
                && !is_plain(&lines[number - 1..])
            {
                offences.push(format!("{}:{number}: {item}", file.name));
            }
        }
    }
    report(&offences);
}

#[test]
fn files_are_short() {
    let mut offences = Vec::new();
    for file in product() {
        let length = file.product.len();
        if length > LONGEST_FILE {
            offences.push(format!("{}: {length} lines without tests; the most is {LONGEST_FILE}", file.name));
        }
        let whole = file.text.lines().count();
        if file.name == "main.rs" && whole > LONGEST_MAIN {
            offences.push(format!("main.rs: {whole} lines; the most is {LONGEST_MAIN}"));
        }
    }
    report(&offences);
}

#[test]
fn the_map_of_the_house_holds_no_logic() {
    let text = read(&root().join("src/lib.rs"));
    let offences: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("pub mod "))
        .map(|line| format!("lib.rs: {line}"))
        .collect();
    report(&offences);
}

#[test]
fn ready_made_connectors_introduce_themselves() {
    let mut offences = Vec::new();
    for path in files_below(&root().join("connectors"), "toml") {
        let text = read(&path);
        let name = path.file_stem().expect("a connector's file has a name").to_string_lossy().into_owned();
        for key in ["title", "homepage"] {
            if !text.lines().any(|line| line.split('=').next().is_some_and(|left| left.trim() == key)) {
                offences.push(format!("connectors/{name}.toml: no {key}"));
            }
        }
    }
    report(&offences);
}

#[test]
fn documents_point_at_files_that_exist() {
    let mut offences = Vec::new();
    let guides = ["docs/connectors.md", "docs/deliveries.md", "docs/configuration.md"];
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].into_iter().chain(guides) {
        let path = root().join(name);
        let Some(text) = read_if_there(&path) else { continue };
        let folder = path.parent().expect("a file is in a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !link.is_empty() && !link.contains("://") && !folder.join(link).exists() {
                offences.push(format!("{name}: {link}"));
            }
        }
    }
    report(&offences);
}

#[test]
fn the_rules_read_sources_rightly() {
    check_rooms("use crate::model::id::EventId;", &["model"]);
    check_rooms("use crate::{clock::Clock, store::{self, Store}};", &["clock", "store"]);
    check_rooms("    let error: crate::http::HttpError = crate::poll::fail();", &["http", "poll"]);
    check_rooms("use super::item::Item;", &[]);
    check_product("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n", &["fn a() {}", "fn c() {}"]);
    check_product("#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\n// why\nfn c() {}\n", &["fn c() {}"]);
    check_product(
        "impl A {\n    #[cfg(test)]\n    fn b() {\n    }\n    fn c() {}\n}",
        &["impl A {", "    fn c() {}", "}"],
    );
    assert!(holds_word("let db = sled::open();", "sled::"));
    assert!(!holds_word("use unsled::A;", "sled::") && !holds_word("use super::sled::A;", "sled::"));
    assert!(holds_word("std::env::var_os(name)", "env::var"));
    assert!(is_described(&["/// Says what it is.", "#[derive(Debug)]"]) && !is_described(&["}", "#[derive(Debug)]"]));
}

fn check_rooms(line: &str, expected: &[&str]) {
    assert_eq!(rooms_named_in(line), expected, "{line}");
}

fn check_product(text: &str, expected: &[&str]) {
    let lines: Vec<&str> = text.lines().collect();
    let product: Vec<&str> = product_lines(text).into_iter().map(|index| lines[index]).collect();
    assert_eq!(product, expected, "{text}");
}

/// One source file.
struct SourceFile {
    /// Its path below `src/` or `tests/`.
    name: String,
    text: String,
    /// The indices of the lines that are neither tests nor comments.
    product: Vec<usize>,
}

impl SourceFile {
    /// Returns the room that the file belongs to.
    fn room(&self) -> &str {
        self.name.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Returns the numbered lines that are neither tests nor comments.
    fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        self.product.iter().map(move |index| (index + 1, lines[*index]))
    }
}

/// Returns the files under `src/` that are part of the product: those that only tests use are left out.
fn product() -> Vec<SourceFile> {
    let files = sources("src");
    assert!(files.len() > 20, "the sources were not found");
    let only_tests: Vec<String> = files.iter().flat_map(test_modules).collect();
    files
        .into_iter()
        .filter(|file| {
            let module = file.name.trim_end_matches(".rs").trim_end_matches("/mod");
            !only_tests.iter().any(|test| module == test || module.starts_with(&format!("{test}/")))
        })
        .collect()
}

/// Returns the modules, as paths below `src/`, that a file declares for tests only.
fn test_modules(file: &SourceFile) -> Vec<String> {
    let directory = match file.name.strip_suffix("/mod.rs") {
        Some(directory) => directory.to_owned(),
        None => file.name.trim_end_matches(".rs").to_owned(),
    };
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| pair[1].strip_suffix(';')?.rsplit_once("mod "))
        .map(|(_, name)| format!("{directory}/{name}"))
        .collect()
}

fn sources(directory: &str) -> Vec<SourceFile> {
    let base = root().join(directory);
    files_below(&base, "rs")
        .into_iter()
        .map(|path| {
            let text = read(&path);
            let name = path.strip_prefix(&base).expect("the file is below its base").to_string_lossy().into_owned();
            SourceFile { name, product: product_lines(&text), text }
        })
        .collect()
}

/// Returns the indices of the lines that are neither tests nor comments. It relies on the formatter: an item ends
/// where a line of its own indentation closes it.
fn product_lines(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut product = Vec::new();
    let mut index = 0;
    while index < lines.len() {
        let line = lines[index];
        if line.trim() == "#[cfg(test)]" {
            let ends = |line: &&str| {
                indentation(line) == indentation(lines[index])
                    && !line.trim_start().starts_with('#')
                    && line.ends_with(['}', ';'])
            };
            let length = lines[index..].iter().position(ends).unwrap_or(lines.len() - index - 1);
            index += length;
        } else if !line.trim().is_empty() && !line.trim_start().starts_with("//") {
            product.push(index);
        }
        index += 1;
    }
    product
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Returns the rooms that a line of code names as `crate::room` or `crate::{room, …}`, in order.
fn rooms_named_in(line: &str) -> Vec<&str> {
    let mut rooms = Vec::new();
    for rest in line.split("crate::").skip(1).chain(line.split("pollhook::").skip(1)) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let parts = group.split(|character| {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                character == ',' && depth == 0
            });
            rooms.extend(parts.map(|part| first_word(part.trim())));
        } else {
            rooms.push(first_word(rest));
        }
    }
    rooms
}

fn first_word(text: &str) -> &str {
    text.split(|character: char| !character.is_alphanumeric() && character != '_').next().unwrap_or_default()
}

/// Tells whether a text occurs in a line other than as the end of a longer word; of a crate's name, other than as a
/// module's.
fn holds_word(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(start, _)| {
        let before = &line[..start];
        let longer = before.ends_with(|character: char| character.is_alphanumeric() || character == '_');
        let module = text.ends_with("::") && before.ends_with("::");
        !longer && !module
    })
}

fn is_public_item(line: &str) -> bool {
    let kinds = ["fn ", "async fn ", "const ", "static ", "struct ", "enum ", "trait ", "type ", "macro "];
    line.strip_prefix("pub ").is_some_and(|item| kinds.iter().any(|kind| item.starts_with(kind)))
}

/// Tells whether the lines before an item end in its description, attributes not counted.
fn is_described(before: &[&str]) -> bool {
    let mut inside_attribute = false;
    for line in before.iter().rev().map(|line| line.trim()) {
        // A macro's items are described by whoever calls it; what describes arguments would be shown as help.
        if line.starts_with("///") || line.starts_with("$(#[") || line.contains("clap::Args") {
            return true;
        }
        let attribute = line.starts_with("#[");
        if attribute {
            inside_attribute = false;
        } else if line.ends_with(")]") {
            inside_attribute = true;
        } else if !inside_attribute {
            return false;
        }
    }
    false
}

/// Tells whether a method's name says all: it makes a new value, or its body is a single line.
fn is_plain(lines: &[&str]) -> bool {
    let method = lines[0].starts_with(' ');
    method && (lines[0].contains("pub fn new(") || lines.get(2).is_some_and(|line| line.trim() == "}"))
}

fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_if_there(path: &Path) -> Option<String> {
    path.exists().then(|| read(path))
}

fn report(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}
