//! How history is read: by which index. How long that takes is measured by `examples/history.rs`.

use hongyan_core::setup::ChannelNo;

use super::*;
use crate::schema::{self, tests::plan};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const ANN: AccountNo = AccountNo(7);

#[test]
fn nothing_is_walked_from_end_to_end_or_sorted() {
    let mut db = Connection::open_in_memory().expect("opens");
    schema::migrate(&mut db, 0).expect("migrates");
    let all = HistoryFilter::default();
    let time = HistoryFilter { since: Some(NOW), before: Some(NOW), ..all.clone() };
    let to = HistoryFilter { recipient: Some("a".into()), ..time.clone() };
    let failed = HistoryFilter { failed: Some(true), ..time.clone() };
    let by = |channels: &[u32]| Some(channels.iter().copied().map(ChannelNo).collect());
    let one = HistoryFilter { channels: by(&[2]), ..time.clone() };
    let two = HistoryFilter { channels: by(&[3, 2, 3]), ..time.clone() };
    let many = HistoryFilter { channels: by(&Vec::from_iter(0..=MERGED_MAX as u32)), ..time.clone() };
    for (filter, index, of_all, parts) in [
        (all, "", "", 1),
        (time.clone(), "", "", 1),
        (HistoryFilter { failed: Some(false), ..time }, "", "", 1),
        (to.clone(), "_recipient", "recipient=? AND ", 1),
        (HistoryFilter { channels: by(&[2, 3]), failed: Some(true), ..to }, "_recipient", "recipient=? AND ", 1),
        (failed.clone(), "_failed", "", 1),
        (HistoryFilter { channels: by(&[2, 3]), ..failed }, "_failed", "", 1),
        (one, "_channel", "channel=? AND ", 1),
        (HistoryFilter { failed: Some(false), ..two.clone() }, "_channel", "channel=? AND ", 2),
        (two, "_channel", "channel=? AND ", 2),
        (many, "", "", 1),
    ] {
        let own = HistoryFilter { account: Some(ANN), ..filter.clone() };
        for (filter, whose, app) in [(filter, "all", ""), (own, "own", "app=? AND ")] {
            let searched = format!(" history_{whose}{index} ({app}{of_all}id>? AND id<?)");
            let selection = Selection::of(&filter);
            let steps = plan(&db, &selection.ids_sql());
            let searches = |steps: &[String]| {
                let searches: Vec<_> = steps.iter().filter(|step| step.starts_with("SEARCH d ")).collect();
                searches.len() == parts && searches.iter().all(|step| step.contains(&searched))
            };
            assert!(searches(&steps), "{filter:?}: {steps:?}");
            let is_walk = |step: &String| step.contains("SCAN") || step.contains("TEMP B-TREE");
            assert!(!steps.iter().any(is_walk), "{filter:?}: {steps:?}");
            // What is counted is the bounded result of the same search.
            let steps = plan(&db, &selection.count_sql());
            assert!(searches(&steps), "{filter:?}: {steps:?}");
            assert!(steps.iter().all(|step| !step.contains("TEMP B-TREE") && !step.starts_with("SCAN d")), "{steps:?}");
        }
    }
}
