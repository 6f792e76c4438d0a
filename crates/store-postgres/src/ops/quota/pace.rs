//! Taking tokens of a pace. The arithmetic is `core`'s; the row of the pace is locked while it is done.

use std::time::Duration;

use async_trait::async_trait;
use hongyan_core::{
    id::bucket_of_name,
    pace::{Meter, Tokens},
    time::Timestamp,
};

use crate::{
    engine::{Operation, Transaction},
    session::Query,
    sql::quota,
    trouble::{Outcome, Trouble},
};

/// The operation.
pub(crate) struct TokensTake {
    pub key: String,
    pub rate: f64,
    pub burst: u32,
    pub want: u32,
    pub now: Timestamp,
}

#[async_trait]
impl Operation for TokensTake {
    type Answer = Tokens;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Tokens> {
        let (bucket, now) = (i16::from(bucket_of_name(&self.key)), self.now.ms());
        let lock = [
            Query { sql: quota::METER_BEGIN, params: vec![&bucket, &self.key, &now] },
            Query { sql: quota::METER_LOCK, params: vec![&bucket, &self.key] },
        ];
        let found = tx.db.query_all(&lock).await?;
        let row = found.iter().flatten().next();
        let row = row.ok_or_else(|| Trouble::Damaged(format!("the pace {:?} is gone", self.key)))?;
        let ahead = u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0);
        let mut meter = Meter { seen: Timestamp::from_ms(row.try_get(0)?), ahead: Duration::from_nanos(ahead) };
        let tokens = meter.take(self.rate, self.burst, self.want, self.now);
        let ahead = i64::try_from(meter.ahead.as_nanos()).unwrap_or(i64::MAX);
        tx.db.execute(quota::METER_WRITE, &[&bucket, &self.key, &meter.seen.ms(), &ahead]).await?;
        Ok(tokens)
    }
}
