//! Rows of the hot table, from and to SQL. Everything that reads or writes a delivery's track goes through here.

use hongyan_core::{
    delivery::{Reason, State, Track},
    id::Id,
    message::Priority,
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Rows, params};

use crate::trouble::{Outcome, Trouble};

/// A delivery without its texts: all that the writer needs to decide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub id: Id,
    pub message: Id,
    pub parcel: Id,
    pub channel: ChannelNo,
    pub app: AppNo,
    pub priority: Priority,
    pub track: Track,
}

/// The columns that [`row_read`] reads, in its order; [`address_read`] reads the one that follows.
macro_rules! row_columns {
    () => {
        "id, message, parcel, channel, app, priority, state, reason, lease, tries, crashes, due, expires, first_try, \
         maybe_duplicate, coalesce(address, recipient)"
    };
}
pub(crate) use row_columns;

/// The number of columns of [`row_columns`]; others may follow.
pub(crate) const ROW_COLUMNS: usize = 16;

/// Reads the columns of [`row_columns`].
pub(crate) fn row_read(row: &SqlRow<'_>) -> Outcome<Row> {
    Ok(Row {
        id: id_read(row, 0)?,
        message: id_read(row, 1)?,
        parcel: id_read(row, 2)?,
        channel: ChannelNo(row.get(3)?),
        app: AppNo(row.get(4)?),
        priority: priority_read(row, 5)?,
        track: track_read(row, 6)?,
    })
}

/// Where the channel reaches the recipient, of a row read by [`row_columns`].
pub(crate) fn address_read(row: &SqlRow<'_>) -> Outcome<String> {
    Ok(row.get(ROW_COLUMNS - 1)?)
}

/// Reads the nine columns of a track, from column `at` on.
fn track_read(row: &SqlRow<'_>, at: usize) -> Outcome<Track> {
    let state: u8 = row.get(at)?;
    let reason = row.get_ref(at + 1)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(Track {
        state: State::from_number(state).ok_or_else(|| Trouble::Damaged(format!("a delivery in state {state}")))?,
        reason: reason.map(reason_named).transpose()?,
        lease: row.get(at + 2)?,
        tries: row.get(at + 3)?,
        crashes: row.get(at + 4)?,
        due: Timestamp::from_ms(row.get(at + 5)?),
        expires: Timestamp::from_ms(row.get(at + 6)?),
        first_try: row.get::<_, Option<i64>>(at + 7)?.map(Timestamp::from_ms),
        maybe_duplicate: row.get(at + 8)?,
    })
}

/// The reason with a stored name.
pub(crate) fn reason_named(name: &str) -> Outcome<Reason> {
    Reason::from_name(name).ok_or_else(|| Trouble::Damaged(format!("the reason {name:?}")))
}

/// Reads an id.
pub(crate) fn id_read(row: &SqlRow<'_>, column: usize) -> Outcome<Id> {
    let number = row.get(column)?;
    Id::from_i64(number).ok_or_else(|| Trouble::Damaged(format!("the id {number}")))
}

/// Reads a priority.
pub(crate) fn priority_read(row: &SqlRow<'_>, column: usize) -> Outcome<Priority> {
    let number = row.get(column)?;
    Priority::from_number(number).ok_or_else(|| Trouble::Damaged(format!("the priority {number}")))
}

/// The delivery with this id.
pub(crate) fn row_find(db: &Connection, id: Id) -> Outcome<Option<Row>> {
    let mut find = db.prepare_cached(concat!("SELECT ", row_columns!(), " FROM delivery WHERE id = ?1"))?;
    find.query_row([id.get()], |row| Ok(row_read(row))).optional()?.transpose()
}

/// Writes where a delivery stands.
pub(crate) fn track_write(db: &Connection, id: Id, track: &Track) -> Outcome<()> {
    db.prepare_cached(
        "UPDATE delivery SET state = ?2, reason = ?3, lease = ?4, tries = ?5, crashes = ?6, due = ?7, first_try = ?8, \
         maybe_duplicate = ?9 WHERE id = ?1",
    )?
    .execute(params![
        id.get(),
        track.state.number(),
        track.reason.map(Reason::as_str),
        track.lease,
        track.tries,
        track.crashes,
        track.due.ms(),
        track.first_try.map(Timestamp::ms),
        track.maybe_duplicate,
    ])?;
    Ok(())
}

/// What a statement made of [`row_columns`] found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The rows, each with its address.
    pub rows: Vec<(Row, String)>,
    /// The ids of rows with values that this program does not write; [`rows_set_aside`] is for them.
    pub unreadable: Vec<i64>,
}

/// Reads every row of a statement made of [`row_columns`]; what cannot be read keeps nobody from the rest.
pub(crate) fn rows_read(rows: &mut Rows<'_>) -> Outcome<Found> {
    let mut found = Found::default();
    while let Some(row) = rows.next()? {
        match row_read(row).and_then(|read| Ok((read, address_read(row)?))) {
            Ok(read) => found.rows.push(read),
            Err(trouble) if trouble.is_damage() => {
                let id = row.get(0)?;
                tracing::error!(delivery = id, ?trouble, "a delivery is damaged and is set aside");
                found.unreadable.push(id);
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(found)
}

/// Ends deliveries that cannot be read, so that they neither wait nor are held any more, with a track that can be read again.
pub(crate) fn rows_set_aside(db: &Connection, ids: &[i64], state: State, reason: Reason) -> Outcome<()> {
    let mut write = db.prepare_cached(
        "UPDATE delivery SET state = ?2, reason = ?3, lease = 0, tries = 0, crashes = 0, first_try = NULL WHERE id = ?1",
    )?;
    for id in ids {
        write.execute(params![id, state.number(), reason.as_str()])?;
    }
    Ok(())
}
