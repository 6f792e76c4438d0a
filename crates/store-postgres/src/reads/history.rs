//! What accounts have sent, the newest first. How many deliveries there are is counted by account and day, so a total is a sum of
//! few numbers, whole days are left out without being read, and of the rest only those are opened that the page is in. What a
//! filter selects is looked for a few days at a time, the newest first, until there is enough. All of it is read as of one
//! moment: a delivery that is finished meanwhile is found once.

use std::collections::{BTreeMap, HashMap};

use hongyan_core::{
    account::AccountNo,
    content::{Content, Text},
    delivery::{Reason, State},
    history::{COUNTED_MAX, HistoryFilter, HistoryPage, HistoryRow},
    id::Id,
    limits,
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use super::by_bucket;
use crate::{
    days::{Day, begin_of, day_of, lowest_id},
    engine::Engine,
    memory::BUCKETS,
    row::{id_read, number, signed, state_number},
    session::{Param, Query, Session},
    sql::history as sql,
    trouble::{Outcome, Trouble},
};

/// How many deliveries are looked through at once for what a filter selects, about: less than a second's work.
const ROWS_AT_ONCE: u64 = 200_000;

/// How many there may be of which an index has together what a filter selects.
fn rows_at_once(filter: &HistoryFilter) -> u64 {
    match (&filter.channels, &filter.recipient, filter.failed) {
        (None, Some(_), None) | (None, None, Some(true)) => u64::MAX,
        _ => ROWS_AT_ONCE,
    }
}

/// Those that `filter` selects, the newest first, `skip` of them left out, at most `limit`.
pub(crate) async fn history(engine: &Engine, filter: HistoryFilter, skip: usize, limit: usize) -> Outcome<HistoryPage> {
    let db = engine.pool.lend().await?;
    db.enter();
    db.begin_reading().await?;
    let page = page(&db, &filter, skip, limit).await;
    // Nothing was changed: this ends it as well as a commit would.
    db.rollback().await;
    db.settled();
    page
}

async fn page(db: &Session, filter: &HistoryFilter, skip: usize, limit: usize) -> Outcome<HistoryPage> {
    let counted = Counted::read(db, filter.account).await?;
    let (mut skip, limit) = (wide(skip), wide(limit));
    let by_day = counted.by_day();
    let spans = match filter.is_plain() {
        true => Span::of_page(&by_day, &mut skip, limit).into_iter().collect(),
        false => Span::of_filter(&by_day, filter),
    };
    let found = Found::look(db, filter, &counted, &spans, skip.saturating_add(limit)).await?;
    let total = if filter.is_plain() { by_day.values().sum() } else { found.count.min(COUNTED_MAX) };
    let ids = found.ids.into_iter().skip(narrow(skip)).take(narrow(limit));
    Ok(HistoryPage { rows: rows(db, ids.collect()).await?, total })
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn narrow(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// How many deliveries there are, by bucket and day.
struct Counted(Vec<(i16, BTreeMap<Day, u64>)>);

impl Counted {
    async fn read(db: &Session, account: Option<AccountNo>) -> Outcome<Self> {
        let buckets: Vec<i16> = match account {
            Some(account) => vec![i16::from(account.bucket())],
            None => (0..BUCKETS).map(i16::from).collect(),
        };
        let account = account.map(|account| signed(account.0));
        let query = |bucket| match &account {
            Some(account) => Query { sql: sql::SENT, params: vec![bucket as _, account as _] },
            None => Query { sql: sql::SENT_BY_ALL, params: vec![bucket as _] },
        };
        let answers = db.query_all(&buckets.iter().map(query).collect::<Vec<_>>()).await?;
        let mut counted = Vec::new();
        for (bucket, rows) in buckets.iter().zip(answers).filter(|(_, rows)| !rows.is_empty()) {
            let day =
                |row: &SqlRow| Ok((Day::from(row.try_get::<_, i32>(0)?), row.try_get::<_, i64>(1)?.unsigned_abs()));
            counted.push((*bucket, rows.iter().map(day).collect::<Outcome<_>>()?));
        }
        Ok(Self(counted))
    }

    fn by_day(&self) -> BTreeMap<Day, u64> {
        let mut sums = BTreeMap::new();
        for (day, rows) in self.0.iter().flat_map(|(_, days)| days) {
            *sums.entry(*day).or_default() += rows;
        }
        sums
    }

    /// The buckets that have anything on these days.
    fn buckets(&self, span: &Span) -> Vec<i16> {
        let has = |days: &BTreeMap<Day, u64>| days.range(span.first..=span.last).next().is_some();
        self.0.iter().filter(|(_, days)| has(days)).map(|(bucket, _)| *bucket).collect()
    }
}

/// Days that are looked into at once.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    first: Day,
    last: Day,
}

impl Span {
    /// Where a page lies among all deliveries; `skip` is less by what the days behind it have.
    fn of_page(by_day: &BTreeMap<Day, u64>, skip: &mut u64, limit: u64) -> Option<Self> {
        let mut days = by_day.iter().rev();
        let (last, mut rows) = loop {
            let (day, rows) = days.next()?;
            match skip.checked_sub(*rows) {
                Some(left) => *skip = left,
                None => break (*day, *rows),
            }
        };
        let mut first = last;
        while rows < skip.saturating_add(limit) {
            let Some((day, more)) = days.next() else { break };
            (first, rows) = (*day, rows + more);
        }
        Some(Self { first, last })
    }

    /// Where something may lie that a filter selects, the newest first, in pieces of about [`rows_at_once`].
    fn of_filter(by_day: &BTreeMap<Day, u64>, filter: &HistoryFilter) -> Vec<Self> {
        let since = filter.since.map_or(Day::MIN, day_of);
        let until = filter.before.map_or(Day::MAX, |before| day_of(later(before)));
        let mut spans: Vec<Self> = Vec::new();
        let at_once = rows_at_once(filter);
        let mut rows = 0;
        for (day, more) in by_day.iter().rev().filter(|(day, _)| (since..=until).contains(*day)) {
            match spans.last_mut() {
                Some(span) if rows + more <= at_once => (span.first, rows) = (*day, rows + more),
                _ => {
                    spans.push(Self { first: *day, last: *day });
                    rows = *more;
                }
            }
        }
        spans
    }
}

/// The last moment that an id of what was accepted at `moment` may have.
fn later(moment: Timestamp) -> Timestamp {
    Timestamp::from_ms(moment.ms().saturating_add(limits::ID_BORROW_MAX.as_millis() as i64))
}

/// Ids of deliveries that are selected, the newest first, and how many there are as far as they were counted.
#[derive(Default)]
struct Found {
    ids: Vec<Id>,
    count: u64,
}

/// The ids between which is looked.
struct Between {
    from: i64,
    to: i64,
    /// When what has these ids was accepted.
    since: i64,
    before: i64,
    /// Between these it is certain that it was accepted then.
    sure_from: i64,
    sure_to: i64,
}

impl Between {
    fn new(span: &Span, filter: &HistoryFilter) -> Self {
        let (first, end) = (begin_of(span.first), begin_of(span.last + 1));
        let since = filter.since.unwrap_or(first);
        let before = filter.before.unwrap_or(end);
        let id = |moment: Timestamp| lowest_id(moment.clamp(first, end));
        Self {
            from: id(since),
            to: id(Timestamp::from_ms(later(before).ms().saturating_add(1))),
            since: filter.since.map_or(i64::MIN, Timestamp::ms),
            before: filter.before.map_or(i64::MAX, Timestamp::ms),
            sure_from: id(filter.since.map_or(first, later)),
            sure_to: id(before),
        }
    }
}

impl Found {
    /// Looks into days, in their order, for so many that are selected.
    async fn look(
        db: &Session,
        filter: &HistoryFilter,
        counted: &Counted,
        spans: &[Span],
        wanted: u64,
    ) -> Outcome<Self> {
        let mut found = Self::default();
        for span in spans {
            found.look_into(db, filter, &counted.buckets(span), span, wanted).await?;
            if wide(found.ids.len()) >= wanted && found.count >= COUNTED_MAX {
                break;
            }
        }
        found.ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Looks into all buckets at once.
    async fn look_into(
        &mut self,
        db: &Session,
        filter: &HistoryFilter,
        buckets: &[i16],
        span: &Span,
        wanted: u64,
    ) -> Outcome<()> {
        let asked = Asked::new(span, filter);
        let most = if filter.is_plain() { wanted } else { wanted.max(COUNTED_MAX) };
        // Where every bucket has something, a share of each is counted far enough.
        let share = most.min(wanted.max(2 * COUNTED_MAX / wide(buckets.len().max(1))));
        let mut answers = asked.of(db, buckets, wanted, share).await?;
        let count: u64 = answers.iter().map(|answer| answer.count).sum();
        if share < most && self.count + count < COUNTED_MAX {
            let places: Vec<usize> = (0..answers.len()).filter(|place| answers[*place].count >= share).collect();
            let buckets: Vec<i16> = places.iter().map(|place| buckets[*place]).collect();
            for (place, answer) in places.into_iter().zip(asked.of(db, &buckets, wanted, most).await?) {
                answers[place] = answer;
            }
        }
        for answer in answers {
            self.count += answer.count;
            self.ids.extend(answer.ids);
        }
        Ok(())
    }
}

/// What is asked of buckets.
struct Asked {
    between: Between,
    channels: Option<Vec<i32>>,
    recipient: Option<String>,
    states: Option<Vec<i16>>,
    app: Option<i32>,
    sql: &'static str,
}

impl Asked {
    fn new(span: &Span, filter: &HistoryFilter) -> Self {
        let channels = filter.channels.as_ref();
        let is_own = filter.account.is_some();
        // To one recipient there is less than what came to nothing.
        let sql = match (&filter.recipient, filter.failed) {
            (Some(_), _) if is_own => sql::OWN_TO,
            (Some(_), _) => sql::ALL_ACCOUNTS_TO,
            (None, Some(true)) if is_own => sql::OWN_FAILED,
            (None, Some(true)) => sql::ALL_ACCOUNTS_FAILED,
            (None, _) if is_own => sql::OWN,
            (None, _) => sql::ALL_ACCOUNTS,
        };
        Self {
            sql,
            between: Between::new(span, filter),
            channels: channels.map(|channels| channels.iter().map(|channel| signed(channel.0)).collect()),
            // PostgreSQL's texts cannot hold NUL.
            recipient: filter.recipient.as_ref().map(|recipient| recipient.replace('\0', "\u{fffd}")),
            states: filter.failed.map(|failed| states(failed).map(state_number).collect()),
            app: filter.account.map(|account| signed(account.as_app().0)),
        }
    }

    /// What each of these buckets has: the first `wanted`, and how many there are, as far as `looked_at`.
    async fn of(&self, db: &Session, buckets: &[i16], wanted: u64, looked_at: u64) -> Outcome<Vec<Found>> {
        // A count comes with the first row.
        let [wanted, looked_at] = [wanted.max(1), looked_at].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let query = |bucket| {
            let Self { between, channels, recipient, states, app, sql } = self;
            let Between { from, to, since, before, sure_from, sure_to } = between;
            let mut params: Vec<Param<'_>> =
                vec![bucket as _, from as _, to as _, &looked_at as _, channels as _, recipient as _];
            params.extend([states as Param<'_>, since as _, before as _, sure_from as _, sure_to as _, &wanted as _]);
            params.extend(app.as_ref().map(|app| app as Param<'_>));
            Query { sql, params }
        };
        let answers = db.query_all(&buckets.iter().map(query).collect::<Vec<_>>()).await?;
        let found = answers.iter().map(|rows| {
            let ids = rows.iter().map(|row| id_read(row, 0)).collect::<Outcome<_>>()?;
            let count = rows.first().map_or(Ok(0), |row| row.try_get::<_, i64>(1))?;
            Ok(Found { ids, count: count.unsigned_abs() })
        });
        found.collect()
    }
}

/// The states of what came to nothing, or of all else.
fn states(failed: bool) -> impl Iterator<Item = State> {
    let is_failed = |state: &State| state.is_failure() || *state == State::Undelivered;
    State::ALL.into_iter().filter(move |state| is_failed(state) == failed)
}

/// What a message says to all of its rows.
struct Said {
    accepted: Timestamp,
    client: String,
    content: Content,
}

/// These deliveries, in this order.
async fn rows(db: &Session, ids: Vec<Id>) -> Outcome<Vec<HistoryRow>> {
    let mut delivered: HashMap<Id, SqlRow> = HashMap::new();
    for row in ask(db, sql::ROWS, ids.iter().copied()).await? {
        delivered.insert(id_read(&row, 0)?, row);
    }
    let messages = delivered.values().map(|row| id_read(row, 1)).collect::<Outcome<Vec<_>>>()?;
    let mut said: HashMap<Id, Said> = HashMap::new();
    for row in ask(db, sql::MESSAGES, messages.into_iter()).await? {
        let message = id_read(&row, 0)?;
        let content = Content::from_bytes(row.try_get(3)?).unwrap_or_else(|error| {
            tracing::error!(%message, %error, "what a message says is damaged; its history is shown without");
            nothing()
        });
        let accepted = Timestamp::from_ms(row.try_get(1)?);
        said.insert(message, Said { accepted, client: row.try_get(2)?, content });
    }
    ids.iter().filter_map(|id| delivered.get(id)).map(|row| history_row(row, &said)).collect()
}

fn nothing() -> Content {
    Content::Text(Text::default())
}

/// Asks each bucket about ids of its own.
async fn ask(db: &Session, sql: &'static str, ids: impl Iterator<Item = Id>) -> Outcome<Vec<SqlRow>> {
    let buckets = by_bucket(ids);
    let queries = buckets.iter().map(|(bucket, ids)| Query { sql, params: vec![bucket as _, ids as _] });
    Ok(db.query_all(&queries.collect::<Vec<_>>()).await?.into_iter().flatten().collect())
}

fn history_row(row: &SqlRow, said: &HashMap<Id, Said>) -> Outcome<HistoryRow> {
    let (id, app, state) = (id_read(row, 0)?, AppNo(number(row.try_get(2)?)?), row.try_get::<_, i16>(5)?);
    let account = AccountNo::of_app(app).ok_or_else(|| Trouble::Damaged(format!("delivery {id} of no account")))?;
    let state = u8::try_from(state).ok().and_then(State::from_number);
    // A message may have been forgotten with its day, and its last deliveries lie in the next one.
    let said = said.get(&id_read(row, 1)?);
    Ok(HistoryRow {
        id,
        account,
        client: said.map_or_else(String::new, |said| said.client.clone()),
        channel: ChannelNo(number(row.try_get(3)?)?),
        recipient: row.try_get(4)?,
        accepted: said.map_or_else(|| id.time(), |said| said.accepted),
        state: state.ok_or_else(|| Trouble::Damaged(format!("delivery {id} in no state")))?,
        reason: row.try_get::<_, Option<&str>>(6)?.and_then(Reason::from_name),
        reply: row.try_get::<_, Option<String>>(7)?.unwrap_or_default(),
        content: said.map_or_else(nothing, |said| said.content.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(mut skip: u64, limit: u64) -> Option<(Day, Day, u64)> {
        let by_day = BTreeMap::from([(1, 5), (3, 2), (4, 10)]);
        let span = Span::of_page(&by_day, &mut skip, limit)?;
        Some((span.first, span.last, skip))
    }

    #[test]
    fn a_page_lies_on_as_few_days_as_there_can_be() {
        for (skip, limit, expected) in [
            (0, 10, Some((4, 4, 0))),
            (0, 11, Some((3, 4, 0))),
            (9, 1, Some((4, 4, 9))),
            (9, 2, Some((3, 4, 9))),
            (10, 2, Some((3, 3, 0))),
            (11, 2, Some((1, 3, 1))),
            (12, 1, Some((1, 1, 0))),
            (16, 99, Some((1, 1, 4))),
            (17, 1, None),
        ] {
            assert_eq!(page(skip, limit), expected, "{skip}, {limit}");
        }
        assert_eq!(Span::of_page(&BTreeMap::new(), &mut 0, 1), None);
    }

    #[test]
    fn a_filter_looks_through_its_days_in_bounded_pieces() {
        let half = ROWS_AT_ONCE / 2;
        let by_day = BTreeMap::from([(1, 1), (2, half), (4, half), (5, 9 * half), (6, 1), (9, half)]);
        let pieces = |filter: &HistoryFilter| -> Vec<(Day, Day)> {
            Span::of_filter(&by_day, filter).iter().map(|span| (span.first, span.last)).collect()
        };
        let failed = HistoryFilter { failed: Some(true), ..HistoryFilter::default() };
        assert_eq!(pieces(&failed), [(1, 9)], "an index has them together");
        let all = HistoryFilter { failed: Some(false), ..failed };
        assert_eq!(pieces(&all), [(6, 9), (5, 5), (2, 4), (1, 1)]);
        let since = HistoryFilter { since: Some(begin_of(5)), ..all.clone() };
        assert_eq!(pieces(&since), [(6, 9), (5, 5)]);
        let before = HistoryFilter { before: Some(begin_of(4)), ..since.clone() };
        assert_eq!(pieces(&before), []);
        // What was accepted just before a day begins may have an id of that day.
        let before = HistoryFilter { before: Some(begin_of(4)), ..all };
        assert_eq!(pieces(&before), [(2, 4), (1, 1)]);
    }

    #[test]
    fn ids_are_bound_by_moments_however_far_away() {
        let span = Span { first: 20_000, last: 20_001 };
        let far = [Timestamp::from_ms(i64::MIN), Timestamp::from_ms(i64::MAX)];
        let all = Between::new(&span, &HistoryFilter::default());
        assert_eq!((all.from, all.to), (lowest_id(begin_of(20_000)), lowest_id(begin_of(20_002))));
        assert_eq!((all.sure_from, all.sure_to), (all.from, all.to));
        let filter = HistoryFilter { since: Some(far[0]), before: Some(far[1]), ..HistoryFilter::default() };
        let bound = Between::new(&span, &filter);
        assert_eq!((bound.from, bound.to, bound.sure_from, bound.sure_to), (all.from, all.to, all.from, all.to));
        let filter = HistoryFilter { since: Some(far[1]), ..HistoryFilter::default() };
        assert!(Between::new(&span, &filter).from >= all.to);
    }
}
