//! Audiences that are not expanded by the submit: what follows the first page of a long list, people who are found when their page
//! comes, and all that is scheduled. A page of at most [`limits::PAGE_RECIPIENTS_MAX`] deliveries and its place is one commit. A crash
//! between two pages loses nothing and repeats nobody: the next start reads the place and goes on.
//!
//! A round takes all that are due at its beginning. Each that begins gets its first page, so that what is scheduled fires on time;
//! of those that go on, a few get one page each, in turns from round to round, so that large audiences hold up nobody and get on
//! all the same. Many pages are under way at a time, for stores let them share commits.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hongyan_core::{
    id::{Id, IdSource},
    limits,
    message::Message,
    setup::{Channel, ChannelKind, CurrentSetup},
    store::{Expansion, Listed, Page, People, Place, Store, StoreError, Way, Who},
    time::{Clock, Timestamp},
};
use tokio::sync::Notify;

use crate::{
    gather::{Mark, addressees, gather},
    page::{count, cut, lots},
};

/// Messages that are read at a time.
const READ: usize = 64;
/// Pages that are under way at a time.
const ABREAST: usize = 128;
/// Messages that go on in one round, a page each.
const TURNS: usize = 8;
/// How often it looks by itself: what is scheduled fires at most so much later, and a wake-up may be lost.
const POLL: Duration = Duration::from_millis(250);
/// How long it leaves alone a message that erred, and a store that does.
const REST: Duration = Duration::from_secs(1);
/// How many messages that erred it knows; others are tried every round.
const RESTING_MAX: usize = 1_024;
/// How long after its acceptance a message may go by a channel that this node has not read of yet.
const CHANNEL_NEWS: Duration = Duration::from_secs(10);
/// The buckets over which the pages of a message go round (design 6).
const BUCKETS: usize = 64;

/// The background expansion of one node.
pub struct Expander {
    store: Arc<dyn Store>,
    ids: Arc<IdSource>,
    clock: Arc<dyn Clock>,
    setup: Arc<CurrentSetup>,
    woken: Notify,
    /// What a round leaves to the next.
    turns: Mutex<Turns>,
}

/// Who comes when.
#[derive(Default)]
struct Turns {
    /// Whose turn was the last, of those that go on.
    last: Option<(Timestamp, Id)>,
    /// Who erred, and until when they are left alone.
    resting: HashMap<Id, Timestamp>,
}

/// Those that go on and may get a page in this round.
#[derive(Default)]
struct Candidates {
    /// Those behind whose turn was the last.
    behind: Vec<Expansion>,
    /// Those before, who come when there are too few behind.
    before: Vec<Expansion>,
}

/// What a round has done.
#[derive(Default)]
struct Done {
    pages: usize,
    erred: Vec<(Id, StoreError)>,
}

/// How the next page of a message is had.
enum Next {
    /// It is there.
    Cut(Sheet),
    /// Its people have to be found.
    Find(Vec<Way>, People),
}

/// What a page holds.
struct Sheet {
    lists: Vec<Listed>,
    to: Option<Place>,
    broadcast: Option<Way>,
    /// How many pages came before it.
    number: usize,
}

impl Expander {
    /// An expander; it works while [`Expander::run`] is polled.
    pub fn new(store: Arc<dyn Store>, ids: Arc<IdSource>, clock: Arc<dyn Clock>, setup: Arc<CurrentSetup>) -> Self {
        Self { store, ids, clock, setup, woken: Notify::new(), turns: Mutex::default() }
    }

