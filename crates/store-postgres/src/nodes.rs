//! Registrations of nodes: a number and the epoch in which it is held. A node registers when it starts and again when it was
//! declared dead meanwhile; another declares it dead, and counts what it held, when it was not heard of for too long.

use std::{fs, process, sync::Arc, time::Duration};

use async_trait::async_trait;
use hongyan_core::{
    id::Id,
    store::{NodeRecord, StoreResult},
    time::{Clock, SystemClock, Timestamp},
};
use tokio::time::Instant;
use tokio_postgres::Row as SqlRow;

use crate::{
    buckets::preferred,
    clock::DatabaseClock,
    engine::{Engine, Operation, Registration, Transaction},
    memory::BUCKETS,
    pool::Pool,
    retry::again,
    session::{Query, Session},
    sql::{arrival, cold, node, recover},
    trouble::{Outcome, Trouble},
};

/// How far above the highest time that a number kept at its heartbeats its next holder begins (design 1): more than a lease,
/// what may be borrowed from the time to come, and a heartbeat.
const ABOVE_REACHED: Duration = Duration::from_secs(30);

/// A registration that was just made.
pub(crate) struct Registered {
    /// Which.
    pub me: Registration,
    /// Ids of this number must lie at or above this moment.
    pub floor: Timestamp,
    /// When it was asked for: its first lease runs from then on.
    pub at: Instant,
    /// Who lives and stays, this one among them.
    pub living: Vec<Registration>,
}

/// What is known of a number that was given out before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    number: u8,
    epoch: i64,
    reached: Timestamp,
    /// Whether a registration of it has not ended.
    is_open: bool,
    /// Whether such a one is in force.
    is_live: bool,
    /// Whether it is a while ago that it was held.
    is_rested: bool,
}

/// Registers a process of this program under a free number, for one lease, and sets its clock by the database's.
pub(crate) async fn register(pool: &Arc<Pool>, clock: &DatabaseClock, lease: Duration) -> Outcome<Registered> {
    again(|| register_once(pool, clock, lease)).await
}

async fn register_once(pool: &Arc<Pool>, clock: &DatabaseClock, lease: Duration) -> Outcome<Registered> {
    let db = pool.lend().await?;
    set_clock(&db, clock).await?;
    let stored = highest_stored(&db).await?;
    db.enter();
    db.begin().await?;
    // One after the other: two that register at once take two numbers.
    db.query(cold::SCHEMA_LOCK, &[]).await?;
    if db.query_opt(arrival::MARK, &[]).await?.is_some() {
        db.rollback().await;
        db.settled();
        return Err(Trouble::Away("another store is being moved into this database".to_owned()));
    }
    let used = db.query(node::NUMBERS, &[]).await?.iter().map(used_read).collect::<Outcome<Vec<Used>>>()?;
    let Some((number, before)) = choose(&used) else {
        db.rollback().await;
        db.settled();
        return Err(Trouble::Busy("all 256 node numbers are in use"));
    };
    let me = Registration { number, epoch: before.map_or(1, |used| used.epoch + 1) };
    let above = before.map_or(Timestamp::default(), |used| used.reached + ABOVE_REACHED);
    let floor = above.max(stored);
    let (host, version) = (host(), env!("CARGO_PKG_VERSION"));
    let (number, seconds) = (i16::from(me.number), lease.as_secs_f64());
    let at = Instant::now();
    db.execute(node::REGISTER, &[&number, &me.epoch, &host, &version, &seconds, &floor.ms(), &clock.ahead_ms()])
        .await?;
    db.execute(node::FORGET, &[]).await?;
    let living = registrations(&db.query(node::LIVING, &[]).await?)?;
    db.commit().await?;
    db.settled();
    tracing::info!(node = me.number, epoch = me.epoch, "registered");
    Ok(Registered { me, floor, at, living })
}

/// The machine and process, for people.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    format!("{}:{}", if name.is_empty() { "unknown" } else { name }, process::id())
}

async fn set_clock(db: &Session, clock: &DatabaseClock) -> Outcome<()> {
    let before = SystemClock.now();
    let there = db.query_opt(cold::CLOCK, &[]).await?;
    let there = there.ok_or_else(|| Trouble::Damaged("the database has no time".to_owned()))?;
    clock.measured(Timestamp::from_ms(there.try_get(0)?), before, SystemClock.now());
    Ok(())
}

