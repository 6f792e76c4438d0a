//! Limits: windows of an hour and a day, and paces. Exact whatever runs beside each other, and across crashes. The random
//! histories draw under caps, too.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use hongyan_core::{
    cap::{Cap, Draw, Tally},
    id::Id,
    pace::{self, Meter, Tokens},
    quota::{Admission, Admitted, Day, Fit, HOUR, Refusal, Sums, Window},
    time::Timestamp,
};
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};

use crate::{
    Bench,
    world::{World, day},
};

const MINUTE: Duration = Duration::from_secs(60);

fn id(n: usize) -> Id {
    Id::from_i64(i64::try_from(n).expect("small") + 1).expect("positive")
}

/// A request to account 1 under a limit of 5 an hour and 20 a day.
fn asked(n: usize, amount: u32, now: Timestamp) -> Admission {
    let account = "account/1".to_owned();
    Admission { account, id: id(n), amount, hour_max: 5, day_max: 20, day: day(now), fit: Fit::Whole }
}

async fn admit(world: &World<'_>, n: usize, amount: u32) -> Admitted {
    world.store().window_admit(asked(n, amount, world.now), world.now).await.expect("answers")
}

async fn refund(world: &World<'_>, n: usize, amount: u32) -> u32 {
    world.store().window_refund("account/1".into(), id(n), amount, world.now).await.expect("answers")
}

async fn used(world: &World<'_>, account: &str) -> Sums {
    world.store().window_used(account.into(), day(world.now), world.now).await.expect("answers")
}

fn yes(hour: u64, day: u64) -> Admitted {
    Admitted::Yes(Sums { hour, day })
}

fn no(window: Window, left: u64, again: Option<Timestamp>) -> Admitted {
    Admitted::No(Refusal { window, left, again })
}

/// Of 64 requests at once, under a limit of five, five pass.
pub async fn exactly_the_limit_passes_at_once(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let requests = (0..64).map(|n| admit(&world, n, 1));
    let answers = join_all(requests).await;
    let mut passed: Vec<_> = answers.iter().filter(|answer| matches!(answer, Admitted::Yes(_))).copied().collect();
    passed.sort_by_key(|answer| if let Admitted::Yes(sums) = answer { sums.hour } else { 0 });
    assert_eq!(passed, (1..=5).map(|n| yes(n, n)).collect::<Vec<_>>());
    let again = Some(world.now + HOUR);
    assert!(answers.iter().all(|answer| passed.contains(answer) || *answer == no(Window::Hour, 0, again)));
    assert_eq!(used(&world, "account/1").await, Sums { hour: 5, day: 5 });
}

/// A request passes whole or nothing of it counts; where only its first unit has to fit, the rest goes over.
pub async fn a_request_passes_whole_or_not(bench: &impl Bench) {
    let world = World::begin(bench).await;
    assert_eq!(admit(&world, 0, 6).await, no(Window::Hour, 5, None));
    assert_eq!(admit(&world, 1, 3).await, yes(3, 3));
    assert_eq!(admit(&world, 2, 3).await, no(Window::Hour, 2, Some(world.now + HOUR)));
    assert_eq!(used(&world, "account/1").await, Sums { hour: 3, day: 3 });
    let first = Admission { fit: Fit::First, ..asked(3, 7, world.now) };
    assert_eq!(world.store().window_admit(first.clone(), world.now).await, Ok(yes(10, 10)));
    let next = Admission { id: id(4), amount: 1, ..first };
    let refused = no(Window::Hour, 0, Some(world.now + HOUR));
    assert_eq!(world.store().window_admit(next, world.now).await, Ok(refused));
}

/// A request that comes twice, because nobody knew what became of the first, counts once.
pub async fn the_same_request_counts_once(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert_eq!(admit(&world, 0, 5).await, yes(5, 5));
    assert_eq!(admit(&world, 0, 5).await, yes(5, 5));
    world.pass(61 * MINUTE);
    assert_eq!(admit(&world, 0, 5).await, yes(0, 5), "and comes into no second hour");
}

/// What is an hour old counts no more, each part at its own time.
pub async fn the_hour_rolls(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = world.now;
    assert_eq!(admit(&world, 0, 3).await, yes(3, 3));
    world.pass(30 * MINUTE);
    assert_eq!(admit(&world, 1, 2).await, yes(5, 5));
    assert_eq!(admit(&world, 2, 3).await, no(Window::Hour, 0, Some(begin + HOUR)));
    assert_eq!(admit(&world, 2, 4).await, no(Window::Hour, 0, Some(world.now + HOUR)));
    world.now = begin + HOUR - Duration::from_millis(1);
    assert_eq!(admit(&world, 2, 1).await, no(Window::Hour, 0, Some(begin + HOUR)));
    world.now = begin + HOUR;
    assert_eq!(used(&world, "account/1").await, Sums { hour: 2, day: 5 });
    assert_eq!(admit(&world, 2, 3).await, yes(5, 8));
}

