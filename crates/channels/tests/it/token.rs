//! Access tokens: one keeper after the other and many at once, at one store.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hongyan_channels::{
    Wecom,
    http::deferred,
    token::{Fetched, Owner, Tokens},
};
use hongyan_core::{
    channel::Channel,
    outcome::{Outcome, Rejection, Verdict},
    ports::{SealError, Sealer},
    setup::Secret,
    store::{AccessTokens, StoreError, StoreResult},
    time::{ManualClock, Timestamp},
    token::{KeptToken, TURN, TokenRow, TokenTurn},
};
use serde_json::json;

use crate::{
    fake::{Act, Fake},
    parcels::{NOW, PATIENT, shown},
    wecom::{SEND, TOKEN, issued, keys, limits, refused, text},
};

/// The tokens of all nodes, in memory.
#[derive(Default)]
pub struct Vault {
    pub rows: Mutex<HashMap<String, TokenRow>>,
    pub is_away: AtomicBool,
}

impl Vault {
    fn row<T>(&self, key: String, act: impl FnOnce(&mut TokenRow) -> T) -> StoreResult<T> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { why: "no connection".into(), certain: true });
        }
        Ok(act(self.rows.lock().expect("no panic").entry(key).or_default()))
    }
}

#[async_trait]
impl AccessTokens for Vault {
    async fn token_ask(&self, key: String, failed: Option<u64>, now: Timestamp) -> StoreResult<TokenTurn> {
        self.row(key, |row| row.ask(failed, now))
    }

    async fn token_keep(
        &self,
        key: String,
        turn: u64,
        sealed: String,
        expires: Timestamp,
    ) -> StoreResult<Option<KeptToken>> {
        self.row(key, |row| row.keep(turn, sealed, expires))
    }

    async fn token_fail(&self, key: String, turn: u64, until: Timestamp) -> StoreResult<()> {
        self.row(key, |row| row.fail(turn, until))
    }
}

/// Seals by turning the text round and writing the place beside it.
pub struct Seal;

impl Sealer for Seal {
    fn seal(&self, place: &str, secret: &Secret) -> Result<String, SealError> {
        Ok(format!("{place}={}", secret.expose().chars().rev().collect::<String>()))
    }

    fn open(&self, place: &str, sealed: &str) -> Result<Secret, SealError> {
        let sealed = sealed.strip_prefix(place).and_then(|rest| rest.strip_prefix('='));
        let text = sealed.ok_or_else(|| SealError("sealed for another place".into()))?;
        Ok(Secret::new(text.chars().rev().collect::<String>()))
    }
}

/// A node: a sender of its own at the store of all.
fn node(fake: &Fake, vault: &Arc<Vault>, clock: &Arc<ManualClock>) -> Wecom {
    let (vault, clock) = (Arc::<Vault>::clone(vault), Arc::<ManualClock>::clone(clock));
    Wecom::new(&keys(&fake.url()), limits(PATIENT), vault, Arc::new(Seal), clock).expect("a valid provider")
}

async fn outcome(node: &Wecom) -> String {
    shown(&node.send(&text("x", &["a"])).await[0])
}

async fn fake(tokens: impl IntoIterator<Item = Act>) -> (Fake, Arc<Vault>, Arc<ManualClock>) {
    let fake = Fake::start().await;
    fake.on(TOKEN, tokens);
    fake.on(SEND, [Act::Json(json!({"errcode": 0, "errmsg": "ok"}))]);
    (fake, Arc::default(), Arc::new(ManualClock::at(NOW)))
}

#[tokio::test]
async fn many_at_once_on_two_nodes_fetch_one_token() {
    let slow = Act::After(Duration::from_millis(300), Box::new(issued("t1")));
    let (fake, vault, clock) = fake([slow]).await;
    let nodes = [0, 1].map(|_| Arc::new(node(&fake, &vault, &clock)));
    let sends: Vec<_> = (0..16)
        .map(|n| {
            let node = Arc::clone(&nodes[n % 2]);
            tokio::spawn(async move { outcome(&node).await })
        })
        .collect();
    for send in sends {
        assert_eq!(send.await.expect("no panic"), "accepted");
    }
    assert_eq!((fake.seen_at(TOKEN).len(), fake.seen_at(SEND).len()), (1, 16));
}

