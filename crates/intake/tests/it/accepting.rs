//! What one commit holds of a post: every channel, what each says, who is known already, and who follows.

use hongyan_core::{
    content::{Content, Sender},
    delivery::State,
    limits,
    message::{Idempotency, Label, MessageState},
    store::{Addressee, Deliveries, Messages, People},
};
use hongyan_intake::{PostTo, Posted, Refusal};

use crate::world::{HOUR, INBOX, MAIL, SMS, World, named, person};

fn addressee(n: usize) -> Addressee {
    Addressee { recipient: format!("r{n:05}"), address: format!("a{n}@x.cn"), skipped: None }
}

#[tokio::test]
async fn people_named_are_in_the_commit_on_every_channel_and_born_leased() {
    let world = World::new().await;
    world.people((0..3).map(|n| person(&format!("p{n}"), &[]))).await;
    world.desk.free(10);
    let before = world.commits();
    let mut post = world.post(&[SMS, INBOX, MAIL], named(&["p0", "p1", "p2"]));
    let label = Label { sender_name: "张三".into(), business: "B1".into(), ..Label::default() };
    post.label = label.clone();
    let message = world.submit(post).await;
    assert_eq!(world.commits() - before, 1);
    assert_eq!(world.expander.round().await, Ok(0), "nothing is left to be found");
    let record = world.store.message_read(message).await.expect("reads").expect("there");
    assert_eq!((record.message.state, &record.message.label), (MessageState::Expanded, &label));
    assert!(record.deliveries.iter().all(|row| row.track.state == State::Leased), "each channel had a free slot");
    let mut parcels: Vec<_> = world.desk.taken().into_iter().map(|(channel, rows)| (channel.0, rows)).collect();
    parcels.sort_unstable();
    assert_eq!(parcels, [(1, 3), (2, 3), (3, 1), (3, 1), (3, 1)], "a mail to each");
}

#[tokio::test]
async fn each_channel_says_its_own_under_the_name_of_the_sender() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let mut post = world.post(&[SMS, INBOX, MAIL], named(&["ann"]));
    let label = Label { sender_name: "张三".into(), kind: "notice".into(), ..Label::default() };
    post.label = label.clone();
    let message = world.submit(post).await;
    let cargo = world.store.cargo_read(vec![message]).await.expect("reads").remove(0).1;
    let Content::Mail(mail) = &*cargo.content.on(MAIL).expect("says something") else { panic!("a mail") };
    assert_eq!(mail.from, Some(Sender { name: "张三".into(), address: "notice@x.cn".into() }));
    assert_eq!(mail.to, [""; 0], "nobody sees the others");
    let Content::InApp(item) = &*cargo.content.on(INBOX).expect("says something") else { panic!("an item") };
    assert_eq!(item.label, label);
    assert!(matches!(&*cargo.content.on(SMS).expect("says something"), Content::Text(text) if text.text == "hello"));

    let alone = world.submit(world.post(&[MAIL], named(&["ann"]))).await;
    let cargo = world.store.cargo_read(vec![alone]).await.expect("reads").remove(0).1;
    let Content::Mail(mail) = &*cargo.content else { panic!("one channel needs no map: {:?}", cargo.content) };
    assert_eq!(mail.from.as_ref().map(|from| from.name.as_str()), Some("Notice"));
}

#[tokio::test]
async fn the_same_key_is_the_same_message() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let post = |byte: u8| {
        let mut post = world.post(&[SMS], named(&["ann"]));
        post.idempotency = Some(Idempotency { key: "k".into(), fingerprint: [byte; 32] });
        post
    };
    let Posted { message, seen } = world.intake.post(post(1)).await.expect("accepted");
    assert!(!seen);
    assert_eq!(world.intake.post(post(1)).await, Ok(Posted { message, seen: true }));
    assert_eq!(world.intake.post(post(2)).await, Err(Refusal::KeyReused));
    assert_eq!(world.names(message).await, ["ann"]);
}

