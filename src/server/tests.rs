//! What connectors look like through the admin API, and what may be decided about them there.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{ServerParts, ServerState, run};
use crate::clock::ManualClock;
use crate::config::{Definitions, Environment, load};
use crate::deliver::Registry;
use crate::http::header::HeaderMap;
use crate::http::{BodyLimit, HttpClient, HttpRequest, Limits, Method};
use crate::model::change::{Decide, Decided, Decision, DecisionError};
use crate::model::fingerprint::BodyHash;
use crate::model::id::ConnectorName;
use crate::model::pagination::PagePosition;
use crate::model::poll_record::{NextReason, PollRecord};
use crate::model::quantity::ByteSize;
use crate::model::time::Timestamp;
use crate::store::memory::MemoryStore;
use crate::store::{ConnectorState, Hold, Pass, PollCommit, PollStore, RulesMemory};
use crate::telemetry::Telemetry;

const CONFIGURATION: &str = r#"
    [connectors.orders]
    every = "30s"
    request.url = "https://shop.example.com/api/orders"
    auth.bearer.token = { env = "TOKEN" }
    item.key = ".id"

    [connectors.prices]
    every = "1m"
    each = [{ city = "rome" }, { city = "oslo" }]
    request.url = "https://prices.example.com/{{ params.city }}"
    item.key = ".id"

    [connectors.tickets]
    every = "1m"
    request.url = "https://desk.example.com/api/tickets"
    item.key = ".id"
"#;

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000) + Duration::from_secs(seconds)
}

/// Carries nothing out, and answers as it is told.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<(String, Decision)>>,
    answers: Mutex<Vec<Result<Decided, DecisionError>>>,
}

#[async_trait]
impl Decide for Fake {
    async fn decide(&self, connector: &ConnectorName, decision: Decision) -> Result<Decided, DecisionError> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((connector.to_string(), decision));
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop().expect("the test says what comes of it")
    }
}

/// A server under test.
pub(super) struct Server {
    address: String,
    pub store: Arc<MemoryStore>,
    pub registry: Arc<Registry>,
    decide: Arc<Fake>,
}

/// Runs a test beside a server for it.
pub(super) async fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Server) -> F) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, CONFIGURATION).expect("a file");
    let configuration = load(&path, &Environment::from([("TOKEN", "hunter22")])).expect("a right configuration");
    let (store, decide) = (MemoryStore::new(), Arc::<Fake>::default());
    let clock = ManualClock::starting_at(at(2));
    let telemetry = Telemetry::shared();
    let registry = Registry::new(configuration.subscriptions.clone(), Vec::new(), store.clone(), telemetry.clone());
    let parts = ServerParts {
        registry: registry.clone(),
        definitions: Arc::new(Definitions::of(&configuration.connectors, configuration.egress.clone())),
        store: store.clone(),
        decide: decide.clone(),
        clock,
        telemetry,
    };
    let state = ServerState::new(&configuration, parts);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    let tested = async {
        test(Server { address, store, registry: registry.clone(), decide }).await;
        stop.cancel();
    };
    let (served, (), ()) =
        tokio::join!(run(listener, Arc::new(state), stop.clone()), registry.run(stop.clone()), tested);
    served.expect("the server ends well");
}

impl Server {
    /// Returns the status and the body of an answer; an empty body is `null`.
    pub async fn send(&self, method: Method, path: &str, headers: HeaderMap, body: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.address).parse().expect("a URL");
        let request = HttpRequest { method, url, headers, body: body.to_owned().into() };
        let limits = Limits { deadline: Duration::from_secs(30), body: BodyLimit::Refuse(ByteSize::mebibytes(64)) };
        let response = HttpClient::new().expect("a client").send(request, limits).await.expect("an answer");
        let body = if response.body.is_empty() { b"null".as_slice() } else { &response.body };
        (response.status, serde_json::from_slice(body).expect("JSON"))
    }

    async fn ask(&self, method: Method, path: &str) -> (u16, Value) {
        self.send(method, path, HeaderMap::new(), "").await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn commit(&self, state: ConnectorState, record: PollRecord) {
        let orders = "orders".parse().expect("a name");
        let lease = self.store.lease_poll(&orders, at(0), Duration::ZERO).await.expect("an answer");
        let commit = PollCommit { record: Some(record), ..PollCommit::new(state.polled_at, Vec::new(), state) };
        self.store.commit_poll(lease.expect("nobody holds it"), commit).await.expect("a commit");
    }

    /// Checks what a decision is answered, and with which words.
    async fn check_decision(
        &self,
        path: &str,
        outcome: Result<Decided, DecisionError>,
        expected_status: u16,
        expected: Value,
    ) {
        self.decide.answers.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        let (status, body) = self.ask(Method::POST, path).await;
        let shown = if status == 200 { body } else { body["detail"].clone() };
        assert_eq!((status, shown), (expected_status, expected), "{path}");
    }
}

