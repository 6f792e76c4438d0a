//! The port to durable storage: small traits per noun, one method = one transaction, plain owned data in and out, `now` a
//! parameter, batches first (design 5). No transaction handle crosses the port; that is what lets a store commit many
//! waiting operations together. Refusals are results; only trouble with the store itself is a [`StoreError`].

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    cap::{Cap, Draw, Drawn},
    content::Content,
    delivery::{Event, Policy, Track},
    id::{Id, IdSource},
    message::{Idempotency, Message},
    pace::Tokens,
    ports::{Desk, Moved, Progress},
    quota::{Admission, Admitted, Day, Sums},
    setup::{AppNo, ChannelNo, ProviderNo, User},
    time::{Clock, Timestamp},
    token::{KeptToken, TokenTurn},
};
pub use crate::{
    lease::{Cargo, Lease, LeasedRow},
    node::{Commits, NodeRecord},
};

/// Trouble with the store. `certain` says whether the operation certainly did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Two operations collided; trying again may help.
    #[error("the store refused a conflicting change: {0}")]
    Conflict(String),
    /// What the operation is about is no longer there.
    #[error("no longer in the store: {0}")]
    Gone(String),
    /// Too much waits already. It certainly did not happen.
    #[error("the store has too much waiting: {0}")]
    Busy(String),
    /// The store cannot be reached or cannot write.
    #[error("the store is unavailable: {why}")]
    Unavailable {
        /// What it said.
        why: String,
        /// Whether the operation certainly did not happen.
        certain: bool,
    },
    /// The store's content is damaged or is not ours.
    #[error("the store is damaged or not ours: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether the operation certainly did not happen.
    pub const fn certainly_not_done(&self) -> bool {
        !matches!(self, Self::Unavailable { certain: false, .. })
    }
}

/// What a store operation answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// A whole request: stored in one commit or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The message. Its first page's deliveries have the ids that follow its own.
    pub message: Message,
    /// The caller's key, if it sent one.
    pub idempotency: Option<Idempotency>,
    /// The channel of the first page (and of the rest).
    pub channel: ChannelNo,
    /// What it says.
    pub content: Arc<Content>,
    /// The bytes of its attachments.
    pub attachments: Arc<Vec<Vec<u8>>>,
    /// The first page, at most [`crate::limits::PAGE_RECIPIENTS_MAX`] recipients.
    pub page: Vec<NewDelivery>,
    /// Into parcels of how many the ready deliveries of the page (and of later ones) are divided, in their order; one at least.
    pub parcel_max: usize,
    /// Who follows in later pages; the message is `expanding` while any do.
    pub rest: Vec<Addressee>,
}

/// A recipient of an explicit list, resolved and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// As the caller named them.
    pub recipient: String,
    /// Where the channel reaches them; empty where `skipped`.
    pub address: String,
    /// Why they get nothing.
    pub skipped: Option<crate::delivery::Reason>,
}

/// A delivery to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id; a page's ids are a block.
    pub id: Id,
    /// As the caller named the recipient.
    pub recipient: String,
    /// Where the channel reaches them.
    pub address: String,
    /// Where it stands: ready or skipped. The store may lease what is ready and due (born leased).
    pub track: Track,
}

/// What became of a submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is on disk.
    Stored,
    /// The same key came with the same request before: this is the message.
    Seen(Id),
    /// The same key came with another request before. Nothing was stored.
    KeyReused,
}

/// A later page of a message's audience.
#[derive(Clone, Debug)]
pub struct Page {
    /// The message.
    pub message: Id,
    /// How many of the rest were expanded before this page; another value in the store means that somebody was faster.
    pub cursor: usize,
    /// The deliveries.
    pub deliveries: Vec<NewDelivery>,
    /// Into parcels of how many the ready ones are divided, in their order; one at least.
    pub parcel_max: usize,
    /// Whether this is the last page.
    pub last: bool,
}

/// A message whose audience is not yet expanded.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// The message.
    pub message: Message,
    /// Its channel.
    pub channel: ChannelNo,
    /// How many of the rest are expanded.
    pub cursor: usize,
    /// The rest, as submitted.
    pub rest: Vec<Addressee>,
}

