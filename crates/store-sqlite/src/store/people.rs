//! The directory and the inbox of the store.

use std::sync::Arc;

use async_trait::async_trait;
use hongyan_core::{
    directory::{DirectoryChange, DirectoryReport, Group, GroupKind, GroupNo, Member, UserEntry},
    id::Id,
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    setup::User,
    store::{Directory, Inboxes, StoreResult},
    time::Timestamp,
};

use super::SqliteStore;
use crate::{
    directory, inbox,
    ops::{
        directory::{DirectoryApply, DirectoryTurn, compare},
        inbox::{InboxMark, InboxPut, InboxTokenAdd},
    },
};

#[async_trait]
impl Directory for SqliteStore {
    async fn users_reached(&self, emails: Vec<String>, phones: Vec<String>) -> StoreResult<Vec<User>> {
        self.inner.readers.read(move |db| directory::users_reached(db, &emails, &phones)).await
    }

    async fn users_page(&self, after: Option<String>, limit: usize) -> StoreResult<Vec<User>> {
        self.inner.readers.read(move |db| directory::users_page(db, after.as_deref(), limit)).await
    }

    async fn user_entries(&self, codes: Vec<String>) -> StoreResult<Vec<UserEntry>> {
        self.inner.readers.read(move |db| directory::user_entries(db, &codes)).await
    }

    async fn groups_find(&self, kind: GroupKind, codes: Vec<String>) -> StoreResult<Vec<Group>> {
        self.inner.readers.read(move |db| directory::groups(db, kind, &codes)).await
    }

    async fn groups_page(&self, kind: GroupKind, after: Option<String>, limit: usize) -> StoreResult<Vec<Group>> {
        self.inner.readers.read(move |db| directory::groups_page(db, kind, after.as_deref(), limit)).await
    }

    async fn groups_below(&self, groups: Vec<GroupNo>) -> StoreResult<Vec<GroupNo>> {
        self.inner.readers.read(move |db| directory::groups_below(db, &groups)).await
    }

    async fn members(
        &self,
        groups: Vec<GroupNo>,
        after: Option<(GroupNo, String)>,
        limit: usize,
    ) -> StoreResult<Vec<Member>> {
        self.inner.readers.read(move |db| directory::members(db, &groups, after.as_ref(), limit)).await
    }

    async fn directory_change(
        &self,
        change: DirectoryChange,
        dry: bool,
        now: Timestamp,
    ) -> StoreResult<DirectoryReport> {
        // What a reader sees after this has every change up to this turn; the writer compares anew where there is one more.
        let turn = self.inner.writer.write(DirectoryTurn).await?;
        let change = Arc::new(change);
        let compared = Arc::clone(&change);
        let known = self
            .inner
            .readers
            .read(move |db| {
                let snapshot = db.unchecked_transaction()?;
                compare(&snapshot, &compared)
            })
            .await?;
        if dry || !known.report.faults.is_empty() {
            return Ok(known.report);
        }
        self.inner.writer.write(DirectoryApply { change, known: (known, turn), now }).await
    }
}

#[async_trait]
impl Inboxes for SqliteStore {
    async fn inbox_put(&self, items: Vec<NewItem>) -> StoreResult<()> {
        self.inner.writer.write(InboxPut { items }).await
    }

    async fn inbox(
        &self,
        user: String,
        filter: InboxFilter,
        before: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<InboxItem>> {
        self.inner.readers.read(move |db| inbox::page(db, &user, &filter, before, limit)).await
    }

    async fn inbox_read(&self, user: String, id: Id) -> StoreResult<Option<InboxItem>> {
        self.inner.readers.read(move |db| inbox::one(db, &user, id)).await
    }

    async fn inbox_unread(&self, user: String) -> StoreResult<u64> {
        self.inner.readers.read(move |db| inbox::unread(db, &user)).await
    }

    async fn inbox_mark(&self, user: String, which: Which, mark: Mark, now: Timestamp) -> StoreResult<Vec<Marked>> {
        self.inner.writer.write(InboxMark { user, which, mark, now }).await
    }

    async fn inbox_news(
        &self,
        readers: Vec<(String, Timestamp)>,
        limit: usize,
    ) -> StoreResult<Vec<(String, InboxItem)>> {
        self.inner.readers.read(move |db| inbox::news(db, &readers, limit)).await
    }

    async fn inbox_token_add(&self, token: InboxToken, hash: [u8; 32], expires: Timestamp) -> StoreResult<()> {
        self.inner.writer.write(InboxTokenAdd { token, hash, expires }).await
    }

    async fn inbox_token_find(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<InboxToken>> {
        self.inner.readers.read(move |db| inbox::by_token(db, &hash, now)).await
    }
}

#[cfg(test)]
mod tests;
