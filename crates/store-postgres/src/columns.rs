//! Rows on their way into the tables, turned into columns: a statement takes an array per column and as many rows as there are.

use std::collections::BTreeMap;

use hongyan_core::{
    account::AccountNo,
    delivery::{Reason, State, Track},
    id::Id,
    message::Priority,
    setup::{AppNo, ChannelNo},
    store::NewDelivery,
    time::Timestamp,
};

use crate::{
    days::day_of,
    engine::Registration,
    row::{Row, priority_number, signed, state_number},
    session::{Param, Query},
    sql::hot,
};

/// What the deliveries of one lot of a page have in common.
#[derive(Clone, Copy)]
pub(crate) struct Page {
    pub message: Id,
    pub app: AppNo,
    pub priority: Priority,
    pub channel: ChannelNo,
}

/// Where a delivery of a page will stand, and in which parcel.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub parcel: Id,
    pub track: Track,
}

impl Page {
    /// A delivery of this lot as a row that stands at `place`.
    pub(crate) const fn row(&self, id: Id, place: Place) -> Row {
        let Self { message, app, priority, channel } = *self;
        Row { id, message, parcel: place.parcel, channel, app, priority, track: place.track }
    }
}

/// Divides the ready deliveries of a lot, in their order, into parcels of `parcel_max`, one at least: a parcel is called after
/// its first delivery and has one due time, the latest. Those who get nothing are put to the first parcel; where there is none,
/// to `otherwise`.
pub(crate) fn placed(deliveries: &[NewDelivery], parcel_max: usize, otherwise: Id) -> Vec<Place> {
    let ready: Vec<&NewDelivery> = deliveries.iter().filter(|delivery| delivery.track.state == State::Ready).collect();
    let first = ready.first().map_or(otherwise, |delivery| delivery.id);
    let mut parcels = ready.chunks(parcel_max.max(1)).flat_map(|parcel| {
        let due = parcel.iter().map(|delivery| delivery.track.due).max();
        parcel.iter().filter_map(move |delivery| Some((parcel.first()?.id, due.unwrap_or(delivery.track.due))))
    });
    let place = |delivery: &NewDelivery| match delivery.track.state {
        State::Ready => {
            let (parcel, due) = parcels.next().unwrap_or((first, delivery.track.due));
            Place { parcel, track: Track { due, ..delivery.track } }
        }
        _ => Place { parcel: first, track: delivery.track },
    };
    deliveries.iter().map(place).collect()
}

/// New deliveries of one bucket: those to come, and those that were never to be tried.
#[derive(Default)]
pub(crate) struct Deliveries<'a> {
    open: Columns<'a>,
    done: Columns<'a>,
    depth: BTreeMap<ChannelNo, i64>,
    /// The depths as columns, made at the end.
    channels: Vec<i32>,
    by: Vec<i64>,
    sent: Sent,
}

/// How many deliveries accounts have, by the days of their ids: as they are counted, and as columns.
#[derive(Default)]
pub(crate) struct Sent {
    counted: BTreeMap<(i32, i32), i64>,
    accounts: Vec<i32>,
    days: Vec<i32>,
    by: Vec<i64>,
}

impl Sent {
    /// Counts a delivery, if it is an account's.
    pub(crate) fn count(&mut self, app: AppNo, delivery: Id) {
        if let Some(account) = AccountNo::of_app(app) {
            let day = i32::try_from(day_of(delivery.time())).unwrap_or(i32::MAX);
            *self.counted.entry((signed(account.0), day)).or_default() += 1;
        }
    }

    /// No more follows.
    pub(crate) fn finished(&mut self) {
        for ((account, day), by) in std::mem::take(&mut self.counted) {
            self.accounts.push(account);
            self.days.push(day);
            self.by.push(by);
        }
    }

