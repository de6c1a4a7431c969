//! `pollhook subscriptions`: list, show, add, remove, test, rotate, enable and disable.

mod add;
mod news;
mod test;
mod verdict;

use clap::Subcommand;
use serde_json::json;

pub use news::{colour, news};

use super::Global;
use super::client::{ServiceClient, ServiceOptions};
use super::failure::Failure;
use super::output::{Cell, Output};
use super::status::{bounded, time};
use crate::model::id::SubscriptionName;
use crate::server::wire::{ChangedSubscription, DisableRequest, List, RotateRequest, SubscriptionView};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SubscriptionsArguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    common: Common,
}

/// What all actions understand.
#[derive(Debug, clap::Args)]
pub struct Common {
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them with how their lanes are doing; this is also what happens without an action
    List(Common),
    /// Show one with its settings
    Show(Named),
    /// Make one that outlives restarts, without editing the configuration file
    Add(add::AddArguments),
    /// Remove one that was added; what waits for it is not delivered any more
    Remove(Named),
    /// Send a test event through its lane, and show request, answer, timing and signature
    Test(test::TestArguments),
    /// Give one that was added another secret; the former ones stay in use beside it for a while
    Rotate(RotateArguments),
    /// Send again what waits, after it was disabled or its receiver failed
    Enable(Named),
    /// Send nothing until it is enabled again; what it would be sent waits
    Disable(DisableArguments),
}

#[derive(Debug, clap::Args)]
pub struct Named {
    name: SubscriptionName,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct RotateArguments {
    name: SubscriptionName,
    /// How long the former secrets are used as well
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    overlap: String,
    /// The new secret; without it one is generated
    #[arg(long, value_name = "SECRET", env = "POLLHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct DisableArguments {
    name: SubscriptionName,
    /// Why, for those who wonder later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Does what was asked for with subscriptions.
pub async fn subscriptions(
    arguments: SubscriptionsArguments,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    match arguments.action.unwrap_or(Action::List(arguments.common)) {
        Action::List(common) => list(common, global, output).await,
        Action::Show(Named { name, common }) => {
            let view: SubscriptionView = common.service.connect(global)?.get(&path(&name, ""), &[]).await?;
            if common.json { output.json(&view) } else { print(&view, output) }
        }
        Action::Add(arguments) => add::add(arguments, global, output).await,
        Action::Remove(Named { name, common }) => {
            common.service.connect(global)?.delete(&path(&name, "")).await?;
            if common.json {
                return output.json(&json!({ "removed": name }));
            }
            output.line(format_args!("{name} is removed; what waits for it is not delivered any more"))
        }
        Action::Test(arguments) => test::test(arguments, global, output).await,
        Action::Rotate(arguments) => rotate(arguments, global, output).await,
        Action::Enable(Named { name, common }) => {
            let client = common.service.connect(global)?;
            let view: SubscriptionView = client.post(&path(&name, "/enable"), &json!({})).await?;
            if common.json { output.json(&view) } else { output.line(format_args!("{name} is enabled")) }
        }
        Action::Disable(DisableArguments { name, reason, common }) => {
            let client = common.service.connect(global)?;
            let view: SubscriptionView = client.post(&path(&name, "/disable"), &DisableRequest { reason }).await?;
            if common.json {
                return output.json(&view);
            }
            output.line(format_args!(
                "{name} is disabled: what it would be sent waits until `pollhook subscriptions enable {name}`"
            ))
        }
    }
}

/// Returns the path of a subscription, or of something below it.
fn path(name: &SubscriptionName, below: &str) -> String {
    format!("/v1/subscriptions/{name}{below}")
}

/// Returns all subscriptions of the service, by name.
pub async fn all(client: &ServiceClient) -> Result<Vec<SubscriptionView>, Failure> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let part: List<SubscriptionView> = client.get("/v1/subscriptions", &[("after", after)]).await?;
        all.extend(part.data);
        after = part.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn list(common: Common, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let subscriptions = all(&common.service.connect(global)?).await?;
    if common.json {
        return output.json(&List::whole(subscriptions));
    }
    if subscriptions.is_empty() {
        return output.line(
            "no subscriptions: nobody is told of anything\n`pollhook subscriptions add NAME --url URL` makes one, or \
             [subscriptions.NAME] in the configuration",
        );
    }
    let rows = subscriptions.iter().map(|one| {
        [
            Cell::from(&one.name),
            Cell::painted(colour(one.status), one.status.as_str()),
            Cell::from(match one.origin.as_str() {
                "api" => "added",
                _ => "configured",
            }),
            Cell::from(&one.format),
            Cell::from(&one.order),
            one.rate.as_deref().unwrap_or("-").into(),
            Cell::from(&one.url),
            bounded(one.deliveries.waiting + one.deliveries.retrying).into(),
            bounded(one.deliveries.dead).into(),
        ]
    });
    output.table(["SUBSCRIPTION", "STATUS", "FROM", "FORMAT", "ORDER", "RATE", "URL", "WAITING", "DEAD"], rows)?;
    let news: Vec<String> = subscriptions.iter().flat_map(news).collect();
    if !news.is_empty() {
        output.line("")?;
    }
    news.iter().try_for_each(|line| output.line(line))
}

fn print(view: &SubscriptionView, output: &mut Output) -> Result<(), Failure> {
    let all_or = |list: &[String]| if list.is_empty() { "all".to_owned() } else { list.join(", ") };
    let status = output.paint(colour(view.status), view.status.as_str());
    let made = view.made.as_ref();
    let origin = match made {
        Some(made) => format!(
            "added {}, revision {} of {}",
            time(Some(made.created_at)),
            made.revision,
            time(Some(made.changed_at))
        ),
        None => "the configuration file".to_owned(),
    };
    let deliveries = &view.deliveries;
    let fields = [
        ("subscription", Some(view.name.to_string())),
        ("status", Some(status)),
        ("url", Some(view.url.clone())),
        ("from", Some(origin)),
        ("connectors", Some(all_or(&view.connectors))),
        ("events", Some(all_or(&view.events))),
        ("format", Some(view.format.clone())),
        ("signature", Some(view.signature.clone())),
        ("order", Some(view.order.clone())),
        ("rate", view.rate.clone()),
        ("failing", view.failing_since.map(|since| format!("since {}", time(Some(since))))),
        ("waiting", Some(bounded(deliveries.waiting))),
        ("retrying", Some(bounded(deliveries.retrying))),
        ("dead", Some(bounded(deliveries.dead))),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            output.line(format_args!("{name:<12} {value}"))?;
        }
    }
    if let Some(made) = made {
        output.line("\nas it was added:")?;
        output.json(&made.definition)?;
    }
    let news = news(view);
    if !news.is_empty() {
        output.line("")?;
    }
    news.iter().try_for_each(|line| output.line(line))
}

async fn rotate(arguments: RotateArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let RotateArguments { name, overlap, secret, common } = arguments;
    let client = common.service.connect(global)?;
    let request = RotateRequest { secret, overlap: Some(overlap) };
    let changed: ChangedSubscription = client.post(&path(&name, "/rotate"), &request).await?;
    if common.json {
        return output.json(&changed);
    }
    let secret = match &changed.secret {
        Some(secret) => format!("{name} has a new secret, which is not shown again:\n\n    {secret}\n"),
        None => format!("{name} has the secret that you gave"),
    };
    output.line(secret)?;
    let until = time(changed.former_until);
    if changed.subscription.signature == "standard" {
        return output
            .line(format_args!("the former ones sign as well until {until}; give the new one to the receiver before"));
    }
    output.line(format_args!("the former one signs until {until}, and the new one from then on"))
}
