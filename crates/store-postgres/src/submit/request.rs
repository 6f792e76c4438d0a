//! A request on its way into the tables, with all that can be prepared before a worker takes it.

use hongyan_core::{
    delivery::{Event, State, Track, step},
    limits,
    store::{Addressee, Batch, Cargo, Lease, LeasedRow, StoreResult, Submitted},
    time::Timestamp,
};
use tokio::sync::oneshot;

use crate::{
    audience::rest_encode,
    columns::Page,
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
    pub(super) tracks: Vec<Track>,
    is_leased: bool,
    waits: bool,
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
        let ready = || batch.page.iter().filter(|delivery| delivery.track.state == State::Ready);
        // The ready deliveries of a page are one parcel: the first one's id, and one due time for all, the latest.
        let due = ready().map(|delivery| delivery.track.due).max();
        let page = Page {
            message: batch.message.id,
            app: batch.message.app,
            priority: batch.message.priority,
            channel: batch.channel,
            parcel: ready().next().map_or(batch.message.id, |delivery| delivery.id),
        };
        let aligned =
            |track: Track| Track { due: due.filter(|_| track.state == State::Ready).unwrap_or(track.due), ..track };
        let request = Self {
            content: batch.content.to_bytes(),
            rest: (!batch.rest.is_empty()).then(|| rest_encode(&batch.rest as &[Addressee])),
            tracks: batch.page.iter().map(|delivery| aligned(delivery.track)).collect(),
            batch,
            now,
            page,
            is_leased: false,
            waits: false,
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

    /// Its parcel, by the first of its rows; none where nobody gets anything.
    pub(super) fn parcel(&self) -> Option<Row> {
        let first = self.tracks.iter().find(|track| track.state == State::Ready)?;
        Some(self.page.row(self.page.parcel, *first))
    }

    /// It is born leased.
    pub(super) fn lease(&mut self) {
        let policy = any_policy();
        for track in &mut self.tracks {
            *track = step(track, &Event::Claim, &policy, self.now).unwrap_or(*track);
        }
        self.is_leased = true;
    }

    /// It will wait to be claimed, and memory knows.
    pub(super) const fn wait(&mut self) {
        self.waits = true;
    }

    /// Whether memory knows that it will wait to be claimed.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    /// Whether it is born leased.
    pub(super) const fn is_leased(&self) -> bool {
        self.is_leased
    }

    /// What is handed over where it is born leased. Large content and attachments do not travel along: a queue of leased parcels
    /// would hold them all in memory.
    pub(super) fn lease_of(&self) -> Lease {
        let Batch { message, channel, content, attachments, page, .. } = &self.batch;
        let travels = attachments.is_empty() && self.content.len() <= limits::CONTENT_INLINE_BYTES_MAX;
        let rows = page.iter().zip(&self.tracks).filter(|(_, track)| track.state == State::Leased);
        Lease {
            parcel: self.page.parcel,
            message: message.id,
            channel: *channel,
            app: message.app,
            priority: message.priority,
            accepted: message.accepted,
            cargo: travels.then(|| Cargo { content: content.clone(), attachments: attachments.clone() }),
            rows: rows
                .map(|(delivery, track)| LeasedRow {
                    id: delivery.id,
                    address: delivery.address.clone(),
                    track: *track,
                })
                .collect(),
        }
    }

    /// Answers whoever still waits.
    pub(super) fn answer(self, answer: StoreResult<Submitted>) {
        // Its room is free when the answer is given.
        drop(self.room);
        let _ = self.reply.send(answer);
    }
}
