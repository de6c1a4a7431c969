//! What is to be asked, and with which secrets: from the arguments to a connector's `request` and `auth`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use url::Url;

use crate::cli::failure::Failure;
use crate::config::Environment;
use crate::discover::Setting;
use crate::model::id::LONGEST_NAME;

/// What is to be asked.
#[derive(Debug, Clone)]
pub struct Target {
    /// Without anything secret.
    pub url: Url,
    /// What is sent beside it, in the order of the arguments, without anything secret.
    pub headers: Vec<(String, String)>,
    pub secrets: Vec<GivenSecret>,
}

/// A secret that requests carry, and the variable that it is taken from.
#[derive(Clone)]
pub struct GivenSecret {
    pub place: SecretPlace,
    pub variable: String,
    /// What was given on the command line; `None` if the variable has it.
    value: Option<String>,
}

/// Where a request carries a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    Bearer,
    /// With this user name.
    Basic(String),
    Header(String),
    Query(String),
}

/// One `--header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderArgument {
    name: String,
    value: String,
}

impl std::str::FromStr for HeaderArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write it as \"Name: value\"".to_owned();
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        let name = name.trim();
        name.parse::<crate::http::header::HeaderName>().map_err(|_| wrong())?;
        Ok(Self { name: name.to_owned(), value: value.trim().to_owned() })
    }
}

impl std::fmt::Debug for GivenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GivenSecret({:?}, {})", self.place, self.variable)
    }
}

impl Target {
    /// Returns what an address, headers and the name of a variable with a bearer token ask for.
    pub fn new(
        address: &str,
        headers: &[HeaderArgument],
        bearer_env: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let mut url = parse(address)?;
        let site = super::name::site(&url);
        let site = site.as_deref();
        let mut target = Self { url: url.clone(), headers: Vec::new(), secrets: Vec::new() };
        if let Some(variable) = bearer_env {
            match environment.get(variable) {
                None | Some("") => {
                    return Err(Failure::Usage(format!(
                        "the environment variable {variable} is not set: export {variable}=… and try again"
                    )));
                }
                Some(_) => {}
            }
            let secret = GivenSecret { place: SecretPlace::Bearer, variable: variable.to_owned(), value: None };
            target.secrets.push(secret);
        }
        if let Some(password) = url.password().map(str::to_owned) {
            let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            let place = SecretPlace::Basic(decoded(url.username()));
            target.secrets.push(GivenSecret {
                place,
                variable: variable(site, "PASSWORD"),
                value: Some(decoded(&password)),
            });
        }
        // An address that has a host can have, and lack, a user.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        for header in headers {
            target.add_header(header, site);
        }
        take_secrets_of_query(&mut url, site, &mut target.secrets);
        target.url = url;
        Ok(target)
    }

    fn add_header(&mut self, header: &HeaderArgument, site: Option<&str>) {
        let HeaderArgument { name, value } = header;
        if !is_secret_header(name) {
            self.headers.push((name.clone(), value.clone()));
            return;
        }
        let scheme = value.split_once(' ').filter(|_| name.eq_ignore_ascii_case("authorization"));
        let secret = match scheme {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => GivenSecret {
                place: SecretPlace::Bearer,
                variable: variable(site, "TOKEN"),
                value: Some(token.trim().to_owned()),
            },
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") && basic(pair).is_some() => {
                let (username, password) = basic(pair).unwrap_or_default();
                GivenSecret {
                    place: SecretPlace::Basic(username),
                    variable: variable(site, "PASSWORD"),
                    value: Some(password),
                }
            }
            _ => GivenSecret {
                place: SecretPlace::Header(name.clone()),
                variable: variable(site, name.trim_start_matches(['X', 'x']).trim_matches('-')),
                value: Some(value.clone()),
            },
        };
        self.secrets.push(secret);
    }

    /// Returns the environment with the secrets that were given on the command line.
    pub fn environment(&self, environment: &Environment) -> Environment {
        let given = self.secrets.iter().filter_map(|secret| Some((&secret.variable, secret.value.as_ref()?)));
        given.fold(environment.clone(), |environment, (variable, value)| environment.with(variable, value))
    }

    /// Returns the variables that have to be set before the connector can be used: what was given otherwise.
    pub fn variables_to_set(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().filter(|secret| secret.value.is_some()).map(|secret| secret.variable.as_str())
    }

    /// Returns what a connector says of the headers and the secrets.
    pub fn settings(&self) -> Vec<Setting> {
        let headers = self.headers.iter();
        let mut settings: Vec<Setting> =
            headers.map(|(name, value)| Setting::new(format!("request.headers.{name}"), literal(value))).collect();
        let mut params = Map::new();
        for (index, GivenSecret { place, variable, .. }) in self.secrets.iter().enumerate() {
            let value = json!({ "env": variable });
            if index == 0 {
                settings.push(auth(place, &value));
                continue;
            }
            // A connector has one auth; what is left are params, which are as secret.
            let param = variable.to_ascii_lowercase();
            let reference = format!("{{{{ params.{param} }}}}");
            params.insert(param, value);
            match place {
                SecretPlace::Query(name) => {
                    settings.push(Setting::new(format!("request.query.{name}"), reference));
                }
                SecretPlace::Header(name) => {
                    settings.push(Setting::new(format!("request.headers.{name}"), reference));
                }
                SecretPlace::Bearer | SecretPlace::Basic(_) => {
                    settings.push(Setting::new("request.headers.Authorization", format!("Bearer {reference}")));
                }
            }
        }
        if !params.is_empty() {
            settings.insert(0, Setting::new("params", params));
        }
        settings
    }
}

