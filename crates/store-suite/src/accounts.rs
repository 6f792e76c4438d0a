//! Accounts of the token API: names, contacts and numbers; and the tokens by which they speak, with everything that ends them.

use std::{collections::HashSet, time::Duration};

use futures_util::future::{join, join_all};
use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, Profile, Role},
    time::Timestamp,
};

use crate::{Bench, world::World};

const LIFE: Duration = Duration::from_secs(3_000);

fn profile() -> Profile {
    Profile {
        password: "$argon2id$first".into(),
        role: Role::User,
        per_hour: 5,
        per_day: 20,
        available: true,
        enabled: true,
        contacts: Default::default(),
    }
}

fn with_contact(which: usize, contact: &str) -> Profile {
    let mut profile = profile();
    profile.contacts[which] = contact.into();
    profile
}

async fn try_add(world: &World<'_>, name: &str, profile: Profile) -> AccountAdded {
    world.store().account_add(name.into(), profile, world.now).await.expect("answers")
}

async fn add(world: &World<'_>, name: &str, profile: Profile) -> Account {
    match try_add(world, name, profile).await {
        AccountAdded::Yes(account) => account,
        other => panic!("{name} is not added: {other:?}"),
    }
}

async fn find(world: &World<'_>, name: &str) -> Option<Account> {
    world.store().account_find(name.into()).await.expect("looks up")
}

async fn change(world: &World<'_>, name: &str, change: AccountChange) -> Option<Account> {
    world.store().account_change(name.into(), change).await.expect("changes")
}

async fn remove(world: &World<'_>, name: &str) -> bool {
    world.store().account_remove(name.into()).await.expect("removes")
}

/// Logs in with the password that [`profile`] has.
async fn log_in(world: &World<'_>, name: &str, token: u8) -> bool {
    let (password, expires) = (profile().password, world.now + LIFE);
    world.store().account_token_add(name.into(), password, [token; 32], expires).await.expect("answers")
}

/// Who speaks by a token.
async fn speaks(world: &World<'_>, token: u8, now: Timestamp) -> Option<String> {
    let found = world.store().account_token_find([token; 32], now).await.expect("answers");
    found.map(|account| account.name)
}

/// Everything of an account is kept, whatever its name; lists are in the order of the names' bytes.
pub async fn keeps_accounts(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let admin = Profile {
        role: Role::Admin,
        per_hour: 0,
        per_day: u32::MAX,
        available: false,
        enabled: false,
        contacts: ["13800000001".into(), "a@x.com".into(), "iMSG-10001".into()],
        ..profile()
    };
    let mut made = vec![add(&world, "天存-system-1001", profile()).await];
    world.pass(Duration::from_secs(1));
    made.push(add(&world, "b", admin.clone()).await);
    for name in ["B", "a'; --", "é", "100%"] {
        made.push(add(&world, name, profile()).await);
    }
    assert_eq!((made[1].created, &made[1].profile), (world.now, &admin));
    let numbers: HashSet<_> = made.iter().map(|account| account.no).collect();
    assert_eq!(numbers.len(), made.len(), "each has a number of its own");
    world.crash().await;
    for account in &made {
        assert_eq!(find(&world, &account.name).await.as_ref(), Some(account));
    }
    for stranger in ["", "c", "A", "天存-system-1001 "] {
        assert_eq!(find(&world, stranger).await, None);
    }
    let mut sorted = made.clone();
    sorted.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let mut listed: Vec<Account> = Vec::new();
    loop {
        let after = listed.last().map(|last| last.name.clone());
        let page = world.store().accounts(after, 4).await.expect("lists");
        assert!(page.len() <= 4);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, sorted);
    remove(&world, "b").await;
    let mut names = world.store().account_names(numbers.into_iter().collect()).await.expect("looks up");
    names.sort();
    let left = made.iter().filter(|account| account.name != "b");
    let mut expected: Vec<_> = left.map(|account| (account.no, account.name.clone())).collect();
    expected.sort();
    assert_eq!(names, expected);
}

