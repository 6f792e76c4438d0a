//! A page of an audience: at most [`hongyan_core::limits::PAGE_RECIPIENTS_MAX`] addressees as deliveries with ids in a row.

use hongyan_core::{
    delivery::Track,
    id::Id,
    store::{Addressee, NewDelivery},
    time::Timestamp,
};

/// The deliveries of one page.
pub(crate) fn deliveries(
    addressees: Vec<Addressee>,
    first: Id,
    now: Timestamp,
    expires: Timestamp,
) -> Vec<NewDelivery> {
    let delivery = |(n, addressee): (usize, Addressee)| NewDelivery {
        id: first.plus(n),
        recipient: addressee.recipient,
        address: addressee.address,
        track: match addressee.skipped {
            None => Track::ready(now, expires),
            Some(reason) => Track::skipped(reason, now, expires),
        },
    };
    addressees.into_iter().enumerate().map(delivery).collect()
}
