//! `pollhook replay`: queueing past events again, or for somebody who did not get them.

use std::time::Duration;

use clap::ValueEnum;

use super::Global;
use super::check::counted;
use super::client::{ServiceClient, ServiceOptions};
use super::failure::Failure;
use super::output::{Cell, Colour, Output};
use super::status::time;
use super::when::{EventOptions, When};
use crate::clock::{SharedClock, SystemClock};
use crate::model::id::{DeliveryId, SubscriptionName};
use crate::model::limits::Rate;
use crate::model::pattern::Pattern;
use crate::model::replay::{ReplayId, ReplayState, SettledAs, WrittenSelection};
use crate::server::wire::{DryRun, List, ReplayAnswer, ReplayRequest, ReplayView};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
#[command(group = clap::ArgGroup::new("alone").args(["ids", "dead", "list", "show", "cancel"]).conflicts_with("selecting"))]
#[command(group = clap::ArgGroup::new("selecting").args(["subscription", "to"]).multiple(true))]
pub struct ReplayArguments {
    /// The deliveries to queue again, whatever became of them
    #[arg(group = "what", value_name = "ID")]
    ids: Vec<DeliveryId>,
    /// Queue all dead letters of this subscription again
    #[arg(long, value_name = "SUBSCRIPTION", group = "what")]
    dead: Option<SubscriptionName>,
    /// Queue deliveries of this subscription again: its dead letters, or those in `--state`
    #[arg(long, value_name = "NAME", group = "what")]
    subscription: Option<SubscriptionName>,
    /// Queue past events for this subscription that it did not get; with `--subscription`, only those that went there
    #[arg(long, value_name = "NAME", group = "what")]
    to: Option<SubscriptionName>,
    #[command(flatten)]
    events: EventOptions,
    /// Only deliveries settled so; without `--subscription`, also those of `--to` that are settled so
    #[arg(long, value_name = "STATE", requires = "selecting")]
    state: Option<State>,
    /// How many are queued in how long, at most [default: 500/s]
    #[arg(long, value_name = "RATE", conflicts_with_all = ["ids", "list", "show", "cancel"])]
    rate: Option<Rate>,
    /// Tell what would be queued, and queue nothing
    #[arg(long, conflicts_with_all = ["ids", "list", "show", "cancel"])]
    dry_run: bool,
    /// Wait until all is queued, and show how far it has come
    #[arg(long, conflicts_with_all = ["ids", "list", "cancel", "dry_run"])]
    wait: bool,
    /// Make no second replay if this key was given to the same request in the last 24 hours
    #[arg(long, value_name = "KEY", conflicts_with_all = ["ids", "list", "show", "cancel", "dry_run"])]
    idempotency_key: Option<String>,
    /// List replays, the newest first
    #[arg(long, group = "what")]
    list: bool,
    /// Show a replay
    #[arg(long, value_name = "REPLAY", group = "what")]
    show: Option<ReplayId>,
    /// End a replay that runs; what it has queued stays queued
    #[arg(long, value_name = "REPLAY", group = "what")]
    cancel: Option<ReplayId>,
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How deliveries are settled, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Dead,
    Delivered,
    All,
}

/// How often a replay that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Asks the service to queue deliveries, or how it gets on with that.
pub async fn replay(arguments: ReplayArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let clock = SystemClock::shared();
    let request = arguments.request(&clock);
    let ReplayArguments { ids, list, show, cancel, dry_run, wait, json, idempotency_key, service, .. } = arguments;
    let client = service.connect(global)?;
    if !ids.is_empty() {
        return queue_each(&client, &ids, json, output).await;
    }
    if list {
        let list: List<ReplayView> = client.get("/v1/replays", &[]).await?;
        return if json { output.json(&list) } else { print_list(&list, output) };
    }
    if dry_run {
        let answer: DryRun = client.post("/v1/replays", &request).await?;
        return if json { output.json(&answer) } else { print_dry_run(&answer, output) };
    }
    let mut view: ReplayView = match (show, cancel) {
        (Some(id), _) => client.get(&format!("/v1/replays/{id}"), &[]).await?,
        (None, Some(id)) => client.post(&format!("/v1/replays/{id}/cancel"), &serde_json::Map::new()).await?,
        (None, None) => client.post_once("/v1/replays", &request, idempotency_key.as_deref()).await?,
    };
    if wait {
        view = wait_for(&client, &clock, view, output).await?;
    }
    match (json, show.is_some()) {
        (true, _) => output.json(&view)?,
        (false, true) => print_whole(&view, output)?,
        (false, false) => output.line(in_words(&view))?,
    }
    if wait && view.state != ReplayState::Done { Err(Failure::Said) } else { Ok(()) }
}

