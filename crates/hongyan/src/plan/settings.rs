//! `[settings]`: what holds for the whole deployment.

use std::time::Duration;

use anyhow::{Context, ensure};
use hongyan_core::store::Declaration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Span, provider::http_url};

/// `[settings]`. A key that is left out stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsPlan {
    /// The CMSI dialect.
    pub cmsi: CmsiSettings,
    /// The token API, iMSG.
    pub imsg: ImsgSettings,
    /// The push platform.
    pub push: PushSettings,
    /// The zone of dates for readers and of calendar days, by its IANA name. Default `Asia/Shanghai`.
    pub time_zone: Option<String>,
    /// How long history is kept; at least a day. Default `90d`.
    pub retention: Option<Span>,
}

/// `cmsi.*`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CmsiSettings {
    /// How long a CMSI request waits for the real outcome before it answers that the message is on its way. Default `8s`.
    pub wait: Option<Span>,
    /// What `code` says when a mail was sent: `0` (the number, which every real caller reads; the default) or `00` (the text
    /// that the document of `send_mail` prints).
    pub mail_success_code: Option<String>,
    /// The BlueKing login service that knows whose a `bk_token` is: what comes before `/login/accounts/is_login/`. Empty (the
    /// default): no token is accepted.
    pub login_url: Option<String>,
    /// The BlueKing user service that is asked for people whom the directory lacks: what comes before `/api/v2/profiles/`. Empty
    /// (the default): only the directory counts.
    pub user_url: Option<String>,
    /// The public key (PEM, RSA) of a BlueKing API gateway whose `X-Bkapi-JWT` stands for app and user. Empty (the default): the
    /// header is ignored.
    pub jwt_public_key: Option<String>,
}

/// `imsg.*`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImsgSettings {
    /// How long a request of the token API waits for the real outcome before it answers that the message is on its way. Default
    /// `8s`.
    pub wait: Option<Span>,
    /// How long a token is good for after the login that gave it. Default `3000s`.
    pub token_ttl: Option<Span>,
    /// Whether anybody may register an account, a few from each address; otherwise an administrator alone. Default false.
    pub open_register: Option<bool>,
    /// Whether an account may change its own limits; otherwise an administrator alone. Default false.
    pub self_modify: Option<bool>,
    /// What of a request has to fit under an account's limits: its first recipient (`lenient`, the default: a list may go over,
    /// the next request is refused) or all of them (`strict`).
    pub limits: Option<String>,
}

/// `push.*`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PushSettings {
    /// What a message is about (`msgType`) that does not say it. Default `notice`.
    pub default_kind: Option<String>,
    /// What messages may say that they are about, beside `notice`, `reminder` and `push.default_kind`; another `msgType` is
    /// refused. Empty (the default): whatever they like.
    pub kinds: Option<Vec<String>>,
    /// How far ahead a message may be scheduled; a minute at least. Default `365d`.
    pub schedule_ahead: Option<Span>,
    /// Whether a department that a message names means those below it too. Default true.
    pub sub_departments: Option<bool>,
}

impl PushSettings {
    fn check(&self) -> anyhow::Result<()> {
        for kind in self.default_kind.iter().chain(self.kinds.iter().flatten()) {
            ensure!(
                hongyan_push::is_kind(kind),
                "settings: push.default_kind and push.kinds have 1 to {} characters and no controls, unlike {kind:?}",
                hongyan_push::KIND_CHARS_MAX
            );
        }
        if let Some(Span(ahead)) = self.schedule_ahead {
            let is_sensible = (Duration::from_secs(60)..=SCHEDULE_AHEAD_MOST).contains(&ahead);
            ensure!(is_sensible, "settings: push.schedule_ahead is 1m to 3650d");
        }
        Ok(())
    }

