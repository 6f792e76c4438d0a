//! One request as everything after the body sees it.

use axum::http::request::Parts;
use bytes::Bytes;

use crate::route::Component;

/// A request for a component, its body read.
pub(crate) struct Call<'a> {
    pub(crate) component: Component,
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a Bytes,
}