#[tokio::test]
async fn who_is_refused_uses_what_another_has_fetched_since() {
    let (fake, vault, clock) = fake([issued("t1"), issued("t2"), issued("t3")]).await;
    let newest = Act::by(|request| match request.query("access_token").as_deref() {
        Some("t2") => Act::Json(json!({"errcode": 0, "errmsg": "ok"})),
        _ => refused(42001),
    });
    let (one, other) = (node(&fake, &vault, &clock), node(&fake, &vault, &clock));
    assert_eq!((outcome(&one).await, outcome(&other).await), ("accepted".into(), "accepted".into()));
    assert_eq!(fake.seen_at(TOKEN).len(), 1, "the other found it in the store");
    fake.on(SEND, [newest]);
    assert_eq!((outcome(&one).await, outcome(&other).await), ("accepted".into(), "accepted".into()));
    assert_eq!(fake.seen_at(TOKEN).len(), 2, "the other, refused too, found the new one there");
}

#[tokio::test]
async fn a_token_is_sealed_and_replaced_before_it_is_old() {
    let (fake, vault, clock) = fake([issued("t1"), issued("t2")]).await;
    let node = node(&fake, &vault, &clock);
    assert_eq!(outcome(&node).await, "accepted");
    let rows = vault.rows.lock().expect("no panic").clone();
    let (key, row) = rows.iter().next().expect("one");
    assert_eq!(row.kept.as_ref().expect("kept").sealed, format!("token/{key}=1t"));
    clock.advance(Duration::from_secs(7_200 - 300 - 1));
    assert_eq!((outcome(&node).await.as_str(), fake.seen_at(TOKEN).len()), ("accepted", 1));
    clock.advance(Duration::from_secs(1));
    assert_eq!((outcome(&node).await.as_str(), fake.seen_at(TOKEN).len()), ("accepted", 2));
}

#[tokio::test]
async fn after_a_failure_nobody_asks_for_a_while_and_longer_each_time() {
    let (fake, vault, clock) = fake([refused(40001)]).await;
    let (one, other) = (node(&fake, &vault, &clock), node(&fake, &vault, &clock));
    for (asked, pause) in [(1, 3), (2, 6), (3, 12)] {
        for _ in 0..3 {
            assert_eq!(outcome(&one).await, "misconfigured");
            assert_eq!(fake.seen_at(TOKEN).len(), asked);
        }
        clock.advance(Duration::from_secs(pause));
    }
    fake.on(TOKEN, [refused(-1), issued("t1")]);
    assert_eq!(outcome(&one).await, "deferred provider");
    assert_eq!(outcome(&other).await, "throttled recipient 23s", "2 s from now: it waits and does not ask");
    assert_eq!(fake.seen_at(TOKEN).len(), 4);
    clock.advance(Duration::from_secs(3));
    assert_eq!((outcome(&one).await, outcome(&other).await), ("accepted".into(), "accepted".into()));
    assert_eq!(fake.seen_at(TOKEN).len(), 5);
}

#[tokio::test]
async fn without_the_store_there_is_no_token_but_the_one_in_hand() {
    let (fake, vault, clock) = fake([issued("t1")]).await;
    let (one, other) = (node(&fake, &vault, &clock), node(&fake, &vault, &clock));
    assert_eq!(outcome(&one).await, "accepted");
    vault.is_away.store(true, Ordering::SeqCst);
    assert_eq!((outcome(&one).await, outcome(&other).await), ("accepted".into(), "deferred provider".into()));
    vault.is_away.store(false, Ordering::SeqCst);
    assert_eq!(outcome(&other).await, "accepted");
    assert_eq!(fake.seen_at(TOKEN).len(), 1);
}

#[tokio::test]
async fn what_cannot_be_opened_is_fetched_anew() {
    let (fake, vault, clock) = fake([issued("t1"), issued("t2")]).await;
    assert_eq!(outcome(&node(&fake, &vault, &clock)).await, "accepted");
    for row in vault.rows.lock().expect("no panic").values_mut() {
        row.kept.as_mut().expect("kept").sealed = "sealed with a key that is gone".into();
    }
    assert_eq!(outcome(&node(&fake, &vault, &clock)).await, "accepted");
    let tokens: Vec<_> = fake.seen_at(SEND).iter().map(|request| request.query("access_token").expect("one")).collect();
    assert_eq!(tokens, ["t1", "t2"]);
}

