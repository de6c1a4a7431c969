//! How requests prove who they are from.

use std::fmt;

use url::Url;

use super::id::{ConnectorName, SubscriptionName};
use super::secret::Secret;

/// Who makes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    Connector(ConnectorName),
    Subscription(SubscriptionName),
}

impl Party {
    /// Returns the word for what it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connector(_) => "connector",
            Self::Subscription(_) => "subscription",
        }
    }
}

/// Writes its name.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connector(name) => name.fmt(f),
            Self::Subscription(name) => name.fmt(f),
        }
    }
}

/// How requests prove who they are from.
#[derive(Debug)]
pub enum Auth {
    Bearer {
        token: Secret,
    },
    Basic {
        username: String,
        password: Secret,
    },
    Header {
        name: String,
        value: Secret,
    },
    Query {
        name: String,
        value: Secret,
    },
    /// HTTP digest (RFC 7616).
    Digest {
        username: String,
        password: Secret,
    },
    /// OAuth 2.0 (RFC 6749).
    OAuth2(Box<OAuth2>),
    /// AWS Signature Version 4.
    SigV4(Box<SigV4>),
}

impl Auth {
    /// Returns the header that it is sent in; `None` if it is none.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Header { name, .. } => Some(name),
            Self::Query { .. } => None,
            Self::Bearer { .. } | Self::Basic { .. } | Self::Digest { .. } | Self::OAuth2(_) | Self::SigV4(_) => {
                Some("authorization")
            }
        }
    }
}

/// How an access token is had from a token endpoint.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    pub token_url: Url,
    pub grant: OAuth2Grant,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// How the client proves who it is to the token endpoint.
    pub client_auth: ClientAuth,
    /// Space-separated.
    pub scope: Option<String>,
    /// Further parameters of the token request, such as `audience`.
    pub extra: Vec<(String, String)>,
}

/// What an access token is given for.
#[derive(Debug, Clone)]
pub enum OAuth2Grant {
    ClientCredentials,
    /// The first refresh token; what the endpoint rotates it to is kept in the store.
    RefreshToken(Secret),
}

/// How a client proves who it is to the token endpoint (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the header `Authorization: Basic`.
    Basic,
    /// As `client_id` and `client_secret` in the form.
    Body,
}

/// What requests to AWS are signed with.
#[derive(Debug)]
pub struct SigV4 {
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
    pub region: String,
    pub service: String,
}
