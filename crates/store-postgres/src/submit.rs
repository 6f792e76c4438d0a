//! Storing requests: whatever waits when a worker comes by is stored in one commit, message, content, first page, idempotency key
//! and what it counts in its account's windows. What is due now is born leased where its channel has a free slot and nothing waits there before it (design 3);
//! that is decided as requests leave the queue, in their order, so that none overtakes another.

mod admission;
mod commit;
mod request;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hongyan_core::{
    setup::ChannelNo,
    store::{Batch, StoreResult, Submitted},
    time::Timestamp,
};

use self::{commit::commit, request::Request};
use crate::{
    engine::Engine,
    pool::closed,
    queue::Queue,
    retry::again,
    stage::Stage,
    trouble::Trouble,
    workers::{Workers, guarded, work_on},
};

/// Workers, each with a commit of its own under way: while one waits for the disk, the other prepares.
const WORKERS: i16 = 2;

/// Stores requests.
pub(crate) struct Submitter {
    queue: Arc<Queue<Request>>,
    workers: Workers,
}

impl Submitter {
    /// Starts the workers, which count on lanes from `lane` on.
    pub(crate) fn start(engine: &Arc<Engine>, lane: i16) -> Self {
        let queue = Queue::new();
        let workers = Workers::start(WORKERS, |n| work(Arc::clone(engine), Arc::clone(&queue), lane + n));
        Self { queue, workers }
    }

    /// How many lanes of the depth counters it needs.
    pub(crate) const LANES: i16 = WORKERS;

    /// Stores a request, or refuses it when too many wait. Everything up to the queue happens when this is first polled.
    pub(crate) async fn submit(&self, batch: Batch, now: Timestamp) -> StoreResult<Submitted> {
        let (request, answer) = Request::new(batch, now);
        self.queue.push_or_refuse(request.size(), |room| request.with(room))?;
        answer.await.unwrap_or_else(|_| Err(Trouble::unanswered().told()))
    }

    /// Refuses everything new and finishes what waits.
    pub(crate) async fn close(&self) {
        self.queue.close();
        self.workers.ended().await;
    }
}

async fn work(engine: Arc<Engine>, queue: Arc<Queue<Request>>, lane: i16) {
    work_on(&queue, |requests| decide(&engine, requests), |requests| together(&engine, lane, requests)).await;
}

/// Decides which parcels are born leased, and takes their slots at the desk. What is left ready counts as waiting at once, for
/// whoever comes next.
fn decide(engine: &Engine, requests: &mut [Request]) {
    let links = engine.links();
    let mut known = engine.memory.lock();
    let mut free: HashMap<ChannelNo, bool> = HashMap::new();
    for request in requests {
        for lot in 0..request.lots() {
            let channel = request.channel(lot);
            // Each parcel takes a slot of its own; behind the first that gets none all wait, so that they stay in order.
            while request.next_due(lot).is_some_and(|due| due <= request.now) {
                let free = free.entry(channel).or_insert_with(|| known.may_be_born_leased(channel, request.now));
                *free = *free && links.reserve(channel);
                if !*free {
                    break;
                }
                request.lease(lot);
            }
        }
        request.ready().for_each(|parcel| known.will_be_ready(&parcel));
    }
}

/// Commits requests together, or, where one of them is refused, each alone.
async fn together(engine: &Engine, lane: i16, requests: Vec<Request>) {
    match commit_again(engine, lane, &requests).await {
        Ok((stage, answers)) => follow(engine, requests, stage, answers).await,
        Err(trouble) if requests.len() == 1 || !trouble.is_refusal() => refuse(engine, requests, &trouble),
        Err(_) => {
            for request in requests {
                let alone = vec![request];
                match commit_again(engine, lane, &alone).await {
                    Ok((stage, answers)) => follow(engine, alone, stage, answers).await,
                    Err(trouble) => refuse(engine, alone, &trouble),
                }
            }
        }
    }
}

async fn commit_again(engine: &Engine, lane: i16, requests: &[Request]) -> Result<(Stage, Vec<Submitted>), Trouble> {
    again(|| guarded(commit(engine, lane, requests))).await
}

async fn follow(engine: &Engine, requests: Vec<Request>, stage: Stage, answers: Vec<Submitted>) {
    engine.committed(requests.len());
    // Slots whose request turned out to be a repeat, or over a limit, go back.
    let unused = requests.iter().zip(&answers).filter(|(_, answer)| **answer != Submitted::Stored);
    release(engine, unused.map(|(request, _)| request));
    engine.follow(stage).await;
    have_come(engine, &requests);
    for (request, answer) in requests.into_iter().zip(answers) {
        request.answer(Ok(answer));
    }
}

fn refuse(engine: &Engine, requests: Vec<Request>, trouble: &Trouble) {
    release(engine, &requests);
    have_come(engine, &requests);
    for request in requests {
        request.answer(Err(trouble.told()));
    }
}

/// What was about to become ready is, or will not be.
fn have_come(engine: &Engine, requests: &[Request]) {
    let mut known = engine.memory.lock();
    for request in requests {
        known.have_come(request.batch.message.id.bucket(), request.waiting());
    }
}

fn release<'a>(engine: &Engine, requests: impl IntoIterator<Item = &'a Request>) {
    let mut slots: BTreeMap<ChannelNo, usize> = BTreeMap::new();
    for (channel, leased) in requests.into_iter().flat_map(Request::leased) {
        *slots.entry(channel).or_default() += leased;
    }
    let links = engine.links();
    for (channel, slots) in slots {
        links.tell(|links| (0..slots).for_each(|_| links.desk.release(channel)));
    }
}

/// What is told to a request that waits when the store is dropped.
impl Drop for Submitter {
    fn drop(&mut self) {
        self.queue.close();
        for request in self.queue.rest() {
            request.answer(Err(closed().told()));
        }
    }
}
