//! The port to durable storage: small traits per noun, one method = one transaction, plain owned data in and out, `now` a
//! parameter, batches first (design 5). No transaction handle crosses the port; that is what lets a store commit many
//! waiting operations together. Refusals are results; only trouble with the store itself is a [`StoreError`].

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    account::{Account, AccountAdded, AccountChange, AccountNo, Follower, Profile},
    cap::{Cap, Draw, Drawn},
    delivery::{Event, Policy, Track},
    directory::{DirectoryChange, DirectoryReport, Group, GroupKind, GroupNo, Member, UserEntry},
    history::{HistoryFilter, HistoryPage},
    id::{Id, IdSource},
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    pace::Tokens,
    ports::{Desk, Moved, Progress},
    quota::{Admission, Admitted, Day, Sums},
    setup::{AppNo, ChannelNo, ProviderNo, User},
    time::{Clock, Timestamp},
    token::{KeptToken, TokenTurn},
};
pub use crate::{
    audience::{Addressee, Listed, People, Rest, Way, Who},
    batch::{Batch, Expansion, Lot, NewDelivery, Page, Place, Submitted},
    lease::{Cargo, Lease, LeasedRow},
    node::{Commits, NodeRecord},
    record::{
        Attempt, Cancelled, Capture, Declaration, DeclarationChange, DeliveryRecord, Depth, Doubt, MessageRecord,
        PlanChange, Recovered, Scheduled, ScheduledFilter,
    },
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

    /// Messages that are to be expanded and that this node looks after, of those whose time has come by `now`: at most `limit`, in the
    /// order of their times and ids, from `after` on.
    async fn expansions(
        &self,
        after: Option<(Timestamp, Id)>,
        limit: usize,
        now: Timestamp,
    ) -> StoreResult<Vec<Expansion>>;

    /// Messages whose later pages wait for a time after `now`: the first to come first, in the order of their times and ids, from
    /// `after` on, at most `limit`. On many nodes: those of all of them.
    async fn scheduled(
        &self,
        filter: ScheduledFilter,
        after: Option<(Timestamp, Id)>,
        limit: usize,
        now: Timestamp,
    ) -> StoreResult<Vec<Scheduled>>;

    /// Makes a message that waits for its time fire now: its time is from then on that of its acceptance, so that it is no longer
    /// scheduled. Its deliveries that were never claimed (lease 0) and wait for a later time become due at `now`. Answers whether
    /// there was anything to hasten, which there is not where all of it is due already, done, cancelled or unknown.
    async fn message_hasten(&self, id: Id, now: Timestamp) -> StoreResult<bool>;

    /// Messages of `app` under this businessId, the newest first (by id), those before `before`, at most `limit`.
    async fn messages_of_business(
        &self,
        app: AppNo,
        business: String,
        before: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<Id>>;

    /// A message with its deliveries and their attempts.
    async fn message_read(&self, id: Id) -> StoreResult<Option<MessageRecord>>;

    /// Where the deliveries of these messages stand, of those that another node may have moved without this one hearing of
    /// it. A store of a single node has none: it tells its [`Progress`] of every move.
    async fn outcomes(&self, messages: Vec<Id>) -> StoreResult<Vec<Moved>>;

    /// Erases the secrets ([`Content::erase_secret`]) of messages of which nothing is to come any more, at most `limit`; answers
    /// how many were erased.
    async fn secrets_erase(&self, limit: usize) -> StoreResult<usize>;

    /// Cancels every delivery of a message that is not in flight; answers how many, and whether anybody was still to follow.
    /// Nothing more is expanded.
    async fn message_cancel(&self, id: Id, now: Timestamp) -> StoreResult<Cancelled>;
}

/// Delivering.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Leases parcels of `channel` that are due to this node: priorities by their shares, apps in turns, whole parcels (so
    /// `limit`, in parcels, is exact and rows may be more). Empty where nothing is due.
    async fn claim(&self, channel: ChannelNo, limit: usize, now: Timestamp) -> StoreResult<Vec<Lease>>;

    /// The content and attachments of these messages; those that are gone are left out.
    async fn cargo_read(&self, messages: Vec<Id>) -> StoreResult<Vec<(Id, Cargo)>>;

    /// Runs each event through `step` and keeps what it says, in one commit. What fails for good gives its unit back to the
    /// windows of its account in the same commit, as it does wherever else a delivery ends ([`Messages::message_cancel`],
    /// [`Deliveries::expire`], [`Deliveries::recover`]). The answer has, for each change, the new track,
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

    /// Applies a plan; answers whether anything was done (a plan whose hash is the last applied one does nothing). A plan whose
    /// directory has a fault ([`DirectoryReport::faults`]) is refused as a [`StoreError::Conflict`] that names it, and nothing of it is
    /// done.
    async fn plan_apply(&self, plan: PlanChange) -> StoreResult<bool>;

    /// Changes what is declared; `false` where something has changed since the version that it goes out from, and then nothing of it
    /// is done. What was removed and is declared again has a new number.
    async fn declare(&self, change: DeclarationChange) -> StoreResult<bool>;

    /// The people with these codes, in any order; unknown codes are left out.
    async fn users_find(&self, codes: Vec<String>) -> StoreResult<Vec<User>>;

    /// Keeps `value` under `key` if nothing is kept there yet; answers what is kept there now.
    async fn note_once(&self, key: &str, value: &str) -> StoreResult<String>;

    /// What is kept under `key`.
    async fn note_read(&self, key: &str) -> StoreResult<Option<String>>;
}

