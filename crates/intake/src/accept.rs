//! Accepting: from a resolved submission to a durable message, and, where the dialect is patient, to what became of it.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_core::{
    cap::{Cap, Draw, Drawn},
    delivery::{State, Track},
    id::{Id, IdSource},
    message::Label,
    ports::Sealer,
    setup::{AppNo, Channel, ChannelNo, CurrentSetup, User},
    store::{Addressee, Batch, MessageRecord, Store, StoreError, Submitted, Who},
    time::{Clock, Timestamp},
};

use crate::{
    batch::{Part, Press, Request},
    expand::Expander,
    metrics::IntakeMetrics,
    receipt::{self, Receipt, RecipientOutcome},
    refusal::Refusal,
    submission::{Resolved, Submission},
    waiting::Waiting,
    wire::Room,
};

/// What intake is built on.
#[derive(Clone)]
pub struct IntakeDeps {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The node's ids.
    pub ids: Arc<IdSource>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// What is declared.
    pub setup: Arc<CurrentSetup>,
    /// Who waits on this node; the store tells it what moved.
    pub waiting: Arc<Waiting>,
    /// The node's counters.
    pub metrics: IntakeMetrics,
    /// Keeps secrets in contents unreadable.
    pub sealer: Arc<dyn Sealer>,
}

/// An idempotency key and whose it is.
type Key = (AppNo, String);

/// The way in, shared by every dialect of a node.
pub struct Intake {
    deps: IntakeDeps,
    expander: Arc<Expander>,
    room: Room,
}

impl Intake {
    /// An intake; `expander` is woken for audiences of more than a page.
    pub fn new(deps: IntakeDeps, expander: Arc<Expander>) -> Self {
        Self { deps, expander, room: Room::new() }
    }

    /// The newest setup.
    pub fn setup(&self) -> &CurrentSetup {
        &self.deps.setup
    }

    /// The memory for large bodies, which all dialects share.
    pub const fn room(&self) -> &Room {
        &self.room
    }

    /// The node's clock.
    pub fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }

    /// Says that there may be an audience to expand: a message was hastened.
    pub fn wake_expander(&self) {
        self.expander.wake();
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.deps.store
    }

    /// An id that belongs to nothing, for replies that need one although nothing was stored.
    pub fn fresh_id(&self) -> Option<Id> {
        self.deps.ids.block(1, 0, self.now()).ok()
    }

    /// The people of the directory with these codes; those that it does not have are left out.
    ///
    /// # Errors
    /// The store's, when the directory cannot be read.
    pub async fn people(&self, codes: Vec<String>) -> Result<Vec<User>, StoreError> {
        if codes.is_empty() { Ok(Vec::new()) } else { self.deps.store.users_find(codes).await }
    }

    /// Counts one under `key` against `cap`, across all nodes, if there is room for it.
    ///
    /// # Errors
    /// The store's, when it cannot be counted.
    pub async fn draw(&self, cap: Cap, key: String) -> Result<Drawn, StoreError> {
        let drawn = self.deps.store.caps_draw(vec![cap], vec![Draw { key, amount: 1, back: None }], self.now()).await?;
        drawn.into_iter().next().ok_or_else(|| StoreError::Corrupt("no answer to a draw".into()))
    }

    /// Stores the message in one commit and waits up to `patience` for what becomes of it.
    ///
    /// # Errors
    /// [`Refusal`], when nothing was accepted.
    pub async fn accept(
        &self,
        submission: Submission,
        mut resolved: Resolved,
        patience: Duration,
    ) -> Result<Receipt, Refusal> {
        let began = Instant::now();
        let shared = std::mem::take(&mut resolved.shared);
        let channels = [Arc::clone(&submission.channel)];
        let channel = submission.channel.no;
        let now = self.now();
        let key = submission.idempotency.as_ref().map(|idempotency| (submission.app, idempotency.key.clone()));
        let batch = self.batch(request(submission, resolved), now)?;
        let id = batch.message.id;
        let waiter = Waiter::new(&batch, patience);
        let ticket = waiter.expected().and_then(|n| self.deps.waiting.register(id, channel, n, now + patience));
        let expanding = batch.rest.is_some();

        if let Some(first) = self.submit(batch, &channels, began, now).await? {
            drop(ticket);
            return self.replay(first, channel, key, &shared, patience).await;
        }
        let settled = match ticket {
            Some(ticket) => ticket.wait(patience).await,
            None => HashMap::new(),
        };
        let receipt = if expanding && settled.values().any(|track| track.state.is_failure()) {
            receipt_of(self.record(id).await?)
        } else {
            waiter.receipt(id, &settled)
        };
        Ok(self.keep(key, receipt.with_shared(&shared)).await)
    }

    /// The request as one batch, by the newest setup.
    pub(crate) fn batch(&self, request: Request, now: Timestamp) -> Result<Batch, Refusal> {
        let setup = self.deps.setup.get();
        Press { ids: &self.deps.ids, setup: &setup, sealer: &*self.deps.sealer }.batch(request, now)
    }

    /// Stores a batch, for `channels`; answers the message to which the same request led before, if it did.
    pub(crate) async fn submit(
        &self,
        batch: Batch,
        channels: &[Arc<Channel>],
        began: Instant,
        now: Timestamp,
    ) -> Result<Option<Id>, Refusal> {
        let dialect = batch.message.dialect;
        let is_more = batch.rest.as_ref().is_some_and(|rest| rest.due <= now);
        match self.deps.store.submit(batch, now).await? {
            Submitted::KeyReused => Err(Refusal::KeyReused),
            Submitted::OverLimit(refusal) => Err(Refusal::OverLimit(refusal)),
            Submitted::Seen(first) => Ok(Some(first)),
            Submitted::Stored => {
                self.deps.metrics.accepted(dialect, channels, began.elapsed());
                if is_more {
                    self.expander.wake();
                }
                Ok(None)
            }
        }
    }

    /// Answers a repeated request as the first was answered; where the first has no answer yet, by waiting as it does.
    async fn replay(
        &self,
        id: Id,
        channel: ChannelNo,
        key: Option<Key>,
        shared: &[(String, String)],
        patience: Duration,
    ) -> Result<Receipt, Refusal> {
        if let Some((app, key)) = &key
            && let Some(kept) = self.deps.store.answer_read(*app, key.clone()).await?
            && let Some(receipt) = receipt::decode(id, &kept)
        {
            return Ok(receipt);
        }
        let deadline = self.now() + patience;
        let mut record = self.record(id).await?;
        while let Some(open) = NonZeroUsize::new(open(&record)).filter(|_| !patience.is_zero()) {
            // Registered before the record is read again, so that nothing moves unseen in between.
            let Some(ticket) = self.deps.waiting.register(id, channel, open.get(), deadline) else { break };
            record = self.record(id).await?;
            if self::open(&record) == open.get() {
                ticket.wait(deadline.since(self.now())).await;
                record = self.record(id).await?;
                break;
            }
        }
        Ok(self.keep(key, receipt_of(record).with_shared(shared)).await)
    }

    /// Keeps the answer for repeats of the request. A store that is away now does not take back what was accepted.
    async fn keep(&self, key: Option<Key>, receipt: Receipt) -> Receipt {
        let Some((app, key)) = key else { return receipt };
        match self.deps.store.answer_keep(app, key, receipt::encode(&receipt)).await {
            Ok(kept) => receipt::decode(receipt.message, &kept).unwrap_or(receipt),
            Err(error) => {
                tracing::warn!(%error, "an answer could not be kept for repeats of its request");
                receipt
            }
        }
    }

    /// What is on record of an accepted message.
    ///
    /// # Errors
    /// The store's, also where the message is gone.
    pub async fn record(&self, id: Id) -> Result<MessageRecord, StoreError> {
        let gone = || StoreError::Gone(format!("message {id}"));
        self.deps.store.message_read(id).await?.ok_or_else(gone)
    }
}

