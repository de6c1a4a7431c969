//! TOML files become connectors, subscriptions and the service's own settings.
//!
//! In two stages: what was written (a tree whose nodes know their places, with templates and overrides merged) and what
//! it means (the model's values). All mistakes of all files are reported at once, each at its place.

mod auth;
mod catalog;
mod changes;
mod connector;
mod cursor;
mod definition;
mod detail;
mod diagnostic;
mod digest;
mod document;
mod each;
mod egress;
mod environment;
mod hosts;
mod keys;
mod mask;
mod pagination;
mod params;
mod reader;
mod reference;
mod report;
mod request;
mod response;
mod schema;
mod secret;
mod source;
mod subscription;
mod text;
mod tls;
mod tree;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use catalog::{Catalog, CatalogTemplate, ready_made};
pub use definition::{Defined, DefinitionMistake, DefinitionMistakes, Definitions};
pub use diagnostic::Diagnostics;
pub use environment::Environment;
pub(crate) use keys::nearest;
pub use params::Param;
pub use reference::reference;
pub use schema::{SchemaOf, schema};

use catalog::{TemplateFile, Templates};
use each::Element;
use egress::egress;
use hosts::hosts;
use keys::{CONNECTOR, Kind, ROOT, SUBSCRIPTION};
use params::ParamValues;
use reader::{Fields, hide};
use report::Report;
use secret::{Scope, plain};
use source::Place;
use subscription::Known;
use tree::Entry;

use crate::model::connector::Connector;
use crate::model::egress::Egress;
use crate::model::id::{ConnectorName, SubscriptionName};
use crate::model::limits::{HostLimits, HostName};
use crate::model::secret::Secret;
use crate::model::subscription::{Origin, Subscription};
use crate::store::Retention;

/// A whole configuration, checked.
#[derive(Debug)]
pub struct Configuration {
    pub server: Server,
    pub store: StoreChoice,
    pub retention: Retention,
    /// What all connectors of a host share.
    pub hosts: HashMap<HostName, HostLimits>,
    /// Where requests may go, and by which way.
    pub egress: Egress,
    /// In the order they are written.
    pub connectors: Vec<Arc<Connector>>,
    /// In the order they are written.
    pub subscriptions: Vec<Arc<Subscription>>,
    pub catalog: Catalog,
    /// What is allowed but probably not meant.
    pub warnings: Diagnostics,
}

/// The admin API.
#[derive(Debug, Clone)]
pub struct Server {
    pub listen: SocketAddr,
    /// What clients must prove to know; always there unless `listen` is a loopback address.
    pub token: Option<Secret>,
}

/// Where is kept what must survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// An embedded store in a folder.
    Sled { path: PathBuf },
}

/// Reads the configuration file and all that it refers to. Paths in it are relative to its folder.
///
/// The error holds everything that is wrong with all files.
pub fn load(path: &Path, environment: &Environment) -> Result<Configuration, Diagnostics> {
    load_with(path, environment, |report| read_file(report, path))
}

/// Reads a configuration as if the file at `path` had this text, whether or not there is such a file.
///
/// The error holds everything that is wrong with the text and with all files that it refers to.
pub fn load_text(path: &Path, text: String, environment: &Environment) -> Result<Configuration, Diagnostics> {
    load_with(path, environment, |report| Some(report.add_source(path.display().to_string(), text)))
}

/// Reads of the configuration file only where the service is reached and what its token is. Whatever else is in it may
/// be wrong, or need secrets that only the service has.
///
/// The error holds what is wrong with that part, or why there is none to be read.
pub fn load_server(path: &Path, environment: &Environment) -> Result<Server, Diagnostics> {
    let report = Report::default();
    let folder = path.parent().unwrap_or(Path::new(""));
    let scope = Scope { report: &report, folder, environment: Some(environment), origin: Origin::Configuration };
    let server = read_file(&report, path).and_then(|file| {
        let mut table = tree::parse(&report, file)?;
        table.entries.retain(|entry| entry.key == "server");
        server(scope, &Fields::new(&report, &table, Place::beginning_of(file), &ROOT))
    });
    let diagnostics = report.into_diagnostics();
    server.filter(|_| diagnostics.errors() == 0).ok_or(diagnostics)
}

