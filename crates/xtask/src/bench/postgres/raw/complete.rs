//! Raw claim and complete: the backlog that the product delivered, claimed with SKIP LOCKED and moved to the other table.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::{Statement, types::ToSql};

use crate::bench::{
    postgres::{
        database::{Connection, Database},
        spent,
    },
    process::own_cpu,
};

/// What waits first in a bucket, behind a place, leased; with what a sender needs. As in the product's statements, rows are looked
/// up by a list of ids: a join is left to the planner, who may err about a queue.
const CLAIM: &str = "WITH h AS (\
        SELECT d.id FROM delivery d \
        WHERE d.bucket = $1 AND d.channel = $2 AND d.priority = $3 AND d.app = $4 AND d.state = 0 AND d.crashes < 3 \
          AND d.due <= $5::bigint AND (d.due, d.parcel) >= ($6, $7) \
        ORDER BY d.due, d.parcel LIMIT $8 FOR UPDATE SKIP LOCKED), \
    u AS (\
        UPDATE delivery w SET state = 1, lease = w.lease + 1, node = 1, epoch = 1, leased = $5 \
        WHERE w.bucket = $1 AND w.id = ANY (ARRAY(SELECT h.id FROM h)) AND w.state < 1 \
        RETURNING w.id, w.message, w.parcel, w.due, w.lease, w.tries, w.expires, coalesce(w.address, w.recipient) AS address) \
    SELECT u.id, u.lease, u.due, u.parcel, u.tries, u.expires, u.address, m.accepted, m.content \
    FROM u CROSS JOIN LATERAL (\
        SELECT o.accepted, o.content FROM message o WHERE o.bucket = $1 AND o.id = u.message LIMIT 1) m";
/// Ends what is leased.
const COMPLETE: &str = "WITH g AS (\
        DELETE FROM delivery d USING unnest($2::bigint[], $3::integer[], $4::text[]) x (id, lease, attempts) \
        WHERE d.bucket = $1 AND d.id = ANY ($2::bigint[]) AND d.id = x.id AND d.lease = x.lease AND d.state > 0 \
        RETURNING d.id, d.message, d.parcel, d.channel, d.priority, d.app, d.lease, d.crashes, d.due, d.expires, d.first_try, \
            d.maybe_duplicate, d.reason, d.recipient, d.address, x.attempts::jsonb AS attempts) \
    INSERT INTO done (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires, \
        first_try, maybe_duplicate, reason, recipient, address, attempts) \
    SELECT $1, g.id, g.message, g.parcel, g.channel, g.priority, g.app, 3, g.lease, 1, g.crashes, g.due, g.expires, \
        g.first_try, g.maybe_duplicate, g.reason, g.recipient, g.address, g.attempts FROM g";
/// What waits where.
const PLACES: &str =
    "SELECT bucket, channel, priority, app FROM delivery GROUP BY bucket, channel, priority, app ORDER BY bucket";

/// How many batches may lie between claiming and completing.
const AHEAD: usize = 8;

/// How the product works, which the reference follows.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Connections that claim.
    pub claimers: usize,
    /// Connections that complete.
    pub completers: usize,
    /// Rows in a claim.
    pub claim: usize,
    /// Rows in a completion.
    pub complete: usize,
}

/// How fast it was, and what it needed.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Rows a second, from the first commit to the last.
    pub rate: f64,
    /// Processor time of the client.
    pub client: Duration,
    /// Processor time of PostgreSQL.
    pub postgres: Duration,
}

/// Where rows lie side by side, and how far the claims of a connection have come there.
#[derive(Clone)]
struct Place {
    bucket: i16,
    channel: i32,
    priority: i16,
    app: i32,
    behind: (i64, i64),
}

/// A leased row: its bucket, its id, its lease.
type Row = (i16, i64, i32);

/// Keeps what waits, to be delivered once more by [`drain`].
pub async fn keep_backlog(database: &Database) -> Result<()> {
    let db = database.connect().await?;
    // Sweeping what was accepted, and this copy, is nobody's work in what is measured next.
    db.batch_execute("VACUUM message").await?;
    let keep = "CREATE UNLOGGED TABLE bench_backlog WITH (autovacuum_enabled = off) AS SELECT * FROM delivery";
    Ok(db.batch_execute(keep).await?)
}

/// Puts the backlog back and drains it.
pub async fn drain(database: &Database, sizes: Sizes, count: u64) -> Result<Drained> {
    let db = database.connect().await?;
    let tries: String = db.query_one("SELECT attempts::text FROM done LIMIT 1", &[]).await?.try_get(0)?;
    db.batch_execute("TRUNCATE delivery, done; INSERT INTO delivery SELECT * FROM bench_backlog ORDER BY id").await?;
    db.batch_execute("ANALYZE delivery, message").await?;
    let places = places(&db).await?;
    database.checkpoint().await?;
    let (sender, receiver) = mpsc::channel(sizes.complete.max(sizes.claim) * AHEAD);
    let receiver = Arc::new(Mutex::new(receiver));
    let mut claimers = Vec::new();
    for number in 0..sizes.claimers {
        let mut places = places.clone();
        // Each begins elsewhere, so that they rarely meet.
        places.rotate_left(number * places.len() / sizes.claimers);
        claimers.push(Claimer::new(database, sizes.claim, places).await?);
    }
    let mut completers = Vec::new();
    for _ in 0..sizes.completers {
        completers.push(Completer::new(database, sizes.complete, tries.clone()).await?);
    }
    let (client, postgres) = (own_cpu()?, database.cpu()?);
    let claiming = claimers.into_iter().map(|claimer| tokio::spawn(claimer.run(sender.clone())));
    let completing = completers.into_iter().map(|completer| tokio::spawn(completer.run(Arc::clone(&receiver))));
    let (claiming, completing): (Vec<_>, Vec<_>) = (claiming.collect(), completing.collect());
    drop(sender);
    let claimed: u64 = try_join_all(claiming).await?.into_iter().sum::<Result<u64>>()?;
    let completed: u64 = try_join_all(completing).await?.into_iter().sum::<Result<u64>>()?;
    let (client, postgres) = (own_cpu()? - client, database.cpu()? - postgres);
    let commits = spent::commits(&db, "done").await?;
    let left = db.number("SELECT count(*) FROM delivery").await?;
    if [claimed, completed, commits.rows] != [count; 3] || left != 0 {
        bail!("of {count} rows {claimed} were claimed, {completed} completed, {} are there, {left} wait", commits.rows);
    }
    Ok(Drained { rate: commits.rate(), client, postgres })
}

