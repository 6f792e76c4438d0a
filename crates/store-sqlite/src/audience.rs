//! Who follows in later pages of a message: how they are stored while the message is being expanded, how far it has come, and how
//! that ends.

use hongyan_core::{
    id::Id,
    message::MessageState,
    setup::ChannelNo,
    store::{Expansion, Page, Place, Rest, Scheduled, ScheduledFilter, Who},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use crate::{
    reads::{MESSAGE_COLUMNS, message_columns, message_row, sql_limit},
    row::id_read,
    trouble::{Outcome, Trouble},
};

/// A rest in stored form.
pub(crate) struct StoredRest {
    due: Timestamp,
    /// The numbers of its channels, with commas between them.
    channels: String,
    who: Vec<u8>,
}

impl StoredRest {
    /// The stored form of who follows.
    pub(crate) fn of(rest: &Rest) -> Self {
        Self { due: rest.due, channels: channels_text(&rest.who), who: rest.who.to_bytes() }
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        self.who.len() + self.channels.len()
    }
}

/// The numbers of the channels of an audience, each once, in the order of the audience.
fn channels_text(who: &Who) -> String {
    let all: Vec<ChannelNo> = match who {
        Who::Listed(lists) => lists.iter().map(|list| list.way.channel).collect(),
        Who::People { ways, .. } => ways.iter().map(|way| way.channel).collect(),
    };
    let mut channels = Vec::with_capacity(all.len());
    for channel in all {
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    }
    channels.iter().map(|channel| channel.0.to_string()).collect::<Vec<_>>().join(",")
}

fn channels_read(text: &str) -> Outcome<Vec<ChannelNo>> {
    let number = |part: &str| {
        part.parse().map(ChannelNo).map_err(|_| Trouble::Damaged(format!("the channels {text:?} of an audience")))
    };
    text.split(',').filter(|part| !part.is_empty()).map(number).collect()
}

/// The state of a message whose audience is still to be expanded from the beginning on.
pub(crate) fn state_before(accepted: Timestamp, due: Timestamp) -> MessageState {
    if due > accepted { MessageState::Scheduled } else { MessageState::Expanding }
}

/// Begins the expansion of a message.
pub(crate) fn expansion_insert(db: &Connection, message: Id, rest: &StoredRest) -> Outcome<()> {
    db.prepare_cached("INSERT INTO expansion (message, step, mark, due, channels) VALUES (?1, 0, '', ?2, ?3)")?
        .execute(params![message.get(), rest.due.ms(), rest.channels])?;
    db.prepare_cached("INSERT INTO audience VALUES (?1, ?2)")?.execute(params![message.get(), rest.who])?;
    Ok(())
}

/// Moves an expansion as a page says, or ends it; `false` where it is not where the page begins.
pub(crate) fn expansion_move(db: &Connection, page: &Page) -> Outcome<bool> {
    let Page { message, from, to, .. } = page;
    let is_here = db
        .prepare_cached("SELECT 1 FROM expansion WHERE message = ?1 AND step = ?2 AND mark = ?3")?
        .exists(params![message.get(), from.step, from.mark])?;
    if !is_here {
        return Ok(false);
    }
    let Some(to) = to else { return expansion_end(db, *message) };
    db.prepare_cached("UPDATE expansion SET step = ?2, mark = ?3 WHERE message = ?1")?.execute(params![
        message.get(),
        to.step,
        to.mark
    ])?;
    state_write(db, *message, MessageState::Expanding)?;
    Ok(true)
}

/// Ends the expansion of a message: nothing more follows. Answers whether there was one.
pub(crate) fn expansion_end(db: &Connection, message: Id) -> Outcome<bool> {
    let was = db.prepare_cached("DELETE FROM expansion WHERE message = ?1")?.execute([message.get()])?;
    if was > 0 {
        db.prepare_cached("DELETE FROM audience WHERE message = ?1")?.execute([message.get()])?;
        state_write(db, message, MessageState::Expanded)?;
    }
    Ok(was > 0)
}

/// Makes an expansion that waits for its time due when its message was accepted; answers whether there was one.
pub(crate) fn expansion_hasten(db: &Connection, message: Id, now: Timestamp) -> Outcome<bool> {
    let hastened = db
        .prepare_cached(
            "UPDATE expansion SET due = min(?2, (SELECT accepted FROM message WHERE id = ?1)) \
             WHERE message = ?1 AND due > ?2",
        )?
        .execute(params![message.get(), now.ms()])?;
    if hastened > 0 {
        state_write(db, message, MessageState::Expanding)?;
    }
    Ok(hastened > 0)
}

fn state_write(db: &Connection, message: Id, state: MessageState) -> Outcome<()> {
    db.prepare_cached("UPDATE message SET state = ?2 WHERE id = ?1 AND state <> ?2")?
        .execute(params![message.get(), state.as_str()])?;
    Ok(())
}

/// The messages that are being expanded or are to be.
pub(crate) fn expanding(db: &Connection) -> Outcome<Vec<Id>> {
    let mut find = db.prepare_cached("SELECT message FROM expansion JOIN message ON id = message ORDER BY message")?;
    let mut rows = find.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(id_read(row, 0)?);
    }
    Ok(found)
}

