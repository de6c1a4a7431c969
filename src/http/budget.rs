//! What all requests to a host share: how many go at once, how many in a time, and until when it wants to be left alone.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as FairMutex, OwnedSemaphorePermit, Semaphore};

use crate::clock::{Clock, SharedClock};
use crate::model::connector::Connector;
use crate::model::fingerprint::BodyHash;
use crate::model::id::ConnectorName;
use crate::model::limits::{HostLimits, HostName, Rate};
use crate::model::time::Timestamp;

/// How many requests a host is sent at once if nothing else is configured.
pub const USUAL_CONCURRENCY: usize = 8;

/// How many polls of a host are under way for each request that it may be sent at once. Polls that have begun have
/// deadlines, so the others wait before they begin.
const POLLS_FOR_EACH_PLACE: usize = 4;

/// From so many hosts on, those that nobody uses are forgotten. Nothing is lost with them.
const MANY_HOSTS: usize = 1000;

/// The budgets of all hosts and connectors. Clones share them.
#[derive(Clone)]
pub struct Budgets {
    shared: Arc<Shared>,
}

/// On whose account a request goes.
#[derive(Debug, Clone)]
pub struct Account {
    /// Whose rate is meant.
    pub connector: ConnectorName,
    /// How often it may send a request, to whichever host.
    pub rate: Option<Rate>,
    /// Tells apart who a host takes the sender for: a host that wants to be left alone by one may be open to another.
    pub credentials: BodyHash,
}

/// The right to send one request. Dropping it makes room for the next.
#[must_use]
pub struct Turn {
    _host: Arc<Host>,
    _place: OwnedSemaphorePermit,
}

/// The right to begin a poll of a host. Dropping it makes room for the next.
pub type PollPlace = Turn;

struct Shared {
    clock: SharedClock,
    limits: HashMap<HostName, HostLimits>,
    hosts: Mutex<HashMap<HostName, Arc<Host>>>,
    connectors: Mutex<HashMap<ConnectorName, Arc<Window>>>,
    quiet: Mutex<HashMap<(HostName, BodyHash), Timestamp>>,
}

struct Host {
    /// First come, first served.
    requests: Arc<Semaphore>,
    polls: Arc<Semaphore>,
    window: Option<Window>,
}

/// Lets no more than a rate's count through in any span of its length. First come, first served; whoever gives up waiting has
/// used nothing.
struct Window {
    rate: Rate,
    line: FairMutex<()>,
    /// How many stand in line.
    waiting: AtomicUsize,
    /// When the last ones went through, by [`Clock::monotonic`]; at most as many as the rate allows.
    passed: Mutex<VecDeque<Duration>>,
}

impl Account {
    /// Returns the account of a connector.
    pub fn of(connector: &Connector) -> Self {
        Self {
            connector: connector.events_as.clone(),
            rate: connector.rate,
            credentials: connector.redactor.identity(),
        }
    }
}

