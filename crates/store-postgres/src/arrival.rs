//! A database as the target of a move from another store. It must be empty and nobody may work on it; from the first row until
//! the counts of both sides were found equal it bears a mark with which no node opens it, so that a move which fails half-way
//! leaves nothing that could be taken for a store. Each page of rows is one transaction, and each looks at the mark: whoever
//! begins anew puts an end to a move that is still under way.
//!
//! What the old store's node held when it stopped or died is on record as held by a registration that has ended: the first node
//! judges it by the rules of each channel, as after any crash.

mod insert;

use std::sync::{Arc, Mutex, PoisonError};

use hongyan_core::{
    delivery::State,
    transfer::{Counts, Rows},
};

use self::insert::{Depth, Predecessor, dated, insert};
use crate::{
    checks::{self, Settings},
    days::Days,
    engine::SHARED_LANE,
    migrate,
    pool::{Lent, Pool},
    refusal::OpenError,
    retry::again,
    session::Session,
    sql::{arrival as sql, cold, hot},
    target::Target,
    trouble::{Outcome, Trouble},
};

/// Pages that may be under way at a time.
pub const PAGES_AT_ONCE: usize = 3;

/// What a move that did not finish has left, but for notes: those are parted from the mark.
const EMPTY: &str = "TRUNCATE message, attachment, delivery, done, page, expansion, audience, idempotency, depth, capture, \
    captured, declaration, numbering, person, quota_account, quota_entry, meter, tally, access_token, erasure, \
    account, account_contact, account_token, sent, follower, follower_tag, people_group, member, presence, inbox_item, \
    inbox_token, broadcast; UPDATE setup SET version = 0, plan = ''; UPDATE group_numbering SET last = 0";

/// Why nothing can be moved into a database, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A store is there already.
    #[error(
        "the database is not empty, it has {what}: give the store a database or a schema of its own; it was left untouched"
    )]
    Occupied {
        /// What it has, in words.
        what: String,
    },
    /// A node works on it.
    #[error("{nodes} node(s) work on the database: stop them, and wait until they are gone; it was left untouched")]
    InUse {
        /// How many.
        nodes: usize,
    },
    /// A move into it has begun and did not finish.
    #[error(
        "a migration into this database has begun and not finished: make sure that none is running, then run it again with --start-over, which empties the database first"
    )]
    Unfinished,
    /// Another move has begun in the middle of this one.
    #[error("another migration into this database has begun anew meanwhile, so this one was given up")]
    Overtaken,
}

impl From<Trouble> for ArrivalError {
    fn from(trouble: Trouble) -> Self {
        Self::Store(OpenError::from_trouble(trouble))
    }
}

/// Refuses a database into which a move has begun and not finished.
pub(crate) async fn refuse_unfinished(db: &Session) -> Result<(), OpenError> {
    match db.query_opt(sql::MARK, &[]).await.map_err(OpenError::from_trouble)? {
        Some(_) => Err(OpenError::Unfinished),
        None => Ok(()),
    }
}

/// A database that a store is being moved into.
pub struct Arrival {
    pool: Arc<Pool>,
    days: Days,
    mark: String,
    predecessor: Predecessor,
    /// What waits, to be counted at the end.
    depth: Mutex<Depth>,
}

impl Arrival {
    /// Takes the database that `url` names for a store whose node held `parcels` parcels, and marks it. `start_over`: empties
    /// what a move that did not finish has left.
    ///
    /// # Errors
    /// It cannot be used, is not empty or in use.
    pub async fn begin(url: &str, parcels: u32, start_over: bool) -> Result<Self, ArrivalError> {
        let target = Arc::new(Target::parse(url).map_err(OpenError::Url)?);
        let pool = Pool::new(target, PAGES_AT_ONCE);
        let db = pool.lend().await?;
        let objections = checks::objections(Settings::read(&db).await?.findings(), false);
        if !objections.is_empty() {
            return Err(OpenError::Unfit(objections).into());
        }
        migrate::migrate(&db).await?;
        db.enter();
        db.begin().await?;
        match take_over(&db, parcels, start_over).await {
            Ok((mark, predecessor)) => {
                db.commit().await?;
                db.settled();
                drop(db);
                Ok(Self { pool, days: Days::default(), mark, predecessor, depth: Mutex::default() })
            }
            Err(error) => {
                db.rollback().await;
                db.settled();
                Err(error)
            }
        }
    }

    /// Writes rows, all or none.
    ///
    /// # Errors
    /// The database is away or refuses, or the move was begun anew elsewhere.
    pub async fn take(&self, rows: &Rows) -> Result<(), ArrivalError> {
        self.days.make_room(&self.pool, dated(rows)).await?;
        match again(|| self.try_take(rows)).await? {
            true => Ok(()),
            false => Err(ArrivalError::Overtaken),
        }
    }

