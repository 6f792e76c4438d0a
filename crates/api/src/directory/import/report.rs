//! What an import does, would do, or why it does nothing, as the reply says it.

use std::collections::HashMap;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hongyan_core::directory::{DirectoryFault, DirectoryReport, GroupKind};
use serde::Serialize;
use serde_json::json;

use super::{
    faults::{Fault, Faults},
    sheet::{Place, Sheet},
};

/// The names of the files that came.
pub(super) type Files = HashMap<&'static str, String>;

/// How many of the things listed are new, or otherwise than before.
#[derive(Debug, Serialize)]
struct Counts {
    listed: usize,
    new: u64,
    changed: u64,
}

#[derive(Debug, Serialize)]
struct FaultView {
    /// The name of the file; absent where it is about the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The line, the first being 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    what: String,
}

/// The reply.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether it was only tried.
    dry: bool,
    /// Whether the directory is as the files say now.
    applied: bool,
    groups: Counts,
    users: Counts,
    /// How many groups and people are as they were.
    same: u64,
    /// How many things are wrong.
    faults: u64,
    /// The first of them.
    told: Vec<FaultView>,
}

impl Report {
    /// `listed` groups and people, and what the store said of them.
    pub fn new(dry: bool, listed: (usize, usize), report: &DirectoryReport, faults: Faults, files: &Files) -> Self {
        let is_good = faults.is_empty();
        let count = faults.count();
        let told = faults.into_told().into_iter().map(|fault| view(fault, files)).collect();
        Self {
            dry,
            applied: !dry && is_good,
            groups: Counts { listed: listed.0, new: report.groups_new, changed: report.groups_changed },
            users: Counts { listed: listed.1, new: report.users_new, changed: report.users_changed },
            same: report.same,
            faults: count,
            told,
        }
    }
}

impl IntoResponse for Report {
    /// What could not be applied is a refusal (RFC 9457) with the same members.
    fn into_response(self) -> Response {
        if self.dry || self.applied {
            return Json(self).into_response();
        }
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let detail = format!("{} things are wrong; nothing was changed", self.faults);
        let mut body = json!({
            "type": "about:blank", "title": "Unprocessable content", "status": status.as_u16(), "detail": detail,
        });
        if let (Some(body), Ok(serde_json::Value::Object(members))) =
            (body.as_object_mut(), serde_json::to_value(&self))
        {
            body.extend(members);
        }
        let mut response = (status, body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

fn view(fault: Fault, files: &Files) -> FaultView {
    let name = |sheet: Sheet| files.get(sheet.as_str()).cloned().unwrap_or_else(|| sheet.as_str().to_owned());
    FaultView {
        file: fault.place.map(|place| name(place.sheet)),
        line: fault.place.map(|place| place.line),
        what: fault.what,
    }
}

/// What the store finds wrong, each with the line of the group that it is about, as far as the files list it.
pub(super) fn add_stored(
    faults: &mut Faults,
    stored: Vec<DirectoryFault>,
    places: &HashMap<(GroupKind, String), Place>,
) {
    for fault in stored {
        let code = match &fault {
            DirectoryFault::UnknownParent { code, .. } | DirectoryFault::Cycle(code) => Some(code),
            DirectoryFault::UnknownGroup { .. } => None,
        };
        let place = code.and_then(|code| places.get(&(GroupKind::Department, code.clone())).copied());
        faults.push(Fault { place, what: fault.to_string() });
    }
}
