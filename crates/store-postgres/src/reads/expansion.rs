//! Messages whose audience is not yet expanded.

use std::collections::{BTreeMap, HashMap};

use hongyan_core::{
    id::Id,
    message::Message,
    setup::ChannelNo,
    store::{Expansion, Place, Rest, Scheduled, ScheduledFilter},
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use super::{
    by_bucket,
    message::{MESSAGE_COLUMNS, message_row},
};
use crate::{
    audience::who_read,
    engine::Engine,
    memory::BUCKETS,
    row::{id_read, number, signed},
    session::{Query, Session},
    sql::read,
    trouble::{Outcome, Trouble},
};

/// Messages of these buckets that are to be expanded by `now`, in the order of their times and ids. Which they are is read
/// first, for their lists are large.
pub(crate) async fn expansions(
    engine: &Engine,
    buckets: Vec<u8>,
    after: Option<(Timestamp, Id)>,
    limit: usize,
    now: Timestamp,
) -> Outcome<Vec<Expansion>> {
    let (due, id) = place(after, i64::MIN);
    let (now, most) = (now.ms(), i64::try_from(limit).unwrap_or(i64::MAX));
    let buckets: Vec<i16> = buckets.into_iter().map(i16::from).collect();
    let queries = buckets.iter().map(|bucket| Query {
        sql: read::EXPANDING,
        params: vec![bucket as _, &due as _, &id as _, &now as _, &most as _],
    });
    let db = engine.pool.lend().await?;
    let found = db.query_all(&queries.collect::<Vec<_>>()).await?;
    let mut order = found.iter().flatten().map(place_read).collect::<Outcome<Vec<_>>>()?;
    order.sort_unstable();
    order.truncate(limit);
    let mut expansions: HashMap<Id, Expansion> = HashMap::new();
    for row in of_messages(&db, read::EXPANSIONS, &by_bucket(order.iter().map(|(_, id)| *id))).await? {
        match expansion_read(&row) {
            Ok(expansion) => drop(expansions.insert(expansion.message.id, expansion)),
            // A value that is none of ours holds up no other.
            Err(Trouble::Damaged(what)) => tracing::error!(what, "a message that cannot be read is not expanded"),
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(order.iter().filter_map(|(_, id)| expansions.remove(id)).collect())
}

/// Messages that wait for a time after `now`, in the order of their times and ids, of all buckets.
pub(crate) async fn scheduled(
    engine: &Engine,
    filter: ScheduledFilter,
    after: Option<(Timestamp, Id)>,
    limit: usize,
    now: Timestamp,
) -> Outcome<Vec<Scheduled>> {
    // Whoever is due at `now` or before comes before all of them.
    let (due, id) = place(after, now.ms()).max((now.ms(), i64::MAX));
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let (app, channel) = (filter.app.map(|app| signed(app.0)), filter.channel.map(|channel| signed(channel.0)));
    let buckets: Vec<i16> = (0..BUCKETS).map(i16::from).collect();
    let queries = buckets.iter().map(|bucket| Query {
        sql: read::SCHEDULED,
        params: vec![bucket as _, &due as _, &id as _, &most as _, &app as _, &filter.template as _, &channel as _],
    });
    let db = engine.pool.lend().await?;
    let found = db.query_all(&queries.collect::<Vec<_>>()).await?;
    let mut order = found.iter().flatten().map(scheduled_read).collect::<Outcome<Vec<_>>>()?;
    order.sort_unstable();
    order.truncate(limit);
    let mut messages: HashMap<Id, Message> = HashMap::new();
    for row in of_messages(&db, read::MESSAGES, &by_bucket(order.iter().map(|(_, id, _)| *id))).await? {
        let (message, _) = message_row(&row)?;
        messages.insert(message.id, message);
    }
    let scheduled = |(due, id, channels)| messages.remove(&id).map(|message| Scheduled { message, channels, due });
    Ok(order.into_iter().filter_map(scheduled).collect())
}

/// Behind which due time and id a look begins; without any, behind the due time `first`.
fn place(after: Option<(Timestamp, Id)>, first: i64) -> (i64, i64) {
    after.map_or((first, 0), |(due, id)| (due.ms(), id.get()))
}

fn place_read(row: &SqlRow) -> Outcome<(Timestamp, Id)> {
    Ok((Timestamp::from_ms(row.try_get(0)?), id_read(row, 1)?))
}

fn scheduled_read(row: &SqlRow) -> Outcome<(Timestamp, Id, Vec<ChannelNo>)> {
    let (due, id) = place_read(row)?;
    let channels: Vec<i32> = row.try_get(2)?;
    let channels = channels.into_iter().map(|channel| Ok(ChannelNo(number(channel)?))).collect::<Outcome<_>>()?;
    Ok((due, id, channels))
}

fn expansion_read(row: &SqlRow) -> Outcome<Expansion> {
    let (message, channel) = message_row(row)?;
    let place = Place { step: number(row.try_get(MESSAGE_COLUMNS)?)?, mark: row.try_get(MESSAGE_COLUMNS + 1)? };
    let due = Timestamp::from_ms(row.try_get(MESSAGE_COLUMNS + 2)?);
    let stored: Option<&[u8]> = row.try_get(MESSAGE_COLUMNS + 3)?;
    let stored = stored.ok_or_else(|| Trouble::Damaged(format!("message {} has lost its audience", message.id)))?;
    Ok(Expansion { channel, place, rest: Rest { due, who: who_read(stored, channel)? }, message })
}

/// What a statement about messages answers.
async fn of_messages(db: &Session, sql: &'static str, asked: &BTreeMap<i16, Vec<i64>>) -> Outcome<Vec<SqlRow>> {
    let queries = asked.iter().map(|(bucket, ids)| Query { sql, params: vec![bucket as _, ids as _] });
    Ok(db.query_all(&queries.collect::<Vec<_>>()).await?.into_iter().flatten().collect())
}
