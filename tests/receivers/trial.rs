//! One misbehaviour after another: a receiver is well, falls ill, and recovers, and what becomes of its deliveries is
//! written down.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use pollhook::model::delivery::{ANSWER_KEPT, Attempt, DeliveryState};
use pollhook::model::id::DeliveryId;
use pollhook::store::LaneState;
use rustls::ServerConfig;

use crate::fault::{Conduct, FaultReceiver, Step};
use crate::wait;
use crate::world::{World, fate};

/// How many trials run at a time.
const AT_A_TIME: usize = 8;

/// How long anything may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

const IMPATIENT: &str = "timeout = \"1500ms\"";

/// The most bytes that the systems between the two take of an answer beside what is read.
const IN_BETWEEN: usize = 16 << 20;

/// A misbehaviour.
pub struct Trial {
    name: &'static str,
    rules: String,
    impatient: bool,
    ill: Ill,
    /// How many bytes of text the items have.
    bytes: usize,
    fresh: bool,
    /// How the receiver's connections are secured while it is well.
    secured: Option<Arc<ServerConfig>>,
}

/// What a receiver does while it is ill.
enum Ill {
    Conducts(Conduct),
    Secures(Arc<ServerConfig>),
}

impl Trial {
    /// Returns the trial of a receiver that does this with each connection, or request on one that was kept.
    pub fn new(name: &'static str, ill: impl Into<Vec<Step>>) -> Self {
        Self::conducting(name, Conduct::Ill(ill.into().into()))
    }

    /// Returns the trial of a receiver that treats its connections like this.
    pub fn conducting(name: &'static str, ill: Conduct) -> Self {
        let ill = Ill::Conducts(ill);
        Self { name, rules: String::new(), impatient: false, ill, bytes: 0, fresh: false, secured: None }
    }

    /// Returns the trial of a receiver that secures its connections like this.
    pub fn securing(name: &'static str, ill: Arc<ServerConfig>) -> Self {
        Self { ill: Ill::Secures(ill), ..Self::new(name, []) }
    }

    /// Lets the receiver secure its connections, like this while it is well.
    pub fn secured(self, configuration: Arc<ServerConfig>) -> Self {
        Self { secured: Some(configuration), ..self }
    }

    /// Adds a line to the subscription's rules.
    pub fn rules(mut self, rules: &str) -> Self {
        self.rules.push_str(rules);
        self.rules.push('\n');
        self
    }

    /// Gives the receiver a second and a half for each answer while it is ill.
    pub fn impatient(self) -> Self {
        Self { impatient: true, ..self }
    }

    /// Gives the items so many bytes of text.
    pub fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// Lets the receiver be ill from its first connection on, so that none was kept.
    pub fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }

    /// Goes through with it where there is no receiver at first, but at this address; later there is one at another.
    pub async fn run_elsewhere(self, url: &str) -> String {
        let Self { name, rules, .. } = self;
        let receiver = FaultReceiver::start();
        let mut world = World::new();
        world.run(url, &rules).await;
        let ids = world.add(&["1", "2"], 0).await;
        let said = told(name, &world, &receiver, &ids).await;
        world.run(&receiver.url(), &rules).await;
        recovers(name, &world, &receiver, &ids).await;
        said
    }

    /// Goes through with it and returns its name and what became of the deliveries while the receiver was ill.
    async fn run(self) -> String {
        let Self { name, rules, impatient, ill, bytes, fresh, secured } = self;
        // What is done to connections concerns those that are opened from now on.
        let is_of_streams = matches!(ill, Ill::Conducts(Conduct::Streams(_)));
        let reconnect = impatient || (secured.is_some() && !is_of_streams);
        let receiver = secured.map_or_else(FaultReceiver::start, FaultReceiver::secured);
        let mut world = World::new();
        world.run(&receiver.url(), &rules).await;
        let mut ids = Vec::new();
        if !fresh {
            ids.append(&mut world.add(&["1"], bytes).await);
            wait::until(&format!("{name}: the first delivery arrives"), PATIENCE, async || {
                let (delivery, _) = world.delivery(&ids[0]).await;
                matches!(delivery.state, DeliveryState::Delivered { .. }).then_some(())
            })
            .await;
        }

        if reconnect {
            world.run(&receiver.url(), &if impatient { format!("{rules}{IMPATIENT}") } else { rules.clone() }).await;
        }
        match ill {
            Ill::Conducts(conduct) => receiver.conducts(conduct),
            Ill::Secures(configuration) => receiver.secures(Some(configuration)),
        }
        let tried = world.add(&["2", "3"], bytes).await;
        let said = told(name, &world, &receiver, &tried).await;
        assert!(receiver.taken() < IN_BETWEEN, "{name}: {} bytes were taken of what has no end", receiver.taken());

        receiver.conducts(Conduct::Well);
        receiver.secures(None);
        if impatient {
            world.run(&receiver.url(), &rules).await;
        }
        ids.extend(tried);
        recovers(name, &world, &receiver, &ids).await;
        said
    }
}

