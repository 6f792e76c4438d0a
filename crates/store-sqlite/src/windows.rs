//! The windows of accounts (`core`, quota): what an admission, a refund and a look at them load, and what they keep. Part of
//! whichever transaction asks.

use hongyan_core::{
    id::Id,
    quota::{self, Account, Admission, Admitted, Day, Entry, Shortage, Span, Sums},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::trouble::Outcome;

/// Admits a request whole or not at all.
pub(crate) fn admit(db: &Connection, asked: &Admission, now: Timestamp) -> Outcome<Admitted> {
    let key = asked.account.as_str();
    let mut account = match account_read(db, key)? {
        Some(account) => moved_on(db, key, account, asked.day, now)?,
        None => Account::new(asked.day, now),
    };
    let answer = if entry_read(db, key, asked.id)?.is_some() {
        Admitted::Yes(account.sums())
    } else {
        match account.admit(asked) {
            Ok(entry) => {
                entry_add(db, key, asked.id, &entry)?;
                Admitted::Yes(account.sums())
            }
            Err(shortage) => {
                Admitted::No(shortage.refused(last_to_leave(db, key, account.seen - quota::HOUR, &shortage)?))
            }
        }
    };
    account_write(db, key, &account)?;
    outdated_delete(db, key, &account)?;
    Ok(answer)
}

/// Gives back up to `amount` units of what was admitted under `id`; answers how many.
pub(crate) fn refund(db: &Connection, key: &str, id: Id, amount: u32, now: Timestamp) -> Outcome<u32> {
    let Some(mut account) = account_read(db, key)? else { return Ok(0) };
    let Some(mut entry) = entry_read(db, key, id)? else { return Ok(0) };
    let given = account.refund(&mut entry, amount, now);
    if given > 0 {
        account_write(db, key, &account)?;
        db.prepare_cached("UPDATE quota_entry SET amount = ?3 WHERE account = ?1 AND id = ?2")?.execute(params![
            key,
            id.get(),
            entry.amount
        ])?;
    }
    Ok(given)
}

/// What an account has used by `now`.
pub(crate) fn used(db: &Connection, key: &str, day: Day, now: Timestamp) -> Outcome<Sums> {
    match account_read(db, key)? {
        Some(account) => Ok(moved_on(db, key, account, day, now)?.sums()),
        None => Ok(Sums::default()),
    }
}

fn moved_on(db: &Connection, key: &str, account: Account, day: Day, now: Timestamp) -> Outcome<Account> {
    let Span { after, until } = account.retiring(now);
    let retired = db
        .prepare_cached("SELECT coalesce(sum(amount), 0) FROM quota_entry WHERE account = ?1 AND at > ?2 AND at <= ?3")?
        .query_row(params![key, after.ms(), until.ms()], |row| row.get(0))
        .map(i64::unsigned_abs)?;
    Ok(account.moved_on(retired, day, now))
}

fn account_read(db: &Connection, key: &str) -> Outcome<Option<Account>> {
    let mut find =
        db.prepare_cached("SELECT seen, hour, day, day_begin, day_end FROM quota_account WHERE account = ?1")?;
    let mut rows = find.query([key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let time = |column| row.get(column).map(Timestamp::from_ms);
    Ok(Some(Account {
        seen: time(0)?,
        hour: row.get::<_, i64>(1)?.unsigned_abs(),
        day: row.get::<_, i64>(2)?.unsigned_abs(),
        today: Day { begin: time(3)?, end: time(4)? },
    }))
}

fn account_write(db: &Connection, key: &str, account: &Account) -> Outcome<()> {
    let Account { seen, hour, day, today } = account;
    let [hour, day] = [hour, day].map(|sum| i64::try_from(*sum).unwrap_or(i64::MAX));
    db.prepare_cached("INSERT OR REPLACE INTO quota_account VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        key,
        seen.ms(),
        hour,
        day,
        today.begin.ms(),
        today.end.ms()
    ])?;
    Ok(())
}

fn entry_read(db: &Connection, key: &str, id: Id) -> Outcome<Option<Entry>> {
    let mut find = db.prepare_cached("SELECT at, day, amount FROM quota_entry WHERE account = ?1 AND id = ?2")?;
    let entry = find.query_row(params![key, id.get()], |row| {
        Ok(Entry { at: Timestamp::from_ms(row.get(0)?), day: Timestamp::from_ms(row.get(1)?), amount: row.get(2)? })
    });
    Ok(entry.optional()?)
}

fn entry_add(db: &Connection, key: &str, id: Id, entry: &Entry) -> Outcome<()> {
    db.prepare_cached("INSERT INTO quota_entry VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        key,
        id.get(),
        entry.at.ms(),
        entry.day.ms(),
        entry.amount
    ])?;
    Ok(())
}

/// When the entry was admitted whose leaving, after all older ones, makes room in the hour. Reads as many as have to leave.
fn last_to_leave(db: &Connection, key: &str, after: Timestamp, shortage: &Shortage) -> Outcome<Option<Timestamp>> {
    if shortage.hour_excess() == 0 {
        return Ok(None);
    }
    let mut find =
        db.prepare_cached("SELECT at, amount FROM quota_entry WHERE account = ?1 AND at > ?2 ORDER BY at")?;
    let mut rows = find.query(params![key, after.ms()])?;
    let mut freed = 0u64;
    while let Some(row) = rows.next()? {
        freed += u64::from(row.get::<_, u32>(1)?);
        if freed >= shortage.hour_excess() {
            return Ok(Some(Timestamp::from_ms(row.get(0)?)));
        }
    }
    Ok(None)
}

/// Deletes entries that count nowhere any more, the oldest first and a few at a time.
fn outdated_delete(db: &Connection, key: &str, account: &Account) -> Outcome<()> {
    let mut find =
        db.prepare_cached("SELECT id, at, day FROM quota_entry WHERE account = ?1 AND at <= ?2 ORDER BY at LIMIT ?3")?;
    let limit = i64::try_from(quota::OUTDATED_DELETED_MAX).unwrap_or(i64::MAX);
    let oldest: Vec<(i64, i64, i64)> = find
        .query_map(params![key, (account.seen - quota::HOUR).ms(), limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut delete = db.prepare_cached("DELETE FROM quota_entry WHERE account = ?1 AND id = ?2")?;
    for (id, at, day) in oldest {
        let entry = Entry { at: Timestamp::from_ms(at), day: Timestamp::from_ms(day), amount: 0 };
        if !account.outdated(&entry) {
            break;
        }
        delete.execute(params![key, id])?;
    }
    Ok(())
}
