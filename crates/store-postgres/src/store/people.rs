//! The directory and the inboxes of the port.

use async_trait::async_trait;
use hongyan_core::{
    directory::{DirectoryChange, DirectoryReport, Group, GroupKind, GroupNo, Member, UserEntry},
    id::Id,
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    setup::User,
    store::{Directory, Inboxes, StoreError, StoreResult},
    time::Timestamp,
};

use super::PostgresStore;

fn not_there<T>() -> StoreResult<T> {
    Err(StoreError::Unavailable { why: "the PostgreSQL store has no directory yet".to_owned(), certain: true })
}

#[async_trait]
impl Directory for PostgresStore {
    async fn users_reached(&self, _: Vec<String>, _: Vec<String>) -> StoreResult<Vec<User>> {
        not_there()
    }

    async fn users_page(&self, _: Option<String>, _: usize) -> StoreResult<Vec<User>> {
        not_there()
    }

    async fn user_entries(&self, _: Vec<String>) -> StoreResult<Vec<UserEntry>> {
        not_there()
    }

    async fn groups_find(&self, _: GroupKind, _: Vec<String>) -> StoreResult<Vec<Group>> {
        not_there()
    }

    async fn groups_page(&self, _: GroupKind, _: Option<String>, _: usize) -> StoreResult<Vec<Group>> {
        not_there()
    }

    async fn groups_below(&self, _: Vec<GroupNo>) -> StoreResult<Vec<GroupNo>> {
        not_there()
    }

    async fn members(&self, _: Vec<GroupNo>, _: Option<(GroupNo, String)>, _: usize) -> StoreResult<Vec<Member>> {
        not_there()
    }

    async fn directory_change(&self, _: DirectoryChange, _: bool, _: Timestamp) -> StoreResult<DirectoryReport> {
        not_there()
    }
}

#[async_trait]
impl Inboxes for PostgresStore {
    async fn inbox_put(&self, _: Vec<NewItem>) -> StoreResult<()> {
        not_there()
    }

    async fn inbox(&self, _: String, _: InboxFilter, _: Option<Id>, _: usize) -> StoreResult<Vec<InboxItem>> {
        not_there()
    }

    async fn inbox_unread(&self, _: String) -> StoreResult<u64> {
        not_there()
    }

    async fn inbox_mark(&self, _: String, _: Which, _: Mark, _: Timestamp) -> StoreResult<Vec<Marked>> {
        not_there()
    }

    async fn inbox_news(&self, _: Vec<(String, Timestamp)>, _: usize) -> StoreResult<Vec<(String, InboxItem)>> {
        not_there()
    }

    async fn inbox_token_add(&self, _: InboxToken, _: [u8; 32], _: Timestamp) -> StoreResult<()> {
        not_there()
    }

    async fn inbox_token_find(&self, _: [u8; 32], _: Timestamp) -> StoreResult<Option<InboxToken>> {
        not_there()
    }
}
