//! HTTP digest (RFC 7616): a source's challenge is answered with a hash that only somebody with the password can make.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, SHA512_256, digest};
use url::Url;

use super::{hex, id_of};
use crate::http::{self, challenges};
use crate::model::fingerprint::BodyHash;
use crate::model::secret::Secret;

/// The challenges of sources. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Digests(Arc<Mutex<HashMap<BodyHash, Session>>>);

/// Returns what tells apart who is challenged by whom.
pub(super) fn id(url: &Url, username: &str, password: &Secret) -> BodyHash {
    id_of(&[&url.origin().ascii_serialization(), username, password.expose()])
}

impl Digests {
    /// Returns the value of `Authorization` for a request; `None` as long as there was no challenge.
    pub fn answer(
        &self,
        id: BodyHash,
        username: &str,
        password: &Secret,
        method: &str,
        target: &str,
    ) -> Option<String> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&id)?;
        session.count = session.count.wrapping_add(1);
        Some(session.answer(username, password.expose(), method, target))
    }

    /// Takes note of the challenges in the values of `WWW-Authenticate`. Tells whether one can be answered.
    pub fn challenged<'a>(&self, id: BodyHash, values: impl Iterator<Item = &'a str>) -> bool {
        let challenges = values.flat_map(challenges).filter(|offer| offer.is("digest"));
        let challenges = challenges.filter_map(|offer| Challenge::of(&offer));
        let Some(challenge) = challenges.max_by_key(|challenge| challenge.algorithm) else { return false };
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce).expect("the operating system gives random bytes");
        let session = Session { challenge, client_nonce: hex(nonce), count: 0 };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, session);
        true
    }
}

/// What follows from one challenge.
struct Session {
    challenge: Challenge,
    client_nonce: String,
    /// How many requests have answered it.
    count: u32,
}

/// What a source wants answered.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    algorithm: Algorithm,
    /// The name of the algorithm, if the source named it.
    named: Option<String>,
    /// Whether the secret is hashed with the nonces first.
    is_session: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// Whether the source knows `qop="auth"`; if not, it is older than RFC 2617.
    is_counted: bool,
    /// Whether the user name is sent as a hash.
    hashes_username: bool,
}

/// The weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512_256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(md5::compute(text).0),
            Self::Sha256 => hex(digest(&SHA256, text.as_bytes())),
            Self::Sha512_256 => hex(digest(&SHA512_256, text.as_bytes())),
        }
    }
}

