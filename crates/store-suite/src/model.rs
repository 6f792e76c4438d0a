//! Random histories: whatever is submitted, expanded, hastened, claimed, settled, given back, cancelled or expired, whenever the node crashes and
//! however time passes, every delivery stands where a small model says, and whoever is to follow does. The model knows nothing of tables; for a single
//! delivery it asks `step`, as a store must.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hongyan_core::{
    account::AccountNo,
    delivery::{Event, State, Track, step},
    history::HistoryFilter,
    id::Id,
    limits::CRASHES_BEFORE_ALONE,
    message::{MessageState, Priority},
    quota::Fit,
    setup::{AppNo, ChannelNo},
    store::{Cancelled, Lease, Listed, Lot, NewDelivery, Place, Recovered, ScheduledFilter, Submitted, Who},
    time::Timestamp,
};
use proptest::{
    sample::Index,
    test_runner::{Config, TestRunner},
};

use self::acts::{Act, End, acts, event};
use crate::{
    Bench,
    expand::way,
    pages::{page, rest},
    world::{MAIL, Order, SMS, World, change, policy, to},
};

mod acts;

const fn channel(sms: bool) -> ChannelNo {
    if sms { SMS } else { MAIL }
}

/// The account of these histories, and what it may send in a day.
const ANN: AccountNo = AccountNo(1);
const DAY_MAX: u32 = 12;

#[derive(Clone, Copy)]
struct Row {
    message: Id,
    parcel: Id,
    channel: ChannelNo,
    /// Whether it counts in the windows of the account.
    counts: bool,
    track: Track,
}

/// Who is still to follow of a message.
#[derive(Clone)]
struct Following {
    accepted: Timestamp,
    due: Timestamp,
    place: Place,
}

impl Row {
    fn is_suspect(&self) -> bool {
        self.track.crashes >= CRASHES_BEFORE_ALONE
    }
}

/// What a store should know.
#[derive(Default)]
struct Model {
    rows: BTreeMap<Id, Row>,
    messages: Vec<Id>,
    following: BTreeMap<Id, Following>,
    /// Every lease ever seen, for words late and early.
    leases: Vec<(Id, ChannelNo, u32)>,
    wish: Option<(ChannelNo, Timestamp)>,
    /// What the account has used of its day.
    used: u64,
    /// What it has sent.
    sent: Vec<Id>,
}

/// Rows that are claimed together.
type Group = (Timestamp, Id);

impl Model {
    fn due_groups(&self, channel: ChannelNo, suspect: bool, now: Timestamp) -> BTreeMap<Group, Vec<Id>> {
        let mut groups: BTreeMap<Group, Vec<Id>> = BTreeMap::new();
        for (id, row) in &self.rows {
            let waits = row.track.state == State::Ready && row.track.due <= now;
            if waits && row.channel == channel && row.is_suspect() == suspect {
                groups.entry((row.track.due, row.parcel)).or_default().push(*id);
            }
        }
        groups
    }

    fn held(&self) -> impl Iterator<Item = (&Id, &Row)> {
        self.rows.iter().filter(|(_, row)| row.track.state.is_held())
    }

    fn has_suspect(&self, channel: ChannelNo) -> bool {
        self.rows.values().any(|row| row.channel == channel && row.track.state == State::Ready && row.is_suspect())
    }

    /// Whether a suspect is in flight, or a channel keeps the way clear for one.
    fn suspects_reign(&self, now: Timestamp) -> bool {
        self.held().any(|(_, row)| row.is_suspect())
            || self
                .wish
                .is_some_and(|(channel, asked)| self.has_suspect(channel) && now.since(asked) < Duration::from_secs(2))
    }

    fn may_be_born_leased(&self, channel: ChannelNo, now: Timestamp) -> bool {
        !self.suspects_reign(now) && !self.has_suspect(channel) && self.due_groups(channel, false, now).is_empty()
    }

