//! The tables of a store one after the other, each in pages by its key: at most so many rows and, roughly, so many bytes at a
//! time, one row at least.

mod people;

use std::time::Duration;

use hongyan_core::{
    account::{self, Follower},
    id::Id,
    message::{Dialect, Message, MessageState},
    pace::Meter,
    quota::{Account, Day, Entry},
    setup::{AppNo, ChannelNo, ProviderNo},
    store::{Capture, Declaration, Rest},
    time::Timestamp,
    transfer::{MovedAttachment, MovedDelivery, MovedExpansion, MovedKey, MovedMessage, MovedPage, Rows},
};
use rusqlite::{Connection, Params, Row as SqlRow, params};

pub(super) use self::people::PRESENCES_BEFORE;
use crate::{
    accounts::{account_columns, account_row, follower_row},
    audience::{place_row, who_row},
    reads,
    row::{ROW_COLUMNS, address_read, id_read, priority_read, row_columns, row_read},
    trouble::{Outcome, Trouble},
};

/// Rows in one page.
const ROWS_MAX: usize = 1_000;
/// Bytes from which a page is full.
const BYTES_FULL: usize = 4 * 1024 * 1024;
/// What a row takes beside its texts, roughly.
const ROW_BYTES: usize = 128;

/// Where the next page begins: the table, and the key behind which.
pub(super) enum Place {
    Messages { after: i64 },
    Attachments { after: (i64, u32) },
    Deliveries { after: i64 },
    Pages { after: (i64, i64) },
    Expansions { after: i64 },
    Keys { after: (i64, String) },
    Declarations,
    Numberings,
    Setup,
    People { after: String },
    Presences { after: (String, i64) },
    Groups { after: u32 },
    Members { after: (u32, String) },
    Items { after: i64 },
    Marks { after: (String, i64) },
    Broadcasts { after: i64 },
    Notes,
    Captures { after: i64 },
    Accounts { after: String },
    Entries { after: (String, i64) },
    Meters,
    Callers { after: u32 },
    Followers { after: u32 },
}

/// Whether there is such a table: a store of an older version may lack some.
pub(super) fn exists(db: &Connection, table: &str) -> Outcome<bool> {
    Ok(db.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?.exists([table])?)
}

/// Whether a store is of a version that has a directory, inboxes and scheduled messages.
pub(super) fn has_people(db: &Connection) -> Outcome<bool> {
    exists(db, "directory_group")
}

impl Place {
    /// The beginning.
    pub(super) const fn first() -> Self {
        Self::Messages { after: 0 }
    }

    /// Reads a page; answers its rows, none where the table is at its end, and where to go on.
    pub(super) fn read(self, db: &Connection) -> Outcome<(Rows, Option<Self>)> {
        match self {
            Self::Messages { after } => {
                let rows = messages(db, after)?;
                let next = rows.last().map(|last| Self::Messages { after: last.message.id.get() });
                Ok((Rows::Messages(rows), next.or(Some(Self::Attachments { after: (0, 0) }))))
            }
            Self::Attachments { after } => {
                let rows = attachments(db, after)?;
                let next = rows.last().map(|last| Self::Attachments { after: (last.message.get(), last.no) });
                Ok((Rows::Attachments(rows), next.or(Some(Self::Deliveries { after: 0 }))))
            }
            Self::Deliveries { after } => {
                let rows = deliveries(db, after)?;
                let next = rows.last().map(|last| Self::Deliveries { after: last.id.get() });
                Ok((Rows::Deliveries(rows), next.or(Some(Self::Pages { after: (0, 0) }))))
            }
            Self::Pages { after } => {
                let rows = pages(db, after)?;
                let next = rows.last().map(|last| Self::Pages { after: (last.message.get(), last.first.get()) });
                Ok((Rows::Pages(rows), next.or(Some(Self::Expansions { after: 0 }))))
            }
            Self::Expansions { after } => {
                let rows = expansions(db, after)?;
                let next = rows.last().map(|last| Self::Expansions { after: last.message.get() });
                Ok((Rows::Expansions(rows), next.or(Some(Self::Keys { after: (-1, String::new()) }))))
            }
            Self::Keys { after } => {
                let rows = keys(db, &after)?;
                let next = rows.last().map(|last| Self::Keys { after: (i64::from(last.app.0), last.key.clone()) });
                Ok((Rows::Keys(rows), next.or(Some(Self::Declarations))))
            }
            beside => beside.read_beside(db),
        }
    }

