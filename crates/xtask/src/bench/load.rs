//! A load generator of our own, where `wrk` does not fit: an exact number of mails, a steady rate, mails that carry the
//! time at which they were sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{task::JoinSet, time::sleep_until};

use super::{
    http::{Connection, is_success},
    mail,
};

/// A send that is later than this behind its schedule counts from its schedule: a server that makes its callers wait
/// may not hide that.
const SLACK: Duration = Duration::from_millis(2);

/// How many, how long, how fast.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// This many, as fast as possible.
    Count(u64),
    /// For this long, as fast as possible.
    For(Duration),
    /// So many per second, for this long.
    Steady(f64, Duration),
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// How many were accepted.
    pub accepted: u64,
    /// How long it took.
    pub took: Duration,
}

impl Tally {
    /// Accepted per second.
    pub fn rate(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }
}

struct Course {
    pace: Pace,
    start: Instant,
    tickets: AtomicU64,
}

impl Course {
    /// When the next mail is to be sent; nothing when there is no next.
    fn next(&self) -> Option<Instant> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        match self.pace {
            Pace::Count(count) => (ticket < count).then_some(self.start),
            Pace::For(duration) => (self.start.elapsed() < duration).then_some(self.start),
            Pace::Steady(rate, duration) => {
                let offset = Duration::from_secs_f64(ticket as f64 / rate);
                (offset < duration).then(|| self.start + offset)
            }
        }
    }

    /// The time that a mail sent now carries.
    fn stamp(&self, due: Instant) -> Instant {
        match self.pace {
            Pace::Steady(..) if due.elapsed() > SLACK => due,
            _ => Instant::now(),
        }
    }
}

/// Sends mails of 1 KiB over kept connections, spread over the ports; each carries its time since `origin` in its subject. Fails at the first
/// answer that is not a success.
pub async fn run(ports: &[u16], connections: usize, pace: Pace, origin: Instant) -> Result<Tally> {
    let mut open = Vec::new();
    for port in ports.iter().cycle().take(connections) {
        open.push(Connection::open(*port).await?);
    }
    let course = Arc::new(Course { pace, start: Instant::now(), tickets: AtomicU64::new(0) });
    let mut senders = JoinSet::new();
    for connection in open {
        senders.spawn(sender(connection, course.clone(), origin));
    }
    let mut accepted = 0;
    while let Some(sent) = senders.join_next().await {
        accepted += sent.context("a sender ended badly")??;
    }
    Ok(Tally { accepted, took: course.start.elapsed() })
}

async fn sender(mut connection: Connection, course: Arc<Course>, origin: Instant) -> Result<u64> {
    let mut request = mail::request(&mail::kilobyte(&mail::token(0)));
    let start = mail::TOKEN.as_bytes();
    let at = request.windows(start.len()).position(|window| window == start).context("a mail without its token")?;
    let mut accepted = 0;
    while let Some(due) = course.next() {
        sleep_until(due.into()).await;
        let micros = course.stamp(due).saturating_duration_since(origin).as_micros();
        let token = mail::token(u64::try_from(micros)?);
        request[at..at + token.len()].copy_from_slice(token.as_bytes());
        let (status, body) = connection.exchange(&request).await?;
        if !is_success(status, body) {
            bail!("not accepted: {status} {}", String::from_utf8_lossy(body));
        }
        accepted += 1;
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(pace: Pace) -> Course {
        Course { pace, start: Instant::now(), tickets: AtomicU64::new(0) }
    }

    #[test]
    fn a_count_ends() {
        let course = course(Pace::Count(2));
        assert!(course.next().is_some() && course.next().is_some());
        assert!(course.next().is_none());
    }

    #[test]
    fn a_steady_pace_is_a_schedule() {
        let course = course(Pace::Steady(100.0, Duration::from_millis(25)));
        let due: Vec<_> = std::iter::from_fn(|| course.next()).map(|due| due - course.start).collect();
        assert_eq!(due, [0, 10, 20].map(Duration::from_millis));
    }

    #[test]
    fn a_late_send_counts_from_its_schedule() {
        let course = course(Pace::Steady(1.0, Duration::from_secs(1)));
        let late = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
        assert_eq!(course.stamp(late), late);
        let punctual = Instant::now();
        assert!(course.stamp(punctual) >= punctual);
    }
}
