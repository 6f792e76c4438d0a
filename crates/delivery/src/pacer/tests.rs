//! Pacers of several nodes on one meter, in real time: what is asserted holds however slow the machine is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::future::join_all;
use hongyan_core::{
    cap::{Cap, Draw, Drawn},
    id::Id,
    pace::Meter,
    quota::{Admission, Admitted, Day, Sums},
    store::StoreError,
    time::SystemClock,
};

use super::*;

/// A store that has paces only.
#[derive(Default)]
struct Meters {
    meter: Mutex<Option<Meter>>,
    latency: Duration,
    away: AtomicBool,
    asked: AtomicUsize,
}

#[async_trait]
impl Limits for Meters {
    async fn tokens_take(&self, _: String, rate: f64, burst: u32, want: u32, now: Timestamp) -> StoreResult<Tokens> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.latency).await;
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { why: "away".into(), certain: true });
        }
        Ok(self.meter.lock().expect("meter").get_or_insert(Meter::new(now)).take(rate, burst, want, now))
    }

    async fn window_admit(&self, _: Admission, _: Timestamp) -> StoreResult<Admitted> {
        unreachable!("only paces are asked for")
    }

    async fn window_refund(&self, _: String, _: Id, _: u32, _: Timestamp) -> StoreResult<u32> {
        unreachable!("only paces are asked for")
    }

    async fn window_used(&self, _: String, _: Day, _: Timestamp) -> StoreResult<Sums> {
        unreachable!("only paces are asked for")
    }

    async fn caps_draw(&self, _: Vec<Cap>, _: Vec<Draw>, _: Timestamp) -> StoreResult<Vec<Drawn>> {
        unreachable!("only paces are asked for")
    }
}

fn pacer(meters: &Arc<Meters>, rate: f64) -> Arc<Pacer> {
    Pacer::new("provider/a".into(), rate, Arc::clone(meters) as Arc<dyn Limits>, Arc::new(SystemClock))
}

/// How long so many turns of a rate take at least, once one has begun.
fn at_least(turns: u32, rate: f64) -> Duration {
    Duration::from_secs_f64(f64::from(turns - 1) / rate).saturating_sub(LATE + MADE_UP)
}

async fn turns(pacer: &Arc<Pacer>, count: u32) {
    for _ in 0..count {
        pacer.turn().await;
    }
}

#[tokio::test]
async fn one_node_keeps_the_rate_with_few_questions() {
    let meters = Arc::new(Meters { latency: Duration::from_millis(5), ..Meters::default() });
    let pacer = pacer(&meters, 400.0);
    let begun = Instant::now();
    turns(&pacer, 240).await;
    let took = begun.elapsed();
    assert!(took >= at_least(240, 400.0), "240 turns in {took:?}");
    let (asked, at_most) = (meters.asked.load(Ordering::SeqCst), 3 + 2 * took.as_millis() / LEASE.as_millis());
    assert!(asked as u128 <= at_most, "asked {asked} times in {took:?}");
}

#[tokio::test]
async fn several_nodes_keep_one_rate_and_each_has_some() {
    let meters = Arc::new(Meters { latency: Duration::from_millis(2), ..Meters::default() });
    for (rate, share) in [(600.0, 100), (40.0, 8)] {
        *meters.meter.lock().expect("meter") = None;
        let nodes: Vec<_> = (0..3).map(|_| pacer(&meters, rate)).collect();
        let begun = Instant::now();
        join_all(nodes.iter().map(|node| turns(node, share))).await;
        assert!(begun.elapsed() >= at_least(3 * share, rate), "{:?} at {rate}", begun.elapsed());
    }
}

#[tokio::test]
async fn what_was_not_used_is_lost() {
    let meters = Arc::new(Meters::default());
    let pacer = pacer(&meters, 100.0);
    turns(&pacer, 1).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let begun = Instant::now();
    turns(&pacer, 21).await;
    assert!(begun.elapsed() >= at_least(21, 100.0), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn there_are_no_turns_while_the_store_is_away() {
    let meters = Arc::new(Meters::default());
    meters.away.store(true, Ordering::SeqCst);
    let pacer = pacer(&meters, 1_000.0);
    let wait = Duration::from_millis(500);
    assert!(tokio::time::timeout(wait, pacer.turn()).await.is_err());
    assert!(meters.asked.load(Ordering::SeqCst) <= 4, "it is not hammered");
    meters.away.store(false, Ordering::SeqCst);
    // Whoever gave up waiting holds up nobody.
    tokio::time::timeout(Duration::from_secs(10), pacer.turn()).await.expect("goes on by itself");
}

#[test]
fn turns_are_even_and_the_late_are_lost() {
    let begin = Instant::now();
    let ms = Duration::from_millis;
    let turns = |left| VecDeque::from([Turns { next: begin, left }]);
    let held = |left| Held { leases: turns(left), free: begin, asking: false, ask_after: begin, away: false };
    let take = |held: &mut Held, at| held.take(begin + ms(at), ms(10)).map(|turn| turn.duration_since(begin));

    let mut on_time = held(3);
    assert_eq!([0, 0, 15, 20].map(|at| take(&mut on_time, at)), [Some(ms(0)), Some(ms(10)), Some(ms(20)), None]);
    // A timer that was late is made up for, a caller that was late is not.
    let mut late = held(9);
    assert_eq!([4, 14, 50, 50].map(|at| take(&mut late, at)), [0, 10, 45, 55].map(|at| Some(ms(at))));
    // The first three of five are more than 100 ms late.
    let mut lost = held(5);
    assert_eq!([125, 125, 125].map(|at| take(&mut lost, at)), [Some(ms(120)), Some(ms(130)), None]);
    assert_eq!(take(&mut held(5), 141), None);
}
