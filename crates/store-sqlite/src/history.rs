//! What accounts have sent (`core`, history): partial indexes hold just that, in the order of ids, one for each way of narrowing
//! it, and are read from their newest end; and how many rows they have is kept beside them, changed in the commits that add rows and forget them.

use std::fmt::Write;

use hongyan_core::{
    account::AccountNo,
    content::Content,
    delivery::State,
    history::{COUNTED_MAX, HistoryFilter, HistoryPage, HistoryRow},
    id::Id,
    limits,
    setup::AppNo,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::Value};

use crate::{
    row::{ROW_COLUMNS, Row, id_read, row_columns, row_read},
    trouble::{Outcome, Trouble},
};

/// Rows of so many channels are merged from an index; those of more are picked out of all.
const MERGED_MAX: usize = 16;

/// The states in which a delivery came to nothing, as a list in SQL: the very list of the indexes of failures, else SQLite does
/// not see that they serve.
fn failures() -> String {
    let failures = State::ALL.iter().filter(|state| state.is_failure() || **state == State::Undelivered);
    failures.map(|state| state.number().to_string()).collect::<Vec<_>>().join(", ")
}

/// So many more rows of `app`, where that is an account.
pub(crate) fn count(db: &Connection, app: AppNo, rows: usize) -> Outcome<()> {
    count_by(db, app, i64::try_from(rows).unwrap_or(i64::MAX))
}

/// So many fewer.
pub(crate) fn count_forgotten(db: &Connection, app: AppNo, rows: usize) -> Outcome<()> {
    count_by(db, app, -i64::try_from(rows).unwrap_or(i64::MAX))
}

fn count_by(db: &Connection, app: AppNo, rows: i64) -> Outcome<()> {
    if AccountNo::of_app(app).is_some() {
        db.prepare_cached(
            "INSERT INTO history_total VALUES (?1, ?2), (0, ?2) ON CONFLICT (app) DO UPDATE SET kept = kept + ?2",
        )?
        .execute(params![app.0, rows])?;
    }
    Ok(())
}

/// A page of rows, as of one moment.
pub(crate) fn page(db: &Connection, filter: &HistoryFilter, skip: usize, limit: usize) -> Outcome<HistoryPage> {
    if filter.channels.as_ref().is_some_and(Vec::is_empty) {
        return Ok(HistoryPage { rows: Vec::new(), total: 0 });
    }
    let snapshot = db.unchecked_transaction()?;
    let selection = Selection::of(filter);
    let ids = selection.ids(&snapshot, skip, limit)?;
    let mut rows: Vec<HistoryRow> = Vec::with_capacity(ids.len());
    let mut said = None;
    for id in ids {
        rows.extend(row(&snapshot, id, &mut said)?);
    }
    let total = if filter.is_plain() { total(&snapshot, filter.account)? } else { selection.count(&snapshot)? };
    Ok(HistoryPage { rows, total })
}

/// How many rows an account has, or all have.
fn total(db: &Connection, account: Option<AccountNo>) -> Outcome<u64> {
    let kept: Option<i64> = db
        .prepare_cached("SELECT kept FROM history_total WHERE app = ?1")?
        .query_row([account.map_or(0, |account| account.as_app().0)], |row| row.get(0))
        .optional()?;
    Ok(kept.unwrap_or(0).unsigned_abs())
}

/// A filter in SQL.
struct Selection {
    /// What follows FROM: of each part, for each is in the order of ids and all are merged in that order.
    parts: Vec<String>,
    /// What follows in every part.
    clauses: String,
    /// Those of `clauses`, by their numbers.
    parameters: Vec<Value>,
}

impl Selection {
    fn of(filter: &HistoryFilter) -> Self {
        let HistoryFilter { account, channels, recipient, failed, since, before } = filter;
        let mut channels: Vec<u32> = channels.iter().flatten().map(|channel| channel.0).collect();
        channels.sort_unstable();
        channels.dedup();
        // By what leaves the fewest rows: to look at the others in vain costs time with their number.
        let narrowed = match (recipient, failed, channels.len()) {
            (Some(_), ..) => "_recipient",
            (None, Some(true), _) => "_failed",
            (None, _, 1..=MERGED_MAX) => "_channel",
            _ => "",
        };
        let whose = if account.is_some() { "own" } else { "all" };
        let from = format!("delivery d INDEXED BY history_{whose}{narrowed} WHERE d.app >= 1073741824");
        let parts = match narrowed {
            "_channel" => channels.drain(..).map(|channel| format!("{from} AND d.channel = {channel}")).collect(),
            _ => vec![from],
        };
        let mut of = Self { parts, clauses: String::new(), parameters: Vec::new() };
        if let Some(account) = account {
            of.and("d.app =", account.as_app().0);
        }
        // A delivery has its id when it is accepted, or ahead of that by as much as ids run ahead (what accounts ask for is one
        // page). So the id alone decides, but for the few that lie between these bounds and the sure ones below.
        of.and("d.id >=", since.map_or(0, |since| Id::lowest_at(since).get()));
        of.and("d.id <", before.map_or(i64::MAX, |before| Id::lowest_at(before + limits::ID_BORROW_MAX).get()));
        if let Some(since) = since {
            of.accepted(">=", *since, Id::lowest_at(*since + limits::ID_BORROW_MAX));
        }
        if let Some(before) = before {
            of.accepted("<", *before, Id::lowest_at(*before));
        }
        if !channels.is_empty() {
            let channels: Vec<_> = channels.iter().map(u32::to_string).collect();
            of.clause(format_args!("d.channel IN ({})", channels.join(", ")));
        }
        if let Some(recipient) = recipient {
            of.and("d.recipient =", recipient.clone());
        }
        if let Some(failed) = failed {
            of.clause(format_args!("d.state {} ({})", if *failed { "IN" } else { "NOT IN" }, failures()));
        }
        of
    }

