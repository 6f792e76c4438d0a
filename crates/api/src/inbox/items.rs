//! `GET /v1/inbox`, one item of it, and how many are unread.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{Extensions, HeaderMap},
};
use hongyan_core::{
    id::Id,
    inbox::{InboxFilter, InboxItem},
    limits::INBOX_PAGE_MAX,
    setup::Setup,
    store::StoreResult,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{Inbox, reader::Reader};
use crate::{problem::Problem, wire};

const PAGE: usize = 20;
/// Pages that are counted for who may not see all items: beyond that there are *more*.
const PAGES_COUNTED: usize = 10;

/// Whose inbox an app means; a person's token says it by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    pub(super) user: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    user: Option<String>,
    #[serde(default)]
    unread: bool,
    #[serde(default)]
    archived: Archived,
    #[serde(rename = "businessId")]
    business: Option<String>,
    #[serde(rename = "msgType")]
    kind: Option<String>,
    before: Option<String>,
    limit: Option<usize>,
}

/// Whether items are shown that were put away.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Archived {
    /// Only those that were not.
    #[default]
    False,
    /// Only those that were.
    True,
    /// Both.
    All,
}

#[derive(Debug, Serialize)]
pub(super) struct ItemsView {
    items: Vec<ItemView>,
    /// The `before` of the next page; absent when there is nothing more.
    next: Option<String>,
}

/// An item as `/v1` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
    /// Whether it went to everyone.
    broadcast: bool,
    #[serde(serialize_with = "wire::id")]
    message: Id,
    /// The code of the app that sent it; its number where it is gone.
    app: String,
    channel: String,
    #[serde(serialize_with = "wire::moment")]
    time: Timestamp,
    /// What it says; absent where history is over and the message gone.
    title: Option<String>,
    html: Option<String>,
    website: Option<String>,
    msg_type: String,
    business_id: String,
    sender_code: String,
    sender_name: String,
    read: bool,
    archived: bool,
}

impl ItemView {
    pub(super) fn new(item: InboxItem, setup: &Setup) -> Self {
        let InboxItem { id, broadcast, message, app, channel, at, read, archived, content } = item;
        let label = content.as_ref().map(|content| content.label.clone()).unwrap_or_default();
        let (title, html, website) = match content {
            Some(content) => (Some(content.title), Some(content.html), Some(content.website)),
            None => (None, None, None),
        };
        Self {
            id,
            broadcast,
            message,
            app: setup.app_by_no(app).map_or_else(|| app.0.to_string(), |app| app.code.clone()),
            channel: setup.channel(channel).map_or_else(|| channel.0.to_string(), |channel| channel.code.clone()),
            time: at,
            title,
            html,
            website,
            msg_type: label.kind,
            business_id: label.business,
            sender_code: label.sender_code,
            sender_name: label.sender_name,
            read,
            archived,
        }
    }
}

/// How many items are unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unread {
    unread: u64,
    /// Whether there are more than that.
    more: bool,
}

pub(super) async fn list(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<ItemsView>, Problem> {
    let Query(Asked { user, unread, archived, business, kind, before, limit }) = known(asked)?;
    let reader = inbox.reader(&headers, &extensions, user).await?;
    let limit = limit.unwrap_or(PAGE);
    if limit == 0 || limit > INBOX_PAGE_MAX {
        return Err(Problem::bad_request(format!("limit is between 1 and {INBOX_PAGE_MAX}")));
    }
    let before = before.map(|id| id.parse().map_err(|_| Problem::bad_request("before is the id of an item")));
    let archived = match archived {
        Archived::False => Some(false),
        Archived::True => Some(true),
        Archived::All => None,
    };
    let filter = reader.filter(InboxFilter { unread, archived, app: None, business, kind });
    let items = inbox.store.inbox(reader.user, filter, before.transpose()?, limit).await?;
    let next = items.last().filter(|_| items.len() == limit).map(|last| last.id.to_string());
    let setup = inbox.setup.get();
    Ok(Json(ItemsView { items: items.into_iter().map(|item| ItemView::new(item, &setup)).collect(), next }))
}

pub(super) async fn read(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    Path(id): Path<String>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<ItemView>, Problem> {
    let Query(Whose { user }) = known(whose)?;
    let reader = inbox.reader(&headers, &extensions, user).await?;
    let item = inbox.item(&reader, &id).await?;
    Ok(Json(ItemView::new(item, &inbox.setup.get())))
}

pub(super) async fn unread(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<Unread>, Problem> {
    let Query(Whose { user }) = known(whose)?;
    let reader = inbox.reader(&headers, &extensions, user).await?;
    Ok(Json(inbox.count(&reader).await?))
}

/// The query, where it asks for what there is.
pub(super) fn known<T>(query: Result<Query<T>, QueryRejection>) -> Result<Query<T>, Problem> {
    query.map_err(|rejection| Problem::bad_request(rejection.body_text()))
}

impl Inbox {
    /// The item with this number, where the reader may see it.
    ///
    /// # Errors
    /// 404 where there is none, or none for this reader.
    pub(super) async fn item(&self, reader: &Reader, id: &str) -> Result<InboxItem, Problem> {
        let id: Id = id.parse().map_err(|_| Problem::bad_request("an item's id is a decimal number"))?;
        let found = self.find(reader, id).await?;
        found.ok_or_else(|| Problem::not_found(format!("there is no item {id} in this inbox")))
    }

    /// The item with this number, where the reader may see it.
    pub(super) async fn find(&self, reader: &Reader, id: Id) -> StoreResult<Option<InboxItem>> {
        let found = self.store.inbox_read(reader.user.clone(), id).await?;
        Ok(found.filter(|item| reader.only.is_none_or(|app| item.app == app)))
    }

    /// How many items are unread that the reader may see, those put away left out.
    pub(super) async fn count(&self, reader: &Reader) -> StoreResult<Unread> {
        if reader.only.is_none() {
            return Ok(Unread { unread: self.store.inbox_unread(reader.user.clone()).await?, more: false });
        }
        let filter = reader.filter(InboxFilter { unread: true, archived: Some(false), ..InboxFilter::default() });
        let (mut counted, mut before) = (0, None);
        for _ in 0..PAGES_COUNTED {
            let page = self.store.inbox(reader.user.clone(), filter.clone(), before, INBOX_PAGE_MAX).await?;
            counted += page.len() as u64;
            match page.last() {
                Some(last) if page.len() == INBOX_PAGE_MAX => before = Some(last.id),
                _ => return Ok(Unread { unread: counted, more: false }),
            }
        }
        Ok(Unread { unread: counted, more: true })
    }
}
