//! Access tokens of provider accounts: one for all nodes, kept sealed in the store, and a copy in memory
//! (`contracts/providers.md` 1.1, 2 and 9.5). Whoever finds it missing, old or refused takes the store's turn to fetch a new
//! one; on a node, one caller at a time asks the store, and whoever has a good token asks nobody.
//!
//! After a fetch that failed, nobody asks the provider again for some seconds: it blocks callers who ask too often. What callers
//! name is asked for only so often, whoever names how much that is not there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hongyan_core::{
    cap::{Cap, Draw, Drawn, Tally},
    outcome::{Outcome, Scope, Verdict},
    ports::Sealer,
    setup::Secret,
    store::AccessTokens,
    time::{Clock, Timestamp},
    token::TokenTurn,
};
use ring::digest::{Context, SHA256};
use tokio::time::sleep;

use crate::http::deferred;

/// A token is replaced so long before it expires: in its last five minutes the provider gives a new one beside it.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);
/// How long at least a token is used, should it live hardly longer than that.
const USED_MIN: Duration = Duration::from_secs(60);
/// How often, and after what wait each, somebody looks for the token that another fetches.
const LOOKS: u32 = 20;
const LOOK_WAIT: Duration = Duration::from_millis(200);
/// After what wait they look again who have not found it: a fetch may take longer than all those looks.
const LOOKED_IN_VAIN: Duration = Duration::from_secs(2);
/// The pause after a fetch that failed.
const PAUSE: Duration = Duration::from_secs(3);
/// The longest pause where it is the settings that are wrong: it doubles from one failure to the next.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// So many accounts that callers name are remembered.
const CALLERS_MAX: usize = 256;
/// So many fetches for accounts that callers name may fail. WeCom closes the whole endpoint for an hour to who makes more than
/// 2,000 bad calls in an hour, and each node counts for itself.
const CALLERS_FAILURES: [Cap; 2] =
    [Cap { most: 30, span: Duration::from_secs(60) }, Cap { most: 600, span: Duration::from_secs(3_600) }];

/// The name of an account's token in the store: a hash, for one of its parts is a secret.
pub fn key(kind: &str, base_url: &str, id: &str, secret: &Secret) -> String {
    let mut hash = Context::new(&SHA256);
    for part in [kind, base_url, id, secret.expose()] {
        hash.update(&part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The place for which the token under `key` is sealed.
fn place(key: &str) -> String {
    format!("token/{key}")
}

/// Whose an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The provider that is configured.
    Provider,
    /// A caller, whose message named it.
    Caller,
}

/// A token to use.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub secret: Secret,
    /// By which it is told apart from those before and after it.
    pub version: u64,
    expires: Timestamp,
}

/// What a provider gave.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The token.
    pub token: Secret,
    /// How long it is good for.
    pub expires_in: Duration,
}

/// The tokens of a provider.
pub struct Tokens {
    store: Arc<dyn AccessTokens>,
    sealer: Arc<dyn Sealer>,
    clock: Arc<dyn Clock>,
    accounts: Mutex<Accounts>,
    /// What was fetched for callers and failed, or is not back yet.
    callers: Mutex<Tally>,
}

/// The accounts that are remembered.
#[derive(Default)]
struct Accounts {
    own: HashMap<String, Arc<Account>>,
    callers: HashMap<String, Arc<Account>>,
}

#[derive(Default)]
struct Account {
    held: Mutex<Option<Token>>,
    /// Whoever asks the store holds it.
    asking: tokio::sync::Mutex<Trouble>,
}

/// What went wrong last, and may do so again.
#[derive(Default)]
struct Trouble {
    failures: u32,
    last: Option<(Verdict, Timestamp)>,
}

impl Tokens {
    /// The tokens that are kept in `store`.
    pub fn new(store: Arc<dyn AccessTokens>, sealer: Arc<dyn Sealer>, clock: Arc<dyn Clock>) -> Self {
        Self { store, sealer, clock, accounts: Mutex::default(), callers: Mutex::default() }
    }

