//! Text for a body: cleaned, then quoted-printable or base64, whichever suits it. The library's quoted-printable encoder takes
//! 4 us for 1 KiB, more than the rest of a message together, and writes a bare LF behind certain characters; this one copies
//! what needs no encoding in runs.

use mail_builder::encoders::base64::base64_encode_mime;

/// An encoded line, without the `=` of a soft line break (RFC 2045 section 6.7 (5): 76 with it).
const LINE_MAX: usize = 75;
/// Which bytes stand for themselves within a line.
const IS_LITERAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        table[byte as usize] = byte != b'=';
        byte += 1;
    }
    table[b'\t' as usize] = true;
    table
};
/// Which bytes are, or may begin, a control character but TAB: those below space, DEL, and C2, which leads 80 to 9F.
const IS_SUSPECT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < b' ' {
        table[byte as usize] = byte != b'\t';
        byte += 1;
    }
    table[0x7f] = true;
    table[0xc2] = true;
    table
};

/// Text as it may stand in a body: CRLF line ends, no control characters but TAB.
pub(super) fn canonical(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len() + text.len() / 16);
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| IS_SUSPECT[usize::from(b)]) {
        let (clean, after) = rest.split_at(at);
        canonical.push_str(clean);
        let suspect = after.chars().next().unwrap_or_default();
        match suspect {
            '\r' | '\n' => canonical.push_str("\r\n"),
            c if c.is_control() => {}
            c => canonical.push(c),
        }
        rest = &after[if after.starts_with("\r\n") { 2 } else { suspect.len_utf8() }..];
    }
    canonical.push_str(rest);
    canonical
}

/// Appends the header that names the encoding of `text`, the empty line and the encoded text. The text is canonical.
pub(super) fn append_text(out: &mut Vec<u8>, text: &str) {
    let wide = text.bytes().filter(|b| !b.is_ascii()).count();
    if wide * 6 > text.len() {
        append_base64(out, text.as_bytes());
    } else {
        out.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        append_quoted_printable(out, text);
    }
}

/// Appends the header that names the encoding, the empty line and `bytes` in base64.
pub(super) fn append_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
    // Writing to a Vec cannot fail.
    let _ = base64_encode_mime(bytes, out, false);
}

/// Quoted-printable (RFC 2045 section 6.7). Ends with a line end of its own, a soft one where the text has none.
fn append_quoted_printable(out: &mut Vec<u8>, text: &str) {
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix("\r\n").map_or((line, "=\r\n"), |line| (line, "\r\n"));
        append_line(out, line.as_bytes());
        out.extend_from_slice(end.as_bytes());
    }
}

fn append_line(out: &mut Vec<u8>, line: &[u8]) {
    let mut column = 0;
    let mut rest = line;
    while !rest.is_empty() {
        let literal = rest.iter().position(|b| !IS_LITERAL[usize::from(*b)]).unwrap_or(rest.len());
        // White space may not end a line (RFC 2045 section 6.7 (3)).
        let is_end = literal == rest.len() && matches!(rest.last(), Some(b' ' | b'\t'));
        let (mut run, after) = rest.split_at(literal - usize::from(is_end));
        while !run.is_empty() {
            let (piece, later) = run.split_at(run.len().min(LINE_MAX - column));
            out.extend_from_slice(piece);
            column += piece.len();
            run = later;
            if column == LINE_MAX && !(run.is_empty() && after.is_empty()) {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
        }
        let Some((byte, after)) = after.split_first() else { return };
        if column + 3 > LINE_MAX {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        let digits = b"0123456789ABCDEF";
        out.extend_from_slice(&[b'=', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        column += 3;
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        append_quoted_printable(&mut out, text);
        String::from_utf8(out).expect("ASCII")
    }

    /// RFC 2045 section 6.7, read by hand.
    fn decoded(text: &str) -> Vec<u8> {
        let text = text.replace("=\r\n", "");
        let mut bytes = text.bytes();
        let mut decoded = Vec::new();
        while let Some(byte) = bytes.next() {
            if byte != b'=' {
                decoded.push(byte);
                continue;
            }
            let hex: String = bytes.by_ref().take(2).map(char::from).collect();
            decoded.push(u8::from_str_radix(&hex, 16).expect("hex"));
        }
        decoded
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("", ""),
            ("a\r\n", "a\r\n"),
            ("a", "a=\r\n"),
            ("a \r\n\t\r\n", "a=20\r\n=09\r\n"),
            ("1=2 é", "1=3D2 =C3=A9=\r\n"),
            ("\r\n\r\n", "\r\n\r\n"),
        ] {
            assert_eq!(encoded(text), expected, "{text:?}");
        }
        assert_eq!(encoded(&format!("{}\r\n", "x".repeat(75))), format!("{}\r\n", "x".repeat(75)));
        assert_eq!(encoded(&format!("{}\r\n", "x".repeat(76))), format!("{}=\r\nx\r\n", "x".repeat(75)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "([ -~é鸿\t]|\r|\n|\0|\u{85}|\u{a0}){0,400}") {
            let text = canonical(&text);
            let encoded = encoded(&text);
            prop_assert_eq!(decoded(&encoded), text.as_bytes());
            prop_assert!(encoded.is_ascii() && (encoded.is_empty() || encoded.ends_with("\r\n")));
            for line in encoded.split("\r\n") {
                prop_assert!(line.len() <= 76 && !line.ends_with([' ', '\t']) && !line.contains(['\r', '\n']));
            }
        }
    }
}
