//! The parts of a store that the dialect never asks for.

use std::sync::Arc;

use async_trait::async_trait;
use hongyan_core::{
    delivery::Track,
    directory::{DirectoryChange, DirectoryReport, Group, GroupKind, GroupNo, Member, UserEntry},
    id::{Id, IdSource},
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    setup::{ChannelNo, User},
    store::*,
    time::Timestamp,
    token::{KeptToken, TokenTurn},
};

use crate::store::FakeStore;

#[async_trait]
impl Deliveries for FakeStore {
    async fn claim(&self, _: ChannelNo, _: usize, _: Timestamp) -> StoreResult<Vec<Lease>> {
        unreachable!("nothing is dispatched here")
    }

    async fn cargo_read(&self, _: Vec<Id>) -> StoreResult<Vec<(Id, Cargo)>> {
        unreachable!("nothing is dispatched here")
    }

    async fn settle(&self, _: Vec<Change>, _: Timestamp) -> StoreResult<Vec<Option<Track>>> {
        unreachable!("nothing is dispatched here")
    }

    fn holds(&self, _: Id, _: u32) -> bool {
        unreachable!("nothing is dispatched here")
    }

    async fn recover(&self, _: Policies, _: Timestamp) -> StoreResult<Recovered> {
        unreachable!("nothing is dispatched here")
    }

    async fn expire(&self, _: usize, _: Timestamp) -> StoreResult<usize> {
        unreachable!("nothing is dispatched here")
    }

    async fn doubts(&self, _: ChannelNo, _: Timestamp, _: Option<Id>, _: usize) -> StoreResult<Vec<Doubt>> {
        unreachable!("nothing is dispatched here")
    }

    async fn next_due(&self, _: ChannelNo, _: Timestamp) -> StoreResult<Option<Timestamp>> {
        unreachable!("nothing is dispatched here")
    }

    async fn depths(&self) -> StoreResult<Vec<Depth>> {
        unreachable!("nothing is dispatched here")
    }
}

#[async_trait]
impl Captures for FakeStore {
    async fn capture_add(&self, _: Capture) -> StoreResult<()> {
        unreachable!("nothing is captured here")
    }

    async fn captures(&self, _: Option<Id>, _: usize) -> StoreResult<Vec<Capture>> {
        unreachable!("nothing is captured here")
    }
}

#[async_trait]
impl AccessTokens for FakeStore {
    async fn token_ask(&self, _: String, _: Option<u64>, _: Timestamp) -> StoreResult<TokenTurn> {
        unreachable!("nothing is sent here")
    }

    async fn token_keep(&self, _: String, _: u64, _: String, _: Timestamp) -> StoreResult<Option<KeptToken>> {
        unreachable!("nothing is sent here")
    }

    async fn token_fail(&self, _: String, _: u64, _: Timestamp) -> StoreResult<()> {
        unreachable!("nothing is sent here")
    }
}

#[async_trait]
impl Upkeep for FakeStore {
    fn attach(&self, _: Arc<dyn hongyan_core::ports::Desk>, progress: Arc<dyn hongyan_core::ports::Progress>) {
        self.hear(progress);
    }

    fn ids(&self) -> Arc<IdSource> {
        unreachable!("the world has its own")
    }

    fn clock(&self) -> Arc<dyn hongyan_core::time::Clock> {
        Arc::clone(&self.clock) as _
    }

    async fn stopping(&self) -> StoreResult<()> {
        unreachable!("nobody stops here")
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeRecord>> {
        unreachable!("nobody asks for nodes here")
    }

    async fn prune(&self, _: Timestamp, _: usize, _: Timestamp) -> StoreResult<bool> {
        unreachable!("nothing grows old here")
    }

    async fn ping(&self, _: Timestamp) -> StoreResult<()> {
        unreachable!("nobody asks whether it writes here")
    }

    fn commits(&self) -> Commits {
        Commits::default()
    }

    async fn close(&self) {}
}

#[async_trait]
impl Directory for FakeStore {
    async fn users_reached(&self, _: Vec<String>, _: Vec<String>) -> StoreResult<Vec<User>> {
        unreachable!("people are found by code here")
    }

    async fn users_page(&self, _: Option<String>, _: usize) -> StoreResult<Vec<User>> {
        unreachable!("people are found by code here")
    }

    async fn user_entries(&self, _: Vec<String>) -> StoreResult<Vec<UserEntry>> {
        unreachable!("people are found by code here")
    }

    async fn groups_find(&self, _: GroupKind, _: Vec<String>) -> StoreResult<Vec<Group>> {
        unreachable!("there are no groups here")
    }

    async fn groups_page(&self, _: GroupKind, _: Option<String>, _: usize) -> StoreResult<Vec<Group>> {
        unreachable!("there are no groups here")
    }

    async fn groups_below(&self, _: Vec<GroupNo>) -> StoreResult<Vec<GroupNo>> {
        unreachable!("there are no groups here")
    }

    async fn members(&self, _: Vec<GroupNo>, _: Option<(GroupNo, String)>, _: usize) -> StoreResult<Vec<Member>> {
        unreachable!("there are no groups here")
    }

    async fn directory_change(&self, _: DirectoryChange, _: bool, _: Timestamp) -> StoreResult<DirectoryReport> {
        unreachable!("the directory is given")
    }
}

#[async_trait]
impl Inboxes for FakeStore {
    async fn inbox_put(&self, _: Vec<NewItem>) -> StoreResult<()> {
        unreachable!("there are no inboxes here")
    }

    async fn inbox(&self, _: String, _: InboxFilter, _: Option<Id>, _: usize) -> StoreResult<Vec<InboxItem>> {
        unreachable!("there are no inboxes here")
    }

    async fn inbox_read(&self, _: String, _: Id) -> StoreResult<Option<InboxItem>> {
        unreachable!("there are no inboxes here")
    }

    async fn inbox_unread(&self, _: String) -> StoreResult<u64> {
        unreachable!("there are no inboxes here")
    }

    async fn inbox_mark(&self, _: String, _: Which, _: Mark, _: Timestamp) -> StoreResult<Vec<Marked>> {
        unreachable!("there are no inboxes here")
    }

    async fn inbox_news(&self, _: Vec<(String, Timestamp)>, _: usize) -> StoreResult<Vec<(String, InboxItem)>> {
        unreachable!("there are no inboxes here")
    }

    async fn inbox_token_add(&self, _: InboxToken, _: [u8; 32], _: Timestamp) -> StoreResult<()> {
        unreachable!("there are no inboxes here")
    }

    async fn inbox_token_find(&self, _: [u8; 32], _: Timestamp) -> StoreResult<Option<InboxToken>> {
        unreachable!("there are no inboxes here")
    }
}
