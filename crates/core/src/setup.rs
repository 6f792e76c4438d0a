//! What a deployment declares: apps, channels, providers, people and settings, as the running program sees them. The plan
//! file and the stored form belong to the binary; here they are plain values. A [`Setup`] is a snapshot that never changes;
//! a newer version replaces it whole in [`CurrentSetup`].

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use ipnet::IpNet;

use crate::{cap::Cap, limits, quota::Fit};

pub use crate::number::{AppNo, ChannelNo, ProviderNo};

mod provider;
mod template;

pub use provider::{
    AliyunProvider, CaptureProvider, Dkim, NoticeFields, Provider, ProviderKind, SmsTemplate, SmtpProvider,
    TencentProvider, TencentVoiceProvider, TestProvider, Tls, WechatCallback, WechatProvider, WecomProvider,
};

pub use template::{Piece, Template, TemplateContent, pieces, variables};

/// A password, key or app secret. It does not show itself in logs or debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself; for comparing in constant time and for handing to a provider, for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A calling system.
#[derive(Clone, Debug)]
pub struct App {
    /// Its number.
    pub no: AppNo,
    /// Its code: `bk_app_code`, `appId`.
    pub code: String,
    /// The name shown; empty: the code.
    pub name: String,
    /// Whether it may call.
    pub enabled: bool,
    /// Its secrets, all valid; more than one while they rotate.
    pub secrets: Vec<Secret>,
    /// Whether it may speak for any user without that user's token.
    pub trusted: bool,
    /// The codes of the channels it may use; empty: all.
    pub channels: Vec<String>,
    /// The mail senders it may name, lower case; empty: any.
    pub senders: Vec<String>,
    /// The components of CMSI that it may use; empty: all.
    pub components: Vec<String>,
    /// Where it may call from; empty: anywhere.
    pub ips: Vec<IpNet>,
    /// How often it may call; absent: as often as it likes.
    pub rate: Option<Cap>,
    /// Whether it may send to everyone.
    pub broadcast: bool,
    /// Whether its requests of the push platform have to be signed; else its code alone speaks for it.
    pub require_signature: bool,
    /// How many receivers one request of the push platform may name; absent: as many as [`limits::PEOPLE_NAMED_MAX`].
    pub receivers_max: Option<usize>,
    /// The token of its CMSI hook (`contracts/cmsi.md` decision 13); absent: it has none.
    pub hook: Option<Secret>,
}

/// A way to reach people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// E-mail.
    Mail,
    /// Text message.
    Sms,
    /// WeChat official account.
    Wechat,
    /// WeCom.
    Wecom,
    /// Voice call.
    Voice,
    /// In-app inbox.
    Inbox,
    /// Group robot.
    Robot,
    /// Webhook.
    Webhook,
}

impl App {
    /// What people see of it: its name, or else its code.
    pub fn shown_name(&self) -> &str {
        if self.name.is_empty() { &self.code } else { &self.name }
    }

    /// Whether it may call from an address; absent: from nowhere that any list holds. An IPv4 address in the form of IPv6
    /// (`::ffff:a.b.c.d`), as a socket for both may say it, is the IPv4 address.
    pub fn may_call_from(&self, address: Option<IpAddr>) -> bool {
        let is_listed = |address: IpAddr| self.ips.iter().any(|net| net.contains(&address.to_canonical()));
        self.ips.is_empty() || address.is_some_and(is_listed)
    }
}

impl ChannelKind {
    /// Every kind.
    pub const ALL: [Self; 8] =
        [Self::Mail, Self::Sms, Self::Wechat, Self::Wecom, Self::Voice, Self::Inbox, Self::Robot, Self::Webhook];

    /// The name in plans and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Sms => "sms",
            Self::Wechat => "wechat",
            Self::Wecom => "wecom",
            Self::Voice => "voice",
            Self::Inbox => "inbox",
            Self::Robot => "robot",
            Self::Webhook => "webhook",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A channel of the deployment.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its number.
    pub no: ChannelNo,
    /// Its code, chosen by the deployment.
    pub code: String,
    /// What it is.
    pub kind: ChannelKind,
    /// Its providers, the preferred one first.
    pub providers: Vec<ProviderNo>,
    /// Whether it takes messages.
    pub enabled: bool,
    /// Whether it takes messages and holds them.
    pub paused: bool,
    /// Whether a dialect that names only a kind means this one.
    pub default: bool,
}

/// A person of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The unique code: a CMSI username.
    pub code: String,
    /// The name shown.
    pub name: String,
    /// Mail address; empty: none.
    pub email: String,
    /// Phone number, E.164; empty: none.
    pub phone: String,
    /// WeCom user id; empty: none.
    pub wecom: String,
    /// openid of the official account; empty: none.
    pub openid: String,
    /// Whether messages may reach this person.
    pub enabled: bool,
}