    /// The same for people, what they belong to and their inboxes.
    fn read_of_people(self, db: &Connection) -> Outcome<(Rows, Option<Self>)> {
        match self {
            Self::Presences { after } => {
                let rows = people::presences(db, &after)?;
                let next = rows.last().map(|last| Self::Presences { after: (last.user.clone(), last.since.ms()) });
                Ok((Rows::Presences(rows), next.or(Some(Self::Groups { after: 0 }))))
            }
            // All but presences, which are known of an older store too, came together.
            Self::Groups { .. } if !has_people(db)? => Ok((Rows::Groups(Vec::new()), Some(Self::Notes))),
            Self::Groups { after } => {
                let rows = people::groups(db, after)?;
                let next = rows.last().map(|last| Self::Groups { after: last.no.0 });
                Ok((Rows::Groups(rows), next.or(Some(Self::Members { after: (0, String::new()) }))))
            }
            Self::Members { after } => {
                let rows = people::members(db, &after)?;
                let next = rows.last().map(|(user, group)| Self::Members { after: (group.0, user.clone()) });
                Ok((Rows::Members(rows), next.or(Some(Self::Items { after: 0 }))))
            }
            Self::Items { after } => {
                let rows = people::items(db, after)?;
                let next = rows.last().map(|last| Self::Items { after: last.item.id.get() });
                Ok((Rows::Items(rows), next.or(Some(Self::Marks { after: (String::new(), 0) }))))
            }
            Self::Marks { after } => {
                let rows = people::marks(db, &after)?;
                let next = rows.last().map(|last| Self::Marks { after: (last.item.user.clone(), last.item.id.get()) });
                Ok((Rows::Items(rows), next.or(Some(Self::Broadcasts { after: 0 }))))
            }
            Self::Broadcasts { after } => {
                let rows = people::broadcasts(db, after)?;
                let next = rows.last().map(|last| Self::Broadcasts { after: last.message.get() });
                Ok((Rows::Broadcasts(rows), next.or(Some(Self::Notes))))
            }
            // The functions above read the others.
            _ => Ok((Rows::Notes(Vec::new()), None)),
        }
    }

