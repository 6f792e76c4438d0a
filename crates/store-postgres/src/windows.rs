//! What is asked of accounts at the same time, in one transaction. The arithmetic is `core`'s; this locks the accounts in the
//! order of their buckets and names, loads what is worked on, and keeps what comes of it: two round trips under the locks,
//! however much is asked.
//!
//! Requests that wait together have no order among them, so they are taken in the one that asks least of the database: of an
//! account first the admissions, that of the latest moment before the others, so that the account moves on once; then the
//! refunds.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};

use hongyan_core::{
    id::{Id, bucket_of_name},
    quota::{Account, Admission, Admitted, Day, Entry, HOUR, OUTDATED_DELETED_MAX, Shortage},
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use crate::{
    session::{Param, Query, Session},
    sql::quota,
    trouble::{Outcome, Trouble},
};

pub(crate) const HOUR_MS: i64 = HOUR.as_millis() as i64;

/// A request to an account.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To admit this.
    Admit(Admission),
    /// To give back up to `amount` units of what was admitted under `id`.
    Refund { account: String, id: Id, amount: u32 },
}

/// What became of a request.
#[derive(Clone, Copy)]
pub(crate) enum Said {
    /// Of one to admit something.
    Admitted(Admitted),
    /// Of one to give something back: how much was.
    GivenBack(u32),
}

impl Ask {
    /// Whose row it needs.
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::Admit(admission) => &admission.account,
            Self::Refund { account, .. } => account,
        }
    }
}

/// Requests, each at its moment. Answers each in its place, or nothing where there is an account that is new and
/// `begins` is not said.
pub(crate) struct Windows<'a> {
    pub(crate) asks: &'a [(Ask, Timestamp)],
    /// Begin the accounts that are not known.
    pub(crate) begins: bool,
}

impl Windows<'_> {
    /// Does it in a transaction, which holds the accounts from now on.
    pub(crate) async fn decide(&self, db: &Session) -> Outcome<Option<Vec<Said>>> {
        let visits = self.visits();
        // What is refunded to an account that never was.
        let mut said = vec![Said::GivenBack(0); self.asks.len()];
        let mut ledgers = Vec::with_capacity(visits.len());
        for (visit, found) in visits.values().zip(self.read(db, &visits).await?) {
            match found {
                Some(found) => ledgers.push(visit.decide(found, &mut said)),
                // Begun now, out of turn among those that are locked already, it might wait for somebody who waits for us.
                None if !visit.admissions.is_empty() => return Ok(None),
                None => {}
            }
        }
        let lasts = write(db, &ledgers).await?;
        for (ledger, lasts) in ledgers.iter().zip(lasts) {
            for (place, shortage) in &ledger.shortages {
                let last = lasts.get(&excess(shortage)).copied();
                said[*place] = Said::Admitted(Admitted::No(shortage.refused(last)));
            }
        }
        Ok(Some(said))
    }

    /// The requests by bucket and account, which is the order in which everybody locks.
    fn visits(&self) -> BTreeMap<(i16, &str), Visit<'_>> {
        let mut visits: BTreeMap<(i16, &str), Visit<'_>> = BTreeMap::new();
        for (place, (ask, now)) in self.asks.iter().enumerate() {
            let account = ask.account();
            let bucket = i16::from(bucket_of_name(account));
            let visit = visits.entry((bucket, account)).or_insert_with(|| Visit::new(bucket, account));
            match ask {
                Ask::Admit(admission) => visit.admissions.push((place, admission, *now)),
                Ask::Refund { id, amount, .. } => visit.refunds.push((place, *id, *amount, *now)),
            }
        }
        for visit in visits.values_mut() {
            visit.prepare();
        }
        visits
    }

    /// Locks the accounts and reads what is needed of them; nothing of those that do not exist.
    async fn read(&self, db: &Session, visits: &BTreeMap<(i16, &str), Visit<'_>>) -> Outcome<Vec<Option<Found>>> {
        let mut queries = Vec::with_capacity(4 * visits.len());
        let mut ends = Vec::with_capacity(visits.len());
        for visit in visits.values() {
            visit.queries(self.begins, &mut queries);
            ends.push(queries.len());
        }
        let answers = db.query_all(&queries).await?;
        ends.into_iter().map(|end| found(&answers[end - 3..end])).collect()
    }
}

/// What is asked of one account.
struct Visit<'a> {
    bucket: i16,
    account: &'a str,
    /// With their places among all requests; the latest moment first.
    admissions: Vec<(usize, &'a Admission, Timestamp)>,
    refunds: Vec<(usize, Id, u32, Timestamp)>,
    /// The entries that are asked about.
    ids: Vec<i64>,
    /// The moment to which the account moves on.
    latest: i64,
    /// The account as it is when it is new.
    begun: [i64; 5],
}

/// What the database has of an account.
struct Found {
    account: Account,
    retired: u64,
    oldest: Option<Timestamp>,
    entries: HashMap<i64, Entry>,
}

