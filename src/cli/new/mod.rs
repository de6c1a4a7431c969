//! `pollhook new`: looks at an API's answer and writes a connector for it.

mod ask;
mod file;
mod find;
mod known;
mod name;
mod receiver;
mod refused;
mod show;
mod target;
mod write;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Global;
use super::client::ServiceClient;
use super::failure::Failure;
use super::output::{Colour, Output};
use super::{init, try_connector};
use crate::clock::SystemClock;
use crate::config::{self, Configuration, Environment};
use crate::discover::Setting;
use crate::model::id::ConnectorName;
use crate::model::secret::{Secret, SigningSecret};
use crate::poll::created_event;
use ask::{Asker, Surroundings};
use file::SecretFile;
use find::Found;
use receiver::Receiver;
pub use refused::quoted;
use target::{HeaderArgument, Target};
use write::{Writing, comment};

#[derive(Debug, clap::Args)]
pub struct NewArguments {
    /// The address of an API's answer, of a feed, or of a page that the catalogue knows; in quotes if it has & in it
    url: String,
    /// A header to send; what looks like a secret is not written down, but taken from an environment variable
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<HeaderArgument>,
    /// The environment variable that has a bearer token
    #[arg(long, value_name = "VARIABLE")]
    bearer_env: Option<String>,
    /// What the connector is called; by default after the address
    #[arg(long, value_name = "NAME", value_parser = ConnectorName::configured)]
    name: Option<ConnectorName>,
    /// Add a subscription that sends its events there, signed with a new secret; writes into the configuration
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Add the connector to this configuration, which is made if it is not there
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print JSON: what was found, the connector and its items
    #[arg(long)]
    json: bool,
}

/// How many items are shown.
const ITEMS_SHOWN: usize = 5;

/// Finds out how an API can be polled, tries it, and prints or adds a connector for it. Nothing is sent to anybody else.
pub async fn new(arguments: NewArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    global.log.start(Some("error"))?;
    let environment = Environment::of_process();
    let target = Target::new(&arguments.url, &arguments.headers, arguments.bearer_env.as_deref(), &environment)?;
    let to = arguments.to.as_deref().map(target::parse).transpose()?.map(Receiver::at);
    let writes = arguments.write.is_some() || to.is_some();
    let path = arguments.write.as_ref().unwrap_or(&global.config);
    // What other connectors and subscriptions are given where the service runs need not be here.
    let environment = target.environment(&environment).with_stand_ins();
    let (surroundings, configuration) = surroundings(path, writes, to.is_some(), &environment, output)?;
    let asker = Asker::new(surroundings, configuration.as_ref(), environment)?;
    let mut found = find::find(&asker, &target, arguments.name.as_ref().map(ConnectorName::as_str)).await?;
    asker.add_details(&mut found.sight, ITEMS_SHOWN).await;
    let subscription = to.map(|receiver| NewSubscription::new(&found.writing.name, receiver));
    let addition = Addition::new(&found, &target, subscription);
    let secret_files = match &addition.subscription {
        Some(subscription) => subscription.create_files(path)?,
        None => Vec::new(),
    };
    let configured = asker.load(&addition.text).map_err(Failure::Configuration)?;
    if writes {
        let is_new = asker.surroundings().text.is_empty();
        let text = if is_new { init::head(path) + "\n" } else { String::new() };
        file::replace(path, &(text + &asker.surroundings().with(&addition.text)))?;
        secret_files.into_iter().for_each(SecretFile::keep);
    }
    let shown = Shown { arguments: &arguments, path, found: &found, addition: &addition, target: &target };
    if arguments.json {
        shown.print_json(writes, output)?;
    } else {
        shown.print(&configured, output)?;
    }
    if writes && configuration.is_some_and(|before| !before.connectors.is_empty()) {
        say_if_running(&configured, output).await;
    }
    Ok(())
}

