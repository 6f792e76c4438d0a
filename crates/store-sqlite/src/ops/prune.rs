//! Forgetting history: old messages in the order of their ids, a few at a time, with what they put into inboxes, never one with an
//! open delivery; and idempotency keys, tallies, access tokens of providers, tokens of accounts and of inboxes whose time is over.

use hongyan_core::{id::Id, limits, setup::AppNo, time::Timestamp};
use rusqlite::{Connection, params};

use crate::{history, operation::Operation, reads, row::id_read, transaction::Transaction, trouble::Outcome};

/// The operation.
pub(crate) struct Prune {
    pub before: Timestamp,
    pub limit: usize,
    pub now: Timestamp,
}

/// How many messages one call looks at, of those that must stay.
const KEPT_MAX: usize = 10_000;
/// How many marks on one broadcast one call forgets: there may be one of every person.
const MARKS_MAX: usize = 10_000;

impl Operation for Prune {
    /// Whether there may be more to forget.
    type Answer = bool;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        tx.memory.see(self.now);
        let keys = keys_forget(tx.db, self.now, self.limit)?;
        let tallies = tallies_forget(tx.db, self.now, self.limit)?;
        let account_tokens = account_tokens_forget(tx.db, self.now, self.limit)?;
        let tokens = tokens_forget(tx.db, self.now, self.limit)?;
        let inbox_tokens = inbox_tokens_forget(tx.db, self.now, self.limit)?;
        let messages = self.messages_forget(tx)?;
        Ok([keys, tallies, account_tokens, tokens, inbox_tokens, messages]
            .into_iter()
            .any(|forgotten| forgotten >= self.limit))
    }
}

impl Prune {
    /// Forgets old messages, at most `limit`; answers how many, or as if it were so many where a broadcast is left by half.
    fn messages_forget(&self, tx: &mut Transaction<'_>) -> Outcome<usize> {
        let (mut pruned, mut kept) = (0, 0);
        while pruned < self.limit && kept < KEPT_MAX {
            let Some((id, app, accepted)) = message_after(tx.db, tx.memory.prune_after)? else {
                tx.memory.prune_after = 0;
                break;
            };
            // The time in an id runs at most so far ahead of the time of acceptance: nothing old follows.
            if id.time() > self.before + limits::ID_BORROW_MAX {
                tx.memory.prune_after = 0;
                break;
            }
            tx.memory.prune_after = id.get();
            if accepted < self.before && !reads::is_open(tx.db, id)? {
                if marks_forget(tx.db, id)? >= MARKS_MAX {
                    tx.memory.prune_after = id.get() - 1;
                    return Ok(self.limit);
                }
                message_delete(tx.db, id, app)?;
                pruned += 1;
            } else {
                kept += 1;
            }
        }
        Ok(pruned)
    }
}

