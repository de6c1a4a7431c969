//! The log of a command that runs.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;

use super::failure::Failure;

/// How a command logs.
#[derive(Debug, Clone, clap::Args)]
pub struct LogOptions {
    /// What to log: error, warn, info, debug or trace, also per module (`info,pollhook::deliver=debug`)
    #[arg(long = "log", global = true, value_name = "FILTER", env = "POLLHOOK_LOG", hide_env_values = true)]
    filter: Option<String>,
    /// How log lines look; on a terminal for people, otherwise JSON
    #[arg(long = "log-format", global = true, value_name = "FORMAT", env = "POLLHOOK_LOG_FORMAT")]
    format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text for people
    Human,
    /// A JSON object in each line
    Json,
}

/// What is logged if nobody says otherwise.
const USUAL: &str = "info";

impl LogOptions {
    /// Logs to standard error from now on; `usual` is logged if the options do not say otherwise.
    pub fn start(&self, usual: Option<&str>) -> Result<(), Failure> {
        let filter = self.filter.as_deref().or(usual).unwrap_or(USUAL);
        let filter = EnvFilter::try_new(filter)
            .map_err(|error| Failure::Usage(format!("--log {filter:?} is no filter for log lines: {error}")))?;
        let terminal = std::io::stderr().is_terminal();
        let format = self.format.unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json });
        // A log that cannot be written, on a full disk for example, must not end the service.
        let builder =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
        let started = match format {
            LogFormat::Human => builder
                .with_target(false)
                .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
                .with_timer(ChronoUtc::new("%H:%M:%S%.3f".to_owned()))
                .try_init(),
            LogFormat::Json => builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_timer(ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned()))
                .try_init(),
        };
        started.map_err(|error| Failure::Failed(format!("cannot start the log: {error}")))
    }
}
