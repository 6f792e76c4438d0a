//! What the cases send: an order says what a request is about, and becomes the batch that a store is given.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hongyan_core::{
    account::AccountNo,
    content::{Body, Content, InApp, Mail, Text},
    delivery::{Reason, Track},
    id::{Id, IdSource, IdsExhausted},
    limits::PAGE_RECIPIENTS_MAX,
    message::{Dialect, Idempotency, Label, Message, MessageState, Priority},
    quota::{Admission, Day, Fit},
    setup::{AppNo, ChannelNo},
    store::{Addressee, Batch, Listed, Lot, NewDelivery, Rest, Way, Who},
    time::Timestamp,
};

/// The channel of most cases.
pub const MAIL: ChannelNo = ChannelNo(1);
/// Another channel, which may not repeat.
pub const SMS: ChannelNo = ChannelNo(2);
/// A channel whose messages people find in their inbox.
pub const INBOX: ChannelNo = ChannelNo(3);

/// What a request of a case is about.
#[derive(Clone)]
pub struct Order {
    pub app: AppNo,
    pub channel: ChannelNo,
    pub priority: Priority,
    pub to: Vec<String>,
    pub skipped: Vec<String>,
    pub due_in: Duration,
    pub lives: Duration,
    pub text: String,
    pub attachments: Vec<Vec<u8>>,
    pub key: Option<(String, u8)>,
    pub parcel_max: usize,
    /// By these channels, too, everybody in the same order.
    pub beside: Vec<Way>,
    /// Who follows in later pages.
    pub rest: Option<Rest>,
    pub client: String,
    pub label: Label,
    /// What its account may send in an hour and in a day, and what has to fit; what is not skipped counts.
    pub limits: Option<(u32, u32, Fit)>,
}

/// A request to these recipients, due now, for a day.
pub fn to(recipients: &[&str]) -> Order {
    Order {
        app: AppNo(1),
        channel: MAIL,
        priority: Priority::Middle,
        to: recipients.iter().map(|to| (*to).to_owned()).collect(),
        skipped: Vec::new(),
        due_in: Duration::ZERO,
        lives: Duration::from_secs(24 * 60 * 60),
        text: "a report".into(),
        attachments: Vec::new(),
        key: None,
        parcel_max: PAGE_RECIPIENTS_MAX,
        beside: Vec::new(),
        rest: None,
        client: String::new(),
        label: Label::default(),
        limits: None,
    }
}

impl Order {
    pub fn app(self, app: u32) -> Self {
        Self { app: AppNo(app), ..self }
    }

    pub fn account(self, account: AccountNo) -> Self {
        Self { app: account.as_app(), ..self }
    }

    pub fn limits(self, hour_max: u32, day_max: u32, fit: Fit) -> Self {
        Self { limits: Some((hour_max, day_max, fit)), ..self }
    }

    pub fn skipped(self, skipped: &[&str]) -> Self {
        Self { skipped: skipped.iter().map(|who| (*who).to_owned()).collect(), ..self }
    }

    pub fn channel(self, channel: ChannelNo) -> Self {
        Self { channel, ..self }
    }

    pub fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    pub fn due_in(self, due_in: Duration) -> Self {
        Self { due_in, ..self }
    }

    pub fn lives(self, lives: Duration) -> Self {
        Self { lives, ..self }
    }

    pub fn parcel_max(self, parcel_max: usize) -> Self {
        Self { parcel_max, ..self }
    }

    pub fn key(self, key: &str, fingerprint: u8) -> Self {
        Self { key: Some((key.into(), fingerprint)), ..self }
    }

    pub fn business(self, business: &str) -> Self {
        let label = Label { business: business.into(), ..self.label };
        Self { label, ..self }
    }

    /// By another channel, too.
    pub fn beside(mut self, channel: ChannelNo, parcel_max: usize) -> Self {
        self.beside.push(Way { channel, parcel_max });
        self
    }

    /// These follow in later pages, from `due` on.
    pub fn rest(self, due: Timestamp, who: Who) -> Self {
        Self { rest: Some(Rest { due, who }), ..self }
    }

    fn ways(&self) -> Vec<Way> {
        let first = Way { channel: self.channel, parcel_max: self.parcel_max };
        std::iter::once(first).chain(self.beside.iter().copied()).collect()
    }

    fn state(&self, now: Timestamp) -> MessageState {
        match &self.rest {
            Some(rest) if rest.due > now => MessageState::Scheduled,
            Some(_) => MessageState::Expanding,
            None => MessageState::Expanded,
        }
    }

