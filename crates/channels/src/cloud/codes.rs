//! What the codes of a cloud mean: tables in files beside the senders, one row a code, and the outcome that each leads to
//! (`contracts/providers.md` 3 and 9.1). A code that no table has puts the delivery off, by the retry schedule until it expires:
//! never for good on a word that nobody knows.

use std::{collections::HashMap, time::Duration};

use hongyan_core::{
    outcome::{Fault, Outcome, Rejection, Scope},
    time::Timestamp,
};

use super::calendar::{Window, morning};

/// The wait where a provider asks to slow down and neither it nor its table says for how long.
const THROTTLE_WAIT: Duration = Duration::from_secs(60);

/// What a code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It was taken.
    Taken,
    /// The provider cannot work for now.
    Transient,
    /// This recipient or text, for now.
    Busy,
    /// Slow down.
    Throttled(Scope),
    /// Never to this recipient, for this reason.
    Recipient(Rejection),
    /// Never this text.
    Content,
    /// The account or the settings are wrong.
    Configuration,
    /// It may have been taken.
    Unknown,
    /// The access token is no longer good: nothing was sent, and with a new one it may be.
    Refresh,
    /// Somebody among the recipients, or too many: fewer may pass, and one alone is refused.
    Split,
}

/// Until when a code asks to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Unsaid,
    For(Duration),
    End(Window),
    Words,
    Morning,
}

/// The codes of one provider.
pub(crate) struct Codes {
    exact: HashMap<&'static str, Row>,
    prefixes: Vec<(&'static str, Row)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    class: Class,
    wait: Wait,
}

impl Codes {
    /// Reads tables of tab-separated rows: code, class, wait and a note for people. Lines that begin with `#` and the line that
    /// names the columns say nothing.
    pub(crate) fn parse(tables: &[&'static str]) -> Self {
        let (mut exact, mut prefixes) = (HashMap::new(), Vec::new());
        for (code, row) in tables.iter().flat_map(|table| lines(table)).filter_map(parse) {
            match code.strip_suffix('*') {
                Some(prefix) => prefixes.push((prefix, row)),
                None => drop(exact.insert(code, row)),
            }
        }
        // The longest one that fits is found first.
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { exact, prefixes }
    }

    /// What `code` says; absent where no row has it.
    pub(crate) fn class(&self, code: &str) -> Option<Class> {
        self.row(code).map(|row| row.class)
    }

    fn row(&self, code: &str) -> Option<Row> {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| code.starts_with(prefix)).map(|(_, row)| *row);
        self.exact.get(code).copied().or_else(by_prefix)
    }

