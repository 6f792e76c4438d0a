//! Changes of the directory: people, and the departments, posts and roles that they belong to; all of a change or nothing.

use hongyan_core::{
    directory::{
        DirectoryChange, DirectoryFault, DirectoryReport, Group, GroupEntry,
        GroupKind::{self, Department, Post, Role},
        GroupNo, UserEntry,
    },
    limits::DIRECTORY_FAULTS_TOLD,
    setup::User,
    store::{Declaration, PlanChange, StoreError},
};

use crate::{Bench, world::World};

pub(crate) fn group(kind: GroupKind, code: &str, parent: &str) -> GroupEntry {
    GroupEntry { kind, code: code.into(), name: format!("the {code}"), parent: parent.into() }
}

pub(crate) fn department(code: &str, parent: &str) -> GroupEntry {
    group(Department, code, parent)
}

pub(crate) fn user(code: &str) -> User {
    User {
        code: code.into(),
        name: "韩梅梅".into(),
        email: format!("{code}@example.com"),
        phone: String::new(),
        wecom: format!("w-{code}"),
        openid: String::new(),
        enabled: true,
    }
}

/// A person with their departments, posts and roles.
pub(crate) fn entry(code: &str, departments: &[&str], posts: &[&str], roles: &[&str]) -> UserEntry {
    let own = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    UserEntry { user: user(code), departments: own(departments), posts: own(posts), roles: own(roles) }
}

pub(crate) fn groups(groups: &[GroupEntry]) -> DirectoryChange {
    DirectoryChange { groups: groups.to_vec(), users: Vec::new() }
}

pub(crate) fn users(users: &[UserEntry]) -> DirectoryChange {
    DirectoryChange { groups: Vec::new(), users: users.to_vec() }
}

/// A change that must be done.
pub(crate) async fn make(world: &World<'_>, change: DirectoryChange) -> DirectoryReport {
    let report = world.store().directory_change(change, false, world.now).await.expect("changes");
    assert_eq!(report.faults, []);
    report
}

/// What is wrong with a change that must be refused, and that nothing of it is done.
async fn faults(world: &World<'_>, change: DirectoryChange) -> Vec<DirectoryFault> {
    let before = everything(world).await;
    let dry = world.store().directory_change(change.clone(), true, world.now).await.expect("looks");
    let real = world.store().directory_change(change, false, world.now).await.expect("refuses");
    assert!(!real.faults.is_empty(), "{real:?}");
    assert_eq!(dry.faults, real.faults, "a dry run finds the same");
    assert_eq!(everything(world).await, before, "nothing was done");
    real.faults
}

pub(crate) async fn find(world: &World<'_>, kind: GroupKind, code: &str) -> Option<Group> {
    let mut found = world.store().groups_find(kind, vec![code.into()]).await.expect("finds");
    assert!(found.len() <= 1);
    found.pop()
}

pub(crate) async fn no(world: &World<'_>, kind: GroupKind, code: &str) -> GroupNo {
    find(world, kind, code).await.unwrap_or_else(|| panic!("{kind:?} {code} is there")).no
}

fn sorted(mut entry: UserEntry) -> UserEntry {
    entry.departments.sort_unstable();
    entry.posts.sort_unstable();
    entry.roles.sort_unstable();
    entry
}

pub(crate) async fn entry_of(world: &World<'_>, code: &str) -> Option<UserEntry> {
    world.store().user_entries(vec![code.into()]).await.expect("finds").pop().map(sorted)
}

/// All groups, and all people with what they belong to.
async fn everything(world: &World<'_>) -> (Vec<Group>, Vec<UserEntry>) {
    let mut groups = Vec::new();
    for kind in GroupKind::ALL {
        groups.extend(world.store().groups_page(kind, None, 10_000).await.expect("lists"));
    }
    let people = world.store().users_page(None, 10_000).await.expect("lists");
    let codes = people.into_iter().map(|user| user.code).collect();
    let mut entries: Vec<_> = world.store().user_entries(codes).await.expect("finds").into_iter().map(sorted).collect();
    entries.sort_by(|a, b| a.user.code.cmp(&b.user.code));
    (groups, entries)
}

