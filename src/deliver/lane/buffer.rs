//! What a lane has claimed and not begun to send.

use std::collections::VecDeque;

use crate::model::content::{BatchPolicy, Content};
use crate::model::event::Event;
use crate::model::time::Timestamp;
use crate::store::ClaimedDelivery;

/// Claimed deliveries in the order in which they go out: what goes by itself first, then first tries that are gathered
/// for a batch.
#[derive(Debug)]
pub(super) struct Buffer {
    alone: VecDeque<ClaimedDelivery>,
    gathered: VecDeque<Gathered>,
    /// What is gathered would have so many bytes in a body, or somewhat less.
    gathered_bytes: usize,
    /// How many bytes of memory all takes, about.
    bytes: usize,
    /// `None` if each delivery goes by itself.
    gathering: Option<Gathering>,
}

/// A delivery that may become a part of a batch.
#[derive(Debug)]
struct Gathered {
    claimed: ClaimedDelivery,
    /// The most bytes that it takes in a body.
    body: usize,
}

/// When a batch is whole.
#[derive(Debug)]
struct Gathering {
    policy: BatchPolicy,
    /// At most `policy.max`; less where the receiver did not take as many.
    most: usize,
    most_bytes: usize,
}

/// Whether something of a buffer is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    Nothing,
    Now,
    /// When a batch has waited long enough.
    At(Timestamp),
}

/// What goes out in one attempt: a delivery, or several that become one.
pub(super) type Shipment = Vec<ClaimedDelivery>;

/// What a delivery takes in memory beside its events' own bytes, about.
const OVERHEAD: usize = 512;

impl Buffer {
    /// Returns an empty buffer. A batch takes no more than `most_bytes`, whatever else is said.
    pub fn new(content: &Content, most_bytes: usize) -> Self {
        let gathering = content.batch.map(|policy| {
            let most_bytes = content.max_body.as_usize().min(most_bytes);
            Gathering { policy, most: policy.max.clamp(1, BatchPolicy::MOST), most_bytes }
        });
        Self { alone: VecDeque::new(), gathered: VecDeque::new(), gathered_bytes: 0, bytes: 0, gathering }
    }

