//! Does the server keep what it confirms (`guides/reliability.md` A4.6)? Each setting on which that rests is looked at before
//! the first message is accepted: a success reply of ours is worth no more than the commit behind it.

use std::collections::HashMap;

use crate::{session::Session, sql::cold, trouble::Outcome};

/// The oldest version of the server that is known to do what the statements ask for.
const OLDEST_SERVER: i32 = 13;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// The store cannot work there.
    Impossible,
    /// What is confirmed may be lost: refused unless told otherwise.
    Unsafe,
    /// Worth changing.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something about a server that somebody should know: which setting, its value, what that means and what to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub grade: Grade,
    /// What it is, for people.
    pub says: String,
}

/// A setting on which durability rests.
struct Rule {
    name: &'static str,
    allowed: &'static [&'static str],
    means: &'static str,
}

const RULES: [Rule; 6] = [
    Rule {
        name: "fsync",
        allowed: &["on"],
        means: "when the machine stops, what was confirmed is lost and the whole database may be ruined",
    },
    Rule {
        name: "full_page_writes",
        allowed: &["on"],
        means: "a page that is half written when the machine stops stays damaged",
    },
    Rule {
        name: "synchronous_commit",
        allowed: &["on", "remote_apply"],
        means: "a commit is confirmed before it is on disk here and, where there are any, on the synchronous standbys",
    },
    Rule {
        name: "zero_damaged_pages",
        allowed: &["off"],
        means: "damaged pages are emptied without a word, and their messages are gone",
    },
    Rule { name: "ignore_checksum_failure", allowed: &["off"], means: "damaged pages are read as if they were whole" },
    Rule {
        name: "data_sync_retry",
        allowed: &["off"],
        means: "after a write that failed the server goes on as if it had not, although the data may be gone",
    },
];

/// What a server says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(HashMap<String, String>);

impl Settings {
    /// Asks the server.
    pub(crate) async fn read(db: &Session) -> Outcome<Self> {
        let others = [
            "server_version",
            "server_version_num",
            "transaction_read_only",
            "data_checksums",
            "synchronous_standby_names",
        ];
        let names: Vec<&str> = RULES.iter().map(|rule| rule.name).chain(others).collect();
        let rows = db.query(cold::SETTINGS, &[&names]).await?;
        let settings = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        Ok(Self(settings.collect::<Outcome<_>>()?))
    }

    /// The version of the server, in its own words.
    pub(crate) fn server_version(&self) -> String {
        self.get("server_version").unwrap_or("unknown").to_owned()
    }

