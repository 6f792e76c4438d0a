//! The senders: how a parcel leaves the house. [`open`] turns a declared provider into a [`Channel`]; everything else is behind
//! that port. No sender limits or records, and what one repeats by itself was certainly not taken: it answers with one verdict per
//! recipient, and the dispatcher does the rest.
//!
//! | module | what it does |
//! |---|---|
//! | [`mail`] | content to message bytes: pure, and the same bytes for the same parcel every time |
//! | [`dkim`] | signs those bytes |
//! | [`smtp`] | hands them to an SMTP server: sessions, their pool, and what each reply means |
//! | [`capture`] | keeps them instead of sending them |
//! | [`inbox`] | puts them into the inboxes of their readers |
//! | [`aliyun`] | SMS of Alibaba Cloud |
//! | [`tencent`] | SMS and voice of Tencent Cloud |
//! | [`wecom`] | texts of a WeCom app |
//! | [`wechat`] | template messages of an official account |
//! | [`token`] | the access tokens of those two, one for all nodes |
//! | [`http`] | the HTTP client of the senders that have one, and what an answer leaves certain |
//! | [`test`] | sends nothing, and tells a test's server what would have been sent |

use std::sync::Arc;

use hongyan_core::{
    channel::Channel,
    id::IdSource,
    ports::Sealer,
    setup::{Provider, ProviderKind},
    store::{AccessTokens, Captures, Inboxes},
    time::Clock,
};

use tokio::sync::Notify;

pub mod aliyun;
pub mod capture;
mod cloud;
pub mod dkim;
mod error;
pub mod http;
pub mod inbox;
pub mod mail;
pub mod smtp;
pub mod tencent;
pub mod test;
pub mod token;
pub mod wechat;
pub mod wecom;
mod weixin;

pub use aliyun::Aliyun;
pub use capture::Capture;
pub use error::OpenError;
pub use inbox::Inbox;
pub use smtp::{Smtp, Timeouts};
pub use tencent::{TencentSms, TencentVoice};
pub use test::Test;
pub use wechat::Wechat;
pub use wecom::Wecom;

/// What senders need of the node they run in.
#[derive(Clone)]
pub struct Deps {
    /// Where a capture provider keeps what it is given.
    pub captures: Arc<dyn Captures>,
    /// The ids of captures.
    pub ids: Arc<IdSource>,
    /// Where the items of the inbox are kept.
    pub inboxes: Arc<dyn Inboxes>,
    /// Told after items were put there: readers of this node are shown them at once.
    pub news: Arc<Notify>,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// Where the access tokens of all nodes are.
    pub tokens: Arc<dyn AccessTokens>,
    /// Seals them, and opens the secrets that messages carry.
    pub sealer: Arc<dyn Sealer>,
}

/// The sender that `provider` declares. Opening makes no connection.
///
/// # Errors
/// What is wrong with the declaration, naming the key.
pub fn open(provider: &Provider, deps: &Deps) -> Result<Arc<dyn Channel>, OpenError> {
    match &provider.kind {
        ProviderKind::Capture(keys) => {
            let Deps { captures, ids, clock, .. } = deps.clone();
            Ok(Arc::new(Capture::new(&provider.code, keys, captures, ids, clock)?))
        }
        ProviderKind::Inbox => {
            let Deps { inboxes, news, clock, .. } = deps.clone();
            Ok(Arc::new(Inbox::new(inboxes, news, clock)))
        }
        ProviderKind::Smtp(keys) => Ok(Arc::new(Smtp::new(keys, Timeouts::default(), Arc::clone(&deps.clock))?)),
        ProviderKind::Aliyun(keys) => {
            Ok(Arc::new(Aliyun::new(keys, http::Limits::default(), Arc::clone(&deps.clock))?))
        }
        ProviderKind::Tencent(keys) => {
            Ok(Arc::new(TencentSms::new(keys, http::Limits::default(), Arc::clone(&deps.clock))?))
        }
        ProviderKind::TencentVoice(keys) => {
            Ok(Arc::new(TencentVoice::new(keys, http::Limits::default(), Arc::clone(&deps.clock))?))
        }
        ProviderKind::Wecom(keys) => {
            let Deps { tokens, sealer, clock, .. } = deps.clone();
            Ok(Arc::new(Wecom::new(keys, http::Limits::default(), tokens, sealer, clock)?))
        }
        ProviderKind::Wechat(keys) => {
            let Deps { tokens, sealer, clock, .. } = deps.clone();
            Ok(Arc::new(Wechat::new(keys, http::Limits::default(), tokens, sealer, clock)?))
        }
        ProviderKind::Test(keys) => Ok(Arc::new(Test::new(keys, provider.max_in_flight, test::REQUEST_LIMIT)?)),
    }
}
