//! The MIME tree: `mixed` around the files, `related` around the text and its inline images, `alternative` around the two forms
//! of the text; each level only where it has something to hold.
//!
//! Leaves are written here, header by header (the library would write types and identifiers raw, guess 7bit for bodies and
//! encode file names by RFC 2047); the tree around them is the library's.

use std::borrow::Cow;

use hongyan_core::{
    content::{Attachment, Body, Mail},
    id::Id,
};
use mail_builder::{
    headers::content_type::ContentType,
    mime::{BodyPart, MimePart},
};

use super::{
    headers::{Header, percent_encoded},
    plain,
    transfer::{append_base64, append_text, canonical},
};

/// The type of bytes whose declared type is none, or is one that base64 may not encode (RFC 2046 section 5).
const OCTETS: &str = "application/octet-stream";
const MIME_TYPE_MAX: usize = 127;
const CONTENT_ID_MAX: usize = 128;
const FILE_NAME_FALLBACK_MAX: usize = 60;

/// Appends the headers and the content of the message's body.
pub(super) fn write_body(out: &mut Vec<u8>, mail: &Mail, files: &[Vec<u8>], message: Id, domain: &str) {
    let domain = if domain.is_ascii() { domain } else { "hongyan.invalid" };
    let is_html = matches!(mail.body, Body::Html(_));
    let (mut related, mut mixed) = (Vec::new(), Vec::new());
    let mut renamed = Vec::new();
    for (no, (attachment, bytes)) in mail.attachments.iter().zip(files).enumerate() {
        let id = content_id(&attachment.content_id, no, message, domain);
        if let Some(id) = id.as_deref().filter(|id| *id != attachment.content_id) {
            renamed.push((attachment.content_id.as_str(), id.to_owned()));
        }
        let is_related = is_html && attachment.inline && id.is_some();
        let leaf = file_leaf(attachment, bytes, id.as_deref());
        if is_related { related.push(leaf) } else { mixed.push(leaf) }
    }
    let text = match &mail.body {
        Body::Text(text) => text_leaf("plain", text),
        Body::Html(html) => {
            let html = with_renamed_ids(html, &renamed);
            let parts = vec![text_leaf("plain", &plain::from_html(&html)), text_leaf("html", &html)];
            multipart("alternative", message, parts)
        }
    };
    let root = enclosed("mixed", message, enclosed("related", message, text, related), mixed);
    // Writing to a Vec cannot fail, and the library raises no errors of its own.
    let _ = root.write_part(&mut *out);
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
}

/// `first` and `others` in a multipart of this subtype; `first` alone where there are no others.
fn enclosed<'x>(subtype: &str, message: Id, first: MimePart<'x>, others: Vec<MimePart<'x>>) -> MimePart<'x> {
    if others.is_empty() {
        return first;
    }
    let mut parts = Vec::with_capacity(1 + others.len());
    parts.push(first);
    parts.extend(others);
    multipart(subtype, message, parts)
}

/// The boundary holds `=_`, which neither base64 nor quoted-printable can produce (RFC 2045 section 6.7).
fn multipart<'x>(subtype: &str, message: Id, parts: Vec<MimePart<'x>>) -> MimePart<'x> {
    let mut content_type = ContentType::new(format!("multipart/{subtype}"));
    if subtype == "related" {
        content_type = content_type.attribute("type", "multipart/alternative");
    }
    MimePart::new(content_type.attribute("boundary", format!("=_{subtype}_{message}")), parts)
}

fn text_leaf(subtype: &str, text: &str) -> MimePart<'static> {
    let text = canonical(text);
    let mut leaf = Vec::with_capacity(160 + text.len() / 2 * 3);
    let mut header = Header::begin(&mut leaf, "Content-Type");
    header.token(if subtype == "html" { "text/html" } else { "text/plain" });
    header.parameter("charset", "utf-8");
    header.end();
    append_text(&mut leaf, &text);
    MimePart::raw(BodyPart::Binary(leaf.into()))
}