/// A new day begins at zero; the hour runs through midnight. A node whose clock is behind does not open yesterday again.
pub async fn the_day_turns(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let midnight = day(world.now).end;
    for (n, hours) in (3..7).rev().enumerate() {
        world.now = midnight - hours * HOUR;
        assert!(matches!(admit(&world, n, 5).await, Admitted::Yes(_)));
    }
    world.now = midnight - MINUTE;
    let more = Admission { hour_max: 50, day_max: 23, ..asked(10, 3, world.now) };
    assert_eq!(world.store().window_admit(more, world.now).await, Ok(yes(3, 23)));
    assert_eq!(admit(&world, 11, 1).await, no(Window::Day, 0, Some(midnight)));
    world.now = midnight;
    assert_eq!(used(&world, "account/1").await, Sums { hour: 3, day: 0 });
    assert_eq!(admit(&world, 11, 3).await, no(Window::Hour, 2, Some(midnight - MINUTE + HOUR)));
    assert_eq!(admit(&world, 11, 2).await, yes(5, 2));
    world.now = midnight - MINUTE;
    assert_eq!(admit(&world, 12, 1).await, no(Window::Hour, 0, Some(midnight - MINUTE + HOUR)));
    assert_eq!(used(&world, "account/1").await, Sums { hour: 5, day: 2 });
}

/// What failed is given back once, to whichever window it counts in still.
pub async fn gives_back_once(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert_eq!(refund(&world, 0, 1).await, 0, "nothing was ever admitted");
    assert_eq!(admit(&world, 0, 5).await, yes(5, 5));
    assert_eq!((refund(&world, 0, 2).await, used(&world, "account/1").await), (2, Sums { hour: 3, day: 3 }));
    assert_eq!((refund(&world, 0, 9).await, used(&world, "account/1").await), (3, Sums::default()));
    assert_eq!((refund(&world, 0, 1).await, refund(&world, 7, 1).await), (0, 0));
    assert_eq!(admit(&world, 1, 4).await, yes(4, 4));
    let refunds = (0..8).map(|_| refund(&world, 1, 1));
    assert_eq!(join_all(refunds).await.iter().sum::<u32>(), 4, "also by many at once");
    assert_eq!(admit(&world, 2, 5).await, yes(5, 5));
    world.pass(HOUR);
    assert_eq!((refund(&world, 2, 2).await, used(&world, "account/1").await), (2, Sums { hour: 0, day: 3 }));
    world.now = day(world.now).end;
    assert_eq!(refund(&world, 2, 2).await, 0, "it counts nowhere any more");
    assert_eq!(used(&world, "account/1").await, Sums::default());
}

/// The sums, the entries and the paces are as durable as anything else.
pub async fn limits_survive_a_crash(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert_eq!(admit(&world, 0, 5).await, yes(5, 5));
    let took = world.store().tokens_take("provider/a".into(), 10.0, 3, 3, world.now).await.expect("takes");
    assert_eq!(took, Tokens { granted: 3, start: world.now, next: world.now + Duration::from_millis(100) });
    world.crash().await;
    assert_eq!(admit(&world, 1, 1).await, no(Window::Hour, 0, Some(world.now + HOUR)));
    assert_eq!(refund(&world, 0, 2).await, 2);
    let took = world.store().tokens_take("provider/a".into(), 10.0, 3, 3, world.now).await.expect("takes");
    assert_eq!((took.granted, took.next), (0, world.now + Duration::from_millis(100)));
    world.crash().await;
    assert_eq!(used(&world, "account/1").await, Sums { hour: 3, day: 3 });
}

/// One account, or provider, does not count for another.
pub async fn accounts_are_apart(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let other = Admission { account: "account/2".into(), ..asked(0, 5, world.now) };
    assert_eq!(admit(&world, 0, 5).await, yes(5, 5));
    assert_eq!(world.store().window_admit(other, world.now).await, Ok(yes(5, 5)), "under the same id, too");
    assert_eq!(refund(&world, 0, 1).await, 1);
    assert_eq!(used(&world, "account/2").await, Sums { hour: 5, day: 5 });
    assert_eq!(used(&world, "account/3").await, Sums::default());
    for provider in ["provider/a", "provider/b"] {
        let took = world.store().tokens_take(provider.into(), 1.0, 2, 9, world.now).await.expect("takes");
        assert_eq!(took.granted, 2);
    }
}

