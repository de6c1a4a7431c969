//! What pollhook delivers, judged by the official packages for signatures and CloudEvents of PyPI and npm, which `tests/run`
//! installs. The deliveries are made by the real service, over real sockets.

#[path = "support/process.rs"]
mod process;
#[expect(dead_code, reason = "other tests use all of it")]
#[path = "support/service.rs"]
mod service;
#[expect(dead_code, reason = "the tests of faults use all of it")]
#[path = "support/source.rs"]
mod source;
#[path = "support/wait.rs"]
mod wait;
#[path = "support/web.rs"]
mod web;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use pollhook::clock::SystemClock;
use serde::Deserialize;
use serde_json::{Value, json};

use service::Home;
use source::{Reply, Request, Source};

const PATIENCE: Duration = Duration::from_secs(60);

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";
const UNKNOWN: &str = "whsec_dGhpcyBvbmUgaXMga25vd24gdG8gbm9ib2R5";
/// The key pair of the first test vector of RFC 8032.
const ED25519: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const ED25519_PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const ED25519_OTHER: &str = "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

/// An item whose key and texts need encoding wherever they are put.
const CREATED: &str = r#"[{"id":"Ä \"1\" 100%","status":"open","total":9007199254740993,"exact":1.0}]"#;
const UPDATED: &str = r#"[{"id":"Ä \"1\" 100%","status":"paid €","total":9007199254740993,"exact":1.0}]"#;

/// Items that are found together.
const THREE: &str = r#"[{"id":1,"total":9007199254740993},{"id":2,"text":"ü"},{"id":3,"text":""}]"#;

/// Runs the service with these subscriptions, each `[subscriptions.NAME]` without its URL, while the source has first one
/// list of items and then the next one, and until each subscription was sent something of each. Returns what each was sent,
/// in order.
async fn delivered(lists: &[&'static str], subscriptions: &[(&str, &str)]) -> BTreeMap<String, Vec<Request>> {
    let answer = |items: &'static str| {
        move |request: &Request| if request.target == "/orders" { Reply::json(items) } else { Reply::of(204, "") }
    };
    let source = Source::start(answer(lists[0])).await;
    let mut configuration = format!(
        "[connectors.orders]\nevery = \"1s\"\nrequest.url = \"{}\"\nresponse.items = \".[]\"\nitem.key = \".id\"\n\
         changes = {{ first_poll = \"send\", previous = true }}\n",
        source.url("/orders")
    );
    for (name, keys) in subscriptions {
        let url = source.url(&format!("/{name}"));
        writeln!(configuration, "[subscriptions.{name}]\nurl = \"{url}\"\n{keys}").expect("a string takes it");
    }
    let home = Home::new(&configuration);
    let service = home.start().await;
    let mut sent: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    for (round, items) in lists.iter().enumerate() {
        source.respond(answer(items));
        wait::until("each subscription is sent the change", PATIENCE, async || {
            for request in source.take_requests().into_iter().filter(|request| request.method == "POST") {
                sent.entry(request.target[1..].to_owned()).or_default().push(request);
            }
            subscriptions.iter().all(|(name, _)| sent.get(*name).is_some_and(|all| all.len() > round)).then_some(())
        })
        .await;
    }
    service.stop().await;
    sent
}

/// A delivery, a verifier that looks at it, and the verifier's key.
struct Trial<'a> {
    verifier: &'a str,
    key: &'a str,
    delivery: Request,
}

/// What a verifier said.
#[derive(Debug, Deserialize)]
struct Verdict {
    problem: Option<String>,
    events: Vec<Value>,
}

