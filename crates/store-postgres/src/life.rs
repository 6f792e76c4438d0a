//! The life of a node in the background. Every few seconds it says that it lives; it declares dead whoever is not heard of any
//! more, but only after it has itself been heard of without a gap for so long that nobody whom a mere outage of the database cut
//! off is taken for dead; and it looks where other nodes left something for it in the buckets that it prefers.
//!
//! None of this is what correctness rests on: that is the lease number of each row. A node that the others cannot have heard of
//! holds nothing any more ([`Life::is_heard`]), well before any of them takes over.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use hongyan_core::{limits, setup::ChannelNo, store::Policies};
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    buckets::preferred,
    engine::{Engine, Registration},
    lanes,
    memory::BUCKETS,
    nodes::{self, Registered},
    pool::Pool,
    session::TRANSACTION_TIME_MAX,
    trouble::{Outcome, Trouble},
};

/// Connections that a node's life has to itself, so that no load keeps it from saying that it lives.
pub(crate) const CONNECTIONS: usize = 2;
/// In so many parts the preferred buckets are looked at, spread over [`LOOK`].
const LOOKS: usize = 8;
/// How often each preferred bucket is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often, at the most, a node looks for the dead.
const WATCH: Duration = Duration::from_secs(1);

/// The times by which nodes live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    /// How often a node says that it lives.
    pub heartbeat: Duration,
    /// How long it counts as living after that.
    pub lease: Duration,
    /// How long it must have been heard of without a gap before it declares others dead.
    pub trust: Duration,
}

impl Rhythm {
    /// How long before its lease is over a node stops to rely on it, and how long a heartbeat may take.
    fn margin(&self) -> Duration {
        limits::LEASE_MARGIN.min(self.lease / 3)
    }

    /// How long two heartbeats may lie apart for the others to have been able to beat as well: an outage of this length ends
    /// before the lease of anybody who was heard of when it began.
    fn gap(&self) -> Duration {
        self.lease / 2
    }
}

/// When this node was heard of.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    /// Since when without a gap.
    unbroken: Instant,
    /// When it last asked to be heard and was.
    last: Instant,
    lives: bool,
}

impl Pulse {
    const fn begun(at: Instant) -> Self {
        Self { unbroken: at, last: at, lives: true }
    }

    fn beat(&mut self, at: Instant, rhythm: &Rhythm) {
        if !self.lives || at.duration_since(self.last) > rhythm.gap() {
            self.unbroken = at;
        }
        self.last = at;
        self.lives = true;
    }

    fn is_heard(&self, now: Instant, rhythm: &Rhythm) -> bool {
        self.lives && now.duration_since(self.last) + rhythm.margin() < rhythm.lease
    }

    fn is_trusted(&self, now: Instant, rhythm: &Rhythm) -> bool {
        self.is_heard(now, rhythm) && self.last.duration_since(self.unbroken) >= rhythm.trust
    }
}

/// When this node last took things back, by kind of look.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    /// When it last asked who holds anything at all.
    pub holders: Option<Instant>,
    /// When it last asked what is on record as its own.
    pub own: Option<Instant>,
}

/// A node's life. It ends when this is dropped, without a word.
pub(crate) struct Life {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
    rounds: Mutex<Rounds>,
    /// The rules of channels, as they were last given.
    pub policies: OnceLock<Policies>,
}