    /// A token for `account` (a [`key`]) that is not the one of version `failed`, which the provider refused. `fetch` is only
    /// run where it is this caller's turn.
    ///
    /// # Errors
    /// The verdict for whatever was to be sent with it, which certainly was not: that of `fetch`, or that the token could not be
    /// had for now.
    pub async fn get<F>(&self, account: &str, owner: Owner, failed: Option<u64>, fetch: F) -> Result<Token, Verdict>
    where
        F: Future<Output = Result<Fetched, Verdict>> + Send,
    {
        let remembered = lock(&self.accounts).get(account, owner);
        if let Some(token) = remembered.good(failed, self.clock.now()) {
            return Ok(token);
        }
        let mut trouble = remembered.asking.lock().await;
        if let Some(token) = remembered.good(failed, self.clock.now()) {
            return Ok(token);
        }
        let found = self.find((account, owner), failed, fetch, &mut trouble).await;
        match &found {
            Ok(token) => {
                *trouble = Trouble::default();
                *lock(&remembered.held) = Some(token.clone());
            }
            Err(verdict) if trouble.last.as_ref().is_none_or(|(_, until)| *until <= self.clock.now()) => {
                let now = self.clock.now();
                trouble.last = Some((verdict.clone(), pause(verdict, 1, now)));
            }
            Err(_) => {}
        }
        found
    }

    /// Finds the token in the store, fetches it, or waits until another has.
    async fn find<F>(
        &self,
        (key, owner): (&str, Owner),
        mut failed: Option<u64>,
        fetch: F,
        trouble: &mut Trouble,
    ) -> Result<Token, Verdict>
    where
        F: Future<Output = Result<Fetched, Verdict>> + Send,
    {
        for _ in 0..LOOKS {
            let now = self.clock.now();
            let turn = self.store.token_ask(key.to_owned(), failed, now).await;
            match turn.map_err(|error| deferred(format!("no access token: {error}")))? {
                TokenTurn::Kept(kept) => match self.sealer.open(&place(key), &kept.sealed) {
                    Ok(secret) => return Ok(Token { secret, version: kept.version, expires: kept.expires }),
                    // Sealed with a key that is gone: of no more use than one that was refused.
                    Err(_) => failed = Some(kept.version),
                },
                TokenTurn::Mine(turn) => {
                    if owner == Owner::Provider {
                        return self.fetch(key, turn, fetch, trouble).await;
                    }
                    if let Drawn::No { until } = self.draw(None) {
                        // The turn is for whoever may.
                        let _ = self.store.token_fail(key.to_owned(), turn, now).await;
                        return Err(wait("too many of those that callers name have failed", until));
                    }
                    let fetched = self.fetch(key, turn, fetch, trouble).await;
                    if fetched.is_ok() {
                        self.draw(Some(now));
                    }
                    return fetched;
                }
                TokenTurn::Theirs { .. } => match &trouble.last {
                    Some((verdict, until)) if *until > now => return Err(verdict.clone()),
                    _ => sleep(LOOK_WAIT).await,
                },
            }
        }
        // That somebody else is slow, or waits, says nothing of the provider, and is no try of what was to be sent.
        let until = self.clock.now() + LOOKED_IN_VAIN;
        Err(wait("another node fetches one, or waits after it could not", until))
    }

    /// Counts one fetch for a caller, or takes back one that was counted at that moment.
    fn draw(&self, back: Option<Timestamp>) -> Drawn {
        let draw = Draw { key: String::new(), amount: 1, back };
        lock(&self.callers).apply(&CALLERS_FAILURES, &draw, self.clock.now())
    }

    /// It is this caller's turn.
    async fn fetch<F>(&self, key: &str, turn: u64, fetch: F, trouble: &mut Trouble) -> Result<Token, Verdict>
    where
        F: Future<Output = Result<Fetched, Verdict>> + Send,
    {
        let begun = self.clock.now();
        let fetched = match fetch.await {
            Ok(fetched) => fetched,
            Err(verdict) => {
                trouble.failures = trouble.failures.saturating_add(1);
                let until = pause(&verdict, trouble.failures, self.clock.now());
                trouble.last = Some((verdict.clone(), until));
                // Where this fails, the turn ends by itself.
                let _ = self.store.token_fail(key.to_owned(), turn, until).await;
                return Err(verdict);
            }
        };
        let expires = begun + lifetime(fetched.expires_in);
        let sealed = self.sealer.seal(&place(key), &fetched.token);
        let sealed = sealed.map_err(|error| deferred(format!("no access token: {error}")))?;
        if let Err(error) = self.store.token_keep(key.to_owned(), turn, sealed, expires).await {
            // Good all the same: the others will fetch their own.
            tracing::warn!(error = %error, "an access token could not be kept for the other nodes");
        }
        // Where the turn has passed to another, its token has a higher number, and this one serves until it is refused.
        Ok(Token { secret: fetched.token, version: turn, expires })
    }
}

