//! A lane for each subscription that there is at present.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::supervisor::{OnCancel, OnFailure, Running, Starter, TaskKind};
use crate::deliver::{DeliverContext, Lane, Present, Registry};
use crate::model::id::SubscriptionName;
use crate::model::subscription::Subscription;

/// The lanes that run.
struct Lanes {
    context: DeliverContext,
    starter: Starter,
    running: HashMap<SubscriptionName, Entry>,
    /// Lanes that were told to stop and may still finish what is under way.
    ending: HashMap<SubscriptionName, CancellationToken>,
}

struct Entry {
    subscription: Arc<Subscription>,
    task: Running,
}

/// Starts, replaces and stops lanes as their subscriptions come, change and go, until it is told to stop. Those of other
/// subscriptions notice nothing. When it ends, so do the lanes.
pub async fn keep(registry: Arc<Registry>, context: DeliverContext, starter: Starter, stop: CancellationToken) {
    let mut changes = registry.changes();
    let mut lanes = Lanes { context, starter, running: HashMap::new(), ending: HashMap::new() };
    loop {
        let present = Arc::clone(&changes.borrow_and_update());
        lanes.follow(&present);
        match stop.run_until_cancelled(changes.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

impl Lanes {
    fn follow(&mut self, present: &Present) {
        self.ending.retain(|_, ended| !ended.is_cancelled());
        let stays = |name: &SubscriptionName, entry: &mut Entry| {
            present.get(name).is_some_and(|subscription| Arc::ptr_eq(subscription, &entry.subscription))
        };
        for (name, entry) in self.running.extract_if(|name, entry| !stays(name, entry)) {
            self.ending.insert(name, entry.task.ended());
        }
        for subscription in present.all() {
            if !self.running.contains_key(&subscription.name) {
                let entry = self.start(Arc::clone(subscription));
                self.running.insert(subscription.name.clone(), entry);
            }
        }
    }

    /// Starts a lane. It sends nothing before the one that it replaces has ended: what that one holds, and what it
    /// still has to say of its receiver, belongs to the same queue.
    fn start(&mut self, subscription: Arc<Subscription>) -> Entry {
        let kind = TaskKind {
            name: format!("deliver {}", subscription.name),
            on_failure: OnFailure::Restart,
            on_cancel: OnCancel::Finish,
        };
        let (context, before) = (self.context.clone(), self.ending.get(&subscription.name).cloned());
        let laned = Arc::clone(&subscription);
        let task = self.starter.start(kind, move |stop| {
            let (before, subscription, context) = (before.clone(), Arc::clone(&laned), context.clone());
            async move {
                if let Some(before) = before {
                    before.cancelled().await;
                }
                Lane::new(subscription, context).run(stop).await;
                Ok(())
            }
        });
        Entry { subscription, task }
    }
}
