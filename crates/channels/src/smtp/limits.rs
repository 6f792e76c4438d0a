//! How long to wait for an SMTP server (RFC 5321 section 4.5.3.2), and the other numbers of a session.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// How long each step of a session may take. The defaults are the minimums of RFC 5321 section 4.5.3.2; where it names none
/// (look-up, connecting, TLS, a refusal in the middle of a message, QUIT) they are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The look-up of the server's name.
    pub lookup: Duration,
    /// Connecting, to each of its addresses.
    pub connect: Duration,
    /// The greeting.
    pub greeting: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// EHLO, STARTTLS, AUTH and RSET.
    pub command: Duration,
    /// MAIL.
    pub mail: Duration,
    /// RCPT, each.
    pub rcpt: Duration,
    /// DATA.
    pub data: Duration,
    /// Each block of the message that is written.
    pub block: Duration,
    /// The reply to the final dot.
    pub dot: Duration,
    /// The reply of a server that stopped taking the message before its final dot.
    pub refusal: Duration,
    /// QUIT, while nobody waits for it.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            lookup: MINUTE / 2,
            connect: MINUTE / 2,
            greeting: 5 * MINUTE,
            handshake: MINUTE,
            command: 5 * MINUTE,
            mail: 5 * MINUTE,
            rcpt: 5 * MINUTE,
            data: 2 * MINUTE,
            block: 3 * MINUTE,
            dot: 10 * MINUTE,
            refusal: Duration::from_secs(2),
            quit: Duration::from_secs(2),
        }
    }
}

/// RCPT commands in one write: few enough that the replies to them fit the buffers between us and a server that does not read
/// while it writes (RFC 2920 section 3.1).
pub(super) const RCPT_GROUP: usize = 100;
/// A message is written in blocks of this size, a smaller one in one piece with its final dot.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// How long a greylisted recipient waits (`guides/reliability.md` A4.5).
pub(super) const GREYLIST_WAIT: Duration = Duration::from_secs(300);
/// How long what was one recipient too many for a transaction waits for the next one.
pub(super) const NEXT_TRANSACTION_WAIT: Duration = Duration::from_secs(1);
/// How long a server that asks to slow down is left alone.
pub(super) const THROTTLE_WAIT: Duration = Duration::from_secs(60);
