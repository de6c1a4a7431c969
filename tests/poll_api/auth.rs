//! How requests prove who they are from, and that nobody else learns it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use pollhook::config::{Environment, load};
use pollhook::poll::Poller;
use tokio::sync::Barrier;

use crate::source::{Reply, Request, Source};
use crate::world::World;

const ITEMS: &str = r#"[{"id":1}]"#;

/// A token endpoint at `/token` and an API at every other path. Access tokens are `access-1`, `access-2`, …; the API
/// takes the latest one.
struct Issuer {
    issued: usize,
    /// What the endpoint says beside the token, as JSON members.
    beside: &'static str,
    /// Whether refresh tokens are good for one use; they are `refresh-0`, `refresh-1`, …
    rotates: bool,
    rotated: usize,
}

impl Issuer {
    fn new(beside: &'static str) -> Self {
        Self { issued: 0, beside, rotates: false, rotated: 0 }
    }

    fn rotating() -> Self {
        Self { rotates: true, ..Self::new("") }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        if !request.target.starts_with("/token") {
            let authorized = request.header("authorization") == Some(&format!("Bearer access-{}", self.issued));
            return if authorized { Reply::json(ITEMS) } else { Reply::of(401, format!("{:?}", request.headers)) };
        }
        let mut rotation = String::new();
        if self.rotates {
            if !request.body.contains(&format!("refresh_token=refresh-{}&", self.rotated)) {
                return Reply::of(400, r#"{"error":"invalid_grant","error_description":"used before"}"#);
            }
            self.rotated += 1;
            rotation = format!(",\"refresh_token\":\"refresh-{}\"", self.rotated);
        }
        self.issued += 1;
        let Self { issued, beside, .. } = self;
        Reply::json(format!(r#"{{"access_token":"access-{issued}","token_type":"Bearer"{beside}{rotation}}}"#))
    }
}

const CLIENT: &str = "auth.oauth2 = { token_url = \"SOURCE/token\", client_id = \"me\", client_secret = { env = \"TOKEN\" } }\n\
                      changes.first_poll = \"send\"\n";

const REFRESHING: &str = "auth.oauth2 = { token_url = \"SOURCE/token\", client_id = \"me\", scope = \"read\", \
                          refresh_token = \"refresh-0\" }\n";

async fn world_of(rules: &str, issuer: Issuer) -> World {
    let mut issuer = issuer;
    World::new(rules, move |request| issuer.answer(request)).await
}

/// Returns the paths that were asked since the last call.
fn asked(world: &World) -> Vec<String> {
    world.source.take_requests().into_iter().map(|request| request.target).collect()
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_used_until_it_expires() {
    let world = world_of(CLIENT, Issuer::new(",\"expires_in\":300")).await;
    assert_eq!(world.changes().await, ["created 1"]);
    let requests = world.source.take_requests();
    assert_eq!((requests[0].method.as_str(), requests[0].target.as_str()), ("POST", "/token"));
    // `me` and `s3cret-token`.
    assert_eq!(requests[0].header("authorization"), Some("Basic bWU6czNjcmV0LXRva2Vu"));
    assert_eq!(requests[0].body, "grant_type=client_credentials");
    assert_eq!(requests[1].header("authorization"), Some("Bearer access-1"));
    for expected in [&["/items"][..], &["/items"], &["/items"], &["/items"], &["/token", "/items"], &["/items"]] {
        world.changes().await;
        assert_eq!(asked(&world), expected);
    }
}

#[tokio::test]
async fn a_token_without_an_expiry_is_not_used_for_ever() {
    for junk in ["", ",\"expires_in\":\"never\"", ",\"expires_in\":-1"] {
        let world = world_of(CLIENT, Issuer::new(junk)).await;
        let mut tokens = 0;
        for _ in 0..10 {
            world.changes().await;
            tokens += asked(&world).iter().filter(|target| *target == "/token").count();
        }
        assert_eq!(tokens, 2, "{junk}");
    }
}

#[tokio::test]
async fn the_token_request_can_be_what_the_endpoint_wants() {
    let rules = "auth.oauth2 = { token_url = \"SOURCE/token?v=1\", client_id = { env = \"TOKEN\" }, client_secret = \"a b\", \
                 client_auth = \"body\", scope = \"read write\", params = { audience = \"https://x/\" } }";
    let world = world_of(rules, Issuer::new("")).await;
    world.changes().await;
    let request = world.source.take_requests().remove(0);
    assert_eq!((request.target.as_str(), request.header("authorization")), ("/token?v=1", None));
    let expected = "grant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fx%2F\
                    &client_id=s3cret-token&client_secret=a+b";
    assert_eq!(request.body, expected);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let world = World::new(CLIENT, |_| Reply::json("")).await;
    let mut issuer = Issuer::new("");
    let mut refusals = 0;
    world.source.respond(move |request| {
        let reply = issuer.answer(request);
        if request.target == "/items" && refusals > 0 {
            refusals -= 1;
            return Reply::of(401, "");
        }
        if request.target == "/items" {
            // The third time, and the next one as well.
            refusals = usize::from(issuer.issued == 1) * 2;
        }
        reply
    });
    world.changes().await;
    assert_eq!(asked(&world), ["/token", "/items"]);
    let failure = world.failure().await;
    assert!(failure.contains("SOURCE/items: the source answered 401"), "{failure}");
    assert_eq!(asked(&world), ["/items", "/token", "/items"]);
    world.changes().await;
    assert_eq!(asked(&world), ["/items"]);
}

#[tokio::test]
async fn a_token_that_is_refused_at_once_is_not_replaced_in_the_same_poll() {
    let mut issuer = Issuer::new("");
    let world = World::new(CLIENT, move |request| match request.target.as_str() {
        "/token" => issuer.answer(request),
        _ => Reply::of(401, ""),
    })
    .await;
    for _ in 0..2 {
        world.failure().await;
        assert_eq!(asked(&world), ["/token", "/items"]);
    }
}

#[tokio::test]
async fn a_token_that_is_not_valid_any_more_costs_one_request() {
    let world = World::new(CLIENT, |_| Reply::json("")).await;
    let mut issuer = Issuer::new("");
    let mut polls = 0;
    world.source.respond(move |request| {
        polls += usize::from(request.target == "/items");
        if polls == 2 && request.target == "/items" {
            return Reply::of(401, "{\"error\":\"invalid_token\"}");
        }
        issuer.answer(request)
    });
    world.changes().await;
    world.source.take_requests();
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(asked(&world), ["/items", "/token", "/items"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_polls_at_once_share_one_token() {
    const CONNECTORS: usize = 50;
    let mut issuer = Issuer::new("");
    let world = World::new("", move |request| issuer.answer(request)).await;
    let rules = CLIENT.replace("SOURCE", &world.source.url(""));
    let connectors = (0..CONNECTORS).map(|number| {
        let url = world.source.url(&format!("/items/{number}"));
        format!(
            "[connectors.c{number}]\nevery = \"1m\"\nitem.key = \".id\"\nrequest.url = \"{url}\"\n\
             response.items = \".[]\"\n{rules}\n"
        )
    });
    let text = connectors.collect::<Vec<_>>().concat();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).expect("a file");
    let configuration = load(&path, &Environment::from([("TOKEN", "s3cret-token")])).expect("a configuration");
    let barrier = Arc::new(Barrier::new(CONNECTORS));
    let polls = configuration.connectors.into_iter().map(|connector| {
        let poller = Poller::new(connector, world.context.clone());
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            poller.poll().await.expect("the store works").outcome.failure().map(ToString::to_string)
        }
    });
    let failures: Vec<String> = join_all(polls).await.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{failures:?}");
    let asked = asked(&world);
    assert_eq!(asked.iter().filter(|target| *target == "/token").count(), 1);
    assert_eq!(asked.into_iter().collect::<HashSet<_>>().len(), CONNECTORS + 1);
}

#[tokio::test]
async fn a_rotated_refresh_token_outlives_a_crash() {
    let mut world = world_of(REFRESHING, Issuer::rotating()).await;
    for expected in ["refresh-0", "refresh-1", "refresh-2"] {
        world.changes().await;
        let request = world.source.take_requests().remove(0);
        let body = format!("grant_type=refresh_token&refresh_token={expected}&scope=read&client_id=me");
        assert_eq!((request.target.as_str(), request.body), ("/token", body));
        world.restart();
    }
}

#[tokio::test]
async fn a_kept_refresh_token_that_is_refused_gives_the_configured_one_another_chance() {
    let mut world = world_of(REFRESHING, Issuer::rotating()).await;
    world.changes().await;
    // Somebody has made the first one valid again, and the one that was kept invalid.
    let mut issuer = Issuer::rotating();
    world.source.respond(move |request| issuer.answer(request));
    world.restart();
    world.source.take_requests();
    world.changes().await;
    assert_eq!(asked(&world), ["/token", "/token", "/items"]);
    world.restart();
    world.changes().await;
    assert_eq!(asked(&world), ["/token", "/items"]);

    world.source.respond(|_| Reply::of(400, r#"{"error":"invalid_grant"}"#));
    world.restart();
    let failure = world.failure().await;
    insta::assert_snapshot!(failure, @"connector orders: SOURCE/items: there is no access token from SOURCE/token: it answered 400 Bad Request: invalid_grant (the refresh token is not valid any more: allow access anew and configure the new one)");
    assert_eq!(asked(&world), ["/token", "/token"]);
}

#[tokio::test]
async fn what_a_token_endpoint_says_is_shown_without_secrets() {
    let check = async |reply: Reply, requests: usize| {
        let world = World::new(CLIENT, move |_| reply.clone()).await;
        let failure = world.failure().await;
        assert!(!failure.contains("s3cret"), "{failure}");
        assert_eq!(asked(&world), vec!["/token"; requests], "{failure}");
        failure
            .strip_prefix("connector orders: SOURCE/items: there is no access token from SOURCE/token: ")
            .map(str::to_owned)
            .unwrap_or(failure)
    };
    let said = |error: &str| Reply::of(401, format!(r#"{{"error":"{error}","error_description":"not s3cret-token"}}"#));
    insta::assert_snapshot!(check(said("invalid_client"), 1).await, @"it answered 401 Unauthorized: invalid_client: not *** (check `client_id`, `client_secret` and `client_auth` of `auth.oauth2`)");
    insta::assert_snapshot!(check(said("invalid_scope"), 1).await, @"it answered 401 Unauthorized: invalid_scope: not *** (check `auth.oauth2.scope`)");
    insta::assert_snapshot!(check(Reply::json(r#"{"error":"bad_verification_code"}"#), 1).await, @"it answered 200 OK: bad_verification_code");
    insta::assert_snapshot!(check(Reply::of(404, "<html>s3cret-token"), 1).await, @"it answered 404 Not Found; it begins: <html>*** (check `auth.oauth2.token_url`)");
    insta::assert_snapshot!(check(Reply::of(302, "").with("location", "/login"), 1).await, @"it answered 302 Found");
    insta::assert_snapshot!(check(Reply::json(r#"{"token":"s3cret-token"}"#), 1).await, @"its answer has no `access_token` in a JSON object");
    insta::assert_snapshot!(check(Reply::json(r#"{"access_token":"x","token_type":"mac"}"#), 1).await, @r#"its tokens are of the type "mac", where "Bearer" is needed"#);
    insta::assert_snapshot!(check(Reply::of(503, ""), 3).await, @"it answered 503 Service Unavailable");
}

#[tokio::test]
async fn an_access_token_is_shown_nowhere() {
    // The source shows what it was asked.
    let mut issuer = Issuer::new("");
    let world = World::new(CLIENT, move |request| match request.target.as_str() {
        "/token" => issuer.answer(request),
        _ => Reply::of(403, format!("{:?}", request.headers)),
    })
    .await;
    let failure = world.failure().await;
    assert!(failure.contains("Bearer ***") && !failure.contains("access-1"), "{failure}");
    let state = format!("{:?} {:?}", world.state().await, world.connector);
    assert!(!state.contains("access-1") && !state.contains("s3cret"), "{state}");
}

#[tokio::test]
async fn a_digest_challenge_is_answered_and_its_answer_used_again() {
    let challenge = |nonce: &str, stale: bool| {
        let header =
            format!("Digest realm=\"shop\", nonce=\"{nonce}\", qop=\"auth\", algorithm=SHA-256, stale={stale}");
        Reply::of(401, "").with("www-authenticate", header)
    };
    let rules = "auth.digest = { username = \"me\", password = { env = \"TOKEN\" } }\nrequest.query = { a = \"1 2\" }";
    let world = World::new(rules, move |request| match request.header("authorization") {
        Some(answer) if answer.contains("nonce=\"one\"") && !answer.contains("nc=00000003") => Reply::json(ITEMS),
        Some(answer) if answer.contains("nonce=\"two\"") => Reply::json(ITEMS),
        Some(_) => challenge("two", true),
        None => challenge("one", false),
    })
    .await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        world.changes().await;
        seen.extend(world.source.take_requests());
    }
    let answers: Vec<&str> = seen.iter().map(|request| request.header("authorization").unwrap_or("none")).collect();
    let counted = |nonce: &str, count: &str| {
        answers.iter().filter(|answer| answer.contains(nonce) && answer.contains(count)).count()
    };
    assert_eq!((seen.len(), answers[0]), (5, "none"));
    assert_eq!(
        [counted("one", "nc=00000001"), counted("one", "nc=00000002"), counted("one", "nc=00000003")],
        [1, 1, 1]
    );
    assert_eq!(counted("two", "nc=00000001"), 1);
    assert!(answers[1].contains("uri=\"/items?a=1+2\""), "{}", answers[1]);

    world.source.respond(move |_| challenge("three", false));
    world.failure().await;
    assert_eq!(world.source.take_requests().len(), 2);
}

#[tokio::test]
async fn requests_to_aws_are_signed() {
    let rules = "auth.sigv4 = { access_key_id = \"AKIDEXAMPLE\", secret_access_key = { env = \"TOKEN\" }, \
                 session_token = \"session-token\", region = \"eu-west-1\", service = \"execute-api\" }\n\
                 request.url = \"SOURCE/a+b\"\nrequest.method = \"POST\"\nrequest.body = { x = 1 }";
    let world = World::new(rules, |_| Reply::json(ITEMS)).await;
    world.changes().await;
    let request = world.source.take_requests().remove(0);
    assert_eq!((request.target.as_str(), request.header("x-amz-security-token")), ("/a%2Bb", Some("session-token")));
    let authorization = request.header("authorization").expect("a signature");
    let expected = "SignedHeaders=accept;content-type;host;x-amz-date;x-amz-security-token, Signature=";
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/2026"), "{authorization}");
    assert!(authorization.contains(expected), "{authorization}");
}

#[tokio::test]
async fn no_method_shows_its_secrets_to_another_origin() {
    let check = async |rules: &str| {
        let elsewhere = Source::start(|_| Reply::json(ITEMS)).await;
        let target = elsewhere.url("/there");
        let mut issuer = Issuer::new("");
        let world = World::new(rules, move |request| match request.target.as_str() {
            "/token" => issuer.answer(request),
            _ if rules_need_challenge(request) => {
                Reply::of(401, "").with("www-authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"")
            }
            _ => Reply::of(307, "").with("location", target.clone()),
        })
        .await;
        let report = world.poll().await;
        let shown = elsewhere.take_requests();
        let text = format!("{shown:?}");
        for secret in ["s3cret-token", "S3CRET", "access-1", "authorization", "x-amz-security-token", "x-key"] {
            assert!(!text.contains(secret), "{rules}: {text}");
        }
        (shown.len(), report.outcome.failure().map(|_| world.failure_of(&report)))
    };
    assert_eq!(check(CLIENT).await, (1, None));
    assert_eq!(check("auth.digest = { username = \"me\", password = { env = \"TOKEN\" } }").await, (1, None));
    let sigv4 = "auth.sigv4 = { access_key_id = \"AKID\", secret_access_key = { env = \"TOKEN\" }, \
                 session_token = { env = \"TOKEN\" }, region = \"r\", service = \"s3\" }";
    assert_eq!(check(sigv4).await, (1, None));
    let params = "params = { token = { env = \"TOKEN\" } }\n";
    let header = format!("{params}request.headers = {{ X-Key = \"key={{{{ params.token }}}}\" }}");
    assert_eq!(check(&header).await, (1, None));
    for (place, request) in [
        ("body", "request.method = \"POST\"\nrequest.body = { key = \"{{ params.token }}\" }"),
        ("body", "request.method = \"POST\"\nrequest.form = { key = \"{{ params.token }}\" }"),
    ] {
        let rules = format!("{params}{request}");
        let (count, failure) = check(&rules).await;
        let failure = failure.expect("it is refused");
        assert!(count == 0 && failure.ends_with(&format!("with secrets in the {place}")), "{failure}");
    }
}

/// Tells whether a request answers no challenge yet although its connector could.
fn rules_need_challenge(request: &Request) -> bool {
    request.header("authorization").is_none()
        && request.header("x-amz-date").is_none()
        && request.header("x-key").is_none()
        && request.method == "GET"
}

#[tokio::test]
async fn a_redirect_with_a_secret_in_its_address_is_not_followed_to_another_origin() {
    let elsewhere = Source::start(|_| Reply::json(ITEMS)).await;
    let target = elsewhere.url("/there/s3cret-token");
    let rules = "params = { token = { env = \"TOKEN\" } }\nrequest.url = \"SOURCE/{{ params.token }}\"";
    let world = World::new(rules, move |_| Reply::of(302, "").with("location", target.clone())).await;
    let failure = world.failure().await;
    assert!(failure.ends_with("with secrets in the address") && !failure.contains("s3cret"), "{failure}");
    assert_eq!(elsewhere.take_requests().len(), 0);
}

#[tokio::test]
async fn an_exchange_goes_on_when_its_poll_is_broken_off() {
    use tokio_util::sync::CancellationToken;

    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let mut world = world_of(REFRESHING, Issuer::rotating()).await;
    let mut issuer = Issuer::rotating();
    world.source.respond(move |request| {
        // Whoever is told of the request stops the poll; the answer is on its way by then.
        let _ = arrived.send(());
        std::thread::yield_now();
        issuer.answer(request)
    });
    let stop = CancellationToken::new();
    let poller = world.poller();
    let (report, ()) = tokio::join!(poller.poll_until(&stop), async {
        arrivals.recv().await;
        stop.cancel();
    });
    report.expect("the store works");
    world.context.fetching.credentials.settled().await;
    world.source.take_requests();
    world.restart();
    world.clock.advance(Duration::from_secs(1));
    world.changes().await;
    assert!(world.source.take_requests()[0].body.contains("refresh_token=refresh-1"));
}
