//! What people find in their inboxes: own items and broadcasts, put together in the order in which they came. What they say is
//! read where their messages lie.

use std::collections::{BTreeMap, HashMap};

use hongyan_core::{
    content::{Content, InApp},
    id::{Id, bucket_of_name},
    inbox::{InboxFilter, InboxItem, InboxToken, Mark},
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use super::{account::bucket_of_hash, by_bucket};
use crate::{
    engine::Engine,
    row::{id_read, name, number, signed},
    session::{Param, Query, Session},
    sql::{inbox as sql, read},
    trouble::{Outcome, Trouble},
};

/// The number of the columns of an item; others may follow.
const ITEM_COLUMNS: usize = 8;

/// The bucket of somebody's inbox. What follows the code spreads people whose codes differ at the end alone: the last letters say
/// little about the top bits of the hash.
pub(crate) fn inbox_bucket(user: &str) -> i16 {
    i16::from(bucket_of_name(&format!("{user}/inbox")))
}

/// Behind which item a page begins: when it came, and its number.
pub(crate) type Place = (i64, i64);

/// A filter as parameters.
pub(crate) struct Selection {
    read: Option<bool>,
    archived: Option<bool>,
    app: Option<i32>,
    business: Option<String>,
    kind: Option<String>,
}

impl Selection {
    pub(crate) fn new(filter: InboxFilter) -> Self {
        let InboxFilter { unread, archived, app, business, kind } = filter;
        let read = unread.then_some(false);
        Self { read, archived, app: app.map(|app| signed(app.0)), business: business.map(name), kind: kind.map(name) }
    }

    /// What of it a mark changes; `None`: nothing of it can be otherwise than the mark says.
    pub(crate) fn changed_by(self, mark: Mark) -> Option<Self> {
        let narrowed = |now: Option<bool>, then: bool| match now {
            Some(now) if now == then => None,
            _ => Some(Some(!then)),
        };
        let Self { read, archived, .. } = self;
        Some(match mark {
            Mark::Read => Self { read: narrowed(read, true)?, ..self },
            Mark::Unread => Self { read: narrowed(read, false)?, ..self },
            Mark::Archived => Self { archived: narrowed(archived, true)?, ..self },
            Mark::Unarchived => Self { archived: narrowed(archived, false)?, ..self },
            Mark::Deleted => self,
        })
    }
}

/// Reads an item without what it says.
fn item_read(row: &SqlRow) -> Outcome<InboxItem> {
    Ok(InboxItem {
        id: id_read(row, 0)?,
        broadcast: row.try_get(1)?,
        message: id_read(row, 2)?,
        app: AppNo(number(row.try_get(3)?)?),
        channel: ChannelNo(number(row.try_get(4)?)?),
        at: Timestamp::from_ms(row.try_get(5)?),
        read: row.try_get(6)?,
        archived: row.try_get(7)?,
        content: None,
    })
}

/// The items of a person that are selected before a place, the newest first, without what they say.
pub(crate) async fn items_before(
    db: &Session,
    user: &str,
    selection: &Selection,
    place: Place,
    limit: usize,
) -> Outcome<Vec<InboxItem>> {
    let (bucket, most) = (inbox_bucket(user), i64::try_from(limit).unwrap_or(i64::MAX));
    let Selection { read, archived, app, business, kind } = selection;
    let params: Vec<Param<'_>> = vec![&bucket, &user, read, archived, app, business, kind, &place.0, &place.1, &most];
    let queries = [sql::ITEMS, sql::BROADCASTS].map(|sql| Query { sql, params: params.clone() });
    let found = db.query_all(&queries).await?;
    let mut items = found.iter().flatten().map(item_read).collect::<Outcome<Vec<_>>>()?;
    items.sort_unstable_by_key(|item| std::cmp::Reverse((item.at, item.id)));
    items.truncate(limit);
    Ok(items)
}

/// What a person finds, the newest first.
pub(crate) async fn inbox(
    engine: &Engine,
    user: String,
    filter: InboxFilter,
    before: Option<Id>,
    limit: usize,
) -> Outcome<Vec<InboxItem>> {
    let user = name(user);
    let db = engine.pool.lend().await?;
    let place = match before {
        None => (i64::MAX, i64::MAX),
        Some(id) => {
            let found = db.query_opt(sql::PLACE, &[&inbox_bucket(&user), &user, &id.get()]).await?;
            // One that is gone came at about the time of its number.
            let at = found.map(|row| row.try_get(0)).transpose()?;
            (at.unwrap_or_else(|| id.time().ms()), id.get())
        }
    };
    let mut items = items_before(&db, &user, &Selection::new(filter), place, limit).await?;
    say(&db, items.iter_mut()).await?;
    Ok(items)
}

/// One item.
pub(crate) async fn inbox_read(engine: &Engine, user: String, id: Id) -> Outcome<Option<InboxItem>> {
    let (user, id) = (name(user), id.get());
    let (bucket, db) = (inbox_bucket(&user), engine.pool.lend().await?);
    let params: Vec<Param<'_>> = vec![&bucket, &user, &id];
    let queries = [sql::ITEM, sql::BROADCAST].map(|sql| Query { sql, params: params.clone() });
    let found = db.query_all(&queries).await?;
    let mut item = found.iter().flatten().next().map(item_read).transpose()?;
    say(&db, item.iter_mut()).await?;
    Ok(item)
}

/// Puts into items what they say.
async fn say<'a>(db: &Session, items: impl Iterator<Item = &'a mut InboxItem>) -> Outcome<()> {
    let items: Vec<&mut InboxItem> = items.collect();
    let asked = by_bucket(items.iter().map(|item| item.message));
    let queries = asked.iter().map(|(bucket, ids)| Query { sql: read::CONTENTS, params: vec![bucket as _, ids as _] });
    let mut said: HashMap<Id, std::sync::Arc<Content>> = HashMap::new();
    for row in db.query_all(&queries.collect::<Vec<_>>()).await?.iter().flatten() {
        let message = id_read(row, 0)?;
        match Content::from_bytes(row.try_get(1)?) {
            Ok(content) => drop(said.insert(message, std::sync::Arc::new(content))),
            // It holds up no other.
            Err(error) => tracing::error!(%message, %error, "what a message says cannot be read"),
        }
    }
    for item in items {
        item.content = said.get(&item.message).and_then(|content| in_app(content, item.channel));
    }
    Ok(())
}

