//! Messages that go by several channels: a page is lots, one a channel, and each lot's parcels are its channel's and nobody else's.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    content::Content,
    delivery::{Event, State},
    id::Id,
    setup::ChannelNo,
    store::{Lease, Lot, MessageRecord, Recovered, Way},
};

use crate::{
    Bench,
    world::{MAIL, Order, SMS, World, accepted, change, deferred, text, to},
};

const SECOND: Duration = Duration::from_secs(1);

/// By mail, and one by one by SMS.
fn both(recipients: &[&str]) -> Order {
    to(recipients).beside(SMS, 1)
}

/// The deliveries of each parcel on a channel, as they are on record.
fn parcels(record: &MessageRecord, channel: ChannelNo) -> Vec<Vec<Id>> {
    let on: Vec<_> = record.deliveries.iter().filter(|delivery| delivery.channel == channel).collect();
    on.chunk_by(|a, b| a.parcel == b.parcel).map(|rows| rows.iter().map(|row| row.id).collect()).collect()
}

fn rows(leases: &[Lease]) -> Vec<Vec<Id>> {
    leases.iter().map(|lease| lease.rows.iter().map(|row| row.id).collect()).collect()
}

/// Whom each lot reaches is on record with its channel, in one block of ids; a parcel is divided and claimed by its lot's rule.
pub async fn each_lot_goes_by_its_channel(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&both(&["a", "b", "c"]).parcel_max(2)).await;
    let record = world.read(id).await;
    assert_eq!(record.channel, MAIL, "the first is the message's");
    let kept: Vec<_> = record.deliveries.iter().map(|row| (row.id, row.channel, row.recipient.as_str())).collect();
    let who = [(MAIL, "a"), (MAIL, "b"), (MAIL, "c"), (SMS, "a"), (SMS, "b"), (SMS, "c")];
    let said: Vec<_> = who.iter().enumerate().map(|(n, (channel, who))| (id.plus(n + 1), *channel, *who)).collect();
    assert_eq!(kept, said);
    let (mail, sms) = (parcels(&record, MAIL), parcels(&record, SMS));
    assert_eq!((mail.iter().map(Vec::len).collect::<Vec<_>>(), sms.len()), (vec![2, 1], 3));
    assert_eq!((world.depth(MAIL).await, world.depth(SMS).await), (3, 3));

    let claimed = world.claim(SMS, 9).await;
    assert_eq!(rows(&claimed), sms);
    assert!(claimed.iter().all(|lease| (lease.message, lease.channel) == (id, SMS)));
    assert_eq!((world.depth(MAIL).await, world.depth(SMS).await), (3, 0));
    let claimed = world.claim(MAIL, 9).await;
    assert_eq!(rows(&claimed), mail);
    assert!(claimed.iter().all(|lease| (lease.message, lease.channel) == (id, MAIL)));
    for lease in claimed {
        let cargo = lease.cargo.expect("content comes along");
        assert_eq!(cargo.content.on(SMS), Some(Arc::new(text("a report", SMS))));
        assert_eq!(cargo.content.on(MAIL), Some(Arc::new(text("a report", MAIL))));
    }
}

/// Two lots of one channel have no parcel in common, though both would fit into one.
pub async fn no_parcel_crosses_lots(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let mut batch = world.batch(&to(&["a", "b", "c"]));
    let others = batch.page[0].deliveries.split_off(1);
    batch.page.push(Lot { way: Way { channel: MAIL, parcel_max: 9 }, deliveries: others });
    let id = batch.message.id;
    world.store().submit(batch, world.now).await.expect("stored");
    assert_eq!(rows(&world.claim(MAIL, 9).await), [vec![id.plus(1)], vec![id.plus(2), id.plus(3)]]);
}

