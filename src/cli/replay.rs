//! `pollhook replay`: queueing deliveries again.

use super::Global;
use super::check::counted;
use super::client::ServiceOptions;
use super::failure::Failure;
use super::output::Output;
use crate::model::id::{DeliveryId, SubscriptionName};
use crate::server::wire::{ReplayAnswer, ReplayRequest};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct ReplayArguments {
    /// The delivery to queue again, whatever became of it
    #[arg(group = "what")]
    id: Option<DeliveryId>,
    /// Queue all dead letters of this subscription again
    #[arg(long, value_name = "SUBSCRIPTION", group = "what")]
    dead: Option<SubscriptionName>,
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks the service to queue deliveries again.
pub async fn replay(arguments: ReplayArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.service.connect(global)?;
    let request = ReplayRequest { delivery: arguments.id, dead_of: arguments.dead };
    let answer: ReplayAnswer = client.post("/v1/replays", &request).await?;
    if arguments.json {
        return output.json(&answer);
    }
    output.line(format_args!("queued {} again", counted(answer.queued, "delivery")))
}
