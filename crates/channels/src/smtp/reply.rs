//! Replies of an SMTP server (RFC 5321 section 4.2): parsed line by line, bounded in everything, whatever the server does.

use std::fmt;

/// A line of a reply, in bytes (RFC 5321 section 4.5.3.1.5 has 512; servers are known to say more).
pub(super) const LINE_BYTES_MAX: usize = 2 * 1024;
/// Lines of a reply.
pub(super) const LINES_MAX: usize = 100;
/// What is kept of a reply's words, in bytes.
pub(super) const WORDS_BYTES_MAX: usize = 500;

/// The enhanced status code of a reply (RFC 3463): class, subject, detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enhanced {
    pub(super) subject: u16,
    pub(super) detail: u16,
}

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The basic code, 200 to 599.
    pub(super) code: u16,
    /// The enhanced code, where the reply has one that agrees with the basic code.
    pub(super) enhanced: Option<Enhanced>,
    /// What the server said, codes included: one line without control characters.
    pub(super) words: String,
}

impl Reply {
    pub(super) const fn is_positive(&self) -> bool {
        self.code < 300
    }

    /// 421: the server closes the connection after this reply (RFC 5321 section 3.8).
    pub(super) const fn is_closing(&self) -> bool {
        self.code == 421
    }
}

/// Why what a server sent is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReplyError {
    #[error("the server's reply has a line of more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("the server's reply has more than {LINES_MAX} lines")]
    TooManyLines,
    #[error("the server's reply does not begin with a code")]
    NoCode,
    #[error("the lines of the server's reply have different codes")]
    MixedCodes,
}

/// A reply as its lines come in.
#[derive(Debug, Default)]
pub(super) struct Partial {
    code: Option<u16>,
    lines: usize,
    enhanced: Option<Enhanced>,
    words: Words,
}

impl Partial {
    /// Takes a line without its line end; answers its text, and whether it is the last one.
    pub(super) fn line<'a>(&mut self, line: &'a [u8]) -> Result<(&'a [u8], bool), ReplyError> {
        let (code, is_last, text) = split_line(line)?;
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(ReplyError::TooManyLines);
        }
        if self.code.is_some_and(|first| first != code) {
            return Err(ReplyError::MixedCodes);
        }
        let enhanced = enhanced(text).filter(|(class, ..)| u16::from(*class) == code / 100);
        if self.code.is_none() {
            self.code = Some(code);
            self.words.push(&line[..3]);
            self.words.push(text);
            self.enhanced = enhanced.map(|(_, enhanced, _)| enhanced);
        } else {
            // Servers repeat the enhanced code on every line; once is enough for a reader.
            self.words.push(enhanced.map_or(text, |(.., rest)| rest));
        }
        Ok((text, is_last))
    }

    /// The reply, after its last line.
    pub(super) fn finish(self) -> Result<Reply, ReplyError> {
        Ok(Reply { code: self.code.ok_or(ReplyError::NoCode)?, enhanced: self.enhanced, words: self.words.0 })
    }
}

/// Code, whether it is the last line, text (RFC 5321 section 4.2.1).
fn split_line(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyError> {
    let (code, rest) = line.split_at_checked(3).ok_or(ReplyError::NoCode)?;
    if !code.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(&code[0]) {
        return Err(ReplyError::NoCode);
    }
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Ok((code, true, rest)),
        Some((b' ', text)) => Ok((code, true, text)),
        Some((b'-', text)) => Ok((code, false, text)),
        Some(_) => Err(ReplyError::NoCode),
    }
}

/// The enhanced code at the start of a text, as class and the rest of it, and the text behind it.
fn enhanced(text: &[u8]) -> Option<(u8, Enhanced, &[u8])> {
    let (class, rest) = number(text, 1)?;
    let (subject, rest) = number(rest.strip_prefix(b".")?, 3)?;
    let (detail, rest) = number(rest.strip_prefix(b".")?, 3)?;
    let is_end = rest.first().is_none_or(u8::is_ascii_whitespace);
    is_end.then(|| (class as u8, Enhanced { subject, detail }, rest.trim_ascii_start()))
}

fn number(text: &[u8], digits_max: usize) -> Option<(u16, &[u8])> {
    let digits = text.iter().take(digits_max).take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    let number = number.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    (digits > 0).then_some((number, rest))
}

/// Text for people and the record: one line, no control characters, at most [`WORDS_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words(String);

impl Words {
    /// Adds a piece after a space.
    fn push(&mut self, piece: &[u8]) {
        let room = WORDS_BYTES_MAX.saturating_sub(self.0.len());
        if room == 0 || piece.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        let piece = &piece[..piece.len().min(room)];
        for c in String::from_utf8_lossy(piece).chars() {
            let c = if c.is_control() { ' ' } else { c };
            if self.0.len() + c.len_utf8() > WORDS_BYTES_MAX {
                break;
            }
            self.0.push(c);
        }
    }
}

/// One line for the record of what went wrong on our side.
pub(super) fn words(text: &impl fmt::Display) -> String {
    let mut words = Words::default();
    words.push(text.to_string().as_bytes());
    words.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<Reply, ReplyError> {
        let mut partial = Partial::default();
        for line in text.split(|b| *b == b'\n') {
            if partial.line(line)?.1 {
                break;
            }
        }
        partial.finish()
    }

    fn reply(code: u16, enhanced: Option<(u16, u16)>, words: &str) -> Reply {
        let enhanced = enhanced.map(|(subject, detail)| Enhanced { subject, detail });
        Reply { code, enhanced, words: words.to_owned() }
    }

    #[test]
    fn replies() {
        for (text, expected) in [
            ("250 ok", reply(250, None, "250 ok")),
            ("250", reply(250, None, "250")),
            ("250 ", reply(250, None, "250")),
            ("550 5.1.1 who?", reply(550, Some((1, 1)), "550 5.1.1 who?")),
            ("550-5.1.1 who\n550 5.1.1 is that", reply(550, Some((1, 1)), "550 5.1.1 who is that")),
            ("550 4.1.1 disagrees", reply(550, None, "550 4.1.1 disagrees")),
            ("550 5.1.1x", reply(550, None, "550 5.1.1x")),
            ("550 5.1", reply(550, None, "550 5.1")),
            ("450 4.7.1234 long", reply(450, None, "450 4.7.1234 long")),
            ("250 a\tb\x1b[31mc\u{85}d", reply(250, None, "250 a b [31mc d")),
            ("554 DT:SPM 域名", reply(554, None, "554 DT:SPM 域名")),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn no_replies() {
        for (text, error) in [
            ("", ReplyError::NoCode),
            ("25", ReplyError::NoCode),
            ("2x0 hello", ReplyError::NoCode),
            ("150 no such class", ReplyError::NoCode),
            ("999 neither", ReplyError::NoCode),
            ("250_ok", ReplyError::NoCode),
            ("HTTP/1.1 400 Bad Request", ReplyError::NoCode),
            ("250-a\n251 b", ReplyError::MixedCodes),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text:?}");
        }
        assert_eq!(parse("250-x\n".repeat(101).as_bytes()), Err(ReplyError::TooManyLines));
    }

    #[test]
    fn words_are_bounded_in_whole_characters() {
        let words = parse(format!("250 {}", "鸿".repeat(600)).as_bytes()).expect("a reply").words;
        assert!(words.len() <= WORDS_BYTES_MAX && words.ends_with(['鸿', '\u{fffd}']));
    }
}
