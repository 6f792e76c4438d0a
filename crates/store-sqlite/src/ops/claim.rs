//! Leasing parcels to this node: whose turn it is comes from memory, what is in the parcel from the tables, and the lease is
//! written in the same commit. Deliveries with which the node died again and again are leased alone (design 4).

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    content::Content,
    delivery::{Event, Reason, State, Track, step},
    id::Id,
    limits,
    setup::ChannelNo,
    store::{Cargo, Lease, LeasedRow},
    time::Timestamp,
};
use rusqlite::{OptionalExtension, params};

use crate::{
    memory::Memory,
    operation::Operation,
    ready::Turn,
    row::{Found, Row, row_columns, rows_read, rows_set_aside, track_write},
    transaction::Transaction,
    trouble::{Outcome, Trouble},
    writer::BackDoor,
};

/// The operation.
pub(crate) struct Claim {
    pub channel: ChannelNo,
    pub limit: usize,
    pub now: Timestamp,
    pub back_door: BackDoor,
}

/// What was claimed. If it is dropped on its way, because whoever asked is gone, it is given back.
pub(crate) struct Claimed {
    parcels: Vec<ClaimedParcel>,
    back_door: BackDoor,
    committed: bool,
}

/// A leased parcel with its content still in stored form: decoding it is left to whoever asked.
#[derive(Debug)]
struct ClaimedParcel {
    lease: Lease,
    content: Option<Vec<u8>>,
}

/// How long a channel that asked for its suspect keeps others from claiming, unless it asks again: long enough for a
/// dispatcher that polls, short enough for a channel that was paused meanwhile to stall nobody.
const WISH_LAPSES: Duration = Duration::from_secs(2);

/// Whether something is in flight that must be alone, or a channel waits for that.
pub(crate) fn suspects_reign(memory: &Memory, now: Timestamp) -> bool {
    memory.held.has_suspect()
        || memory
            .suspects
            .wish
            .is_some_and(|(channel, asked)| memory.suspects.any(channel) && now.since(asked) < WISH_LAPSES)
}

impl Operation for Claim {
    type Answer = Claimed;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Claimed> {
        tx.memory.see(self.now);
        Ok(Claimed { parcels: self.parcels(tx)?, back_door: self.back_door.clone(), committed: false })
    }

    fn committed(claimed: &mut Claimed) {
        claimed.committed = true;
    }
}

impl Claim {
    fn parcels(&self, tx: &mut Transaction<'_>) -> Outcome<Vec<ClaimedParcel>> {
        if self.limit == 0 || tx.memory.held.has_suspect() {
            return Ok(Vec::new());
        }
        if let Some(suspect) = self.suspect(tx)? {
            tx.memory.suspects.wish = Some((self.channel, self.now));
            if !tx.memory.held.is_empty() {
                return Ok(Vec::new());
            }
            tx.memory.suspects.wish = None;
            return Ok(self.lease_suspect(tx, suspect)?.into_iter().collect());
        }
        if suspects_reign(tx.memory, self.now) {
            return Ok(Vec::new());
        }
        let mut claimed = Vec::new();
        while claimed.len() < self.limit {
            let Some(turn) = tx.memory.ready.take(self.channel, self.now, tx.db)? else { break };
            claimed.extend(self.lease(tx, &turn)?);
        }
        Ok(claimed)
    }

    fn lease(&self, tx: &mut Transaction<'_>, turn: &Turn) -> Outcome<Option<ClaimedParcel>> {
        let Found { rows, unreadable } = parcel_rows(tx, turn)?;
        let found = rows.len() + unreadable.len();
        debug_assert_eq!(found, turn.entry.rows as usize, "memory and index agree on {turn:?}");
        // The turn took these out of the ready queue too.
        rows_set_aside(tx.db, &unreadable, State::Failed, Reason::ContentRefused)?;
        self.leased(tx, rows, |tx, row, track| {
            // The turn took the rows out of the ready queue already.
            track_write(tx.db, row.id, &track)?;
            tx.memory.held.insert(Row { track, ..*row });
            Ok(())
        })
    }

    fn lease_suspect(&self, tx: &mut Transaction<'_>, (due, parcel): (i64, i64)) -> Outcome<Option<ClaimedParcel>> {
        let Found { rows, unreadable } = rows_read(
            &mut tx
                .db
                .prepare_cached(concat!(
                    "SELECT ",
                    row_columns!(),
                    " FROM delivery INDEXED BY suspect WHERE state = 0 AND crashes >= 3 AND channel = ?1 AND due = ?2 \
                     AND parcel = ?3 ORDER BY id"
                ))?
                .query(params![self.channel.0, due, parcel])?,
        )?;
        rows_set_aside(tx.db, &unreadable, State::Failed, Reason::ContentRefused)?;
        tx.memory.suspects.count(self.channel, -i64::try_from(unreadable.len()).unwrap_or(i64::MAX));
        self.leased(tx, rows, |tx, row, track| tx.change(row, track, self.now))
    }

