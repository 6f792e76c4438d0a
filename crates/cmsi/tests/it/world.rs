//! The world behind the observed cases: two apps, six people, a mail channel and a WeCom channel, and where a case needs them
//! those of the other kinds.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bytes::Bytes;
use hongyan_cmsi::Cmsi;
use hongyan_core::{
    id::IdSource,
    ports::{NoDesk, SealError, Sealer},
    setup::{
        App, AppNo, CaptureProvider, Channel, ChannelKind, ChannelNo, CurrentSetup, Provider, ProviderKind, ProviderNo,
        Secret, Settings, Setup, User,
    },
    store::{Store, Upkeep},
    time::{ManualClock, Timestamp},
};
use hongyan_intake::{Expander, Intake, IntakeDeps, IntakeMetrics, Waiting};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::store::FakeStore;

/// The moment at which the cases were observed.
pub const CLOCK: i64 = 1_795_335_811;

/// What a test may change before the world begins.
pub struct Plan {
    pub settings: Settings,
    pub apps: Vec<App>,
    pub channels: Vec<Channel>,
}

impl Plan {
    /// Declares a channel of `kind`.
    pub fn add(&mut self, kind: ChannelKind) -> &mut Channel {
        let no = self.channels.iter().map(|channel| channel.no.0).max().unwrap_or(0) + 1;
        self.channels.push(channel(no, kind.as_str(), kind));
        self.channels.last_mut().expect("pushed")
    }

    /// Declares the kinds that the observed cases rarely need.
    pub fn add_all(&mut self) {
        for kind in [ChannelKind::Sms, ChannelKind::Voice, ChannelKind::Wechat] {
            self.add(kind);
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            apps: vec![app(1, true), app(2, false)],
            channels: vec![channel(1, "1003", ChannelKind::Mail), channel(2, "1005", ChannelKind::Wecom)],
        }
    }
}

fn app(no: u32, trusted: bool) -> App {
    App {
        no: AppNo(no),
        code: format!("app{no}"),
        name: String::new(),
        enabled: true,
        secrets: vec![Secret::new(format!("sec{no}"))],
        trusted,
        channels: vec![],
        senders: vec![],
        components: vec![],
        ips: vec![],
        rate: None,
        broadcast: false,
        require_signature: true,
        receivers_max: None,
        hook: None,
    }
}

fn channel(no: u32, code: &str, kind: ChannelKind) -> Channel {
    let no = ChannelNo(no);
    Channel {
        no,
        code: code.into(),
        kind,
        providers: vec![ProviderNo(1)],
        enabled: true,
        paused: false,
        default: false,
    }
}

fn people() -> Vec<User> {
    let person = |code: &str, email: &str, phone: &str, weixin: &str, enabled| User {
        code: code.into(),
        name: String::new(),
        email: email.into(),
        phone: phone.into(),
        // One field in the reference, which means one or the other by mode.
        wecom: weixin.into(),
        openid: weixin.into(),
        enabled,
    };
    vec![
        person("admin", "admin@bk.com", "+8613800000001", "wx_admin", true),
        person("yunchao", "yunchao@bk.com", "+8613800000002", "wx_yun", true),
        person("nomail", "", "", "", true),
        person("gone", "gone@bk.com", "+861", "g", false),
        person("us", "us@bk.com", "+12025550100", "us", true),
        // Reached wherever yunchao is.
        person("twin", "yunchao@bk.com", "+8613800000002", "wx_yun", true),
    ]
}

/// Seals by saying for which place.
struct Marked;

impl Sealer for Marked {
    fn seal(&self, place: &str, secret: &Secret) -> Result<String, SealError> {
        Ok(format!("{place}:{}", secret.expose()))
    }

    fn open(&self, place: &str, sealed: &str) -> Result<Secret, SealError> {
        let secret = sealed.strip_prefix(place).and_then(|rest| rest.strip_prefix(':'));
        secret.map(Secret::new).ok_or_else(|| SealError("another place".into()))
    }
}