fn state(polled_at: Timestamp) -> ConnectorState {
    let hash = BodyHash::of(b"");
    ConnectorState::first(polled_at, RulesMemory { pages: hash, keys: hash, fingerprints: hash })
}

fn record(at: Timestamp) -> PollRecord {
    PollRecord {
        at,
        elapsed: 40,
        outcome: "complete".to_owned(),
        cause: None,
        pages: 1,
        requests: 1,
        bytes: 2,
        items: 3,
        created: 0,
        updated: 0,
        removed: 0,
        held: 0,
        notes: Vec::new(),
        next: Some(at + Duration::from_secs(30)),
        next_because: NextReason::Behind,
    }
}

#[tokio::test]
async fn a_connector_says_all_that_is_known_of_it() {
    with_server(async |server| {
        let waiting = server.get("/v1/connectors/orders").await;
        assert_eq!((&waiting["status"], &waiting["items"]), (&json!("waiting"), &json!(0)));
        assert_eq!(waiting["next_poll"], json!({"at": at(2), "because": "schedule"}), "at once");
        // Somebody asked for a baseline before the first poll.
        server.commit(ConnectorState { baseline_next: true, ..state(Timestamp::EPOCH) }, record(at(0))).await;
        let waiting = server.get("/v1/connectors/orders").await;
        assert_eq!((&waiting["status"], &waiting["baseline_next"]), (&json!("waiting"), &json!(true)));
        assert_eq!(waiting.get("polled_at"), None);
        let whole = ConnectorState {
            hold: Some(Hold { since: at(1), cause: "too many".to_owned(), created: 9, updated: 0, removed: 2 }),
            pass: Some(Pass { polls: 2, ..Pass::new(at(0), PagePosition::Number(51)) }),
            awaiting_detail: 3,
            cursor: Some("2026".to_owned()),
            reconciled_at: Some(at(0)),
            interval: Some(300_000),
            warnings: vec!["odd".to_owned()],
            baseline_next: true,
            ..state(at(2))
        };
        server.commit(whole, record(at(2))).await;
        let orders = server.get("/v1/connectors/orders").await;
        assert_eq!(orders["status"], "held");
        assert_eq!(
            orders["hold"],
            json!({"since": at(1), "cause": "too many", "created": 9, "updated": 0, "removed": 2})
        );
        assert_eq!(orders["pass"], json!({"since": at(0), "position": {"number": 51}, "polls": 2}));
        assert_eq!((&orders["awaiting_detail"], &orders["cursor"]), (&json!(3), &json!("2026")));
        assert_eq!((&orders["reconciled_at"], &orders["interval"]), (&json!(at(0)), &json!(300_000)));
        assert_eq!((&orders["warnings"], &orders["baseline_next"]), (&json!(["odd"]), &json!(true)));
        assert_eq!(orders["next_poll"], json!({"at": at(3), "because": "behind"}));
        assert_eq!(orders["last_poll"], serde_json::to_value(record(at(2))).expect("JSON"));

        let all = server.get("/v1/connectors").await;
        assert_eq!(all["data"][0], orders);
        let names = all["data"].as_array().expect("a list").iter().map(|one| &one["name"]);
        assert_eq!(names.collect::<Vec<_>>(), ["orders", "prices/oslo", "prices/rome", "tickets"]);
    })
    .await;
}

#[tokio::test]
async fn the_word_for_a_connector_is_that_of_its_worst_trouble() {
    with_server(async |server| {
        let mut troubled = state(at(0));
        let mut expected = "ok";
        for step in 0..5 {
            match step {
                1 => (troubled.warnings, expected) = (vec!["odd".to_owned()], "warning"),
                2 => {
                    let position = PagePosition::Number(2);
                    (troubled.pass, expected) = (Some(Pass::new(at(0), position)), "behind");
                }
                3 => {
                    let hold = Hold { since: at(0), cause: String::new(), created: 1, updated: 0, removed: 0 };
                    (troubled.hold, expected) = (Some(hold), "held");
                }
                4 => (troubled.failures, expected) = (1, "failing"),
                _ => {}
            }
            server.commit(troubled.clone(), record(at(step))).await;
            assert_eq!(server.get("/v1/connectors/orders").await["status"], expected);
        }
        server.commit(ConnectorState { awaiting_detail: 1, ..state(at(9)) }, record(at(9))).await;
        assert_eq!(server.get("/v1/connectors/orders").await["status"], "warning");
    })
    .await;
}

