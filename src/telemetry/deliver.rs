//! What is observed of deliveries.

use std::hash::Hash;
use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tracing::{debug, error, info, warn};

use crate::model::delivery::Attempt;
use crate::model::expression::ExpressionError;
use crate::model::id::{DeliveryId, EventId, SubscriptionName};
use crate::model::quantity::format_duration;
use crate::model::replay::Replay;
use crate::model::time::Timestamp;
use crate::store::{ClaimedDelivery, StoreError, Verdict};

/// What is observed of deliveries.
#[derive(Debug)]
pub struct DeliverTelemetry {
    attempts: Family<AttemptLabels, Counter>,
    attempt_duration: Family<SubscriptionLabel, Histogram>,
    delay: Family<SubscriptionLabel, Histogram>,
    disabled: Family<SubscriptionLabel, Gauge>,
    pauses: Family<SubscriptionLabel, Counter>,
    rate_waits: Family<SubscriptionLabel, Counter>,
    breaker_openings: Family<SubscriptionLabel, Counter>,
    breaker_open: Family<SubscriptionLabel, Gauge>,
    batches: Family<SubscriptionLabel, Counter>,
    batched_events: Family<SubscriptionLabel, Counter>,
    filter_failures: Family<SubscriptionLabel, Counter>,
    replayed: Family<SubscriptionLabel, Counter>,
    store_failures: Family<SubscriptionLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubscriptionLabel {
    subscription: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    subscription: String,
    outcome: &'static str,
}

impl SubscriptionLabel {
    fn of(name: &SubscriptionName) -> Self {
        Self { subscription: name.as_str().to_owned() }
    }
}

impl DeliverTelemetry {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let durations = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let delays = || Histogram::new(exponential_buckets(0.001, 4.0, 14));
        let this = Self {
            attempts: Family::default(),
            attempt_duration: Family::new_with_constructor(durations),
            delay: Family::new_with_constructor(delays),
            disabled: Family::default(),
            pauses: Family::default(),
            rate_waits: Family::default(),
            breaker_openings: Family::default(),
            breaker_open: Family::default(),
            batches: Family::default(),
            batched_events: Family::default(),
            filter_failures: Family::default(),
            replayed: Family::default(),
            store_failures: Family::default(),
        };
        registry.register("delivery_attempts", "Attempts that were made, by what came of them", this.attempts.clone());
        registry.register_with_unit(
            "delivery_attempt_duration",
            "How long an attempt took, from connecting to the end of the answer",
            Unit::Seconds,
            this.attempt_duration.clone(),
        );
        registry.register_with_unit(
            "delivery_delay",
            "From the detection of a change to its acknowledgement by the receiver",
            Unit::Seconds,
            this.delay.clone(),
        );
        registry.register(
            "subscription_disabled",
            "1 while nothing is sent until the subscription is enabled again",
            this.disabled.clone(),
        );
        registry.register("lane_pauses", "How often a receiver asked to be left alone", this.pauses.clone());
        registry.register(
            "lane_rate_waits",
            "How often something that could be sent had to wait for the lane's rate",
            this.rate_waits.clone(),
        );
        registry.register(
            "lane_breaker_openings",
            "How often a lane stopped sending because its receiver failed",
            this.breaker_openings.clone(),
        );
        registry.register(
            "lane_breaker_open",
            "1 while only a trial is sent now and then, because the receiver fails",
            this.breaker_open.clone(),
        );
        registry.register("delivery_batches", "Batches that were made", this.batches.clone());
        registry.register("delivery_batched_events", "Events that were put into batches", this.batched_events.clone());
        registry.register("filter_failures", "Events that a filter failed on", this.filter_failures.clone());
        registry.register("replayed_deliveries", "Deliveries that replays of many queued", this.replayed.clone());
        registry.register(
            "lane_store_failures",
            "How often the store failed a lane, which then waits",
            this.store_failures.clone(),
        );
        this
    }

    /// A replay queued this many deliveries.
    pub fn replayed(&self, to: &SubscriptionName, count: u64) {
        if count > 0 {
            self.replayed.get_or_create(&SubscriptionLabel::of(to)).inc_by(count);
        }
    }

