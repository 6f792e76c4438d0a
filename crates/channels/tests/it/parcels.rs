//! Parcels and providers to test with.

use std::{sync::Arc, time::Duration};

use hongyan_channels::{Smtp, Timeouts};
use hongyan_core::{
    channel::{Channel, Parcel, Recipient},
    content::{Attachment, Body, Content, Mail, Sender},
    id::Id,
    outcome::{Outcome, Verdict},
    setup::{AppNo, ChannelNo, Secret, SmtpProvider, Tls},
    time::{ManualClock, Timestamp},
};

/// The message's id in every parcel.
pub const MESSAGE: i64 = 1_234_567_890_123;
/// Now, on the clock of every sender.
pub const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

pub fn id(number: i64) -> Id {
    Id::from_i64(number).expect("positive")
}

/// A plain mail from a caller.
pub fn mail() -> Mail {
    Mail {
        from: Some(Sender { name: String::new(), address: "boss@example.com".into() }),
        to: vec!["a@example.com".into()],
        cc: vec![],
        subject: "Hello".into(),
        body: Body::Text("Good morning.\n".into()),
        attachments: vec![],
        date: NOW.ms(),
    }
}

pub fn file(filename: &str, mime: &str) -> Attachment {
    Attachment { filename: filename.into(), mime: mime.into(), inline: false, content_id: String::new() }
}

pub fn parcel_of(mail: Mail, files: Vec<Vec<u8>>, recipients: &[&str]) -> Parcel {
    Parcel { attachments: Arc::new(files), ..parcel_with(Content::Mail(mail), recipients) }
}

/// A parcel with this content to these addresses.
pub fn parcel_with(content: Content, recipients: &[&str]) -> Parcel {
    let recipient = |(i, address): (usize, &&str)| {
        let delivery = id(MESSAGE).plus(i + 1);
        Recipient { delivery, address: (*address).to_owned(), maybe_duplicate: false }
    };
    Parcel {
        app: AppNo(1),
        channel: ChannelNo(1),
        id: id(MESSAGE).plus(1),
        message: id(MESSAGE),
        content: Arc::new(content),
        attachments: Arc::default(),
        recipients: recipients.iter().enumerate().map(recipient).collect(),
        maybe_duplicate: false,
    }
}

/// A parcel with a plain mail to these addresses.
pub fn parcel(recipients: &[&str]) -> Parcel {
    parcel_of(mail(), vec![], recipients)
}

/// A message that fits no buffer.
pub fn big() -> Parcel {
    let content = Mail { attachments: vec![file("a.bin", "x/y")], ..mail() };
    parcel_of(content, vec![vec![7; 6_000_000]], &["a@example.com"])
}

pub fn provider(port: u16) -> SmtpProvider {
    SmtpProvider {
        host: "127.0.0.1".into(),
        port,
        tls: Tls::None,
        user: String::new(),
        password: Secret::new(""),
        helo: "client.example.com".into(),
        sender: "Notices <notice@example.com>".into(),
        bounce: String::new(),
        ca_file: String::new(),
        dkim: None,
        connection_messages: 100,
        connection_age: Duration::from_secs(60),
        connection_idle: Duration::from_secs(60),
    }
}

/// Waits that a test can sit out: `limit` each.
pub fn timeouts(limit: Duration) -> Timeouts {
    Timeouts {
        lookup: limit,
        connect: limit,
        greeting: limit,
        handshake: limit,
        command: limit,
        mail: limit,
        rcpt: limit,
        data: limit,
        block: limit,
        dot: limit,
        refusal: limit,
        quit: limit,
    }
}

/// Long enough for a busy machine; only what is meant to run into a limit has a shorter one.
pub const PATIENT: Duration = Duration::from_secs(10);

pub fn smtp(keys: &SmtpProvider, limit: Duration) -> Smtp {
    Smtp::new(keys, timeouts(limit), Arc::new(ManualClock::at(NOW))).expect("a valid provider")
}

/// Sends one parcel by a sender of its own.
pub async fn send(keys: &SmtpProvider, limit: Duration, parcel: &Parcel) -> Vec<Verdict> {
    let smtp = smtp(keys, limit);
    let verdicts = smtp.send(parcel).await;
    smtp.close().await;
    assert_eq!(verdicts.len(), parcel.recipients.len());
    verdicts
}

/// An outcome as one word or two, for tables.
pub fn shown(verdict: &Verdict) -> String {
    match &verdict.outcome {
        Outcome::Accepted { .. } => "accepted".to_owned(),
        Outcome::Deferred { after: None, fault } => format!("deferred {fault:?}").to_lowercase(),
        Outcome::Deferred { after: Some(after), fault } => format!("deferred {fault:?} {after:?}").to_lowercase(),
        Outcome::Throttled { scope, until } => format!("throttled {scope:?} {:?}", until.since(NOW)).to_lowercase(),
        Outcome::Rejected(rejection) => format!("rejected {rejection:?}").to_lowercase(),
        Outcome::Misconfigured => "misconfigured".to_owned(),
        Outcome::Unknown => "unknown".to_owned(),
        Outcome::PartlySent => "partly sent".to_owned(),
    }
}
