//! Parcels: a page is divided, in order, into parcels of a bounded size, and from then on each goes its own way.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use hongyan_core::{
    delivery::State,
    id::Id,
    limits::CRASHES_BEFORE_ALONE,
    store::{Lease, Recovered},
};

use crate::{
    Bench,
    pages::{expansion, later, page},
    world::{MAIL, Order, World, accepted, deferred, finish, to},
};

const SECOND: Duration = Duration::from_secs(1);

fn people(n: usize, parcel_max: usize) -> Order {
    Order { to: (0..n).map(|n| format!("user{n}")).collect(), ..to(&[]) }.parcel_max(parcel_max)
}

/// The deliveries of each parcel.
fn rows(leases: &[Lease]) -> Vec<Vec<Id>> {
    leases.iter().map(|lease| lease.rows.iter().map(|row| row.id).collect()).collect()
}

/// The parcels of a message as they are on record, without those who were skipped.
async fn on_record(world: &World<'_>, message: Id) -> Vec<Vec<Id>> {
    let sent: Vec<_> = world.read(message).await.deliveries;
    let sent: Vec<_> = sent.into_iter().filter(|delivery| delivery.track.state != State::Skipped).collect();
    let parcels = sent.chunk_by(|a, b| a.parcel == b.parcel);
    parcels
        .map(|parcel| {
            assert_eq!(parcel[0].parcel, parcel[0].id, "a parcel is called after its first delivery");
            parcel.iter().map(|delivery| delivery.id).collect()
        })
        .collect()
}

/// Parcels of one, of several with a shorter one at the end, and one of all; each is claimed by itself, in order.
pub async fn a_page_is_divided_in_order(bench: &impl Bench) {
    let world = World::begin(bench).await;
    for (of, parcel_max, sizes) in [
        (5, 2, vec![2, 2, 1]),
        (4, 2, vec![2, 2]),
        (3, 1, vec![1; 3]),
        (3, 0, vec![1; 3]),
        (4, 4, vec![4]),
        (3, 1_000, vec![3]),
    ] {
        let id = world.submit(&people(of, parcel_max)).await;
        let parcels = on_record(&world, id).await;
        assert_eq!(parcels.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{of} by {parcel_max}");
        assert_eq!(world.depth(MAIL).await, of as u64);
        for parcel in parcels {
            let lease = world.claim_one(MAIL).await;
            assert_eq!((lease.message, lease.parcel), (id, parcel[0]));
            assert_eq!(rows(std::slice::from_ref(&lease)), [parcel]);
            assert!(lease.cargo.is_some(), "each brings what is to be said");
            world.finish(&[lease], &accepted()).await;
        }
        assert_eq!(world.states(id).await, vec![State::Accepted; of]);
    }
    let many = world.submit(&people(9, 2)).await;
    assert_eq!(rows(&world.claim(MAIL, 4).await), on_record(&world, many).await[..4], "a limit counts parcels");
}

/// Those who get nothing fill no parcel, wherever they stand among the others.
pub async fn skipped_ones_fill_no_parcel(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let mut order = to(&["ghost", "a", "spook", "b", "c", "d", "shade", "e"]).parcel_max(2);
    order.skipped = ["ghost", "spook", "shade"].map(String::from).to_vec();
    let id = world.submit(&order).await;
    let leases = world.claim(MAIL, 9).await;
    assert_eq!(rows(&leases), on_record(&world, id).await);
    let addresses: Vec<Vec<_>> =
        leases.iter().map(|lease| lease.rows.iter().map(|row| row.address.as_str()).collect()).collect();
    assert_eq!(
        addresses,
        [vec!["a@example.com", "b@example.com"], vec!["c@example.com", "d@example.com"], vec!["e@example.com"]]
    );
    order.to = order.skipped.clone();
    let nobody = world.submit(&order).await;
    assert_eq!(world.states(nobody).await, [State::Skipped; 3]);
    assert!(world.claim(MAIL, 9).await.is_empty());
}

/// The rows of a parcel have one due time, the latest of theirs; those of another parcel have another.
pub async fn a_parcel_is_due_with_its_latest(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let mut batch = world.batch(&people(4, 2));
    let due = |tens: u32| world.now + tens * 10 * SECOND;
    for (delivery, tens) in batch.page[0].deliveries.iter_mut().zip([2, 1, 4, 3]) {
        delivery.track.due = due(tens);
    }
    let expected = [due(2), due(2), due(4), due(4)];
    let id = batch.message.id;
    world.store().submit(batch, world.now).await.expect("stored");
    let kept: Vec<_> = world.read(id).await.deliveries.iter().map(|delivery| delivery.track.due).collect();
    assert_eq!(kept, expected);
    world.pass(19 * SECOND);
    assert!(world.claim(MAIL, 9).await.is_empty());
    assert_eq!(world.store().next_due(MAIL, world.now).await, Ok(Some(expected[0])));
    let parcels = on_record(&world, id).await;
    world.pass(SECOND);
    assert_eq!(rows(&world.claim(MAIL, 9).await), parcels[..1]);
    world.pass(20 * SECOND);
    assert_eq!(rows(&world.claim(MAIL, 9).await), parcels[1..]);
}

/// Each parcel that is born leased takes a slot of its own; from the first that finds none on, all wait, in order.
pub async fn parcels_are_born_leased_as_far_as_slots_reach(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.desk.open(MAIL, 2);
    let id = world.submit(&people(7, 2)).await;
    let parcels = on_record(&world, id).await;
    let handed = world.desk.take();
    assert_eq!(rows(&handed), parcels[..2]);
    for lease in &handed {
        assert_eq!((lease.message, lease.parcel), (id, lease.rows[0].id));
        assert!(lease.cargo.is_some());
        assert!(lease.rows.iter().all(|row| (row.track.state, row.track.lease) == (State::Leased, 1)));
    }
    assert_eq!(world.desk.free(MAIL), 0);
    assert!(world.desk.wakes.load(SeqCst) > 0, "somebody is to look after the rest");
    use State::{Leased, Ready};
    assert_eq!(world.states(id).await, [Leased, Leased, Leased, Leased, Ready, Ready, Ready]);
    assert_eq!(world.depth(MAIL).await, 3);

    world.desk.open(MAIL, 9);
    let behind = world.submit(&people(3, 2)).await;
    assert_eq!((world.desk.len(), world.desk.free(MAIL)), (0, 9), "nothing overtakes them");
    let mut waiting = parcels[2..].to_vec();
    waiting.extend(on_record(&world, behind).await);
    assert_eq!(rows(&world.claim(MAIL, 9).await), waiting);

    let all = world.submit(&people(5, 2)).await;
    assert_eq!(rows(&world.desk.take()), on_record(&world, all).await);
    assert_eq!(world.desk.free(MAIL), 6);
    world.submit(&people(5, 2).due_in(SECOND)).await;
    assert_eq!((world.desk.len(), world.desk.free(MAIL)), (0, 6), "what is not due takes no slot");
}

/// A request that cannot be stored gives back the slots of all its parcels.
pub async fn gives_back_the_slots_of_every_parcel(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let first = world.batch(&people(1, 1));
    world.store().submit(first.clone(), world.now).await.expect("stored");
    world.claim_one(MAIL).await;
    world.desk.open(MAIL, 5);
    let mut clash = world.batch(&people(3, 1));
    clash.page[0].deliveries[2].id = first.page[0].deliveries[0].id;
    world.store().submit(clash, world.now).await.expect_err("its last delivery's id is taken");
    assert_eq!((world.desk.free(MAIL), world.desk.len()), (5, 0));
}

/// One parcel is put off by itself, each at the latest time of its own rows, though all were settled together.
pub async fn parcels_are_put_off_apart(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&people(5, 2)).await;
    let leases = world.claim(MAIL, 9).await;
    let begin = world.now;
    let settled = leases.iter().flat_map(|lease| &lease.rows).zip([20, 10, 5, 3, 40]);
    world.settle(settled.map(|(row, secs)| finish(MAIL, row, deferred(secs * SECOND), begin)).collect()).await;
    let due: Vec<_> = world.read(id).await.deliveries.iter().map(|delivery| delivery.track.due).collect();
    assert_eq!(due, [20, 20, 5, 5, 40].map(|secs| begin + secs * SECOND));
    let parcels = on_record(&world, id).await;
    for (secs, which) in [(5, 1), (20, 0), (40, 2)] {
        world.now = begin + secs * SECOND;
        assert_eq!(rows(&world.claim(MAIL, 9).await), [parcels[which].clone()]);
    }
}

