//! Rows of the hot table and of what is done, from and to SQL. Everything that reads a delivery's track goes through here.

use hongyan_core::{
    delivery::{Reason, State, Track},
    id::Id,
    message::Priority,
    setup::{AppNo, ChannelNo},
    store::Attempt,
    time::Timestamp,
};
use serde_json::json;
use tokio_postgres::Row as SqlRow;

use crate::trouble::{Outcome, Trouble};

/// A delivery without its texts: all that is needed to decide.
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

/// The bucket of captures: there are few, and the newest are found together.
pub(crate) const CAPTURES_BUCKET: i16 = 0;

/// The columns that [`row_read`] reads, in its order, of the table `d`; others may follow.
macro_rules! row_columns {
    () => {
        "d.id, d.message, d.parcel, d.channel, d.app, d.priority, d.state, d.reason, d.lease, d.tries, d.crashes, d.due, \
         d.expires, d.first_try, d.maybe_duplicate"
    };
}
pub(crate) use row_columns;

/// The number of columns of [`row_columns`].
pub(crate) const ROW_COLUMNS: usize = 15;

/// Reads the columns of [`row_columns`].
pub(crate) fn row_read(row: &SqlRow) -> Outcome<Row> {
    let state: i16 = row.try_get(6)?;
    let reason: Option<&str> = row.try_get(7)?;
    Ok(Row {
        id: id_read(row, 0)?,
        message: id_read(row, 1)?,
        parcel: id_read(row, 2)?,
        channel: ChannelNo(number(row.try_get(3)?)?),
        app: AppNo(number(row.try_get(4)?)?),
        priority: priority_read(row.try_get(5)?)?,
        track: Track {
            state: u8::try_from(state)
                .ok()
                .and_then(State::from_number)
                .ok_or_else(|| Trouble::Damaged(format!("a delivery in state {state}")))?,
            // A reason of a newer version of the program is none that this one knows; the delivery is sound.
            reason: reason.and_then(Reason::from_name),
            lease: number(row.try_get(8)?)?,
            tries: number(i32::from(row.try_get::<_, i16>(9)?))?.try_into().unwrap_or(u16::MAX),
            crashes: number(i32::from(row.try_get::<_, i16>(10)?))?.try_into().unwrap_or(u8::MAX),
            due: Timestamp::from_ms(row.try_get(11)?),
            expires: Timestamp::from_ms(row.try_get(12)?),
            first_try: row.try_get::<_, Option<i64>>(13)?.map(Timestamp::from_ms),
            maybe_duplicate: row.try_get(14)?,
        },
    })
}

/// A number of ours that PostgreSQL, which has no unsigned ones, keeps as a signed one.
pub(crate) fn number(stored: i32) -> Outcome<u32> {
    u32::try_from(stored).map_err(|_| Trouble::Damaged(format!("the number {stored}")))
}

/// The form in which PostgreSQL keeps a number of ours.
pub(crate) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// PostgreSQL's texts cannot hold NUL; nor does the name of any account, provider or recipient.
pub(crate) fn name(name: String) -> String {
    if name.contains('\0') { name.replace('\0', "\u{fffd}") } else { name }
}

/// Reads an id.
pub(crate) fn id_read(row: &SqlRow, column: usize) -> Outcome<Id> {
    let number = row.try_get(column)?;
    Id::from_i64(number).ok_or_else(|| Trouble::Damaged(format!("the id {number}")))
}

/// The priority with a stored number.
pub(crate) fn priority_read(number: i16) -> Outcome<Priority> {
    let priority = u8::try_from(number).ok().and_then(Priority::from_number);
    priority.ok_or_else(|| Trouble::Damaged(format!("the priority {number}")))
}

/// A stored priority.
pub(crate) fn priority_number(priority: Priority) -> i16 {
    i16::from(priority.number())
}

/// A stored state.
pub(crate) fn state_number(state: State) -> i16 {
    i16::from(state.number())
}

/// The bucket of an id, as it is stored.
pub(crate) fn bucket_of(id: Id) -> i16 {
    i16::from(id.bucket())
}

/// The stored form of tries: a JSON array of arrays.
pub(crate) fn attempts_encode(attempts: &[Attempt]) -> String {
    let rows: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            // PostgreSQL's texts cannot hold NUL; a provider's words may.
            let reply = attempt.reply.replace('\0', " ");
            json!([attempt.provider.0, attempt.started.ms(), attempt.took_ms, attempt.outcome, reply])
        })
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

/// Reads what [`attempts_encode`] wrote.
pub(crate) fn attempts_decode(stored: &str) -> Outcome<Vec<Attempt>> {
    let rows: Vec<(u32, i64, u32, String, String)> =
        serde_json::from_str(stored).map_err(|error| Trouble::Damaged(format!("the tries of a delivery: {error}")))?;
    let attempt = |(provider, started, took_ms, outcome, reply)| Attempt {
        provider: hongyan_core::setup::ProviderNo(provider),
        started: Timestamp::from_ms(started),
        took_ms,
        outcome,
        reply,
    };
    Ok(rows.into_iter().map(attempt).collect())
}