    /// The deliveries of one lot, with the ids from `first` on.
    fn deliveries(&self, first: Id, now: Timestamp) -> Vec<NewDelivery> {
        let expires = now + self.lives;
        let delivery = |(n, to): (usize, &String)| NewDelivery {
            id: first.plus(n),
            recipient: to.clone(),
            address: if self.skipped.contains(to) { String::new() } else { format!("{to}@example.com") },
            track: if self.skipped.contains(to) {
                Track::skipped(Reason::UnknownUser, now, expires)
            } else {
                Track::ready(now + self.due_in, expires)
            },
        };
        self.to.iter().enumerate().map(delivery).collect()
    }

    /// One for all channels, or each its own where there are several ([`text`]).
    fn content(&self) -> Content {
        if self.beside.is_empty() {
            return content(&self.text);
        }
        let each: BTreeMap<_, _> =
            self.ways().into_iter().map(|way| (way.channel.0, text(&self.text, way.channel))).collect();
        Content::Each(each)
    }

    /// The request at `now`, with ids of its own.
    pub fn batch(&self, ids: &IdSource, now: Timestamp) -> Batch {
        let account = AccountNo::of_app(self.app);
        let (ways, size) = (self.ways(), self.to.len());
        let id = ids.block(1 + size * ways.len(), account.map_or(0, AccountNo::bucket), now).expect("ids");
        let lots = ways.into_iter().enumerate().filter(|_| size > 0);
        Batch {
            message: Message {
                id,
                app: self.app,
                dialect: Dialect::Cmsi,
                operation: "send_mail".into(),
                user: "admin".into(),
                client: self.client.clone(),
                priority: self.priority,
                state: self.state(now),
                label: self.label.clone(),
                accepted: now,
                expires: now + self.lives,
            },
            idempotency: self
                .key
                .as_ref()
                .map(|(key, fingerprint)| Idempotency { key: key.clone(), fingerprint: [*fingerprint; 32] }),
            admission: self.limits.map(|(hour_max, day_max, fit)| Admission {
                account: account.expect("an account's").windows(),
                id,
                amount: u32::try_from((size - self.skipped.len()) * self.ways().len()).expect("few"),
                hour_max,
                day_max,
                day: day(now),
                fit,
            }),
            channel: self.channel,
            content: Arc::new(self.content()),
            attachments: Arc::new(self.attachments.clone()),
            page: lots.map(|(n, way)| Lot { way, deliveries: self.deliveries(id.plus(1 + n * size), now) }).collect(),
            rest: self.rest.clone(),
        }
    }
}

/// The day of a moment, in UTC.
pub fn day(now: Timestamp) -> Day {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let begin = now.ms().div_euclid(DAY_MS) * DAY_MS;
    Day { begin: Timestamp::from_ms(begin), end: Timestamp::from_ms(begin + DAY_MS) }
}

pub fn content(text: &str) -> Content {
    Content::Mail(Mail {
        from: None,
        to: vec!["a@example.com".into()],
        cc: Vec::new(),
        subject: "鸿雁".into(),
        body: Body::Text(text.into()),
        attachments: Vec::new(),
        date: 1_800_000_000_000,
    })
}

/// What a message of several channels says on one of them.
pub fn text(text: &str, channel: ChannelNo) -> Content {
    Content::Text(Text { text: format!("{text} by {}", channel.0), ..Text::default() })
}

/// An item of the inbox.
pub fn in_app(title: &str, label: &Label) -> InApp {
    InApp { title: title.into(), html: "<b>鸿雁</b>".into(), website: "/a?b=c".into(), label: label.clone() }
}

/// Explicit lists in one: these people by one channel.
pub fn listed(way: Way, addressees: Vec<Addressee>) -> Who {
    Who::Listed(vec![Listed { way, addressees }])
}

/// A mail to one recipient, due now, for tests and measurements of one store.
///
/// # Errors
/// When the ids have run ahead of `now`.
pub fn sample(ids: &IdSource, now: Timestamp, text: &str) -> Result<Batch, IdsExhausted> {
    let id = ids.block(2, 0, now)?;
    let expires = now + Duration::from_secs(86_400);
    let address = "someone@example.com".to_owned();
    let delivery =
        NewDelivery { id: id.plus(1), recipient: address.clone(), address, track: Track::ready(now, expires) };
    Ok(Batch {
        message: Message {
            id,
            app: AppNo(1),
            dialect: Dialect::Cmsi,
            operation: "send_mail".into(),
            user: "admin".into(),
            client: String::new(),
            priority: Priority::Middle,
            state: MessageState::Expanded,
            label: Label::default(),
            accepted: now,
            expires,
        },
        idempotency: None,
        admission: None,
        channel: MAIL,
        content: Arc::new(content(text)),
        attachments: Arc::default(),
        page: vec![Lot { way: Way { channel: MAIL, parcel_max: PAGE_RECIPIENTS_MAX }, deliveries: vec![delivery] }],
        rest: None,
    })
}
