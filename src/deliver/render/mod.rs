//! What a receiver reads: a file a format.

mod body;
mod cloudevents;
mod cloudevents_binary;
mod form;
mod raw;
mod recipe;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::http::header::HeaderMap;
use crate::model::event::Event;
use crate::model::id::EventId;

use recipe::RecipeId;
pub use recipe::{Recipe, RenderError};

/// Events as a receiver reads them. Clones share the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub content_type: &'static str,
    /// What the format says in headers, beside the type of the body.
    pub headers: Arc<HeaderMap>,
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
    rendered: HashMap<(EventId, RecipeId), Rendered>,
    order: VecDeque<(EventId, RecipeId)>,
    bytes: usize,
}

/// The most that is remembered, in bytes of bodies and in bodies.
const REMEMBERED_BYTES: usize = 4 * 1024 * 1024;
const REMEMBERED_BODIES: usize = 1024;

impl Renderer {
    /// Returns what a receiver reads of these events, which are at least one: the same bytes each time.
    pub fn render(&self, recipe: &Recipe, events: &[&Event]) -> Result<Rendered, RenderError> {
        // No two lanes have the same batches.
        let [event] = events else { return recipe.render(events) };
        let key = (event.id, recipe.id());
        if let Some(rendered) = self.recent().rendered.get(&key) {
            return Ok(rendered.clone());
        }
        let rendered = recipe.render(events)?;
        self.recent().remember(key, rendered.clone());
        Ok(rendered)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        // What is remembered is whole at every step, so a panic elsewhere does not spoil it.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn remember(&mut self, key: (EventId, RecipeId), rendered: Rendered) {
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
