//! The address guard: names are resolved here, and connections go to no address but those that were judged.
//!
//! Whoever connects asks this resolver once for each connection and gets the judged addresses themselves, so a name that
//! leads elsewhere a moment later leads nowhere. Literal addresses are not resolved: they are judged before each request.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

use super::error::HttpError;
use super::trace;
use crate::model::egress::{Egress, Refusal};
use crate::model::subscription::Origin;

/// Finds the addresses of names.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// Returns all addresses of a name, without ports. Link-local ones may say by which interface they are reached.
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the operating system. Names are looked up in threads, which cannot be stopped: one at most for each name, so
/// that a name server which does not answer keeps no more of them.
#[derive(Debug, Clone, Default)]
pub(super) struct SystemLookup {
    under_way: Arc<Mutex<HashMap<String, Shared<oneshot::Receiver<Found>>>>>,
}

type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let found = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            match under_way.get(name) {
                Some(found) => found.clone(),
                None => {
                    let (sender, found) = oneshot::channel();
                    let (found, name) = (found.shared(), name.to_owned());
                    under_way.insert(name.clone(), found.clone());
                    let lookups = self.clone();
                    tokio::task::spawn_blocking(move || {
                        let found = system_addresses(&name);
                        lookups.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                        // Whoever asked may be gone.
                        let _ = sender.send(found);
                    });
                    found
                }
            }
        };
        let found = found.await.map_err(|_| io::Error::other("the look-up was broken off"))?;
        found.map(|addresses| addresses.to_vec()).map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }
}

fn system_addresses(name: &str) -> Found {
    Ok((name, 0).to_socket_addrs().map_err(Arc::new)?.collect())
}

/// Why a name leads to no address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct LookupError(pub String);

/// Resolves the names that connections are made to.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Arc<dyn Lookup>,
    /// What the addresses are judged by, if they are.
    guard: Option<(Arc<Egress>, Origin)>,
}

impl Resolver {
    /// Returns what resolves names and judges nothing: for the name of a proxy.
    pub fn unguarded(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, guard: None }
    }

    /// Returns what lets through only what requests with URLs of this origin may connect to.
    pub fn guarded(lookup: Arc<dyn Lookup>, egress: Arc<Egress>, origin: Origin) -> Self {
        Self { lookup, guard: Some((egress, origin)) }
    }

    /// Returns the addresses of a name, if all of them may be connected to at this port.
    pub async fn judged(&self, name: &str, port: Option<u16>) -> Result<Vec<SocketAddr>, ResolveError> {
        let addresses = self.lookup.addresses(name).await.map_err(|error| LookupError(error.to_string()))?;
        if addresses.is_empty() {
            return Err(LookupError("it has no address".to_owned()).into());
        }
        if let Some((egress, origin)) = &self.guard {
            let judged: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
            egress.judge_resolved(*origin, name, &judged, port)?;
        }
        Ok(addresses)
    }
}

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<ResolveError> for HttpError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Lookup(LookupError(problem)) => Self::Dns(problem),
            ResolveError::Refused(refusal) => Self::Egress(refusal),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let connection = trace::connection();
            if let Some(connection) = &connection {
                connection.resolving();
            }
            let port = connection.as_ref().map(|connection| connection.port);
            let addresses = resolver.judged(name.as_str(), port).await.map_err(|error| match error {
                ResolveError::Lookup(error) => Box::new(error) as Box<dyn std::error::Error + Send + Sync>,
                ResolveError::Refused(refusal) => Box::new(refusal),
            })?;
            if let Some(connection) = &connection {
                connection.resolved(&addresses);
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn those_who_ask_for_the_same_name_at_once_share_the_answer_and_nothing_is_left_of_it() {
        let lookup = SystemLookup::default();
        for name in ["127.0.0.1", "no such name"] {
            let asked = futures_util::future::join_all((0..50).map(|_| lookup.addresses(name))).await;
            for found in asked {
                let found = found.map_err(|error| error.kind());
                assert_eq!(found.is_ok(), name == "127.0.0.1", "{name}: {found:?}");
            }
            assert!(lookup.under_way.lock().expect("no panic").is_empty());
        }
    }

    #[tokio::test]
    async fn a_look_up_goes_on_when_who_asked_is_gone() {
        let lookup = SystemLookup::default();
        drop(lookup.addresses("127.0.0.1").now_or_never());
        assert_eq!(lookup.addresses("127.0.0.1").await.expect("an address"), [SocketAddr::from(([127, 0, 0, 1], 0))]);
    }
}
