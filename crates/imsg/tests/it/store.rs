//! A store in memory that delivers at once: whatever is submitted has its outcome before the submit returns. Limits are those of
//! `core::quota`, given back for whoever is refused.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, OnceLock},
};

use async_trait::async_trait;
use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, AccountNo, FIRST_TAG, Follower, Profile},
    cap::{Cap, Draw, Drawn, Tally},
    content::Content,
    delivery::{Reason, State},
    history::{HistoryFilter, HistoryPage, HistoryRow},
    id::Id,
    pace::Tokens,
    ports::{Moved, Progress},
    quota::{self, Admission, Admitted, Day, Entry, Sums},
    setup::{AppNo, ProviderNo, User},
    store::*,
    time::{ManualClock, Timestamp},
};

/// What the store holds, and how it shall misbehave.
pub struct FakeStore {
    pub clock: Arc<ManualClock>,
    inner: Mutex<Inner>,
    progress: OnceLock<Arc<dyn Progress>>,
}

#[derive(Default)]
struct Inner {
    users: Vec<User>,
    accounts: BTreeMap<String, Account>,
    tokens: HashMap<[u8; 32], (AccountNo, Timestamp)>,
    followers: Vec<(ProviderNo, Follower)>,
    batches: Vec<Batch>,
    rows: Vec<HistoryRow>,
    windows: HashMap<String, quota::Account>,
    keys: HashMap<(AppNo, String), ([u8; 32], Id)>,
    answers: HashMap<(AppNo, String), String>,
    refused: HashMap<String, Reason>,
    tallies: HashMap<String, Tally>,
    is_slow: bool,
    is_held: bool,
    trouble: Option<StoreError>,
}

impl FakeStore {
    pub fn new(users: Vec<User>, clock: Arc<ManualClock>) -> Self {
        Self { clock, inner: Mutex::new(Inner { users, ..Inner::default() }), progress: OnceLock::new() }
    }

    pub fn hear(&self, progress: Arc<dyn Progress>) {
        assert!(self.progress.set(progress).is_ok(), "attached once");
    }

    /// From now on the provider refuses this address.
    pub fn refuse(&self, address: &str, reason: Reason) {
        self.lock().refused.insert(address.to_owned(), reason);
    }

    /// From now on nothing is delivered.
    pub fn stop_delivering(&self) {
        self.lock().is_slow = true;
    }

    /// Whether reading the history never ends from now on.
    pub fn hold_history(&self, is_held: bool) {
        self.lock().is_held = is_held;
    }

    /// What a provider says later of everything that it took: it did not arrive.
    pub fn come_back(&self) {
        self.lock().rows.iter_mut().for_each(|row| row.state = State::Undelivered);
    }

    /// From now on every operation fails.
    pub fn fail(&self, trouble: Option<StoreError>) {
        self.lock().trouble = trouble;
    }

    /// What was stored with somebody to be reached, the oldest first.
    pub fn sent(&self) -> Vec<Batch> {
        let batches = self.lock().batches.clone();
        batches.into_iter().filter(|batch| batch.deliveries().any(|d| d.track.state == State::Ready)).collect()
    }

    /// What the last message says, and the addresses that it goes to.
    pub fn last(&self) -> (Content, Vec<String>) {
        let batch = self.sent().pop().expect("something was sent");
        let reached = batch.deliveries().filter(|d| d.track.state == State::Ready);
        ((*batch.content).clone(), reached.map(|d| d.address.clone()).collect())
    }

    /// The rows of refused calls.
    pub fn traces(&self) -> Vec<HistoryRow> {
        self.lock().rows.iter().filter(|row| row.reason == Some(Reason::OverLimit)).cloned().collect()
    }

    /// What an account has used.
    pub fn used(&self, no: AccountNo) -> (u64, u64) {
        self.lock().windows.get(&no.windows()).map_or((0, 0), |account| (account.hour, account.day))
    }

