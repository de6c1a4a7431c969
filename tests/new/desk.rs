//! Where somebody sits who begins: a folder, a terminal, and the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::source::{Reply, Source};

/// A folder that somebody works in.
pub struct Desk {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    /// Returns an empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), variables: Vec::new() }
    }

    /// Returns the folder with a file.
    pub fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).expect("a file");
        self
    }

    /// Returns it with an environment variable.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the text of a file in the folder.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the names of what is in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder can be read");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// Returns the binary with arguments, to be run in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollhook"));
        command.current_dir(self.folder.path()).env_clear().args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary, whose lines have 80 columns and no colours unless a variable says otherwise.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        if !self.variables.iter().any(|(name, _)| name == "COLUMNS") {
            command.env("COLUMNS", "80");
        }
        let output = command.output().expect("pollhook can be started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Said { code: output.status.code().expect("an exit code"), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs the binary and checks that it ends well.
    #[track_caller]
    pub fn well(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}\n{}{}", said.err, said.out);
        said
    }
}

impl Said {
    /// Returns all of it as a terminal shows it, with what is different each time made the same: ports, times, secrets.
    pub fn shown(&self, arguments: &[&str]) -> String {
        let out = if self.out.is_empty() { String::new() } else { format!("--- standard output ---\n{}", self.out) };
        let text = format!("$ pollhook {}\n{}{out}--- exit code {} ---\n", arguments.join(" "), self.err, self.code);
        masked(&text)
    }
}

/// Compares a text with a fixture, or writes it there if `UPDATE_FIXTURES` is set.
#[track_caller]
pub fn check_fixture(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/new").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, text).expect("a fixture");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name}:\n{text}\ninstead of\n{expected}");
}

/// Runs a command and compares all that it shows with a fixture.
#[track_caller]
pub fn check_shown(name: &str, desk: &Desk, arguments: &[&str]) {
    check_fixture(name, &desk.run(arguments).shown(arguments));
}

/// Runs a command in terminals of 80 and 120 columns, with and without colours, and compares all that each of them shows
/// with a fixture of its own.
#[track_caller]
pub fn check_terminals(name: &str, arguments: &[&str]) {
    for columns in ["80", "120"] {
        for (colour, variable) in [("", "NO_COLOR"), ("-colour", "CLICOLOR_FORCE")] {
            let desk = Desk::new().set("COLUMNS", columns).set(variable, "1");
            let shown = desk.run(arguments).shown(arguments).replace('\u{1b}', "\\e");
            check_fixture(&format!("{name}-{columns}{colour}"), &shown);
        }
    }
}

/// Starts an API that answers each path like this, and any other with 404.
pub async fn api(answers: &[(&str, Reply)]) -> Source {
    let answers: Vec<(String, Reply)> =
        answers.iter().map(|(path, reply)| ((*path).to_owned(), reply.clone())).collect();
    Source::start(move |request| {
        let path = request.target.split('?').next().unwrap_or_default();
        let found = answers.iter().find(|(known, _)| *known == request.target || known == path);
        found.map_or_else(|| Reply::of(404, "no such page"), |(_, reply)| reply.clone())
    })
    .await
}

fn masked(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("127.0.0.1:") {
            shown.push_str("127.0.0.1:12345");
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        } else if let Some(after) = rest.strip_prefix("whsec_") {
            shown.push_str("whsec_SECRET");
            rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "+/=".contains(c));
        } else if let Some(after) = rest.strip_prefix("TOOK") {
            shown.push_str("TOOK");
            rest = after;
            if let Some(after) = rest.strip_prefix("\u{1b}[0m") {
                shown.push_str("\u{1b}[0m");
                rest = after;
            }
            if let Some(gap) = rest.find(|c: char| c != ' ').filter(|gap| *gap > 2) {
                rest = &rest[gap - 2..];
            }
        } else {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if let Some(after) = rest[digits..].strip_prefix(" ms").filter(|_| digits > 0) {
                shown.push_str("N ms");
                rest = after.trim_start_matches(' ');
                if rest.len() < after.len() {
                    shown.push_str("  ");
                }
            } else {
                let taken = digits.max(c.len_utf8());
                shown.push_str(&rest[..taken]);
                rest = &rest[taken..];
            }
        }
    }
    shown
}
