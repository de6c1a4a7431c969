//! What can be done with subscriptions through the admin API.

use serde_json::{Value, json};

use crate::deliver::signing_secrets;
use crate::http::Method;
use crate::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use crate::model::event::Route as _;
use crate::server::tests::{Server, with_server};
use crate::store::{DeliveryStore, EventQuery, HistoryStore, LaneState, OpenBreaker, SubscriptionStore};

const PATH: &str = "/v1/subscriptions";
const OWN_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";

impl Server {
    async fn json(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let json = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        self.send(method, path, json, &body.to_string()).await
    }

    async fn check_problem(&self, (method, path, body): (Method, &str, Value), status: u16, expected: &Value) {
        let (answered, answer) = self.json(method, path, &body).await;
        let shown = if answer["errors"].is_array() { &answer["errors"] } else { &answer["detail"] };
        assert_eq!((answered, shown), (status, expected), "{path}: {answer}");
    }

    /// Returns what deliveries to a subscription are signed with.
    fn signed_with(&self, name: &str) -> Vec<(String, bool)> {
        let present = self.registry.present();
        let subscription = present.get(&name.parse().expect("a name")).expect("it is there");
        let secrets = signing_secrets(&subscription.signing).into_iter();
        secrets.map(|timed| (timed.secret.expose().to_owned(), timed.until.is_some())).collect()
    }
}

fn erp() -> Value {
    json!({"name": "erp", "url": "https://erp.example.com/hooks", "events": ["created"], "headers": {"X-Key": "hunter2"}})
}

#[tokio::test]
async fn one_is_made_shown_changed_and_removed() {
    with_server(async |server| {
        let (status, made) = server.json(Method::POST, PATH, &erp()).await;
        assert_eq!(status, 201, "{made}");
        let secret = made["secret"].as_str().expect("it was generated").to_owned();
        assert_eq!(server.signed_with("erp"), [(secret.clone(), false)]);
        let shown = server.get("/v1/subscriptions/erp").await;
        assert_eq!(shown, made["subscription"]);
        let definition = json!({
            "url": "https://erp.example.com/hooks", "events": ["created"], "headers": {"X-Key": "***"}, "secret": "***"
        });
        assert_eq!((&shown["origin"], &shown["made"]["definition"]), (&json!("api"), &definition));
        assert_eq!((&shown["format"], &shown["order"]), (&json!("standard"), &json!("none")));
        assert_eq!(server.get(PATH).await["data"], json!([shown]));
        assert_eq!(server.store.stored_subscriptions().await.expect("a read").len(), 1);

        let (status, changed) = server.json(Method::PATCH, "/v1/subscriptions/erp", &json!({"events": null})).await;
        assert_eq!((status, &changed["subscription"]["made"]["revision"]), (200, &json!(2)), "{changed}");
        assert_eq!((&changed["subscription"]["events"], changed.get("secret")), (&json!([]), None));
        let other = json!({"name": "erp", "url": "https://other.example.com/"});
        let (status, changed) = server.json(Method::PUT, "/v1/subscriptions/erp", &other).await;
        assert_eq!((status, &changed["subscription"]["url"]), (200, &json!("https://other.example.com/")));
        assert_eq!(server.signed_with("erp"), [(secret, false)], "it keeps its secret");
        assert_eq!(changed["subscription"]["made"]["definition"].get("headers"), None);

        let (status, nothing) = server.json(Method::DELETE, "/v1/subscriptions/erp", &json!(null)).await;
        assert_eq!((status, nothing), (204, json!(null)));
        assert_eq!(server.get(PATH).await["data"], json!([]));
        assert!(server.store.stored_subscriptions().await.expect("a read").is_empty());
        let unknown = json!("there is no subscription erp");
        server.check_problem((Method::DELETE, "/v1/subscriptions/erp", json!({})), 404, &unknown).await;
    })
    .await;
}

