//! How requests can prove who they are from, as refusals tell.

use std::sync::LazyLock;

use serde_json::{Value, json};
use url::Host;

use super::{About, Answer, Finding, Setting, Sureness};
use crate::http::header::{PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use crate::http::{Challenge, challenges};

/// What to try after a refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthHint {
    /// What a connector says, and why.
    pub finding: Finding,
    /// What to add to the command line that was refused; empty if it cannot say so.
    pub arguments: Vec<String>,
}

/// How much of a refusal's body is read, in bytes.
const MOST_READ: usize = 8 * 1024;

/// The longest that somebody else's words are repeated, in characters.
const MOST_REPEATED: usize = 160;

/// Schemes of `WWW-Authenticate`, the best to be had first.
const SCHEMES: [&str; 8] = ["bearer", "token", "apikey", "api-key", "key", "basic", "digest", "oauth"];

/// Names that APIs give to the parameter of an address that holds a key, in small letters.
const QUERY_NAMES: [&str; 6] = ["api_key", "apikey", "appid", "app_id", "access_key", "api-key"];

/// The finding about a proxy, which no connector can say anything to.
static PROXY: LazyLock<Finding> = LazyLock::new(|| Finding {
    about: About::Auth,
    settings: Vec::new(),
    found: "a proxy".to_owned(),
    sureness: Sureness::Certain,
    because: "a proxy on the way to the API wants to know who asks, not the API itself".to_owned(),
});

/// Returns how an API wants requests to prove who they are from, as far as its refusal says so.
pub fn auth_hint(answer: &Answer) -> Option<AuthHint> {
    if answer.status == 407 || answer.headers.contains_key(PROXY_AUTHENTICATE) {
        return Some(AuthHint { finding: PROXY.clone(), arguments: Vec::new() });
    }
    if !matches!(answer.status, 400 | 401 | 403) {
        return None;
    }
    let lines = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
    let challenges: Vec<Challenge> = lines.flat_map(challenges).collect();
    let known = SCHEMES.iter().find_map(|scheme| challenges.iter().find(|challenge| challenge.is(scheme)));
    if let Some(challenge) = known {
        return Some(of_challenge(answer, challenge));
    }
    if let Some(challenge) = challenges.first().filter(|_| answer.status == 401) {
        let because = format!("the answer asks for {}, which pollhook does not speak", word(&challenge.scheme));
        return Some(AuthHint::none(word(&challenge.scheme), because));
    }
    of_body(answer)
}

/// Returns what one challenge asks for.
fn of_challenge(answer: &Answer, challenge: &Challenge) -> AuthHint {
    let asked = format!("`WWW-Authenticate` asks for {}{}", word(&challenge.scheme), details(challenge));
    let scheme = challenge.scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "basic" => {
            let settings = [("username", json!("NAME")), ("password", env(answer, "PASSWORD"))];
            let argument = "--header \"Authorization: Basic $(printf 'NAME:PASSWORD' | base64)\"";
            AuthHint::new("basic", &settings, "a user name and password", Sureness::Certain, asked)
                .with(argument.to_owned())
        }
        "digest" => {
            let settings = [("username", json!("NAME")), ("password", env(answer, "PASSWORD"))];
            AuthHint::new("digest", &settings, "a user name and password", Sureness::Certain, asked)
        }
        "bearer" | "oauth" => bearer(answer, Sureness::Certain, asked),
        "token" => {
            let name = variable(answer, "TOKEN");
            let settings = [("name", json!("Authorization")), ("value", json!({"env": name}))];
            let because = format!("{asked}; `{name}` holds the word {} and the token", word(&challenge.scheme));
            let argument = format!("--header \"Authorization: {} …\"", shortened(&challenge.scheme));
            AuthHint::new("header", &settings, "a token", Sureness::Certain, because).with(argument)
        }
        _ => {
            let named = ["header", "name", "in"].iter().find_map(|name| challenge.parameter(name));
            let header = named.filter(|name| is_header(name)).unwrap_or("X-Api-Key");
            let sureness = if named.is_some() { Sureness::Certain } else { Sureness::Likely };
            key_in_header(answer, header, sureness, asked)
        }
    }
}

