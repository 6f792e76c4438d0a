//! SMTP (RFC 5321): a session of our own, because no client library gives one outcome per recipient, says in which phase a
//! connection died, and pipelines.
//!
//! | file | what it knows |
//! |---|---|
//! | `transaction` | MAIL, RCPT, DATA, the message: who gets which verdict, what is ambiguous |
//! | `session` | greeting, EHLO, STARTTLS, AUTH, QUIT |
//! | `connect` | which of a server's addresses answers |
//! | `pool` | which session carries the next message, and when one is closed |
//! | `class`, `verdict` | what a negative reply means, as a table; from there to a verdict |
//! | `reply`, `hello`, `wire` | bytes: replies, capabilities, buffers and time limits |
//! | `settings`, `tls`, `auth`, `limits` | what a provider declares |

use std::sync::Arc;

use async_trait::async_trait;
use hongyan_core::{
    address::EmailAddress,
    channel::{Channel, Parcel},
    delivery::{Policy, Repeat},
    outcome::{Rejection, Verdict},
    retry::RetrySchedule,
    setup::SmtpProvider,
    time::Clock,
};

use crate::{
    dkim::Signer,
    error::OpenError,
    mail::{Composed, Composer},
};

mod auth;
mod class;
mod connect;
mod hello;
mod limits;
mod pool;
mod reply;
mod session;
mod settings;
mod tls;
mod transaction;
mod verdict;
mod wire;

pub use limits::Timeouts;

use pool::Pool;
use session::Session;
use settings::Settings;
use transaction::{End, Job, Tally};

/// An SMTP provider.
pub struct Smtp {
    composer: Composer,
    settings: Arc<Settings>,
    pool: Arc<Pool>,
}

impl Smtp {
    /// The provider with these keys. Makes no connection.
    ///
    /// # Errors
    /// What is wrong with the keys; the files they name are read here.
    pub fn new(keys: &SmtpProvider, timeouts: Timeouts, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let signer = keys.dkim.as_ref().map(Signer::new).transpose()?;
        let composer = Composer::new(&keys.sender, &keys.bounce, signer)?;
        let settings = Arc::new(Settings::new(keys, timeouts, clock)?);
        Ok(Self { composer, pool: Pool::new(Arc::clone(&settings)), settings })
    }

    /// Sends `message` to everybody in `tally` who has no verdict yet. A session that died while it was idle is replaced by
    /// a new one, once: nothing had begun.
    async fn carry(&self, message: &Composed, recipients: &[&str], tally: &mut Tally) {
        let Settings { timeouts, clock, .. } = &*self.settings;
        let job = Job { message, recipients, timeouts, clock: &**clock };
        if let Some(mut session) = self.pool.take() {
            match session.deliver(&job, tally).await {
                End::Reusable => return self.pool.put(session),
                End::Over => return,
                End::Stale => tracing::debug!(host = %self.settings.host, "an idle smtp session had died"),
            }
        }
        match Session::open(&self.settings).await {
            Ok(mut session) => {
                if session.deliver(&job, tally).await == End::Reusable {
                    self.pool.put(session);
                }
            }
            Err(refusal) => tally.fill(&refusal),
        }
    }
}

#[async_trait]
impl Channel for Smtp {
    fn policy(&self) -> Policy {
        Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::mail() }
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        let message = match self.composer.compose(parcel) {
            Ok(message) => message,
            Err(error) => return vec![error.verdict(); parcel.recipients.len()],
        };
        let recipients: Vec<&str> = parcel.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
        let mut tally = Tally::new(recipients.len());
        for (i, recipient) in recipients.iter().enumerate() {
            if let Err(error) = EmailAddress::parse(recipient) {
                tally.set(i, verdict::rejected(Rejection::Recipient, format!("the address {error}")));
            }
        }
        if !tally.open().is_empty() {
            self.carry(&message, &recipients, &mut tally).await;
        }
        let verdicts = tally.finish().into_iter();
        match &self.settings.credentials {
            Some(credentials) => verdicts.map(|verdict| credentials.hide(verdict)).collect(),
            None => verdicts.collect(),
        }
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