    /// Leases the rows of one parcel.
    fn leased(
        &self,
        tx: &mut Transaction<'_>,
        rows: Vec<(Row, String)>,
        mut write: impl FnMut(&mut Transaction<'_>, &Row, Track) -> Outcome<()>,
    ) -> Outcome<Option<ClaimedParcel>> {
        let Some(&(head, _)) = rows.first() else { return Ok(None) };
        let mut leased = Vec::with_capacity(rows.len());
        for (row, address) in rows {
            let Some(track) = step(&row.track, &Event::Claim, &tx.memory.any_policy, self.now) else {
                return Err(Trouble::Damaged(format!("delivery {} waits and cannot be claimed", row.id)));
            };
            write(tx, &row, track)?;
            leased.push(LeasedRow { id: row.id, address, track });
        }
        let (accepted, content) = message_read(tx, head.message, self.now)?;
        let lease = Lease {
            parcel: head.parcel,
            message: head.message,
            channel: head.channel,
            app: head.app,
            priority: head.priority,
            accepted,
            cargo: None,
            rows: leased,
        };
        Ok(Some(ClaimedParcel { lease, content }))
    }

    /// The first suspect parcel of the channel that is due.
    fn suspect(&self, tx: &Transaction<'_>) -> Outcome<Option<(i64, i64)>> {
        if !tx.memory.suspects.any(self.channel) {
            return Ok(None);
        }
        Ok(tx
            .db
            .prepare_cached(
                "SELECT due, parcel FROM delivery INDEXED BY suspect WHERE state = 0 AND crashes >= 3 AND channel = ?1 \
                 AND due <= ?2 ORDER BY due, parcel LIMIT 1",
            )?
            .query_row(params![self.channel.0, self.now.ms()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }
}

/// The ready rows of a parcel. A parcel of one, by far the most frequent, is found without the index.
fn parcel_rows(tx: &Transaction<'_>, turn: &Turn) -> Outcome<Found> {
    let key = turn.entry.key;
    if turn.entry.rows == 1 {
        let alone = rows_read(
            &mut tx
                .db
                .prepare_cached(concat!(
                    "SELECT ",
                    row_columns!(),
                    " FROM delivery WHERE id = ?1 AND parcel = ?1 AND due = ?2 AND state = 0 AND crashes < 3"
                ))?
                .query(params![key.parcel, key.due])?,
        )?;
        if !alone.rows.is_empty() || !alone.unreadable.is_empty() {
            return Ok(alone);
        }
    }
    rows_read(
        &mut tx
            .db
            .prepare_cached(concat!(
                "SELECT ",
                row_columns!(),
                " FROM delivery INDEXED BY ready WHERE state = 0 AND crashes < 3 AND channel = ?1 AND priority = ?2 AND \
                 app = ?3 AND due = ?4 AND parcel = ?5 ORDER BY id"
            ))?
            .query(params![turn.lane.channel.0, turn.lane.priority.number(), turn.app.0, key.due, key.parcel])?,
    )
}

/// When a message was accepted, and its content where that is small, whole and has no attachments. A message that is damaged
/// is leased without content: whoever reads it by the message's id sees what is wrong and rejects it, and the others go on.
fn message_read(tx: &Transaction<'_>, message: Id, now: Timestamp) -> Outcome<(Timestamp, Option<Vec<u8>>)> {
    let inline = i64::try_from(limits::CONTENT_INLINE_BYTES_MAX).unwrap_or(i64::MAX);
    let found = tx
        .db
        .prepare_cached(
            "SELECT m.accepted, CASE WHEN m.attachments = 0 AND octet_length(c.body) <= ?2 THEN c.body END \
             FROM message m LEFT JOIN content c ON c.message = m.id WHERE m.id = ?1",
        )?
        .query_row(params![message.get(), inline], |row| Ok((Timestamp::from_ms(row.get(0)?), row.get(1)?)))
        .optional()
        .map_err(Trouble::from);
    match found {
        Ok(found) => Ok(found.unwrap_or((now, None))),
        Err(trouble) if trouble.is_damage() => Ok((now, None)),
        Err(trouble) => Err(trouble),
    }
}

impl Claimed {
    /// The leases, which are the caller's from now on.
    pub(crate) fn into_leases(mut self) -> Vec<Lease> {
        std::mem::take(&mut self.parcels).into_iter().map(ClaimedParcel::into_lease).collect()
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if self.committed && !self.parcels.is_empty() {
            let rows = self.parcels.iter().flat_map(|parcel| &parcel.lease.rows);
            self.back_door.write(GiveBack { rows: rows.map(|row| (row.id, row.track.lease)).collect() });
        }
    }
}

impl ClaimedParcel {
    /// The lease, with its content where it travels along. Content that cannot be read does not: whoever reads it by the
    /// message's id then sees what is wrong.
    fn into_lease(self) -> Lease {
        let cargo = self.content.and_then(|bytes| Content::from_bytes(&bytes).ok());
        let cargo = cargo.map(|content| Cargo { content: Arc::new(content), attachments: Arc::default() });
        Lease { cargo, ..self.lease }
    }
}

/// Gives back what was claimed for nobody.
struct GiveBack {
    rows: Vec<(Id, u32)>,
}

impl Operation for GiveBack {
    type Answer = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        for (id, lease) in &self.rows {
            let Some(row) = tx.memory.held.get(*id).copied() else { continue };
            let event = Event::GiveBack { lease: *lease };
            if let Some(track) = step(&row.track, &event, &tx.memory.any_policy, tx.memory.now) {
                tx.change(&row, track, tx.memory.now)?;
                tx.wake(row.channel);
            }
        }
        Ok(())
    }
}
