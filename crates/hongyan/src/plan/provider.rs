//! `[[provider]]`: the keys of every kind of provider, which of them belong together, and how they are sealed for the store.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use hongyan_core::{
    address::{EmailAddress, Mailbox},
    setup::NoticeFields,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;
use crate::vault::Vault;

/// `[[provider]]`. Keys of another kind than its own are refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderPlan {
    /// Its code.
    pub code: String,
    /// `smtp`; `wecom` (an app of WeCom); `wechat` (an official account); `aliyun` or `tencent` (SMS); `tencent_voice`; `inbox`
    /// (the in-app inbox, which has no keys of its own); `capture` (takes everything, sends nothing, keeps what would have been sent); or `test` (for trying out faults
    /// and load: sends nothing, tells a server of the test).
    pub kind: String,
    /// Whether it is used.
    pub enabled: bool,
    /// Calls per second, across all nodes; absent: as many as it takes.
    pub rate: Option<f64>,
    /// Calls in flight at a time; for SMTP, sessions.
    pub max_in_flight: u32,
    /// The From header of mails that name none: `Name <address>` or `address`.
    pub sender: String,
    /// smtp: host name or address.
    pub host: Option<String>,
    /// smtp: port. Default 25.
    pub port: Option<u16>,
    /// smtp: `none`, `starttls` (where offered; certificate checked only where a user is set), `required` (STARTTLS, certificate checked) or
    /// `implicit` (TLS from the first byte, certificate checked). Default `required`.
    pub tls: Option<String>,
    /// smtp: user for AUTH; absent: no AUTH.
    pub user: Option<String>,
    /// smtp: password for AUTH. Sealed in the store.
    pub password: Option<String>,
    /// smtp: the name in EHLO; absent: the machine's address.
    pub helo: Option<String>,
    /// smtp: the envelope sender, to which each message's id is added (`bounce+ID@…`); absent: the address of the From header.
    pub bounce: Option<String>,
    /// smtp: a PEM file of CA certificates to trust beside the system's.
    pub ca_file: Option<String>,
    /// smtp: messages per connection. Default 1000.
    pub connection_messages: Option<u32>,
    /// smtp: age at which a connection is closed. Default `10m`.
    pub connection_age: Option<Span>,
    /// smtp: idle time after which a connection is closed. Default `20s`.
    pub connection_idle: Option<Span>,
    /// smtp: sign with DKIM.
    pub dkim: Option<DkimPlan>,
    /// test: `http://…` on the loopback or a private address, which is told of every delivery by a POST of JSON (`delivery`,
    /// `message`, `recipient`, `maybe_duplicate`). 2xx takes it, 4xx refuses it, anything else or silence leaves it unknown. Not
    /// encrypted: for tests only. Absent: deliveries are taken and only counted.
    pub url: Option<String>,
    /// test: `at_most_once` (the default: what may have been sent is never sent again) or `at_least_once` (it is).
    pub repeat: Option<String>,
    /// test: how long each answer is held back. Default `0s`.
    pub delay: Option<Span>,
    /// wecom, wechat, aliyun, tencent, tencent_voice: where the API is; absent: the provider's own address. aliyun, tencent,
    /// tencent_voice: its host and its path are part of what is signed, so that a proxy must hand both on as they are; give none
    /// with a path to one that takes the path off.
    pub base_url: Option<String>,
    /// wecom: the corporation's id.
    pub corp_id: Option<String>,
    /// wecom: the app's secret. Sealed in the store.
    pub corp_secret: Option<String>,
    /// wecom: the app's number.
    pub agent_id: Option<i64>,
    /// wecom: for how long WeCom shall drop a message that is the same as one before, at most `4h`: what may have been sent is
    /// then sent again within that time. Absent: it is never sent again, and identical messages all arrive.
    pub duplicate_check: Option<Span>,
    /// wechat: the account's app id. tencent, tencent_voice: the SdkAppId. tencent: ask Tencent Cloud's support to
    /// keep the SessionContext in the status records of SMS; without it an SMS whose outcome is unknown stays so.
    pub app_id: Option<String>,
    /// wechat: the account's secret. Sealed in the store.
    pub app_secret: Option<String>,
    /// wechat: the template of notices. aliyun, tencent, tencent_voice: the template whose one variable takes a free text.
    pub template: Option<String>,
    /// wechat: which fields of the template hold a notice's parts.
    pub fields: Option<FieldsPlan>,
    /// wechat: the token (令牌) of the account's server configuration, by which it signs its calls. Sealed in the store. Absent: it
    /// makes none.
    pub token: Option<String>,
    /// wechat: the EncodingAESKey of the account's server configuration, where its mode is compatible or safe: calls that are
    /// not encrypted are then refused. Sealed in the store.
    pub aes_key: Option<String>,
    /// wechat: the end of the path of the account's calls, `/callbacks/CODE/SECRET`: at least 16 letters, digits, `-` or `_` that
    /// nobody can guess. Sealed in the store. Goes with `token`.
    pub callback_secret: Option<String>,
    /// aliyun: the name of that variable. Default `content`.
    pub variable: Option<String>,
    /// aliyun, tencent: the provider's templates that stand for ours, by our codes.
    pub templates: Option<BTreeMap<String, TemplatePlan>>,
    /// aliyun, tencent: the signature, without its brackets.
    pub sign: Option<String>,
    /// aliyun: the id of the access key.
    pub access_key: Option<String>,
    /// aliyun: the secret of the access key. Sealed in the store.
    pub access_secret: Option<String>,
    /// tencent, tencent_voice: the id of the key.
    pub secret_id: Option<String>,
    /// tencent, tencent_voice: the key. Sealed in the store.
    pub secret_key: Option<String>,
    /// tencent, tencent_voice: the region that is asked. Default `ap-guangzhou`.
    pub region: Option<String>,
    /// tencent_voice: how often a text is read out, 1 to 3. Default 2.
    pub play_times: Option<u8>,
}

