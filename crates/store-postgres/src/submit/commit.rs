//! The transaction of a few requests: a statement per table and bucket, with a row for each. Without idempotency keys and limits
//! nothing in it depends on an answer, so it goes out in one write; with keys, what is known already is found out first, and then
//! which of the rest its account's windows admit.

use std::collections::{BTreeMap, HashMap, HashSet};

use hongyan_core::{
    delivery::State,
    id::{Id, bucket_of_key},
    limits,
    message::Idempotency,
    setup::AppNo,
    store::Submitted,
};

use super::{admission::admit, request::Request};
use crate::{
    audience::Sequels,
    columns::{Deliveries, Holder},
    engine::{Engine, Registration},
    row::{id_read, number, priority_number, signed},
    session::{Param, Query, Session},
    sql::{erasure, hot},
    stage::Stage,
    trouble::Outcome,
};

/// Commits requests; answers what follows, and what each is told.
pub(super) async fn commit(engine: &Engine, lane: i16, requests: &[Request]) -> Outcome<(Stage, Vec<Submitted>)> {
    let ids = requests.iter().flat_map(|request| [request.batch.message.id, request.last()]);
    let me = engine.me();
    engine.days.make_room(&engine.pool, ids).await?;
    let db = engine.pool.lend().await?;
    db.enter();
    let asks_first = |request: &Request| request.batch.idempotency.is_some() || request.batch.admission.is_some();
    let answers = if requests.iter().any(asks_first) {
        db.begin().await?;
        let stored = async {
            let mut answers = Keys::keep(&db, requests).await?;
            admit(&db, requests, &mut answers).await?;
            let tables = Tables::of(engine, me, lane, requests, |n| answers[n] == Submitted::Stored);
            db.query_all(&tables.queries()).await?;
            Ok(answers)
        };
        match stored.await {
            Ok(answers) => {
                db.commit().await?;
                answers
            }
            Err(trouble) => {
                db.rollback().await;
                db.settled();
                return Err(trouble);
            }
        }
    } else {
        let tables = Tables::of(engine, me, lane, requests, |_| true);
        let stored = db.transact(&tables.queries()).await;
        db.settled();
        stored?;
        vec![Submitted::Stored; requests.len()]
    };
    db.settled();
    Ok((stage(requests, &answers, me == engine.me()), answers))
}

/// What follows the commit.
fn stage(requests: &[Request], answers: &[Submitted], is_ours: bool) -> Stage {
    let mut stage = Stage::default();
    for (request, _) in requests.iter().zip(answers).filter(|(_, answer)| **answer == Submitted::Stored) {
        stage.ready.extend(request.ready());
        if is_ours {
            let held = request.rows().filter(|(.., place)| place.track.state == State::Leased);
            stage.held.extend(held.map(|(page, delivery, place)| page.row(delivery.id, *place)));
            stage.leases.extend(request.leases());
        } else {
            // Leased to what this node was until it was declared dead: others take it over.
            let slots = request.leased().flat_map(|(channel, leased)| std::iter::repeat_n(channel, leased));
            stage.void.extend(slots);
        }
    }
    stage
}

/// The requests of one bucket as columns.
#[derive(Default)]
struct Bucket<'a> {
    id: Vec<i64>,
    app: Vec<i32>,
    channel: Vec<i32>,
    dialect: Vec<&'static str>,
    operation: Vec<&'a str>,
    caller: Vec<&'a str>,
    priority: Vec<i16>,
    accepted: Vec<i64>,
    expires: Vec<i64>,
    last: Vec<i64>,
    attachments: Vec<i32>,
    content: Vec<&'a [u8]>,
    client: Vec<&'a str>,
    label: Vec<&'a str>,
    business: Vec<&'a str>,
    files: Files<'a>,
    sequels: Sequels<'a>,
    /// Those whose content has a secret.
    secret: Vec<i64>,
    deliveries: Deliveries<'a>,
}

#[derive(Default)]
struct Files<'a> {
    message: Vec<i64>,
    no: Vec<i32>,
    body: Vec<&'a [u8]>,
}

/// All rows of a transaction, by bucket.
struct Tables<'a> {
    buckets: BTreeMap<i16, Bucket<'a>>,
    holder: Holder,
}

impl<'a> Tables<'a> {
    fn of(
        engine: &Engine,
        me: Registration,
        lane: i16,
        requests: &'a [Request],
        is_new: impl Fn(usize) -> bool,
    ) -> Self {
        let mut buckets: BTreeMap<i16, Bucket<'a>> = BTreeMap::new();
        for (_, request) in requests.iter().enumerate().filter(|(n, _)| is_new(*n)) {
            let bucket = i16::from(request.batch.message.id.bucket());
            buckets.entry(bucket).or_default().push(request);
        }
        for bucket in buckets.values_mut() {
            bucket.deliveries = std::mem::take(&mut bucket.deliveries).finished();
        }
        let now = requests.last().map_or_else(|| engine.now(), |request| request.now);
        Self { buckets, holder: Holder::new(me, now, lane) }
    }

    fn queries(&self) -> Vec<Query<'_>> {
        let mut queries = Vec::new();
        for (bucket, rows) in &self.buckets {
            rows.queries(bucket, &self.holder, &mut queries);
        }
        queries
    }
}

