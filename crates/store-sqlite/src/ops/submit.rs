//! Storing a request: message, content, first page, idempotency key, all in one commit. What is due now is born leased where
//! the channel has a free slot and nothing waits before it (design 3).

use hongyan_core::{
    delivery::{Event, Reason, State, step},
    id::Id,
    limits,
    message::{Idempotency, Message, Priority},
    quota::Admitted,
    setup::{AppNo, ChannelNo},
    store::{Batch, Cargo, Lease, LeasedRow, Lot, NewDelivery, Submitted},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    audience::{StoredRest, expansion_insert, state_before},
    history,
    operation::Operation,
    ops::claim::suspects_reign,
    row::{Row, id_read},
    transaction::Transaction,
    trouble::Outcome,
    windows,
};

/// The operation; what can be prepared outside the writer is.
pub(crate) struct Submit {
    batch: Batch,
    content: Vec<u8>,
    rest: Option<StoredRest>,
    now: Timestamp,
}

impl Submit {
    pub(crate) fn new(batch: Batch, now: Timestamp) -> Self {
        let content = batch.content.to_bytes();
        let rest = batch.rest.as_ref().map(StoredRest::of);
        Self { batch, content, rest, now }
    }
}

/// What a row of a page takes beside its content, roughly.
const ROW_BYTES: usize = 256;

impl Operation for Submit {
    type Answer = Submitted;

    fn bytes(&self) -> usize {
        let attachments: usize = self.batch.attachments.iter().map(Vec::len).sum();
        let rows = self.batch.deliveries().count() * ROW_BYTES;
        self.content.len() + attachments + rows + self.rest.as_ref().map_or(0, StoredRest::bytes) + ROW_BYTES
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Submitted> {
        tx.memory.see(self.now);
        let batch = &self.batch;
        if let Some(idempotency) = &batch.idempotency
            && let Some(seen) = key_known(tx.db, batch.message.app, idempotency, self.now)?
        {
            return Ok(seen);
        }
        if let Some(admission) = &batch.admission
            && let Admitted::No(refusal) = windows::admit(tx.db, admission, self.now)?
        {
            return Ok(Submitted::OverLimit(refusal));
        }
        if let Some(idempotency) = &batch.idempotency {
            key_keep(tx.db, &batch.message, idempotency, self.now)?;
        }
        history::count(tx.db, batch.message.app, batch.deliveries().count())?;
        message_insert(tx.db, batch)?;
        tx.db
            .prepare_cached("INSERT INTO content VALUES (?1, ?2)")?
            .execute(params![batch.message.id.get(), self.content])?;
        for (no, body) in (0i64..).zip(batch.attachments.iter()) {
            tx.db.prepare_cached("INSERT INTO attachment VALUES (?1, ?2, ?3)")?.execute(params![
                batch.message.id.get(),
                no,
                body
            ])?;
        }
        if batch.content.has_secret() {
            tx.db.prepare_cached("INSERT INTO erasure VALUES (?1)")?.execute([batch.message.id.get()])?;
        }
        if let Some(rest) = &self.rest {
            expansion_insert(tx.db, batch.message.id, rest)?;
        }
        for lot in &batch.page {
            self.lot_insert(tx, lot)?;
        }
        Ok(Submitted::Stored)
    }
}

impl Submit {
    /// Stores the deliveries of one channel.
    fn lot_insert(&self, tx: &mut Transaction<'_>, lot: &Lot) -> Outcome<()> {
        let Message { id: message, app, priority, .. } = self.batch.message;
        let page = Page { message, app, priority, channel: lot.way.channel };
        for run in runs(&lot.deliveries, lot.way.parcel_max) {
            let Some(parcel) = Parcel::of(run) else {
                page.insert(tx, run, Parcel { id: message, due: self.now }, None)?;
                continue;
            };
            // A parcel that found no slot waits, and whatever of its channel follows it waits behind it.
            let born_leased = parcel.due <= self.now && slot_free(tx, page.channel, self.now)?;
            let rows = page.insert(tx, run, parcel, born_leased.then_some(self.now))?;
            if born_leased {
                tx.hand_over(self.lease(page.channel, parcel.id, rows));
            }
        }
        Ok(())
    }