    pub fn len(&self) -> usize {
        self.alone.len() + self.gathered.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns about how many bytes the buffer takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the most deliveries that go out in one attempt.
    pub fn most_in_one(&self) -> usize {
        self.gathering.as_ref().map_or(1, |gathering| gathering.most)
    }

    /// Adds what was claimed, behind what is there. `body_size` says how many bytes an event takes in a body at most, or
    /// that it must not be joined with others.
    pub fn extend(&mut self, claimed: Vec<ClaimedDelivery>, body_size: impl Fn(&Event) -> Option<usize>) {
        for claimed in claimed {
            self.bytes += memory(&claimed);
            let most_bytes = self.gathering.as_ref().filter(|_| claimed.is_open()).map(|batch| batch.most_bytes);
            // What is too large by itself must not make a batch too large.
            let fits = |most: usize| body_size(&claimed.event).filter(|body| *body <= most);
            match most_bytes.and_then(fits) {
                Some(body) => {
                    self.gathered_bytes += body;
                    self.gathered.push_back(Gathered { claimed, body });
                }
                None => self.alone.push_back(claimed),
            }
        }
    }

    /// Tells whether something is to be sent. A batch that has waited long enough waits on while more of what is due is
    /// being claimed.
    pub fn ready(&self, now: Timestamp, more_is_coming: bool) -> Ready {
        if !self.alone.is_empty() {
            return Ready::Now;
        }
        let (Some(first), Some(gathering)) = (self.gathered.front(), &self.gathering) else { return Ready::Nothing };
        let closes_at = first.claimed.since + gathering.policy.wait;
        if self.gathered.len() >= gathering.most || self.gathered_bytes > gathering.most_bytes {
            Ready::Now
        } else if closes_at > now {
            Ready::At(closes_at)
        } else if more_is_coming {
            Ready::Nothing
        } else {
            Ready::Now
        }
    }

    /// Takes out what goes out next; nothing if the buffer is empty.
    pub fn take(&mut self) -> Shipment {
        if !self.alone.is_empty() {
            return self.take_one();
        }
        let (most, most_bytes) = self.gathering.as_ref().map_or((1, 0), |batch| (batch.most, batch.most_bytes));
        let (mut shipment, mut bytes) = (Shipment::new(), 0);
        while let Some(next) = self.gathered.front() {
            bytes += next.body;
            if shipment.len() == most || (!shipment.is_empty() && bytes > most_bytes) {
                break;
            }
            shipment.extend(self.take_one());
        }
        shipment
    }

    /// Takes out a single delivery, though others could go with it; nothing if the buffer is empty.
    pub fn take_one(&mut self) -> Shipment {
        let next = self.alone.pop_front().or_else(|| {
            let Gathered { claimed, body } = self.gathered.pop_front()?;
            self.gathered_bytes -= body;
            Some(claimed)
        });
        self.bytes -= next.as_ref().map_or(0, memory);
        next.into_iter().collect()
    }

    /// Takes out all.
    pub fn take_all(&mut self) -> Shipment {
        (self.bytes, self.gathered_bytes) = (0, 0);
        let gathered = self.gathered.drain(..).map(|gathered| gathered.claimed);
        self.alone.drain(..).chain(gathered).collect()
    }

    /// Makes batches smaller from now on, because one of so many events was too large for its receiver.
    pub fn shrink(&mut self, refused: usize) {
        if let Some(gathering) = &mut self.gathering {
            gathering.most = gathering.most.min(refused / 2).max(1);
        }
    }
}

/// Returns about how many bytes a delivery takes in memory.
fn memory(claimed: &ClaimedDelivery) -> usize {
    std::iter::once(&claimed.event).chain(&claimed.joined).map(|event| event.size() + OVERHEAD).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::deliver::fixture;
    use crate::model::id::{DeliveryId, LeaseToken};
    use crate::model::quantity::ByteSize;
    use crate::store::DeliveryLease;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Returns a delivery that was queued at this time and attempted so often.
    fn claimed(since: i64, attempts: u32) -> ClaimedDelivery {
        let event = fixture::event("orders", "created", &json!("x".repeat(1000)));
        let id = DeliveryId { event: event.id, subscription: "erp".parse().expect("a name") };
        let lease = DeliveryLease { id, token: LeaseToken::new(), until: Timestamp::LAST };
        let event = Arc::new(event);
        ClaimedDelivery {
            lease,
            event,
            joined: Vec::new(),
            closed: false,
            since: at(since),
            attempts,
            failures: attempts,
        }
    }

    fn buffer(max: usize, max_body: u64) -> Buffer {
        let batch = BatchPolicy { max, wait: Duration::from_secs(1) };
        Buffer::new(&Content { batch: Some(batch), max_body: ByteSize(max_body), ..Content::default() }, usize::MAX)
    }

    fn extend(buffer: &mut Buffer, claimed: Vec<ClaimedDelivery>) {
        buffer.extend(claimed, |event| Some(event.size()));
    }

    /// Takes out what goes out now, and returns how many events each attempt has.
    fn take_sizes(buffer: &mut Buffer) -> Vec<usize> {
        let sizes = std::iter::repeat_with(|| buffer.take().len()).take_while(|len| *len > 0).collect();
        assert_eq!((buffer.len(), buffer.bytes(), buffer.gathered_bytes), (0, 0, 0));
        sizes
    }

    #[test]
    fn a_batch_waits_for_its_number_or_its_time() {
        let mut buffer = buffer(3, 1 << 20);
        assert_eq!(buffer.ready(at(0), false), Ready::Nothing);
        extend(&mut buffer, vec![claimed(100, 0), claimed(200, 0)]);
        assert_eq!(buffer.ready(at(300), false), Ready::At(at(1100)));
        assert_eq!(buffer.ready(at(1100), false), Ready::Now);
        assert_eq!(buffer.ready(at(1100), true), Ready::Nothing);
        extend(&mut buffer, vec![claimed(300, 0), claimed(400, 0)]);
        assert_eq!(buffer.ready(at(300), true), Ready::Now);
        assert_eq!(buffer.take().len(), 3);
        assert_eq!(buffer.ready(at(300), false), Ready::At(at(1400)));
    }

    #[test]
    fn a_batch_closes_before_it_is_too_large() {
        let mut buffer = buffer(100, 3500);
        extend(&mut buffer, (0..10).map(|_| claimed(0, 0)).collect());
        assert_eq!(buffer.ready(at(0), false), Ready::Now);
        assert_eq!(take_sizes(&mut buffer), [3, 3, 3, 1]);
    }

    #[test]
    fn what_spoils_a_batch_goes_by_itself() {
        let mut buffer = buffer(3, 1 << 20);
        let mut joined = claimed(0, 0);
        (joined.joined, joined.closed) = (vec![Arc::clone(&joined.event)], true);
        extend(&mut buffer, vec![claimed(0, 0), claimed(0, 2), joined, claimed(0, 0)]);
        assert_eq!(take_sizes(&mut buffer), [1, 1, 2]);

        buffer.extend(vec![claimed(0, 0), claimed(0, 0)], |_| None);
        assert_eq!(take_sizes(&mut buffer), [1, 1], "they cannot be rendered");
        buffer.extend(vec![claimed(0, 0), claimed(0, 0)], |_| Some(2 << 20));
        assert_eq!(take_sizes(&mut buffer), [1, 1], "each is too large");
    }

    #[test]
    fn one_can_be_taken_though_others_could_go_with_it() {
        let mut buffer = buffer(3, 1 << 20);
        extend(&mut buffer, vec![claimed(0, 0), claimed(0, 0)]);
        assert_eq!((buffer.take_one().len(), buffer.len()), (1, 1));
        assert_eq!(buffer.take_all().len(), 1);
        assert!(buffer.take_one().is_empty());
        assert_eq!(take_sizes(&mut buffer), [0; 0]);
    }

    #[test]
    fn batches_become_smaller_when_a_receiver_does_not_take_them() {
        let mut buffer = buffer(100, 1 << 20);
        for (refused, most) in [(60, 30), (100, 30), (3, 1), (1, 1)] {
            buffer.shrink(refused);
            assert_eq!(buffer.most_in_one(), most);
        }
    }
}