/// Returns what the body of a refusal speaks of.
fn of_body(answer: &Answer) -> Option<AuthHint> {
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(MOST_READ)]);
    let says = message(&text);
    let small = text.to_ascii_lowercase();
    let quoted = || match &says {
        Some(says) => format!("it says \"{says}\""),
        None => "its answer speaks of it".to_owned(),
    };
    let words = || text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    let is_key_header = |word: &&str| {
        let small = word.to_ascii_lowercase();
        small.starts_with("x-") && ["key", "token", "auth"].iter().any(|part| small.contains(part)) && is_header(word)
    };
    if let Some(header) = words().find(is_key_header) {
        return Some(key_in_header(answer, header, Sureness::Likely, quoted()));
    }
    let host = answer.url.host_str().unwrap_or_default();
    if small.contains("api key") && (host == "googleapis.com" || host.ends_with(".googleapis.com")) {
        return Some(key_in_query(answer, "key", quoted()));
    }
    if let Some(name) = words().find(|word| QUERY_NAMES.contains(&word.to_ascii_lowercase().as_str())) {
        return Some(key_in_query(answer, name, quoted()));
    }
    if ["api key", "apikey", "api-key", "subscription key"].iter().any(|words| small.contains(words)) {
        return Some(key_in_header(answer, "X-Api-Key", Sureness::Doubtful, quoted()));
    }
    if answer.status == 400 {
        return None;
    }
    if small.contains("bearer") {
        return Some(bearer(answer, Sureness::Likely, quoted()));
    }
    let speaks_of_token = ["token", "oauth", "jwt", "credentials", "authenticat", "not_authed", "log in", "login"];
    if answer.status == 401 || speaks_of_token.iter().any(|words| small.contains(words)) {
        let because = if says.is_some() { quoted() } else { "it does not say how, and most take a token".to_owned() };
        return Some(bearer(answer, Sureness::Doubtful, because));
    }
    None
}

fn bearer(answer: &Answer, sureness: Sureness, because: String) -> AuthHint {
    let argument = format!("--bearer-env {}", variable(answer, "TOKEN"));
    AuthHint::new("bearer", &[("token", env(answer, "TOKEN"))], "a bearer token", sureness, because).with(argument)
}

fn key_in_header(answer: &Answer, header: &str, sureness: Sureness, because: String) -> AuthHint {
    let settings = [("name", json!(header)), ("value", env(answer, "KEY"))];
    let found = format!("a key in the header `{header}`");
    AuthHint::new("header", &settings, &found, sureness, because).with(format!("--header \"{header}: …\""))
}

fn key_in_query(answer: &Answer, name: &str, because: String) -> AuthHint {
    let settings = [("name", json!(name)), ("value", env(answer, "KEY"))];
    let found = format!("a key in the parameter `{name}`");
    AuthHint::new("query", &settings, &found, Sureness::Likely, because)
}

impl AuthHint {
    fn new(style: &str, keys: &[(&str, Value)], found: &str, sureness: Sureness, because: String) -> Self {
        let setting = |(key, value): &(&str, Value)| Setting::new(format!("auth.{style}.{key}"), value.clone());
        let settings = keys.iter().map(setting).collect();
        let finding = Finding { about: About::Auth, settings, found: found.to_owned(), sureness, because };
        Self { finding, arguments: Vec::new() }
    }

    fn none(found: String, because: String) -> Self {
        let finding =
            Finding { about: About::Auth, settings: Vec::new(), found, sureness: Sureness::Doubtful, because };
        Self { finding, arguments: Vec::new() }
    }

    fn with(mut self, argument: String) -> Self {
        self.arguments.push(argument);
        self
    }
}

fn env(answer: &Answer, what: &str) -> Value {
    json!({"env": variable(answer, what)})
}

