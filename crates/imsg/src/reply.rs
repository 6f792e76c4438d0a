//! What callers are answered: HTTP 200 with `errorCode` and `errorMessage`, and whatever more is known beside them (decision 1).

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use hongyan_core::store::StoreError;
use hongyan_intake::wire::BodyError;
use serde_json::{Map, Value, json};

use crate::code::Code;

/// What a caller is told who should come back in a moment (decision 10).
pub(crate) const LATER: &str = "请稍后再试";

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    /// What became of the request.
    pub(crate) code: Code,
    status: StatusCode,
    /// Whether the connection ends, for what is left of the body stays unread.
    closes: bool,
    more: Map<String, Value>,
}

/// What a handler answers; a refusal ends it early.
pub(crate) type Answer = Result<Reply, Reply>;

impl Reply {
    /// This code and nothing more.
    pub(crate) fn new(code: Code) -> Self {
        Self { code, status: StatusCode::OK, closes: false, more: Map::new() }
    }

    /// With a member beside the two.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// A code, and in `details` what it is about.
    pub(crate) fn details(code: Code, details: impl Into<Value>) -> Self {
        Self::new(code).with("details", details)
    }

    /// Too much was asked of late (decision 10).
    pub(crate) fn later() -> Self {
        Self::details(Code::Details, LATER)
    }

    /// Where there is no handler (decision 10).
    pub(crate) fn nowhere(status: StatusCode) -> Self {
        Self { status, ..Self::new(Code::Format) }
    }

    /// The whole response.
    pub(crate) fn into_response(self) -> Response {
        let mut body = json!({"errorCode": self.code.number(), "errorMessage": self.code.text()});
        if let Value::Object(members) = &mut body {
            members.extend(self.more);
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        // Tokens and messages are in answers.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Code> for Reply {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl From<StoreError> for Reply {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store did not answer a caller of iMSG");
        Code::Internal.into()
    }
}

impl From<BodyError> for Reply {
    fn from(error: BodyError) -> Self {
        let at = |status| Self { closes: true, ..Self::nowhere(status) };
        match error {
            BodyError::TooLarge => at(StatusCode::PAYLOAD_TOO_LARGE),
            BodyError::TooSlow => at(StatusCode::REQUEST_TIMEOUT),
            BodyError::CutOff => at(StatusCode::BAD_REQUEST),
            BodyError::Encoded => at(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            BodyError::NoRoom => Self::later(),
        }
    }
}

/// One recipient in a list of `details` (decision 9): `{recipient: {"errorCode": …, "errorMessage": …}}`.
pub(crate) fn told(recipient: &str, code: Code) -> Value {
    json!({recipient: {"errorCode": code.number(), "errorMessage": code.text()}})
}
