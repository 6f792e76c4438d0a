//! A store in memory that delivers at once: whatever is submitted has its outcome before the submit returns.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

use async_trait::async_trait;
use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, AccountNo, Follower, Profile},
    cap::{Cap, Draw, Drawn, Tally},
    content::{Content, Mail, Notice},
    delivery::{Reason, State, Track},
    history::{HistoryFilter, HistoryPage},
    id::{Id, IdSource},
    message::Message,
    pace::Tokens,
    ports::{Desk, Moved, Progress},
    quota::{Admission, Admitted, Day, Sums},
    setup::{AppNo, ChannelNo, ProviderNo, User},
    store::*,
    time::{Clock, Timestamp},
    token::{KeptToken, TokenTurn},
};

/// What the store holds, and how it shall misbehave.
#[derive(Default)]
pub struct FakeStore {
    inner: Mutex<Inner>,
    progress: OnceLock<Arc<dyn Progress>>,
}

#[derive(Default)]
struct Inner {
    users: Vec<User>,
    batches: Vec<Batch>,
    tracks: HashMap<Id, Track>,
    keys: HashMap<(AppNo, String), ([u8; 32], Id)>,
    answers: HashMap<(AppNo, String), String>,
    refused: HashMap<String, (Reason, String)>,
    tallies: HashMap<String, Tally>,
    is_slow: bool,
    trouble: Option<StoreError>,
}

impl FakeStore {
    /// A store whose directory holds `users`.
    pub fn new(users: Vec<User>) -> Self {
        Self { inner: Mutex::new(Inner { users, ..Inner::default() }), progress: OnceLock::new() }
    }

    /// From now on the provider refuses this address.
    pub fn refuse(&self, address: &str) {
        self.refuse_for(address, Reason::RecipientRefused, "");
    }

    /// From now on what goes to this address fails for a reason that the provider puts in these words.
    pub fn refuse_for(&self, address: &str, reason: Reason, words: &str) {
        self.lock().refused.insert(address.to_owned(), (reason, words.to_owned()));
    }

    /// From now on nothing is delivered.
    pub fn stop_delivering(&self) {
        self.lock().is_slow = true;
    }

    /// From now on every operation fails.
    pub fn fail(&self, trouble: Option<StoreError>) {
        self.lock().trouble = trouble;
    }

    /// How many messages were stored.
    pub fn count(&self) -> usize {
        self.lock().batches.len()
    }

    /// What was stored, the oldest first.
    pub fn batches(&self) -> Vec<Batch> {
        self.lock().batches.clone()
    }

    /// The last message, a mail, and the addresses that it goes to.
    pub fn last(&self) -> (Message, Mail, Vec<String>, Arc<Vec<Vec<u8>>>) {
        let batch = self.last_batch();
        let Content::Mail(mail) = (*batch.content).clone() else { panic!("no mail: {:?}", batch.content) };
        let reached = reached(&batch);
        (batch.message, mail, reached, batch.attachments)
    }

    /// What the last message says, a notice, and the addresses that it goes to.
    pub fn last_notice(&self) -> (Notice, Vec<String>) {
        let batch = self.last_batch();
        let Content::Notice(notice) = (*batch.content).clone() else { panic!("no notice: {:?}", batch.content) };
        (notice, reached(&batch))
    }

    /// What the last message says, a short text, and the addresses that it goes to.
    pub fn last_text(&self) -> (String, Vec<String>) {
        let batch = self.last_batch();
        let Content::Text(text) = (*batch.content).clone() else { panic!("no text: {:?}", batch.content) };
        (text.text, reached(&batch))
    }

    fn last_batch(&self) -> Batch {
        self.batches().pop().expect("something was stored")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds this")
    }
}

fn reached(batch: &Batch) -> Vec<String> {
    batch.page.iter().filter(|d| d.track.state == State::Ready).map(|d| d.address.clone()).collect()
}

impl Inner {
    fn check(&self) -> StoreResult<()> {
        self.trouble.clone().map_or(Ok(()), Err)
    }

    /// The one try at a delivery that was refused.
    fn attempts(&self, address: &str) -> Vec<Attempt> {
        let attempt = |(_, words): &(Reason, String)| Attempt {
            provider: ProviderNo(1),
            started: Timestamp::from_ms(0),
            took_ms: 1,
            outcome: "rejected".to_owned(),
            reply: words.clone(),
        };
        self.refused.get(address).map(attempt).into_iter().collect()
    }

