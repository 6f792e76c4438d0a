//! Access tokens of providers and whose turn it is to fetch one. The arithmetic is `core`'s; the row of the token is locked while
//! it is done.

use async_trait::async_trait;
use hongyan_core::{
    id::bucket_of_name,
    store::StoreResult,
    time::Timestamp,
    token::{KeptToken, TokenRow, TokenTurn},
};
use tokio_postgres::Row as SqlRow;

use super::quota::name;
use crate::{
    engine::{Engine, Operation, Transaction},
    session::{Param, Query},
    sql::token,
    trouble::{Outcome, Trouble},
};

/// Asks for a token. Most of the time there is one, or somebody else fetches one: then nothing is locked.
pub(crate) async fn ask(engine: &Engine, key: String, failed: Option<u64>, now: Timestamp) -> StoreResult<TokenTurn> {
    let key = name(key);
    match seen(engine, &key).await.map_err(|trouble| trouble.told())?.ask(failed, now) {
        TokenTurn::Mine(_) => engine.run(&OnToken { key, turn: |row: &mut TokenRow| row.ask(failed, now) }).await,
        answered => Ok(answered),
    }
}

/// Keeps what was fetched in a turn.
pub(crate) async fn keep(
    engine: &Engine,
    key: String,
    turn: u64,
    sealed: String,
    expires: Timestamp,
) -> StoreResult<Option<KeptToken>> {
    let keep = |row: &mut TokenRow| row.keep(turn, sealed.clone(), expires);
    engine.run(&OnToken { key: name(key), turn: keep }).await
}

/// Nothing could be fetched in a turn.
pub(crate) async fn fail(engine: &Engine, key: String, turn: u64, until: Timestamp) -> StoreResult<()> {
    engine.run(&OnToken { key: name(key), turn: |row: &mut TokenRow| row.fail(turn, until) }).await
}

/// A token's row as it is now.
async fn seen(engine: &Engine, key: &str) -> Outcome<TokenRow> {
    let found = engine.pool.lend().await?.query_opt(token::TOKEN, &[&i16::from(bucket_of_name(key)), &key]).await?;
    found.as_ref().map(read).transpose().map(Option::unwrap_or_default)
}

/// The operation: what `turn` does to the row of a token.
struct OnToken<F> {
    key: String,
    turn: F,
}

#[async_trait]
impl<T: Send, F: Fn(&mut TokenRow) -> T + Send + Sync> Operation for OnToken<F> {
    type Answer = T;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<T> {
        let bucket = i16::from(bucket_of_name(&self.key));
        let lock = [token::TOKEN_BEGIN, token::TOKEN_LOCK].map(|sql| Query { sql, params: vec![&bucket, &self.key] });
        let found = tx.db.query_all(&lock).await?;
        let row = found.iter().flatten().next();
        let before = read(row.ok_or_else(|| Trouble::Damaged(format!("the token {:?} is gone", self.key)))?)?;
        let mut row = before.clone();
        let answer = (self.turn)(&mut row);
        if row != before {
            self.write(tx, bucket, &row).await?;
        }
        Ok(answer)
    }
}

impl<F> OnToken<F> {
    async fn write(&self, tx: &Transaction<'_>, bucket: i16, row: &TokenRow) -> Outcome<()> {
        let (turn, until) = (row.turn.cast_signed(), row.turn_until.map(Timestamp::ms));
        let kept = row.kept.as_ref();
        let version = kept.map(|kept| kept.version.cast_signed());
        let (sealed, expires) = (kept.map(|kept| kept.sealed.as_str()), kept.map(|kept| kept.expires.ms()));
        let over = row.over().ms();
        let params: [Param<'_>; 8] = [&bucket, &self.key, &turn, &until, &version, &sealed, &expires, &over];
        tx.db.execute(token::TOKEN_WRITE, &params).await?;
        Ok(())
    }
}

fn read(row: &SqlRow) -> Outcome<TokenRow> {
    let moment = |column| Ok::<_, Trouble>(row.try_get::<_, Option<i64>>(column)?.map(Timestamp::from_ms));
    let kept = match (row.try_get::<_, Option<i64>>(2)?, row.try_get(3)?, moment(4)?) {
        (Some(version), Some(sealed), Some(expires)) => {
            Some(KeptToken { version: version.cast_unsigned(), sealed, expires })
        }
        _ => None,
    };
    Ok(TokenRow { kept, turn: row.try_get::<_, i64>(0)?.cast_unsigned(), turn_until: moment(1)? })
}
