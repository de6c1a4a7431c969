//! How commands ask the running service.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::Global;
use super::failure::Failure;
use crate::config::Server;
use crate::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use crate::http::{BodyLimit, HttpClient, HttpError, HttpRequest, HttpResponse, Limits, Method};
use crate::model::id::ConnectorName;
use crate::model::quantity::ByteSize;
use crate::model::secret::Secret;
use crate::server::wire::{List, SLOWEST_ANSWER};
use crate::telemetry::describe_error;

/// Which service a command asks.
#[derive(Debug, Default, clap::Args)]
pub struct ServiceOptions {
    /// The running service; by default the one that the configuration describes
    #[arg(long, value_name = "URL", env = "POLLHOOK_SERVER")]
    server: Option<Url>,
    /// The token of its admin API; by default the one in the configuration
    #[arg(long, value_name = "TOKEN", env = "POLLHOOK_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// The admin API of a running service.
pub struct ServiceClient {
    http: HttpClient,
    base: Url,
    token: Option<Secret>,
}

/// How many parts of a list are asked for before what was found is shown, however little.
const MOST_PARTS: usize = 100;

/// How long a service may take to say that it is there.
const SOON: Duration = Duration::from_secs(2);

const LARGEST_ANSWER: ByteSize = ByteSize::mebibytes(256);

impl ServiceOptions {
    /// Returns the admin API that the options or the configuration name.
    pub fn connect(self, global: &Global) -> Result<ServiceClient, Failure> {
        let is_token_given = self.token.is_some();
        self.connect_with(|| global.load_server(is_token_given))
    }

    /// Returns the admin API that the options name, or else the one that is configured.
    pub fn connect_as_configured(self, server: &Server) -> Result<ServiceClient, Failure> {
        self.connect_with(|| Ok(server.clone()))
    }

    fn connect_with(self, configured: impl FnOnce() -> Result<Server, Failure>) -> Result<ServiceClient, Failure> {
        let given_token = self.token.map(Secret::new);
        let (base, token) = match self.server {
            Some(server) => (server, given_token),
            None => {
                let server = configured()?;
                (address(&server), given_token.or(server.token))
            }
        };
        ServiceClient::new(base, token)
    }
}

/// Returns the address at which a configured service is reached.
fn address(server: &Server) -> Url {
    Url::parse(&format!("http://{}/", reachable(server.listen))).expect("a socket address makes an address")
}

/// A service that listens on all addresses is reached on loopback.
fn reachable(mut listen: std::net::SocketAddr) -> std::net::SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

impl ServiceClient {
    /// Returns the admin API of the service that a configuration describes.
    pub fn of(server: &Server) -> Result<Self, Failure> {
        Self::new(address(server), server.token.clone())
    }

    fn new(base: Url, token: Option<Secret>) -> Result<Self, Failure> {
        let http = HttpClient::new().map_err(|error| Failure::caused("cannot set up the HTTP client", error))?;
        Ok(Self { http, base, token })
    }

    /// Returns the path of a connector, or of something below it. The slash in the name of an element of `each` is
    /// written so that it is none of the path.
    pub fn path_of(connector: &ConnectorName, below: &str) -> String {
        format!("/v1/connectors/{}{below}", connector.as_str().replace('/', "%2F"))
    }

    /// Returns where the service is reached.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Tells whether anything answers there.
    pub async fn is_running(&self) -> bool {
        let Ok(url) = self.resource("/healthz") else { return false };
        let request = HttpRequest { method: Method::GET, url, headers: HeaderMap::new(), body: Vec::new().into() };
        let limits = Limits { deadline: SOON, body: BodyLimit::Keep(0) };
        self.http.send(request, limits).await.is_ok()
    }

