//! Quotas, paces and caps. What is asked of accounts at the same time shares commits: each worker has some of the buckets, so that
//! however many ask of one account, one of this node's connections at a time waits for its row, and has it for one commit.

mod caps;
mod pace;

use std::sync::Arc;

use async_trait::async_trait;
use hongyan_core::{
    id::{Id, bucket_of_name},
    quota::{Admission, Admitted, Day, Sums},
    store::StoreResult,
    time::Timestamp,
};
use tokio::sync::oneshot;

pub(crate) use self::{caps::draw, pace::TokensTake};
pub(crate) use crate::row::name;
use crate::{
    engine::{Engine, Operation, Transaction},
    queue::{Job, Queue, Room},
    sql::quota,
    trouble::{Outcome, Trouble},
    windows::{Ask, HOUR_MS, Said, Windows, account_read},
    workers::{Workers, work_on},
};

/// Workers, each with a commit of its own under way.
const WORKERS: u8 = 4;
/// What a request takes, roughly.
const ASK_BYTES: usize = 128;

/// Admits and refunds.
pub(crate) struct Accountant {
    queues: Vec<Arc<Queue<Waiting>>>,
    workers: Workers,
}

/// A request on its way.
struct Waiting {
    ask: Ask,
    now: Timestamp,
    reply: oneshot::Sender<StoreResult<Said>>,
    room: Room,
}

impl Job for Waiting {
    fn bytes(&self) -> usize {
        ASK_BYTES
    }
}

impl Accountant {
    /// Starts the workers.
    pub(crate) fn start(engine: &Arc<Engine>) -> Self {
        let queues: Vec<_> = (0..WORKERS).map(|_| Queue::new()).collect();
        let workers = Workers::start(i16::from(WORKERS), |n| {
            let queue = &queues[usize::try_from(n).unwrap_or(0)];
            work(Arc::clone(engine), Arc::clone(queue))
        });
        Self { queues, workers }
    }

    /// Admits a request to an account, or not.
    pub(crate) async fn admit(&self, mut admission: Admission, now: Timestamp) -> StoreResult<Admitted> {
        admission.account = name(admission.account);
        match self.ask(Ask::Admit(admission), now).await? {
            Said::Admitted(admitted) => Ok(admitted),
            Said::GivenBack(_) => unreachable!("admissions are answered as such"),
        }
    }

    /// Gives back what came to nothing.
    pub(crate) async fn refund(&self, account: String, id: Id, amount: u32, now: Timestamp) -> StoreResult<u32> {
        match self.ask(Ask::Refund { account: name(account), id, amount }, now).await? {
            Said::GivenBack(given) => Ok(given),
            Said::Admitted(_) => unreachable!("refunds are answered as such"),
        }
    }

    async fn ask(&self, ask: Ask, now: Timestamp) -> StoreResult<Said> {
        let (reply, answer) = oneshot::channel();
        let queue = &self.queues[usize::from(bucket_of_name(ask.account()) % WORKERS)];
        queue.push(ASK_BYTES, |room| Waiting { ask, now, reply, room }).await?;
        answer.await.unwrap_or_else(|_| Err(Trouble::unanswered().told()))
    }

    /// Refuses everything new and finishes what waits.
    pub(crate) async fn close(&self) {
        for queue in &self.queues {
            queue.close();
        }
        self.workers.ended().await;
    }
}

async fn work(engine: Arc<Engine>, queue: Arc<Queue<Waiting>>) {
    work_on(&queue, |_| {}, |jobs| together(&engine, jobs)).await;
}

async fn together(engine: &Engine, jobs: Vec<Waiting>) {
    let mut asks = Vec::with_capacity(jobs.len());
    let mut waiting = Vec::with_capacity(jobs.len());
    for Waiting { ask, now, reply, room } in jobs {
        asks.push((ask, now));
        waiting.push((reply, room));
    }
    let said = decide(engine, &asks).await;
    for (place, (reply, room)) in waiting.into_iter().enumerate() {
        // Its room is free when the answer is given.
        drop(room);
        let answer = said.as_ref().map(|said| said[place]).map_err(Clone::clone);
        // Nobody waits any more where the caller has gone.
        let _ = reply.send(answer);
    }
}

#[async_trait]
impl Operation for Windows<'_> {
    type Answer = Option<Vec<Said>>;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Option<Vec<Said>>> {
        self.decide(tx.db).await
    }
}

async fn decide(engine: &Engine, asks: &[(Ask, Timestamp)]) -> StoreResult<Vec<Said>> {
    if let Some(said) = engine.run(&Windows { asks, begins: false }).await? {
        return Ok(said);
    }
    // It is the first time that somebody asks something of one of these accounts.
    let said = engine.run(&Windows { asks, begins: true }).await?;
    said.ok_or_else(|| Trouble::Damaged("an account that was begun is gone".to_owned()).told())
}

/// What an account has used by `now`.
pub(crate) async fn used(engine: &Engine, account: String, day: Day, now: Timestamp) -> Outcome<Sums> {
    let account = name(account);
    let bucket = i16::from(bucket_of_name(&account));
    let db = engine.pool.lend().await?;
    let found = db.query_opt(quota::ACCOUNT, &[&bucket, &account, &now.ms(), &HOUR_MS]).await?;
    let Some(row) = found else { return Ok(Sums::default()) };
    let (account, retired) = account_read(&row)?;
    Ok(account.moved_on(retired, day, now).sums())
}