    /// A replay queues nothing more.
    pub fn replay_ended(&self, replay: &Replay) {
        let Replay { id, queued, .. } = replay;
        let to = replay.selection.target();
        match &replay.cause {
            Some(cause) => warn!(%id, subscription = %to, queued, "replay {id} failed: {cause}"),
            None => info!(%id, subscription = %to, queued, "replay {id} is done: it queued {queued} for {to}"),
        }
    }

    /// Returns what one lane observes of itself. A metric is made when there is something to say: lanes may be many, and
    /// most of them quiet.
    pub fn lane(&self, subscription: &SubscriptionName) -> LaneTelemetry {
        let label = SubscriptionLabel::of(subscription);
        let attempts = |outcome| {
            let label = AttemptLabels { subscription: label.subscription.clone(), outcome };
            OnDemand { family: self.attempts.clone(), label, metric: OnceLock::new() }
        };
        LaneTelemetry {
            subscription: subscription.clone(),
            delivered: attempts("delivered"),
            retried: attempts("retry"),
            dead: attempts("dead"),
            attempt_duration: OnDemand::of(&self.attempt_duration, &label),
            delay: OnDemand::of(&self.delay, &label),
            disabled: OnDemand::of(&self.disabled, &label),
            pauses: OnDemand::of(&self.pauses, &label),
            rate_waits: OnDemand::of(&self.rate_waits, &label),
            breaker_openings: OnDemand::of(&self.breaker_openings, &label),
            breaker_open: OnDemand::of(&self.breaker_open, &label),
            batches: OnDemand::of(&self.batches, &label),
            batched_events: OnDemand::of(&self.batched_events, &label),
            store_failures: OnDemand::of(&self.store_failures, &label),
        }
    }

    /// A subscription's filter failed on an event, which therefore does not match; `first` if it had not before.
    pub fn filter_failed(&self, name: &SubscriptionName, event: EventId, error: &ExpressionError, first: bool) {
        self.filter_failures.get_or_create(&SubscriptionLabel::of(name)).inc();
        if first {
            warn!(subscription = %name, %event, %error,
                "the filter of subscription {name} failed on {event}, which is not sent to it; further failures of \
                 this filter are only counted");
        }
    }
}

/// What one lane observes of itself.
#[derive(Debug)]
pub struct LaneTelemetry {
    subscription: SubscriptionName,
    delivered: OnDemand<AttemptLabels, Counter>,
    retried: OnDemand<AttemptLabels, Counter>,
    dead: OnDemand<AttemptLabels, Counter>,
    attempt_duration: OnDemand<SubscriptionLabel, Histogram>,
    delay: OnDemand<SubscriptionLabel, Histogram>,
    disabled: OnDemand<SubscriptionLabel, Gauge>,
    pauses: OnDemand<SubscriptionLabel, Counter>,
    rate_waits: OnDemand<SubscriptionLabel, Counter>,
    breaker_openings: OnDemand<SubscriptionLabel, Counter>,
    breaker_open: OnDemand<SubscriptionLabel, Gauge>,
    batches: OnDemand<SubscriptionLabel, Counter>,
    batched_events: OnDemand<SubscriptionLabel, Counter>,
    store_failures: OnDemand<SubscriptionLabel, Counter>,
}

/// A metric of a family, made when it is first used.
#[derive(Debug)]
struct OnDemand<L, M> {
    family: Family<L, M>,
    label: L,
    metric: OnceLock<M>,
}

impl<M: Clone> OnDemand<SubscriptionLabel, M> {
    fn of(family: &Family<SubscriptionLabel, M>, label: &SubscriptionLabel) -> Self {
        Self { family: family.clone(), label: label.clone(), metric: OnceLock::new() }
    }
}

impl<L: Clone + Eq + Hash, M: Clone> OnDemand<L, M> {
    fn get(&self) -> &M {
        self.metric.get_or_init(|| self.family.get_or_create_owned(&self.label))
    }
}

impl OnDemand<SubscriptionLabel, Gauge> {
    /// Sets a gauge of which nothing means the same as 0.
    fn set(&self, is: bool) {
        if is || self.metric.get().is_some() {
            self.get().set(i64::from(is));
        }
    }
}

