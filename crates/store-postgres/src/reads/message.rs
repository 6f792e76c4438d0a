//! Messages with their deliveries, and where deliveries stand.

use std::collections::{BTreeMap, BTreeSet};

use hongyan_core::{
    id::Id,
    limits,
    message::{Dialect, Label, Message, MessageState},
    ports::Moved,
    setup::{AppNo, ChannelNo},
    store::{DeliveryRecord, MessageRecord},
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use super::by_bucket;
use crate::{
    engine::Engine,
    row::{ROW_COLUMNS, attempts_decode, bucket_of, id_read, number, priority_read, row_read, signed},
    session::{Query, Session},
    sql::{cold, erasure, read},
    trouble::{Outcome, Trouble},
};

/// The number of the columns that [`message_row`] reads; others may follow.
pub(super) const MESSAGE_COLUMNS: usize = 12;

/// Where a page of a message lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub message: i64,
    pub bucket: u8,
    pub first: i64,
    pub last: i64,
}

fn range_read(row: &SqlRow) -> Outcome<Range> {
    let last = id_read(row, 2)?;
    Ok(Range { message: row.try_get(0)?, bucket: last.bucket(), first: row.try_get(1)?, last: last.get() })
}

/// Where the deliveries of a message lie, the first page first.
pub(crate) async fn ranges(db: &Session, message: Id) -> Outcome<Vec<Range>> {
    let found = db.query(read::RANGES, &[&bucket_of(message), &vec![message.get()]]).await?;
    let mut ranges = found.iter().map(range_read).collect::<Outcome<Vec<_>>>()?;
    ranges.sort_unstable_by_key(|range| range.first);
    Ok(ranges)
}

/// Reads what every look-up of a message reads of it.
pub(super) fn message_row(row: &SqlRow) -> Outcome<(Message, ChannelNo)> {
    let (dialect, label, state): (&str, &str, &str) = (row.try_get(2)?, row.try_get(10)?, row.try_get(11)?);
    let damaged = |what: String| Trouble::Damaged(what);
    let message = Message {
        id: id_read(row, 0)?,
        app: AppNo(number(row.try_get(1)?)?),
        dialect: Dialect::from_name(dialect).ok_or_else(|| damaged(format!("the dialect {dialect:?}")))?,
        operation: row.try_get(3)?,
        user: row.try_get(4)?,
        client: row.try_get(9)?,
        priority: priority_read(row.try_get(5)?)?,
        state: MessageState::from_name(state).ok_or_else(|| damaged(format!("the state {state:?}")))?,
        label: Label::from_text(label).map_err(|error| damaged(format!("the label of a message: {error}")))?,
        accepted: Timestamp::from_ms(row.try_get(6)?),
        expires: Timestamp::from_ms(row.try_get(7)?),
    };
    Ok((message, ChannelNo(number(row.try_get(8)?)?)))
}

/// A message with its deliveries and their attempts, as of one moment.
pub(crate) async fn message(engine: &Engine, id: Id) -> Outcome<Option<MessageRecord>> {
    let db = engine.pool.lend().await?;
    db.enter();
    db.begin_reading().await?;
    let found = message_now(&db, id).await;
    // Nothing was changed: this ends it as well as a commit would.
    db.rollback().await;
    db.settled();
    found
}

async fn message_now(db: &Session, id: Id) -> Outcome<Option<MessageRecord>> {
    let Some(row) = db.query_opt(read::MESSAGE, &[&bucket_of(id), &id.get()]).await? else { return Ok(None) };
    let (message, channel) = message_row(&row)?;
    let due: Option<i64> = row.try_get(MESSAGE_COLUMNS)?;
    let due = due.map(Timestamp::from_ms).filter(|_| message.state == MessageState::Scheduled);
    let ranges: Vec<_> =
        ranges(db, id).await?.iter().map(|r| (i16::from(r.bucket), r.message, r.first, r.last)).collect();
    let queries = ranges.iter().map(|(bucket, message, first, last)| Query {
        sql: read::DELIVERIES,
        params: vec![bucket as _, message as _, first as _, last as _],
    });
    let found = db.query_all(&queries.collect::<Vec<_>>()).await?;
    let mut deliveries = found.iter().flatten().map(delivery_read).collect::<Outcome<Vec<_>>>()?;
    deliveries.sort_unstable_by_key(|delivery| delivery.id);
    Ok(Some(MessageRecord { message, channel, due, deliveries }))
}

