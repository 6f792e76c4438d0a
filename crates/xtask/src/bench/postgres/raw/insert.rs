//! Raw inserts: the rows of the product's own batches again and again, under new ids.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use tokio_postgres::{Statement, types::ToSql};

use crate::bench::{
    postgres::database::{Connection, Database},
    process::own_cpu,
};

const MESSAGES: &str = "INSERT INTO message (bucket, id, app, channel, dialect, operation, caller, priority, accepted, expires, \
        last, attachments, content) \
    SELECT $1, x.* FROM unnest($2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::smallint[], \
        $9::bigint[], $10::bigint[], $11::bigint[], $12::integer[], $13::bytea[]) x";
const DELIVERIES: &str = "INSERT INTO delivery (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, \
        due, expires, maybe_duplicate, recipient) \
    SELECT $1, x.id, x.message, x.id, x.channel, x.priority, x.app, 0, 0, 0, 0, x.due, x.expires, false, x.recipient \
    FROM unnest($2::bigint[], $3::bigint[], $4::integer[], $5::smallint[], $6::integer[], $7::bigint[], $8::bigint[], $9::text[]) \
        x (id, message, channel, priority, app, due, expires, recipient)";

/// A row that the product wrote, to be written again.
const SAMPLE: &str = "SELECT m.app, m.channel, m.dialect, m.operation, m.caller, m.priority, m.accepted, m.expires, m.content, \
        d.due, d.expires, d.recipient, (SELECT max(id) FROM message) \
    FROM message m JOIN delivery d ON d.bucket = m.bucket AND d.message = m.id LIMIT 1";

/// Ids of one bucket lie so far apart.
const STEP: i64 = 64;

/// What was inserted.
#[derive(Clone, Copy, Debug)]
pub struct Inserted {
    /// Messages, each with a delivery.
    pub messages: u64,
    /// How long it took.
    pub took: Duration,
    /// What the client needed.
    pub client: Duration,
    /// What PostgreSQL needed.
    pub postgres: Duration,
}

impl Inserted {
    /// Messages a second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }
}

/// The values of a row that stay the same.
struct Sample {
    app: i32,
    channel: i32,
    dialect: String,
    operation: String,
    caller: String,
    priority: i16,
    accepted: i64,
    expires: i64,
    content: Vec<u8>,
    due: i64,
    delivery_expires: i64,
    recipient: String,
    /// No id of a message is higher.
    highest: i64,
}

/// Empties the product's tables and inserts into them, in batches of so many messages.
pub async fn insert(database: &Database, connections: usize, batch: usize, duration: Duration) -> Result<Inserted> {
    let db = database.connect().await?;
    let sample = Sample::read(&db).await?;
    db.batch_execute("TRUNCATE message, delivery, done").await?;
    database.checkpoint().await?;
    let mut writers = Vec::new();
    for number in 0..connections {
        writers.push(Writer::new(database, &sample, number, batch).await?);
    }
    let (client, postgres) = (own_cpu()?, database.cpu()?);
    let start = Instant::now();
    let written = try_join_all(writers.into_iter().map(|mut writer| {
        tokio::spawn(async move {
            while start.elapsed() < duration {
                writer.write().await?;
            }
            Ok::<_, anyhow::Error>(writer.written)
        })
    }))
    .await?;
    let took = start.elapsed();
    let (client, postgres) = (own_cpu()? - client, database.cpu()? - postgres);
    let messages: u64 = written.into_iter().sum::<Result<u64>>()?;
    for table in ["message", "delivery"] {
        let stored = db.number(&format!("SELECT count(*) FROM {table}")).await?;
        if u64::try_from(stored)? != messages {
            bail!("inserted {messages}, {table} has {stored} rows");
        }
    }
    Ok(Inserted { messages, took, client, postgres })
}

