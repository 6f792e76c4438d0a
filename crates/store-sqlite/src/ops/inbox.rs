//! Putting items into inboxes, and what their readers do with them.

use hongyan_core::{
    id::Id,
    inbox::{InboxFilter, InboxToken, Mark, Marked, NewItem, Which},
    limits::INBOX_MARKS_MAX,
    time::Timestamp,
};
use rusqlite::{Connection, Params, params};

use crate::{
    inbox::{BROADCASTS, BROADCASTS_SELECTED, Selected},
    operation::Operation,
    row::id_read,
    transaction::Transaction,
    trouble::Outcome,
};

/// Puts items into inboxes.
pub(crate) struct InboxPut {
    pub items: Vec<NewItem>,
}

impl Operation for InboxPut {
    type Answer = ();

    fn bytes(&self) -> usize {
        256 * self.items.len()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        let mut put = tx.db.prepare_cached(
            "INSERT INTO inbox_item VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0) ON CONFLICT DO NOTHING",
        )?;
        for NewItem { id, user, message, app, channel, business, kind, at } in &self.items {
            put.execute(params![id.get(), user, message.get(), app.0, channel.0, business, kind, at.ms()])?;
        }
        Ok(())
    }
}

/// Marks items of a person.
pub(crate) struct InboxMark {
    pub user: String,
    pub which: Which,
    pub mark: Mark,
    pub now: Timestamp,
}

/// The column in which a mark is kept, and what it is then.
const fn column(mark: Mark) -> (&'static str, u8) {
    match mark {
        Mark::Read => ("read", 1),
        Mark::Unread => ("read", 0),
        Mark::Archived => ("archived", 1),
        Mark::Unarchived => ("archived", 0),
        Mark::Deleted => ("deleted", 1),
    }
}

impl Operation for InboxMark {
    type Answer = Vec<Marked>;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Vec<Marked>> {
        tx.memory.see(self.now);
        let mut marked = Vec::new();
        match &self.which {
            Which::Items(ids) => {
                for id in ids {
                    self.mark_one(tx.db, *id, &mut marked)?;
                }
            }
            Which::All(filter) => {
                self.mark_own(tx.db, filter, &mut marked)?;
                self.mark_broadcasts(tx.db, filter, &mut marked)?;
            }
        }
        Ok(marked)
    }
}

impl InboxMark {
    /// An item is a person's own or a broadcast: ids are never both. One that was named is marked whenever it came.
    fn mark_one(&self, db: &Connection, id: Id, marked: &mut Vec<Marked>) -> Outcome<()> {
        let (column, value) = column(self.mark);
        let own = format!(
            "UPDATE inbox_item SET {column} = {value} WHERE id = ?1 AND user = ?2 AND deleted = 0 AND {column} <> {value}"
        );
        if db.prepare_cached(&own)?.execute(params![id.get(), self.user])? > 0 {
            marked.push(Marked { id, broadcast: false });
            return Ok(());
        }
        let find = format!("SELECT b.message {BROADCASTS} AND b.message = ?2 AND ifnull(m.{column}, 0) <> {value}");
        let found = ids_read(db, &find, params![self.user, id.get()])?;
        self.broadcasts_keep(db, &found, marked)
    }

    /// What came until now and is selected.
    fn selected<'a>(&'a self, filter: &'a InboxFilter) -> Selected<'a> {
        Selected { user: &self.user, before: (self.now.ms(), i64::MAX), filter }
    }

    /// A person's own that are selected, those put away and those not.
    fn mark_own(&self, db: &Connection, filter: &InboxFilter, marked: &mut Vec<Marked>) -> Outcome<()> {
        let (column, value) = column(self.mark);
        let selected = self.selected(filter);
        for archived in [false, true] {
            let is_so = column == "archived" && u8::from(archived) == value;
            if is_so || !selected.may_be(archived) {
                continue;
            }
            // What is to be read is found among what is not.
            let (index, clauses) = selected.own(filter.unread || self.mark == Mark::Read, archived);
            let find = format!(
                "SELECT id FROM inbox_item INDEXED BY {index} WHERE {clauses} AND {column} <> {value} \
                 ORDER BY at DESC, id DESC LIMIT ?9"
            );
            let found = ids_read(db, &find, selected.parameters(INBOX_MARKS_MAX - marked.len()))?;
            marked.extend(found.into_iter().map(|id| Marked { id, broadcast: false }));
        }
        // Found first, for a statement must not walk an index that it changes.
        let mut change = db.prepare_cached(&format!("UPDATE inbox_item SET {column} = {value} WHERE id = ?1"))?;
        for Marked { id, .. } in &*marked {
            change.execute([id.get()])?;
        }
        Ok(())
    }

    /// Broadcasts that are selected.
    fn mark_broadcasts(&self, db: &Connection, filter: &InboxFilter, marked: &mut Vec<Marked>) -> Outcome<()> {
        let (column, value) = column(self.mark);
        let find = format!(
            "SELECT b.message {BROADCASTS} {BROADCASTS_SELECTED} AND ifnull(m.{column}, 0) <> {value} \
             ORDER BY b.at DESC, b.message DESC LIMIT ?9"
        );
        let found = ids_read(db, &find, self.selected(filter).parameters(INBOX_MARKS_MAX - marked.len()))?;
        self.broadcasts_keep(db, &found, marked)
    }

    /// Keeps the mark on broadcasts.
    fn broadcasts_keep(&self, db: &Connection, found: &[Id], marked: &mut Vec<Marked>) -> Outcome<()> {
        let (column, value) = column(self.mark);
        let keep = format!(
            "INSERT INTO broadcast_mark (user, message, read, archived, deleted) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET {column} = {value}"
        );
        let mut keep = db.prepare_cached(&keep)?;
        let is = |other: &str| if column == other { value } else { 0 };
        for id in found {
            keep.execute(params![self.user, id.get(), is("read"), is("archived"), is("deleted")])?;
            marked.push(Marked { id: *id, broadcast: true });
        }
        Ok(())
    }
}

fn ids_read(db: &Connection, sql: &str, parameters: impl Params) -> Outcome<Vec<Id>> {
    let mut find = db.prepare_cached(sql)?;
    let mut rows = find.query(parameters)?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(id_read(row, 0)?);
    }
    Ok(ids)
}

/// Keeps a person's token.
pub(crate) struct InboxTokenAdd {
    pub token: InboxToken,
    pub hash: [u8; 32],
    pub expires: Timestamp,
}

impl Operation for InboxTokenAdd {
    type Answer = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        let InboxToken { user, app } = &self.token;
        tx.db.prepare_cached("INSERT OR REPLACE INTO inbox_token VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            self.hash,
            user,
            app.0,
            self.expires.ms()
        ])?;
        Ok(())
    }
}