/// Something that happened to a delivery, to be run through [`crate::delivery::step`] and kept.
#[derive(Clone, Debug)]
pub struct Change {
    /// The delivery.
    pub delivery: Id,
    /// What happened.
    pub event: Event,
    /// The rules of its channel.
    pub policy: Arc<Policy>,
    /// The try that it ends, for the record; kept even when the event changes nothing.
    pub attempt: Option<Attempt>,
}

/// One try at one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// By which provider.
    pub provider: ProviderNo,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// The kind of outcome ([`crate::outcome::Outcome::as_str`]).
    pub outcome: String,
    /// The provider's words.
    pub reply: String,
}

/// What recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries that go back to be sent.
    pub ready: usize,
    /// Deliveries whose outcome nobody knows.
    pub unknown: usize,
    /// Deliveries set aside because the node died while they alone were in flight.
    pub poison: usize,
}

/// A delivery whose outcome nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The delivery.
    pub delivery: Id,
    /// Where the channel reaches the recipient.
    pub address: String,
    /// By which provider it was last tried, where that try ended unknown; absent: a node died before it could say by whom.
    pub provider: Option<ProviderNo>,
    /// When it was last tried: the last attempt on record, or else the first call.
    pub at: Timestamp,
}

/// How much of one channel waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The channel.
    pub channel: ChannelNo,
    /// Deliveries that are ready, due or not.
    pub ready: u64,
    /// When the oldest of those that are due became due; absent: none is due.
    pub oldest_due: Option<Timestamp>,
}

/// A message as it stands, for people and programs that look it up.
#[derive(Clone, Debug)]
pub struct MessageRecord {
    /// The message.
    pub message: Message,
    /// Its channel.
    pub channel: ChannelNo,
    /// Its deliveries, in order.
    pub deliveries: Vec<DeliveryRecord>,
}

/// A delivery as it stands.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    /// The delivery.
    pub id: Id,
    /// Its parcel.
    pub parcel: Id,
    /// As the caller named the recipient.
    pub recipient: String,
    /// Where the channel reaches them.
    pub address: String,
    /// Where it stands.
    pub track: Track,
    /// Its tries, the oldest first.
    pub attempts: Vec<Attempt>,
}

/// What a capture provider kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its id.
    pub id: Id,
    /// The message.
    pub message: Id,
    /// The provider's code.
    pub provider: String,
    /// When it would have been sent.
    pub at: Timestamp,
    /// The envelope sender.
    pub sender: String,
    /// The envelope recipients.
    pub recipients: Vec<String>,
    /// The bytes that would have been sent.
    pub body: Vec<u8>,
}

/// One declared thing in its stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// `app`, `channel`, `provider` or `setting`.
    pub kind: String,
    /// Its code; a setting's key.
    pub code: String,
    /// Its number, given by the store at first sight; ignored when applying.
    pub no: u32,
    /// The rest, as JSON whose secrets are sealed.
    pub doc: String,
}

/// A plan in its stored form, applied in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanChange {
    /// SHA-256 of the plan file, hex.
    pub hash: String,
    /// What it declares; what it does not name stays.
    pub declarations: Vec<Declaration>,
    /// The people it declares.
    pub users: Vec<User>,
}

/// Accepting and looking up.
#[async_trait]
pub trait Messages: Send + Sync {
    /// Stores a request in one commit. What is due may be born leased: handed to the desk after the commit, whether or not
    /// the caller still waits for this answer.
    async fn submit(&self, batch: Batch, now: Timestamp) -> StoreResult<Submitted>;

    /// The answer that was kept for an idempotency key of `app`.
    async fn answer_read(&self, app: AppNo, key: String) -> StoreResult<Option<String>>;

    /// Keeps what a request with an idempotency key was answered, so that its repeats are answered the same; the first
    /// answer stays. Answers what is kept now; a key that is forgotten keeps nothing.
    async fn answer_keep(&self, app: AppNo, key: String, answer: String) -> StoreResult<String>;

    /// Adds a later page and moves the cursor in one commit; `false` when the cursor is not where the page begins.
    async fn page_add(&self, page: Page, now: Timestamp) -> StoreResult<bool>;

    /// Messages that are being expanded, at most `limit`, the oldest first, from `after` on.
    async fn expansions(&self, after: Option<Id>, limit: usize) -> StoreResult<Vec<Expansion>>;

