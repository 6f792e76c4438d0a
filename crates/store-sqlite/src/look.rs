//! What a plan would meet in a store, looked at beside a running node too, and without making a store where there is none.

use std::path::Path;

use hongyan_core::{
    directory::{DirectoryChange, DirectoryFault},
    store::Declaration,
};
use rusqlite::Connection;

use crate::{
    open::{OpenError, Opening},
    ops::directory::compare,
    place::canonical,
    reads, schema,
    trouble::Outcome,
};

/// What [`look`] sees.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// What is declared.
    pub declared: Vec<Declaration>,
    /// What is wrong with the change of the directory, as making it would tell.
    pub faults: Vec<DirectoryFault>,
}

/// Looks at what the store in `file` declares and whether `change` fits its directory; without a file, or where nothing is in it,
/// at what a new store would have. `None` where an earlier version of the program has made the store: only opening it makes it one of
/// this version. Blocks. Not for a process that has the store open itself.
///
/// # Errors
/// When the file is not a store, is newer or cannot be read.
pub fn look(file: Option<&Path>, change: &DirectoryChange) -> Result<Option<Look>, OpenError> {
    let name = file.map(|file| canonical(file).unwrap_or_else(|_| file.to_owned())).unwrap_or_default();
    let store = Opening::of(name);
    let seen = if file.is_some() && store.sniff()? {
        let db = store.connect_reading()?;
        if store.version_check(&db)? < schema::VERSION {
            return Ok(None);
        }
        seen(&db, change)
    } else {
        empty().and_then(|db| seen(&db, change))
    };
    seen.map(Some).map_err(|trouble| store.unusable("read", trouble.told()))
}

/// A store that has nothing.
fn empty() -> Outcome<Connection> {
    let mut db = Connection::open_in_memory()?;
    schema::migrate(&mut db, 0)?;
    Ok(db)
}

fn seen(db: &Connection, change: &DirectoryChange) -> Outcome<Look> {
    let (_, declared) = reads::declarations(db)?;
    Ok(Look { declared, faults: compare(db, change)?.report.faults })
}
