//! A deployment as the document's samples see it, with one channel of every kind and a small directory.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use bytes::Bytes;
use hongyan_core::{
    cap::Cap,
    content::Content,
    directory::{DirectoryChange, GroupEntry, GroupKind, UserEntry},
    id::Id,
    ports::{NoDesk, SealError, Sealer},
    setup::{
        AliyunProvider, App, AppNo, CaptureProvider, Channel, ChannelKind, ChannelNo, CurrentSetup, Provider,
        ProviderKind, ProviderNo, Secret, Settings, Setup, SmsTemplate, Template, TemplateContent, User,
    },
    store::{DeliveryRecord, MessageRecord, Messages, Rest, Store},
    time::{ManualClock, Timestamp},
};
use hongyan_intake::{Expander, Intake, IntakeDeps, IntakeMetrics, Waiting, wire::ClientAddress};
use hongyan_push::Push;
use hongyan_store_sqlite::{Options, open};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

/// 2026-11-22 16:23:31 in Shanghai.
pub const CLOCK: Timestamp = Timestamp::from_ms(1_795_335_811_000);
/// The app of the document's samples, whose code alone speaks for it.
pub const APP: &str = "102343444";
pub const CHANNEL: &str = "/api/openApi/message/push/channel";
pub const TEMPLATE: &str = "/api/openApi/message/push/template";

/// What a test may change before the world begins.
pub struct Plan {
    pub settings: Settings,
    pub apps: Vec<App>,
    pub channels: Vec<Channel>,
    pub providers: Vec<Provider>,
    pub templates: Vec<Template>,
    /// What the clock says.
    pub now: Timestamp,
}

/// A dialect on a store of its own.
pub struct World {
    pub push: Push,
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub setup: Arc<CurrentSetup>,
    _dir: tempfile::TempDir,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {:?}", self.bytes))
    }

    pub fn code(&self) -> u64 {
        self.json()["code"].as_u64().unwrap_or_else(|| panic!("no code: {:?}", self.bytes))
    }

    pub fn msg(&self) -> String {
        self.json()["msg"].as_str().unwrap_or_else(|| panic!("no msg: {:?}", self.bytes)).to_owned()
    }

    /// The id of an accepted message.
    pub fn id(&self) -> Id {
        let json = self.json();
        assert_eq!((&json["code"], &json["msg"]), (&json!(200), &json!("操作成功")), "{json}");
        json["msgId"].as_str().and_then(|id| Id::from_i64(id.parse().ok()?)).expect("an id")
    }
}

/// What the store has of a message.
pub struct Stored {
    pub record: MessageRecord,
    pub content: Arc<Content>,
    pub rest: Option<Rest>,
}

impl Stored {
    /// What it says on a channel.
    pub fn on(&self, channel: u32) -> Content {
        (*self.content.on(ChannelNo(channel)).expect("says something there")).clone()
    }

    /// Channel, recipient, address (or why not) of each delivery.
    pub fn rows(&self) -> Vec<(u32, &str, String)> {
        let row = |delivery: &DeliveryRecord| {
            let skipped = delivery.track.reason.map(|reason| format!("{reason:?}"));
            delivery.address.clone().is_empty().then_some(skipped).flatten().unwrap_or(delivery.address.clone())
        };
        self.record.deliveries.iter().map(|one| (one.channel.0, one.recipient.as_str(), row(one))).collect()
    }
}

struct NoSecrets;

impl Sealer for NoSecrets {
    fn seal(&self, _: &str, _: &Secret) -> Result<String, SealError> {
        unreachable!("nothing is secret here")
    }

    fn open(&self, _: &str, _: &str) -> Result<Secret, SealError> {
        unreachable!("nothing is secret here")
    }
}

pub fn app(no: u32, code: &str) -> App {
    App {
        no: AppNo(no),
        code: code.to_owned(),
        name: String::new(),
        enabled: true,
        secrets: vec![Secret::new("topsecret")],
        trusted: false,
        channels: vec![],
        senders: vec![],
        components: vec![],
        ips: vec![],
        rate: None,
        broadcast: false,
        require_signature: false,
        receivers_max: None,
        hook: None,
    }
}

fn apps() -> Vec<App> {
    vec![
        App { broadcast: true, ..app(1, APP) },
        App {
            require_signature: true,
            secrets: vec![Secret::new("newest"), Secret::new("topsecret")],
            ..app(2, "signed")
        },
        App { channels: vec!["1003".into()], receivers_max: Some(3), ..app(3, "limited") },
        App { ips: vec!["10.0.0.0/8".parse().expect("a network")], ..app(4, "walled") },
        App { rate: Some(Cap { most: 2, span: Duration::from_secs(60) }), ..app(5, "slow") },
        App { enabled: false, ..app(90, "retired") },
    ]
}