fn auth(place: &SecretPlace, value: &Value) -> Setting {
    match place {
        SecretPlace::Bearer => Setting::new("auth.bearer.token", value.clone()),
        SecretPlace::Basic(username) => {
            Setting::new("auth.basic", json!({ "username": literal(username), "password": value }))
        }
        SecretPlace::Header(name) => Setting::new("auth.header", json!({ "name": name, "value": value })),
        SecretPlace::Query(name) => Setting::new("auth.query", json!({ "name": name, "value": value })),
    }
}

/// Returns a text as a template that renders to it.
pub fn literal(text: &str) -> String {
    if ["{{", "{%", "{#"].iter().any(|opening| text.contains(opening)) {
        format!("{{% raw %}}{text}{{% endraw %}}")
    } else {
        text.to_owned()
    }
}

/// Reads an address, or says what is wrong with it.
pub fn parse(address: &str) -> Result<Url, Failure> {
    let wrong = |problem: &str| Failure::Usage(format!("{address:?} is not the address of an API: {problem}"));
    let trimmed = address.trim();
    let is_local = trimmed.starts_with("localhost") || trimmed.starts_with(|c: char| c.is_ascii_digit());
    let scheme = if is_local { "http" } else { "https" };
    let with_scheme = || format!("write it with its scheme, such as {scheme}://{trimmed}");
    let url = match Url::parse(trimmed) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => return Err(wrong(&with_scheme())),
        Err(error) => return Err(wrong(&error.to_string())),
    };
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(_)) => {}
        // `localhost:3000/orders` reads as an address with the scheme `localhost`.
        (scheme, _) if trimmed[scheme.len()..].strip_prefix(':').is_some_and(|rest| !rest.starts_with("//")) => {
            return Err(wrong(&with_scheme()));
        }
        (scheme, _) => {
            let suggestion = if strsim::levenshtein(scheme, "http") < strsim::levenshtein(scheme, "https") {
                "http"
            } else {
                "https"
            };
            let near = strsim::damerau_levenshtein(scheme, suggestion) <= 2;
            let meant = if near { format!("; did you mean {suggestion}://?") } else { String::new() };
            return Err(wrong(&format!("it begins with {scheme}://, and pollhook asks by http:// or https://{meant}")));
        }
    }
    let mut url = url;
    url.set_fragment(None);
    Ok(url)
}

/// Returns user name and password of basic authentication.
fn basic(pair: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// Parts of the names of headers that hold secrets.
const SECRET_HEADERS: [&str; 9] =
    ["auth", "token", "secret", "key", "cookie", "password", "credential", "session", "signature"];

fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_HEADERS.iter().any(|part| name.contains(part))
}

/// Names of parameters that hold secrets, without `-` and `_`.
const SECRET_PARAMS: [&str; 20] = [
    "accesskey",
    "accesstoken",
    "apikey",
    "apitoken",
    "appid",
    "appkey",
    "auth",
    "authkey",
    "authtoken",
    "clientsecret",
    "key",
    "passwd",
    "password",
    "privatetoken",
    "pwd",
    "secret",
    "sig",
    "signature",
    "subscriptionkey",
    "token",
];

