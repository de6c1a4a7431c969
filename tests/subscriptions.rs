//! Subscriptions made over the API of the real service: they come and go while it runs, outlive its end, whenever that
//! comes, and disturb nobody.

mod support {
    pub mod process;
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pollhook::clock::SystemClock;
use pollhook::deliver::{VerifyingKey, verify};
use pollhook::http::Method;
use pollhook::http::header::{HeaderMap, HeaderName, HeaderValue};
use pollhook::model::secret::SigningSecret;
use serde_json::{Value, json};

use support::service::{Home, Service};
use support::source::{Reply, Request, Source, Step};
use support::{wait, web};

/// How long anything here may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often the service is killed while a secret is rotated.
const ROTATIONS: usize = 12;

/// A receiver that keeps what it was sent.
struct Receiver {
    source: Source,
    kept: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    async fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let kept = Arc::<Mutex<Vec<Request>>>::default();
        let keeping = Arc::clone(&kept);
        let source = Source::start(move |request| {
            keeping.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            answer(request)
        })
        .await;
        Self { source, kept }
    }

    fn kept(&self) -> Vec<Request> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a delivery and returns it.
    async fn delivery(&self, what: &str, is_it: impl Fn(&Request) -> bool) -> Request {
        wait::until(what, PATIENCE, async || self.kept().into_iter().find(|request| is_it(request))).await
    }
}

impl Service {
    async fn done(&self, method: Method, path: &str, body: &Value, expected: u16) -> Value {
        let (status, answer) = ask(&self.url(), method, path, body).await.expect("an answer");
        assert_eq!(status, expected, "{path}: {answer}");
        answer
    }

    /// Queues a test event and returns its id.
    async fn test(&self, name: &str) -> String {
        let answer = self.done(Method::POST, &format!("/v1/subscriptions/{name}/test"), &json!({}), 202).await;
        let delivery = answer["delivery"].as_str().expect("an id").to_owned();
        delivery.split('.').next().expect("an event's id").to_owned()
    }
}

/// Asks a service; `None` means that there was no answer.
async fn ask(service: &str, method: Method, path: &str, body: &Value) -> Option<(u16, Value)> {
    let json = [("content-type", "application/json")];
    let response = web::send(method, &format!("{service}{path}"), &json, body.to_string().as_bytes()).await?;
    Some((response.status, serde_json::from_slice(&response.body).unwrap_or_default()))
}