impl LaneTelemetry {
    /// An attempt was made, and its verdict is durable.
    pub fn attempt_finished(&self, claimed: &ClaimedDelivery, attempt: &Attempt, verdict: Verdict, now: Timestamp) {
        let event = &claimed.event;
        self.attempt_duration.get().observe(attempt.duration.as_secs_f64());
        let (outcome, counter) = match verdict {
            Verdict::Delivered => ("delivered", &self.delivered),
            Verdict::Retry(_) => ("retry", &self.retried),
            Verdict::Dead(_) => ("dead", &self.dead),
        };
        counter.get().inc();
        if verdict == Verdict::Delivered {
            for event in std::iter::once(event).chain(&claimed.joined) {
                self.delay.get().observe(now.since(event.time).as_secs_f64());
            }
        }
        // Most deliveries succeed at once: their line is not even put together unless someone reads it.
        let quiet =
            matches!(verdict, Verdict::Delivered) || (matches!(verdict, Verdict::Retry(_)) && attempt.number > 1);
        if quiet && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let (subscription, number) = (&self.subscription, attempt.number);
        let delivery = DeliveryId { event: event.id, subscription: subscription.clone() };
        let took = format_duration(attempt.duration);
        let answer = match (&attempt.failure, attempt.status) {
            (Some(failure), _) => failure.message.clone(),
            (None, Some(status)) => format!("status {status}"),
            (None, None) => "no answer".to_owned(),
        };
        let next = match verdict {
            Verdict::Delivered => "it is delivered".to_owned(),
            Verdict::Retry(at) => format!("it is tried again at {at}"),
            Verdict::Dead(reason) => format!("it is a dead letter ({})", reason.as_str()),
        };
        macro_rules! tell {
            ($level:ident) => {
                $level!(event = %event.id, %delivery, connector = %event.connector, %subscription, attempt = number,
                    status = attempt.status, events = 1 + claimed.joined.len(), outcome, elapsed_ms = attempt.duration.as_millis() as u64,
                    "attempt {number} of {delivery} took {took}: {answer}; {next}")
            };
        }
        if quiet {
            tell!(debug);
        } else {
            tell!(info);
        }
    }

    /// A receiver asked for nothing to be sent for a while.
    pub fn paused(&self, until: Timestamp) {
        self.pauses.get().inc();
        let subscription = &self.subscription;
        info!(%subscription, %until, "subscription {subscription} is paused until {until}, as its receiver asked");
    }

    /// Something could be sent, but the lane's rate does not allow it yet.
    pub fn waits_for_rate(&self) {
        self.rate_waits.get().inc();
    }

    /// So many of the last attempts failed that the lane stops sending.
    pub fn breaker_opened(&self, failed: usize, attempts: usize, until: Timestamp) {
        self.breaker_openings.get().inc();
        self.breaker_open.set(true);
        let subscription = &self.subscription;
        warn!(%subscription, failed, attempts, %until,
            "the receiver of subscription {subscription} failed {failed} of the last {attempts} attempts: nothing is sent \
             until {until}, and then a single attempt");
    }

    /// The receiver still fails.
    pub fn breaker_stays_open(&self, failed_trials: u32, until: Timestamp) {
        let subscription = &self.subscription;
        debug!(%subscription, failed_trials, %until,
            "the receiver of subscription {subscription} still fails: the next attempt is made at {until}");
    }

    /// The receiver works again.
    pub fn breaker_closed(&self) {
        self.breaker_open.set(false);
        let subscription = &self.subscription;
        info!(%subscription, "the receiver of subscription {subscription} works again: deliveries go on");
    }

    /// Whether the lane only makes a trial now and then.
    pub fn is_broken(&self, broken: bool) {
        self.breaker_open.set(broken);
    }

    /// So many deliveries became one.
    pub fn joined(&self, events: usize) {
        self.batches.get().inc();
        self.batched_events.get().inc_by(events as u64);
    }

    /// The subscription was disabled.
    pub fn disabled(&self, reason: &str) {
        let subscription = &self.subscription;
        warn!(%subscription, reason, "subscription {subscription} is disabled: {reason}; enable it, or give it another URL");
    }

