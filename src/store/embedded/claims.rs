//! Taking what is due under leases, on disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::batches::{Joining, read_members};
use super::deliveries::read_record;
use super::history::read_event_alone;
use super::keys::{self, Item, Place};
use super::leases::{Hold, Lane, lock};
use super::order::{self, Items, LaneOrder, Looked};
use super::value::damaged;
use super::{Core, EmbeddedStore};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, LeaseToken, SubscriptionName};
use crate::model::lane::Order;
use crate::model::time::Timestamp;
use crate::store::kv::{self, KeyValue};
use crate::store::{Claim, Claimed, ClaimedDelivery, DeliveryLease, StoreError, is_turn_of_retries};

/// In how many batches a claim arranges a lane by an order, at most.
const ARRANGING_STEPS: usize = 8;

impl EmbeddedStore {
    pub(super) async fn claim(
        &self,
        subscription: &SubscriptionName,
        now: Timestamp,
        claim: Claim,
    ) -> Result<Claimed, StoreError> {
        let kv = self.kv()?;
        self.core.committer.check()?;
        // Before an order is given up: what it had under way is among the oldest then.
        if claim.joins {
            self.note_joining(&*kv, subscription, true).await?;
        }
        let mut is_arranged = order::is_arranged(&*kv, subscription, claim.order)?;
        for _ in 0..ARRANGING_STEPS {
            if is_arranged {
                break;
            }
            let of = subscription.clone();
            is_arranged =
                self.commit(move |transaction, core| order::arrange(transaction, core, &of, claim.order)).await?;
        }
        if !is_arranged && claim.order != Order::None {
            return Ok(Claimed { deliveries: Vec::new(), more: true });
        }
        let of = subscription.clone();
        let (mut claimed, blocked, applying) = self
            .read(move |kv, core| {
                let joining = Joining::read(|key| kv.get(key), &of)?;
                let taken = take_due(kv, core, &of, now, claim)?;
                // What the scan saw may be of a batch that is not durable yet.
                let applying = core.committer.applying();
                let recorded = is_any_recorded(kv, &of, &taken.leases);
                let read = |taken: &TakenLease| {
                    let lease = taken.lease.clone();
                    read_claimed(kv, core, lease, taken.is_retry || recorded, joining)
                };
                Ok((read_taken(core, &of, read, taken.leases, claim, taken.more), taken.blocked, applying))
            })
            .await?;
        claimed.more |= !is_arranged;
        if !blocked.is_empty() {
            let of = subscription.clone();
            self.commit(move |transaction, core| order::put_behind(transaction, core, &of, blocked)).await?;
        }
        if !claim.joins && !claimed.deliveries.is_empty() {
            self.note_joining(&*kv, subscription, false).await?;
        }
        self.core.committer.durable(applying).await?;
        Ok(claimed)
    }

    /// Has it on disk that a lane joins, or does not, before anything is sent that way.
    async fn note_joining(
        &self,
        kv: &dyn KeyValue,
        subscription: &SubscriptionName,
        joins: bool,
    ) -> Result<(), StoreError> {
        if Joining::is_noted(kv, subscription, joins)? {
            return Ok(());
        }
        let of = subscription.clone();
        self.commit(move |transaction, _| Joining::note(transaction, &of, joins)).await
    }

    pub(super) async fn earliest_due(&self, subscription: &SubscriptionName) -> Result<Option<Timestamp>, StoreError> {
        let subscription = subscription.clone();
        self.read(move |kv, core| {
            let lane = core.leases.lane(&subscription);
            let kept = LaneOrder::read(|key| kv.get(key), &subscription)?;
            let items = match kept {
                Some(current) => order::read_items(kv, &lane, current, &subscription, 1)?,
                None => Items::new(),
            };
            let mut lane = lock(&lane);
            let mut dues: Vec<Timestamp> = lane.first_end().into_iter().collect();
            match kept {
                Some(current) if current.is_kept() => {
                    order::note_items(kv, &mut lane, current);
                    let first = order::look_at_first_tries(kv, &lane, current, &subscription, &items, 1)?;
                    let again = order::look_at_retries(kv, &lane, current, &subscription, None, 1)?;
                    dues.extend(first.free.iter().chain(&again.free).map(|(place, _)| place.due()));
                    // Only a claim can find out what lies behind so much that is blocked.
                    dues.extend(first.passed.filter(|_| first.is_cut_off && first.free.is_empty()).map(Place::due));
                }
                // A claim has to arrange the lane.
                Some(_) => dues.push(Timestamp::EPOCH),
                None => {
                    for range in [
                        keys::queued_first(&subscription, lane.first_from),
                        keys::queued_again(&subscription, lane.again_from),
                    ] {
                        kv.scan(&range.from, &range.to, kv::Order::Ascending, &mut |key, _| match keys::place_of(key)
                            .filter(|place| !lane.has_hold(place.event()))
                        {
                            Some(place) => {
                                dues.push(place.due());
                                ControlFlow::Break(())
                            }
                            None => ControlFlow::Continue(()),
                        })?;
                    }
                }
            }
            Ok(dues.into_iter().min())
        })
        .await
    }
}

