//! A store in memory that delivers at once: whatever is submitted has its outcome before the submit returns.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

use async_trait::async_trait;
use hongyan_core::{
    cap::{Cap, Draw, Drawn, Tally},
    content::{Content, Mail, Notice},
    delivery::{Reason, State, Track},
    id::{Id, IdSource},
    message::Message,
    pace::Tokens,
    ports::{Desk, Moved, Progress},
    quota::{Admission, Admitted, Day, Sums},
    setup::{AppNo, ProviderNo, User},
    store::*,
    time::{Clock, Timestamp},
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
    batch.deliveries().filter(|d| d.track.state == State::Ready).map(|d| d.address.clone()).collect()
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
        for delivery in batch.deliveries() {
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
            due: None,
            deliveries: batch
                .deliveries()
                .map(|delivery| DeliveryRecord {
                    id: delivery.id,
                    parcel: batch.page[0].deliveries[0].id,
                    channel: batch.channel,
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
