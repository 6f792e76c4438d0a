//! By which indexes what is asked often is found: nothing is walked from end to end, and nothing sorted that need not be.

use hongyan_core::inbox::InboxFilter;
use rusqlite::Connection;

use super::{migrate, tests::plan};
use crate::{audience, directory, inbox, reads};

/// Each step of each of these statements searches, and the first by this index.
fn assert_searches(sql: &str, first: &str) {
    let mut db = Connection::open_in_memory().expect("opens");
    migrate(&mut db, 0).expect("migrates");
    let steps = plan(&db, sql);
    assert!(steps[0].contains(first), "{sql}: {steps:?}");
    for step in &steps {
        assert!(!step.contains("SCAN") && !step.contains("TEMP B-TREE"), "{sql}: {steps:?}");
    }
}

#[test]
fn expansions_and_schedules_are_read_in_their_order() {
    assert_searches(audience::EXPANSIONS, "expansion_due (due>? AND due<?)");
    assert_searches(audience::SCHEDULED, "expansion_due (due>?)");
    assert_searches(reads::OF_BUSINESS, "message_business (app=? AND business=? AND id<?)");
}

#[test]
fn people_are_found_by_what_reaches_them() {
    let [email, phone] = directory::REACHED;
    assert_searches(email, "person_email (<expr>=?)");
    assert_searches(phone, "person_phone (phone=?)");
    assert_searches(directory::USERS_PAGE, "PRIMARY KEY (code>?)");
    assert_searches(directory::GROUPS_PAGE, "(kind=? AND code>?)");
}

#[test]
fn members_stream() {
    assert_searches(directory::MEMBERS, "PRIMARY KEY (party=? AND user>?)");
    assert_searches(directory::GROUPS_OF, "COVERING INDEX directory_member_user (user=?)");
    let mut db = Connection::open_in_memory().expect("opens");
    migrate(&mut db, 0).expect("migrates");
    let steps = plan(&db, directory::GROUPS_BELOW);
    let below = "SEARCH g USING COVERING INDEX directory_group_parent (parent=?)";
    assert!(steps.iter().any(|step| step == below), "{steps:?}");
    assert!(!steps.iter().any(|step| step.starts_with("SCAN g")), "{steps:?}");
}

/// What came at the very moment at which a page begins is looked at again and left out by its number.
#[test]
fn an_inbox_is_read_from_its_newest_end() {
    let filter = InboxFilter::default();
    let unread = InboxFilter { unread: true, ..filter.clone() };
    let business = InboxFilter { business: Some("b".into()), unread: true, ..filter.clone() };
    let kind = InboxFilter { kind: Some("k".into()), archived: Some(true), ..filter.clone() };
    for (filter, own, streams) in [
        (filter, "inbox_all (user=? AND archived=? AND at<?)", 3),
        (unread, "inbox_unread (user=? AND archived=? AND at<?)", 3),
        (business, "inbox_business (user=? AND business=? AND at<?)", 3),
        (kind, "inbox_all (user=? AND archived=? AND at<?)", 2),
    ] {
        let statements = inbox::page_sql(&inbox::Selected { user: "u", before: inbox::END, filter: &filter });
        assert_eq!(statements.len(), streams, "{filter:?}");
        let (broadcasts, of_own) = statements.split_last().expect("some");
        for sql in of_own {
            assert_searches(sql, own);
        }
        assert_searches(broadcasts, "SEARCH b USING INDEX broadcast_at (at<?)");
    }
    let [own, broadcast] = inbox::one_sql();
    assert_searches(&own, "INTEGER PRIMARY KEY (rowid=?)");
    assert_searches(&broadcast, "SEARCH b USING INTEGER PRIMARY KEY (rowid=?)");
}

#[test]
fn what_is_unread_is_counted_in_indexes() {
    let [own, broadcasts] = inbox::UNREAD;
    assert_searches(own, "COVERING INDEX inbox_unread (user=? AND archived=?)");
    assert_searches(broadcasts, "SEARCH p USING PRIMARY KEY (user=?)");
    let [own, broadcasts] = inbox::news_sql();
    assert_searches(&own, "inbox_at (user=? AND at>?)");
    let mut db = Connection::open_in_memory().expect("opens");
    migrate(&mut db, 0).expect("migrates");
    // Only what a person was there for and has not seen is sorted.
    let steps = plan(&db, &broadcasts);
    assert!(steps.iter().any(|step| step.contains("broadcast_at (at>? AND at<?)")), "{steps:?}");
}

/// The hot table has the indexes that it had: every one more makes every delivery slower.
#[test]
fn the_hot_table_has_no_new_index() {
    let mut db = Connection::open_in_memory().expect("opens");
    migrate(&mut db, 0).expect("migrates");
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("counts");
    assert_eq!(count("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'delivery'"), 12);
}
