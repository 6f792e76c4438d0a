//! What a negative reply means: one table, read from the top, the first row that fits wins. Basic codes alone lie, so the
//! enhanced code (RFC 3463) refines them, and words do where providers use one code for everything.
//!
//! Sources: RFC 5321 section 4.2.3, RFC 4954 section 6 (AUTH), RFC 3463 and the IANA registry of enhanced status codes
//! (RFC 5248), `contracts/providers.md` section 6 for what providers really say.

use std::ops::RangeInclusive;

use super::reply::Reply;

/// The step of a session that a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Greeting,
    Hello,
    Starttls,
    Auth,
    Mail,
    Rcpt,
    /// DATA, before anything of the message.
    Data,
    /// The final dot.
    Dot,
}

/// What a negative reply means for who it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Later.
    Transient,
    /// Later, and to this recipient not before its greylisting has passed.
    Greylisted,
    /// Slow down, for everything that goes by this server.
    Throttled,
    /// Slow down for this recipient.
    SlowDown,
    /// This recipient belongs into another transaction.
    TooMany,
    /// Never, because of the recipient.
    Recipient,
    /// Never, because of what is in the message.
    Content,
    /// The sender may not be used: whoever chose it is at fault.
    Sender,
    /// The account or the settings of this provider are wrong.
    Configuration,
}

use Class::{Configuration, Content, Greylisted, Recipient, Sender, SlowDown, Throttled, TooMany, Transient};
use Stage::{Auth, Data, Dot, Greeting, Hello, Mail, Rcpt, Starttls};

/// One row. Every condition has to hold.
struct Row {
    at: &'static [Stage],
    codes: RangeInclusive<u16>,
    enhanced: Code,
    /// The words hold this, in lower case; empty: whatever they are.
    words: &'static str,
    class: Class,
    /// A reply that it was written for, at the first of its stages.
    #[cfg_attr(not(test), expect(dead_code, reason = "the table's own test reads it"))]
    example: &'static str,
}

/// A condition on the enhanced code. Its class is that of the basic code.
enum Code {
    /// Whatever it is, or none.
    Any,
    /// There is none.
    None,
    /// Subject, details from, to.
    Is(u16, u16, u16),
}

use Code::{Any, Is};

const SESSION: &[Stage] = &[Greeting, Hello, Starttls, Auth];
const ENVELOPE: &[Stage] = &[Mail, Rcpt, Data, Dot];
const ALL: &[Stage] = &[Mail, Rcpt, Data, Dot, Greeting, Hello, Starttls, Auth];
const LOGIN: &[Stage] = &[Auth, Mail, Rcpt, Data, Dot];
const ENDS: &[Stage] = &[Dot, Data];
const FOUR: RangeInclusive<u16> = 400..=499;
const FIVE: RangeInclusive<u16> = 500..=599;
const BOTH: RangeInclusive<u16> = 400..=599;