#[tokio::test]
async fn mistakes_are_told_all_at_once_with_their_places() {
    with_server(async |server| {
        let wrong = json!({"name": "erp", "url": "erp", "timeout": 5, "secret": {"env": "HOME"}});
        let expected = json!([
            {"pointer": "/url", "detail": "an address begins with http:// or https://"},
            {"pointer": "/timeout", "detail": "expected an amount of time such as \"30s\", found a whole number"},
            {
                "pointer": "/secret",
                "detail": "over the API a secret is given as it is",
                "help": "write the text itself; environment variables and files are named in the configuration file only"
            },
        ]);
        server.check_problem((Method::POST, PATH, wrong), 422, &expected).await;
        let inside = json!([{
            "pointer": "/url", "detail": "the address 10.0.0.1 (private, RFC 1918) may not be connected to; `[egress] allow` could name it"
        }]);
        server.check_problem((Method::POST, PATH, json!({"name": "in", "url": "http://10.0.0.1/"})), 422, &inside).await;
        let missing = json!([{
            "pointer": "", "detail": "`name` is missing in a subscription",
            "help": "What it is called, in a-z, 0-9, `-` and `_`."
        }]);
        server.check_problem((Method::POST, PATH, json!({"url": "http://a"})), 422, &missing).await;
        let name = json!([{"pointer": "/name", "detail": "a name has at most 64 characters"}]);
        server.check_problem((Method::POST, PATH, json!({"name": "a".repeat(65)})), 422, &name).await;
        assert!(server.store.stored_subscriptions().await.expect("a read").is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_somebody_has_is_not_made_again_but_a_repeated_request_is_answered_again() {
    with_server(async |server| {
        let key = |key| HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("idempotency-key"), HeaderValue::from_static(key)),
        ]);
        let body = erp().to_string();
        let first = server.send(Method::POST, PATH, key("one"), &body).await;
        assert_eq!(server.send(Method::POST, PATH, key("one"), &body).await, first, "the secret as well");
        let (status, _) = server.send(Method::POST, PATH, key("two"), &body).await;
        assert_eq!(status, 409);
        let taken = json!("there is a subscription erp already; PUT /v1/subscriptions/erp replaces it");
        server.check_problem((Method::POST, PATH, erp()), 409, &taken).await;

        let configured = json!("the subscription log is in the configuration file: change [subscriptions.log] there and restart the service");
        let log = json!({"name": "log", "url": "http://a/"});
        for asked in [
            (Method::POST, PATH, log.clone()),
            (Method::PUT, "/v1/subscriptions/log", log.clone()),
            (Method::PATCH, "/v1/subscriptions/log", log),
            (Method::DELETE, "/v1/subscriptions/log", json!({})),
        ] {
            server.registry.configure(vec![configured_log()]).await;
            server.check_problem(asked, 409, &configured).await;
        }
    })
    .await;
}

fn configured_log() -> std::sync::Arc<crate::model::subscription::Subscription> {
    std::sync::Arc::new(crate::deliver::fixture::subscription("log", "http://log/"))
}

#[tokio::test]
async fn a_rotated_secret_stays_in_use_for_a_while() {
    with_server(async |server| {
        let one = json!({"name": "erp", "url": "https://erp.example.com/", "secret": OWN_SECRET});
        let (_, made) = server.json(Method::POST, PATH, &one).await;
        assert_eq!(made.get("secret"), None, "it is known already");
        let rotate = "/v1/subscriptions/erp/rotate";
        let (status, rotated) = server.send(Method::POST, rotate, HeaderMap::new(), "").await;
        assert_eq!(status, 200, "{rotated}");
        let second = rotated["secret"].as_str().expect("it was generated").to_owned();
        assert_eq!(server.signed_with("erp"), [(second.clone(), false), (OWN_SECRET.to_owned(), true)]);
        let (_, rotated) = server.json(Method::POST, rotate, &json!({"overlap": "1h", "secret": OWN_SECRET})).await;
        assert_eq!(rotated.get("secret"), None);
        assert_eq!(server.signed_with("erp"), [(OWN_SECRET.to_owned(), false), (second.clone(), true)]);

        server.json(Method::PATCH, "/v1/subscriptions/erp", &json!({"timeout": "1s"})).await;
        assert_eq!(server.signed_with("erp").len(), 2, "another change leaves them");
        let stored = server.store.stored_subscriptions().await.expect("a read");
        assert_eq!(stored[0].former_secrets[0].secret.expose(), second);
        server.json(Method::PATCH, "/v1/subscriptions/erp", &json!({"secret": null})).await;
        assert_eq!(server.signed_with("erp"), []);
        let (_, unsigned) =
            server.json(Method::POST, PATH, &json!({"name": "open", "url": "https://a.example.com/", "secret": null})).await;
        assert_eq!((unsigned.get("secret"), server.signed_with("open")), (None, Vec::new()));
        let unsigned = json!(
            "deliveries to erp are not signed, so there is nothing to rotate; PATCH /v1/subscriptions/erp with a `secret` \
             signs them"
        );
        server.check_problem((Method::POST, rotate, json!({})), 409, &unsigned).await;
        let far = json!([{"pointer": "/overlap", "detail": "must be at most 90d"}]);
        server.check_problem((Method::POST, rotate, json!({"overlap": "91d"})), 422, &far).await;
    })
    .await;
}

#[tokio::test]
async fn a_test_goes_to_one_subscription_unless_it_is_disabled() {
    with_server(async |server| {
        server.json(Method::POST, PATH, &erp()).await;
        let test = "/v1/subscriptions/erp/test";
        let (status, answer) = server.send(Method::POST, test, HeaderMap::new(), "").await;
        assert_eq!((status, answer.get("hindrance")), (202, None), "{answer}");
        let events = server.store.events(EventQuery { limit: 5, ..EventQuery::default() }).await.expect("a read");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event.event_type.as_str(), "pollhook.test");
        assert_eq!(answer["delivery"], json!(format!("{}.erp", events[0].event.id)));
        assert!(server.registry.subscriptions(&events[0].event).is_empty(), "nobody else is told");
        let detail = server.get(&format!("/v1/subscriptions/erp/tests/{}", events[0].event.id)).await;
        assert_eq!((&detail["delivery"]["state"], &detail["attempts"]), (&json!("pending"), &json!([])));
        let (status, _) = server.send(Method::GET, "/v1/subscriptions/erp/tests/evt_1", HeaderMap::new(), "").await;
        assert_eq!(status, 400);

        let (_, disabled) =
            server.json(Method::POST, "/v1/subscriptions/erp/disable", &json!({"reason": "moving"})).await;
        assert_eq!((&disabled["status"], &disabled["disabled"]["reason"]), (&json!("disabled"), &json!("moving")));
        let (status, answer) = server.send(Method::POST, test, HeaderMap::new(), "").await;
        assert_eq!(status, 409);
        assert!(answer["detail"].as_str().expect("words").contains("moving. Nothing is sent to it"), "{answer}");
        let (_, enabled) = server.json(Method::POST, "/v1/subscriptions/erp/enable", &json!({})).await;
        assert_eq!(enabled["status"], "ok");

        let until = events[0].event.time + std::time::Duration::from_secs(60);
        let breaker = Some(OpenBreaker { since: events[0].event.time, until, failed_trials: 1 });
        let open = LaneState { breaker, ..LaneState::default() };
        server.store.set_lane_state(&"erp".parse().expect("a name"), open, Vec::new()).await.expect("a change");
        assert_eq!(server.get("/v1/subscriptions/erp").await["status"], "failing");
        let (status, answer) = server.send(Method::POST, test, HeaderMap::new(), "").await;
        assert_eq!((status, &answer["hindrance"]), (202, &json!({"status": "failing", "until": until})));
    })
    .await;
}

#[tokio::test]
async fn they_are_listed_by_name_in_parts() {
    with_server(async |server| {
        for name in ["c", "a", "b"] {
            server.json(Method::POST, PATH, &json!({"name": name, "url": "http://a.example.com/"})).await;
        }
        server.registry.configure(vec![configured_log()]).await;
        let names = |part: &Value| {
            let data = part["data"].as_array().expect("a list").iter();
            data.map(|one| one["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&server.get(PATH).await), ["a", "b", "c", "log"]);
        let part = server.get("/v1/subscriptions?limit=3").await;
        assert_eq!((names(&part), &part["next"]), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], &json!("c")));
        let rest = server.get("/v1/subscriptions?limit=3&after=c").await;
        assert_eq!((names(&rest), rest.get("next")), (vec!["log".to_owned()], None));
    })
    .await;
}