/// Reads the configuration that the connector is for. What is not written into need not be right.
fn surroundings(
    path: &Path,
    writes: bool,
    subscribes: bool,
    environment: &Environment,
    output: &mut Output,
) -> Result<(Surroundings, Option<Configuration>), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if writes && let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(Failure::Usage(format!("there is no folder {}", folder.display())));
    }
    let nothing = Surroundings { path: path.to_owned(), writes, ..Surroundings::default() };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((nothing, None)),
        Err(_) if !writes => return Ok((nothing, None)),
        Err(_) => return Err(config::load(path, environment).map_or_else(Failure::Configuration, |_| Failure::Said)),
    };
    match config::load_text(path, text.clone(), environment) {
        Ok(configuration) => {
            let surroundings = Surroundings::new(path, text, &configuration, writes, subscribes);
            Ok((surroundings, Some(configuration)))
        }
        Err(mistakes) if writes => {
            output.error(&format!("{} has to be right before anything is added to it", path.display()));
            Err(Failure::Configuration(mistakes))
        }
        Err(_) => {
            let path = path.display();
            output
                .say(&format!("warning: {path} has mistakes (`pollhook check` shows them) and is left out of account"));
            Ok((nothing, None))
        }
    }
}

/// What is added to a configuration.
struct Addition {
    text: String,
    subscription: Option<NewSubscription>,
}

struct NewSubscription {
    name: String,
    receiver: Receiver,
    /// What deliveries are signed with; `None` if nobody would verify that.
    secret: Option<Secret>,
}

impl NewSubscription {
    fn new(name: &str, receiver: Receiver) -> Self {
        let secret = receiver.tool.is_none().then(SigningSecret::generate);
        Self { name: name.to_owned(), receiver, secret }
    }

    /// Returns the name of the file with the address, in the folder of secrets; `None` if the address is no secret.
    fn url_file(&self) -> Option<String> {
        self.receiver.is_secret.then(|| format!("{}-url", self.name))
    }

    /// Writes what is secret to files beside a configuration.
    fn create_files(&self, path: &Path) -> Result<Vec<SecretFile>, Failure> {
        let mut files = Vec::new();
        if let Some(secret) = &self.secret {
            files.push(SecretFile::create(path, &self.name, secret)?);
        }
        if let Some(file) = self.url_file() {
            files.push(SecretFile::create(path, &file, &Secret::new(self.receiver.url.to_string()))?);
        }
        Ok(files)
    }

    /// Returns what the configuration says of it.
    fn settings(&self) -> Vec<Setting> {
        let in_file = |name: &str| json!({ "file": format!("{}/{name}", SecretFile::FOLDER) });
        let url = match self.url_file() {
            Some(file) => in_file(&file),
            None => json!(target::literal(self.receiver.url.as_str())),
        };
        let mut settings = vec![Setting::new("url", url), Setting::new("connectors", json!([self.name]))];
        settings.extend(self.secret.as_ref().map(|_| Setting::new("secret", in_file(&self.name))));
        settings.extend(self.receiver.tool.map(|tool| Setting::new("body", tool.body())));
        settings
    }
}

impl Addition {
    fn new(found: &Found, target: &Target, subscription: Option<NewSubscription>) -> Self {
        let address = &target.url;
        let mut text = comment(&match &found.template {
            Some(template) => format!("{}: {address}", template.title.as_deref().unwrap_or(&template.name)),
            None => format!("{address} as `pollhook new` found it: each comment says how sure a setting is, and why."),
        });
        text.push_str(&found.writing.text());
        if let Some(subscription) = &subscription {
            let mut writing = Writing::subscription(&subscription.name);
            writing.add("", subscription.settings());
            text.push('\n');
            text.push_str(&writing.text());
        }
        Self { text, subscription }
    }
}

struct Shown<'a> {
    arguments: &'a NewArguments,
    path: &'a Path,
    found: &'a Found,
    addition: &'a Addition,
    target: &'a Target,
}

