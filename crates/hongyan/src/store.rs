//! The store that is configured: opening it, and looking at it without taking it.

use std::sync::Arc;

use anyhow::bail;
use hongyan_core::{
    directory::DirectoryFault,
    store::{Declaration, Store},
};
use hongyan_store_postgres::{Finding, Grade, Inspected};

use crate::{
    config::{Config, StorePlace},
    plan::Plan,
};

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

/// What a plan would meet in the store, as far as it can be seen without taking the store.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Whether the store may have more than is seen: a database server's is not read, nor one of an earlier version.
    pub may_have_more: bool,
    /// What is declared.
    pub declared: Vec<Declaration>,
    /// What is wrong with the plan's people and groups.
    pub faults: Vec<DirectoryFault>,
}

/// Looks at what `plan` would meet in the store. A store that cannot be read is one that may have more: opening it says why.
///
/// # Errors
/// When the configuration names no store.
pub fn beside(config: &Config, plan: &Plan) -> anyhow::Result<Beside> {
    let change = plan.directory();
    let seen = match config.store()? {
        StorePlace::Sqlite(path) => hongyan_store_sqlite::look(Some(path), &change).ok().flatten(),
        StorePlace::Postgres(_) => None,
    };
    if let Some(hongyan_store_sqlite::Look { declared, faults }) = seen {
        return Ok(Beside { may_have_more: false, declared, faults });
    }
    let alone = hongyan_store_sqlite::look(None, &change)?.unwrap_or_default();
    let is_circle = |fault: &DirectoryFault| matches!(fault, DirectoryFault::Cycle(_));
    let faults = alone.faults.into_iter().filter(is_circle).collect();
    Ok(Beside { may_have_more: true, declared: Vec::new(), faults })
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
