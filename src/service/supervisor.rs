//! Every task that runs: named, with a declared meaning of its failure and of its cancellation.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::SharedClock;
use crate::telemetry::describe_error;

/// Why a task failed, for the log.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// What a task is called and what its end means.
#[derive(Debug, Clone)]
pub struct TaskKind {
    /// For logs: `server`, `poll orders`.
    pub name: String,
    pub on_failure: OnFailure,
    pub on_cancel: OnCancel,
}

/// What the failure of a task means. A panic is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The task is started again, after a wait that grows from one second to a minute.
    Restart,
    /// The whole service stops, with an error.
    StopService,
}

/// What stopping the service means for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCancel {
    /// It is told, and finishes what is under way.
    Finish,
    /// It is dropped wherever it is, which loses nothing.
    Drop,
}

/// The failure that stopped the service.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    /// The name of the task that failed.
    pub task: String,
}

/// Starts tasks, restarts those that fail, and ends them together.
pub struct Supervisor {
    starter: Starter,
    started: mpsc::UnboundedReceiver<BoxFuture<'static, Option<Failed>>>,
    tasks: JoinSet<Option<Failed>>,
}

/// Starts tasks, also while the others run.
#[derive(Clone)]
pub struct Starter {
    clock: SharedClock,
    started: mpsc::UnboundedSender<BoxFuture<'static, Option<Failed>>>,
    stop: CancellationToken,
}

/// A task that was started. Dropping this tells it to finish.
#[derive(Debug)]
pub struct Running {
    _stop: DropGuard,
    ended: CancellationToken,
}

impl Running {
    /// Returns what is cancelled when the task is over.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A task that ran this long before it failed starts again after the first wait.
const STABLE_AFTER: Duration = Duration::from_secs(5 * 60);

impl Supervisor {
    /// Returns a supervisor without tasks.
    pub fn new(clock: SharedClock) -> Self {
        let (sender, started) = mpsc::unbounded_channel();
        let starter = Starter { clock, started: sender, stop: CancellationToken::new() };
        Self { starter, started, tasks: JoinSet::new() }
    }

    /// Returns what starts tasks while the others run.
    pub fn starter(&self) -> Starter {
        self.starter.clone()
    }

    /// Starts a task that runs as long as the service. `make` is called anew for each restart, with the token that tells
    /// it to finish.
    pub fn start<Make, Task>(&mut self, kind: TaskKind, make: Make)
    where
        Make: Fn(CancellationToken) -> Task + Send + 'static,
        Task: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        self.tasks.spawn(supervised(kind, make, self.starter.clock.clone(), self.starter.stop.clone()));
    }

