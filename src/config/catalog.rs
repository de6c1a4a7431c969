//! The catalogue: a folder of connector templates.

use std::path::Path;

use super::connector::connector;
use super::keys::CONNECTOR;
use super::params::{Param, ParamValues};
use super::reader::Fields;
use super::report::Report;
use super::secret::{Scope, plain};
use super::source::Place;
use super::tree::{self, Table};
use crate::model::id::ConnectorName;

/// The connector templates that are ready to be used.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub templates: Vec<CatalogTemplate>,
}

/// A reusable connector.
#[derive(Debug, Clone)]
pub struct CatalogTemplate {
    /// What `use` calls it: the name of its file without `.toml`.
    pub name: String,
    pub title: Option<String>,
    /// Where the API is documented.
    pub homepage: Option<String>,
    pub params: Vec<Param>,
}

/// A template as it was written.
pub(super) struct TemplateFile {
    pub about: CatalogTemplate,
    /// The connector's keys; `None` if the file cannot be read as TOML.
    pub table: Option<Table>,
}

/// Reads and checks all templates of a folder, by name. `place` is where the configuration names the folder, if it
/// does: then it must be there.
pub(super) fn read_all(scope: Scope<'_>, folder: &Path, place: Option<Place>) -> Vec<TemplateFile> {
    let report = scope.report;
    let paths = match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()),
        Err(error) => {
            let message = format!("the catalogue `{}` cannot be read: {}", folder.display(), plain(&error));
            match place {
                Some(place) => report.error(place, message),
                None if error.kind() == std::io::ErrorKind::NotFound => {}
                None => report.error_nowhere(message, "write another folder into `path` of `[catalog]`"),
            }
            return Vec::new();
        }
    };
    let is_template = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let mut paths: Vec<_> = paths.filter(is_template).collect();
    paths.sort();
    paths.iter().filter_map(|path| read(scope, path)).collect()
}

fn read(scope: Scope<'_>, path: &Path) -> Option<TemplateFile> {
    let report = scope.report;
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("the template `{shown}` cannot be read: {}", plain(&error));
            report.error_nowhere(message, "templates are TOML files in UTF-8; take other files out of the catalogue");
            return None;
        }
    };
    let file = report.add_source(shown, text);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let name = match stem.parse::<ConnectorName>() {
        Ok(name) => name,
        Err(error) => {
            report.error(Place::beginning_of(file), format!("the file's name is no name for a template: {error}"));
            return None;
        }
    };
    let Some(mut table) = tree::parse(report, file) else {
        let about = CatalogTemplate { name: stem, title: None, homepage: None, params: Vec::new() };
        return Some(TemplateFile { about, table: None });
    };
    if let Some(entry) = table.take("use") {
        report.error(entry.key_place, "a template cannot use another one");
    }
    let params = declared_params(report, &mut table);
    let fields = Fields::new(report, &table, Place::beginning_of(file), &CONNECTOR);
    let about = CatalogTemplate {
        name: stem,
        title: fields.text("title").map(str::to_owned),
        homepage: fields.text("homepage").map(str::to_owned),
        params,
    };
    // What it will be run with is not known here; what is wrong whatever it is run with is found now.
    connector(Scope { environment: None, ..scope }, Some(name), &fields, &ParamValues::examples(&about.params));
    Some(TemplateFile { about, table: Some(table) })
}

fn declared_params(report: &Report, table: &mut Table) -> Vec<Param> {
    let Some(entry) = table.take("params") else { return Vec::new() };
    super::reader::table(report, &entry.node).map(|table| Param::read_all(report, &table.entries)).unwrap_or_default()
}