    /// Says that there may be work.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Works until it is dropped.
    pub async fn run(&self) {
        loop {
            match self.round().await {
                Ok(0) => {
                    // Either wakes it; a time-out is the poll.
                    drop(tokio::time::timeout(POLL, self.woken.notified()).await);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "audiences cannot be expanded for now");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// One round over all that are due; answers how many pages were added. A message that errs holds up no other and is tried
    /// again a little later.
    ///
    /// # Errors
    /// The store's, when it cannot say what is due; what was added stays added.
    pub async fn round(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut turns = std::mem::take(&mut *self.turns());
        turns.resting.retain(|_, until| *until > now);
        let mut done = Done::default();
        let result = self.add_pages(&mut turns, &mut done, now).await;
        if let Some((message, error)) = done.erred.first() {
            let count = done.erred.len();
            tracing::warn!(%error, %message, count, "audiences cannot be expanded for now: the first of them");
        }
        let room = RESTING_MAX.saturating_sub(turns.resting.len());
        turns.resting.extend(done.erred.into_iter().take(room).map(|(id, _)| (id, now + REST)));
        *self.turns() = turns;
        result.map(|()| done.pages)
    }

    fn turns(&self) -> std::sync::MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn add_pages(&self, turns: &mut Turns, done: &mut Done, now: Timestamp) -> Result<(), StoreError> {
        let mut adding = FuturesUnordered::new();
        let mut candidates = Candidates::default();
        let mut after = None;
        loop {
            let read = self.store.expansions(after, READ, now);
            let due = beside(read, &mut adding, done).await?;
            let Some(last) = due.last() else { break };
            after = Some(key(last));
            for expansion in due.into_iter().filter(|due| !turns.resting.contains_key(&due.message.id)) {
                if expansion.place != Place::default() {
                    candidates.offer(expansion, turns.last);
                    continue;
                }
                if adding.len() >= ABREAST {
                    done.note(adding.next().await);
                }
                adding.push(self.add_page(expansion));
            }
        }
        let chosen = candidates.choose();
        turns.last = chosen.last().map(key);
        for expansion in chosen {
            adding.push(self.add_page(expansion));
        }
        while !adding.is_empty() {
            done.note(adding.next().await);
        }
        Ok(())
    }

    /// Adds the next page of a message; answers whether it was the one to do so. A list is cut before anything is waited for, so
    /// that of all that are under way no more than a page is in memory.
    fn add_page(&self, expansion: Expansion) -> impl Future<Output = (Id, Result<bool, StoreError>)> {
        let Expansion { message, place, rest, .. } = expansion;
        let next = match rest.who {
            Who::Listed(lists) => Next::Cut(of_lists(lists, &place)),
            Who::People { ways, people } => Next::Find(ways, people),
        };
        async move {
            let sheet = match next {
                Next::Cut(sheet) => Ok(sheet),
                Next::Find(ways, people) => self.of_people(&ways, &people, &place, &message).await,
            };
            let id = message.id;
            match sheet {
                Ok(sheet) => (id, self.add(sheet, place, &message).await),
                Err(error) => (id, Err(error)),
            }
        }
    }

    async fn add(&self, sheet: Sheet, from: Place, message: &Message) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let bucket = u8::try_from((usize::from(message.id.bucket()) + sheet.number) % BUCKETS).unwrap_or_default();
        let ids = self.ids.block(count(&sheet.lists).max(1), bucket, now);
        let first = ids.map_err(|error| StoreError::Busy(error.to_string()))?;
        let page = lots(sheet.lists, first, now, message.expires);
        let broadcast = sheet.broadcast.map(|way| way.channel);
        self.store.page_add(Page { message: message.id, from, to: sheet.to, page, broadcast }, now).await
    }

    /// The page of people that begins at `place`: each person on every channel, but for the first inbox where everyone is meant,
    /// which has one row for all of them.
    async fn of_people(
        &self,
        ways: &[Way],
        people: &People,
        place: &Place,
        message: &Message,
    ) -> Result<Sheet, StoreError> {
        let setup = self.setup.get();
        let kind = |way: &Way| match setup.channel(way.channel) {
            None if self.clock.now() < message.accepted + CHANNEL_NEWS => {
                Err(StoreError::Conflict(format!("this node has not read of channel {} yet", way.channel.0)))
            }
            channel => Ok((*way, channel.map(|channel: &Arc<Channel>| channel.kind))),
        };
        let mut ways = ways.iter().map(kind).collect::<Result<Vec<_>, StoreError>>()?;
        let is_first = *place == Place::default();
        let mut broadcast = None;
        if people.everyone {
            // A message has one broadcast: by a further inbox it goes to each.
            let inbox = ways.iter().position(|(_, kind)| *kind == Some(ChannelKind::Inbox));
            broadcast = inbox.map(|inbox| ways.remove(inbox).0).filter(|_| is_first);
        }
        let number = usize::try_from(place.step).unwrap_or_default();
        if ways.is_empty() {
            return Ok(Sheet { lists: Vec::new(), to: None, broadcast, number });
        }
        let mark = if is_first { Mark::first(people) } else { place.mark.parse()? };
        let room = (limits::PAGE_RECIPIENTS_MAX / ways.len()).max(1);
        let gathered = gather(&*self.store, people, mark, room).await?;
        let list = |(n, (way, kind)): (usize, (Way, Option<ChannelKind>))| Listed {
            way,
            addressees: addressees(&gathered.found, kind, n == 0),
        };
        let lists = ways.into_iter().enumerate().map(list).filter(|listed| !listed.addressees.is_empty()).collect();
        let to = gathered.next.map(|mark| Place { step: place.step + 1, mark: mark.to_string() });
        Ok(Sheet { lists, to, broadcast, number })
    }
}

/// Waits for `read` while the pages that are under way go on. They may not stand still meanwhile: each may hold what `read` waits
/// for, such as a connection of the store.
async fn beside<T>(
    read: impl Future<Output = T>,
    adding: &mut FuturesUnordered<impl Future<Output = (Id, Result<bool, StoreError>)>>,
    done: &mut Done,
) -> T {
    let mut read = pin!(read);
    loop {
        tokio::select! {
            read = &mut read => return read,
            ended = adding.next(), if !adding.is_empty() => done.note(ended),
        }
    }
}

/// The page of lists that begins at `place`.
fn of_lists(lists: Vec<Listed>, place: &Place) -> Sheet {
    let start = usize::try_from(place.step).unwrap_or(usize::MAX);
    let (lists, behind) = cut(cut(lists, start).1, limits::PAGE_RECIPIENTS_MAX);
    let step = place.step + u32::try_from(count(&lists)).unwrap_or_default();
    let to = (!behind.is_empty()).then(|| Place { step, mark: String::new() });
    Sheet { lists, to, broadcast: None, number: start / limits::PAGE_RECIPIENTS_MAX }
}

/// Where a message stands among those that are due.
const fn key(expansion: &Expansion) -> (Timestamp, Id) {
    (expansion.rest.due, expansion.message.id)
}

impl Candidates {
    /// Hears of one more, in the order of their times.
    fn offer(&mut self, expansion: Expansion, last: Option<(Timestamp, Id)>) {
        let is_behind = last.is_none_or(|last| key(&expansion) > last);
        let list = if is_behind { &mut self.behind } else { &mut self.before };
        if list.len() < TURNS {
            list.push(expansion);
        }
    }

    /// Those whose turn it is.
    fn choose(self) -> Vec<Expansion> {
        self.behind.into_iter().chain(self.before).take(TURNS).collect()
    }
}

impl Done {
    fn note(&mut self, ended: Option<(Id, Result<bool, StoreError>)>) {
        match ended {
            Some((_, Ok(added))) => self.pages += usize::from(added),
            Some((id, Err(error))) => self.erred.push((id, error)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use hongyan_core::{
        message::{Dialect, Label, MessageState, Priority},
        setup::{AppNo, ChannelNo},
        store::{Addressee, Rest},
    };

    use super::*;

    fn expansion(n: i64) -> Expansion {
        let (accepted, expires) = (Timestamp::from_ms(0), Timestamp::MAX);
        let message = Message {
            id: Id::from_i64(n).expect("positive"),
            app: AppNo(1),
            dialect: Dialect::Push,
            operation: String::new(),
            user: String::new(),
            client: String::new(),
            priority: Priority::Middle,
            state: MessageState::Expanding,
            label: Label::default(),
            accepted,
            expires,
        };
        let place = Place { step: 1, mark: "members".into() };
        let rest = Rest { due: Timestamp::from_ms(5), who: Who::Listed(Vec::new()) };
        Expansion { message, channel: ChannelNo(1), place, rest }
    }

    #[tokio::test]
    async fn pages_under_way_do_not_hold_what_the_next_read_waits_for() {
        let connection = tokio::sync::Semaphore::new(1);
        let hold = async || {
            let permit = connection.acquire().await.expect("open");
            tokio::task::yield_now().await;
            drop(permit);
        };
        let page = |n| {
            let hold = &hold;
            async move {
                hold().await;
                (Id::from_i64(n).expect("positive"), Ok(true))
            }
        };
        let (mut adding, mut done) = (FuturesUnordered::new(), Done::default());
        (1..=3).for_each(|n| adding.push(page(n)));
        // The first has ended, and the connection is given to the second, which nobody polls unless the read does.
        done.note(adding.next().await);
        let read = tokio::time::timeout(Duration::from_secs(10), beside(hold(), &mut adding, &mut done));
        read.await.expect("it is read");
        assert_eq!(done.pages, 3, "they were before it in the queue");
    }

    #[test]
    fn those_that_go_on_take_turns() {
        let all = i64::try_from(TURNS).expect("few") * 2 + 3;
        let (mut last, mut seen) = (None, Vec::new());
        for _ in 0..3 {
            let mut candidates = Candidates::default();
            (1..=all).for_each(|n| candidates.offer(expansion(n), last));
            let chosen = candidates.choose();
            assert_eq!(chosen.len(), TURNS);
            last = chosen.last().map(key);
            seen.extend(chosen.iter().map(|chosen| chosen.message.id.get()));
        }
        let expected: Vec<i64> = (1..=all).chain(1..).take(3 * TURNS).collect();
        assert_eq!(seen, expected, "all of them before any comes again");
    }

    #[test]
    fn lists_go_on_where_they_stand_and_end_with_the_last_addressee() {
        let addressee = |n: usize| Addressee { recipient: n.to_string(), address: n.to_string(), skipped: None };
        let list = |channel, many| Listed {
            way: Way { channel: ChannelNo(channel), parcel_max: 7 },
            addressees: (0..many).map(addressee).collect(),
        };
        let lists = || vec![list(1, 1_200), list(2, 800)];
        let sheet = of_lists(lists(), &Place::default());
        assert_eq!((count(&sheet.lists), sheet.number), (1_000, 0));
        let sheet = of_lists(lists(), &sheet.to.expect("more"));
        assert_eq!((sheet.to, sheet.number), (None, 1), "two full pages are all");
        assert_eq!(sheet.lists.iter().map(|l| l.addressees.len()).collect::<Vec<_>>(), [200, 800]);
    }
}