impl Sample {
    async fn read(db: &Connection) -> Result<Self> {
        let row = db.query_opt(SAMPLE, &[]).await?.context("the product has stored nothing to be stored again")?;
        Ok(Self {
            app: row.try_get(0)?,
            channel: row.try_get(1)?,
            dialect: row.try_get(2)?,
            operation: row.try_get(3)?,
            caller: row.try_get(4)?,
            priority: row.try_get(5)?,
            accepted: row.try_get(6)?,
            expires: row.try_get(7)?,
            content: row.try_get(8)?,
            due: row.try_get(9)?,
            delivery_expires: row.try_get(10)?,
            recipient: row.try_get(11)?,
            highest: row.try_get(12)?,
        })
    }
}

/// One connection and the columns of its batch; only ids change from batch to batch.
struct Writer {
    db: Connection,
    messages: Statement,
    deliveries: Statement,
    columns: Columns,
    next: i64,
    written: u64,
}

struct Columns {
    bucket: i16,
    id: Vec<i64>,
    /// A message's only delivery has the id that follows it.
    delivery: Vec<i64>,
    app: Vec<i32>,
    channel: Vec<i32>,
    dialect: Vec<String>,
    operation: Vec<String>,
    caller: Vec<String>,
    priority: Vec<i16>,
    accepted: Vec<i64>,
    expires: Vec<i64>,
    attachments: Vec<i32>,
    content: Vec<Vec<u8>>,
    due: Vec<i64>,
    delivery_expires: Vec<i64>,
    recipient: Vec<String>,
}

impl Writer {
    /// A connection that writes to a bucket of its own, as nodes and their workers mostly do.
    async fn new(database: &Database, sample: &Sample, number: usize, batch: usize) -> Result<Self> {
        let db = database.connect().await?;
        let (messages, deliveries) = (db.prepare(MESSAGES).await?, db.prepare(DELIVERIES).await?);
        let columns = Columns {
            bucket: i16::try_from(number)?,
            id: vec![0; batch],
            delivery: vec![0; batch],
            app: vec![sample.app; batch],
            channel: vec![sample.channel; batch],
            dialect: vec![sample.dialect.clone(); batch],
            operation: vec![sample.operation.clone(); batch],
            caller: vec![sample.caller.clone(); batch],
            priority: vec![sample.priority; batch],
            accepted: vec![sample.accepted; batch],
            expires: vec![sample.expires; batch],
            attachments: vec![0; batch],
            content: vec![sample.content.clone(); batch],
            due: vec![sample.due; batch],
            delivery_expires: vec![sample.delivery_expires; batch],
            recipient: vec![sample.recipient.clone(); batch],
        };
        // Above all ids of the product, in the same day's tables.
        let next = sample.highest / STEP * STEP + STEP + i64::try_from(number)?;
        Ok(Self { db, messages, deliveries, columns, next, written: 0 })
    }

    /// Writes a batch: one transaction, one round trip.
    async fn write(&mut self) -> Result<()> {
        let Self { db, messages, deliveries, columns, .. } = self;
        for (id, delivery) in columns.id.iter_mut().zip(&mut columns.delivery) {
            (*id, *delivery) = (self.next, self.next + STEP);
            self.next += 2 * STEP;
        }
        let (first, second) = (columns.of_messages(), columns.of_deliveries());
        let (begun, messages, deliveries, committed) = tokio::join!(
            db.batch_execute("BEGIN"),
            db.execute(&*messages, &first),
            db.execute(&*deliveries, &second),
            db.batch_execute("COMMIT"),
        );
        begun?;
        let rows = (messages?, deliveries?);
        committed?;
        let batch = columns.id.len() as u64;
        if rows != (batch, batch) {
            bail!("inserted {rows:?} rows of {batch}");
        }
        self.written += batch;
        Ok(())
    }
}

impl Columns {
    fn of_messages(&self) -> [&(dyn ToSql + Sync); 13] {
        [
            &self.bucket,
            &self.id,
            &self.app,
            &self.channel,
            &self.dialect,
            &self.operation,
            &self.caller,
            &self.priority,
            &self.accepted,
            &self.expires,
            &self.delivery,
            &self.attachments,
            &self.content,
        ]
    }

    fn of_deliveries(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.bucket,
            &self.delivery,
            &self.id,
            &self.channel,
            &self.priority,
            &self.app,
            &self.due,
            &self.delivery_expires,
            &self.recipient,
        ]
    }
}
