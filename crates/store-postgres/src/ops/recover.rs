//! Taking back what dead nodes held, and what this node is on record for holding although it does not know of it.
//!
//! Whoever looks first takes back; the row of the dead registration is locked meanwhile, so that no two nodes share a parcel
//! between them, and what a late settle is writing just now is left for the next look.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hongyan_core::{
    delivery::{Event, Policy, Reason, Repeat, State, Track, step},
    id::Id,
    limits,
    retry::RetrySchedule,
    store::{Policies, Recovered, StoreResult},
    time::Timestamp,
};
use tokio::time::Instant;
use tokio_postgres::Row as SqlRow;

use crate::{
    engine::{Engine, Operation, Registration, Transaction},
    life::Life,
    memory::BUCKETS,
    nodes::{self, registrations},
    row::{Row, row_read, signed, state_number},
    session::{Param, Query, Session},
    sql::{node, recover as sql},
    trouble::{Outcome, Trouble},
};

/// How many rows one transaction takes back: two of the largest parcels, so that it always holds one whole.
const ROWS: usize = 2 * limits::PAGE_RECIPIENTS_MAX;
/// For how long after its end each second's look asks for what a registration holds: longer than any transaction of its own
/// that was under way can last.
const LATELY: Duration = Duration::from_secs(300);
/// How often everything that is held is looked at, whoever holds it.
const HOLDERS_EVERY: Duration = Duration::from_secs(60);

/// Something of a registration is held in a bucket.
type Held = (i16, Registration);

/// Takes back.
pub(crate) async fn recover(
    engine: &Engine,
    life: &Life,
    policies: Policies,
    now: Timestamp,
) -> StoreResult<Recovered> {
    // A node that trusts itself from the beginning (in tests) need not wait for its next look at the others.
    if life.rhythm().trust.is_zero() {
        nodes::declare_dead(engine).await?;
    }
    let begun = Instant::now();
    let of_all = life.rounds().holders.is_none_or(|at| begun.duration_since(at) >= HOLDERS_EVERY);
    let mut recovered = Recovered::default();
    for (bucket, of) in orphans(engine, life, of_all).await.map_err(|trouble| trouble.told())? {
        let orphans = Orphans { bucket, of, policies: policies.clone(), now };
        loop {
            let taken = engine.run(&orphans).await?;
            recovered = sum(recovered, taken.recovered);
            if !taken.is_more_there {
                break;
            }
        }
    }
    if of_all {
        life.rounds().holders = Some(begun);
    }
    recovered = sum(recovered, strays(engine, life, &policies, now).await?);
    // The next calls bring the same.
    life.policies.get_or_init(|| policies);
    Ok(recovered)
}

fn sum(a: Recovered, b: Recovered) -> Recovered {
    Recovered { ready: a.ready + b.ready, unknown: a.unknown + b.unknown, poison: a.poison + b.poison }
}

/// What registrations that have ended hold, all of them or those that ended lately: at first anywhere, then in the preferred
/// buckets.
async fn orphans(engine: &Engine, life: &Life, of_all: bool) -> Outcome<Vec<Held>> {
    let is_first = life.rounds().holders.is_none();
    let buckets: Vec<i16> = match is_first {
        true => (0..i16::from(BUCKETS)).collect(),
        false => life.buckets().into_iter().map(i16::from).collect(),
    };
    let db = engine.pool.lend().await?;
    if of_all {
        let unended = registrations(&db.query(node::UNENDED, &[]).await?)?;
        let mut held = ask_each(&db, &buckets, sql::HOLDERS, &[]).await?;
        held.retain(|(_, of)| !unended.contains(of));
        return Ok(held);
    }
    let ended = registrations(&db.query(node::ENDED_LATELY, &[&LATELY.as_secs_f64()]).await?)?;
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i16> = ended.iter().map(|of| i16::from(of.number)).collect();
    let epochs: Vec<i64> = ended.iter().map(|of| of.epoch).collect();
    ask_each(&db, &buckets, sql::HOLDERS_OF, &[&numbers, &epochs]).await
}

/// Asks several buckets for registrations that hold something, in one write.
async fn ask_each(db: &Session, buckets: &[i16], sql: &'static str, params: &[Param<'_>]) -> Outcome<Vec<Held>> {
    let mut held = Vec::new();
    for (bucket, rows) in buckets.iter().zip(query_each(db, buckets, sql, params).await?) {
        held.extend(registrations(&rows)?.into_iter().map(|of| (*bucket, of)));
    }
    Ok(held)
}

/// Runs a statement for each of several buckets, in one write.
async fn query_each(
    db: &Session,
    buckets: &[i16],
    sql: &'static str,
    params: &[Param<'_>],
) -> Outcome<Vec<Vec<SqlRow>>> {
    let mut queries = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let mut all: Vec<Param<'_>> = vec![bucket];
        all.extend(params);
        queries.push(Query { sql, params: all });
    }
    db.query_all(&queries).await
}