    fn apply(&mut self, id: Id, event: &Event, now: Timestamp) -> Option<Track> {
        let row = self.rows.get_mut(&id)?;
        let track = step(&row.track, event, &policy(row.channel), now)?;
        row.track = track;
        if row.counts && matches!(track.state, State::Failed | State::Expired | State::Cancelled) {
            row.counts = false;
            self.used -= 1;
        }
        Some(track)
    }

    /// Takes in a page.
    fn keep(&mut self, message: Id, page: &[Lot], counts: bool) {
        for lot in page {
            for rows in lot.deliveries.chunks(lot.way.parcel_max.max(1)) {
                for delivery in rows {
                    let (parcel, channel) = (rows[0].id, lot.way.channel);
                    self.rows.insert(delivery.id, Row { message, parcel, channel, counts, track: delivery.track });
                    self.sent.extend(counts.then_some(delivery.id));
                }
            }
        }
    }

    fn leased(&mut self, lease: &Lease, now: Timestamp) {
        for row in &lease.rows {
            let track = self.apply(row.id, &Event::Claim, now).expect("only what waits is leased");
            assert_eq!(row.track, track);
            self.leases.push((row.id, lease.channel, track.lease));
        }
    }

    /// What follows and passes `select`, in the order of times and ids.
    fn in_order(&self, select: impl Fn(&Following) -> bool) -> Vec<Id> {
        let mut found: Vec<_> =
            self.following.iter().filter(|(_, of)| select(of)).map(|(id, of)| (of.due, *id)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    fn state(&self, message: Id) -> MessageState {
        match self.following.get(&message) {
            Some(of) if of.due > of.accepted && of.place == Place::default() => MessageState::Scheduled,
            Some(_) => MessageState::Expanding,
            None => MessageState::Expanded,
        }
    }

    /// Makes due what waits for its time; answers whether anything did.
    fn hasten(&mut self, message: Id, now: Timestamp) -> bool {
        let mut hastened = false;
        if let Some(of) = self.following.get_mut(&message).filter(|of| of.due > now) {
            of.due = of.accepted;
            hastened = true;
        }
        for row in self.rows.values_mut().filter(|row| row.message == message) {
            if row.track.state == State::Ready && row.track.lease == 0 && row.track.due > now {
                row.track.due = now;
                hastened = true;
            }
        }
        hastened
    }

    fn recover(&mut self, now: Timestamp) -> Recovered {
        let held: Vec<_> = self.held().map(|(id, row)| (*id, row.parcel, row.track.lease)).collect();
        let parcels: BTreeSet<_> = held.iter().map(|(_, parcel, _)| parcel).collect();
        let mut recovered = Recovered::default();
        for (id, _, lease) in &held {
            match self.apply(*id, &Event::Recover { lease: *lease, alone: parcels.len() == 1 }, now).map(|t| t.state) {
                Some(State::Ready) => recovered.ready += 1,
                Some(State::Unknown) => recovered.unknown += 1,
                _ => recovered.poison += 1,
            }
        }
        self.wish = None;
        recovered
    }
}

/// A history in progress.
struct History<'a> {
    world: World<'a>,
    model: Model,
}

impl History<'_> {
    async fn act(&mut self, act: &Act) {
        match act {
            Act::Submit { sms, both, priority, app, rows, parcel_max, due_in, lives } => {
                let people: Vec<String> = (0..*rows).map(|n| format!("user{n}")).collect();
                let order = Order { to: people, ..to(&[]) }
                    .channel(channel(*sms))
                    .priority(Priority::from_number(*priority).expect("a priority"))
                    .due_in(Duration::from_secs(*due_in))
                    .lives(Duration::from_secs(*lives))
                    .parcel_max(*parcel_max);
                let order = if *both { order.beside(channel(!*sms), 1) } else { order };
                self.submit(match app {
                    4 => order.account(ANN).limits(1_000, DAY_MAX, Fit::Whole),
                    _ => Order { app: AppNo(*app), ..order },
                })
                .await;
            }
            Act::Follow { first, mail, sms, due_in } => self.follow(*first, *mail, *sms, *due_in).await,
            Act::Expand { size } => self.expand(*size).await,
            Act::Hasten(which) => self.hasten(which).await,
            Act::Slots { sms, slots } => self.world.desk.open(channel(*sms), *slots),
            Act::Claim { sms, limit } => self.claim(channel(*sms), *limit).await,
            Act::Settle(ends) => self.settle(ends).await,
            Act::Crash => {
                let expected = self.model.recover(self.world.now);
                assert_eq!(self.world.crash_and_recover().await, expected);
            }
            Act::Pass { secs } => self.world.pass(Duration::from_secs(*secs)),
            Act::Cancel(which) => self.cancel(which).await,
            Act::Expire => self.expire().await,
        }
    }

