//! Secrets: literal, from the environment, or from a file. What they are is never reported.

use std::path::Path;

use super::environment::{Environment, NOWHERE};
use super::keys::SECRET;
use super::reader::{Fields, hide, text, wrong_type};
use super::report::Report;
use super::tree::{Entry, Node, NodeValue};
use crate::model::subscription::Origin;

/// What reading needs to know of its surroundings.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub report: &'a Report,
    /// The configuration file's folder, which paths are relative to.
    pub folder: &'a Path,
    /// `None` while a template is checked by itself: nothing is looked up then, and a schedule may be missing.
    pub environment: Option<&'a Environment>,
    /// Who wrote it: what comes over the API names nothing of this machine.
    pub origin: Origin,
}

/// The text of a secret and where it comes from.
pub(super) struct FoundSecret {
    pub text: String,
    /// Whether the text stands in the configuration, so that it may be a template.
    pub literal: bool,
}

impl Scope<'_> {
    /// Returns the text of a secret.
    pub fn secret(&self, node: &Node) -> Option<FoundSecret> {
        match &node.value {
            NodeValue::Text(text) => {
                self.report.hide(node.place);
                Some(FoundSecret { text: text.clone(), literal: true })
            }
            NodeValue::Table(_) if !self.may_name_places(node) => None,
            NodeValue::Table(table) => {
                let found = self.named(&Fields::new(self.report, table, node.place, &SECRET));
                found.map(|text| FoundSecret { text, literal: false })
            }
            _ => {
                hide(self.report, node);
                wrong_type(self.report, node, "a text, { env = … } or { file = … }");
                None
            }
        }
    }

    /// Returns the address that a secret is. What stands in for one leads nowhere.
    pub fn secret_address(&self, node: &Node) -> Option<FoundSecret> {
        let found = self.secret(node)?;
        if found.literal || !Environment::is_stand_in(&found.text) {
            return Some(found);
        }
        Some(FoundSecret { text: NOWHERE.to_owned(), ..found })
    }

    /// Tells whether files and variables of this machine may be named here, and reports it if not.
    pub fn may_name_places(&self, node: &Node) -> bool {
        let may = self.origin == Origin::Configuration;
        if !may {
            let help =
                "write the text itself; environment variables and files are named in the configuration file only";
            self.report.error_with_help(node.place, "over the API a secret is given as it is", help);
        }
        may
    }

    /// Returns the text that is found where a table with `env` or `file` says.
    pub fn named(&self, fields: &Fields<'_>) -> Option<String> {
        match (fields.entry("env"), fields.entry("file")) {
            (Some(entry), None) => self.of_environment(entry),
            (None, Some(entry)) => self.of_file(entry),
            (None, None) => {
                let message = "this secret has neither `env` nor `file`";
                self.report.error_with_help(fields.place, message, "write { env = \"NAME\" } or { file = \"path\" }");
                None
            }
            (Some(_), Some(_)) => None,
        }
    }

    fn of_environment(&self, entry: &Entry) -> Option<String> {
        let name = text(self.report, &entry.node)?;
        let Some(environment) = self.environment else { return Some(String::new()) };
        let value = environment.get(name).or(environment.stand_in());
        if value.is_none() {
            self.report.error_with_help(
                entry.node.place,
                format!("the environment variable `{name}` is not set"),
                "set it for the service, or write { file = … } or the secret itself",
            );
        }
        value.map(str::to_owned)
    }

    fn of_file(&self, entry: &Entry) -> Option<String> {
        let path = self.folder.join(text(self.report, &entry.node)?);
        let Some(environment) = self.environment else { return Some(String::new()) };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
            }
            Err(error) => {
                if let Some(stand_in) = environment.stand_in() {
                    return Some(stand_in.to_owned());
                }
                let message = format!("the secret file `{}` cannot be read: {}", path.display(), plain(&error));
                self.report.error(entry.node.place, message);
                None
            }
        }
    }
}

/// Returns what went wrong in words that are the same on every system.
pub(super) fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it may not be read by this user".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder, not a file".to_owned(),
        std::io::ErrorKind::NotADirectory => "it is a file, not a folder".to_owned(),
        _ => error.to_string(),
    }
}
