//! Carries replays out: takes those that run in turn, step by step.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::registry::Registry;
use crate::clock::SharedClock;
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::limits::Rate;
use crate::model::replay::{Replay, ReplayState};
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::{Candidate, LARGEST_REPLAY_STEP, LookBounds, ReplayStep, ReplayStore, SharedStore, StoreError};
use crate::telemetry::SharedTelemetry;

/// What carrying out replays needs.
#[derive(Clone)]
pub struct ReplayContext {
    pub store: SharedStore,
    pub clock: SharedClock,
    pub registry: Arc<Registry>,
    pub telemetry: SharedTelemetry,
}

/// How many replays are carried out side by side; the others wait.
const SIDE_BY_SIDE: usize = 100;

/// How much one step looks at: little enough that it takes but milliseconds and a few megabytes.
const LOOKED_AT: usize = 1_000;
const BYTES_READ: usize = 4 << 20;

/// The least wait between two steps of a replay, so that those that find nothing leave the store to others.
const BETWEEN_STEPS: Duration = Duration::from_millis(5);

/// Carries out replays until it is told to stop. Dropping it at any point loses nothing, and repeats nothing: each step
/// is durable with what it queued.
pub async fn run(context: ReplayContext, stop: CancellationToken) -> Result<(), StoreError> {
    let wake = context.store.replay_wake();
    loop {
        let woken = wake.notified();
        let mut next: Option<Timestamp> = None;
        for replay in context.store.running_replays(SIDE_BY_SIDE).await? {
            if stop.is_cancelled() {
                return Ok(());
            }
            let is_due = replay.next_step_at <= context.clock.now();
            let replay = if is_due { take_step(&context, replay).await? } else { replay };
            if replay.is_running() {
                next = Some(next.unwrap_or(replay.next_step_at).min(replay.next_step_at));
            }
        }
        let earliest = context.clock.now() + BETWEEN_STEPS;
        let pause = async {
            tokio::select! {
                () = context.clock.sleep_until(next.unwrap_or(Timestamp::LAST).max(earliest)) => {}
                () = woken => {}
            }
        };
        if stop.run_until_cancelled(pause).await.is_none() {
            return Ok(());
        }
    }
}

/// Makes the next step of a replay, or ends it if nobody is there to get anything.
async fn take_step(context: &ReplayContext, replay: Replay) -> Result<Replay, StoreError> {
    let ReplayContext { store, clock, registry, telemetry } = context;
    let target = replay.selection.target();
    let Some(subscription) = registry.present().get(target).cloned() else {
        let cause = format!("there is no subscription {target} any more");
        let replay = store.end_replay(replay.id, ReplayState::Failed, Some(cause), clock.now()).await?;
        telemetry.deliver.replay_ended(&replay);
        return Ok(replay);
    };
    let bounds = LookBounds { found: at_once(replay.rate), looked_at: LOOKED_AT, bytes: BYTES_READ };
    let look = store.look_for_replay(&replay, bounds).await?;
    let queue = wanted(&subscription, look.found).map(|candidate| candidate.id).collect();
    let step = ReplayStep {
        pause_each: replay.rate.per / replay.rate.count,
        replay,
        queue,
        looked_at: look.looked_at,
        after: look.after,
        now: clock.now(),
    };
    let before = step.replay.queued;
    let replay = store.step_replay(step).await?;
    telemetry.deliver.replayed(&subscription.name, replay.queued.saturating_sub(before));
    if !replay.is_running() {
        telemetry.deliver.replay_ended(&replay);
    }
    Ok(replay)
}

/// Returns how many deliveries one step queues: no more than a second's, so that a slow rate is not kept in bursts.
fn at_once(rate: Rate) -> usize {
    let of_a_second = u128::from(rate.count) * 1000 / rate.per.as_millis().max(1);
    usize::try_from(of_a_second).unwrap_or(usize::MAX).clamp(1, LARGEST_REPLAY_STEP)
}

/// Leaves those that the target wants: what it got before, it wanted then.
fn wanted(subscription: &Subscription, found: Vec<Candidate>) -> impl Iterator<Item = Candidate> {
    found.into_iter().filter(|candidate| candidate.event.as_ref().is_none_or(|event| wants(subscription, event)))
}

fn wants(subscription: &Subscription, event: &Event) -> bool {
    let matching = &subscription.matching;
    if matching.check_kind(event).is_err() {
        return false;
    }
    if matching.filter.is_none() {
        return true;
    }
    let json = serde_json::to_value(event).expect("an event is written without errors");
    matching.check_filter(&json).is_ok()
}

/// What a replay would queue, as far as it was looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    pub count: usize,
    /// Whether everything was looked at, so that the count is right now.
    pub is_whole: bool,
    pub looked_at: usize,
    /// Some of the events.
    pub examples: Vec<EventId>,
}

/// The most that a preview looks at, in all and in a part.
const PREVIEWED: usize = 20_000;
const PREVIEWED_BYTES: usize = 64 << 20;

/// How many examples a preview gives.
const EXAMPLES: usize = 5;

/// Tells what a replay would queue for a subscription, without queueing anything; looks at a bounded part of it.
pub async fn preview(
    store: &dyn ReplayStore,
    subscription: &Subscription,
    mut replay: Replay,
) -> Result<Preview, StoreError> {
    let mut preview = Preview::default();
    let mut bytes = 0;
    while preview.looked_at < PREVIEWED && bytes < PREVIEWED_BYTES {
        let bounds = LookBounds { found: LOOKED_AT, looked_at: LOOKED_AT, bytes: BYTES_READ };
        let look = store.look_for_replay(&replay, bounds).await?;
        preview.looked_at += look.looked_at;
        bytes += look.found.iter().filter_map(|found| found.event.as_ref()).map(|event| event.size()).sum::<usize>();
        for candidate in wanted(subscription, look.found) {
            preview.count += 1;
            if preview.examples.len() < EXAMPLES {
                preview.examples.push(candidate.id);
            }
        }
        match look.after {
            Some(_) => replay.after = look.after,
            None => {
                preview.is_whole = true;
                break;
            }
        }
    }
    Ok(preview)
}
