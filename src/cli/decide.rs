//! `pollhook approve`, `pollhook drop` and `pollhook baseline`: what becomes of changes that are held.

use super::Global;
use super::client::{ServiceClient, ServiceOptions};
use super::failure::Failure;
use super::output::Output;
use super::status::kinds;
use crate::model::change::Decision;
use crate::model::id::ConnectorName;
use crate::server::wire::{DecisionAnswer, HeldCounts};

#[derive(Debug, clap::Args)]
pub struct DecideArguments {
    connector: ConnectorName,
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tells the service what was decided about a connector's changes.
pub async fn decide(
    arguments: DecideArguments,
    decision: Decision,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let DecideArguments { connector, service, json } = arguments;
    let client = service.connect(global)?;
    let path = ServiceClient::path_of(&connector, &format!("/{}", decision.as_str()));
    let answer: DecisionAnswer = client.post(&path, &serde_json::Map::new()).await?;
    if json {
        return output.json(&answer);
    }
    output.line(in_words(&connector, &answer))
}

fn in_words(connector: &ConnectorName, answer: &DecisionAnswer) -> String {
    let Some(HeldCounts { created, updated, removed }) = answer.held else {
        return format!(
            "{connector}: nothing is held; what its next complete poll finds is taken as seen and not sent"
        );
    };
    let what = match answer.decision {
        Decision::Approve => "sent",
        Decision::Drop => "forgotten; they are found again if they are still there at the next poll",
        Decision::Baseline => "taken as seen and not sent",
    };
    format!("{connector}: {} {what}", kinds(created, updated, removed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_is_said() {
        let check = |decision, held, expected: &str| {
            let connector = "orders".parse().expect("a name");
            assert_eq!(in_words(&connector, &DecisionAnswer { decision, held }), expected);
        };
        let held = Some(HeldCounts { created: 1500, updated: 0, removed: 2 });
        check(Decision::Approve, held, "orders: 1500 created and 2 removed sent");
        check(Decision::Baseline, held, "orders: 1500 created and 2 removed taken as seen and not sent");
        check(
            Decision::Baseline,
            None,
            "orders: nothing is held; what its next complete poll finds is taken as seen and not sent",
        );
    }
}
