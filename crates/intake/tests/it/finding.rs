//! Who is found: the union of what is named, each person once, as the directory stands when their page comes.

use hongyan_core::{
    setup::Setup,
    store::{Inboxes, People},
};

use crate::world::{HOUR, INBOX, MAIL, SECOND_INBOX, SMS, World, departments, disabled, everyone, named, person};

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

#[tokio::test]
async fn four_ways_to_be_meant_and_everybody_once() {
    let world = World::new().await;
    world.groups(&["D1", "D2"]).await;
    world
        .people([
            person("ann", &["D1", "P", "R"]),
            person("bob", &["D1", "D2"]),
            person("cid", &["P"]),
            person("dan", &["R", "D2"]),
            person("eve", &["R"]),
            person("fay", &[]),
            disabled(person("gus", &["D1", "P"])),
        ])
        .await;
    let people = People {
        users: codes(&["fay", "nobody", "eve", "gus", "fay"]),
        departments: codes(&["D1", "D9", "D2"]),
        with_below: true,
        posts: codes(&["P", "P"]),
        roles: codes(&["R", "D9"]),
        everyone: false,
    };
    let message = world.submit(world.post(&[SMS, MAIL], people)).await;
    assert_eq!(world.names(message).await, [""; 0], "who is in groups is found later");
    assert_eq!(world.expand().await, 1, "a small audience is one page");
    let (unknown_user, unknown_group) = (Some("unknown_user"), Some("unknown_group"));
    let row = |channel, name: &str, skipped| (channel, name.to_owned(), skipped);
    assert_eq!(
        world.who(message).await,
        [
            row(1, "fay", None),
            row(1, "nobody", unknown_user),
            row(1, "eve", None),
            row(1, "gus", unknown_user),
            row(1, "D9", unknown_group),
            row(1, "D9", unknown_group),
            row(1, "ann", None),
            row(1, "bob", None),
            row(1, "dan", None),
            row(1, "cid", None),
            row(3, "fay", None),
            row(3, "eve", None),
            row(3, "ann", None),
            row(3, "bob", None),
            row(3, "dan", None),
            row(3, "cid", None),
        ]
    );
}

#[tokio::test]
async fn a_department_means_those_below_it_where_that_is_asked_for() {
    let world = World::new().await;
    world.groups(&["top", "left<top", "low<left", "right<top", "other"]).await;
    world
        .people([
            person("t", &["top"]),
            person("l", &["left", "low"]),
            person("w", &["low"]),
            person("r", &["right"]),
            person("o", &["other"]),
        ])
        .await;
    for (people, expected) in [
        (departments(&["top"]), vec!["t", "l", "w", "r"]),
        (departments(&["left"]), vec!["l", "w"]),
        (departments(&["low", "top"]), vec!["t", "l", "w", "r"]),
        (People { with_below: false, ..departments(&["top"]) }, vec!["t"]),
    ] {
        let message = world.submit(world.post(&[SMS], people.clone())).await;
        world.expand().await;
        assert_eq!(world.names(message).await, expected, "{people:?}");
    }
}

#[tokio::test]
async fn who_has_no_address_on_a_channel_is_skipped_there_alone() {
    let world = World::new().await;
    let mut silent = person("silent", &[]);
    silent.user.phone = String::new();
    world.people([silent, person("ann", &[])]).await;
    let message = world.submit(world.post(&[SMS, MAIL, INBOX], everyone())).await;
    world.expand().await;
    let row = |channel, name: &str, skipped| (channel, name.to_owned(), skipped);
    assert_eq!(
        world.who(message).await,
        [row(1, "ann", None), row(1, "silent", Some("no_address")), row(3, "ann", None), row(3, "silent", None)],
        "the inbox has one row for everybody instead"
    );
}

#[tokio::test]
async fn everyone_finds_one_broadcast_of_the_moment_when_it_fires() {
    let world = World::new().await;
    world.people([person("ann", &[]), disabled(person("off", &[]))]).await;
    let mut post = world.post(&[INBOX], everyone());
    post.due = Some(world.now() + HOUR);
    let message = world.submit(post).await;
    world.clock.advance(HOUR / 2);
    world.people([person("new", &[])]).await;
    world.clock.advance(HOUR / 2);
    assert_eq!(world.expand().await, 1);
    assert_eq!(world.names(message).await, [""; 0]);
    world.clock.advance(HOUR);
    world.people([person("late", &[])]).await;
    let mut found = Vec::new();
    for reader in ["ann", "new", "off", "late"] {
        let items = world.store.inbox(reader.into(), Default::default(), None, 9).await.expect("reads");
        assert!(items.iter().all(|item| item.message == message && item.broadcast));
        found.push((reader, items.len()));
    }
    assert_eq!(found, [("ann", 1), ("new", 1), ("off", 0), ("late", 0)]);
    assert_eq!(world.expand().await, 0, "and no second one");
}

#[tokio::test]
async fn a_second_inbox_has_an_item_for_each() {
    let world = World::new().await;
    world.people([person("ann", &[]), person("bob", &[])]).await;
    let message = world.submit(world.post(&[INBOX, SECOND_INBOX], everyone())).await;
    world.expand().await;
    let row = |name: &str| (SECOND_INBOX.0, name.to_owned(), None);
    assert_eq!(world.who(message).await, [row("ann"), row("bob")]);
    let items = world.store.inbox("ann".into(), Default::default(), None, 9).await.expect("reads");
    assert_eq!(items.iter().map(|item| (item.channel, item.broadcast)).collect::<Vec<_>>(), [(INBOX, true)]);
}

#[tokio::test]
async fn people_named_find_an_item_of_their_own() {
    let world = World::new().await;
    world.people([person("ann", &[]), person("bob", &[])]).await;
    let message = world.submit(world.post(&[INBOX], named(&["ann", "bob"]))).await;
    assert_eq!(world.names(message).await, ["ann", "bob"]);
    let addresses: Vec<_> = world.deliveries(message).await.into_iter().map(|row| row.address).collect();
    assert_eq!(addresses, ["ann", "bob"], "an inbox is reached by the code of its reader");
}

#[tokio::test]
async fn a_channel_that_is_declared_no_more_reaches_nobody() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let mut post = world.post(&[SMS, MAIL], everyone());
    post.due = Some(world.now() + HOUR);
    let message = world.submit(post).await;
    world.clock.advance(HOUR);
    let channels = world.setup.get().channels().iter().filter(|c| c.no != SMS).map(|c| (**c).clone()).collect();
    world.setup.set(Setup::new(2, Default::default(), vec![], channels, vec![]));
    world.expand().await;
    let row = |channel, skipped| (channel, "ann".to_owned(), skipped);
    assert_eq!(world.who(message).await, [row(1, Some("no_address")), row(3, None)]);
}
