//! `/v1/messages`: a message, where each of its deliveries stands and why, and every try with the provider's words; messages of
//! an app by its own number for what they are about; those that wait for their time, which can be cancelled or sent now.

mod scheduled;

use std::collections::HashMap;

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    routing::{get, post},
};
use hongyan_core::{
    account::AccountNo,
    id::Id,
    message::Label,
    setup::{AppNo, ChannelNo, Setup},
    store::{Attempt, DeliveryRecord, MessageRecord},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{Api, auth::Caller, problem::Problem, wire};

/// Messages in one page of a list.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/messages", get(of_business))
        .route("/v1/messages/{id}", get(read))
        .route("/v1/messages/scheduled", get(scheduled::list))
        .route("/v1/messages/cancel", post(scheduled::cancel_every))
        .route("/v1/messages/send-now", post(scheduled::send_every))
        .route("/v1/messages/{id}/cancel", post(scheduled::cancel))
        .route("/v1/messages/{id}/send-now", post(scheduled::send))
}

/// A message as `/v1` shows it.
#[derive(Debug, Serialize)]
struct MessageView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
    /// Code of the app, or name of the account; its number where it is gone.
    app: String,
    dialect: &'static str,
    operation: String,
    /// The person in whose name the app spoke.
    user: String,
    /// Its channel; of several the first.
    channel: String,
    priority: u8,
    state: &'static str,
    /// When it fires, where it waits for its time.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "wire::moment_or_none")]
    due: Option<Timestamp>,
    #[serde(flatten)]
    label: LabelView,
    #[serde(serialize_with = "wire::moment")]
    accepted: Timestamp,
    #[serde(serialize_with = "wire::moment")]
    expires: Timestamp,
    /// How many deliveries stand in each state.
    tally: HashMap<&'static str, usize>,
    deliveries: Vec<DeliveryView>,
}

/// What the caller said of a message for its own ends, and from which template it was made; nothing where nothing was said.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LabelView {
    #[serde(skip_serializing_if = "String::is_empty")]
    business_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    msg_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sender_code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sender_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<TemplateView>,
}

#[derive(Debug, Serialize)]
struct TemplateView {
    code: String,
    version: u32,
}

#[derive(Debug, Serialize)]
struct DeliveryView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
    channel: String,
    /// As the caller named the recipient.
    recipient: String,
    /// Where the channel reaches them; for the administrator alone, for apps name people by their codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    state: &'static str,
    reason: Option<&'static str>,
    tries: u16,
    crashes: u8,
    /// An earlier try may have been taken too.
    maybe_duplicate: bool,
    #[serde(serialize_with = "wire::moment")]
    due: Timestamp,
    attempts: Vec<AttemptView>,
}

#[derive(Debug, Serialize)]
struct AttemptView {
    provider: String,
    #[serde(serialize_with = "wire::moment")]
    started: Timestamp,
    took_ms: u32,
    outcome: String,
    /// The provider's words.
    reply: String,
}

