//! The store itself: each method of the port is handed to the writer as an operation, or to a reader as a look-up.

mod people;

use std::{
    fs::File,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, AccountNo, Follower, Profile},
    cap::{Cap, Draw, Drawn},
    delivery::Track,
    history::{HistoryFilter, HistoryPage},
    id::{Id, IdSource},
    pace::Tokens,
    ports::{Desk, Moved, Progress},
    quota::{Admission, Admitted, Day, Sums},
    setup::{AppNo, ChannelNo, ProviderNo, User},
    store::{
        AccessTokens, Accounts, Batch, Cancelled, Capture, Captures, Cargo, Change, Commits, Declaration,
        DeclarationChange, Declarations, Deliveries, Depth, Doubt, Expansion, Followers, Lease, Limits, MessageRecord,
        Messages, NodeRecord, Page, PlanChange, Policies, Recovered, Scheduled, ScheduledFilter, StoreResult,
        Submitted, Upkeep,
    },
    time::{Clock, SystemClock, Timestamp},
    token::{KeptToken, TokenTurn},
};

use crate::{
    accounts, audience,
    checkpoint::Checkpointer,
    directory, history,
    ops::{
        account::{AccountAdd, AccountAlter, AccountRemove, AccountTokenAdd},
        answer::AnswerKeep,
        cancel::Cancel,
        cap::CapsDraw,
        capture::CaptureAdd,
        claim::Claim,
        depth::{Depths, NextDue},
        erase::SecretsErase,
        expire::Expire,
        follower::{FollowerSubscribed, FollowerTag},
        hasten::Hasten,
        page::PageAdd,
        plan::{Declare, NoteOnce, PlanApply},
        prune::Prune,
        quota::{TokensTake, WindowAdmit, WindowRefund},
        recover::Recover,
        settle::Settle,
        submit::Submit,
        token::{TokenAsk, TokenFail, TokenKeep},
        upkeep::Ping,
    },
    readers::Readers,
    reads,
    transaction::Links,
    windows,
    writer::Writer,
};

/// A store in one SQLite file. Made by [`crate::open`]; dropping it finishes what waits and frees the file.
pub struct SqliteStore {
    inner: Arc<Inner>,
}

/// What is taken down in this order: nothing new is written, nothing read, nothing copied, and then the file is free.
struct Inner {
    ids: Arc<IdSource>,
    started: Timestamp,
    writer: Writer,
    readers: Readers,
    checkpointer: Mutex<Option<Checkpointer>>,
    lock: Mutex<Option<File>>,
}

impl SqliteStore {
    /// `last` is the highest id that is stored.
    pub(crate) fn new(
        last: Option<Id>,
        writer: Writer,
        readers: Readers,
        checkpointer: Checkpointer,
        lock: File,
    ) -> Self {
        let (checkpointer, lock) = (Mutex::new(Some(checkpointer)), Mutex::new(Some(lock)));
        let (ids, started) = (Arc::new(IdSource::new(0, last)), SystemClock.now());
        Self { inner: Arc::new(Inner { ids, started, writer, readers, checkpointer, lock }) }
    }
}

