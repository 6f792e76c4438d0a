//! Accepting: from a resolved submission to a durable message, and, where the dialect is patient, to what became of it.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_core::{
    account::AccountNo,
    address::Mailbox,
    cap::{Cap, Draw, Drawn},
    delivery::{State, Track},
    id::{Id, IdSource, IdsExhausted, bucket_of_key},
    limits,
    message::{Label, Message, MessageState},
    ports::{SealError, Sealer},
    quota::{self, Admission},
    setup::{AppNo, Channel, ChannelNo, CurrentSetup, Setup, User},
    store::{Addressee, Batch, Listed, Lot, MessageRecord, Rest, Store, StoreError, Submitted, Way, Who},
    time::{Clock, Timestamp},
};

use crate::{
    expand::Expander,
    metrics::IntakeMetrics,
    page::deliveries,
    receipt::{self, Receipt, RecipientOutcome},
    submission::{Draft, Resolved, Submission},
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

/// Why a submission was not accepted. Nothing was stored, except where a [`StoreError`] says that it cannot know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The idempotency key came before with another request.
    #[error("the idempotency key was used before with another request")]
    KeyReused,
    /// The node's ids have run ahead of its clock.
    #[error(transparent)]
    Ids(#[from] IdsExhausted),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The account's limits have no room for it.
    #[error("over the account's limits")]
    OverLimit(quota::Refusal),
    /// A secret in the content cannot be sealed.
    #[error("a secret cannot be sealed: {0}")]
    Seal(#[from] SealError),
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
        let (dialect, channel) = (submission.dialect, Arc::clone(&submission.channel));
        let now = self.now();
        let key = submission.idempotency.as_ref().map(|idempotency| (submission.app, idempotency.key.clone()));
        let batch = self.batch(submission, resolved, now)?;
        let id = batch.message.id;
        let waiter = Waiter::new(&batch, patience);
        let ticket = waiter.expected().and_then(|n| self.deps.waiting.register(id, channel.no, n, now + patience));
        let expanding = batch.rest.is_some();

        match self.deps.store.submit(batch, now).await? {
            Submitted::KeyReused => Err(Refusal::KeyReused),
            Submitted::OverLimit(refusal) => Err(Refusal::OverLimit(refusal)),
            Submitted::Seen(first) => {
                drop(ticket);
                self.replay(first, channel.no, key, &shared, patience).await
            }
            Submitted::Stored => {
                self.deps.metrics.accepted(dialect, &channel.code, began.elapsed());
                if expanding {
                    self.expander.wake();
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
        }
    }

    /// The request as one batch: message, first page, content, key.
    fn batch(&self, submission: Submission, resolved: Resolved, now: Timestamp) -> Result<Batch, Refusal> {
        let setup = self.deps.setup.get();
        let mut draft = submission.draft;
        let is_for_each = matches!(draft, Draft::Mails(_));
        if let Draft::Mail(mail) | Draft::Mails(mail) = &mut draft
            && mail.from.is_none()
        {
            mail.from = sender_of(&setup, &submission.channel);
        }
        let account = AccountNo::of_app(submission.app);
        let bucket = match (account, &submission.idempotency) {
            (Some(account), _) => account.bucket(),
            (None, Some(key)) => bucket_of_key(submission.app, &key.key),
            (None, None) => self.deps.ids.home(),
        };
        let first_page = (resolved.to.len() + resolved.cc.len()).min(limits::PAGE_RECIPIENTS_MAX);
        let id = self.deps.ids.block(1 + first_page, bucket, now)?;
        let (content, attachments) = draft.render(&resolved, id, now, &*self.deps.sealer)?;
        let mut addressees: Vec<Addressee> = resolved.to.into_iter().chain(resolved.cc).collect();
        let sent = addressees.iter().filter(|addressee| addressee.skipped.is_none()).count();
        let later = addressees.split_off(first_page);
        let expires = now + limits::TIME_TO_LIVE;
        let parcel_max = if is_for_each { 1 } else { setup.call_recipients_max(&submission.channel) };
        let way = Way { channel: submission.channel.no, parcel_max };
        let rest =
            (!later.is_empty()).then(|| Rest { due: now, who: Who::Listed(vec![Listed { way, addressees: later }]) });
        let admission = account.zip(submission.windows).map(|(account, windows)| Admission {
            account: account.windows(),
            id,
            amount: u32::try_from(sent).unwrap_or(u32::MAX),
            hour_max: windows.per_hour,
            day_max: windows.per_day,
            day: windows.day,
            fit: windows.fit,
        });
        Ok(Batch {
            message: Message {
                id,
                app: submission.app,
                dialect: submission.dialect,
                operation: submission.operation.to_owned(),
                user: submission.user,
                client: submission.client,
                priority: submission.priority,
                state: if rest.is_none() { MessageState::Expanded } else { MessageState::Expanding },
                label: Label::default(),
                accepted: now,
                expires,
            },
            idempotency: submission.idempotency,
            admission,
            channel: submission.channel.no,
            content: Arc::new(content),
            attachments: Arc::new(attachments),
            page: vec![Lot { way, deliveries: deliveries(addressees, id.plus(1), now, expires) }],
            rest,
        })
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

/// Who a mail of `channel` is from that names nobody: the sender of the first provider that is in use. Settled at acceptance, so
/// that a try by another provider, or after a change of the plan, sends the same bytes with the same Message-ID.
fn sender_of(setup: &Setup, channel: &Channel) -> Option<Mailbox> {
    let provider = channel.providers.iter().filter_map(|no| setup.provider(*no)).find(|provider| provider.enabled)?;
    Mailbox::parse(provider.kind.sender()).ok()
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
        let later = match batch.rest.as_ref().map(|rest| &rest.who) {
            Some(Who::Listed(lists)) => lists.first().map_or(&[][..], |listed| &listed.addressees),
            _ => &[],
        };
        Self {
            page: batch.deliveries().map(|d| (d.id, d.recipient.clone(), d.address.clone(), d.track)).collect(),
            rest: later.len(),
            rest_skipped: later.iter().filter_map(skipped).collect(),
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
