//! The fixtures of templates: what their APIs answer, and what is to come of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pollhook::config::{Configuration, Environment};
use pollhook::poll::Tape;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::configuration::load_files;

/// What `expected.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Where the answers come from.
    pub source: String,
    /// What the template is used with.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// The data of each item of the first answer, by key.
    pub items: BTreeMap<String, Value>,
    /// The changes from the first answer to the second.
    pub changes: Vec<Change>,
}

/// A change that becomes an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    #[serde(rename = "type")]
    pub kind: String,
    pub key: String,
}

/// A folder in `tests/fixtures/catalog`.
pub struct Fixture {
    pub name: String,
    folder: PathBuf,
}

impl Fixture {
    /// Returns all that there are, by name.
    pub fn all() -> Vec<Self> {
        let folder = root().join("tests/fixtures/catalog");
        let entries =
            fs::read_dir(folder).expect("the folder of fixtures").map(|entry| entry.expect("an entry").path());
        let mut fixtures: Vec<Self> = entries.filter(|path| path.is_dir()).map(Self::at).collect();
        fixtures.sort_by(|one, other| one.name.cmp(&other.name));
        fixtures
    }

    fn at(folder: PathBuf) -> Self {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        Self { name: name.to_owned(), folder }
    }

    pub fn expected(&self) -> Expected {
        let text = fs::read_to_string(self.path()).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: expected.json: {error}", self.name))
    }

    /// Writes what came of the answers into `expected.json`.
    pub fn update(&self, expected: &Expected) {
        let text = serde_json::to_string_pretty(expected).expect("it can be written as JSON");
        fs::write(self.path(), text + "\n").expect("the file can be written");
    }

    /// Returns the answers of its folder `first` or `second`.
    pub fn tape(&self, folder: &str) -> Tape {
        Tape::read(&self.folder.join(folder)).unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }

    /// Loads a configuration in which one connector, of the same name, uses the template with the fixture's params.
    pub fn configuration(&self, expected: &Expected) -> Configuration {
        let name = &self.name;
        let template = format!("connectors/{name}.toml");
        let text = fs::read_to_string(root().join(&template)).unwrap_or_else(|error| panic!("{template}: {error}"));
        // TOML writes texts, numbers, truth values and lists of them as JSON does.
        let params: Vec<String> = expected.params.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        let params = params.concat();
        let config = format!("[connectors.{name}]\nuse = \"{name}\"\n[connectors.{name}.params]\n{params}");
        load_files(&[("config.toml", &config), (&template, &text)], &Environment::default())
    }

    fn path(&self) -> PathBuf {
        self.folder.join("expected.json")
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
