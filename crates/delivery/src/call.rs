//! One parcel through one provider: expire what is too late, record the intent where the channel cannot repeat, send, and
//! hand every verdict to the settler. Whatever happens in between (a panic, a stop) ends in a verdict too.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use hongyan_core::{
    cap::{Draw, Drawn},
    channel::{Parcel, Recipient, RecipientCaps},
    delivery::{Event, Policy, State},
    id::Id,
    outcome::{Fault, Outcome, Scope, Verdict},
    retry::Roll,
    store::{Attempt, Cargo, Change, Lease, LeasedRow, StoreError},
    time::Timestamp,
};
use tokio::time::Instant;

use crate::{line::Line, metrics::Counters, settler::Finished, shared::Shared, window::Slot};

/// How long a delivery waits before another provider gets it.
const ALTERNATIVE_WAIT: Duration = Duration::from_millis(100);

/// What a try says that was not made because of [`RecipientCaps`].
const HELD_BACK: &str = "the recipient has had as many messages as the provider lets one have in a while";

/// A leased parcel in the hands of a provider's line.
pub(crate) struct Call {
    pub(crate) lease: Lease,
    pub(crate) slot: Slot,
    pub(crate) line: Arc<Line>,
    /// What the provider promises about repeating on this channel.
    pub(crate) policy: Arc<Policy>,
    pub(crate) counters: Counters,
    /// What was drawn from the recipients' caps.
    pub(crate) drawn: Option<Drawing>,
    /// Whether another provider could take the parcel at once, should this one turn out not to work.
    pub(crate) has_alternative: bool,
}

/// What a call drew from its recipients' caps.
pub(crate) struct Drawing {
    caps: RecipientCaps,
    deliveries: HashSet<Id>,
    at: Timestamp,
}

/// What came of a call, for the provider's breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// The provider was called and judged.
    Judged,
    /// The provider was not called.
    Untried,
}

impl Call {
    /// Carries the parcel out and settles it.
    pub(crate) async fn carry_out(mut self, shared: &Shared) -> Called {
        if self.lease.rows.iter().any(|row| !shared.store.holds(row.id, row.track.lease)) {
            // Somebody else may have it by now; where nobody has, it is ready again.
            self.settle_all(shared, |lease| Event::GiveBack { lease }).await;
            return Called::Untried;
        }
        self.expire(shared).await;
        let cargo = match self.cargo(shared).await {
            Ok(cargo) => cargo,
            Err(event) => {
                self.settle_all(shared, event).await;
                return Called::Untried;
            }
        };
        if let Some(caps) = self.line.sender.recipient_caps(&cargo.content) {
            self.hold_back(caps, shared).await;
        }
        if self.policy.repeat.needs_intent() {
            self.intend(shared).await;
        }
        if self.lease.rows.is_empty() {
            return Called::Untried;
        }
        if self.lease.rows.iter().any(|row| !shared.store.holds(row.id, row.track.lease)) {
            // The node stood still since it was about to call; others may have judged what it meant to do.
            self.give_back_draws(&self.lease.rows.iter().collect::<Vec<_>>(), shared).await;
            self.settle_all(shared, not_sent).await;
            return Called::Untried;
        }
        let (started, clock) = (shared.clock.now(), Instant::now());
        let mut verdicts = self.send(cargo, shared).await;
        let took = clock.elapsed();
        self.line.took(took);
        self.line.judge(&verdicts, shared.clock.now());
        if self.has_alternative {
            verdicts.iter_mut().for_each(hasten);
        }
        let took_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        let provider = self.line.provider.no;
        let attempt = |verdict: &Verdict| Attempt {
            provider,
            started,
            took_ms,
            outcome: verdict.outcome.as_str().to_owned(),
            reply: verdict.reply.clone(),
        };
        let rows = std::mem::take(&mut self.lease.rows);
        let unsent = rows.iter().zip(&verdicts).filter(|(_, verdict)| is_certainly_unsent(&verdict.outcome));
        self.give_back_draws(&unsent.map(|(row, _)| row).collect::<Vec<_>>(), shared).await;
        let changes = rows.into_iter().zip(verdicts).map(|(row, verdict)| {
            let attempt = Some(attempt(&verdict));
            let event =
                Event::Finish { lease: row.track.lease, outcome: verdict.outcome, roll: Roll::new(rand::random()) };
            self.change(&row, event, attempt)
        });
        let changes = changes.collect();
        let finished =
            Finished { changes, accepted: self.lease.accepted, counters: Some(self.counters), slot: self.slot };
        shared.settler.settle(finished).await;
        Called::Judged
    }

