//! What is compared before the writer is asked, and may not hold any more when it is.

use std::sync::Arc;

use hongyan_core::{
    directory::{DirectoryChange, DirectoryFault, DirectoryReport, GroupEntry, GroupKind, UserEntry},
    setup::User,
    store::{Directory, Upkeep},
    time::Timestamp,
};

use crate::{
    Options, SqliteStore, open,
    ops::directory::{Difference, DirectoryApply, DirectoryTurn, compare},
};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

fn person(code: &str, name: &str, posts: &[&str]) -> UserEntry {
    let user = User { code: code.into(), name: name.into(), enabled: true, ..User::default() };
    UserEntry { user, posts: posts.iter().map(|post| (*post).into()).collect(), ..UserEntry::default() }
}

fn people(users: &[UserEntry]) -> DirectoryChange {
    DirectoryChange { users: users.to_vec(), ..DirectoryChange::default() }
}

fn department(code: &str, parent: &str) -> GroupEntry {
    GroupEntry { kind: GroupKind::Department, code: code.into(), name: code.into(), parent: parent.into() }
}

async fn known(store: &SqliteStore, change: &Arc<DirectoryChange>) -> (Difference, u64) {
    let turn = store.inner.writer.write(DirectoryTurn).await.expect("answers");
    let change = Arc::clone(change);
    (store.inner.readers.read(move |db| compare(db, &change)).await.expect("compares"), turn)
}

/// Between comparing and writing somebody else changes just what was found to be as it was.
#[tokio::test]
async fn what_changed_meanwhile_is_compared_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path().join("hongyan.db"), Options::default()).await.expect("opens");
    let change = |change| store.directory_change(change, false, NOW);
    change(people(&[person("a", "A", &[]), person("b", "B", &[])])).await.expect("makes");

    let wanted = Arc::new(people(&[person("a", "A", &[]), person("b", "C", &[])]));
    let before = known(&store, &wanted).await;
    assert_eq!((before.0.users.as_slice(), before.0.report.same), (&[1][..], 1));
    change(people(&[person("a", "other", &[])])).await.expect("changes");
    let apply = DirectoryApply { change: Arc::clone(&wanted), known: before, now: NOW };
    let report = store.inner.writer.write(apply).await.expect("applies");
    assert_eq!(report, DirectoryReport { users_changed: 2, ..DirectoryReport::default() });
    let users = store.users_page(None, 9).await.expect("lists");
    assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["A", "C"]);
    store.close().await;
}

/// Each of two changes is sound by itself; together they would put a department below itself.
#[tokio::test]
async fn faults_that_came_meanwhile_are_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path().join("hongyan.db"), Options::default()).await.expect("opens");
    let groups = |groups: &[GroupEntry]| DirectoryChange { groups: groups.to_vec(), ..DirectoryChange::default() };
    let both = groups(&[department("D", ""), department("E", "")]);
    store.directory_change(both, false, NOW).await.expect("makes");
    let wanted = Arc::new(groups(&[department("D", "E")]));
    let before = known(&store, &wanted).await;
    assert!(before.0.report.faults.is_empty());
    store.directory_change(groups(&[department("E", "D")]), false, NOW).await.expect("changes");
    let apply = DirectoryApply { change: wanted, known: before, now: NOW };
    let report = store.inner.writer.write(apply).await.expect("answers");
    assert_eq!(report.faults, [DirectoryFault::Cycle("D".into())]);
    let found = store.groups_find(GroupKind::Department, vec!["D".into()]).await.expect("finds");
    assert_eq!(found[0].parent, None);
    store.close().await;
}
