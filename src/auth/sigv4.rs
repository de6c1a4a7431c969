//! AWS Signature Version 4: each request is signed as a whole, its body and most of its headers included.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

use super::{AuthError, hex, insert_secret};
use crate::http::HttpRequest;
use crate::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use crate::model::auth::SigV4;
use crate::model::time::Timestamp;

/// Headers that may be changed on the way, or are added after signing.
const UNSIGNED: [&str; 6] =
    ["authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"];

/// Services that want the hash of the body in a header, and whose paths are encoded once, not twice.
const STORAGE: [&str; 4] = ["s3", "s3-object-lambda", "s3-outposts", "s3express"];

/// Signs a request. Its address is written anew in the one way that the signature stands for.
pub(super) fn sign(keys: &SigV4, request: &mut HttpRequest, now: Timestamp) -> Result<(), AuthError> {
    let is_storage = STORAGE.contains(&keys.service.as_str());
    let path = each_segment(request.url.path(), |segment| encoded(&decoded(segment, false)));
    request.url.set_path(&path);
    if let Some(query) = request.url.query() {
        let rewritten: Vec<String> = query.split('&').filter(|pair| !pair.is_empty()).map(rewritten).collect();
        request.url.set_query(Some(&rewritten.join("&")));
    }
    let time = now.to_utc().format("%Y%m%dT%H%M%SZ").to_string();
    let body = hex(digest(&SHA256, &request.body));
    insert(request, "x-amz-date", &time);
    if is_storage {
        insert(request, "x-amz-content-sha256", &body);
    }
    if let Some(token) = &keys.session_token {
        insert_secret(&mut request.headers, HeaderName::from_static("x-amz-security-token"), token.expose())?;
    }
    let path = if is_storage { request.url.path().to_owned() } else { encoded_twice(request.url.path()) };
    let authorization = authorization(keys, request, &path, &time, &body);
    insert_secret(&mut request.headers, AUTHORIZATION, &authorization)
}

fn insert(request: &mut HttpRequest, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("digits and letters make a header value");
    request.headers.insert(HeaderName::from_static(name), value);
}

fn authorization(keys: &SigV4, request: &HttpRequest, path: &str, time: &str, body: &str) -> String {
    let headers = signed_headers(request);
    let names: Vec<&str> = headers.keys().map(String::as_str).collect();
    let names = names.join(";");
    let mut canonical = format!("{}\n{path}\n{}\n", request.method, canonical_query(request.url.query()));
    for (name, value) in &headers {
        writeln!(canonical, "{name}:{value}").expect("a string takes whatever is written to it");
    }
    write!(canonical, "\n{names}\n{body}").expect("a string takes whatever is written to it");

    let date = &time[..8];
    let scope = format!("{date}/{}/{}/aws4_request", keys.region, keys.service);
    let signed = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(digest(&SHA256, canonical.as_bytes())));
    let mut key = format!("AWS4{}", keys.secret_access_key.expose()).into_bytes();
    for part in [date, &keys.region, &keys.service, "aws4_request"] {
        key = authenticated(&key, part);
    }
    let signature = hex(authenticated(&key, &signed));
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.access_key_id)
}

fn authenticated(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// Returns the headers that are signed: white space evened out, several values joined with commas.
fn signed_headers(request: &HttpRequest) -> BTreeMap<String, String> {
    let host = request.url.host_str().unwrap_or_default();
    let host = request.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut headers = BTreeMap::from([("host".to_owned(), host)]);
    for name in request.headers.keys().filter(|name| !UNSIGNED.contains(&name.as_str())) {
        let values = request.headers.get_all(name).iter().map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
        });
        headers.insert(name.as_str().to_owned(), values.collect::<Vec<_>>().join(","));
    }
    headers
}

fn canonical_query(query: Option<&str>) -> String {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(&str, &str)> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Returns a path with what is encoded in it encoded again, and without empty segments but the last.
fn encoded_twice(path: &str) -> String {
    let mut path = each_segment(path, |segment| encoded(segment.as_bytes()));
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

/// Returns a parameter of an address with nothing but unreserved characters left as they are.
fn rewritten(pair: &str) -> String {
    let rewritten = |text: &str| encoded(&decoded(text, true));
    match pair.split_once('=') {
        Some((name, value)) => format!("{}={}", rewritten(name), rewritten(value)),
        None => rewritten(pair),
    }
}

fn each_segment(path: &str, change: impl Fn(&str) -> String) -> String {
    path.split('/').map(change).collect::<Vec<_>>().join("/")
}

/// Returns the bytes that a part of an address stands for.
fn decoded(text: &str, plus_is_space: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(meant)) => {
                decoded.push(meant);
                at += 3;
                continue;
            }
            (b'+', _) if plus_is_space => decoded.push(b' '),
            (byte, _) => decoded.push(*byte),
        }
        at += 1;
    }
    decoded
}