fn file_leaf(attachment: &Attachment, bytes: &[u8], id: Option<&str>) -> MimePart<'static> {
    let name = file_name(&attachment.filename);
    let mut leaf = Vec::with_capacity(512 + bytes.len() / 3 * 4 + bytes.len() / 38);
    let mut header = Header::begin(&mut leaf, "Content-Type");
    header.token(mime_type(&attachment.mime));
    header.parameter("name", &ascii_file_name(name));
    header.end();
    let mut header = Header::begin(&mut leaf, "Content-Disposition");
    header.token(if attachment.inline { "inline" } else { "attachment" });
    header.parameter("filename", name);
    header.end();
    if let Some(id) = id {
        Header::begin(&mut leaf, "Content-ID").token(&format!("<{id}>")).end();
    }
    append_base64(&mut leaf, bytes);
    MimePart::raw(BodyPart::Binary(leaf.into()))
}

/// The declared type if it is `type/subtype` of plain characters (RFC 6838 section 4.2) and not a composite one.
fn mime_type(declared: &str) -> &str {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    match declared.split_once('/') {
        Some((kind, subtype)) if is_name(kind) && is_name(subtype) && declared.len() <= MIME_TYPE_MAX => {
            let is_composite = kind.eq_ignore_ascii_case("multipart") || kind.eq_ignore_ascii_case("message");
            if is_composite { OCTETS } else { declared }
        }
        _ => OCTETS,
    }
}

/// The last component of what may be a path.
fn file_name(given: &str) -> &str {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.trim_matches(['.', ' ']).is_empty() { "attachment" } else { name }
}

/// What readers that know no RFC 2231 show: `_` for what is not plain, the end kept where it is too long.
fn ascii_file_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " -_.()+,@#".contains(c);
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    plain[plain.len().saturating_sub(FILE_NAME_FALLBACK_MAX)..].to_owned()
}

/// The Content-ID of the attachment with this number: as given where it is a plain identifier, else one of our own; absent
/// where none was given.
fn content_id<'a>(given: &'a str, no: usize, message: Id, domain: &str) -> Option<Cow<'a, str>> {
    let is_plain = given.len() <= CONTENT_ID_MAX
        && given.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~.@".contains(&b))
        && !given.contains("=?");
    match given {
        "" => None,
        given if is_plain => Some(given.into()),
        _ => Some(format!("part{no}.{message}@{domain}").into()),
    }
}

/// `html` with `cid:` references to identifiers that could not stay as they were, written raw or percent-encoded
/// (RFC 2392), pointing to the new ones.
fn with_renamed_ids<'a>(html: &'a str, renamed: &[(&str, String)]) -> Cow<'a, str> {
    let mut html = Cow::Borrowed(html);
    for (old, new) in renamed {
        for old in [(*old).to_owned(), old.replace(' ', "%20"), percent_encoded(old)] {
            if let Some(changed) = replace_reference(&html, &format!("cid:{old}"), &format!("cid:{new}")) {
                html = Cow::Owned(changed);
            }
        }
    }
    html
}

/// Replaces `old` where it is a whole reference, one that ends at a quote, bracket, space or the end.
fn replace_reference(html: &str, old: &str, new: &str) -> Option<String> {
    let mut changed = None::<String>;
    let mut copied = 0;
    for (at, _) in html.match_indices(old) {
        let end = at + old.len();
        let is_whole = html[end..].chars().next().is_none_or(|c| c.is_whitespace() || "\"'<>)&;".contains(c));
        if is_whole {
            let changed = changed.get_or_insert_with(|| String::with_capacity(html.len() + 64));
            changed.push_str(&html[copied..at]);
            changed.push_str(new);
            copied = end;
        }
    }
    changed.map(|mut changed| {
        changed.push_str(&html[copied..]);
        changed
    })
}
