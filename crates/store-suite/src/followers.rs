//! Those who follow official accounts: tags without gaps, given once; whether somebody follows still.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use hongyan_core::{
    account::{FIRST_TAG, Follower},
    setup::ProviderNo,
};

use crate::{Bench, world::World};

const OURS: ProviderNo = ProviderNo(1);
const THEIRS: ProviderNo = ProviderNo(2);

async fn tag(world: &World<'_>, provider: ProviderNo, openid: &str) -> (u32, bool) {
    let (follower, is_new) = world.store().follower_tag(provider, openid.into()).await.expect("answers");
    assert_eq!(follower.openid, openid);
    (follower.tag, is_new)
}

async fn subscribed(world: &World<'_>, provider: ProviderNo, openid: &str, subscribed: bool) {
    world.store().follower_subscribed(provider, openid.into(), subscribed).await.expect("keeps");
}

async fn found(world: &World<'_>, provider: ProviderNo, tags: impl IntoIterator<Item = u32>) -> Vec<Follower> {
    let mut found = world.store().followers(provider, tags.into_iter().collect()).await.expect("finds");
    found.sort_by_key(|follower| follower.tag);
    found
}

/// Tags count up from the first, over all accounts together; who has one keeps it.
pub async fn tags_are_given_once(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert_eq!(tag(&world, OURS, "a").await, (FIRST_TAG, true));
    assert_eq!(tag(&world, OURS, "b").await, (FIRST_TAG + 1, true));
    assert_eq!(tag(&world, OURS, "a").await, (FIRST_TAG, false));
    assert_eq!(tag(&world, THEIRS, "a").await, (FIRST_TAG + 2, true), "of another account this is somebody else");
    world.crash().await;
    assert_eq!(tag(&world, OURS, "b").await, (FIRST_TAG + 1, false));
    assert_eq!(tag(&world, OURS, "A").await, (FIRST_TAG + 3, true));
    let ours = found(&world, OURS, FIRST_TAG - 2..FIRST_TAG + 9).await;
    let tags: Vec<_> = ours.iter().map(|follower| (follower.tag - FIRST_TAG, follower.openid.as_str())).collect();
    assert_eq!(tags, [(0, "a"), (1, "b"), (3, "A")]);
    assert_eq!(found(&world, THEIRS, [FIRST_TAG + 2]).await[0].openid, "a");
    assert_eq!(found(&world, OURS, []).await, []);
}

/// Many at once, each twice: a tag each, none left out.
pub async fn tags_have_no_gaps(bench: &impl Bench) {
    const FOLLOWERS: u32 = 40;
    let world = World::begin(bench).await;
    let openids: Vec<_> = (0..FOLLOWERS).chain(0..FOLLOWERS).map(|n| format!("follower{n}")).collect();
    let given = join_all(openids.iter().map(|openid| tag(&world, OURS, openid))).await;
    let mut of: HashMap<&str, u32> = HashMap::new();
    let mut new = 0;
    for (openid, (tag, is_new)) in openids.iter().zip(given) {
        assert_eq!(*of.entry(openid).or_insert(tag), tag, "{openid} has one tag");
        new += u32::from(is_new);
    }
    assert_eq!(new, FOLLOWERS);
    let tags: BTreeSet<_> = of.into_values().collect();
    assert_eq!(tags, (FIRST_TAG..FIRST_TAG + FOLLOWERS).collect());
}

/// Whoever asks for a tag follows; who leaves is known as such, and comes back under the same tag. Strangers are not kept.
pub async fn who_left_is_known(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    subscribed(&world, OURS, "a", true).await;
    subscribed(&world, OURS, "b", false).await;
    assert_eq!(tag(&world, OURS, "b").await, (FIRST_TAG, true), "a stranger took no tag");
    let follows = async |world: &World<'_>| found(world, OURS, [FIRST_TAG]).await[0].subscribed;
    assert!(follows(&world).await);
    subscribed(&world, OURS, "b", false).await;
    subscribed(&world, THEIRS, "b", true).await;
    world.crash().await;
    assert!(!follows(&world).await);
    subscribed(&world, OURS, "b", true).await;
    assert!(follows(&world).await);
    assert_eq!(tag(&world, OURS, "b").await, (FIRST_TAG, false));
}
