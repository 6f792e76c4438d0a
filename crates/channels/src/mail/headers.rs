//! One header at a time, folded and encoded. The library's own headers split encoded words at 80 columns, leave `=?…?=` in
//! ASCII texts as it is and know no RFC 2231, so headers are written here and bodies by the library.
//!
//! Nothing that is given to a [`Header`] can end it: controls become a space, everything beyond ASCII is encoded.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hongyan_core::address::EmailAddress;

/// The column that folding keeps to (RFC 5322 section 2.1.1: 78 without CRLF; RFC 2047 section 2: 76 with encoded words).
const COLUMN_MAX: usize = 76;
/// An encoded word (RFC 2047 section 2).
const WORD_MAX: usize = 75;
/// What an encoded word needs beside its text: `=?utf-8?B?` and `?=`.
const WORD_FRAME: usize = 12;
/// The widest quoted string that is written; what is longer is encoded in pieces.
const QUOTED_MAX: usize = 60;
/// One section of an extended parameter's value.
const SECTION_MAX: usize = 48;

/// A header being written.
pub(super) struct Header<'a> {
    out: &'a mut Vec<u8>,
    column: usize,
}

impl<'a> Header<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>, name: &str) -> Self {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        Self { column: name.len() + 1, out }
    }

    pub(super) fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    /// One piece that must not be folded inside, after a space or on a line of its own. The caller answers for its characters.
    pub(super) fn token(&mut self, token: &str) -> &mut Self {
        debug_assert!(token.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        self.space(token.len());
        self.write(token);
        self
    }

    /// Free text (`unstructured`, RFC 5322 section 3.2.5), encoded where it has to be.
    pub(super) fn text(&mut self, text: &str) {
        if text.is_empty() {
            self.out.push(b' ');
        } else if is_plain(text) && text.split(' ').all(|word| (1..=QUOTED_MAX).contains(&word.len())) {
            for word in text.split(' ') {
                self.token(word);
            }
        } else {
            self.encoded_words(text);
        }
    }

    /// A name and an address, then `separator`. An address beyond ASCII cannot stand in a header that every server takes: it
    /// is written as RFC 6857 section 3.1.1 has it, as the name of an empty group.
    pub(super) fn mailbox(&mut self, name: &str, address: &EmailAddress, separator: &str) {
        let address = address.as_str();
        if !address.is_ascii() {
            let shown = if name.is_empty() { address.to_owned() } else { format!("{name} {address}") };
            self.encoded_words(&shown);
            self.token(":;");
        } else if name.is_empty() {
            self.token(address);
        } else {
            self.phrase(name);
            self.space(address.len() + 2);
            self.write("<");
            self.write(address);
            self.write(">");
        }
        self.write(separator);
    }

    /// A display name.
    fn phrase(&mut self, name: &str) {
        if is_plain(name) && name.len() <= QUOTED_MAX {
            self.token(&quoted(name));
        } else {
            self.encoded_words(name);
        }
    }

    /// A parameter of a MIME header (RFC 2045 section 5.1; RFC 2231 where the value is long or beyond ASCII).
    pub(super) fn parameter(&mut self, key: &str, value: &str) {
        self.write(";");
        // Readers disagree about escapes in parameters, so what would need one is encoded.
        if is_plain(value) && !value.contains(['"', '\\']) && value.len() <= QUOTED_MAX {
            self.token(&format!("{key}=\"{value}\""));
            return;
        }
        if value.chars().map(percent_cost).sum::<usize>() <= SECTION_MAX {
            self.token(&format!("{key}*=utf-8''{}", percent_encoded(value)));
            return;
        }
        let mut rest = value;
        let mut section = 0;
        while !rest.is_empty() {
            // Whole characters, because readers decode each section by itself.
            let (piece, after) = rest.split_at(end_within(rest, SECTION_MAX, percent_cost));
            let charset = if section == 0 { "utf-8''" } else { "" };
            let separator = if after.is_empty() { "" } else { ";" };
            self.token(&format!("{key}*{section}*={charset}{}{separator}", percent_encoded(piece)));
            rest = after;
            section += 1;
        }
    }

    /// RFC 2047: words of at most 75 characters, each with whole characters, `Q` for what is mostly ASCII and `B` otherwise.
    fn encoded_words(&mut self, text: &str) {
        let is_q = text.bytes().filter(|b| !b.is_ascii_alphanumeric() && *b != b' ').count() * 6 < text.len();
        let mut rest = text;
        while !rest.is_empty() {
            if self.column + 1 + WORD_FRAME + 20 > COLUMN_MAX {
                self.fold();
            }
            let room = WORD_MAX.min(COLUMN_MAX - self.column - 1) - WORD_FRAME;
            let (piece, after) = rest.split_at(if is_q { q_end(rest, room) } else { b_end(rest, room) });
            self.space(0);
            let payload = if is_q { q_encoded(piece) } else { BASE64.encode(&*without_controls(piece)) };
            self.write(if is_q { "=?utf-8?Q?" } else { "=?utf-8?B?" });
            self.write(&payload);
            self.write("?=");
            rest = after;
        }
    }

    /// White space before something `width` wide: a fold where it would not fit.
    fn space(&mut self, width: usize) {
        if self.column + 1 + width > COLUMN_MAX && self.column > 1 {
            self.fold();
        }
        if self.column > 0 {
            self.write(" ");
        }
    }

    /// Goes to a new line; the white space that makes it a continuation follows with the next piece.
    fn fold(&mut self) {
        self.out.extend_from_slice(b"\r\n ");
        self.column = 0;
    }

    fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.column += text.len();
    }
}

/// Whether `text` may stand as it is: printable ASCII that nobody takes for an encoded word.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && !text.contains("=?")
}

/// A quoted string (RFC 5322 section 3.2.4).
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// `attr-char` of RFC 2231 section 7.
fn is_attribute_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$&+-.^_`{|}~".contains(c)
}

fn percent_cost(c: char) -> usize {
    if is_attribute_char(c) { 1 } else { 3 * c.len_utf8() }
}

/// What may stand in an extended parameter as it is, the rest as `%XX`.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for c in without_controls(text).chars() {
        if is_attribute_char(c) {
            encoded.push(c);
        } else {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| push_hex(&mut encoded, '%', b));
        }
    }
    encoded
}

fn q_cost(c: char) -> usize {
    if is_q_literal(c) || c == ' ' { 1 } else { 3 * c.len_utf8() }
}

/// What may stand for itself in the `Q` encoding everywhere, phrases included (RFC 2047 section 5 (3)).
fn is_q_literal(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!*+-/".contains(c)
}

fn q_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for c in without_controls(text).chars() {
        match c {
            ' ' => encoded.push('_'),
            c if is_q_literal(c) => encoded.push(c),
            c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| push_hex(&mut encoded, '=', b)),
        }
    }
    encoded
}

fn q_end(text: &str, room: usize) -> usize {
    end_within(text, room, q_cost)
}

fn b_end(text: &str, room: usize) -> usize {
    end_within(text, room / 4 * 3, char::len_utf8)
}

/// How many bytes of `text`, in whole characters, cost at most `room`; at least one character.
fn end_within(text: &str, room: usize, cost: impl Fn(char) -> usize) -> usize {
    let mut spent = 0;
    for (at, c) in text.char_indices() {
        spent += cost(c);
        if spent > room && at > 0 {
            return at;
        }
    }
    text.len()
}

/// The last line of defence: a control character that came so far is a space.
fn without_controls(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}

fn push_hex(out: &mut String, sign: char, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(sign);
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}