fn report(groups_new: u64, groups_changed: u64, users_new: u64, users_changed: u64, same: u64) -> DirectoryReport {
    DirectoryReport { groups_new, groups_changed, users_new, users_changed, same, faults: Vec::new() }
}

/// Three kinds of groups, whose codes do not get in each other's way, and people with all that they belong to.
pub async fn keeps_groups_and_people(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let said = [
        department("x", ""),
        department("x/y", "x"),
        department("X", "x"),
        group(Post, "x", ""),
        group(Role, "x", ""),
        group(Role, "管理员", ""),
    ];
    let mut off = entry("off", &[], &[], &["管理员"]);
    off.user.enabled = false;
    let people = [entry("ann", &["x", "x/y"], &["x"], &["x", "管理员"]), entry("bob", &[], &[], &[]), off];
    let change = DirectoryChange { groups: said.to_vec(), users: people.to_vec() };
    assert_eq!(make(&world, change).await, report(6, 0, 3, 0, 0));
    world.crash().await;
    let mut numbers = Vec::new();
    for one in &said {
        let kept = find(&world, one.kind, &one.code).await.expect("is there");
        let parent = if one.parent.is_empty() { None } else { Some(no(&world, Department, &one.parent).await) };
        assert_eq!((kept.kind, &kept.code, &kept.name, kept.parent), (one.kind, &one.code, &one.name, parent));
        numbers.push(kept.no);
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 6, "each has a number of its own, of whatever kind");
    for person in people {
        assert_eq!(entry_of(&world, &person.user.code).await, Some(person));
    }
    assert_eq!(entry_of(&world, "ANN").await, None);
    assert_eq!(find(&world, Post, "管理员").await, None);
    assert_eq!(
        world.store().users_find(vec!["off".into()]).await.expect("finds").pop().map(|user| user.enabled),
        Some(false)
    );
}

/// What differs is changed and counted, numbers stay, and what a change does not name stays as it was.
pub async fn only_what_differs_is_changed(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let tree = [department("a", ""), department("b", "a"), group(Post, "p", ""), group(Post, "q", "")];
    let people = [entry("ann", &["a", "b"], &["p"], &[]), entry("bob", &["b"], &[], &[]), entry("cy", &[], &[], &[])];
    let whole = DirectoryChange { groups: tree.to_vec(), users: people.to_vec() };
    make(&world, whole.clone()).await;
    let before = everything(&world).await;
    assert_eq!(make(&world, whole).await, report(0, 0, 0, 0, 7));
    assert_eq!(everything(&world).await, before);
    let other_order = [entry("ann", &["b", "a"], &["p"], &[])];
    assert_eq!(make(&world, users(&other_order)).await, report(0, 0, 0, 0, 1), "their order says nothing");

    let mut renamed = department("b", "a");
    renamed.name = "another".into();
    let mut phoned = entry("cy", &[], &[], &[]);
    phoned.user.phone = "+8613800000001".into();
    let mut off = entry("bob", &["b"], &[], &[]);
    off.user.enabled = false;
    let change = DirectoryChange {
        groups: vec![renamed, department("a", ""), department("c", "b"), group(Role, "r", "")],
        users: vec![entry("ann", &["c"], &[], &["r"]), phoned.clone(), off.clone(), entry("dan", &["a"], &["q"], &[])],
    };
    let number = no(&world, Department, "b").await;
    let dry = world.store().directory_change(change.clone(), true, world.now).await.expect("looks");
    assert_eq!(everything(&world).await, before, "a dry run does nothing");
    let real = make(&world, change).await;
    assert_eq!(real, report(2, 1, 1, 3, 1));
    assert_eq!(dry, real, "and counts the same");
    let b = find(&world, Department, "b").await.expect("is there");
    assert_eq!((b.no, b.name.as_str()), (number, "another"));
    assert_eq!(entry_of(&world, "ann").await, Some(entry("ann", &["c"], &[], &["r"])), "replaced, not added");
    assert_eq!((entry_of(&world, "cy").await, entry_of(&world, "bob").await), (Some(phoned), Some(off)));
    assert!(find(&world, Post, "p").await.is_some(), "what is not named stays");
}