impl Default for ProviderPlan {
    fn default() -> Self {
        Self {
            code: String::new(),
            kind: String::new(),
            enabled: true,
            rate: None,
            max_in_flight: 16,
            sender: String::new(),
            host: None,
            port: None,
            tls: None,
            user: None,
            password: None,
            helo: None,
            bounce: None,
            ca_file: None,
            connection_messages: None,
            connection_age: None,
            connection_idle: None,
            dkim: None,
            url: None,
            repeat: None,
            delay: None,
            base_url: None,
            corp_id: None,
            corp_secret: None,
            agent_id: None,
            duplicate_check: None,
            app_id: None,
            app_secret: None,
            template: None,
            fields: None,
            token: None,
            aes_key: None,
            callback_secret: None,
            variable: None,
            templates: None,
            sign: None,
            access_key: None,
            access_secret: None,
            secret_id: None,
            secret_key: None,
            region: None,
            play_times: None,
        }
    }
}

/// `fields = { … }` of an official account: the template's fields; an empty name leaves that part out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FieldsPlan {
    /// The heading. Default `first`.
    pub heading: String,
    /// The text. Default `keyword1`.
    pub message: String,
    /// The date. Default `keyword2`.
    pub date: String,
    /// The tail. Default `remark`.
    pub remark: String,
}

impl Default for FieldsPlan {
    fn default() -> Self {
        let NoticeFields { heading, message, date, remark } = NoticeFields::default();
        Self { heading, message, date, remark }
    }
}

/// A template in `templates = { … }` of an SMS provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplatePlan {
    /// The provider's name for it.
    pub id: String,
    /// Our variables that it takes, in its order.
    #[serde(default)]
    pub variables: Vec<String>,
}

/// `dkim = { … }` of an SMTP provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DkimPlan {
    /// The signing domain, `d=`.
    pub domain: String,
    /// The selector, `s=`.
    pub selector: String,
    /// The private key, PEM (PKCS#8), RSA or Ed25519. Sealed in the store.
    pub key: String,
}

