//! A deployment with the three channels, an administrator `admin`/`123`, the document's user and a directory of four.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use bytes::Bytes;
use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, Profile, Role},
    id::IdSource,
    ports::{NoDesk, SealError, Sealer},
    setup::{
        CaptureProvider, Channel, ChannelKind, ChannelNo, CurrentSetup, Provider, ProviderKind, ProviderNo, Secret,
        Settings, Setup, User,
    },
    store::{Accounts, Store, Upkeep},
    time::{ManualClock, Timestamp},
};
use hongyan_imsg::{Imsg, ImsgDeps};
use hongyan_intake::{
    AccountBook, Expander, Intake, IntakeDeps, IntakeMetrics, Passwords, Waiting, wire::ClientAddress,
};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::store::FakeStore;

/// 2026-11-22 16:23:31 in Shanghai.
pub const CLOCK: Timestamp = Timestamp::from_ms(1_795_335_811_000);
pub const USER: &str = "天存-system-1001";
pub const ACCOUNT: ProviderNo = ProviderNo(1);

/// What a test may change before the world begins.
pub struct Plan {
    pub settings: Settings,
    pub channels: Vec<Channel>,
    pub providers: Vec<Provider>,
}

/// A dialect on a store of its own.
pub struct World {
    pub imsg: Imsg,
    pub store: Arc<FakeStore>,
    pub clock: Arc<ManualClock>,
    /// Of the document's user.
    pub token: String,
    /// Of the administrator.
    pub admin: String,
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

    pub fn code(&self) -> i64 {
        self.json()["errorCode"].as_i64().unwrap_or_else(|| panic!("no code: {:?}", self.bytes))
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

fn channel(no: u32, kind: ChannelKind) -> Channel {
    Channel {
        no: ChannelNo(no),
        code: kind.as_str().to_owned(),
        kind,
        providers: vec![ACCOUNT],
        enabled: true,
        paused: false,
        default: false,
    }
}

pub fn provider(no: ProviderNo) -> Provider {
    Provider {
        no,
        code: format!("capture{}", no.0),
        enabled: true,
        rate: None,
        max_in_flight: 1,
        kind: ProviderKind::Capture(CaptureProvider { sender: "notice@example.com".into() }),
    }
}

fn people() -> Vec<User> {
    let person = |code: &str, email: &str, phone: &str, openid: &str, enabled| User {
        code: code.into(),
        email: email.into(),
        phone: phone.into(),
        openid: openid.into(),
        enabled,
        ..User::default()
    };
    vec![
        person("zhang", "zhang@163.com", "+8613800000007", "o_zhang", true),
        person("olivia", "olivia@163.com", "", "o_olivia", true),
        person("mailonly", "m@163.com", "", "", true),
        person("gone", "gone@163.com", "+8613800000008", "o_gone", false),
    ]
}

/// The hash of `123456` and of `123`, made once for all worlds.
async fn hashes() -> &'static [String; 2] {
    static HASHES: OnceCell<[String; 2]> = OnceCell::const_new();
    let make = async || {
        let passwords = Passwords::new();
        let hash = async |password| passwords.hash(password).await.expect("hashed");
        [hash("123456").await, hash("123").await]
    };
    HASHES.get_or_init(make).await
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let kinds = [ChannelKind::Mail, ChannelKind::Sms, ChannelKind::Wechat];
        let mut plan = Plan {
            settings: Settings::default(),
            channels: (1..).zip(kinds).map(|(no, kind)| channel(no, kind)).collect(),
            providers: vec![provider(ACCOUNT)],
        };
        change(&mut plan);
        let setup = Setup::new(1, plan.settings, vec![], plan.channels, plan.providers);
        let setup = Arc::new(CurrentSetup::new(setup));
        let clock = Arc::new(ManualClock::at(CLOCK));
        let store = Arc::new(FakeStore::new(people(), Arc::clone(&clock)));
        let waiting = Arc::new(Waiting::default());
        store.attach(Arc::new(NoDesk), Arc::clone(&waiting) as _);
        let deps = IntakeDeps {
            store: Arc::clone(&store) as Arc<dyn Store>,
            ids: Arc::new(IdSource::new(1, None)),
            clock: Arc::clone(&clock) as _,
            setup: Arc::clone(&setup),
            waiting,
            metrics: IntakeMetrics::register(&mut Registry::default()),
            sealer: Arc::new(NoSecrets),
        };
        let expander = Expander::new(Arc::clone(&deps.store), Arc::clone(&deps.ids), Arc::clone(&deps.clock), setup);
        let intake = Arc::new(Intake::new(deps, Arc::new(expander)));
        let book = Arc::new(AccountBook::new(Arc::clone(&store) as _));
        let [user, admin] = hashes().await;
        account(&store, USER, user, Role::User).await;
        account(&store, "admin", admin, Role::Admin).await;
        let imsg = Imsg::new(ImsgDeps { intake, book });
        let mut world = Self { imsg, store, clock, token: String::new(), admin: String::new() };
        (world.token, world.admin) = (world.grant(USER, 'u').await, world.grant("admin", 'a').await);
        world
    }

