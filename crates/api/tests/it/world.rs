//! Inboxes in a store, with what fills them: messages that are stored, put and settled as a node does.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header::AUTHORIZATION},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hongyan_api::{Inbox, InboxPace};
use hongyan_core::{
    content::{Content, InApp},
    delivery::{Event, Policy, Repeat, State, Track},
    directory::{DirectoryChange, UserEntry},
    id::Id,
    inbox::NewItem,
    message::{Dialect, Label, Message, MessageState, Priority},
    outcome::{Outcome, Receipts},
    ports::{NoDesk, NoProgress},
    retry::{RetrySchedule, Roll},
    setup::{App, AppNo, Channel, ChannelKind, ChannelNo, CurrentSetup, Secret, Settings, Setup, User},
    store::{
        Batch, Change, Deliveries, Directory, Inboxes, Lot, Messages, NewDelivery, Page, People, Place, Rest, Store,
        Submitted, Upkeep, Way, Who,
    },
    time::Timestamp,
};
use hongyan_store_sqlite::{Options, SqliteStore, open};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tower::ServiceExt;

pub const INBOX: ChannelNo = ChannelNo(1);
/// An app that sees what it sent itself, another, and one that sees all.
pub const MINE: AppNo = AppNo(1);
pub const OTHER: AppNo = AppNo(2);
pub const TRUSTED: AppNo = AppNo(3);
/// Longer than anything here takes on a busy machine.
const PATIENT: Duration = Duration::from_secs(20);

pub struct World {
    _dir: TempDir,
    pub store: Arc<SqliteStore>,
    pub setup: Arc<CurrentSetup>,
    pub inbox: Arc<Inbox>,
    news: Arc<Notify>,
    routes: Router,
    running: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn app(no: AppNo, code: &str) -> App {
    App {
        no,
        code: code.into(),
        name: String::new(),
        enabled: true,
        secrets: vec![Secret::new(format!("{code}-secret"))],
        trusted: no == TRUSTED,
        channels: vec![],
        senders: vec![],
        components: vec![],
        ips: vec![],
        rate: None,
        broadcast: true,
        require_signature: true,
        receivers_max: None,
        hook: None,
    }
}

/// What is declared; without `MINE` where it `is_gone`.
pub fn declared(is_gone: bool) -> Setup {
    let channel = Channel {
        no: INBOX,
        code: "1002".into(),
        kind: ChannelKind::Inbox,
        providers: vec![],
        enabled: true,
        paused: false,
        default: false,
    };
    let mut apps = vec![app(MINE, "mine"), app(OTHER, "other"), app(TRUSTED, "trusted")];
    apps.retain(|app| !is_gone || app.no != MINE);
    Setup::new(1, Settings::default(), apps, vec![channel], vec![])
}

/// The credentials of the app with this code.
pub fn basic(code: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{code}:{code}-secret")))
}

impl World {
    /// Inboxes of the people `anna` and `bert`.
    pub async fn new() -> Self {
        let poll = Duration::from_millis(100);
        Self::paced(InboxPace { poll, check: poll, ..InboxPace::default() }).await
    }

