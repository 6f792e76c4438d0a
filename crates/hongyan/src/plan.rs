//! Plan files: what a deployment declares, as TOML (design 9). The same structs, with their secrets sealed, are the stored
//! form, so that there is one description of every key; `docs/config.md` is generated from it.

use std::{collections::HashSet, fmt, fs, path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use hongyan_core::{
    address::EmailAddress,
    setup::{ChannelKind, User},
    store::{Declaration, PlanChange},
    text::has_control,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de};

use crate::vault::{Vault, sha256_hex};

mod provider;

pub use provider::{DkimPlan, ProviderPlan};

/// A plan file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Settings of the whole deployment.
    pub settings: SettingsPlan,
    /// Calling systems.
    pub app: Vec<AppPlan>,
    /// People.
    pub user: Vec<UserPlan>,
    /// Configured senders.
    pub provider: Vec<ProviderPlan>,
    /// Ways to reach people.
    pub channel: Vec<ChannelPlan>,
}

/// `[settings]`. A key that is left out stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsPlan {
    /// The CMSI dialect.
    pub cmsi: CmsiSettings,
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
}

/// `[[app]]`
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AppPlan {
    /// The code by which it calls: CMSI's `bk_app_code`.
    pub code: String,
    /// Its secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// Instead of `secret`: several that are valid at once, while they rotate.
    pub secrets: Vec<String>,
    /// Whether it may speak for any user without that user's token.
    pub trusted: bool,
    /// Codes of the channels that it may use; empty: all.
    pub channels: Vec<String>,
    /// Mail senders that it may name; empty: any.
    pub senders: Vec<String>,
}

/// `[[user]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserPlan {
    /// The code by which callers name this person: a CMSI username.
    pub code: String,
    /// The name shown.
    pub name: String,
    /// Mail address.
    pub email: String,
    /// Phone number, E.164.
    pub phone: String,
    /// WeCom user id.
    pub wecom: String,
    /// openid of the official account.
    pub openid: String,
    /// Whether messages may reach this person.
    pub enabled: bool,
}

impl Default for UserPlan {
    fn default() -> Self {
        let none = String::new;
        Self { code: none(), name: none(), email: none(), phone: none(), wecom: none(), openid: none(), enabled: true }
    }
}

/// `[[channel]]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelPlan {
    /// Its code, chosen by you.
    pub code: String,
    /// `mail`.
    pub kind: String,
    /// Codes of its providers, the preferred one first; the next one serves while those before it do not work.
    pub providers: Vec<String>,
    /// Whether it takes messages.
    pub enabled: bool,
    /// Whether it takes messages and holds them.
    pub paused: bool,
    /// Whether a caller that names only a kind of channel means this one.
    pub default: bool,
}

impl Default for ChannelPlan {
    fn default() -> Self {
        let (code, kind) = (String::new(), String::new());
        Self { code, kind, providers: Vec::new(), enabled: true, paused: false, default: false }
    }
}

impl Plan {
    /// Reads and checks a plan file; also answers the SHA-256 of its text.
    ///
    /// # Errors
    /// When it cannot be read, has a key that does not exist or a value of the wrong form (with its line), or contradicts
    /// itself.
    pub fn load(path: &Path) -> anyhow::Result<(Self, String)> {
        let text = fs::read_to_string(path).with_context(|| format!("while reading {}", path.display()))?;
        let plan = Self::parse(&text).with_context(|| format!("in {}", path.display()))?;
        Ok((plan, sha256_hex(text.as_bytes())))
    }

    /// Reads and checks the text of a plan.
    ///
    /// # Errors
    /// As [`Plan::load`].
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let plan: Self = toml::from_str(text)?;
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> anyhow::Result<()> {
        codes("app", self.app.iter().map(|app| &app.code))?;
        codes("user", self.user.iter().map(|user| &user.code))?;
        codes("provider", self.provider.iter().map(|provider| &provider.code))?;
        codes("channel", self.channel.iter().map(|channel| &channel.code))?;
        self.settings.check()?;
        for app in &self.app {
            app.check().with_context(|| format!("app {:?}", app.code))?;
        }
        for user in &self.user {
            user.check().with_context(|| format!("user {:?}", user.code))?;
        }
        for provider in &self.provider {
            provider.check().with_context(|| format!("provider {:?}", provider.code))?;
        }
        for channel in &self.channel {
            channel.check().with_context(|| format!("channel {:?}", channel.code))?;
        }
        Ok(())
    }

    /// The stored form: secrets sealed, one declaration per thing and per setting.
    ///
    /// # Errors
    /// When a secret cannot be sealed.
    pub fn seal(self, hash: String, vault: &Vault) -> anyhow::Result<PlanChange> {
        let mut declarations = self.settings.declarations();
        for app in self.app {
            declarations.push(declaration("app", &app.code.clone(), &app.sealed(vault)?)?);
        }
        for provider in self.provider {
            declarations.push(declaration("provider", &provider.code.clone(), &provider.sealed(vault)?)?);
        }
        for channel in self.channel {
            declarations.push(declaration("channel", &channel.code, &channel)?);
        }
        let users = self.user.into_iter().map(UserPlan::into_user).collect();
        Ok(PlanChange { hash, declarations, users })
    }
}

