//! The store itself: each method of the port is handed to a worker that shares commits, run as an operation of its own, or
//! looked up.

mod people;

use std::sync::Arc;

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
    time::{Clock, Timestamp},
    token::{KeptToken, TokenTurn},
};
use tokio::sync::Semaphore;

use crate::{
    claim,
    engine::{Engine, SHARED_LANE},
    life::Life,
    nodes,
    ops::{
        account,
        answer::AnswerKeep,
        cancel::Cancel,
        capture::Capturer,
        erase, expire, follower,
        hasten::Hasten,
        page,
        plan::{Declare, NoteOnce, PlanApply},
        prune,
        quota::{self, Accountant, TokensTake},
        recover, token,
    },
    reads,
    settle::Settler,
    stage::Links,
    submit::Submitter,
};

/// A store on a PostgreSQL database, as one of its nodes. Made by [`crate::open`]; dropping it is what a crash is to the others:
/// it leaves without a word.
pub struct PostgresStore {
    engine: Arc<Engine>,
    submitter: Submitter,
    settler: Arc<Settler>,
    /// The lane of the depth counters on which claims count.
    claims: i16,
    capturer: Capturer,
    accountant: Accountant,
    /// Whose turn it is to change the directory.
    directory_turn: Semaphore,
    life: Life,
}

impl PostgresStore {
    pub(crate) fn new(engine: Arc<Engine>, life: Life) -> Self {
        let lane = SHARED_LANE + 1;
        Self {
            submitter: Submitter::start(&engine, lane),
            settler: Arc::new(Settler::start(&engine, lane + Submitter::LANES)),
            claims: lane + Submitter::LANES + Settler::LANES,
            capturer: Capturer::start(Arc::clone(&engine)),
            accountant: Accountant::start(&engine),
            directory_turn: Semaphore::new(1),
            engine,
            life,
        }
    }
}

#[async_trait]
impl Messages for PostgresStore {
    async fn submit(&self, batch: Batch, now: Timestamp) -> StoreResult<Submitted> {
        self.submitter.submit(batch, now).await
    }

    async fn answer_read(&self, app: AppNo, key: String) -> StoreResult<Option<String>> {
        reads::answer(&self.engine, app, &key).await.map_err(|trouble| trouble.told())
    }

    async fn answer_keep(&self, app: AppNo, key: String, answer: String) -> StoreResult<String> {
        self.engine.run(&AnswerKeep { app, key, answer }).await
    }

    async fn page_add(&self, page: Page, now: Timestamp) -> StoreResult<bool> {
        page::add(&self.engine, page, now).await
    }

    async fn expansions(
        &self,
        after: Option<(Timestamp, Id)>,
        limit: usize,
        now: Timestamp,
    ) -> StoreResult<Vec<Expansion>> {
        let found = reads::expansions(&self.engine, self.life.buckets(), after, limit, now).await;
        found.map_err(|trouble| trouble.told())
    }

    async fn scheduled(
        &self,
        filter: ScheduledFilter,
        after: Option<(Timestamp, Id)>,
        limit: usize,
        now: Timestamp,
    ) -> StoreResult<Vec<Scheduled>> {
        reads::scheduled(&self.engine, filter, after, limit, now).await.map_err(|trouble| trouble.told())
    }

    async fn message_hasten(&self, message: Id, now: Timestamp) -> StoreResult<bool> {
        self.engine.run(&Hasten { message, now }).await
    }

    async fn messages_of_business(
        &self,
        app: AppNo,
        business: String,
        before: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<Id>> {
        reads::of_business(&self.engine, app, business, before, limit).await.map_err(|trouble| trouble.told())
    }

    async fn message_read(&self, id: Id) -> StoreResult<Option<MessageRecord>> {
        reads::message(&self.engine, id).await.map_err(|trouble| trouble.told())
    }

    async fn outcomes(&self, messages: Vec<Id>) -> StoreResult<Vec<Moved>> {
        reads::outcomes(&self.engine, messages).await.map_err(|trouble| trouble.told())
    }

    async fn secrets_erase(&self, limit: usize) -> StoreResult<usize> {
        erase::erase(&self.engine, self.life.buckets(), limit).await
    }

    async fn message_cancel(&self, message: Id, now: Timestamp) -> StoreResult<Cancelled> {
        self.engine.run(&Cancel { message, now }).await
    }
}

#[async_trait]
impl Deliveries for PostgresStore {
    async fn claim(&self, channel: ChannelNo, limit: usize, now: Timestamp) -> StoreResult<Vec<Lease>> {
        // What is claimed by a node that nobody hears would only be given back.
        if !self.life.is_heard() {
            return Ok(Vec::new());
        }
        claim::claim(&self.engine, &self.settler, self.claims, channel, limit, now).await
    }