/// A name is one account's, and so is each contact; an account without a contact collides with nobody.
pub async fn names_and_contacts_are_one_accounts(bench: &impl Bench) {
    let world = World::begin(bench).await;
    add(&world, "a", with_contact(0, "138")).await;
    add(&world, "b", with_contact(1, "138")).await;
    add(&world, "c", with_contact(2, "138")).await;
    for (name, profile, expected) in [
        ("a", profile(), AccountAdded::NameTaken),
        ("a", with_contact(0, "138"), AccountAdded::NameTaken),
        ("d", with_contact(0, "138"), AccountAdded::ContactTaken),
        ("d", with_contact(1, "138"), AccountAdded::ContactTaken),
        ("d", with_contact(2, "138"), AccountAdded::ContactTaken),
    ] {
        assert_eq!(try_add(&world, name, profile.clone()).await, expected, "{name}, {profile:?}");
    }
    assert_eq!(find(&world, "d").await, None, "a refusal leaves nothing");
    add(&world, "d", profile()).await;
    add(&world, "e", with_contact(1, "A@x.com")).await;
    add(&world, "f", with_contact(1, "a@x.com")).await;
}

/// Of many who want the same name, or the same contact, at once one has it.
pub async fn one_of_many_has_a_name(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let same_name = (0..16).map(|_| try_add(&world, "a", profile()));
    let same_contact: Vec<_> = (0..16).map(|n| format!("b{n}")).collect();
    let same_contact = same_contact.iter().map(|name| try_add(&world, name, with_contact(0, "138")));
    let (names, contacts) = join(join_all(same_name), join_all(same_contact)).await;
    for (answers, refusal) in [(names, AccountAdded::NameTaken), (contacts, AccountAdded::ContactTaken)] {
        let added = answers.iter().filter(|answer| matches!(answer, AccountAdded::Yes(_))).count();
        let refused = answers.iter().filter(|answer| **answer == refusal).count();
        assert_eq!((added, refused), (1, 15));
    }
    assert_eq!(world.store().accounts(None, 99).await.expect("lists").len(), 2);
}

/// A change touches what it names, of the account that it names.
pub async fn accounts_change(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let before = add(&world, "a", with_contact(1, "a@x.com")).await;
    let other = add(&world, "b", profile()).await;
    assert_eq!(change(&world, "c", AccountChange::default()).await, None);
    assert_eq!(change(&world, "a", AccountChange::default()).await.as_ref(), Some(&before));
    let all = AccountChange {
        password: Some("second".into()),
        role: Some(Role::Admin),
        per_hour: Some(0),
        per_day: Some(7),
        available: Some(false),
        enabled: Some(false),
    };
    let mut expected = before;
    for one in [
        AccountChange { per_day: Some(3), ..AccountChange::default() },
        AccountChange { available: Some(false), per_hour: Some(9), ..AccountChange::default() },
        all,
    ] {
        one.clone().apply(&mut expected.profile);
        assert_eq!(change(&world, "a", one).await.as_ref(), Some(&expected));
    }
    world.crash().await;
    assert_eq!((find(&world, "a").await, find(&world, "b").await), (Some(expected), Some(other)));
}

/// What is removed is gone with its tokens; its name and its contacts are free again, its number never.
pub async fn a_number_is_never_given_again(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let first = add(&world, "a", with_contact(0, "138")).await;
    assert!(log_in(&world, "a", 1).await);
    assert_eq!((remove(&world, "a").await, remove(&world, "a").await, remove(&world, "b").await), (true, false, false));
    assert_eq!((find(&world, "a").await, speaks(&world, 1, world.now).await), (None, None));
    world.crash().await;
    let second = add(&world, "a", with_contact(0, "138")).await;
    assert_ne!(first.no, second.no);
    assert_eq!(speaks(&world, 1, world.now).await, None, "who has the name now is somebody else");
    assert!(remove(&world, "a").await);
    let third = add(&world, "b", profile()).await;
    assert!(third.no != first.no && third.no != second.no);
}

