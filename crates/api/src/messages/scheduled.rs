//! Messages that wait for their time: which there are, and cancelling them or sending them now, one by its id or all of an app, a
//! template or a channel, counted. What is said of all holds for those that were accepted before the request came.

use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use futures_util::future::try_join_all;
use hongyan_core::{
    id::Id,
    setup::Setup,
    store::{Cancelled, Scheduled, ScheduledFilter, StoreResult},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{LabelView, PAGE_MAX, caller, channel_code, label_view, meant_app, message_id, own, page_limit};
use crate::{
    Api,
    auth::Caller,
    body::{Body, parsed},
    problem::Problem,
    wire,
};

/// How many messages are changed at a time, so that the store can let their commits share one.
const TOGETHER: usize = 64;

/// Which messages, by codes; what is absent narrows nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Meant {
    app: Option<String>,
    template: Option<String>,
    channel: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    app: Option<String>,
    template: Option<String>,
    channel: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct ScheduledView {
    messages: Vec<WaitingView>,
    /// The `after` of the next page; absent when there is nothing more.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct WaitingView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
    app: String,
    dialect: &'static str,
    operation: String,
    channels: Vec<String>,
    priority: u8,
    #[serde(flatten)]
    label: LabelView,
    #[serde(serialize_with = "wire::moment")]
    accepted: Timestamp,
    /// When it fires.
    #[serde(serialize_with = "wire::moment")]
    due: Timestamp,
}

#[derive(Debug, Serialize)]
pub(super) struct CancelledView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
    /// Deliveries that were there already and are cancelled.
    deliveries: usize,
    /// Whether somebody was still to follow, who now does not.
    unexpanded: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct HastenedView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
}

/// How many messages were meant, and of how many something was cancelled.
#[derive(Debug, Serialize)]
pub(super) struct CancelledCount {
    matched: usize,
    cancelled: usize,
}

/// How many messages were meant, and how many are sent now.
#[derive(Debug, Serialize)]
pub(super) struct HastenedCount {
    matched: usize,
    hastened: usize,
}

/// What is done with messages that wait.
#[derive(Clone, Copy)]
enum Deed {
    Cancel,
    Send,
}

pub(super) async fn list(
    State(api): State<Api>,
    Extension(by): Extension<Caller>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<ScheduledView>, Problem> {
    let Query(Asked { app, template, channel, after, limit }) =
        asked.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = page_limit(limit)?;
    let after = after.as_deref().map(place).transpose()?;
    let setup = api.setup.get();
    let filter = Meant { app, template, channel }.filter(&setup, &by)?;
    let mut found = api.store.scheduled(filter, after, limit + 1, api.store.clock().now()).await?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| is_more).map(|last| format!("{}-{}", last.due.ms(), last.message.id));
    let mut messages = Vec::with_capacity(found.len());
    for scheduled in found {
        let app = caller(&api, &setup, scheduled.message.app).await?;
        messages.push(view(scheduled, app, &setup));
    }
    Ok(Json(ScheduledView { messages, next }))
}

