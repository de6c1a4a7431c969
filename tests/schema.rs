//! What `pollhook schema` prints is a schema of what pollhook accepts: held against files by somebody else's validator.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pollhook::config::{SchemaOf, schema};
use serde_json::{Value, json};

/// What is wrong with each text, by its name; also with the examples of the schema itself.
type Mistakes = BTreeMap<String, Vec<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn validated(of: SchemaOf, texts: &BTreeMap<String, String>) -> Mistakes {
    let mut validator = Command::new(root().join("target/test-tools/python/bin/python"))
        .arg(root().join("tests/support/python/schema.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/run installs the validator");
    let task = json!({ "schema": schema(of), "texts": texts }).to_string();
    validator.stdin.take().expect("it is piped").write_all(task.as_bytes()).expect("it reads");
    let output = validator.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the validator failed");
    serde_json::from_slice(&output.stdout).expect("mistakes by name")
}

#[track_caller]
fn check_valid(of: SchemaOf, texts: &BTreeMap<String, String>) {
    let mistakes = validated(of, texts);
    assert_eq!(mistakes.len(), texts.len() + 1);
    let wrong: Vec<_> = mistakes.iter().filter(|(_, mistakes)| !mistakes.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn read(path: &Path) -> (String, String) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path.strip_prefix(root()).expect("it is ours").display().to_string(), text)
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(root().join(folder)).expect("the folder is there").map(|entry| entry.expect("a file").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

/// Returns the TOML of a document's code blocks, by where they are.
fn printed(document: &str) -> BTreeMap<String, String> {
    let (_, text) = read(&root().join(document));
    let blocks = text.split("```toml\n").skip(1).enumerate();
    blocks
        .map(|(index, rest)| (format!("{document} {index}"), rest.split("```").next().unwrap_or_default().to_owned()))
        .collect()
}

#[test]
fn every_file_that_is_shipped_is_valid() {
    let mut configurations = BTreeMap::from([read(&root().join("config.toml"))]);
    configurations.extend(printed("README.md"));
    check_valid(SchemaOf::Configuration, &configurations);
    let templates: BTreeMap<String, String> = toml_files("connectors").iter().map(|path| read(path)).collect();
    assert!(templates.len() >= 10);
    check_valid(SchemaOf::Template, &templates);
}

#[test]
fn what_is_wrong_is_marked() {
    let wrong = [
        ("an unknown key", "[connectors.a]\nevry = \"5m\"", "'evry' was unexpected"),
        ("a table that is a text", "server = \"127.0.0.1:1\"", "is not of type 'object'"),
        ("a word that there is not", "[subscriptions.a]\nformat = \"cloudevent\"", "is not one of"),
        (
            "two of which there is one",
            "[connectors.a]\nevery = \"5m\"\nschedule = \"@hourly\"",
            "should not be valid under",
        ),
        ("a number that is too large", "[subscriptions.a]\nconcurrency = 100000", "is greater than the maximum"),
        ("an amount of time without a unit", "[retention]\ndead = \"30\"", "does not match"),
        ("what is not built yet", "[store.redb]\npath = \"x\"", "'redb' was unexpected"),
    ];
    let texts = wrong.iter().map(|(name, text, _)| ((*name).to_owned(), (*text).to_owned())).collect();
    let mistakes = validated(SchemaOf::Configuration, &texts);
    for (name, _, expected) in wrong {
        assert!(mistakes[name].iter().any(|mistake| mistake.contains(expected)), "{name}: {:?}", mistakes[name]);
    }
    let template = BTreeMap::from([("use".to_owned(), "use = \"feed\"".to_owned())]);
    assert!(!validated(SchemaOf::Template, &template)["use"].is_empty(), "a template uses no other");
}

#[test]
fn the_schemas_in_the_repository_are_those_that_the_command_prints() {
    for (name, of) in [("config", SchemaOf::Configuration), ("connector", SchemaOf::Template)] {
        let path = root().join("schemas").join(name).with_extension("json");
        let output = Command::new(env!("CARGO_BIN_EXE_pollhook")).args(["schema", name]).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::create_dir_all(root().join("schemas")).expect("the folder can be made");
            fs::write(&path, &text).expect("the file can be written");
        }
        let out_of_date = "is out of date: UPDATE_FIXTURES=1 cargo test --test schema writes it anew";
        assert!(fs::read_to_string(&path).is_ok_and(|written| written == text), "{} {out_of_date}", path.display());
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), schema(of));
    }
}

#[test]
fn every_file_that_is_shipped_names_its_schema() {
    let files = toml_files("connectors").into_iter().chain([root().join("config.toml")]);
    for path in files {
        let (name, text) = read(&path);
        let line =
            text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap_or_else(|| panic!("{name}"));
        assert!(path.parent().expect("it is in a folder").join(line).is_file(), "{name}: {line}");
    }
}

/// What editors check TOML with finds the schemas by the files' first lines.
#[test]
fn editors_find_the_schemas_and_nothing_to_mark() {
    let lint = |files: &[&str], folder: &Path| {
        let mut command = Command::new("node");
        command.arg(root().join("target/test-tools/node/node_modules/@taplo/cli/dist/cli.js")).arg("lint").args(files);
        let output = command.current_dir(folder).output().expect("tests/run installs it");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_well, said) = lint(&["config.toml", "connectors/*.toml"], root());
    assert!(is_well, "{said}");
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("schemas")).expect("a folder");
    fs::copy(root().join("schemas/config.json"), folder.path().join("schemas/config.json")).expect("a copy");
    let wrong = "#:schema ./schemas/config.json\n[connectors.a]\nevry = \"5m\"\n";
    fs::write(folder.path().join("config.toml"), wrong).expect("a file");
    let (is_well, said) = lint(&["config.toml"], folder.path());
    assert!(!is_well && said.contains("'evry' was unexpected"), "{said}");
}

#[test]
fn both_schemas_can_be_written_to_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_pollhook"))
        .args(["schema", "--write", "schemas"])
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "wrote schemas/config.json and schemas/connector.json\n");
    for name in ["config.json", "connector.json"] {
        let written = fs::read(folder.path().join("schemas").join(name)).expect("it was written");
        assert_eq!(written, fs::read(root().join("schemas").join(name)).expect("it is in the repository"));
    }
}
