//! How history is read: by which index. How long that takes is measured by `examples/history.rs`.

use hongyan_core::setup::ChannelNo;

use super::*;
use crate::schema;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const ANN: AccountNo = AccountNo(7);

fn of(account: AccountNo) -> HistoryFilter {
    HistoryFilter { account: Some(account), ..HistoryFilter::default() }
}

fn plan(db: &Connection, sql: &str) -> Vec<String> {
    let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("is SQL");
    let mut rows = explain.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().expect("explains") {
        steps.push(row.get(3).expect("is a text"));
    }
    steps
}

#[test]
fn nothing_is_walked_from_end_to_end_or_sorted() {
    let mut db = Connection::open_in_memory().expect("opens");
    schema::migrate(&mut db, 0).expect("migrates");
    let all = HistoryFilter::default();
    let time = HistoryFilter { since: Some(NOW), before: Some(NOW), ..all.clone() };
    let everything = HistoryFilter {
        channels: Some(vec![ChannelNo(2)]),
        recipient: Some("a".into()),
        failed: Some(true),
        ..time.clone()
    };
    for (filter, index) in [
        (all.clone(), "history_all (id>? AND id<?)"),
        (of(ANN), "history_own (app=? AND id>? AND id<?)"),
        (time.clone(), "history_all (id>? AND id<?)"),
        (HistoryFilter { account: Some(ANN), ..time }, "history_own (app=? AND id>? AND id<?)"),
        (everything.clone(), "history_all (id>? AND id<?)"),
        (HistoryFilter { account: Some(ANN), ..everything }, "history_own (app=? AND id>? AND id<?)"),
    ] {
        let selection = Selection::of(&filter);
        let steps = plan(&db, &selection.ids_sql());
        assert!(steps[0].starts_with("SEARCH d ") && steps[0].contains(index), "{steps:?}");
        let is_walk = |step: &String| step.contains("SCAN") || step.contains("TEMP B-TREE");
        assert!(!steps.iter().any(is_walk), "{filter:?}: {steps:?}");
        // What is counted is the bounded result of the same search.
        let steps = plan(&db, &selection.count_sql());
        assert!(steps.iter().any(|step| step.contains(index)), "{steps:?}");
        assert!(steps.iter().all(|step| !step.contains("TEMP B-TREE") && !step.starts_with("SCAN d")), "{steps:?}");
    }
}