impl Shown<'_> {
    fn print(&self, configured: &Configuration, output: &mut Output) -> Result<(), Failure> {
        let found = self.found;
        let mut beside = output.beside();
        show::findings(found, &mut beside)?;
        let sight = &found.sight;
        try_connector::show(&sight.connector, &sight.look, configured.subscriptions.clone(), ITEMS_SHOWN, &mut beside)?;
        if let Some(problem) = &sight.look.problem {
            let colour = Colour::Yellow;
            let problem = beside.paint(colour, find::plain(sight, problem));
            beside.line(problem)?;
            for sentence in &sight.look.explanation {
                beside.note(sentence);
            }
        }
        beside.line("")?;
        show::toml(&self.addition.text, output)?;
        if std::io::stdout().is_terminal() {
            beside.line("")?;
        }
        self.print_next(&mut beside)
    }

    /// Says what was done and what to do next.
    fn print_next(&self, output: &mut Output) -> Result<(), Failure> {
        let (name, path) = (&self.found.writing.name, self.path.display());
        let config = if self.path == Path::new("config.toml") {
            String::new()
        } else {
            format!(" --config {}", quoted(&path.to_string()))
        };
        let writes = self.arguments.write.is_some() || self.addition.subscription.is_some();
        if let Some(subscription) = &self.addition.subscription {
            self.print_subscription(subscription, output)?;
        } else if writes {
            output.paragraph(&format!("{path} has the connector {name} now."), 0)?;
        }
        output.paragraph(FIRST_POLL, 0)?;
        output.line("")?;
        let variables: Vec<&str> = self.target.variables_to_set().collect();
        if !variables.is_empty() {
            let text = "The connector takes its secrets from the environment, so that they are written down nowhere:";
            output.paragraph(text, 0)?;
            for variable in variables {
                output.line(format_args!("    export {variable}=…"))?;
            }
            output.line("")?;
        }
        if self.addition.subscription.is_some() {
            output.line(format_args!("Next: pollhook run{config}"))
        } else if writes {
            output.line(format_args!("Next: pollhook try {name}{config}"))
        } else if self.target.secrets.is_empty() {
            output.line("Next, to have it in config.toml together with a URL that is told:")?;
            output.line(format_args!("    pollhook new {} --to https://…", quoted(&self.arguments.url)))
        } else {
            output.paragraph("Next, to have it in config.toml together with a URL that is told: add --to https://…", 0)
        }
    }

    /// Says where events go from now on, and what is secret of that.
    fn print_subscription(&self, subscription: &NewSubscription, output: &mut Output) -> Result<(), Failure> {
        let NewSubscription { name, receiver, secret } = subscription;
        let (path, folder) = (self.path.display(), SecretFile::FOLDER);
        let mut said = vec![format!(
            "{path} has the connector {name} now, and a subscription of the same name that sends its events to {}.",
            receiver.shown()
        )];
        said.extend(
            subscription
                .url_file()
                .map(|file| format!("Whoever has its address can post there, so that is kept in {folder}/{file}.")),
        );
        said.extend(receiver.tool.map(|tool| format!("`body` is what {} reads: change it as you like.", tool.name())));
        said.extend(secret.as_ref().map(|_| {
            format!(
                "The receiver verifies what it gets with this secret, which is kept in {folder}/{name} and not shown again:"
            )
        }));
        output.paragraph(&said.join(" "), 0)?;
        match secret {
            Some(secret) => output.line(format_args!("\n    {}\n", secret.expose())),
            None => output.line(""),
        }
    }

    fn print_json(&self, writes: bool, output: &mut Output) -> Result<(), Failure> {
        let Found { writing, template, findings, notes, sight } = self.found;
        let now = SystemClock::shared().now();
        let items: Vec<Value> = sight
            .look
            .items
            .iter()
            .filter_map(|item| {
                let event = created_event(&sight.connector, item, now).ok()?;
                Some(json!({ "key": item.key, "data": event.data }))
            })
            .collect();
        let subscription = self.addition.subscription.as_ref().map(|subscription| {
            json!({
                "name": subscription.name,
                "url": subscription.receiver.shown(),
                "url_file": subscription.url_file().map(|file| format!("{}/{file}", SecretFile::FOLDER)),
                "secret": subscription.secret.as_ref().map(Secret::expose),
                "secret_file": subscription.secret.as_ref().map(|_| format!("{}/{}", SecretFile::FOLDER, subscription.name)),
            })
        });
        output.json(&json!({
            "name": writing.name,
            "template": template.as_ref().map(|template| &template.name),
            "notes": notes,
            "findings": findings,
            "toml": self.addition.text,
            "items": items,
            "problem": sight.look.problem.as_ref().map(|problem| find::plain(sight, problem)),
            "explanation": sight.look.explanation,
            "variables": self.target.variables_to_set().collect::<Vec<_>>(),
            "written": writes.then(|| self.path.display().to_string()),
            "subscription": subscription,
        }))
    }
}

/// What is said of what is there already.
const FIRST_POLL: &str = "The first poll takes what is there now as seen, and sends what is new or changed from then on; \
    with `changes.first_poll = \"send\"` it sends all.";

/// Says that a service that runs with the configuration has to be started again.
async fn say_if_running(configured: &Configuration, output: &mut Output) {
    let Ok(client) = ServiceClient::of(&configured.server) else { return };
    if client.get::<Value>("/v1/connectors", &[]).await.is_ok() {
        output.say("A service listens there already: start it again, so that it takes this up.");
    }
}
