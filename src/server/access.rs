//! Who may use the admin API.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ServerState;
use super::problem::Problem;

/// Lets requests through that carry the token. Without a token the server listens on loopback only; then the host
/// that was asked for must be loopback too, so that no web page can reach it under a name of its own.
pub async fn check(State(state): State<Arc<ServerState>>, request: Request, next: Next) -> Response {
    let allowed = match &state.token {
        Some(token) => bearer(request.headers()).is_some_and(|given| {
            aws_lc_rs::constant_time::verify_slices_are_equal(given, token.expose().as_bytes()).is_ok()
        }),
        None => names_loopback(request.headers()),
    };
    if allowed {
        return next.run(request).await;
    }
    let problem = if state.token.is_some() {
        Problem::new(StatusCode::UNAUTHORIZED, "send the token of `[server] token` as `Authorization: Bearer …`")
    } else {
        Problem::new(StatusCode::FORBIDDEN, "without `[server] token`, ask for a loopback host such as 127.0.0.1")
    };
    problem.into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        // More colons without brackets are an IPv6 address that has no port.
        Some((name, port))
            if (!name.contains(':') || name.ends_with(']')) && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_host(host: &str, loopback: bool) {
        let headers = HeaderMap::from_iter([(HOST, host.parse().expect("a header value"))]);
        assert_eq!(names_loopback(&headers), loopback, "{host}");
    }

    #[test]
    fn only_loopback_hosts_pass_without_a_token() {
        check_host("127.0.0.1:8787", true);
        check_host("localhost", true);
        check_host("[::1]:8787", true);
        check_host("::1", true);
        check_host("evil.example:8787", false);
        check_host("127.0.0.1.evil.example", false);
        check_host("192.168.1.5", false);
    }
}
