//! One message to a server: MAIL, RCPT for each recipient, DATA, the message, the final dot. Where the server allows it the
//! whole envelope is one write, and the message with its dot another (RFC 2920); a refused recipient never stops the others.
//!
//! The point of no return is the write that ends with the final dot: what fails before it was certainly not taken, what fails
//! after it may have been.

use std::time::Duration;

use hongyan_core::{
    outcome::{Outcome, Rejection, Verdict},
    time::Clock,
};

use super::{
    class::Stage,
    limits::{BLOCK_BYTES, RCPT_GROUP, Timeouts},
    reply::Reply,
    session::Session,
    verdict::{self, Context},
    wire::WireError,
};
use crate::mail::Composed;

/// What a transaction is to carry, and for whom it asks.
pub(super) struct Job<'a> {
    pub(super) message: &'a Composed,
    /// The envelope recipients, in the order of the [`Tally`].
    pub(super) recipients: &'a [&'a str],
    pub(super) timeouts: &'a Timeouts,
    pub(super) clock: &'a dyn Clock,
}

/// Where each recipient stands.
pub(super) struct Tally(Vec<Place>);

enum Place {
    /// Not yet asked.
    Open,
    /// RCPT was accepted.
    Taken,
    Done(Verdict),
}

impl Tally {
    pub(super) fn new(recipients: usize) -> Self {
        Self((0..recipients).map(|_| Place::Open).collect())
    }

    pub(super) fn set(&mut self, recipient: usize, verdict: Verdict) {
        self.0[recipient] = Place::Done(verdict);
    }

    /// Gives everybody who has none this verdict.
    pub(super) fn fill(&mut self, verdict: &Verdict) {
        for place in &mut self.0 {
            if !matches!(place, Place::Done(_)) {
                *place = Place::Done(verdict.clone());
            }
        }
    }

    /// Who has no verdict yet.
    pub(super) fn open(&self) -> Vec<usize> {
        (0..self.0.len()).filter(|i| !matches!(self.0[*i], Place::Done(_))).collect()
    }

    fn is_any_taken(&self) -> bool {
        self.0.iter().any(|place| matches!(place, Place::Taken))
    }

    /// One verdict per recipient; whoever was left out was not sent to.
    pub(super) fn finish(self) -> Vec<Verdict> {
        let missing = || verdict::unreachable(&WireError::Closed);
        self.0.into_iter().map(|place| if let Place::Done(verdict) = place { verdict } else { missing() }).collect()
    }
}

/// What is left of the session after a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It can take another.
    Reusable,
    /// It is over.
    Over,
    /// It had died while it was idle: nothing was begun, and nobody has a verdict.
    Stale,
}

/// Why a transaction stopped, and the session with it.
enum Stop {
    /// Before the final dot.
    Lost(WireError),
    /// After the final dot was begun.
    Ambiguous(WireError),
    /// The server refused this step and, by 421 or in the middle of the message, the session with it.
    Closing(Stage, Reply),
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Self::Lost(error)
    }
}

impl Session {
    /// Carries the message to everybody who has no verdict yet, and gives them theirs.
    pub(super) async fn deliver(&mut self, job: &Job<'_>, tally: &mut Tally) -> End {
        let is_reused = self.messages > 0;
        self.messages += 1;
        self.refuse_impossible(job, tally);
        let open = tally.open();
        if open.is_empty() {
            return End::Reusable;
        }
        let mut transaction = Transaction { session: self, job, tally, mail: None };
        let stopped = transaction.run(&open).await;
        let is_unanswered = transaction.mail.is_none();
        let verdict = match stopped {
            Ok(()) => return End::Reusable,
            Err(Stop::Lost(_) | Stop::Closing(..)) if is_reused && is_unanswered => return End::Stale,
            Err(Stop::Lost(error)) => verdict::unreachable(&error),
            Err(Stop::Ambiguous(error)) => verdict::unknown(&error),
            Err(Stop::Closing(stage, reply)) => transaction.refused(stage, &reply),
        };
        tally.fill(&verdict);
        End::Over
    }

    /// Verdicts for what this server is known not to take, before anything is sent.
    fn refuse_impossible(&self, job: &Job<'_>, tally: &mut Tally) {
        let Composed { bytes, sender, origin } = job.message;
        if self.capabilities.is_too_large(bytes.len()) {
            let bound = self.capabilities.size_max;
            let why = format!("the message has {} bytes and the server takes {bound} at most", bytes.len());
            tally.fill(&verdict::rejected(Rejection::Content, why));
        }
        if self.capabilities.utf8 {
            return;
        }
        if !sender.is_ascii() {
            let why = "the sender's address is beyond ASCII, and the server offers no SMTPUTF8";
            let outcome =
                if origin.envelope_is_callers { Outcome::Rejected(Rejection::Content) } else { Outcome::Misconfigured };
            tally.fill(&Verdict::new(outcome, why));
        }
        for (i, _) in job.recipients.iter().enumerate().filter(|(_, recipient)| !recipient.is_ascii()) {
            if matches!(tally.0[i], Place::Open) {
                let why = "the address is beyond ASCII, and the server offers no SMTPUTF8";
                tally.set(i, verdict::rejected(Rejection::Recipient, why));
            }
        }
    }
}