    /// The outcome that a negative `code` is, with the words beside it and how long the answer asked to wait.
    pub(crate) fn outcome(&self, code: &str, words: &str, asked: Option<Duration>, now: Timestamp) -> Outcome {
        let Some(row) = self.row(code) else { return Outcome::Deferred { after: asked, fault: Fault::Recipient } };
        match row.class {
            Class::Transient | Class::Refresh => Outcome::Deferred { after: asked, fault: Fault::Provider },
            Class::Busy => Outcome::Deferred { after: asked, fault: Fault::Recipient },
            Class::Throttled(scope) => Outcome::Throttled {
                scope,
                until: asked.map_or_else(|| row.wait.until(words, now), |asked| now + asked),
            },
            Class::Recipient(why) => Outcome::Rejected(why),
            Class::Split => Outcome::Rejected(Rejection::Recipient),
            Class::Content => Outcome::Rejected(Rejection::Content),
            Class::Configuration => Outcome::Misconfigured,
            // Who asks for the outcome of a success has found it where none can be.
            Class::Unknown | Class::Taken => Outcome::Unknown,
        }
    }
}

impl Wait {
    fn until(self, words: &str, now: Timestamp) -> Timestamp {
        match self {
            Self::Unsaid => now + THROTTLE_WAIT,
            Self::For(wait) => now + wait,
            Self::End(window) => window.end(now),
            Self::Words => named_window(words).map_or(now + THROTTLE_WAIT, |window| window.end(now)),
            Self::Morning => morning(now),
        }
    }
}

/// The window of which Alibaba Cloud says that it is full, as in `触发分钟级流控Permits:1`. A day is said to slide: after
/// midnight a text may be refused once more, which costs nothing.
fn named_window(words: &str) -> Option<Window> {
    let windows = [("分钟级", Window::Minute), ("小时级", Window::Hour), ("天级", Window::Day)];
    windows.into_iter().find(|(name, _)| words.contains(name)).map(|(_, window)| window)
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#') && !line.starts_with("code\t"))
}

fn parse(line: &'static str) -> Option<(&'static str, Row)> {
    let mut columns = line.split('\t');
    let (code, class, wait) = (columns.next()?, columns.next()?, columns.next().unwrap_or_default());
    let class = match class {
        "ok" => Class::Taken,
        "transient" => Class::Transient,
        "busy" => Class::Busy,
        "throttled" => Class::Throttled(Scope::Provider),
        "throttled-recipient" => Class::Throttled(Scope::Recipient),
        "recipient" => Class::Recipient(Rejection::Recipient),
        "not-following" => Class::Recipient(Rejection::NotFollowing),
        "no-such-recipient" => Class::Recipient(Rejection::NoSuchRecipient),
        "content" => Class::Content,
        "config" => Class::Configuration,
        "unknown" => Class::Unknown,
        "refresh" => Class::Refresh,
        "split" => Class::Split,
        _ => return None,
    };
    let wait = match wait {
        "" => Wait::Unsaid,
        "minute" => Wait::End(Window::Minute),
        "hour" => Wait::End(Window::Hour),
        "day" => Wait::End(Window::Day),
        "words" => Wait::Words,
        "morning" => Wait::Morning,
        seconds => Wait::For(Duration::from_secs(seconds.parse().ok()?)),
    };
    Some((code, Row { class, wait }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every row of the tables can be read, and no code is in them twice.
    pub(crate) fn assert_sound(tables: &[&'static str]) {
        let mut seen = std::collections::HashSet::new();
        for line in tables.iter().flat_map(|table| lines(table)) {
            let (code, row) = parse(line).unwrap_or_else(|| panic!("no row: {line}"));
            let is_throttle = matches!(row.class, Class::Throttled(_));
            assert!(seen.insert(code), "{code} is there twice");
            assert_eq!(is_throttle, row.wait != Wait::Unsaid, "{code}: a throttle has a wait, and nothing else has");
        }
        assert!(!seen.is_empty());
    }

    /// 2026-07-31 12:34:56 in China.
    const NOON: Timestamp = Timestamp::from_ms(1_785_472_496_000);
    const TABLE: &str = "# words\ncode\tclass\twait\tnote\nA\tok\nA.b\tunknown\nA*\ttransient\nA.B*\tconfig\t\twhy\n\
        T.s\tthrottled\t30\nT.h\tthrottled-recipient\thour\nT.w\tthrottled-recipient\twords\nT.m\tthrottled\tmorning\n\
        N\trecipient\nC\tcontent\nL\tbusy\n";

    #[test]
    fn the_exact_code_wins_then_the_longest_prefix() {
        assert_sound(&[TABLE]);
        let codes = Codes::parse(&[TABLE]);
        for (code, class) in [
            ("A", Some(Class::Taken)),
            ("A.b", Some(Class::Unknown)),
            ("A.c", Some(Class::Transient)),
            ("A.Bx", Some(Class::Configuration)),
            ("a", None),
            ("", None),
            ("code", None),
        ] {
            assert_eq!(codes.class(code), class, "{code}");
        }
    }

    #[test]
    fn outcomes_follow_from_classes_and_waits() {
        let codes = Codes::parse(&[TABLE]);
        let throttled = |scope, seconds| Outcome::Throttled { scope, until: NOON + Duration::from_secs(seconds) };
        let deferred = |fault| Outcome::Deferred { after: None, fault };
        for (code, words, outcome) in [
            ("A.c", "", deferred(Fault::Provider)),
            ("L", "", deferred(Fault::Recipient)),
            ("never heard of", "", deferred(Fault::Recipient)),
            ("A.B", "", Outcome::Misconfigured),
            ("A.b", "", Outcome::Unknown),
            ("N", "", Outcome::Rejected(Rejection::Recipient)),
            ("C", "", Outcome::Rejected(Rejection::Content)),
            ("T.s", "", throttled(Scope::Provider, 30)),
            ("T.h", "", throttled(Scope::Recipient, 25 * 60 + 4)),
            ("T.m", "", throttled(Scope::Provider, 19 * 3600 + 25 * 60 + 4)),
            ("T.w", "触发分钟级流控Permits:1", throttled(Scope::Recipient, 4)),
            ("T.w", "触发小时级流控Permits:5", throttled(Scope::Recipient, 25 * 60 + 4)),
            ("T.w", "触发天级流控Permits:10", throttled(Scope::Recipient, 11 * 3600 + 25 * 60 + 4)),
            ("T.w", "something else", throttled(Scope::Recipient, 60)),
        ] {
            assert_eq!(codes.outcome(code, words, None, NOON), outcome, "{code} {words}");
        }
        let asked = Some(Duration::from_secs(7));
        assert_eq!(codes.outcome("T.h", "", asked, NOON), throttled(Scope::Recipient, 7));
        assert_eq!(codes.outcome("N", "", asked, NOON), Outcome::Rejected(Rejection::Recipient));
    }
}
