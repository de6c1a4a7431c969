//! One connector: what is wrong with it and what to do, and its last polls.

use std::time::Duration;

use super::{colour, time};
use crate::cli::check::counted;
use crate::cli::failure::Failure;
use crate::cli::output::{Cell, Colour, Output};
use crate::model::id::ConnectorName;
use crate::model::pagination::PagePosition;
use crate::model::poll_record::{NextReason, PollRecord};
use crate::model::quantity::{ByteSize, format_duration};
use crate::model::time::Timestamp;
use crate::server::wire::ConnectorView;
use crate::store::{Hold, Pass};

/// Prints a connector and its last polls.
pub fn print(view: &ConnectorView, polls: &[PollRecord], output: &mut Output) -> Result<(), Failure> {
    let status = output.paint(colour(view.status), view.status.as_str());
    let at = |at: Option<Timestamp>| at.map(|at| time(Some(at)));
    let never = || "never".to_owned();
    let next = view.next_poll.map(|next| match reason(next.because) {
        "" => time(Some(next.at)),
        because => format!("{}, {because}", time(Some(next.at))),
    });
    let fields = [
        ("connector", Some(view.name.to_string())),
        ("title", view.title.clone()),
        ("element", view.element.as_ref().map(ToString::to_string)),
        ("status", Some(status)),
        ("schedule", Some(view.schedule.clone())),
        ("interval", view.interval.map(|millis| format_duration(Duration::from_millis(millis)))),
        ("polled", Some(at(view.polled_at).unwrap_or_else(never))),
        ("succeeded", Some(at(view.succeeded_at).unwrap_or_else(never))),
        ("changed", at(view.changed_at.filter(|_| view.succeeded_at.is_some()))),
        ("next", next),
        ("items", Some(view.items.to_string())),
        ("cursor", view.cursor.clone()),
        ("reconciled", at(view.reconciled_at)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            output.line(format_args!("{name:<11} {value}"))?;
        }
    }
    let news = news(view);
    if !news.is_empty() {
        output.line("")?;
    }
    news.iter().try_for_each(|line| output.line(line))?;
    if polls.is_empty() {
        return Ok(());
    }
    output.line("")?;
    print_polls(view, polls, output)
}

/// Returns a line for each thing that is not as it should be: what it is, and what to do.
pub fn news(view: &ConnectorView) -> Vec<String> {
    let name = &view.name;
    let mut lines = Vec::new();
    if view.failures > 0 {
        lines.push(failing(view));
    }
    if let Some(hold) = &view.hold {
        let Hold { since, cause, created, updated, removed } = hold;
        lines.push(format!(
            "{name}: {} are held since {}: {cause}. `pollhook approve {name}` sends them, `pollhook drop {name}` \
             forgets them, `pollhook baseline {name}` takes them as seen",
            kinds(*created, *updated, *removed),
            time(Some(*since)),
        ));
    }
    if let Some(pass) = &view.pass {
        lines.push(format!("{name}: {}", behind(pass)));
    }
    if view.awaiting_detail > 0 {
        let items = counted(usize::try_from(view.awaiting_detail).unwrap_or(usize::MAX), "item");
        lines.push(format!(
            "{name}: the detail of {items} could not be had, so nothing is sent of that yet; each poll asks again"
        ));
    }
    if view.baseline_next {
        lines.push(format!("{name}: what its next complete poll finds is taken as seen and not sent, as was asked"));
    }
    if view.is_silent {
        let since = time(view.changed_at);
        lines.push(format!(
            "{name}: no change since {since}, longer than `limits.silence`; does the source still work?"
        ));
    }
    lines.extend(view.warnings.iter().map(|warning| format!("{name}: {warning}")));
    lines
}

fn failing(view: &ConnectorView) -> String {
    let name = &view.name;
    let error = view.error.as_deref().unwrap_or("no cause was recorded");
    let error = without_name(name, error);
    let since = time(view.failing_since.or(view.polled_at));
    let times = match view.failures {
        1 => format!("failed at {since}"),
        failures => format!("failed {failures} times in a row since {since}"),
    };
    let asked = match (view.not_before, view.polled_at) {
        (Some(not_before), Some(polled_at)) if not_before > polled_at => {
            format!("; it asked not to be polled before {}", time(Some(not_before)))
        }
        _ => String::new(),
    };
    format!("{name}: {times}: {error}{asked}. To look closer: `pollhook try {name}`")
}