struct Transaction<'a, 'b> {
    session: &'a mut Session,
    job: &'a Job<'b>,
    tally: &'a mut Tally,
    /// Whether MAIL was accepted, once it is answered.
    mail: Option<bool>,
}

impl Transaction<'_, '_> {
    async fn run(&mut self, open: &[usize]) -> Result<(), Stop> {
        let is_pipelined = self.session.capabilities.pipelining;
        let limits = self.job.timeouts;
        if self.session.is_dirty {
            self.session.wire.command(&["RSET"]);
            if !is_pipelined {
                self.session.wire.flush(limits.command).await?;
                self.answer_to_reset().await?;
            }
        }
        self.write_mail(open);
        if !is_pipelined {
            self.session.wire.flush(limits.mail).await?;
            self.answer_to_mail().await?;
            if self.mail == Some(false) {
                return Ok(());
            }
        }
        let mut groups = open.chunks(if is_pipelined { RCPT_GROUP } else { 1 }).peekable();
        while let Some(group) = groups.next() {
            let is_last = groups.peek().is_none();
            for i in group {
                self.session.wire.command(&["RCPT TO:<", self.job.recipients[*i], ">"]);
            }
            if is_pipelined && is_last {
                self.session.wire.command(&["DATA"]);
            }
            self.session.wire.flush(limits.rcpt).await?;
            if self.mail.is_none() {
                self.answer_to_reset().await?;
                self.answer_to_mail().await?;
            }
            for i in group {
                self.answer_to_rcpt(*i).await?;
            }
            if self.mail == Some(false) && !is_last {
                return Ok(());
            }
        }
        if !is_pipelined {
            if !self.tally.is_any_taken() {
                return Ok(());
            }
            self.session.wire.command(&["DATA"]);
            self.session.wire.flush(limits.data).await?;
        }
        self.answer_to_data().await
    }

    fn write_mail(&mut self, open: &[usize]) {
        let Composed { sender, bytes, .. } = self.job.message;
        let needs_utf8 = !sender.is_ascii() || open.iter().any(|i| !self.job.recipients[*i].is_ascii());
        let capabilities = self.session.capabilities;
        let wire = &mut self.session.wire;
        let size = bytes.len().to_string();
        let (size_key, size) = if capabilities.size { (" SIZE=", size.as_str()) } else { ("", "") };
        wire.command(&["MAIL FROM:<", sender, ">", size_key, size, if needs_utf8 { " SMTPUTF8" } else { "" }]);
    }

    /// The answer to RSET, where the last transaction was left unfinished and RSET was sent.
    async fn answer_to_reset(&mut self) -> Result<(), Stop> {
        if self.session.is_dirty {
            let reply = self.reply(Stage::Mail, self.job.timeouts.command).await?;
            if !reply.is_positive() {
                return Err(WireError::OutOfTurn(reply.words).into());
            }
            self.session.is_dirty = false;
        }
        Ok(())
    }

    async fn answer_to_mail(&mut self) -> Result<(), Stop> {
        let reply = self.reply(Stage::Mail, self.job.timeouts.mail).await?;
        self.session.is_dirty = true;
        self.mail = Some(reply.is_positive());
        if !reply.is_positive() {
            let verdict = self.refused(Stage::Mail, &reply);
            self.tally.fill(&verdict);
        }
        Ok(())
    }

    async fn answer_to_rcpt(&mut self, recipient: usize) -> Result<(), Stop> {
        let reply = self.reply(Stage::Rcpt, self.job.timeouts.rcpt).await?;
        if self.mail != Some(true) {
            return Ok(());
        }
        if reply.is_positive() {
            self.tally.0[recipient] = Place::Taken;
        } else {
            let verdict = self.refused(Stage::Rcpt, &reply);
            self.tally.set(recipient, verdict);
        }
        Ok(())
    }

    async fn answer_to_data(&mut self) -> Result<(), Stop> {
        let wire = &mut self.session.wire;
        let reply = wire.reply(self.job.timeouts.data).await?;
        match reply.code {
            354 if self.tally.is_any_taken() => self.send_body().await,
            354 => self.send_nothing().await,
            400.. if !reply.is_closing() => {
                let verdict = self.refused(Stage::Data, &reply);
                self.tally.fill(&verdict);
                Ok(())
            }
            400.. => Err(Stop::Closing(Stage::Data, reply)),
            _ => Err(WireError::OutOfTurn(reply.words).into()),
        }
    }