impl ProviderPlan {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.max_in_flight > 0, "max_in_flight is at least 1");
        ensure!(
            self.rate.is_none_or(|rate| (0.001..=1e6).contains(&rate)),
            "rate is between 0.001 and 1000000 calls a second"
        );
        if !self.sender.is_empty() {
            Mailbox::parse(&self.sender).with_context(|| format!("the sender {:?}", self.sender))?;
        }
        ensure!(!self.kind.is_empty(), "it has no kind: {}", KINDS.join(", "));
        ensure!(KINDS.contains(&&*self.kind), "there is no kind {:?}: {}", self.kind, KINDS.join(", "));
        for key in self.keys() {
            let is_its_own = key.kinds.contains(&&*self.kind);
            ensure!(is_its_own || !key.is_given, "{} belongs to kind {}", key.name, key.kinds.join(", "));
            ensure!(!is_its_own || key.is_given || !key.is_needed, "it has no {}", key.name);
        }
        match self.kind.as_str() {
            "smtp" => self.check_smtp()?,
            "test" => self.check_test()?,
            _ => self.check_api()?,
        }
        Ok(())
    }

    fn check_smtp(&self) -> anyhow::Result<()> {
        ensure!(self.host.as_ref().is_some_and(|host| !host.is_empty()), "it has no host");
        ensure!(!self.sender.is_empty(), "it has no sender");
        ensure!(self.user.is_some() == self.password.is_some(), "give user and password, or neither");
        if let Some(tls) = &self.tls {
            ensure!(
                matches!(tls.as_str(), "none" | "starttls" | "required" | "implicit"),
                "tls = {tls:?} does not exist"
            );
        }
        if let Some(bounce) = &self.bounce {
            EmailAddress::parse(bounce).with_context(|| format!("the bounce address {bounce:?}"))?;
        }
        Ok(())
    }

    fn check_test(&self) -> anyhow::Result<()> {
        if let Some(repeat) = &self.repeat {
            ensure!(
                matches!(repeat.as_str(), "at_most_once" | "at_least_once"),
                "repeat is \"at_most_once\" or \"at_least_once\", not {repeat:?}"
            );
        }
        Ok(())
    }

    /// The keys of providers that are called over HTTP.
    fn check_api(&self) -> anyhow::Result<()> {
        if let Some(url) = &self.base_url {
            http_url(url).context("base_url")?;
        }
        ensure!(self.agent_id.is_none_or(|id| id >= 0), "agent_id is not negative");
        let checked_for = self.duplicate_check.map_or(Duration::from_secs(600), |span| span.0);
        ensure!(
            (Duration::from_secs(120)..=Duration::from_secs(4 * 60 * 60)).contains(&checked_for),
            "duplicate_check is between 2m and 4h"
        );
        ensure!(self.play_times.is_none_or(|times| (1..=3).contains(&times)), "play_times is 1, 2 or 3");
        self.check_callback()
    }

    /// What the calls of an official account are known by (`contracts/providers.md` 1.5).
    fn check_callback(&self) -> anyhow::Result<()> {
        ensure!(self.token.is_some() == self.callback_secret.is_some(), "give token and callback_secret, or neither");
        ensure!(self.token.is_some() || self.aes_key.is_none(), "aes_key goes with token and callback_secret");
        if let Some(token) = &self.token {
            let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric());
            ensure!(is_plain && (3..=32).contains(&token.len()), "token is 3 to 32 letters or digits");
        }
        if let Some(key) = &self.aes_key {
            ensure!(hongyan_channels::wechat::callback::is_key(key), "aes_key is no EncodingAESKey of 43 characters");
        }
        if let Some(secret) = &self.callback_secret {
            let is_plain = secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            ensure!(is_plain && secret.len() >= 16, "callback_secret is at least 16 letters, digits, - or _");
        }
        Ok(())
    }

    /// The keys that not every kind has, and which kinds have them.
    fn keys(&self) -> Vec<Key> {
        const SMTP: &[&str] = &["smtp"];
        const TEST: &[&str] = &["test"];
        const WECOM: &[&str] = &["wecom"];
        const WECHAT: &[&str] = &["wechat"];
        const ALIYUN: &[&str] = &["aliyun"];
        const TENCENT: &[&str] = &["tencent", "tencent_voice"];
        const SMS: &[&str] = &["aliyun", "tencent"];
        const API: &[&str] = &["wecom", "wechat", "aliyun", "tencent", "tencent_voice"];
        let text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let may = |name, is_given, kinds| Key { name, is_given, kinds, is_needed: false };
        let must = |name, is_given, kinds| Key { name, is_given, kinds, is_needed: true };
        vec![
            may("host", self.host.is_some(), SMTP),
            may("port", self.port.is_some(), SMTP),
            may("tls", self.tls.is_some(), SMTP),
            may("user", self.user.is_some(), SMTP),
            may("password", self.password.is_some(), SMTP),
            may("helo", self.helo.is_some(), SMTP),
            may("bounce", self.bounce.is_some(), SMTP),
            may("ca_file", self.ca_file.is_some(), SMTP),
            may("connection_messages", self.connection_messages.is_some(), SMTP),
            may("connection_age", self.connection_age.is_some(), SMTP),
            may("connection_idle", self.connection_idle.is_some(), SMTP),
            may("dkim", self.dkim.is_some(), SMTP),
            may("url", self.url.is_some(), TEST),
            may("repeat", self.repeat.is_some(), TEST),
            may("delay", self.delay.is_some(), TEST),
            may("base_url", self.base_url.is_some(), API),
            must("corp_id", text(&self.corp_id), WECOM),
            must("corp_secret", text(&self.corp_secret), WECOM),
            must("agent_id", self.agent_id.is_some(), WECOM),
            may("duplicate_check", self.duplicate_check.is_some(), WECOM),
            must("app_id", text(&self.app_id), &["wechat", "tencent", "tencent_voice"]),
            must("app_secret", text(&self.app_secret), WECHAT),
            must("template", text(&self.template), &["wechat", "aliyun", "tencent", "tencent_voice"]),
            may("fields", self.fields.is_some(), WECHAT),
            may("token", self.token.is_some(), WECHAT),
            may("aes_key", self.aes_key.is_some(), WECHAT),
            may("callback_secret", self.callback_secret.is_some(), WECHAT),
            may("variable", self.variable.is_some(), ALIYUN),
            may("templates", self.templates.is_some(), SMS),
            must("sign", text(&self.sign), SMS),
            must("access_key", text(&self.access_key), ALIYUN),
            must("access_secret", text(&self.access_secret), ALIYUN),
            must("secret_id", text(&self.secret_id), TENCENT),
            must("secret_key", text(&self.secret_key), TENCENT),
            may("region", self.region.is_some(), TENCENT),
            may("play_times", self.play_times.is_some(), &["tencent_voice"]),
        ]
    }

    pub(super) fn sealed(mut self, vault: &Vault) -> anyhow::Result<Self> {
        let place = |field: &str| format!("provider/{}/{field}", self.code);
        let seal =
            |field: &str, secret: Option<String>| secret.map(|secret| vault.seal(&place(field), &secret)).transpose();
        self.password = seal("password", self.password)?;
        self.corp_secret = seal("corp_secret", self.corp_secret)?;
        self.app_secret = seal("app_secret", self.app_secret)?;
        self.token = seal("token", self.token)?;
        self.aes_key = seal("aes_key", self.aes_key)?;
        self.callback_secret = seal("callback_secret", self.callback_secret)?;
        self.access_secret = seal("access_secret", self.access_secret)?;
        self.secret_key = seal("secret_key", self.secret_key)?;
        if let Some(dkim) = &mut self.dkim {
            dkim.key = vault.seal(&format!("provider/{}/dkim", self.code), &dkim.key)?;
        }
        Ok(self)
    }
}

