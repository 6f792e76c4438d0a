//! A node without its dispatcher: an intake and an expander on a store in a file, which may be closed and opened again.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use hongyan_core::{
    content::{Body, InApp, Text},
    delivery::State,
    directory::{DirectoryChange, GroupEntry, GroupKind, UserEntry},
    id::Id,
    lease::Lease,
    message::{Dialect, Label, Priority},
    ports::{Desk, SealError, Sealer},
    setup::{
        AppNo, CaptureProvider, Channel, ChannelKind, ChannelNo, CurrentSetup, Provider, ProviderKind, ProviderNo,
        Secret, Settings, Setup, User,
    },
    store::{DeliveryRecord, Directory, Messages, People, Store, Upkeep},
    time::{Clock, ManualClock, Timestamp},
};
use hongyan_intake::{Draft, Expander, Intake, IntakeDeps, IntakeMetrics, MailDraft, Post, PostPart, PostTo, Waiting};
use hongyan_store_sqlite::{Options, SqliteStore, open};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

pub const APP: AppNo = AppNo(1);
pub const SMS: ChannelNo = ChannelNo(1);
pub const INBOX: ChannelNo = ChannelNo(2);
pub const SECOND_INBOX: ChannelNo = ChannelNo(4);
pub const MAIL: ChannelNo = ChannelNo(3);
pub const HOUR: Duration = Duration::from_secs(3_600);
const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

pub struct World {
    dir: TempDir,
    pub store: Arc<SqliteStore>,
    pub clock: Arc<ManualClock>,
    pub setup: Arc<CurrentSetup>,
    pub intake: Intake,
    pub expander: Arc<Expander>,
    pub desk: Arc<CountingDesk>,
}

/// A desk with so many free slots.
#[derive(Default)]
pub struct CountingDesk {
    slots: Mutex<usize>,
    leases: Mutex<Vec<Lease>>,
}

impl CountingDesk {
    pub fn free(&self, slots: usize) {
        *self.slots.lock().expect("no test panics while it holds this") = slots;
    }

    /// The parcels that were handed over: the channel, and of how many deliveries each is.
    pub fn taken(&self) -> Vec<(ChannelNo, usize)> {
        let leases = self.leases.lock().expect("no test panics while it holds this");
        leases.iter().map(|lease| (lease.channel, lease.rows.len())).collect()
    }
}

impl Desk for CountingDesk {
    fn reserve(&self, _: ChannelNo) -> bool {
        let mut slots = self.slots.lock().expect("no test panics while it holds this");
        let is_free = *slots > 0;
        *slots = slots.saturating_sub(1);
        is_free
    }

    fn release(&self, _: ChannelNo) {}

    fn hand_over(&self, leases: Vec<Lease>) {
        self.leases.lock().expect("no test panics while it holds this").extend(leases);
    }

