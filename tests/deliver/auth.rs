//! How deliveries prove who they are from, beside their signature.

use pollhook::model::auth::{Auth, ClientAuth, OAuth2, OAuth2Grant, SigV4};
use receiver::Received;

use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// Returns a subscription whose deliveries prove who they are from like this.
fn proving(name: &str, url: &str, auth: Auth) -> Subscription {
    let redactor = Redactor::new([secret("s3cret")]);
    Subscription { auth: Some(auth), redactor, ..subscription(name, url) }
}

/// Returns auth with access tokens that this endpoint gives.
fn tokens_of(endpoint: &Receiver) -> Auth {
    Auth::OAuth2(Box::new(OAuth2 {
        token_url: endpoint.url().parse().expect("a URL"),
        grant: OAuth2Grant::ClientCredentials,
        client_id: "me".to_owned(),
        client_secret: Some(secret("s3cret")),
        client_auth: ClientAuth::Basic,
        scope: None,
        extra: Vec::new(),
    }))
}

/// Returns how a token endpoint gives this token for ten minutes.
fn giving(token: &str) -> Answer {
    let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 600 });
    Answer::Full(200, Vec::new(), body.to_string())
}

/// Returns what requests were sent with.
fn authorizations(received: &[Received]) -> Vec<&str> {
    received.iter().map(|request| request.header("authorization")).collect()
}

