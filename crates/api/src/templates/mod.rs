//! `/v1/templates`: what messages say, for the administrator. A change counts on every node within about a second; messages that
//! are accepted by then, those that wait for their time among them, keep what they say.

mod book;
mod preview;

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
pub use book::{TemplateBook, TemplateChange, TemplateError};
use hongyan_core::setup::{Template, TemplateContent};
use serde::{Deserialize, Serialize};

use crate::{
    Api,
    body::{Body, parsed},
    problem::Problem,
};

const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/templates", get(list))
        .route("/v1/templates/{code}", get(read).put(write).delete(remove))
        .route("/v1/templates/{code}/enable", post(enable))
        .route("/v1/templates/{code}/disable", post(disable))
        .route("/v1/templates/{code}/preview", post(preview::preview))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct TemplatesView {
    templates: Vec<TemplateView>,
    /// The `after` of the next page; absent when there is nothing more.
    next: Option<String>,
}

/// A template as `/v1` shows it.
#[derive(Debug, Serialize)]
struct TemplateView {
    code: String,
    version: u32,
    name: String,
    enabled: bool,
    kind: String,
    /// Every variable on any channel.
    variables: BTreeSet<String>,
    content: BTreeMap<String, ContentView>,
}

/// What a template says on one channel, in and out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ContentView {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    website: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sign: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sms_template: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sms_variables: Vec<String>,
}

/// A template as it is put.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    name: String,
    enabled: bool,
    kind: String,
    content: BTreeMap<String, ContentView>,
}

impl Default for Given {
    fn default() -> Self {
        Self { name: String::new(), enabled: true, kind: String::new(), content: BTreeMap::new() }
    }
}

async fn list(
    State(api): State<Api>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<TemplatesView>, Problem> {
    let Query(paging) = paging.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = paging.limit.unwrap_or(PAGE);
    if limit == 0 || limit > PAGE_MAX {
        return Err(Problem::bad_request(format!("limit is between 1 and {PAGE_MAX}")));
    }
    let after = |template: &Template| paging.after.as_ref().is_none_or(|after| template.code > *after);
    let templates = api.templates.templates().await?;
    let mut page: Vec<_> = templates.into_iter().filter(after).take(limit + 1).map(view).collect();
    let is_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| is_more).map(|last| last.code.clone());
    Ok(Json(TemplatesView { templates: page, next }))
}

async fn read(State(api): State<Api>, Path(code): Path<String>) -> Result<Response, Problem> {
    Ok(shown(find(&api, &code).await?))
}

async fn write(
    State(api): State<Api>,
    Path(code): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Given { name, enabled, kind, content } = parsed(body)?;
    let contents = content.into_iter().map(|(channel, content)| (channel, content.into())).collect();
    let template = Template { code: code.clone(), version: 0, name, enabled, kind, contents };
    let change = TemplateChange::Put { template, from: version(&headers)? };
    let now = api.templates.change(&code, change).await?.ok_or(TemplateError::Unknown)?;
    Ok(shown(now))
}

async fn remove(State(api): State<Api>, Path(code): Path<String>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    api.templates.change(&code, TemplateChange::Removed { from: version(&headers)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn enable(State(api): State<Api>, Path(code): Path<String>) -> Result<Response, Problem> {
    set_enabled(&api, &code, true).await
}

async fn disable(State(api): State<Api>, Path(code): Path<String>) -> Result<Response, Problem> {
    set_enabled(&api, &code, false).await
}

async fn set_enabled(api: &Api, code: &str, enabled: bool) -> Result<Response, Problem> {
    let now = api.templates.change(code, TemplateChange::Enabled(enabled)).await?.ok_or(TemplateError::Unknown)?;
    Ok(shown(now))
}

async fn find(api: &Api, code: &str) -> Result<Template, Problem> {
    let templates = api.templates.templates().await?;
    Ok(templates.into_iter().find(|template| template.code == code).ok_or(TemplateError::Unknown)?)
}

/// The version that a request names in `If-Match`, as `ETag` gave it; absent: any.
fn version(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(header) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let wanted = header.to_str().unwrap_or_default().trim();
    if wanted == "*" {
        return Ok(None);
    }
    let version = wanted.trim_matches('"').parse();
    version.map(Some).map_err(|_| Problem::bad_request("If-Match is the version of the template, in quotes"))
}

/// A template, with its version as `ETag`.
fn shown(template: Template) -> Response {
    let tag = format!("\"{}\"", template.version);
    ([(header::ETAG, tag)], Json(view(template))).into_response()
}

fn view(template: Template) -> TemplateView {
    let variables = template.variables().into_iter().map(str::to_owned).collect();
    let Template { code, version, name, enabled, kind, contents } = template;
    let content = contents.into_iter().map(|(channel, content)| (channel, content.into())).collect();
    TemplateView { code, version, name, enabled, kind, variables, content }
}

impl From<TemplateContent> for ContentView {
    fn from(of: TemplateContent) -> Self {
        let TemplateContent { title, content, website, sign, sms_template, sms_variables } = of;
        Self { title, content, website, sign, sms_template, sms_variables }
    }
}

impl From<ContentView> for TemplateContent {
    fn from(of: ContentView) -> Self {
        let ContentView { title, content, website, sign, sms_template, sms_variables } = of;
        Self { title, content, website, sign, sms_template, sms_variables }
    }
}

impl From<TemplateError> for Problem {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::Unknown => Self::not_found(error.to_string()),
            TemplateError::Stale(_) => Self::precondition_failed(error.to_string()),
            TemplateError::Wrong(_) => Self::bad_request(error.to_string()),
            TemplateError::Unreadable(why) => {
                tracing::error!(why, "what is declared cannot be understood");
                Self::unavailable("what is declared cannot be understood by this version of the program")
            }
            TemplateError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    #[test]
    fn a_version_is_named_as_it_was_shown() {
        let version = |value: &str| {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, value.parse().expect("a header"))]);
            version(&headers).map_err(|_| ())
        };
        assert_eq!(version("\"12\""), Ok(Some(12)));
        assert_eq!(version("12"), Ok(Some(12)));
        assert_eq!(version("*"), Ok(None));
        assert_eq!(version("W/\"x\""), Err(()));
        assert_eq!(super::version(&HeaderMap::new()).map_err(|_| ()), Ok(None));
    }

    #[test]
    fn what_is_put_is_enabled_unless_it_says_otherwise() {
        let given: Given =
            parsed(Ok(Bytes::from_static(br#"{"content": {"1003": {"content": "${a}"}}}"#))).expect("JSON");
        assert!(given.enabled);
        for wrong in [&br#"{"contents": {}}"#[..], br#"{"content": {"1003": {"text": "a"}}}"#, b"[1]", b""] {
            assert!(parsed::<Given>(Ok(Bytes::from_static(wrong))).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
