//! Rows on their way from another store into the tables, a statement per table and page, as columns.

mod people;

use std::{borrow::Cow, collections::BTreeMap};

use hongyan_core::{
    account::{self, Follower},
    content::Content,
    delivery::{Reason, State},
    id::{Id, bucket_of_key, bucket_of_name},
    pace::Meter,
    quota::{Account, Entry},
    setup::ProviderNo,
    store::{Capture, Declaration},
    transfer::{MovedAttachment, MovedDelivery, MovedExpansion, MovedKey, MovedMessage, MovedPage, Rows},
};

use crate::{
    audience::channels_text,
    columns::Sent,
    reads::follower_bucket,
    row::{CAPTURES_BUCKET, attempts_encode, priority_number, signed, state_number},
    session::{Param, Session},
    sql::{arrival as sql, directory, plan, read},
    trouble::Outcome,
};

/// What became ready, by bucket and channel.
pub(super) type Depth = BTreeMap<(i16, i32), i64>;

/// As whose what is held is on record.
#[derive(Clone, Copy)]
pub(super) struct Predecessor {
    pub epoch: i64,
    /// Since when.
    pub leased: i64,
}

/// The ids by whose days tables are chosen.
pub(super) fn dated(rows: &Rows) -> Vec<Id> {
    match rows {
        Rows::Messages(rows) => rows.iter().map(|row| row.message.id).collect(),
        Rows::Attachments(rows) => rows.iter().map(|row| row.message).collect(),
        Rows::Deliveries(rows) => rows.iter().map(|row| row.id).collect(),
        _ => Vec::new(),
    }
}

/// Writes rows, inside a transaction; answers what of it became ready.
pub(super) async fn insert(db: &Session, rows: &Rows, predecessor: Predecessor) -> Outcome<Depth> {
    match rows {
        Rows::Messages(rows) => messages(db, rows).await?,
        Rows::Attachments(rows) => attachments(db, rows).await?,
        Rows::Deliveries(rows) => return deliveries(db, rows, predecessor).await,
        Rows::Pages(rows) => pages(db, rows).await?,
        Rows::Expansions(rows) => expansions(db, rows).await?,
        Rows::Keys(rows) => keys(db, rows).await?,
        Rows::Declarations(rows) => declarations(db, rows).await?,
        Rows::Numberings(rows) => numberings(db, rows).await?,
        Rows::Setup { version, plan } => put(db, sql::SETUP, &[version, plan]).await?,
        Rows::People(rows) => people::people(db, rows).await?,
        Rows::Presences(rows) => people::presences(db, rows).await?,
        Rows::Groups(rows) => people::groups(db, rows).await?,
        Rows::Members(rows) => people::members(db, rows).await?,
        Rows::Items(rows) => people::items(db, rows).await?,
        Rows::Broadcasts(rows) => people::broadcasts(db, rows).await?,
        Rows::Notes(rows) => {
            let (keys, values): (Vec<&str>, Vec<&str>) = rows.iter().map(|(k, v)| (k.as_str(), v.as_str())).unzip();
            put(db, sql::NOTES, &[&keys, &values]).await?;
        }
        Rows::Captures(rows) => captures(db, rows).await?,
        Rows::Accounts(rows) => accounts(db, rows).await?,
        Rows::Entries(rows) => entries(db, rows).await?,
        Rows::Meters(rows) => meters(db, rows).await?,
        Rows::Callers(rows) => callers(db, rows).await?,
        Rows::Followers(rows) => followers(db, rows).await?,
    }
    Ok(Depth::new())
}

async fn put(db: &Session, sql: &'static str, params: &[Param<'_>]) -> Outcome<()> {
    db.execute(sql, params).await?;
    Ok(())
}

/// One column of rows.
fn column<'a, R, T>(rows: &'a [R], of: impl FnMut(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// A text that PostgreSQL can keep: its texts cannot hold NUL, another store's may.
fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', " ").into() } else { text.into() }
}