    fn keys(&self) -> [(&'static str, Option<String>); 4] {
        let kinds = self.kinds.as_ref().map(|kinds| serde_json::json!(kinds).to_string());
        [
            ("push.default_kind", self.default_kind.clone()),
            ("push.kinds", kinds),
            ("push.schedule_ahead", self.schedule_ahead.map(|ahead| ahead.to_string())),
            ("push.sub_departments", self.sub_departments.map(|are_meant| are_meant.to_string())),
        ]
    }
}

/// The longest life of a token.
const TOKEN_TTL_MAX: Duration = Duration::from_secs(365 * 86_400);
/// The furthest that a deployment may let messages be scheduled.
const SCHEDULE_AHEAD_MOST: Duration = Duration::from_secs(3_650 * 86_400);

impl ImsgSettings {
    fn check(&self) -> anyhow::Result<()> {
        if let Some(Span(wait)) = self.wait {
            ensure!(wait <= Duration::from_secs(60), "settings: imsg.wait is at most 60s");
        }
        if let Some(Span(ttl)) = self.token_ttl {
            let is_sensible = (Duration::from_secs(1)..=TOKEN_TTL_MAX).contains(&ttl);
            ensure!(is_sensible, "settings: imsg.token_ttl is 1s to 365d");
        }
        if let Some(limits) = &self.limits {
            ensure!(
                matches!(limits.as_str(), "lenient" | "strict"),
                "settings: imsg.limits is \"lenient\" or \"strict\", not {limits:?}"
            );
        }
        Ok(())
    }

    fn keys(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("imsg.wait", self.wait.map(|wait| wait.to_string())),
            ("imsg.token_ttl", self.token_ttl.map(|ttl| ttl.to_string())),
            ("imsg.open_register", self.open_register.map(|is_open| is_open.to_string())),
            ("imsg.self_modify", self.self_modify.map(|may| may.to_string())),
            ("imsg.limits", self.limits.clone()),
        ]
    }
}

impl SettingsPlan {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some(code) = &self.cmsi.mail_success_code {
            ensure!(
                matches!(code.as_str(), "0" | "00"),
                "settings: cmsi.mail_success_code is \"0\" or \"00\", not {code:?}"
            );
        }
        for (key, url) in [("cmsi.login_url", &self.cmsi.login_url), ("cmsi.user_url", &self.cmsi.user_url)] {
            if let Some(url) = url.as_deref().filter(|url| !url.is_empty()) {
                http_url(url).with_context(|| format!("settings: {key}"))?;
            }
        }
        if let Some(key) = self.cmsi.jwt_public_key.as_deref().filter(|key| !key.is_empty()) {
            let read = jsonwebtoken::DecodingKey::from_rsa_pem(key.as_bytes());
            read.map(drop).ok().context("settings: cmsi.jwt_public_key is no public RSA key in PEM form")?;
        }
        if let Some(zone) = &self.time_zone {
            let found = jiff::tz::TimeZone::get(zone);
            found.map(drop).ok().with_context(|| format!("settings: there is no time zone {zone:?}"))?;
        }
        if let Some(Span(wait)) = self.cmsi.wait {
            ensure!(wait <= Duration::from_secs(60), "settings: cmsi.wait is at most 60s");
        }
        self.imsg.check()?;
        self.push.check()?;
        if let Some(Span(kept)) = self.retention {
            ensure!(kept >= Duration::from_secs(86_400), "settings: retention is at least 1d");
        }
        Ok(())
    }

    pub(super) fn declarations(&self) -> Vec<Declaration> {
        let keys = [
            ("cmsi.wait", self.cmsi.wait.map(|wait| wait.to_string())),
            ("cmsi.mail_success_code", self.cmsi.mail_success_code.clone()),
            ("cmsi.login_url", self.cmsi.login_url.clone()),
            ("cmsi.user_url", self.cmsi.user_url.clone()),
            ("cmsi.jwt_public_key", self.cmsi.jwt_public_key.clone()),
            ("time_zone", self.time_zone.clone()),
            ("retention", self.retention.map(|kept| kept.to_string())),
        ];
        let keys = keys.into_iter().chain(self.imsg.keys()).chain(self.push.keys());
        let declared = keys.filter_map(|(key, value)| Some((key, value?)));
        declared.map(|(key, doc)| Declaration { kind: "setting".into(), code: key.into(), no: 0, doc }).collect()
    }
}