    /// The same for what is kept beside messages.
    fn read_beside(self, db: &Connection) -> Outcome<(Rows, Option<Self>)> {
        match self {
            Self::Declarations => Ok((Rows::Declarations(declarations(db)?), Some(Self::Numberings))),
            Self::Numberings => Ok((Rows::Numberings(numberings(db)?), Some(Self::Setup))),
            Self::Setup => Ok((setup(db)?, Some(Self::People { after: String::new() }))),
            Self::People { after } => {
                let rows = people::people(db, &after)?;
                let next = rows.last().map(|last| Self::People { after: last.code.clone() });
                Ok((Rows::People(rows), next.or(Some(Self::Presences { after: (String::new(), 0) }))))
            }
            Self::Notes => Ok((Rows::Notes(notes(db)?), Some(Self::Captures { after: 0 }))),
            Self::Captures { after } => {
                let (rows, last) = captures(db, after)?;
                let next = last.map(|after| Self::Captures { after });
                Ok((Rows::Captures(rows), next.or(Some(Self::Accounts { after: String::new() }))))
            }
            // The tables of limits came together.
            Self::Accounts { .. } if !exists(db, "meter")? => Ok((Rows::Accounts(Vec::new()), None)),
            Self::Accounts { after } => {
                let rows = accounts(db, &after)?;
                let next = rows.last().map(|(last, _)| Self::Accounts { after: last.clone() });
                Ok((Rows::Accounts(rows), next.or(Some(Self::Entries { after: (String::new(), 0) }))))
            }
            Self::Entries { after } => {
                let rows = entries(db, &after)?;
                let next = rows.last().map(|(account, last, _)| Self::Entries { after: (account.clone(), last.get()) });
                Ok((Rows::Entries(rows), next.or(Some(Self::Meters))))
            }
            Self::Meters => Ok((Rows::Meters(meters(db)?), Some(Self::Callers { after: 0 }))),
            // Accounts and followers came together.
            Self::Callers { .. } if !exists(db, "follower")? => Ok((Rows::Callers(Vec::new()), None)),
            Self::Callers { after } => {
                let rows = callers(db, after)?;
                let next = rows.last().map(|last| Self::Callers { after: last.no.0 });
                Ok((Rows::Callers(rows), next.or(Some(Self::Followers { after: 0 }))))
            }
            Self::Followers { after } => {
                let rows = followers(db, after)?;
                let next = rows.last().map(|(_, last)| Self::Followers { after: last.tag });
                Ok((Rows::Followers(rows), next))
            }
            of_people => of_people.read_of_people(db),
        }
    }
}

