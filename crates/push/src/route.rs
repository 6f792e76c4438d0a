//! The two calls and their paths, whose case counts (row 47).

/// A call of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A message with its own words for each channel.
    Channel,
    /// A message from a template.
    Template,
}

impl Route {
    /// What `path` names, if anything. A slash at the end does not count.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path.strip_suffix('/').unwrap_or(path).strip_prefix("/api/openApi/message/push/")? {
            "channel" => Some(Self::Channel),
            "template" => Some(Self::Template),
            _ => None,
        }
    }

    /// The name in logs and in the store.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Channel => "push/channel",
            Self::Template => "push/template",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, route) in [
            ("/api/openApi/message/push/channel", Some(Route::Channel)),
            ("/api/openApi/message/push/template", Some(Route::Template)),
            ("/api/openApi/message/push/template/", Some(Route::Template)),
            ("/api/openapi/message/push/channel", None),
            ("/api/openApi/message/push/Channel", None),
            ("/api/openApi/message/push/channel//", None),
            ("/api/openApi/message/push/", None),
            ("/api/openApi", None),
            ("/message/push/channel", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
