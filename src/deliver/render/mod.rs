//! What a receiver reads: a file a format.

mod standard;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::model::content::DeliveryFormat;
use crate::model::event::Event;
use crate::model::id::EventId;

/// An event as a receiver reads it. Clones share the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub content_type: &'static str,
    pub body: Bytes,
}

/// Renders each event once a format, as long as its deliveries follow each other closely.
#[derive(Debug, Default)]
pub struct Renderer {
    recent: Mutex<Recent>,
}

/// What was rendered lately, the oldest first.
#[derive(Debug, Default)]
struct Recent {
    rendered: HashMap<(EventId, DeliveryFormat), Rendered>,
    order: VecDeque<(EventId, DeliveryFormat)>,
    bytes: usize,
}

/// The most that is remembered, in bytes of bodies and in bodies.
const REMEMBERED_BYTES: usize = 4 * 1024 * 1024;
const REMEMBERED_BODIES: usize = 1024;

impl Renderer {
    /// Returns the event in this format, the same bytes each time.
    pub fn render(&self, event: &Event, format: DeliveryFormat) -> Rendered {
        let key = (event.id, format);
        if let Some(rendered) = self.recent().rendered.get(&key) {
            return rendered.clone();
        }
        let rendered = match format {
            // Configurations cannot name the others yet.
            _ => standard::render(event),
        };
        self.recent().remember(key, rendered.clone());
        rendered
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        // What is remembered is whole at every step, so a panic elsewhere does not spoil it.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn remember(&mut self, key: (EventId, DeliveryFormat), rendered: Rendered) {
        let size = rendered.body.len();
        if size > REMEMBERED_BYTES || self.rendered.contains_key(&key) {
            return;
        }
        while self.bytes + size > REMEMBERED_BYTES || self.order.len() == REMEMBERED_BODIES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(forgotten) = self.rendered.remove(&oldest) {
                self.bytes -= forgotten.body.len();
            }
        }
        self.bytes += size;
        self.order.push_back(key);
        self.rendered.insert(key, rendered);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::deliver::fixture;

    #[test]
    fn lanes_that_send_the_same_event_share_its_body() {
        let (renderer, event) = (Renderer::default(), fixture::event("orders", "created", &json!({"id": 1})));
        let first = renderer.render(&event, DeliveryFormat::Standard);
        let second = renderer.render(&event, DeliveryFormat::Standard);
        assert_eq!(first.body.as_ptr(), second.body.as_ptr());
    }

    #[test]
    fn what_is_remembered_is_bounded_in_bytes_and_number() {
        let renderer = Renderer::default();
        for size in [10, 3 * 1024 * 1024, 10, 3 * 1024 * 1024, 5 * 1024 * 1024] {
            renderer.render(&fixture::event("orders", "created", &json!("x".repeat(size))), DeliveryFormat::Standard);
            assert!(renderer.recent().bytes <= REMEMBERED_BYTES);
        }
        for _ in 0..2 * REMEMBERED_BODIES {
            renderer.render(&fixture::event("orders", "created", &json!(1)), DeliveryFormat::Standard);
        }
        let recent = renderer.recent();
        assert_eq!((recent.rendered.len(), recent.order.len()), (REMEMBERED_BODIES, REMEMBERED_BODIES));
        assert_eq!(recent.bytes, recent.rendered.values().map(|rendered| rendered.body.len()).sum::<usize>());
    }
}