/// A moment above all that is stored, whoever made it.
async fn highest_stored(db: &Session) -> Outcome<Timestamp> {
    let buckets: Vec<i16> = (0..i16::from(BUCKETS)).collect();
    let probes: Vec<Query<'_>> =
        buckets.iter().map(|bucket| Query { sql: recover::HIGHEST_ID, params: vec![bucket] }).collect();
    let mut highest = None;
    for rows in db.query_all(&probes).await? {
        for row in &rows {
            highest = highest.max(row.try_get::<_, Option<i64>>(0)?);
        }
    }
    let above = |id: Id| id.time() + Duration::from_millis(1);
    Ok(highest.and_then(Id::from_i64).map_or(Timestamp::default(), above))
}

fn used_read(row: &SqlRow) -> Outcome<Used> {
    Ok(Used {
        number: number_read(row.try_get(0)?)?,
        epoch: row.try_get(1)?,
        reached: Timestamp::from_ms(row.try_get(2)?),
        is_open: row.try_get(3)?,
        is_live: row.try_get(4)?,
        is_rested: row.try_get(5)?,
    })
}

fn number_read(stored: i16) -> Outcome<u8> {
    u8::try_from(stored).map_err(|_| Trouble::Damaged(format!("the node number {stored}")))
}

/// Reads registrations from rows that begin with number and epoch.
pub(crate) fn registrations(rows: &[SqlRow]) -> Outcome<Vec<Registration>> {
    let read = |row: &SqlRow| Ok(Registration { number: number_read(row.try_get(0)?)?, epoch: row.try_get(1)? });
    rows.iter().map(read).collect()
}

/// The number to take, and what it was used for before. The smallest that nobody holds; one that was held until just now only
/// where there is no other, because a node that stood still may wake and not yet know; one whose lease is over but that nobody
/// has declared dead only if all others are held.
fn choose(used: &[Used]) -> Option<(u8, Option<Used>)> {
    let of = |number: u8| used.iter().find(|used| used.number == number).copied();
    let all = || (0..=u8::MAX).map(|number| (number, of(number)));
    let rested = |(_, used): &(u8, Option<Used>)| used.is_none_or(|used| !used.is_open && used.is_rested);
    let free = |(_, used): &(u8, Option<Used>)| used.is_none_or(|used| !used.is_open);
    let silent = |(_, used): &(u8, Option<Used>)| used.is_none_or(|used| !used.is_live);
    all().find(rested).or_else(|| all().find(free)).or_else(|| all().find(silent))
}

/// Says that this node lives, for one lease more, and sets its clock; `false` where the others have declared it dead.
pub(crate) async fn heartbeat(db: &Session, engine: &Engine, lease: Duration) -> Outcome<bool> {
    again(|| heartbeat_once(db, engine, lease)).await
}

async fn heartbeat_once(db: &Session, engine: &Engine, lease: Duration) -> Outcome<bool> {
    let me = engine.me();
    let (number, seconds) = (i16::from(me.number), lease.as_secs_f64());
    let (reached, ahead) = (engine.ids.reached().ms(), engine.clock.ahead_ms());
    let before = SystemClock.now();
    let heard = db.query_opt(node::HEARTBEAT, &[&number, &me.epoch, &seconds, &reached, &ahead]).await?;
    let Some(heard) = heard else { return Ok(false) };
    engine.clock.measured(Timestamp::from_ms(heard.try_get(0)?), before, SystemClock.now());
    Ok(true)
}

/// Who lives and stays.
pub(crate) async fn living(db: &Session) -> Outcome<Vec<Registration>> {
    registrations(&db.query(node::LIVING, &[]).await?)
}

/// Declares dead whoever was not heard of for a lease.
pub(crate) async fn declare_dead(engine: &Engine) -> StoreResult<()> {
    let overdue = async { registrations(&engine.pool.lend().await?.query(node::OVERDUE, &[]).await?) };
    let overdue = overdue.await.map_err(|trouble| trouble.told())?;
    for of in overdue.into_iter().filter(|of| *of != engine.me()) {
        if let Some((host, parcels)) = engine.run(&DeclareDead { of }).await? {
            tracing::warn!(
                node = of.number,
                epoch = of.epoch,
                host,
                parcels,
                "a node is not heard of any more: it is dead"
            );
        }
    }
    Ok(())
}

/// Declares one node dead, unless it was heard of meanwhile or another was faster.
struct DeclareDead {
    of: Registration,
}

#[async_trait]
impl Operation for DeclareDead {
    /// Where it ran and how many parcels it held.
    type Answer = Option<(String, i32)>;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Self::Answer> {
        let (number, epoch) = (i16::from(self.of.number), self.of.epoch);
        let Some(row) = tx.db.query_opt(node::OVERDUE_LOCK, &[&number, &epoch]).await? else { return Ok(None) };
        let parcels = parcels_held(tx.db, self.of).await?;
        tx.db.execute(node::DECLARE_DEAD, &[&number, &epoch, &parcels]).await?;
        Ok(Some((row.try_get(0)?, parcels)))
    }
}