    async fn cargo_read(&self, messages: Vec<Id>) -> StoreResult<Vec<(Id, Cargo)>> {
        reads::cargo(&self.engine, messages).await.map_err(|trouble| trouble.told())
    }

    async fn settle(&self, changes: Vec<Change>, now: Timestamp) -> StoreResult<Vec<Option<Track>>> {
        self.settler.settle(changes, now).await
    }

    fn holds(&self, delivery: Id, lease: u32) -> bool {
        self.life.is_heard() && self.engine.memory.lock().held(delivery).is_some_and(|row| row.track.lease == lease)
    }

    async fn recover(&self, policies: Policies, now: Timestamp) -> StoreResult<Recovered> {
        recover::recover(&self.engine, &self.life, policies, now).await
    }

    async fn expire(&self, limit: usize, now: Timestamp) -> StoreResult<usize> {
        expire::expire(&self.engine, self.life.buckets(), limit, now).await
    }

    async fn doubts(
        &self,
        channel: ChannelNo,
        since: Timestamp,
        after: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<Doubt>> {
        let found = reads::doubts(&self.engine, self.life.buckets(), channel, since, after, limit).await;
        found.map_err(|trouble| trouble.told())
    }

    async fn next_due(&self, channel: ChannelNo, now: Timestamp) -> StoreResult<Option<Timestamp>> {
        claim::next_due(&self.engine, channel, now).await.map_err(|trouble| trouble.told())
    }

    async fn depths(&self) -> StoreResult<Vec<Depth>> {
        reads::depths(&self.engine).await.map_err(|trouble| trouble.told())
    }
}

#[async_trait]
impl Declarations for PostgresStore {
    async fn setup_version(&self) -> StoreResult<i64> {
        reads::setup_version(&self.engine).await.map_err(|trouble| trouble.told())
    }

    async fn declarations(&self) -> StoreResult<(i64, Vec<Declaration>)> {
        reads::declarations(&self.engine).await.map_err(|trouble| trouble.told())
    }

    async fn plan_apply(&self, plan: PlanChange) -> StoreResult<bool> {
        self.engine.run(&PlanApply { plan }).await
    }

    async fn declare(&self, change: DeclarationChange) -> StoreResult<bool> {
        self.engine.run(&Declare { change }).await
    }

    async fn users_find(&self, codes: Vec<String>) -> StoreResult<Vec<User>> {
        reads::users(&self.engine, codes).await.map_err(|trouble| trouble.told())
    }

    async fn note_once(&self, key: &str, value: &str) -> StoreResult<String> {
        self.engine.run(&NoteOnce { key: key.to_owned(), value: value.to_owned() }).await
    }

    async fn note_read(&self, key: &str) -> StoreResult<Option<String>> {
        reads::note(&self.engine, key).await.map_err(|trouble| trouble.told())
    }
}

#[async_trait]
impl Captures for PostgresStore {
    async fn capture_add(&self, capture: Capture) -> StoreResult<()> {
        self.capturer.add(capture).await
    }

    async fn captures(&self, before: Option<Id>, limit: usize) -> StoreResult<Vec<Capture>> {
        reads::captures(&self.engine, before, limit).await.map_err(|trouble| trouble.told())
    }
}

#[async_trait]
impl Upkeep for PostgresStore {
    fn attach(&self, desk: Arc<dyn Desk>, progress: Arc<dyn Progress>) {
        self.engine.attach(Links { desk, progress });
    }

    fn ids(&self) -> Arc<IdSource> {
        Arc::clone(&self.engine.ids)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.engine.clock) as Arc<dyn Clock>
    }

    async fn stopping(&self) -> StoreResult<()> {
        nodes::stopping(&self.engine).await.map_err(|trouble| trouble.told())
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeRecord>> {
        nodes::list(&self.engine).await.map_err(|trouble| trouble.told())
    }

    async fn prune(&self, before: Timestamp, limit: usize, now: Timestamp) -> StoreResult<bool> {
        prune::prune(&self.engine, before, limit, now).await
    }

    async fn ping(&self, now: Timestamp) -> StoreResult<()> {
        nodes::ping(&self.engine, now).await.map_err(|trouble| trouble.told())
    }

    fn commits(&self) -> Commits {
        self.engine.commits()
    }

    async fn close(&self) {
        self.submitter.close().await;
        self.capturer.close().await;
        self.accountant.close().await;
        self.settler.close().await;
        recover::give_back_all(&self.engine, &self.life).await;
        self.life.leave(&self.engine).await;
        self.engine.pool.close();
    }
}

#[async_trait]
impl Limits for PostgresStore {
    async fn window_admit(&self, admission: Admission, now: Timestamp) -> StoreResult<Admitted> {
        self.accountant.admit(admission, now).await
    }