#[tokio::test]
async fn what_is_due_later_has_nobody_yet_and_expires_a_day_after_its_time() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let lists = || PostTo::Addresses(vec![vec![addressee(1)], vec![addressee(2)]]);
    for (to, after) in
        [(PostTo::People(named(&["ann"])), vec![(1, "ann"), (3, "ann")]), (lists(), vec![(1, "r00001"), (3, "r00002")])]
    {
        let mut post = world.post_to(&[SMS, MAIL], to);
        let due = world.now() + HOUR;
        post.due = Some(due);
        let message = world.submit(post).await;
        let record = world.store.message_read(message).await.expect("reads").expect("there");
        assert_eq!((record.message.state, record.deliveries.len()), (MessageState::Scheduled, 0));
        assert_eq!(record.message.expires, due + limits::TIME_TO_LIVE);
        world.clock.advance(HOUR);
        assert_eq!(world.expand().await, 1);
        let record = world.store.message_read(message).await.expect("reads").expect("there");
        assert_eq!(record.message.state, MessageState::Expanded);
        let rows: Vec<_> = record.deliveries.iter().map(|row| (row.channel.0, row.recipient.as_str())).collect();
        assert_eq!(rows, after);
        assert!(record.deliveries.iter().all(|row| row.track.expires == due + limits::TIME_TO_LIVE));
    }
    let mut post = world.post(&[SMS], named(&["ann"]));
    post.due = Some(world.now());
    let message = world.submit(post).await;
    assert_eq!(world.names(message).await, ["ann"], "a time that is over is now");
}

#[tokio::test]
async fn lists_of_two_channels_go_on_in_later_pages_one_after_the_other() {
    let world = World::new().await;
    let lists = || vec![(0..1_500).map(addressee).collect(), (0..1_200).map(addressee).collect()];
    let mut post = world.post_to(&[SMS, MAIL], PostTo::Addresses(lists()));
    let message = world.submit(post.clone()).await;
    assert_eq!(world.deliveries(message).await.len(), limits::PAGE_RECIPIENTS_MAX, "the first page is in the commit");
    assert_eq!(world.expand().await, 2);
    post.due = Some(world.now() + HOUR);
    let later = world.submit(post).await;
    world.clock.advance(HOUR);
    assert_eq!(world.expand().await, 3);
    for message in [message, later] {
        let rows: Vec<_> = world.deliveries(message).await;
        let channels: Vec<_> = rows.iter().map(|row| row.channel).collect();
        assert_eq!(channels, [vec![SMS; 1_500], vec![MAIL; 1_200]].concat());
        let counts = world.counts(message).await;
        assert_eq!((counts.len(), counts.values().max()), (2_700, Some(&1)));
        let mails = rows.iter().filter(|row| row.channel == MAIL);
        assert!(mails.clone().all(|row| row.parcel == row.id), "a mail to each, in later pages too");
        assert!(rows.iter().filter(|row| row.channel == SMS).any(|row| row.parcel != row.id), "a call for many");
    }
}

#[tokio::test]
async fn more_named_people_than_a_page_holds_are_found_later() {
    let world = World::new().await;
    let codes: Vec<String> = (0..501).map(|n| format!("p{n:03}")).collect();
    world.people(codes.iter().map(|code| person(code, &[]))).await;
    // The first is named once more, on another page.
    let users = codes.iter().chain(&codes[..1]).cloned().collect();
    let people = People { users, ..People::default() };
    let page = world.submit(world.post(&[SMS], people.clone())).await;
    assert_eq!(world.names(page).await, codes);
    let more = world.submit(world.post(&[SMS, MAIL], people)).await;
    assert_eq!(world.names(more).await.len(), 0);
    assert_eq!(world.expand().await, 2);
    let counts = world.counts(more).await;
    assert_eq!((counts.len(), counts.values().max()), (1_002, Some(&1)));
}
