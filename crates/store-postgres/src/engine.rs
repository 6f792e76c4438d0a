//! What every operation of the store works with, and how one runs: in a transaction of its own on a connection of the pool,
//! again where the server ended it because of another one, with memory and the rest of the node following the commit.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use hongyan_core::{
    id::IdSource,
    store::{Commits, StoreResult},
    time::{Clock, Timestamp},
};
use tokio_postgres::Row as SqlRow;

use crate::{
    clock::DatabaseClock,
    days::Days,
    lanes,
    memory::Memory,
    pool::{Lent, Pool},
    retry::again,
    row::signed,
    session::{Query, Session},
    sql::hot,
    stage::{Links, Stage},
    trouble::Outcome,
};

/// Who a node is in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The number in its ids.
    pub number: u8,
    /// Which of the number's lives this is.
    pub epoch: i64,
}

/// The parts of the store that its operations share.
pub(crate) struct Engine {
    pub pool: Arc<Pool>,
    pub memory: Memory,
    pub ids: Arc<IdSource>,
    pub clock: Arc<DatabaseClock>,
    pub days: Days,
    me: Mutex<Registration>,
    links: Mutex<Links>,
    /// The latest moment that a claim has named.
    latest: AtomicI64,
    commits: AtomicU64,
    operations: AtomicU64,
}

/// A transaction in progress, of several round trips.
pub(crate) struct Transaction<'a> {
    pub db: &'a Session,
    pub engine: &'a Engine,
    pub me: Registration,
    pub stage: Stage,
}

/// What an operation does in a transaction of its own.
#[async_trait]
pub(crate) trait Operation: Send + Sync {
    /// What it answers.
    type Answer: Send;

    /// Does it. Changes nothing outside the transaction and its stage, so that it can be rolled back and run again.
    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Self::Answer>;
}

/// The row of the depth counters that operations of the pool share; workers have their own, from 1 on.
pub(crate) const SHARED_LANE: i16 = 0;

impl Engine {
    /// An engine of a node that has registered as `me`.
    pub(crate) fn new(pool: Arc<Pool>, ids: Arc<IdSource>, clock: Arc<DatabaseClock>, me: Registration) -> Arc<Self> {
        Arc::new(Self {
            pool,
            memory: Memory::default(),
            ids,
            clock,
            days: Days::default(),
            me: Mutex::new(me),
            links: Mutex::default(),
            latest: AtomicI64::new(0),
            commits: AtomicU64::new(0),
            operations: AtomicU64::new(0),
        })
    }

    /// Who this node is now.
    pub(crate) fn me(&self) -> Registration {
        *self.me.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who this node is from now on: it was declared dead and has registered anew.
    pub(crate) fn become_another(&self, me: Registration) {
        *self.me.lock().unwrap_or_else(PoisonError::into_inner) = me;
    }

    /// The rest of the node.
    pub(crate) fn links(&self) -> Links {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connects the store to the rest of the node.
    pub(crate) fn attach(&self, links: Links) {
        *self.links.lock().unwrap_or_else(PoisonError::into_inner) = links;
    }

    /// The moment by the node's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A claim is made at this moment.
    pub(crate) fn see(&self, now: Timestamp) {
        self.latest.fetch_max(now.ms(), Ordering::Relaxed);
    }

    /// The moment by which what waits is due or not, where the caller names none: that of claims, which the node's clock goes by
    /// as well, unless somebody moves time by hand.
    pub(crate) fn latest(&self) -> Timestamp {
        self.now().max(Timestamp::from_ms(self.latest.load(Ordering::Relaxed)))
    }

    /// A transaction of so many operations was committed.
    pub(crate) fn committed(&self, operations: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(u64::try_from(operations).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How well commits were shared.
    pub(crate) fn commits(&self) -> Commits {
        Commits { commits: self.commits.load(Ordering::Relaxed), operations: self.operations.load(Ordering::Relaxed) }
    }

    /// Runs an operation in a transaction of its own.
    pub(crate) async fn run<O: Operation>(&self, operation: &O) -> StoreResult<O::Answer> {
        self.run_told(operation).await.map_err(|trouble| trouble.told())
    }

    async fn run_told<O: Operation>(&self, operation: &O) -> Outcome<O::Answer> {
        let (answer, stage) = self.run_staged(operation).await?;
        self.committed(1);
        // The connection is given back: what follows may need one, and there are only so many.
        self.follow(stage).await;
        Ok(answer)
    }

    /// The same for a caller who sees to what follows the commit.
    pub(crate) async fn run_staged<O: Operation>(&self, operation: &O) -> Outcome<(O::Answer, Stage)> {
        again(|| async {
            let db = self.pool.lend().await?;
            self.run_once(operation, &db).await
        })
        .await
    }

    /// Runs statements that depend on nothing but each other's success as one transaction; answers with the connection.
    pub(crate) async fn transact(&self, queries: &[Query<'_>]) -> Outcome<(Lent, Vec<Vec<SqlRow>>)> {
        again(|| async {
            let db = self.pool.lend().await?;
            db.enter();
            let answers = db.transact(queries).await;
            db.settled();
            Ok((db, answers?))
        })
        .await
    }

    async fn run_once<O: Operation>(&self, operation: &O, db: &Lent) -> Outcome<(O::Answer, Stage)> {
        db.enter();
        db.begin().await?;
        let mut tx = Transaction { db, engine: self, me: self.me(), stage: Stage::default() };
        let ran = operation.run(&mut tx).await;
        let stage = std::mem::take(&mut tx.stage);
        let counted = match &ran {
            Ok(_) => self.count(db, &stage).await,
            Err(_) => Ok(()),
        };
        match (ran, counted) {
            (Ok(answer), Ok(())) => {
                db.commit().await?;
                db.settled();
                Ok((answer, stage))
            }
            (Err(trouble), _) | (_, Err(trouble)) => {
                db.rollback().await;
                db.settled();
                Err(trouble)
            }
        }
    }

    /// Keeps the counters of what waits, and gives back to accounts, in the transaction that changed it.
    async fn count(&self, db: &Session, stage: &Stage) -> Outcome<()> {
        let node = i16::from(self.me().number);
        for ((bucket, channel), by) in stage.depth.iter().filter(|(_, by)| **by != 0) {
            let (bucket, channel) = (i16::from(*bucket), signed(channel.0));
            db.execute(hot::DEPTH_ADD, &[&bucket, &node, &SHARED_LANE, &vec![channel], &vec![*by]]).await?;
        }
        stage.refunds.give_back(db).await
    }

    /// What follows a commit: memory, the rest of the node, and a fresh look at where something went that had waited.
    pub(crate) async fn follow(&self, stage: Stage) {
        let reread = stage.reread.clone();
        stage.remember(&mut self.memory.lock());
        if let Err(trouble) = lanes::read(&self.pool, &self.memory, reread, self.now()).await {
            tracing::debug!(?trouble, "lanes cannot be read; the next look finds them");
        }
        self.links().tell(|links| stage.publish(links));
    }
}
