//! The catalogue: the templates that are ready-made, and those in a folder, which go before one of the same name.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

use include_dir::{Dir, File, include_dir};

use super::connector::connector;
use super::keys::{CONNECTOR, nearest};
use super::params::{Param, ParamValues};
use super::reader::{Fields, enumeration, text};
use super::report::Report;
use super::secret::{Scope, plain};
use super::source::Place;
use super::tree::{self, Entry, Table};
use crate::model::id::ConnectorName;
use crate::model::subscription::Origin;

/// The connector templates that are ready to be used.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Those of the configured folder, by name. [`ready_made`] has the others.
    pub templates: Vec<CatalogTemplate>,
}

/// A reusable connector.
#[derive(Clone, Default)]
pub struct CatalogTemplate {
    /// What `use` calls it: the name of its file without `.toml`.
    pub name: String,
    pub title: Option<String>,
    /// Where the API is documented.
    pub homepage: Option<String>,
    /// What it is listed under.
    pub topics: Vec<String>,
    /// Addresses that it is taken for, with `{param}` or `{param:shape}` where they have a param's value and `*` for any
    /// part.
    pub matches: Vec<String>,
    /// The published answer that it was checked against.
    pub checked: Option<String>,
    pub params: Vec<Param>,
    /// The file as it was written; it may hold secrets.
    pub text: String,
}

impl fmt::Debug for CatalogTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogTemplate")
            .field("name", &self.name)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

/// A template as it was written.
pub(super) struct TemplateFile {
    pub about: CatalogTemplate,
    /// The connector's keys; `None` if the file cannot be read as TOML.
    pub table: Option<Table>,
}

/// The ready-made templates, as they are in the repository.
static READY_MADE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/connectors");

/// Returns the ready-made templates, by name.
pub fn ready_made() -> Vec<CatalogTemplate> {
    let report = Report::default();
    let scope = Scope { report: &report, folder: Path::new(""), environment: None, origin: Origin::Configuration };
    let mut templates: Vec<CatalogTemplate> =
        READY_MADE.files().filter_map(|file| read_ready_made(scope, file)).map(|template| template.about).collect();
    templates.sort_by(|one, other| one.name.cmp(&other.name));
    templates
}

fn read_ready_made(scope: Scope<'_>, file: &File<'_>) -> Option<TemplateFile> {
    let path = Path::new("connectors").join(file.path());
    read_text(scope, &path, file.contents_utf8()?.to_owned())
}

/// All templates that connectors can use. A ready-made one is read when it is.
pub(super) struct Templates<'a> {
    scope: Scope<'a>,
    read: RefCell<Vec<Rc<TemplateFile>>>,
}

impl<'a> Templates<'a> {
    /// Returns those of a folder, and the ready-made ones.
    pub fn new(scope: Scope<'a>, in_folder: Vec<TemplateFile>) -> Self {
        Self { scope, read: RefCell::new(in_folder.into_iter().map(Rc::new).collect()) }
    }

    /// Returns the template that a connector uses, or reports that there is none.
    pub fn find(&self, used: &Entry) -> Option<Rc<TemplateFile>> {
        let report = self.scope.report;
        let wanted = text(report, &used.node)?;
        if let Some(found) = self.read.borrow().iter().find(|template| template.about.name == wanted) {
            return Some(Rc::clone(found));
        }
        if let Some(file) = READY_MADE.get_file(format!("{wanted}.toml")) {
            let template = Rc::new(read_ready_made(self.scope, file)?);
            self.read.borrow_mut().push(Rc::clone(&template));
            return Some(template);
        }
        let read = self.read.borrow();
        let ready_made = READY_MADE.files().filter_map(|file| file.path().file_stem()?.to_str());
        let names: Vec<&str> = read.iter().map(|template| template.about.name.as_str()).chain(ready_made).collect();
        let help = match nearest(wanted, names.iter().copied()) {
            Some(suggestion) => format!("did you mean \"{suggestion}\"?"),
            None if read.is_empty() => "`pollhook catalog` lists those that are ready-made".to_owned(),
            None => {
                let own = enumeration(read.iter().map(|template| template.about.name.as_str()));
                format!("there are {own}, and those that `pollhook catalog` lists")
            }
        };
        report.error_with_help(used.node.place, format!("there is no template \"{wanted}\" in the catalogue"), help);
        None
    }
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
    read_text(scope, path, text)
}

fn read_text(scope: Scope<'_>, path: &Path, text: String) -> Option<TemplateFile> {
    let report = scope.report;
    let file = report.add_source(path.display().to_string(), text.clone());
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let name = match stem.parse::<ConnectorName>() {
        Ok(name) => name,
        Err(error) => {
            report.error(Place::beginning_of(file), format!("the file's name is no name for a template: {error}"));
            return None;
        }
    };
    let Some(mut table) = tree::parse(report, file) else {
        let about = CatalogTemplate { name: stem, text, ..CatalogTemplate::default() };
        return Some(TemplateFile { about, table: None });
    };
    if let Some(entry) = table.take("use") {
        report.error(entry.key_place, "a template cannot use another one");
    }
    let params = declared_params(report, &mut table);
    let fields = Fields::new(report, &table, Place::beginning_of(file), &CONNECTOR);
    let texts = |name: &str| fields.texts(name).into_iter().map(|(text, _)| text.to_owned()).collect();
    let about = CatalogTemplate {
        name: stem,
        title: fields.text("title").map(str::to_owned),
        homepage: fields.text("homepage").map(str::to_owned),
        topics: texts("topics"),
        matches: texts("matches"),
        checked: fields.text("checked").map(str::to_owned),
        params,
        text,
    };
    // What it will be run with is not known here; what is wrong whatever it is run with is found now.
    connector(Scope { environment: None, ..scope }, Some(name), &fields, &ParamValues::examples(&about.params));
    Some(TemplateFile { about, table: Some(table) })
}

fn declared_params(report: &Report, table: &mut Table) -> Vec<Param> {
    let Some(entry) = table.take("params") else { return Vec::new() };
    super::reader::table(report, &entry.node).map(|table| Param::read_all(report, &table.entries)).unwrap_or_default()
}
