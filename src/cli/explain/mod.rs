//! `pollhook explain`: why an item was or was not sent, from what the service remembers and a fresh look at the source.

mod conclude;
mod facts;
mod gather;
mod print;
mod words;

use serde::Serialize;

use super::Global;
use super::client::ServiceOptions;
use super::failure::Failure;
use super::output::Output;
use conclude::{Conclusion, conclude};
use facts::Facts;
use gather::Gathering;

#[derive(Debug, clap::Args)]
pub struct ExplainArguments {
    /// The connector's name in the configuration; of one with `each`, NAME/ELEMENT
    connector: String,
    /// The item's key, as `pollhook try` and events show it
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// Send no request to the source: go by what the service remembers alone
    #[arg(long)]
    no_look: bool,
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Says, stage by stage, what became of an item and why. Nothing is remembered and nothing is sent to receivers.
pub async fn explain(arguments: ExplainArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    global.log.start(Some("warn"))?;
    let ExplainArguments { connector, key, no_look, service, json } = arguments;
    let gathering = Gathering::new(&connector, key, service, global)?;
    let facts = gathering.gather(!no_look).await?;
    let conclusion = conclude(&facts);
    if json {
        return output.json(&Explanation { facts: &facts, conclusion });
    }
    print::print(&facts, &conclusion, output)
}

/// All that is printed as JSON.
#[derive(Serialize)]
struct Explanation<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    conclusion: Conclusion,
}
