//! A request on its way into the tables, with all that can be prepared before a worker takes it.

use std::ops::Range;

use hongyan_core::{
    delivery::{Event, State, step},
    limits,
    store::{Addressee, Batch, Cargo, Lease, LeasedRow, StoreResult, Submitted},
    time::Timestamp,
};
use tokio::sync::oneshot;

use crate::{
    audience::rest_encode,
    columns::{Page, Place, placed},
    finish::any_policy,
    queue::{Job, Room},
    row::Row,
};

/// What a row of a page takes beside its content, roughly.
const ROW_BYTES: usize = 256;

/// A request.
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) content: Vec<u8>,
    pub(super) rest: Option<Vec<u8>>,
    pub(super) now: Timestamp,
    /// What its deliveries have in common.
    pub(super) page: Page,
    /// Where its deliveries will stand.
    pub(super) places: Vec<Place>,
    /// Where its parcels begin among its deliveries, in order.
    parcels: Vec<usize>,
    /// How many of them, from the first on, are born leased.
    leased: usize,
    reply: oneshot::Sender<StoreResult<Submitted>>,
    room: Option<Room>,
}

impl Job for Request {
    fn bytes(&self) -> usize {
        self.size()
    }
}

impl Request {
    /// A request; its answer arrives at the receiver.
    pub(super) fn new(batch: Batch, now: Timestamp) -> (Self, oneshot::Receiver<StoreResult<Submitted>>) {
        let (reply, answer) = oneshot::channel();
        let page = Page {
            message: batch.message.id,
            app: batch.message.app,
            priority: batch.message.priority,
            channel: batch.channel,
        };
        let places = placed(&batch.page, batch.parcel_max, batch.message.id);
        let begins = |n: &usize| places[*n].track.state == State::Ready && places[*n].parcel == batch.page[*n].id;
        let parcels = (0..places.len()).filter(begins).collect();
        let request = Self {
            content: batch.content.to_bytes(),
            rest: (!batch.rest.is_empty()).then(|| rest_encode(&batch.rest as &[Addressee])),
            batch,
            now,
            page,
            places,
            parcels,
            leased: 0,
            reply,
            room: None,
        };
        (request, answer)
    }

    /// How many bytes it brings, roughly.
    pub(super) fn size(&self) -> usize {
        let attachments: usize = self.batch.attachments.iter().map(Vec::len).sum();
        let rows = (self.batch.page.len() + 1) * ROW_BYTES;
        self.content.len() + attachments + rows + self.rest.as_ref().map_or(0, Vec::len)
    }

    /// It has its room in the queue.
    pub(super) fn with(self, room: Room) -> Self {
        Self { room: Some(room), ..self }
    }

    /// Its parcels that are not born leased, in order, each by the first of its rows; none where nobody gets anything.
    pub(super) fn ready(&self) -> impl Iterator<Item = Row> {
        let first = |n: &usize| self.page.row(self.batch.page[*n].id, self.places[*n]);
        self.parcels.iter().skip(self.leased).map(first)
    }

    /// The first of its parcels that is not born leased yet is.
    pub(super) fn lease(&mut self) {
        let policy = any_policy();
        let rows = self.rows(self.leased);
        for Place { track, .. } in self.places[rows].iter_mut().filter(|place| place.track.state == State::Ready) {
            *track = step(track, &Event::Claim, &policy, self.now).unwrap_or(*track);
        }
        self.leased += 1;
    }

    /// How many of its parcels are not born leased.
    pub(super) const fn waiting(&self) -> usize {
        self.parcels.len() - self.leased
    }

    /// How many of its parcels are born leased.
    pub(super) const fn leased(&self) -> usize {
        self.leased
    }

    /// The deliveries among which those of a parcel are, beside some that nobody will try.
    fn rows(&self, parcel: usize) -> Range<usize> {
        let begin = |parcel: usize| self.parcels.get(parcel).copied().unwrap_or(self.places.len());
        begin(parcel)..begin(parcel + 1)
    }

    /// What is handed over of what is born leased. Large content and attachments do not travel along: a queue of leased parcels
    /// would hold them all in memory.
    pub(super) fn leases(&self) -> impl Iterator<Item = Lease> {
        let Batch { message, channel, content, attachments, page, .. } = &self.batch;
        let travels = attachments.is_empty() && self.content.len() <= limits::CONTENT_INLINE_BYTES_MAX;
        let cargo = travels.then(|| Cargo { content: content.clone(), attachments: attachments.clone() });
        (0..self.leased).map(move |parcel| {
            let rows = self.rows(parcel);
            let of_parcel = page[rows.clone()].iter().zip(&self.places[rows.clone()]);
            Lease {
                parcel: page[rows.start].id,
                message: message.id,
                channel: *channel,
                app: message.app,
                priority: message.priority,
                accepted: message.accepted,
                cargo: cargo.clone(),
                rows: of_parcel
                    .filter(|(_, place)| place.track.state == State::Leased)
                    .map(|(delivery, place)| LeasedRow {
                        id: delivery.id,
                        address: delivery.address.clone(),
                        track: place.track,
                    })
                    .collect(),
            }
        })
    }

    /// Answers whoever still waits.
    pub(super) fn answer(self, answer: StoreResult<Submitted>) {
        // Its room is free when the answer is given.
        drop(self.room);
        let _ = self.reply.send(answer);
    }
}
