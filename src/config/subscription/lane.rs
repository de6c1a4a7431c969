//! How a subscription's deliveries are spaced, ordered and repeated.

use std::time::Duration;

use crate::config::reader::{Fields, duration, one_or_list, wrong_type};
use crate::config::tree::{Node, NodeValue};
use crate::model::lane::{BreakerPolicy, LanePolicy, Order, WhenBlocked};
use crate::model::retry::{RetryPolicy, StatusRange};

/// Reads what the lane keeps to.
pub(super) fn lane(fields: &Fields<'_>) -> Option<LanePolicy> {
    let concurrency = fields.count("concurrency").and_then(|count| usize::try_from(count).ok());
    // What is wrong was reported, so that nobody goes by what is missing here for it.
    let rate = fields.rate("rate");
    let burst = fields.count("burst").and_then(|count| u32::try_from(count).ok());
    if let (Some(entry), None) = (fields.entry("burst"), fields.entry("rate")) {
        let help = "write how many are sent in the long run, such as rate = \"50/s\"";
        fields.report.error_with_help(entry.key_place, "`burst` needs a `rate`", help);
    }
    let order = fields.choice("order", &[Order::None, Order::Item, Order::All]);
    if let (Some(entry), Some(Order::All)) = (fields.entry("concurrency"), order) {
        let help = "leave `concurrency` out, or write order = \"item\"";
        let message = "with order = \"all\" there is one attempt at a time, whatever the concurrency is";
        fields.report.warning(entry.key_place, message, Some(help.to_owned()));
    }
    check_batch(fields, order);
    let when_blocked = when_blocked(fields, order);
    let (breaker, disable_after) = (breaker(fields), disable_after(fields));
    Some(LanePolicy {
        concurrency: concurrency?,
        rate,
        burst,
        order: order?,
        when_blocked: when_blocked?,
        breaker,
        disable_after,
    })
}

/// Reads when failed deliveries are attempted again.
pub(super) fn retry(fields: &Fields<'_>) -> Option<RetryPolicy> {
    let policy = match fields.entry("retry") {
        Some(_) => fields.durations("retry").map(RetryPolicy::new),
        None => Some(RetryPolicy::default()),
    };
    let give_up_after = fields.duration("give_up_after");
    let nodes = fields.entry("give_up_on").map_or(&[][..], |entry| one_or_list(&entry.node));
    let give_up_on = nodes.iter().filter_map(|node| statuses(fields, node)).collect();
    let mut policy = policy?;
    (policy.give_up_after, policy.give_up_on) = (give_up_after, give_up_on);
    Some(policy)
}

/// Reports a batch in a lane that has an order.
fn check_batch(fields: &Fields<'_>, order: Option<Order>) {
    let word = match order {
        Some(Order::Item) => "item",
        Some(Order::All) => "all",
        Some(Order::None) | None => return,
    };
    if let Some(entry) = fields.entry("batch") {
        let message = format!("`batch` and order = \"{word}\" exclude each other");
        let help = "a batch is acknowledged or repeated as a whole, so its events cannot wait for others one by one; leave one \
                    of them out";
        fields.report.error_with_help(entry.key_place, message, help);
    }
}

fn when_blocked(fields: &Fields<'_>, order: Option<Order>) -> Option<WhenBlocked> {
    let when_blocked = fields.choice("when_blocked", &[WhenBlocked::Skip, WhenBlocked::Wait])?;
    let Some(entry) = fields.entry("when_blocked") else { return Some(when_blocked) };
    let report = fields.report;
    if order == Some(Order::None) {
        let help = "without an order nothing waits for anything: write order = \"item\" or \"all\", or leave it out";
        report.error_with_help(entry.key_place, "`when_blocked` needs an `order`", help);
    }
    if when_blocked == WhenBlocked::Wait {
        if let Some(give_up) = fields.entry("give_up_after") {
            let message = "`give_up_after` and when_blocked = \"wait\" exclude each other";
            let help = "a lane that waits for its head never gives it up; leave one of them out";
            report.error_with_help(give_up.key_place, message, help);
        }
        if let Some(retry) = fields.entry("retry")
            && matches!(&retry.node.value, NodeValue::List(waits) if waits.is_empty())
        {
            let help = "the last wait is repeated for ever: write at least one, such as retry = [\"5s\", \"5m\"]";
            report.error_with_help(retry.node.place, "when_blocked = \"wait\" needs a wait between attempts", help);
        }
    }
    Some(when_blocked)
}

fn breaker(fields: &Fields<'_>) -> Option<BreakerPolicy> {
    let Some(entry) = fields.entry("breaker") else { return Some(BreakerPolicy::default()) };
    match entry.node.value {
        NodeValue::Boolean(false) => return None,
        NodeValue::Table(_) => {}
        _ => {
            wrong_type(fields.report, &entry.node, "a table, or `false`");
            return None;
        }
    }
    let fields = fields.table("breaker")?;
    let failure_percent = failure_percent(&fields);
    let attempts = fields.count("attempts").and_then(|count| u32::try_from(count).ok());
    let (rest, longest_rest) = (fields.duration("rest"), fields.duration("longest_rest"));
    if let (Some(rest), Some(longest), Some(place)) =
        (rest, longest_rest, fields.entry("longest_rest").or(fields.entry("rest")))
        && longest < rest
    {
        fields.report.error(place.node.place, "`longest_rest` must be at least `rest`");
    }
    Some(BreakerPolicy {
        failure_percent: failure_percent?,
        attempts: attempts?,
        rest: rest?,
        longest_rest: longest_rest?,
    })
}

fn failure_percent(fields: &Fields<'_>) -> Option<u8> {
    let text = fields.text("failure_rate")?;
    let percent = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<u8>().ok());
    let percent = percent.filter(|percent| (1..=100).contains(percent));
    if let (None, Some(entry)) = (percent, fields.entry("failure_rate")) {
        fields.report.error(entry.node.place, "not a share: write a whole number from \"1%\" to \"100%\"");
    }
    percent
}

fn disable_after(fields: &Fields<'_>) -> Option<Duration> {
    let Some(entry) = fields.entry("disable_after") else { return LanePolicy::default().disable_after };
    match &entry.node.value {
        NodeValue::Boolean(false) => None,
        NodeValue::Text(_) => duration(fields.report, &entry.node, "1h", "366d"),
        _ => {
            wrong_type(fields.report, &entry.node, "an amount of time such as \"5d\", or `false`");
            None
        }
    }
}

fn statuses(fields: &Fields<'_>, node: &Node) -> Option<StatusRange> {
    let range = match &node.value {
        NodeValue::Integer(status) => StatusRange::single(u64::try_from(*status).unwrap_or(0)),
        NodeValue::Text(text) => text.parse(),
        _ => {
            wrong_type(fields.report, node, "a status such as 422 or \"4xx\"");
            return None;
        }
    };
    range.map_err(|error| fields.report.error(node.place, error.to_string())).ok()
}