fn in_app(content: &std::sync::Arc<Content>, channel: ChannelNo) -> Option<InApp> {
    match content.on(channel).as_deref() {
        Some(Content::InApp(content)) => Some(content.clone()),
        _ => None,
    }
}

/// How many items a person has not read.
pub(crate) async fn inbox_unread(engine: &Engine, user: String) -> Outcome<u64> {
    let user = name(user);
    let bucket = inbox_bucket(&user);
    let params: Vec<Param<'_>> = vec![&bucket, &user];
    let queries = [sql::UNREAD, sql::BROADCASTS_UNREAD].map(|sql| Query { sql, params: params.clone() });
    let mut unread = 0;
    for row in engine.pool.lend().await?.query_all(&queries).await?.iter().flatten() {
        unread += u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
    }
    Ok(unread)
}

/// Those who look for news in one bucket, as columns: their places among all, who they are, since when.
#[derive(Default)]
struct Readers {
    places: Vec<usize>,
    people: Vec<String>,
    since: Vec<i64>,
}

/// What came to people since a moment of each, the oldest first.
pub(crate) async fn inbox_news(
    engine: &Engine,
    readers: Vec<(String, Timestamp)>,
    limit: usize,
) -> Outcome<Vec<(String, InboxItem)>> {
    let Some(earliest) = readers.iter().map(|(_, since)| *since).min() else { return Ok(Vec::new()) };
    let mut buckets: BTreeMap<i16, Readers> = BTreeMap::new();
    for (place, (user, since)) in readers.iter().enumerate() {
        let of = buckets.entry(inbox_bucket(user)).or_default();
        of.places.push(place);
        of.people.push(name(user.clone()));
        of.since.push(since.ms());
    }
    let db = engine.pool.lend().await?;
    let last = db.query_opt(sql::BROADCAST_LAST, &[]).await?;
    let last: Option<i64> = last.map(|row| row.try_get(0)).transpose()?;
    let is_broadcast = last.is_some_and(|last| last > earliest.ms());
    let statements: &[&'static str] =
        if is_broadcast { &[sql::ITEMS_SINCE, sql::BROADCASTS_SINCE] } else { &[sql::ITEMS_SINCE] };
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let (mut queries, mut asked) = (Vec::new(), Vec::new());
    for (bucket, of) in &buckets {
        for sql in statements {
            queries.push(Query { sql, params: vec![bucket as _, &of.people as _, &of.since as _, &most as _] });
            asked.push(of);
        }
    }
    let mut news: Vec<Vec<InboxItem>> = readers.iter().map(|_| Vec::new()).collect();
    for (of, rows) in asked.iter().zip(db.query_all(&queries).await?) {
        for row in &rows {
            let no = usize::try_from(row.try_get::<_, i64>(ITEM_COLUMNS)?).unwrap_or(0);
            let place = no.checked_sub(1).and_then(|no| of.places.get(no));
            let place = place.ok_or_else(|| Trouble::Damaged(format!("the reader {no} was not asked about")))?;
            news[*place].push(item_read(row)?);
        }
    }
    for items in &mut news {
        items.sort_unstable_by_key(|item| (item.at, item.id));
        items.truncate(limit);
    }
    say(&db, news.iter_mut().flatten()).await?;
    let with_reader = readers.into_iter().zip(news);
    Ok(with_reader.flat_map(|((user, _), items)| items.into_iter().map(move |item| (user.clone(), item))).collect())
}

/// Whose token this is.
pub(crate) async fn inbox_token(engine: &Engine, hash: [u8; 32], now: Timestamp) -> Outcome<Option<InboxToken>> {
    let db = engine.pool.lend().await?;
    let found = db.query_opt(sql::TOKEN, &[&bucket_of_hash(&hash), &hash.as_slice()]).await?;
    let Some(row) = found else { return Ok(None) };
    let expires: i64 = row.try_get(2)?;
    let token = InboxToken { user: row.try_get(0)?, app: AppNo(number(row.try_get(1)?)?) };
    Ok((expires > now.ms()).then_some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes that are counted through are the usual ones.
    #[test]
    fn inboxes_spread_over_the_buckets() {
        let mut found = [0; 64];
        for n in 0..6_400 {
            found[usize::try_from(inbox_bucket(&format!("user{n:06}"))).expect("a bucket")] += 1;
        }
        assert!(found.iter().all(|people| (50..=150).contains(people)), "{found:?}");
    }
}
