//! How often, and how many at once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::quantity::{format_duration, parse_duration};

/// So many in any span of this length. Written `10/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// At least 1, at most [`Rate::MOST`].
    pub count: u32,
    /// Not zero.
    pub per: Duration,
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("not a rate: write how many in how long, such as \"10/s\", \"5000/h\" or \"900/15m\"")]
    Form,
    #[error("a rate has a count from 1 to {most}", most = Rate::MOST)]
    Count,
    #[error("a rate's span of time is from 1s to 31d")]
    Span,
}

impl Rate {
    /// The greatest count.
    pub const MOST: u32 = 100_000;

    const SHORTEST_SPAN: Duration = Duration::from_secs(1);

    const LONGEST_SPAN: Duration = Duration::from_secs(31 * 24 * 60 * 60);
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, span) = text.split_once('/').ok_or(RateError::Form)?;
        let (count, span) = (count.trim(), span.trim());
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RateError::Form);
        }
        let count = count.parse().ok().filter(|count| (1..=Self::MOST).contains(count)).ok_or(RateError::Count)?;
        // `10/s` is short for `10/1s`.
        let written = if span.starts_with(|c: char| c.is_ascii_digit()) { span.to_owned() } else { format!("1{span}") };
        let per = parse_duration(&written).map_err(|_| RateError::Form)?;
        if !(Self::SHORTEST_SPAN..=Self::LONGEST_SPAN).contains(&per) {
            return Err(RateError::Span);
        }
        Ok(Self { count, per })
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        rate.to_string()
    }
}

/// Writes `10/s` or `900/15m`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = format_duration(self.per);
        let unit = span.strip_prefix('1').filter(|unit| unit.chars().all(char::is_alphabetic)).unwrap_or(&span);
        write!(f, "{}/{unit}", self.count)
    }
}

/// What all connectors share that poll a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostLimits {
    pub rate: Option<Rate>,
    /// The most requests at once; at least 1.
    pub concurrency: Option<usize>,
}

/// A host as addresses name it, with its port unless that is 80 or 443: `api.github.com`, `localhost:8080`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Box<str>);

/// Why a text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostNameError {
    #[error("this is an address, where only its host belongs")]
    Address,
    #[error("this is not a host")]
    Host,
}

impl HostName {
    /// Returns the host of a web address.
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        // One server usually answers on both.
        match url.port().filter(|port| !matches!(port, 80 | 443)) {
            Some(port) => Self(format!("{host}:{port}").into()),
            None => Self(host.into()),
        }
    }

    /// Returns the host as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        if text.contains("://") || text.contains(['/', '?', '#', '@', '\\']) {
            return Err(HostNameError::Address);
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '*') {
            return Err(HostNameError::Host);
        }
        let url = Url::parse(&format!("http://{text}/")).map_err(|_| HostNameError::Host)?;
        Ok(Self::of(&url))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written_the_same_way() {
        let check = |text: &str, expected: Result<&str, RateError>| {
            let read = text.parse::<Rate>().map(|rate| rate.to_string());
            assert_eq!(read.as_deref(), expected.as_ref().map(|text| *text), "{text}");
        };
        check("10/s", Ok("10/s"));
        check("5000 / h", Ok("5000/h"));
        check("900/15m", Ok("900/15m"));
        check("1/1d", Ok("1/d"));
        check("5/1h30m", Ok("5/1h30m"));
        for text in ["", "10", "/s", "10/", "10/y", "-1/s", "1.5/s", "x/s", "10/s/s"] {
            check(text, Err(RateError::Form));
        }
        check("0/s", Err(RateError::Count));
        check("100001/s", Err(RateError::Count));
        check("99999999999999/s", Err(RateError::Count));
        check("10/ms", Err(RateError::Span));
        check("10/0s", Err(RateError::Span));
        check("10/5w", Err(RateError::Span));
    }

    #[test]
    fn a_host_is_the_same_however_it_is_written() {
        let check = |text: &str, expected: Result<&str, HostNameError>| {
            let read = text.parse::<HostName>();
            assert_eq!(read.as_ref().map(HostName::as_str), expected.as_ref().map(|text| *text), "{text}");
        };
        check("api.github.com", Ok("api.github.com"));
        check("API.GitHub.com:443", Ok("api.github.com"));
        check("localhost:8080", Ok("localhost:8080"));
        check("[::1]:80", Ok("[::1]"));
        check("bücher.example", Ok("xn--bcher-kva.example"));
        for text in ["https://api.github.com", "api.github.com/", "me@host", "host?x", "host#x"] {
            check(text, Err(HostNameError::Address));
        }
        for text in ["", "a b", "*.example.com", "host:port", "host:99999", "[::1"] {
            check(text, Err(HostNameError::Host));
        }
        let of = |url: &str| HostName::of(&url.parse().expect("an address"));
        assert_eq!(of("https://API.github.com/x?y"), of("http://api.github.com:443/"));
        assert_eq!(of("http://localhost:8080/").as_str(), "localhost:8080");
    }
}