/// People, and what they belong to ([`crate::directory`]).
#[async_trait]
pub trait Directory: Send + Sync {
    /// The people, disabled ones too, who are reached under one of these mail addresses (whose case, of ASCII, does not count) or
    /// phone numbers, each once. Nobody is reached under an empty one.
    async fn users_reached(&self, emails: Vec<String>, phones: Vec<String>) -> StoreResult<Vec<User>>;

    /// People, disabled ones too, in the order of their codes, those after `after`, at most `limit`.
    async fn users_page(&self, after: Option<String>, limit: usize) -> StoreResult<Vec<User>>;

    /// People as they are declared, with what they belong to; unknown codes are left out.
    async fn user_entries(&self, codes: Vec<String>) -> StoreResult<Vec<UserEntry>>;

    /// The groups of a kind with these codes; unknown codes are left out.
    async fn groups_find(&self, kind: GroupKind, codes: Vec<String>) -> StoreResult<Vec<Group>>;

    /// The groups of a kind in the order of their codes, those after `after`, at most `limit`.
    async fn groups_page(&self, kind: GroupKind, after: Option<String>, limit: usize) -> StoreResult<Vec<Group>>;

    /// These groups and every department below one of them, each once, in the order of their numbers.
    async fn groups_below(&self, groups: Vec<GroupNo>) -> StoreResult<Vec<GroupNo>>;

    /// The members, disabled ones too, of these groups (in the order of their numbers), group by group, each group's in the order
    /// of their codes, those after `after` (who need not be a member any more), at most `limit`. Who belongs to several of them comes
    /// with each.
    async fn members(
        &self,
        groups: Vec<GroupNo>,
        after: Option<(GroupNo, String)>,
        limit: usize,
    ) -> StoreResult<Vec<Member>>;

    /// Changes the directory in one commit; where there is a fault, or where `dry` says so, nothing is done. Whoever becomes
    /// enabled or disabled does so at `now`. Whether departments form a tree is judged as they are after the whole change.
    async fn directory_change(
        &self,
        change: DirectoryChange,
        dry: bool,
        now: Timestamp,
    ) -> StoreResult<DirectoryReport>;
}

/// What people find in their inbox ([`crate::inbox`]).
#[async_trait]
pub trait Inboxes: Send + Sync {
    /// Puts items into inboxes; what is there already stays as it is.
    async fn inbox_put(&self, items: Vec<NewItem>) -> StoreResult<()>;