    /// The outcome of everyone of a batch.
    fn deliver(&mut self, batch: &Batch) -> Vec<Moved> {
        let mut moved = Vec::new();
        for delivery in &batch.page {
            let mut track = delivery.track;
            if track.state == State::Ready && !self.is_slow {
                track.state = State::Accepted;
                if let Some((reason, _)) = self.refused.get(&delivery.address) {
                    (track.state, track.reason) = (State::Failed, Some(*reason));
                }
                moved.push(Moved { message: batch.message.id, delivery: delivery.id, track });
            }
            self.tracks.insert(delivery.id, track);
        }
        moved
    }
}

#[async_trait]
impl Messages for FakeStore {
    async fn submit(&self, batch: Batch, _: Timestamp) -> StoreResult<Submitted> {
        let moved = {
            let mut inner = self.lock();
            inner.check()?;
            if let Some(key) = &batch.idempotency {
                let entry = (batch.message.app, key.key.clone());
                match inner.keys.get(&entry) {
                    Some((print, id)) if *print == key.fingerprint => return Ok(Submitted::Seen(*id)),
                    Some(_) => return Ok(Submitted::KeyReused),
                    None => inner.keys.insert(entry, (key.fingerprint, batch.message.id)),
                };
            }
            let moved = inner.deliver(&batch);
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

    async fn message_read(&self, id: Id) -> StoreResult<Option<MessageRecord>> {
        let inner = self.lock();
        inner.check()?;
        let record = |batch: &Batch| MessageRecord {
            message: batch.message.clone(),
            channel: batch.channel,
            deliveries: batch
                .page
                .iter()
                .map(|delivery| DeliveryRecord {
                    id: delivery.id,
                    parcel: batch.page[0].id,
                    recipient: delivery.recipient.clone(),
                    address: delivery.address.clone(),
                    track: inner.tracks[&delivery.id],
                    attempts: inner.attempts(&delivery.address),
                })
                .collect(),
        };
        Ok(inner.batches.iter().find(|batch| batch.message.id == id).map(record))
    }

    async fn page_add(&self, _: Page, _: Timestamp) -> StoreResult<bool> {
        unreachable!("nothing is expanded here")
    }

    async fn expansions(&self, _: Option<Id>, _: usize) -> StoreResult<Vec<Expansion>> {
        unreachable!("nothing is expanded here")
    }

    async fn outcomes(&self, _: Vec<Id>) -> StoreResult<Vec<Moved>> {
        unreachable!("there is one node only")
    }

    async fn secrets_erase(&self, _: usize) -> StoreResult<usize> {
        unreachable!("nothing is looked after here")
    }

    async fn message_cancel(&self, _: Id, _: Timestamp) -> StoreResult<usize> {
        unreachable!("nothing is cancelled here")
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

    async fn note_once(&self, _: &str, _: &str) -> StoreResult<String> {
        unreachable!("the setup is given")
    }

    async fn note_read(&self, _: &str) -> StoreResult<Option<String>> {
        unreachable!("the setup is given")
    }
}

#[async_trait]
impl Deliveries for FakeStore {
    async fn claim(&self, _: ChannelNo, _: usize, _: Timestamp) -> StoreResult<Vec<Lease>> {
        unreachable!("nothing is dispatched here")
    }

    async fn cargo_read(&self, _: Vec<Id>) -> StoreResult<Vec<(Id, Cargo)>> {
        unreachable!("nothing is dispatched here")
    }

    async fn settle(&self, _: Vec<Change>, _: Timestamp) -> StoreResult<Vec<Option<Track>>> {
        unreachable!("nothing is dispatched here")
    }

    fn holds(&self, _: Id, _: u32) -> bool {
        unreachable!("nothing is dispatched here")
    }

    async fn recover(&self, _: Policies, _: Timestamp) -> StoreResult<Recovered> {
        unreachable!("nothing is dispatched here")
    }

    async fn expire(&self, _: usize, _: Timestamp) -> StoreResult<usize> {
        unreachable!("nothing is dispatched here")
    }

    async fn doubts(&self, _: ChannelNo, _: Timestamp, _: Option<Id>, _: usize) -> StoreResult<Vec<Doubt>> {
        unreachable!("nothing is dispatched here")
    }

    async fn next_due(&self, _: ChannelNo, _: Timestamp) -> StoreResult<Option<Timestamp>> {
        unreachable!("nothing is dispatched here")
    }

    async fn depths(&self) -> StoreResult<Vec<Depth>> {
        unreachable!("nothing is dispatched here")
    }
}

#[async_trait]
impl Captures for FakeStore {
    async fn capture_add(&self, _: Capture) -> StoreResult<()> {
        unreachable!("nothing is captured here")
    }

    async fn captures(&self, _: Option<Id>, _: usize) -> StoreResult<Vec<Capture>> {
        unreachable!("nothing is captured here")
    }
}

#[async_trait]
impl Accounts for FakeStore {
    async fn account_add(&self, _: String, _: Profile, _: Timestamp) -> StoreResult<AccountAdded> {
        unreachable!("there are no accounts here")
    }

    async fn account_find(&self, _: String) -> StoreResult<Option<Account>> {
        unreachable!("there are no accounts here")
    }

    async fn accounts(&self, _: Option<String>, _: usize) -> StoreResult<Vec<Account>> {
        unreachable!("there are no accounts here")
    }

    async fn account_names(&self, _: Vec<AccountNo>) -> StoreResult<Vec<(AccountNo, String)>> {
        unreachable!("there are no accounts here")
    }

    async fn account_change(&self, _: String, _: AccountChange) -> StoreResult<Option<Account>> {
        unreachable!("there are no accounts here")
    }

    async fn account_remove(&self, _: String) -> StoreResult<bool> {
        unreachable!("there are no accounts here")
    }

    async fn account_token_add(&self, _: String, _: String, _: [u8; 32], _: Timestamp) -> StoreResult<bool> {
        unreachable!("there are no accounts here")
    }

    async fn account_token_find(&self, _: [u8; 32], _: Timestamp) -> StoreResult<Option<Account>> {
        unreachable!("there are no accounts here")
    }

    async fn history(&self, _: HistoryFilter, _: usize, _: usize) -> StoreResult<HistoryPage> {
        unreachable!("there are no accounts here")
    }
}

#[async_trait]
impl Followers for FakeStore {
    async fn follower_tag(&self, _: ProviderNo, _: String) -> StoreResult<(Follower, bool)> {
        unreachable!("there are no followers here")
    }

    async fn follower_subscribed(&self, _: ProviderNo, _: String, _: bool) -> StoreResult<()> {
        unreachable!("there are no followers here")
    }

    async fn followers(&self, _: ProviderNo, _: Vec<u32>) -> StoreResult<Vec<Follower>> {
        unreachable!("there are no followers here")
    }
}

#[async_trait]
impl AccessTokens for FakeStore {
    async fn token_ask(&self, _: String, _: Option<u64>, _: Timestamp) -> StoreResult<TokenTurn> {
        unreachable!("nothing is sent here")
    }

    async fn token_keep(&self, _: String, _: u64, _: String, _: Timestamp) -> StoreResult<Option<KeptToken>> {
        unreachable!("nothing is sent here")
    }

    async fn token_fail(&self, _: String, _: u64, _: Timestamp) -> StoreResult<()> {
        unreachable!("nothing is sent here")
    }
}

#[async_trait]
impl Limits for FakeStore {
    async fn window_admit(&self, _: Admission, _: Timestamp) -> StoreResult<Admitted> {
        unreachable!("nothing is limited here")
    }

    async fn window_refund(&self, _: String, _: Id, _: u32, _: Timestamp) -> StoreResult<u32> {
        unreachable!("nothing is limited here")
    }

    async fn window_used(&self, _: String, _: Day, _: Timestamp) -> StoreResult<Sums> {
        unreachable!("nothing is limited here")
    }

    async fn tokens_take(&self, _: String, _: f64, _: u32, _: u32, _: Timestamp) -> StoreResult<Tokens> {
        unreachable!("nothing is limited here")
    }

    async fn caps_draw(&self, caps: Vec<Cap>, draws: Vec<Draw>, now: Timestamp) -> StoreResult<Vec<Drawn>> {
        let mut inner = self.lock();
        inner.check()?;
        let draw = |draw: &Draw| inner.tallies.entry(draw.key.clone()).or_default().apply(&caps, draw, now);
        Ok(draws.iter().map(draw).collect())
    }
}

#[async_trait]
impl Upkeep for FakeStore {
    fn attach(&self, _: Arc<dyn Desk>, progress: Arc<dyn Progress>) {
        assert!(self.progress.set(progress).is_ok(), "attached once");
    }

    fn ids(&self) -> Arc<IdSource> {
        unreachable!("the world has its own")
    }

    fn clock(&self) -> Arc<dyn Clock> {
        unreachable!("the world has its own")
    }

    async fn stopping(&self) -> StoreResult<()> {
        unreachable!("nobody stops here")
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeRecord>> {
        unreachable!("nobody asks for nodes here")
    }

    async fn prune(&self, _: Timestamp, _: usize, _: Timestamp) -> StoreResult<bool> {
        unreachable!("nothing grows old here")
    }

    async fn ping(&self, _: Timestamp) -> StoreResult<()> {
        Ok(())
    }

    fn commits(&self) -> Commits {
        Commits::default()
    }

    async fn close(&self) {}
}
