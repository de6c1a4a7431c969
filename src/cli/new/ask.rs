//! Looks at a source with a connector that was written a moment ago, as the service would.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::failure::Failure;
use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Catalog, Configuration, Diagnostics, Environment};
use crate::discover::Answer;
use crate::http::HttpClient;
use crate::model::connector::Connector;
use crate::poll::{self, FetchContext, Look, Recorded, Tape};
use crate::telemetry::Telemetry;

/// The configuration that a connector is written for, as it is at present.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Where it is, or would be.
    pub path: PathBuf,
    /// What it says; nothing if it is not there.
    pub text: String,
    /// Whether the connector is written into it.
    pub writes: bool,
    /// The names that the connector cannot have.
    pub taken: Vec<String>,
    pub catalog: Catalog,
    /// What is allowed in it but probably not meant.
    pub warnings: usize,
}

impl Surroundings {
    /// Returns those of a configuration that is loaded. If a subscription is to be added, its name must be new as well.
    pub fn new(path: &Path, text: String, configuration: &Configuration, writes: bool, subscribes: bool) -> Self {
        let connectors = configuration.connectors.iter().map(|one| one.events_as.to_string());
        let subscriptions = configuration.subscriptions.iter().map(|one| one.name.to_string());
        Self {
            path: path.to_owned(),
            text,
            writes,
            taken: connectors.chain(subscriptions.filter(|_| subscribes)).collect(),
            catalog: configuration.catalog.clone(),
            warnings: configuration.warnings.warnings(),
        }
    }

    /// Returns the text of the configuration with more behind it.
    pub fn with(&self, addition: &str) -> String {
        let mut text = self.text.clone();
        if !text.is_empty() {
            let missing = 2_usize.saturating_sub(text.bytes().rev().take_while(|byte| *byte == b'\n').count());
            text.push_str(&"\n".repeat(missing));
        }
        text + addition
    }
}

/// Asks sources.
pub struct Asker {
    surroundings: Surroundings,
    environment: Environment,
    context: FetchContext,
    pub clock: SharedClock,
}

/// What a look gave.
pub struct Sight {
    pub connector: Arc<Connector>,
    pub look: Look,
    /// Every answer that came, in order.
    pub answers: Vec<Recorded>,
}

impl Asker {
    /// Returns one that asks by the ways that a configuration says.
    pub fn new(
        surroundings: Surroundings,
        configuration: Option<&Configuration>,
        environment: Environment,
    ) -> Result<Self, Failure> {
        let egress = configuration.map(|configuration| configuration.egress.clone()).unwrap_or_default();
        let hosts = configuration.map(|configuration| configuration.hosts.clone()).unwrap_or_default();
        let http =
            HttpClient::with_egress(egress).map_err(|error| Failure::caused("cannot set up the HTTP client", error))?;
        let clock = SystemClock::shared();
        let context = FetchContext::new(http, clock.clone(), Telemetry::shared()).with_hosts(hosts).impatient();
        Ok(Self { surroundings, environment, context, clock })
    }

    /// Returns the configuration that the connector is written for.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Returns the configuration with more behind it, checked: what is added must not even be worth a warning.
    pub fn load(&self, addition: &str) -> Result<Configuration, Diagnostics> {
        let Surroundings { path, warnings, .. } = &self.surroundings;
        let configuration = config::load_text(path, self.surroundings.with(addition), &self.environment)?;
        if configuration.warnings.warnings() > *warnings { Err(configuration.warnings) } else { Ok(configuration) }
    }

    /// Returns a connector that was written.
    pub fn connector(&self, text: &str) -> Result<Arc<Connector>, Diagnostics> {
        let configuration = self.load(text)?;
        // It stands behind all others.
        configuration.connectors.last().cloned().ok_or(configuration.warnings)
    }

    /// Looks at what a connector finds.
    pub async fn look(&self, connector: Arc<Connector>) -> Sight {
        self.look_at(connector, Tape::recording()).await
    }

    /// Looks at what a connector finds in answers that came before. Nobody is asked.
    pub async fn look_again(&self, connector: Arc<Connector>, answers: Vec<Recorded>) -> Sight {
        self.look_at(connector, Tape::replaying(answers)).await
    }

    /// Looks at the details of the first items, so many at most.
    pub async fn add_details(&self, sight: &mut Sight, most: usize) {
        sight.look.add_details(&sight.connector, &self.context, most).await;
    }

    async fn look_at(&self, connector: Arc<Connector>, tape: Tape) -> Sight {
        let look = poll::look(&connector, &self.context.clone().with_tape(tape.clone())).await;
        Sight { connector, look, answers: tape.answers() }
    }
}

impl Sight {
    /// Returns the answer that has the first page: the first that is a success, or else the last one.
    pub fn first_page(&self) -> Option<Answer> {
        let is_success = |recorded: &&Recorded| (200..300).contains(&recorded.status);
        let recorded = self.answers.iter().find(is_success).or(self.answers.last())?;
        Some(Answer {
            url: recorded.url.parse().ok()?,
            status: recorded.status,
            headers: recorded.headers.clone(),
            body: recorded.body.clone(),
        })
    }
}
