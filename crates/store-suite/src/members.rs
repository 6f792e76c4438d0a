//! Finding people and groups: pages, all below a department, the members of groups, and whom an address reaches.

use hongyan_core::{
    directory::{
        DirectoryChange,
        GroupKind::{Department, Post, Role},
        GroupNo, Member, UserEntry,
    },
    setup::User,
};

use crate::{
    Bench,
    directory::{department, entry, group, groups, make, no, user, users},
    world::World,
};

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

/// In the order of their codes, byte for byte, page by page; disabled people too.
pub async fn people_and_groups_come_in_pages(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let order = ["A", "B b", "a", "aa", "b", "é", "王", "鸿"];
    let mut shuffled = order;
    shuffled.rotate_left(3);
    shuffled.swap(0, 4);
    let groups: Vec<_> = shuffled.iter().flat_map(|code| [department(code, ""), group(Role, code, "")]).collect();
    let mut people: Vec<_> = shuffled.iter().map(|code| entry(code, &[], &[], &[])).collect();
    people[2].user.enabled = false;
    make(&world, DirectoryChange { groups, users: people }).await;
    for limit in [1, 3, 8, 20] {
        let (mut people, mut departments): (Vec<String>, Vec<String>) = Default::default();
        loop {
            let after = people.last().cloned();
            let page = world.store().users_page(after, limit).await.expect("lists");
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            people.extend(page.into_iter().map(|user| user.code));
        }
        loop {
            let after = departments.last().cloned();
            let page = world.store().groups_page(Department, after, limit).await.expect("lists");
            assert!(page.iter().all(|group| group.kind == Department) && page.len() <= limit);
            if page.is_empty() {
                break;
            }
            departments.extend(page.into_iter().map(|group| group.code));
        }
        assert_eq!((&people[..], &departments[..]), (&codes(&order)[..], &codes(&order)[..]));
    }
    assert!(world.store().groups_page(Post, None, 9).await.expect("lists").is_empty());
    let after = world.store().users_page(Some("a!".into()), 2).await.expect("lists");
    assert_eq!(after.into_iter().map(|user| user.code).collect::<Vec<_>>(), ["aa", "b"], "after one that is not there");
}

/// Several at once; those that are unknown are left out.
pub async fn groups_are_found_by_code(bench: &impl Bench) {
    let world = World::begin(bench).await;
    make(&world, groups(&[department("a", ""), department("b", "a"), group(Post, "a", "")])).await;
    let find = async |kind, of: &[&str]| {
        let mut found: Vec<_> = world
            .store()
            .groups_find(kind, codes(of))
            .await
            .expect("finds")
            .into_iter()
            .map(|group| group.code)
            .collect();
        found.sort_unstable();
        found
    };
    assert_eq!(find(Department, &["b", "x", "a"]).await, ["a", "b"]);
    assert_eq!(find(Post, &["b", "a"]).await, ["a"]);
    assert!(find(Role, &["a"]).await.is_empty() && find(Role, &[]).await.is_empty());
    let many: Vec<String> = (0..5_000).map(|n| format!("c{n}")).chain(["a".to_owned()]).collect();
    assert_eq!(world.store().groups_find(Department, many).await.expect("finds").len(), 1);
}

/// Each once, in the order of their numbers, however they overlap; posts and roles have nothing below them.
pub async fn all_below_a_department_are_found_once(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let tree = ["a", "a1 a", "a2 a", "a11 a1", "a12 a1", "b", "b1 b"];
    let tree: Vec<_> = tree.iter().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
    make(&world, groups(&tree.iter().map(|(code, parent)| department(code, parent)).collect::<Vec<_>>())).await;
    make(&world, groups(&[group(Post, "p", ""), group(Role, "r", "")])).await;
    let mut numbers = Vec::new();
    for (kind, code) in tree.iter().map(|(code, _)| (Department, *code)).chain([(Post, "p"), (Role, "r")]) {
        numbers.push((code, no(&world, kind, code).await));
    }
    let number = |code: &str| numbers.iter().find(|(of, _)| *of == code).expect("is there").1;
    for (asked, below) in [
        (vec!["a"], vec!["a", "a1", "a2", "a11", "a12"]),
        (vec!["a1", "a", "a12", "a"], vec!["a", "a1", "a2", "a11", "a12"]),
        (vec!["r", "b1", "p", "a1"], vec!["r", "p", "b1", "a1", "a11", "a12"]),
        (vec!["a11"], vec!["a11"]),
        (vec![], vec![]),
    ] {
        let mut expected: Vec<_> = below.into_iter().map(number).collect();
        expected.sort_unstable();
        let asked: Vec<_> = asked.into_iter().map(number).collect();
        assert_eq!(world.store().groups_below(asked.clone()).await, Ok(expected), "{asked:?}");
    }
}

/// A directory for the cases about members.
async fn company(world: &World<'_>) -> [GroupNo; 4] {
    make(world, groups(&[department("d", ""), department("e", "d"), group(Post, "p", ""), group(Role, "r", "")])).await;
    let mut off = entry("b", &["d"], &[], &[]);
    off.user.enabled = false;
    let people: [UserEntry; 6] = [
        entry("c", &["e"], &["p"], &["r"]),
        entry("a", &["d", "e"], &[], &[]),
        off,
        entry("王", &["d"], &["p"], &[]),
        entry("C", &["d"], &[], &[]),
        entry("nobody", &[], &[], &[]),
    ];
    make(world, users(&people)).await;
    [
        no(world, Department, "d").await,
        no(world, Department, "e").await,
        no(world, Post, "p").await,
        no(world, Role, "r").await,
    ]
}

