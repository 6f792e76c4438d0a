//! Custody of access tokens: the arithmetic is `core`'s, this loads the row that it works on and keeps what it makes of it.

use hongyan_core::{
    time::Timestamp,
    token::{KeptToken, TokenRow, TokenTurn},
};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use crate::{operation::Operation, transaction::Transaction, trouble::Outcome};

/// Asks for a token.
pub(crate) struct TokenAsk {
    pub key: String,
    pub failed: Option<u64>,
    pub now: Timestamp,
}

impl Operation for TokenAsk {
    type Answer = TokenTurn;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<TokenTurn> {
        tx.memory.see(self.now);
        changed(tx.db, &self.key, |row| row.ask(self.failed, self.now))
    }
}

/// Keeps what was fetched.
pub(crate) struct TokenKeep {
    pub key: String,
    pub turn: u64,
    pub sealed: String,
    pub expires: Timestamp,
}

impl Operation for TokenKeep {
    type Answer = Option<KeptToken>;

    fn bytes(&self) -> usize {
        self.key.len() + self.sealed.len()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Option<KeptToken>> {
        changed(tx.db, &self.key, |row| row.keep(self.turn, self.sealed.clone(), self.expires))
    }
}

/// Nothing could be fetched.
pub(crate) struct TokenFail {
    pub key: String,
    pub turn: u64,
    pub until: Timestamp,
}

impl Operation for TokenFail {
    type Answer = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        changed(tx.db, &self.key, |row| row.fail(self.turn, self.until))
    }
}

/// Reads the row of a token, changes it, and writes it if it is another one now.
fn changed<T>(db: &Connection, key: &str, change: impl FnOnce(&mut TokenRow) -> T) -> Outcome<T> {
    let before = db
        .prepare_cached("SELECT version, sealed, expires, turn, turn_until FROM access_token WHERE key = ?1")?
        .query_row([key], token_row)
        .optional()?
        .unwrap_or_default();
    let mut row = before.clone();
    let answer = change(&mut row);
    if row != before {
        let kept = row.kept.as_ref();
        db.prepare_cached("INSERT OR REPLACE INTO access_token VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(
            params![
                key,
                kept.map(|kept| number(kept.version)),
                kept.map(|kept| &kept.sealed),
                kept.map(|kept| kept.expires.ms()),
                number(row.turn),
                row.turn_until.map(Timestamp::ms),
                row.over().ms(),
            ],
        )?;
    }
    Ok(answer)
}

fn token_row(row: &SqlRow<'_>) -> rusqlite::Result<TokenRow> {
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_ms));
    let kept = match (row.get::<_, Option<i64>>(0)?, row.get(1)?, time(2)?) {
        (Some(version), Some(sealed), Some(expires)) => {
            Some(KeptToken { version: version.unsigned_abs(), sealed, expires })
        }
        _ => None,
    };
    Ok(TokenRow { kept, turn: row.get::<_, i64>(3)?.unsigned_abs(), turn_until: time(4)? })
}

fn number(turn: u64) -> i64 {
    i64::try_from(turn).unwrap_or(i64::MAX)
}
