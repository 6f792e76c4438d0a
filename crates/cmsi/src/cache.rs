//! Answers of other services, remembered for a while: a bounded number of them, found by a digest, so that no token and no
//! name lies about in memory longer than the request that brought it.

use std::{collections::HashMap, time::Duration};

use hongyan_core::time::Timestamp;
use ring::digest::{Context, SHA256};

/// Under what an answer is found.
pub(crate) type Key = [u8; 32];

/// The key of a question: the service that is asked, and what it is asked.
pub(crate) fn key(service: &str, question: &str) -> Key {
    let mut hash = Context::new(&SHA256);
    hash.update(service.as_bytes());
    // No address of a service holds a NUL, so that the two cannot run into each other.
    hash.update(&[0]);
    hash.update(question.as_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

/// An answer, and for how long it holds.
#[derive(Clone, Debug)]
pub(crate) struct Kept<V> {
    pub(crate) value: V,
    since: Timestamp,
    life: Duration,
}

impl<V> Kept<V> {
    /// An answer that came at `now`.
    pub(crate) const fn new(value: V, now: Timestamp, life: Duration) -> Self {
        Self { value, since: now, life }
    }

    /// Whether it still holds. Where the clock was set back, nobody knows any more how old it is: then not.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.since <= now && now.since(self.since) < self.life
    }
}

/// A bounded map that forgets what was not asked for lately, in two generations: when the young one is half of all, it becomes
/// the old one, and what was old is forgotten. No operation depends on how many there are.
pub(crate) struct Cache<V> {
    young: HashMap<Key, V>,
    old: HashMap<Key, V>,
    half: usize,
}

impl<V: Clone> Cache<V> {
    /// An empty one for at most `max` entries.
    pub(crate) fn new(max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: max.div_ceil(2) }
    }

    /// What is kept under `key`.
    pub(crate) fn get(&mut self, key: &Key) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(*key, value.clone());
        Some(value)
    }

    /// Keeps something under `key`.
    pub(crate) fn insert(&mut self, key: Key, value: V) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_number_is_bounded() {
        let mut cache = Cache::new(10);
        let often = key("s", "often");
        cache.insert(often, 0);
        for n in 1..1_000 {
            cache.insert(key("s", &n.to_string()), n);
            assert_eq!(cache.get(&often), Some(0), "{n}");
            assert!(cache.young.len() + cache.old.len() <= 10);
        }
        assert_eq!(cache.get(&key("s", "999")), Some(999));
        assert_eq!(cache.get(&key("s", "1")), None);
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(key("a", "c"), key("b", "c"), "what one service says is not what another says");
    }

    #[test]
    fn an_answer_holds_for_its_time_and_not_before_it_came() {
        let at = Timestamp::from_ms(1_000_000);
        let kept = Kept::new((), at, Duration::from_secs(60));
        let s = |n| at + Duration::from_secs(n);
        assert!(kept.is_fresh(at) && kept.is_fresh(s(59)) && !kept.is_fresh(s(60)));
        assert!(!kept.is_fresh(Timestamp::from_ms(999_999)));
    }
}
