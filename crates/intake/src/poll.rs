//! What other nodes achieved for those who wait on this one. Nodes tell each other nothing, so this one asks the store: every
//! 100 ms, once for all who have waited that long, and only while somebody does and there is another node (design 7).

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    id::Id,
    ports::{Moved, Progress},
    store::{Store, StoreResult},
};
use tokio::time::{Instant, sleep};

use crate::waiting::Waiting;

/// How often the store is asked, and how long somebody must have waited to be asked for: most outcomes are this node's own
/// and are there sooner.
const ROUND: Duration = Duration::from_millis(100);
/// How long an answer to whether there are other nodes holds: about as long as a new one takes to do anything.
const PEERS_HOLD: Duration = Duration::from_secs(2);
/// Messages asked for at once.
const QUESTION_MAX: usize = 500;

/// The asking of one node.
pub struct OutcomePoller<S = Arc<dyn Store>> {
    store: S,
    waiting: Arc<Waiting>,
    peers: Option<Peers>,
    is_failing: bool,
}

/// Whether there were other nodes at some moment.
#[derive(Clone, Copy)]
struct Peers {
    at: Instant,
    exist: bool,
}

/// What is asked of a store.
pub trait Ask: Send + Sync {
    /// [`hongyan_core::store::Messages::outcomes`].
    fn outcomes(&self, messages: Vec<Id>) -> impl Future<Output = StoreResult<Vec<Moved>>> + Send;

    /// Whether other nodes of the store live.
    fn has_peers(&self) -> impl Future<Output = StoreResult<bool>> + Send;
}

impl Ask for Arc<dyn Store> {
    async fn outcomes(&self, messages: Vec<Id>) -> StoreResult<Vec<Moved>> {
        (**self).outcomes(messages).await
    }

    async fn has_peers(&self) -> StoreResult<bool> {
        Ok(self.nodes().await?.iter().any(|node| node.alive && !node.this))
    }
}

impl<S: Ask> OutcomePoller<S> {
    /// A poller; it works while [`OutcomePoller::run`] is polled.
    pub fn new(store: S, waiting: Arc<Waiting>) -> Self {
        Self { store, waiting, peers: None, is_failing: false }
    }

    /// Works until it is dropped.
    pub async fn run(mut self) {
        loop {
            sleep(ROUND).await;
            let overdue = self.waiting.overdue(ROUND);
            if overdue.is_empty() {
                continue;
            }
            match self.ask(overdue).await {
                Ok(()) if self.is_failing => {
                    self.is_failing = false;
                    tracing::info!("outcomes of other nodes are read again");
                }
                Ok(()) => {}
                // Said once: the next ten failures of this second say nothing new.
                Err(_) if self.is_failing => {}
                Err(error) => {
                    self.is_failing = true;
                    tracing::warn!(%error, "outcomes of other nodes cannot be read for now; who waits for one waits to the end");
                }
            }
        }
    }

    /// Tells those who wait for these messages where they stand.
    async fn ask(&mut self, messages: Vec<Id>) -> StoreResult<()> {
        if !self.has_peers().await? {
            return Ok(());
        }
        for some in messages.chunks(QUESTION_MAX) {
            let moved = self.store.outcomes(some.to_vec()).await?;
            // What is old by now, because the delivery moved while the answer was on its way, the next round sets right.
            self.waiting.moved(&moved);
        }
        Ok(())
    }