async fn places(db: &Connection) -> Result<VecDeque<Place>> {
    let rows = db.query(PLACES, &[]).await?;
    let place = |row: &tokio_postgres::Row| -> Result<Place> {
        Ok(Place {
            bucket: row.try_get(0)?,
            channel: row.try_get(1)?,
            priority: row.try_get(2)?,
            app: row.try_get(3)?,
            behind: (i64::MIN, i64::MIN),
        })
    };
    rows.iter().map(place).collect()
}

struct Claimer {
    db: Connection,
    claim: Statement,
    size: i64,
    places: VecDeque<Place>,
}

impl Claimer {
    async fn new(database: &Database, size: usize, places: VecDeque<Place>) -> Result<Self> {
        let db = database.connect().await?;
        let claim = db.prepare(CLAIM).await?;
        Ok(Self { db, claim, size: i64::try_from(size)?, places })
    }

    /// Claims here and there in turns, until nothing waits anywhere.
    async fn run(mut self, sender: mpsc::Sender<Row>) -> Result<u64> {
        let mut claimed = 0;
        while let Some(mut place) = self.places.pop_front() {
            let rows = self.claim(&mut place).await?;
            let found = rows.len();
            for row in rows {
                sender.send(row).await.ok().context("nobody completes any more")?;
            }
            claimed += found as u64;
            if found > 0 {
                self.places.push_back(place);
            }
        }
        Ok(claimed)
    }

    async fn claim(&self, place: &mut Place) -> Result<Vec<Row>> {
        let (due, parcel) = place.behind;
        let Place { bucket, channel, priority, app, .. } = place;
        let rows =
            self.db.query(&self.claim, &[bucket, channel, priority, app, &i64::MAX, &due, &parcel, &self.size]).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            // A sender reads what it sends.
            let content: &[u8] = row.try_get(8)?;
            if content.is_empty() {
                bail!("a message without content");
            }
            claimed.push((*bucket, row.try_get(0)?, row.try_get(1)?));
            place.behind = place.behind.max((row.try_get(2)?, row.try_get(3)?));
        }
        Ok(claimed)
    }
}

struct Completer {
    db: Connection,
    complete: Statement,
    size: usize,
    tries: String,
}

impl Completer {
    async fn new(database: &Database, size: usize, tries: String) -> Result<Self> {
        let db = database.connect().await?;
        db.batch_execute("SET enable_nestloop = off").await?; // a batch is matched with its rows by a hash
        let complete = db.prepare(COMPLETE).await?;
        Ok(Self { db, complete, size, tries })
    }

    /// Completes what is claimed, in full batches, until no more comes.
    async fn run(self, receiver: Arc<Mutex<mpsc::Receiver<Row>>>) -> Result<u64> {
        let mut completed = 0;
        loop {
            let mut batch = Vec::with_capacity(self.size);
            {
                let mut receiver = receiver.lock().await;
                while batch.len() < self.size {
                    let missing = self.size - batch.len();
                    if receiver.recv_many(&mut batch, missing).await == 0 {
                        break;
                    }
                }
            }
            if batch.is_empty() {
                return Ok(completed);
            }
            completed += self.complete(&batch).await?;
        }
    }

    /// One transaction, one round trip.
    async fn complete(&self, batch: &[Row]) -> Result<u64> {
        let mut buckets: BTreeMap<i16, Ended<'_>> = BTreeMap::new();
        for (bucket, id, lease) in batch {
            let ended = buckets.entry(*bucket).or_default();
            ended.ids.push(*id);
            ended.leases.push(*lease);
            ended.tries.push(&self.tries);
        }
        let params: Vec<[&(dyn ToSql + Sync); 4]> = buckets
            .iter()
            .map(|(bucket, of)| -> [&(dyn ToSql + Sync); 4] { [bucket, &of.ids, &of.leases, &of.tries] })
            .collect();
        if let [only] = params.as_slice() {
            return Ok(self.db.execute(&self.complete, only).await?);
        }
        let runs = params.iter().map(|params| self.db.execute(&self.complete, params));
        let (begun, rows, committed) =
            tokio::join!(self.db.batch_execute("BEGIN"), try_join_all(runs), self.db.batch_execute("COMMIT"));
        begun?;
        let rows = rows?;
        committed?;
        Ok(rows.into_iter().sum())
    }
}

/// What ends in a bucket, as columns.
#[derive(Default)]
struct Ended<'a> {
    ids: Vec<i64>,
    leases: Vec<i32>,
    tries: Vec<&'a str>,
}
