//! What became of deliveries whose outcome nobody knows: providers that can tell are asked, again and again at growing
//! distances, until they do or it is too late to matter. Only what a provider says for certain counts; that it knows nothing of a
//! delivery proves nothing, and nothing is ever sent again because of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hongyan_core::{
    channel::Question,
    delivery::{Event, Receipt},
    id::Id,
    setup::ChannelNo,
    store::{Attempt, Change, Doubt, StoreResult},
    time::Timestamp,
};
use tokio::time::Instant;

use crate::{line::Line, shared::Shared};

/// How often it looks for deliveries to ask about.
pub(crate) const ROUND: Duration = Duration::from_secs(5);
/// How long after a try its provider is asked, the first time and later.
const ASK_AFTER: [Duration; 7] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(8 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];
/// Of messages that were accepted longer ago nobody asks: none is tried for longer than a day, nor asked about for longer than another.
const SINCE: Duration = Duration::from_secs(50 * 60 * 60);
/// Deliveries that are read at a time.
const PAGE: usize = 500;

/// Which deliveries were asked about how often.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<HashMap<Id, usize>>);

impl Questions {
    /// Asks about everything of `channel` that is due; `lines` are its providers.
    pub(crate) async fn round(&self, channel: ChannelNo, lines: &[Arc<Line>], shared: &Shared) -> StoreResult<()> {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let since = shared.clock.now() - SINCE;
            let doubts = shared.store.doubts(channel, since, after, PAGE).await?;
            let is_last = doubts.len() < PAGE;
            after = doubts.last().map(|doubt| doubt.delivery);
            for doubt in doubts {
                seen.push(doubt.delivery);
                if !shared.stopping.is_cancelled() && self.is_due(&doubt, shared.clock.now()) {
                    ask(&doubt, lines, shared).await?;
                }
            }
            if is_last {
                break;
            }
        }
        seen.sort_unstable();
        self.lock().retain(|delivery, _| seen.binary_search(delivery).is_ok());
        Ok(())
    }

    /// Whether it is time to ask about a delivery again; then it counts as asked. After a start nothing is known to have been
    /// asked, and what is old is asked about once more.
    fn is_due(&self, doubt: &Doubt, now: Timestamp) -> bool {
        let age = now.since(doubt.at);
        let due = ASK_AFTER.partition_point(|after| *after <= age);
        let mut asked = self.lock();
        let before = asked.entry(doubt.delivery).or_default();
        let is_due = due > *before;
        *before = due.max(*before);
        is_due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the provider by which a delivery was tried, or where that is not on record, one after the other.
async fn ask(doubt: &Doubt, lines: &[Arc<Line>], shared: &Shared) -> StoreResult<()> {
    let asked = lines.iter().filter(|line| {
        line.sender.answers_questions() && doubt.provider.is_none_or(|provider| line.provider.no == provider)
    });
    for line in asked {
        let Some(_permit) = line.permit().await else { continue };
        let question = Question { delivery: doubt.delivery, address: doubt.address.clone(), at: doubt.at };
        let (started, clock) = (shared.clock.now(), Instant::now());
        let Some(receipt) = line.sender.query(&question).await else { continue };
        let attempt = Attempt {
            provider: line.provider.no,
            started,
            took_ms: u32::try_from(clock.elapsed().as_millis()).unwrap_or(u32::MAX),
            outcome: word(receipt).to_owned(),
            reply: "the provider said so when it was asked".to_owned(),
        };
        let change = Change {
            delivery: doubt.delivery,
            event: Event::Receipt(receipt),
            policy: Arc::clone(&line.policy),
            attempt: Some(attempt),
        };
        shared.store.settle(vec![change], shared.clock.now()).await?;
        break;
    }
    Ok(())
}

/// The stored and shown name of what a provider answered.
const fn word(receipt: Receipt) -> &'static str {
    match receipt {
        Receipt::Accepted => "accepted",
        Receipt::Refused => "refused",
        Receipt::Delivered => "delivered",
        Receipt::Undelivered => "undelivered",
        Receipt::Read => "read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_at_growing_distances_and_once_for_each() {
        let t0 = Timestamp::from_ms(1_800_000_000_000);
        let questions = Questions::default();
        let doubt = Doubt {
            delivery: Id::from_i64(7).expect("positive"),
            address: "+8613800000001".into(),
            provider: None,
            at: t0,
        };
        let due = |seconds| questions.is_due(&doubt, t0 + Duration::from_secs(seconds));
        assert_eq!([9, 10, 11, 59, 60, 61, 299].map(due), [false, true, false, false, true, false, false]);
        assert_eq!([90_000, 90_001].map(due), [true, false], "what was missed meanwhile is asked once");
    }
}