fn is_event(id: &str) -> impl Fn(&Request) -> bool {
    move |request| request.header("webhook-id") == Some(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_made_gets_events_until_it_is_removed_also_after_a_kill() {
    let items = Arc::new(Mutex::new(vec![json!({"id": 0})]));
    let served = Arc::clone(&items);
    let source =
        Source::start(move |_| Reply::json(json!(*served.lock().unwrap_or_else(PoisonError::into_inner)).to_string()))
            .await;
    let add = |id: u64| items.lock().unwrap_or_else(PoisonError::into_inner).push(json!({ "id": id }));
    let receiver = Receiver::start(|_| Reply::of(204, "")).await;
    let home = Home::new(&format!(
        "[egress]\nallow = [\"127.0.0.0/8\"]\n[connectors.items]\nevery = \"1s\"\nrequest.url = \"{}\"\nitem.key = \".id\"\n",
        source.url("/")
    ));
    let service = home.start().await;
    wait::until("the baseline is taken", PATIENCE, async || {
        service.get("/v1/connectors/items").await["succeeded_at"].is_string().then_some(())
    })
    .await;
    let one = json!({"name": "erp", "url": receiver.source.url("/erp"), "secret": null});
    service.done(Method::POST, "/v1/subscriptions", &one, 201).await;
    add(1);
    receiver.delivery("the first event", |request| request.body.contains("\"key\":\"1\"")).await;

    drop(service);
    let service = home.start().await;
    add(2);
    receiver.delivery("the second event", |request| request.body.contains("\"key\":\"2\"")).await;

    service.done(Method::DELETE, "/v1/subscriptions/erp", &json!({}), 204).await;
    add(3);
    let subscriptions = wait::until("the third event", PATIENCE, async || {
        let events = service.list("/v1/events").await;
        events.iter().find(|entry| entry["event"]["key"] == "3").map(|entry| entry["subscriptions"].clone())
    })
    .await;
    assert_eq!(subscriptions, json!([]));
    assert!(!receiver.kept().iter().any(|request| request.body.contains("\"key\":\"3\"")));
    service.stop().await;
}

/// What is under way when its subscription is changed ends as it began; what comes later goes to the new URL.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_replaced_finishes_first() {
    let receiver = Receiver::start(|request| match request.target.as_str() {
        "/old" => {
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
            Reply::wire([Step::Pause(Duration::from_millis(1500)), Step::Send(answer)])
        }
        _ => Reply::of(204, ""),
    })
    .await;
    let home = Home::new("[egress]\nallow = [\"127.0.0.0/8\"]\n");
    let service = home.start().await;
    let one = json!({"name": "erp", "url": receiver.source.url("/old")});
    service.done(Method::POST, "/v1/subscriptions", &one, 201).await;
    let first = service.test("erp").await;
    receiver.delivery("the first attempt", is_event(&first)).await;
    let change = json!({"url": receiver.source.url("/new")});
    service.done(Method::PATCH, "/v1/subscriptions/erp", &change, 200).await;
    let second = service.test("erp").await;
    assert_eq!(receiver.delivery("the second attempt", is_event(&second)).await.target, "/new");
    let test = service.get(&format!("/v1/subscriptions/erp/tests/{first}")).await;
    assert_eq!((&test["delivery"]["state"], &test["delivery"]["attempts"]), (&json!("delivered"), &json!(1)));
    assert_eq!(receiver.kept().len(), 2);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_rotation_is_killed_is_the_old_or_the_new_one() {
    let receiver = Receiver::start(|_| Reply::of(204, "")).await;
    let home = Home::new("[egress]\nallow = [\"127.0.0.0/8\"]\n");
    let generate = || SigningSecret::generate().expose().to_owned();
    let mut certain = generate();
    let mut service = home.start().await;
    let one = json!({"name": "erp", "url": receiver.source.url("/erp"), "secret": certain});
    service.done(Method::POST, "/v1/subscriptions", &one, 201).await;
    for _ in 0..ROTATIONS {
        let new = generate();
        let life = Duration::from_micros(fastrand::u64(0..8_000));
        let request = json!({ "secret": new });
        let url = service.url();
        let (rotated, ()) = tokio::join!(ask(&url, Method::POST, "/v1/subscriptions/erp/rotate", &request), async {
            wait::pause(life).await;
            drop(service);
        });
        service = home.start().await;
        let test = service.test("erp").await;
        let delivery = receiver.delivery("a test event", is_event(&test)).await;
        assert!(is_signed_with(&delivery, &certain), "the secret before is used for a while");
        match rotated {
            Some((status, answer)) => {
                assert_eq!(status, 200, "{answer}");
                assert!(is_signed_with(&delivery, &new), "what was acknowledged is durable");
                certain = new;
            }
            // It may have become durable before it could be acknowledged.
            None if is_signed_with(&delivery, &new) => certain = new,
            None => {}
        }
    }
    service.stop().await;
}

/// Runs `pollhook subscriptions` beside a service; returns its exit code, and what it wrote to both outputs.
fn command(home: &Home, service: &Service, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = home.command();
    command.arg("subscriptions").args(arguments).args(["--server", &service.url()]);
    let output = command.output().expect("pollhook can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_add_test_rotate_disable_and_remove() {
    let status = Arc::new(Mutex::new(204));
    let answered = Arc::clone(&status);
    let answer = move |_: &Request| Reply::of(*answered.lock().unwrap_or_else(PoisonError::into_inner), "who are you?");
    let receiver = Receiver::start(answer).await;
    let home = Home::new(&format!(
        "[egress]\nallow = [\"127.0.0.0/8\"]\n[subscriptions.log]\nurl = \"{}\"\n",
        receiver.source.url("/log")
    ));
    let service = home.start().await;
    let run = |arguments: &[&str]| command(&home, &service, arguments);
    let check = |arguments: &[&str], code: i32, part: &str| {
        let (ended, out, err) = run(arguments);
        assert!(
            ended == Some(code) && (out.contains(part) || err.contains(part)),
            "{arguments:?}: {ended:?}\n{out}\n{err}"
        );
    };

    let (code, out, err) = run(&["add", "erp", "--url", &receiver.source.url("/erp"), "--events", "created,removed"]);
    assert_eq!(code, Some(0), "{err}");
    let secret = out.split_whitespace().find(|word| word.starts_with("whsec_")).expect("the secret").to_owned();
    check(&["add", "erp", "--url", "http://a.example.com/"], 1, "there is a subscription erp already");
    check(&["add", "bad", "--url", "ftp://a", "--format", "stndard"], 1, "/format: unknown word \"stndard\"");
    check(&["list"], 0, "configured  standard");
    let (_, shown, _) = run(&["show", "erp"]);
    assert!(shown.contains("created, removed") && shown.contains("\"***\"") && !shown.contains(&secret), "{shown}");

    let (code, tested, err) = run(&["test", "erp"]);
    assert_eq!(code, Some(0), "{tested}{err}");
    let sent = receiver.kept().pop().expect("a delivery");
    assert!(is_signed_with(&sent, &secret));
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let value = sent.header(name).expect("a header");
        assert!(tested.contains(&format!("{name}: {value}")), "{tested}");
    }
    assert!(tested.contains(&sent.body) && tested.contains("works: the receiver acknowledged it with 204"), "{tested}");

    *status.lock().unwrap_or_else(PoisonError::into_inner) = 401;
    check(&["test", "log"], 1, "failed: the receiver answered 401");
    let (code, json, _) = run(&["test", "erp", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &json["verdict"]["acknowledged"]), (Some(1), &json!(false)));
    assert_eq!(json["test"]["attempts"][0]["answer"], "who are you?");

    check(&["rotate", "log"], 1, "write its new secret there");
    check(&["rotate", "erp", "--overlap", "1h"], 0, "the former ones sign as well until");
    check(&["disable", "log", "--reason", "moving"], 0, "log is disabled");
    check(&["test", "log"], 1, "moving. Nothing is sent to it, not even a test");
    check(&["enable", "log"], 0, "log is enabled");
    check(&["remove", "log"], 1, "is in the configuration file");
    check(&["remove", "erp"], 0, "erp is removed");
    check(&["show", "erp"], 1, "there is no subscription erp");
    check(&[], 0, "log");
    service.stop().await;
}

fn is_signed_with(delivery: &Request, secret: &str) -> bool {
    let header = |(name, value): &(String, String)| {
        (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
    };
    let headers: HeaderMap = delivery.headers.iter().map(header).collect();
    let key = VerifyingKey::parse(secret).expect("a key");
    verify(&[key], &headers, delivery.body.as_bytes(), SystemClock::shared().now()).is_ok()
}
