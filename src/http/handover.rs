//! Whether the connection that a request was given to takes it.
//!
//! hyper passes a request through a channel to the task that drives its connection. If that task ends at this very moment,
//! because the other side closed the connection, the request can come into the channel after it was emptied for the last
//! time (hyperium/hyper#4122). Then nobody takes it, and nobody says so: it would wait until its deadline, unsent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// How a request is handed over to a connection.
#[derive(Debug, Default)]
pub(super) struct Handover {
    is_taken: Arc<AtomicBool>,
}

impl Handover {
    /// Returns a body with which the request that it belongs to can be seen being taken.
    pub fn body(&self, bytes: Bytes) -> reqwest::Body {
        reqwest::Body::wrap(Watched { bytes, is_taken: Arc::clone(&self.is_taken) })
    }

    /// Tells whether the request was taken.
    pub fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }
}

/// A body that notes that somebody wants to know of it what only matters once its request is being sent.
struct Watched {
    bytes: Bytes,
    is_taken: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.is_taken.store(true, Ordering::Relaxed);
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_taken.store(true, Ordering::Relaxed);
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }
}
