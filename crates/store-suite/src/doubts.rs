//! Doubts: deliveries whose outcome nobody knows, to be asked about and settled by what the provider says.

use std::time::Duration;

use hongyan_core::{
    delivery::{Event, Reason, Receipt, State},
    id::Id,
    outcome::Outcome,
    setup::{ChannelNo, ProviderNo},
    store::Doubt,
    time::Timestamp,
};

use crate::{
    Bench,
    world::{MAIL, SMS, World, accepted, change, deferred, to},
};

/// Another channel that may not repeat.
const VOICE: ChannelNo = ChannelNo(3);
const MINUTE: Duration = Duration::from_secs(60);

/// A delivery that was sent without a verdict.
async fn lost(world: &World<'_>, channel: ChannelNo, who: &str) -> Id {
    world.submit(&to(&[who]).channel(channel)).await;
    let lease = world.claim_one(channel).await;
    let (row, number) = (lease.rows[0].id, lease.rows[0].track.lease);
    world.settle(vec![change(channel, row, Event::Intend { lease: number })]).await;
    let answer = world.finish(&[lease], &Outcome::Unknown).await;
    assert_eq!(answer[0].map(|track| track.state), Some(State::Unknown));
    row
}

async fn doubts(world: &World<'_>, channel: ChannelNo, since: Timestamp) -> Vec<Doubt> {
    world.store().doubts(channel, since, None, 100).await.expect("lists")
}

async fn ids(world: &World<'_>, channel: ChannelNo) -> Vec<Id> {
    doubts(world, channel, Timestamp::from_ms(0)).await.iter().map(|doubt| doubt.delivery).collect()
}

/// A doubt says whom it is about, who tried last, and when.
pub async fn a_doubt_names_the_last_try(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert_eq!(doubts(&world, SMS, Timestamp::from_ms(0)).await, []);
    let begin = world.now;
    world.submit(&to(&["alice"]).channel(SMS)).await;
    let lease = world.claim_one(SMS).await;
    world.finish(&[lease], &deferred(MINUTE)).await;
    world.pass(MINUTE);
    let lease = world.claim_one(SMS).await;
    let delivery = lease.rows[0].id;
    world.finish(&[lease], &Outcome::Unknown).await;
    let address = "alice@example.com".to_owned();
    let doubt = Doubt { delivery, address, provider: Some(ProviderNo(1)), at: begin + MINUTE };
    assert_eq!(doubts(&world, SMS, begin).await, [doubt]);
}

/// After a try that ended otherwise, one of which the node could not say by whom it was made is in doubt for every provider.
pub async fn a_crash_after_another_try_leaves_a_doubt_without_a_provider(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = world.now;
    world.submit(&to(&["alice"]).channel(SMS)).await;
    let lease = world.claim_one(SMS).await;
    let delivery = lease.rows[0].id;
    world.finish(&[lease], &deferred(MINUTE)).await;
    world.pass(MINUTE);
    let lease = world.claim_one(SMS).await;
    world.settle(vec![change(SMS, delivery, Event::Intend { lease: lease.rows[0].track.lease })]).await;
    assert_eq!(world.crash_and_recover().await.unknown, 1);
    let doubts = doubts(&world, SMS, begin).await;
    assert_eq!(doubts.iter().map(|doubt| (doubt.delivery, doubt.provider)).collect::<Vec<_>>(), [(delivery, None)]);
}

/// Where the node died before it could say, nobody knows by whom it was tried; when, the intent says.
pub async fn a_crash_leaves_a_doubt_without_a_provider(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = world.now;
    world.submit(&to(&["alice"]).channel(SMS)).await;
    world.pass(MINUTE);
    let lease = world.claim_one(SMS).await;
    let delivery = lease.rows[0].id;
    world.settle(vec![change(SMS, delivery, Event::Intend { lease: 1 })]).await;
    assert_eq!(ids(&world, SMS).await, [], "it is on its way");
    let tried = world.now;
    world.pass(MINUTE);
    assert_eq!(world.crash_and_recover().await.unknown, 1);
    let address = "alice@example.com".to_owned();
    let doubt = Doubt { delivery, address, provider: None, at: tried };
    assert_eq!(doubts(&world, SMS, begin).await, [doubt]);
}