    /// What a person finds, at most `limit`: their own items, and broadcasts that fired while they were there and enabled. The newest
    /// first, by when they came ([`InboxItem::at`]), then by id: what was scheduled lies where it fired. `before` is an item of this
    /// inbox, deleted or not, and those that lie behind it in this order are meant; one that is gone counts as of the time in its id.
    async fn inbox(
        &self,
        user: String,
        filter: InboxFilter,
        before: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<InboxItem>>;

    /// One item of a person's inbox; `None` where they do not have it, or have deleted it.
    async fn inbox_read(&self, user: String, id: Id) -> StoreResult<Option<InboxItem>>;

    /// How many items a person has not read, those put away left out.
    async fn inbox_unread(&self, user: String) -> StoreResult<u64>;

    /// Marks items of a person; answers those that this changed, in any order. What is not theirs, or was deleted, is left alone.
    /// Of [`Which::All`] one call changes at most [`crate::limits::INBOX_MARKS_MAX`], so that no commit holds up the others: where it
    /// changed as many there may be more, and fewer were the last.
    async fn inbox_mark(&self, user: String, which: Which, mark: Mark, now: Timestamp) -> StoreResult<Vec<Marked>>;

    /// Items that came to these people after the moment that each is named with, the oldest first (by when they came, then by id), at
    /// most `limit` each; deleted ones are left out. A moment may
    /// be named again and items seen again: what one node puts may be seen a little later by another.
    async fn inbox_news(
        &self,
        readers: Vec<(String, Timestamp)>,
        limit: usize,
    ) -> StoreResult<Vec<(String, InboxItem)>>;

    /// Keeps a person's token, by its SHA-256, until `expires`.
    async fn inbox_token_add(&self, token: InboxToken, hash: [u8; 32], expires: Timestamp) -> StoreResult<()>;

    /// Whose token this is, if it counts still and the person is enabled.
    async fn inbox_token_find(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<InboxToken>>;
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

/// The accounts of the token API, and the tokens by which they speak.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Adds an account. Names and contacts are compared byte for byte.
    async fn account_add(&self, name: String, profile: Profile, now: Timestamp) -> StoreResult<AccountAdded>;

    /// The account with this name.
    async fn account_find(&self, name: String) -> StoreResult<Option<Account>>;

    /// Accounts in the order of their names, those after `after`, at most `limit`.
    async fn accounts(&self, after: Option<String>, limit: usize) -> StoreResult<Vec<Account>>;

    /// The names of these accounts; those that are gone are left out.
    async fn account_names(&self, accounts: Vec<AccountNo>) -> StoreResult<Vec<(AccountNo, String)>>;

    /// Changes an account; answers what it is now, `None` where there is none of that name.
    async fn account_change(&self, name: String, change: AccountChange) -> StoreResult<Option<Account>>;

    /// Removes an account and ends its tokens; answers whether there was one. What it sent stays on record.
    async fn account_remove(&self, name: String) -> StoreResult<bool>;

    /// Keeps a token, by its SHA-256, until `expires`; `false` where the account is gone or disabled, or has another
    /// password by now than `password` (its hash).
    async fn account_token_add(
        &self,
        name: String,
        password: String,
        hash: [u8; 32],
        expires: Timestamp,
    ) -> StoreResult<bool>;

    /// The enabled account that speaks by a token, if it counts still.
    async fn account_token_find(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<Account>>;

    /// What accounts have sent: rows that `filter` selects, the newest first, `skip` of them left out, at most `limit`.
    async fn history(&self, filter: HistoryFilter, skip: usize, limit: usize) -> StoreResult<HistoryPage>;
}

/// Those who follow official accounts, each under the number of the provider that is the account.
#[async_trait]
pub trait Followers: Send + Sync {
    /// The tag of a follower; one who has none gets the next number, of all of them together from
    /// [`crate::account::FIRST_TAG`] on without a gap. Answers whether it is new.
    async fn follower_tag(&self, provider: ProviderNo, openid: String) -> StoreResult<(Follower, bool)>;

    /// Keeps whether someone follows. Of somebody without a tag nothing is kept.
    async fn follower_subscribed(&self, provider: ProviderNo, openid: String, subscribed: bool) -> StoreResult<()>;

    /// Those with these tags; unknown ones are left out.
    async fn followers(&self, provider: ProviderNo, tags: Vec<u32>) -> StoreResult<Vec<Follower>>;
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
    /// open delivery, nor one of which somebody is still to follow ([`Rest`]), however long ago it was accepted. In steps of about `limit` messages, or of whole days where the store keeps days apart (what shares a day
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
pub trait Store:
    Messages
    + Deliveries
    + Declarations
    + Directory
    + Inboxes
    + Captures
    + Accounts
    + Followers
    + AccessTokens
    + Limits
    + Upkeep
{
}

impl<T> Store for T where
    T: Messages
        + Deliveries
        + Declarations
        + Directory
        + Inboxes
        + Captures
        + Accounts
        + Followers
        + AccessTokens
        + Limits
        + Upkeep
{
}
