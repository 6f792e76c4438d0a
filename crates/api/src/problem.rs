//! Errors of `/v1` as problem details (RFC 9457): a title for the kind, a detail in words.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hongyan_core::store::StoreError;
use serde_json::json;

/// An error reply.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    /// 400: the request is wrong; `detail` says where.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: "Bad request", detail: detail.into() }
    }

    /// 401: no or a wrong token.
    pub fn unauthorized() -> Self {
        let detail = "send the administrator's token as Authorization: Bearer …".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, title: "Unauthorized", detail }
    }

    /// 401: the credentials are nobody's; `detail` says which are wanted.
    pub fn unknown_caller(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::unauthorized() }
    }

    /// 404: what is asked for does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not found", detail: detail.into() }
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let detail = "this path has another method".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, title: "Method not allowed", detail }
    }

    /// 409: something that is there stands against it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, title: "Conflict", detail: detail.into() }
    }

    /// 412: what is there is not what the request was made from.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::PRECONDITION_FAILED, title: "Precondition failed", detail: detail.into() }
    }

    /// 413: the body is too large, or broke off.
    pub fn bad_body(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, title: "Content too large", detail: detail.into() }
    }

    /// 502: a provider was asked and refused, or did not answer; `detail` has its words.
    pub fn provider(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_GATEWAY, title: "Provider refused", detail: detail.into() }
    }

    /// 503: it cannot be done for now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, title: "Unavailable", detail: detail.into() }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request could not be answered");
        let detail = "the store cannot be read for now; try again later".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, title: "Store unavailable", detail }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "type": "about:blank", "title": self.title, "status": self.status.as_u16(), "detail": self.detail });
        let mut response = (self.status, body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