impl Inner {
    /// Ends the threads and frees the file. Blocks.
    fn close(&self) {
        self.readers.close();
        self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last connection to go copies what is left of the log and removes it.
        self.writer.close();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Messages for SqliteStore {
    async fn submit(&self, batch: Batch, now: Timestamp) -> StoreResult<Submitted> {
        self.inner.writer.write_or_refuse(Submit::new(batch, now)).await
    }

    async fn answer_read(&self, app: AppNo, key: String) -> StoreResult<Option<String>> {
        self.inner.readers.read(move |db| reads::answer(db, app, &key)).await
    }

    async fn answer_keep(&self, app: AppNo, key: String, answer: String) -> StoreResult<String> {
        self.inner.writer.write(AnswerKeep { app, key, answer }).await
    }

    async fn page_add(&self, page: Page, now: Timestamp) -> StoreResult<bool> {
        self.inner.writer.write(PageAdd { page, now }).await
    }

    async fn expansions(
        &self,
        after: Option<(Timestamp, Id)>,
        limit: usize,
        now: Timestamp,
    ) -> StoreResult<Vec<Expansion>> {
        self.inner.readers.read(move |db| audience::expansions(db, after, limit, now)).await
    }

    async fn scheduled(
        &self,
        filter: ScheduledFilter,
        after: Option<(Timestamp, Id)>,
        limit: usize,
        now: Timestamp,
    ) -> StoreResult<Vec<Scheduled>> {
        self.inner.readers.read(move |db| audience::scheduled(db, &filter, after, limit, now)).await
    }

    async fn message_hasten(&self, message: Id, now: Timestamp) -> StoreResult<bool> {
        self.inner.writer.write(Hasten { message, now }).await
    }

    async fn messages_of_business(
        &self,
        app: AppNo,
        business: String,
        before: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<Id>> {
        self.inner.readers.read(move |db| reads::of_business(db, app, &business, before, limit)).await
    }

    async fn message_read(&self, id: Id) -> StoreResult<Option<MessageRecord>> {
        self.inner.readers.read(move |db| reads::message(db, id)).await
    }

    async fn outcomes(&self, _: Vec<Id>) -> StoreResult<Vec<Moved>> {
        Ok(Vec::new())
    }

    async fn secrets_erase(&self, limit: usize) -> StoreResult<usize> {
        self.inner.writer.write(SecretsErase { limit }).await
    }

    async fn message_cancel(&self, message: Id, now: Timestamp) -> StoreResult<Cancelled> {
        self.inner.writer.write(Cancel { message, now }).await
    }
}

#[async_trait]
impl Deliveries for SqliteStore {
    async fn claim(&self, channel: ChannelNo, limit: usize, now: Timestamp) -> StoreResult<Vec<Lease>> {
        let back_door = self.inner.writer.back_door();
        Ok(self.inner.writer.write(Claim { channel, limit, now, back_door }).await?.into_leases())
    }

    async fn cargo_read(&self, messages: Vec<Id>) -> StoreResult<Vec<(Id, Cargo)>> {
        let stored = self.inner.readers.read(move |db| reads::cargo(db, &messages)).await?;
        stored.into_iter().map(|cargo| cargo.decode().map_err(|trouble| trouble.told())).collect()
    }

    async fn settle(&self, changes: Vec<Change>, now: Timestamp) -> StoreResult<Vec<Option<Track>>> {
        self.inner.writer.write(Settle { changes, now }).await
    }

    fn holds(&self, _: Id, _: u32) -> bool {
        true
    }

    async fn recover(&self, policies: Policies, now: Timestamp) -> StoreResult<Recovered> {
        self.inner.writer.write(Recover { policies, now }).await
    }

    async fn expire(&self, limit: usize, now: Timestamp) -> StoreResult<usize> {
        self.inner.writer.write(Expire { limit, now }).await
    }

    async fn doubts(
        &self,
        channel: ChannelNo,
        since: Timestamp,
        after: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<Doubt>> {
        self.inner.readers.read(move |db| reads::doubts(db, channel, since, after, limit)).await
    }

    async fn next_due(&self, channel: ChannelNo, now: Timestamp) -> StoreResult<Option<Timestamp>> {
        self.inner.writer.write(NextDue { channel, now }).await
    }

    async fn depths(&self) -> StoreResult<Vec<Depth>> {
        self.inner.writer.write(Depths).await
    }
}

#[async_trait]
impl Declarations for SqliteStore {
    async fn setup_version(&self) -> StoreResult<i64> {
        self.inner.readers.read(reads::setup_version).await
    }

    async fn declarations(&self) -> StoreResult<(i64, Vec<Declaration>)> {
        self.inner.readers.read(reads::declarations).await
    }

    async fn plan_apply(&self, plan: PlanChange) -> StoreResult<bool> {
        // A plan names no moment; whoever it enables or disables is so from now on.
        let now = self.clock().now();
        self.inner.writer.write(PlanApply { plan, now }).await
    }

    async fn declare(&self, change: DeclarationChange) -> StoreResult<bool> {
        self.inner.writer.write(Declare { change }).await
    }

    async fn users_find(&self, codes: Vec<String>) -> StoreResult<Vec<User>> {
        self.inner.readers.read(move |db| directory::users(db, &codes)).await
    }

    async fn note_once(&self, key: &str, value: &str) -> StoreResult<String> {
        self.inner.writer.write(NoteOnce { key: key.to_owned(), value: value.to_owned() }).await
    }

    async fn note_read(&self, key: &str) -> StoreResult<Option<String>> {
        let key = key.to_owned();
        self.inner.readers.read(move |db| reads::note(db, &key)).await
    }
}

#[async_trait]
impl Captures for SqliteStore {
    async fn capture_add(&self, capture: Capture) -> StoreResult<()> {
        self.inner.writer.write(CaptureAdd { capture }).await
    }

    async fn captures(&self, before: Option<Id>, limit: usize) -> StoreResult<Vec<Capture>> {
        self.inner.readers.read(move |db| reads::captures(db, before, limit)).await
    }
}

#[async_trait]
impl Accounts for SqliteStore {
    async fn account_add(&self, name: String, profile: Profile, now: Timestamp) -> StoreResult<AccountAdded> {
        self.inner.writer.write(AccountAdd { name, profile, now }).await
    }

    async fn account_find(&self, name: String) -> StoreResult<Option<Account>> {
        self.inner.readers.read(move |db| accounts::find(db, &name)).await
    }

    async fn accounts(&self, after: Option<String>, limit: usize) -> StoreResult<Vec<Account>> {
        self.inner.readers.read(move |db| accounts::list(db, after.as_deref(), limit)).await
    }

    async fn account_names(&self, accounts: Vec<AccountNo>) -> StoreResult<Vec<(AccountNo, String)>> {
        self.inner.readers.read(move |db| accounts::names(db, &accounts)).await
    }

    async fn account_change(&self, name: String, change: AccountChange) -> StoreResult<Option<Account>> {
        self.inner.writer.write(AccountAlter { name, change }).await
    }

    async fn account_remove(&self, name: String) -> StoreResult<bool> {
        self.inner.writer.write(AccountRemove { name }).await
    }

    async fn account_token_add(
        &self,
        name: String,
        password: String,
        hash: [u8; 32],
        expires: Timestamp,
    ) -> StoreResult<bool> {
        self.inner.writer.write(AccountTokenAdd { name, password, hash, expires }).await
    }

    async fn account_token_find(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<Account>> {
        self.inner.readers.read(move |db| accounts::by_token(db, &hash, now)).await
    }

    async fn history(&self, filter: HistoryFilter, skip: usize, limit: usize) -> StoreResult<HistoryPage> {
        self.inner.readers.read(move |db| history::page(db, &filter, skip, limit)).await
    }
}

#[async_trait]
impl Followers for SqliteStore {
    async fn follower_tag(&self, provider: ProviderNo, openid: String) -> StoreResult<(Follower, bool)> {
        self.inner.writer.write(FollowerTag { provider, openid }).await
    }

    async fn follower_subscribed(&self, provider: ProviderNo, openid: String, subscribed: bool) -> StoreResult<()> {
        self.inner.writer.write(FollowerSubscribed { provider, openid, subscribed }).await
    }

    async fn followers(&self, provider: ProviderNo, tags: Vec<u32>) -> StoreResult<Vec<Follower>> {
        self.inner.readers.read(move |db| accounts::followers(db, provider, &tags)).await
    }
}

#[async_trait]
impl AccessTokens for SqliteStore {
    async fn token_ask(&self, key: String, failed: Option<u64>, now: Timestamp) -> StoreResult<TokenTurn> {
        self.inner.writer.write(TokenAsk { key, failed, now }).await
    }

    async fn token_keep(
        &self,
        key: String,
        turn: u64,
        sealed: String,
        expires: Timestamp,
    ) -> StoreResult<Option<KeptToken>> {
        self.inner.writer.write(TokenKeep { key, turn, sealed, expires }).await
    }

    async fn token_fail(&self, key: String, turn: u64, until: Timestamp) -> StoreResult<()> {
        self.inner.writer.write(TokenFail { key, turn, until }).await
    }
}

#[async_trait]
impl Limits for SqliteStore {
    async fn window_admit(&self, admission: Admission, now: Timestamp) -> StoreResult<Admitted> {
        self.inner.writer.write(WindowAdmit { admission, now }).await
    }

    async fn window_refund(&self, account: String, id: Id, amount: u32, now: Timestamp) -> StoreResult<u32> {
        self.inner.writer.write(WindowRefund { account, id, amount, now }).await
    }

    async fn window_used(&self, account: String, day: Day, now: Timestamp) -> StoreResult<Sums> {
        self.inner.readers.read(move |db| windows::used(db, &account, day, now)).await
    }

    async fn tokens_take(&self, key: String, rate: f64, burst: u32, want: u32, now: Timestamp) -> StoreResult<Tokens> {
        self.inner.writer.write(TokensTake { key, rate, burst, want, now }).await
    }

    async fn caps_draw(&self, caps: Vec<Cap>, draws: Vec<Draw>, now: Timestamp) -> StoreResult<Vec<Drawn>> {
        self.inner.writer.write(CapsDraw { caps, draws, now }).await
    }
}

#[async_trait]
impl Upkeep for SqliteStore {
    fn attach(&self, desk: Arc<dyn Desk>, progress: Arc<dyn Progress>) {
        self.inner.writer.attach(Links { desk, progress });
    }

    fn ids(&self) -> Arc<IdSource> {
        Arc::clone(&self.inner.ids)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    async fn stopping(&self) -> StoreResult<()> {
        Ok(())
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeRecord>> {
        Ok(vec![NodeRecord {
            number: 0,
            epoch: 1,
            host: "this process".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.inner.started,
            heard: SystemClock.now(),
            alive: true,
            stopping: false,
            this: true,
            buckets: vec![0],
            clock_ahead_ms: 0,
        }])
    }

    async fn prune(&self, before: Timestamp, limit: usize, now: Timestamp) -> StoreResult<bool> {
        self.inner.writer.write(Prune { before, limit, now }).await
    }

    async fn ping(&self, now: Timestamp) -> StoreResult<()> {
        self.inner.writer.write(Ping { now }).await
    }

    fn commits(&self) -> Commits {
        self.inner.writer.commits()
    }

    async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        // A closing that panicked has nothing more to close.
        let _ = tokio::task::spawn_blocking(move || inner.close()).await;
    }
}
