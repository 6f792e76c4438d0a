//! What look-ups read. A message's deliveries are ranges of the primary key: the first page follows the message's own id, the
//! ranges of later pages are on record.

use std::sync::Arc;

use hongyan_core::{
    content::Content,
    id::Id,
    limits,
    message::{Dialect, Label, Message, MessageState},
    setup::{AppNo, ChannelNo, ProviderNo},
    store::{Attempt, Capture, Cargo, Declaration, DeliveryRecord, Doubt, MessageRecord},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use crate::{
    row::{ROW_COLUMNS, address_read, id_read, priority_read, row_columns, row_read},
    trouble::{Outcome, Trouble},
};

/// The id ranges of a message's pages, first and last; none where there is no such message.
pub(crate) fn pages(db: &Connection, message: Id) -> Outcome<Vec<(i64, i64)>> {
    let mut find = db.prepare_cached(
        "SELECT id + 1, last FROM message WHERE id = ?1 UNION ALL SELECT first, last FROM page WHERE message = ?1",
    )?;
    let pages = find.query_map([message.get()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(pages.collect::<Result<_, _>>()?)
}

/// The ids of a message's deliveries.
pub(crate) fn delivery_ids(db: &Connection, message: Id) -> Outcome<Vec<Id>> {
    let mut find = db.prepare_cached("SELECT id FROM delivery WHERE id BETWEEN ?2 AND ?3 AND message = ?1")?;
    let mut ids = Vec::new();
    for (first, last) in pages(db, message)? {
        let mut rows = find.query([message.get(), first, last])?;
        while let Some(row) = rows.next()? {
            ids.push(id_read(row, 0)?);
        }
    }
    Ok(ids)
}

/// The columns that [`message_row`] reads, in its order.
macro_rules! message_columns {
    () => {
        "m.id, m.app, m.dialect, m.operation, m.user, m.priority, m.state, m.accepted, m.expires, m.channel, m.client, \
         m.label"
    };
}
pub(crate) use message_columns;

/// The number of columns of [`message_columns`]; others may follow.
pub(crate) const MESSAGE_COLUMNS: usize = 12;

/// Reads the columns of [`message_columns`]: a message and its channel.
pub(crate) fn message_row(row: &SqlRow<'_>) -> Outcome<(Message, ChannelNo)> {
    let (dialect, state): (String, String) = (row.get(2)?, row.get(6)?);
    let message = Message {
        id: id_read(row, 0)?,
        app: AppNo(row.get(1)?),
        dialect: Dialect::from_name(&dialect).ok_or_else(|| Trouble::Damaged(format!("the dialect {dialect:?}")))?,
        operation: row.get(3)?,
        user: row.get(4)?,
        client: row.get(10)?,
        priority: priority_read(row, 5)?,
        state: MessageState::from_name(&state).ok_or_else(|| Trouble::Damaged(format!("a message {state:?}")))?,
        label: label_read(row, 11)?,
        accepted: Timestamp::from_ms(row.get(7)?),
        expires: Timestamp::from_ms(row.get(8)?),
    };
    Ok((message, ChannelNo(row.get(9)?)))
}

/// Reads what the caller said of a message.
pub(crate) fn label_read(row: &SqlRow<'_>, column: usize) -> Outcome<Label> {
    let text = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    Label::from_text(text).map_err(|error| Trouble::Damaged(format!("the label of a message: {error}")))
}

/// A message with its deliveries and their attempts, as of one moment.
pub(crate) fn message(db: &Connection, id: Id) -> Outcome<Option<MessageRecord>> {
    let snapshot = db.unchecked_transaction()?;
    let found = snapshot
        .prepare_cached(concat!(
            "SELECT ",
            message_columns!(),
            ", (SELECT e.due FROM expansion e WHERE e.message = m.id) FROM message m WHERE id = ?1"
        ))?
        .query_row([id.get()], |row| Ok((message_row(row), row.get::<_, Option<i64>>(MESSAGE_COLUMNS)?)))
        .optional()?;
    let Some((message, due)) = found else { return Ok(None) };
    let (message, channel) = message?;
    let due = due.map(Timestamp::from_ms).filter(|_| message.state == MessageState::Scheduled);
    let mut deliveries = Vec::new();
    for (first, last) in pages(&snapshot, id)? {
        deliveries_read(&snapshot, id, first, last, &mut deliveries)?;
    }
    Ok(Some(MessageRecord { message, channel, due, deliveries }))
}

fn deliveries_read(db: &Connection, message: Id, first: i64, last: i64, to: &mut Vec<DeliveryRecord>) -> Outcome<()> {
    let mut find = db.prepare_cached(concat!(
        "SELECT ",
        row_columns!(),
        ", recipient FROM delivery WHERE id BETWEEN ?2 AND ?3 AND message = ?1 ORDER BY id"
    ))?;
    let mut tries = db.prepare_cached(ATTEMPTS)?;
    let mut rows = find.query([message.get(), first, last])?;
    while let Some(row) = rows.next()? {
        let delivery = row_read(row)?;
        let attempts = tries.query_map([delivery.id.get()], attempt_row)?.collect::<Result<_, _>>()?;
        to.push(DeliveryRecord {
            id: delivery.id,
            parcel: delivery.parcel,
            channel: delivery.channel,
            recipient: row.get(ROW_COLUMNS)?,
            address: address_read(row)?,
            track: delivery.track,
            attempts,
        });
    }
    Ok(())
}

/// The attempts of a delivery, for [`attempt_row`].
pub(crate) const ATTEMPTS: &str =
    "SELECT provider, started, took_ms, outcome, reply FROM attempt WHERE delivery = ?1 ORDER BY no";

/// Reads one of [`ATTEMPTS`].
pub(crate) fn attempt_row(row: &SqlRow<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        provider: ProviderNo(row.get(0)?),
        started: Timestamp::from_ms(row.get(1)?),
        took_ms: row.get(2)?,
        outcome: row.get(3)?,
        reply: row.get(4)?,
    })
}

/// Contents and attachments in stored form; decoding is left to whoever asked.
pub(crate) fn cargo(db: &Connection, messages: &[Id]) -> Outcome<Vec<StoredCargo>> {
    let mut content = db.prepare_cached("SELECT body FROM content WHERE message = ?1")?;
    let mut attachment = db.prepare_cached("SELECT body FROM attachment WHERE message = ?1 ORDER BY no")?;
    let mut found = Vec::with_capacity(messages.len());
    for message in messages {
        let Some(content) = content.query_row([message.get()], |row| row.get(0)).optional()? else { continue };
        let attachments = attachment.query_map([message.get()], |row| row.get(0))?.collect::<Result<_, _>>()?;
        found.push(StoredCargo { message: *message, content, attachments });
    }
    Ok(found)
}

/// A message's content and attachments as they are stored.
pub(crate) struct StoredCargo {
    message: Id,
    content: Vec<u8>,
    attachments: Vec<Vec<u8>>,
}

impl StoredCargo {
    /// What they say.
    pub(crate) fn decode(self) -> Outcome<(Id, Cargo)> {
        let content = Content::from_bytes(&self.content)
            .map_err(|error| Trouble::Damaged(format!("the content of message {}: {error}", self.message)))?;
        Ok((self.message, Cargo { content: Arc::new(content), attachments: Arc::new(self.attachments) }))
    }
}

/// What [`of_business`] asks.
pub(crate) const OF_BUSINESS: &str = "SELECT id FROM message INDEXED BY message_business \
     WHERE app = ?1 AND business = ?2 AND business <> '' AND id < ?3 ORDER BY id DESC LIMIT ?4";

/// Messages of an app under a businessId, the newest first.
pub(crate) fn of_business(
    db: &Connection,
    app: AppNo,
    business: &str,
    before: Option<Id>,
    limit: usize,
) -> Outcome<Vec<Id>> {
    let mut find = db.prepare_cached(OF_BUSINESS)?;
    let mut rows = find.query(params![app.0, business, before.map_or(i64::MAX, Id::get), sql_limit(limit)])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(id_read(row, 0)?);
    }
    Ok(ids)
}