/// A request that goes by one channel, now, to recipients who are known.
fn request(submission: Submission, to: Resolved) -> Request {
    Request {
        app: submission.app,
        dialect: submission.dialect,
        operation: submission.operation,
        user: submission.user,
        client: submission.client,
        priority: submission.priority,
        windows: submission.windows,
        label: Label::default(),
        idempotency: submission.idempotency,
        due: None,
        parts: vec![Part { channel: submission.channel, draft: submission.draft, to }],
        people: None,
    }
}

/// How many deliveries of a message are still to come.
fn open(record: &MessageRecord) -> usize {
    record.deliveries.iter().filter(|delivery| delivery.track.state.is_open()).count()
}

/// What a message's record says of everyone.
fn receipt_of(record: MessageRecord) -> Receipt {
    let recipients = record.deliveries.len();
    let failed = record.deliveries.into_iter().filter(|delivery| delivery.track.state.is_failure());
    let failures = failed.map(|delivery| RecipientOutcome {
        recipient: delivery.recipient,
        address: delivery.address,
        state: delivery.track.state,
        reason: delivery.track.reason,
    });
    Receipt { message: record.message.id, failures: failures.collect(), recipients }
}

/// What is left of a batch for whoever waits for it.
struct Waiter {
    /// Deliveries of the first page with the recipient's name and address, and why they are skipped.
    page: Vec<(Id, String, String, Track)>,
    rest: usize,
    /// Recipients of the rest that are skipped.
    rest_skipped: Vec<RecipientOutcome>,
    patient: bool,
}

impl Waiter {
    fn new(batch: &Batch, patience: Duration) -> Self {
        let skipped = |a: &Addressee| {
            let outcome = |reason| RecipientOutcome {
                recipient: a.recipient.clone(),
                address: a.address.clone(),
                state: State::Skipped,
                reason: Some(reason),
            };
            a.skipped.map(outcome)
        };
        let lists = match batch.rest.as_ref().map(|rest| &rest.who) {
            Some(Who::Listed(lists)) => &lists[..],
            _ => &[],
        };
        let later = || lists.iter().flat_map(|listed| &listed.addressees);
        Self {
            page: batch.deliveries().map(|d| (d.id, d.recipient.clone(), d.address.clone(), d.track)).collect(),
            rest: later().count(),
            rest_skipped: later().filter_map(skipped).collect(),
            patient: !patience.is_zero(),
        }
    }

    /// How many outcomes there are to wait for; `None` where there are none or the caller does not wait.
    fn expected(&self) -> Option<usize> {
        let open = self.page.iter().filter(|(.., track)| track.state.is_open()).count();
        let expected = open + self.rest - self.rest_skipped.len();
        (self.patient && expected > 0).then_some(expected)
    }

    fn receipt(self, message: Id, settled: &HashMap<Id, Track>) -> Receipt {
        let recipients = self.page.len() + self.rest;
        let failures = self.page.into_iter().filter_map(|(id, recipient, address, born)| {
            let Track { state, reason, .. } = settled.get(&id).copied().unwrap_or(born);
            state.is_failure().then_some(RecipientOutcome { recipient, address, state, reason })
        });
        Receipt { message, failures: failures.chain(self.rest_skipped).collect(), recipients }
    }
}
