//! What messages say, and their attachments.

use std::{collections::HashMap, sync::Arc};

use hongyan_core::{content::Content, id::Id, store::Cargo};

use super::by_bucket;
use crate::{
    engine::Engine,
    row::id_read,
    session::Query,
    sql::read,
    trouble::{Outcome, Trouble},
};

/// Contents and attachments.
pub(crate) async fn cargo(engine: &Engine, messages: Vec<Id>) -> Outcome<Vec<(Id, Cargo)>> {
    let asked = by_bucket(messages.iter().copied());
    // Attachments first: of a message that is forgotten meanwhile, which can only be a whole one, nothing is found then.
    let mut queries = Vec::with_capacity(2 * asked.len());
    for sql in [read::ATTACHMENTS, read::CONTENTS] {
        queries.extend(asked.iter().map(|(bucket, ids)| Query { sql, params: vec![bucket as _, ids as _] }));
    }
    let found = engine.pool.lend().await?.query_all(&queries).await?;
    let (attached, said) = found.split_at(asked.len());
    let mut attachments: HashMap<Id, Vec<Vec<u8>>> = HashMap::new();
    for row in attached.iter().flatten() {
        attachments.entry(id_read(row, 0)?).or_default().push(row.try_get(1)?);
    }
    let mut cargo = Vec::with_capacity(messages.len());
    for row in said.iter().flatten() {
        let message = id_read(row, 0)?;
        let damaged = |what: &str| Trouble::Damaged(format!("the content of message {message}: {what}"));
        let content = Content::from_bytes(row.try_get(1)?).map_err(|error| damaged(&error.to_string()))?;
        let attachments = attachments.remove(&message).unwrap_or_default();
        if i32::try_from(attachments.len()) != Ok(row.try_get(2)?) {
            return Err(damaged("attachments are missing"));
        }
        cargo.push((message, Cargo { content: Arc::new(content), attachments: Arc::new(attachments) }));
    }
    Ok(cargo)
}
