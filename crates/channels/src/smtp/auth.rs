//! AUTH (RFC 4954): PLAIN where the server knows it, else LOGIN.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hongyan_core::{
    outcome::{Outcome, Verdict},
    setup::Secret,
};

use super::{
    hello::Capabilities,
    reply::{Reply, WORDS_BYTES_MAX},
    wire::{Wire, WireError},
};

/// A user and its password.
pub(super) struct Credentials {
    user: String,
    password: Secret,
    /// What no record may hold, in the form of [`squeezed`].
    secrets: Vec<String>,
}

impl Credentials {
    pub(super) fn new(user: &str, password: &Secret) -> Self {
        let encoded = BASE64.encode(password.expose());
        let plain = plain(user, password);
        // Up to here the message of PLAIN holds the user only: whatever repeats this much of it may go on with the password,
        // whether or not the end is cut off.
        let head = (user.len() + 2) * 4 / 3;
        let mut secrets =
            vec![squeezed(password.expose()), squeezed(encoded.trim_end_matches('=')), squeezed(&plain[..head])];
        secrets.retain(|secret| !secret.is_empty());
        Self { user: user.to_owned(), password: password.clone(), secrets }
    }

    /// The verdict, without the server's words where they repeat the password: servers are known to quote a line that they
    /// did not understand, at whatever step.
    pub(super) fn hide(&self, verdict: Verdict) -> Verdict {
        if !self.is_in(&verdict.reply) {
            return verdict;
        }
        let outcome = match verdict.outcome {
            Outcome::Accepted { receipt, .. } => Outcome::Accepted { provider_id: String::new(), receipt },
            outcome => outcome,
        };
        Verdict::new(outcome, "the server's words repeat the login and are not kept")
    }

    /// Whether `text` repeats the password, as it is or as it was sent, or ends in the middle of it because it was cut off.
    fn is_in(&self, text: &str) -> bool {
        let is_cut = text.len() + char::MAX_LEN_UTF8 > WORDS_BYTES_MAX;
        let text = squeezed(text);
        let begins_at_the_end = |secret: &str| {
            secret.char_indices().skip(PART_CHARS_MIN).any(|(length, _)| text.ends_with(&secret[..length]))
        };
        self.secrets.iter().any(|secret| text.contains(secret) || (is_cut && begins_at_the_end(secret)))
    }
}

/// Less than this many characters of a password at the end of a text are no part of it.
const PART_CHARS_MIN: usize = 3;

/// The message of the PLAIN mechanism (RFC 4616 section 2).
fn plain(user: &str, password: &Secret) -> String {
    BASE64.encode(format!("\0{user}\0{}", password.expose()))
}

/// `text` as it is compared: a server may break lines, change white space or letter case, and controls are taken out of what
/// it says.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).flat_map(char::to_lowercase).collect()
}

/// Why nobody is logged in.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server offers no mechanism that we know.
    NoMechanism,
    /// The server said no.
    Refused(Reply),
    /// The connection is of no more use.
    Wire(WireError),
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Logs in.
pub(super) async fn log_in(
    wire: &mut Wire,
    capabilities: Capabilities,
    credentials: &Credentials,
    limit: Duration,
) -> Result<(), Failure> {
    if capabilities.auth_plain {
        return say(wire, &["AUTH PLAIN ", &plain(&credentials.user, &credentials.password)], 235, limit).await;
    }
    if !capabilities.auth_login {
        return Err(Failure::NoMechanism);
    }
    say(wire, &["AUTH LOGIN"], 334, limit).await?;
    say(wire, &[&BASE64.encode(&credentials.user)], 334, limit).await?;
    say(wire, &[&BASE64.encode(credentials.password.expose())], 235, limit).await
}

/// One line, to which only `expected` is the right answer.
async fn say(wire: &mut Wire, parts: &[&str], expected: u16, limit: Duration) -> Result<(), Failure> {
    wire.command(parts);
    wire.flush(limit).await?;
    let reply = wire.reply(limit).await?;
    match reply.code {
        code if code == expected => Ok(()),
        400.. => Err(Failure::Refused(reply)),
        _ => Err(Failure::Wire(WireError::OutOfTurn(reply.words))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_in_whatever_form() {
        let known = Credentials::new("me", &Secret::new("S3cret pass\tword"));
        let cut = |end: &str| format!("{}{end}", "x".repeat(WORDS_BYTES_MAX - end.len()));
        for text in [
            "250 you said S3cret pass\tword",
            "250 you said S3CRET PASS WORD",
            "250 you said UzNjcmV0IHBhc3MJd29yZA==",
            "500 unknown: UzNjcmV0IHBh c3MJd29yZA",
            "250 you said AUTH PLAIN AG1lAFMzY3JldCBwYXNzCXdvcmQ=",
            "500 unknown: AUTH PLAIN AG1lAFMz...",
            &cut(" S3cret p"),
            &cut(" UzNjcmV0"),
            &cut(" AUTH PLAIN AG1lAFM"),
        ] {
            assert!(known.is_in(text), "{text}");
        }
        for text in ["250 ok", "535 5.7.8 S3cret", "334 VXNlcm5hbWU6", "500 unknown: AUTH PLAIN AG1l", &cut(" nothing")]
        {
            assert!(!known.is_in(text), "{text}");
        }
        assert!(!Credentials::new("me", &Secret::new(" ")).is_in("250 ok"), "nothing is left of it to compare");
    }
}
