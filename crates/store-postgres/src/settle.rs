//! Recording what happened to deliveries: each event goes through `step`, the tracks that follow are written once per
//! delivery, the tries are kept. What this node holds stands in memory as it was last written, so the usual settlement is a
//! statement that names the lease and state it expects, and shares its commit with others. Whatever does not stand as expected,
//! or is not held, is read, locked and judged anew ([`anew`]).

mod anew;
mod changes;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use hongyan_core::{
    delivery::Track,
    id::Id,
    limits,
    store::{Change, StoreResult},
    time::Timestamp,
};
use tokio::sync::oneshot;
use tokio_postgres::Row as SqlRow;

use self::{anew::Anew, changes::Settling};
use crate::{
    engine::{Engine, Operation, Transaction},
    pool::closed,
    queue::{Job, Queue, Room},
    refunds,
    row::{Row, id_read},
    session::Query,
    stage::Stage,
    trouble::{Outcome, Trouble},
    workers::{Workers, work_on},
};

/// Workers, each with a commit of its own under way.
const WORKERS: i16 = 2;
/// Changes in one commit, about; one call's are never parted.
const CHANGES_MAX: usize = 4_096;

/// Settles; concurrent calls share commits.
pub(crate) struct Settler {
    queue: Arc<Queue<Settlement>>,
    workers: Workers,
}

/// A call on its way.
struct Settlement {
    changes: Vec<Change>,
    now: Timestamp,
    reply: oneshot::Sender<StoreResult<Vec<Option<Track>>>>,
    room: Option<Room>,
}

impl Job for Settlement {
    /// So much a change that a commit holds about four thousand: more would hold its rows too long.
    fn bytes(&self) -> usize {
        self.changes.len() * (limits::COMMIT_BYTES_MAX / CHANGES_MAX)
    }
}

impl Settler {
    /// How many lanes of the depth counters it needs.
    pub(crate) const LANES: i16 = WORKERS;

    /// Starts the workers, which count on lanes from `lane` on.
    pub(crate) fn start(engine: &Arc<Engine>, lane: i16) -> Self {
        let queue = Queue::new();
        let workers = Workers::start(WORKERS, |n| work(Arc::clone(engine), Arc::clone(&queue), lane + n));
        Self { queue, workers }
    }

    /// Settles, after waiting for room.
    pub(crate) async fn settle(&self, changes: Vec<Change>, now: Timestamp) -> StoreResult<Vec<Option<Track>>> {
        let (reply, answer) = oneshot::channel();
        let settlement = |room| Settlement { changes, now, reply, room: Some(room) };
        self.queue.push(0, settlement).await?;
        answer.await.unwrap_or_else(|_| Err(Trouble::unanswered().told()))
    }

    /// Settles what nobody can wait for: what was claimed for somebody who is gone.
    pub(crate) fn settle_later(&self, changes: Vec<Change>, now: Timestamp) {
        let (reply, _) = oneshot::channel();
        // A queue that is full or closed leaves it to recovery.
        drop(self.queue.push_or_refuse(0, |room| Settlement { changes, now, reply, room: Some(room) }));
    }

    /// Refuses everything new and finishes what waits.
    pub(crate) async fn close(&self) {
        self.queue.close();
        self.workers.ended().await;
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.queue.close();
        for settlement in self.queue.rest() {
            settlement.answer(Err(closed().told()));
        }
    }
}

impl Settlement {
    fn answer(self, answer: StoreResult<Vec<Option<Track>>>) {
        drop(self.room);
        let _ = self.reply.send(answer);
    }
}

async fn work(engine: Arc<Engine>, queue: Arc<Queue<Settlement>>, lane: i16) {
    work_on(&queue, |_| {}, |settlements| together(&engine, lane, settlements)).await;
}

