//! Looks for what is new in inboxes, once for all streams of this node: every second, and at once when this node has put something
//! there. What another node put may be seen a little later than what came after it, so that each look goes back over the last
//! [`INBOX_NEWS_OVERLAP`] and leaves out what a stream has been told. A stream that does not keep up is not asked for until it has
//! room again, and misses nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hongyan_core::{
    id::Id,
    inbox::InboxItem,
    limits::{INBOX_NEWS_OVERLAP, INBOX_PAGE_MAX, INBOX_STREAMS_MAX, INBOX_STREAMS_PER_PERSON_MAX},
    setup::AppNo,
    store::{Store, StoreResult},
    time::Timestamp,
};
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

use super::InboxPace;

/// People about whom the store is asked at once.
const PEOPLE_AT_ONCE: usize = 200;
/// What a stream may be told before it has passed it on.
const TOLD_MAX: usize = 4;

/// What a stream is told.
#[derive(Debug)]
pub(super) enum Told {
    /// These items came.
    News(Vec<InboxItem>),
    /// Something was marked.
    Marked,
}

/// Where a stream begins.
#[derive(Debug)]
pub(super) struct Start {
    /// What came after this moment is news,
    pub(super) since: Timestamp,
    /// but for these.
    pub(super) seen: Vec<Id>,
}

/// A stream.
struct Follower {
    user: String,
    only: Option<AppNo>,
    since: Timestamp,
    seen: HashMap<Id, Timestamp>,
    tell: mpsc::Sender<Told>,
}

/// What the store answered of one person.
struct Answer {
    /// From when on it was asked.
    since: Timestamp,
    items: Vec<InboxItem>,
}

#[derive(Default)]
struct Followers {
    closed: bool,
    next: u64,
    open: BTreeMap<u64, Follower>,
}

/// The streams of this node.
pub(super) struct Hub {
    store: Arc<dyn Store>,
    news: Arc<Notify>,
    came: Notify,
    pace: InboxPace,
    followers: Arc<Mutex<Followers>>,
}

/// A stream's end of it. Dropped, the stream is over.
pub(super) struct Feed {
    number: u64,
    followers: Arc<Mutex<Followers>>,
    told: mpsc::Receiver<Told>,
}

impl Feed {
    /// What comes next; `None` when the node stops.
    pub(super) async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        locked(&self.followers).open.remove(&self.number);
    }
}

fn locked(followers: &Mutex<Followers>) -> MutexGuard<'_, Followers> {
    followers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn new(store: Arc<dyn Store>, news: Arc<Notify>, pace: InboxPace) -> Self {
        Self { store, news, came: Notify::new(), pace, followers: Arc::default() }
    }

    /// A stream of what comes to a person; `None` where this node has as many as it can, or stops.
    pub(super) fn follow(&self, user: &str, only: Option<AppNo>, start: Start) -> Option<Feed> {
        let mut followers = locked(&self.followers);
        let same = followers.open.values().filter(|follower| follower.user == user).count();
        if followers.closed || followers.open.len() >= INBOX_STREAMS_MAX || same >= INBOX_STREAMS_PER_PERSON_MAX {
            return None;
        }
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let number = followers.next;
        followers.next += 1;
        let now = self.store.clock().now();
        let seen = start.seen.into_iter().map(|id| (id, now)).collect();
        let follower = Follower { user: user.to_owned(), only, since: start.since, seen, tell };
        followers.open.insert(number, follower);
        drop(followers);
        self.came.notify_one();
        self.news.notify_one();
        Some(Feed { number, followers: Arc::clone(&self.followers), told })
    }

    /// Something of a person was marked on this node.
    pub(super) fn marked(&self, user: &str) {
        let followers = locked(&self.followers);
        for follower in followers.open.values().filter(|follower| follower.user == user) {
            // One that has not passed on what it was told counts again after that.
            drop(follower.tell.try_send(Told::Marked));
        }
    }

    /// Ends every stream.
    pub(super) fn close(&self) {
        let mut followers = locked(&self.followers);
        followers.closed = true;
        followers.open.clear();
    }

    /// Looks as long as anybody waits. Never ends.
    pub(super) async fn run(&self) {
        loop {
            if locked(&self.followers).open.is_empty() {
                self.came.notified().await;
                continue;
            }
            match self.look().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "what is new in inboxes cannot be read for now"),
            }
            tokio::select! {
                () = sleep(self.pace.poll) => {}
                () = self.news.notified() => sleep(self.pace.gap).await,
            }
        }
    }

    /// Looks once; answers whether there is more.
    async fn look(&self) -> StoreResult<bool> {
        let (now, asked) = (self.store.clock().now(), self.asked());
        let mut is_more = false;
        for people in asked.chunks(PEOPLE_AT_ONCE) {
            let news = self.store.inbox_news(people.to_vec(), INBOX_PAGE_MAX).await?;
            let mut answers: HashMap<String, Answer> = people
                .iter()
                .map(|(user, since)| (user.clone(), Answer { since: *since, items: Vec::new() }))
                .collect();
            for (user, item) in news {
                if let Some(answer) = answers.get_mut(&user) {
                    answer.items.push(item);
                }
            }
            is_more |= answers.values().any(|answer| answer.items.len() >= INBOX_PAGE_MAX);
            self.tell(&answers, now);
        }
        Ok(is_more)
    }

    /// Of whom there is to ask, from when on: of each person once, for whoever of their streams is furthest behind.
    fn asked(&self) -> Vec<(String, Timestamp)> {
        let followers = locked(&self.followers);
        let mut asked: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for follower in followers.open.values().filter(|follower| follower.tell.capacity() > 0) {
            let since = asked.entry(&follower.user).or_insert(follower.since);
            *since = follower.since.min(*since);
        }
        asked.into_iter().map(|(user, since)| (user.to_owned(), since)).collect()
    }

    fn tell(&self, answers: &HashMap<String, Answer>, now: Timestamp) {
        for follower in locked(&self.followers).open.values_mut() {
            if let Some(answer) = answers.get(&follower.user) {
                follower.take(answer, now);
            }
        }
    }
}