/// What is to be written of an account.
struct Ledger<'a> {
    bucket: i16,
    account: &'a str,
    /// The account, if it changed.
    row: Option<[i64; 5]>,
    /// New entries as columns: id, time, day, amount.
    added: [Vec<i64>; 4],
    /// What is left of entries of which something was given back.
    lowered: BTreeMap<i64, i64>,
    /// Who was refused, by their places.
    shortages: Vec<(usize, Shortage)>,
    /// What has to leave the hour for those who may pass then.
    excesses: Vec<i64>,
    /// When the hour began.
    hour_begin: i64,
    /// Entries up to this moment may count nowhere any more, if their day is before `day_begin`.
    outdated: i64,
    day_begin: i64,
    /// How many of them are deleted at most.
    outdated_max: i64,
}

impl<'a> Visit<'a> {
    fn new(bucket: i16, account: &'a str) -> Self {
        Self {
            bucket,
            account,
            admissions: Vec::new(),
            refunds: Vec::new(),
            ids: Vec::new(),
            // A refund moves nothing on.
            latest: i64::MIN,
            begun: [0; 5],
        }
    }

    fn prepare(&mut self) {
        self.admissions.sort_by_key(|(_, _, now)| std::cmp::Reverse(*now));
        let admitted = self.admissions.iter().map(|(_, admission, _)| admission.id);
        let ids: BTreeSet<i64> = admitted.chain(self.refunds.iter().map(|(_, id, ..)| *id)).map(Id::get).collect();
        self.ids = ids.into_iter().collect();
        if let Some((_, admission, now)) = self.admissions.first() {
            self.latest = now.ms();
            self.begun = columns(&Account::new(admission.day, *now));
        }
    }

