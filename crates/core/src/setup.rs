//! What a deployment declares: apps, channels, providers, people and settings, as the running program sees them. The plan
//! file and the stored form belong to the binary; here they are plain values. A [`Setup`] is a snapshot that never changes;
//! a newer version replaces it whole in [`CurrentSetup`].

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use crate::{delivery::Repeat, limits};

/// An app's number in the store. It never changes and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppNo(pub u32);

/// A channel's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelNo(pub u32);

/// A provider's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderNo(pub u32);

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
    /// Its secrets, all valid; more than one while they rotate.
    pub secrets: Vec<Secret>,
    /// Whether it may speak for any user without that user's token.
    pub trusted: bool,
    /// The codes of the channels it may use; empty: all.
    pub channels: Vec<String>,
    /// The mail senders it may name, lower case; empty: any.
    pub senders: Vec<String>,
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

/// A configured sender.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Its number.
    pub no: ProviderNo,
    /// Its code.
    pub code: String,
    /// Whether it is used.
    pub enabled: bool,
    /// Calls per second, across all nodes; absent: no limit of our own.
    pub rate: Option<f64>,
    /// Calls in flight at a time.
    pub max_in_flight: u32,
    /// What it is, with its own keys.
    pub kind: ProviderKind,
}

/// What a provider is.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderKind {
    /// Takes everything, sends nothing and keeps what would have been sent.
    Capture(CaptureProvider),
    /// An SMTP server.
    Smtp(Box<SmtpProvider>),
    /// Sends nothing and tells a test's server what would have been sent.
    Test(TestProvider),
}

impl ProviderKind {
    /// The From header of mails that name none, `Name <address>` or `address`.
    pub fn sender(&self) -> &str {
        match self {
            Self::Capture(keys) => &keys.sender,
            Self::Smtp(keys) => &keys.sender,
            Self::Test(keys) => &keys.sender,
        }
    }
}

/// The keys of a capture provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureProvider {
    /// The From address of mails that name none.
    pub sender: String,
}

/// The keys of an SMTP provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpProvider {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Transport security.
    pub tls: Tls,
    /// User for AUTH; empty: no AUTH.
    pub user: String,
    /// Password for AUTH.
    pub password: Secret,
    /// The name in EHLO; empty: the machine's address as a literal.
    pub helo: String,
    /// The From header of mails that name none, `Name <address>` or `address`.
    pub sender: String,
    /// The envelope sender; empty: the address of the From header.
    pub bounce: String,
    /// A file of CA certificates (PEM) to trust beside the system's; empty: none.
    pub ca_file: String,
    /// DKIM signing, where a key is configured.
    pub dkim: Option<Dkim>,
    /// Messages per connection.
    pub connection_messages: u32,
    /// Age at which a connection is closed.
    pub connection_age: Duration,
    /// Idle time after which a connection is closed.
    pub connection_idle: Duration,
}

/// The keys of a test provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestProvider {
    /// The From address of mails that name none.
    pub sender: String,
    /// The test's server, plain HTTP; empty: deliveries are only counted.
    pub url: String,
    /// What it promises about repeating.
    pub repeat: Repeat,
    /// How long an answer is held back.
    pub delay: Duration,
}

/// Transport security of an SMTP provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain text.
    None,
    /// STARTTLS where the server offers it; certificates are checked only where a user is set, before it logs in.
    StartTls,
    /// STARTTLS with a checked certificate, or nothing is sent.
    Required,
    /// TLS from the first byte, with a checked certificate.
    Implicit,
}

/// A DKIM key (RFC 6376, RFC 8463).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dkim {
    /// The signing domain, `d=`.
    pub domain: String,
    /// The selector, `s=`.
    pub selector: String,
    /// The private key: PEM (PKCS#8) of an RSA or Ed25519 key.
    pub key: Secret,
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
    /// How long history is kept.
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cmsi_wait: Duration::from_secs(8),
            cmsi_mail_success_code: MailSuccessCode::Number,
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
        }
    }

    /// The app with this code.
    pub fn app(&self, code: &str) -> Option<&Arc<App>> {
        self.apps.get(code)
    }

    /// The app with this number.
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