const fn row(
    at: &'static [Stage],
    codes: RangeInclusive<u16>,
    enhanced: Code,
    words: &'static str,
    class: Class,
    example: &'static str,
) -> Row {
    Row { at, codes, enhanced, words, class, example }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // What Chinese providers say with one code for everything (providers.md section 6).
    row(ALL,      BOTH,     Any, "frequency limited",    Throttled, "550 Ip frequency limited"),
    row(ALL,      BOTH,     Any, "hl:rep",               Throttled, "421 HL:REP"),
    row(ALL,      BOTH,     Any, "content denied",       Content, "550 Mail content denied"),
    row(ALL,      BOTH,     Any, "dt:spm",               Content, "554 DT:SPM 163 smtp1"),
    row(ENVELOPE, FIVE,     Any, "same as authorization user", Sender, "501 Mail from address must be same as authorization user"),
    row(ENVELOPE, FIVE,     Any, "must equal authorized user", Sender, "553 Mail from must equal authorized user"),
    row(ENVELOPE, 503..=503, Any, "auth",                Configuration, "503 Error: need EHLO and AUTH first !"),
    // Login and security (RFC 4954 section 6; RFC 5248 X.7.8 to X.7.14).
    row(ALL,      530..=530, Any, "",                    Configuration, "530 5.7.0 Must issue a STARTTLS command first"),
    row(LOGIN,    534..=535, Any, "",                    Configuration, "535 5.7.8 Error: authentication failed"),
    row(LOGIN,    538..=538, Any, "",                    Configuration, "538 5.7.11 Encryption required"),
    row(&[Auth],  432..=432, Any, "",                    Configuration, "432 4.7.12 A password transition is needed"),
    row(&[Auth, Mail], 454..=454, Is(7, 0, 0), "",       Configuration, "454 4.7.0 Temporary authentication failure"),
    row(ENVELOPE, FIVE,     Is(7, 8, 14), "",            Configuration, "554 5.7.8 Authentication required"),
    // Slow down (RFC 5321 section 3.8; RFC 5248 X.7.28; Gmail's 4.2.1).
    row(ALL,      421..=421, Any, "",                    Throttled, "421 4.7.0 Too many connections"),
    row(ALL,      BOTH,     Is(7, 28, 28), "",           Throttled, "450 4.7.28 Our system has detected an unusual rate"),
    row(&[Rcpt],  FOUR,     Is(2, 1, 1), "",             SlowDown, "450 4.2.1 The user is receiving mail too quickly"),
    row(ALL,      FOUR,     Is(3, 2, 2), "",             Throttled, "453 4.3.2 System not accepting network messages"),
    // Too many recipients (RFC 5321 section 4.5.3.1.10, RFC 3463 X.5.3).
    row(&[Rcpt],  BOTH,     Is(5, 3, 3), "",             TooMany, "452 4.5.3 Too many recipients"),
    row(&[Rcpt],  452..=452, Code::None, "",             TooMany, "452 Too many recipients"),
    row(&[Rcpt],  552..=552, Code::None, "too many",     TooMany, "552 Too many recipients"),
    // Greylisting (RFC 6647 section 2.5: 4.7.1; words where there is no enhanced code).
    row(&[Rcpt, Data, Dot], 450..=451, Is(7, 0, 999), "", Greylisted, "450 4.7.1 Greylisted, see http://postgrey"),
    row(&[Rcpt, Data, Dot], FOUR, Any, "greylist",       Greylisted, "450 4.2.0 <a@b>: Recipient address rejected: Greylisted"),
    row(&[Rcpt, Data, Dot], FOUR, Any, "graylist",       Greylisted, "451 Graylisted, try again"),
    row(&[Mail],  FOUR,     Is(7, 0, 999), "",           Throttled, "451 4.7.1 Sending rate exceeded"),
    // Every other 4xx.
    row(ALL,      FOUR,     Any, "",                     Transient, "451 4.3.0 Local error in processing"),
    // Senders (RFC 5248 X.1.7, X.1.8, X.7.20 to X.7.27; Exchange's 5.7.60).
    row(ENVELOPE, FIVE,     Is(1, 7, 8), "",             Sender, "550 5.1.8 Sender address rejected: Domain not found"),
    row(ENVELOPE, FIVE,     Is(7, 20, 27), "",           Sender, "550 5.7.26 Unauthenticated email is not accepted due to DMARC"),
    row(ENVELOPE, FIVE,     Is(7, 60, 60), "",           Sender, "550 5.7.60 SMTP; Client does not have permissions to send as this sender"),
    // Mailbox full is soft: it is retried until the message expires (providers.md section 6).
    row(ENVELOPE, FIVE,     Is(2, 2, 2), "",             Transient, "552 5.2.2 Mailbox full"),
    row(&[Rcpt],  552..=552, Code::None, "",             Transient, "552 Requested mail action aborted: exceeded storage allocation"),
    // Size and content (RFC 1870 section 4, RFC 3463 X.6).
    row(ENVELOPE, FIVE,     Is(2, 3, 3), "",             Content, "550 5.2.3 Message length exceeds administrative limit"),
    row(ENVELOPE, FIVE,     Is(3, 4, 4), "",             Content, "552 5.3.4 Message size exceeds fixed limit"),
    row(ENVELOPE, 552..=552, Any, "",                    Content, "552 Message size exceeds maximum permitted"),
    row(ENVELOPE, FIVE,     Is(6, 0, 999), "",           Content, "554 5.6.0 Message contains invalid header"),
    row(&[Rcpt],  FIVE,     Is(7, 1, 1), "spam",         Content, "550 5.7.1 Message rejected as spam"),
    row(&[Rcpt],  FIVE,     Is(7, 1, 1), "policy",       Content, "550 5.7.1 Message rejected for policy reasons"),
    // Recipients (RFC 3463 X.1, X.2.1, X.4.4).
    row(&[Rcpt, Data, Dot], FIVE, Is(1, 0, 6), "",       Recipient, "550 5.1.1 User unknown"),
    row(&[Rcpt, Data, Dot], FIVE, Is(1, 9, 999), "",     Recipient, "556 5.1.10 Recipient address has null MX"),
    row(&[Rcpt, Data, Dot], FIVE, Is(2, 0, 1), "",       Recipient, "550 5.2.1 Mailbox disabled"),
    row(&[Rcpt, Data, Dot], FIVE, Is(4, 4, 4), "",       Recipient, "550 5.4.4 Unable to route"),
    // What is left: by the step that was refused.
    row(SESSION,  FIVE,     Any, "",                     Configuration, "554 No SMTP service here"),
    row(&[Mail],  500..=500, Any, "",                    Configuration, "500 Command unrecognized"),
    row(&[Mail],  502..=504, Any, "",                    Configuration, "503 Bad sequence of commands"),
    row(&[Mail],  FIVE,     Any, "",                     Sender, "550 Sender denied"),
    row(&[Rcpt],  FIVE,     Any, "",                     Recipient, "554 5.7.1 Relay access denied"),
    row(ENDS,     FIVE,     Any, "",                     Content, "554 Transaction failed"),
];

