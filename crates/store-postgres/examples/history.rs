//! Measures how long a look at what accounts have sent takes, among 10,000 rows and among 1,000,000, half as many of an app beside
//! them: `cargo run --release -p hongyan-store-postgres --example history`, on a server of its own. Prints, for each look, the
//! median of 21 in either, and how they compare.

use std::{
    error::Error,
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
    time::Timestamp,
};
use hongyan_store_postgres::{Options, open};
use hongyan_store_suite::{
    postgres::{shared, sql},
    sample,
};

const SIZES: [u32; 2] = [10_000, 1_000_000];
const ACCOUNTS: u32 = 100;
const PAGE: usize = 100;
const LOOKS: usize = 21;

#[tokio::main(worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "a measurement's output is its purpose")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut times: Vec<Vec<(&str, Duration)>> = Vec::new();
    for rows in SIZES {
        times.push(measured(rows).await?);
    }
    for ((what, few), (_, many)) in times[0].iter().zip(&times[1]) {
        println!("{what}: {few:?}, {many:?}, {:.2} times", many.as_secs_f64() / few.as_secs_f64());
    }
    Ok(())
}

/// The median of each look at a store with so many rows of accounts.
async fn measured(rows: u32) -> Result<Vec<(&'static str, Duration)>, Box<dyn Error>> {
    let url = shared().fresh_schema();
    let store: Arc<dyn Store> = open(&url, Options::default()).await?;
    let middle = fill(&store, rows).await?;
    sql(&url, "ANALYZE")?;
    let all = HistoryFilter::default();
    let own = HistoryFilter { account: Some(AccountNo(3)), ..all.clone() };
    let earlier = HistoryFilter { before: Some(middle), ..all.clone() };
    let failed = HistoryFilter { failed: Some(true), ..own.clone() };
    let deep = rows as usize / 2;
    let mut medians = Vec::new();
    for (what, filter, skip) in [
        ("first page of all", &all, 0),
        ("first page of an account", &own, 0),
        ("first page before a moment, with its total", &earlier, 0),
        ("first page of an account's failures, with their total", &failed, 0),
        ("first page of all failures, with their total", &HistoryFilter { failed: Some(true), ..all.clone() }, 0),
        ("the page in the middle of all", &all, deep),
    ] {
        let mut times = Vec::with_capacity(LOOKS);
        for _ in 0..LOOKS {
            let begun = Instant::now();
            let page = store.history(filter.clone(), skip, PAGE).await?;
            times.push(begun.elapsed());
            assert_eq!(page.rows.len(), PAGE);
        }
        times.sort();
        medians.push((what, times[LOOKS / 2]));
    }
    store.close().await;
    Ok(medians)
}

/// Stores rows of accounts in turn, every third an app's, ten a second by their times; answers a moment in the middle.
async fn fill(store: &Arc<dyn Store>, rows: u32) -> Result<Timestamp, Box<dyn Error>> {
    let (begin, ids) = (store.clock().now(), IdSource::new(0, None));
    let at = |rows: u32| begin + Duration::from_millis(100) * rows;
    for some in 0..rows / 1_000 {
        let now = at(some * 1_000);
        let mut batches = Vec::new();
        for n in 0..1_500 {
            let mut batch = sample(&ids, now, "All is well on the bridge.")?;
            let account = AccountNo(1 + n / 3 * 2 % ACCOUNTS + n % 3);
            let is_app = n % 3 == 2;
            let bucket = if is_app { ids.home() } else { account.bucket() };
            let id = ids.block(2, bucket, now)?;
            batch.message.id = id;
            batch.message.app = if is_app { AppNo(1) } else { account.as_app() };
            batch.page[0].deliveries[0].id = id.plus(1);
            batch.page[0].deliveries[0].track = Track::skipped(Reason::OverLimit, now, batch.message.expires);
            batches.push(batch);
        }
        for stored in join_all(batches.into_iter().map(|batch| store.submit(batch, now))).await {
            stored?;
        }
    }
    Ok(at(rows / 2))
}