    /// Gives the parcel back untried.
    pub(crate) async fn give_back(
        lease: Lease,
        slot: Slot,
        policy: &Arc<hongyan_core::delivery::Policy>,
        shared: &Shared,
    ) {
        let change = |row: &LeasedRow| Change {
            delivery: row.id,
            event: Event::GiveBack { lease: row.track.lease },
            policy: Arc::clone(policy),
            attempt: None,
        };
        let changes = lease.rows.iter().map(change).collect();
        shared.settler.settle(Finished { changes, accepted: lease.accepted, counters: None, slot }).await;
    }

    /// The provider's verdicts, one per row. A provider's code that panics, forgets somebody or is cut off by a stop may
    /// have sent something: its outcome is unknown.
    async fn send(&self, cargo: Cargo, shared: &Shared) -> Vec<Verdict> {
        let parcel = Parcel {
            id: self.lease.parcel,
            message: self.lease.message,
            app: self.lease.app,
            channel: self.lease.channel,
            content: cargo.content,
            attachments: cargo.attachments,
            recipients: self.lease.rows.iter().map(recipient).collect(),
            maybe_duplicate: self.lease.rows.iter().any(|row| row.track.maybe_duplicate),
        };
        let unknown = |why: &str| vec![Verdict::new(Outcome::Unknown, why); parcel.recipients.len()];
        let sending = AssertUnwindSafe(self.line.sender.send(&parcel)).catch_unwind();
        let verdicts = tokio::select! {
            sent = sending => sent.unwrap_or_else(|_| unknown("the sender failed in an unforeseen way")),
            () = shared.cut_off.cancelled() => unknown("the node stopped before the provider answered"),
        };
        if verdicts.len() == parcel.recipients.len() {
            return verdicts;
        }
        let provider = &self.line.provider.code;
        tracing::error!(
            provider,
            verdicts = verdicts.len(),
            recipients = parcel.recipients.len(),
            "verdicts do not match"
        );
        unknown("the sender did not answer for everyone")
    }

    /// What the message says: with the lease, or read from the store. Content that is gone cannot be sent by anyone; a store
    /// that is away gets the parcel back.
    async fn cargo(&mut self, shared: &Shared) -> Result<Cargo, fn(u32) -> Event> {
        let read = match self.lease.cargo.take() {
            Some(cargo) => Ok(Some(cargo)),
            None => {
                let read = shared.store.cargo_read(vec![self.lease.message]).await;
                read.map(|mut found| found.pop().map(|(_, cargo)| cargo))
            }
        };
        let on_channel = |cargo: Cargo| {
            Some(Cargo { content: cargo.content.on(self.lease.channel)?, attachments: cargo.attachments })
        };
        match read.map(|found| found.and_then(on_channel)) {
            Ok(Some(cargo)) => Ok(cargo),
            Ok(None) | Err(StoreError::Corrupt(_) | StoreError::Gone(_)) => {
                tracing::error!(message = self.lease.message.get(), "the content of a message is gone or damaged");
                Err(|lease| Event::Finish {
                    lease,
                    outcome: Outcome::Rejected(hongyan_core::outcome::Rejection::Content),
                    roll: Roll::NONE,
                })
            }
            Err(error) => {
                tracing::warn!(%error, "the content of a message cannot be read for now");
                Err(|lease| Event::GiveBack { lease })
            }
        }
    }

    /// Sets aside the rows whose time is over.
    async fn expire(&mut self, shared: &Shared) {
        let now = shared.clock.now();
        let (late, rows) = std::mem::take(&mut self.lease.rows).into_iter().partition(|row| row.track.expires <= now);
        self.lease.rows = rows;
        self.settle_rows(shared, late, |_| Event::Expire).await;
    }