    async fn submit(&mut self, order: Order) {
        let now = self.world.now;
        let batch = self.world.batch(&order);
        let counts = order.limits.is_some();
        let amount = if counts { batch.deliveries().count() as u64 } else { 0 };
        if self.model.used + amount > u64::from(DAY_MAX) && counts {
            let refused = self.world.store().submit(batch, now).await;
            assert!(matches!(refused, Ok(Submitted::OverLimit(_))), "{refused:?}");
            assert!(self.world.desk.take().is_empty());
            return;
        }
        self.model.used += amount;
        let mut born_leased: Vec<Vec<Id>> = Vec::new();
        for lot in &batch.page {
            let free = self.world.desk.free(lot.way.channel);
            let due = lot.deliveries[0].track.due <= now && self.model.may_be_born_leased(lot.way.channel, now);
            let parcels = lot.deliveries.chunks(lot.way.parcel_max.max(1));
            born_leased.extend(parcels.take(if due { free } else { 0 }).map(ids));
        }
        self.model.keep(batch.message.id, &batch.page, counts);
        self.model.messages.push(batch.message.id);
        assert_eq!(self.world.store().submit(batch, now).await, Ok(Submitted::Stored));
        let handed = self.world.desk.take();
        let came: Vec<Vec<Id>> = handed.iter().map(|lease| lease.rows.iter().map(|row| row.id).collect()).collect();
        assert_eq!(came, born_leased, "born leased exactly as far as slots reach and nothing stands in the way");
        for lease in &handed {
            self.model.leased(lease, now);
        }
    }

    /// A message of which people follow.
    async fn follow(&mut self, first: bool, mail: usize, sms: usize, due_in: u64) {
        let now = self.world.now;
        let due = now + Duration::from_secs(due_in);
        let lists = [(way(MAIL, 2), mail), (way(SMS, 1), sms)];
        let lists = lists.map(|(way, count)| Listed { way, addressees: rest(count) });
        let order = to(if first { &["first"] } else { &[] }).lives(Duration::from_secs(300));
        let order = order.rest(due, Who::Listed(lists.to_vec()));
        self.submit(order).await;
        let message = *self.model.messages.last().expect("it was stored");
        self.model.following.insert(message, Following { accepted: now, due, place: Place::default() });
    }

    async fn expand(&mut self, size: usize) {
        let now = self.world.now;
        let Some(next) = self.world.store().expansions(None, 1, now).await.expect("lists").pop() else { return };
        let page = page(&self.world, &next, size);
        let (again, to) = (page.clone(), page.to.clone());
        self.model.keep(next.message.id, &page.page, false);
        assert_eq!(self.world.store().page_add(page, now).await, Ok(true));
        for lease in self.world.desk.take() {
            self.model.leased(&lease, now);
        }
        match to {
            Some(to) => self.model.following.get_mut(&next.message.id).expect("it follows").place = to,
            None => _ = self.model.following.remove(&next.message.id),
        }
        assert_eq!(self.world.store().page_add(again, now).await, Ok(false), "no page is added twice");
    }

