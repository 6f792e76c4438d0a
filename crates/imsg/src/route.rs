//! Decision 1: which path is which call. A slash at the end does not count; everything else does.

use std::borrow::Cow;

use axum::http::Method;
use percent_encoding::percent_decode_str;

/// A call of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    Register,
    Login,
    Send,
    /// Of this account; absent: of the caller's.
    Modify(Option<Cow<'p, str>>),
    Query,
}

impl<'p> Route<'p> {
    /// What `path` names, if anything.
    pub(crate) fn of(path: &'p str) -> Option<Self> {
        let call = path.strip_prefix("/api/")?;
        match call.strip_suffix('/').unwrap_or(call) {
            "register" => Some(Self::Register),
            "login" => Some(Self::Login),
            "send" => Some(Self::Send),
            "modify" => Some(Self::Modify(None)),
            "query" => Some(Self::Query),
            call => {
                let name = call.strip_prefix("modify/").filter(|name| !name.is_empty() && !name.contains('/'))?;
                Some(Self::Modify(Some(percent_decode_str(name).decode_utf8().ok()?)))
            }
        }
    }

    /// The one method it answers.
    pub(crate) const fn method(&self) -> Method {
        match self {
            Self::Query => Method::GET,
            Self::Register | Self::Login | Self::Send | Self::Modify(_) => Method::POST,
        }
    }

    /// The name in logs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Send => "send",
            Self::Modify(_) => "modify",
            Self::Query => "query",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let modify = |name: &'static str| Some(Route::Modify(Some(name.into())));
        for (path, route) in [
            ("/api/register", Some(Route::Register)),
            ("/api/login/", Some(Route::Login)),
            ("/api/send", Some(Route::Send)),
            ("/api/query", Some(Route::Query)),
            ("/api/modify", Some(Route::Modify(None))),
            ("/api/modify/", Some(Route::Modify(None))),
            ("/api/modify/zhang", modify("zhang")),
            ("/api/modify/%E5%A4%A9%E5%AD%98-system-1001", modify("天存-system-1001")),
            ("/api/modify/天存-system-1001/", modify("天存-system-1001")),
            ("/api/modify/a+b%2Fc%20", modify("a+b/c ")),
            ("/api/modify/a/b", None),
            ("/api/modify//", None),
            ("/api/modify/%ff", None),
            ("/api/login//", None),
            ("/api/LOGIN", None),
            ("/api//login", None),
            ("/api/", None),
            ("/api", None),
            ("/api/sends", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
