//! The directory and the inboxes of the port.

use async_trait::async_trait;
use hongyan_core::{
    directory::{DirectoryChange, DirectoryReport, Group, GroupKind, GroupNo, Member, UserEntry},
    id::Id,
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    setup::User,
    store::{Directory, Inboxes, StoreResult},
    time::Timestamp,
};

use super::PostgresStore;
use crate::{
    ops::{
        directory::DirectoryApply,
        inbox::{self, MarkItems},
    },
    pool::closed,
    reads,
};

#[async_trait]
impl Directory for PostgresStore {
    async fn users_reached(&self, emails: Vec<String>, phones: Vec<String>) -> StoreResult<Vec<User>> {
        reads::users_reached(&self.engine, emails, phones).await.map_err(|trouble| trouble.told())
    }

    async fn users_page(&self, after: Option<String>, limit: usize) -> StoreResult<Vec<User>> {
        reads::users_page(&self.engine, after, limit).await.map_err(|trouble| trouble.told())
    }

    async fn user_entries(&self, codes: Vec<String>) -> StoreResult<Vec<UserEntry>> {
        reads::user_entries(&self.engine, codes).await.map_err(|trouble| trouble.told())
    }

    async fn groups_find(&self, kind: GroupKind, codes: Vec<String>) -> StoreResult<Vec<Group>> {
        reads::groups_find(&self.engine, kind, codes).await.map_err(|trouble| trouble.told())
    }

    async fn groups_page(&self, kind: GroupKind, after: Option<String>, limit: usize) -> StoreResult<Vec<Group>> {
        reads::groups_page(&self.engine, kind, after, limit).await.map_err(|trouble| trouble.told())
    }

    async fn groups_below(&self, groups: Vec<GroupNo>) -> StoreResult<Vec<GroupNo>> {
        reads::groups_below(&self.engine, groups).await.map_err(|trouble| trouble.told())
    }

    async fn members(
        &self,
        groups: Vec<GroupNo>,
        after: Option<(GroupNo, String)>,
        limit: usize,
    ) -> StoreResult<Vec<Member>> {
        reads::members(&self.engine, groups, after, limit).await.map_err(|trouble| trouble.told())
    }

    async fn directory_change(
        &self,
        change: DirectoryChange,
        dry: bool,
        now: Timestamp,
    ) -> StoreResult<DirectoryReport> {
        // One at a time of this node's: those that wait for another's hold no connection.
        let _turn = self.directory_turn.acquire().await.map_err(|_| closed().told())?;
        self.engine.run(&DirectoryApply { change, dry, now }).await
    }
}

#[async_trait]
impl Inboxes for PostgresStore {
    async fn inbox_put(&self, items: Vec<NewItem>) -> StoreResult<()> {
        inbox::put(&self.engine, items).await
    }

    async fn inbox(
        &self,
        user: String,
        filter: InboxFilter,
        before: Option<Id>,
        limit: usize,
    ) -> StoreResult<Vec<InboxItem>> {
        reads::inbox(&self.engine, user, filter, before, limit).await.map_err(|trouble| trouble.told())
    }

    async fn inbox_read(&self, user: String, id: Id) -> StoreResult<Option<InboxItem>> {
        reads::inbox_read(&self.engine, user, id).await.map_err(|trouble| trouble.told())
    }

    async fn inbox_unread(&self, user: String) -> StoreResult<u64> {
        reads::inbox_unread(&self.engine, user).await.map_err(|trouble| trouble.told())
    }

    async fn inbox_mark(&self, user: String, which: Which, mark: Mark, now: Timestamp) -> StoreResult<Vec<Marked>> {
        self.engine.run(&MarkItems::new(user, which, mark, now)).await
    }

    async fn inbox_news(
        &self,
        readers: Vec<(String, Timestamp)>,
        limit: usize,
    ) -> StoreResult<Vec<(String, InboxItem)>> {
        reads::inbox_news(&self.engine, readers, limit).await.map_err(|trouble| trouble.told())
    }

    async fn inbox_token_add(&self, token: InboxToken, hash: [u8; 32], expires: Timestamp) -> StoreResult<()> {
        inbox::token_add(&self.engine, token, hash, expires).await
    }

    async fn inbox_token_find(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<InboxToken>> {
        reads::inbox_token(&self.engine, hash, now).await.map_err(|trouble| trouble.told())
    }
}