    async fn hasten(&mut self, which: &Index) {
        if self.model.messages.is_empty() {
            return;
        }
        let (message, now) = (*which.get(&self.model.messages), self.world.now);
        let hastened = self.model.hasten(message, now);
        assert_eq!(self.world.store().message_hasten(message, now).await, Ok(hastened));
    }

    async fn claim(&mut self, channel: ChannelNo, limit: usize) {
        let now = self.world.now;
        let leases = self.world.claim(channel, limit).await;
        if self.model.held().any(|(_, row)| row.is_suspect()) {
            assert!(leases.is_empty(), "a suspect is in flight, and nothing beside it");
            return;
        }
        let suspects = self.model.due_groups(channel, true, now);
        let groups = if suspects.is_empty() {
            let reign = self.model.suspects_reign(now);
            let groups = self.model.due_groups(channel, false, now);
            assert_eq!(leases.len(), if reign { 0 } else { limit.min(groups.len()) });
            groups
        } else {
            let alone = self.model.held().next().is_none();
            self.model.wish = (!alone).then_some((channel, now));
            assert_eq!(leases.len(), usize::from(alone), "a suspect goes alone or not at all");
            suspects
        };
        for lease in &leases {
            let rows: Vec<_> = lease.rows.iter().map(|row| row.id).collect();
            assert_eq!(groups.get(&(lease.rows[0].track.due, lease.parcel)), Some(&rows), "a parcel comes whole");
            self.model.leased(lease, now);
        }
    }

    async fn settle(&mut self, ends: &[(Index, End)]) {
        if self.model.leases.is_empty() {
            return;
        }
        let now = self.world.now;
        let (mut changes, mut expected) = (Vec::new(), Vec::new());
        let mut latest: BTreeMap<Id, Timestamp> = BTreeMap::new();
        for (which, end) in ends {
            // Of the last leases rather than of the first.
            let recent = self.model.leases.len().saturating_sub(12);
            let (id, channel, lease) = *which.get(&self.model.leases[recent..]);
            let event = event(*end, lease);
            let track = self.model.apply(id, &event, now);
            let parcel = self.model.rows[&id].parcel;
            expected.push((id, parcel, track));
            changes.push(change(channel, id, event));
        }
        for (id, parcel, track) in &expected {
            let now_at = self.model.rows[id].track;
            if track.is_some() && now_at.state == State::Ready {
                let due = latest.entry(*parcel).or_insert(now_at.due);
                *due = now_at.due.max(*due);
            }
        }
        let answers = self.world.settle(changes).await;
        for ((id, parcel, track), answer) in expected.iter().zip(&answers) {
            assert_eq!(answer.map(|t| t.state), track.map(|t| t.state), "delivery {id}");
            if let Some(row) = self.model.rows.get_mut(id)
                && track.is_some()
                && row.track.state == State::Ready
            {
                row.track.due = latest[parcel];
            }
        }
    }

    async fn cancel(&mut self, which: &Index) {
        if self.model.messages.is_empty() {
            return;
        }
        let message = *which.get(&self.model.messages);
        let now = self.world.now;
        let ids: Vec<_> = self.model.rows.iter().filter(|(_, row)| row.message == message).map(|(id, _)| *id).collect();
        let deliveries = ids.iter().filter(|id| self.model.apply(**id, &Event::Cancel, now).is_some()).count();
        let unexpanded = self.model.following.remove(&message).is_some();
        let cancelled = self.world.store().message_cancel(message, now).await;
        assert_eq!(cancelled, Ok(Cancelled { deliveries, unexpanded }));
    }

    async fn expire(&mut self) {
        let now = self.world.now;
        let waiting: Vec<_> =
            self.model.rows.iter().filter(|(_, row)| row.track.state == State::Ready).map(|(id, _)| *id).collect();
        let expired = waiting.iter().filter(|id| self.model.apply(**id, &Event::Expire, now).is_some()).count();
        assert_eq!(self.world.store().expire(10_000, now).await, Ok(expired));
    }

