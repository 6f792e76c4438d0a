//! What readers do with items: `POST /v1/inbox/{id}/read`, `unread`, `archive`, `unarchive` and `delete`, `DELETE /v1/inbox/{id}`,
//! and many at once: `POST /v1/inbox/read-all`, and `POST /v1/inbox/read` of a businessId. Marking what is marked already changes
//! nothing. What its own reader has read is *read* in the life line of its message too.

use std::sync::{Arc, LazyLock};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{Extensions, HeaderMap},
};
use hongyan_core::{
    delivery::{Event, Policy, Receipt, Repeat},
    inbox::{InboxFilter, Mark, Marked, Which},
    limits::{INBOX_MARKS_MAX, SETTLE_MAX},
    retry::RetrySchedule,
    store::Change,
};
use serde::{Deserialize, Serialize};

use super::{
    Inbox,
    items::{Whose, known},
    reader::Reader,
};
use crate::{
    body::{Body, parsed, whole},
    problem::Problem,
};

/// The rules of inbox deliveries, of which a receipt needs none.
static POLICY: LazyLock<Arc<Policy>> =
    LazyLock::new(|| Arc::new(Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::mail() }));

/// Which items are read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Selected {
    #[serde(rename = "businessId")]
    business: Option<String>,
    #[serde(rename = "msgType")]
    kind: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MarkedView {
    /// How many items are otherwise than before.
    marked: usize,
}

type Asked = Result<Query<Whose>, QueryRejection>;

pub(super) async fn one(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    Path((id, mark)): Path<(String, String)>,
    whose: Asked,
) -> Result<Json<MarkedView>, Problem> {
    let mark = match mark.as_str() {
        "read" => Mark::Read,
        "unread" => Mark::Unread,
        "archive" => Mark::Archived,
        "unarchive" => Mark::Unarchived,
        "delete" => Mark::Deleted,
        _ => return Err(Problem::not_found("an item can be read, unread, archive, unarchive or delete")),
    };
    inbox.mark_one(&headers, &extensions, whose, &id, mark).await
}

pub(super) async fn delete(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    Path(id): Path<String>,
    whose: Asked,
) -> Result<Json<MarkedView>, Problem> {
    inbox.mark_one(&headers, &extensions, whose, &id, Mark::Deleted).await
}

pub(super) async fn read_all(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    whose: Asked,
    body: Body,
) -> Result<Json<MarkedView>, Problem> {
    let Query(Whose { user }) = known(whose)?;
    let reader = inbox.reader(&headers, &extensions, user).await?;
    let body = whole(body)?;
    let selected = if body.is_empty() { Selected::default() } else { parsed(Ok(body))? };
    inbox.read_selected(&reader, selected).await
}

pub(super) async fn read_business(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    whose: Asked,
    body: Body,
) -> Result<Json<MarkedView>, Problem> {
    let Query(Whose { user }) = known(whose)?;
    let reader = inbox.reader(&headers, &extensions, user).await?;
    let selected: Selected = parsed(body)?;
    if selected.business.as_ref().is_none_or(String::is_empty) {
        return Err(Problem::bad_request("businessId: say which items were read; all are by POST /v1/inbox/read-all"));
    }
    inbox.read_selected(&reader, selected).await
}

impl Inbox {
    async fn mark_one(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        whose: Asked,
        id: &str,
        mark: Mark,
    ) -> Result<Json<MarkedView>, Problem> {
        let Query(Whose { user }) = known(whose)?;
        let reader = self.reader(headers, extensions, user).await?;
        // What is not this reader's is not there for them.
        let item = self.item(&reader, id).await?;
        self.mark(&reader, Which::Items(vec![item.id]), mark).await
    }

    async fn read_selected(&self, reader: &Reader, selected: Selected) -> Result<Json<MarkedView>, Problem> {
        let Selected { business, kind } = selected;
        let filter = reader.filter(InboxFilter { unread: true, archived: None, app: None, business, kind });
        self.mark(reader, Which::All(filter), Mark::Read).await
    }

    async fn mark(&self, reader: &Reader, which: Which, mark: Mark) -> Result<Json<MarkedView>, Problem> {
        // Whatever comes meanwhile is not meant.
        let (now, mut sum) = (self.now(), 0);
        loop {
            let marked = self.store.inbox_mark(reader.user.clone(), which.clone(), mark, now).await?;
            if mark == Mark::Read {
                self.settle(&marked).await;
            }
            if !marked.is_empty() {
                self.hub.marked(&reader.user);
            }
            sum += marked.len();
            if marked.len() < INBOX_MARKS_MAX {
                return Ok(Json(MarkedView { marked: sum }));
            }
        }
    }

    /// Says of the deliveries that they were read. That they are, the mark says already: the reader is not told of what fails here.
    async fn settle(&self, marked: &[Marked]) {
        let own: Vec<&Marked> = marked.iter().filter(|marked| !marked.broadcast).collect();
        for own in own.chunks(SETTLE_MAX) {
            let changes = own.iter().map(|marked| Change {
                delivery: marked.id,
                event: Event::Receipt(Receipt::Read),
                policy: Arc::clone(&POLICY),
                attempt: None,
            });
            if let Err(error) = self.store.settle(changes.collect(), self.now()).await {
                tracing::warn!(%error, items = own.len(), "items were read, and their deliveries do not say so");
                return;
            }
        }
    }
}