impl Follower {
    /// Passes on what is news to this stream. An answer that begins behind where it stands is not for it.
    fn take(&mut self, answer: &Answer, now: Timestamp) {
        if answer.since > self.since {
            return;
        }
        let Ok(permit) = self.tell.try_reserve() else { return };
        let (since, only, seen) = (self.since, self.only, &self.seen);
        let is_news = |item: &&InboxItem| {
            item.at > since && only.is_none_or(|app| app == item.app) && !seen.contains_key(&item.id)
        };
        let news: Vec<InboxItem> = answer.items.iter().filter(is_news).cloned().collect();
        self.seen.extend(news.iter().map(|item| (item.id, item.at)));
        self.since = match answer.items.last() {
            // There is more: on from the last, whose moment others may share.
            Some(last) if answer.items.len() >= INBOX_PAGE_MAX => {
                let near = last.at - Duration::from_millis(1);
                if near > self.since { near } else { last.at.max(self.since) }
            }
            _ => self.since.max(now - INBOX_NEWS_OVERLAP),
        };
        let since = self.since;
        self.seen.retain(|_, at| *at > since);
        if !news.is_empty() {
            permit.send(Told::News(news));
        }
    }
}

#[cfg(test)]
mod tests {
    use hongyan_core::setup::ChannelNo;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn item(number: i64, app: u32, ms: i64) -> InboxItem {
        let id = Id::from_i64(number).expect("positive");
        InboxItem {
            id,
            broadcast: false,
            message: id,
            app: AppNo(app),
            channel: ChannelNo(1),
            at: Timestamp::from_ms(NOW.ms() + ms),
            read: false,
            archived: false,
            content: None,
        }
    }

    fn follower(only: Option<AppNo>) -> (Follower, mpsc::Receiver<Told>) {
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let since = NOW - INBOX_NEWS_OVERLAP;
        (Follower { user: "a".into(), only, since, seen: HashMap::new(), tell }, told)
    }

    fn told(told: &mut mpsc::Receiver<Told>) -> Vec<i64> {
        match told.try_recv() {
            Ok(Told::News(items)) => items.iter().map(|item| item.id.get()).collect(),
            _ => vec![],
        }
    }

    fn answer(follower: &Follower, items: &[InboxItem]) -> Answer {
        Answer { since: follower.since, items: items.to_vec() }
    }

    #[test]
    fn each_item_is_told_once_however_late_it_is_seen() {
        let (mut follower, mut receiver) = follower(None);
        let early = answer(&follower, &[item(2, 1, 5)]);
        follower.take(&early, NOW);
        assert_eq!(told(&mut receiver), [2]);
        // Put before it on another node, and seen after it.
        let late = answer(&follower, &[item(1, 1, -19_000), item(2, 1, 5)]);
        follower.take(&late, NOW + Duration::from_millis(900));
        assert_eq!(told(&mut receiver), [1]);
        follower.take(&late, NOW + Duration::from_millis(950));
        assert_eq!(told(&mut receiver), [0_i64; 0]);
        let none = answer(&follower, &[]);
        follower.take(&none, NOW + Duration::from_secs(60));
        assert!(follower.seen.is_empty(), "what is not looked at again is forgotten");
        assert_eq!(follower.since, NOW + Duration::from_secs(40));
    }

    #[test]
    fn a_stream_sees_the_items_of_its_app_only() {
        let (mut follower, mut receiver) = follower(Some(AppNo(7)));
        let mixed = answer(&follower, &[item(1, 6, 1), item(2, 7, 2)]);
        follower.take(&mixed, NOW);
        assert_eq!(told(&mut receiver), [2]);
    }

    #[test]
    fn whoever_is_far_behind_reads_page_by_page_and_misses_nothing() {
        let (mut follower, mut receiver) = follower(None);
        follower.since = NOW - Duration::from_secs(100_000);
        // Several items share a moment, also where a page ends.
        let all: Vec<InboxItem> = (1..=350).map(|n| item(n, 1, -90_000_000 + n / 7)).collect();
        let mut seen = Vec::new();
        for _ in 0..20 {
            let page: Vec<_> =
                all.iter().filter(|item| item.at > follower.since).take(INBOX_PAGE_MAX).cloned().collect();
            let page = answer(&follower, &page);
            follower.take(&page, NOW);
            seen.extend(told(&mut receiver));
        }
        assert_eq!(seen, (1..=350).collect::<Vec<i64>>());
    }

    #[test]
    fn whoever_does_not_keep_up_is_told_later() {
        let (mut follower, mut receiver) = follower(None);
        for n in 1..=4 {
            let one = answer(&follower, &[item(n, 1, n)]);
            follower.take(&one, NOW);
        }
        let fifth = answer(&follower, &[item(5, 1, 5)]);
        follower.take(&fifth, NOW);
        for n in 1..=4 {
            assert_eq!(told(&mut receiver), [n]);
        }
        assert_eq!(told(&mut receiver), [0_i64; 0]);
        follower.take(&fifth, NOW);
        assert_eq!(told(&mut receiver), [5]);
        // Asked for whoever stands further ahead: what lies between may be missing.
        let ahead = Answer { since: follower.since + Duration::from_secs(1), items: vec![item(6, 1, 6)] };
        follower.take(&ahead, NOW);
        assert_eq!(told(&mut receiver), [0_i64; 0]);
    }
}