/// The settings of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a CMSI handler waits for the outcome.
    pub cmsi_wait: Duration,
    /// What `code` says when a CMSI mail succeeded.
    pub cmsi_mail_success_code: MailSuccessCode,
    /// The BlueKing login service that knows whose a `bk_token` is, without a slash at the end; empty: none.
    pub cmsi_login_url: String,
    /// The BlueKing user service that knows whom the directory does not, without a slash at the end; empty: none.
    pub cmsi_user_url: String,
    /// The public key (PEM) of the API gateway whose `X-Bkapi-JWT` is trusted; empty: none is.
    pub cmsi_jwt_key: String,
    /// How long an iMSG handler waits for the outcome.
    pub imsg_wait: Duration,
    /// How long an iMSG token is good for.
    pub imsg_token_ttl: Duration,
    /// Whether anybody may register an account, or only an administrator.
    pub imsg_open_register: bool,
    /// Whether an account may change its own limits.
    pub imsg_self_modify: bool,
    /// What of a request has to fit under an account's limits.
    pub imsg_fit: Fit,
    /// What a push request is about that names no type.
    pub push_kind: String,
    /// The types that a push request may name; empty: any.
    pub push_kinds: Vec<String>,
    /// How far ahead a push request may be scheduled.
    pub push_ahead: Duration,
    /// Whether a department of a push request means those below it too.
    pub push_below: bool,
    /// The zone of dates for readers and of calendar days, by its IANA name.
    pub time_zone: String,
    /// How long history is kept.
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cmsi_wait: Duration::from_secs(8),
            cmsi_mail_success_code: MailSuccessCode::Number,
            cmsi_login_url: String::new(),
            cmsi_user_url: String::new(),
            cmsi_jwt_key: String::new(),
            imsg_wait: Duration::from_secs(8),
            imsg_token_ttl: Duration::from_secs(3_000),
            imsg_open_register: false,
            imsg_self_modify: false,
            imsg_fit: Fit::First,
            push_kind: "notice".to_owned(),
            push_kinds: Vec::new(),
            push_ahead: limits::SCHEDULE_AHEAD_MAX,
            push_below: true,
            time_zone: "Asia/Shanghai".to_owned(),
            retention: 90 * limits::TIME_TO_LIVE,
        }
    }
}

/// The two forms of CMSI's `code` after a mail (`contracts/cmsi.md` decision 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailSuccessCode {
    /// The number 0, which every real caller reads.
    #[default]
    Number,
    /// The text "00", as the document of `send_mail` prints it.
    Text,
}

/// One version of everything declared.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Grows with every change.
    pub version: i64,
    /// The settings.
    pub settings: Settings,
    apps: HashMap<String, Arc<App>>,
    channels: Vec<Arc<Channel>>,
    providers: Vec<Arc<Provider>>,
    templates: HashMap<String, Arc<Template>>,
}

impl Setup {
    /// A snapshot. Channels and providers are kept in the order of their codes.
    pub fn new(
        version: i64,
        settings: Settings,
        apps: Vec<App>,
        mut channels: Vec<Channel>,
        mut providers: Vec<Provider>,
    ) -> Self {
        channels.sort_by(|a, b| a.code.cmp(&b.code));
        providers.sort_by(|a, b| a.code.cmp(&b.code));
        Self {
            version,
            settings,
            apps: apps.into_iter().map(|app| (app.code.clone(), Arc::new(app))).collect(),
            channels: channels.into_iter().map(Arc::new).collect(),
            providers: providers.into_iter().map(Arc::new).collect(),
            templates: HashMap::new(),
        }
    }

    /// With these templates.
    #[must_use]
    pub fn with_templates(mut self, templates: impl IntoIterator<Item = Template>) -> Self {
        self.templates = templates.into_iter().map(|template| (template.code.clone(), Arc::new(template))).collect();
        self
    }

    /// The template with this code.
    pub fn template(&self, code: &str) -> Option<&Arc<Template>> {
        self.templates.get(code)
    }

    /// The app with this code, where it may call: one that is disabled is as unknown as one that there is not.
    pub fn app(&self, code: &str) -> Option<&Arc<App>> {
        self.apps.get(code).filter(|app| app.enabled)
    }

    /// The app with this code, disabled or not: for whoever looks after what it has sent.
    pub fn app_declared(&self, code: &str) -> Option<&Arc<App>> {
        self.apps.get(code)
    }

    /// The app with this number, disabled or not: what it has sent stays its own.
    pub fn app_by_no(&self, no: AppNo) -> Option<&Arc<App>> {
        self.apps.values().find(|app| app.no == no)
    }

    /// Every channel.
    pub fn channels(&self) -> &[Arc<Channel>] {
        &self.channels
    }

    /// The channel with this number.
    pub fn channel(&self, no: ChannelNo) -> Option<&Arc<Channel>> {
        self.channels.iter().find(|channel| channel.no == no)
    }

    /// The channel that a dialect means by a kind: the default one, else the only enabled one, else the lowest code (design 9).
    pub fn channel_of_kind(&self, kind: ChannelKind) -> Option<&Arc<Channel>> {
        let of_kind = || self.channels.iter().filter(move |channel| channel.kind == kind);
        of_kind()
            .find(|channel| channel.default)
            .or_else(|| of_kind().find(|channel| channel.enabled))
            .or_else(|| of_kind().next())
    }

    /// How many recipients of `channel` one call may carry, by whichever of its providers.
    pub fn call_recipients_max(&self, channel: &Channel) -> usize {
        let providers =
            channel.providers.iter().filter_map(|no| self.provider(*no)).filter(|provider| provider.enabled);
        let max = providers.map(|provider| provider.kind.call_recipients_max()).min();
        max.unwrap_or(limits::PAGE_RECIPIENTS_MAX)
    }

    /// Every provider.
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// The provider with this number.
    pub fn provider(&self, no: ProviderNo) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.no == no)
    }
}

/// The newest version of the setup that this node has read.
#[derive(Debug, Default)]
pub struct CurrentSetup(RwLock<Arc<Setup>>);

impl CurrentSetup {
    /// Starts with `setup`.
    pub fn new(setup: Setup) -> Self {
        Self(RwLock::new(Arc::new(setup)))
    }

    /// The newest version.
    pub fn get(&self) -> Arc<Setup> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it.
    pub fn set(&self, setup: Setup) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(setup);
    }
}