/// Forgets keys whose time is over, at most `limit`; answers how many.
fn keys_forget(db: &Connection, now: Timestamp, limit: usize) -> Outcome<usize> {
    let mut over = db.prepare_cached("SELECT app, key FROM idempotency WHERE expires <= ?1 LIMIT ?2")?;
    let keys: Vec<(u32, String)> = over
        .query_map(params![now.ms(), i64::try_from(limit).unwrap_or(i64::MAX)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut forget = db.prepare_cached("DELETE FROM idempotency WHERE app = ?1 AND key = ?2")?;
    for (app, key) in &keys {
        forget.execute(params![app, key])?;
    }
    Ok(keys.len())
}

/// Forgets tallies of which nothing counts any more, at most `limit`; answers how many.
fn tallies_forget(db: &Connection, now: Timestamp, limit: usize) -> Outcome<usize> {
    let over =
        "DELETE FROM tally WHERE key IN (SELECT key FROM tally INDEXED BY tally_until WHERE until <= ?1 LIMIT ?2)";
    Ok(db.prepare_cached(over)?.execute(params![now.ms(), i64::try_from(limit).unwrap_or(i64::MAX)])?)
}

/// Forgets tokens of accounts that count no more, at most `limit`; answers how many.
fn account_tokens_forget(db: &Connection, now: Timestamp, limit: usize) -> Outcome<usize> {
    let over = "DELETE FROM account_token WHERE hash IN \
                (SELECT hash FROM account_token INDEXED BY account_token_expires WHERE expires <= ?1 LIMIT ?2)";
    Ok(db.prepare_cached(over)?.execute(params![now.ms(), i64::try_from(limit).unwrap_or(i64::MAX)])?)
}

/// Forgets access tokens that serve nobody any more, at most `limit`; answers how many.
fn tokens_forget(db: &Connection, now: Timestamp, limit: usize) -> Outcome<usize> {
    let over = "DELETE FROM access_token WHERE key IN \
                (SELECT key FROM access_token INDEXED BY access_token_over WHERE over <= ?1 LIMIT ?2)";
    Ok(db.prepare_cached(over)?.execute(params![now.ms(), i64::try_from(limit).unwrap_or(i64::MAX)])?)
}

/// Forgets tokens of inboxes that count no more, at most `limit`; answers how many.
fn inbox_tokens_forget(db: &Connection, now: Timestamp, limit: usize) -> Outcome<usize> {
    let over = "DELETE FROM inbox_token WHERE hash IN \
                (SELECT hash FROM inbox_token INDEXED BY inbox_token_expires WHERE expires <= ?1 LIMIT ?2)";
    Ok(db.prepare_cached(over)?.execute(params![now.ms(), i64::try_from(limit).unwrap_or(i64::MAX)])?)
}

/// Forgets marks on a broadcast, at most [`MARKS_MAX`]; answers how many.
fn marks_forget(db: &Connection, message: Id) -> Outcome<usize> {
    let marks = "DELETE FROM broadcast_mark WHERE message = ?1 AND user IN \
                 (SELECT user FROM broadcast_mark INDEXED BY broadcast_mark_message WHERE message = ?1 LIMIT ?2)";
    Ok(db.prepare_cached(marks)?.execute(params![message.get(), i64::try_from(MARKS_MAX).unwrap_or(i64::MAX)])?)
}

fn message_after(db: &Connection, after: i64) -> Outcome<Option<(Id, AppNo, Timestamp)>> {
    let mut find = db.prepare_cached("SELECT id, app, accepted FROM message WHERE id > ?1 ORDER BY id LIMIT 1")?;
    let mut rows = find.query([after])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((id_read(row, 0)?, AppNo(row.get(1)?), Timestamp::from_ms(row.get(2)?))))
}

fn message_delete(db: &Connection, message: Id, app: AppNo) -> Outcome<()> {
    let mut deliveries = 0;
    for (first, last) in reads::pages(db, message)? {
        let range = [message.get(), first, last];
        db.prepare_cached(
            "DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE id BETWEEN ?2 AND ?3 AND message = ?1)",
        )?
        .execute(range)?;
        db.prepare_cached("DELETE FROM inbox_item WHERE id BETWEEN ?2 AND ?3 AND message = ?1")?.execute(range)?;
        deliveries +=
            db.prepare_cached("DELETE FROM delivery WHERE id BETWEEN ?2 AND ?3 AND message = ?1")?.execute(range)?;
    }
    history::count_forgotten(db, app, deliveries)?;
    for sql in [
        "DELETE FROM broadcast WHERE message = ?1",
        "DELETE FROM page WHERE message = ?1",
        "DELETE FROM erasure WHERE message = ?1",
        "DELETE FROM content WHERE message = ?1",
        "DELETE FROM attachment WHERE message = ?1",
        "DELETE FROM message WHERE id = ?1",
    ] {
        db.prepare_cached(sql)?.execute([message.get()])?;
    }
    Ok(())
}