    /// A message with its deliveries and their attempts.
    async fn message_read(&self, id: Id) -> StoreResult<Option<MessageRecord>>;

    /// Where the deliveries of these messages stand, of those that another node may have moved without this one hearing of
    /// it. A store of a single node has none: it tells its [`Progress`] of every move.
    async fn outcomes(&self, messages: Vec<Id>) -> StoreResult<Vec<Moved>>;

    /// Erases the secrets ([`Content::erase_secret`]) of messages of which nothing is to come any more, at most `limit`; answers
    /// how many were erased.
    async fn secrets_erase(&self, limit: usize) -> StoreResult<usize>;

    /// Cancels every delivery of a message that is not in flight; answers how many. Nothing more is expanded.
    async fn message_cancel(&self, id: Id, now: Timestamp) -> StoreResult<usize>;
}

/// Delivering.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Leases parcels of `channel` that are due to this node: priorities by their shares, apps in turns, whole parcels (so
    /// `limit`, in parcels, is exact and rows may be more). Empty where nothing is due.
    async fn claim(&self, channel: ChannelNo, limit: usize, now: Timestamp) -> StoreResult<Vec<Lease>>;

    /// The content and attachments of these messages; those that are gone are left out.
    async fn cargo_read(&self, messages: Vec<Id>) -> StoreResult<Vec<(Id, Cargo)>>;

    /// Runs each event through `step` and keeps what it says, in one commit. The answer has, for each change, the new track,
    /// or `None` where the event changed nothing.
    async fn settle(&self, changes: Vec<Change>, now: Timestamp) -> StoreResult<Vec<Option<Track>>>;

    /// Whether a lease that this node was given is still its own, as far as it can know without asking: the others have heard
    /// of this node lately, and it has not been declared dead meanwhile. What is not held any more is not sent.
    fn holds(&self, delivery: Id, lease: u32) -> bool;

    /// Takes back what dead nodes held (a store of a single node: what that one held when it last stopped), and what this
    /// node is on record for holding although it does not know of it. Called before anything is claimed, and every second.
    async fn recover(&self, policies: Policies, now: Timestamp) -> StoreResult<Recovered>;

    /// Expires deliveries that wait although their time is over (a paused channel), at most `limit`; answers how many.
    async fn expire(&self, limit: usize, now: Timestamp) -> StoreResult<usize>;

    /// Deliveries of `channel` that are unknown ([`crate::delivery::State::Unknown`]) and that this node looks after, of those
    /// accepted at `since` or later: the oldest first, from `after` on, at most `limit`.
    async fn doubts(
        &self,
        channel: ChannelNo,
        since: Timestamp,
        after: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<Doubt>>;

    /// When the next delivery of `channel` that is not yet due becomes due.
    async fn next_due(&self, channel: ChannelNo, now: Timestamp) -> StoreResult<Option<Timestamp>>;

    /// How much waits, for each channel of which something does. Counters, not scans.
    async fn depths(&self) -> StoreResult<Vec<Depth>>;
}

/// The rules of each channel, for recovery.
pub type Policies = Arc<dyn Fn(ChannelNo) -> Arc<Policy> + Send + Sync>;

/// What is declared.
#[async_trait]
pub trait Declarations: Send + Sync {
    /// The version of what is declared; it grows with every change.
    async fn setup_version(&self) -> StoreResult<i64>;

    /// Everything declared, but for people, with its version.
    async fn declarations(&self) -> StoreResult<(i64, Vec<Declaration>)>;

    /// Applies a plan; answers whether anything was done (a plan whose hash is the last applied one does nothing).
    async fn plan_apply(&self, plan: PlanChange) -> StoreResult<bool>;

    /// The people with these codes, in any order; unknown codes are left out.
    async fn users_find(&self, codes: Vec<String>) -> StoreResult<Vec<User>>;

    /// Keeps `value` under `key` if nothing is kept there yet; answers what is kept there now.
    async fn note_once(&self, key: &str, value: &str) -> StoreResult<String>;

    /// What is kept under `key`.
    async fn note_read(&self, key: &str) -> StoreResult<Option<String>>;
}

/// What capture providers keep.
#[async_trait]
pub trait Captures: Send + Sync {
    /// Keeps a capture, and of all only the newest: [`crate::limits::CAPTURES_KEPT`] at most, and bodies of
    /// [`crate::limits::CAPTURES_BYTES_KEPT`] at most.
    async fn capture_add(&self, capture: Capture) -> StoreResult<()>;

