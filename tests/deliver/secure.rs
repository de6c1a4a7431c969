//! Secure connections to receivers, with certificates of one's own.

use std::fs;

use pollhook::model::auth::{Auth, ClientAuth, OAuth2, OAuth2Grant};
use pollhook::model::tls::{Authorities, ClientIdentity, Tls, TlsVersion};

use super::*;
use crate::tls::{ClientCertificate, Presence, TlsFront, fixture};

fn read(name: &str) -> String {
    fs::read_to_string(fixture(name)).expect("a fixture")
}

/// Returns connections that trust this authority and present this certificate.
fn certificates(authority: Option<&str>, certificate: Option<&str>) -> Option<Tls> {
    let authorities = authority.map(|name| Authorities::parse(&read(name)).expect("an authority"));
    let identity = certificate.map(|name| {
        ClientIdentity::parse(&read(name), &Secret::new(read("client.key"))).expect("a certificate and its key")
    });
    (authorities.is_some() || identity.is_some()).then(|| Tls::new(authorities, identity, TlsVersion::default()))
}

/// Returns where a receiver listens.
fn address(endpoint: &Receiver) -> String {
    endpoint.url().trim_start_matches("http://").trim_end_matches("/hook").to_owned()
}

/// Attempts one delivery.
async fn attempt(url: &str, tls: Option<Tls>) -> (DeliveryState, Attempt) {
    let mut house = House::new(vec![Subscription { tls, ..subscription("erp", url) }]);
    let id = house.add(1, "erp").await;
    house.run();
    let (state, mut attempts) = house.after_attempts(&id, 1).await;
    (state, attempts.remove(0))
}

/// Checks that there is no secure connection, and what is said of that.
async fn check_failure(url: &str, tls: Option<Tls>, expected: &str) {
    let failure = loop {
        let (state, attempt) = attempt(url, tls.clone()).await;
        assert!(matches!(state, DeliveryState::Pending { .. }), "{state:?}");
        let failure = attempt.failure.expect("a failure");
        // On a busy machine, what the receiver says of a refused certificate may come after the connection is given up.
        if !failure.message.ends_with("connection was not ready") {
            break failure;
        }
    };
    assert_eq!((failure.class, failure.message.starts_with(expected)), (FailureClass::Tls, true), "{failure:?}");
}

const WANTED: ClientCertificate = ClientCertificate::Wanted;
const REQUIRED: ClientCertificate = ClientCertificate::Required;

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted() {
    let endpoint = Receiver::start().await;
    let front = TlsFront::start(&address(&endpoint), WANTED).await;
    let (state, _) = attempt(&front.url("/hook"), certificates(Some("ca.pem"), None)).await;
    House::assert_delivered(&state);
    assert_eq!(front.take_presented(), [false]);
    endpoint.received(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_knows_its_clients_by_their_certificates_gets_one() {
    let endpoint = Receiver::start().await;
    let front = TlsFront::start(&address(&endpoint), REQUIRED).await;
    let url = front.url("/hook");
    let (state, _) = attempt(&url, certificates(Some("ca.pem"), Some("client.pem"))).await;
    House::assert_delivered(&state);
    assert_eq!(front.take_presented(), [true]);

    let none = "no secure connection: the server wants the client to present a certificate; `tls.cert`";
    check_failure(&url, certificates(Some("ca.pem"), None), none).await;
    let other = "no secure connection: the server does not accept the client's certificate in `tls.cert` (";
    check_failure(&url, certificates(Some("ca.pem"), Some("other-client.pem")), other).await;
    assert_eq!(front.take_presented(), [false; 0]);
    let expired = "the certificate in `tls.cert` expired at 2020-02-01T00:00:00.000Z; a new one is needed";
    check_failure(&url, certificates(Some("ca.pem"), Some("expired.pem")), expired).await;
    endpoint.received(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_what_it_says_gets_nothing() {
    let endpoint = Receiver::start().await;
    let usual = Presence::usual(WANTED);
    let check = async |presence: Presence, authority: Option<&str>, expected: &str| {
        let front = TlsFront::present(&address(&endpoint), presence).await;
        check_failure(&front.url("/hook"), certificates(authority, None), expected).await;
    };
    let unknown = "no secure connection: the server's certificate leads to no authority that is trusted here; `tls.ca`";
    check(usual, None, unknown).await;
    check(usual, Some("other-ca.pem"), unknown).await;
    check(
        Presence { certificate: "other-expired.pem", ..usual },
        Some("other-ca.pem"),
        "no secure connection: the server's certificate expired at 20",
    )
    .await;
    check(
        Presence { certificate: "other-name.pem", ..usual },
        Some("other-ca.pem"),
        "no secure connection: the server's certificate is not for the name in the address, but for ",
    )
    .await;
    let plain = endpoint.url().replace("http://", "https://");
    check_failure(&plain, certificates(Some("ca.pem"), None), "no secure connection: tls handshake eof; perhaps").await;
    endpoint.received(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_speaks_no_new_version_gets_nothing_where_one_is_wanted() {
    static OLD: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    let endpoint = Receiver::start().await;
    let old = Presence { versions: OLD, ..Presence::usual(WANTED) };
    let front = TlsFront::present(&address(&endpoint), old).await;
    let trusting =
        |version| Some(Tls::new(Some(Authorities::parse(&read("ca.pem")).expect("an authority")), None, version));
    let (state, _) = attempt(&front.url("/hook"), trusting(TlsVersion::V1_2)).await;
    House::assert_delivered(&state);
    let expected = "no secure connection: the server speaks no version of TLS or no ciphers that are spoken here";
    check_failure(&front.url("/hook"), trusting(TlsVersion::V1_3), expected).await;
    endpoint.received(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_is_reached_with_the_same_certificates() {
    let (endpoint, issuer) = (Receiver::start().await, Receiver::start().await);
    let token = json!({ "access_token": "access-1", "token_type": "Bearer" });
    issuer.answer_always(Answer::Full(200, Vec::new(), token.to_string()));
    let (front, issuing) =
        (TlsFront::start(&address(&endpoint), REQUIRED).await, TlsFront::start(&address(&issuer), REQUIRED).await);
    let oauth2 = OAuth2 {
        token_url: issuing.url("/hook").parse().expect("a URL"),
        grant: OAuth2Grant::ClientCredentials,
        client_id: "me".to_owned(),
        client_secret: None,
        client_auth: ClientAuth::Body,
        scope: None,
        extra: Vec::new(),
    };
    let erp = Subscription {
        auth: Some(Auth::OAuth2(Box::new(oauth2))),
        tls: certificates(Some("ca.pem"), Some("client.pem")),
        ..subscription("erp", &front.url("/hook"))
    };
    let mut house = House::new(vec![erp]);
    let id = house.add(1, "erp").await;
    house.run();
    House::assert_delivered(&house.after_attempts(&id, 1).await.0);
    assert_eq!((front.take_presented(), issuing.take_presented()), (vec![true], vec![true]));
    assert_eq!(endpoint.received(1).await[0].header("authorization"), "Bearer access-1");
}
