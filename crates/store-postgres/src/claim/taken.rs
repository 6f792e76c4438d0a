//! Rows that a claim has leased, put together as parcels with what their messages say.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use hongyan_core::{
    content::Content,
    delivery::{Event, Reason, State},
    id::Id,
    limits,
    store::{Cargo, Change, Lease, LeasedRow},
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use crate::{
    engine::{Operation, Transaction},
    finish::any_policy,
    row::{ROW_COLUMNS, Row, bucket_of, id_read, row_read, state_number},
    session::{Query, Session},
    settle::Settler,
    sql::{hot, recover},
    trouble::Outcome,
};

/// Content up to this size travels with a claim.
pub(super) const INLINE_BYTES_MAX: i32 = limits::CONTENT_INLINE_BYTES_MAX as i32;

/// When a message was accepted, and its content where that is small, whole and has no attachments.
type Said = (Timestamp, Option<Vec<u8>>);

/// What was leased, in the order of the parcels.
#[derive(Default)]
pub(super) struct Taken {
    /// By parcel and due time: of a parcel, what was put off to another time is leased by itself.
    parcels: BTreeMap<(Id, Timestamp), Vec<(Row, String)>>,
    said: HashMap<Id, Said>,
    /// Rows that cannot be read, by bucket.
    damaged: Damaged,
}

/// Ids of rows that cannot be read, by bucket.
pub(super) type Damaged = BTreeMap<i16, Vec<i64>>;

impl Taken {
    /// Takes a row of a claim in a bucket. One that cannot be read is kept apart: the others are leased in the database.
    pub(super) fn push(&mut self, bucket: u8, row: &SqlRow) -> Outcome<()> {
        if let Err(trouble) = self.take(row) {
            let id: i64 = row.try_get(0)?;
            tracing::error!(delivery = id, ?trouble, "a delivery is damaged and is set aside");
            self.damaged.entry(i16::from(bucket)).or_default().push(id);
        }
        Ok(())
    }

    /// The rows that cannot be read.
    pub(super) fn damaged(&mut self) -> Damaged {
        std::mem::take(&mut self.damaged)
    }

    fn take(&mut self, row: &SqlRow) -> Outcome<()> {
        let read = row_read(row)?;
        self.parcels.entry((read.parcel, read.track.due)).or_default().push((read, row.try_get(ROW_COLUMNS)?));
        if let Some(accepted) = row.try_get::<_, Option<i64>>(ROW_COLUMNS + 1)? {
            self.said.insert(read.message, (Timestamp::from_ms(accepted), row.try_get(ROW_COLUMNS + 2)?));
        }
        Ok(())
    }

    /// The rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.parcels.values().flatten().map(|(row, _)| row)
    }

    /// The leases. Pages may lie in another bucket than their message, which is then read apart. A message that is gone or
    /// damaged is leased without content: whoever reads it by its id sees what is wrong and rejects it.
    pub(super) async fn into_leases(mut self, db: &Session, now: Timestamp) -> Vec<Lease> {
        // The leases stand: what cannot be read now is read by whoever sends it.
        if let Err(trouble) = self.read_apart(db).await {
            tracing::warn!(?trouble, "what is sent cannot be read along with its deliveries");
        }
        let decode = |(message, (accepted, content)): (Id, Said)| {
            let content = content.and_then(|bytes| Content::from_bytes(&bytes).ok());
            let cargo = content.map(|content| Cargo { content: Arc::new(content), attachments: Arc::default() });
            (message, (accepted, cargo))
        };
        let said: HashMap<Id, (Timestamp, Option<Cargo>)> = self.said.into_iter().map(decode).collect();
        let lease = |((parcel, _), rows): ((Id, Timestamp), Vec<(Row, String)>)| {
            let &(head, _) = rows.first()?;
            let (accepted, cargo) = said.get(&head.message).cloned().unwrap_or((now, None));
            Some(Lease {
                parcel,
                message: head.message,
                channel: head.channel,
                app: head.app,
                priority: head.priority,
                accepted,
                cargo,
                rows: rows
                    .into_iter()
                    .map(|(row, address)| LeasedRow { id: row.id, address, track: row.track })
                    .collect(),
            })
        };
        self.parcels.into_iter().filter_map(lease).collect()
    }

    async fn read_apart(&mut self, db: &Session) -> Outcome<()> {
        let mut apart: BTreeMap<i16, Vec<i64>> = BTreeMap::new();
        for rows in self.parcels.values() {
            let Some((head, _)) = rows.first() else { continue };
            if !self.said.contains_key(&head.message) {
                apart.entry(bucket_of(head.message)).or_default().push(head.message.get());
            }
        }
        if apart.is_empty() {
            return Ok(());
        }
        let mut queries = Vec::with_capacity(apart.len());
        for (bucket, ids) in &apart {
            queries.push(Query { sql: hot::MESSAGES_OF_PAGES, params: vec![bucket, ids, &INLINE_BYTES_MAX] });
        }
        for row in db.query_all(&queries).await?.iter().flatten() {
            self.said.insert(id_read(row, 0)?, (Timestamp::from_ms(row.try_get(1)?), row.try_get(2)?));
        }
        Ok(())
    }
}

/// Ends rows that cannot be read, which a claim has just taken: nobody could send them, and they would be in the way for ever.
pub(super) struct SetAside(pub Damaged);

#[async_trait]
impl Operation for SetAside {
    type Answer = ();

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        let (state, reason) = (state_number(State::Failed), Reason::ContentRefused.as_str());
        for (bucket, ids) in &self.0 {
            tx.db.execute(recover::SET_ASIDE, &[bucket, ids, &state, &reason]).await?;
        }
        Ok(())
    }
}

/// Gives back what was claimed for nobody.
pub(super) fn give_back(settler: &Settler, leases: Vec<Lease>, now: Timestamp) {
    let policy = Arc::new(any_policy());
    let rows = leases.iter().flat_map(|lease| &lease.rows);
    let back = |row: &LeasedRow| Change {
        delivery: row.id,
        event: Event::GiveBack { lease: row.track.lease },
        policy: Arc::clone(&policy),
        attempt: None,
    };
    let changes: Vec<Change> = rows.map(back).collect();
    if !changes.is_empty() {
        settler.settle_later(changes, now);
    }
}