fn behind(pass: &Pass) -> String {
    let position = match &pass.position {
        PagePosition::First => "from the start".to_owned(),
        PagePosition::Number(page) => format!("at page {page}"),
        PagePosition::Offset(items) => format!("after {items} items"),
        PagePosition::Url(url) => format!("at {url}"),
        PagePosition::Token(_) => "where it stopped".to_owned(),
    };
    format!(
        "behind since {}: it has more pages than one poll may read (`pagination.max_pages`); {} so far, and the next one \
         goes on {position}",
        time(Some(pass.since)),
        counted(pass.polls as usize, "poll"),
    )
}

/// Returns how many changes of each kind there are, in words.
pub fn kinds(created: u64, updated: u64, removed: u64) -> String {
    let counts = [(created, "created"), (updated, "updated"), (removed, "removed")];
    let present: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    match present.split_last() {
        None => "no changes".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn print_polls(view: &ConnectorView, polls: &[PollRecord], output: &mut Output) -> Result<(), Failure> {
    let rows = polls.iter().map(|poll| {
        let outcome = match poll.outcome.as_str() {
            "failed" => Colour::Red,
            "partial" | "truncated" => Colour::Yellow,
            _ => Colour::Green,
        };
        [
            Cell::from(time(Some(poll.at))),
            Cell::painted(outcome, &*poll.outcome),
            poll.pages.into(),
            poll.requests.into(),
            ByteSize(poll.bytes).into(),
            if poll.outcome == "unchanged" { "-".into() } else { poll.items.into() },
            changes(poll).into(),
            took(poll.elapsed).into(),
            next(poll).into(),
        ]
    });
    output.table(["POLL", "OUTCOME", "PAGES", "REQUESTS", "BYTES", "ITEMS", "CHANGES", "TOOK", "NEXT"], rows)?;
    // What went on from poll to poll is said once, and what goes on still was said above.
    let mut said: Vec<String> = view.error.iter().chain(&view.warnings).cloned().collect();
    let mut gap = "\n";
    for poll in polls {
        let mut why: Vec<String> = poll.cause.iter().chain(&poll.notes).cloned().collect();
        why.dedup_by(|later, earlier| later.contains(&*earlier));
        let news: Vec<&str> =
            why.iter().filter(|text| !said.contains(text)).map(|text| without_name(&view.name, text)).collect();
        if !news.is_empty() {
            output.line(format_args!("{gap}{} {}: {}", time(Some(poll.at)), poll.outcome, news.join("; ")))?;
            gap = "";
        }
        said.extend(why);
    }
    Ok(())
}

/// Returns a text without the connector's name in front, which the log needs but not what is printed about one.
fn without_name<'t>(name: &ConnectorName, text: &'t str) -> &'t str {
    let rest = text.strip_prefix("connector ").and_then(|rest| rest.strip_prefix(name.as_str()));
    rest.and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text)
}

fn changes(poll: &PollRecord) -> String {
    let PollRecord { created, updated, removed, held, .. } = poll;
    let sent = match created + updated + removed {
        0 => "-".to_owned(),
        _ => format!("+{created} ~{updated} -{removed}"),
    };
    match (held, sent.as_str()) {
        (0, _) => sent,
        (held, "-") => format!("{held} held"),
        (held, _) => format!("{sent}, {held} held"),
    }
}

/// Returns a time in milliseconds, as exactly as people want to know it.
fn took(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        _ => format_duration(Duration::from_secs(millis / 1000)),
    }
}

fn next(poll: &PollRecord) -> String {
    let Some(next) = poll.next else { return "never".to_owned() };
    let whole = time(Some(next));
    let same_day = next.to_utc().date_naive() == poll.at.to_utc().date_naive();
    let shown = if same_day { next.to_utc().format("%H:%M:%SZ").to_string() } else { whole };
    match reason(poll.next_because) {
        "" => shown,
        because => format!("{shown}, {because}"),
    }
}

fn reason(because: NextReason) -> &'static str {
    match because {
        NextReason::Schedule => "",
        NextReason::Adaptive => "as often as it changes",
        NextReason::Backoff => "later after failures",
        NextReason::AskedToWait => "as it asked to wait",
        NextReason::Behind => "to go on",
    }
}