/// What was taken under leases.
struct Taken {
    /// In the order in which they were chosen.
    leases: Vec<TakenLease>,
    /// First tries that were found to wait for other deliveries.
    blocked: Vec<(EventId, Item)>,
    more: bool,
}

struct TakenLease {
    lease: DeliveryLease,
    is_retry: bool,
    /// What somebody had whose lease ended.
    before: Option<Hold>,
}

/// Takes what is due under leases. No two callers see the same delivery.
fn take_due(
    kv: &dyn KeyValue,
    core: &Core,
    subscription: &SubscriptionName,
    now: Timestamp,
    claim: Claim,
) -> Result<Taken, StoreError> {
    let lane = core.leases.lane(subscription);
    let most = if claim.order == Order::All { claim.most.min(1) } else { claim.most };
    let kept = LaneOrder::read(|key| kv.get(key), subscription)?.filter(|_| claim.order != Order::None);
    let items = match kept {
        Some(current) => order::read_items(kv, &lane, current, subscription, most)?,
        None => Items::new(),
    };
    let mut lane = lock(&lane);
    let lane = &mut *lane;
    let (first, again, blocked, is_cut_off) = match kept {
        Some(current) => {
            lane.end_lapsed(now);
            order::note_items(kv, lane, current);
            let again = order::look_at_retries(kv, lane, current, subscription, Some(now), most)?;
            let mut first = order::look_at_first_tries(kv, lane, current, subscription, &items, most)?;
            let blocked = std::mem::take(&mut first.blocked);
            let is_cut_off = first.is_cut_off;
            (first, again, blocked, is_cut_off)
        }
        None => {
            lane.lapse(now);
            let first = free_places(kv, lane, subscription, now, most, Queue::First)?;
            let again = free_places(kv, lane, subscription, now, most, Queue::Again)?;
            (first, again, Vec::new(), false)
        }
    };
    let passed = [first.passed, again.passed];
    let (mut first, mut again) = (first.free.into_iter().peekable(), again.free.into_iter().peekable());
    let mut leases = Vec::new();
    let mut last = [None, None];
    while leases.len() < most {
        let is_retry = first.peek().is_none() || (again.peek().is_some() && is_turn_of_retries(lane.claimed));
        let Some((place, item)) = (if is_retry { again.next() } else { first.next() }) else { break };
        let token = LeaseToken::new();
        let until = now + claim.lease_for;
        let before = lane.take(place, kept.map(|_| item), token, until);
        lane.claimed += 1;
        last[usize::from(is_retry)] = Some(place);
        let id = DeliveryId { event: place.event(), subscription: subscription.clone() };
        leases.push(TakenLease { lease: DeliveryLease { id, token, until }, is_retry, before });
    }
    // What lies before the last one taken is held by now, unless something was passed over; what was not taken is read
    // again.
    for (last, passed) in last.into_iter().zip(passed) {
        match passed.or(last) {
            Some(Place::First(event)) => lane.first_from = Some(event),
            Some(Place::Again(due, event)) => lane.again_from = Some((due, event)),
            None => {}
        }
    }
    let more = claim.order != Order::All && (leases.len() == most || is_cut_off);
    Ok(Taken { leases, blocked, more })
}