impl Accounts {
    /// The account under `key`. Room for one of a caller is made among those of callers: first those without a token go. What is
    /// forgotten is in the store, and who waits for it keeps what they have in hand.
    fn get(&mut self, key: &str, owner: Owner) -> Arc<Account> {
        let known = match owner {
            Owner::Provider => &mut self.own,
            Owner::Caller => &mut self.callers,
        };
        if owner == Owner::Caller && known.len() >= CALLERS_MAX && !known.contains_key(key) {
            known.retain(|_, account| lock(&account.held).is_some());
            if known.len() >= CALLERS_MAX {
                known.clear();
            }
        }
        Arc::clone(known.entry(key.to_owned()).or_default())
    }
}

impl Account {
    fn good(&self, failed: Option<u64>, now: Timestamp) -> Option<Token> {
        let held = lock(&self.held);
        held.as_ref().filter(|token| token.expires > now && Some(token.version) != failed).cloned()
    }
}

/// How long a token is used that is good for `expires_in`.
fn lifetime(expires_in: Duration) -> Duration {
    expires_in.saturating_sub(RENEWED_BEFORE).max(USED_MIN.min(expires_in))
}

/// Until when nobody asks again, after so many failures.
fn pause(verdict: &Verdict, failures: u32, now: Timestamp) -> Timestamp {
    match verdict.outcome {
        Outcome::Throttled { until, .. } => until,
        Outcome::Misconfigured | Outcome::Rejected(_) => {
            now + (PAUSE * 2_u32.saturating_pow(failures - 1)).min(PAUSE_MAX)
        }
        _ => now + PAUSE,
    }
}

/// The verdict where there is no token before `until`, for reasons that are not the provider's.
fn wait(why: &str, until: Timestamp) -> Verdict {
    Verdict::new(Outcome::Throttled { scope: Scope::Recipient, until }, format!("no access token: {why}"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    #[test]
    fn a_token_is_replaced_before_it_expires_and_used_a_minute_at_least() {
        for (expires_in, used) in [(7_200, 6_900), (361, 61), (360, 60), (300, 60), (45, 45), (0, 0)] {
            assert_eq!(lifetime(Duration::from_secs(expires_in)).as_secs(), used, "{expires_in}");
        }
    }

    #[test]
    fn pauses_grow_where_the_settings_are_wrong() {
        let misconfigured = Verdict::new(Outcome::Misconfigured, "");
        let pauses = [1, 2, 5, 6, 40].map(|n| pause(&misconfigured, n, NOW).since(NOW).as_secs());
        assert_eq!(pauses, [3, 6, 48, 60, 60]);
        assert_eq!(pause(&deferred(""), 9, NOW).since(NOW).as_secs(), 3);
    }

    #[test]
    fn callers_crowd_out_each_other_and_never_the_provider() {
        let mut accounts = Accounts::default();
        let give = |account: &Account| {
            let token = Token { secret: Secret::new("t"), version: 1, expires: NOW };
            *lock(&account.held) = Some(token);
        };
        let own = accounts.get("own", Owner::Provider);
        let good = accounts.get("good", Owner::Caller);
        give(&good);
        for n in 0..1_000 {
            accounts.get(&format!("made up {n}"), Owner::Caller);
            assert!(accounts.callers.len() <= CALLERS_MAX, "{n}");
        }
        assert!(Arc::ptr_eq(&good, &accounts.get("good", Owner::Caller)), "who has a token stays");
        for n in 0..1_000 {
            give(&accounts.get(&format!("real {n}"), Owner::Caller));
            assert!(accounts.callers.len() <= CALLERS_MAX, "{n}");
        }
        assert!(Arc::ptr_eq(&own, &accounts.get("own", Owner::Provider)));
    }

    #[test]
    fn keys_are_hashes_that_tell_parts_apart() {
        let key = |id: &str, secret: &str| key("wecom", "https://x", id, &Secret::new(secret));
        assert_eq!(key("a", "b").len(), 64);
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(key("a", "b"), key("a", "c"));
    }
}
