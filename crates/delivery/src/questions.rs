//! What became of deliveries whose outcome nobody knows: providers that can tell are asked, again and again at growing
//! distances, until they do or it is too late to matter. Only what a provider says for certain counts; that it knows nothing of a
//! delivery proves nothing, and nothing is ever sent again because of it.
//!
//! Each provider is asked in a task of its own, a few questions at a time, so that one which hangs keeps nobody waiting but its own;
//! one that does not answer, or whose breaker waits, is left alone until the next round. A question sends nothing: a breaker that would
//! let a call probe lets questions through, for nothing else may come that probes.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use hongyan_core::{
    channel::{Answer, Question},
    delivery::{Event, Receipt},
    id::Id,
    setup::{ChannelNo, ProviderNo},
    store::{Attempt, Change, Doubt, StoreResult},
    time::Timestamp,
};
use tokio::time::Instant;

use crate::{breaker::Permission, line::Line, shared::Shared};

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
/// Deliveries that one provider is asked about in one round.
const ROUND_MAX: usize = 2_000;
/// Questions to one provider at a time.
const AT_ONCE: usize = 4;
/// After so many questions in a row without an answer a provider is left alone until the next round.
const SILENCE_MAX: usize = 8;

/// Who was asked about what.
#[derive(Debug, Default)]
pub(crate) struct Questions(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    /// At which of [`ASK_AFTER`] a provider was asked about a delivery last, counted from 1.
    times: HashMap<(ProviderNo, Id), usize>,
    /// The providers that are being asked.
    busy: HashSet<ProviderNo>,
}

impl Questions {
    /// Asks about everything of `channel` that is due; `lines` are its providers. What one of them says is recorded whenever it
    /// says it; this only waits for the store.
    pub(crate) async fn round(&self, channel: ChannelNo, lines: &[Arc<Line>], shared: &Arc<Shared>) -> StoreResult<()> {
        let now = shared.clock.now();
        let lines: Vec<&Arc<Line>> = lines.iter().filter(|line| self.may_ask(line, now)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let mut due: Vec<Vec<Doubt>> = vec![Vec::new(); lines.len()];
        let (mut after, mut seen) = (None, HashSet::new());
        loop {
            let doubts = shared.store.doubts(channel, now - SINCE, after, PAGE).await?;
            let is_last = doubts.len() < PAGE;
            after = doubts.last().map(|doubt| doubt.delivery);
            let asked = lock(&self.0);
            for doubt in doubts {
                seen.insert(doubt.delivery);
                for (line, due) in lines.iter().zip(&mut due) {
                    let no = line.provider.no;
                    let is_its = doubt.provider.is_none_or(|provider| provider == no);
                    if is_its && due.len() < ROUND_MAX && asked.is_due(no, &doubt, now) {
                        due.push(doubt.clone());
                    }
                }
            }
            if is_last {
                break;
            }
        }
        let mut asked = lock(&self.0);
        asked
            .times
            .retain(|(no, delivery), _| seen.contains(delivery) || !lines.iter().any(|line| line.provider.no == *no));
        for (line, due) in lines.into_iter().zip(due).filter(|(_, due)| !due.is_empty()) {
            asked.busy.insert(line.provider.no);
            let busy = Busy { provider: line.provider.no, asked: Arc::clone(&self.0) };
            let (line, shared) = (Arc::clone(line), Arc::clone(shared));
            tokio::spawn(async move { ask_all(&line, due, &busy.asked, &shared).await });
        }
        Ok(())
    }

    fn may_ask(&self, line: &Line, now: Timestamp) -> bool {
        line.sender.answers_questions()
            && matches!(line.permission(now), Permission::Flow | Permission::Probe)
            && !lock(&self.0).busy.contains(&line.provider.no)
    }
}

/// A provider that is being asked, until this is dropped.
struct Busy {
    provider: ProviderNo,
    asked: Arc<Mutex<Asked>>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        lock(&self.asked).busy.remove(&self.provider);
    }
}

impl Asked {
    /// Whether it is time to ask a provider about a delivery again. After a start nothing is known to have been asked, and what
    /// is old is asked about once more.
    fn is_due(&self, provider: ProviderNo, doubt: &Doubt, now: Timestamp) -> bool {
        time(doubt, now) > self.times.get(&(provider, doubt.delivery)).copied().unwrap_or(0)
    }
}

/// How many of [`ASK_AFTER`] have passed since a delivery was tried.
fn time(doubt: &Doubt, now: Timestamp) -> usize {
    let age = now.since(doubt.at);
    ASK_AFTER.partition_point(|after| *after <= age)
}

/// Asks a provider about these, until it does not answer several times in a row. That it did not answer about one is an answer for
/// that one: what is asked again too soon would keep the others waiting.
async fn ask_all(line: &Line, due: Vec<Doubt>, asked: &Mutex<Asked>, shared: &Shared) {
    let silence = &AtomicUsize::new(0);
    let questions = stream::iter(due).map(|doubt| async move {
        if silence.load(Ordering::Relaxed) >= SILENCE_MAX || shared.stopping.is_cancelled() {
            return None;
        }
        let answer = ask(line, &doubt, shared).await;
        match answer {
            Answer::NoAnswer => silence.fetch_add(1, Ordering::Relaxed),
            Answer::Known(_) | Answer::NotKnown => silence.swap(0, Ordering::Relaxed),
        };
        Some(doubt)
    });
    let mut answers = questions.buffer_unordered(AT_ONCE);
    while let Some(answered) = answers.next().await {
        let Some(doubt) = answered else { continue };
        let number = time(&doubt, shared.clock.now());
        lock(asked).times.insert((line.provider.no, doubt.delivery), number);
    }
}

/// Asks a provider about one delivery, and records what it says.
async fn ask(line: &Line, doubt: &Doubt, shared: &Shared) -> Answer {
    let Some(_permit) = line.permit().await else { return Answer::NoAnswer };
    let question = Question { delivery: doubt.delivery, address: doubt.address.clone(), at: doubt.at };
    let (started, clock) = (shared.clock.now(), Instant::now());
    let answer = line.sender.query(&question).await;
    let Answer::Known(receipt) = answer else { return answer };
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
    if let Err(error) = shared.store.settle(vec![change], shared.clock.now()).await {
        tracing::warn!(%error, "what a provider said of an unknown outcome cannot be recorded for now");
        return Answer::NoAnswer;
    }
    answer
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

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_at_growing_distances_and_once_for_each() {
        let t0 = Timestamp::from_ms(1_800_000_000_000);
        let (provider, mut asked) = (ProviderNo(1), Asked::default());
        let doubt = Doubt {
            delivery: Id::from_i64(7).expect("positive"),
            address: "+8613800000001".into(),
            provider: None,
            at: t0,
        };
        let mut due = |seconds| {
            let now = t0 + Duration::from_secs(seconds);
            let is_due = asked.is_due(provider, &doubt, now);
            asked.times.insert((provider, doubt.delivery), time(&doubt, now));
            is_due
        };
        assert_eq!([9, 10, 11, 59, 60, 61, 299].map(&mut due), [false, true, false, false, true, false, false]);
        assert_eq!([90_000, 90_001].map(&mut due), [true, false], "what was missed meanwhile is asked once");
        assert!(asked.is_due(ProviderNo(2), &doubt, t0 + Duration::from_secs(10)), "each by itself");
    }
}
