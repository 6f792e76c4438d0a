//! What people find in their inbox. A page is what is newest of a few streams, each read from the end of an index: a person's
//! own items, and broadcasts, which are in the inbox of whoever was there when they fired. What an item says is what its
//! message says.

use std::{collections::HashMap, sync::Arc};

use hongyan_core::{
    content::{Content, InApp},
    id::Id,
    inbox::{InboxFilter, InboxItem, InboxToken},
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Params, Row as SqlRow, params};

use crate::{reads::sql_limit, row::id_read, trouble::Outcome};

/// The columns of an item that [`item_row`] reads, and those of a broadcast.
const OWN_COLUMNS: &str = "id, 0, message, app, channel, at, read, archived";
const BROADCAST_COLUMNS: &str =
    "b.message, 1, b.message, b.app, b.channel, b.at, ifnull(m.read, 0), ifnull(m.archived, 0)";

/// When an item came, and its number: the order of an inbox.
pub(crate) type Place = (i64, i64);

/// Behind every item.
pub(crate) const END: Place = (i64::MAX, i64::MAX);

/// Which of a person's items are meant, for any statement: the person, those before a place, app, business, kind, the highest `read`,
/// `archived`.
pub(crate) struct Selected<'a> {
    pub user: &'a str,
    pub before: Place,
    pub filter: &'a InboxFilter,
}

impl Selected<'_> {
    /// The parameters that the clauses below name, and as the last how many are wanted.
    pub(crate) fn parameters(&self, limit: usize) -> impl Params {
        let InboxFilter { unread, archived, app, business, kind } = self.filter;
        (
            self.user.to_owned(),
            self.before.0,
            app.map(|app| app.0),
            business.clone(),
            kind.clone(),
            i64::from(!unread),
            *archived,
            self.before.1,
            sql_limit(limit),
        )
    }

    /// What selects a person's own items, by the index that leaves the fewest: of one businessId, of those not read, of all. Those that
    /// are and are not put away lie apart.
    pub(crate) fn own(&self, unread: bool, archived: bool) -> (&'static str, String) {
        let (index, by) = match &self.filter.business {
            Some(business) if !business.is_empty() => ("inbox_business", "business = ?4 AND business <> ''"),
            _ if unread => ("inbox_unread", "read = 0"),
            _ => ("inbox_all", "read <= 1"),
        };
        let archived = u8::from(archived);
        let clauses = format!(
            "user = ?1 AND deleted = 0 AND archived = {archived} AND {by} AND (at, id) < (?2, ?8) AND app = ifnull(?3, app) \
             AND business = ifnull(?4, business) AND kind = ifnull(?5, kind) AND read <= ?6 AND archived = ifnull(?7, archived)"
        );
        (index, clauses)
    }

    /// Whether any item that is put away, or is not, can be meant.
    pub(crate) fn may_be(&self, archived: bool) -> bool {
        self.filter.archived.is_none_or(|only| only == archived)
    }
}

/// The broadcasts `b` that a person finds, with their marks `m`.
pub(crate) const BROADCASTS: &str = "FROM broadcast b LEFT JOIN broadcast_mark m ON m.user = ?1 AND m.message = b.message \
     WHERE ifnull(m.deleted, 0) = 0 AND EXISTS (SELECT 1 FROM presence p \
     WHERE p.user = ?1 AND p.since <= b.at AND ifnull(p.until, 9223372036854775807) > b.at)";

/// Those of them that are selected.
pub(crate) const BROADCASTS_SELECTED: &str = "AND (b.at, b.message) < (?2, ?8) AND b.app = ifnull(?3, b.app) \
     AND b.business = ifnull(?4, b.business) AND b.kind = ifnull(?5, b.kind) AND ifnull(m.read, 0) <= ?6 \
     AND ifnull(m.archived, 0) = ifnull(?7, ifnull(m.archived, 0))";

