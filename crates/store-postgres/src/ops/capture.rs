//! Keeping what a capture provider would have sent, and only the newest of it, bounded in number and in bytes. Captures of
//! concurrent calls share commits.

use std::sync::Arc;

use async_trait::async_trait;
use hongyan_core::{
    limits,
    store::{Capture, StoreResult},
};
use tokio::sync::oneshot;

use crate::{
    engine::{Engine, Operation, Transaction},
    queue::{Job, Queue, Room},
    row::CAPTURES_BUCKET,
    sql::read,
    trouble::{Outcome, Trouble},
    workers::{Workers, work_on},
};

const KEPT: i64 = limits::CAPTURES_KEPT as i64;
const BYTES_KEPT: i64 = limits::CAPTURES_BYTES_KEPT as i64;
/// How many of the oldest one statement looks at.
const STEP: i64 = 1_000;

/// Keeps captures.
pub(crate) struct Capturer {
    queue: Arc<Queue<Waiting>>,
    workers: Workers,
}

/// A capture on its way.
struct Waiting {
    capture: Capture,
    answer: oneshot::Sender<StoreResult<()>>,
    _room: Room,
}

impl Job for Waiting {
    fn bytes(&self) -> usize {
        self.capture.body.len()
    }
}

impl Capturer {
    /// Starts its worker.
    pub(crate) fn start(engine: Arc<Engine>) -> Self {
        let queue = Queue::new();
        // One: whoever keeps captures has the row of their count until the commit.
        let workers = Workers::start(1, |_| work(Arc::clone(&engine), Arc::clone(&queue)));
        Self { queue, workers }
    }

    /// Keeps a capture.
    pub(crate) async fn add(&self, capture: Capture) -> StoreResult<()> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(capture.body.len(), |room| Waiting { capture, answer, _room: room }).await?;
        answered.await.unwrap_or_else(|_| Err(Trouble::unanswered().told()))
    }

    /// Refuses everything new and finishes what waits.
    pub(crate) async fn close(&self) {
        self.queue.close();
        self.workers.ended().await;
    }
}

async fn work(engine: Arc<Engine>, queue: Arc<Queue<Waiting>>) {
    work_on(&queue, |_| {}, |jobs| together(&engine, jobs)).await;
}

/// Keeps captures together, or, where one of them is refused, each alone.
async fn together(engine: &Engine, jobs: Vec<Waiting>) {
    let mut captures = Vec::with_capacity(jobs.len());
    let mut answers = Vec::with_capacity(jobs.len());
    for Waiting { capture, answer, _room } in jobs {
        captures.push(capture);
        answers.push((answer, _room));
    }
    let kept = engine.run(&CaptureAdd { captures: &captures }).await;
    for ((answer, _), capture) in answers.into_iter().zip(&captures) {
        let told = match &kept {
            // What is refused of many may be the fault of one.
            Err(refused) if captures.len() > 1 && refused.certainly_not_done() => {
                engine.run(&CaptureAdd { captures: std::slice::from_ref(capture) }).await
            }
            kept => kept.clone(),
        };
        // Nobody waits any more where the caller has gone.
        drop(answer.send(told));
    }
}

/// The operation.
struct CaptureAdd<'a> {
    captures: &'a [Capture],
}

#[async_trait]
impl Operation for CaptureAdd<'_> {
    type Answer = ();

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        let bytes: i64 = self.captures.iter().map(|capture| length(&capture.body)).sum();
        let (mut count, mut bytes) = counted(tx, length(self.captures), bytes).await?;
        self.insert(tx).await?;
        let (mut gone, mut gone_bytes) = (0, 0);
        while count > KEPT || bytes > BYTES_KEPT {
            // The newest stays, however large.
            let (look, too_many, too_large) = (STEP.min(count - 1), count - KEPT, bytes - BYTES_KEPT);
            let forgotten =
                tx.db.query_opt(read::CAPTURES_FORGET, &[&CAPTURES_BUCKET, &look, &too_many, &too_large]).await?;
            let Some(row) = forgotten else { break };
            let (went, went_bytes): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if went == 0 {
                break;
            }
            (count, bytes) = (count - went, bytes - went_bytes);
            (gone, gone_bytes) = (gone + went, gone_bytes + went_bytes);
        }
        if gone > 0 {
            counted(tx, -gone, -gone_bytes).await?;
        }
        Ok(())
    }
}

impl CaptureAdd<'_> {
    async fn insert(&self, tx: &Transaction<'_>) -> Outcome<()> {
        let column = |of: fn(&Capture) -> i64| self.captures.iter().map(of).collect::<Vec<_>>();
        let text = |of: fn(&Capture) -> &str| self.captures.iter().map(of).collect::<Vec<_>>();
        let recipients: Vec<String> =
            self.captures.iter().map(|c| serde_json::to_string(&c.recipients).unwrap_or_default()).collect();
        let bodies: Vec<&[u8]> = self.captures.iter().map(|capture| capture.body.as_slice()).collect();
        let (ids, messages) = (column(|capture| capture.id.get()), column(|capture| capture.message.get()));
        let (providers, times) = (text(|capture| &capture.provider), column(|capture| capture.at.ms()));
        let senders = text(|capture| &capture.sender);
        let params: [crate::session::Param<'_>; 8] =
            [&CAPTURES_BUCKET, &ids, &messages, &providers, &times, &senders, &recipients, &bodies];
        tx.db.execute(read::CAPTURE_INSERT, &params).await?;
        Ok(())
    }
}

/// Counts so many captures and bytes more; answers how many there are.
async fn counted(tx: &Transaction<'_>, captures: i64, bytes: i64) -> Outcome<(i64, i64)> {
    let row = tx.db.query_opt(read::CAPTURED, &[&CAPTURES_BUCKET, &captures, &bytes]).await?;
    let row = row.ok_or_else(|| Trouble::Damaged("no answer".to_owned()))?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn length<T>(of: &[T]) -> i64 {
    i64::try_from(of.len()).unwrap_or(i64::MAX)
}