    /// Whether this connection is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.get("is_encrypted").is_some_and(|value| value == "true")
    }

    /// What there is to say, the gravest first.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = self.impossible();
        let finding = |grade, says: String| Finding { grade, says };
        for Rule { name, allowed, means } in RULES {
            if let Some(value) = self.get(name).filter(|value| !allowed.contains(value)) {
                let says = format!("{name} is {value}: {means}; set {name} = {}", allowed.join(" or "));
                findings.push(finding(Grade::Unsafe, says));
            }
        }
        if self.get("data_checksums") == Some("off") {
            let says = "data_checksums is off: damage by disks goes unseen; stop the server and run pg_checksums --enable \
                        (a new one: initdb -k)";
            findings.push(finding(Grade::Warning, says.to_owned()));
        }
        if self.get("synchronous_standby_names") == Some("") {
            let says = "synchronous_standby_names is empty: what is confirmed is on the disk of one machine only; with two \
                        standbys set synchronous_standby_names = 'ANY 1 (a, b)'";
            findings.push(finding(Grade::Note, says.to_owned()));
        }
        findings
    }

    fn impossible(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut impossible = |says: String| findings.push(Finding { grade: Grade::Impossible, says });
        if self.get("in_recovery") == Some("on") {
            impossible(
                "the server is in recovery (a standby, or not yet up): it takes no writes; name the primary, or all hosts, of \
                 which the primary is then found"
                    .to_owned(),
            );
        } else if self.get("transaction_read_only") == Some("on") {
            impossible(
                "default_transaction_read_only is on for this role or database: a store writes; set it off for the store's \
                 role"
                .to_owned(),
            );
        }
        let version: Option<i32> = self.get("server_version_num").and_then(|number| number.parse().ok());
        if version.is_some_and(|number| number / 10_000 < OLDEST_SERVER) {
            impossible(format!(
                "the server is PostgreSQL {}: versions before {OLDEST_SERVER} are not supported; upgrade it",
                self.server_version()
            ));
        }
        findings
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Says what there is to say where a log is read; answers what keeps the store from being opened.
pub(crate) fn objections(findings: Vec<Finding>, is_unsafe: bool) -> Vec<String> {
    let mut objections = Vec::new();
    for Finding { grade, says } in findings {
        match grade {
            Grade::Unsafe if is_unsafe => tracing::error!("NOT DURABLE, going on all the same: {says}"),
            Grade::Impossible | Grade::Unsafe => objections.push(says),
            Grade::Warning => tracing::warn!("{says}"),
            Grade::Note => tracing::info!("{says}"),
        }
    }
    objections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(changed: &[(&str, &str)]) -> Settings {
        let sound = [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("zero_damaged_pages", "off"),
            ("ignore_checksum_failure", "off"),
            ("data_sync_retry", "off"),
            ("data_checksums", "on"),
            ("synchronous_standby_names", "ANY 1 (a, b)"),
            ("server_version_num", "130000"),
            ("transaction_read_only", "off"),
            ("in_recovery", "off"),
        ];
        let all = sound.iter().chain(changed);
        Settings(all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn names_each_setting_with_its_value_and_what_to_do() {
        assert_eq!(settings(&[]).findings(), []);
        assert_eq!(settings(&[("synchronous_commit", "remote_apply")]).findings(), []);
        for (name, value, grade, says) in [
            ("fsync", "off", Grade::Unsafe, "set fsync = on"),
            ("full_page_writes", "off", Grade::Unsafe, "set full_page_writes = on"),
            ("synchronous_commit", "off", Grade::Unsafe, "set synchronous_commit = on or remote_apply"),
            ("synchronous_commit", "local", Grade::Unsafe, "synchronous_commit is local"),
            ("synchronous_commit", "remote_write", Grade::Unsafe, "synchronous_commit is remote_write"),
            ("zero_damaged_pages", "on", Grade::Unsafe, "set zero_damaged_pages = off"),
            ("ignore_checksum_failure", "on", Grade::Unsafe, "set ignore_checksum_failure = off"),
            ("data_sync_retry", "on", Grade::Unsafe, "set data_sync_retry = off"),
            ("data_checksums", "off", Grade::Warning, "pg_checksums --enable"),
            ("synchronous_standby_names", "", Grade::Note, "one machine only"),
            ("in_recovery", "on", Grade::Impossible, "name the primary"),
            ("transaction_read_only", "on", Grade::Impossible, "default_transaction_read_only is on"),
            ("server_version_num", "120017", Grade::Impossible, "before 13"),
        ] {
            let findings = settings(&[(name, value)]).findings();
            assert_eq!(findings.len(), 1, "{name} {value}: {findings:?}");
            assert_eq!(findings[0].grade, grade, "{name} {value}");
            assert!(findings[0].says.contains(says), "{name} {value}: {}", findings[0].says);
        }
    }

    #[test]
    fn only_what_is_unsafe_can_be_waved_through() {
        let findings = settings(&[("fsync", "off"), ("in_recovery", "on"), ("data_checksums", "off")]).findings();
        assert_eq!(objections(findings.clone(), false).len(), 2);
        let left = objections(findings, true);
        assert!(left.len() == 1 && left[0].contains("recovery"), "{left:?}");
    }
}
