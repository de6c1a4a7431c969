//! Token endpoints that give no tokens, odd ones, or such that the API does not take.

use crate::source::{Fault, Reply, Request};
use crate::trial::{BEFORE, MORE, Respond, Trial};

const OAUTH: &str =
    "auth.oauth2 = { token_url = \"SOURCE/token\", client_id = \"me\", client_secret = { env = \"TOKEN\" } }";

pub fn trials() -> Vec<Trial> {
    let mut trials = useless();
    trials.extend(odd());
    trials.extend(refused());
    trials
}

fn useless() -> Vec<Trial> {
    vec![
        endpoint("no answer", || Reply::fault(Fault::Close)),
        endpoint("a page for people", || Reply::of(200, "<html>Sign in</html>").with("content-type", "text/html")),
        endpoint("nothing", || Reply::of(200, "")),
        endpoint("a list", || Reply::json("[]")),
        endpoint("an object without a token", || Reply::json(r#"{"token_type":"bearer"}"#)),
        endpoint("a token that is empty", || Reply::json(r#"{"access_token":"","token_type":"bearer"}"#)),
        endpoint("a token that is null", || Reply::json(r#"{"access_token":null,"token_type":"bearer"}"#)),
        endpoint("a token with a line break", || {
            Reply::json(r#"{"access_token":"a\r\nx-admin: yes","token_type":"bearer"}"#)
        }),
        endpoint("a token without end", || Reply::json(format!(r#"{{"access_token":"{}"}}"#, "x".repeat(5 << 20)))),
        endpoint("a secret that is wrong", || Reply { status: 401, ..Reply::json(r#"{"error":"invalid_client"}"#) }),
        endpoint("an explanation that repeats the secret", || Reply {
            status: 400,
            ..Reply::json(r#"{"error":"invalid_request","error_description":"no client has s3cret-token"}"#)
        }),
        endpoint("an error with status 200", || Reply::json(r#"{"error":"invalid_grant"}"#)),
        endpoint("500", || Reply::of(500, "<h1>Sorry</h1>")),
        endpoint("a redirect elsewhere", || Reply::of(307, "").with("location", "http://127.0.0.1:1/token")),
        endpoint("a redirect to itself", || Reply::of(302, "").with("location", "/token")),
    ]
}

fn odd() -> Vec<Trial> {
    let token = |more: &str| Reply::json(format!(r#"{{"access_token":"new","token_type":"bearer"{more}}}"#));
    vec![
        endpoint("a token that lasts for ever", move || token("")).truth(MORE),
        endpoint("a token that has run out", move || token(r#","expires_in":0"#)).truth(MORE),
        endpoint("a token that ran out before", move || token(r#","expires_in":-60"#)).truth(MORE),
        endpoint("a token that lasts for so long as a text says", move || token(r#","expires_in":"3600""#)).truth(MORE),
        endpoint("a token that lasts for a fraction", move || token(r#","expires_in":3599.9"#)).truth(MORE),
        endpoint("a token that lasts longer than the universe", move || token(r#","expires_in":1e30"#)).truth(MORE),
        endpoint("a token that lasts for words", move || token(r#","expires_in":"soon""#)).truth(MORE),
        endpoint("a token of a capital type", || Reply::json(r#"{"access_token":"new","token_type":"BEARER"}"#))
            .truth(MORE),
        endpoint("a token of no type", || Reply::json(r#"{"access_token":"new"}"#)).truth(MORE),
        endpoint("a token of another type", || Reply::json(r#"{"access_token":"new","token_type":"mac"}"#)).truth(MORE),
    ]
}

fn refused() -> Vec<Trial> {
    let mut count = 0;
    vec![
        endpoint("the same token again, which is refused", || Reply::json(r#"{"access_token":"old"}"#)).polls(2),
        Trial::new("401 every other time", move |request| {
            count += 1;
            match request.target.as_str() {
                "/token" => Reply::json(r#"{"access_token":"new"}"#),
                _ if count % 2 == 1 => Reply::of(401, ""),
                _ => Reply::json(BEFORE),
            }
        })
        .rules(OAUTH)
        .well(well)
        .polls(3),
    ]
}

/// A token endpoint that answers like this once the token that it gave before is not taken any more; with a new one,
/// the source lists one item more.
fn endpoint(name: &'static str, answer: impl Fn() -> Reply + Send + 'static) -> Trial {
    Trial::new(name, move |request: &Request| match (request.target.as_str(), request.header("authorization")) {
        ("/token", _) => answer(),
        (_, Some("Bearer new")) => Reply::json(MORE),
        _ => Reply::of(401, "who are you?"),
    })
    .rules(OAUTH)
    .well(well)
}

fn well(listing: &'static str) -> Respond {
    Box::new(move |request| match request.target.as_str() {
        "/token" => Reply::json(r#"{"access_token":"old","token_type":"bearer","expires_in":3600}"#),
        _ => Reply::json(listing),
    })
}
