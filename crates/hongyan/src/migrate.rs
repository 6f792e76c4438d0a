//! `hongyan migrate`: moves an embedded store into an empty PostgreSQL database. The old store is only read, under its lock; the
//! new one is no store for any node until the counts of both were found equal. Data goes to standard output: a line per kind of
//! row with its name, the number in the old store and in the new one.

use std::{
    io::{self, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use hongyan_core::transfer::{Counts, Rows};
use hongyan_store_postgres::{Arrival, ArrivalError, PAGES_AT_ONCE};
use hongyan_store_sqlite::Source;
use tokio::{
    sync::{Mutex, mpsc},
    task::{JoinSet, spawn_blocking},
};

use crate::{
    config::{Config, StorePlace},
    talk::say,
};

/// How often it is logged how far the move has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What is asked for, found to make sense.
pub struct Move<'a> {
    file: &'a Path,
    to: &'a str,
    start_over: bool,
}

impl<'a> Move<'a> {
    /// A move of the store that is configured to the database `to`. `start_over`: empties what an earlier one has left there.
    ///
    /// # Errors
    /// When either is not what it should be.
    pub fn new(config: &'a Config, to: &'a str, start_over: bool) -> anyhow::Result<Self> {
        let StorePlace::Sqlite(file) = config.store()? else {
            bail!("`store` names a PostgreSQL database: what is moved is an embedded store (sqlite:PATH)");
        };
        let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| to.starts_with(scheme));
        ensure!(is_postgres, "--to is not of the form postgres://USER:PASSWORD@HOST/DATABASE");
        Ok(Self { file, to, start_over })
    }

    /// Moves everything and compares what is there then.
    ///
    /// # Errors
    /// What was in the way, in words for the operator. The old store is as it was.
    pub async fn run(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let file = self.file.to_owned();
        let opened = spawn_blocking(move || -> anyhow::Result<_> {
            let source = Source::open(&file)?;
            let (counts, parcels) = (source.counts()?, source.parcels_held()?);
            Ok((source, counts, parcels))
        });
        let (source, before, parcels) = opened.await??;
        let arrival = Arrival::begin(self.to, parcels, self.start_over).await.map_err(in_words)?;
        tracing::info!(messages = before.get("messages"), "moving");
        let arrival = Arc::new(arrival);
        let (source, rows) = copy(source, &arrival).await.context(UNFINISHED)?;
        let after = arrival.counts().await.map_err(in_words).context(UNFINISHED)?;
        print(&before, &after)?;
        let differ: Vec<&str> = before.beside(&after).filter(|(_, a, b)| a != b).map(|(kind, ..)| kind).collect();
        if !differ.is_empty() {
            bail!("{UNFINISHED}: the two stores do not have the same number of {}", differ.join(", "));
        }
        let arrival = Arc::into_inner(arrival).context("a part of the move has not ended")?;
        arrival.finish().await.map_err(in_words).context(UNCONFIRMED)?;
        // Until now no node could be started on it.
        drop(source);
        self.say_what_now(rows, begun.elapsed());
        Ok(())
    }

    fn say_what_now(&self, rows: u64, took: Duration) {
        let seconds = took.as_secs_f64();
        say(&format!(
            "hongyan: {rows} rows moved in {seconds:.1} s ({:.0} rows/s); both stores have the same. What to do now: let `store` in \
             the configuration of every node name the new store, with the same key file, and start the nodes. {} is as it was: \
             keep it as a backup, and never start a node on it again, for what still waits in it would be sent twice.",
            rows as f64 / seconds.max(0.001),
            self.file.display()
        ));
    }
}

const UNFINISHED: &str = "the migration did not finish, and no node starts on the new store; the old one is as it was";

/// The commit of the last step may have been lost on its way, or its answer.
const UNCONFIRMED: &str = "everything is there, but whether the last step was done is not known: start a node on the new store; if \
                           it is refused, run the migration again with --start-over; the old store is as it was";

/// A wrong connection string is to be known as such.
fn in_words(error: ArrivalError) -> anyhow::Error {
    match error {
        ArrivalError::Store(error) => error.into(),
        other => other.into(),
    }
}

/// Copies all rows, several pages at a time; answers the old store, still taken, and how many rows there were.
async fn copy(mut source: Source, arrival: &Arc<Arrival>) -> anyhow::Result<(Source, u64)> {
    let (pages, taken) = mpsc::channel::<Rows>(PAGES_AT_ONCE);
    let reading = spawn_blocking(move || -> anyhow::Result<Source> {
        while let Some(rows) = source.next_rows()? {
            if pages.blocking_send(rows).is_err() {
                // Nobody takes any more; why, they say themselves.
                break;
            }
        }
        Ok(source)
    });
    let (taken, moved) = (Arc::new(Mutex::new(taken)), Arc::new(AtomicU64::new(0)));
    let mut writing = JoinSet::new();
    for _ in 0..PAGES_AT_ONCE {
        writing.spawn(write(Arc::clone(arrival), Arc::clone(&taken), Arc::clone(&moved)));
    }
    // Whoever reads ends when those who write do.
    drop(taken);
    let mut progress = tokio::time::interval_at(tokio::time::Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
    loop {
        tokio::select! {
            ended = writing.join_next() => match ended {
                Some(ended) => ended??,
                None => break,
            },
            _ = progress.tick() => tracing::info!(rows = moved.load(Ordering::Relaxed), "moving"),
        }
    }
    Ok((reading.await??, moved.load(Ordering::Relaxed)))
}

async fn write(
    arrival: Arc<Arrival>,
    pages: Arc<Mutex<mpsc::Receiver<Rows>>>,
    moved: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    loop {
        let Some(rows) = pages.lock().await.recv().await else { return Ok(()) };
        arrival.take(&rows).await.map_err(in_words)?;
        moved.fetch_add(rows.len() as u64, Ordering::Relaxed);
    }
}

fn print(before: &Counts, after: &Counts) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (kind, before, after) in before.beside(after) {
        writeln!(out, "{kind} {before} {after}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_embedded_store_is_moved_and_only_to_postgresql() {
        let of = |store: &str| Config { store: store.to_owned(), ..Config::default() };
        let refused = |store: &str, to: &str| Move::new(&of(store), to, false).err().expect("refused").to_string();
        assert!(refused("postgres://db/a", "postgres://db/b").contains("what is moved is an embedded store"));
        let said = refused("sqlite:a.db", "postgrse://u:canary@db/b");
        assert!(said.contains("--to") && !said.contains("canary"), "{said}");
        assert!(Move::new(&of("sqlite:a.db"), "postgresql://db/b", true).is_ok());
    }
}