pub(super) async fn cancel(
    State(api): State<Api>,
    Extension(by): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<CancelledView>, Problem> {
    let id = meant_id(&api, &by, &id).await?;
    let Cancelled { deliveries, unexpanded } = api.store.message_cancel(id, api.store.clock().now()).await?;
    if deliveries == 0 && !unexpanded {
        own(&api, &by, id).await?;
        return Err(Problem::conflict(format!("nothing of message {id} waits any more")));
    }
    Ok(Json(CancelledView { id, deliveries, unexpanded }))
}

pub(super) async fn send(
    State(api): State<Api>,
    Extension(by): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<HastenedView>, Problem> {
    let id = meant_id(&api, &by, &id).await?;
    if !api.store.message_hasten(id, api.store.clock().now()).await? {
        own(&api, &by, id).await?;
        return Err(Problem::conflict(format!("nothing of message {id} waits for a later time")));
    }
    Ok(Json(HastenedView { id }))
}

/// The message that a path names, if `by` may change it. The administrator's are not read for that: one to everybody is large.
async fn meant_id(api: &Api, by: &Caller, text: &str) -> Result<Id, Problem> {
    let id = message_id(text)?;
    if matches!(by, Caller::App(_)) {
        own(api, by, id).await?;
    }
    Ok(id)
}

pub(super) async fn cancel_every(
    State(api): State<Api>,
    Extension(by): Extension<Caller>,
    body: Body,
) -> Result<Json<CancelledCount>, Problem> {
    let (matched, cancelled) = every(&api, &by, parsed(body)?, Deed::Cancel).await?;
    Ok(Json(CancelledCount { matched, cancelled }))
}

pub(super) async fn send_every(
    State(api): State<Api>,
    Extension(by): Extension<Caller>,
    body: Body,
) -> Result<Json<HastenedCount>, Problem> {
    let (matched, hastened) = every(&api, &by, parsed(body)?, Deed::Send).await?;
    Ok(Json(HastenedCount { matched, hastened }))
}

/// Does the same with every message that is meant; answers how many these are, and of how many there was anything to do.
async fn every(api: &Api, by: &Caller, meant: Meant, deed: Deed) -> Result<(usize, usize), Problem> {
    if meant.app.is_none() && meant.template.is_none() && meant.channel.is_none() {
        return Err(Problem::bad_request("say which messages: give app, template or channel, or several of them"));
    }
    let filter = meant.filter(&api.setup.get(), by)?;
    let clock = api.store.clock();
    let began = clock.now();
    let (mut after, mut matched, mut done) = (None, 0, 0);
    loop {
        let page = api.store.scheduled(filter.clone(), after, PAGE_MAX, clock.now()).await?;
        let Some(last) = page.last() else { return Ok((matched, done)) };
        after = Some((last.due, last.message.id));
        let ids: Vec<Id> = page.iter().map(|one| &one.message).filter(|m| m.accepted <= began).map(|m| m.id).collect();
        matched += ids.len();
        for ids in ids.chunks(TOGETHER) {
            let now = clock.now();
            let results = try_join_all(ids.iter().map(|id| one(api, *id, deed, now))).await?;
            done += results.into_iter().filter(|is_done| *is_done).count();
        }
    }
}

/// Does it with one message; answers whether there was anything to do.
async fn one(api: &Api, id: Id, deed: Deed, now: Timestamp) -> StoreResult<bool> {
    match deed {
        Deed::Cancel => {
            let Cancelled { deliveries, unexpanded } = api.store.message_cancel(id, now).await?;
            Ok(deliveries > 0 || unexpanded)
        }
        Deed::Send => api.store.message_hasten(id, now).await,
    }
}

impl Meant {
    fn filter(self, setup: &Setup, by: &Caller) -> Result<ScheduledFilter, Problem> {
        let channel = |code: &str| {
            let channel = setup.channels().iter().find(|channel| channel.code == code);
            channel.map(|channel| channel.no).ok_or_else(|| Problem::not_found(format!("there is no channel {code:?}")))
        };
        Ok(ScheduledFilter {
            app: meant_app(setup, by, self.app.as_deref())?,
            // A template that is gone may still have messages.
            template: self.template,
            channel: self.channel.as_deref().map(channel).transpose()?,
        })
    }
}

/// The end of a page, as it was answered: a time and an id.
fn place(text: &str) -> Result<(Timestamp, Id), Problem> {
    let parts = text.split_once('-').and_then(|(due, id)| Some((due.parse().ok()?, id.parse().ok()?)));
    let (due, id) = parts.ok_or_else(|| Problem::bad_request("after is what next said"))?;
    Ok((Timestamp::from_ms(due), id))
}

fn view(scheduled: Scheduled, app: String, setup: &Setup) -> WaitingView {
    let Scheduled { message, channels, due } = scheduled;
    WaitingView {
        id: message.id,
        app,
        dialect: message.dialect.as_str(),
        operation: message.operation,
        channels: channels.into_iter().map(|channel| channel_code(setup, channel)).collect(),
        priority: message.priority.number(),
        label: label_view(message.label),
        accepted: message.accepted,
        due,
    }
}
