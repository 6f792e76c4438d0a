//! Section 12: people whom the directory lacks, looked up in the deployment's user service, so that Hongyan serves a
//! deployment before anybody is imported. Found people are remembered for five minutes, unknown ones for half a minute.
//!
//! What the directory has stands over what the service says. A service that does not answer makes the request fail with the
//! reference's text: to send to some and call the others unknown would be wrong about them.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use hongyan_core::{
    address::{MAINLAND, Phone},
    limits,
    setup::{Settings, User},
    text,
    time::Timestamp,
};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    cache::{self, Cache, Kept},
    error::Problem,
    http::{Http, Trouble},
};

const PATH: &str = "/api/v2/profiles/";
const FIELDS: &str = "username,country_code,telephone,email,wx_userid,status,staff_status";
/// In whose name it is asked.
const OPERATOR: &str = "admin";

/// People that are remembered, known and unknown.
const PEOPLE_MAX: usize = 2 * limits::REQUEST_RECIPIENTS_MAX;
/// How long somebody who was found is remembered.
const FOUND_LIFE: Duration = Duration::from_secs(300);
/// How long it is remembered that somebody was not.
const UNKNOWN_LIFE: Duration = Duration::from_secs(30);

/// People in one question.
const ASKED_MAX: usize = 100;
/// Bytes of their names in one question; in an address each may become three, and servers take 8 KB of it.
const ASKED_BYTES_MAX: usize = 2_000;
/// Questions of one request that are under way at a time.
const AT_ONCE: usize = 4;
/// How long all questions of one request may take together.
const TOTAL_MAX: Duration = Duration::from_secs(10);
/// The longest text that is repeated of what the service says.
const WORDS_BYTES_MAX: usize = 500;

/// What there is instead of people where the service is without a word for it.
const NO_USERS: &str = "interface response has no users";

/// The user service of a deployment.
pub(crate) struct Directory {
    http: Http,
    people: Mutex<Cache<Kept<Option<User>>>>,
}

/// Why the service did not say who somebody is.
enum Silence {
    /// No answer.
    Trouble(Trouble),
    /// Not all answers in time.
    Late,
    /// An answer without people, and what it says instead.
    Words(String),
}

impl Silence {
    /// For the log: nothing that the service says, which may repeat what it was asked.
    fn kind(&self) -> String {
        match self {
            Self::Trouble(trouble) => trouble.to_string(),
            Self::Late => format!("no answer within {} seconds", TOTAL_MAX.as_secs()),
            Self::Words(_) => NO_USERS.to_owned(),
        }
    }

    /// For the caller.
    fn text(self) -> String {
        match self {
            Self::Words(words) => words,
            other => other.kind(),
        }
    }
}

impl Directory {
    /// Nobody is known yet.
    pub(crate) fn new() -> Self {
        Self { http: Http::new(), people: Mutex::new(Cache::new(PEOPLE_MAX)) }
    }

    /// Adds to `people`, who have some of the codes, those whom the service knows by the others; `app` is the code of the app
    /// that asks.
    ///
    /// # Errors
    /// Where somebody is missing and the service does not say who they are.
    pub(crate) async fn complete(
        &self,
        settings: &Settings,
        app: &str,
        codes: &[String],
        people: &mut Vec<User>,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let url = &*settings.cmsi_user_url;
        let known: HashSet<&str> = people.iter().map(|user| &*user.code).collect();
        let mut missing: Vec<&str> = codes.iter().map(|code| &**code).filter(|code| !known.contains(code)).collect();
        // The service takes names between commas, so that none with one can be asked for.
        missing.retain(|code| !url.is_empty() && !code.is_empty() && !code.contains(','));
        let (mut found, missing) = self.recall(url, missing, now);
        if !missing.is_empty() {
            found.extend(self.ask(url, app, &missing, now).await.map_err(|silence| {
                tracing::warn!(why = silence.kind(), "the user service did not say who some people are");
                Problem::DirectoryAway(silence.text())
            })?);
        }
        people.append(&mut found);
        Ok(())
    }

    /// Those who are remembered, and the names of whom nothing is.
    fn recall<'n>(&self, url: &str, names: Vec<&'n str>, now: Timestamp) -> (Vec<User>, Vec<&'n str>) {
        if names.is_empty() {
            return Default::default();
        }
        let mut cache = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            match cache.get(&cache::key(url, name)).filter(|kept| kept.is_fresh(now)) {
                Some(kept) => found.extend(kept.value),
                None => missing.push(name),
            }
        }
        (found, missing)
    }

    /// Asks for everybody, a bounded number at a time.
    async fn ask(&self, url: &str, app: &str, names: &[&str], now: Timestamp) -> Result<Vec<User>, Silence> {
        let headers = headers(app);
        let mut questions = Vec::new();
        for batch in batches(names) {
            questions.push(self.ask_batch(url, headers.clone(), batch, now));
        }
        let all = stream::iter(questions).buffer_unordered(AT_ONCE).try_concat();
        let in_time = timeout(TOTAL_MAX, all).await;
        in_time.unwrap_or(Err(Silence::Late))
    }

    /// Asks one question and remembers its answer.
    async fn ask_batch(
        &self,
        url: &str,
        headers: HeaderMap,
        names: &[&str],
        now: Timestamp,
    ) -> Result<Vec<User>, Silence> {
        let answer = self.question(url, headers, names).await?;
        self.remember(url, names, &answer, now);
        Ok(answer)
    }

    async fn question(&self, url: &str, headers: HeaderMap, names: &[&str]) -> Result<Vec<User>, Silence> {
        let lookups = names.join(",");
        let query = [
            ("lookup_field", "username"),
            ("exact_lookups", &*lookups),
            ("no_page", "true"),
            ("best_match", "1"),
            ("fields", FIELDS),
        ];
        let answer = self.http.get(url, PATH, &query, headers).await.map_err(Silence::Trouble)?;
        match (answer.get("result"), answer.get("data")) {
            (Some(Value::Bool(true)), Some(Value::Array(people))) => {
                // Exact case, as everywhere (section 6.4).
                Ok(people.iter().filter_map(person).filter(|user| names.contains(&&*user.code)).collect())
            }
            _ => Err(Silence::Words(words(answer.get("message")))),
        }
    }

    fn remember(&self, url: &str, names: &[&str], found: &[User], now: Timestamp) {
        let mut cache = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let user = found.iter().find(|user| user.code == *name).cloned();
            let life = if user.is_some() { FOUND_LIFE } else { UNKNOWN_LIFE };
            cache.insert(cache::key(url, name), Kept::new(user, now, life));
        }
    }
}

