//! Request bodies: whole, and as JSON whatever their content type says.

use axum::{body::Bytes, extract::rejection::BytesRejection};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// A body, if it came.
pub(crate) type Body = Result<Bytes, BytesRejection>;

/// The bytes of a body.
pub(crate) fn whole(body: Body) -> Result<Bytes, Problem> {
    body.map_err(|_| Problem::bad_body("the body is larger than 2 MiB, or did not come whole"))
}

/// A body in which nothing is secret, so that the parser's own words may repeat some of it.
pub(crate) fn parsed<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    serde_json::from_slice(&whole(body)?).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}