async fn read(
    State(api): State<Api>,
    Extension(by): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<MessageView>, Problem> {
    let record = own(&api, &by, message_id(&id)?).await?;
    let setup = api.setup.get();
    let app = caller(&api, &setup, record.message.app).await?;
    let mut shown = view(record, app, &setup);
    if matches!(by, Caller::App(_)) {
        shown.deliveries.iter_mut().for_each(|delivery| delivery.address = None);
    }
    Ok(Json(shown))
}

/// A message about which `by` may ask: another's is as unknown as none.
async fn own(api: &Api, by: &Caller, id: Id) -> Result<MessageRecord, Problem> {
    let record = api.store.message_read(id).await?;
    let is_own = |record: &MessageRecord| match by {
        Caller::Admin => true,
        Caller::App(app) => app.no == record.message.app,
    };
    record.filter(is_own).ok_or_else(|| unknown(id))
}

/// The app whose messages are meant: whichever the administrator names, or none; an app means itself.
fn meant_app(setup: &Setup, by: &Caller, code: Option<&str>) -> Result<Option<AppNo>, Problem> {
    let unknown = |code| Problem::not_found(format!("there is no app {code:?}"));
    match (by, code) {
        (Caller::Admin, None) => Ok(None),
        (Caller::Admin, Some(code)) => Ok(Some(setup.app_declared(code).ok_or_else(|| unknown(code))?.no)),
        (Caller::App(app), Some(code)) if code != app.code => {
            Err(Problem::bad_request("app: an app looks after its own messages only"))
        }
        (Caller::App(app), _) => Ok(Some(app.no)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Business {
    app: Option<String>,
    #[serde(rename = "businessId")]
    business: String,
    before: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct FoundView {
    messages: Vec<FoundMessage>,
    /// The `before` of the next page; absent when there is nothing more.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct FoundMessage {
    #[serde(serialize_with = "wire::id")]
    id: Id,
}

/// `GET /v1/messages?app=&businessId=`: the newest first.
async fn of_business(
    State(api): State<Api>,
    Extension(by): Extension<Caller>,
    asked: Result<Query<Business>, QueryRejection>,
) -> Result<Json<FoundView>, Problem> {
    let Query(Business { app, business, before, limit }) =
        asked.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = page_limit(limit)?;
    let before = before.map(|id| id.parse().map_err(|_| Problem::bad_request("before is the id of a message")));
    let app = meant_app(&api.setup.get(), &by, app.as_deref())?;
    let app = app.ok_or_else(|| Problem::bad_request("app: say whose messages are meant"))?;
    let mut found = api.store.messages_of_business(app, business, before.transpose()?, limit + 1).await?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| is_more).map(ToString::to_string);
    Ok(Json(FoundView { messages: found.into_iter().map(|id| FoundMessage { id }).collect(), next }))
}

fn page_limit(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if limit == 0 || limit > PAGE_MAX {
        return Err(Problem::bad_request(format!("limit is between 1 and {PAGE_MAX}")));
    }
    Ok(limit)
}

fn channel_code(setup: &Setup, channel: ChannelNo) -> String {
    setup.channel(channel).map_or_else(|| channel.0.to_string(), |channel| channel.code.clone())
}

/// Whose message it is.
async fn caller(api: &Api, setup: &Setup, app: AppNo) -> Result<String, Problem> {
    if let Some(account) = AccountNo::of_app(app) {
        let names = api.store.account_names(vec![account]).await?;
        return Ok(names.into_iter().next().map_or_else(|| account.0.to_string(), |(_, name)| name));
    }
    Ok(setup.app_by_no(app).map_or_else(|| app.0.to_string(), |app| app.code.clone()))
}

fn message_id(text: &str) -> Result<Id, Problem> {
    parse_message_id(text)
        .ok_or_else(|| Problem::bad_request("a message's id is a decimal number or a whole request_id"))
}

fn unknown(id: Id) -> Problem {
    Problem::not_found(format!("there is no message {id}"))
}

/// A message's id from its decimal form, or from a whole CMSI `request_id` (32 hex digits, of which the last 16 are the id;
/// design 1).
pub fn parse_message_id(text: &str) -> Option<Id> {
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return i64::from_str_radix(&text[16..], 16).ok().and_then(Id::from_i64);
    }
    text.parse().ok()
}

fn view(record: MessageRecord, app: String, setup: &Setup) -> MessageView {
    let MessageRecord { message, channel, due, deliveries } = record;
    let mut tally = HashMap::new();
    for delivery in &deliveries {
        *tally.entry(delivery.track.state.as_str()).or_default() += 1;
    }
    MessageView {
        id: message.id,
        app,
        dialect: message.dialect.as_str(),
        operation: message.operation,
        user: message.user,
        channel: channel_code(setup, channel),
        priority: message.priority.number(),
        state: message.state.as_str(),
        due,
        label: label_view(message.label),
        accepted: message.accepted,
        expires: message.expires,
        tally,
        deliveries: deliveries.into_iter().map(|delivery| delivery_view(delivery, setup)).collect(),
    }
}

fn label_view(label: Label) -> LabelView {
    let Label { business, kind, sender_code, sender_name, template, template_version } = label;
    let template = Some(TemplateView { code: template, version: template_version });
    LabelView {
        business_id: business,
        msg_type: kind,
        sender_code,
        sender_name,
        template: template.filter(|template| !template.code.is_empty()),
    }
}

fn delivery_view(delivery: DeliveryRecord, setup: &Setup) -> DeliveryView {
    let DeliveryRecord { id, channel, recipient, address, track, attempts, .. } = delivery;
    DeliveryView {
        id,
        channel: channel_code(setup, channel),
        recipient,
        address: Some(address),
        state: track.state.as_str(),
        reason: track.reason.map(|reason| reason.as_str()),
        tries: track.tries,
        crashes: track.crashes,
        maybe_duplicate: track.maybe_duplicate,
        due: track.due,
        attempts: attempts.into_iter().map(|attempt| attempt_view(attempt, setup)).collect(),
    }
}

fn attempt_view(attempt: Attempt, setup: &Setup) -> AttemptView {
    let Attempt { provider, started, took_ms, outcome, reply } = attempt;
    let provider = setup.provider(provider).map_or_else(|| provider.0.to_string(), |provider| provider.code.clone());
    AttemptView { provider, started, took_ms, outcome, reply }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_both_forms() {
        let id = Id::from_i64(0x0123_4567_89ab_cdef).expect("positive");
        assert_eq!(parse_message_id(&id.to_string()), Some(id));
        assert_eq!(parse_message_id("ffffffffffffffff0123456789abcdef"), Some(id));
        assert_eq!(parse_message_id("0123456789abcdef"), None, "half a request_id is none");
        assert_eq!(parse_message_id("0"), None);
        assert_eq!(parse_message_id("ffffffffffffffffffffffffffffffff"), None);
    }
}