/// How far the expansion of a message has come, and who it is for.
pub(crate) fn remaining(db: &Connection, message: Id) -> Outcome<(Place, Who)> {
    let found = db
        .prepare_cached(
            "SELECT e.step, e.mark, a.rest, m.channel FROM expansion e JOIN audience a ON a.message = e.message \
             JOIN message m ON m.id = e.message WHERE e.message = ?1",
        )?
        .query_row([message.get()], |row| Ok(place_row(row, 0).and_then(|place| Ok((place, who_row(row, 2)?)))))
        .optional()?;
    found.unwrap_or_else(|| Err(Trouble::Damaged(format!("message {message} has no audience"))))
}

/// Reads a place: its step, and behind it its mark.
pub(crate) fn place_row(row: &SqlRow<'_>, at: usize) -> Outcome<Place> {
    Ok(Place { step: row.get(at)?, mark: row.get(at + 1)? })
}

/// Reads an audience, and behind it the channel of its message.
pub(crate) fn who_row(row: &SqlRow<'_>, at: usize) -> Outcome<Who> {
    let bytes = row.get_ref(at)?.as_blob().map_err(rusqlite::Error::from)?;
    Who::from_bytes(bytes, ChannelNo(row.get(at + 1)?))
        .map_err(|error| Trouble::Damaged(format!("an audience: {error}")))
}

/// What [`expansions`] asks.
pub(crate) const EXPANSIONS: &str = concat!(
    "SELECT ",
    message_columns!(),
    ", e.step, e.mark, e.due, a.rest, m.channel FROM expansion e INDEXED BY expansion_due \
     JOIN message m ON m.id = e.message JOIN audience a ON a.message = e.message \
     WHERE e.due <= ?3 AND (e.due, e.message) > (?1, ?2) ORDER BY e.due, e.message LIMIT ?4"
);

/// Messages that are to be expanded now, in the order of their times and ids.
pub(crate) fn expansions(
    db: &Connection,
    after: Option<(Timestamp, Id)>,
    limit: usize,
    now: Timestamp,
) -> Outcome<Vec<Expansion>> {
    let (due, id) = after.map_or((i64::MIN, 0), |(due, id)| (due.ms(), id.get()));
    let mut find = db.prepare_cached(EXPANSIONS)?;
    let mut rows = find.query(params![due, id, now.ms(), sql_limit(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match expansion_row(row) {
            Ok(expansion) => found.push(expansion),
            // A value that is none of ours holds up no other.
            Err(Trouble::Damaged(what)) => tracing::error!(what, "a message that cannot be read is not expanded"),
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(found)
}

fn expansion_row(row: &SqlRow<'_>) -> Outcome<Expansion> {
    let (message, channel) = message_row(row)?;
    let place = place_row(row, MESSAGE_COLUMNS)?;
    let due = Timestamp::from_ms(row.get(MESSAGE_COLUMNS + 2)?);
    Ok(Expansion { message, channel, place, rest: Rest { due, who: who_row(row, MESSAGE_COLUMNS + 3)? } })
}

/// What [`scheduled`] asks.
pub(crate) const SCHEDULED: &str = concat!(
    "SELECT ",
    message_columns!(),
    ", e.due, e.channels FROM expansion e INDEXED BY expansion_due JOIN message m ON m.id = e.message \
     WHERE (e.due, e.message) > (?1, ?2) AND m.app = ifnull(?3, m.app) ORDER BY e.due, e.message"
);

/// Messages that wait for their time, those that `filter` selects, in the order of their times and ids.
pub(crate) fn scheduled(
    db: &Connection,
    filter: &ScheduledFilter,
    after: Option<(Timestamp, Id)>,
    limit: usize,
    now: Timestamp,
) -> Outcome<Vec<Scheduled>> {
    // What is due by now waits no more, whatever its id.
    let waits = (now.ms(), i64::MAX);
    let (due, id) = after.map_or(waits, |(due, id)| waits.max((due.ms(), id.get())));
    let mut find = db.prepare_cached(SCHEDULED)?;
    let mut rows = find.query(params![due, id, filter.app.map(|app| app.0)])?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let (message, _) = message_row(row)?;
        if filter.template.as_ref().is_some_and(|template| *template != message.label.template) {
            continue;
        }
        let due = Timestamp::from_ms(row.get(MESSAGE_COLUMNS)?);
        let channels = channels_read(row.get_ref(MESSAGE_COLUMNS + 1)?.as_str().map_err(rusqlite::Error::from)?)?;
        if filter.channel.is_none_or(|channel| channels.contains(&channel)) {
            found.push(Scheduled { message, channels, due });
        }
    }
    Ok(found)
}
