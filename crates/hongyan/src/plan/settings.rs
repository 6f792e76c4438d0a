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
    /// The zone of dates for readers, by its IANA name. Default `Asia/Shanghai`.
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
        let declared = keys.into_iter().filter_map(|(key, value)| Some((key, value?)));
        declared.map(|(key, doc)| Declaration { kind: "setting".into(), code: key.into(), no: 0, doc }).collect()
    }
}