    pub async fn paced(pace: InboxPace) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path().join("store.db"), Options::default()).await.expect("opens");
        store.attach(Arc::new(NoDesk), Arc::new(NoProgress));
        let (setup, news) = (Arc::new(CurrentSetup::new(declared(false))), Arc::new(Notify::new()));
        let inbox = Inbox::new(Arc::clone(&store) as Arc<dyn Store>, Arc::clone(&setup), Arc::clone(&news), pace);
        let (routes, running) = (inbox.routes(), tokio::spawn(Arc::clone(&inbox).run()));
        let world = Self { _dir: dir, store, setup, inbox, news, routes, running };
        for user in ["anna", "bert"] {
            world.person(user, true).await;
        }
        world
    }

    pub fn now(&self) -> Timestamp {
        self.store.clock().now()
    }

    pub async fn person(&self, code: &str, enabled: bool) {
        let user = User { code: code.into(), enabled, ..User::default() };
        let change = DirectoryChange { groups: vec![], users: vec![UserEntry { user, ..UserEntry::default() }] };
        let report = self.store.directory_change(change, false, self.now()).await.expect("changes");
        assert_eq!(report.faults, []);
    }

    fn batch(&self, app: AppNo, id: Id, content: InApp, page: Vec<Lot>, rest: Option<Rest>) -> Batch {
        let now = self.now();
        Batch {
            message: Message {
                id,
                app,
                dialect: Dialect::Push,
                operation: "channel".into(),
                user: String::new(),
                client: String::new(),
                priority: Priority::Middle,
                state: MessageState::Expanded,
                label: content.label.clone(),
                accepted: now,
                expires: now + Duration::from_secs(3_600),
            },
            idempotency: None,
            admission: None,
            channel: INBOX,
            content: Arc::new(Content::InApp(content)),
            attachments: Arc::default(),
            page,
            rest,
        }
    }

    /// An app's message to a person, in their inbox; answers the item's number.
    pub async fn send(&self, app: AppNo, user: &str, content: InApp) -> Id {
        let now = self.now();
        let message = self.store.ids().block(2, 0, now).expect("ids");
        let (id, label) = (message.plus(1), content.label.clone());
        let track = Track::ready(now, now + Duration::from_secs(3_600));
        let delivery = NewDelivery { id, recipient: user.into(), address: user.into(), track };
        let lot = Lot { way: Way { channel: INBOX, parcel_max: 1 }, deliveries: vec![delivery] };
        let batch = self.batch(app, message, content, vec![lot], None);
        assert_eq!(self.store.submit(batch, now).await.expect("stores"), Submitted::Stored);
        let leases = self.store.claim(INBOX, 1, self.now()).await.expect("claims");
        let lease = leases[0].rows[0].track.lease;
        let item = NewItem {
            id,
            user: user.into(),
            message,
            app,
            channel: INBOX,
            business: label.business,
            kind: label.kind,
            at: self.now(),
        };
        self.store.inbox_put(vec![item]).await.expect("puts");
        self.news.notify_one();
        let outcome = Outcome::Accepted { provider_id: String::new(), receipt: Receipts::Expected };
        let policy = Arc::new(Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::mail() });
        let event = Event::Finish { lease, outcome, roll: Roll::new(0.5) };
        let change = Change { delivery: id, event, policy, attempt: None };
        let settled = self.store.settle(vec![change], self.now()).await.expect("settles");
        assert_eq!(settled[0].map(|track| track.state), Some(State::Accepted));
        id
    }

    /// An app's message to everyone who is there; answers the item's number.
    pub async fn broadcast(&self, app: AppNo, content: InApp) -> Id {
        let now = self.now();
        let message = self.store.ids().block(1, 0, now).expect("ids");
        let people = People { everyone: true, ..People::default() };
        let who = Who::People { ways: vec![Way { channel: INBOX, parcel_max: 1 }], people };
        let batch = self.batch(app, message, content, vec![], Some(Rest { due: now, who }));
        self.store.submit(batch, now).await.expect("stores");
        let page = Page { message, from: Place::default(), to: None, page: vec![], broadcast: Some(INBOX) };
        assert!(self.store.page_add(page, self.now()).await.expect("adds"));
        message
    }

    /// Where the delivery of an item stands.
    pub async fn state(&self, user: &str, id: Id) -> State {
        let items = self.store.inbox(user.into(), Default::default(), None, 100).await.expect("reads");
        let item = items.into_iter().find(|item| item.id == id).expect("there");
        let message = self.store.message_read(item.message).await.expect("reads").expect("there");
        message.deliveries[0].track.state
    }

    pub async fn response(&self, method: &str, path: &str, auth: &str, last: Option<&str>, body: &str) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if !auth.is_empty() {
            request = request.header(AUTHORIZATION, auth);
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        self.routes.clone().oneshot(request).await.expect("infallible")
    }

    /// Makes a call; its status and the JSON of its answer.
    pub async fn call(&self, method: &str, path: &str, auth: &str, body: &str) -> (u16, Value) {
        let response = self.response(method, path, auth, None, body).await;
        let status = response.status();
        let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
        let expected = if status.is_success() { "application/json" } else { "application/problem+json" };
        assert_eq!(kind, expected, "{method} {path}");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status.as_u16(), serde_json::from_slice(&bytes).expect("JSON"))
    }

    pub async fn get(&self, path: &str, auth: &str) -> Value {
        let (status, answer) = self.call("GET", path, auth, "").await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Makes a mark; how many items it changed.
    pub async fn mark(&self, path: &str, auth: &str, body: &str) -> u64 {
        let (status, answer) = self.call("POST", path, auth, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer["marked"].as_u64().expect("a number")
    }

    /// A person's token, made by an app.
    pub async fn token(&self, app: &str, user: &str) -> String {
        let (status, answer) =
            self.call("POST", "/v1/inbox/tokens", &basic(app), &format!("{{\"user\":\"{user}\"}}")).await;
        assert_eq!(status, 201, "{answer}");
        format!("Bearer {}", answer["token"].as_str().expect("a token"))
    }

    /// The numbers on a page, as it is listed.
    pub async fn listed(&self, path: &str, auth: &str) -> Vec<String> {
        let page = self.get(path, auth).await;
        let items = page["items"].as_array().expect("a list");
        items.iter().map(|item| item["id"].as_str().expect("a text").to_owned()).collect()
    }

    pub async fn stream(&self, path: &str, auth: &str, last: Option<&str>) -> Stream {
        let response = self.response("GET", path, auth, last, "").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream { body: response.into_body(), text: String::new() }
    }
}

/// A content with this title, of no particular kind.
pub fn titled(title: &str) -> InApp {
    InApp { title: title.into(), html: format!("<p>{title}</p>"), ..InApp::default() }
}

/// A content about something.
pub fn about(business: &str, kind: &str) -> InApp {
    let label = Label { business: business.into(), kind: kind.into(), ..Label::default() };
    InApp { label, ..titled(business) }
}

/// A stream as a browser reads it.
pub struct Stream {
    body: Body,
    text: String,
}

/// An event of a stream.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Stream {
    /// The next block, without the blank line that ends it; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let frame = timeout(PATIENT, self.body.frame()).await.expect("something comes")?.expect("unbroken");
            let data = frame.into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&data).expect("text"));
        }
    }

    /// The next comment.
    pub async fn comment(&mut self) -> String {
        loop {
            let block = self.block().await.expect("it goes on");
            if let Some(comment) = block.strip_prefix(':') {
                return comment.trim().to_owned();
            }
        }
    }

    /// The next event of any name; `None` at the end.
    pub async fn any(&mut self) -> Option<Told> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let found = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                found.unwrap_or_default().to_owned()
            };
            let name = field("event");
            if !name.is_empty() {
                let data = serde_json::from_str(&field("data")).expect("JSON");
                return Some(Told { name, id: field("id"), data });
            }
        }
    }

    /// The next event of this name.
    pub async fn next(&mut self, name: &str) -> Told {
        loop {
            let told = self.any().await.expect("it goes on");
            if told.name == name {
                return told;
            }
        }
    }

    /// Waits for its end.
    pub async fn end(mut self) {
        while self.any().await.is_some() {}
    }
}