impl ReplayArguments {
    fn request(&self, clock: &SharedClock) -> ReplayRequest {
        let now = clock.now();
        let at = |when: Option<When>| when.map(|when| when.seen_from(now));
        let state = self.state.map(|state| match state {
            State::Dead => SettledAs::Dead,
            State::Delivered => SettledAs::Delivered,
            State::All => SettledAs::All,
        });
        // With further conditions, the dead letters of a subscription are a selection like others.
        let narrowed = self.events.is_given();
        let (dead_of, dead) = if narrowed { (None, self.dead.clone()) } else { (self.dead.clone(), None) };
        ReplayRequest {
            delivery: None,
            dead_of,
            subscription: self.subscription.clone().or(dead),
            to: self.to.clone(),
            connector: self.events.connector.clone(),
            event_type: self.events.event_type.as_deref().map(Pattern::new),
            from: at(self.events.from),
            until: at(self.events.until),
            state,
            rate: self.rate,
            dry_run: self.dry_run,
        }
    }
}

async fn queue_each(
    client: &ServiceClient,
    ids: &[DeliveryId],
    json: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut queued = 0;
    for id in ids {
        let request = ReplayRequest { delivery: Some(id.clone()), ..ReplayRequest::default() };
        match client.post::<ReplayAnswer>("/v1/replays", &request).await {
            Ok(answer) => queued += answer.queued,
            Err(Failure::Failed(text)) if ids.len() > 1 => output.error(&text),
            Err(failure) => return Err(failure),
        }
    }
    if json {
        output.json(&ReplayAnswer { queued })?;
    } else {
        output.line(format_args!("queued {} again", counted(queued, "delivery")))?;
    }
    if queued == ids.len() { Ok(()) } else { Err(Failure::Said) }
}

/// Waits until a replay has ended, and says now and then how far it has come.
async fn wait_for(
    client: &ServiceClient,
    clock: &SharedClock,
    mut view: ReplayView,
    output: &mut Output,
) -> Result<ReplayView, Failure> {
    let mut said = None;
    while view.state == ReplayState::Running {
        clock.sleep_until(clock.now() + LOOK_EVERY).await;
        view = client.get(&format!("/v1/replays/{}", view.id), &[]).await?;
        if view.state == ReplayState::Running && said != Some(view.queued) {
            output.say(&format!("{}: {}", view.id, progress(&view)));
            said = Some(view.queued);
        }
    }
    Ok(view)
}

fn progress(view: &ReplayView) -> String {
    let of = view.of.map(|of| format!(" of {of}")).unwrap_or_default();
    format!("queued {}, looked at {}{of}", view.queued, view.looked_at)
}

fn in_words(view: &ReplayView) -> String {
    let ReplayView { id, queued, .. } = view;
    let deliveries = counted(usize::try_from(*queued).unwrap_or(usize::MAX), "delivery");
    match view.state {
        ReplayState::Running => format!("{id} has begun; see how it gets on: pollhook replay --show {id}"),
        ReplayState::Done => format!("{id} is done: queued {deliveries}"),
        ReplayState::Cancelled => format!("{id} is cancelled: {deliveries} had been queued and stay so"),
        ReplayState::Failed => {
            let cause = view.cause.as_deref().unwrap_or("no cause was recorded");
            format!("{id} failed after it had queued {deliveries}: {cause}")
        }
    }
}

