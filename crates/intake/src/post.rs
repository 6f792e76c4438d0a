//! Messages that are answered on acceptance: by one or several channels, to people of the directory or to addresses, now or later.
//! Who is named by code and due at once is found at acceptance; groups, everyone and all that is scheduled is found page by page
//! by the [`crate::Expander`] when its time has come (design 3).

use std::{sync::Arc, time::Instant};

use hongyan_core::{
    directory::GroupKind,
    id::Id,
    limits,
    message::{Dialect, Idempotency, Label, Priority},
    setup::{AppNo, Channel, User},
    store::{Addressee, People, StoreError},
    time::Timestamp,
};

use crate::{
    accept::Intake,
    batch::{Part, Request},
    gather::{Found, Mark, addressees, gather, step},
    refusal::Refusal,
    submission::{Draft, Resolved},
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

/// Members of groups who are looked at at a time, until one is enabled.
const LOOKED_AT: usize = 50;

/// Whether people who are due now are found before the submit, which then has all of them: where they are users who are named, and no
/// more than a page.
fn is_found_at_once(people: &People, channels: usize) -> bool {
    let has_groups = people.everyone
        || [&people.departments, &people.posts, &people.roles].into_iter().any(|codes| !codes.is_empty());
    !has_groups && people.users.len() * channels <= limits::PAGE_RECIPIENTS_MAX
}

impl Intake {
    /// Stores a post in one commit.
    ///
    /// # Errors
    /// [`Refusal`], when nothing was accepted.
    pub async fn post(&self, post: Post) -> Result<Posted, Refusal> {
        let began = Instant::now();
        let channels: Vec<_> = post.parts.iter().map(|part| Arc::clone(&part.channel)).collect();
        let is_later = post.due.is_some_and(|due| due > self.now());
        let (lists, people) = match post.to {
            PostTo::Addresses(lists) => (lists, None),
            PostTo::People(people) if !is_later && is_found_at_once(&people, channels.len()) => {
                (self.find(&people, &channels).await?, None)
            }
            PostTo::People(people) => (Vec::new(), Some(people)),
        };
        let mut lists = lists.into_iter();
        let part = |part: PostPart| Part {
            channel: part.channel,
            draft: part.draft.for_each(),
            to: Resolved { to: lists.next().unwrap_or_default(), ..Resolved::default() },
        };
        let request = Request {
            app: post.app,
            dialect: post.dialect,
            operation: post.operation,
            user: post.user,
            client: post.client,
            priority: post.priority,
            windows: None,
            label: post.label,
            idempotency: post.idempotency,
            due: post.due,
            parts: post.parts.into_iter().map(part).collect(),
            people,
        };
        let now = self.now();
        let batch = self.batch(request, now)?;
        let message = batch.message.id;
        let first = self.submit(batch, &channels, began, now).await?;
        Ok(Posted { message: first.unwrap_or(message), seen: first.is_some() })
    }

    /// Users who are named, as a list for each channel.
    async fn find(&self, people: &People, channels: &[Arc<Channel>]) -> Result<Vec<Vec<Addressee>>, StoreError> {
        let gathered = gather(self.store(), people, Mark::first(people), limits::PAGE_RECIPIENTS_MAX).await?;
        let list = |(n, channel): (usize, &Arc<Channel>)| addressees(&gathered.found, Some(channel.kind), n == 0);
        Ok(channels.iter().enumerate().map(list).collect())
    }

    /// Which codes the directory does not have (or has disabled), and whether anybody is left.
    ///
    /// # Errors
    /// The store's, when the directory cannot be read.
    pub async fn look_up(&self, people: &People) -> Result<LookUp, StoreError> {
        let (mut answer, mut next) = (LookUp::default(), Some(Mark::first(people)));
        while let Some(mark) = next.take() {
            let is_named = !mark.is_behind_names();
            if answer.anybody && !is_named {
                break;
            }
            let limit = if is_named { limits::PAGE_RECIPIENTS_MAX } else { LOOKED_AT };
            let step = step(self.store(), people, mark, limit).await?;
            for found in step.found {
                match found {
                    Found::Person(_) => answer.anybody = true,
                    Found::NoUser(code) => answer.unknown_users.push(code),
                    Found::NoGroup(kind, code) => answer.unknown_groups.push((kind, code)),
                }
            }
            next = step.next;
        }
        Ok(answer)
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
