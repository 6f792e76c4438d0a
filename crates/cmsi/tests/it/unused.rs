//! The parts of a store that the dialect never asks for.

use async_trait::async_trait;
use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, AccountNo, Follower, Profile},
    delivery::Track,
    directory::{DirectoryChange, DirectoryReport, Group, GroupKind, GroupNo, Member, UserEntry},
    history::{HistoryFilter, HistoryPage},
    id::Id,
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    setup::{ChannelNo, ProviderNo, User},
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
impl Accounts for FakeStore {
    async fn account_add(&self, _: String, _: Profile, _: Timestamp) -> StoreResult<AccountAdded> {
        unreachable!("there are no accounts here")
    }

    async fn account_find(&self, _: String) -> StoreResult<Option<Account>> {
        unreachable!("there are no accounts here")
    }

    async fn accounts(&self, _: Option<String>, _: usize) -> StoreResult<Vec<Account>> {
        unreachable!("there are no accounts here")
    }

    async fn account_names(&self, _: Vec<AccountNo>) -> StoreResult<Vec<(AccountNo, String)>> {
        unreachable!("there are no accounts here")
    }

    async fn account_change(&self, _: String, _: AccountChange) -> StoreResult<Option<Account>> {
        unreachable!("there are no accounts here")
    }

    async fn account_remove(&self, _: String) -> StoreResult<bool> {
        unreachable!("there are no accounts here")
    }

    async fn account_token_add(&self, _: String, _: String, _: [u8; 32], _: Timestamp) -> StoreResult<bool> {
        unreachable!("there are no accounts here")
    }

    async fn account_token_find(&self, _: [u8; 32], _: Timestamp) -> StoreResult<Option<Account>> {
        unreachable!("there are no accounts here")
    }

    async fn history(&self, _: HistoryFilter, _: usize, _: usize) -> StoreResult<HistoryPage> {
        unreachable!("there are no accounts here")
    }
}

#[async_trait]
impl Followers for FakeStore {
    async fn follower_tag(&self, _: ProviderNo, _: String) -> StoreResult<(Follower, bool)> {
        unreachable!("there are no followers here")
    }

    async fn follower_subscribed(&self, _: ProviderNo, _: String, _: bool) -> StoreResult<()> {
        unreachable!("there are no followers here")
    }

    async fn followers(&self, _: ProviderNo, _: Vec<u32>) -> StoreResult<Vec<Follower>> {
        unreachable!("there are no followers here")
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