/// Settles together what is held, in the order in which it came; the rest, and whatever did not stand as memory had it, each
/// call by itself.
async fn together(engine: &Engine, lane: i16, settlements: Vec<Settlement>) {
    let (usual, others): (Vec<_>, Vec<_>) = {
        let known = engine.memory.lock();
        let is_held =
            |settlement: &Settlement| settlement.changes.iter().all(|change| known.held(change.delivery).is_some());
        settlements.into_iter().partition(is_held)
    };
    if !usual.is_empty() {
        match settle_held(engine, lane, &usual).await {
            Ok((answers, strays)) => {
                engine.committed(usual.len());
                for (settlement, answer) in usual.into_iter().zip(answers) {
                    if settlement.changes.iter().any(|change| strays.contains(&change.delivery)) {
                        alone(engine, settlement, answer, &strays).await;
                    } else {
                        settlement.answer(Ok(answer));
                    }
                }
            }
            Err(trouble) if trouble.is_refusal() => {
                for settlement in usual {
                    let (answer, every) = (vec![None; settlement.changes.len()], ids(&settlement));
                    alone(engine, settlement, answer, &every).await;
                }
            }
            Err(trouble) => {
                for settlement in usual {
                    settlement.answer(Err(trouble.told()));
                }
            }
        }
    }
    for settlement in others {
        let (answer, every) = (vec![None; settlement.changes.len()], ids(&settlement));
        alone(engine, settlement, answer, &every).await;
    }
}

fn ids(settlement: &Settlement) -> HashSet<Id> {
    settlement.changes.iter().map(|change| change.delivery).collect()
}

/// Settles the changes of one call that are about `which` anew; `answer` has what the others came to.
async fn alone(engine: &Engine, settlement: Settlement, mut answer: Vec<Option<Track>>, which: &HashSet<Id>) {
    let places: Vec<usize> =
        (0..settlement.changes.len()).filter(|n| which.contains(&settlement.changes[*n].delivery)).collect();
    let changes = places.iter().map(|n| settlement.changes[*n].clone()).collect();
    let settled = engine.run(&Anew { changes, now: settlement.now }).await;
    let settled = settled.map(|tracks| {
        for (place, track) in places.into_iter().zip(tracks) {
            answer[place] = track;
        }
        answer
    });
    settlement.answer(settled);
}

/// What each call is told, and the deliveries that did not stand as expected.
type Settled = (Vec<Vec<Option<Track>>>, HashSet<Id>);

async fn settle_held(engine: &Engine, lane: i16, settlements: &[Settlement]) -> Outcome<Settled> {
    let mut settling = {
        let known = engine.memory.lock();
        let rows = settlements.iter().flat_map(|settlement| &settlement.changes);
        Settling::of(rows.filter_map(|change| known.held(change.delivery).copied()))
    };
    let mut answers: Vec<Vec<Option<Track>>> =
        settlements.iter().map(|settlement| settling.apply(&settlement.changes, settlement.now)).collect();
    settling.align();
    for (settlement, answer) in settlements.iter().zip(&mut answers) {
        settling.correct(&settlement.changes, answer);
    }
    let now = settlements.iter().map(|settlement| settlement.now).max().unwrap_or_else(|| engine.now());
    let written = write(engine, lane, &settling, now).await?;
    let mut stage = Stage::default();
    let mut strays = HashSet::new();
    for (was, track) in settling.changed() {
        if written.contains(&was.id.get()) {
            stage.moved(&Row { track, ..was });
            stage.tell(&was, track);
        } else {
            strays.insert(was.id);
        }
    }
    engine.follow(stage).await;
    Ok((answers, strays))
}

/// Writes what has changed; answers the ids that stood as expected.
async fn write(engine: &Engine, lane: i16, settling: &Settling, now: Timestamp) -> Outcome<BTreeSet<i64>> {
    let tables = settling.tables(engine.me(), lane, engine.now());
    let queries = tables.queries();
    if queries.is_empty() {
        return Ok(BTreeSet::new());
    }
    if settling.changed().any(|(was, track)| refunds::of(&was, &track).is_some()) {
        return Ok(engine.run_staged(&Refunding { settling, queries: &queries, now }).await?.0);
    }
    let (_, answers) = engine.transact(&queries).await?;
    written(&answers)
}

fn written(answers: &[Vec<SqlRow>]) -> Outcome<BTreeSet<i64>> {
    answers.iter().flatten().map(|row| id_read(row, 0).map(Id::get)).collect()
}

/// The same where something is given back to an account: what stood as expected has to be known before.
struct Refunding<'a> {
    settling: &'a Settling,
    queries: &'a [Query<'a>],
    now: Timestamp,
}

#[async_trait]
impl Operation for Refunding<'_> {
    type Answer = BTreeSet<i64>;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<BTreeSet<i64>> {
        let written = written(&tx.db.query_all(self.queries).await?)?;
        for (was, track) in self.settling.changed().filter(|(was, _)| written.contains(&was.id.get())) {
            tx.stage.refunds.note(&was, &track, self.now);
        }
        Ok(written)
    }
}
