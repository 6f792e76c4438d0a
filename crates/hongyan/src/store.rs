//! The store that is configured: opening it, and looking at it without taking it.

use std::sync::Arc;

use anyhow::bail;
use hongyan_core::store::Store;
use hongyan_store_postgres::{Finding, Grade, Inspected};

use crate::config::{Config, StorePlace};

/// Opens the store. `is_unsafe`: also on a database that may lose what it has confirmed.
///
/// # Errors
/// What keeps it from being used, in words for the operator.
pub async fn open(config: &Config, is_unsafe: bool) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match config.store()? {
        StorePlace::Sqlite(path) => hongyan_store_sqlite::open(path, hongyan_store_sqlite::Options::default()).await?,
        StorePlace::Postgres(url) => {
            let options = hongyan_store_postgres::Options { is_unsafe, ..hongyan_store_postgres::Options::default() };
            hongyan_store_postgres::open(url, options).await?
        }
    })
}

/// What a look at the store finds, for people; nothing is changed.
///
/// # Errors
/// What would keep a node from using it.
pub async fn inspect(config: &Config) -> anyhow::Result<String> {
    match config.store()? {
        StorePlace::Sqlite(path) => Ok(hongyan_store_sqlite::inspect(path)?.to_string()),
        StorePlace::Postgres(url) => described(&hongyan_store_postgres::inspect(url).await?),
    }
}

/// Whether there is a store yet.
///
/// # Errors
/// When it cannot be looked at.
pub async fn exists(config: &Config) -> anyhow::Result<bool> {
    Ok(match config.store()? {
        StorePlace::Sqlite(path) => hongyan_store_sqlite::inspect(path)? != hongyan_store_sqlite::Inspected::Absent,
        StorePlace::Postgres(url) => hongyan_store_postgres::inspect(url).await?.schema_version.is_some(),
    })
}

/// Whether the store cannot be opened because the configuration names it wrongly.
pub fn is_misnamed(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(hongyan_store_postgres::OpenError::Url(_)))
}

fn described(found: &Inspected) -> anyhow::Result<String> {
    let says = |grades: &[Grade]| {
        let findings = found.findings.iter().filter(|finding| grades.contains(&finding.grade));
        findings.map(|Finding { says, .. }| says.as_str()).collect::<Vec<_>>().join("; ")
    };
    let objections = says(&[Grade::Impossible, Grade::Unsafe]);
    if !objections.is_empty() {
        bail!("the server is not fit for a store: {objections}");
    }
    let state = match found.schema_version {
        Some(version) => format!("has schema version {version}, which this program opens"),
        None => "will be made at the first start".to_owned(),
    };
    let advice = says(&[Grade::Warning, Grade::Note]);
    let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
    Ok(format!("{state} (PostgreSQL {}){advice}", found.server_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_said() {
        let found = |grade| Inspected {
            server_version: "15.1".to_owned(),
            is_encrypted: false,
            schema_version: None,
            known_version: 1,
            findings: vec![Finding { grade, says: "it is so".to_owned() }],
        };
        let said = described(&found(Grade::Warning)).expect("usable");
        assert_eq!(said, "will be made at the first start (PostgreSQL 15.1); it is so");
        for grade in [Grade::Impossible, Grade::Unsafe] {
            assert!(described(&found(grade)).expect_err("unfit").to_string().contains("it is so"));
        }
    }
}