/// Takes back what a registration that has ended holds in a bucket, so many rows of it.
struct Orphans {
    bucket: i16,
    of: Registration,
    policies: Policies,
    now: Timestamp,
}

/// What one transaction took back.
#[derive(Default)]
struct Taken {
    recovered: Recovered,
    is_more_there: bool,
}

#[async_trait]
impl Operation for Orphans {
    type Answer = Taken;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Taken> {
        let (number, epoch) = (i16::from(self.of.number), self.of.epoch);
        let mut alone = false;
        if let Some(row) = tx.db.query_opt(node::ENDED_LOCK, &[&number, &epoch]).await? {
            if !row.try_get::<_, bool>(0)? {
                return Ok(Taken::default());
            }
            alone = row.try_get::<_, Option<i32>>(1)? == Some(1);
        }
        let limit = i64::try_from(ROWS).unwrap_or(i64::MAX);
        let mut rows = tx.db.query(sql::ORPHANS, &[&self.bucket, &number, &epoch, &limit]).await?;
        let is_more_there = rows.len() == ROWS;
        if is_more_there {
            without_the_last_parcel(&mut rows)?;
        }
        let decide = |row: &Row| {
            let event = Event::Recover { lease: row.track.lease, alone };
            step(&row.track, &event, &(self.policies)(row.channel), self.now)
        };
        let recovered = take(tx, self.bucket, &rows, self.now, decide).await?;
        Ok(Taken { recovered, is_more_there })
    }
}

/// The last parcel may go on behind the last row: it is taken back whole the next time.
fn without_the_last_parcel(rows: &mut Vec<SqlRow>) -> Outcome<()> {
    const PARCEL: usize = 2;
    let Some(last) = rows.last() else { return Ok(()) };
    let last: i64 = last.try_get(PARCEL)?;
    let first: i64 = rows[0].try_get(PARCEL)?;
    if first != last {
        rows.retain(|row| row.try_get(PARCEL).ok() != Some(last));
    }
    Ok(())
}

/// Writes what `decide` says of rows that were found held, and sets aside what cannot be read.
async fn take(
    tx: &mut Transaction<'_>,
    bucket: i16,
    rows: &[SqlRow],
    now: Timestamp,
    decide: impl Fn(&Row) -> Option<Track> + Send + Sync,
) -> Outcome<Recovered> {
    let mut recovered = Recovered::default();
    let (mut free, mut ended, mut unreadable) = (Columns::default(), Columns::default(), Vec::new());
    for row in rows {
        let row = match row_read(row) {
            Ok(row) => row,
            Err(trouble @ Trouble::Damaged(_)) => {
                let id: i64 = row.try_get(0)?;
                tracing::error!(delivery = id, ?trouble, "a delivery is damaged and is set aside");
                unreadable.push(id);
                continue;
            }
            Err(trouble) => return Err(trouble),
        };
        let Some(track) = decide(&row) else { continue };
        match track.state {
            State::Ready => recovered.ready += 1,
            State::Unknown => recovered.unknown += 1,
            _ => recovered.poison += 1,
        }
        if track.state.is_open() { &mut free } else { &mut ended }.push(&row, &track);
        tx.stage.refunds.note(&row, &track, now);
        tx.stage.change(&row, track);
        tx.stage.tell(&row, track);
    }
    recovered.unknown += unreadable.len();
    free.write(tx.db, sql::FREE, bucket).await?;
    ended.write(tx.db, sql::END, bucket).await?;
    if !unreadable.is_empty() {
        // It may have been sent.
        let (state, reason) = (state_number(State::Unknown), Reason::Ambiguous.as_str());
        tx.db.execute(sql::SET_ASIDE, &[&bucket, &unreadable, &state, &reason]).await?;
    }
    Ok(recovered)
}

/// Tracks as columns.
#[derive(Default)]
struct Columns {
    id: Vec<i64>,
    lease: Vec<i32>,
    state: Vec<i16>,
    reason: Vec<Option<&'static str>>,
    tries: Vec<i16>,
    crashes: Vec<i16>,
    due: Vec<i64>,
    first_try: Vec<Option<i64>>,
    maybe_duplicate: Vec<bool>,
}

impl Columns {
    fn push(&mut self, row: &Row, track: &Track) {
        self.id.push(row.id.get());
        self.lease.push(signed(row.track.lease));
        self.state.push(state_number(track.state));
        self.reason.push(track.reason.map(Reason::as_str));
        self.tries.push(i16::try_from(track.tries).unwrap_or(i16::MAX));
        self.crashes.push(i16::from(track.crashes));
        self.due.push(track.due.ms());
        self.first_try.push(track.first_try.map(Timestamp::ms));
        self.maybe_duplicate.push(track.maybe_duplicate);
    }

    async fn write(&self, db: &Session, sql: &'static str, bucket: i16) -> Outcome<()> {
        if self.id.is_empty() {
            return Ok(());
        }
        let Self { id, lease, state, reason, tries, crashes, due, first_try, maybe_duplicate } = self;
        db.execute(sql, &[&bucket, id, lease, state, reason, tries, crashes, due, first_try, maybe_duplicate]).await?;
        Ok(())
    }
}