    /// A token of 43 times this letter for an account, as a login would give one.
    pub async fn grant(&self, name: &str, letter: char) -> String {
        let token = letter.to_string().repeat(43);
        let account = self.account(name).await;
        let hash = digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("32 bytes");
        let expires = CLOCK + Duration::from_secs(3_000);
        let kept = self.store.account_token_add(name.to_owned(), account.profile.password, hash, expires).await;
        assert_eq!(kept, Ok(true));
        token
    }

    pub async fn account(&self, name: &str) -> Account {
        self.store.account_find(name.to_owned()).await.expect("the store is there").expect("there is one")
    }

    pub async fn change(&self, name: &str, change: AccountChange) {
        self.store.account_change(name.to_owned(), change).await.expect("the store is there").expect("there is one");
    }

    /// Any request, from 192.0.2.7.
    pub async fn request(&self, request: Request<Body>) -> Reply {
        self.request_from("192.0.2.7", request).await
    }

    pub async fn request_from(&self, client: &str, mut request: Request<Body>) -> Reply {
        let client: IpAddr = client.parse().expect("an address");
        request.extensions_mut().insert(ClientAddress(client));
        let response = self.imsg.handle(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a body in memory").to_bytes();
        Reply { status, headers, bytes }
    }

    /// A body to a call, with headers.
    pub async fn post_with(&self, call: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::post(format!("/api/{call}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(body.into()).expect("a request")).await
    }

    pub async fn post(&self, call: &str, body: &Value) -> Reply {
        self.post_with(call, &[], body.to_string()).await
    }

    /// A right mail of the user, with `changes` put over it; what is absent in the end is sent as `null` is not.
    pub async fn send(&self, changes: Value) -> Reply {
        self.post("send", &self.mail(changes)).await
    }

    pub fn mail(&self, changes: Value) -> Value {
        let content = json!({"subject": "hello", "text": "您好"});
        over(json!({"token": self.token, "to": "zhang@163.com", "method": "smtp", "content": content}), changes)
    }

    /// What an administrator, or by `token` somebody else, is shown for a query.
    pub async fn query(&self, token: &str, query: &str) -> Reply {
        let request = Request::get(format!("/api/query?{query}")).header("token", token);
        self.request(request.body(Body::empty()).expect("a request")).await
    }
}

async fn account(store: &FakeStore, name: &str, hash: &str, role: Role) {
    let profile = Profile {
        password: hash.to_owned(),
        role,
        per_hour: 5,
        per_day: 20,
        available: true,
        enabled: true,
        contacts: Default::default(),
    };
    let added = store.account_add(name.to_owned(), profile, CLOCK).await;
    assert!(matches!(added, Ok(AccountAdded::Yes(_))));
}

/// `body` with `changes` put over it.
pub fn over(mut body: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        body[name] = value;
    }
    body
}

/// `body` without a member.
pub fn without(mut body: Value, name: &str) -> Value {
    body.as_object_mut().expect("an object").remove(name).expect("is there");
    body
}