/// A dialect on a store of its own.
pub struct World {
    pub cmsi: Cmsi,
    pub store: Arc<FakeStore>,
    pub clock: Arc<ManualClock>,
    pub setup: Arc<CurrentSetup>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub content_type: String,
    pub closes: bool,
    pub bytes: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {:?}", self.bytes))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().expect("a text").to_owned()
    }

    pub fn code(&self) -> Value {
        self.json()["code"].clone()
    }

    /// `data.username_check.invalid`.
    pub fn invalid(&self) -> Value {
        self.json()["data"]["username_check"]["invalid"].clone()
    }

    /// Decision 2: exactly five keys in their order, and a request id of the documented form.
    pub fn assert_five_keys(&self) {
        let reply = self.json();
        let text = std::str::from_utf8(&self.bytes).expect("UTF-8");
        assert_eq!(self.content_type, "application/json; charset=utf-8");
        let keys: Vec<_> = reply.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["result", "code", "message", "data", "request_id"], "{text}");
        assert!(reply["result"].is_boolean() && reply["message"].is_string(), "{text}");
        let id = reply["request_id"].as_str().expect("a text");
        assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{text}");
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = Plan::default();
        change(&mut plan);
        let provider = Provider {
            no: ProviderNo(1),
            code: "capture".into(),
            enabled: true,
            rate: None,
            max_in_flight: 1,
            kind: ProviderKind::Capture(CaptureProvider { sender: "blueking@bking.com".into() }),
        };
        let setup = Setup::new(1, plan.settings, plan.apps, plan.channels, vec![provider]);
        let store = Arc::new(FakeStore::new(people()));
        let waiting = Arc::new(Waiting::default());
        store.attach(Arc::new(NoDesk), Arc::clone(&waiting) as _);
        let setup = Arc::new(CurrentSetup::new(setup));
        let clock = Arc::new(ManualClock::at(Timestamp::from_ms(CLOCK * 1_000)));
        let deps = IntakeDeps {
            store: Arc::clone(&store) as Arc<dyn Store>,
            ids: Arc::new(IdSource::new(1, None)),
            clock: Arc::clone(&clock) as _,
            setup: Arc::clone(&setup),
            waiting,
            metrics: IntakeMetrics::register(&mut Registry::default()),
            sealer: Arc::new(Marked),
        };
        let expander =
            Expander::new(Arc::clone(&deps.store), Arc::clone(&deps.ids), Arc::clone(&deps.clock), Arc::clone(&setup));
        Self { cmsi: Cmsi::new(Arc::new(Intake::new(deps, Arc::new(expander)))), store, clock, setup }
    }

    /// Any request.
    pub async fn request(&self, request: Request<Body>) -> Reply {
        let response = self.cmsi.handle(request).await;
        let header = |name| {
            let value = response.headers().get(name).map(|value| value.to_str().expect("ASCII"));
            value.unwrap_or("").to_owned()
        };
        let (content_type, closes) = (header("content-type"), header("connection") == "close");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body in memory").to_bytes();
        Reply { status, content_type, closes, bytes }
    }

    /// A JSON body to a component, with headers.
    pub async fn post_with(&self, component: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::post(format!("/api/c/compapi/cmsi/{component}/"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(body.into()).expect("a request")).await
    }

    /// A JSON body to a component.
    pub async fn post(&self, component: &str, body: &Value) -> Reply {
        self.post_with(component, &[], body.to_string()).await
    }
}

/// A right mail of app1, with `changes` put over it; a null takes a field away.
pub fn mail(changes: Value) -> Value {
    let mut body = json!({
        "bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin",
        "receiver": "a@b.com", "title": "t", "content": "c",
    });
    merge(&mut body, changes);
    body
}

/// A right `send_msg` of app1, with `changes` put over it.
pub fn msg(changes: Value) -> Value {
    let mut body = mail(json!({"receiver": null, "receiver__username": "admin,yunchao", "msg_type": "mail"}));
    merge(&mut body, changes);
    body
}

/// A right request of app1 for a component that is not a mail's.
pub fn by_app1(fields: Value) -> Value {
    let mut body = json!({"bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin"});
    merge(&mut body, fields);
    body
}

fn merge(body: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        match value {
            Value::Null => drop(body.as_object_mut().expect("an object").remove(&name)),
            value => body[name] = value,
        }
    }
}
