//! Plan files: what a deployment declares, as TOML (design 9). The same structs, with their secrets sealed, are the stored
//! form, so that there is one description of every key; `docs/config.md` is generated from it.

use std::{collections::HashSet, fs, net::IpAddr, path::Path};

use anyhow::{Context, ensure};
use hongyan_core::{
    address::EmailAddress,
    directory::DirectoryChange,
    limits::{NAME_CHARS_MAX, PEOPLE_NAMED_MAX},
    setup::ChannelKind,
    store::{Declaration, PlanChange},
    text::has_control,
};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::vault::{Vault, sha256_hex};

mod account;
mod directory;
mod provider;
mod settings;
mod template;
mod units;

pub use account::AccountPlan;
pub use directory::{DepartmentPlan, GroupPlan, UserPlan};
pub use provider::{DkimPlan, FieldsPlan, ProviderPlan, TemplatePlan};
pub use settings::{CmsiSettings, ImsgSettings, PushSettings, SettingsPlan};
pub use template::{ContentPlan, MessageTemplatePlan};
pub use units::{Rate, Span};

/// A plan file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Settings of the whole deployment.
    pub settings: SettingsPlan,
    /// Calling systems.
    pub app: Vec<AppPlan>,
    /// Departments: a tree.
    pub department: Vec<DepartmentPlan>,
    /// Posts that people hold.
    pub post: Vec<GroupPlan>,
    /// Roles that people have.
    pub role: Vec<GroupPlan>,
    /// People.
    pub user: Vec<UserPlan>,
    /// Accounts of the token API (iMSG).
    pub account: Vec<AccountPlan>,
    /// Configured senders.
    pub provider: Vec<ProviderPlan>,
    /// Ways to reach people.
    pub channel: Vec<ChannelPlan>,
    /// What messages say, with variables that callers fill in.
    pub template: Vec<MessageTemplatePlan>,
}

/// `[[app]]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AppPlan {
    /// The code by which it calls: CMSI's `bk_app_code`, `appId` of the push platform.
    pub code: String,
    /// The name shown: the title of its mails that have none; empty: the code.
    pub name: String,
    /// Whether it may call. One that may not is refused everywhere as an app that there is not.
    pub enabled: bool,
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
    /// Components of CMSI that it may use (`send_mail`, `send_msg`, …); empty: all.
    pub components: Vec<String>,
    /// Addresses and networks that it may call from (`10.0.0.0/8`, `192.0.2.7`); empty: anywhere.
    pub ips: Vec<String>,
    /// How often it may call, across all nodes: `100/m` is a hundred times in any minute. Absent: as often as it likes.
    pub rate: Option<Rate>,
    /// Whether it may send to everyone: `receiverType` `all` of the push platform.
    pub broadcast: bool,
    /// Whether its requests of the push platform have to be signed by its secret; else its code alone speaks for it, as the
    /// platform's document has it: leave that to networks where nobody else can call.
    pub require_signature: bool,
    /// How many receivers one request of the push platform may name, at most 10000, which is also the default.
    pub receivers_max: Option<usize>,
    /// The token of its CMSI hook, for BlueKing's `dest_url`; absent: it has none. Sealed in the store.
    pub hook_token: Option<String>,
}

impl Default for AppPlan {
    fn default() -> Self {
        Self {
            code: String::new(),
            name: String::new(),
            enabled: true,
            secret: String::new(),
            secrets: Vec::new(),
            trusted: false,
            channels: Vec::new(),
            senders: Vec::new(),
            components: Vec::new(),
            ips: Vec::new(),
            rate: None,
            broadcast: false,
            require_signature: true,
            receivers_max: None,
            hook_token: None,
        }
    }
}

/// `[[channel]]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelPlan {
    /// Its code, chosen by you.
    pub code: String,
    /// `mail`, `sms`, `wechat` (an official account), `wecom`, `voice`, `inbox` (the in-app inbox), `robot` or `webhook`; the last
    /// two by providers of kind `capture` and `test` only, for now.
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
        codes("department", self.department.iter().map(|department| &department.code))?;
        codes("post", self.post.iter().map(|post| &post.code))?;
        codes("role", self.role.iter().map(|role| &role.code))?;
        codes("user", self.user.iter().map(|user| &user.code))?;
        codes("account", self.account.iter().map(|account| &account.name))?;
        codes("provider", self.provider.iter().map(|provider| &provider.code))?;
        codes("channel", self.channel.iter().map(|channel| &channel.code))?;
        codes("template", self.template.iter().map(|template| &template.code))?;
        self.settings.check()?;
        for app in &self.app {
            app.check().with_context(|| format!("app {:?}", app.code))?;
        }
        for department in &self.department {
            department.check().with_context(|| format!("department {:?}", department.code))?;
        }
        for post in &self.post {
            post.check().with_context(|| format!("post {:?}", post.code))?;
        }
        for role in &self.role {
            role.check().with_context(|| format!("role {:?}", role.code))?;
        }
        for user in &self.user {
            user.check().with_context(|| format!("user {:?}", user.code))?;
        }
        for account in &self.account {
            account.check().with_context(|| format!("account {:?}", account.name))?;
        }
        for provider in &self.provider {
            provider.check().with_context(|| format!("provider {:?}", provider.code))?;
        }
        for channel in &self.channel {
            channel.check().with_context(|| format!("channel {:?}", channel.code))?;
        }
        for template in &self.template {
            template.check().with_context(|| format!("template {:?}", template.code))?;
        }
        Ok(())
    }

    /// What it changes in the directory.
    pub fn directory(&self) -> DirectoryChange {
        let Self { department, post, role, user, .. } = self.clone();
        directory::change(department, post, role, user)
    }

    /// The stored form: secrets sealed, one declaration per thing and per setting, and one of the plan's hash. Accounts and
    /// templates are not in it.
    ///
    /// # Errors
    /// When a secret cannot be sealed.
    pub fn seal(self, hash: String, vault: &Vault) -> anyhow::Result<PlanChange> {
        let directory = self.directory();
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
        declarations.push(applied(&hash));
        Ok(PlanChange { hash, declarations, directory })
    }
}

