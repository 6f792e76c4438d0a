//! One request as its handler sees it: where it comes from, its query, and the members of its body.

use std::net::IpAddr;

use axum::http::request::Parts;
use hongyan_intake::wire::{ClientAddress, Json};

use crate::code::Code;

/// A request whose body was read.
pub(crate) struct Call<'a> {
    pub(crate) parts: &'a Parts,
    /// An object.
    body: Json<'a>,
}

impl<'a> Call<'a> {
    /// A call whose body must be a JSON object, whatever its type says (row 6).
    pub(crate) fn of(parts: &'a Parts, body: &'a [u8]) -> Result<Self, Code> {
        let text = std::str::from_utf8(body).map_err(|_| Code::Format)?;
        // Some programs write a mark in front of UTF-8.
        match Json::parse(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            Ok(body @ Json::Dict(_)) => Ok(Self { parts, body }),
            _ => Err(Code::Format),
        }
    }

    /// A call that needs no body. One that is a JSON object may hold the token.
    pub(crate) fn without_body(parts: &'a Parts, body: &'a [u8]) -> Self {
        Self::of(parts, body).unwrap_or(Self { parts, body: Json::Null })
    }

    /// A member of the body. What is null is as good as absent.
    pub(crate) fn get(&self, name: &str) -> &Json<'a> {
        self.body.get(name)
    }

    /// The value of `name` in the query; the last one where there are several.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        let values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        values.last().map(|(_, value)| value.into_owned())
    }

    /// Where it comes from.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.parts.extensions.get().map(|ClientAddress(address)| address.to_canonical())
    }
}

/// A text that must be there: null is missing (10002), another type is wrong (10017, row 7).
pub(crate) fn text<'j>(value: &'j Json<'_>) -> Result<&'j str, Code> {
    match value {
        Json::Text(text) => Ok(text),
        Json::Null => Err(Code::Missing),
        _ => Err(Code::Type),
    }
}

/// Row 30: a limit is a whole number from 0 on.
pub(crate) fn limit(value: &Json<'_>) -> Result<Option<u32>, Code> {
    match value {
        Json::Null => Ok(None),
        Json::Int(number) => match u32::try_from(*number) {
            Ok(number) if number <= hongyan_intake::LIMIT_MAX => Ok(Some(number)),
            _ => Err(Code::Type),
        },
        _ => Err(Code::Type),
    }
}

/// Row 30: true or false, and nothing like them.
pub(crate) fn flag(value: &Json<'_>) -> Result<Option<bool>, Code> {
    match value {
        Json::Null => Ok(None),
        Json::Bool(flag) => Ok(Some(*flag)),
        _ => Err(Code::Type),
    }
}