    /// Waits until `shutdown` ends or a task fails that the service cannot be without; then tells all tasks to
    /// finish, waits for them at most `grace`, and drops those that are left.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>, grace: Duration) -> Result<(), Failed> {
        let failed = {
            let failure = async {
                loop {
                    tokio::select! {
                        Some(started) = self.started.recv() => {
                            self.tasks.spawn(started);
                        }
                        Some(ended) = self.tasks.join_next() => {
                            if let Ok(Some(failed)) = ended {
                                break failed;
                            }
                        }
                    }
                }
            };
            tokio::select! {
                () = shutdown => None,
                failed = failure => Some(failed),
            }
        };
        tracing::info!(tasks = self.tasks.len(), "stopping: finishing what is under way");
        // What was to be started is dropped: it did not begin.
        drop(self.started);
        self.starter.stop.cancel();
        let deadline = self.starter.clock.now() + grace;
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = tokio::select! {
            () = all_ended => true,
            () = self.starter.clock.sleep_until(deadline) => false,
        };
        if !in_time {
            tracing::warn!(
                tasks = self.tasks.len(),
                "stopped waiting: what was under way is taken up at the next start"
            );
            self.tasks.shutdown().await;
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Starter {
    /// Starts a task that runs until the service stops or what this returns is dropped. `make` is called as in
    /// [`Supervisor::start`]. While the service stops, nothing is started.
    pub fn start<Make, Task>(&self, kind: TaskKind, make: Make) -> Running
    where
        Make: Fn(CancellationToken) -> Task + Send + 'static,
        Task: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let (stop, ended) = (self.stop.child_token(), CancellationToken::new());
        let running = Running { _stop: stop.clone().drop_guard(), ended: ended.clone() };
        let (clock, over) = (self.clock.clone(), ended.drop_guard());
        let task = async move {
            let failed = supervised(kind, make, clock, stop).await;
            drop(over);
            failed
        };
        // If nobody takes it any more, it is dropped here and counts as over.
        let _ = self.started.send(task.boxed());
        running
    }
}

/// Runs a task until it ends well or is to be given up.
async fn supervised<Make, Task>(
    kind: TaskKind,
    make: Make,
    clock: SharedClock,
    stop: CancellationToken,
) -> Option<Failed>
where
    Make: Fn(CancellationToken) -> Task,
    Task: Future<Output = Result<(), TaskError>>,
{
    let running = keep_running(&kind, make, clock, stop.clone());
    match kind.on_cancel {
        OnCancel::Finish => running.await,
        OnCancel::Drop => stop.run_until_cancelled(running).await.flatten(),
    }
}

async fn keep_running<Make, Task>(
    kind: &TaskKind,
    make: Make,
    clock: SharedClock,
    stop: CancellationToken,
) -> Option<Failed>
where
    Make: Fn(CancellationToken) -> Task,
    Task: Future<Output = Result<(), TaskError>>,
{
    let mut wait = FIRST_WAIT;
    loop {
        let started = clock.monotonic();
        let cause = match AssertUnwindSafe(make(stop.clone())).catch_unwind().await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => describe_error(&*error),
            Err(panic) => describe_panic(&*panic),
        };
        if kind.on_failure == OnFailure::StopService {
            tracing::error!(task = kind.name, "the task {} failed: {cause}", kind.name);
            return Some(Failed { task: kind.name.clone() });
        }
        if clock.monotonic().saturating_sub(started) >= STABLE_AFTER {
            wait = FIRST_WAIT;
        }
        tracing::error!(task = kind.name, "the task {} failed and starts again in {wait:?}: {cause}", kind.name);
        let until = clock.now() + wait;
        stop.run_until_cancelled(clock.sleep_until(until)).await?;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn describe_panic(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a bug in pollhook: {}", message.unwrap_or("it panicked"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use crate::model::time::Timestamp;

    fn kind(name: &str, on_failure: OnFailure, on_cancel: OnCancel) -> TaskKind {
        TaskKind { name: name.to_owned(), on_failure, on_cancel }
    }

    #[tokio::test]
    async fn a_failing_or_panicking_task_starts_again_after_a_wait() {
        let clock = ManualClock::starting_at(Timestamp::EPOCH);
        let mut supervisor = Supervisor::new(clock.clone());
        let (runs, third) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (counted, reached) = (runs.clone(), third.clone());
        supervisor.start(kind("flaky", OnFailure::Restart, OnCancel::Finish), move |_| {
            let (counted, reached) = (counted.clone(), reached.clone());
            async move {
                match counted.fetch_add(1, Ordering::Relaxed) {
                    0 => Err("no luck".into()),
                    1 => panic!("worse"),
                    _ => {
                        reached.cancel();
                        Ok(())
                    }
                }
            }
        });
        let moving = async {
            while !third.is_cancelled() {
                clock.advance(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(supervisor.run_until(moving, GRACE).await, Ok(()));
        assert_eq!(runs.load(Ordering::Relaxed), 3);
        assert!(clock.now() >= Timestamp::EPOCH + Duration::from_secs(3));
    }

    #[tokio::test]
    async fn the_failure_of_a_needed_task_stops_the_service_and_names_it() {
        let mut supervisor = Supervisor::new(ManualClock::starting_at(Timestamp::EPOCH));
        supervisor.start(kind("server", OnFailure::StopService, OnCancel::Finish), |_| async { Err("gone".into()) });
        supervisor.start(kind("waits", OnFailure::Restart, OnCancel::Finish), |stop| async move {
            stop.cancelled().await;
            Ok(())
        });
        let ended = supervisor.run_until(std::future::pending(), GRACE).await;
        assert_eq!(ended, Err(Failed { task: "server".to_owned() }));
    }

    #[tokio::test]
    async fn stopping_lets_tasks_finish_drops_the_droppable_and_gives_up_after_the_grace_time() {
        let clock = ManualClock::starting_at(Timestamp::EPOCH);
        let mut supervisor = Supervisor::new(clock.clone());
        let finished = Arc::new(AtomicU32::new(0));
        let counted = finished.clone();
        supervisor.start(kind("finishes", OnFailure::Restart, OnCancel::Finish), move |stop| {
            let counted = counted.clone();
            async move {
                stop.cancelled().await;
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        });
        supervisor.start(kind("drops", OnFailure::Restart, OnCancel::Drop), |_| std::future::pending());
        supervisor.start(kind("hangs", OnFailure::Restart, OnCancel::Finish), |_| std::future::pending());
        let stopping = tokio::join!(supervisor.run_until(async {}, GRACE), async {
            while finished.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            clock.advance(GRACE);
        });
        assert_eq!(stopping.0, Ok(()));
    }

    /// Starts a task that counts itself while it runs.
    fn start_counting(starter: &Starter, name: &str, count: &Arc<AtomicU32>) -> Running {
        let count = Arc::clone(count);
        starter.start(kind(name, OnFailure::Restart, OnCancel::Finish), move |stop| {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Ordering::Relaxed);
                stop.cancelled().await;
                count.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }
        })
    }

    #[tokio::test]
    async fn single_tasks_start_and_end_while_others_run() {
        let supervisor = Supervisor::new(ManualClock::starting_at(Timestamp::EPOCH));
        let (starter, count, enough) = (supervisor.starter(), Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let becomes = async |expected| {
            while count.load(Ordering::Relaxed) != expected {
                tokio::task::yield_now().await;
            }
        };
        let test = async {
            let (first, second) =
                (start_counting(&starter, "first", &count), start_counting(&starter, "second", &count));
            becomes(2).await;
            let ended = first.ended();
            assert!(!ended.is_cancelled());
            drop(first);
            ended.cancelled().await;
            becomes(1).await;
            enough.cancel();
            second
        };
        let (ended, second) = tokio::join!(supervisor.run_until(enough.cancelled(), GRACE), test);
        assert_eq!((ended, count.load(Ordering::Relaxed)), (Ok(()), 0));
        second.ended().cancelled().await;
        start_counting(&starter, "late", &count).ended().cancelled().await;
        assert_eq!(count.load(Ordering::Relaxed), 0, "nothing starts once the service has stopped");
    }

    const GRACE: Duration = Duration::from_secs(20);
}