/// A key that not every kind of provider has.
struct Key {
    name: &'static str,
    is_given: bool,
    kinds: &'static [&'static str],
    is_needed: bool,
}

const KINDS: [&str; 9] = ["smtp", "wecom", "wechat", "aliyun", "tencent", "tencent_voice", "inbox", "capture", "test"];

/// A URL that a path is added to.
pub(super) fn http_url(text: &str) -> anyhow::Result<()> {
    let url = reqwest::Url::parse(text).ok().with_context(|| format!("{text:?} is no URL"))?;
    ensure!(matches!(url.scheme(), "http" | "https"), "{text:?} begins with neither https:// nor http://");
    ensure!(url.query().is_none() && url.fragment().is_none(), "{text:?} must end before any ? or #");
    ensure!(url.username().is_empty() && url.password().is_none(), "{text:?} must hold no user");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;

    fn refusal(keys: &str) -> String {
        let plan = Plan::parse(&format!("[[provider]]\ncode = \"p\"\n{keys}"));
        plan.map_or_else(|error| format!("{error:#}"), |_| String::new())
    }

    #[test]
    fn every_kind_has_keys_of_its_own() {
        for (keys, why) in [
            ("kind = \"capture\"", ""),
            ("kind = \"inbox\"", ""),
            ("kind = \"inbox\"\nhost = \"h\"", "host belongs to kind smtp"),
            ("kind = \"smtp\"\nhost = \"h\"\nsender = \"a@example.com\"", ""),
            ("kind = \"test\"", ""),
            ("kind = \"test\"\nurl = \"\"\nrepeat = \"at_most_once\"\ndelay = \"0s\"", ""),
            ("kind = \"test\"\nurl = \"http://127.0.0.1:1/\"\nrepeat = \"at_least_once\"", ""),
            ("kind = \"test\"\nrepeat = \"twice\"", "repeat is \"at_most_once\" or \"at_least_once\", not \"twice\""),
            ("kind = \"test\"\nhost = \"h\"\nport = 25", "host belongs to kind smtp"),
            ("kind = \"capture\"\nurl = \"\"\ndelay = \"1s\"", "url belongs to kind test"),
            (
                "kind = \"smtp\"\nhost = \"h\"\nsender = \"a@example.com\"\nrepeat = \"x\"",
                "repeat belongs to kind test",
            ),
            (
                "kind = \"capture\"\ndkim = { domain = \"d\", selector = \"s\", key = \"k\" }",
                "dkim belongs to kind smtp",
            ),
            ("", "it has no kind: smtp, wecom, "),
            ("kind = \"fax\"", "there is no kind \"fax\": smtp, wecom, "),
            ("kind = \"wecom\"\ncorp_id = \"c\"\ncorp_secret = \"s\"\nagent_id = 1000002", ""),
            ("kind = \"wecom\"\ncorp_id = \"c\"\ncorp_secret = \"\"\nagent_id = 1", "it has no corp_secret"),
            ("kind = \"wechat\"\ncorp_id = \"c\"", "corp_id belongs to kind wecom"),
            ("kind = \"wechat\"\napp_id = \"a\"\napp_secret = \"s\"\ntemplate = \"t\"", ""),
            (
                "kind = \"aliyun\"\naccess_key = \"k\"\naccess_secret = \"s\"\nsign = \"x\"\ntemplate = \"t\"\n\
                 templates = { MSG1001 = { id = \"SMS_1\", variables = [\"code\"] } }",
                "",
            ),
            (
                "kind = \"tencent\"\nsecret_id = \"i\"\nsecret_key = \"k\"\napp_id = \"a\"\ntemplate = \"t\"",
                "it has no sign",
            ),
            ("kind = \"tencent_voice\"\nsecret_id = \"i\"\nsecret_key = \"k\"\napp_id = \"a\"\ntemplate = \"t\"", ""),
            (
                "kind = \"wecom\"\ncorp_id = \"c\"\ncorp_secret = \"s\"\nagent_id = 1\nbase_url = \"ftp://x\"",
                "base_url: \"ftp://x\" begins with neither https:// nor http://",
            ),
        ] {
            let refusal = refusal(keys);
            assert!(refusal.is_empty() == why.is_empty() && refusal.contains(why), "{keys}: {refusal}");
        }
    }

    #[test]
    fn a_callback_has_a_token_and_a_secret_and_perhaps_a_key() {
        let (token, secret) = ("token = \"tok123\"", "callback_secret = \"0123456789abcd-_\"");
        let key = format!("aes_key = \"{}\"", "a".repeat(43));
        let refused = |keys: &[&str]| {
            let kind = "kind = \"wechat\"\napp_id = \"a\"\napp_secret = \"s\"\ntemplate = \"t\"\n";
            refusal(&format!("{kind}{}", keys.join("\n")))
        };
        assert_eq!(refused(&[token, secret]), "");
        assert_eq!(refused(&[token, secret, &key]), "");
        for (keys, why) in [
            (&[token][..], "give token and callback_secret, or neither"),
            (&[secret], "give token and callback_secret, or neither"),
            (&[&key], "aes_key goes with token and callback_secret"),
            (&["token = \"a b\"", secret], "token is 3 to 32 letters or digits"),
            (&[token, "callback_secret = \"short\""], "callback_secret is at least 16"),
            (&[token, "callback_secret = \"0123456789abcdef/\""], "callback_secret is at least 16"),
            (&[token, secret, "aes_key = \"short\""], "aes_key is no EncodingAESKey of 43 characters"),
        ] {
            let refusal = refused(keys);
            assert!(refusal.contains(why), "{keys:?}: {refusal}");
        }
        assert!(refusal(&format!("kind = \"capture\"\n{token}\n{secret}")).contains("token belongs to kind wechat"));
    }
}