fn load_with(
    path: &Path,
    environment: &Environment,
    read: impl FnOnce(&Report) -> Option<usize>,
) -> Result<Configuration, Diagnostics> {
    let report = Report::default();
    let folder = path.parent().unwrap_or(Path::new(""));
    let scope = Scope { report: &report, folder, environment: Some(environment), origin: Origin::Configuration };
    let configuration = read(&report).and_then(|file| configuration(scope, file));
    let diagnostics = report.into_diagnostics();
    match configuration {
        Some(configuration) if diagnostics.errors() == 0 => {
            Ok(Configuration { warnings: diagnostics, ..configuration })
        }
        _ => Err(diagnostics),
    }
}

fn read_file(report: &Report, path: &Path) -> Option<usize> {
    let shown = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let is_empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
            let file = report.add_source(shown, text);
            if is_empty {
                let help = "configure at least one connector; the repository's config.toml is an example";
                report.error_with_help(Place::beginning_of(file), "this configuration is empty", help);
                return None;
            }
            Some(file)
        }
        Err(error) => {
            if error.kind() == std::io::ErrorKind::NotFound {
                let help = "write one, or name another with --config; `pollhook demo` needs none";
                report.error_nowhere(format!("there is no configuration `{shown}`"), help);
            } else {
                let help = "name another with --config, or repair this one";
                report.error_nowhere(format!("the configuration `{shown}` cannot be read: {}", plain(&error)), help);
            }
            None
        }
    }
}

fn configuration(scope: Scope<'_>, file: usize) -> Option<Configuration> {
    let report = scope.report;
    let Some(table) = tree::parse(report, file) else {
        // Its own mistakes hide what it says, but not the mistakes of the templates.
        catalog::read_all(scope, &scope.folder.join("connectors"), None);
        return None;
    };
    let root = Fields::new(report, &table, Place::beginning_of(file), &ROOT);
    let server = server(scope, &root);
    let store = store(scope, &root);
    let retention = retention(&root);
    let hosts = hosts(&root);
    let egress = egress(scope, &root);
    let in_folder = catalog(scope, &root);
    let templates = in_folder.iter().map(|template| template.about.clone()).collect();
    let to_use = Templates::new(scope, in_folder);
    let entries = root.entries("connectors");
    let connectors: Vec<Arc<Connector>> =
        entries.iter().flat_map(|entry| configured_connectors(scope, entry, &to_use)).map(Arc::new).collect();
    let known = Known { names: entries.iter().map(|entry| entry.key.as_str()).collect(), connectors: &connectors };
    let subscriptions = root.entries("subscriptions").iter();
    let subscriptions =
        subscriptions.filter_map(|entry| configured_subscription(scope, entry, &known)).map(Arc::new).collect();
    if entries.is_empty() && report.errors() == 0 {
        let help = "write [connectors.NAME], or use a template of the catalogue".to_owned();
        report.warning(Place::beginning_of(file), "there are no connectors, so nothing is polled", Some(help));
    }
    Some(Configuration {
        server: server?,
        store: store?,
        retention: retention?,
        hosts,
        egress: egress?,
        connectors,
        subscriptions,
        catalog: Catalog { templates },
        warnings: Diagnostics::default(),
    })
}

fn server(scope: Scope<'_>, root: &Fields<'_>) -> Option<Server> {
    let fields = root.table_or_empty("server")?;
    let written = fields.text("listen")?;
    let place = fields.entry("listen").map_or(fields.place, |entry| entry.node.place);
    let Ok(listen) = written.parse::<SocketAddr>() else {
        let help = "write an address and a port, such as \"127.0.0.1:8787\" or \"[::]:8787\"";
        scope.report.error_with_help(place, "this is not an address to listen on", help);
        return None;
    };
    let token = match fields.entry("token") {
        Some(entry) => {
            let token = scope.secret(&entry.node)?.text;
            if token.is_empty() {
                scope.report.error(entry.node.place, "this token is empty");
            }
            Some(Secret::new(token))
        }
        None => None,
    };
    if token.is_none() && !listen.ip().is_loopback() {
        let help = "write `token` beside it, for example { env = \"POLLHOOK_TOKEN\" }, or listen on 127.0.0.1";
        scope.report.error_with_help(place, "whoever reaches this address could do everything: it needs a token", help);
    }
    Some(Server { listen, token })
}

fn store(scope: Scope<'_>, root: &Fields<'_>) -> Option<StoreChoice> {
    let sled = root.table_or_empty("store")?.table_or_empty("sled")?;
    let path = sled.text("path")?;
    if path.is_empty() {
        let place = sled.entry("path").map_or(sled.place, |entry| entry.node.place);
        scope.report.error(place, "this path is empty");
    }
    Some(StoreChoice::Sled { path: scope.folder.join(path) })
}