#[tokio::test]
async fn a_node_that_died_fetching_holds_the_others_up_for_its_turn_only() {
    let (fake, vault, clock) = fake([issued("t1")]).await;
    assert_eq!(outcome(&node(&fake, &vault, &clock)).await, "accepted");
    for row in vault.rows.lock().expect("no panic").values_mut() {
        *row = TokenRow { kept: None, turn: 7, turn_until: Some(NOW + TURN) };
    }
    let survivor = Arc::new(node(&fake, &vault, &clock));
    let sends: Vec<_> = (0..8)
        .map(|_| {
            let node = Arc::clone(&survivor);
            tokio::spawn(async move { outcome(&node).await })
        })
        .collect();
    let begun = std::time::Instant::now();
    for send in sends {
        assert_eq!(send.await.expect("no panic"), "throttled recipient 2s", "no fault of the provider, and no try");
    }
    assert!(begun.elapsed() < PATIENT, "they wait beside each other, not one after the other");
    clock.advance(TURN);
    assert_eq!((outcome(&survivor).await.as_str(), fake.seen_at(TOKEN).len()), ("accepted", 2));
}

#[tokio::test]
async fn a_throttled_token_waits_as_long_as_it_was_told() {
    let clock = Arc::new(ManualClock::at(NOW));
    let tokens = Tokens::new(Arc::new(Vault::default()), Arc::new(Seal), Arc::<ManualClock>::clone(&clock));
    let until = NOW + Duration::from_secs(600);
    let scope = hongyan_core::outcome::Scope::Provider;
    let throttled = Verdict::new(Outcome::Throttled { scope, until }, "slow down");
    let first = tokens.get("key", Owner::Provider, None, async { Err(throttled.clone()) }).await;
    assert_eq!(first.err(), Some(throttled.clone()));
    clock.advance(Duration::from_secs(599));
    let early = tokens.get("key", Owner::Provider, None, async { Err(deferred("asked too early")) }).await;
    assert_eq!(early.err(), Some(throttled));
    clock.advance(Duration::from_secs(1));
    let in_time = tokens.get("key", Owner::Provider, None, async { Err(deferred("asked in time")) }).await;
    assert_eq!(in_time.err(), Some(deferred("asked in time")));
}

#[tokio::test]
async fn made_up_accounts_of_callers_are_asked_for_only_so_often() {
    let clock = Arc::new(ManualClock::at(NOW));
    let tokens = Tokens::new(Arc::new(Vault::default()), Arc::new(Seal), Arc::<ManualClock>::clone(&clock));
    let wrong = Verdict::new(Outcome::Rejected(Rejection::Content), "wrong secret");
    let fetched = AtomicUsize::new(0);
    let ask = async |account: String, owner: Owner, is_good: bool| {
        let fetch = async {
            fetched.fetch_add(1, Ordering::SeqCst);
            let good = Fetched { token: Secret::new("t"), expires_in: Duration::from_secs(7_200) };
            if is_good { Ok(good) } else { Err(wrong.clone()) }
        };
        tokens.get(&account, owner, None, fetch).await.map(|_| ())
    };
    for n in 0..100 {
        assert_eq!(ask(format!("good {n}"), Owner::Caller, true).await, Ok(()), "what is right counts for nothing");
    }
    for n in 0..100 {
        let refused = ask(format!("made up {n}"), Owner::Caller, false).await.expect_err("no token");
        let outcome = if n < 30 { "rejected content" } else { "throttled recipient 60s" };
        assert_eq!(shown(&refused), outcome, "{n}");
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 130);
    assert_eq!(ask("own".into(), Owner::Provider, true).await, Ok(()), "the provider's own is not held up");
    clock.advance(Duration::from_secs(61));
    assert_eq!(ask("made up 99".into(), Owner::Caller, true).await, Ok(()));
    for minute in 1..30 {
        for n in 0..30 {
            drop(ask(format!("made up {minute} {n}"), Owner::Caller, false).await);
        }
        clock.advance(Duration::from_secs(61));
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 132 + 570, "600 in an hour");
}