/// Reads the rows of a statement until a page is full. `read` answers a row and how many bytes its texts have.
fn page<T>(
    db: &Connection,
    sql: &str,
    key: impl Params,
    mut read: impl FnMut(&SqlRow<'_>) -> Outcome<(T, usize)>,
) -> Outcome<Vec<T>> {
    let mut find = db.prepare_cached(sql)?;
    let mut rows = find.query(key)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < ROWS_MAX
        && bytes < BYTES_FULL
        && let Some(row) = rows.next()?
    {
        let (row, length) = read(row)?;
        found.push(row);
        bytes += length + ROW_BYTES;
    }
    Ok(found)
}

fn messages(db: &Connection, after: i64) -> Outcome<Vec<MovedMessage>> {
    // A message without content is damaged; empty content says so to whoever wants to send it, and keeps nobody from the rest.
    // A store of an older version knows no clients, or no labels.
    let client = if exists(db, "follower")? { "m.client" } else { "''" };
    let label = if has_people(db)? { "m.label" } else { "''" };
    let sql = format!(
        "SELECT m.id, m.app, m.dialect, m.operation, m.user, m.priority, m.state, m.accepted, m.expires, m.channel, \
         m.last, m.attachments, coalesce(c.body, x''), {client}, {label} \
         FROM message m LEFT JOIN content c ON c.message = m.id WHERE m.id > ?1 ORDER BY m.id"
    );
    page(db, &sql, [after], |row| {
        let (dialect, state): (String, String) = (row.get(2)?, row.get(6)?);
        let message = Message {
            id: id_read(row, 0)?,
            app: AppNo(row.get(1)?),
            dialect: Dialect::from_name(&dialect)
                .ok_or_else(|| Trouble::Damaged(format!("the dialect {dialect:?}")))?,
            operation: row.get(3)?,
            user: row.get(4)?,
            client: row.get(13)?,
            priority: priority_read(row, 5)?,
            state: MessageState::from_name(&state).ok_or_else(|| Trouble::Damaged(format!("a message {state:?}")))?,
            label: reads::label_read(row, 14)?,
            accepted: Timestamp::from_ms(row.get(7)?),
            expires: Timestamp::from_ms(row.get(8)?),
        };
        let content: Vec<u8> = row.get(12)?;
        let length = content.len();
        let (channel, last, attachments) = (ChannelNo(row.get(9)?), id_read(row, 10)?, row.get(11)?);
        Ok((MovedMessage { message, channel, last, attachments, content }, length))
    })
}

fn attachments(db: &Connection, after: (i64, u32)) -> Outcome<Vec<MovedAttachment>> {
    let sql = "SELECT message, no, body FROM attachment WHERE (message, no) > (?1, ?2) ORDER BY message, no";
    page(db, sql, after, |row| {
        let body: Vec<u8> = row.get(2)?;
        let length = body.len();
        Ok((MovedAttachment { message: id_read(row, 0)?, no: row.get(1)?, body }, length))
    })
}

fn deliveries(db: &Connection, after: i64) -> Outcome<Vec<MovedDelivery>> {
    let sql = concat!("SELECT ", row_columns!(), ", recipient FROM delivery WHERE id > ?1 ORDER BY id");
    let mut tries = db.prepare_cached(reads::ATTEMPTS)?;
    page(db, sql, [after], |row| {
        let delivery = row_read(row)?;
        let (recipient, address): (String, String) = (row.get(ROW_COLUMNS)?, address_read(row)?);
        let attempts: Vec<_> =
            tries.query_map([delivery.id.get()], reads::attempt_row)?.collect::<Result<_, rusqlite::Error>>()?;
        let words: usize = attempts.iter().map(|attempt| attempt.reply.len() + ROW_BYTES).sum();
        let length = recipient.len() + address.len() + words;
        let moved = MovedDelivery {
            id: delivery.id,
            message: delivery.message,
            parcel: delivery.parcel,
            channel: delivery.channel,
            app: delivery.app,
            priority: delivery.priority,
            track: delivery.track,
            recipient,
            address,
            attempts,
        };
        Ok((moved, length))
    })
}

fn pages(db: &Connection, after: (i64, i64)) -> Outcome<Vec<MovedPage>> {
    let sql = "SELECT message, first, last FROM page WHERE (message, first) > (?1, ?2) ORDER BY message, first";
    page(db, sql, after, |row| {
        Ok((MovedPage { message: id_read(row, 0)?, first: id_read(row, 1)?, last: id_read(row, 2)? }, 0))
    })
}

fn expansions(db: &Connection, after: i64) -> Outcome<Vec<MovedExpansion>> {
    // In a store of an older version they are all under way.
    let columns = if has_people(db)? { "e.step, e.mark, e.due" } else { "e.cursor, '', m.accepted" };
    let sql = format!(
        "SELECT e.message, {columns}, a.rest, m.channel FROM expansion e JOIN message m ON m.id = e.message \
         JOIN audience a ON a.message = e.message WHERE e.message > ?1 ORDER BY e.message"
    );
    page(db, &sql, [after], |row| {
        let rest = Rest { due: Timestamp::from_ms(row.get(3)?), who: who_row(row, 4)? };
        let length = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?.len();
        Ok((MovedExpansion { message: id_read(row, 0)?, place: place_row(row, 1)?, rest }, length))
    })
}

fn keys(db: &Connection, after: &(i64, String)) -> Outcome<Vec<MovedKey>> {
    let sql = "SELECT app, key, fingerprint, message, expires, answer FROM idempotency \
               WHERE (app, key) > (?1, ?2) ORDER BY app, key";
    page(db, sql, params![after.0, after.1], |row| {
        let (key, answer): (String, Option<String>) = (row.get(1)?, row.get(5)?);
        let length = key.len() + answer.as_ref().map_or(0, String::len);
        let moved = MovedKey {
            app: AppNo(row.get(0)?),
            key,
            fingerprint: row.get(2)?,
            message: id_read(row, 3)?,
            expires: Timestamp::from_ms(row.get(4)?),
            answer,
        };
        Ok((moved, length))
    })
}

/// Everything that is declared: a node has it in memory, too.
fn declarations(db: &Connection) -> Outcome<Vec<Declaration>> {
    let mut find = db.prepare_cached("SELECT kind, code, no, doc FROM declaration ORDER BY kind, code")?;
    let declared = find.query_map([], |row| {
        Ok(Declaration { kind: row.get(0)?, code: row.get(1)?, no: row.get(2)?, doc: row.get(3)? })
    })?;
    Ok(declared.collect::<Result<_, _>>()?)
}

fn numberings(db: &Connection) -> Outcome<Vec<(String, u32)>> {
    let mut find = db.prepare_cached("SELECT kind, last FROM numbering ORDER BY kind")?;
    let numberings = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(numberings.collect::<Result<_, _>>()?)
}

fn setup(db: &Connection) -> Outcome<Rows> {
    let read = |row: &SqlRow<'_>| Ok(Rows::Setup { version: row.get(0)?, plan: row.get(1)? });
    Ok(db.query_row("SELECT version, plan FROM setup", [], read)?)
}

fn notes(db: &Connection) -> Outcome<Vec<(String, String)>> {
    let mut find = db.prepare_cached("SELECT key, value FROM note ORDER BY key")?;
    let notes = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(notes.collect::<Result<_, _>>()?)
}

/// Captures, and the sequence number of the last.
fn captures(db: &Connection, after: i64) -> Outcome<(Vec<Capture>, Option<i64>)> {
    let sql =
        "SELECT id, message, provider, at, sender, recipients, body, seq FROM capture WHERE seq > ?1 ORDER BY seq";
    let mut last = None;
    let rows = page(db, sql, [after], |row| {
        let capture = reads::capture_row(row)?;
        last = Some(row.get(7)?);
        let length = capture.body.len();
        Ok((capture, length))
    })?;
    Ok((rows, last))
}

fn accounts(db: &Connection, after: &str) -> Outcome<Vec<(String, Account)>> {
    let sql =
        "SELECT account, seen, hour, day, day_begin, day_end FROM quota_account WHERE account > ?1 ORDER BY account";
    page(db, sql, [after], |row| {
        let time = |column| row.get(column).map(Timestamp::from_ms);
        let account = Account {
            seen: time(1)?,
            hour: row.get::<_, i64>(2)?.unsigned_abs(),
            day: row.get::<_, i64>(3)?.unsigned_abs(),
            today: Day { begin: time(4)?, end: time(5)? },
        };
        Ok(((row.get(0)?, account), 0))
    })
}

fn entries(db: &Connection, after: &(String, i64)) -> Outcome<Vec<(String, Id, Entry)>> {
    let sql =
        "SELECT account, id, at, day, amount FROM quota_entry WHERE (account, id) > (?1, ?2) ORDER BY account, id";
    page(db, sql, params![after.0, after.1], |row| {
        let time = |column| row.get(column).map(Timestamp::from_ms);
        let entry = Entry { at: time(2)?, day: time(3)?, amount: row.get(4)? };
        Ok(((row.get(0)?, id_read(row, 1)?, entry), 0))
    })
}

fn meters(db: &Connection) -> Outcome<Vec<(String, Meter)>> {
    let mut find = db.prepare_cached("SELECT key, seen, ahead_ns FROM meter ORDER BY key")?;
    let meters = find.query_map([], |row| {
        let ahead = Duration::from_nanos(u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0));
        Ok((row.get(0)?, Meter { seen: Timestamp::from_ms(row.get(1)?), ahead }))
    })?;
    Ok(meters.collect::<Result<_, _>>()?)
}

fn callers(db: &Connection, after: u32) -> Outcome<Vec<account::Account>> {
    let sql = concat!("SELECT ", account_columns!(), " FROM account a WHERE no > ?1 ORDER BY no");
    page(db, sql, [after], |row| {
        let account = account_row(row)?;
        let length = account.name.len() + account.profile.password.len();
        Ok((account, length))
    })
}

fn followers(db: &Connection, after: u32) -> Outcome<Vec<(ProviderNo, Follower)>> {
    let sql = "SELECT tag, openid, subscribed, provider FROM follower WHERE tag > ?1 ORDER BY tag";
    page(db, sql, [after], |row| {
        let follower = follower_row(row)?;
        let length = follower.openid.len();
        Ok(((ProviderNo(row.get(3)?), follower), length))
    })
}