/// Delivers one event and returns what the receiver got.
async fn delivered(auth: Auth) -> Received {
    let endpoint = Receiver::start().await;
    let mut house = House::new(vec![proving("erp", &endpoint.url(), auth)]);
    let id = house.add(1, "erp").await;
    house.run();
    House::assert_delivered(&house.after_attempts(&id, 1).await.0);
    endpoint.received(1).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_sent_where_the_receiver_wants_it() {
    let check = async |auth: Auth, path: &str, header: Option<(&str, &str)>| {
        let received = delivered(auth).await;
        assert_eq!(received.path, path);
        match header {
            Some((name, value)) => assert_eq!(received.header(name), value),
            None => assert!(!received.headers.contains_key("authorization")),
        }
    };
    check(Auth::Bearer { token: secret("s3cret") }, "/hook", Some(("authorization", "Bearer s3cret"))).await;
    let basic = Auth::Basic { username: "me".to_owned(), password: secret("s3cret") };
    check(basic, "/hook", Some(("authorization", "Basic bWU6czNjcmV0"))).await;
    let header = Auth::Header { name: "X-Key".to_owned(), value: secret("s3cret") };
    check(header, "/hook", Some(("x-key", "s3cret"))).await;
    let query = Auth::Query { name: "key".to_owned(), value: secret("s3cret & more") };
    check(query, "/hook?key=s3cret+%26+more", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_to_aws_is_signed_with_its_body() {
    let keys = SigV4 {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: secret("s3cret"),
        session_token: None,
        region: "eu-west-1".to_owned(),
        service: "lambda".to_owned(),
    };
    let received = delivered(Auth::SigV4(Box::new(keys))).await;
    assert_eq!(received.header("x-amz-date"), "20261120T120000Z");
    let authorization = received.header("authorization");
    let beginning = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/eu-west-1/lambda/aws4_request, \
                     SignedHeaders=content-type;host;webhook-id;webhook-timestamp;x-amz-date, Signature=";
    assert!(authorization.starts_with(beginning), "{authorization}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_within_the_attempt_and_then_remembered() {
    let endpoint = Receiver::start().await;
    let challenge = ("www-authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"".to_owned());
    endpoint.answer_next([Answer::Full(401, vec![challenge], String::new())]);
    let auth = Auth::Digest { username: "me".to_owned(), password: secret("s3cret") };
    let mut house = House::new(vec![proving("erp", &endpoint.url(), auth)]);
    let ids = [house.add(1, "erp").await, house.add(2, "erp").await];
    house.run();
    for id in ids {
        let (state, attempts) = house.after_attempts(&id, 1).await;
        House::assert_delivered(&state);
        assert_eq!(attempts.len(), 1);
    }
    let received = endpoint.received(3).await;
    assert!(!received[0].headers.contains_key("authorization"));
    for (request, count) in received[1..].iter().zip(["nc=00000001", "nc=00000002"]) {
        let answer = request.header("authorization");
        assert!(answer.starts_with("Digest username=\"me\"") && answer.contains(count), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_lanes_share_a_token_until_it_expires() {
    const LANES: usize = 50;
    let (endpoint, issuer) = (Receiver::start().await, Receiver::start().await);
    issuer.answer_next([giving("access-1"), giving("access-2")]);
    let names: Vec<String> = (0..LANES).map(|number| format!("lane-{number}")).collect();
    let lanes = names.iter().map(|name| proving(name, &endpoint.url(), tokens_of(&issuer)));
    let mut house = House::new(lanes.collect());
    let mut ids = Vec::new();
    for name in &names {
        ids.push(house.add(1, name).await);
    }
    house.run();
    for id in &ids {
        House::assert_delivered(&house.after_attempts(id, 1).await.0);
    }
    let received = endpoint.received(LANES).await;
    assert_eq!(authorizations(&received), vec!["Bearer access-1"; LANES]);
    let request = issuer.received(1).await.remove(0);
    assert_eq!(request.header("authorization"), "Basic bWU6czNjcmV0");
    assert_eq!(request.body, b"grant_type=client_credentials");

    house.clock.advance(seconds(541));
    for name in &names {
        house.add(2, name).await;
    }
    let received = endpoint.received(2 * LANES).await;
    assert_eq!(authorizations(&received[LANES..]), vec!["Bearer access-2"; LANES]);
    issuer.received(2).await;
    let metrics = house.telemetry.metrics();
    assert!(metrics.contains("pollhook_access_tokens_total{subscription=\"lane-"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_replaced_within_the_attempt() {
    let (endpoint, issuer) = (Receiver::start().await, Receiver::start().await);
    issuer.answer_next([giving("access-1"), giving("access-2")]);
    endpoint.answer_next([Answer::Status(200), Answer::Status(401)]);
    let mut house = House::new(vec![proving("erp", &endpoint.url(), tokens_of(&issuer))]);
    let first = house.add(1, "erp").await;
    house.run();
    house.after_attempts(&first, 1).await;
    let second = house.add(2, "erp").await;
    let (state, attempts) = house.after_attempts(&second, 1).await;
    House::assert_delivered(&state);
    assert_eq!(attempts.iter().map(|attempt| attempt.status).collect::<Vec<_>>(), [Some(200)]);
    let received = endpoint.received(3).await;
    assert_eq!(authorizations(&received), ["Bearer access-1", "Bearer access-1", "Bearer access-2"]);
    assert_eq!(received[1].header("webhook-id"), received[2].header("webhook-id"));
    assert_eq!(received[1].body, received[2].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_every_token_is_not_asked_a_third_time() {
    let (endpoint, issuer) = (Receiver::start().await, Receiver::start().await);
    issuer.answer_always(giving("access-1"));
    endpoint.answer_always(Answer::Full(401, Vec::new(), "access-1 may not do this".to_owned()));
    let mut house = House::new(vec![proving("erp", &endpoint.url(), tokens_of(&issuer))]);
    let id = house.add(1, "erp").await;
    house.run();
    let (state, attempts) = house.after_attempts(&id, 1).await;
    assert!(matches!(state, DeliveryState::Pending { .. }), "{state:?}");
    assert_eq!((attempts[0].status, attempts[0].answer.as_str()), (Some(401), "*** may not do this"));
    // The token was as new as can be, so there was no point in another.
    endpoint.received(1).await;
    issuer.received(1).await;

    house.clock.advance(seconds(11));
    house.after_attempts(&id, 2).await;
    endpoint.received(2).await;
    issuer.received(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_gives_no_token_fails_the_attempt_and_says_why() {
    let check = async |answer: Answer, expected: &str| {
        let (endpoint, issuer) = (Receiver::start().await, Receiver::start().await);
        issuer.answer_next([answer]);
        issuer.answer_always(giving("access-1"));
        let mut house = House::new(vec![proving("erp", &endpoint.url(), tokens_of(&issuer))]);
        let id = house.add(1, "erp").await;
        house.run();
        let (_, attempts) = house.after_attempts(&id, 1).await;
        let failure = attempts[0].failure.as_ref().expect("a failure");
        assert_eq!((failure.class, attempts[0].status), (FailureClass::Auth, None));
        let expected = format!("there is no access token from {}: {expected}", issuer.url());
        assert_eq!(failure.message, expected);
        endpoint.received(0).await;

        house.clock.advance(seconds(11));
        let (state, _) = house.after_attempts(&id, 2).await;
        House::assert_delivered(&state);
        assert_eq!(authorizations(&endpoint.received(1).await), ["Bearer access-1"]);
    };
    check(
        Answer::Full(401, Vec::new(), r#"{"error":"invalid_client","error_description":"not s3cret"}"#.to_owned()),
        "it answered 401 Unauthorized: invalid_client: not *** (check `client_id`, `client_secret` and `client_auth` \
         of `auth.oauth2`)",
    )
    .await;
    check(Answer::Status(503), "it answered 503 Service Unavailable").await;
    check(Answer::Full(200, Vec::new(), "<html>".to_owned()), "its answer has no `access_token` in a JSON object")
        .await;
    let given = |answer: &str| Answer::Full(200, Vec::new(), answer.to_owned());
    check(given(r#"{"access_token":"a\r\nx-admin: yes"}"#), "its token has characters that no header can have").await;
    check(
        given(r#"{"access_token":"a","token_type":"mac"}"#),
        "its tokens are of the type \"mac\", where \"Bearer\" is needed",
    )
    .await;
    check(given(r#"{"error":"invalid_scope"}"#), "it answered 200 OK: invalid_scope (check `auth.oauth2.scope`)").await;
    check(
        Answer::Full(307, vec![("location", "/token".to_owned())], String::new()),
        "it answered 307 Temporary Redirect",
    )
    .await;
    check(Answer::EndlessBody, "the answer is larger than 1 MiB").await;
    check(Answer::Reset, "the connection broke: Connection reset by peer (os error 104)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_stalls_holds_nobody_longer_than_an_attempt_may_take() {
    let (endpoint, issuer) = (Receiver::start().await, Receiver::start().await);
    issuer.answer_next([Answer::Held(Box::new(giving("access-1")))]);
    let mut stalled = proving("stalled", &endpoint.url(), tokens_of(&issuer));
    stalled.timeout = Duration::from_millis(300);
    let mut house = House::new(vec![stalled, subscription("healthy", &endpoint.url())]);
    let (id, other) = (house.add(1, "stalled").await, house.add(1, "healthy").await);
    house.run();
    House::assert_delivered(&house.after_attempts(&other, 1).await.0);
    let (_, attempts) = house.after_attempts(&id, 1).await;
    let failure = attempts[0].failure.as_ref().expect("a failure");
    assert_eq!(failure.class, FailureClass::Auth);
    assert_eq!(failure.message, format!("there is no access token from {} within 300ms", issuer.url()));

    // The token that comes late is used all the same.
    issuer.release();
    house.clock.advance(seconds(11));
    House::assert_delivered(&house.after_attempts(&id, 2).await.0);
    let received = endpoint.received(2).await;
    assert_eq!(received[1].header("authorization"), "Bearer access-1");
    issuer.received(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_asks_for_rest_gets_it_from_all_lanes() {
    let (endpoint, issuer) = (Receiver::start().await, Receiver::start().await);
    issuer.answer_next([Answer::Full(503, vec![("retry-after", "15".to_owned())], String::new())]);
    issuer.answer_always(giving("access-1"));
    let lanes = ["one", "other"].map(|name| proving(name, &endpoint.url(), tokens_of(&issuer)));
    let mut house = House::new(lanes.into());
    let ids = [house.add(1, "one").await, house.add(1, "other").await];
    house.run();
    for id in &ids {
        let (state, attempts) = house.after_attempts(id, 1).await;
        let failure = attempts[0].failure.as_ref().expect("a failure");
        let message = format!("there is no access token from {}: it answered 503 Service Unavailable", issuer.url());
        assert_eq!((failure.class, &failure.message), (FailureClass::Auth, &message));
        // Later than the first wait of the schedule.
        let DeliveryState::Pending { due } = state else { panic!("{state:?}") };
        assert!(due >= start() + seconds(15), "{due}");
        let paused_until = eventually("the lane is paused", async || {
            house.store.lane_state(&id.subscription).await.expect("a state").paused_until
        });
        assert_eq!(paused_until.await, start() + seconds(15));
    }
    issuer.received(1).await;
    house.clock.advance(seconds(17));
    for id in &ids {
        House::assert_delivered(&house.after_attempts(id, 2).await.0);
    }
    issuer.received(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_named_over_the_api_is_not_reached_at_private_addresses() {
    let (endpoint, issuer) = (Receiver::start().await, Receiver::start().await);
    issuer.answer_always(giving("access-1"));
    let trusted = proving("trusted", &endpoint.url(), tokens_of(&issuer));
    let guarded = Subscription { origin: Origin::Api, ..proving("guarded", &endpoint.url(), tokens_of(&issuer)) };
    let mut house = House::new(vec![trusted, guarded]);
    let id = house.add(1, "trusted").await;
    house.run();
    House::assert_delivered(&house.after_attempts(&id, 1).await.0);
    // Nor is the token shared that others were given there.
    let id = house.add(1, "guarded").await;
    let (_, attempts) = house.after_attempts(&id, 1).await;
    let failure = attempts[0].failure.as_ref().expect("a failure");
    let expected = format!("there is no access token from {}: ", issuer.url());
    assert!(failure.message.starts_with(&expected), "{failure:?}");
    assert!(failure.message.contains("loopback"), "{failure:?}");
    assert_eq!(failure.class, FailureClass::Auth);
    issuer.received(1).await;
    endpoint.received(1).await;
}