/// Takes back what has been on record as this node's own for a lease and more although it does not know of it: a claim whose
/// commit was not confirmed, or whose answer nobody waited for. Asked once a heartbeat.
async fn strays(engine: &Engine, life: &Life, policies: &Policies, now: Timestamp) -> StoreResult<Recovered> {
    let begun = Instant::now();
    let rhythm = life.rhythm();
    if life.rounds().own.is_some_and(|at| begun.duration_since(at) < rhythm.heartbeat) {
        return Ok(Recovered::default());
    }
    let since = now - rhythm.lease;
    let is_stray = |id: Id, _| engine.memory.lock().held(id).is_none();
    let recovered = give_back(engine, since, policies, now, is_stray).await?;
    life.rounds().own = Some(begun);
    Ok(recovered)
}

/// Before this node leaves: gives back what is on record as its own and is certainly not being sent. The rest the others take
/// back as from a dead node.
pub(crate) async fn give_back_all(engine: &Engine, life: &Life) {
    let unsent = |id: Id, policies: Option<&Policies>| {
        let known = engine.memory.lock();
        let Some(row) = known.held(id) else { return true };
        policies.is_some_and(|policies| policies(row.channel).repeat.needs_intent())
    };
    let policies = life.policies.get();
    let any = || -> Policies {
        let policy = Arc::new(Policy { repeat: Repeat::AtMostOnce, retry: RetrySchedule::of([]) });
        Arc::new(move |_| Arc::clone(&policy))
    };
    let is_unsent = |id, state| state == State::Leased && unsent(id, policies);
    let policies = policies.cloned().unwrap_or_else(any);
    if let Err(error) = give_back(engine, Timestamp::MAX, &policies, engine.now(), is_unsent).await {
        tracing::debug!(%error, "what is leased is left to the others");
    }
}

/// Gives back what is on record as this node's own since `since` or longer, of the rows that `may_go` names.
async fn give_back(
    engine: &Engine,
    since: Timestamp,
    policies: &Policies,
    now: Timestamp,
    may_go: impl Fn(Id, State) -> bool + Send + Sync,
) -> StoreResult<Recovered> {
    let me = engine.me();
    let found = held_since(engine, me, since).await.map_err(|trouble| trouble.told())?;
    let mut recovered = Recovered::default();
    for (bucket, held) in found {
        let ids: Vec<i64> =
            held.into_iter().filter(|(id, state)| may_go(*id, *state)).map(|(id, _)| id.get()).collect();
        for some in ids.chunks(limits::PAGE_RECIPIENTS_MAX) {
            let strays = Strays { bucket, me, since, ids: some.to_vec(), policies: policies.clone(), now };
            recovered = sum(recovered, engine.run(&strays).await?);
        }
    }
    Ok(recovered)
}

/// What a registration has held since `since` or longer, by bucket.
async fn held_since(engine: &Engine, of: Registration, since: Timestamp) -> Outcome<Vec<(i16, Vec<(Id, State)>)>> {
    let buckets: Vec<i16> = (0..i16::from(BUCKETS)).collect();
    let (number, epoch, since) = (i16::from(of.number), of.epoch, since.ms());
    let db = engine.pool.lend().await?;
    let answers = query_each(&db, &buckets, sql::HELD_SINCE, &[&number, &epoch, &since]).await?;
    let mut found = Vec::new();
    for (bucket, rows) in buckets.into_iter().zip(answers).filter(|(_, rows)| !rows.is_empty()) {
        let mut held = Vec::with_capacity(rows.len());
        for row in &rows {
            let state =
                if row.try_get::<_, i16>(1)? == state_number(State::Sending) { State::Sending } else { State::Leased };
            // What has no id cannot be known to memory; it is never written.
            held.extend(Id::from_i64(row.try_get(0)?).map(|id| (id, state)));
        }
        found.push((bucket, held));
    }
    Ok(found)
}

/// Gives back rows of this node's own.
struct Strays {
    bucket: i16,
    me: Registration,
    since: Timestamp,
    ids: Vec<i64>,
    policies: Policies,
    now: Timestamp,
}

#[async_trait]
impl Operation for Strays {
    type Answer = Recovered;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Recovered> {
        let (number, since) = (i16::from(self.me.number), self.since.ms());
        let rows = tx.db.query(sql::STRAYS, &[&self.bucket, &number, &self.me.epoch, &since, &self.ids]).await?;
        let decide = |row: &Row| {
            let lease = row.track.lease;
            let event = match row.track.state {
                State::Sending => Event::Recover { lease, alone: false },
                _ => Event::GiveBack { lease },
            };
            step(&row.track, &event, &(self.policies)(row.channel), self.now)
        };
        take(tx, self.bucket, &rows, self.now, decide).await
    }
}