    pub fn follower(&self, provider: ProviderNo, openid: &str, subscribed: bool) -> String {
        let mut inner = self.lock();
        let tag = FIRST_TAG + u32::try_from(inner.followers.len()).expect("few");
        inner.followers.push((provider, Follower { tag, openid: openid.to_owned(), subscribed }));
        format!("iMSG-{tag}")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds this")
    }
}

impl Inner {
    fn check(&self) -> StoreResult<()> {
        self.trouble.clone().map_or(Ok(()), Err)
    }

    fn admit(&mut self, asked: &Admission, now: Timestamp) -> Result<Entry, quota::Refusal> {
        let account = self.windows.entry(asked.account.clone()).or_insert(quota::Account::new(asked.day, now));
        *account = account.moved_on(0, asked.day, now);
        account.admit(asked).map_err(|shortage| shortage.refused(None))
    }

    /// The outcome of everyone of a batch; those who are refused are given back.
    fn deliver(&mut self, batch: &Batch, mut entry: Option<Entry>, now: Timestamp) -> Vec<Moved> {
        let mut moved = Vec::new();
        for delivery in batch.deliveries() {
            let mut track = delivery.track;
            if track.state == State::Ready && !self.is_slow {
                track.state = State::Accepted;
                if let Some(reason) = self.refused.get(&delivery.address) {
                    (track.state, track.reason) = (State::Failed, Some(*reason));
                    if let (Some(entry), Some(admission)) = (&mut entry, &batch.admission) {
                        let account = self.windows.get_mut(&admission.account).expect("admitted");
                        account.refund(entry, 1, now);
                    }
                }
                moved.push(Moved { message: batch.message.id, delivery: delivery.id, track });
            }
            let account = AccountNo::of_app(batch.message.app).expect("an account's");
            self.rows.push(HistoryRow {
                id: delivery.id,
                account,
                client: batch.message.client.clone(),
                channel: batch.channel,
                recipient: delivery.recipient.clone(),
                accepted: now,
                state: track.state,
                reason: track.reason,
                reply: String::new(),
                content: (*batch.content).clone(),
            });
        }
        moved
    }
}

#[async_trait]
impl Messages for FakeStore {
    async fn submit(&self, batch: Batch, now: Timestamp) -> StoreResult<Submitted> {
        let moved = {
            let mut inner = self.lock();
            inner.check()?;
            let key = batch.idempotency.clone().map(|key| ((batch.message.app, key.key), key.fingerprint));
            match key.as_ref().and_then(|(key, print)| Some((inner.keys.get(key)?, print))) {
                Some(((kept, id), print)) if kept == print => return Ok(Submitted::Seen(*id)),
                Some(_) => return Ok(Submitted::KeyReused),
                None => {}
            }
            let entry = match batch.admission.as_ref().map(|asked| inner.admit(asked, now)).transpose() {
                Ok(entry) => entry,
                Err(refusal) => return Ok(Submitted::OverLimit(refusal)),
            };
            if let Some((key, print)) = key {
                inner.keys.insert(key, (print, batch.message.id));
            }
            let moved = inner.deliver(&batch, entry, now);
            inner.batches.push(batch);
            moved
        };
        self.progress.get().expect("attached").moved(&moved);
        Ok(Submitted::Stored)
    }

    async fn answer_read(&self, app: AppNo, key: String) -> StoreResult<Option<String>> {
        Ok(self.lock().answers.get(&(app, key)).cloned())
    }

    async fn answer_keep(&self, app: AppNo, key: String, answer: String) -> StoreResult<String> {
        Ok(self.lock().answers.entry((app, key)).or_insert(answer).clone())
    }

    async fn message_read(&self, _: Id) -> StoreResult<Option<MessageRecord>> {
        unreachable!("answers are kept")
    }

    async fn page_add(&self, _: Page, _: Timestamp) -> StoreResult<bool> {
        unreachable!("nothing is expanded here")
    }

    async fn expansions(&self, _: Option<(Timestamp, Id)>, _: usize, _: Timestamp) -> StoreResult<Vec<Expansion>> {
        unreachable!("nothing is expanded here")
    }