    fn wake(&self, _: ChannelNo) {}
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

fn setup() -> Setup {
    let channel = |no, kind: ChannelKind| Channel {
        no,
        code: kind.as_str().to_owned(),
        kind,
        providers: vec![ProviderNo(1)],
        enabled: true,
        paused: false,
        default: false,
    };
    let channels = vec![
        channel(SMS, ChannelKind::Sms),
        channel(INBOX, ChannelKind::Inbox),
        channel(MAIL, ChannelKind::Mail),
        channel(SECOND_INBOX, ChannelKind::Inbox),
    ];
    let provider = Provider {
        no: ProviderNo(1),
        code: "capture".into(),
        enabled: true,
        rate: None,
        max_in_flight: 1,
        kind: ProviderKind::Capture(CaptureProvider { sender: "Notice <notice@x.cn>".into() }),
    };
    Setup::new(1, Settings::default(), vec![], channels, vec![provider])
}

struct Parts {
    store: Arc<SqliteStore>,
    intake: Intake,
    expander: Arc<Expander>,
    desk: Arc<CountingDesk>,
}

async fn start(dir: &Path, clock: &Arc<ManualClock>, setup: &Arc<CurrentSetup>) -> Parts {
    let store = open(dir.join("store.db"), Options::default()).await.expect("opens");
    let (waiting, desk) = (Arc::new(Waiting::default()), Arc::new(CountingDesk::default()));
    store.attach(Arc::clone(&desk) as _, Arc::clone(&waiting) as _);
    let deps = IntakeDeps {
        store: Arc::clone(&store) as Arc<dyn Store>,
        ids: store.ids(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        setup: Arc::clone(setup),
        waiting,
        metrics: IntakeMetrics::register(&mut Registry::default()),
        sealer: Arc::new(NoSecrets),
    };
    let expander = Arc::new(Expander::new(
        Arc::clone(&deps.store),
        Arc::clone(&deps.ids),
        Arc::clone(&deps.clock),
        Arc::clone(setup),
    ));
    Parts { store, intake: Intake::new(deps, Arc::clone(&expander)), expander, desk }
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (clock, setup) = (Arc::new(ManualClock::at(NOW)), Arc::new(CurrentSetup::new(setup())));
        let Parts { store, intake, expander, desk } = start(dir.path(), &clock, &setup).await;
        Self { dir, store, clock, setup, intake, expander, desk }
    }

    /// The node ends and another begins, which knows nothing but what is stored.
    pub async fn restart(self) -> Self {
        let Self { dir, store, clock, setup, intake, expander, .. } = self;
        store.close().await;
        drop((store, intake, expander));
        let Parts { store, intake, expander, desk } = start(dir.path(), &clock, &setup).await;
        Self { dir, store, clock, setup, intake, expander, desk }
    }

    /// How many commits the store has made.
    pub fn commits(&self) -> u64 {
        self.store.commits().commits
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Declares departments, each as `code` or `code<parent`, a post and a role.
    pub async fn groups(&self, departments: &[&str]) {
        let entry = |kind, code: &str, parent: &str| GroupEntry {
            kind,
            code: code.into(),
            name: String::new(),
            parent: parent.into(),
        };
        let department = |text: &&str| match text.split_once('<') {
            Some((code, parent)) => entry(GroupKind::Department, code, parent),
            None => entry(GroupKind::Department, text, ""),
        };
        let mut groups: Vec<_> = departments.iter().map(department).collect();
        groups.push(entry(GroupKind::Post, "P", ""));
        groups.push(entry(GroupKind::Role, "R", ""));
        self.change(DirectoryChange { groups, users: Vec::new() }).await;
    }

    /// Declares people, each with a phone, a mailbox and what they belong to.
    pub async fn people(&self, users: impl IntoIterator<Item = UserEntry>) {
        self.change(DirectoryChange { groups: Vec::new(), users: users.into_iter().collect() }).await;
    }

    async fn change(&self, change: DirectoryChange) {
        let report = self.store.directory_change(change, false, self.now()).await.expect("changes");
        assert_eq!(report.faults, []);
    }

    pub async fn submit(&self, post: Post) -> Id {
        self.intake.post(post).await.expect("accepted").message
    }

    /// A post of a short text and an item of the inbox to people, now.
    pub fn post(&self, channels: &[ChannelNo], people: People) -> Post {
        self.post_to(channels, PostTo::People(people))
    }

    pub fn post_to(&self, channels: &[ChannelNo], to: PostTo) -> Post {
        let setup = self.setup.get();
        let part = |no: &ChannelNo| {
            let draft = match *no {
                SMS => Draft::Text(Text { text: "hello".into(), ..Text::default() }),
                INBOX | SECOND_INBOX => Draft::InApp(InApp { html: "<p>hello</p>".into(), ..InApp::default() }),
                _ => Draft::Mail(MailDraft {
                    from: None,
                    subject: "hello".into(),
                    body: Body::Text("hello".into()),
                    attachments: vec![],
                }),
            };
            PostPart { channel: Arc::clone(setup.channel(*no).expect("declared")), draft }
        };
        Post {
            app: APP,
            dialect: Dialect::Push,
            operation: "channel",
            user: String::new(),
            client: String::new(),
            priority: Priority::Middle,
            label: Label::default(),
            idempotency: None,
            due: None,
            parts: channels.iter().map(part).collect(),
            to,
        }
    }

    /// Expands until there is nothing to do; answers in how many pages.
    pub async fn expand(&self) -> usize {
        let mut pages = 0;
        loop {
            match self.expander.round().await.expect("the store works") {
                0 => return pages,
                some => pages += some,
            }
        }
    }

    pub async fn deliveries(&self, message: Id) -> Vec<DeliveryRecord> {
        self.store.message_read(message).await.expect("reads").expect("there").deliveries
    }

    /// Who gets a message, in the order in which they were found: the channel, the recipient, and why they are skipped.
    pub async fn who(&self, message: Id) -> Vec<(u32, String, Option<&'static str>)> {
        let row = |row: DeliveryRecord| {
            let skipped = row.track.reason.filter(|_| row.track.state == State::Skipped);
            (row.channel.0, row.recipient, skipped.map(|reason| reason.as_str()))
        };
        self.deliveries(message).await.into_iter().map(row).collect()
    }

    /// The names of those who get a message, in the order in which they were found.
    pub async fn names(&self, message: Id) -> Vec<String> {
        self.who(message).await.into_iter().map(|(_, name, _)| name).collect()
    }

    /// How often each recipient is there on each channel.
    pub async fn counts(&self, message: Id) -> BTreeMap<(u32, String), usize> {
        let mut counts = BTreeMap::new();
        for (channel, name, _) in self.who(message).await {
            *counts.entry((channel, name)).or_default() += 1;
        }
        counts
    }
}

/// A person, enabled, of these groups: departments by their codes, `P` the post, `R` the role.
pub fn person(code: &str, groups: &[&str]) -> UserEntry {
    let user = User {
        code: code.into(),
        email: format!("{code}@x.cn"),
        phone: "+8613800000001".into(),
        enabled: true,
        ..User::default()
    };
    let only = |name: &str| groups.iter().filter(|code| **code == name).map(|code| (*code).to_owned()).collect();
    let departments = groups.iter().filter(|code| !matches!(**code, "P" | "R")).map(|code| (*code).to_owned());
    UserEntry { user, departments: departments.collect(), posts: only("P"), roles: only("R") }
}

/// Nobody is enabled of this name.
pub fn disabled(mut entry: UserEntry) -> UserEntry {
    entry.user.enabled = false;
    entry
}

/// Users who are named.
pub fn named(codes: &[&str]) -> People {
    People { users: codes.iter().map(|code| (*code).to_owned()).collect(), ..People::default() }
}

/// Departments that are named, with those below them.
pub fn departments(codes: &[&str]) -> People {
    let departments = codes.iter().map(|code| (*code).to_owned()).collect();
    People { departments, with_below: true, ..People::default() }
}

/// Everyone.
pub fn everyone() -> People {
    People { everyone: true, ..People::default() }
}