/// Reads what was taken, up to the claim's bound of bytes, and gives the rest back.
fn read_taken(
    core: &Core,
    subscription: &SubscriptionName,
    read: impl Fn(&TakenLease) -> Result<ClaimedDelivery, StoreError>,
    leases: Vec<TakenLease>,
    claim: Claim,
    mut more: bool,
) -> Claimed {
    let (mut first_tries, mut retries) = (Vec::new(), Vec::new());
    let mut bytes: usize = 0;
    let mut leases = leases.into_iter();
    while let Some(taken) = leases.next() {
        let delivery = match read(&taken) {
            Ok(delivery) => delivery,
            Err(error) => {
                // It stays leased, so that it is not in the way of the others.
                core.telemetry.store.delivery_damaged(&taken.lease.id, &error);
                continue;
            }
        };
        bytes += delivery.event.size() + delivery.joined.iter().map(|event| event.size()).sum::<usize>();
        let is_empty = first_tries.is_empty() && retries.is_empty();
        if bytes > claim.most_bytes && !is_empty {
            let lane = core.leases.lane(subscription);
            let mut lane = lock(&lane);
            for TakenLease { lease, before, .. } in std::iter::once(taken).chain(leases) {
                lane.leave(lease.id.event, lease.token, before);
                lane.claimed -= 1;
            }
            more = claim.order != Order::All;
            break;
        }
        if taken.is_retry { retries.push(delivery) } else { first_tries.push(delivery) }
    }
    first_tries.append(&mut retries);
    Claimed { deliveries: first_tries, more }
}

/// The two queues of a lane.
#[derive(Clone, Copy)]
enum Queue {
    First,
    Again,
}

/// Returns up to `most` places, in order, that are due and that nobody holds, of a lane without an order.
fn free_places(
    kv: &dyn KeyValue,
    lane: &Lane,
    subscription: &SubscriptionName,
    now: Timestamp,
    most: usize,
    queue: Queue,
) -> Result<Looked, StoreError> {
    let range = match queue {
        Queue::First => keys::queued_first(subscription, lane.first_from),
        Queue::Again => keys::queued_again(subscription, lane.again_from),
    };
    let mut looked = Looked::default();
    let mut outcome = Ok(());
    kv.scan(&range.from, &range.to, kv::Order::Ascending, &mut |key, _| {
        match keys::place_of(key) {
            Some(Place::Again(due, _)) if due > now => return ControlFlow::Break(()),
            Some(place) if !lane.is_held(place.event(), now) && looked.free.len() < most => {
                looked.free.push((place, Item::default()));
            }
            Some(_) => {}
            None => outcome = Err(damaged(key, "it is no place in a queue")),
        }
        if outcome.is_err() || looked.free.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    outcome.map(|()| looked)
}

/// Tells whether any of these first tries may have a record. Hardly ever one has, so a look at all of them together
/// spares one at each.
fn is_any_recorded(kv: &dyn KeyValue, subscription: &SubscriptionName, leases: &[TakenLease]) -> bool {
    let first_tries = || leases.iter().filter(|taken| !taken.is_retry).map(|taken| taken.lease.id.event);
    let (Some(first), Some(last)) = (first_tries().min(), first_tries().max()) else { return false };
    let range = keys::deliveries_from_to(subscription, first, last);
    let mut is_any = false;
    let looked = kv.scan(&range.from, &range.to, kv::Order::Ascending, &mut |_, _| {
        is_any = true;
        ControlFlow::Break(())
    });
    // What cannot be read is found out of each.
    is_any || looked.is_err()
}

fn read_claimed(
    kv: &dyn KeyValue,
    core: &Core,
    lease: DeliveryLease,
    may_have_record: bool,
    joining: Option<Joining>,
) -> Result<ClaimedDelivery, StoreError> {
    let event = read_queued(kv, core, lease.id.event)?;
    let is_old = Joining::keeps_alone(joining, event.id);
    let record = if may_have_record { read_record(|key| kv.get(key), &lease.id)? } else { None };
    let Some(record) = record else {
        let since = event.time;
        return Ok(ClaimedDelivery {
            lease,
            event,
            joined: Vec::new(),
            closed: is_old,
            since,
            attempts: 0,
            failures: 0,
        });
    };
    lock(&core.leases.lane(&lease.id.subscription)).note_record(lease.id.event);
    let members = read_members(|key| kv.get(key), &lease.id, &record)?;
    let joined = members.into_iter().map(|event| read_queued(kv, core, event)).collect::<Result<_, _>>()?;
    let (since, attempts, failures) = (record.since, record.attempted, record.failures);
    let closed = is_old || record.is_closed();
    Ok(ClaimedDelivery { lease, event, joined, closed, since, attempts, failures })
}

fn read_queued(kv: &dyn KeyValue, core: &Core, event: EventId) -> Result<Arc<Event>, StoreError> {
    core.events.get_or_read(event, || {
        let routed = read_event_alone(kv, event)?;
        routed.ok_or_else(|| damaged(&keys::event(event), "it is queued but it is not there"))
    })
}
