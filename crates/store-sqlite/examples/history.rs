//! Measures how long a look at what accounts have sent takes, among 10,000 rows and among 1,000,000, half as many of an app beside
//! them: `cargo run --release -p hongyan-store-sqlite --example history [DIRECTORY]`. Prints, for each look, the median of 21 in
//! either, and how they compare.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hongyan_core::{
    account::AccountNo,
    delivery::{Reason, Track},
    history::HistoryFilter,
    id::IdSource,
    setup::AppNo,
    store::Store,
    time::{Clock, SystemClock, Timestamp},
};
use hongyan_store_sqlite::{Options, open};
use hongyan_store_suite::sample;

const SIZES: [u32; 2] = [10_000, 1_000_000];
const ACCOUNTS: u32 = 10;
const PAGE: usize = 100;
const LOOKS: usize = 21;

#[tokio::main(worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "a measurement's output is its purpose")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/measure".to_owned()));
    let mut times: Vec<Vec<(&str, Duration)>> = Vec::new();
    for rows in SIZES {
        times.push(measured(&directory.join(format!("history-{}-{rows}.db", std::process::id())), rows).await?);
    }
    for ((what, few), (_, many)) in times[0].iter().zip(&times[1]) {
        println!("{what}: {few:?}, {many:?}, {:.2} times", many.as_secs_f64() / few.as_secs_f64());
    }
    Ok(())
}

/// The median of each look at a store with so many rows of accounts.
async fn measured(file: &Path, rows: u32) -> Result<Vec<(&'static str, Duration)>, Box<dyn Error>> {
    let store: Arc<dyn Store> = open(file, Options::default()).await?;
    let middle = fill(&store, rows).await?;
    let all = HistoryFilter::default();
    let own = HistoryFilter { account: Some(AccountNo(3)), ..all.clone() };
    let earlier = HistoryFilter { before: Some(middle), ..all.clone() };
    let failed = HistoryFilter { failed: Some(true), ..own.clone() };
    let nobody = HistoryFilter { recipient: Some("nobody".to_owned()), ..all.clone() };
    let deep = rows as usize / 2;
    let mut medians = Vec::new();
    for (what, filter, skip, found) in [
        ("first page of all", &all, 0, PAGE),
        ("first page of an account", &own, 0, PAGE),
        ("first page before a moment, with its total", &earlier, 0, PAGE),
        ("first page of an account's failures, with their total", &failed, 0, PAGE),
        ("what went to somebody to whom nothing went", &nobody, 0, 0),
        ("the page in the middle of all", &all, deep, PAGE),
    ] {
        let mut times = Vec::with_capacity(LOOKS);
        for _ in 0..LOOKS {
            let begun = Instant::now();
            let page = store.history(filter.clone(), skip, PAGE).await?;
            times.push(begun.elapsed());
            assert_eq!(page.rows.len(), found);
        }
        times.sort();
        medians.push((what, times[LOOKS / 2]));
    }
    store.close().await;
    std::fs::remove_file(file)?;
    Ok(medians)
}

/// Stores rows of accounts in turn, every third an app's, ten a second by their times; answers a moment in the middle.
async fn fill(store: &Arc<dyn Store>, rows: u32) -> Result<Timestamp, Box<dyn Error>> {
    let ids = IdSource::new(0, None);
    let begin = SystemClock.now();
    let at = |rows: u32| begin + Duration::from_millis(100) * rows;
    for some in 0..rows / 1_000 {
        let now = at(some * 1_000);
        let mut batches = Vec::new();
        for n in 0..1_500 {
            let mut batch = sample(&ids, now, "All is well on the bridge.")?;
            let is_app = n % 3 == 2;
            batch.message.app = if is_app { AppNo(1) } else { AccountNo(n / 3 % ACCOUNTS).as_app() };
            batch.page[0].deliveries[0].track = Track::skipped(Reason::OverLimit, now, batch.message.expires);
            batches.push(batch);
        }
        for stored in join_all(batches.into_iter().map(|batch| store.submit(batch, now))).await {
            stored?;
        }
    }
    Ok(at(rows / 2))
}