/// A crash takes back every parcel by itself; what kills the node is one of them, and the others are spared.
pub async fn parcels_are_recovered_one_by_one(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&people(5, 2)).await;
    let parcels = on_record(&world, id).await;
    assert_eq!(world.claim(MAIL, 2).await.len(), 2);
    assert_eq!(world.crash_and_recover().await, Recovered { ready: 4, ..Recovered::default() });
    assert_eq!(on_record(&world, id).await, parcels);
    let leases = world.claim(MAIL, 9).await;
    assert_eq!(rows(&leases), parcels);
    let numbers: Vec<_> = leases.iter().map(|lease| lease.rows[0].track.lease).collect();
    assert_eq!(numbers, [2, 2, 1]);

    world.crash_and_recover().await;
    for _ in 2..CRASHES_BEFORE_ALONE {
        assert_eq!(world.claim(MAIL, 2).await.len(), 2);
        world.crash_and_recover().await;
    }
    let alone = world.claim(MAIL, 9).await;
    assert_eq!(rows(&alone), parcels[..1], "a suspect is one parcel, alone");
    assert!(world.claim(MAIL, 9).await.is_empty());
    assert_eq!(world.crash_and_recover().await, Recovered { poison: 2, ..Recovered::default() });
    use State::{Failed, Ready};
    assert_eq!(world.states(id).await, [Failed, Failed, Ready, Ready, Ready]);
}

/// What waits in several parcels expires and is cancelled like what waits in one.
pub async fn all_parcels_of_a_message_end(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let cancelled = world.submit(&people(5, 2)).await;
    assert_eq!(world.claim(MAIL, 1).await.len(), 1);
    assert_eq!(world.cancel(cancelled).await, 3);
    let over = world.submit(&people(5, 2).lives(9 * SECOND)).await;
    world.pass(10 * SECOND);
    assert_eq!(world.store().expire(1_000, world.now).await, Ok(5));
    assert_eq!(world.states(over).await, [State::Expired; 5]);
    assert_eq!(world.depth(MAIL).await, 0);
}

/// Later pages are divided, too, each for itself.
pub async fn later_pages_are_divided(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&people(3, 2).rest(world.now, later(15))).await;
    let sizes = |parcels: &[Vec<Id>]| parcels.iter().map(Vec::len).collect::<Vec<_>>();
    for parcel_max in [4, 0] {
        let next = expansion(&world).await.expect("is being expanded");
        let mut page = page(&world, &next, 10);
        page.page[0].way.parcel_max = parcel_max;
        assert_eq!(world.store().page_add(page, world.now).await, Ok(true));
    }
    let parcels = on_record(&world, id).await;
    assert_eq!(sizes(&parcels), [2, 1, 4, 4, 1, 1, 1, 1, 1, 1], "one of the second page gets nothing");
    assert_eq!(rows(&world.claim(MAIL, 99).await), parcels);
}