    fn clause(&mut self, clause: impl std::fmt::Display) {
        // Writing into a string cannot fail.
        let _ = write!(self.clauses, " AND {clause}");
    }

    /// Compares with a value.
    fn and(&mut self, compares: &str, value: impl Into<Value>) {
        self.parameters.push(value.into());
        let last = self.parameters.len();
        self.clause(format_args!("{compares} ?{last}"));
    }

    /// Compares the time of acceptance; an id that compares so with `sure` need not be looked up.
    fn accepted(&mut self, compares: &str, moment: Timestamp, sure: Id) {
        let accepted = "(SELECT accepted FROM message WHERE id = d.message)";
        self.parameters.extend([sure.get().into(), moment.ms().into()]);
        let last = self.parameters.len();
        self.clause(format_args!("(d.id {compares} ?{} OR {accepted} {compares} ?{last})", last - 1));
    }

    fn select(&self, what: &str) -> String {
        let parts = self.parts.iter().map(|part| format!("SELECT {what} FROM {part}{}", self.clauses));
        parts.collect::<Vec<_>>().join(" UNION ALL ")
    }

    /// Its last two parameters are the limit and the offset.
    fn ids_sql(&self) -> String {
        format!("{} ORDER BY 1 DESC LIMIT ? OFFSET ?", self.select("d.id"))
    }

    /// Its last parameter is the limit.
    fn count_sql(&self) -> String {
        format!("SELECT count(*) FROM ({} LIMIT ?)", self.select("1"))
    }

    /// The ids of a page, the newest first. What is left out at its beginning is read in the index alone where nothing else is
    /// asked.
    fn ids(&self, db: &Connection, skip: usize, limit: usize) -> Outcome<Vec<Id>> {
        let bounds = [limit, skip].map(|bound| Value::Integer(i64::try_from(bound).unwrap_or(i64::MAX)));
        let mut find = db.prepare(&self.ids_sql())?;
        let mut rows = find.query(params_from_iter(self.parameters.iter().chain(&bounds)))?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            ids.push(id_read(row, 0)?);
        }
        Ok(ids)
    }

    /// How many rows it selects, counted so far.
    fn count(&self, db: &Connection) -> Outcome<u64> {
        let most = [Value::Integer(i64::try_from(COUNTED_MAX).unwrap_or(i64::MAX))];
        let count: i64 = db
            .prepare(&self.count_sql())?
            .query_row(params_from_iter(self.parameters.iter().chain(&most)), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

/// What the rows of a message have in common.
struct Said {
    message: Id,
    client: String,
    accepted: Timestamp,
    content: Content,
}

/// One row. `said` is of the message of the row above it, which is often the same. What cannot be read is left out.
fn row(db: &Connection, id: Id, said: &mut Option<Said>) -> Outcome<Option<HistoryRow>> {
    let read = delivery(db, id).and_then(|(delivery, recipient)| {
        if said.as_ref().is_none_or(|said| said.message != delivery.message) {
            *said = Some(Said::read(db, delivery.message)?);
        }
        Ok((delivery, recipient))
    });
    let (delivery, recipient) = match read {
        Ok(read) => read,
        Err(trouble) if trouble.is_damage() => {
            tracing::error!(delivery = %id, ?trouble, "a row of history is damaged and is left out");
            return Ok(None);
        }
        Err(trouble) => return Err(trouble),
    };
    let (Some(account), Some(said)) = (AccountNo::of_app(delivery.app), said) else { return Ok(None) };
    let reply = db
        .prepare_cached("SELECT reply FROM attempt WHERE delivery = ?1 ORDER BY no DESC LIMIT 1")?
        .query_row([id.get()], |row| row.get(0))
        .optional()?;
    Ok(Some(HistoryRow {
        id,
        account,
        client: said.client.clone(),
        channel: delivery.channel,
        recipient,
        accepted: said.accepted,
        state: delivery.track.state,
        reason: delivery.track.reason,
        reply: reply.unwrap_or_default(),
        content: said.content.clone(),
    }))
}

/// A delivery, and its recipient as the caller named them.
fn delivery(db: &Connection, id: Id) -> Outcome<(Row, String)> {
    let mut find = db.prepare_cached(concat!("SELECT ", row_columns!(), ", recipient FROM delivery WHERE id = ?1"))?;
    find.query_row([id.get()], |row| Ok(row_read(row).and_then(|read| Ok((read, row.get(ROW_COLUMNS)?)))))?
}

impl Said {
    fn read(db: &Connection, message: Id) -> Outcome<Self> {
        let said = db
            .prepare_cached(
                "SELECT m.client, m.accepted, c.body FROM message m JOIN content c ON c.message = m.id WHERE m.id = ?1",
            )?
            .query_row([message.get()], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)))
            .optional()?;
        let damaged = |what: String| Trouble::Damaged(format!("what message {message} says: {what}"));
        let (client, accepted, body) = said.ok_or_else(|| damaged("it is not there".to_owned()))?;
        let content = Content::from_bytes(&body).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { message, client, accepted: Timestamp::from_ms(accepted), content })
    }
}

#[cfg(test)]
mod tests;