fn channels() -> Vec<Channel> {
    let channel = |no: u32, code: &str, kind, provider: u32| Channel {
        no: ChannelNo(no),
        code: code.to_owned(),
        kind,
        providers: vec![ProviderNo(provider)],
        enabled: true,
        paused: false,
        default: false,
    };
    vec![
        channel(11, "1001", ChannelKind::Sms, 1),
        channel(12, "1002", ChannelKind::Inbox, 1),
        channel(13, "1003", ChannelKind::Mail, 1),
        channel(14, "wecom", ChannelKind::Wecom, 1),
        channel(15, "wechat", ChannelKind::Wechat, 1),
        channel(16, "voice", ChannelKind::Voice, 1),
        channel(17, "robot", ChannelKind::Robot, 1),
        channel(18, "webhook", ChannelKind::Webhook, 1),
        Channel { enabled: false, ..channel(19, "off", ChannelKind::Mail, 1) },
        channel(20, "aliyun", ChannelKind::Sms, 2),
    ]
}

fn providers() -> Vec<Provider> {
    let provider = |no, code: &str, kind| Provider {
        no: ProviderNo(no),
        code: code.to_owned(),
        enabled: true,
        rate: None,
        max_in_flight: 1,
        kind,
    };
    let template = |id: &str, variables: &[&str]| SmsTemplate {
        id: id.to_owned(),
        variables: variables.iter().map(|name| (*name).to_owned()).collect(),
    };
    let aliyun = AliyunProvider {
        access_key: "k".into(),
        access_secret: Secret::new("s"),
        sign: "东华医为".into(),
        template: template("SMS_0", &["content"]),
        templates: [("T100101".to_owned(), template("SMS_1", &["code", "time"]))].into(),
        base_url: "http://127.0.0.1:1".into(),
    };
    vec![
        provider(1, "capture", ProviderKind::Capture(CaptureProvider { sender: "notice@example.com".into() })),
        provider(2, "aliyun", ProviderKind::Aliyun(aliyun)),
    ]
}

fn templates() -> Vec<Template> {
    let content = |title: &str, content: &str| TemplateContent {
        title: title.to_owned(),
        content: content.to_owned(),
        ..TemplateContent::default()
    };
    let template = |code: &str, version, contents: &[(&str, TemplateContent)]| Template {
        code: code.to_owned(),
        version,
        name: code.to_owned(),
        enabled: true,
        kind: String::new(),
        contents: contents
            .iter()
            .map(|(code, content)| ((*code).to_owned(), content.clone()))
            .collect::<BTreeMap<_, _>>(),
    };
    let sms = TemplateContent {
        sms_template: "SMS_9".into(),
        sms_variables: vec!["name".into(), "code".into()],
        ..content("", "${name}: ${code}")
    };
    vec![
        template(
            "MSG1001",
            7,
            &[
                ("1001", sms),
                (
                    "1002",
                    TemplateContent { website: "/r/${code}".into(), ..content("${name}", "<p>${name} ${code}</p>") },
                ),
                ("1003", content("Result for ${name}", "<p>${code}</p>")),
            ],
        ),
        Template { kind: "reminder".into(), ..template("MSG2", 1, &[("1003", content("Hello", "Hello"))]) },
        Template { enabled: false, ..template("OFF", 1, &[("1003", content("", "x"))]) },
        template("LOST", 1, &[("gone", content("", "x"))]),
        template("SHUT", 1, &[("off", content("", "x"))]),
        template("BARE", 1, &[]),
    ]
}