fn delivery_read(row: &SqlRow) -> Outcome<DeliveryRecord> {
    let delivery = row_read(row)?;
    Ok(DeliveryRecord {
        id: delivery.id,
        parcel: delivery.parcel,
        channel: delivery.channel,
        recipient: row.try_get(ROW_COLUMNS)?,
        address: row.try_get(ROW_COLUMNS + 1)?,
        track: delivery.track,
        attempts: attempts_decode(row.try_get(ROW_COLUMNS + 2)?)?,
    })
}

/// The messages of an app about something, the newest first, those before `before`.
pub(crate) async fn of_business(
    engine: &Engine,
    app: AppNo,
    business: String,
    before: Option<Id>,
    limit: usize,
) -> Outcome<Vec<Id>> {
    let (before, most) = (before.map_or(i64::MAX, Id::get), i64::try_from(limit).unwrap_or(i64::MAX));
    let db = engine.pool.lend().await?;
    let found = db.query(cold::OF_BUSINESS, &[&signed(app.0), &business, &before, &most]).await?;
    found.iter().map(|row| id_read(row, 0)).collect()
}

/// Where the deliveries of these messages stand, of those of which nothing is held here.
pub(crate) async fn outcomes(engine: &Engine, messages: Vec<Id>) -> Outcome<Vec<Moved>> {
    let elsewhere: Vec<Id> = {
        let known = engine.memory.lock();
        messages.into_iter().filter(|message| !known.holds_of(*message)).collect()
    };
    if elsewhere.is_empty() {
        return Ok(Vec::new());
    }
    let db = engine.pool.lend().await?;
    let buckets = pages(&db, &by_bucket(elsewhere)).await?;
    let most = limits::PAGE_RECIPIENTS_MAX as i64;
    let queries = buckets.iter().map(|(bucket, ranges)| Query {
        sql: read::OUTCOMES,
        params: vec![bucket as _, &ranges.message as _, &ranges.first as _, &ranges.last as _, &most as _],
    });
    let found = db.query_all(&queries.collect::<Vec<_>>()).await?;
    let moved = |row| row_read(row).map(|row| Moved { message: row.message, delivery: row.id, track: row.track });
    found.iter().flatten().map(moved).collect()
}

/// Where the pages of messages lie, by bucket.
async fn pages(db: &Session, messages: &BTreeMap<i16, Vec<i64>>) -> Outcome<BTreeMap<i16, Ranges>> {
    let queries = messages.iter().map(|(bucket, ids)| Query { sql: read::RANGES, params: vec![bucket as _, ids as _] });
    let mut buckets: BTreeMap<i16, Ranges> = BTreeMap::new();
    for row in db.query_all(&queries.collect::<Vec<_>>()).await?.iter().flatten() {
        let range = range_read(row)?;
        buckets.entry(i16::from(range.bucket)).or_default().push(range);
    }
    Ok(buckets)
}

/// Those of these messages of which something is to come: pages of their audience, or open deliveries. What is not among them
/// never will be again: pages are looked for after it is known that none follows, and nothing that is over is opened anew.
pub(crate) async fn to_come(engine: &Engine, messages: &[Id]) -> Outcome<BTreeSet<Id>> {
    let db = engine.pool.lend().await?;
    let asked = by_bucket(messages.iter().copied());
    let queries =
        asked.iter().map(|(bucket, ids)| Query { sql: erasure::EXPANDING_OF, params: vec![bucket as _, ids as _] });
    let expanding = db.query_all(&queries.collect::<Vec<_>>()).await?;
    let buckets = pages(&db, &asked).await?;
    let queries = buckets.iter().map(|(bucket, ranges)| Query {
        sql: erasure::OPEN_OF,
        params: vec![bucket as _, &ranges.message as _, &ranges.first as _, &ranges.last as _],
    });
    let open = db.query_all(&queries.collect::<Vec<_>>()).await?;
    expanding.iter().chain(&open).flatten().map(|row| id_read(row, 0)).collect()
}

/// Ranges of one bucket, as columns.
#[derive(Default)]
struct Ranges {
    message: Vec<i64>,
    first: Vec<i64>,
    last: Vec<i64>,
}

impl Ranges {
    fn push(&mut self, range: Range) {
        self.message.push(range.message);
        self.first.push(range.first);
        self.last.push(range.last);
    }
}