/// Returns the name of a variable for a secret of this API: `GITHUB_TOKEN` for `api.github.com`.
fn variable(answer: &Answer, what: &str) -> String {
    let Some(Host::Domain(host)) = answer.url.host() else { return format!("API_{what}") };
    let mut labels = host.rsplit('.').skip(1);
    // `co.uk` and its like.
    let name = labels.next().filter(|label| label.len() > 3).or_else(|| labels.next()).unwrap_or_default();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_uppercase()) { format!("{name}_{what}") } else { format!("API_{what}") }
}

/// Returns what a challenge says beside its scheme that helps people.
fn details(challenge: &Challenge) -> String {
    let wanted = ["realm", "scope", "error", "error_description"];
    let said: Vec<String> = wanted
        .iter()
        .filter_map(|name| {
            challenge
                .parameter(name)
                .map(shortened)
                .filter(|value| !value.is_empty())
                .map(|value| format!("{name} \"{value}\""))
        })
        .collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

/// Returns what a body says to people, if it is JSON that has such a thing.
fn message(text: &str) -> Option<String> {
    let value: Value = crate::model::json::parse(text.as_bytes()).ok()?;
    let names = ["error_description", "message", "detail", "error", "msg", "reason", "title", "description", "errors"];
    let mut value = &value;
    // `{"error": {"message": "…"}}` and `{"errors": [{"detail": "…"}]}`.
    for _ in 0..4 {
        value = match value {
            Value::String(text) => return Some(shortened(text)).filter(|text| !text.is_empty()),
            Value::Array(elements) => elements.first()?,
            Value::Object(members) => names
                .iter()
                .find_map(|name| members.get(*name).filter(|value| !value.is_boolean() && !value.is_number()))?,
            _ => return None,
        };
    }
    value.as_str().map(shortened)
}

/// Returns a text on one line, without what a terminal would act on, and not too long.
fn shortened(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line: String = line.chars().filter(|c| !c.is_control()).collect();
    if let Some((end, _)) = line.char_indices().nth(MOST_REPEATED) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Returns a scheme as something that can be shown.
fn word(scheme: &str) -> String {
    format!("`{}`", shortened(scheme))
}

fn is_header(name: &str) -> bool {
    name.len() <= 64 && name.parse::<crate::http::header::HeaderName>().is_ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::http::header::{HeaderMap, HeaderName, HeaderValue};

    fn hint(url: &str, status: u16, lines: &[(&str, &str)], body: &str) -> Option<AuthHint> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let url = url.parse().expect("an address");
        auth_hint(&Answer { url, status, headers, body: Bytes::from(body.to_owned()) })
    }

    #[track_caller]
    fn check(status: u16, lines: &[(&str, &str)], body: &str, expected: Option<(&str, Sureness)>) {
        let hint = hint("https://api.example.com/items", status, lines, body);
        let shown = hint.map(|hint| {
            let setting = |setting: &Setting| format!("{}={}", setting.path, setting.value);
            let settings: Vec<String> = hint.finding.settings.iter().map(setting).collect();
            (format!("{} | {}", settings.join(" "), hint.arguments.join(" ")), hint.finding.sureness)
        });
        let shown = shown.as_ref().map(|(text, sureness)| (text.as_str(), *sureness));
        assert_eq!(shown, expected, "{lines:?} {body}");
    }

    use Sureness::{Certain, Doubtful, Likely};

    const BEARER: &str = "auth.bearer.token={\"env\":\"EXAMPLE_TOKEN\"} | --bearer-env EXAMPLE_TOKEN";

    const API_KEY: &str =
        "auth.header.name=\"X-Api-Key\" auth.header.value={\"env\":\"EXAMPLE_KEY\"} | --header \"X-Api-Key: …\"";

    #[test]
    fn challenges_say_what_to_give() {
        let check =
            |value: &str, expected: Option<(&str, Sureness)>| check(401, &[("www-authenticate", value)], "", expected);
        check("Bearer realm=\"api\", error=\"invalid_token\"", Some((BEARER, Certain)));
        check("Basic realm=\"a, Bearer\", Bearer", Some((BEARER, Certain)));
        let basic = "auth.basic.username=\"NAME\" auth.basic.password={\"env\":\"EXAMPLE_PASSWORD\"} | \
                     --header \"Authorization: Basic $(printf 'NAME:PASSWORD' | base64)\"";
        check("Basic realm=\"x\"", Some((basic, Certain)));
        let digest = "auth.digest.username=\"NAME\" auth.digest.password={\"env\":\"EXAMPLE_PASSWORD\"} | ";
        check("Digest realm=\"x\", nonce=\"y\"", Some((digest, Certain)));
        let token = "auth.header.name=\"Authorization\" auth.header.value={\"env\":\"EXAMPLE_TOKEN\"} | \
                     --header \"Authorization: `Token` …\"";
        check("Token", Some((token.replace('`', "").as_str(), Certain)));
        check("ApiKey realm=\"x\"", Some((API_KEY, Likely)));
        check("ApiKey header=\"X-Api-Key\"", Some((API_KEY, Certain)));
        check("Negotiate", Some((" | ", Doubtful)));
    }

    #[test]
    fn bodies_say_what_to_give() {
        check(401, &[], "", Some((BEARER, Doubtful)));
        check(403, &[], "", None);
        check(403, &[], r#"{"message":"API rate limit exceeded for 192.0.2.1."}"#, None);
        check(404, &[], r#"{"message":"no api key"}"#, None);
        check(403, &[], r#"{"error":"missing token"}"#, Some((BEARER, Doubtful)));
        check(401, &[], r#"{"errors":[{"message":"Send a Bearer token"}]}"#, Some((BEARER, Likely)));
        check(
            401,
            &[],
            r#"{"message":"Append it with the apiKey param, or use the X-Api-Key HTTP header."}"#,
            Some((API_KEY, Likely)),
        );
        check(
            401,
            &[],
            r#"{"status_message":"Invalid API key: You must be granted a valid key."}"#,
            Some((API_KEY, Doubtful)),
        );
        let query = "auth.query.name=\"api_key\" auth.query.value={\"env\":\"EXAMPLE_KEY\"} | ";
        check(403, &[], r#"{"error":{"code":"API_KEY_MISSING","message":"No api_key was supplied."}}"#.replace("API_KEY_MISSING", "MISSING").as_str(), Some((query, Likely)));
        check(400, &[], "An access_key is needed", Some((&query.replace("api_key", "access_key"), Likely)));
        check(400, &[], "no such column, token", None);
        check(407, &[("proxy-authenticate", "Basic")], "", Some((" | ", Certain)));
        check(200, &[("www-authenticate", "Basic")], "", None);
    }

    #[test]
    fn what_the_api_says_is_repeated_safely() {
        let because = |body: &str| hint("https://api.example.com/", 401, &[], body).expect("a hint").finding.because;
        assert_eq!(because("{\"detail\":\"No\\u001b[31m\\n token\"}"), "it says \"No[31m token\"");
        assert!(because(&format!("{{\"message\":\"token {}\"}}", "é".repeat(9000))).chars().count() < 200);
        assert_eq!(because("[[[[[[\"token\"]]]]]]"), "it does not say how, and most take a token");
    }

    #[test]
    fn variables_are_called_after_the_api() {
        for (url, expected) in [
            ("https://api.github.com/", "GITHUB_TOKEN"),
            ("https://example.co.uk/", "EXAMPLE_TOKEN"),
            ("https://my-shop.example/", "MY_SHOP_TOKEN"),
            ("http://localhost:8080/", "API_TOKEN"),
            ("http://127.0.0.1/", "API_TOKEN"),
            ("https://123.example/", "API_TOKEN"),
        ] {
            let hint = hint(url, 401, &[("www-authenticate", "Bearer")], "").expect("a hint");
            assert_eq!(hint.arguments, [format!("--bearer-env {expected}")], "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn odd_refusals_do_no_harm(header in "[ -~]{0,60}", body in "[ -~é]{0,60}", status in 400_u16..410) {
            hint("https://api.example.com/", status, &[("www-authenticate", &header)], &body);
        }
    }
}
