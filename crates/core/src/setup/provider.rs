//! Providers: the configured senders of a deployment and the keys of each kind (design 9, `contracts/providers.md`).

use std::{collections::BTreeMap, time::Duration};

use super::{ChannelKind, ProviderNo, Secret};
use crate::{delivery::Repeat, limits};

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
    /// The in-app inbox, which is this store's own.
    Inbox,
    /// An SMTP server.
    Smtp(Box<SmtpProvider>),
    /// Sends nothing and tells a test's server what would have been sent.
    Test(TestProvider),
    /// An app of WeCom.
    Wecom(WecomProvider),
    /// A WeChat official account.
    Wechat(WechatProvider),
    /// SMS of Alibaba Cloud.
    Aliyun(AliyunProvider),
    /// SMS of Tencent Cloud.
    Tencent(TencentProvider),
    /// Voice calls of Tencent Cloud.
    TencentVoice(TencentVoiceProvider),
}

impl ProviderKind {
    /// The From header of mails that name none, `Name <address>` or `address`; empty where it sends no mail.
    pub fn sender(&self) -> &str {
        match self {
            Self::Capture(keys) => &keys.sender,
            Self::Smtp(keys) => &keys.sender,
            Self::Test(keys) => &keys.sender,
            Self::Inbox
            | Self::Wecom(_)
            | Self::Wechat(_)
            | Self::Aliyun(_)
            | Self::Tencent(_)
            | Self::TencentVoice(_) => "",
        }
    }

    /// How many recipients one call may carry (`contracts/providers.md` 1.2, 2, 3.1, 3.2, 9.3).
    pub const fn call_recipients_max(&self) -> usize {
        match self {
            Self::Capture(_) | Self::Inbox | Self::Smtp(_) | Self::Test(_) | Self::Wecom(_) => {
                limits::PAGE_RECIPIENTS_MAX
            }
            Self::Tencent(_) => 200,
            // Each number is a call of its own: a call for many has one verdict for all of them.
            Self::Wechat(_) | Self::Aliyun(_) | Self::TencentVoice(_) => 1,
        }
    }

    /// Whether channels of `kind` may use it.
    pub const fn serves(&self, kind: ChannelKind) -> bool {
        match self {
            Self::Capture(_) | Self::Test(_) => true,
            Self::Inbox => matches!(kind, ChannelKind::Inbox),
            Self::Smtp(_) => matches!(kind, ChannelKind::Mail),
            Self::Wecom(_) => matches!(kind, ChannelKind::Wecom),
            Self::Wechat(_) => matches!(kind, ChannelKind::Wechat),
            Self::Aliyun(_) | Self::Tencent(_) => matches!(kind, ChannelKind::Sms),
            Self::TencentVoice(_) => matches!(kind, ChannelKind::Voice),
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

/// The keys of a WeCom app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WecomProvider {
    /// The corporation.
    pub corp_id: String,
    /// The app's secret.
    pub corp_secret: Secret,
    /// The app's number.
    pub agent_id: i64,
    /// For how long WeCom drops a message that is the same as one before; absent: it does not, and what may have been sent is
    /// never sent again.
    pub duplicate_check: Option<Duration>,
    /// Where its API is, without a slash at the end.
    pub base_url: String,
}

/// The keys of a WeChat official account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WechatProvider {
    /// The account.
    pub app_id: String,
    /// Its secret.
    pub app_secret: Secret,
    /// The template of every notice.
    pub template: String,
    /// Which of the template's fields hold which part of a notice.
    pub fields: NoticeFields,
    /// Where its API is, without a slash at the end.
    pub base_url: String,
    /// By what its calls are known; absent: it makes none.
    pub callback: Option<WechatCallback>,
}

/// By what the calls of a WeChat official account are known (`contracts/providers.md` 1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WechatCallback {
    /// The part of its calls' path that nobody can guess.
    pub secret: Secret,
    /// Signs every call.
    pub token: Secret,
    /// The EncodingAESKey, 43 characters; absent: calls are not encrypted.
    pub aes_key: Option<Secret>,
}

/// The fields of an official account's template that hold the parts of a notice; an empty name leaves that part out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeFields {
    /// The heading.
    pub heading: String,
    /// The text.
    pub message: String,
    /// The date.
    pub date: String,
    /// The tail.
    pub remark: String,
}

impl Default for NoticeFields {
    /// Those of the reference (`contracts/cmsi.md` 7).
    fn default() -> Self {
        let name = str::to_owned;
        Self { heading: name("first"), message: name("keyword1"), date: name("keyword2"), remark: name("remark") }
    }
}

/// A template of an SMS provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsTemplate {
    /// The provider's name for it.
    pub id: String,
    /// Its variables, in the provider's order.
    pub variables: Vec<String>,
}

/// The keys of Alibaba Cloud SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliyunProvider {
    /// The access key's id.
    pub access_key: String,
    /// The access key's secret.
    pub access_secret: Secret,
    /// The signature, without its brackets.
    pub sign: String,
    /// The template of texts that name none, whose one variable takes the whole text.
    pub template: SmsTemplate,
    /// The templates that stand for ours, by our codes.
    pub templates: BTreeMap<String, SmsTemplate>,
    /// Where its API is, without a slash at the end.
    pub base_url: String,
}

/// The keys of Tencent Cloud SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TencentProvider {
    /// The key's id.
    pub secret_id: String,
    /// The key's secret.
    pub secret_key: Secret,
    /// The SMS application.
    pub app_id: String,
    /// The region that is asked.
    pub region: String,
    /// The signature, without its brackets.
    pub sign: String,
    /// The template of texts that name none, whose one variable takes the whole text.
    pub template: SmsTemplate,
    /// The templates that stand for ours, by our codes.
    pub templates: BTreeMap<String, SmsTemplate>,
    /// Where its API is, without a slash at the end.
    pub base_url: String,
}

/// The keys of Tencent Cloud voice messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TencentVoiceProvider {
    /// The key's id.
    pub secret_id: String,
    /// The key's secret.
    pub secret_key: Secret,
    /// The voice application.
    pub app_id: String,
    /// The region that is asked.
    pub region: String,
    /// The template, whose one variable takes the whole text.
    pub template: String,
    /// How often the text is read out.
    pub play_times: u8,
    /// Where its API is, without a slash at the end.
    pub base_url: String,
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