/// Returns bytes with all but unreserved characters (RFC 3986) encoded.
fn encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes whatever is written to it");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::http::Method;
    use crate::http::header::HeaderMap;
    use crate::model::secret::Secret;

    fn keys(id: &str, secret: &str, service: &str) -> SigV4 {
        SigV4 {
            access_key_id: id.to_owned(),
            secret_access_key: Secret::new(secret.to_owned()),
            session_token: None,
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
        }
    }

    fn request(vector: &Value) -> HttpRequest {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut headers = HeaderMap::new();
        for header in vector["headers"].as_array().into_iter().flatten() {
            let name: HeaderName = text(&header[0]).parse().expect("a header name");
            headers.append(name, text(&header[1]).parse().expect("a header value"));
        }
        HttpRequest {
            method: Method::from_bytes(text(&vector["method"]).as_bytes()).expect("a method"),
            url: text(&vector["url"]).parse().expect("an address"),
            headers,
            body: text(&vector["body"]).into(),
        }
    }

    #[test]
    fn the_official_test_suite_comes_out() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/sigv4.json")).expect("the vectors are JSON");
        let vectors = vectors.as_array().expect("a list");
        assert!(vectors.len() >= 30, "{}", vectors.len());
        for vector in vectors {
            let name = vector["name"].as_str().expect("a name");
            let is_storage = name.starts_with("s3-");
            let mut keys = if is_storage {
                keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "s3")
            } else {
                keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "service")
            };
            keys.session_token = vector["session_token"].as_str().map(|token| Secret::new(token.to_owned()));
            let at = if is_storage { "2013-05-24T00:00:00Z" } else { "2015-08-30T12:36:00Z" };
            let now = Timestamp::parse(at).expect("a time");
            let mut request = request(vector);
            if vector["path_is_encoded"] == false {
                // The suite's own requests have paths that are not encoded yet, so that once is enough.
                let (time, body) = ("20150830T123600Z", hex(digest(&SHA256, b"")));
                insert(&mut request, "x-amz-date", time);
                let path = request.url.path().to_owned();
                assert_eq!(authorization(&keys, &request, &path, time, &body), vector["authorization"], "{name}");
                continue;
            }
            sign(&keys, &mut request, now).expect("it can be signed");
            assert_eq!(request.headers[AUTHORIZATION], vector["authorization"].as_str().expect("a text"), "{name}");
        }
    }

    #[test]
    fn an_address_is_written_in_one_way() {
        let check = |url: &str, sent: &str, signed: &str| {
            let mut request = HttpRequest {
                method: Method::GET,
                url: format!("https://x.example{url}").parse().expect("an address"),
                headers: HeaderMap::new(),
                body: bytes::Bytes::new(),
            };
            sign(&keys("a", "b", "execute-api"), &mut request, Timestamp::EPOCH).expect("it can be signed");
            assert_eq!(request.url.as_str(), format!("https://x.example{sent}"));
            let (path, query) = (encoded_twice(request.url.path()), canonical_query(request.url.query()));
            assert_eq!(format!("{path}?{query}"), signed);
        };
        check("/a b", "/a%20b", "/a%2520b?");
        check("/a+b:c/%2F//d/", "/a%2Bb%3Ac/%2F//d/", "/a%252Bb%253Ac/%252F/d/?");
        check(
            "/?b=2&a=x+y&a=%e4&acl&c=d=e&%zz=1",
            "/?b=2&a=x%20y&a=%E4&acl&c=d%3De&%25zz=1",
            "/?%25zz=1&a=%E4&a=x%20y&acl=&b=2&c=d%3De",
        );
    }

    #[test]
    fn storage_services_get_the_hash_of_the_body_and_others_do_not() {
        for (service, expected) in [("s3", true), ("es", false)] {
            let mut request = HttpRequest {
                method: Method::GET,
                url: "https://x.example:8443/".parse().expect("an address"),
                headers: HeaderMap::new(),
                body: bytes::Bytes::new(),
            };
            sign(&keys("a", "b", service), &mut request, Timestamp::EPOCH).expect("it can be signed");
            assert_eq!(request.headers.contains_key("x-amz-content-sha256"), expected, "{service}");
            assert_eq!(signed_headers(&request)["host"], "x.example:8443");
        }
    }
}