/// Eight takers at once, again and again: in no span more than the rate and a burst, nothing of the rate is lost, and no
/// place in time is given to two.
pub async fn tokens_stay_under_the_ceiling(bench: &impl Bench) {
    const RATE: f64 = 200.0;
    const BURST: u32 = 20;
    let mut world = World::begin(bench).await;
    let begin = world.now;
    let mut grants: Vec<(Timestamp, Tokens)> = Vec::new();
    for _ in 0..40 {
        let takers = (0..8u64).map(async |n| {
            // Their clocks differ by a little.
            let now = world.now + Duration::from_millis(n % 3);
            let took = world.store().tokens_take("provider/a".into(), RATE, BURST, 7, now).await.expect("takes");
            (now, took)
        });
        grants.extend(join_all(takers).await);
        world.pass(Duration::from_millis(40));
    }
    let total: u32 = grants.iter().map(|(_, took)| took.granted).sum();
    let span = world.now.since(begin).as_secs_f64();
    assert!(f64::from(total) <= RATE * span + f64::from(BURST), "{total} in {span} s");
    assert!(f64::from(total) >= RATE * (span - 0.05), "{total} in {span} s");
    let mut places: Vec<_> = grants.iter().map(|(_, took)| took).filter(|took| took.granted > 0).collect();
    places.sort_by_key(|took| took.start);
    for pair in places.windows(2) {
        let end = pair[0].start + pace::interval(RATE) * pair[0].granted;
        assert!(end <= pair[1].start, "{pair:?}");
    }
}

/// The caps of the random histories.
const CAPS: [Cap; 2] = [Cap { most: 5, span: Duration::from_secs(30 * 60) }, Cap { most: 9, span: HOUR }];

#[derive(Clone, Debug)]
enum Act {
    Admit {
        amount: u32,
        hour_max: u32,
        day_max: u32,
        first: bool,
    },
    Repeat(Index),
    Refund(Index, u32),
    Take(u32),
    /// Draws in one call, each of one of a few keys.
    Draw(Vec<(u8, u32)>),
    /// In minutes; clocks of several nodes also step back.
    Pass(i64),
    Crash,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let admit = (0u32..7, 4u32..10, 10u32..25, any::<bool>())
        .prop_map(|(amount, hour_max, day_max, first)| Act::Admit { amount, hour_max, day_max, first });
    let act = prop_oneof![
        8 => admit,
        1 => any::<Index>().prop_map(Act::Repeat),
        4 => (any::<Index>(), 0u32..5).prop_map(|(which, amount)| Act::Refund(which, amount)),
        2 => (0u32..9).prop_map(Act::Take),
        4 => prop::collection::vec((0u8..3, 0u32..4), 0..6).prop_map(Act::Draw),
        6 => prop_oneof![3 => 0i64..30, 1 => 30i64..900, 1 => -20i64..0].prop_map(Act::Pass),
        1 => Just(Act::Crash),
    ];
    prop::collection::vec(act, 1..60)
}

/// What was admitted, all of it, for ever.
struct Kept {
    at: Timestamp,
    day: Timestamp,
    left: u32,
}

/// An account that recounts everything whenever it is asked.
struct Recount {
    kept: Vec<(Id, Kept)>,
    /// The account's own time and day, once something was asked.
    clock: Option<(Timestamp, Day)>,
    meter: Option<Meter>,
    tallies: HashMap<String, Tally>,
}

impl Recount {
    fn clock_at(&self, now: Timestamp) -> (Timestamp, Day) {
        let (seen, today) = self.clock.unwrap_or((now, day(now)));
        let seen = seen.max(now);
        (seen, if seen >= today.end && day(now).begin > today.begin { day(now) } else { today })
    }

    fn hour(&self, now: Timestamp) -> u64 {
        self.kept.iter().filter(|(_, kept)| now < kept.at + HOUR).map(|(_, kept)| u64::from(kept.left)).sum()
    }

    /// Whether an id was admitted once and may be off the record by now.
    fn is_forgotten(&self, id: Id, now: Timestamp) -> bool {
        let (seen, today) = self.clock_at(now);
        self.kept.iter().any(|(known, kept)| *known == id && seen >= kept.at + HOUR && kept.day != today.begin)
    }

    fn used(&self, now: Timestamp) -> Sums {
        let (seen, today) = self.clock_at(now);
        let of_day = self.kept.iter().filter(|(_, kept)| kept.day == today.begin);
        Sums { hour: self.hour(seen), day: of_day.map(|(_, kept)| u64::from(kept.left)).sum() }
    }

