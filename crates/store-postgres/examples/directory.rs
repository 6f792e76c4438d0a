//! Measures a directory of 1,000,000 people and 20,000 departments: importing it, importing it again, and finding who belongs to
//! what, page by page: `cargo run --release -p hongyan-store-postgres --example directory`, on a server of its own. Prints times, and the
//! memory of this process, which is not the server's, where it says so.

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_core::{
    directory::{DirectoryChange, GroupEntry, GroupKind, GroupNo, UserEntry},
    setup::User,
    store::Store,
};
use hongyan_store_postgres::{Options, open};
use hongyan_store_suite::postgres::{shared, sql};

const PEOPLE: u32 = 1_000_000;
const DEPARTMENTS: u32 = 20_000;
/// Departments right below one.
const BREADTH: u32 = 10;
/// A department right below the one at the top, with 1,110 below it.
const LARGE: u32 = 2;
/// People in it and below it, and as many who have the role.
const IN_LARGE: u32 = 100_000;
/// People who hold the post.
const FEW: u32 = 10;
const PAGE: usize = 1_000;

#[tokio::main(worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "a measurement's output is its purpose")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = shared().fresh_schema();
    let store: Arc<dyn Store> = open(&url, Options::default()).await?;
    println!("memory at first: {} MiB", memory("VmRSS")?);
    let change = change();
    println!("memory with the change: {} MiB", memory("VmRSS")?);
    for (what, dry) in [("a try", true), ("the import", false), ("the same again", false), ("a try of the same", true)]
    {
        let (change, now) = (change.clone(), store.clock().now());
        let begun = Instant::now();
        let report = store.directory_change(change, dry, now).await?;
        let took = begun.elapsed();
        assert!(report.faults.is_empty(), "{report:?}");
        println!("{what}: {took:.1?}, {} new, {} the same", report.users_new + report.groups_new, report.same);
    }
    println!("memory at most: {} MiB, a copy of the change for this measurement included", memory("VmHWM")?);
    drop(change);
    sql(&url, "ANALYZE")?;
    let all = store.groups_below(numbers(&*store, GroupKind::Department, "d0").await?).await?;
    assert_eq!(all.len(), DEPARTMENTS as usize);
    let begun = Instant::now();
    let large = store.groups_below(numbers(&*store, GroupKind::Department, &format!("d{LARGE}")).await?).await?;
    println!("the {} departments of the large one: {:.1?}", large.len(), begun.elapsed());
    println!("memory before pages: {} MiB", memory("VmRSS")?);
    for (what, groups, people) in [
        ("the large department", large, IN_LARGE),
        ("a role that as many have", numbers(&*store, GroupKind::Role, "r").await?, IN_LARGE),
        ("a post that few hold", numbers(&*store, GroupKind::Post, "p").await?, FEW),
    ] {
        let mut times = pages(&*store, groups, people).await?;
        times.sort();
        let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{what}, {people} people: {} pages, {median:.2?} each, {slowest:.2?} at most", times.len());
    }
    println!("memory after pages: {} MiB", memory("VmRSS")?);
    store.close().await;
    Ok(())
}

/// Everybody in these groups, page by page; answers how long each page took.
async fn pages(store: &dyn Store, groups: Vec<GroupNo>, people: u32) -> Result<Vec<Duration>, Box<dyn Error>> {
    let (mut times, mut after, mut found) = (Vec::new(), None, 0);
    loop {
        let (groups, from) = (groups.clone(), after.take());
        let begun = Instant::now();
        let page = store.members(groups, from, PAGE).await?;
        times.push(begun.elapsed());
        found += page.len();
        let Some(last) = page.last().filter(|_| page.len() == PAGE) else { break };
        after = Some((last.group, last.user.code.clone()));
    }
    assert_eq!(found, people as usize);
    Ok(times)
}

async fn numbers(store: &dyn Store, kind: GroupKind, code: &str) -> Result<Vec<GroupNo>, Box<dyn Error>> {
    Ok(store.groups_find(kind, vec![code.to_owned()]).await?.into_iter().map(|group| group.no).collect())
}

/// A tree of departments, a post and a role, and people of whom each has a department.
fn change() -> DirectoryChange {
    let group = |kind, code: String, parent: String| GroupEntry { kind, name: format!("Name of {code}"), code, parent };
    let parent = |n: u32| n.checked_sub(1).map(|n| format!("d{}", n / BREADTH)).unwrap_or_default();
    let mut groups: Vec<_> =
        (0..DEPARTMENTS).map(|n| group(GroupKind::Department, format!("d{n}"), parent(n))).collect();
    groups.push(group(GroupKind::Post, "p".to_owned(), String::new()));
    groups.push(group(GroupKind::Role, "r".to_owned(), String::new()));
    let mut below = BTreeSet::from([LARGE]);
    for n in LARGE + 1..DEPARTMENTS {
        if below.contains(&((n - 1) / BREADTH)) {
            below.insert(n);
        }
    }
    let (large, others): (Vec<u32>, Vec<u32>) = (0..DEPARTMENTS).partition(|n| below.contains(n));
    let department = |n: u32| {
        if n.is_multiple_of(10) { &large[n as usize / 10 % large.len()] } else { &others[n as usize % others.len()] }
    };
    let user = |n: u32| User {
        code: format!("user{n:07}"),
        name: format!("Person {n}"),
        email: format!("user{n:07}@example.com"),
        phone: format!("+86138{n:08}"),
        wecom: format!("wx{n:07}"),
        openid: String::new(),
        enabled: n % 100 != 99,
    };
    let of = |is_member: bool, code: &str| if is_member { vec![code.to_owned()] } else { Vec::new() };
    let entry = |n: u32| UserEntry {
        user: user(n),
        departments: vec![format!("d{}", department(n))],
        posts: of(n % (PEOPLE / FEW) == 7, "p"),
        roles: of(n % (PEOPLE / IN_LARGE) == 3, "r"),
    };
    DirectoryChange { groups, users: (0..PEOPLE).map(entry).collect() }
}

/// A figure of the process's memory, in MiB.
fn memory(key: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("there is no such figure")?;
    let kib: u64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse()?;
    Ok(kib / 1024)
}