    async fn try_take(&self, rows: &Rows) -> Outcome<bool> {
        let db = self.pool.lend().await?;
        let written = self.in_transaction(&db, async { insert(&db, rows, self.predecessor).await }).await?;
        let Some(written) = written else { return Ok(false) };
        let mut depth = self.depth.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, ready) in written {
            *depth.entry(place).or_default() += ready;
        }
        Ok(true)
    }

    /// What there is now, counted by the database.
    ///
    /// # Errors
    /// The database is away.
    pub async fn counts(&self) -> Result<Counts, ArrivalError> {
        let db = self.pool.lend().await?;
        // Here everything is read, which is what connections are otherwise kept from.
        db.batch("SET enable_seqscan = on").await?;
        let mut counts = Counts::default();
        for row in db.query_unhurried(sql::COUNTS).await? {
            counts.add(read::<&str>(&row, 0)?, read::<i64>(&row, 1)?.unsigned_abs());
        }
        let mut attempts = 0;
        for row in db.query_unhurried(sql::DELIVERY_COUNTS).await? {
            let stored: i16 = read(&row, 0)?;
            let state = u8::try_from(stored).ok().and_then(State::from_number);
            let state = state.ok_or_else(|| Trouble::Damaged(format!("a delivery in state {stored}")))?;
            counts.add_deliveries(state, read::<i64>(&row, 1)?.unsigned_abs());
            attempts += read::<i64>(&row, 2)?.unsigned_abs();
        }
        counts.add("attempts", attempts);
        db.spoil();
        Ok(counts)
    }

    /// Everything is there: counts what waits and takes the mark away. From now on it is a store like any other.
    ///
    /// # Errors
    /// The database is away, or the move was begun anew elsewhere.
    pub async fn finish(self) -> Result<(), ArrivalError> {
        let depth = std::mem::take(&mut *self.depth.lock().unwrap_or_else(PoisonError::into_inner));
        let db = self.pool.lend().await?;
        let finished = self.in_transaction(&db, async {
            for ((bucket, channel), ready) in depth {
                let (node, channels, by) = (0i16, vec![channel], vec![ready]);
                db.execute(hot::DEPTH_ADD, &[&bucket, &node, &SHARED_LANE, &channels, &by]).await?;
            }
            db.execute(sql::MARK_REMOVE, &[&self.mark]).await
        });
        match finished.await? {
            Some(_) => Ok(()),
            None => Err(ArrivalError::Overtaken),
        }
    }

    /// Does something in a transaction that holds the mark; `None` where the mark is not this move's any more.
    async fn in_transaction<T>(&self, db: &Lent, work: impl Future<Output = Outcome<T>>) -> Outcome<Option<T>> {
        db.enter();
        db.begin().await?;
        let done = async {
            match db.query_opt(sql::MARK_HOLD, &[&self.mark]).await? {
                Some(_) => Ok(Some(work.await?)),
                None => Ok(None),
            }
        };
        match done.await {
            Ok(Some(done)) => {
                db.commit().await?;
                db.settled();
                Ok(Some(done))
            }
            refused => {
                db.rollback().await;
                db.settled();
                refused
            }
        }
    }
}

/// Makes sure that the database is free and sets the mark, inside a transaction. A node that registers waits for its end.
async fn take_over(db: &Session, parcels: u32, start_over: bool) -> Result<(String, Predecessor), ArrivalError> {
    db.query(cold::SCHEMA_LOCK, &[]).await?;
    let nodes = db.query(sql::WORKING, &[]).await?.len();
    if nodes > 0 {
        return Err(ArrivalError::InUse { nodes });
    }
    let is_marked = db.query_opt(sql::MARK, &[]).await?.is_some();
    if is_marked && !start_over {
        return Err(ArrivalError::Unfinished);
    }
    if !is_marked {
        let what = db.query(sql::OCCUPIED, &[]).await?;
        let what: Vec<&str> = what.iter().map(|row| read(row, 0)).collect::<Outcome<_>>()?;
        if !what.is_empty() {
            return Err(ArrivalError::Occupied { what: what.join(", ") });
        }
    }
    // Waits for a page of the other move that is under way, and lets none follow.
    let set = db.query_opt(sql::MARK_SET, &[]).await?.ok_or_else(|| Trouble::Damaged("no mark".to_owned()))?;
    let (mark, leased) = (read(&set, 0)?, read(&set, 1)?);
    if is_marked {
        db.batch_unhurried(EMPTY).await?;
        db.execute(sql::NOTES_FORGET, &[]).await?;
    }
    db.execute(sql::OVERDUE_END, &[]).await?;
    let parcels = i32::try_from(parcels).unwrap_or(i32::MAX);
    let kept = db.query_opt(sql::PREDECESSOR, &[&"moved from an embedded store", &parcels]).await?;
    let kept = kept.ok_or_else(|| Trouble::Damaged("no registration".to_owned()))?;
    Ok((mark, Predecessor { epoch: read(&kept, 0)?, leased }))
}

fn read<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a tokio_postgres::Row, column: usize) -> Outcome<T> {
    Ok(row.try_get(column)?)
}