    fn admit(&mut self, asked: &Admission, now: Timestamp) -> Admitted {
        let (seen, today) = self.clock_at(now);
        self.clock = Some((seen, today));
        let used = self.used(now);
        if self.kept.iter().any(|(id, _)| *id == asked.id) {
            return Admitted::Yes(used);
        }
        let least = if asked.fit == Fit::First { 1 } else { u64::from(asked.amount) };
        let [hour_max, day_max] = [asked.hour_max, asked.day_max].map(u64::from);
        let day_fits = used.day + least <= day_max;
        if day_fits && used.hour + least <= hour_max {
            let amount = asked.amount;
            self.kept.push((asked.id, Kept { at: seen, day: today.begin, left: amount }));
            return Admitted::Yes(self.used(now));
        }
        let opens =
            |at: &Timestamp| *at >= seen && self.hour(*at) + least <= hour_max && (day_fits || *at >= today.end);
        let moments = self.kept.iter().map(|(_, kept)| kept.at + HOUR).chain([seen, today.end]);
        let again = moments.filter(opens).min().filter(|_| least <= hour_max.min(day_max));
        match day_fits {
            true => no(Window::Hour, hour_max.saturating_sub(used.hour), again),
            false => no(Window::Day, day_max.saturating_sub(used.day), again),
        }
    }

    fn refund(&mut self, id: Id, amount: u32, now: Timestamp) -> u32 {
        let Some((seen, today)) = self.clock else { return 0 };
        let now = seen.max(now);
        let counts = |kept: &Kept| now < kept.at + HOUR || (kept.day == today.begin && now < today.end);
        match self.kept.iter_mut().find(|(known, kept)| *known == id && counts(kept)) {
            Some((_, kept)) => {
                let given = amount.min(kept.left);
                kept.left -= given;
                given
            }
            None => 0,
        }
    }
}

async fn act(world: &mut World<'_>, model: &mut Recount, asked_before: &mut Vec<Admission>, act: &Act) {
    let now = world.now;
    match act {
        Act::Admit { amount, hour_max, day_max, first } => {
            let fit = if *first { Fit::First } else { Fit::Whole };
            let asked = asked(asked_before.len(), *amount, now);
            let asked = Admission { hour_max: *hour_max, day_max: *day_max, fit, ..asked };
            asked_before.push(asked.clone());
            let expected = model.admit(&asked, now);
            assert_eq!(world.store().window_admit(asked, now).await, Ok(expected));
        }
        Act::Repeat(which) if !asked_before.is_empty() => {
            let recent = asked_before.len().saturating_sub(4);
            let asked = Admission { day: day(now), ..which.get(&asked_before[recent..]).clone() };
            // No caller repeats for so long that the store may forget.
            if !model.is_forgotten(asked.id, now) {
                let expected = model.admit(&asked, now);
                assert_eq!(world.store().window_admit(asked, now).await, Ok(expected));
            }
        }
        Act::Refund(which, amount) if !asked_before.is_empty() => {
            let id = which.get(asked_before).id;
            let expected = model.refund(id, *amount, now);
            assert_eq!(world.store().window_refund("account/1".into(), id, *amount, now).await, Ok(expected));
        }
        Act::Repeat(_) | Act::Refund(..) => {}
        Act::Take(want) => {
            let meter = model.meter.get_or_insert(Meter::new(now));
            let expected = meter.take(0.01, 3, *want, now);
            assert_eq!(world.store().tokens_take("provider/a".into(), 0.01, 3, *want, now).await, Ok(expected));
        }
        Act::Draw(draws) => {
            let draw = |(key, amount): &(u8, u32)| Draw { key: format!("member/{key}"), amount: *amount, back: None };
            let draws: Vec<_> = draws.iter().map(draw).collect();
            let drawn = |draw: &Draw| model.tallies.entry(draw.key.clone()).or_default().apply(&CAPS, draw, now);
            let expected: Vec<_> = draws.iter().map(drawn).collect();
            assert_eq!(world.store().caps_draw(CAPS.to_vec(), draws, now).await, Ok(expected));
        }
        Act::Pass(minutes) => world.now = Timestamp::from_ms(now.ms() + minutes * 60_000),
        Act::Crash => world.crash().await,
    }
    assert_eq!(used(world, "account/1").await, model.used(world.now));
}

/// Runs histories, each on a bench of its own. Called on a runtime of several threads.
pub fn random_limits_agree<B: Bench>(bench: impl Fn() -> B) {
    let config = Config { cases: 60, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&acts(), |acts| {
        let bench = bench();
        let history = async {
            let mut world = World::begin(&bench).await;
            let (mut model, mut asked) =
                (Recount { kept: Vec::new(), clock: None, meter: None, tallies: HashMap::new() }, Vec::new());
            for next in &acts {
                act(&mut world, &mut model, &mut asked, next).await;
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(history));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
