//! `GET /v1/messages/{id}`: a message, where each of its deliveries stands and why, and every try with the provider's words.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Path, State},
};
use hongyan_core::{
    account::AccountNo,
    id::Id,
    setup::{AppNo, Setup},
    store::{Attempt, DeliveryRecord, MessageRecord},
    time::Timestamp,
};
use serde::Serialize;

use crate::{Api, problem::Problem, wire};

/// A message as `/v1` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct MessageView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
    /// Code of the app, or name of the account; its number where it is gone.
    app: String,
    dialect: &'static str,
    operation: String,
    /// The person in whose name the app spoke.
    user: String,
    channel: String,
    priority: u8,
    state: &'static str,
    #[serde(serialize_with = "wire::moment")]
    accepted: Timestamp,
    #[serde(serialize_with = "wire::moment")]
    expires: Timestamp,
    /// How many deliveries stand in each state.
    tally: HashMap<&'static str, usize>,
    deliveries: Vec<DeliveryView>,
}

#[derive(Debug, Serialize)]
struct DeliveryView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
    /// As the caller named the recipient.
    recipient: String,
    address: String,
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

pub(crate) async fn read(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<MessageView>, Problem> {
    let id = parse_message_id(&id)
        .ok_or_else(|| Problem::bad_request("a message's id is a decimal number or a whole request_id"))?;
    let record = api.store.message_read(id).await?;
    let record = record.ok_or_else(|| Problem::not_found(format!("there is no message {id}")))?;
    let setup = api.setup.get();
    let app = caller(&api, &setup, record.message.app).await?;
    Ok(Json(view(record, app, &setup)))
}

/// Whose message it is.
async fn caller(api: &Api, setup: &Setup, app: AppNo) -> Result<String, Problem> {
    if let Some(account) = AccountNo::of_app(app) {
        let names = api.store.account_names(vec![account]).await?;
        return Ok(names.into_iter().next().map_or_else(|| account.0.to_string(), |(_, name)| name));
    }
    Ok(setup.app_by_no(app).map_or_else(|| app.0.to_string(), |app| app.code.clone()))
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
    let MessageRecord { message, channel, deliveries } = record;
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
        channel: setup.channel(channel).map_or_else(|| channel.0.to_string(), |channel| channel.code.clone()),
        priority: message.priority.number(),
        state: message.state.as_str(),
        accepted: message.accepted,
        expires: message.expires,
        tally,
        deliveries: deliveries.into_iter().map(|delivery| delivery_view(delivery, setup)).collect(),
    }
}

fn delivery_view(delivery: DeliveryRecord, setup: &Setup) -> DeliveryView {
    let DeliveryRecord { id, recipient, address, track, attempts, .. } = delivery;
    DeliveryView {
        id,
        recipient,
        address,
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
