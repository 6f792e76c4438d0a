//! What callers are answered (decision 1): `code`, a number, `msg`, and where it was accepted `msgId`; HTTP 200 with the code in
//! the body, except where there is no handler or the body was not read.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use hongyan_core::id::Id;
use hongyan_intake::wire::BodyError;
use serde_json::{Map, Value, json};

use crate::problem::Problem;

/// What is told of a message that is on disk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Accepted {
    /// The message.
    pub(crate) message: Id,
    /// Who was named and gets nothing, by the names under which the caller named them (row 14).
    pub(crate) invalid: Map<String, Value>,
}

/// Who or what was named and gets nothing, while a request is read, by the names under which the caller named them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Invalid(BTreeMap<String, Vec<String>>);

impl Invalid {
    /// Adds to those under a name.
    pub(crate) fn tell(&mut self, name: &str, more: Vec<String>) {
        if !more.is_empty() {
            self.0.entry(name.to_owned()).or_default().extend(more);
        }
    }

    /// Whether nothing is to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Invalid> for Map<String, Value> {
    fn from(invalid: Invalid) -> Self {
        invalid.0.into_iter().map(|(name, values)| (name, values.into())).collect()
    }
}

/// An answer.
pub(crate) struct Reply {
    status: StatusCode,
    body: Value,
    /// Whether the connection ends, for what is left of the body stays unread.
    closes: bool,
}

impl Reply {
    /// It is on disk.
    pub(crate) fn accepted(accepted: Accepted) -> Self {
        let mut body = json!({"code": 200, "msg": "操作成功", "msgId": accepted.message.to_string()});
        if !accepted.invalid.is_empty() {
            body["invalid"] = Value::Object(accepted.invalid);
        }
        Self { status: StatusCode::OK, body, closes: false }
    }

    /// It is not, for this reason.
    pub(crate) fn refused(problem: &Problem) -> Self {
        Self::at(StatusCode::OK, problem)
    }

    /// The same with a status of its own.
    pub(crate) fn at(status: StatusCode, problem: &Problem) -> Self {
        Self { status, body: json!({"code": problem.code(), "msg": problem.msg()}), closes: false }
    }

    /// The body was not read.
    pub(crate) fn unread(error: BodyError) -> Self {
        let at = |status, problem| Self { closes: true, ..Self::at(status, problem) };
        match error {
            BodyError::TooLarge => at(StatusCode::PAYLOAD_TOO_LARGE, &Problem::BodyTooLarge),
            BodyError::TooSlow => at(StatusCode::REQUEST_TIMEOUT, &Problem::BodyUnread),
            BodyError::CutOff => at(StatusCode::BAD_REQUEST, &Problem::BodyUnread),
            BodyError::Encoded => at(StatusCode::UNSUPPORTED_MEDIA_TYPE, &Problem::BodyUnread),
            BodyError::NoRoom => Self::refused(&Problem::Busy),
        }
    }

    /// The whole response.
    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
