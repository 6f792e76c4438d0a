//! Putting items into inboxes, marking them, and keeping tokens.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use hongyan_core::{
    id::Id,
    inbox::{InboxToken, Mark, Marked, NewItem, Which},
    limits,
    store::StoreResult,
    time::Timestamp,
};

use super::quota::name;
use crate::{
    engine::{Engine, Operation, Transaction},
    reads::{Selection, bucket_of_hash, inbox_bucket, items_before},
    row::{id_read, signed},
    session::{Param, Query},
    sql::inbox as sql,
    trouble::Outcome,
};

/// Items of one bucket as columns.
#[derive(Default)]
struct Items {
    person: Vec<String>,
    id: Vec<i64>,
    message: Vec<i64>,
    app: Vec<i32>,
    channel: Vec<i32>,
    business: Vec<String>,
    kind: Vec<String>,
    at: Vec<i64>,
}

/// Puts items into inboxes.
pub(crate) async fn put(engine: &Engine, items: Vec<NewItem>) -> StoreResult<()> {
    let mut buckets: BTreeMap<i16, Items> = BTreeMap::new();
    for item in items {
        let person = name(item.user);
        let columns = buckets.entry(inbox_bucket(&person)).or_default();
        columns.person.push(person);
        columns.id.push(item.id.get());
        columns.message.push(item.message.get());
        columns.app.push(signed(item.app.0));
        columns.channel.push(signed(item.channel.0));
        columns.business.push(name(item.business));
        columns.kind.push(name(item.kind));
        columns.at.push(item.at.ms());
    }
    if buckets.is_empty() {
        return Ok(());
    }
    let queries = buckets.iter().map(|(bucket, of)| {
        let params: Vec<Param<'_>> =
            vec![bucket, &of.person, &of.id, &of.message, &of.app, &of.channel, &of.business, &of.kind, &of.at];
        Query { sql: sql::ITEMS_PUT, params }
    });
    engine.transact(&queries.collect::<Vec<_>>()).await.map_err(|trouble| trouble.told())?;
    engine.committed(1);
    Ok(())
}

/// Keeps a token.
pub(crate) async fn token_add(
    engine: &Engine,
    token: InboxToken,
    hash: [u8; 32],
    expires: Timestamp,
) -> StoreResult<()> {
    let (bucket, hash, user) = (bucket_of_hash(&hash), hash.as_slice(), name(token.user));
    let (app, expires) = (signed(token.app.0), expires.ms());
    let params: Vec<Param<'_>> = vec![&bucket, &hash, &user, &app, &expires];
    engine.transact(&[Query { sql: sql::TOKEN_ADD, params }]).await.map_err(|trouble| trouble.told())?;
    engine.committed(1);
    Ok(())
}

/// Marks items of a person.
pub(crate) struct MarkItems {
    person: String,
    selected: Selected,
    mark: Mark,
    now: Timestamp,
}

enum Selected {
    Ids(Vec<i64>),
    /// What the mark changes of what was selected, if it can change anything.
    All(Option<Selection>),
}

impl MarkItems {
    pub(crate) fn new(user: String, which: Which, mark: Mark, now: Timestamp) -> Self {
        let selected = match which {
            Which::Items(ids) => {
                let ids: BTreeSet<i64> = ids.into_iter().map(Id::get).collect();
                Selected::Ids(ids.into_iter().collect())
            }
            Which::All(filter) => Selected::All(Selection::new(filter).changed_by(mark)),
        };
        Self { person: name(user), selected, mark, now }
    }

    /// Marks these.
    async fn mark(&self, tx: &Transaction<'_>, ids: &Vec<i64>, marked: &mut Vec<Marked>) -> Outcome<()> {
        let (read, archived, deleted) = match self.mark {
            Mark::Read => (Some(true), None, false),
            Mark::Unread => (Some(false), None, false),
            Mark::Archived => (None, Some(true), false),
            Mark::Unarchived => (None, Some(false), false),
            Mark::Deleted => (None, None, true),
        };
        let bucket = inbox_bucket(&self.person);
        let params: Vec<Param<'_>> = vec![&bucket, &self.person, &read, &archived, &deleted, ids];
        let queries = [sql::ITEMS_MARK, sql::BROADCASTS_MARK].map(|sql| Query { sql, params: params.clone() });
        for (rows, broadcast) in tx.db.query_all(&queries).await?.iter().zip([false, true]) {
            for row in rows {
                marked.push(Marked { id: id_read(row, 0)?, broadcast });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Operation for MarkItems {
    type Answer = Vec<Marked>;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Vec<Marked>> {
        let mut marked = Vec::new();
        let selection = match &self.selected {
            Selected::Ids(ids) => {
                self.mark(tx, ids, &mut marked).await?;
                return Ok(marked);
            }
            Selected::All(None) => return Ok(marked),
            Selected::All(Some(selection)) => selection,
        };
        // What came until now. Of what was found somebody else may have marked some meanwhile: it goes on where they are not enough.
        let mut place = (self.now.ms(), i64::MAX);
        while marked.len() < limits::INBOX_MARKS_MAX {
            let wanted = limits::INBOX_MARKS_MAX - marked.len();
            let items = items_before(tx.db, &self.person, selection, place, wanted).await?;
            let Some(last) = items.last() else { break };
            place = (last.at.ms(), last.id.get());
            self.mark(tx, &items.iter().map(|item| item.id.get()).collect(), &mut marked).await?;
        }
        Ok(marked)
    }
}
