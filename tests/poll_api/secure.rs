//! Secure connections with certificates of one's own.

use crate::source::{Reply, Source};
use crate::tls::{ClientCertificate, TlsFront, fixture};
use crate::world::World;

const ITEMS: &str = r#"[{"id":1}]"#;

fn rules(front: &TlsFront, tls: &[(&str, &str)]) -> String {
    let files: Vec<String> = tls.iter().map(|(key, file)| format!("{key} = \"{}\"", fixture(file).display())).collect();
    format!("request.url = \"{}\"\ntls = {{ {} }}", front.url("/items"), files.join(", "))
}

const CA: (&str, &str) = ("ca", "ca.pem");
const CLIENT: [(&str, &str); 3] = [CA, ("cert", "client.pem"), ("key", "client.key")];

async fn front(certificate: ClientCertificate) -> (Source, TlsFront) {
    let source = Source::start(|_| Reply::json(ITEMS)).await;
    let front = TlsFront::start(source.url("").trim_start_matches("http://"), certificate).await;
    (source, front)
}

async fn failure(front: &TlsFront, tls: &[(&str, &str)]) -> String {
    let world = World::new(&rules(front, tls), |_| Reply::json("")).await;
    world.failure().await
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_beside_the_usual_ones() {
    let (_source, front) = front(ClientCertificate::Wanted).await;
    let world = World::new(&rules(&front, &[CA]), |_| Reply::json("")).await;
    assert_eq!(world.poll().await.outcome.failure(), None);
    assert_eq!(front.take_presented(), [false]);
    let world = World::new(&format!("request.url = \"{}\"", front.url("/items")), |_| Reply::json("")).await;
    let failure = world.failure().await;
    assert!(
        failure.contains(
            "no secure connection: the server's certificate leads to no authority that is trusted here; `tls.ca`"
        ),
        "{failure}"
    );
}

#[tokio::test]
async fn a_client_proves_who_it_is_with_a_certificate() {
    let (_source, front) = front(ClientCertificate::Required).await;
    let world = World::new(&rules(&front, &CLIENT), |_| Reply::json("")).await;
    assert_eq!(world.poll().await.outcome.failure(), None);
    assert_eq!(front.take_presented(), [true]);
    let failure = failure(&front, &[CA]).await;
    assert!(
        failure.contains("no secure connection: the server wants the client to present a certificate; `tls.cert`"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_not_presented() {
    let (_source, front) = front(ClientCertificate::Wanted).await;
    let failure = failure(&front, &[CA, ("cert", "expired.pem"), ("key", "client.key")]).await;
    let expected = "/items: the certificate in `tls.cert` expired at 2020-02-01T00:00:00.000Z; a new one is needed";
    assert!(failure.ends_with(expected), "{failure}");
    assert_eq!(front.take_presented(), [false; 0]);
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_followed_without_the_certificate() {
    let (_other_source, other) = front(ClientCertificate::Wanted).await;
    let target = other.url("/there");
    let source = Source::start(move |_| Reply::of(302, "").with("location", target.clone())).await;
    let front = TlsFront::start(source.url("").trim_start_matches("http://"), ClientCertificate::Required).await;
    let world = World::new(&rules(&front, &CLIENT), |_| Reply::json("")).await;
    assert_eq!(world.poll().await.outcome.failure(), None);
    assert_eq!((front.take_presented(), other.take_presented()), (vec![true], vec![false]));
}

#[tokio::test]
async fn a_token_endpoint_is_reached_with_the_same_certificates() {
    let source = Source::start(|request| match request.target.as_str() {
        "/token" => Reply::json(r#"{"access_token":"access-1"}"#),
        _ => Reply::json(ITEMS),
    })
    .await;
    let front = TlsFront::start(source.url("").trim_start_matches("http://"), ClientCertificate::Required).await;
    let oauth2 = format!(
        "\nauth.oauth2 = {{ token_url = \"{}\", client_id = \"me\", client_secret = \"secret\" }}",
        front.url("/token")
    );
    let world = World::new(&(rules(&front, &CLIENT) + &oauth2), |_| Reply::json("")).await;
    assert_eq!(world.poll().await.outcome.failure(), None);
    assert_eq!(source.take_requests().len(), 2);
}