    async fn has_peers(&mut self) -> StoreResult<bool> {
        if let Some(known) = self.peers.filter(|known| known.at.elapsed() < PEERS_HOLD) {
            return Ok(known.exist);
        }
        let exist = self.store.has_peers().await?;
        self.peers = Some(Peers { at: Instant::now(), exist });
        Ok(exist)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use hongyan_core::{
        delivery::{State, Track},
        setup::ChannelNo,
        store::StoreError,
        time::Timestamp,
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
    const MAIL: ChannelNo = ChannelNo(1);
    const LONG: Duration = Duration::from_secs(8);

    /// A store of several nodes, another of which settles the delivery after each message at the message's first question but
    /// `patience`.
    #[derive(Default)]
    struct Fake {
        alone: AtomicBool,
        away: AtomicBool,
        counted: AtomicUsize,
        asked: Mutex<Vec<Vec<Id>>>,
        patience: usize,
    }

    impl Ask for Arc<Fake> {
        async fn outcomes(&self, messages: Vec<Id>) -> StoreResult<Vec<Moved>> {
            let mut asked = self.asked.lock().expect("asked");
            asked.push(messages.clone());
            if self.away.load(Ordering::Relaxed) {
                return Err(StoreError::Unavailable { why: "away".to_owned(), certain: true });
            }
            let state = if asked.len() > self.patience { State::Accepted } else { State::Leased };
            let track = Track { state, ..Track::ready(NOW, NOW + LONG) };
            Ok(messages.into_iter().map(|message| Moved { message, delivery: message.plus(1), track }).collect())
        }

        async fn has_peers(&self) -> StoreResult<bool> {
            self.counted.fetch_add(1, Ordering::Relaxed);
            Ok(!self.alone.load(Ordering::Relaxed))
        }
    }

    /// A poller that works in the background, its store, and who waits.
    fn polling(fake: Fake) -> (Arc<Fake>, Arc<Waiting>) {
        let (fake, waiting) = (Arc::new(fake), Arc::new(Waiting::default()));
        tokio::spawn(OutcomePoller::new(Arc::clone(&fake), Arc::clone(&waiting)).run());
        (fake, waiting)
    }

    fn asked(fake: &Fake) -> usize {
        fake.asked.lock().expect("asked").len()
    }

    async fn wait(waiting: &Arc<Waiting>, message: i64) -> usize {
        let message = Id::from_i64(message << 22).expect("positive");
        let ticket = waiting.register(message, MAIL, 1, NOW + LONG).expect("nothing stalls");
        ticket.wait(LONG).await.len()
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_what_another_node_settled() {
        let (fake, waiting) = polling(Fake { patience: 3, ..Fake::default() });
        let began = Instant::now();
        assert_eq!(wait(&waiting, 1).await, 1);
        assert!(began.elapsed() <= 6 * ROUND, "{:?}", began.elapsed());
        assert_eq!(asked(&fake), 4);
        sleep(LONG).await;
        assert_eq!(asked(&fake), 4, "nobody waits, nobody asks");
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_a_question_of_bounded_size() {
        let (fake, waiting) = polling(Fake::default());
        let waits: Vec<_> = (1..=1_200)
            .map(|message| {
                tokio::spawn({
                    let waiting = Arc::clone(&waiting);
                    async move { wait(&waiting, message).await }
                })
            })
            .collect();
        for wait in waits {
            assert_eq!(wait.await.expect("ends"), 1);
        }
        let sizes: Vec<usize> = fake.asked.lock().expect("asked").iter().map(Vec::len).collect();
        assert_eq!(sizes, [500, 500, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_alone_asks_for_nothing() {
        let (fake, waiting) = polling(Fake { alone: AtomicBool::new(true), ..Fake::default() });
        assert_eq!(wait(&waiting, 1).await, 0);
        assert_eq!(asked(&fake), 0);
        let counted = fake.counted.load(Ordering::Relaxed);
        assert!((4..=5).contains(&counted), "{counted} looks in 8 s");
        fake.alone.store(false, Ordering::Relaxed);
        let began = Instant::now();
        assert_eq!(wait(&waiting, 2).await, 1, "a second node has come");
        assert!(began.elapsed() <= PEERS_HOLD + 2 * ROUND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_asked_again() {
        let (fake, waiting) = polling(Fake { away: AtomicBool::new(true), ..Fake::default() });
        let back = {
            let fake = Arc::clone(&fake);
            async move {
                sleep(LONG / 2).await;
                fake.away.store(false, Ordering::Relaxed);
            }
        };
        assert_eq!(tokio::join!(wait(&waiting, 1), back).0, 1);
    }
}
