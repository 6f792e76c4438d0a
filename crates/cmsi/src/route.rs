//! Section 1, decisions 1 and 13: which component a path names, and whether it is a hook. Paths are compared byte for byte;
//! slashes around them do not count.

use axum::http::Method;

/// Where every CMSI path begins.
const BASE: &str = "/api/c/compapi";

/// A component of CMSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    SendMsg,
    SendMail,
    SendWeixin,
    SendSms,
    SendVoiceMsg,
    GetMsgType,
    SendQyWeixin,
    SendMpWeixin,
}

impl Component {
    /// Every component.
    pub(crate) const ALL: [Self; 8] = [
        Self::SendMsg,
        Self::SendMail,
        Self::SendWeixin,
        Self::SendSms,
        Self::SendVoiceMsg,
        Self::GetMsgType,
        Self::SendQyWeixin,
        Self::SendMpWeixin,
    ];

    /// The name in paths, records and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SendMsg => "send_msg",
            Self::SendMail => "send_mail",
            Self::SendWeixin => "send_weixin",
            Self::SendSms => "send_sms",
            Self::SendVoiceMsg => "send_voice_msg",
            Self::GetMsgType => "get_msg_type",
            Self::SendQyWeixin => "send_qy_weixin",
            Self::SendMpWeixin => "send_mp_weixin",
        }
    }
}

/// What a path names.
#[derive(Clone, Copy)]
pub(crate) struct Route<'p> {
    pub(crate) component: Component,
    /// Decision 13: whose hook it is; absent: the caller says who it is elsewhere.
    pub(crate) hook: Option<Hook<'p>>,
}

/// A hook, as a path names it. The path is a secret: this cannot be printed.
#[derive(Clone, Copy)]
pub(crate) struct Hook<'p> {
    pub(crate) app: &'p str,
    pub(crate) token: &'p str,
}

/// What `method` and `path` name, if anything.
pub(crate) fn route<'p>(method: &Method, path: &'p str) -> Option<Route<'p>> {
    let direct = component(method, path).map(|component| Route { component, hook: None });
    direct.or_else(|| hook(method, path))
}

/// `/cmsi/hook/{app}/{token}/{component}`, for every component that sends.
fn hook<'p>(method: &Method, path: &'p str) -> Option<Route<'p>> {
    let rest = path.strip_prefix(BASE)?.strip_prefix('/')?.trim_matches('/').strip_prefix("cmsi/hook/")?;
    let mut parts = rest.split('/');
    let (Some(app), Some(token), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    if method != Method::POST || app.is_empty() || token.is_empty() {
        return None;
    }
    let component = Component::ALL.into_iter().find(|component| component.name() == name)?;
    if component == Component::GetMsgType {
        return None;
    }
    Some(Route { component, hook: Some(Hook { app, token }) })
}

/// The component that `method` and `path` name, if any.
fn component(method: &Method, path: &str) -> Option<Component> {
    if method != Method::GET && method != Method::POST {
        return None;
    }
    match path.strip_prefix(BASE)?.strip_prefix('/')?.trim_matches('/') {
        "cmsi/send_msg" | "v2/cmsi/send_msg" => Some(Component::SendMsg),
        "cmsi/send_mail" | "v2/cmsi/send_mail" => Some(Component::SendMail),
        "cmsi/send_weixin" | "v2/cmsi/send_weixin" => Some(Component::SendWeixin),
        "cmsi/send_sms" | "v2/cmsi/send_sms" => Some(Component::SendSms),
        "cmsi/send_voice_msg" | "v2/cmsi/send_voice_msg" => Some(Component::SendVoiceMsg),
        "cmsi/get_msg_type" | "v2/cmsi/get_msg_type" => Some(Component::GetMsgType),
        "cmsi/send_qy_weixin" => Some(Component::SendQyWeixin),
        "cmsi/send_mp_weixin" => Some(Component::SendMpWeixin),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_do_not_count_and_everything_else_does() {
        let mail = Some(Component::SendMail);
        for path in
            ["/cmsi/send_mail", "/cmsi/send_mail/", "/cmsi/send_mail//", "//cmsi/send_mail/", "/v2/cmsi/send_mail"]
        {
            assert_eq!(component(&Method::POST, &format!("{BASE}{path}")), mail, "{path}");
            assert_eq!(component(&Method::GET, &format!("{BASE}{path}")), mail, "{path}");
        }
        for path in [
            "",
            "/",
            "cmsi/send_mail",
            "/CMSI/send_mail/",
            "/cmsi//send_mail/",
            "/cmsi/send_mail/x",
            "/v3/cmsi/send_mail/",
            "/v2/cmsi/send_qy_weixin/",
            "/v2/cmsi/send_mp_weixin/",
            "/cmsi/send_rtx/",
        ] {
            assert_eq!(component(&Method::POST, &format!("{BASE}{path}")), None, "{path}");
        }
        for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            assert_eq!(component(&method, &format!("{BASE}/cmsi/send_mail/")), None, "{method}");
        }
    }

    #[test]
    fn hooks() {
        let hook = |method: &Method, path: &str| {
            let path = format!("{BASE}{path}");
            let route = route(method, &path)?;
            route.hook.map(|hook| (hook.app.to_owned(), hook.token.to_owned(), route.component))
        };
        let mail = Some(("app1".to_owned(), "t".to_owned(), Component::SendMail));
        for path in ["/cmsi/hook/app1/t/send_mail", "/cmsi/hook/app1/t/send_mail//", "//cmsi/hook/app1/t/send_mail/"] {
            assert_eq!(hook(&Method::POST, path), mail, "{path}");
            assert_eq!(hook(&Method::GET, path), None, "{path}");
        }
        let sending = Component::ALL.into_iter().filter(|component| *component != Component::GetMsgType);
        for component in sending {
            assert!(hook(&Method::POST, &format!("/cmsi/hook/a/t/{}/", component.name())).is_some());
        }
        for path in [
            "/v2/cmsi/hook/app1/t/send_mail/",
            "/cmsi/hook/app1/send_mail/",
            "/cmsi/hook//t/send_mail/",
            "/cmsi/hook/app1//send_mail/",
            "/cmsi/hook/app1/t/x/send_mail/",
            "/cmsi/hook/app1/t/get_msg_type/",
            "/cmsi/hook/app1/t/",
            "/cmsi/send_mail/",
        ] {
            assert_eq!(hook(&Method::POST, path), None, "{path}");
        }
    }
}