    /// What is handed over. Large content and attachments do not travel along, as they do not with a claim: a queue of leased
    /// parcels would hold them all in memory.
    fn lease(&self, channel: ChannelNo, parcel: Id, rows: Vec<LeasedRow>) -> Lease {
        let Batch { message, content, attachments, .. } = &self.batch;
        let travels = attachments.is_empty() && self.content.len() <= limits::CONTENT_INLINE_BYTES_MAX;
        Lease {
            parcel,
            message: message.id,
            channel,
            app: message.app,
            priority: message.priority,
            accepted: message.accepted,
            cargo: travels.then(|| Cargo { content: content.clone(), attachments: attachments.clone() }),
            rows,
        }
    }
}

/// Whether a parcel of `channel` that is due may be born leased: nothing that is due waits before it, nothing is in flight
/// or about to be that must be alone, and the desk has a slot, which is then taken.
fn slot_free(tx: &mut Transaction<'_>, channel: ChannelNo, now: Timestamp) -> Outcome<bool> {
    let memory = &mut *tx.memory;
    if suspects_reign(memory, now) || memory.suspects.any(channel) || memory.ready.is_due(channel, now, tx.db)? {
        return Ok(false);
    }
    Ok(tx.reserve(channel))
}

/// What the deliveries of a page have in common.
pub(crate) struct Page {
    pub message: Id,
    pub app: AppNo,
    pub priority: Priority,
    pub channel: ChannelNo,
}

/// A parcel of a page.
#[derive(Clone, Copy)]
pub(crate) struct Parcel {
    pub id: Id,
    pub due: Timestamp,
}

impl Parcel {
    /// The parcel that the ready ones of a run make: the first one's id, and one due time for all, the latest.
    pub(crate) fn of(run: &[NewDelivery]) -> Option<Self> {
        let ready = || run.iter().filter(|delivery| is_ready(delivery));
        let id = ready().next()?.id;
        Some(Self { id, due: ready().map(|delivery| delivery.track.due).max()? })
    }
}

/// Divides a page into runs with `parcel_max` ready deliveries each, the last perhaps with fewer: a parcel, and those among it and
/// behind it that get nothing.
pub(crate) fn runs(page: &[NewDelivery], parcel_max: usize) -> impl Iterator<Item = &[NewDelivery]> {
    let mut ready = 0;
    page.chunk_by(move |this, next| {
        ready += usize::from(is_ready(this));
        let ends = is_ready(next) && ready >= parcel_max.max(1);
        if ends {
            ready = 0;
        }
        !ends
    })
}

fn is_ready(delivery: &NewDelivery) -> bool {
    delivery.track.state == State::Ready
}

impl Page {
    /// Inserts a run of a page; those that are ready, leased at once where `lease_at` says so. Answers the leased rows.
    pub(crate) fn insert(
        &self,
        tx: &mut Transaction<'_>,
        deliveries: &[NewDelivery],
        parcel: Parcel,
        lease_at: Option<Timestamp>,
    ) -> Outcome<Vec<LeasedRow>> {
        let mut leased = Vec::new();
        for delivery in deliveries {
            let mut track = delivery.track;
            if is_ready(delivery) {
                track.due = parcel.due;
                if let Some(now) = lease_at
                    && let Some(claimed) = step(&track, &Event::Claim, &tx.memory.any_policy, now)
                {
                    track = claimed;
                    leased.push(LeasedRow { id: delivery.id, address: delivery.address.clone(), track });
                }
            }
            let Self { message, app, priority, channel } = *self;
            let row = Row { id: delivery.id, message, parcel: parcel.id, channel, app, priority, track };
            delivery_insert(tx.db, &row, delivery)?;
            tx.memory.arrived(row);
            if track.state == State::Ready {
                tx.wake(channel);
            }
        }
        Ok(leased)
    }
}

fn delivery_insert(db: &Connection, row: &Row, delivery: &NewDelivery) -> Outcome<()> {
    let track = &row.track;
    db.prepare_cached(
        "INSERT INTO delivery VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
    .execute(params![
        row.id.get(),
        row.message.get(),
        row.parcel.get(),
        row.channel.0,
        row.priority.number(),
        row.app.0,
        track.state.number(),
        track.lease,
        track.tries,
        track.crashes,
        track.due.ms(),
        track.expires.ms(),
        track.first_try.map(Timestamp::ms),
        track.maybe_duplicate,
        track.reason.map(Reason::as_str),
        delivery.recipient,
        (delivery.address != delivery.recipient).then_some(&delivery.address),
    ])?;
    Ok(())
}

fn message_insert(db: &Connection, batch: &Batch) -> Outcome<()> {
    let Message { id, app, dialect, operation, user, client, priority, state, label, accepted, expires } =
        &batch.message;
    let state = batch.rest.as_ref().map_or(*state, |rest| state_before(*accepted, rest.due));
    let last = batch.deliveries().map(|delivery| delivery.id).max().unwrap_or(*id);
    db.prepare_cached("INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)")?
        .execute(params![
            id.get(),
            app.0,
            batch.channel.0,
            dialect.as_str(),
            operation,
            user,
            priority.number(),
            state.as_str(),
            accepted.ms(),
            expires.ms(),
            last.get(),
            batch.attachments.len() as i64,
            client,
            label.to_text(),
            label.business,
        ])?;
    Ok(())
}

/// The answer to a request whose idempotency key is known and not yet forgotten.
fn key_known(db: &Connection, app: AppNo, idempotency: &Idempotency, now: Timestamp) -> Outcome<Option<Submitted>> {
    let known = db
        .prepare_cached("SELECT message, fingerprint FROM idempotency WHERE app = ?1 AND key = ?2 AND expires > ?3")?
        .query_row(params![app.0, idempotency.key, now.ms()], |row| {
            Ok((id_read(row, 0), row.get_ref(1)?.as_blob()? == idempotency.fingerprint))
        })
        .optional()?;
    match known {
        Some((seen, true)) => Ok(Some(Submitted::Seen(seen?))),
        Some((_, false)) => Ok(Some(Submitted::KeyReused)),
        None => Ok(None),
    }
}

/// Keeps an idempotency key, in place of one that is forgotten.
fn key_keep(db: &Connection, message: &Message, idempotency: &Idempotency, now: Timestamp) -> Outcome<()> {
    db.prepare_cached("INSERT OR REPLACE INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, NULL)")?.execute(params![
        message.app.0,
        idempotency.key,
        idempotency.fingerprint,
        message.id.get(),
        (now + limits::IDEMPOTENCY_KEPT).ms(),
    ])?;
    Ok(())
}