fn number(sum: u64) -> i64 {
    i64::try_from(sum).unwrap_or(i64::MAX)
}

async fn messages(db: &Session, rows: &[MovedMessage]) -> Outcome<()> {
    let params: [Param<'_>; 15] = [
        &column(rows, |row| row.message.id.get()),
        &column(rows, |row| signed(row.message.app.0)),
        &column(rows, |row| signed(row.channel.0)),
        &column(rows, |row| row.message.dialect.as_str()),
        &column(rows, |row| row.message.operation.as_str()),
        &column(rows, |row| plain(&row.message.user)),
        &column(rows, |row| priority_number(row.message.priority)),
        &column(rows, |row| row.message.accepted.ms()),
        &column(rows, |row| row.message.expires.ms()),
        &column(rows, |row| row.last.get()),
        &column(rows, |row| signed(row.attachments)),
        &column(rows, |row| row.content.as_slice()),
        &column(rows, |row| plain(&row.message.client)),
        &column(rows, |row| row.message.label.to_text()),
        &column(rows, |row| plain(&row.message.label.business)),
    ];
    put(db, sql::MESSAGES, &params).await?;
    // What cannot be read is moved as it is.
    let has_secret = |row: &&MovedMessage| Content::from_bytes(&row.content).is_ok_and(|content| content.has_secret());
    let secret: Vec<i64> = rows.iter().filter(has_secret).map(|row| row.message.id.get()).collect();
    if secret.is_empty() { Ok(()) } else { put(db, sql::ERASURES, &[&secret]).await }
}

async fn attachments(db: &Session, rows: &[MovedAttachment]) -> Outcome<()> {
    let params: [Param<'_>; 3] = [
        &column(rows, |row| row.message.get()),
        &column(rows, |row| signed(row.no)),
        &column(rows, |row| row.body.as_slice()),
    ];
    put(db, sql::ATTACHMENTS, &params).await
}