    /// Gets a resource; `query` is added to its path.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<T, Failure> {
        let mut url = self.resource(path)?;
        let given: Vec<_> =
            query.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value))).collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given);
        }
        self.ask(Method::GET, url, HeaderMap::new(), Vec::new()).await
    }

    /// Gets so many entries of a list, from `before` on. The service looks at a bounded part of it at a time; parts are
    /// asked for until there are enough, or many were.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        before: Option<String>,
        limit: u16,
    ) -> Result<List<T>, Failure> {
        let limit = usize::from(limit);
        let mut list = List { data: Vec::new(), next: before };
        for _ in 0..MOST_PARTS {
            let place = [("before", list.next.take()), ("limit", Some((limit - list.data.len()).to_string()))];
            let part: List<T> = self.get(path, &[query, &place].concat()).await?;
            list.data.extend(part.data);
            list.next = part.next;
            if list.next.is_none() || list.data.len() >= limit {
                break;
            }
        }
        Ok(list)
    }

    /// Gets a resource that may not be there.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let response = self.exchange(Method::GET, self.resource(path)?, HeaderMap::new(), Vec::new()).await?;
        if response.status == 404 { Ok(None) } else { self.understand(&response).map(Some) }
    }

    /// Posts a request to a resource.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<T, Failure> {
        self.post_once(path, request, None).await
    }

    /// Posts a request to a resource, with a key by which the service recognises a repeat.
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(request).map_err(|error| Failure::caused("cannot write the request", error))?;
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let key = HeaderValue::from_str(key)
                .map_err(|_| Failure::Usage("the key has characters that a header cannot carry".to_owned()))?;
            headers.insert(HeaderName::from_static("idempotency-key"), key);
        }
        self.ask(Method::POST, self.resource(path)?, headers, body).await
    }

    /// Deletes a resource.
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, self.resource(path)?, HeaderMap::new(), Vec::new()).await
    }

    fn resource(&self, path: &str) -> Result<Url, Failure> {
        self.base
            .join(path)
            .map_err(|error| Failure::Usage(format!("{} is no address of a service: {error}", self.base)))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        self.understand(&self.exchange(method, url, headers, body).await?)
    }

    async fn exchange(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<HttpResponse, Failure> {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| Failure::Usage("the token has characters that a header cannot carry".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let request = HttpRequest { method, url, headers, body: body.into() };
        let limits = Limits { deadline: SLOWEST_ANSWER, body: BodyLimit::Refuse(LARGEST_ANSWER) };
        self.http.send(request, limits).await.map_err(|error| self.unreachable(&error))
    }

    fn understand<T: DeserializeOwned>(&self, response: &HttpResponse) -> Result<T, Failure> {
        if (200..300).contains(&response.status) {
            let body = if response.body.is_empty() { b"null".as_slice() } else { &response.body };
            return serde_json::from_slice(body)
                .map_err(|error| Failure::caused(format!("{} gave an answer that cannot be read", self.base), error));
        }
        let problem: Option<Value> = serde_json::from_slice(&response.body).ok();
        Err(Failure::Failed(match problem.as_ref().and_then(in_words) {
            Some(detail) => detail,
            None => format!("{} answered {}; is it pollhook that runs there?", self.base, response.status),
        }))
    }

    fn unreachable(&self, error: &HttpError) -> Failure {
        let cause = describe_error(error);
        Failure::Failed(format!("the service at {} does not answer ({cause}); start it with `pollhook run`", self.base))
    }
}

/// Returns what a problem of the admin API says: its detail, and each single mistake with its place.
fn in_words(problem: &Value) -> Option<String> {
    let mut lines = vec![problem.get("detail")?.as_str()?.to_owned()];
    let mistakes = problem.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for mistake in mistakes {
        let part = |name: &str| mistake.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let place = part("pointer").map(|pointer| format!("{pointer}: ")).unwrap_or_default();
        if mistakes.len() > 1 {
            lines.push(format!("  {place}{}", part("detail").unwrap_or_default()));
        }
        lines.extend(part("help").map(|help| format!("      {help}")));
    }
    Some(lines.join("\n"))
}