/// By which declaration the store knows the plan that was applied last.
const APPLIED: (&str, &str) = ("plan", "applied");

fn applied(hash: &str) -> Declaration {
    let (kind, code) = APPLIED;
    Declaration { kind: kind.to_owned(), code: code.to_owned(), no: 0, doc: hash.to_owned() }
}

/// The hash of the plan that was applied last, as far as `declared` tells.
pub fn applied_hash(declared: &[Declaration]) -> Option<&str> {
    let found = declared.iter().find(|declared| (declared.kind.as_str(), declared.code.as_str()) == APPLIED);
    found.map(|declared| declared.doc.as_str())
}

fn declaration(kind: &str, code: &str, doc: &impl Serialize) -> anyhow::Result<Declaration> {
    Ok(Declaration { kind: kind.to_owned(), code: code.to_owned(), no: 0, doc: serde_json::to_string(doc)? })
}

/// Whether something may have this code.
pub fn is_code(code: &str) -> bool {
    !code.is_empty() && !has_control(code) && code.trim() == code && code.len() <= 128
}

/// Codes are there, unique and printable.
fn codes<'a>(kind: &str, codes: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    for code in codes {
        ensure!(!code.is_empty(), "a {kind} has no code or name");
        ensure!(is_code(code), "{kind} {code:?}: this cannot be a code");
        ensure!(seen.insert(code), "{kind} {code:?} is declared twice");
    }
    Ok(())
}

impl AppPlan {
    fn check(&self) -> anyhow::Result<()> {
        let is_name = !has_control(&self.name) && self.name.chars().count() <= NAME_CHARS_MAX;
        ensure!(is_name, "its name has a control character, or is longer than {NAME_CHARS_MAX} characters");
        ensure!(self.secret.is_empty() || self.secrets.is_empty(), "give secret or secrets, not both");
        ensure!(!self.secret.is_empty() || !self.secrets.is_empty(), "it has no secret");
        ensure!(self.secrets.iter().all(|secret| !secret.is_empty()), "one of its secrets is empty");
        for sender in &self.senders {
            EmailAddress::parse(sender).with_context(|| format!("the sender {sender:?}"))?;
        }
        for component in &self.components {
            ensure!(hongyan_cmsi::is_component(component), "there is no component {component:?} of CMSI");
        }
        for ip in &self.ips {
            network(ip)?;
        }
        if let Some(most) = self.receivers_max {
            let is_sensible = (1..=PEOPLE_NAMED_MAX).contains(&most);
            ensure!(is_sensible, "receivers_max is 1 to {PEOPLE_NAMED_MAX}");
        }
        if let Some(token) = &self.hook_token {
            let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            ensure!(is_plain && token.len() >= 16, "hook_token is at least 16 letters, digits, - or _");
        }
        Ok(())
    }

    fn sealed(mut self, vault: &Vault) -> anyhow::Result<Self> {
        let secrets = if self.secret.is_empty() { self.secrets } else { vec![self.secret] };
        let place = format!("app/{}/secret", self.code);
        self.secrets = secrets.iter().map(|secret| vault.seal(&place, secret)).collect::<Result<_, _>>()?;
        self.secret = String::new();
        let place = format!("app/{}/hook", self.code);
        self.hook_token = self.hook_token.map(|token| vault.seal(&place, &token)).transpose()?;
        Ok(self)
    }
}

/// An address, or a network by its prefix.
///
/// # Errors
/// When it is neither.
pub fn network(text: &str) -> anyhow::Result<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).ok().with_context(|| format!("{text:?} is no address and no network"))
}

impl ChannelPlan {
    fn check(&self) -> anyhow::Result<()> {
        let kinds = ChannelKind::ALL.map(ChannelKind::as_str).join(", ");
        // Robots and webhooks have no senders of their own yet; which provider serves which channel is checked where both are known.
        ensure!(ChannelKind::from_name(&self.kind).is_some(), "there is no kind {:?}: {kinds}", self.kind);
        ensure!(!self.providers.is_empty(), "it has no providers");
        Ok(())
    }
}