    /// The statements that lock the account and read what is needed of it: the last three.
    fn queries<'q>(&'q self, begins: bool, queries: &mut Vec<Query<'q>>) {
        let who: [Param<'q>; 2] = [&self.bucket, &self.account];
        if begins && !self.admissions.is_empty() {
            queries.push(Query { sql: quota::ACCOUNT_BEGIN, params: with(&who, self.begun.iter().map(param)) });
        }
        queries.push(Query { sql: quota::ACCOUNT_LOCK, params: who.to_vec() });
        queries.push(Query { sql: quota::ACCOUNT, params: with(&who, [param(&self.latest), &HOUR_MS]) });
        queries.push(Query { sql: quota::ENTRIES, params: with(&who, [&self.ids as Param<'q>]) });
    }

    fn decide(&self, found: Found, said: &mut [Said]) -> Ledger<'a> {
        let Found { mut account, retired, oldest, mut entries } = found;
        let mut ledger = Ledger::new(self.bucket, self.account);
        let mut retired = Some(retired);
        for (place, admission, now) in &self.admissions {
            account = account.moved_on(retired.take().unwrap_or(0), admission.day, *now);
            if let hash_map::Entry::Vacant(vacant) = entries.entry(admission.id.get()) {
                match account.admit(admission) {
                    Ok(entry) => {
                        ledger.add(admission.id, &entry);
                        vacant.insert(entry);
                    }
                    Err(shortage) => {
                        ledger.refuse(*place, shortage, &account);
                        continue;
                    }
                }
            }
            said[*place] = Said::Admitted(Admitted::Yes(account.sums()));
        }
        for (place, id, amount, now) in &self.refunds {
            let Some(entry) = entries.get_mut(&id.get()) else { continue };
            let given = account.refund(entry, *amount, *now);
            if given > 0 {
                ledger.lowered.insert(id.get(), i64::from(entry.amount));
            }
            said[*place] = Said::GivenBack(given);
        }
        if !self.admissions.is_empty() || !ledger.lowered.is_empty() {
            ledger.row = Some(columns(&account));
        }
        ledger.clean(&account, oldest, self.admissions.len());
        ledger
    }
}

impl<'a> Ledger<'a> {
    fn new(bucket: i16, account: &'a str) -> Self {
        Self {
            bucket,
            account,
            row: None,
            added: Default::default(),
            lowered: BTreeMap::new(),
            shortages: Vec::new(),
            excesses: Vec::new(),
            hour_begin: 0,
            outdated: 0,
            day_begin: 0,
            outdated_max: 0,
        }
    }

    fn add(&mut self, id: Id, entry: &Entry) {
        let values = [id.get(), entry.at.ms(), entry.day.ms(), i64::from(entry.amount)];
        for (column, value) in self.added.iter_mut().zip(values) {
            column.push(value);
        }
    }

    fn refuse(&mut self, place: usize, shortage: Shortage, account: &Account) {
        self.shortages.push((place, shortage));
        // More than there is in the hour cannot leave it.
        if shortage.hour_excess() > 0 && shortage.hour_excess() <= account.sums().hour {
            self.excesses.push(excess(&shortage));
            self.excesses.sort_unstable();
            self.excesses.dedup();
        }
    }

    /// Of what counts nowhere any more, if there is such, a share for each admission is to go.
    fn clean(&mut self, account: &Account, oldest: Option<Timestamp>, admissions: usize) {
        self.hour_begin = (account.seen - HOUR).ms();
        self.day_begin = account.today.begin.ms();
        // What is of an earlier day was admitted before this one began: no entries of today are looked at in vain.
        self.outdated = self.hour_begin.min(self.day_begin - 1);
        if oldest.is_some_and(|at| at.ms() <= self.outdated) {
            self.outdated_max = i64::try_from(OUTDATED_DELETED_MAX * admissions).unwrap_or(i64::MAX);
        }
    }

    /// The statements that write it. What leaves the hour is asked for when the new entries are there, and before anything is
    /// given back.
    fn queries<'q>(&'q self, queries: &mut Vec<Query<'q>>) {
        let who: [Param<'q>; 2] = [&self.bucket, &self.account];
        if !self.added[0].is_empty() {
            let added = self.added.iter().map(|column| column as Param<'q>);
            queries.push(Query { sql: quota::ENTRIES_ADD, params: with(&who, added) });
        }
        if !self.excesses.is_empty() {
            let params = with(&who, [param(&self.hour_begin), &self.excesses]);
            queries.push(Query { sql: quota::LAST_TO_LEAVE, params });
        }
        for (id, amount) in &self.lowered {
            queries.push(Query { sql: quota::ENTRY_LOWER, params: with(&who, [param(id), amount]) });
        }
        if let Some(row) = &self.row {
            queries.push(Query { sql: quota::ACCOUNT_WRITE, params: with(&who, row.iter().map(param)) });
        }
        if self.outdated_max > 0 {
            let params = with(&who, [param(&self.outdated), &self.day_begin, &self.outdated_max]);
            queries.push(Query { sql: quota::OUTDATED_DELETE, params });
        }
    }
}

/// What the last three statements about an account have answered.
fn found(answers: &[Vec<SqlRow>]) -> Outcome<Option<Found>> {
    let [locked, account, entries] = answers else { return Ok(None) };
    // Begun by somebody else after the lock had found nothing to hold, it is there, but not ours.
    let (Some(_), Some(row)) = (locked.first(), account.first()) else { return Ok(None) };
    let (account, retired) = account_read(row)?;
    let oldest = row.try_get::<_, Option<i64>>(6)?.map(Timestamp::from_ms);
    let entries = entries.iter().map(|row| {
        let amount: i64 = row.try_get(3)?;
        let amount = u32::try_from(amount).map_err(|_| Trouble::Damaged(format!("an admission of {amount}")))?;
        let entry = Entry { at: time(row, 1)?, day: time(row, 2)?, amount };
        Ok((row.try_get(0)?, entry))
    });
    Ok(Some(Found { account, retired, oldest, entries: entries.collect::<Outcome<_>>()? }))
}

/// Reads what `ACCOUNT` answers.
pub(crate) fn account_read(row: &SqlRow) -> Outcome<(Account, u64)> {
    let sum = |column| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
    let account = Account {
        seen: time(row, 0)?,
        hour: sum(1)?,
        day: sum(2)?,
        today: Day { begin: time(row, 3)?, end: time(row, 4)? },
    };
    Ok((account, sum(5)?))
}

/// Writes the ledgers; answers for each when its excesses will have left the hour.
async fn write(db: &Session, ledgers: &[Ledger<'_>]) -> Outcome<Vec<HashMap<i64, Timestamp>>> {
    let mut queries = Vec::with_capacity(4 * ledgers.len());
    let mut ends = Vec::with_capacity(ledgers.len());
    for ledger in ledgers {
        ledger.queries(&mut queries);
        ends.push(queries.len());
    }
    let answers = db.query_all(&queries).await?;
    let mut begin = 0;
    let lasts = ends.into_iter().map(|end| {
        // Of these statements only the one about the hour answers rows.
        let rows = answers[begin..end].iter().flatten();
        begin = end;
        rows.map(|row| Ok((row.try_get(0)?, time(row, 1)?))).collect()
    });
    lasts.collect()
}

fn excess(shortage: &Shortage) -> i64 {
    i64::try_from(shortage.hour_excess()).unwrap_or(i64::MAX)
}

/// An account as the columns after its name.
fn columns(account: &Account) -> [i64; 5] {
    let Account { seen, hour, day, today } = account;
    let [hour, day] = [*hour, *day].map(|sum| i64::try_from(sum).unwrap_or(i64::MAX));
    [seen.ms(), hour, day, today.begin.ms(), today.end.ms()]
}

fn time(row: &SqlRow, column: usize) -> Outcome<Timestamp> {
    Ok(Timestamp::from_ms(row.try_get(column)?))
}

fn param(number: &i64) -> Param<'_> {
    number
}

fn with<'q>(who: &[Param<'q>; 2], more: impl IntoIterator<Item = Param<'q>>) -> Vec<Param<'q>> {
    who.iter().copied().chain(more).collect()
}