/// How many parcels a registration holds.
async fn parcels_held(db: &Session, of: Registration) -> Outcome<i32> {
    let number = i16::from(of.number);
    let buckets: Vec<i16> = (0..i16::from(BUCKETS)).collect();
    let counts: Vec<Query<'_>> = buckets
        .iter()
        .map(|bucket| Query { sql: recover::PARCELS_HELD, params: vec![bucket, &number, &of.epoch] })
        .collect();
    let mut parcels = 0;
    for row in db.query_all(&counts).await?.iter().flatten() {
        parcels += row.try_get::<_, i64>(0)?;
    }
    Ok(i32::try_from(parcels).unwrap_or(i32::MAX))
}

/// Ends this node's own registration. What it still holds is taken back by the others.
pub(crate) async fn depart(db: &Session, engine: &Engine) -> Outcome<()> {
    let me = engine.me();
    let (number, reached) = (i16::from(me.number), engine.ids.reached().ms());
    let parcels = parcels_held(db, me).await?;
    again(|| async { db.execute(node::DEPART, &[&number, &me.epoch, &parcels, &reached]).await }).await?;
    Ok(())
}

/// The nodes of the store, the dead of the last day among them.
pub(crate) async fn list(engine: &Engine) -> Outcome<Vec<NodeRecord>> {
    let rows = engine.pool.lend().await?.query(node::NODES, &[]).await?;
    let registered = registrations(&rows)?;
    let mut living = Vec::new();
    for (row, of) in rows.iter().zip(&registered) {
        if row.try_get(6)? && !row.try_get::<_, bool>(8)? {
            living.push(*of);
        }
    }
    let record = |(row, of): (&SqlRow, &Registration)| {
        let (alive, stopping): (bool, bool) = (row.try_get(6)?, row.try_get(8)?);
        Ok(NodeRecord {
            number: of.number,
            epoch: of.epoch,
            host: row.try_get(2)?,
            version: row.try_get(3)?,
            started: Timestamp::from_ms(row.try_get(4)?),
            heard: Timestamp::from_ms(row.try_get(5)?),
            alive,
            stopping,
            this: *of == engine.me(),
            buckets: if living.contains(of) { preferred(*of, &living) } else { Vec::new() },
            clock_ahead_ms: row.try_get(7)?,
        })
    };
    rows.iter().zip(&registered).map(record).collect()
}

/// Says that this node is about to leave.
pub(crate) async fn stopping(engine: &Engine) -> Outcome<()> {
    let me = engine.me();
    let number = i16::from(me.number);
    again(|| async { engine.pool.lend().await?.execute(node::STOPPING, &[&number, &me.epoch]).await }).await?;
    Ok(())
}

/// Finds out whether the database can be written, by writing.
pub(crate) async fn ping(engine: &Engine, now: Timestamp) -> Outcome<()> {
    let me = engine.me();
    let (number, now) = (i16::from(me.number), now.ms());
    let pinged = again(|| async { engine.pool.lend().await?.execute(node::PING, &[&number, &me.epoch, &now]).await });
    match pinged.await? {
        0 => Err(Trouble::Away("this node's registration is not in the database".to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(number: u8, is_open: bool, is_live: bool, is_rested: bool) -> Used {
        Used { number, epoch: 4, reached: Timestamp::default(), is_open, is_live, is_rested }
    }

    fn chosen(used: &[Used]) -> Option<u8> {
        choose(used).map(|(number, _)| number)
    }

    #[test]
    fn takes_the_smallest_number_that_nobody_holds() {
        assert_eq!(chosen(&[]), Some(0));
        assert_eq!(chosen(&[used(0, true, true, false), used(2, true, true, false)]), Some(1));
        let rested = used(0, false, false, true);
        assert_eq!(choose(&[rested, used(1, true, true, false)]), Some((0, Some(rested))));
    }

    #[test]
    fn takes_a_number_that_was_just_held_last_and_a_silent_one_after_that() {
        let just_left = used(0, false, false, false);
        assert_eq!(chosen(&[just_left, used(1, true, false, false)]), Some(2));
        let mut all: Vec<Used> = (0..=u8::MAX).map(|number| used(number, true, true, false)).collect();
        assert_eq!(chosen(&all), None);
        all[3] = used(3, true, false, false);
        assert_eq!(chosen(&all), Some(3));
        all[200] = used(200, false, false, false);
        assert_eq!(chosen(&all), Some(200));
        all[201] = used(201, false, false, true);
        assert_eq!(chosen(&all), Some(201));
    }
}
