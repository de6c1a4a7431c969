//! What a lane has claimed and not begun to send.

use std::collections::VecDeque;

use crate::model::content::{BatchPolicy, Content};
use crate::model::time::Timestamp;
use crate::store::ClaimedDelivery;

/// Claimed deliveries in the order in which they go out: what goes by itself first, then first tries that are gathered
/// for a batch.
#[derive(Debug)]
pub(super) struct Buffer {
    alone: VecDeque<ClaimedDelivery>,
    gathered: VecDeque<ClaimedDelivery>,
    /// The bytes of what is gathered, as far as [`body_size`] knows.
    gathered_bytes: usize,
    bytes: usize,
    /// `None` if each delivery goes by itself.
    gathering: Option<Gathering>,
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

/// More than what surrounds an event's own bytes in any format.
const ENVELOPE: usize = 512;

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

    /// Adds what was claimed, behind what is there.
    pub fn extend(&mut self, claimed: Vec<ClaimedDelivery>) {
        for claimed in claimed {
            self.bytes += memory(&claimed);
            // What was sent once keeps its body, and with it those that it was sent with.
            if self.gathering.is_some() && claimed.attempts == 0 && claimed.joined.is_empty() {
                self.gathered_bytes += body_size(&claimed);
                self.gathered.push_back(claimed);
            } else {
                self.alone.push_back(claimed);
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
        let closes_at = first.since + gathering.policy.wait;
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
            bytes += body_size(next);
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
            let next = self.gathered.pop_front()?;
            self.gathered_bytes -= body_size(&next);
            Some(next)
        });
        self.bytes -= next.as_ref().map_or(0, memory);
        next.into_iter().collect()
    }

    /// Takes out all.
    pub fn take_all(&mut self) -> Shipment {
        self.take_but(|_| false)
    }

    /// Takes out all but what is to be kept.
    pub fn take_but(&mut self, keep: impl Fn(&ClaimedDelivery) -> bool) -> Shipment {
        let all = self.alone.drain(..).chain(self.gathered.drain(..));
        let (kept, taken) = all.partition(|claimed| keep(claimed));
        (self.bytes, self.gathered_bytes) = (0, 0);
        self.extend(kept);
        taken
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
    std::iter::once(&claimed.event).chain(&claimed.joined).map(|event| event.size() + ENVELOPE).sum()
}

/// Returns the most bytes that an event takes in the body of a batch, unless its texts have to be escaped at length.
fn body_size(claimed: &ClaimedDelivery) -> usize {
    let event = &claimed.event;
    event.size() + event.event_type.as_str().len() + 2 * event.connector.as_str().len() + ENVELOPE
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
        ClaimedDelivery { lease, event, joined: Vec::new(), since: at(since), attempts, failures: attempts }
    }

    fn buffer(max: usize, max_body: u64) -> Buffer {
        let batch = BatchPolicy { max, wait: Duration::from_secs(1) };
        Buffer::new(&Content { batch: Some(batch), max_body: ByteSize(max_body), ..Content::default() }, usize::MAX)
    }

    #[test]
    fn a_batch_waits_for_its_number_or_its_time() {
        let mut buffer = buffer(3, 1 << 20);
        assert_eq!(buffer.ready(at(0), false), Ready::Nothing);
        buffer.extend(vec![claimed(100, 0), claimed(200, 0)]);
        assert_eq!(buffer.ready(at(300), false), Ready::At(at(1100)));
        assert_eq!(buffer.ready(at(1100), false), Ready::Now);
        assert_eq!(buffer.ready(at(1100), true), Ready::Nothing);
        buffer.extend(vec![claimed(300, 0), claimed(400, 0)]);
        assert_eq!(buffer.ready(at(300), true), Ready::Now);
        assert_eq!(buffer.take().len(), 3);
        assert_eq!(buffer.ready(at(300), false), Ready::At(at(1400)));
    }

    #[test]
    fn a_batch_closes_before_it_is_too_large() {
        let mut buffer = buffer(100, 5000);
        buffer.extend((0..10).map(|_| claimed(0, 0)).collect());
        assert_eq!(buffer.ready(at(0), false), Ready::Now);
        let sizes: Vec<usize> = std::iter::repeat_with(|| buffer.take().len()).take_while(|len| *len > 0).collect();
        assert_eq!(sizes, [3, 3, 3, 1]);
        assert_eq!((buffer.bytes(), buffer.gathered_bytes), (0, 0));
        buffer.extend(vec![claimed(0, 0)]);
        let mut tiny = self::buffer(100, 10);
        tiny.extend(vec![claimed(0, 0), claimed(0, 0)]);
        assert_eq!(tiny.take().len(), 1, "whether it is too large by itself is not decided here");
    }

    #[test]
    fn what_was_sent_before_goes_first_and_by_itself() {
        let mut buffer = buffer(3, 1 << 20);
        let mut joined = claimed(0, 0);
        joined.joined = vec![Arc::clone(&joined.event)];
        buffer.extend(vec![claimed(0, 0), claimed(0, 2), joined, claimed(0, 0)]);
        assert_eq!(buffer.take()[0].attempts, 2);
        assert_eq!(buffer.take()[0].joined.len(), 1);
        assert_eq!(buffer.ready(at(0), false), Ready::At(at(1000)));
        assert_eq!(buffer.take_one().len(), 1);
        assert_eq!(buffer.take().len(), 1);
        assert!(buffer.is_empty() && buffer.take().is_empty());
    }

    #[test]
    fn batches_become_smaller_when_a_receiver_does_not_take_them() {
        let mut buffer = buffer(100, 1 << 20);
        for (refused, most) in [(60, 30), (100, 30), (3, 1), (1, 1)] {
            buffer.shrink(refused);
            assert_eq!(buffer.most_in_one(), most);
        }
    }

    #[test]
    fn what_is_not_kept_is_taken_out() {
        let mut buffer = buffer(3, 1 << 20);
        buffer.extend(vec![claimed(0, 0), claimed(0, 1), claimed(0, 2)]);
        assert_eq!(buffer.take_but(|claimed| claimed.attempts != 1).len(), 1);
        assert_eq!((buffer.len(), buffer.bytes()), (2, 2 * memory(&claimed(0, 0))));
        assert_eq!(buffer.take_all().len(), 2);
        assert_eq!((buffer.len(), buffer.bytes()), (0, 0));
    }
}