    /// Whether the subscription is disabled now.
    pub fn is_disabled(&self, disabled: bool) {
        self.disabled.set(disabled);
    }

    /// Someone else settled a delivery that this lane had taken, because its lease had ended.
    pub fn lease_lost(&self, delivery: &DeliveryId) {
        let subscription = &self.subscription;
        debug!(%delivery, %subscription, "{delivery} was taken by another holder while it was attempted");
    }

    /// The store did not do what the lane asked; the lane waits before it asks again.
    pub fn store_failed(&self, action: &str, error: &StoreError, retry_at: Timestamp) {
        self.store_failures.get().inc();
        let subscription = &self.subscription;
        error!(%subscription, action, error = error as &dyn std::error::Error,
            "the lane of subscription {subscription} could not {action}; it goes on at {retry_at}");
    }

    /// An attempt ended in a bug of ours. Its delivery is attempted again when its lease ends.
    pub fn attempt_panicked(&self, error: &tokio::task::JoinError) {
        let subscription = &self.subscription;
        error!(%subscription, %error, "an attempt of subscription {subscription} ended in a bug; it is made again");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::model::delivery::DeathReason;
    use crate::model::event::{Event, ServiceNews};
    use crate::model::id::LeaseToken;
    use crate::store::DeliveryLease;
    use crate::telemetry::Telemetry;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no writer panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Checks the line that an attempt makes for those who read from `INFO` on.
    #[track_caller]
    fn check(number: u32, status: u16, verdict: Verdict, expected: Option<&str>) {
        let mut event = Event::of_service(ServiceNews::DeliveryDead, "k", Timestamp::EPOCH, &json!(null));
        event.id = EventId::from_bytes([7; 16]);
        let id = DeliveryId { event: event.id, subscription: "erp".parse().expect("a name") };
        let claimed = ClaimedDelivery {
            lease: DeliveryLease { id, token: LeaseToken::new(), until: Timestamp::LAST },
            event: Arc::new(event),
            joined: Vec::new(),
            closed: false,
            since: Timestamp::EPOCH,
            attempts: number - 1,
            failures: number - 1,
        };
        let attempt = Attempt {
            duration: Duration::from_millis(12),
            status: Some(status),
            ..Attempt::begun(number, Timestamp::EPOCH)
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        let lane = Telemetry::shared().deliver.lane(&"erp".parse().expect("a name"));
        tracing::subscriber::with_default(subscriber, || {
            lane.attempt_finished(&claimed, &attempt, verdict, Timestamp::EPOCH);
        });
        let lines = lines.0.lock().expect("no writer panics");
        assert_eq!(std::str::from_utf8(&lines).expect("text").trim(), expected.unwrap_or_default());
    }

    #[test]
    fn first_failures_and_dead_letters_are_told_of_with_their_ids() {
        let retry = Verdict::Retry(Timestamp::EPOCH + Duration::from_secs(5));
        check(
            1,
            500,
            retry,
            Some(
                "INFO pollhook::telemetry::deliver: attempt 1 of evt_07070707070707070707070707070707.erp took 12ms: \
                 status 500; it is tried again at 1970-01-01T00:00:05.000Z \
                 event=evt_07070707070707070707070707070707 delivery=evt_07070707070707070707070707070707.erp \
                 connector=pollhook subscription=erp attempt=1 status=500 events=1 outcome=\"retry\" elapsed_ms=12",
            ),
        );
        check(
            3,
            410,
            Verdict::Dead(DeathReason::Gone),
            Some(
                "INFO pollhook::telemetry::deliver: attempt 3 of evt_07070707070707070707070707070707.erp took 12ms: \
                 status 410; it is a dead letter (gone) \
                 event=evt_07070707070707070707070707070707 delivery=evt_07070707070707070707070707070707.erp \
                 connector=pollhook subscription=erp attempt=3 status=410 events=1 outcome=\"dead\" elapsed_ms=12",
            ),
        );
        check(2, 500, retry, None);
        check(1, 200, Verdict::Delivered, None);
    }
}
