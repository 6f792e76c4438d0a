//! Messages that are answered on acceptance: by one or several channels, to people of the directory or to addresses, now or later.
//! Who is named by code and due at once is found at acceptance; groups, everyone and all that is scheduled is found page by page
//! by the [`crate::Expander`] when its time has come (design 3).

use std::sync::Arc;

use hongyan_core::{
    directory::GroupKind,
    id::Id,
    message::{Dialect, Idempotency, Label, Priority},
    setup::{AppNo, Channel, User},
    store::{Addressee, People, StoreError},
    time::Timestamp,
};

use crate::{
    accept::{Intake, Refusal},
    submission::Draft,
};

/// A request, understood and checked by its dialect, whose caller does not wait for outcomes.
#[derive(Clone, Debug)]
pub struct Post {
    /// The calling app.
    pub app: AppNo,
    /// The API it came by.
    pub dialect: Dialect,
    /// The operation of that API.
    pub operation: &'static str,
    /// The person in whose name the app speaks; empty where the API knows none.
    pub user: String,
    /// The address from which it called; empty where the API does not tell it again.
    pub client: String,
    /// How urgent it is.
    pub priority: Priority,
    /// What the caller said of it for its own ends. Its sender's name is the display name of mails that name no sender.
    pub label: Label,
    /// The caller's key, if it sent one.
    pub idempotency: Option<Idempotency>,
    /// Not before this time; absent or past: now. What waits longer than [`hongyan_core::limits::TIME_TO_LIVE`] after it expires.
    pub due: Option<Timestamp>,
    /// What it says on each of its channels, at least one, each channel once.
    pub parts: Vec<PostPart>,
    /// Who gets it.
    pub to: PostTo,
}

/// What a request says on one channel.
#[derive(Clone, Debug)]
pub struct PostPart {
    /// The channel.
    pub channel: Arc<Channel>,
    /// What it says there, without attachments. A mail goes to each recipient by itself.
    pub draft: Draft,
}

/// Who gets a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostTo {
    /// People of the directory, each on every channel of the request.
    People(People),
    /// One list for each part, in the same order.
    Addresses(Vec<Vec<Addressee>>),
}

/// An accepted post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The message.
    pub message: Id,
    /// Whether the same key came with the same request before: this is the message that it led to.
    pub seen: bool,
}

/// What the directory says of people who are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookUp {
    /// Codes of users whom the directory does not have or has disabled, in the order in which they were named.
    pub unknown_users: Vec<String>,
    /// Departments, posts and roles that the directory does not have: in this order, and as they were named.
    pub unknown_groups: Vec<(GroupKind, String)>,
    /// Whether anybody is left who is enabled.
    pub anybody: bool,
}

impl Intake {
    /// Stores a post in one commit.
    ///
    /// # Errors
    /// [`Refusal`], when nothing was accepted.
    pub async fn post(&self, post: Post) -> Result<Posted, Refusal> {
        let why = format!("{} has no way in yet", post.operation);
        Err(Refusal::Store(StoreError::Busy(why)))
    }

    /// Which codes the directory does not have (or has disabled), and whether anybody is left.
    ///
    /// # Errors
    /// The store's, when the directory cannot be read.
    pub async fn look_up(&self, people: &People) -> Result<LookUp, StoreError> {
        let known = self.people(people.users.clone()).await?;
        Ok(LookUp { anybody: !known.is_empty(), ..LookUp::default() })
    }

    /// The people who are reached under one of these mail addresses (whose case does not count) or phone numbers.
    ///
    /// # Errors
    /// The store's, when the directory cannot be read.
    pub async fn users_reached(&self, emails: Vec<String>, phones: Vec<String>) -> Result<Vec<User>, StoreError> {
        if emails.is_empty() && phones.is_empty() {
            return Ok(Vec::new());
        }
        self.store().users_reached(emails, phones).await
    }
}
