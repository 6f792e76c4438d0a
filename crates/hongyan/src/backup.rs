//! `hongyan backup`, `restore` and `review`: the embedded store into a file and back, and what is held because of it. Only
//! SQLite's: PostgreSQL has better tools of its own. Data goes to standard output, one `name value` or one row a line.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};
use hongyan_core::time::{Clock, SystemClock};
use hongyan_store_sqlite::{Inspected, Restore};

use crate::{config::Config, talk::say, vault::Vault};

/// Where the embedded store is.
///
/// # Errors
/// When the store is another one.
pub fn embedded(config: &Config) -> anyhow::Result<&Path> {
    if config.store.starts_with("postgres:") || config.store.starts_with("postgresql:") {
        bail!(
            "`store` names a PostgreSQL database, which is backed up and restored by PostgreSQL's own tools: pg_basebackup \
             with an archive of the write-ahead log (point-in-time recovery), or pg_dump; this command is for sqlite:PATH"
        );
    }
    config.sqlite_path()
}

/// Copies the store in `file` to `to`, whether or not a node runs on it.
///
/// # Errors
/// When it cannot be copied, in words for the operator.
pub fn backup(config: &Config, file: &Path, to: &Path) -> anyhow::Result<()> {
    let held = hongyan_store_sqlite::backup(file, to)?;
    writeln!(io::stdout(), "messages {}\nopen_deliveries {}", held.messages, held.open)?;
    say(&format!(
        "hongyan: {} is the store as it stood when this began. It is of no use without the key file {}: keep a copy of that, too, \
         and apart from it, for with both every credential in it can be read.",
        to.display(),
        config.secret_file.display()
    ));
    Ok(())
}

/// Puts the backup `from` where the store `file` should be.
///
/// # Errors
/// When it cannot be put there, in words for the operator.
pub fn restore(config: &Config, file: &Path, from: &Path) -> anyhow::Result<()> {
    let restore = Restore::begin(from, file)?;
    let check = restore.note(Vault::CHECK_NOTE)?;
    Vault::confirm(&config.secret_file, check.as_deref())
        .with_context(|| format!("{} cannot be restored without the key file that it was made with", from.display()))?;
    let held = restore.finish(SystemClock.now())?;
    writeln!(io::stdout(), "messages {}\nheld_deliveries {}", held.messages, held.open)?;
    if held.open > 0 {
        say(&format!(
            "hongyan: {} deliveries were open when the backup was made and may have been sent since. They are held for review \
             (state unknown, reason restored) and are not sent again; `hongyan review` lists their messages.",
            held.open
        ));
    }
    Ok(())
}

/// Lists the messages with deliveries that are held since a restore: message id, channel, recipients held, time of acceptance.
///
/// # Errors
/// When the store cannot be read, in words for the operator.
pub fn review(file: &Path) -> anyhow::Result<()> {
    if hongyan_store_sqlite::inspect(file)? == Inspected::Absent {
        bail!("there is no store at {}", file.display());
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    for held in hongyan_store_sqlite::review(file)? {
        writeln!(out, "{}\t{}\t{}\t{}", held.message, held.channel, held.recipients, held.accepted)?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_store_is_left_to_its_own_tools() {
        let of = |store: &str| Config { store: store.to_owned(), ..Config::default() };
        for store in ["postgres://db/hongyan", "postgresql://db/hongyan"] {
            let said = embedded(&of(store)).expect_err("not SQLite").to_string();
            assert!(said.contains("pg_basebackup") && said.contains("point-in-time"), "{said}");
        }
        assert_eq!(embedded(&of("sqlite:a.db")).expect("SQLite"), Path::new("a.db"));
    }
}
