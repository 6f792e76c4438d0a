//! What a dialect may ask of the directory before it accepts.

use hongyan_core::{directory::GroupKind, store::People};
use hongyan_intake::LookUp;

use crate::world::{World, departments, disabled, everyone, named, person};

#[tokio::test]
async fn who_is_unknown_and_whether_anybody_is_left() {
    let world = World::new().await;
    world.groups(&["D1", "D2", "below<D2", "empty"]).await;
    let crowd = (0..120).map(|n| disabled(person(&format!("off{n:03}"), &["D1"])));
    world.people([person("ann", &[]), person("zoe", &["below"]), disabled(person("off", &["P"]))]).await;
    world.people(crowd).await;
    let users = |codes: &[&str]| -> Vec<String> { codes.iter().map(|code| (*code).to_owned()).collect() };
    let answer = |anybody, unknown: &[&str]| LookUp { unknown_users: users(unknown), anybody, ..LookUp::default() };
    let post = People { posts: vec!["P".into()], ..People::default() };
    for (people, expected) in [
        (named(&[]), answer(false, &[])),
        (named(&["ann"]), answer(true, &[])),
        (named(&["b", "ann", "off", "b"]), answer(true, &["b", "off"])),
        (named(&["off"]), answer(false, &["off"])),
        (departments(&["D1"]), answer(false, &[])),
        (departments(&["D2"]), answer(true, &[])),
        (People { with_below: false, ..departments(&["D2"]) }, answer(false, &[])),
        (departments(&["D1", "D2"]), answer(true, &[])),
        (departments(&["empty"]), answer(false, &[])),
        (post, answer(false, &[])),
        (everyone(), answer(true, &[])),
        (People { everyone: true, ..named(&["b"]) }, answer(true, &[])),
    ] {
        assert_eq!(world.intake.look_up(&people).await, Ok(expected), "{people:?}");
    }
    let people = People { roles: users(&["R", "X"]), posts: users(&["X"]), ..departments(&["X", "D2"]) };
    let unknown = [GroupKind::Department, GroupKind::Post, GroupKind::Role].map(|kind| (kind, "X".to_owned()));
    let expected = LookUp { unknown_groups: unknown.to_vec(), anybody: true, unknown_users: vec![] };
    assert_eq!(world.intake.look_up(&people).await, Ok(expected));
}

#[tokio::test]
async fn everyone_may_be_nobody() {
    let world = World::new().await;
    world.people([disabled(person("off", &[]))]).await;
    assert_eq!(world.intake.look_up(&everyone()).await, Ok(LookUp::default()));
}

#[tokio::test]
async fn people_are_found_by_where_they_are_reached() {
    let world = World::new().await;
    world.people([person("ann", &[]), person("bob", &[])]).await;
    let found = world.intake.users_reached(vec!["ANN@x.cn".into()], vec![]).await.expect("reads");
    assert_eq!(found.iter().map(|user| user.code.as_str()).collect::<Vec<_>>(), ["ann"]);
    assert_eq!(world.intake.users_reached(vec![], vec![]).await, Ok(vec![]));
}