/// Takes the parameters out of an address that look like secrets.
fn take_secrets_of_query(url: &mut Url, site: Option<&str>, secrets: &mut Vec<GivenSecret>) {
    let Some(query) = url.query() else { return };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        let parsed = url::form_urlencoded::parse(pair.as_bytes()).next();
        match parsed {
            Some((name, value)) if is_secret_param(&name) && !value.is_empty() => secrets.push(GivenSecret {
                variable: variable(site, &name),
                place: SecretPlace::Query(name.into_owned()),
                value: Some(value.into_owned()),
            }),
            _ => kept.push(pair),
        }
    }
    let kept = kept.join("&");
    url.set_query(Some(kept.as_str()).filter(|kept| !kept.is_empty()));
}

/// Tells whether a parameter of this name holds a secret.
pub fn is_secret_param(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    SECRET_PARAMS.contains(&plain.to_ascii_lowercase().as_str())
}

/// Returns the name of a variable for a secret of a site: `SHOP_TOKEN` for the token of `https://api.shop.com`.
fn variable(site: Option<&str>, secret: &str) -> String {
    let upper = |text: &str| {
        let upper = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        upper.take(LONGEST_NAME).collect::<String>()
    };
    let name = upper(secret);
    match site.map(upper) {
        Some(site) if site.starts_with(|c: char| c.is_ascii_digit()) => format!("_{site}_{name}"),
        Some(site) => format!("{site}_{name}"),
        None if name.starts_with("API") => name,
        None => format!("API_{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str, headers: &[&str]) -> Target {
        let headers: Vec<HeaderArgument> = headers.iter().map(|text| text.parse().expect("a header")).collect();
        let environment = Environment::from([("SHOP", "s3cret-of-shop")]);
        Target::new(address, &headers, None, &environment).expect("an address")
    }

    #[track_caller]
    fn check(address: &str, headers: &[&str], expected: &[&str]) {
        let target = target(address, headers);
        let mut settings = vec![Setting::new("request.url", literal(target.url.as_str()))];
        settings.extend(target.settings());
        let shown: Vec<String> = settings.iter().map(|one| format!("{} = {}", one.path, one.value)).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_looks_like_a_secret_is_taken_from_a_variable() {
        check(
            "https://api.shop.com/x?page=2",
            &["Accept: text/csv", "Authorization: Bearer abc"],
            &[
                r#"request.url = "https://api.shop.com/x?page=2""#,
                r#"request.headers.Accept = "text/csv""#,
                r#"auth.bearer.token = {"env":"SHOP_TOKEN"}"#,
            ],
        );
        check(
            "https://ann:pa%20ss@shop.com/",
            &[],
            &[
                r#"request.url = "https://shop.com/""#,
                r#"auth.basic = {"username":"ann","password":{"env":"SHOP_PASSWORD"}}"#,
            ],
        );
        check(
            "https://shop.com/?a=1&api_key=k%2B1&b",
            &["X-Api-Key: abc"],
            &[
                r#"request.url = "https://shop.com/?a=1&b""#,
                r#"params = {"shop_api_key":{"env":"SHOP_API_KEY"}}"#,
                r#"auth.header = {"name":"X-Api-Key","value":{"env":"SHOP_API_KEY"}}"#,
                r#"request.query.api_key = "{{ params.shop_api_key }}""#,
            ],
        );
        check(
            "https://shop.com/?page_token=1",
            &["Authorization: Basic YW5uOnB3"],
            &[
                r#"request.url = "https://shop.com/?page_token=1""#,
                r#"auth.basic = {"username":"ann","password":{"env":"SHOP_PASSWORD"}}"#,
            ],
        );
        let target = target("https://shop.com/?token=abc", &[]);
        assert_eq!(target.environment(&Environment::default()).get("SHOP_TOKEN"), Some("abc"));
        assert!(!format!("{target:?}").contains("abc"), "{target:?}");
    }

    #[track_caller]
    fn check_wrong(address: &str, expected: &str) {
        match Target::new(address, &[], None, &Environment::default()) {
            Err(Failure::Usage(said)) => assert!(said.contains(expected), "{said}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_that_is_none_says_what_was_probably_meant() {
        check_wrong("htps://a.example/x", "did you mean https://?");
        check_wrong("htt://a.example/x", "did you mean http://?");
        check_wrong("a.example/x", "such as https://a.example/x");
        check_wrong("localhost:3000/orders", "such as http://localhost:3000/orders");
        check_wrong("ftp://a.example/x", "by http:// or https://");
        check_wrong("https://", "empty host");
    }

    #[test]
    fn braces_are_no_templates() {
        assert_eq!(literal("a{{b}}"), "{% raw %}a{{b}}{% endraw %}");
        assert_eq!(literal("{a}"), "{a}");
    }
}
