//! `GET /v1/captures`: what capture providers kept, the newest first; `?limit=` (20, at most 1000) and `?before=ID` page.
//! A page is shorter where its bodies are large.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hongyan_core::{id::Id, store::Capture, time::Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Api, problem::Problem, wire};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    before: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CapturesView {
    captures: Vec<CaptureView>,
    /// The `before` of the next page; absent when there is nothing more.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct CaptureView {
    #[serde(serialize_with = "wire::id")]
    id: Id,
    #[serde(serialize_with = "wire::id")]
    message: Id,
    provider: String,
    #[serde(serialize_with = "wire::moment")]
    at: Timestamp,
    sender: String,
    recipients: Vec<String>,
    /// What would have been sent, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// What would have been sent, in base64, where it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

const PAGE: usize = 20;
const PAGE_MAX: usize = 1_000;

pub(crate) async fn list(
    State(api): State<Api>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<CapturesView>, Problem> {
    let Query(paging) = paging.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = paging.limit.unwrap_or(PAGE);
    if limit == 0 || limit > PAGE_MAX {
        return Err(Problem::bad_request(format!("limit is between 1 and {PAGE_MAX}")));
    }
    let before = paging.before.map(|id| id.parse().map_err(|_| Problem::bad_request("before is the id of a capture")));
    let captures = api.store.captures(before.transpose()?, limit).await?;
    // A page may be shorter than asked for, because its bytes are bounded too; only an empty one is the last.
    let next = captures.last().map(|last| last.id.to_string());
    Ok(Json(CapturesView { captures: captures.into_iter().map(view).collect(), next }))
}

fn view(capture: Capture) -> CaptureView {
    let Capture { id, message, provider, at, sender, recipients, body } = capture;
    let (body, body_base64) = match String::from_utf8(body) {
        Ok(text) => (Some(text), None),
        Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
    };
    CaptureView { id, message, provider, at, sender, recipients, body, body_base64 }
}