/// The names in questions that are not too long.
fn batches<'a, 'n>(names: &'a [&'n str]) -> Vec<&'a [&'n str]> {
    let (mut batches, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (at, name) in names.iter().enumerate() {
        if at > from && (at - from >= ASKED_MAX || bytes + name.len() > ASKED_BYTES_MAX) {
            batches.push(&names[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += name.len() + 1;
    }
    batches.push(&names[from..]);
    batches
}

fn headers(app: &str) -> HeaderMap {
    let operator = HeaderValue::from_static(OPERATOR);
    // It must not be empty; a code that cannot stand in a header is no BlueKing app's.
    let app = HeaderValue::from_str(app).ok().filter(|app| !app.is_empty()).unwrap_or_else(|| operator.clone());
    HeaderMap::from_iter([
        (HeaderName::from_static("bk-username"), operator),
        (HeaderName::from_static("bk-app-code"), app),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ])
}

/// A person of the service's who counts: neither deleted nor disabled, and still on the staff.
fn person(profile: &Value) -> Option<User> {
    let text = |name: &str| match profile.get(name) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let code = profile.get("username").and_then(Value::as_str)?.to_owned();
    let is_normal = matches!(text("status").as_str(), "NORMAL" | "LOCKED") && text("staff_status") == "IN";
    let country = Some(text("country_code")).filter(|code| !code.is_empty()).unwrap_or_else(|| MAINLAND.to_owned());
    let phone = Phone::national(country.trim_start_matches('+'), &text("telephone"));
    is_normal.then(|| User {
        code,
        name: String::new(),
        email: text("email"),
        phone: phone.map_or_else(|_| String::new(), |phone| phone.as_str().to_owned()),
        wecom: text("wx_userid"),
        openid: text("wx_userid"),
        enabled: true,
    })
}

/// What the service says is wrong, in one bounded line.
fn words(message: Option<&Value>) -> String {
    let message = message.and_then(Value::as_str).filter(|message| !message.is_empty());
    let mut message = message.unwrap_or(NO_USERS).to_owned();
    message.truncate(message.floor_char_boundary(WORDS_BYTES_MAX));
    text::fold_line(&message).unwrap_or_else(|_| NO_USERS.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn questions_are_bounded() {
        let sizes = |names: &[&str]| batches(names).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&["a"]), [1]);
        assert_eq!(sizes(&["a"; 250]), [100, 100, 50]);
        let long = "u".repeat(limits::ADDRESS_BYTES_MAX);
        assert_eq!(sizes(&[&*long; 16]), [7, 7, 2]);
    }

    #[test]
    fn people() {
        let profile = |changes: Value| {
            let mut profile = json!({"username": "u", "country_code": "86", "telephone": "13800000001", "email": "u@b.cn",
                                     "wx_userid": "wx", "status": "NORMAL", "staff_status": "IN"});
            for (name, value) in changes.as_object().expect("an object") {
                profile[name] = value.clone();
            }
            person(&profile)
        };
        let user = profile(json!({})).expect("a person");
        assert_eq!((&*user.phone, &*user.wecom, &*user.openid), ("+8613800000001", "wx", "wx"));
        for (changes, phone) in [
            (json!({"country_code": null}), "+8613800000001"),
            (json!({"country_code": "+1", "telephone": "2025550100"}), "+12025550100"),
            (json!({"country_code": 1, "telephone": 2_025_550_100_u64}), "+12025550100"),
            (json!({"telephone": null}), ""),
            (json!({"telephone": "138-0000"}), ""),
        ] {
            assert_eq!(profile(changes.clone()).expect("a person").phone, phone, "{changes}");
        }
        assert!(profile(json!({"status": "LOCKED"})).is_some());
        for changes in [
            json!({"username": 1}),
            json!({"status": "DELETED"}),
            json!({"status": "DISABLED"}),
            json!({"status": null}),
            json!({"staff_status": "OUT"}),
        ] {
            assert_eq!(profile(changes.clone()), None, "{changes}");
        }
    }

    #[test]
    fn words_are_one_line() {
        assert_eq!(words(Some(&json!("no\r\nway"))), "no way");
        assert!(words(Some(&json!("鸿".repeat(400)))).len() <= WORDS_BYTES_MAX);
        for nothing in [None, Some(&json!(null)), Some(&json!("")), Some(&json!("a\0"))] {
            assert_eq!(words(nothing), "interface response has no users");
        }
    }
}