    /// Captures, the newest first, those before `before`: at most `limit`, and fewer where their bodies exceed
    /// [`crate::limits::CAPTURES_PAGE_BYTES_MAX`]. Only an empty page is the last.
    async fn captures(&self, before: Option<Id>, limit: usize) -> StoreResult<Vec<Capture>>;
}

/// The access tokens of providers, one for all nodes ([`crate::token`]). Each method is one of [`crate::token::TokenRow`]'s.
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// Asks for the token under `key`, other than the one of version `failed`.
    async fn token_ask(&self, key: String, failed: Option<u64>, now: Timestamp) -> StoreResult<TokenTurn>;

    /// Keeps what was fetched in `turn`; `None` where the turn has passed to somebody else.
    async fn token_keep(
        &self,
        key: String,
        turn: u64,
        sealed: String,
        expires: Timestamp,
    ) -> StoreResult<Option<KeptToken>>;

    /// Nothing could be fetched in `turn`: nobody tries again before `until`.
    async fn token_fail(&self, key: String, turn: u64, until: Timestamp) -> StoreResult<()>;
}

/// What may be sent, exactly and across all nodes: window accounts ([`crate::quota`]), paces ([`crate::pace`]) and caps
/// ([`crate::cap`]).
#[async_trait]
pub trait Limits: Send + Sync {
    /// Admits a request whole or not at all, whatever is admitted beside it. An id that the account has on record is
    /// admitted again and counts once.
    async fn window_admit(&self, admission: Admission, now: Timestamp) -> StoreResult<Admitted>;

    /// Gives back up to `amount` units of what an account admitted under `id`, while it counts in a window still; answers how
    /// many, in all never more than were admitted.
    async fn window_refund(&self, account: String, id: Id, amount: u32, now: Timestamp) -> StoreResult<u32>;

    /// What an account has used by `now`, whose day is `day`.
    async fn window_used(&self, account: String, day: Day, now: Timestamp) -> StoreResult<Sums>;

    /// Takes up to `want` tokens from the pace under `key`, of `rate` a second and `burst` at once. They are the caller's, used
    /// or not.
    async fn tokens_take(&self, key: String, rate: f64, burst: u32, want: u32, now: Timestamp) -> StoreResult<Tokens>;

    /// Makes each of these draws under the same caps ([`crate::cap::CAPS_MAX`] at most), in their order, each by itself.
    async fn caps_draw(&self, caps: Vec<Cap>, draws: Vec<Draw>, now: Timestamp) -> StoreResult<Vec<Drawn>>;
}

/// Upkeep.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Connects the store to the rest of the node, once, before anything is submitted or claimed.
    fn attach(&self, desk: Arc<dyn Desk>, progress: Arc<dyn Progress>);

    /// Where this node takes its ids from. They lie above all that its node number has used before.
    fn ids(&self) -> Arc<IdSource>;

    /// The clock by which this node's due times and windows are judged, the same for all nodes of a store.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Says that this node is about to leave, so that the others look at once after what it would have looked after.
    async fn stopping(&self) -> StoreResult<()>;

    /// The nodes of the store, the dead of the last day among them.
    async fn nodes(&self) -> StoreResult<Vec<NodeRecord>>;

    /// Forgets history of messages accepted before `before`, and idempotency keys whose time is over; never a message with an
    /// open delivery. In steps of about `limit` messages, or of whole days where the store keeps days apart (what shares a day
    /// with something younger then stays as long as that). Answers whether more is left to do.
    async fn prune(&self, before: Timestamp, limit: usize, now: Timestamp) -> StoreResult<bool>;

    /// Whether the store can write, found out by writing.
    async fn ping(&self, now: Timestamp) -> StoreResult<()>;

    /// How well commits were shared since the store was opened.
    fn commits(&self) -> Commits;

    /// Finishes what waits and closes the store.
    async fn close(&self);
}

/// The whole store.
pub trait Store: Messages + Deliveries + Declarations + Captures + AccessTokens + Limits + Upkeep {}

impl<T: Messages + Deliveries + Declarations + Captures + AccessTokens + Limits + Upkeep> Store for T {}