/// Says what a selection selects.
fn selected(selection: &WrittenSelection) -> String {
    let state = match selection.state {
        Some(SettledAs::Dead) => "dead letters",
        Some(SettledAs::Delivered) => "delivered",
        Some(SettledAs::All) => "settled deliveries",
        None => "events",
    };
    let whose = match (&selection.subscription, &selection.to) {
        (Some(subscription), None) => format!("{state} of {subscription}, again"),
        (Some(subscription), Some(to)) => format!("{state} of {subscription}, for {to}"),
        (None, Some(to)) if selection.state.is_none() => format!("past events, for {to}"),
        (None, Some(to)) => format!("past events, for {to}; its {state} again"),
        (None, None) => state.to_owned(),
    };
    let conditions = [
        selection.connector.as_ref().map(|connector| format!("of {connector}")),
        selection.event_type.as_ref().map(|event_type| format!("of type {event_type}")),
        selection.from.map(|from| format!("from {from}")),
        selection.until.map(|until| format!("until {until}")),
    ];
    std::iter::once(whose).chain(conditions.into_iter().flatten()).collect::<Vec<_>>().join("; ")
}

fn state_cell(state: ReplayState) -> (Colour, &'static str) {
    let colour = match state {
        ReplayState::Running => Colour::Yellow,
        ReplayState::Done => Colour::Green,
        ReplayState::Cancelled => Colour::Dim,
        ReplayState::Failed => Colour::Red,
    };
    (colour, state.as_str())
}

fn print_list(list: &List<ReplayView>, output: &mut Output) -> Result<(), Failure> {
    if list.data.is_empty() {
        return output.line("no replays");
    }
    let rows = list.data.iter().map(|view| {
        let (colour, state) = state_cell(view.state);
        let looked_at = match view.of {
            Some(of) => format!("{} of {of}", view.looked_at),
            None => view.looked_at.to_string(),
        };
        [
            Cell::from(view.id),
            Cell::painted(colour, state),
            Cell::from(view.queued),
            looked_at.into(),
            time(Some(view.created_at)).into(),
            selected(&view.selection).into(),
        ]
    });
    output.table(["REPLAY", "STATE", "QUEUED", "LOOKED AT", "MADE", "WHAT"], rows)
}

fn print_whole(view: &ReplayView, output: &mut Output) -> Result<(), Failure> {
    let (colour, state) = state_cell(view.state);
    let state = output.paint(colour, state);
    output.line(format_args!("replay     {}", view.id))?;
    output.line(format_args!("what       {}", selected(&view.selection)))?;
    output.line(format_args!("state      {state}"))?;
    if let Some(cause) = &view.cause {
        output.line(format_args!("cause      {cause}"))?;
    }
    output.line(format_args!("progress   {}", progress(view)))?;
    output.line(format_args!("rate       {}", view.rate))?;
    output.line(format_args!("made       {}", view.created_at))?;
    if let Some(at) = view.ended_at {
        output.line(format_args!("ended      {at}"))?;
    } else if let Some(at) = view.come_to {
        output.line(format_args!("come to    events of {at}"))?;
    }
    Ok(())
}

fn print_dry_run(answer: &DryRun, output: &mut Output) -> Result<(), Failure> {
    let deliveries = counted(answer.count, "delivery");
    if answer.at_least {
        output.line(format_args!("would queue at least {deliveries}; looked at the first {}", answer.looked_at))?;
    } else {
        output.line(format_args!("would queue {deliveries}"))?;
    }
    if answer.examples.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let rows = answer.examples.iter().map(|example| {
        [
            Cell::from(example.event),
            time(Some(example.time)).into(),
            Cell::from(&example.event_type),
            Cell::from(&example.key),
        ]
    });
    output.table(["FOR EXAMPLE", "TIME", "TYPE", "KEY"], rows)
}
