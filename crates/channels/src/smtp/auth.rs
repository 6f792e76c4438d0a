//! AUTH (RFC 4954): PLAIN where the server knows it, else LOGIN.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hongyan_core::setup::Secret;

use super::{
    hello::Capabilities,
    reply::Reply,
    wire::{Wire, WireError},
};

/// A user and its password.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Secret,
}

impl Credentials {
    /// Whether `text` repeats the password, as it is or as it was sent.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let password = self.password.expose();
        [password, &BASE64.encode(password), &self.plain()].iter().any(|secret| text.contains(*secret))
    }

    /// The message of the PLAIN mechanism (RFC 4616 section 2).
    fn plain(&self) -> String {
        BASE64.encode(format!("\0{}\0{}", self.user, self.password.expose()))
    }
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
        return say(wire, &["AUTH PLAIN ", &credentials.plain()], 235, limit).await;
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