/// The statements of a page.
pub(crate) fn page_sql(selected: &Selected<'_>) -> Vec<String> {
    let own = |archived| {
        let (index, clauses) = selected.own(selected.filter.unread, archived);
        format!(
            "SELECT {OWN_COLUMNS} FROM inbox_item INDEXED BY {index} WHERE {clauses} ORDER BY at DESC, id DESC LIMIT ?9"
        )
    };
    let own = [false, true].into_iter().filter(|archived| selected.may_be(*archived)).map(own);
    let broadcasts = format!(
        "SELECT {BROADCAST_COLUMNS} {BROADCASTS} {BROADCASTS_SELECTED} ORDER BY b.at DESC, b.message DESC LIMIT ?9"
    );
    own.chain([broadcasts]).collect()
}

/// Where an item lies, whatever was done with it. One that is gone came at about the time of its number.
fn place(db: &Connection, user: &str, id: Id) -> Outcome<Place> {
    let mut find = db.prepare_cached(
        "SELECT at FROM inbox_item WHERE id = ?1 AND user = ?2 UNION ALL SELECT at FROM broadcast WHERE message = ?1",
    )?;
    let at = find.query_row(params![id.get(), user], |row| row.get(0)).optional()?;
    Ok((at.unwrap_or_else(|| id.time().ms()), id.get()))
}

/// A page of an inbox, the newest first, as of one moment.
pub(crate) fn page(
    db: &Connection,
    user: &str,
    filter: &InboxFilter,
    before: Option<Id>,
    limit: usize,
) -> Outcome<Vec<InboxItem>> {
    let snapshot = db.unchecked_transaction()?;
    let before = before.map_or(Ok(END), |id| place(&snapshot, user, id))?;
    let selected = Selected { user, before, filter };
    let mut found = Vec::new();
    for sql in page_sql(&selected) {
        items_read(&snapshot, &sql, selected.parameters(limit), &mut found)?;
    }
    found.sort_unstable_by_key(|item: &InboxItem| std::cmp::Reverse((item.at, item.id)));
    found.truncate(limit);
    let mut said = Said::default();
    for item in &mut found {
        item.content = said.of(&snapshot, item)?;
    }
    Ok(found)
}

/// The statements that find one item.
pub(crate) fn one_sql() -> [String; 2] {
    [
        format!("SELECT {OWN_COLUMNS} FROM inbox_item WHERE id = ?2 AND user = ?1 AND deleted = 0"),
        format!("SELECT {BROADCAST_COLUMNS} {BROADCASTS} AND b.message = ?2"),
    ]
}

/// One item.
pub(crate) fn one(db: &Connection, user: &str, id: Id) -> Outcome<Option<InboxItem>> {
    let snapshot = db.unchecked_transaction()?;
    let mut found = Vec::new();
    for sql in one_sql() {
        items_read(&snapshot, &sql, params![user, id.get()], &mut found)?;
    }
    let Some(mut item) = found.pop() else { return Ok(None) };
    item.content = Said::default().of(&snapshot, &item)?;
    Ok(Some(item))
}

/// Appends the items that a statement of eight columns finds, without what they say.
fn items_read(db: &Connection, sql: &str, parameters: impl Params, to: &mut Vec<InboxItem>) -> Outcome<()> {
    let mut find = db.prepare_cached(sql)?;
    let mut rows = find.query(parameters)?;
    while let Some(row) = rows.next()? {
        to.push(item_row(row)?);
    }
    Ok(())
}

fn item_row(row: &SqlRow<'_>) -> Outcome<InboxItem> {
    Ok(InboxItem {
        id: id_read(row, 0)?,
        broadcast: row.get(1)?,
        message: id_read(row, 2)?,
        app: AppNo(row.get(3)?),
        channel: ChannelNo(row.get(4)?),
        at: Timestamp::from_ms(row.get(5)?),
        read: row.get(6)?,
        archived: row.get(7)?,
        content: None,
    })
}

/// What messages say, each read once.
#[derive(Default)]
struct Said(HashMap<Id, Option<Arc<Content>>>);

impl Said {
    /// What an item says; of what cannot be read nothing, so that the rest of the page is seen.
    fn of(&mut self, db: &Connection, item: &InboxItem) -> Outcome<Option<InApp>> {
        let content = match self.0.get(&item.message) {
            Some(content) => content.clone(),
            None => {
                let content = content_read(db, item.message)?;
                self.0.insert(item.message, content.clone());
                content
            }
        };
        let content = content.and_then(|content| content.on(item.channel));
        Ok(content.and_then(|content| match &*content {
            Content::InApp(content) => Some(content.clone()),
            _ => None,
        }))
    }
}