fn retention(root: &Fields<'_>) -> Option<Retention> {
    let fields = root.table_or_empty("retention")?;
    let (delivered, dead) = (fields.duration("delivered"), fields.duration("dead"));
    Some(Retention { delivered: delivered?, dead: dead? })
}

fn catalog(scope: Scope<'_>, root: &Fields<'_>) -> Vec<TemplateFile> {
    let Some(fields) = root.table_or_empty("catalog") else { return Vec::new() };
    let Some(path) = fields.text("path") else { return Vec::new() };
    catalog::read_all(scope, &scope.folder.join(path), fields.entry("path").map(|entry| entry.node.place))
}

/// Returns what a connector's table configures: one connector, or one for each element of its `each`.
fn configured_connectors(scope: Scope<'_>, entry: &Entry, templates: &Templates<'_>) -> Vec<Connector> {
    configured(scope, entry, templates).unwrap_or_default()
}

fn configured(scope: Scope<'_>, entry: &Entry, templates: &Templates<'_>) -> Option<Vec<Connector>> {
    let report = scope.report;
    let name =
        ConnectorName::configured(&entry.key).map_err(|error| report.error(entry.key_place, error.to_string())).ok();
    let mut own = reader::table(report, &entry.node)?.clone();
    let used = own.take("use");
    let params = own.take("params");
    let params_place = params.as_ref().map_or(entry.key_place, |params| params.key_place);
    let template = used.as_ref().and_then(|used| templates.find(used));
    let template = template.as_deref().and_then(|template| Some((&template.about.params, template.table.as_ref()?)));
    let is_inline = used.is_none() && own.entries.iter().all(|entry| CONNECTOR.get(&entry.key).is_some());
    if let Some(params) = params.as_ref().filter(|_| template.is_none() && !is_inline) {
        // Which of them are secret is not known.
        hide(report, &params.node);
    }
    let given: &[Entry] = match &params {
        Some(params) => &reader::table(report, &params.node)?.entries,
        None => &[],
    };
    let (declared, table) = match template {
        Some((declared, table)) => (Some(declared), table.clone().merged(own, &Kind::Table(&CONNECTOR))),
        None if used.is_some() => return None,
        None => (None, own),
    };
    let params = |given: &[Entry], place| match declared {
        Some(declared) => ParamValues::of_instance(scope, declared, given, place),
        None => ParamValues::of_inline(scope, given),
    };
    let fields = Fields::new(report, &table, entry.key_place, &CONNECTOR);
    let Some(each) = fields.entry("each") else {
        let connector = connector::connector(scope, name, &fields, &params(given, params_place));
        return Some(connector.into_iter().collect());
    };
    let elements = Element::read_all(report, each);
    let mut connectors: Vec<Connector> = Vec::with_capacity(elements.len());
    for element in &elements {
        let before = report.errors();
        if declared.is_none() {
            element.check_alike(report, &elements[0], given);
        }
        let place = if element.is_whole(&elements) { params_place } else { element.place };
        let params = params(&element.over(given), place);
        if report.errors() > before {
            // What else is wrong with it would follow from that.
            continue;
        }
        let connector = connector::connector(scope, name.clone(), &fields, &params);
        let Some(identity) = element.identity(&params) else {
            let help = "give it a param that is not secret, which its name can be made of";
            report.error_with_help(element.place, "nothing tells this element from others", help);
            continue;
        };
        let Some(connector) = connector else { continue };
        let name = identity.name(&connector.events_as).map_err(|error| report.error(element.place, error.to_string()));
        let Ok(name) = name else { continue };
        if connectors.iter().any(|other| other.name == name) {
            let help = "give it other values that are not secret, or leave it out";
            report.error_with_help(element.place, format!("another element is {name} as well"), help);
        }
        connectors.push(Connector { name, element: Some(identity.public), ..connector });
    }
    Some(connectors)
}

fn configured_subscription(scope: Scope<'_>, entry: &Entry, known: &Known<'_>) -> Option<Subscription> {
    let name = entry.key.parse::<SubscriptionName>();
    if let Err(error) = &name {
        scope.report.error(entry.key_place, error.to_string());
    }
    let fields = Fields::of_entry(scope.report, entry, &SUBSCRIPTION)?;
    subscription::subscription(scope, name.ok(), &fields, known)
}