/// What is busy on one channel holds up nothing of the same message on another.
pub async fn channels_are_born_leased_by_themselves(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.desk.open(MAIL, 5);
    let id = world.submit(&both(&["a", "b"])).await;
    let handed = world.desk.take();
    assert_eq!(rows(&handed), [vec![id.plus(1), id.plus(2)]], "no slot for the SMS");
    let content = &handed[0].cargo.as_ref().expect("content comes along").content;
    assert!(matches!(&**content, Content::Each(_)));
    assert_eq!((world.desk.free(MAIL), world.depth(SMS).await), (4, 2));

    world.desk.open(SMS, 5);
    let behind = world.submit(&both(&["c"])).await;
    assert_eq!(rows(&world.desk.take()), [[behind.plus(1)]], "an SMS waits before it");
    assert_eq!(world.claim(SMS, 9).await.len(), 3);
    let free = world.submit(&both(&["d", "e"])).await;
    let handed = world.desk.take();
    assert_eq!(handed.iter().filter(|lease| lease.channel == MAIL).count(), 1);
    let sms: Vec<_> = handed.iter().filter(|lease| lease.channel == SMS).cloned().collect();
    assert_eq!(rows(&sms), [[free.plus(3)], [free.plus(4)]]);
    assert_eq!((world.desk.free(MAIL), world.desk.free(SMS)), (2, 3));
    use State::{Leased, Ready};
    assert_eq!(world.states(id).await, [Leased; 4]);
    world.give_back(&handed).await;
    assert_eq!(world.states(free).await, [Ready; 4]);
}

/// A request that cannot be stored gives back the slots of all its channels.
pub async fn gives_back_the_slots_of_every_channel(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let taken = world.submit(&to(&["a"])).await;
    world.claim_one(MAIL).await;
    world.desk.open(MAIL, 5);
    world.desk.open(SMS, 5);
    let mut clash = world.batch(&both(&["b", "c"]));
    clash.page[1].deliveries[1].id = taken.plus(1);
    world.store().submit(clash, world.now).await.expect_err("its last delivery's id is taken");
    assert_eq!((world.desk.free(MAIL), world.desk.free(SMS), world.desk.len()), (5, 5, 0));
}

/// Each channel has its own due times and its own ends.
pub async fn one_channel_ends_without_the_other(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&both(&["a", "b"]).due_in(9 * SECOND)).await;
    let due = world.now + 9 * SECOND;
    for channel in [MAIL, SMS] {
        assert_eq!(world.store().next_due(channel, world.now).await, Ok(Some(due)));
    }
    world.pass(9 * SECOND);
    let (mail, sms) = (world.claim(MAIL, 9).await, world.claim(SMS, 1).await);
    world.finish(&mail, &accepted()).await;
    world.finish(&sms, &deferred(5 * SECOND)).await;
    use State::{Accepted, Cancelled, Ready};
    assert_eq!(world.states(id).await, [Accepted, Accepted, Ready, Ready]);
    assert_eq!((world.depth(MAIL).await, world.depth(SMS).await), (0, 2));
    assert_eq!(world.store().next_due(SMS, world.now).await, Ok(Some(world.now + 5 * SECOND)));
    assert_eq!(world.cancel(id).await, 2);
    assert_eq!(world.states(id).await, [Accepted, Accepted, Cancelled, Cancelled]);
}

/// A crash is judged by the channel of each delivery.
pub async fn each_channel_recovers_by_its_own_rule(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&both(&["a", "b"])).await;
    world.claim(MAIL, 9).await;
    let sms = world.claim(SMS, 1).await;
    world.settle(vec![change(SMS, sms[0].rows[0].id, Event::Intend { lease: 1 })]).await;
    assert_eq!(world.crash_and_recover().await, Recovered { ready: 2, unknown: 1, poison: 0 });
    use State::{Ready, Unknown};
    assert_eq!(world.states(id).await, [Ready, Ready, Unknown, Ready]);
    let doubts = world.store().doubts(SMS, world.now, None, 9).await.expect("lists");
    assert_eq!(doubts.iter().map(|doubt| doubt.delivery).collect::<Vec<_>>(), [id.plus(3)]);
    assert!(world.store().doubts(MAIL, world.now, None, 9).await.expect("lists").is_empty());
    assert_eq!(rows(&world.claim(SMS, 9).await), [[id.plus(4)]]);
}
