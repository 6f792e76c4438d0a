//! One request as its handlers see it: its headers, its bytes, where it comes from, the members of its body.

use axum::http::request::Parts;
use hongyan_core::message::Idempotency;
use hongyan_intake::wire::{ClientAddress, Json, idempotency_key};
use ring::digest::{Context, SHA256};

use crate::{problem::Problem, route::Route};

/// A request whose body is a JSON object, whatever its type says (row 46).
pub(crate) struct Call<'a> {
    pub(crate) route: Route,
    pub(crate) parts: &'a Parts,
    /// The body as it came.
    pub(crate) bytes: &'a [u8],
    /// An object.
    body: Json<'a>,
}

impl<'a> Call<'a> {
    /// Reads the body, strictly: a comma too many is no JSON.
    pub(crate) fn of(route: Route, parts: &'a Parts, bytes: &'a [u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(bytes).map_err(|_| Problem::NotJson)?;
        // Some programs write a mark in front of UTF-8.
        match Json::parse(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            Ok(body @ Json::Dict(_)) => Ok(Self { route, parts, bytes, body }),
            Ok(_) => Err(Problem::NotJson),
            Err(error) => Err(unread(&error)),
        }
    }

    /// A member of the body. What is null is as good as absent; what is unknown is ignored (row 47).
    pub(crate) fn get(&self, name: &str) -> &Json<'a> {
        self.body.get(name)
    }

    /// Where it comes from.
    pub(crate) fn client(&self) -> Option<std::net::IpAddr> {
        self.parts.extensions.get().map(|ClientAddress(address)| address.to_canonical())
    }

    /// The caller's idempotency key, if it sent one, bound to the call and the body as it came (design 7).
    pub(crate) fn key(&self) -> Result<Option<Idempotency>, Problem> {
        let Some(key) = idempotency_key(&self.parts.headers).map_err(|_| Problem::BadKey)? else { return Ok(None) };
        let mut hash = Context::new(&SHA256);
        for part in [self.route.name().as_bytes(), b"\0", self.bytes] {
            hash.update(part);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash.finish().as_ref());
        Ok(Some(Idempotency { key: key.to_owned(), fingerprint }))
    }
}

/// What is wrong with a body: which limit it is over, or that it is no JSON. The reader tells these apart by their words alone.
fn unread(error: &serde_json::Error) -> Problem {
    let said = error.to_string();
    let limits = [
        ("nested too deeply", Problem::Deep),
        ("too many values", Problem::Wide),
        ("number out of range", Problem::OutOfRange),
    ];
    limits.into_iter().find(|(words, _)| said.starts_with(words)).map_or(Problem::NotJson, |(_, problem)| problem)
}