    /// The statement that counts them in `bucket`, if there are any.
    pub(crate) fn query<'q>(&'q self, bucket: &'q i16) -> Option<Query<'q>> {
        let params: Vec<Param<'q>> = vec![bucket, &self.accounts, &self.days, &self.by];
        (!self.accounts.is_empty()).then_some(Query { sql: hot::SENT_ADD, params })
    }
}

#[derive(Default)]
struct Columns<'a> {
    id: Vec<i64>,
    message: Vec<i64>,
    parcel: Vec<i64>,
    channel: Vec<i32>,
    priority: Vec<i16>,
    app: Vec<i32>,
    state: Vec<i16>,
    lease: Vec<i32>,
    due: Vec<i64>,
    expires: Vec<i64>,
    reason: Vec<Option<&'static str>>,
    recipient: Vec<&'a str>,
    address: Vec<Option<&'a str>>,
}

/// By whom and since when those are held that are born leased, and who counts what is not.
pub(crate) struct Holder {
    node: i16,
    epoch: i64,
    leased: i64,
    lane: i16,
}

impl Holder {
    /// This node, from `now` on, counting on `lane`.
    pub(crate) fn new(me: Registration, now: Timestamp, lane: i16) -> Self {
        Self { node: i16::from(me.number), epoch: me.epoch, leased: now.ms(), lane }
    }
}

impl<'a> Deliveries<'a> {
    /// Adds a delivery of a lot.
    pub(crate) fn push(&mut self, page: &Page, delivery: &'a NewDelivery, place: &Place) {
        let track = &place.track;
        let columns = if track.state.is_open() { &mut self.open } else { &mut self.done };
        columns.id.push(delivery.id.get());
        columns.message.push(page.message.get());
        columns.parcel.push(place.parcel.get());
        columns.channel.push(signed(page.channel.0));
        columns.priority.push(priority_number(page.priority));
        columns.app.push(signed(page.app.0));
        columns.state.push(state_number(track.state));
        columns.lease.push(signed(track.lease));
        columns.due.push(track.due.ms());
        columns.expires.push(track.expires.ms());
        columns.reason.push(track.reason.map(Reason::as_str));
        columns.recipient.push(&delivery.recipient);
        columns.address.push((delivery.address != delivery.recipient).then_some(delivery.address.as_str()));
        if track.state == State::Ready {
            *self.depth.entry(page.channel).or_default() += 1;
        }
        self.sent.count(page.app, delivery.id);
    }

    /// No more follows: what is to be counted is known.
    pub(crate) fn finished(mut self) -> Self {
        let counted = std::mem::take(&mut self.depth);
        (self.channels, self.by) = counted.into_iter().map(|(channel, by)| (signed(channel.0), by)).unzip();
        self.sent.finished();
        self
    }

    /// The statements that insert them into `bucket`.
    pub(crate) fn queries<'q>(&'q self, bucket: &'q i16, holder: &'q Holder, queries: &mut Vec<Query<'q>>) {
        if !self.open.id.is_empty() {
            let mut params = self.open.params(bucket);
            params.extend([&holder.node as Param<'q>, &holder.epoch, &holder.leased]);
            queries.push(Query { sql: hot::DELIVERY_INSERT, params });
        }
        if !self.done.id.is_empty() {
            queries.push(Query { sql: hot::DONE_INSERT, params: self.done.params(bucket) });
        }
        if !self.channels.is_empty() {
            let params: Vec<Param<'q>> = vec![bucket, &holder.node, &holder.lane, &self.channels, &self.by];
            queries.push(Query { sql: hot::DEPTH_ADD, params });
        }
        // Last of all that others may wait for: whoever stores for the same account.
        queries.extend(self.sent.query(bucket));
    }
}

impl Columns<'_> {
    fn params<'q>(&'q self, bucket: &'q i16) -> Vec<Param<'q>> {
        vec![
            bucket,
            &self.id,
            &self.message,
            &self.parcel,
            &self.channel,
            &self.priority,
            &self.app,
            &self.state,
            &self.lease,
            &self.due,
            &self.expires,
            &self.reason,
            &self.recipient,
            &self.address,
        ]
    }
}