async fn members(
    world: &World<'_>,
    groups: &[GroupNo],
    after: Option<(GroupNo, &str)>,
    limit: usize,
) -> Vec<(GroupNo, String)> {
    let after = after.map(|(group, code)| (group, code.to_owned()));
    let found = world.store().members(groups.to_vec(), after, limit).await.expect("lists");
    found.into_iter().map(|member| (member.group, member.user.code)).collect()
}

/// Group by group in the order of their numbers, in each by code, page by page, each member with all their groups.
pub async fn members_stream_group_by_group(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let all = company(&world).await;
    let [d, e, p, r] = all;
    let of = [(d, ["C", "a", "b", "王"].as_slice()), (e, &["a", "c"]), (p, &["c", "王"]), (r, &["c"])];
    let mut expected: Vec<(GroupNo, String)> =
        of.iter().flat_map(|(group, codes)| codes.iter().map(|code| (*group, (*code).to_owned()))).collect();
    expected.sort();
    let reversed = [r, p, e, d, e];
    assert_eq!(members(&world, &reversed, None, 99).await, expected, "each group once, by number");
    for limit in 1..=10 {
        let mut walked: Vec<(GroupNo, String)> = Vec::new();
        loop {
            let after = walked.last().map(|(group, code)| (*group, code.as_str()));
            let page = members(&world, &all, after, limit).await;
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            walked.extend(page);
        }
        assert_eq!(walked, expected, "by {limit}");
    }
    let found = world.store().members(vec![e], None, 9).await.expect("lists");
    let [a, c] = &found[..] else { panic!("{found:?}") };
    let own = |member: &Member| {
        let mut groups = member.groups.clone();
        groups.sort_unstable();
        groups
    };
    let sorted = |mut groups: Vec<GroupNo>| {
        groups.sort_unstable();
        groups
    };
    assert_eq!((&a.user, own(a)), (&user("a"), sorted(vec![d, e])), "also those that were not asked for");
    assert_eq!((&c.user, own(c)), (&user("c"), sorted(vec![e, p, r])));
    let found = world.store().members(vec![d], None, 9).await.expect("lists");
    assert_eq!(found.iter().filter(|member| !member.user.enabled).count(), 1, "disabled ones too");
    assert!(members(&world, &[], None, 9).await.is_empty());
}

/// Whoever comes and goes between two pages: those who stay come once.
pub async fn members_go_on_behind_one_who_left(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let [d, e, ..] = company(&world).await;
    let first = members(&world, &[d, e], None, 2).await;
    let first: Vec<_> = first.iter().map(|(_, code)| code.as_str()).collect();
    assert_eq!((first, d < e), (vec!["C", "a"], true));
    make(&world, users(&[entry("a", &[], &[], &[]), entry("aa", &["d"], &[], &[]), entry("A", &["d"], &[], &[])]))
        .await;
    let next = members(&world, &[d, e], Some((d, "a")), 9).await;
    let expected = [(d, "aa"), (d, "b"), (d, "王"), (e, "c")].map(|(group, code)| (group, code.to_owned()));
    assert_eq!(next, expected);
    assert_eq!(members(&world, &[e], Some((d, "王")), 9).await, [(e, "c".to_owned())], "behind a group not asked for");
}

/// By mail, whatever its case, or by phone; nobody by an empty one, and each once.
pub async fn addresses_reach_people(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let reached = |code: &str, email: &str, phone: &str| UserEntry {
        user: User { email: email.into(), phone: phone.into(), ..user(code) },
        ..UserEntry::default()
    };
    let mut off = reached("off", "off@example.com", "");
    off.user.enabled = false;
    let people = [
        reached("a", "Ann.Lee@Example.com", "+8613800000001"),
        reached("b", "b@example.com", "+8613800000001"),
        reached("c", "", "+8613800000003"),
        reached("d", "b@example.com", ""),
        off,
    ];
    make(&world, users(&people)).await;
    let find = async |emails: &[&str], phones: &[&str]| {
        let found = world.store().users_reached(codes(emails), codes(phones)).await.expect("finds");
        let mut found: Vec<_> = found.into_iter().map(|user| user.code).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(find(&["ann.lee@example.COM"], &[]).await, ["a"]);
    assert_eq!(find(&["B@example.com", "b@example.com"], &[]).await, ["b", "d"]);
    assert_eq!(find(&["ann.lee@example.com"], &["+8613800000001"]).await, ["a", "b"]);
    assert_eq!(find(&["OFF@example.com"], &["+8613800000003"]).await, ["c", "off"]);
    assert!(find(&[""], &[""]).await.is_empty(), "nobody is reached under nothing");
    assert!(find(&["nn.lee@example.com"], &["13800000001"]).await.is_empty());
    make(&world, users(&[reached("a", "new@example.com", "")])).await;
    assert_eq!(find(&["ann.lee@example.com", "NEW@example.com"], &["+8613800000001"]).await, ["a", "b"]);
    let found = world.store().users_reached(codes(&["new@example.com"]), Vec::new()).await.expect("finds");
    assert_eq!(found, [reached("a", "new@example.com", "").user]);
}