impl<'a> Bucket<'a> {
    fn push(&mut self, request: &'a Request) {
        let (batch, message) = (&request.batch, &request.batch.message);
        self.id.push(message.id.get());
        self.app.push(signed(message.app.0));
        self.channel.push(signed(batch.channel.0));
        self.dialect.push(message.dialect.as_str());
        self.operation.push(&message.operation);
        self.caller.push(&message.user);
        self.priority.push(priority_number(message.priority));
        self.accepted.push(message.accepted.ms());
        self.expires.push(message.expires.ms());
        self.last.push(request.last().get());
        self.attachments.push(i32::try_from(batch.attachments.len()).unwrap_or(i32::MAX));
        self.content.push(&request.content);
        self.client.push(&message.client);
        self.label.push(&request.label);
        self.business.push(&message.label.business);
        for (no, body) in (0..).zip(batch.attachments.iter()) {
            self.files.message.push(message.id.get());
            self.files.no.push(no);
            self.files.body.push(body);
        }
        if let Some(rest) = &request.rest {
            self.sequels.push(rest);
        }
        if batch.content.has_secret() {
            self.secret.push(message.id.get());
        }
        for (page, delivery, place) in request.rows() {
            self.deliveries.push(page, delivery, place);
        }
    }

    fn queries<'q>(&'q self, bucket: &'q i16, holder: &'q Holder, queries: &mut Vec<Query<'q>>) {
        let params: Vec<Param<'q>> = vec![
            bucket,
            &self.id,
            &self.app,
            &self.channel,
            &self.dialect,
            &self.operation,
            &self.caller,
            &self.priority,
            &self.accepted,
            &self.expires,
            &self.last,
            &self.attachments,
            &self.content,
            &self.client,
            &self.label,
            &self.business,
        ];
        queries.push(Query { sql: hot::MESSAGE_INSERT, params });
        self.deliveries.queries(bucket, holder, queries);
        if !self.files.message.is_empty() {
            let params: Vec<Param<'q>> = vec![bucket, &self.files.message, &self.files.no, &self.files.body];
            queries.push(Query { sql: hot::ATTACHMENT_INSERT, params });
        }
        queries.extend(self.sequels.query(bucket));
        if !self.secret.is_empty() {
            queries.push(Query { sql: erasure::ERASURE_INSERT, params: vec![bucket, &self.secret] });
        }
    }
}

/// The idempotency keys of one bucket as columns.
#[derive(Default)]
struct Keys<'a> {
    app: Vec<i32>,
    key: Vec<&'a str>,
    fingerprint: Vec<&'a [u8]>,
    message: Vec<i64>,
    expires: Vec<i64>,
}

impl Keys<'_> {
    /// Keeps the keys of these requests, each once; answers what each request is: new, seen before, or another one under a
    /// known key.
    async fn keep(db: &Session, requests: &[Request]) -> Outcome<Vec<Submitted>> {
        let mut buckets: BTreeMap<i16, Keys<'_>> = BTreeMap::new();
        let mut named: HashSet<(AppNo, &str)> = HashSet::new();
        for request in requests {
            let Some(Idempotency { key, fingerprint }) = &request.batch.idempotency else { continue };
            let (app, message) = (request.batch.message.app, request.batch.message.id);
            // Of several with one key in a commit the first is the one; the others are compared with it.
            if !named.insert((app, key)) {
                continue;
            }
            let keys = buckets.entry(i16::from(bucket_of_key(app, key))).or_default();
            keys.app.push(signed(app.0));
            keys.key.push(key);
            keys.fingerprint.push(fingerprint);
            keys.message.push(message.get());
            keys.expires.push((request.now + limits::IDEMPOTENCY_KEPT).ms());
        }
        let now = requests.last().map_or(0, |request| request.now.ms());
        let mut kept: HashMap<(AppNo, String), (Id, Vec<u8>)> = HashMap::new();
        for (bucket, keys) in &buckets {
            keys.keep_bucket(db, bucket, now, &mut kept).await?;
        }
        let answer = |request: &Request| {
            let Some(Idempotency { key, fingerprint }) = &request.batch.idempotency else { return Submitted::Stored };
            let (app, id) = (request.batch.message.app, request.batch.message.id);
            match kept.get(&(app, key.clone())) {
                Some((first, _)) if *first == id => Submitted::Stored,
                Some((first, said)) if said == fingerprint => Submitted::Seen(*first),
                _ => Submitted::KeyReused,
            }
        };
        Ok(requests.iter().map(answer).collect())
    }

    async fn keep_bucket(
        &self,
        db: &Session,
        bucket: &i16,
        now: i64,
        kept: &mut HashMap<(AppNo, String), (Id, Vec<u8>)>,
    ) -> Outcome<()> {
        let params: [Param<'_>; 7] =
            [bucket, &self.app, &self.key, &self.fingerprint, &self.message, &self.expires, &now];
        db.query(hot::KEYS_KEEP, &params).await?;
        for row in db.query(hot::KEYS_READ, &[bucket, &self.app, &self.key]).await? {
            let (app, key): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
            kept.insert((AppNo(number(app)?), key), (id_read(&row, 2)?, row.try_get(3)?));
        }
        Ok(())
    }
}
