//! Measures the store by itself, without network or senders: `cargo run --release -p hongyan-store-sqlite --example measure
//! [DIRECTORY] [MESSAGES]`. Accepts at 64 and 512 requests at a time onto a channel that nobody claims, then claims and settles
//! everything in batches of 256 with a record of every try; prints rates, the times of single requests and memory.

use std::{
    error::Error,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hongyan_core::{
    id::IdSource,
    outcome::{Outcome, Receipts},
    setup::ChannelNo,
    store::{Change, Lease, Store},
    time::{Clock, SystemClock},
};
use hongyan_store_sqlite::{Options, open};
use hongyan_store_suite::{finish, sample};
use tokio::task::JoinSet;

const CHANNEL: ChannelNo = ChannelNo(1);
const CLAIM: usize = 256;

#[tokio::main(worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "a measurement's output is its purpose")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| "target/measure".to_owned()));
    let messages: usize = arguments.next().map_or(Ok(200_000), |n| n.parse())?;
    let file = directory.join(format!("measure-{}.db", std::process::id()));
    let store: Arc<dyn Store> = open(&file, Options::default()).await?;
    println!("idle: {} MB resident", resident_mb());
    let ids = Arc::new(IdSource::new(0, None));
    for concurrency in [64, 512] {
        let (rate, times) = accept(&store, &ids, messages / 2, concurrency).await?;
        let at = |share: usize| times[(times.len() - 1) * share / 1_000];
        println!(
            "accept, {concurrency} at a time: {rate:.0}/s, p50 {:?}, p99 {:?}, most {:?}; {} MB resident, log {} MB",
            at(500),
            at(990),
            at(1_000),
            resident_mb(),
            log_mb(&file),
        );
    }
    store.close().await;
    let begun = Instant::now();
    let store: Arc<dyn Store> = open(&file, Options::default()).await?;
    println!("opening with {messages} queued: {:?}, {} MB resident", begun.elapsed(), resident_mb());
    let (settled, rate, worst) = drain(&store).await?;
    println!(
        "claim + settle, {settled} in batches of {CLAIM}: {rate:.0}/s, longest pair {worst:?}; {} MB",
        resident_mb()
    );
    println!("commits {:?}, log {} MB", store.commits(), log_mb(&file));
    store.close().await;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

/// Stores requests, so many at a time; answers how many a second, and how long each took, sorted.
async fn accept(
    store: &Arc<dyn Store>,
    ids: &Arc<IdSource>,
    messages: usize,
    concurrency: usize,
) -> Result<(f64, Vec<Duration>), Box<dyn Error>> {
    let begun = Instant::now();
    let left = Arc::new(AtomicUsize::new(messages));
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency {
        let (store, ids, left) = (Arc::clone(store), Arc::clone(ids), Arc::clone(&left));
        tasks.spawn(async move {
            // About 1 KiB with the rest of its content.
            let text = "All is well on the bridge.\n".repeat(34);
            let mut times = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                let begun = Instant::now();
                let now = SystemClock.now();
                let Ok(batch) = sample(&ids, now, &text) else { continue };
                if store.submit(batch, now).await.is_ok() {
                    times.push(begun.elapsed());
                }
            }
            times
        });
    }
    let mut times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    times.sort();
    Ok((times.len() as f64 / begun.elapsed().as_secs_f64(), times))
}

/// Claims and settles until nothing is left, the next claim beside each settlement as a dispatcher does.
async fn drain(store: &Arc<dyn Store>) -> Result<(usize, f64, Duration), Box<dyn Error>> {
    let begun = Instant::now();
    let (mut settled, mut worst) = (0, Duration::ZERO);
    let mut leases = store.claim(CHANNEL, CLAIM, SystemClock.now()).await?;
    while !leases.is_empty() {
        let pair = Instant::now();
        let now = SystemClock.now();
        let (next, done) = tokio::join!(store.claim(CHANNEL, CLAIM, now), store.settle(finished(&leases), now));
        settled += done?.len();
        leases = next?;
        worst = worst.max(pair.elapsed());
    }
    Ok((settled, settled as f64 / begun.elapsed().as_secs_f64(), worst))
}

fn finished(leases: &[Lease]) -> Vec<Change> {
    let outcome = Outcome::Accepted { provider_id: "queued".into(), receipt: Receipts::Never };
    let rows = leases.iter().flat_map(|lease| &lease.rows);
    rows.map(|row| finish(CHANNEL, row, outcome.clone(), SystemClock.now())).collect()
}

/// Resident memory, in MB.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().split(' ').next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

fn log_mb(file: &std::path::Path) -> u64 {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).map_or(0, |log| log.len() / (1 << 20))
}