/// Departments move with all below them, to another one or to the top; a tree may be deep.
pub async fn departments_move(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let chain: Vec<_> = (0..60)
        .map(|n: usize| department(&format!("d{n}"), &n.checked_sub(1).map_or(String::new(), |up| format!("d{up}"))))
        .collect();
    // The lower ones come first: what is above them comes with the same change.
    make(&world, groups(&chain.iter().rev().cloned().collect::<Vec<_>>())).await;
    make(&world, groups(&[department("other", "")])).await;
    let below = async |code: &str| {
        let top = no(&world, Department, code).await;
        world.store().groups_below(vec![top]).await.expect("finds").len()
    };
    assert_eq!((below("d0").await, below("d30").await, below("other").await), (60, 30, 1));
    assert_eq!(make(&world, groups(&[department("d30", "other")])).await, report(0, 1, 0, 0, 0));
    assert_eq!((below("d0").await, below("d30").await, below("other").await), (30, 30, 31));
    make(&world, groups(&[department("d45", ""), department("d0", "d45")])).await;
    assert_eq!((below("d45").await, below("d0").await, below("other").await), (45, 30, 16));
    assert_eq!(find(&world, Department, "d45").await.map(|group| group.parent), Some(None));
}

/// A department below itself is refused, however it would come about, and nothing of the change is done.
pub async fn refuses_departments_below_themselves(bench: &impl Bench) {
    let world = World::begin(bench).await;
    make(&world, groups(&[department("a", ""), department("b", "a"), department("c", "b"), department("z", "")])).await;
    for (change, round) in [
        (vec![department("a", "a")], vec!["a"]),
        (vec![department("a", "c")], vec!["a", "b", "c"]),
        (vec![department("new", "new")], vec!["new"]),
        (vec![department("m", "n"), department("n", "o"), department("o", "m")], vec!["m", "n", "o"]),
        (vec![department("a", "m"), department("m", "c")], vec!["a", "b", "c", "m"]),
        (vec![department("z", ""), department("ok", "z"), department("b", "c")], vec!["b", "c"]),
    ] {
        let mut change = groups(&change);
        change.users.push(entry("somebody", &["a"], &[], &[]));
        let faults = faults(&world, change).await;
        for fault in faults {
            let DirectoryFault::Cycle(code) = &fault else { panic!("{fault:?}") };
            assert!(round.contains(&code.as_str()), "{code} is not in the round of {round:?}");
        }
    }
    // Two that change places are no round, whichever is moved first.
    make(&world, groups(&[department("a", "b"), department("b", "")])).await;
    let b = no(&world, Department, "b").await;
    assert_eq!(world.store().groups_below(vec![b]).await.expect("finds").len(), 3);
}

