//! How values look in `/v1`'s JSON: ids are decimal strings, moments RFC 3339 in UTC with milliseconds.

use hongyan_core::{id::Id, time::Timestamp};
use serde::Serializer;

pub(crate) fn id<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

pub(crate) fn moment<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    match jiff::Timestamp::from_millisecond(moment.ms()) {
        Ok(moment) => serializer.collect_str(&format_args!("{moment:.3}")),
        Err(_) => serializer.serialize_none(),
    }
}

pub(crate) fn moment_or_none<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => moment(at, serializer),
        None => serializer.serialize_none(),
    }
}
