//! Whether the connection that a request was given to takes it.
//!
//! hyper passes a request through a channel to the task that drives its connection. If that task ends at this very moment,
//! because the other side closed the connection, the request can come into the channel after it was emptied for the last
//! time (hyperium/hyper#4122). Then nobody takes it, and nobody says so: it would wait until its deadline, unsent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use thiserror::Error;

/// How a request is handed over to a connection: it is taken, or given up, and never both.
#[derive(Debug, Clone, Default)]
pub(super) struct Handover {
    stage: Arc<AtomicU8>,
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// A connection took a request after it had been given up, and gets none of its body.
#[derive(Debug, Error)]
#[error("the request was given up before a connection took it")]
struct GivenUp;

impl Handover {
    /// Returns a body with which the request that it belongs to can be seen being taken.
    pub fn body(&self, bytes: Bytes) -> reqwest::Body {
        reqwest::Body::wrap(Watched { bytes, handover: self.clone() })
    }

    /// Tells whether the request was taken.
    pub fn is_taken(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == TAKEN
    }

    /// Gives the request up unless it was taken; tells whether it was not.
    pub fn give_up(&self) -> bool {
        self.leave_for(GIVEN_UP)
    }

    /// Takes the request unless it was given up; tells whether it was not.
    fn take(&self) -> bool {
        self.leave_for(TAKEN)
    }

    fn leave_for(&self, stage: u8) -> bool {
        let changed = self.stage.compare_exchange(WAITING, stage, Ordering::Relaxed, Ordering::Relaxed);
        changed.map_or_else(|current| current == stage, |_| true)
    }
}

/// A body that notes that somebody wants to know of it what only matters once its request is being sent.
struct Watched {
    bytes: Bytes,
    handover: Handover,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if !self.handover.take() {
            return Poll::Ready(Some(Err(GivenUp)));
        }
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.handover.take() && self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(handover: &Handover) -> Watched {
        Watched { bytes: Bytes::from_static(b"body"), handover: handover.clone() }
    }

    fn frame(body: &mut Watched) -> Option<Result<Bytes, GivenUp>> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(frame) => frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())),
            Poll::Pending => panic!("a body is there at once"),
        }
    }

    #[test]
    fn what_was_taken_is_not_given_up() {
        let handover = Handover::default();
        let mut body = watched(&handover);
        assert!(!handover.is_taken() && !body.is_end_stream() && handover.is_taken());
        assert!(!handover.give_up());
        assert!(matches!(frame(&mut body), Some(Ok(bytes)) if bytes == "body"));
        assert!(frame(&mut body).is_none() && body.is_end_stream());
    }

    #[test]
    fn nothing_of_what_was_given_up_is_sent() {
        let handover = Handover::default();
        let mut body = watched(&handover);
        assert!(handover.give_up() && handover.give_up());
        assert!(!body.is_end_stream() && !handover.is_taken());
        assert!(matches!(frame(&mut body), Some(Err(GivenUp))));
    }
}
