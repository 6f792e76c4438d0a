//! Erasing the secrets in what messages say when nothing of them is to come. Which messages have any is on record, so that
//! nothing is searched; a message that is open is passed by, and the next call goes on behind it.

use hongyan_core::{content::Content, id::Id};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{operation::Operation, reads, row::id_read, transaction::Transaction, trouble::Outcome};

/// The operation.
pub(crate) struct SecretsErase {
    pub limit: usize,
}

/// How many messages one call looks at, of those that are open.
const OPEN_MAX: usize = 1_000;

impl Operation for SecretsErase {
    type Answer = usize;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<usize> {
        let (mut erased, mut open) = (0, 0);
        while erased < self.limit && open < OPEN_MAX {
            let Some(message) = message_after(tx.db, tx.memory.erase_after)? else {
                tx.memory.erase_after = 0;
                break;
            };
            tx.memory.erase_after = message.get();
            if reads::is_open(tx.db, message)? {
                open += 1;
            } else {
                secret_erase(tx.db, message)?;
                erased += 1;
            }
        }
        Ok(erased)
    }
}

/// The next message whose secret is to be erased.
fn message_after(db: &Connection, after: i64) -> Outcome<Option<Id>> {
    let mut find = db.prepare_cached("SELECT message FROM erasure WHERE message > ?1 ORDER BY message LIMIT 1")?;
    let mut rows = find.query([after])?;
    rows.next()?.map(|row| id_read(row, 0)).transpose()
}

fn secret_erase(db: &Connection, message: Id) -> Outcome<()> {
    let body: Option<Vec<u8>> = db
        .prepare_cached("SELECT body FROM content WHERE message = ?1")?
        .query_row([message.get()], |row| row.get(0))
        .optional()?;
    if let Some(body) = body {
        db.prepare_cached("UPDATE content SET body = ?2 WHERE message = ?1")?
            .execute(params![message.get(), without_secret(message, &body)])?;
    }
    db.prepare_cached("DELETE FROM erasure WHERE message = ?1")?.execute([message.get()])?;
    Ok(())
}

/// The stored form of a content without its secret. Of what cannot be read nothing is left: it cannot be sent any more, and
/// the secret must not stay.
fn without_secret(message: Id, body: &[u8]) -> Vec<u8> {
    match Content::from_bytes(body) {
        Ok(mut content) => {
            content.erase_secret();
            content.to_bytes()
        }
        Err(error) => {
            let at = error.column();
            tracing::error!(%message, at, "the content of a message is damaged and is erased with its secret");
            Vec::new()
        }
    }
}