fn content_read(db: &Connection, message: Id) -> Outcome<Option<Arc<Content>>> {
    let body: Option<Vec<u8>> = db
        .prepare_cached("SELECT body FROM content WHERE message = ?1")?
        .query_row([message.get()], |row| row.get(0))
        .optional()?;
    let Some(body) = body else { return Ok(None) };
    let content = Content::from_bytes(&body);
    if let Err(error) = &content {
        let at = error.column();
        tracing::error!(%message, at, "the content of an item of an inbox is damaged");
    }
    Ok(content.ok().map(Arc::new))
}

/// How many a person has not read, of their own and of broadcasts.
pub(crate) const UNREAD: [&str; 2] = [
    "SELECT count(*) FROM inbox_item INDEXED BY inbox_unread WHERE user = ?1 AND archived = 0 AND deleted = 0 AND read = 0",
    "SELECT count(*) FROM presence p CROSS JOIN broadcast b INDEXED BY broadcast_at \
     ON b.at >= p.since AND b.at < ifnull(p.until, 9223372036854775807) WHERE p.user = ?1 AND NOT EXISTS \
     (SELECT 1 FROM broadcast_mark m WHERE m.user = ?1 AND m.message = b.message AND m.read + m.archived + m.deleted > 0)",
];

/// How many items a person has not read, those put away left out.
pub(crate) fn unread(db: &Connection, user: &str) -> Outcome<u64> {
    let snapshot = db.unchecked_transaction()?;
    let mut unread = 0;
    for sql in UNREAD {
        let count: i64 = snapshot.prepare_cached(sql)?.query_row([user], |row| row.get(0))?;
        unread += count.unsigned_abs();
    }
    Ok(unread)
}

/// What came to a person after a moment, of their own and of broadcasts, the oldest first.
pub(crate) fn news_sql() -> [String; 2] {
    [
        format!(
            "SELECT {OWN_COLUMNS} FROM inbox_item INDEXED BY inbox_at WHERE user = ?1 AND deleted = 0 AND at > ?2 \
             ORDER BY at, id LIMIT ?3"
        ),
        format!(
            "SELECT {BROADCAST_COLUMNS} FROM presence p CROSS JOIN broadcast b INDEXED BY broadcast_at \
             ON b.at >= max(p.since, ?2 + 1) AND b.at < ifnull(p.until, 9223372036854775807) \
             LEFT JOIN broadcast_mark m ON m.user = ?1 AND m.message = b.message \
             WHERE p.user = ?1 AND ifnull(m.deleted, 0) = 0 ORDER BY b.at, b.message LIMIT ?3"
        ),
    ]
}

/// What came to people since the moment that each is named with, the oldest first.
pub(crate) fn news(
    db: &Connection,
    readers: &[(String, Timestamp)],
    limit: usize,
) -> Outcome<Vec<(String, InboxItem)>> {
    let snapshot = db.unchecked_transaction()?;
    let sql = news_sql();
    let (mut all, mut said) = (Vec::new(), Said::default());
    for (user, after) in readers {
        let mut found = Vec::new();
        for sql in &sql {
            items_read(&snapshot, sql, params![user, after.ms(), sql_limit(limit)], &mut found)?;
        }
        found.sort_unstable_by_key(|item| (item.at, item.id));
        for mut item in found.into_iter().take(limit) {
            item.content = said.of(&snapshot, &item)?;
            all.push((user.clone(), item));
        }
    }
    Ok(all)
}

/// Whose token this is.
pub(crate) fn by_token(db: &Connection, hash: &[u8; 32], now: Timestamp) -> Outcome<Option<InboxToken>> {
    let mut find = db.prepare_cached(
        "SELECT t.user, t.app FROM inbox_token t JOIN person p ON p.code = t.user \
         WHERE t.hash = ?1 AND t.expires > ?2 AND p.enabled = 1",
    )?;
    let read = |row: &SqlRow<'_>| Ok(InboxToken { user: row.get(0)?, app: AppNo(row.get(1)?) });
    Ok(find.query_row(params![hash, now.ms()], read).optional()?)
}