/// The answer that was kept for an idempotency key.
pub(crate) fn answer(db: &Connection, app: AppNo, key: &str) -> Outcome<Option<String>> {
    let kept = db
        .prepare_cached("SELECT answer FROM idempotency WHERE app = ?1 AND key = ?2")?
        .query_row(params![app.0, key], |row| row.get(0))
        .optional()?;
    Ok(kept.flatten())
}

/// Whether anything of a message is still to come.
pub(crate) fn is_open(db: &Connection, message: Id) -> Outcome<bool> {
    if db.prepare_cached("SELECT 1 FROM expansion WHERE message = ?1")?.exists([message.get()])? {
        return Ok(true);
    }
    let mut open =
        db.prepare_cached("SELECT 1 FROM delivery WHERE id BETWEEN ?2 AND ?3 AND message = ?1 AND state <= 2")?;
    for (first, last) in pages(db, message)? {
        if open.exists([message.get(), first, last])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deliveries of a channel whose outcome nobody knows, of those born at `since` or later, in the order of their ids.
pub(crate) fn doubts(
    db: &Connection,
    channel: ChannelNo,
    since: Timestamp,
    after: Option<Id>,
    limit: usize,
) -> Outcome<Vec<Doubt>> {
    let after = after.map_or(0, Id::get).max(Id::lowest_at(since).get() - 1);
    let mut find = db.prepare_cached(
        "SELECT d.id, coalesce(d.address, d.recipient), iif(a.outcome = 'unknown', a.provider, NULL), coalesce(a.started, d.first_try, d.due) \
         FROM delivery d INDEXED BY doubt LEFT JOIN attempt a ON a.delivery = d.id AND a.no = \
         (SELECT max(no) FROM attempt WHERE delivery = d.id) \
         WHERE d.state = 9 AND d.reason IS NOT 'restored' AND d.channel = ?1 AND d.id > ?2 ORDER BY d.id LIMIT ?3",
    )?;
    let mut rows = find.query(params![channel.0, after, sql_limit(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let provider: Option<u32> = row.get(2)?;
        found.push(Doubt {
            delivery: id_read(row, 0)?,
            address: row.get(1)?,
            provider: provider.map(ProviderNo),
            at: Timestamp::from_ms(row.get(3)?),
        });
    }
    Ok(found)
}

/// The version of what is declared.
pub(crate) fn setup_version(db: &Connection) -> Outcome<i64> {
    Ok(db.prepare_cached("SELECT version FROM setup")?.query_row([], |row| row.get(0))?)
}

/// Everything declared, with its version, as of one moment.
pub(crate) fn declarations(db: &Connection) -> Outcome<(i64, Vec<Declaration>)> {
    let snapshot = db.unchecked_transaction()?;
    let version = setup_version(&snapshot)?;
    let mut find = snapshot.prepare_cached("SELECT kind, code, no, doc FROM declaration ORDER BY kind, code")?;
    let declared = find
        .query_map([], |row| {
            Ok(Declaration { kind: row.get(0)?, code: row.get(1)?, no: row.get(2)?, doc: row.get(3)? })
        })?
        .collect::<Result<_, _>>()?;
    Ok((version, declared))
}

/// A note.
pub(crate) fn note(db: &Connection, key: &str) -> Outcome<Option<String>> {
    Ok(db.prepare_cached("SELECT value FROM note WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()?)
}

/// Captures, the newest first, as many as `limit` and the bytes of one page allow; at least one where there is any.
pub(crate) fn captures(db: &Connection, before: Option<Id>, limit: usize) -> Outcome<Vec<Capture>> {
    let mut find = db.prepare_cached(
        "SELECT id, message, provider, at, sender, recipients, body FROM capture WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let mut rows = find.query(params![before.map_or(i64::MAX, Id::get), sql_limit(limit)])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let body = row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?;
        bytes += body.len();
        if bytes > limits::CAPTURES_PAGE_BYTES_MAX && !found.is_empty() {
            break;
        }
        found.push(capture_row(row)?);
    }
    Ok(found)
}

/// Reads a capture whose columns come in this order.
pub(crate) fn capture_row(row: &SqlRow<'_>) -> Outcome<Capture> {
    let recipients: String = row.get(5)?;
    Ok(Capture {
        id: id_read(row, 0)?,
        message: id_read(row, 1)?,
        provider: row.get(2)?,
        at: Timestamp::from_ms(row.get(3)?),
        sender: row.get(4)?,
        recipients: serde_json::from_str(&recipients)
            .map_err(|error| Trouble::Damaged(format!("the recipients of a capture: {error}")))?,
        body: row.get(6)?,
    })
}

/// The highest id in any table that has ids of ours.
pub(crate) fn last_id(db: &Connection) -> Outcome<Option<Id>> {
    let last: Option<i64> = db
        .prepare_cached(
            "SELECT max(id) FROM (SELECT max(id) AS id FROM message UNION ALL SELECT max(id) FROM delivery \
             UNION ALL SELECT max(id) FROM capture)",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(last.and_then(Id::from_i64))
}

/// A limit for SQL.
pub(crate) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