/// Doubts come in the order of their ids, page by page, of one channel, and none that is too old; nothing else is a doubt.
pub async fn doubts_are_listed_in_pages(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let old = lost(&world, SMS, "old").await;
    world.pass(60 * MINUTE);
    let begin = world.now;
    let mut expected = Vec::new();
    for n in 0..5 {
        expected.push(lost(&world, SMS, &format!("user{n}")).await);
        lost(&world, VOICE, "voice").await;
        world.pass(MINUTE);
    }
    world.submit_all([to(&["a"]).channel(SMS), to(&["b"]).channel(SMS), to(&["c"]).channel(SMS)]).await;
    let leases = world.claim(SMS, 2).await;
    world.finish(&leases[..1], &accepted()).await;

    let page = async |after: Option<Id>, limit| {
        let page = world.store().doubts(SMS, begin, after, limit).await.expect("lists");
        page.iter().map(|doubt| doubt.delivery).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, expected[..2]);
    assert_eq!(page(Some(expected[1]), 2).await, expected[2..4]);
    assert_eq!(page(Some(expected[3]), 2).await, expected[4..]);
    assert_eq!(page(Some(expected[4]), 2).await, []);
    assert_eq!(page(Some(old), 9).await, expected, "what is too old is not asked about");
    assert_eq!(page(None, 0).await, []);
    let all: Vec<_> = [old].into_iter().chain(expected.clone()).collect();
    assert_eq!(ids(&world, SMS).await, all);
    assert_eq!(ids(&world, VOICE).await.len(), 5);
    assert_eq!(ids(&world, MAIL).await, []);
    let later = world.store().doubts(SMS, begin + 3 * MINUTE, None, 9).await.expect("lists");
    assert_eq!(later.iter().map(|doubt| doubt.delivery).collect::<Vec<_>>(), expected[3..]);
}

/// A receipt settles a doubt, whatever it says; a late truth does, too.
pub async fn a_receipt_settles_a_doubt(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let says = [
        (Receipt::Accepted, State::Accepted),
        (Receipt::Refused, State::Failed),
        (Receipt::Delivered, State::Delivered),
        (Receipt::Undelivered, State::Undelivered),
        (Receipt::Read, State::Read),
    ];
    let mut open = Vec::new();
    for n in 0..=says.len() {
        open.push(lost(&world, SMS, &format!("user{n}")).await);
    }
    for (receipt, state) in says {
        let answer = world.settle(vec![change(SMS, open.remove(0), Event::Receipt(receipt))]).await;
        assert_eq!(answer[0].map(|track| track.state), Some(state));
        assert_eq!(ids(&world, SMS).await, open);
    }
    let last = open.remove(0);
    let event = Event::Finish { lease: 1, outcome: accepted(), roll: hongyan_core::retry::Roll::NONE };
    world.settle(vec![change(SMS, last, event)]).await;
    assert_eq!(ids(&world, SMS).await, []);
}

/// What is unknown because the store was restored is for people to look at: a provider was perhaps never called.
pub async fn what_was_restored_is_no_doubt(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&["alice"]).channel(SMS)).await;
    let doubt = lost(&world, VOICE, "bob").await;
    let delivery = world.read_one(id).await.id;
    let answer = world.settle(vec![change(SMS, delivery, Event::Restore)]).await;
    assert_eq!(answer[0].map(|track| (track.state, track.reason)), Some((State::Unknown, Some(Reason::Restored))));
    assert_eq!((ids(&world, SMS).await, ids(&world, VOICE).await), (vec![], vec![doubt]));
}
