//! Section 1 and decision 1: which component a path names. Paths are compared byte for byte; slashes around them do not count.

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

/// The component that `method` and `path` name, if any.
pub(crate) fn component(method: &Method, path: &str) -> Option<Component> {
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
}