/// Groups that there are not are told, with who names them, of many only the first.
pub async fn unknown_groups_are_told(bench: &impl Bench) {
    let world = World::begin(bench).await;
    make(&world, groups(&[department("d", ""), group(Post, "p", "")])).await;
    let unknown =
        |user: &str, kind, code: &str| DirectoryFault::UnknownGroup { user: user.into(), kind, code: code.into() };
    let change = DirectoryChange {
        groups: vec![department("new", "d"), department("lost", "nowhere"), department("q", "p")],
        users: vec![
            entry("ann", &["d", "new"], &["p"], &[]),
            entry("bob", &["p"], &["d"], &["new"]),
            entry("cy", &["d"], &["p"], &["D"]),
        ],
    };
    let told = faults(&world, change).await;
    let expected = [
        DirectoryFault::UnknownParent { code: "lost".into(), parent: "nowhere".into() },
        DirectoryFault::UnknownParent { code: "q".into(), parent: "p".into() },
        unknown("bob", Department, "p"),
        unknown("bob", Post, "d"),
        unknown("bob", Role, "new"),
        unknown("cy", Role, "D"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    assert!(expected.iter().all(|fault| told.contains(fault)), "{told:?}");
    let many: Vec<_> = (0..DIRECTORY_FAULTS_TOLD + 20).map(|n| entry(&format!("u{n}"), &["gone"], &[], &[])).collect();
    assert_eq!(faults(&world, users(&many)).await.len(), DIRECTORY_FAULTS_TOLD);
}

/// Thousands at once, and at once again; each is there.
pub async fn large_changes_go_through(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let tree: Vec<_> = (0..600).map(|n| department(&format!("d{n}"), if n == 0 { "" } else { "d0" })).collect();
    let own = |n: usize| [format!("d{}", n % 600), format!("d{}", (n + 1) % 600)];
    let people: Vec<_> = (0..3_000)
        .map(|n| {
            let own = own(n);
            entry(&format!("u{n:04}"), &[own[0].as_str(), own[1].as_str()], &[], &[])
        })
        .collect();
    let whole = DirectoryChange { groups: tree, users: people.clone() };
    assert_eq!(make(&world, whole.clone()).await, report(600, 0, 3_000, 0, 0));
    assert_eq!(make(&world, whole).await, report(0, 0, 0, 0, 3_600));
    let d1 = no(&world, Department, "d1").await;
    assert_eq!(world.store().members(vec![d1], None, 100).await.expect("lists").len(), 10);
    assert_eq!(entry_of(&world, "u2999").await, people.last().cloned().map(sorted));
}

/// Who changes the directory at once makes neither a round nor two of a code.
pub async fn changes_at_once_do_not_cross(bench: &impl Bench) {
    let world = World::begin(bench).await;
    make(&world, groups(&[department("a", ""), department("b", "")])).await;
    let moves = [groups(&[department("a", "b")]), groups(&[department("b", "a")])];
    let asked = moves.map(|change| world.store().directory_change(change, false, world.now));
    let refused: usize = futures_util::future::join_all(asked)
        .await
        .into_iter()
        .filter(|report| !report.as_ref().is_ok_and(|report| report.faults.is_empty()))
        .count();
    assert_eq!(refused, 1);
    let same = (0..8).map(|_| {
        world.store().directory_change(
            DirectoryChange { groups: vec![group(Role, "new", "")], users: vec![entry("one", &["a"], &[], &["new"])] },
            false,
            world.now,
        )
    });
    let mut made = 0;
    for report in futures_util::future::join_all(same).await {
        let report = report.expect("changes");
        assert_eq!((report.faults.len(), report.groups_new + report.users_new + report.same), (0, 2));
        made += report.groups_new + report.users_new;
    }
    assert_eq!(made, 2);
}

/// A plan changes the directory by the same rules, together with what it declares or not at all.
pub async fn plans_change_the_directory(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let plan = |hash: &str, directory: DirectoryChange| PlanChange {
        hash: hash.into(),
        declarations: vec![Declaration { kind: "app".into(), code: hash.into(), no: 0, doc: "{}".into() }],
        directory,
    };
    let first = DirectoryChange {
        groups: vec![department("a", ""), department("b", "a")],
        users: vec![entry("ann", &["a", "b"], &[], &[]), entry("bob", &["b"], &[], &[])],
    };
    assert_eq!(world.store().plan_apply(plan("h1", first)).await, Ok(true));
    let before = everything(&world).await;
    let declared = world.store().declarations().await.expect("reads");
    for wrong in [
        groups(&[department("c", ""), department("a", "b")]),
        groups(&[department("c", "nowhere")]),
        users(&[entry("ann", &[], &[], &[]), entry("bob", &["gone"], &[], &[])]),
    ] {
        let refused = world.store().plan_apply(plan("h2", wrong)).await.expect_err("refused");
        assert!(matches!(refused, StoreError::Conflict(_)) && refused.certainly_not_done(), "{refused}");
        let said = refused.to_string();
        assert!(said.contains("below itself") || said.contains("does not exist"), "{said}");
    }
    assert_eq!(everything(&world).await, before);
    assert_eq!(world.store().declarations().await.expect("reads"), declared, "nothing of the plan was applied");
    let second = users(&[entry("bob", &["a"], &[], &[])]);
    assert_eq!(world.store().plan_apply(plan("h2", second)).await, Ok(true));
    assert_eq!(entry_of(&world, "ann").await, Some(entry("ann", &["a", "b"], &[], &[])));
    assert_eq!(entry_of(&world, "bob").await, Some(entry("bob", &["a"], &[], &[])));
}