/// Whether a token counts, by what happened after the login.
pub async fn tokens_count_until_something_ends_them(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let none = AccountChange::default();
    let off = AccountChange { enabled: Some(false), ..none.clone() };
    let on = AccountChange { enabled: Some(true), ..none.clone() };
    let password = AccountChange { password: Some("second".into()), ..none.clone() };
    let limits = AccountChange { per_hour: Some(0), per_day: Some(0), available: Some(false), ..none.clone() };
    let role = AccountChange { role: Some(Role::Admin), ..none.clone() };
    let table: [(&str, &[AccountChange], bool); 9] = [
        ("nothing", &[], true),
        ("no change", &[none], true),
        ("limits", &[limits], true),
        ("a role", std::slice::from_ref(&role), true),
        ("enabled as it was", std::slice::from_ref(&on), true),
        ("disabled", std::slice::from_ref(&off), false),
        ("disabled and enabled", &[off.clone(), on.clone()], false),
        ("a password", std::slice::from_ref(&password), false),
        ("a password and more", &[password.clone(), role.clone()], false),
    ];
    for (token, (what, changes, counts)) in (1u8..).zip(table) {
        add(&world, what, profile()).await;
        assert!(log_in(&world, what, token).await);
        for one in changes {
            assert!(change(&world, what, one.clone()).await.is_some());
        }
        let expected = counts.then(|| what.to_owned());
        assert_eq!(speaks(&world, token, world.now).await, expected, "after {what}");
    }
    assert_eq!(speaks(&world, 99, world.now).await, None, "nobody was given it");
}

/// A token counts before its time is over, beside others, and after a restart; it names the account as it stands.
pub async fn tokens_last_their_time(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begun = world.now;
    add(&world, "a", profile()).await;
    assert!(log_in(&world, "a", 1).await);
    world.pass(LIFE / 2);
    assert!(log_in(&world, "a", 2).await && log_in(&world, "a", 3).await);
    let last = begun + LIFE - Duration::from_millis(1);
    world.crash().await;
    for (token, now, counts) in [(1, last, true), (1, begun + LIFE, false), (2, begun + LIFE, true), (3, last, true)] {
        assert_eq!(speaks(&world, token, now).await, counts.then(|| "a".to_owned()), "{token} at {now:?}");
    }
    let changed = change(&world, "a", AccountChange { per_hour: Some(1), ..AccountChange::default() }).await;
    assert_eq!(world.store().account_token_find([2; 32], world.now).await, Ok(changed));
    while world.store().prune(begun, 10, begun + LIFE).await.expect("prunes") {}
    assert_eq!(speaks(&world, 2, world.now).await, Some("a".to_owned()), "only what is over is forgotten");
}

/// Who could log in when the password was checked may not be let in any more when the token is kept.
pub async fn a_token_is_kept_for_the_password_that_was_checked(bench: &impl Bench) {
    let world = World::begin(bench).await;
    for name in ["changed", "off", "gone"] {
        add(&world, name, profile()).await;
    }
    let none = AccountChange::default();
    change(&world, "changed", AccountChange { password: Some("second".into()), ..none.clone() }).await;
    change(&world, "off", AccountChange { enabled: Some(false), ..none.clone() }).await;
    remove(&world, "gone").await;
    for (token, name) in (1u8..).zip(["changed", "off", "gone", "never there"]) {
        assert!(!log_in(&world, name, token).await, "{name}");
        assert_eq!(speaks(&world, token, world.now).await, None, "{name}");
    }
    let expires = world.now + LIFE;
    let again = world.store().account_token_add("changed".into(), "second".into(), [9; 32], expires).await;
    assert_eq!((again, speaks(&world, 9, world.now).await), (Ok(true), Some("changed".to_owned())));
    change(&world, "off", AccountChange { enabled: Some(true), ..none }).await;
    assert!(log_in(&world, "off", 8).await);
}
