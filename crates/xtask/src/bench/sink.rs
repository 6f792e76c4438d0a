//! `smtp-sink` and `smtp-source`: Postfix's own counting SMTP sink, and the load generator that is the reference.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{
    ground::Ground,
    process::{Process, free_port, until_listening},
};

/// How often the count is read.
const GLANCE: Duration = Duration::from_millis(2);

/// How long the count may stand still before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a count must stand still to be final.
const QUIET: Duration = Duration::from_millis(500);

/// A running sink.
pub struct Sink {
    process: Process,
    /// Where it listens.
    pub port: u16,
    counters: File,
}

/// What a sink saw of one load.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When the first message had arrived (as near as the count is read), and how many had by then.
    pub first: (Instant, u64),
    /// When the last had.
    pub last: (Instant, u64),
}

impl Seen {
    /// Messages per second from the first to the last.
    pub fn rate(&self) -> f64 {
        (self.last.1 - self.first.1) as f64 / (self.last.0 - self.first.0).as_secs_f64().max(1e-3)
    }

    /// Messages per second from a moment before the first to the last.
    pub fn rate_since(&self, start: Instant) -> f64 {
        self.last.1 as f64 / (self.last.0 - start).as_secs_f64()
    }
}

impl Sink {
    /// Starts one. It writes its running counters to a file, of which the end is read: no reader slows it down.
    pub async fn start(ground: &Ground) -> Result<Self> {
        let port = free_port()?;
        let path = ground.dir().join(format!("sink-{port}"));
        let counters = File::create(&path).context("cannot write the sink's counters")?;
        let mut command = Command::new(&ground.tools.smtp_sink);
        command.arg("-c").args(["-m", "1024"]);
        if ground.tools.root {
            command.args(["-u", "postfix"]); // it refuses to run as root
        }
        command.arg(format!("127.0.0.1:{port}")).arg("1024").stdout(counters);
        let mut process = Process::start("smtp-sink", &mut command)?;
        until_listening(port, Duration::from_secs(10)).await?;
        process.check()?;
        Ok(Self { process, port, counters: File::open(&path)? })
    }

    /// How many messages have arrived.
    pub fn count(&self) -> Result<u64> {
        let length = self.counters.metadata()?.len();
        let size = length.min(256);
        let mut tail = vec![0; usize::try_from(size)?];
        self.counters.read_exact_at(&mut tail, length - size)?;
        last_count(&String::from_utf8_lossy(&tail)).context("the sink's counters cannot be read")
    }

    /// Waits until `expected` messages have arrived.
    pub async fn reach(&mut self, expected: u64) -> Result<Seen> {
        let mut first = None;
        let (mut moved, mut before) = (Instant::now(), 0);
        loop {
            let (now, count) = (Instant::now(), self.count()?);
            if count > before {
                first = first.or(Some((now, count)));
                (moved, before) = (now, count);
            }
            if let Some(first) = first
                && count >= expected
            {
                return Ok(Seen { first, last: (now, count) });
            }
            if moved.elapsed() > PATIENCE {
                bail!("the sink has {count} of {expected} messages and gets no more");
            }
            self.process.check()?;
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until nothing more arrives, and checks that no more than `most` messages came.
    pub async fn settle(&self, most: u64) -> Result<u64> {
        let (mut since, mut before) = (Instant::now(), self.count()?);
        while since.elapsed() < QUIET {
            tokio::time::sleep(GLANCE).await;
            let count = self.count()?;
            if count != before {
                (since, before) = (Instant::now(), count);
            }
        }
        if before > most {
            bail!("the sink has {before} messages, at most {most} were sent: duplicates");
        }
        Ok(before)
    }
}

/// The last whole `mesg=N` of the counters; each is followed by a carriage return.
fn last_count(tail: &str) -> Option<u64> {
    if tail.is_empty() {
        return Some(0);
    }
    let whole = &tail[..=tail.rfind('\r')?];
    let (_, count) = whole.trim_end_matches('\r').rsplit_once("mesg=")?;
    count.trim().parse().ok()
}

/// Sends mails of 1 KiB over 16 kept connections with `smtp-source`, until all are sent.
pub async fn source(ground: &Ground, port: u16, count: u64) -> Result<()> {
    let mut command = Command::new(&ground.tools.smtp_source);
    command.args(["-d", "-s", "16", "-l", "1024", "-f", "bench@example.com", "-t", "someone@example.net"]);
    command.args(["-m", &count.to_string(), &format!("127.0.0.1:{port}")]).kill_on_drop(true);
    let output = command.output().await.context("cannot run smtp-source")?;
    if !output.status.success() {
        bail!("smtp-source failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_count_is_read() {
        assert_eq!(last_count(""), Some(0));
        assert_eq!(last_count("sess=1 quit=0 mesg=7\r"), Some(7));
        assert_eq!(last_count("g=41\rsess=1 quit=0 mesg=42\rsess=1 quit=0 mesg=4"), Some(42));
        assert_eq!(last_count("sess=1"), None);
    }

    #[test]
    fn rates_are_counted_between_moments() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let seen = Seen { first: (at(2), 10), last: (at(4), 210) };
        assert_eq!(seen.rate(), 100.0);
        assert_eq!(seen.rate_since(start), 52.5);
    }
}