    /// The message and its final dot: a small one in one write.
    async fn send_body(&mut self) -> Result<(), Stop> {
        let limits = self.job.timeouts;
        let wire = &mut self.session.wire;
        let mut rest = self.job.message.bytes.as_slice();
        let mut is_line_start = true;
        loop {
            let (block, after) = rest.split_at(rest.len().min(BLOCK_BYTES));
            is_line_start = append_stuffed(&mut wire.output, block, is_line_start);
            rest = after;
            if rest.is_empty() {
                break;
            }
            if let Err(error) = wire.flush(limits.block).await {
                return Err(self.refusal().await.unwrap_or(Stop::Lost(error)));
            }
        }
        wire.output.extend_from_slice(if is_line_start { b".\r\n" } else { b"\r\n.\r\n" });
        if let Err(error) = wire.flush(limits.block).await {
            return Err(self.refusal().await.unwrap_or(Stop::Ambiguous(error)));
        }
        let reply = wire.reply(limits.dot).await.map_err(Stop::Ambiguous)?;
        match reply.code {
            200..=299 => self.tally.fill(&verdict::accepted(&reply)),
            421 => return Err(Stop::Closing(Stage::Dot, reply)),
            400.. => {
                let verdict = self.refused(Stage::Dot, &reply);
                self.tally.fill(&verdict);
            }
            _ => return Err(Stop::Ambiguous(WireError::OutOfTurn(reply.words))),
        }
        self.session.is_dirty = false;
        Ok(())
    }

    /// What the server said before it stopped taking the message: one that has had enough, mostly because the message is
    /// larger than it takes (552, RFC 1870 section 6), may answer and close while it is still being written to. Such an answer
    /// counts as that to the final dot. Only a refusal is certain; anything else leaves it at the failure.
    async fn refusal(&mut self) -> Option<Stop> {
        let reply = self.session.wire.reply(self.job.timeouts.refusal).await.ok()?;
        (reply.code >= 400).then_some(Stop::Closing(Stage::Dot, reply))
    }

    /// The server wants a message although it refused everybody: it gets an empty one (RFC 2920 section 3.1), which no right
    /// server takes, and which would reach nobody.
    async fn send_nothing(&mut self) -> Result<(), Stop> {
        let limits = self.job.timeouts;
        self.session.wire.command(&["."]);
        self.session.wire.flush(limits.block).await?;
        let reply = self.session.wire.reply(limits.dot).await?;
        if reply.is_closing() { Err(Stop::Closing(Stage::Dot, reply)) } else { Ok(()) }
    }

    /// A reply that is an answer: not 421, not one of the 300s.
    async fn reply(&mut self, stage: Stage, limit: Duration) -> Result<Reply, Stop> {
        let reply = self.session.wire.reply(limit).await?;
        match reply.code {
            421 => Err(Stop::Closing(stage, reply)),
            300..=399 => Err(WireError::OutOfTurn(reply.words).into()),
            _ => Ok(reply),
        }
    }

    fn refused(&self, stage: Stage, reply: &Reply) -> Verdict {
        let context = Context {
            origin: self.job.message.origin,
            is_any_taken: self.tally.is_any_taken(),
            now: self.job.clock.now(),
        };
        verdict::refused(stage, reply, context)
    }
}

/// Appends `block` with a dot doubled at the start of each line (RFC 5321 section 4.5.2); answers whether a line starts behind
/// it. The message has CRLF line ends only, so a line starts behind each LF.
fn append_stuffed(output: &mut Vec<u8>, block: &[u8], is_line_start: bool) -> bool {
    output.reserve(block.len() + 16);
    let mut is_line_start = is_line_start;
    for line in block.split_inclusive(|b| *b == b'\n') {
        if is_line_start && line.first() == Some(&b'.') {
            output.push(b'.');
        }
        output.extend_from_slice(line);
        is_line_start = line.last() == Some(&b'\n');
    }
    is_line_start
}

#[cfg(test)]
mod tests {
    use super::append_stuffed;

    #[test]
    fn dots_are_doubled_at_line_starts_only() {
        for (text, stuffed) in
            [(".\r\n", "..\r\n"), ("a.\r\n.b\r\n..c\r\n", "a.\r\n..b\r\n...c\r\n"), ("x\r\n.", "x\r\n.."), ("", "")]
        {
            let mut output = Vec::new();
            append_stuffed(&mut output, text.as_bytes(), true);
            assert_eq!(String::from_utf8(output).expect("ASCII"), stuffed);
        }
    }

    #[test]
    fn blocks_may_be_cut_anywhere() {
        let text = b".a\r\n.\r\nb.\r\n..c";
        let mut whole = Vec::new();
        append_stuffed(&mut whole, text, true);
        for cut in 0..=text.len() {
            let mut cut_up = Vec::new();
            let is_line_start = append_stuffed(&mut cut_up, &text[..cut], true);
            append_stuffed(&mut cut_up, &text[cut..], is_line_start);
            assert_eq!(cut_up, whole, "cut at {cut}");
        }
    }
}