fn declaration(kind: &str, code: &str, doc: &impl Serialize) -> anyhow::Result<Declaration> {
    Ok(Declaration { kind: kind.to_owned(), code: code.to_owned(), no: 0, doc: serde_json::to_string(doc)? })
}

/// Codes are there, unique and printable.
fn codes<'a>(kind: &str, codes: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    for code in codes {
        ensure!(!code.is_empty(), "a {kind} has no code");
        ensure!(
            !has_control(code) && code.trim() == code && code.len() <= 128,
            "{kind} {code:?}: this cannot be a code"
        );
        ensure!(seen.insert(code), "{kind} {code:?} is declared twice");
    }
    Ok(())
}

impl SettingsPlan {
    fn check(&self) -> anyhow::Result<()> {
        if let Some(code) = &self.cmsi.mail_success_code {
            ensure!(
                matches!(code.as_str(), "0" | "00"),
                "settings: cmsi.mail_success_code is \"0\" or \"00\", not {code:?}"
            );
        }
        if let Some(Span(wait)) = self.cmsi.wait {
            ensure!(wait <= Duration::from_secs(60), "settings: cmsi.wait is at most 60s");
        }
        if let Some(Span(kept)) = self.retention {
            ensure!(kept >= Duration::from_secs(86_400), "settings: retention is at least 1d");
        }
        Ok(())
    }

    fn declarations(&self) -> Vec<Declaration> {
        let wait = self.cmsi.wait.map(|wait| wait.to_string());
        let retention = self.retention.map(|kept| kept.to_string());
        let code = self.cmsi.mail_success_code.clone();
        let keys = [("cmsi.wait", wait), ("cmsi.mail_success_code", code), ("retention", retention)];
        let declared = keys.into_iter().filter_map(|(key, value)| Some((key, value?)));
        declared.map(|(key, doc)| Declaration { kind: "setting".into(), code: key.into(), no: 0, doc }).collect()
    }
}

impl AppPlan {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.secret.is_empty() || self.secrets.is_empty(), "give secret or secrets, not both");
        ensure!(!self.secret.is_empty() || !self.secrets.is_empty(), "it has no secret");
        ensure!(self.secrets.iter().all(|secret| !secret.is_empty()), "one of its secrets is empty");
        for sender in &self.senders {
            EmailAddress::parse(sender).with_context(|| format!("the sender {sender:?}"))?;
        }
        Ok(())
    }

    fn sealed(mut self, vault: &Vault) -> anyhow::Result<Self> {
        let secrets = if self.secret.is_empty() { self.secrets } else { vec![self.secret] };
        let place = format!("app/{}/secret", self.code);
        self.secrets = secrets.iter().map(|secret| vault.seal(&place, secret)).collect::<Result<_, _>>()?;
        self.secret = String::new();
        Ok(self)
    }
}

impl UserPlan {
    fn check(&self) -> anyhow::Result<()> {
        if !self.email.is_empty() {
            EmailAddress::parse(&self.email).with_context(|| format!("the email {:?}", self.email))?;
        }
        let texts = [&self.name, &self.phone, &self.wecom, &self.openid];
        ensure!(texts.iter().all(|text| !has_control(text)), "one of its texts has a control character");
        Ok(())
    }

    fn into_user(self) -> User {
        let Self { code, name, email, phone, wecom, openid, enabled } = self;
        User { code, name, email, phone, wecom, openid, enabled }
    }
}

impl ChannelPlan {
    fn check(&self) -> anyhow::Result<()> {
        match ChannelKind::from_name(&self.kind) {
            Some(ChannelKind::Mail) => {}
            Some(_) => bail!("channels of kind {:?} do not exist yet: mail", self.kind),
            None => bail!("there is no kind {:?}: mail", self.kind),
        }
        ensure!(!self.providers.is_empty(), "it has no providers");
        Ok(())
    }
}

/// A length of time: a number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    /// Reads `8s`, `90d`, `500ms`.
    ///
    /// # Errors
    /// When it is no number with a unit.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("{text:?} is not a length of time such as 8s, 10m or 90d");
        let digits = text.find(|c: char| !c.is_ascii_digit()).with_context(wrong)?;
        let number: u64 = text[..digits].parse().with_context(wrong)?;
        let (_, unit_ms) = UNITS.into_iter().find(|(unit, _)| *unit == &text[digits..]).with_context(wrong)?;
        Ok(Self(Duration::from_millis(number.checked_mul(unit_ms).with_context(wrong)?)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, unit_ms) = UNITS.into_iter().rev().find(|(_, unit_ms)| ms % unit_ms == 0).unwrap_or(UNITS[0]);
        write!(f, "{}{unit}", ms / unit_ms)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "duration" })
    }

    fn inline_schema() -> bool {
        true
    }
}