async fn deliveries(db: &Session, rows: &[MovedDelivery], predecessor: Predecessor) -> Outcome<Depth> {
    let (open, over): (Vec<&MovedDelivery>, Vec<_>) = rows.iter().partition(|row| row.track.state.is_open());
    for (rows, sql) in [(&open, sql::OPEN), (&over, sql::OVER)] {
        if rows.is_empty() {
            continue;
        }
        let params: [Param<'_>; 18] = [
            &column(rows, |row| row.id.get()),
            &column(rows, |row| row.message.get()),
            &column(rows, |row| row.parcel.get()),
            &column(rows, |row| signed(row.channel.0)),
            &column(rows, |row| priority_number(row.priority)),
            &column(rows, |row| signed(row.app.0)),
            &column(rows, |row| state_number(row.track.state)),
            &column(rows, |row| signed(row.track.lease)),
            &column(rows, |row| i16::try_from(row.track.tries).unwrap_or(i16::MAX)),
            &column(rows, |row| i16::from(row.track.crashes)),
            &column(rows, |row| row.track.due.ms()),
            &column(rows, |row| row.track.expires.ms()),
            &column(rows, |row| row.track.first_try.map(|first| first.ms())),
            &column(rows, |row| row.track.maybe_duplicate),
            &column(rows, |row| row.track.reason.map(Reason::as_str)),
            &column(rows, |row| plain(&row.recipient)),
            &column(rows, |row| (row.address != row.recipient).then(|| plain(&row.address))),
            &column(rows, |row| attempts_encode(&row.attempts)),
        ];
        let mut params: Vec<Param<'_>> = params.to_vec();
        if sql == sql::OPEN {
            params.extend([&predecessor.epoch as Param<'_>, &predecessor.leased]);
        }
        put(db, sql, &params).await?;
    }
    let mut sent: BTreeMap<i16, Sent> = BTreeMap::new();
    for row in rows {
        sent.entry(i16::from(row.id.bucket())).or_default().count(row.app, row.id);
    }
    for (bucket, sent) in &mut sent {
        sent.finished();
        if let Some(query) = sent.query(bucket) {
            put(db, query.sql, &query.params).await?;
        }
    }
    let mut depth = Depth::new();
    for row in open.iter().filter(|row| row.track.state == State::Ready) {
        *depth.entry((i16::from(row.id.bucket()), signed(row.channel.0))).or_default() += 1;
    }
    Ok(depth)
}

async fn pages(db: &Session, rows: &[MovedPage]) -> Outcome<()> {
    let params: [Param<'_>; 3] = [
        &column(rows, |row| row.message.get()),
        &column(rows, |row| row.first.get()),
        &column(rows, |row| row.last.get()),
    ];
    put(db, sql::PAGES, &params).await
}

async fn expansions(db: &Session, rows: &[MovedExpansion]) -> Outcome<()> {
    let params: [Param<'_>; 6] = [
        &column(rows, |row| row.message.get()),
        &column(rows, |row| signed(row.place.step)),
        &column(rows, |row| row.place.mark.as_str()),
        &column(rows, |row| row.rest.due.ms()),
        &column(rows, |row| row.rest.who.to_bytes()),
        &column(rows, |row| channels_text(&row.rest.who)),
    ];
    put(db, sql::EXPANSIONS, &params).await
}

async fn keys(db: &Session, rows: &[MovedKey]) -> Outcome<()> {
    let params: [Param<'_>; 7] = [
        &column(rows, |row| i16::from(bucket_of_key(row.app, &row.key))),
        &column(rows, |row| signed(row.app.0)),
        &column(rows, |row| row.key.as_str()),
        &column(rows, |row| row.fingerprint.as_slice()),
        &column(rows, |row| row.message.get()),
        &column(rows, |row| row.expires.ms()),
        &column(rows, |row| row.answer.as_deref()),
    ];
    put(db, sql::KEYS, &params).await
}

async fn declarations(db: &Session, rows: &[Declaration]) -> Outcome<()> {
    let params: [Param<'_>; 4] = [
        &column(rows, |row| row.kind.as_str()),
        &column(rows, |row| row.code.as_str()),
        &column(rows, |row| signed(row.no)),
        &column(rows, |row| row.doc.as_str()),
    ];
    put(db, plan::DECLARATIONS_KEEP, &params).await
}

/// What has numbers beside what is declared has them among the others, but for groups.
async fn numberings(db: &Session, rows: &[(String, u32)]) -> Outcome<()> {
    let (groups, others): (Vec<_>, Vec<_>) = rows.iter().partition(|(kind, _)| kind == "group");
    for (_, last) in groups {
        put(db, directory::LAST_KEEP, &[&signed(*last)]).await?;
    }
    let (kinds, lasts): (Vec<&str>, Vec<i32>) = others.iter().map(|(kind, no)| (kind.as_str(), signed(*no))).unzip();
    put(db, plan::NUMBERINGS_KEEP, &[&kinds, &lasts]).await
}

async fn captures(db: &Session, rows: &[Capture]) -> Outcome<()> {
    let params: [Param<'_>; 8] = [
        &CAPTURES_BUCKET,
        &column(rows, |row| row.id.get()),
        &column(rows, |row| row.message.get()),
        &column(rows, |row| row.provider.as_str()),
        &column(rows, |row| row.at.ms()),
        &column(rows, |row| plain(&row.sender)),
        &column(rows, |row| serde_json::to_string(&row.recipients).unwrap_or_default()),
        &column(rows, |row| row.body.as_slice()),
    ];
    put(db, read::CAPTURE_INSERT, &params).await?;
    let bytes: i64 = rows.iter().map(|row| i64::try_from(row.body.len()).unwrap_or(i64::MAX)).sum();
    put(db, read::CAPTURED, &[&CAPTURES_BUCKET, &i64::try_from(rows.len()).unwrap_or(i64::MAX), &bytes]).await
}

async fn accounts(db: &Session, rows: &[(String, Account)]) -> Outcome<()> {
    let params: [Param<'_>; 7] = [
        &column(rows, |(name, _)| i16::from(bucket_of_name(name))),
        &column(rows, |(name, _)| name.as_str()),
        &column(rows, |(_, account)| account.seen.ms()),
        &column(rows, |(_, account)| number(account.hour)),
        &column(rows, |(_, account)| number(account.day)),
        &column(rows, |(_, account)| account.today.begin.ms()),
        &column(rows, |(_, account)| account.today.end.ms()),
    ];
    put(db, sql::ACCOUNTS, &params).await
}

async fn entries(db: &Session, rows: &[(String, Id, Entry)]) -> Outcome<()> {
    let params: [Param<'_>; 6] = [
        &column(rows, |(name, ..)| i16::from(bucket_of_name(name))),
        &column(rows, |(name, ..)| name.as_str()),
        &column(rows, |(_, id, _)| id.get()),
        &column(rows, |(.., entry)| entry.at.ms()),
        &column(rows, |(.., entry)| entry.day.ms()),
        &column(rows, |(.., entry)| i64::from(entry.amount)),
    ];
    put(db, sql::ENTRIES, &params).await
}

async fn meters(db: &Session, rows: &[(String, Meter)]) -> Outcome<()> {
    let params: [Param<'_>; 4] = [
        &column(rows, |(key, _)| i16::from(bucket_of_name(key))),
        &column(rows, |(key, _)| key.as_str()),
        &column(rows, |(_, meter)| meter.seen.ms()),
        &column(rows, |(_, meter)| i64::try_from(meter.ahead.as_nanos()).unwrap_or(i64::MAX)),
    ];
    put(db, sql::METERS, &params).await
}

async fn callers(db: &Session, rows: &[account::Account]) -> Outcome<()> {
    let contact = |n: usize| column(rows, move |row| row.profile.contacts[n].as_str());
    let params: [Param<'_>; 13] = [
        &column(rows, |row| i16::from(bucket_of_name(&row.name))),
        &column(rows, |row| row.name.as_str()),
        &column(rows, |row| signed(row.no.0)),
        &column(rows, |row| row.created.ms()),
        &column(rows, |row| row.profile.password.as_str()),
        &column(rows, |row| row.profile.role.as_str()),
        &column(rows, |row| i64::from(row.profile.per_hour)),
        &column(rows, |row| i64::from(row.profile.per_day)),
        &column(rows, |row| row.profile.available),
        &column(rows, |row| row.profile.enabled),
        &contact(0),
        &contact(1),
        &contact(2),
    ];
    put(db, sql::CALLERS, &params).await?;
    let each = |row: &account::Account| (0i16..).zip(row.profile.contacts.clone()).collect::<Vec<_>>();
    let contacts = rows.iter().flat_map(|row| each(row).into_iter().map(|(kind, contact)| (kind, contact, &row.name)));
    let contacts: Vec<(i16, String, &String)> = contacts.filter(|(_, contact, _)| !contact.is_empty()).collect();
    let params: [Param<'_>; 4] = [
        &column(&contacts, |(_, contact, _)| i16::from(bucket_of_name(contact))),
        &column(&contacts, |(kind, ..)| *kind),
        &column(&contacts, |(_, contact, _)| contact.as_str()),
        &column(&contacts, |(.., name)| name.as_str()),
    ];
    put(db, sql::CONTACTS, &params).await
}

async fn followers(db: &Session, rows: &[(ProviderNo, Follower)]) -> Outcome<()> {
    let tags = column(rows, |(_, follower)| signed(follower.tag));
    let providers = column(rows, |(provider, _)| signed(provider.0));
    let openids = column(rows, |(_, follower)| follower.openid.as_str());
    let subscribed = column(rows, |(_, follower)| follower.subscribed);
    put(db, sql::FOLLOWERS, &[&tags, &providers, &openids, &subscribed]).await?;
    let buckets = column(rows, |(provider, follower)| follower_bucket(*provider, &follower.openid));
    put(db, sql::TAGS, &[&buckets, &providers, &openids, &tags]).await
}