#[tokio::test]
async fn polls_are_listed_newest_first_in_parts() {
    with_server(async |server| {
        for number in 0..5 {
            server.commit(state(at(number)), record(at(number))).await;
        }
        let part = server.get("/v1/connectors/orders/polls?limit=3").await;
        let times = |part: &Value| {
            let polls = part["data"].as_array().expect("a list").iter();
            polls.map(|poll| poll["at"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(times(&part), [4, 3, 2].map(|number| json!(at(number))));
        let next = part["next"].as_str().expect("there are more");
        let part = server.get(&format!("/v1/connectors/orders/polls?limit=3&before={next}")).await;
        assert_eq!(times(&part), [1, 0].map(|number| json!(at(number))));
        assert_eq!(part.get("next"), None);
        assert_eq!(server.get("/v1/connectors/tickets/polls").await["data"], json!([]));

        let (status, body) = server.ask(Method::GET, "/v1/connectors/orders/polls?before=yesterday").await;
        assert_eq!(status, 400, "{body}");
        let (status, body) = server.ask(Method::GET, "/v1/connectors/order/polls").await;
        assert_eq!((status, &body["detail"]), (404, &json!("there is no connector order")));
    })
    .await;
}

#[tokio::test]
async fn decisions_are_handed_on_and_answered() {
    with_server(async |server| {
        let held = Decided::Held { created: 1, updated: 2, removed: 3 };
        let counts = json!({"created": 1, "updated": 2, "removed": 3});
        let approve = "/v1/connectors/orders/approve";
        server.check_decision(approve, Ok(held), 200, json!({"decision": "approve", "held": counts})).await;
        let drop = "/v1/connectors/orders/drop";
        server.check_decision(drop, Ok(held), 200, json!({"decision": "drop", "held": counts})).await;
        let baseline = "/v1/connectors/tickets/baseline";
        server.check_decision(baseline, Ok(Decided::NextPoll), 200, json!({"decision": "baseline"})).await;
        let asked = server.decide.asked.lock().unwrap_or_else(PoisonError::into_inner).split_off(0);
        let expected = [("orders", Decision::Approve), ("orders", Decision::Drop), ("tickets", Decision::Baseline)];
        assert_eq!(asked, expected.map(|(name, decision)| (name.to_owned(), decision)));

        let nothing = json!("no changes of orders are held, so there is nothing to drop");
        server.check_decision(drop, Err(DecisionError::NothingHeld), 409, nothing).await;
        let under_way = json!("orders is being polled just now; try again in a moment");
        server.check_decision(approve, Err(DecisionError::PollUnderWay), 409, under_way).await;
        let failed = DecisionError::Failed(Box::new(std::io::Error::other("the disk is full")));
        server.check_decision(approve, Err(failed), 500, json!("the disk is full")).await;
        let (status, body) = server.ask(Method::POST, "/v1/connectors/order/approve").await;
        assert_eq!((status, &body["detail"]), (404, &json!("there is no connector order")));
        let (status, _) = server.ask(Method::GET, approve).await;
        assert_eq!(status, 405);
    })
    .await;
}

#[tokio::test]
async fn the_elements_of_each_are_asked_for_by_their_names() {
    with_server(async |server| {
        for path in ["/v1/connectors/prices%2Frome", "/v1/connectors/prices/rome"] {
            assert_eq!(server.get(path).await["name"], "prices/rome");
            assert_eq!(server.get(&format!("{path}/polls")).await["data"], json!([]));
            let expected = json!({"decision": "baseline"});
            server.check_decision(&format!("{path}/baseline"), Ok(Decided::NextPoll), 200, expected).await;
        }
        let asked = server.decide.asked.lock().unwrap_or_else(PoisonError::into_inner).split_off(0);
        assert_eq!(asked, [(); 2].map(|()| ("prices/rome".to_owned(), Decision::Baseline)));
        let (status, body) = server.ask(Method::GET, "/v1/connectors/prices").await;
        let whole = "there is no connector prices as a whole; ask for one of its elements: prices/oslo, prices/rome";
        assert_eq!((status, &body["detail"]), (404, &json!(whole)));
        let (status, body) = server.ask(Method::GET, "/v1/connectors/prices/paris").await;
        assert_eq!((status, &body["detail"]), (404, &json!("there is no connector prices/paris")));
    })
    .await;
}