/// Has deliveries judged in Python or JavaScript.
fn judge(command: &mut Command, trials: &[Trial<'_>]) -> Vec<Verdict> {
    let requests = trials.iter().map(|trial| {
        let headers: serde_json::Map<String, Value> =
            trial.delivery.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({ "verifier": trial.verifier, "key": trial.key, "headers": headers, "body": trial.delivery.body })
    });
    let requests = Value::Array(requests.collect()).to_string();
    let mut judge = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it can be started");
    judge.stdin.take().expect("it is piped").write_all(requests.as_bytes()).expect("it reads its input");
    let output = judge.wait_with_output().expect("it ends");
    let verdicts: Vec<Verdict> = serde_json::from_slice(&output.stdout).expect("verdicts");
    assert_eq!(verdicts.len(), trials.len());
    verdicts
}

fn python() -> Command {
    let mut python = Command::new(tool("python/bin/python"));
    python.arg(support("python/verify.py"));
    python
}

fn node() -> Command {
    let mut node = Command::new("node");
    node.arg(support("verify.mjs")).arg(tool("node/node_modules"));
    node
}

/// Checks that each of these verifiers accepts all deliveries with this key, and none of them with another key or after
/// anything in them was altered.
#[track_caller]
fn check_verified(mut command: Command, verifiers: &[&str], keys: (&str, &str), deliveries: &[Request]) {
    let (right, wrong) = keys;
    let mut trials = Vec::new();
    let mut expected = Vec::new();
    for (verifier, delivery) in verifiers.iter().flat_map(|one| deliveries.iter().map(move |each| (*one, each))) {
        let mut expect = |what: String, accepted: bool, key, delivery| {
            trials.push(Trial { verifier, key, delivery });
            expected.push((format!("{verifier}: {what}"), accepted));
        };
        expect("as it came".to_owned(), true, right, delivery.clone());
        expect("another key".to_owned(), false, wrong, delivery.clone());
        for (what, altered) in alterations(delivery) {
            expect(what, false, right, altered);
        }
    }
    for ((what, accepted), verdict) in expected.into_iter().zip(judge(&mut command, &trials)) {
        assert_eq!(verdict.problem.is_none(), accepted, "{what}: {verdict:?}");
    }
}

/// Returns a delivery with one thing altered each, of all that its signature covers.
fn alterations(delivery: &Request) -> Vec<(String, Request)> {
    let mut altered = Vec::new();
    let mut add = |what: &str, alter: &dyn Fn(&mut Request)| {
        let mut delivery = delivery.clone();
        let before = (delivery.headers.clone(), delivery.body.clone());
        alter(&mut delivery);
        assert_ne!((&delivery.headers, &delivery.body), (&before.0, &before.1), "the {what} was to be altered");
        altered.push((format!("altered {what}"), delivery));
    };
    add("body", &|delivery| delivery.body = delivery.body.replacen("9007199254740993", "9007199254740992", 1));
    add("end of the body", &|delivery| delivery.body.push(' '));
    let header = |delivery: &mut Request, name: &str, alter: &dyn Fn(&str) -> String| {
        let (_, value) = delivery.headers.iter_mut().find(|(known, _)| known == name).expect("the header is there");
        *value = alter(value);
    };
    if delivery.header("webhook-signature").is_some() {
        add("id", &|delivery| header(delivery, "webhook-id", &|id| format!("{id}0")));
        let later = |seconds: &str| (seconds.parse::<u64>().expect("seconds") + 1).to_string();
        add("time", &|delivery| header(delivery, "webhook-timestamp", &later));
        add("version of the signature", &|delivery| {
            header(delivery, "webhook-signature", &|value| value.replace("v1,", "v2,").replace("v1a,", "v2a,"));
        });
    } else {
        add("signature", &|delivery| {
            header(delivery, "x-hub-signature-256", &|value| {
                let last = if value.ends_with('0') { '1' } else { '0' };
                format!("{}{last}", &value[..value.len() - 1])
            });
        });
    }
    altered
}

#[tokio::test(flavor = "multi_thread")]
async fn official_verifiers_accept_what_is_signed_and_refuse_what_was_altered() {
    let yesterday = SystemClock::shared().now() - Duration::from_secs(24 * 60 * 60);
    let tomorrow = SystemClock::shared().now() + Duration::from_secs(24 * 60 * 60);
    let standard = format!("secret = \"{OLD}\"");
    let rotating = format!("secret = [{{ value = \"{OLD}\", until = \"{tomorrow}\" }}, \"{NEW}\"]");
    let rotated = format!("secret = [{{ value = \"{OLD}\", until = \"{yesterday}\" }}, \"{NEW}\", \"{ED25519}\"]");
    let in_format = |format: &str| format!("{standard}\nformat = \"{format}\"");
    let (raw, form, cloudevents) = (in_format("raw"), in_format("form"), in_format("cloudevents"));
    let github = "secret = \"It's a Secret to Everybody\"\nsignature.style = \"github\"";
    let sent = delivered(
        &[CREATED, UPDATED],
        &[
            ("standard", &standard),
            ("rotating", &rotating),
            ("rotated", &rotated),
            ("raw", &raw),
            ("form", &form),
            ("cloudevents", &cloudevents),
            ("github", github),
        ],
    )
    .await;

    let of = |names: &[&str]| -> Vec<Request> { names.iter().flat_map(|name| sent[*name].clone()).collect() };
    let json = of(&["standard", "rotating", "raw", "cloudevents"]);
    assert_eq!(json.len(), 8);
    check_verified(python(), &["standardwebhooks", "svix"], (OLD, UNKNOWN), &json);
    check_verified(node(), &["standardwebhooks", "svix"], (OLD, UNKNOWN), &json);
    check_verified(python(), &["standardwebhooks", "svix"], (OLD, UNKNOWN), &sent["form"]);
    check_verified(node(), &["standardwebhooks"], (OLD, UNKNOWN), &sent["form"]);
    // Who knows the new secret only is served as well as who knows the old one only, until that ends.
    check_verified(python(), &["standardwebhooks", "svix"], (NEW, UNKNOWN), &sent["rotating"]);
    check_verified(python(), &["standardwebhooks", "svix"], (NEW, OLD), &sent["rotated"]);
    check_verified(node(), &["standardwebhooks", "svix"], (NEW, OLD), &sent["rotated"]);
    check_verified(python(), &["ed25519"], (ED25519_PUBLIC, ED25519_OTHER), &sent["rotated"]);
    check_verified(node(), &["ed25519"], (ED25519_PUBLIC, ED25519_OTHER), &sent["rotated"]);
    let secret = "It's a Secret to Everybody";
    check_verified(node(), &["octokit"], (secret, "It's a Secret to Somebody"), &sent["github"]);
    assert!(sent["github"].iter().all(|delivery| delivery.header("webhook-signature").is_none()));
}

/// Checks an event as CloudEvents 1.0 wants it, without trusting a library that fills in what is missing.
#[track_caller]
fn check_strictly(attributes: &serde_json::Map<String, Value>) {
    for name in ["specversion", "id", "source", "type"] {
        let value = attributes.get(name).and_then(Value::as_str);
        assert!(value.is_some_and(|value| !value.is_empty()), "{name} is required: {attributes:?}");
    }
    assert_eq!(attributes["specversion"], "1.0");
    assert!(
        url::Url::parse("x:/").and_then(|base| base.join(attributes["source"].as_str().unwrap_or_default())).is_ok()
    );
    let time = attributes["time"].as_str().expect("a time");
    assert!(time.ends_with('Z') && pollhook::model::time::Timestamp::parse(time).is_ok(), "{time}");
    for (name, value) in attributes {
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        assert!(plain && (1..=20).contains(&name.len()), "{name:?} is no name of an attribute");
        let is_set = value.is_boolean() || value.as_str().is_some_and(|text| !text.is_empty());
        assert!(is_set, "{name} has a value that an attribute cannot have: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_reader_of_cloudevents_finds_what_was_sent() {
    let sent = delivered(
        &[CREATED, UPDATED],
        &[
            ("structured", "format = \"cloudevents\""),
            ("binary", "format = \"cloudevents-binary\""),
            ("batch", "format = \"cloudevents-batch\""),
            ("plain", ""),
        ],
    )
    .await;
    let content_type = |name: &str| sent[name][0].header("content-type").expect("a type").to_owned();
    assert_eq!(content_type("structured"), "application/cloudevents+json");
    assert_eq!(content_type("binary"), "application/json");
    assert_eq!(content_type("batch"), "application/cloudevents-batch+json");
    let read = |name: &str| -> Vec<Value> {
        let trial = |delivery: &Request| Trial { verifier: "cloudevents", key: "", delivery: delivery.clone() };
        let verdicts = judge(&mut python(), &sent[name].iter().map(trial).collect::<Vec<_>>());
        let events = verdicts.into_iter().flat_map(|verdict| {
            assert_eq!(verdict.problem, None);
            verdict.events
        });
        events.collect()
    };
    let (structured, binary, batch) = (read("structured"), read("binary"), read("batch"));
    assert_eq!((structured.len(), binary.len()), (2, 2));
    assert_eq!(structured, batch);
    for (index, plain) in sent["plain"].iter().enumerate() {
        let plain: Value = serde_json::from_str(&plain.body).expect("JSON");
        let attributes = &structured[index]["attributes"];
        assert_eq!(attributes["id"], plain["id"]);
        assert_eq!((&attributes["type"], &attributes["subject"]), (&plain["type"], &json!("Ä \"1\" 100%")));
        assert_eq!((&attributes["source"], &attributes["connector"]), (&json!("pollhook/orders"), &json!("orders")));
        assert_eq!(structured[index]["data"], plain["data"]);
        for of_update in ["changes", "previous"] {
            let text = attributes[of_update].as_str();
            assert_eq!(text.map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON")), plain[of_update]);
        }
        // The headers carry all but these two.
        let mut expected = attributes.clone();
        expected.as_object_mut().expect("attributes").retain(|name, _| name != "changes" && name != "previous");
        assert_eq!(binary[index]["attributes"], expected);
        assert_eq!(binary[index]["data"], plain["data"]);
    }
    for delivery in &sent["structured"] {
        let mut event: serde_json::Map<String, Value> = serde_json::from_str(&delivery.body).expect("an object");
        assert!(event.remove("data").is_some());
        check_strictly(&event);
    }
    for delivery in &sent["batch"] {
        let events: Vec<serde_json::Map<String, Value>> = serde_json::from_str(&delivery.body).expect("a list");
        for mut event in events {
            event.remove("data");
            check_strictly(&event);
        }
    }
    for delivery in &sent["binary"] {
        let attributes = delivery.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce-")?, value)));
        check_strictly(&attributes.map(|(name, value)| (name.to_owned(), json!(value))).collect());
        assert!(delivery.body.contains("9007199254740993") && delivery.body.contains("1.0"), "{}", delivery.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_verified_and_read_as_a_whole() {
    let batch = |format: &str| {
        format!("secret = [\"{OLD}\", \"{ED25519}\"]\nformat = \"{format}\"\nbatch = {{ max = 10, wait = \"1s\" }}")
    };
    let sent = delivered(&[THREE], &[("standard", &batch("standard")), ("cloudevents", &batch("cloudevents"))]).await;
    let deliveries: Vec<Request> = sent.values().flatten().cloned().collect();
    assert_eq!(deliveries.len(), 2, "one batch each");
    check_verified(python(), &["standardwebhooks", "svix"], (OLD, UNKNOWN), &deliveries);
    check_verified(node(), &["standardwebhooks", "svix"], (OLD, UNKNOWN), &deliveries);
    check_verified(python(), &["ed25519"], (ED25519_PUBLIC, ED25519_OTHER), &deliveries);
    let delivery = &sent["cloudevents"][0];
    let [verdict] =
        &judge(&mut python(), &[Trial { verifier: "cloudevents", key: "", delivery: delivery.clone() }])[..]
    else {
        panic!("one verdict");
    };
    let plain: Vec<Value> = serde_json::from_str(&sent["standard"][0].body).expect("a list");
    let ids = |events: &[Value], path: &str| -> Vec<Value> {
        events.iter().map(|event| event.pointer(path).expect("an id").clone()).collect()
    };
    assert_eq!((verdict.problem.as_ref(), plain.len()), (None, 3));
    assert_eq!(ids(&verdict.events, "/attributes/id"), ids(&plain, "/id"));
    let first = plain[0]["id"].as_str().expect("an id").replace("evt_", "bat_");
    assert_eq!(delivery.header("webhook-id"), Some(first.as_str()));
}

fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools").join(path);
    assert!(tool.exists(), "{} is missing: run `./tests/run`, which installs it", tool.display());
    tool
}

fn support(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}