struct Shared {
    pool: Arc<Pool>,
    rhythm: Rhythm,
    pulse: Mutex<Pulse>,
    buckets: Mutex<Vec<u8>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Life {
    /// The life of a node that has just registered, on connections of its own.
    pub(crate) fn start(engine: &Arc<Engine>, pool: Arc<Pool>, rhythm: Rhythm, registered: &Registered) -> Self {
        let shared = Arc::new(Shared {
            pool,
            rhythm,
            pulse: Mutex::new(Pulse::begun(registered.at)),
            buckets: Mutex::new(preferred(registered.me, &registered.living)),
        });
        let tasks = vec![
            tokio::spawn(beat_on(Arc::clone(&shared), Arc::clone(engine))).abort_handle(),
            tokio::spawn(watch(Arc::clone(&shared), Arc::clone(engine))).abort_handle(),
            tokio::spawn(look_around(Arc::clone(&shared), Arc::clone(engine))).abort_handle(),
        ];
        Self { shared, tasks, rounds: Mutex::default(), policies: OnceLock::new() }
    }

    /// The buckets that this node prefers.
    pub(crate) fn buckets(&self) -> Vec<u8> {
        self.shared.buckets()
    }

    /// Whether the others have heard of this node lately enough that none can have declared it dead.
    pub(crate) fn is_heard(&self) -> bool {
        self.shared.pulse().is_heard(Instant::now(), &self.shared.rhythm)
    }

    /// The times by which it lives.
    pub(crate) fn rhythm(&self) -> Rhythm {
        self.shared.rhythm
    }

    /// When it last took things back.
    pub(crate) fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves: the node is dead from now on.
    pub(crate) async fn leave(&self, engine: &Engine) {
        self.stop();
        let departure = async { nodes::depart(&*self.shared.pool.lend().await?, engine).await };
        match timeout(TRANSACTION_TIME_MAX, departure).await {
            Ok(Ok(())) => {}
            Ok(Err(trouble)) => tracing::debug!(?trouble, "left without a word"),
            Err(_) => tracing::debug!("left without a word: the database does not answer"),
        }
        self.shared.pool.close();
    }

    fn stop(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Shared {
    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buckets(&self) -> Vec<u8> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn prefer(&self, me: Registration, living: &[Registration]) {
        *self.buckets.lock().unwrap_or_else(PoisonError::into_inner) = preferred(me, living);
    }

    /// Says that this node lives; `false` where it was declared dead.
    async fn beat(&self, engine: &Engine) -> Outcome<bool> {
        let late = |_| Trouble::Away("the database did not answer a heartbeat in time".to_owned());
        let db = timeout(TRANSACTION_TIME_MAX, self.pool.lend()).await.map_err(late)??;
        // A connection that does not answer in time is given up: what `enter` marked is not used again.
        db.enter();
        let at = Instant::now();
        let beat = timeout(self.rhythm.margin(), nodes::heartbeat(&db, engine, self.rhythm.lease));
        if !beat.await.map_err(late)?? {
            return Ok(false);
        }
        self.pulse().beat(at, &self.rhythm);
        let living = timeout(self.rhythm.margin(), nodes::living(&db)).await.map_err(late)??;
        db.settled();
        self.prefer(engine.me(), &living);
        Ok(true)
    }

    /// This node was declared dead: it holds nothing any more, and goes on as another.
    async fn begin_anew(&self, engine: &Engine) -> Outcome<()> {
        let before = engine.me();
        tracing::warn!(
            node = before.number,
            epoch = before.epoch,
            "declared dead by the other nodes; registering anew"
        );
        self.pulse().lives = false;
        engine.memory.lock().let_all_go();
        let registered = nodes::register(&self.pool, &engine.clock, self.rhythm.lease).await?;
        // What was under way when this node stood still comes to an end; nothing of it is held, whatever memory says.
        sleep(self.rhythm.heartbeat / 3).await;
        engine.memory.lock().let_all_go();
        engine.ids.renumber(registered.me.number, registered.floor);
        engine.become_another(registered.me);
        self.prefer(registered.me, &registered.living);
        self.pulse().beat(registered.at, &self.rhythm);
        Ok(())
    }
}

/// Heartbeats, for ever.
async fn beat_on(shared: Arc<Shared>, engine: Arc<Engine>) {
    let mut troubled = false;
    let mut wait = shared.rhythm.heartbeat;
    loop {
        sleep(wait).await;
        let beaten = match shared.beat(&engine).await {
            Ok(false) => shared.begin_anew(&engine).await,
            other => other.map(drop),
        };
        match beaten {
            Ok(()) => {
                if troubled {
                    tracing::info!("the database answers again");
                }
                troubled = false;
                wait = shared.rhythm.heartbeat;
            }
            Err(trouble) => {
                if !troubled {
                    tracing::warn!(why = %trouble.told(), "the database did not take a heartbeat; trying on");
                    // Where they lead may be no primary any more.
                    engine.pool.forget();
                }
                troubled = true;
                wait = shared.rhythm.heartbeat / 3;
            }
        }
    }
}

/// Declares the dead dead, for ever.
async fn watch(shared: Arc<Shared>, engine: Arc<Engine>) {
    loop {
        sleep(WATCH.min(shared.rhythm.heartbeat)).await;
        let trusted = shared.pulse().is_trusted(Instant::now(), &shared.rhythm);
        if trusted && let Err(error) = nodes::declare_dead(&engine).await {
            tracing::debug!(%error, "cannot look for dead nodes");
        }
    }
}

/// Looks at each preferred bucket about once a second, and moves home among them; also at one of the others each second, so that
/// nothing waits for ever for a neighbour that lives and does not work.
async fn look_around(shared: Arc<Shared>, engine: Arc<Engine>) {
    for turn in 0usize.. {
        sleep(LOOK / LOOKS as u32).await;
        let own = shared.buckets();
        let mut part: BTreeSet<u8> = own.iter().copied().skip(turn % LOOKS).step_by(LOOKS).collect();
        if turn.is_multiple_of(LOOKS) {
            let round = turn / LOOKS;
            part.extend(u8::try_from(round % usize::from(BUCKETS)));
            if let Some(home) = own.get(round % own.len().max(1)) {
                engine.ids.move_home(*home);
            }
        }
        if let Err(trouble) = look(&engine, part).await {
            tracing::debug!(?trouble, "cannot look at what waits");
        }
    }
}

/// Finds out what waits in some buckets, and tells the desk of what is due.
pub(crate) async fn look(engine: &Engine, buckets: impl IntoIterator<Item = u8>) -> Outcome<()> {
    let due = lanes::read(&engine.pool, &engine.memory, buckets, engine.now()).await?;
    let channels: BTreeSet<ChannelNo> = due.into_iter().collect();
    engine.links().tell(|links| channels.into_iter().for_each(|channel| links.desk.wake(channel)));
    Ok(())
}

/// Finds out what waits anywhere, before a node begins.
pub(crate) async fn look_everywhere(engine: &Engine) -> Outcome<()> {
    look(engine, 0..BUCKETS).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm =
        Rhythm { heartbeat: Duration::from_secs(3), lease: Duration::from_secs(15), trust: Duration::from_secs(15) };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn stops_relying_on_its_lease_well_before_it_is_over() {
        let start = Instant::now();
        let mut pulse = Pulse::begun(start);
        assert!(pulse.is_heard(start + seconds(9), &RHYTHM));
        assert!(!pulse.is_heard(start + seconds(10), &RHYTHM));
        pulse.beat(start + seconds(12), &RHYTHM);
        assert!(pulse.is_heard(start + seconds(21), &RHYTHM));
        pulse.lives = false;
        assert!(!pulse.is_heard(start + seconds(13), &RHYTHM));
    }

    #[test]
    fn is_trusted_only_after_a_time_without_a_gap() {
        let start = Instant::now();
        let mut pulse = Pulse::begun(start);
        for beat in 1..5 {
            pulse.beat(start + seconds(3 * beat), &RHYTHM);
            assert!(!pulse.is_trusted(start + seconds(3 * beat), &RHYTHM));
        }
        pulse.beat(start + seconds(15), &RHYTHM);
        assert!(pulse.is_trusted(start + seconds(16), &RHYTHM));
        assert!(!pulse.is_trusted(start + seconds(26), &RHYTHM), "it is not heard any more");
        pulse.beat(start + seconds(27), &RHYTHM);
        assert!(!pulse.is_trusted(start + seconds(28), &RHYTHM), "a neighbour may have been cut off as well");
        pulse.beat(start + seconds(34), &RHYTHM);
        pulse.beat(start + seconds(41), &RHYTHM);
        assert!(!pulse.is_trusted(start + seconds(41), &RHYTHM));
        pulse.beat(start + seconds(42), &RHYTHM);
        assert!(pulse.is_trusted(start + seconds(42), &RHYTHM));
    }

    #[test]
    fn who_registered_anew_earns_trust_anew() {
        let start = Instant::now();
        let mut pulse = Pulse::begun(start);
        (1..=5).for_each(|beat| pulse.beat(start + seconds(3 * beat), &RHYTHM));
        pulse.lives = false;
        pulse.beat(start + seconds(17), &RHYTHM);
        assert!(pulse.is_heard(start + seconds(17), &RHYTHM) && !pulse.is_trusted(start + seconds(17), &RHYTHM));
    }
}
