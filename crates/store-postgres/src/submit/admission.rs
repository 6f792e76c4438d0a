//! What of a commit the windows of accounts admit. It is asked once it is known what is new, so that a repeat does not count, and
//! before anything is stored. Keys are locked first, then accounts, each in their order: whoever settles locks accounts last.

use std::collections::{BTreeMap, HashMap};

use hongyan_core::{
    id::{Id, bucket_of_key},
    quota::{Admitted, Refusal},
    store::Submitted,
    time::Timestamp,
};

use super::request::Request;
use crate::{
    row::signed,
    session::{Query, Session},
    sql::hot,
    trouble::{Outcome, Trouble},
    windows::{Ask, Said, Windows},
};

/// Admits those of the requests that are to be stored and count; what is refused is answered so, and its key forgotten.
pub(super) async fn admit(db: &Session, requests: &[Request], answers: &mut [Submitted]) -> Outcome<()> {
    let mut places = Vec::new();
    let mut asks: Vec<(Ask, Timestamp)> = Vec::new();
    for (place, request) in requests.iter().enumerate().filter(|(place, _)| answers[*place] == Submitted::Stored) {
        if let Some(admission) = &request.batch.admission {
            places.push(place);
            asks.push((Ask::Admit(admission.clone()), request.now));
        }
    }
    if asks.is_empty() {
        return Ok(());
    }
    let said = Windows { asks: &asks, begins: true }.decide(db).await?;
    let said = said.ok_or_else(|| Trouble::Damaged("an account that was begun is gone".to_owned()))?;
    let mut refused: HashMap<Id, Refusal> = HashMap::new();
    for (place, said) in places.into_iter().zip(said) {
        if let Said::Admitted(Admitted::No(refusal)) = said {
            answers[place] = Submitted::OverLimit(refusal);
            refused.insert(requests[place].batch.message.id, refusal);
        }
    }
    // Whoever came with the same request under the same key is refused with the first.
    for answer in answers.iter_mut() {
        if let Submitted::Seen(first) = answer
            && let Some(refusal) = refused.get(first)
        {
            *answer = Submitted::OverLimit(*refusal);
        }
    }
    forget_keys(db, requests, &refused).await
}

/// The keys of a bucket as columns: app, key and message.
type Keys<'a> = (Vec<i32>, Vec<&'a str>, Vec<i64>);

/// Forgets the keys of what was refused.
async fn forget_keys(db: &Session, requests: &[Request], refused: &HashMap<Id, Refusal>) -> Outcome<()> {
    let mut buckets: BTreeMap<i16, Keys<'_>> = BTreeMap::new();
    for request in requests.iter().filter(|request| refused.contains_key(&request.batch.message.id)) {
        let Some(idempotency) = &request.batch.idempotency else { continue };
        let (app, message) = (request.batch.message.app, request.batch.message.id);
        let keys = buckets.entry(i16::from(bucket_of_key(app, &idempotency.key))).or_default();
        keys.0.push(signed(app.0));
        keys.1.push(&idempotency.key);
        keys.2.push(message.get());
    }
    let queries = buckets.iter().map(|(bucket, (apps, keys, messages))| Query {
        sql: hot::KEYS_DROP,
        params: vec![bucket as _, apps as _, keys as _, messages as _],
    });
    db.query_all(&queries.collect::<Vec<_>>()).await?;
    Ok(())
}
