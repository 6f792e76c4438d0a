//! A session with an SMTP server: greeting, EHLO, TLS, AUTH. What it then carries is in [`super::transaction`].

use std::time::Instant;

use hongyan_core::{outcome::Verdict, setup::Tls};
use tokio::time::timeout;

use super::{
    auth,
    class::Stage,
    connect::connect,
    hello::Capabilities,
    limits::Timeouts,
    reply::Reply,
    settings::Settings,
    verdict::{self, Context},
    wire::{Wire, WireError},
};
use crate::mail::Origin;

/// A session that is ready for a transaction.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) capabilities: Capabilities,
    /// The last transaction was left unfinished: the next one begins with RSET.
    pub(super) is_dirty: bool,
    /// Transactions that it has begun.
    pub(super) messages: u32,
    /// When it was opened.
    pub(super) opened: Instant,
    /// When it was last used.
    pub(super) used: Instant,
}

/// Why no session came about: the verdict for everybody who was to use it.
pub(super) type Refusal = Verdict;

impl Session {
    /// Connects and goes through everything that comes before a transaction.
    pub(super) async fn open(settings: &Settings) -> Result<Self, Refusal> {
        let limits = &settings.timeouts;
        let stream = connect(settings).await.map_err(|error| verdict::unreachable(&error))?;
        let helo = settings.hello_name(&stream);
        let mut wire = Wire::plain(stream);
        if let (Tls::Implicit, Some(encryption)) = (settings.tls, &settings.encryption) {
            wire = wire.encrypted(encryption, limits.handshake).await.map_err(|error| verdict::unreachable(&error))?;
        }
        let mut opening = Opening { wire, settings, helo };
        let greeting = opening.wire.reply(limits.greeting).await;
        opening.positive(Stage::Greeting, greeting)?;
        let mut capabilities = opening.hello().await?;
        if matches!(settings.tls, Tls::StartTls | Tls::Required) {
            (opening, capabilities) = opening.starttls(capabilities).await?;
        }
        if let Some(credentials) = &settings.credentials {
            let may_be_clear = settings.tls == Tls::None;
            if !opening.wire.is_encrypted() && !may_be_clear {
                let why = "the server offers no TLS, and the password is not sent in the clear";
                return Err(verdict::misconfigured(why));
            }
            auth::log_in(&mut opening.wire, capabilities, credentials, limits.command)
                .await
                .map_err(|failure| opening.auth_refusal(failure))?;
        }
        let now = Instant::now();
        Ok(Self { wire: opening.wire, capabilities, is_dirty: false, messages: 0, opened: now, used: now })
    }

    /// Says good-bye. Waits for the answer, a moment, so that the server does not log a broken connection.
    pub(super) async fn quit(mut self, timeouts: &Timeouts) {
        let limit = timeouts.quit;
        self.wire.command(&["QUIT"]);
        let farewell = async {
            self.wire.flush(limit).await?;
            self.wire.reply(limit).await
        };
        // Whatever comes back, if anything does, the connection is closed now.
        let _ = timeout(limit, farewell).await;
    }
}

/// A session that is not yet ready.
struct Opening<'a> {
    wire: Wire,
    settings: &'a Settings,
    helo: String,
}

impl<'a> Opening<'a> {
    /// One command and its reply.
    async fn ask(&mut self, parts: &[&str]) -> Result<Reply, WireError> {
        let limit = self.settings.timeouts.command;
        self.wire.command(parts);
        self.wire.flush(limit).await?;
        self.wire.reply(limit).await
    }

    /// EHLO, and HELO where that is not understood (RFC 5321 section 3.2).
    async fn hello(&mut self) -> Result<Capabilities, Refusal> {
        let limit = self.settings.timeouts.command;
        let mut capabilities = Capabilities::default();
        self.wire.command(&["EHLO ", &self.helo]);
        let reply = match self.wire.flush(limit).await {
            Ok(()) => self.wire.reply_lines(limit, |line| capabilities.line(line)).await,
            Err(error) => Err(error),
        };
        match reply {
            Ok(reply) if (500..=504).contains(&reply.code) => {
                let helo = self.helo.clone();
                let reply = self.ask(&["HELO ", &helo]).await;
                self.positive(Stage::Hello, reply)?;
                Ok(Capabilities::default())
            }
            reply => {
                self.positive(Stage::Hello, reply)?;
                Ok(capabilities)
            }
        }
    }

    /// STARTTLS (RFC 3207), and EHLO again: what was said in the clear counts no more.
    async fn starttls(mut self, capabilities: Capabilities) -> Result<(Self, Capabilities), Refusal> {
        let is_needed = self.settings.tls == Tls::Required;
        let (true, Some(encryption)) = (capabilities.starttls, &self.settings.encryption) else {
            if is_needed {
                return Err(verdict::misconfigured("the server offers no STARTTLS, and TLS is required"));
            }
            return Ok((self, capabilities));
        };
        let reply = self.ask(&["STARTTLS"]).await;
        match reply {
            Ok(reply) if !reply.is_positive() && !reply.is_closing() && !is_needed => return Ok((self, capabilities)),
            reply => self.positive(Stage::Starttls, reply)?,
        }
        let limit = self.settings.timeouts.handshake;
        self.wire = self.wire.encrypted(encryption, limit).await.map_err(|error| verdict::unreachable(&error))?;
        let capabilities = self.hello().await?;
        Ok((self, capabilities))
    }

    /// The refusal that anything but a positive reply is.
    fn positive(&self, stage: Stage, reply: Result<Reply, WireError>) -> Result<(), Refusal> {
        match reply {
            Ok(reply) if reply.is_positive() => Ok(()),
            Ok(reply) if reply.code < 400 => Err(verdict::unreachable(&WireError::OutOfTurn(reply.words))),
            Ok(reply) => Err(self.refused(stage, &reply)),
            Err(error) => Err(verdict::unreachable(&error)),
        }
    }

    fn refused(&self, stage: Stage, reply: &Reply) -> Refusal {
        // Nothing about a session is the fault of the message that first needed it.
        let origin = Origin { from_is_callers: false, envelope_is_callers: false };
        verdict::refused(stage, reply, Context { origin, is_any_taken: false, now: self.settings.clock.now() })
    }

    /// What a failed login means.
    fn auth_refusal(&self, failure: auth::Failure) -> Refusal {
        match failure {
            auth::Failure::NoMechanism => {
                verdict::misconfigured("the server offers neither AUTH PLAIN nor AUTH LOGIN, and a user is configured")
            }
            auth::Failure::Wire(error) => verdict::unreachable(&error),
            auth::Failure::Refused(reply) => self.refused(Stage::Auth, &reply),
        }
    }
}
