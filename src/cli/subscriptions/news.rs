//! What is not as it should be with a subscription: what it is, and what to do.

use crate::cli::output::Colour;
use crate::cli::status::time;
use crate::server::wire::{LaneStatus, SubscriptionView};

/// Returns the colour of a status.
pub fn colour(status: LaneStatus) -> Colour {
    match status {
        LaneStatus::Ok => Colour::Green,
        LaneStatus::Retrying | LaneStatus::Paused => Colour::Yellow,
        LaneStatus::Failing | LaneStatus::Disabled => Colour::Red,
    }
}

/// Returns a line for each thing that is not as it should be.
pub fn news(view: &SubscriptionView) -> Vec<String> {
    let name = &view.name;
    let mut lines = Vec::new();
    let since = view.failing_since.map(|since| format!(" since {}", time(Some(since))));
    let since = since.as_deref();
    if let Some(disabled) = &view.disabled {
        lines.push(format!(
            "{name} is disabled since {}: {}. What it would be sent waits; `pollhook subscriptions enable {name}` sends it, \
             and so does another url",
            time(Some(disabled.at)),
            disabled.reason
        ));
    } else if let Some(open) = &view.breaker {
        lines.push(format!(
            "{name} fails{}: nothing is sent until {}, then a single attempt. `pollhook subscriptions test {name}` shows \
             why, `pollhook subscriptions enable {name}` goes on at once",
            since.map_or_else(|| format!(" since {}", time(Some(open.since))), str::to_owned),
            time(Some(open.until))
        ));
    } else if let Some(until) = view.paused_until {
        lines.push(format!("{name} is paused until {}: its receiver asked for it", time(Some(until))));
    } else if let Some(since) = since {
        lines.push(format!(
            "{name} has acknowledged nothing{since}; `pollhook subscriptions test {name}` shows what it answers"
        ));
    }
    if view.deliveries.dead > 0 {
        lines.push(format!("{name} has dead letters: `pollhook replay --dead {name}` queues them again"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(amiss: Value, expected: &[&str]) {
        let mut view = json!({
            "name": "erp", "url": "http://erp/", "origin": "api", "status": "ok",
            "deliveries": {"waiting": 0, "retrying": 0, "dead": 0},
        });
        let (Value::Object(view_fields), Value::Object(amiss)) = (&mut view, amiss) else { panic!("objects") };
        view_fields.extend(amiss);
        assert_eq!(news(&serde_json::from_value(view).expect("a view")), expected);
    }

    #[test]
    fn what_is_amiss_is_said_with_what_to_do() {
        let (since, until) = ("2026-11-20T12:00:00Z", "2026-11-20T12:05:00Z");
        check(json!({}), &[]);
        check(
            json!({"disabled": {"at": since, "reason": "gone", "url": "x"}, "deliveries": {"waiting": 1, "retrying": 0, "dead": 1}}),
            &[
                "erp is disabled since 2026-11-20 12:00:00Z: gone. What it would be sent waits; `pollhook subscriptions enable \
                 erp` sends it, and so does another url",
                "erp has dead letters: `pollhook replay --dead erp` queues them again",
            ],
        );
        check(
            json!({"breaker": {"since": since, "until": until, "failed_trials": 2}}),
            &[
                "erp fails since 2026-11-20 12:00:00Z: nothing is sent until 2026-11-20 12:05:00Z, then a single attempt. \
               `pollhook subscriptions test erp` shows why, `pollhook subscriptions enable erp` goes on at once",
            ],
        );
        check(json!({"paused_until": until}), &["erp is paused until 2026-11-20 12:05:00Z: its receiver asked for it"]);
        check(
            json!({"failing_since": since}),
            &[
                "erp has acknowledged nothing since 2026-11-20 12:00:00Z; `pollhook subscriptions test erp` shows what it \
               answers",
            ],
        );
    }
}
