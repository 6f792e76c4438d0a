//! Caps: at most so many in any span of time, for one recipient of a provider or one calling app (design 8). What is kept of
//! each is a [`Tally`], a short list of moments and how many were admitted at each, as arithmetic that a store runs inside one
//! transaction: read the tally, [`Tally::draw`], write it back.
//!
//! Admissions that lie close together are kept as one moment, the later one, so that a tally stays short and errs only to the
//! side of fewer: it never admits more than a cap says in any span, whatever runs beside it.

use std::time::Duration;

use crate::time::Timestamp;

/// Caps of one draw at most.
pub const CAPS_MAX: usize = 4;

/// A span is told apart in so many steps; what falls into one step is one moment.
const STEPS: u32 = 60;

/// At most `most` in any `span`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub most: u32,
    /// In which span of time.
    pub span: Duration,
}

/// Something that counts against the caps of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Whose tally, such as `member/3/zhangsan`.
    pub key: String,
    /// How many it counts for. What is more than a cap allows at all passes where nothing else counts.
    pub amount: u32,
    /// So many are given back instead, which were drawn at that moment and came to nothing.
    pub back: Option<Timestamp>,
}

/// What became of a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// It counts.
    Yes,
    /// Nothing of it counts; it would at this moment, if nothing else came before.
    No {
        /// When.
        until: Timestamp,
    },
}

/// What was admitted under one key, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<(Timestamp, u32)>);

impl Tally {
    /// Makes a draw, or takes one back.
    pub fn apply(&mut self, caps: &[Cap], draw: &Draw, now: Timestamp) -> Drawn {
        match draw.back {
            None => self.draw(caps, draw.amount, now),
            Some(at) => {
                self.give_back(draw.amount, at, now - longest(caps));
                Drawn::Yes
            }
        }
    }

    /// Takes `amount` off the moment that stands for `at`: the first that is no earlier, for moments are merged into later ones. Off
    /// a later one it would let what was counted in between leave too early. What has left by now (`until`) has nothing to give back.
    fn give_back(&mut self, amount: u32, at: Timestamp, until: Timestamp) {
        if at <= until {
            return;
        }
        if let Some((_, n)) = self.0.iter_mut().find(|(moment, _)| *moment >= at) {
            *n = n.saturating_sub(amount);
        }
        self.0.retain(|(_, n)| *n > 0);
    }

    /// Counts `amount` at `now` if every cap has room for it. A clock that is behind what was counted last counts as that.
    fn draw(&mut self, caps: &[Cap], amount: u32, now: Timestamp) -> Drawn {
        let now = self.0.last().map_or(now, |(last, _)| now.max(*last));
        let longest = longest(caps);
        self.0.retain(|(at, _)| now.since(*at) < longest);
        match caps.iter().filter_map(|cap| self.room_at(*cap, amount, now)).max() {
            Some(until) => Drawn::No { until },
            None => {
                self.0.push((now, amount));
                self.merge(caps);
                Drawn::Yes
            }
        }
    }

    /// From when on nothing in the tally counts any more.
    pub fn over(&self, caps: &[Cap]) -> Timestamp {
        self.0.last().map_or(Timestamp::from_ms(0), |(last, _)| *last + longest(caps))
    }

    /// The stored form: pairs of milliseconds since 1970 and a count, both little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(at, n)| at.ms().to_le_bytes().into_iter().chain(n.to_le_bytes())).collect()
    }

    /// Reads the stored form; `None` where it is not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (pairs, []) = bytes.as_chunks::<12>() else { return None };
        let pair = |[a, b, c, d, e, f, g, h, n @ ..]: [u8; 12]| {
            (Timestamp::from_ms(i64::from_le_bytes([a, b, c, d, e, f, g, h])), u32::from_le_bytes(n))
        };
        let pairs: Vec<_> = pairs.iter().map(|bytes| pair(*bytes)).collect();
        pairs.is_sorted_by_key(|(at, _)| *at).then_some(Self(pairs))
    }

    /// When `amount` more fits under `cap`; `None` where it does at `now`.
    fn room_at(&self, cap: Cap, amount: u32, now: Timestamp) -> Option<Timestamp> {
        let counting = || self.0.iter().filter(|(at, _)| now.since(*at) < cap.span);
        let used: u64 = counting().map(|(_, n)| u64::from(*n)).sum();
        let mut excess = (used + u64::from(amount.min(cap.most))).saturating_sub(u64::from(cap.most));
        let mut until = None;
        for (at, n) in counting() {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(u64::from(*n));
            until = Some(*at + cap.span);
        }
        until
    }

    /// Makes one moment of those that lie within a step of the shortest span in which they still count.
    fn merge(&mut self, caps: &[Cap]) {
        let Some(newest) = self.0.last().map(|(at, _)| *at) else { return };
        let step_at = |age: Duration| {
            let counting = caps.iter().map(|cap| cap.span).filter(|span| age < *span);
            counting.min().map_or(Duration::ZERO, |span| span / STEPS)
        };
        let mut merged: Vec<(Timestamp, u32)> = Vec::with_capacity(self.0.len());
        // From the newest, so that a step is measured back from the moment that stands for it.
        for (at, n) in self.0.iter().rev() {
            match merged.last_mut() {
                Some((later, sum)) if later.since(*at) < step_at(newest.since(*later)) => *sum = sum.saturating_add(*n),
                _ => merged.push((*at, *n)),
            }
        }
        merged.reverse();
        self.0 = merged;
    }
}