    async fn scheduled(
        &self,
        _: ScheduledFilter,
        _: Option<(Timestamp, Id)>,
        _: usize,
        _: Timestamp,
    ) -> StoreResult<Vec<Scheduled>> {
        unreachable!("nothing is scheduled here")
    }

    async fn message_hasten(&self, _: Id, _: Timestamp) -> StoreResult<bool> {
        unreachable!("nothing is scheduled here")
    }

    async fn messages_of_business(&self, _: AppNo, _: String, _: Option<Id>, _: usize) -> StoreResult<Vec<Id>> {
        unreachable!("nobody asks by businessId here")
    }

    async fn outcomes(&self, _: Vec<Id>) -> StoreResult<Vec<Moved>> {
        unreachable!("there is one node only")
    }

    async fn secrets_erase(&self, _: usize) -> StoreResult<usize> {
        unreachable!("nothing is looked after here")
    }

    async fn message_cancel(&self, _: Id, _: Timestamp) -> StoreResult<Cancelled> {
        unreachable!("nothing is cancelled here")
    }
}

#[async_trait]
impl Accounts for FakeStore {
    async fn account_add(&self, name: String, profile: Profile, now: Timestamp) -> StoreResult<AccountAdded> {
        let mut inner = self.lock();
        inner.check()?;
        let is_taken = |(mine, theirs): (&String, &String)| !mine.is_empty() && mine == theirs;
        if inner.accounts.contains_key(&name) {
            return Ok(AccountAdded::NameTaken);
        }
        if inner.accounts.values().any(|a| a.profile.contacts.iter().zip(&profile.contacts).any(is_taken)) {
            return Ok(AccountAdded::ContactTaken);
        }
        let no = AccountNo(u32::try_from(inner.accounts.len()).expect("few") + 1);
        let account = Account { no, name: name.clone(), created: now, profile };
        inner.accounts.insert(name, account.clone());
        Ok(AccountAdded::Yes(account))
    }

    async fn account_find(&self, name: String) -> StoreResult<Option<Account>> {
        let inner = self.lock();
        inner.check()?;
        Ok(inner.accounts.get(&name).cloned())
    }

    async fn accounts(&self, _: Option<String>, _: usize) -> StoreResult<Vec<Account>> {
        unreachable!("nobody lists accounts here")
    }

    async fn account_names(&self, accounts: Vec<AccountNo>) -> StoreResult<Vec<(AccountNo, String)>> {
        let inner = self.lock();
        inner.check()?;
        let asked = inner.accounts.values().filter(|account| accounts.contains(&account.no));
        Ok(asked.map(|account| (account.no, account.name.clone())).collect())
    }

    async fn account_change(&self, name: String, change: AccountChange) -> StoreResult<Option<Account>> {
        let mut inner = self.lock();
        inner.check()?;
        let Some(account) = inner.accounts.get_mut(&name) else { return Ok(None) };
        let is_end = change.apply(&mut account.profile);
        let account = account.clone();
        inner.tokens.retain(|_, (no, _)| !is_end || *no != account.no);
        Ok(Some(account))
    }

    async fn account_remove(&self, name: String) -> StoreResult<bool> {
        Ok(self.lock().accounts.remove(&name).is_some())
    }

    async fn account_token_add(
        &self,
        name: String,
        password: String,
        hash: [u8; 32],
        expires: Timestamp,
    ) -> StoreResult<bool> {
        let mut inner = self.lock();
        inner.check()?;
        let account = inner.accounts.get(&name).filter(|a| a.profile.enabled && a.profile.password == password);
        let Some(no) = account.map(|account| account.no) else { return Ok(false) };
        inner.tokens.insert(hash, (no, expires));
        Ok(true)
    }

