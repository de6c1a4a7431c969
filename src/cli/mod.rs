//! The commands, a file each. They print for people, or JSON for programs with `--json`.

mod catalog;
mod check;
mod client;
mod decide;
mod deliveries;
mod demo;
mod events;
mod explain;
mod failure;
mod init;
mod listen;
mod logging;
mod new;
mod output;
mod receiver;
mod replay;
mod run;
mod schema;
mod status;
mod subscriptions;
mod try_connector;
mod when;

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Configuration, Environment, Server};
use crate::model::change::Decision;
use failure::Failure;
use logging::LogOptions;
use output::Output;

/// Turns any HTTP API into a source of webhooks.
#[derive(Debug, Parser)]
#[command(name = "pollhook", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What all commands understand.
#[derive(Debug, clap::Args)]
struct Global {
    /// The configuration file
    #[arg(long, short, global = true, value_name = "FILE", env = "POLLHOOK_CONFIG", default_value = "config.toml")]
    config: PathBuf,
    #[command(flatten)]
    log: LogOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work in a minute: a sample API, the bridge and a verifying receiver in one process
    Demo(demo::DemoArguments),
    /// Begin: write a small configuration into a folder
    Init(init::InitArguments),
    /// Look at an API's answer and write a connector for it: format, items, key, paging
    New(new::NewArguments),
    /// Run the service
    Run(run::RunArguments),
    /// Tell whether the configuration is right: every mistake, with its place
    Check(check::CheckArguments),
    /// Poll a connector once, without state: its pages, items and keys, and what would be sent
    Try(try_connector::TryArguments),
    /// List or search the ready-made connectors, explain one, or try it
    Catalog(catalog::CatalogArguments),
    /// Receive deliveries here: print and verify them
    Listen(listen::ListenArguments),
    /// Show connectors and subscriptions of the running service, what fails and since when
    Status(status::StatusArguments),
    /// Send the changes of a connector that are held
    Approve(decide::DecideArguments),
    /// Forget the changes of a connector that are held, as if they had not been found
    Drop(decide::DecideArguments),
    /// Take the changes of a connector that are held as seen; if none are, all that its next complete poll finds
    Baseline(decide::DecideArguments),
    /// List subscriptions, or add, remove, test and rotate them
    Subscriptions(subscriptions::SubscriptionsArguments),
    /// List the events of the running service, the newest first
    Events(events::EventsArguments),
    /// List the deliveries of the running service, or show one with its attempts
    Deliveries(deliveries::DeliveriesArguments),
    /// Print the JSON Schema that editors complete configuration and connector files from
    Schema(schema::SchemaArguments),
    /// Say why an item was or was not sent, stage by stage: in the source, seen, held, matched, delivered
    Explain(explain::ExplainArguments),
    /// Queue deliveries again, or past events for a subscription that did not get them
    Replay(replay::ReplayArguments),
}

/// Does what the arguments say, and returns 0 if it went well, 1 if it failed, 2 for wrong usage or configuration.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, with exit code 0. A closed terminal is no reason to complain.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut output = Output::of_process();
    match dispatch(arguments, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&mut output),
    }
}

fn dispatch(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let global = arguments.global;
    match arguments.command {
        Command::Demo(arguments) => many_threads(demo::demo(arguments, &global, output)),
        Command::Init(arguments) => init::init(&arguments, output),
        Command::New(arguments) => one_thread(new::new(arguments, &global, output)),
        Command::Run(arguments) => many_threads(run::run(arguments, &global, output)),
        Command::Check(arguments) => check::check(&arguments, &global, output),
        Command::Try(arguments) => one_thread(try_connector::try_connector(arguments, &global, output)),
        Command::Catalog(arguments) => one_thread(catalog::catalog(arguments, &global, output)),
        Command::Listen(arguments) => one_thread(listen::listen(arguments, &global, output)),
        Command::Status(arguments) => one_thread(status::status(arguments, &global, output)),
        Command::Subscriptions(arguments) => one_thread(subscriptions::subscriptions(arguments, &global, output)),
        Command::Approve(arguments) => one_thread(decide::decide(arguments, Decision::Approve, &global, output)),
        Command::Drop(arguments) => one_thread(decide::decide(arguments, Decision::Drop, &global, output)),
        Command::Baseline(arguments) => one_thread(decide::decide(arguments, Decision::Baseline, &global, output)),
        Command::Events(arguments) => one_thread(events::events(arguments, &global, output)),
        Command::Deliveries(arguments) => one_thread(deliveries::deliveries(arguments, &global, output)),
        Command::Schema(arguments) => schema::schema(&arguments, output),
        Command::Explain(arguments) => one_thread(explain::explain(arguments, &global, output)),
        Command::Replay(arguments) => one_thread(replay::replay(arguments, &global, output)),
    }
}