impl Challenge {
    /// Returns what is wanted, if that can be answered.
    fn of(offer: &http::Challenge) -> Option<Self> {
        let get = |name: &str| offer.parameter(name).map(str::to_owned);
        let named = get("algorithm");
        let upper = named.as_deref().unwrap_or("MD5").to_ascii_uppercase();
        let plain = upper.strip_suffix("-SESS");
        let algorithm = match plain.unwrap_or(&upper) {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            "SHA-512-256" => Algorithm::Sha512_256,
            _ => return None,
        };
        // Some say that they know none with an empty text.
        let qop = get("qop").filter(|qop| !qop.trim().is_empty());
        let is_counted = match &qop {
            Some(qop) if qop.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
            // Only `auth-int`, which hashes the body as well, and which nobody uses.
            Some(_) => return None,
            None => false,
        };
        Some(Self {
            algorithm,
            is_session: plain.is_some(),
            named,
            realm: get("realm").unwrap_or_default(),
            nonce: get("nonce")?,
            opaque: get("opaque"),
            is_counted,
            hashes_username: get("userhash").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }
}

impl Session {
    fn answer(&self, username: &str, password: &str, method: &str, target: &str) -> String {
        let Self { challenge, client_nonce, count } = self;
        let Challenge { algorithm, realm, nonce, .. } = challenge;
        let mut secret = algorithm.hash(&format!("{username}:{realm}:{password}"));
        if challenge.is_session {
            secret = algorithm.hash(&format!("{secret}:{nonce}:{client_nonce}"));
        }
        let asked = algorithm.hash(&format!("{method}:{target}"));
        let response = if challenge.is_counted {
            algorithm.hash(&format!("{secret}:{nonce}:{count:08x}:{client_nonce}:auth:{asked}"))
        } else {
            algorithm.hash(&format!("{secret}:{nonce}:{asked}"))
        };
        let user = if challenge.hashes_username {
            format!("username=\"{}\", userhash=true", algorithm.hash(&format!("{username}:{realm}")))
        } else if username.is_ascii() {
            format!("username={}", quoted(username))
        } else {
            format!("username*=UTF-8''{}", percent_encoded(username))
        };
        let mut header = format!(
            "Digest {user}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(realm),
            quoted(nonce),
            quoted(target)
        );
        let mut add = |parameter: std::fmt::Arguments<'_>| {
            write!(header, ", {parameter}").expect("a string takes whatever is written to it");
        };
        if let Some(named) = &challenge.named {
            add(format_args!("algorithm={named}"));
        }
        if challenge.is_counted {
            add(format_args!("qop=auth, nc={count:08x}"));
        }
        if challenge.is_counted || challenge.is_session {
            add(format_args!("cnonce={}", quoted(client_nonce)));
        }
        if let Some(opaque) = &challenge.opaque {
            add(format_args!("opaque={}", quoted(opaque)));
        }
        header
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes whatever is written to it");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(header: &str, client_nonce: &str) -> Session {
        let offers = challenges(header);
        let challenge = Challenge::of(offers.first().expect("a challenge")).expect("one that can be answered");
        Session { challenge, client_nonce: client_nonce.to_owned(), count: 1 }
    }

    #[track_caller]
    fn check(session: &Session, (username, password): (&str, &str), target: &str, expected: &str) {
        let answer = session.answer(username, password, "GET", target);
        let offers = challenges(&answer);
        assert_eq!(offers[0].parameter("response"), Some(expected), "{answer}");
    }

    #[test]
    fn the_examples_of_the_standards_come_out() {
        // RFC 7616, 3.9.1.
        let challenge = |algorithm| {
            let header = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            session(&header, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
        };
        let mufasa = ("Mufasa", "Circle of Life");
        check(&challenge("MD5"), mufasa, "/dir/index.html", "8ca523f5e9506fed4657c9700eebdbec");
        check(
            &challenge("SHA-256"),
            mufasa,
            "/dir/index.html",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        );
        // RFC 2617, 3.5.
        let header = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                      nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        let mufasa = ("Mufasa", "Circle Of Life");
        check(&session(header, "0a4f113b"), mufasa, "/dir/index.html", "6629fae49393a05397450978507c4ef1");
        // RFC 2069, 2.4, as its errata have it.
        let header = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        let mufasa = ("Mufasa", "CircleOfLife");
        check(&session(header, ""), mufasa, "/dir/index.html", "1949323746fe6a43ef61f9606e7febea");
    }

    #[test]
    fn an_answer_has_all_that_it_needs() {
        let header = r#"Digest realm="a \"b\"", nonce="n", algorithm=MD5-sess, qop=auth, opaque="o""#;
        let answer = session(header, "c").answer("me", "secret", "GET", "/x?y=1");
        insta::assert_snapshot!(answer, @r#"Digest username="me", realm="a \"b\"", nonce="n", uri="/x?y=1", response="89544fcb2130a4667a4b29710a908dcb", algorithm=MD5-sess, qop=auth, nc=00000001, cnonce="c", opaque="o""#);
        let header = r#"Digest realm="r", nonce="n", algorithm=SHA-256, qop=auth, userhash=true"#;
        let answer = session(header, "c").answer("Jäsøn", "secret", "GET", "/");
        assert!(!answer.contains("sn") && answer.contains("userhash=true"), "{answer}");
        let answer = session(&header.replace("true", "false"), "c").answer("Jäsøn", "secret", "GET", "/");
        assert!(answer.contains("username*=UTF-8''J%C3%A4s%C3%B8n,"), "{answer}");
    }

    #[test]
    fn the_strongest_challenge_that_is_known_is_answered() {
        let check = |values: &[&str], expected: Option<&str>| {
            let digests = Digests::default();
            let id = id_of(&["x"]);
            let known = digests.challenged(id, values.iter().copied());
            assert_eq!(known, expected.is_some(), "{values:?}");
            let password = Secret::new("secret".to_owned());
            let answer = digests.answer(id, "me", &password, "GET", "/");
            assert_eq!(answer.is_some(), known);
            if let (Some(answer), Some(expected)) = (answer, expected) {
                assert!(answer.contains(expected), "{answer}");
            }
        };
        let md5 = r#"Digest realm="r", nonce="weak", qop="auth""#;
        let sha = r#"Digest realm="r", nonce="strong", qop="auth", algorithm=SHA-256"#;
        check(&[md5, sha], Some("strong"));
        check(&[&format!("Basic realm=\"a, b=c\", {sha}, {md5}")], Some("strong"));
        check(&[&format!("Negotiate abc==, {md5}")], Some("weak"));
        check(&[r#"Digest realm="r", nonce="n", algorithm=SHA-1"#], None);
        check(&[r#"Digest realm="r", nonce="n", qop="auth-int""#], None);
        check(&["Basic realm=\"x\"", "Digest realm=\"no nonce\"", "Digest \"", ",,=,"], None);
        check(&[], None);
    }

    #[test]
    fn requests_are_counted_for_each_challenge() {
        let digests = Digests::default();
        let id = id_of(&["x"]);
        let challenge = r#"Digest realm="r", nonce="n", qop="auth""#;
        let password = Secret::new("secret".to_owned());
        for expected in ["nc=00000001", "nc=00000002", "nc=00000001"] {
            if expected.ends_with('1') {
                assert!(digests.challenged(id, [challenge].into_iter()));
            }
            let answer = digests.answer(id, "me", &password, "GET", "/").expect("an answer");
            assert!(answer.contains(expected), "{answer}");
        }
    }
}