fn directory() -> DirectoryChange {
    let group = |kind, code: &str, parent: &str| GroupEntry {
        kind,
        code: code.to_owned(),
        name: code.to_owned(),
        parent: parent.to_owned(),
    };
    let user = |n: u32, departments: &[&str], posts: &[&str], roles: &[&str]| {
        let texts = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        UserEntry {
            user: User {
                code: format!("USER00{n}"),
                name: format!("User {n}"),
                email: format!("user{n}@example.com"),
                phone: format!("+861380000000{n}"),
                wecom: format!("wx{n}"),
                openid: format!("o_{n}"),
                enabled: true,
            },
            departments: texts(departments),
            posts: texts(posts),
            roles: texts(roles),
        }
    };
    let mut bare = user(3, &[], &["POST001"], &[]);
    bare.user = User { code: "USER003".into(), enabled: true, ..User::default() };
    let mut gone = user(9, &["DEPT001"], &[], &[]);
    gone.user.enabled = false;
    DirectoryChange {
        groups: vec![
            group(GroupKind::Department, "DEPT001", ""),
            group(GroupKind::Department, "DEPT0011", "DEPT001"),
            group(GroupKind::Department, "DEPT002", ""),
            group(GroupKind::Department, "EMPTY", ""),
            group(GroupKind::Post, "POST001", ""),
            group(GroupKind::Post, "POST002", ""),
            group(GroupKind::Role, "ROLE001", ""),
            group(GroupKind::Role, "ROLE002", ""),
        ],
        users: vec![
            user(1, &["DEPT001"], &["POST001"], &["ROLE001"]),
            user(2, &["DEPT002"], &["POST002"], &["ROLE002"]),
            bare,
            user(4, &["DEPT0011"], &[], &[]),
            gone,
        ],
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = Plan {
            settings: Settings::default(),
            apps: apps(),
            channels: channels(),
            providers: providers(),
            templates: templates(),
            now: CLOCK,
        };
        change(&mut plan);
        let setup =
            Setup::new(1, plan.settings, plan.apps, plan.channels, plan.providers).with_templates(plan.templates);
        let setup = Arc::new(CurrentSetup::new(setup));
        let clock = Arc::new(ManualClock::at(plan.now));
        let dir = tempfile::tempdir().expect("a directory");
        let store: Arc<dyn Store> =
            open(dir.path().join("hongyan.db"), Options::default()).await.expect("a store opens");
        let waiting = Arc::new(Waiting::default());
        store.attach(Arc::new(NoDesk), Arc::clone(&waiting) as _);
        let report = store.directory_change(directory(), false, CLOCK).await.expect("the store is there");
        assert_eq!(report.faults, vec![]);
        let deps = IntakeDeps {
            store: Arc::clone(&store),
            ids: store.ids(),
            clock: Arc::clone(&clock) as _,
            setup: Arc::clone(&setup),
            waiting,
            metrics: IntakeMetrics::register(&mut Registry::default()),
            sealer: Arc::new(NoSecrets),
        };
        let expander =
            Expander::new(Arc::clone(&deps.store), Arc::clone(&deps.ids), Arc::clone(&deps.clock), Arc::clone(&setup));
        let intake = Arc::new(Intake::new(deps, Arc::new(expander)));
        let push = Push::new(intake, Arc::clone(&store) as Arc<dyn Messages>);
        Self { push, store, clock, setup, _dir: dir }
    }

    /// Any request, from 192.0.2.7.
    pub async fn request(&self, request: Request<Body>) -> Reply {
        self.request_from("192.0.2.7", request).await
    }

    pub async fn request_from(&self, client: &str, mut request: Request<Body>) -> Reply {
        let client: IpAddr = client.parse().expect("an address");
        request.extensions_mut().insert(ClientAddress(client));
        let response = self.push.handle(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a body in memory").to_bytes();
        Reply { status, headers, bytes }
    }

    /// A body to a path, with headers.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(body.into()).expect("a request")).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with(path, &[], body.to_string()).await
    }

    /// A right message with `changes` put over it ([`over`]).
    pub async fn send(&self, changes: Value) -> Reply {
        self.post(CHANNEL, &over(message(), changes)).await
    }

    /// A right message from the template, likewise.
    pub async fn fill(&self, changes: Value) -> Reply {
        self.post(TEMPLATE, &over(from_template(), changes)).await
    }

    /// What the store has of an accepted message.
    pub async fn stored(&self, reply: &Reply) -> Stored {
        let id = reply.id();
        let record = self.store.message_read(id).await.expect("the store is there").expect("is stored");
        let mut cargo = self.store.cargo_read(vec![id]).await.expect("the store is there");
        let content = cargo.pop().expect("is stored").1.content;
        let open = self.store.expansions(None, 10_000, Timestamp::MAX).await.expect("the store is there");
        let rest = open.into_iter().find(|open| open.message.id == id).map(|open| open.rest);
        Stored { record, content, rest }
    }

    /// Asserts that nothing was ever accepted.
    pub async fn assert_nothing(&self) {
        let open = self.store.expansions(None, 10, Timestamp::MAX).await.expect("the store is there");
        let depths = self.store.depths().await.expect("the store is there");
        assert!(open.is_empty() && depths.iter().all(|depth| depth.ready == 0), "{open:?} {depths:?}");
    }
}

/// A mail to one person.
pub fn message() -> Value {
    json!({
        "appId": APP,
        "receiverType": "specified",
        "receiverData": {"user": ["USER001"]},
        "channelData": {"1003": {"title": "t", "content": "c"}},
    })
}

/// The same from a template of three channels.
pub fn from_template() -> Value {
    json!({
        "appId": APP,
        "receiverType": "specified",
        "receiverData": {"user": ["USER001"]},
        "templateCode": "MSG1001",
        "channelParamData": {"code": "Meidcal1001", "name": "患者001"},
    })
}

/// `body` with `changes` put over it; what is the text `<absent>` is taken out.
pub fn over(mut body: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        if value == "<absent>" {
            body.as_object_mut().expect("an object").remove(&name);
        } else {
            body[name] = value;
        }
    }
    body
}

/// A value of each type of JSON.
pub fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1.5),
        json!(""),
        json!(" "),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"a": 1}),
    ]
}