fn many_threads(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    runtime(tokio::runtime::Builder::new_multi_thread(), command)
}

fn one_thread(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    runtime(tokio::runtime::Builder::new_current_thread(), command)
}

fn runtime(
    mut builder: tokio::runtime::Builder,
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime = builder.enable_all().build().map_err(|error| Failure::caused("cannot start the runtime", error))?;
    let result = runtime.block_on(command);
    // A blocking call that hangs, such as a name look-up, does not keep the process.
    runtime.shutdown_background();
    result
}

impl Global {
    /// Loads the configuration file, or fails with every mistake in it.
    fn load(&self) -> Result<Configuration, Failure> {
        self.load_in(&Environment::of_process())
    }

    /// Loads the configuration file where not all of its secrets may be to be had: those that are not have stand-ins, and
    /// what says which ones these are is returned too.
    fn load_without_secrets(&self) -> Result<(Configuration, Option<Failure>), Failure> {
        match self.load() {
            Ok(configuration) => Ok((configuration, None)),
            Err(lacking) => match self.load_with_stand_ins() {
                Ok(configuration) => Ok((configuration, Some(lacking))),
                Err(_) => Err(lacking),
            },
        }
    }

    /// Loads the configuration file with stand-ins for secrets that are not to be had.
    fn load_with_stand_ins(&self) -> Result<Configuration, Failure> {
        self.load_in(&Environment::of_process().with_stand_ins())
    }

    /// Reads of the configuration file only how the service is reached. Its token need not be to be had if another one is
    /// given.
    fn load_server(&self, is_token_given: bool) -> Result<Server, Failure> {
        self.check_existence()?;
        let load = |environment| crate::config::load_server(&self.config, &environment).map_err(Failure::Configuration);
        let without_token = load(Environment::of_process().with_stand_ins())?;
        if is_token_given {
            return Ok(without_token);
        }
        load(Environment::of_process()).map_err(|_| {
            let file = self.config.display();
            Failure::Usage(format!(
                "the token of the admin API, which `server.token` names in {file}, is not to be had here: give it with \
                 --token or in POLLHOOK_TOKEN"
            ))
        })
    }

    fn load_in(&self, environment: &Environment) -> Result<Configuration, Failure> {
        self.check_existence()?;
        crate::config::load(&self.config, environment).map_err(Failure::Configuration)
    }

    fn check_existence(&self) -> Result<(), Failure> {
        if self.config.exists() {
            return Ok(());
        }
        Err(Failure::Usage(format!("there is no configuration `{}`\n{TO_BEGIN}", self.config.display())))
    }
}

/// What to do without a configuration.
const TO_BEGIN: &str = "
To begin:
    pollhook new URL --to URL   look at an API's answer, and write a connector and a subscription into config.toml
    pollhook init               write a small config.toml and go on from there
    pollhook demo               see it work, without a configuration
Another file is named with --config.";

/// Says what is allowed in a configuration but probably not meant.
fn warn(configuration: &Configuration, output: &mut Output) {
    if !configuration.warnings.is_empty() {
        output.say(&configuration.warnings.render(output.styled_errors()));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_arguments_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