/// Waits until two deliveries were attempted, or the lane is closed after the first of them, and says what came of it.
async fn told(name: &str, world: &World, receiver: &FaultReceiver, tried: &[DeliveryId]) -> String {
    let mut said = format!("{name}\n");
    let mut before = LaneState::default();
    for id in tried {
        let (attempt, state, lane) = wait::until(&format!("{name}: an attempt is settled"), PATIENCE, async || {
            let lane = world.lane().await;
            let (delivery, mut attempts) = world.delivery(id).await;
            match attempts.pop() {
                Some(attempt) => Some((Some(attempt), delivery.state, lane)),
                None if is_closed(&lane) => Some((None, delivery.state, lane)),
                None => None,
            }
        })
        .await;
        let Some(attempt) = attempt else { break };
        writeln!(said, "  {}", line(&attempt, &fate(&state, attempt.started_at))).expect("a string takes it");
        before = lane;
    }
    // What the first attempt said of the lane is known at the latest when the second one is not made.
    let lane = world.lane().await;
    let lane = if is_closed(&lane) { lane } else { before };
    if let Some(until) = lane.paused_until {
        let seconds = until.since(crate::world::start()).as_secs();
        writeln!(said, "  the lane pauses for {seconds} s").expect("a string takes it");
    }
    if let Some(disabled) = lane.disabled {
        writeln!(said, "  the lane is disabled: {}", disabled.reason).expect("a string takes it");
    }
    match receiver.take_ill() {
        1 => said.push_str("  1 request\n"),
        requests => writeln!(said, "  {requests} requests").expect("a string takes it"),
    }
    said
}

fn is_closed(lane: &LaneState) -> bool {
    lane.paused_until.is_some() || lane.disabled.is_some() || lane.breaker.is_some()
}

/// Waits until all is delivered, and checks that each event was acknowledged once and was the same each time.
async fn recovers(name: &str, world: &World, receiver: &FaultReceiver, ids: &[DeliveryId]) {
    wait::until(&format!("{name}: all is delivered when the receiver is well again"), PATIENCE, async || {
        for id in ids {
            if !matches!(world.delivery(id).await.0.state, DeliveryState::Delivered { .. }) {
                world.go_on(ids).await;
                return None;
            }
        }
        Some(())
    })
    .await;
    let received = receiver.received();
    let mut bodies: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for request in &received {
        let first = bodies.entry(request.id()).or_insert(&request.body);
        assert_eq!(*first, request.body, "{name}: a repeat of {} differs", request.id());
    }
    for id in ids {
        let attempts = world.delivery(id).await.1;
        let longest = attempts.iter().map(|attempt| attempt.answer.len()).max();
        assert!(longest <= Some(ANSWER_KEPT), "{name}: {longest:?} bytes of an answer are kept");
        let event = id.event.to_string();
        let acknowledged = received.iter().filter(|request| request.is_acknowledged && request.id() == event).count();
        let taken_while_ill = attempts.len() == 1 && acknowledged == 0;
        assert!(acknowledged == 1 || taken_while_ill, "{name}: {id} was acknowledged {acknowledged} times");
    }
}

/// Returns in one line what an attempt came to.
fn line(attempt: &Attempt, fate: &str) -> String {
    let mut line = fate.to_owned();
    if let Some(status) = attempt.status {
        write!(line, ": {status}").expect("a string takes it");
        match attempt.answer.len() {
            0 => {}
            1..=40 => write!(line, " {:?}", attempt.answer).expect("a string takes it"),
            bytes => write!(line, " with {bytes} bytes").expect("a string takes it"),
        }
    }
    if let Some(failure) = &attempt.failure {
        let class = serde_json::to_value(failure.class).expect("a word");
        // Neither does what time it is say more, nor where to read on.
        let message = failure.message.split(": verification time").next().unwrap_or_default();
        let message = message.split(": https://").next().unwrap_or_default();
        write!(line, ": {}: {message}", class.as_str().expect("a word")).expect("a string takes it");
    }
    line
}

/// Runs trials and holds what they say against the fixture of this name.
pub async fn check(fixture: &str, trials: Vec<Trial>) {
    let said: Vec<String> = stream::iter(trials).map(Trial::run).buffered(AT_A_TIME).collect().await;
    written(fixture, &said);
}

/// Holds what was said against the fixture of this name.
pub fn written(fixture: &str, said: &[String]) {
    let said = said.join("\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/receivers").join(format!("{fixture}.txt"));
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &said).expect("a fixture");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    for (said, expected) in said.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(said.trim_end(), expected.trim_end(), "{}", path.display());
    }
    assert_eq!(said.len(), expected.len(), "{} has other trials", path.display());
}
