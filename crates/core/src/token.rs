//! Custody of a provider's access tokens (`contracts/providers.md` 9.5): every node uses the same one, and whoever finds it
//! missing, old or refused takes the turn to fetch a new one, so that of all nodes one at a time asks the provider.

use std::time::Duration;

use crate::time::Timestamp;

/// How long a row is kept that serves nobody any more: a secret that callers name now and then need not be new each time.
const KEPT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a turn to fetch a token lasts, after which another may take it.
pub const TURN: Duration = Duration::from_secs(20);

/// A token as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptToken {
    /// Grows with every token under its key.
    pub version: u64,
    /// The token, sealed for its key.
    pub sealed: String,
    /// When it is to be replaced.
    pub expires: Timestamp,
}

/// Who may do what about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenTurn {
    /// This one is good.
    Kept(KeptToken),
    /// It is this caller's turn to fetch one, under this number.
    Mine(u64),
    /// Somebody else fetches one, or failed to and waits.
    Theirs {
        /// Until when.
        until: Timestamp,
    },
}

/// A token's row, as arithmetic that a store runs inside one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRow {
    /// What is kept, if anything ever was.
    pub kept: Option<KeptToken>,
    /// The number of the last turn; the version of a token is the turn in which it was fetched.
    pub turn: u64,
    /// Until when nobody else may take the next one.
    pub turn_until: Option<Timestamp>,
}

impl TokenRow {
    /// Asks for a token that is not the one of version `failed`, which the provider refused.
    pub fn ask(&mut self, failed: Option<u64>, now: Timestamp) -> TokenTurn {
        if let Some(kept) = &self.kept
            && kept.expires > now
            && Some(kept.version) != failed
        {
            return TokenTurn::Kept(kept.clone());
        }
        match self.turn_until {
            Some(until) if until > now => TokenTurn::Theirs { until },
            _ => {
                self.turn += 1;
                self.turn_until = Some(now + TURN);
                TokenTurn::Mine(self.turn)
            }
        }
    }

    /// Keeps what was fetched in `turn`; answers the version, or `None` where the turn has passed to somebody else.
    pub fn keep(&mut self, turn: u64, sealed: String, expires: Timestamp) -> Option<KeptToken> {
        if self.turn != turn {
            return None;
        }
        self.turn_until = None;
        self.kept = Some(KeptToken { version: turn, sealed, expires });
        self.kept.clone()
    }

    /// From when on it may be forgotten.
    pub fn over(&self) -> Timestamp {
        let expires = self.kept.as_ref().map(|kept| kept.expires);
        expires.max(self.turn_until).unwrap_or(Timestamp::from_ms(0)) + KEPT_AFTER
    }

    /// Nothing could be fetched in `turn`: nobody tries again before `until`.
    pub fn fail(&mut self, turn: u64, until: Timestamp) {
        if self.turn == turn {
            self.turn_until = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    #[test]
    fn one_fetches_and_the_others_use_it() {
        let s = Duration::from_secs;
        let mut row = TokenRow::default();
        assert_eq!(row.ask(None, T0), TokenTurn::Mine(1));
        assert_eq!(row.ask(None, T0 + s(1)), TokenTurn::Theirs { until: T0 + TURN });
        let first = row.keep(1, "a".into(), T0 + s(100)).expect("its turn");
        assert_eq!(row.ask(None, T0 + s(99)), TokenTurn::Kept(first.clone()));
        assert_eq!(row.ask(Some(0), T0 + s(99)), TokenTurn::Kept(first.clone()), "an older one was refused");
        assert_eq!(row.ask(Some(1), T0 + s(2)), TokenTurn::Mine(2), "the kept one was refused");
        assert_eq!(row.ask(Some(1), T0 + s(3)), TokenTurn::Theirs { until: T0 + s(2) + TURN });
        assert_eq!(row.ask(None, T0 + s(3)), TokenTurn::Kept(first), "who knows nothing bad of it uses it");
        row.fail(2, T0 + s(60));
        assert_eq!(row.ask(Some(1), T0 + s(59)), TokenTurn::Theirs { until: T0 + s(60) });
        assert_eq!(row.ask(Some(1), T0 + s(60)), TokenTurn::Mine(3));
        assert_eq!(row.keep(2, "late".into(), T0 + s(900)), None);
        row.fail(2, T0 + s(900));
        assert_eq!(row.keep(3, "b".into(), T0 + s(900)).map(|kept| kept.version), Some(3));
        assert_eq!(row.over(), T0 + s(900) + KEPT_AFTER);
        assert_eq!(row.ask(None, T0 + s(900)), TokenTurn::Mine(4), "old");
        assert_eq!(row.over(), T0 + s(900) + TURN + KEPT_AFTER);
    }
}