    async fn account_token_find(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<Account>> {
        let inner = self.lock();
        inner.check()?;
        let token = inner.tokens.get(&hash).filter(|(_, expires)| now < *expires);
        Ok(token.and_then(|(no, _)| inner.accounts.values().find(|a| a.no == *no && a.profile.enabled)).cloned())
    }

    async fn history(&self, filter: HistoryFilter, skip: usize, limit: usize) -> StoreResult<HistoryPage> {
        if self.lock().is_held {
            std::future::pending::<()>().await;
        }
        let inner = self.lock();
        inner.check()?;
        let is_failed = |row: &HistoryRow| row.state.is_failure() || row.state == State::Undelivered;
        let is_asked = |row: &&HistoryRow| {
            filter.account.is_none_or(|account| account == row.account)
                && filter.channels.as_ref().is_none_or(|channels| channels.contains(&row.channel))
                && filter.recipient.as_ref().is_none_or(|recipient| *recipient == row.recipient)
                && filter.failed.is_none_or(|failed| failed == is_failed(row))
                && filter.since.is_none_or(|since| since <= row.accepted)
                && filter.before.is_none_or(|before| row.accepted < before)
        };
        let rows: Vec<HistoryRow> = inner.rows.iter().rev().filter(is_asked).cloned().collect();
        let total = u64::try_from(rows.len()).expect("few");
        Ok(HistoryPage { rows: rows.into_iter().skip(skip).take(limit).collect(), total })
    }
}

#[async_trait]
impl Followers for FakeStore {
    async fn follower_tag(&self, _: ProviderNo, _: String) -> StoreResult<(Follower, bool)> {
        unreachable!("nobody follows here")
    }

    async fn follower_subscribed(&self, _: ProviderNo, _: String, _: bool) -> StoreResult<()> {
        unreachable!("nobody follows here")
    }

    async fn followers(&self, provider: ProviderNo, tags: Vec<u32>) -> StoreResult<Vec<Follower>> {
        let inner = self.lock();
        inner.check()?;
        let asked = inner.followers.iter().filter(|(no, follower)| *no == provider && tags.contains(&follower.tag));
        Ok(asked.map(|(_, follower)| follower.clone()).collect())
    }
}

#[async_trait]
impl Declarations for FakeStore {
    async fn users_find(&self, codes: Vec<String>) -> StoreResult<Vec<User>> {
        let inner = self.lock();
        inner.check()?;
        Ok(inner.users.iter().filter(|user| codes.contains(&user.code)).cloned().collect())
    }

    async fn setup_version(&self) -> StoreResult<i64> {
        unreachable!("the setup is given")
    }

    async fn declarations(&self) -> StoreResult<(i64, Vec<Declaration>)> {
        unreachable!("the setup is given")
    }

    async fn plan_apply(&self, _: PlanChange) -> StoreResult<bool> {
        unreachable!("the setup is given")
    }

    async fn declare(&self, _: DeclarationChange) -> StoreResult<bool> {
        unreachable!("the setup is given")
    }

    async fn note_once(&self, _: &str, _: &str) -> StoreResult<String> {
        unreachable!("the setup is given")
    }

    async fn note_read(&self, _: &str) -> StoreResult<Option<String>> {
        unreachable!("the setup is given")
    }
}

#[async_trait]
impl Limits for FakeStore {
    async fn window_admit(&self, _: Admission, _: Timestamp) -> StoreResult<Admitted> {
        unreachable!("admissions come with submits")
    }

    async fn window_refund(&self, _: String, _: Id, _: u32, _: Timestamp) -> StoreResult<u32> {
        unreachable!("refunds come with outcomes")
    }

    async fn window_used(&self, _: String, _: Day, _: Timestamp) -> StoreResult<Sums> {
        unreachable!("nobody asks what is used here")
    }

    async fn tokens_take(&self, _: String, _: f64, _: u32, _: u32, _: Timestamp) -> StoreResult<Tokens> {
        unreachable!("nothing is paced here")
    }

    async fn caps_draw(&self, caps: Vec<Cap>, draws: Vec<Draw>, now: Timestamp) -> StoreResult<Vec<Drawn>> {
        let mut inner = self.lock();
        inner.check()?;
        let draw = |draw: &Draw| inner.tallies.entry(draw.key.clone()).or_default().apply(&caps, draw, now);
        Ok(draws.iter().map(draw).collect())
    }
}