    async fn window_refund(&self, account: String, id: Id, amount: u32, now: Timestamp) -> StoreResult<u32> {
        self.accountant.refund(account, id, amount, now).await
    }

    async fn window_used(&self, account: String, day: Day, now: Timestamp) -> StoreResult<Sums> {
        quota::used(&self.engine, account, day, now).await.map_err(|trouble| trouble.told())
    }

    async fn tokens_take(&self, key: String, rate: f64, burst: u32, want: u32, now: Timestamp) -> StoreResult<Tokens> {
        self.engine.run(&TokensTake { key: quota::name(key), rate, burst, want, now }).await
    }

    async fn caps_draw(&self, caps: Vec<Cap>, draws: Vec<Draw>, now: Timestamp) -> StoreResult<Vec<Drawn>> {
        quota::draw(&self.engine, caps, draws, now).await
    }
}

#[async_trait]
impl Accounts for PostgresStore {
    async fn account_add(&self, name: String, profile: Profile, now: Timestamp) -> StoreResult<AccountAdded> {
        account::add(&self.engine, name, profile, now).await
    }

    async fn account_find(&self, name: String) -> StoreResult<Option<Account>> {
        reads::account(&self.engine, &name).await.map_err(|trouble| trouble.told())
    }

    async fn accounts(&self, after: Option<String>, limit: usize) -> StoreResult<Vec<Account>> {
        reads::accounts(&self.engine, after, limit).await.map_err(|trouble| trouble.told())
    }

    async fn account_names(&self, accounts: Vec<AccountNo>) -> StoreResult<Vec<(AccountNo, String)>> {
        reads::account_names(&self.engine, &accounts).await.map_err(|trouble| trouble.told())
    }

    async fn account_change(&self, name: String, change: AccountChange) -> StoreResult<Option<Account>> {
        account::change(&self.engine, name, change).await
    }

    async fn account_remove(&self, name: String) -> StoreResult<bool> {
        account::remove(&self.engine, name).await
    }

    async fn account_token_add(
        &self,
        name: String,
        password: String,
        hash: [u8; 32],
        expires: Timestamp,
    ) -> StoreResult<bool> {
        account::token_add(&self.engine, name, password, hash, expires).await
    }

    async fn account_token_find(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<Account>> {
        reads::speaker(&self.engine, hash, now).await.map_err(|trouble| trouble.told())
    }

    async fn history(&self, filter: HistoryFilter, skip: usize, limit: usize) -> StoreResult<HistoryPage> {
        reads::history(&self.engine, filter, skip, limit).await.map_err(|trouble| trouble.told())
    }
}

#[async_trait]
impl Followers for PostgresStore {
    async fn follower_tag(&self, provider: ProviderNo, openid: String) -> StoreResult<(Follower, bool)> {
        follower::tag(&self.engine, provider, openid).await
    }

    async fn follower_subscribed(&self, provider: ProviderNo, openid: String, subscribed: bool) -> StoreResult<()> {
        follower::subscribed(&self.engine, provider, openid, subscribed).await
    }

    async fn followers(&self, provider: ProviderNo, tags: Vec<u32>) -> StoreResult<Vec<Follower>> {
        reads::followers(&self.engine, provider, tags).await.map_err(|trouble| trouble.told())
    }
}

#[async_trait]
impl AccessTokens for PostgresStore {
    async fn token_ask(&self, key: String, failed: Option<u64>, now: Timestamp) -> StoreResult<TokenTurn> {
        token::ask(&self.engine, key, failed, now).await
    }

    async fn token_keep(
        &self,
        key: String,
        turn: u64,
        sealed: String,
        expires: Timestamp,
    ) -> StoreResult<Option<KeptToken>> {
        token::keep(&self.engine, key, turn, sealed, expires).await
    }

    async fn token_fail(&self, key: String, turn: u64, until: Timestamp) -> StoreResult<()> {
        token::fail(&self.engine, key, turn, until).await
    }
}
