//! A request on its way into the tables, with all that can be prepared before a worker takes it.

use std::ops::Range;

use hongyan_core::{
    delivery::{Event, State, step},
    id::Id,
    limits,
    message::Message,
    setup::ChannelNo,
    store::{Batch, Cargo, Lease, LeasedRow, Lot, NewDelivery, StoreResult, Submitted},
    time::Timestamp,
};
use tokio::sync::oneshot;

use crate::{
    audience::Sequel,
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
    pub(super) label: String,
    pub(super) rest: Option<Sequel>,
    pub(super) now: Timestamp,
    /// How its lots will stand, in their order.
    lots: Vec<Standing>,
    reply: oneshot::Sender<StoreResult<Submitted>>,
    room: Option<Room>,
}

/// How a lot will stand.
struct Standing {
    page: Page,
    /// Where its deliveries will stand.
    places: Vec<Place>,
    /// Where its parcels begin among its deliveries, in order.
    parcels: Vec<usize>,
    /// How many of them, from the first on, are born leased.
    leased: usize,
}

impl Job for Request {
    fn bytes(&self) -> usize {
        self.size()
    }
}

impl Standing {
    fn new(message: &Message, lot: &Lot) -> Self {
        let page = Page { message: message.id, app: message.app, priority: message.priority, channel: lot.way.channel };
        let places = placed(&lot.deliveries, lot.way.parcel_max, message.id);
        let begins = |n: &usize| places[*n].track.state == State::Ready && places[*n].parcel == lot.deliveries[*n].id;
        let parcels = (0..places.len()).filter(begins).collect();
        Self { page, places, parcels, leased: 0 }
    }

    /// The deliveries among which those of a parcel are, beside some that nobody will try.
    fn rows(&self, parcel: usize) -> Range<usize> {
        let begin = |parcel: usize| self.parcels.get(parcel).copied().unwrap_or(self.places.len());
        begin(parcel)..begin(parcel + 1)
    }

    /// Its parcels that are not born leased, in order, each by the first of its rows.
    fn ready<'a>(&'a self, lot: &'a Lot) -> impl Iterator<Item = Row> {
        let first = |n: &usize| self.page.row(lot.deliveries[*n].id, self.places[*n]);
        self.parcels.iter().skip(self.leased).map(first)
    }
}

impl Request {
    /// A request; its answer arrives at the receiver.
    pub(super) fn new(batch: Batch, now: Timestamp) -> (Self, oneshot::Receiver<StoreResult<Submitted>>) {
        let (reply, answer) = oneshot::channel();
        let request = Self {
            content: batch.content.to_bytes(),
            label: batch.message.label.to_text(),
            rest: batch.rest.as_ref().map(|rest| Sequel::new(&batch.message, rest)),
            now,
            lots: batch.page.iter().map(|lot| Standing::new(&batch.message, lot)).collect(),
            batch,
            reply,
            room: None,
        };
        (request, answer)
    }

    /// How many bytes it brings, roughly.
    pub(super) fn size(&self) -> usize {
        let attachments: usize = self.batch.attachments.iter().map(Vec::len).sum();
        let rows = (self.batch.deliveries().count() + 1) * ROW_BYTES;
        self.content.len() + self.label.len() + attachments + rows + self.rest.as_ref().map_or(0, Sequel::bytes)
    }

    /// It has its room in the queue.
    pub(super) fn with(self, room: Room) -> Self {
        Self { room: Some(room), ..self }
    }

    /// The last of its deliveries; its own id where it has none.
    pub(super) fn last(&self) -> Id {
        self.batch.deliveries().map(|delivery| delivery.id).max().unwrap_or(self.batch.message.id)
    }

    /// How many lots it has.
    pub(super) const fn lots(&self) -> usize {
        self.lots.len()
    }

    /// The channel of a lot.
    pub(super) fn channel(&self, lot: usize) -> ChannelNo {
        self.lots[lot].page.channel
    }

    /// When the first parcel of a lot that is not born leased becomes due; none where all are.
    pub(super) fn next_due(&self, lot: usize) -> Option<Timestamp> {
        self.lots[lot].ready(&self.batch.page[lot]).next().map(|parcel| parcel.track.due)
    }

    /// Its parcels that are not born leased, in order, each by the first of its rows; none where nobody gets anything.
    pub(super) fn ready(&self) -> impl Iterator<Item = Row> {
        self.standing().flat_map(|(lot, standing)| standing.ready(lot))
    }

    /// Its deliveries, with what they have in common and where they will stand.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Page, &NewDelivery, &Place)> {
        self.standing().flat_map(|(lot, standing)| {
            let rows = lot.deliveries.iter().zip(&standing.places);
            rows.map(|(delivery, place)| (&standing.page, delivery, place))
        })
    }

    fn standing(&self) -> impl Iterator<Item = (&Lot, &Standing)> {
        self.batch.page.iter().zip(&self.lots)
    }

    /// The first parcel of a lot that is not born leased yet is.
    pub(super) fn lease(&mut self, lot: usize) {
        let (policy, now) = (any_policy(), self.now);
        let standing = &mut self.lots[lot];
        let rows = standing.rows(standing.leased);
        for Place { track, .. } in standing.places[rows].iter_mut().filter(|place| place.track.state == State::Ready) {
            *track = step(track, &Event::Claim, &policy, now).unwrap_or(*track);
        }
        standing.leased += 1;
    }

    /// How many of its parcels are not born leased.
    pub(super) fn waiting(&self) -> usize {
        self.lots.iter().map(|lot| lot.parcels.len() - lot.leased).sum()
    }

    /// How many of its parcels are born leased, by channel; a channel may come more than once.
    pub(super) fn leased(&self) -> impl Iterator<Item = (ChannelNo, usize)> {
        self.lots.iter().map(|lot| (lot.page.channel, lot.leased)).filter(|(_, leased)| *leased > 0)
    }

    /// What is handed over of what is born leased. Large content and attachments do not travel along: a queue of leased parcels
    /// would hold them all in memory.
    pub(super) fn leases(&self) -> impl Iterator<Item = Lease> {
        let Batch { message, content, attachments, .. } = &self.batch;
        let travels = attachments.is_empty() && self.content.len() <= limits::CONTENT_INLINE_BYTES_MAX;
        let cargo = travels.then(|| Cargo { content: content.clone(), attachments: attachments.clone() });
        let parcels = self
            .standing()
            .flat_map(|(lot, standing)| (0..standing.leased).map(move |parcel| (lot, standing, standing.rows(parcel))));
        parcels.map(move |(lot, standing, rows)| {
            let of_parcel = lot.deliveries[rows.clone()].iter().zip(&standing.places[rows.clone()]);
            Lease {
                parcel: lot.deliveries[rows.start].id,
                message: message.id,
                channel: lot.way.channel,
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