impl Row {
    fn fits(&self, stage: Stage, reply: &Reply, words: &str) -> bool {
        let enhanced_fits = match (&self.enhanced, reply.enhanced) {
            (Any, _) | (Code::None, None) => true,
            (Is(subject, from, to), Some(code)) => code.subject == *subject && (*from..=*to).contains(&code.detail),
            _ => false,
        };
        enhanced_fits && self.at.contains(&stage) && self.codes.contains(&reply.code) && words.contains(self.words)
    }
}

/// What a negative reply at `stage` means.
pub(super) fn classify(stage: Stage, reply: &Reply) -> Class {
    row_of(stage, reply).map_or(Transient, |row| row.class)
}

fn row_of(stage: Stage, reply: &Reply) -> Option<&'static Row> {
    let words = reply.words.to_lowercase();
    ROWS.iter().find(|row| row.fits(stage, reply, &words))
}

#[cfg(test)]
mod tests {
    use super::{super::reply::Partial, *};

    fn reply(text: &str) -> Reply {
        let mut partial = Partial::default();
        partial.line(text.as_bytes()).expect("a reply");
        partial.finish().expect("a reply")
    }

    #[test]
    fn every_row_is_reached_by_its_example() {
        for row in ROWS {
            let reached = row_of(row.at[0], &reply(row.example)).map(|row| row.example);
            assert_eq!(reached, Some(row.example));
        }
    }

    #[test]
    fn every_negative_reply_has_a_class() {
        for stage in ALL {
            for code in 400..=599 {
                assert!(row_of(*stage, &reply(&format!("{code} x"))).is_some(), "{stage:?} {code}");
            }
        }
    }

    #[test]
    fn the_step_decides_what_the_codes_leave_open() {
        for (stage, text, class) in [
            (Rcpt, "550 5.7.1 Relaying denied", Recipient),
            (Dot, "550 5.7.1 Spam message rejected", Content),
            (Mail, "550 5.7.1 Sender rejected", Sender),
            (Dot, "550 5.1.1 One of the recipients is unknown", Recipient),
            (Dot, "451 4.7.1 Greylisted", Greylisted),
            (Dot, "451 4.3.0 Try again", Transient),
            (Rcpt, "452 4.3.1 Insufficient system storage", Transient),
            (Rcpt, "452 4.2.2 Mailbox full", Transient),
            (Rcpt, "454 4.7.1 Relay access denied", Transient),
            (Starttls, "454 4.7.0 TLS not available due to temporary reason", Transient),
            (Greeting, "554 5.7.1 Your address is blocked", Configuration),
            (Auth, "504 5.5.4 Unrecognized authentication type", Configuration),
        ] {
            assert_eq!(classify(stage, &reply(text)), class, "{stage:?} {text}");
        }
    }
}