/// The longest span of some caps.
fn longest(caps: &[Cap]) -> Duration {
    caps.iter().map(|cap| cap.span).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: Timestamp = Timestamp::from_ms(1_800_000_000_000);
    const MEMBER: [Cap; 2] =
        [Cap { most: 30, span: Duration::from_secs(60) }, Cap { most: 1_000, span: Duration::from_secs(3_600) }];

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn as_many_as_the_cap_says_and_then_again_when_they_are_old() {
        let mut tally = Tally::default();
        for _ in 0..30 {
            assert_eq!(tally.draw(&MEMBER, 1, T0), Drawn::Yes);
        }
        assert_eq!(tally.draw(&MEMBER, 1, T0 + s(59)), Drawn::No { until: T0 + s(60) });
        assert_eq!(tally.draw(&MEMBER, 1, T0 + s(60)), Drawn::Yes);
        assert_eq!(tally.over(&MEMBER), T0 + s(3_660));
    }

    #[test]
    fn what_is_given_back_may_be_drawn_again() {
        let mut tally = Tally::default();
        let mut apply = |amount, back: Option<u64>, at| {
            let draw = Draw { key: String::new(), amount, back: back.map(|second| T0 + s(second)) };
            tally.apply(&MEMBER, &draw, T0 + s(at)) == Drawn::Yes
        };
        assert!(apply(20, None, 0) && apply(10, None, 9) && !apply(1, None, 10));
        assert!(apply(20, Some(0), 12));
        assert!(apply(20, None, 13) && !apply(1, None, 13));
        assert!(!apply(21, None, 69) && apply(10, None, 69), "what was sent in between counts until its own time");
        assert!(apply(99, Some(500), 70) && !apply(1, None, 70), "nothing was drawn then");
    }

    #[test]
    fn what_is_more_than_a_cap_passes_alone() {
        let mut tally = Tally::default();
        assert_eq!(tally.draw(&MEMBER, 40, T0), Drawn::Yes);
        assert_eq!(tally.draw(&MEMBER, 1, T0 + s(1)), Drawn::No { until: T0 + s(60) });
        assert_eq!(tally.draw(&MEMBER, 40, T0 + s(60)), Drawn::Yes);
    }

    #[test]
    fn an_hour_is_kept_too_and_the_tally_stays_short() {
        let (mut tally, mut at, mut passed) = (Tally::default(), T0, 0);
        while passed < 1_000 {
            match tally.draw(&MEMBER, 1, at) {
                Drawn::Yes => passed += 1,
                Drawn::No { until } => at = until,
            }
        }
        assert!(matches!(tally.draw(&MEMBER, 1, at), Drawn::No { until } if until >= T0 + s(3_600)));
        assert!(tally.0.len() <= 3 * STEPS as usize, "{}", tally.0.len());
        assert_eq!(Tally::from_bytes(&tally.to_bytes()), Some(tally));
        assert_eq!(Tally::from_bytes(&[0; 11]), None);
    }

    proptest! {
        #[test]
        fn never_more_than_a_cap_in_any_span_and_room_when_it_says(
            draws in prop::collection::vec((0u64..20_000, 1u32..4, prop::bool::weighted(0.3)), 1..300),
        ) {
            let caps = [Cap { most: 7, span: s(10) }, Cap { most: 20, span: s(100) }];
            let (mut tally, mut at, mut passed) = (Tally::default(), T0, Vec::new());
            let mut unsent = Vec::new();
            for (wait, amount, is_back) in draws {
                at = at + Duration::from_millis(wait);
                // Now and then what was drawn a while ago turns out to have come to nothing.
                if is_back && let Some((drawn, amount)) = unsent.pop() {
                    tally.apply(&caps, &Draw { key: String::new(), amount, back: Some(drawn) }, at);
                    continue;
                }
                match tally.draw(&caps, amount, at) {
                    Drawn::Yes if wait % 3 == 0 => unsent.push((at, amount)),
                    Drawn::Yes => passed.push((at, amount)),
                    Drawn::No { until } => {
                        prop_assert!(until > at);
                        prop_assert_eq!(tally.clone().draw(&caps, amount, until), Drawn::Yes);
                    }
                }
            }
            for cap in caps {
                for (from, _) in &passed {
                    let inside = passed.iter().filter(|(at, _)| at >= from && at.since(*from) < cap.span);
                    prop_assert!(inside.map(|(_, n)| n).sum::<u32>() <= cap.most);
                }
            }
        }
    }
}
