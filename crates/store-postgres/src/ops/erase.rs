//! Erasing secrets of messages of which nothing is to come any more. The search walks the messages that have one in the
//! preferred buckets in the order of their ids, in bounded steps, and goes on where the last one stopped, so that what
//! waits for long keeps nothing behind it from being found. It changes nothing; what is over stays over, so that what it found
//! can be written afterwards, whoever else has found it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hongyan_core::{content::Content, id::Id, store::StoreResult};
use tokio_postgres::Row as SqlRow;

use crate::{
    engine::{Engine, Operation, Transaction},
    reads::{by_bucket, to_come},
    row::id_read,
    session::Query,
    sql::{erasure, read},
    trouble::Outcome,
};

/// Erases secrets of messages of these buckets, at most `limit`; answers how many.
pub(crate) async fn erase(engine: &Engine, buckets: Vec<u8>, limit: usize) -> StoreResult<usize> {
    let over = over(engine, buckets, limit).await.map_err(|trouble| trouble.told())?;
    if over.is_empty() { Ok(0) } else { engine.run(&Erase { over }).await }
}

/// Of the next messages that have a secret those of which nothing is to come, by bucket.
async fn over(engine: &Engine, buckets: Vec<u8>, limit: usize) -> Outcome<BTreeMap<i16, Vec<i64>>> {
    let after = engine.memory.lock().erased_to;
    let (buckets, most): (Vec<i16>, _) =
        (buckets.into_iter().map(i16::from).collect(), i64::try_from(limit).unwrap_or(i64::MAX));
    let queries = buckets
        .iter()
        .map(|bucket| Query { sql: erasure::ERASURES, params: vec![bucket as _, &after as _, &most as _] });
    let found = engine.pool.lend().await?.query_all(&queries.collect::<Vec<_>>()).await?;
    let mut found = found.iter().flatten().map(|row| id_read(row, 0)).collect::<Outcome<Vec<Id>>>()?;
    found.sort_unstable();
    let is_all = found.len() <= limit;
    found.truncate(limit);
    engine.memory.lock().erased_to = found.last().filter(|_| !is_all).map_or(0, |last| last.get());
    if found.is_empty() {
        return Ok(BTreeMap::new());
    }
    let to_come = to_come(engine, &found).await?;
    Ok(by_bucket(found.into_iter().filter(|message| !to_come.contains(message))))
}

/// The operation.
struct Erase {
    over: BTreeMap<i16, Vec<i64>>,
}

#[async_trait]
impl Operation for Erase {
    type Answer = usize;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<usize> {
        // What another node is erasing just now is left to it.
        let ours =
            by_bucket(ids(tx, erasure::ERASURES_LOCK, &self.over).await?.iter().map(id).collect::<Outcome<Vec<_>>>()?);
        let mut contents: BTreeMap<i16, (Vec<i64>, Vec<Vec<u8>>)> = BTreeMap::new();
        for row in &ids(tx, read::CONTENTS, &ours).await? {
            let message = id(row)?;
            match Content::from_bytes(row.try_get(1)?) {
                Ok(mut content) => {
                    content.erase_secret();
                    let (ids, bodies) = contents.entry(i16::from(message.bucket())).or_default();
                    ids.push(message.get());
                    bodies.push(content.to_bytes());
                }
                Err(_) => {
                    // The secret must not stay, and nothing else can be read of it either.
                    tracing::error!(%message, "what a message says is damaged: all of it is erased with its secret");
                    let (ids, bodies) = contents.entry(i16::from(message.bucket())).or_default();
                    ids.push(message.get());
                    bodies.push(Vec::new());
                }
            }
        }
        let mut queries = Vec::with_capacity(2 * ours.len());
        for (bucket, (ids, bodies)) in &contents {
            queries.push(Query { sql: erasure::CONTENT_WRITE, params: vec![bucket, ids, bodies] });
        }
        for (bucket, ids) in &ours {
            queries.push(Query { sql: erasure::ERASURES_END, params: vec![bucket, ids] });
        }
        tx.db.query_all(&queries).await?;
        Ok(contents.values().map(|(ids, _)| ids.len()).sum())
    }
}

/// What a statement about messages answers.
async fn ids(tx: &Transaction<'_>, sql: &'static str, of: &BTreeMap<i16, Vec<i64>>) -> Outcome<Vec<SqlRow>> {
    let queries = of.iter().map(|(bucket, ids)| Query { sql, params: vec![bucket as _, ids as _] });
    Ok(tx.db.query_all(&queries.collect::<Vec<_>>()).await?.into_iter().flatten().collect())
}

fn id(row: &SqlRow) -> Outcome<Id> {
    id_read(row, 0)
}