    /// Whoever has had as much as the provider lets one recipient have waits until there is room again. Who may have got this
    /// message already was counted then.
    async fn hold_back(&mut self, caps: RecipientCaps, shared: &Shared) {
        let (counted, rows): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lease.rows).into_iter().partition(|row| row.track.maybe_duplicate);
        self.lease.rows = counted;
        let now = shared.clock.now();
        let draws = rows.iter().map(|row| self.draw(&caps, row, None)).collect();
        let drawn = match shared.store.caps_draw(caps.caps.clone(), draws, now).await {
            Ok(drawn) => drawn,
            Err(error) => {
                tracing::warn!(%error, "a recipient's cap cannot be looked up for now; the parcel is given back");
                return self.settle_rows(shared, rows, not_sent).await;
            }
        };
        let (mut held_back, mut deliveries) = (Vec::new(), HashSet::new());
        for (row, drawn) in rows.into_iter().zip(drawn) {
            match drawn {
                Drawn::Yes => {
                    deliveries.insert(row.id);
                    self.lease.rows.push(row);
                }
                Drawn::No { until } => {
                    let outcome = Outcome::Throttled { scope: Scope::Recipient, until };
                    let attempt = Attempt {
                        provider: self.line.provider.no,
                        started: now,
                        took_ms: 0,
                        outcome: outcome.as_str().to_owned(),
                        reply: HELD_BACK.to_owned(),
                    };
                    let event = Event::Finish { lease: row.track.lease, outcome, roll: Roll::new(rand::random()) };
                    held_back.push(self.change(&row, event, Some(attempt)));
                }
            }
        }
        self.drawn = Some(Drawing { caps, deliveries, at: now });
        self.lease.rows.sort_unstable_by_key(|row| row.id);
        self.settle_changes(shared, held_back).await;
    }

    /// What one of the rows counts for, or gives back.
    fn draw(&self, caps: &RecipientCaps, row: &LeasedRow, back: Option<Timestamp>) -> Draw {
        let (provider, address) = (self.line.provider.no.0, row.address.to_lowercase());
        Draw { key: format!("recipient/{provider}/{}/{address}", caps.scope), amount: caps.amount, back }
    }

    /// What was certainly not sent shall not keep its recipients from anything else.
    async fn give_back_draws(&self, unsent: &[&LeasedRow], shared: &Shared) {
        let Some(Drawing { caps, deliveries, at }) = &self.drawn else { return };
        let unsent = unsent.iter().filter(|row| deliveries.contains(&row.id));
        let draws: Vec<Draw> = unsent.map(|row| self.draw(caps, row, Some(*at))).collect();
        if draws.is_empty() {
            return;
        }
        if let Err(error) = shared.store.caps_draw(caps.caps.clone(), draws, shared.clock.now()).await {
            tracing::warn!(%error, "what came to nothing goes on counting for its recipients");
        }
    }

    /// Records that the call is about to be made; rows that somebody else has taken meanwhile drop out.
    async fn intend(&mut self, shared: &Shared) {
        let rows = std::mem::take(&mut self.lease.rows);
        let intents = rows.iter().map(|row| self.change(row, Event::Intend { lease: row.track.lease }, None)).collect();
        match shared.store.settle(intents, shared.clock.now()).await {
            Ok(tracks) => {
                let mut refused = Vec::new();
                for (row, track) in rows.into_iter().zip(tracks) {
                    match track {
                        Some(track) if track.state == State::Sending => {
                            self.lease.rows.push(LeasedRow { track, ..row })
                        }
                        // Too late for a repeat: it is unknown now.
                        Some(_) => {}
                        None => refused.push(row),
                    }
                }
                // Taken over by somebody else, or not granted to a node that was not heard of lately: then it is still ours to
                // give back.
                self.give_back_draws(&refused.iter().collect::<Vec<_>>(), shared).await;
                self.settle_rows(shared, refused, |lease| Event::GiveBack { lease }).await;
            }
            Err(error) => {
                self.give_back_draws(&rows.iter().collect::<Vec<_>>(), shared).await;
                tracing::warn!(%error, "an intent could not be recorded; the parcel is given back");
                self.settle_rows(shared, rows, not_sent).await;
            }
        }
    }

    async fn settle_all(&mut self, shared: &Shared, event: impl Fn(u32) -> Event) {
        let rows = std::mem::take(&mut self.lease.rows);
        self.settle_rows(shared, rows, event).await;
    }

    async fn settle_rows(&self, shared: &Shared, rows: Vec<LeasedRow>, event: impl Fn(u32) -> Event) {
        let changes = rows.iter().map(|row| self.change(row, event(row.track.lease), None)).collect();
        self.settle_changes(shared, changes).await;
    }

    async fn settle_changes(&self, shared: &Shared, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let (accepted, counters) = (self.lease.accepted, Some(self.counters.clone()));
        shared.settler.settle(Finished { changes, accepted, counters, slot: self.slot.share() }).await;
    }

    fn change(&self, row: &LeasedRow, event: Event, attempt: Option<Attempt>) -> Change {
        Change { delivery: row.id, event, policy: Arc::clone(&self.policy), attempt }
    }
}

/// The end of a try that certainly never began, whether or not its intent is on record.
const fn not_sent(lease: u32) -> Event {
    let outcome = Outcome::Deferred { after: Some(Duration::ZERO), fault: Fault::Provider };
    Event::Finish { lease, outcome, roll: Roll::NONE }
}

/// What this provider certainly did not take, another one may have soon.
fn hasten(verdict: &mut Verdict) {
    if let Outcome::Deferred { after: after @ None, fault: Fault::Provider } = &mut verdict.outcome {
        *after = Some(ALTERNATIVE_WAIT);
    }
}

/// Whether nothing of the message has reached its recipient, nor can have.
const fn is_certainly_unsent(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::Accepted { .. } | Outcome::Unknown | Outcome::PartlySent)
}

fn recipient(row: &LeasedRow) -> Recipient {
    Recipient { delivery: row.id, address: row.address.clone(), maybe_duplicate: row.track.maybe_duplicate }
}