impl Budgets {
    /// Returns budgets of which nothing is spent, for hosts with these limits.
    pub fn new(clock: SharedClock, limits: HashMap<HostName, HostLimits>) -> Self {
        let shared =
            Shared { clock, limits, hosts: Mutex::default(), connectors: Mutex::default(), quiet: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Waits for a request's turn at a host.
    pub async fn turn(&self, host: &HostName, account: &Account) -> Turn {
        let clock = &*self.shared.clock;
        if let Some(rate) = account.rate {
            self.window(&account.connector, rate).pass(clock).await;
        }
        let host = self.host(host);
        let place = acquire(&host.requests).await;
        // With the place in hand: what follows is sent at once, so that the rate is kept as it arrives at the host.
        if let Some(window) = &host.window {
            window.pass(clock).await;
        }
        Turn { _host: host, _place: place }
    }

    /// Returns about how long a request would wait for its turn because of rates, with those ahead of it.
    pub fn wait(&self, host: &HostName, account: &Account) -> Duration {
        let now = self.shared.clock.monotonic();
        let own = account.rate.map(|rate| self.window(&account.connector, rate).wait(now));
        let shared = self.host(host).window.as_ref().map(|window| window.wait(now));
        // Rounded up, because times are in whole milliseconds.
        let millis = own.max(shared).unwrap_or_default().as_nanos().div_ceil(1_000_000);
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Returns how far apart requests are if they use all that rates allow; zero without rates.
    pub fn spacing(&self, host: &HostName, account: &Account) -> Duration {
        let shared = self.shared.limits.get(host).and_then(|limits| limits.rate);
        let spacing = |rate: Rate| rate.per / rate.count;
        account.rate.map(spacing).max(shared.map(spacing)).unwrap_or_default()
    }

    /// Waits until another poll of a host may begin.
    pub async fn poll_place(&self, host: &HostName) -> PollPlace {
        let host = self.host(host);
        let place = acquire(&host.polls).await;
        Turn { _host: host, _place: place }
    }

    /// Returns until when a host wants to be left alone, if that is in the future.
    pub fn quiet_until(&self, host: &HostName, credentials: BodyHash) -> Option<Timestamp> {
        let until = lock(&self.shared.quiet).get(&(host.clone(), credentials)).copied()?;
        Some(until).filter(|until| *until > self.shared.clock.now())
    }

    /// Leaves a host alone until then, if it is not for longer already.
    pub fn keep_quiet(&self, host: &HostName, credentials: BodyHash, until: Timestamp) {
        let now = self.shared.clock.now();
        let mut quiet = lock(&self.shared.quiet);
        quiet.retain(|_, until| *until > now);
        if until > now {
            let known = quiet.entry((host.clone(), credentials)).or_insert(until);
            *known = until.max(*known);
        }
    }

    fn host(&self, name: &HostName) -> Arc<Host> {
        let mut hosts = lock(&self.shared.hosts);
        if hosts.len() >= MANY_HOSTS {
            hosts.retain(|name, host| Arc::strong_count(host) > 1 || self.shared.limits.contains_key(name));
        }
        let make = || Arc::new(Host::new(self.shared.limits.get(name).copied().unwrap_or_default()));
        Arc::clone(hosts.entry(name.clone()).or_insert_with(make))
    }

    fn window(&self, connector: &ConnectorName, rate: Rate) -> Arc<Window> {
        let mut connectors = lock(&self.shared.connectors);
        let window = connectors.entry(connector.clone()).or_insert_with(|| Arc::new(Window::new(rate)));
        if window.rate != rate {
            *window = Arc::new(Window::new(rate));
        }
        Arc::clone(window)
    }
}

impl Host {
    fn new(limits: HostLimits) -> Self {
        let concurrency = limits.concurrency.unwrap_or(USUAL_CONCURRENCY).max(1);
        Self {
            requests: Arc::new(Semaphore::new(concurrency)),
            polls: Arc::new(Semaphore::new(concurrency.saturating_mul(POLLS_FOR_EACH_PLACE))),
            window: limits.rate.map(Window::new),
        }
    }
}

impl Window {
    fn new(rate: Rate) -> Self {
        let (line, waiting, passed) = (FairMutex::default(), AtomicUsize::new(0), Mutex::default());
        Self { rate, line, waiting, passed }
    }

    /// Returns about how long somebody who comes now waits.
    fn wait(&self, now: Duration) -> Duration {
        let passed = lock(&self.passed);
        let (count, waiting) = (self.rate.count as usize, self.waiting.load(Ordering::Relaxed));
        // How many have to be a span ago, and the last of these is.
        let Some(last) = (passed.len() + waiting).checked_sub(count) else { return Duration::ZERO };
        let rounds = u32::try_from(last / count).unwrap_or(u32::MAX).saturating_add(1);
        let before = passed.get(last % count).copied().unwrap_or(now);
        (before + self.rate.per.saturating_mul(rounds)).saturating_sub(now)
    }

    async fn pass(&self, clock: &dyn Clock) {
        let _waiting = Waiting::begin(&self.waiting);
        // Those behind wait for the mutex, in the order in which they came.
        let _first_in_line = self.line.lock().await;
        loop {
            let now = clock.monotonic();
            let left = self.left(now);
            if left.is_zero() {
                let mut passed = lock(&self.passed);
                if passed.len() >= self.rate.count as usize {
                    passed.pop_front();
                }
                passed.push_back(now);
                return;
            }
            // Rounded up, because times are in whole milliseconds.
            clock.sleep_until(clock.now() + left + Duration::from_nanos(999_999)).await;
        }
    }

    /// Returns how long the first in line has to wait.
    fn left(&self, now: Duration) -> Duration {
        let passed = lock(&self.passed);
        let oldest = passed.front().filter(|_| passed.len() >= self.rate.count as usize);
        oldest.map_or(Duration::ZERO, |oldest| (*oldest + self.rate.per).saturating_sub(now))
    }
}

/// Counts somebody for as long as he waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn acquire(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("this semaphore is never closed")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every method leaves whole values behind, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::*;
    use crate::clock::ManualClock;

    fn budgets(clock: &Arc<ManualClock>, limits: &[(&str, HostLimits)]) -> Budgets {
        let limits = limits.iter().map(|(host, limits)| (host.parse().expect("a host"), *limits));
        Budgets::new(clock.clone(), limits.collect())
    }

    fn clock() -> Arc<ManualClock> {
        ManualClock::starting_at(Timestamp::from_millis(1_795_000_000_000))
    }

    fn host(name: &str) -> HostName {
        name.parse().expect("a host")
    }

    fn account(rate: Option<&str>) -> Account {
        Account {
            connector: "orders".parse().expect("a name"),
            rate: rate.map(|rate| rate.parse().expect("a rate")),
            credentials: BodyHash::of(b""),
        }
    }

    fn limits(rate: Option<&str>, concurrency: Option<usize>) -> HostLimits {
        HostLimits { rate: rate.map(|rate| rate.parse().expect("a rate")), concurrency }
    }

    /// Returns what a future has come to so far.
    fn now<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_host_has_so_many_requests_at_once_and_another_host_has_its_own() {
        let (a, b) = (host("a.example"), host("b.example"));
        let budgets = budgets(&clock(), &[("a.example", limits(None, Some(2)))]);
        let account = account(None);
        let first = now(pin!(budgets.turn(&a, &account))).expect("there is room");
        let _second = now(pin!(budgets.turn(&a, &account))).expect("there is room");
        let mut third = pin!(budgets.turn(&a, &account));
        assert!(now(third.as_mut()).is_none());
        let others: Vec<_> = (0..USUAL_CONCURRENCY).filter_map(|_| now(pin!(budgets.turn(&b, &account)))).collect();
        assert_eq!(others.len(), USUAL_CONCURRENCY, "the other host is not held back");
        assert!(now(pin!(budgets.turn(&b, &account))).is_none(), "it has a limit without configuration too");
        drop(first);
        assert!(now(third.as_mut()).is_some());
    }

    #[test]
    fn whoever_came_first_goes_first_and_whoever_gives_up_makes_room() {
        let clock = clock();
        let a = host("a.example");
        let budgets = budgets(&clock, &[("a.example", limits(Some("1/s"), Some(8)))]);
        let account = account(None);
        drop(now(pin!(budgets.turn(&a, &account))).expect("nothing is spent"));
        let mut first = Box::pin(budgets.turn(&a, &account));
        let mut second = Box::pin(budgets.turn(&a, &account));
        let mut third = Box::pin(budgets.turn(&a, &account));
        assert!(now(first.as_mut()).is_none() && now(second.as_mut()).is_none() && now(third.as_mut()).is_none());
        drop(first);
        assert!(now(second.as_mut()).is_none() && now(third.as_mut()).is_none());
        clock.advance(Duration::from_secs(1));
        assert!(now(third.as_mut()).is_none(), "the second comes before it");
        assert!(now(second.as_mut()).is_some());
        assert!(now(third.as_mut()).is_none());
        clock.advance(Duration::from_secs(1));
        assert!(now(third.as_mut()).is_some());
    }

    #[test]
    fn a_connector_that_waits_for_its_own_rate_holds_nobody_back() {
        let a = host("a.example");
        let budgets = budgets(&clock(), &[("a.example", limits(None, Some(1)))]);
        let slow = account(Some("1/h"));
        drop(now(pin!(budgets.turn(&a, &slow))).expect("nothing is spent"));
        let mut waiting = pin!(budgets.turn(&a, &slow));
        assert!(now(waiting.as_mut()).is_none());
        assert!(now(pin!(budgets.turn(&a, &account(None)))).is_some());
    }

    #[test]
    fn it_can_be_told_about_how_long_a_turn_is_away() {
        let clock = clock();
        let a = host("a.example");
        let budgets = budgets(&clock, &[("a.example", limits(Some("2/10s"), Some(8)))]);
        let account = account(None);
        let check = |expected| assert_eq!(budgets.wait(&a, &account), Duration::from_secs(expected));
        check(0);
        drop(now(pin!(budgets.turn(&a, &account))).expect("nothing is spent"));
        check(0);
        clock.advance(Duration::from_secs(4));
        drop(now(pin!(budgets.turn(&a, &account))).expect("nothing is spent"));
        check(6);
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(budgets.turn(&a, &account))).collect();
        for (turn, expected) in waiting.iter_mut().zip([10, 16, 20]) {
            assert!(now(turn.as_mut()).is_none());
            check(expected);
        }
        drop(waiting);
        check(6);
        assert_eq!(budgets.spacing(&a, &account), Duration::from_secs(5));
    }

    #[test]
    fn a_host_is_left_alone_by_those_that_it_asked_for_as_long_as_it_asked() {
        let clock = clock();
        let (a, b) = (host("a.example"), host("b.example"));
        let budgets = budgets(&clock, &[]);
        let (me, other) = (BodyHash::of(b"me"), BodyHash::of(b"other"));
        let after = |seconds| clock.now() + Duration::from_secs(seconds);
        let until = after(30);
        budgets.keep_quiet(&a, me, until);
        budgets.keep_quiet(&a, me, after(10));
        assert_eq!(budgets.quiet_until(&a, me), Some(until));
        assert_eq!((budgets.quiet_until(&a, other), budgets.quiet_until(&b, me)), (None, None));
        clock.advance(Duration::from_secs(30));
        assert_eq!(budgets.quiet_until(&a, me), None);
    }

    proptest! {
        /// However requests come, no span of the rate's length has more of them than it allows, and each goes as soon as it may.
        #[test]
        fn a_rate_is_kept_in_every_span(gaps in proptest::collection::vec(0_u64..400, 1..60), count in 1_u32..6) {
            let clock = clock();
            let window = Window::new(Rate { count, per: Duration::from_secs(1) });
            let mut passed: Vec<Duration> = Vec::new();
            for gap in gaps {
                clock.advance(Duration::from_millis(gap));
                let came = clock.monotonic();
                let mut pass = Box::pin(window.pass(&*clock));
                while now(pass.as_mut()).is_none() {
                    clock.advance(Duration::from_millis(1));
                }
                let before = passed.len().checked_sub(count as usize).map(|index| passed[index]);
                let allowed = before.map_or(came, |before| came.max(before + Duration::from_secs(1)));
                prop_assert_eq!(clock.monotonic(), allowed);
                passed.push(allowed);
            }
        }
    }
}
