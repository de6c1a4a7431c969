//! `pollhook listen`: a receiver that prints and verifies deliveries.

use std::net::SocketAddr;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Global;
use super::failure::Failure;
use super::output::{Colour, Output, beginning};
use super::receiver::{Received, Receiver};
use super::run::{self, Signals};
use crate::clock::SystemClock;
use crate::config::Environment;
use crate::deliver::VerifyingKey;
use crate::model::secret::Secret;
use crate::model::signing::HeaderSignature;
use crate::model::subscription::Subscription;

#[derive(Debug, clap::Args)]
pub struct ListenArguments {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8788")]
    address: SocketAddr,
    /// The secret (whsec_…) or public key (whpk_…) to verify with, once for each, or any text with --style github; by
    /// default those of the configured subscriptions that are sent here
    #[arg(long, value_name = "SECRET", env = "POLLHOOK_LISTEN_SECRET", hide_env_values = true)]
    secret: Vec<String>,
    /// How deliveries are signed that --secret verifies: as Standard Webhooks says, or the body alone in
    /// X-Hub-Signature-256
    #[arg(long, value_enum, value_name = "STYLE", default_value_t = Style::Standard)]
    style: Style,
    /// What to answer: any other status than 2xx makes pollhook try again
    #[arg(long, value_name = "STATUS", default_value_t = 204, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
    /// Print a JSON object for each delivery
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Style {
    Standard,
    Github,
}

/// Prints each delivery until it is told to stop.
pub async fn listen(arguments: ListenArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let listener = run::listen(arguments.address).await?;
    let address = listener.local_addr().unwrap_or(arguments.address);
    let keys = if arguments.secret.is_empty() {
        configured_keys(global, address)
    } else {
        arguments.secret.iter().map(|text| parse_key(text, arguments.style)).collect::<Result<_, _>>()?
    };
    output.say(&match keys.len() {
        0 => format!("listening on http://{address}; without --secret, nothing is verified"),
        1 => format!("listening on http://{address}, verifying with one key"),
        count => format!("listening on http://{address}, verifying with {count} keys"),
    });
    let status = StatusCode::from_u16(arguments.status)
        .map_err(|_| Failure::Usage(format!("{} is no HTTP status", arguments.status)))?;
    let (sender, mut received) = mpsc::unbounded_channel();
    let receiver = Receiver { keys, answer: Box::new(move |_| status), clock: SystemClock::shared(), received: sender };
    let printing = async {
        while let Some(delivery) = received.recv().await {
            print(&delivery, arguments.json, output)?;
        }
        Ok(())
    };
    tokio::select! {
        ended = receiver.serve(listener) => ended.map_err(|error| Failure::caused("cannot go on listening", error)),
        ended = printing => ended,
        () = signals.next() => Ok(()),
    }
}

fn parse_key(text: &str, style: Style) -> Result<VerifyingKey, Failure> {
    match style {
        Style::Standard => VerifyingKey::parse(text).map_err(|error| Failure::Usage(format!("--secret: {error}"))),
        Style::Github => Ok(VerifyingKey::of_header(&HeaderSignature::github(), &Secret::new(text.to_owned()))),
    }
}

/// Returns the keys of the configured subscriptions whose deliveries arrive at this address, if there is a
/// configuration that can be read.
fn configured_keys(global: &Global, address: SocketAddr) -> Vec<VerifyingKey> {
    let Ok((configuration, _)) = global.load_without_secrets() else { return Vec::new() };
    let arrives_here = |url: &url::Url| {
        url.port_or_known_default() == Some(address.port())
            && url
                .host_str()
                .is_some_and(|host| host == "localhost" || host.trim_matches(['[', ']']).parse() == Ok(address.ip()))
    };
    let has_secrets = |subscription: &Subscription| !Environment::stands_in_for(&subscription.redactor);
    let all = configuration.subscriptions.iter();
    let here = all.filter(|subscription| arrives_here(&subscription.url) && has_secrets(subscription));
    here.flat_map(|subscription| VerifyingKey::all_of(&subscription.signing)).collect()
}

fn print(delivery: &Received, as_json: bool, output: &mut Output) -> Result<(), Failure> {
    let verified = match &delivery.verified {
        None => None,
        Some(Ok(())) => Some(Ok(())),
        Some(Err(error)) => Some(Err(error.to_string())),
    };
    if as_json {
        let body = delivery.event.clone().unwrap_or_else(|| String::from_utf8_lossy(&delivery.body).into());
        return output.line(json!({
            "at": delivery.at,
            "path": delivery.path,
            "webhook_id": delivery.webhook_id,
            "verified": verified.as_ref().map(Result::is_ok),
            "problem": verified.and_then(Result::err),
            "status": delivery.answered.as_u16(),
            "body": body,
        }));
    }
    let verdict = match verified {
        None => output.paint(Colour::Dim, "not verified"),
        Some(Ok(())) => output.paint(Colour::Green, "verified"),
        Some(Err(error)) => output.paint(Colour::Red, format_args!("refused: {error}")),
    };
    let text = |name: &str| delivery.event.as_ref().and_then(|event| event.get(name)).and_then(Value::as_str);
    let time = delivery.at.to_utc().format("%H:%M:%S%.3f");
    let id = delivery.webhook_id.as_deref().unwrap_or("without a webhook-id");
    // In CloudEvents, the key is the subject.
    let (kind, key) = match (&delivery.cloud_event, &delivery.event) {
        (Some((kind, subject)), _) => (kind.clone(), subject.as_str()),
        (None, Some(Value::Array(events))) => (format!("a batch of {}", events.len()), ""),
        (None, _) => {
            let kind = text("type").unwrap_or("not an event").to_owned();
            (kind, text("key").or_else(|| text("subject")).unwrap_or(""))
        }
    };
    output.line(format_args!("{time}  {kind}  {key}  {id}  {verdict}, answered {}", delivery.answered.as_u16()))?;
    match delivery.event.as_ref().and_then(|event| event.get("data")) {
        Some(data) => {
            output.line(format_args!("    {}", output.paint(Colour::Dim, beginning(&data.to_string(), LONGEST_DATA))))
        }
        None => {
            let body = String::from_utf8_lossy(&delivery.body).into_owned();
            output.line(format_args!("    {}", output.paint(Colour::Dim, beginning(&body, LONGEST_DATA))))
        }
    }
}

/// How much of a delivery's data is shown, in characters.
const LONGEST_DATA: usize = 160;
