//! Pages of an audience: lists cut into pages of at most [`hongyan_core::limits::PAGE_RECIPIENTS_MAX`] addressees, and addressees as
//! deliveries with ids in a row.

use hongyan_core::{
    delivery::Track,
    id::Id,
    store::{Addressee, Listed, Lot, NewDelivery},
    time::Timestamp,
};

/// How many addressees lists have together.
pub(crate) fn count(lists: &[Listed]) -> usize {
    lists.iter().map(|listed| listed.addressees.len()).sum()
}

/// Cuts lists, taken one after the other, behind the first `n` addressees. Lists of nobody are left out.
pub(crate) fn cut(lists: Vec<Listed>, n: usize) -> (Vec<Listed>, Vec<Listed>) {
    let (mut before, mut behind, mut left) = (Vec::new(), Vec::new(), n);
    for Listed { way, mut addressees } in lists {
        let later = addressees.split_off(left.min(addressees.len()));
        left -= addressees.len();
        if !addressees.is_empty() {
            before.push(Listed { way, addressees });
        }
        if !later.is_empty() {
            behind.push(Listed { way, addressees: later });
        }
    }
    (before, behind)
}

/// The deliveries of a page, with the ids from `first` on.
pub(crate) fn lots(page: Vec<Listed>, first: Id, now: Timestamp, expires: Timestamp) -> Vec<Lot> {
    let mut next = 0;
    let mut delivery = |addressee: Addressee| {
        let id = first.plus(next);
        next += 1;
        let track = match addressee.skipped {
            None => Track::ready(now, expires),
            Some(reason) => Track::skipped(reason, now, expires),
        };
        NewDelivery { id, recipient: addressee.recipient, address: addressee.address, track }
    };
    let mut lot = |listed: Listed| Lot {
        way: listed.way,
        deliveries: listed.addressees.into_iter().map(&mut delivery).collect(),
    };
    page.into_iter().map(&mut lot).collect()
}

#[cfg(test)]
mod tests {
    use hongyan_core::{delivery::Reason, setup::ChannelNo, store::Way};

    use super::*;

    fn listed(channel: u32, names: &[&str]) -> Listed {
        let addressee = |name: &&str| Addressee {
            recipient: (*name).to_owned(),
            address: (*name).to_owned(),
            skipped: name.is_empty().then_some(Reason::NoAddress),
        };
        let way = Way { channel: ChannelNo(channel), parcel_max: 1 };
        Listed { way, addressees: names.iter().map(addressee).collect() }
    }

    #[test]
    fn lists_are_cut_one_after_the_other() {
        let lists = || vec![listed(1, &["a", "b"]), listed(2, &[]), listed(3, &["c", "d"])];
        assert_eq!(count(&lists()), 4);
        assert_eq!(cut(lists(), 0), (vec![], vec![listed(1, &["a", "b"]), listed(3, &["c", "d"])]));
        assert_eq!(cut(lists(), 1), (vec![listed(1, &["a"])], vec![listed(1, &["b"]), listed(3, &["c", "d"])]));
        assert_eq!(cut(lists(), 2), (vec![listed(1, &["a", "b"])], vec![listed(3, &["c", "d"])]));
        assert_eq!(cut(lists(), 3), (vec![listed(1, &["a", "b"]), listed(3, &["c"])], vec![listed(3, &["d"])]));
        assert_eq!(cut(lists(), 9).1, vec![]);
    }

    #[test]
    fn the_ids_of_a_page_are_a_block_over_its_lots() {
        let first = Id::from_i64(1 << 40).expect("positive");
        let (now, expires) = (Timestamp::from_ms(5), Timestamp::from_ms(9));
        let lots = lots(vec![listed(1, &["a", ""]), listed(3, &["c"])], first, now, expires);
        let ids: Vec<_> = lots.iter().flat_map(|lot| &lot.deliveries).map(|delivery| delivery.id).collect();
        assert_eq!(ids, [first, first.plus(1), first.plus(2)]);
        assert_eq!(lots[0].deliveries[0].track, Track::ready(now, expires));
        assert_eq!(lots[0].deliveries[1].track, Track::skipped(Reason::NoAddress, now, expires));
        assert_eq!(lots[1].way.channel, ChannelNo(3));
    }
}
