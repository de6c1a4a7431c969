//! `pollhook subscriptions add`: makes a subscription that outlives restarts.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Common;
use crate::cli::Global;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::model::id::SubscriptionName;
use crate::server::wire::ChangedSubscription;

#[derive(Debug, clap::Args)]
pub struct AddArguments {
    /// What it is called, in a-z, 0-9, `-` and `_`
    name: SubscriptionName,
    /// Where events are POSTed
    #[arg(long, value_name = "URL", required_unless_present = "from_file")]
    url: Option<String>,
    /// Only events of these connectors, with `*` for any run of characters
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    connectors: Vec<String>,
    /// Only these events, such as created or orders.removed
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    events: Vec<String>,
    /// Only events for which this jq expression is truthy
    #[arg(long, value_name = "JQ")]
    filter: Option<String>,
    /// How events are rendered, such as standard or cloudevents
    #[arg(long = "format", value_name = "FORMAT")]
    delivery_format: Option<String>,
    /// What deliveries are signed with; without it one is generated
    #[arg(long, value_name = "SECRET", env = "POLLHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// A JSON object with any keys of a subscription, which the options above replace; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Has the service make a subscription.
pub async fn add(arguments: AddArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.common.service.connect(global)?;
    let mut definition = arguments.from_file.as_deref().map_or_else(|| Ok(Map::new()), read)?;
    definition.insert("name".to_owned(), Value::from(arguments.name.as_str()));
    let texts = [
        ("url", arguments.url),
        ("filter", arguments.filter),
        ("format", arguments.delivery_format),
        ("secret", arguments.secret),
    ];
    for (key, text) in texts {
        definition.extend(text.map(|text| (key.to_owned(), Value::from(text))));
    }
    for (key, list) in [("connectors", arguments.connectors), ("events", arguments.events)] {
        if !list.is_empty() {
            definition.insert(key.to_owned(), Value::from(list));
        }
    }
    let made: ChangedSubscription = client.post("/v1/subscriptions", &definition).await?;
    if arguments.common.json {
        return output.json(&made);
    }
    let name = &arguments.name;
    output.line(format_args!("{name} is added: {}", made.subscription.url))?;
    if let Some(secret) = &made.secret {
        output.line(format_args!(
            "its deliveries are signed with this secret, which is not shown again:\n\n    {secret}\n"
        ))?;
    }
    for warning in &made.warnings {
        let help = warning.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
        output.line(format_args!("warning: {}: {}{help}", warning.pointer, warning.detail))?;
    }
    output.line(format_args!("`pollhook subscriptions test {name}` shows whether its receiver works"))
}

fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::caused(format!("cannot read {}", path.display()), error))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{} holds no JSON object: {error}", path.display())))
}