    /// Everything stands where the model says, and the counters count it.
    async fn compare(&self) {
        for message in &self.model.messages {
            let record = self.world.read(*message).await;
            assert_eq!(record.message.state, self.model.state(*message), "message {message}");
            let kept = self.model.rows.values().filter(|row| row.message == *message).count();
            assert_eq!(record.deliveries.len(), kept, "message {message}");
            for delivery in record.deliveries {
                let row = self.model.rows[&delivery.id];
                let said = (row.parcel, row.channel, row.track);
                assert_eq!((delivery.parcel, delivery.channel, delivery.track), said, "delivery {}", delivery.id);
            }
        }
        self.compare_following().await;
        for channel in [MAIL, SMS] {
            let waiting = |row: &&Row| row.channel == channel && row.track.state == State::Ready;
            let ready = self.model.rows.values().filter(waiting).count();
            assert_eq!(self.world.depth(channel).await, ready as u64);
            let due = self.model.rows.values().filter(waiting).map(|row| row.track.due);
            let next = due.filter(|due| *due > self.world.now).min();
            assert_eq!(self.world.store().next_due(channel, self.world.now).await, Ok(next));
            let unknown = |row: &Row| row.channel == channel && row.track.state == State::Unknown;
            let unknown: Vec<_> = self.model.rows.iter().filter(|(_, row)| unknown(row)).map(|(id, _)| *id).collect();
            let doubts = self.world.store().doubts(channel, Timestamp::from_ms(0), None, 1_000).await.expect("lists");
            assert_eq!(doubts.iter().map(|doubt| doubt.delivery).collect::<Vec<_>>(), unknown);
        }
        self.compare_account().await;
    }

    /// Who is to follow now, and who later.
    async fn compare_following(&self) {
        let now = self.world.now;
        let expanding = self.world.store().expansions(None, 1_000, now).await.expect("lists");
        let due = self.model.in_order(|of| of.due <= now);
        assert_eq!(expanding.iter().map(|expansion| expansion.message.id).collect::<Vec<_>>(), due);
        for expansion in expanding {
            assert_eq!(expansion.place, self.model.following[&expansion.message.id].place);
        }
        let waiting = self.world.store().scheduled(ScheduledFilter::default(), None, 1_000, now).await.expect("lists");
        let later = self.model.in_order(|of| of.due > now);
        assert_eq!(waiting.iter().map(|scheduled| scheduled.message.id).collect::<Vec<_>>(), later);
    }

    /// What the account has used, and what it sees of what it sent.
    async fn compare_account(&self) {
        assert_eq!(self.world.used(ANN).await.day, self.model.used);
        let filter = HistoryFilter { account: Some(ANN), ..HistoryFilter::default() };
        let page = self.world.store().history(filter, 0, 1_000).await.expect("lists");
        assert_eq!(page.total, self.model.sent.len() as u64);
        let came: Vec<_> = page.rows.iter().map(|row| (row.id, row.state, row.reason)).collect();
        let track = |id: &Id| self.model.rows[id].track;
        let sent = self.model.sent.iter().rev().map(|id| (*id, track(id).state, track(id).reason));
        assert_eq!(came, sent.collect::<Vec<_>>());
    }
}

fn ids(parcel: &[NewDelivery]) -> Vec<Id> {
    parcel.iter().map(|delivery| delivery.id).collect()
}

/// Runs histories, each on a bench of its own. Called on a runtime of several threads.
pub fn random_histories_agree<B: Bench>(bench: impl Fn() -> B) {
    let config = Config { cases: 60, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&acts(), |acts| {
        let bench = bench();
        let history = async {
            let mut history = History { world: World::begin(&bench).await, model: Model::default() };
            for act in &acts {
                history.act(act).await;
                history.compare().await;
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(history));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
