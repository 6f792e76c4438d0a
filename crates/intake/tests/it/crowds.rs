//! Audiences of many pages: nobody lost and nobody twice, whatever dies between two pages, and however the directory moves.

use std::collections::BTreeSet;

use hongyan_core::store::People;

use crate::world::{MAIL, SMS, World, departments, disabled, everyone, person};

/// `n` people of these groups, whose codes begin so.
fn crowd(prefix: &str, n: usize, groups: &[&str]) -> Vec<hongyan_core::directory::UserEntry> {
    (0..n).map(|n| person(&format!("{prefix}{n:05}"), groups)).collect()
}

#[tokio::test]
async fn a_node_that_dies_after_every_page_loses_nobody_and_repeats_nobody() {
    let mut world = World::new().await;
    world.groups(&["D", "E<D"]).await;
    world.people(crowd("d", 1_300, &["D"])).await;
    world.people(crowd("e", 1_100, &["E", "P"])).await;
    world.people(crowd("p", 100, &["P"])).await;
    let people = People {
        users: vec!["d00007".into(), "e00007".into(), "nobody".into()],
        posts: vec!["P".into()],
        ..departments(&["D"])
    };
    let message = world.submit(world.post(&[SMS, MAIL], people)).await;
    let mut pages = 0;
    while world.expander.round().await == Ok(1) {
        pages += 1;
        world = world.restart().await;
        assert!(pages < 20, "it comes to an end");
    }
    assert!(pages >= 5, "no page has more than 1000 deliveries: {pages}");
    let counts = world.counts(message).await;
    assert_eq!((counts.len(), counts.values().max()), (2 * 2_500 + 1, Some(&1)));
    let everywhere = |name: &str| [1, 3].iter().all(|channel| counts.contains_key(&(*channel, name.to_owned())));
    assert!(["d00000", "d01299", "e00000", "e01099", "p00099"].into_iter().all(everywhere));
}

#[tokio::test]
async fn the_pages_of_a_message_go_round_over_the_buckets() {
    let world = World::new().await;
    world.people(crowd("p", 3_500, &[])).await;
    let message = world.submit(world.post(&[SMS], everyone())).await;
    world.expand().await;
    let rows = world.deliveries(message).await;
    let buckets: BTreeSet<u8> = rows.iter().map(|row| row.id.bucket()).collect();
    assert_eq!((rows.len(), buckets.len()), (3_500, 4), "a bucket for each page");
    for page in rows.chunks(1_000) {
        assert!(page.iter().all(|row| row.id.bucket() == page[0].id.bucket()), "one bucket a page");
    }
}

#[tokio::test]
async fn pages_whose_people_were_all_taken_before_are_no_end() {
    let world = World::new().await;
    world.groups(&["D", "E", "F"]).await;
    // Who is in D is in E too: E's first pages hold nobody new, and F is behind them.
    world.people(crowd("both", 12_000, &["D", "E"])).await;
    world.people(crowd("last", 3, &["F"])).await;
    let message = world.submit(world.post(&[SMS], departments(&["D", "E", "F"]))).await;
    let pages = world.expand().await;
    assert!(pages > 12, "at least one page is empty: {pages}");
    let counts = world.counts(message).await;
    assert_eq!((counts.len(), counts.values().max()), (12_003, Some(&1)));
}

#[tokio::test]
async fn the_directory_may_move_between_two_pages() {
    let world = World::new().await;
    world.groups(&["A", "B", "C"]).await;
    world.people(crowd("a", 1_000, &["A"])).await;
    world.people([person("leaves", &["B"]), person("moves", &["B"]), person("stays", &["B"])]).await;
    world.people([person("falls", &["C"])]).await;
    let message = world.submit(world.post(&[SMS], departments(&["A", "B", "C"]))).await;
    assert_eq!(world.expander.round().await, Ok(1));
    world
        .people([
            person("leaves", &[]),
            person("moves", &["C"]),
            person("joins", &["C", "B"]),
            disabled(person("falls", &["C"])),
        ])
        .await;
    world.expand().await;
    let names = world.names(message).await;
    assert_eq!(names[1_000..], ["joins", "stays", "moves"], "as it stands when their page comes");
}

#[tokio::test]
async fn a_large_audience_holds_up_no_small_one() {
    let world = World::new().await;
    world.groups(&["small"]).await;
    world.people(crowd("p", 3_000, &[])).await;
    world.people([person("q", &["small"])]).await;
    let large = world.submit(world.post(&[SMS], everyone())).await;
    assert_eq!(world.expander.round().await, Ok(1));
    let small = world.submit(world.post(&[SMS], departments(&["small"]))).await;
    assert_eq!(world.expander.round().await, Ok(2), "a page each");
    assert_eq!(world.names(small).await, ["q"]);
    assert_eq!(world.deliveries(large).await.len(), 2_000);
    world.expand().await;
    assert_eq!(world.deliveries(large).await.len(), 3_001);
}

#[tokio::test]
async fn many_large_audiences_all_get_on() {
    let world = World::new().await;
    world.people(crowd("p", 1_001, &[])).await;
    let mut messages = Vec::new();
    for _ in 0..12 {
        messages.push(world.submit(world.post(&[SMS], everyone())).await);
    }
    assert_eq!(world.expander.round().await, Ok(12), "each begins");
    let mut rounds = 0;
    while world.expander.round().await.expect("works") > 0 {
        rounds += 1;
    }
    assert!(rounds <= 2, "in turns: {rounds}");
    for message in messages {
        assert_eq!(world.deliveries(message).await.len(), 1_001);
    }
}
