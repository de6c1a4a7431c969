//! Broken configurations: each file in `fixtures/config` holds the files of one, and all that `pollhook check` says.
//!
//! `UPDATE_FIXTURES=1 cargo test --test config_errors` writes down what it says now.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Stands in the fixtures wherever a secret is written, and must be in no output.
const SECRET: &str = "hunter2";

/// A fixture: its files, the environment, and what is said.
struct Case {
    path: PathBuf,
    input: String,
    expected: String,
}

impl Case {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).expect("a fixture");
        let (input, expected) = text.split_once("-- output --\n").unwrap_or((&text, ""));
        Self { input: input.to_owned(), expected: expected.to_owned(), path }
    }

    /// Returns the sections of the input by name.
    fn sections(&self) -> Vec<(String, String)> {
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in self.input.lines() {
            match line.strip_prefix("-- ").and_then(|line| line.strip_suffix(" --")) {
                Some(name) => sections.push((name.to_owned(), String::new())),
                None => writeln!(sections.last_mut().expect("a fixture begins with a name").1, "{line}")
                    .expect("a string takes it"),
            }
        }
        sections
    }

    /// Returns what `pollhook check` says, and how it ends.
    fn output(&self) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = check_in(folder.path());
        for (name, content) in self.sections() {
            match name.as_str() {
                "environment" => {
                    command.envs(content.lines().filter_map(|line| line.split_once('=')));
                }
                _ => write(&folder.path().join(name), content.as_bytes()),
            }
        }
        said(&mut command)
    }
}

fn check_in(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("pollhook").expect("the binary is built");
    command.current_dir(folder).env_clear().arg("check");
    command
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("it ran");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    format!("{}{}exit code {}\n", text(output.stdout), text(output.stderr), output.status.code().expect("an exit code"))
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
    fs::write(path, content).expect("a file");
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("a fixture").path()).collect();
    paths.sort();
    paths.into_iter().map(Case::read).collect()
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let cases = cases();
    assert!(cases.len() >= 40, "only {} fixtures", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let output = case.output();
        assert!(!output.contains(SECRET), "{} shows a secret:\n{output}", case.path.display());
        assert!(output.ends_with("exit code 2\n"), "{} is not refused:\n{output}", case.path.display());
        if output == case.expected {
            continue;
        }
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&case.path, format!("{}-- output --\n{output}", case.input)).expect("a fixture");
        } else {
            writeln!(wrong, "{}:\n{output}\ninstead of\n{}", case.path.display(), case.expected).expect("a string");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_configuration_that_is_no_text_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("config.toml"), b"title = \"caf\xe9\"");
    insta::assert_snapshot!(said(&mut check_in(folder.path())), @r"
    error: the configuration `config.toml` cannot be read: it is not UTF-8 text
     |
     = help: name another with --config, or repair this one

    1 mistake
    exit code 2
    ");
}
