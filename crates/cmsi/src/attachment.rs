//! Section 6.8: attachments, each a small form of its own. Their decoded sizes need no limit beside the body's: base64 makes
//! them a third larger than they are.

use std::borrow::Cow;

use hongyan_core::{content::Attachment, limits, text};
use hongyan_intake::wire::{Json, mime};

use crate::{
    error::{Fault, Field, Problem},
    fields, python,
};

/// The list itself, a field of two forms.
pub(crate) const ATTACHMENTS: Field = Field::new("attachments", "attachments");
const FILENAME: Field = Field::new("filename", "filename");
const CONTENT: Field = Field::new("content", "content");
const TYPE: Field = Field::new("type", "type");
const DISPOSITION: Field = Field::new("disposition", "disposition");
const CONTENT_ID: Field = Field::new("content_id", "content_id");

/// The attachments of a mail with their bytes.
pub(crate) fn read(items: &[Json<'_>]) -> Result<Vec<(Attachment, Vec<u8>)>, Problem> {
    if items.len() > limits::ATTACHMENTS_MAX {
        return Err(Problem::TooManyAttachments);
    }
    items.iter().map(read_one).collect()
}

fn read_one(item: &Json<'_>) -> Result<(Attachment, Vec<u8>), Problem> {
    let Json::Dict(_) = item else { return Err(ATTACHMENTS.is(Fault::Dict)) };
    let filename = FILENAME.required(item.get("filename"))?;
    let content = CONTENT.required(item.get("content"))?;
    let bytes = python::b64decode(&content).ok_or(CONTENT.is(Fault::Base64))?;
    let filename = base_name(&filename)?;
    let kind = fields::chars(item.get("type"));
    if text::has_control(&kind) {
        return Err(TYPE.is(Fault::Control));
    }
    // The default is what follows the last dot, the whole name if there is none. Case counts: `A.PNG` is no image.
    let kind = if kind.is_empty() { Cow::Borrowed(mime::suffix(&filename)) } else { kind };
    let is_image = matches!(&*kind, "image" | "jpg" | "png" | "jpeg");
    let inline = match &*fields::chars(item.get("disposition")) {
        "" => is_image,
        given if given.eq_ignore_ascii_case("inline") => true,
        given if given.eq_ignore_ascii_case("attachment") => false,
        _ => return Err(DISPOSITION.is(Fault::Disposition)),
    };
    let content_id = content_id(&fields::chars(item.get("content_id")))?;
    let content_id = match (is_image, content_id) {
        (false, _) => String::new(),
        (true, Some(given)) => given,
        // Decision 6: the plain file name, so that `cid:a.png` finds it.
        (true, None) => filename.clone(),
    };
    let mime = if is_image { mime::of_image(&bytes) } else { mime::of_file(&kind, &filename) };
    Ok((Attachment { filename, mime: mime.to_owned(), inline, content_id }, bytes))
}

/// The file name without directories of either kind of system (`guides/reliability.md` S1), its line ends folded.
fn base_name(given: &str) -> Result<String, Problem> {
    let name = given.rsplit(['/', '\\']).next().unwrap_or("");
    let name = text::fold_line(name).map_err(|_| FILENAME.is(Fault::Control))?;
    match name.trim() {
        "" | "." | ".." => Err(FILENAME.is(Fault::Required)),
        name if name.len() > limits::FILE_NAME_BYTES_MAX => Err(FILENAME.is(Fault::Bytes(limits::FILE_NAME_BYTES_MAX))),
        name => Ok(name.to_owned()),
    }
}

/// The Content-ID without the brackets that some callers write and some do not; `None` where there is none.
fn content_id(given: &str) -> Result<Option<String>, Problem> {
    let id = given.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(given);
    if text::has_control(id) {
        return Err(CONTENT_ID.is(Fault::Control));
    }
    if id.contains(['<', '>']) || id.len() > limits::FILE_NAME_BYTES_MAX {
        return Err(CONTENT_ID.is(Fault::ContentId));
    }
    Ok((!id.is_empty()).then(|| id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    fn one(json: &str) -> Result<Attachment, Problem> {
        read(&[Json::parse(json).expect("JSON")]).map(|mut read| read.remove(0).0)
    }

    fn with(extra: &str) -> Result<Attachment, Problem> {
        one(&format!(r#"{{"filename": "a.png", "content": "{PNG}"{extra}}}"#))
    }

    #[test]
    fn images_are_inline_and_have_an_id() {
        let plain = with("").expect("valid");
        assert_eq!((&*plain.mime, plain.inline, &*plain.content_id), ("image/png", true, "a.png"));
        let given = with(r#", "content_id": "<x>", "disposition": "attachment""#).expect("valid");
        assert_eq!((given.inline, &*given.content_id), (false, "x"));
        assert_eq!(with(r#", "content_id": "x@y""#).expect("valid").content_id, "x@y");
        let upper = one(&format!(r#"{{"filename": "A.PNG", "content": "{PNG}"}}"#)).expect("valid");
        assert_eq!((&*upper.mime, upper.inline, &*upper.content_id), ("image/png", false, ""));
        let fake = one(r#"{"filename": "a.png", "content": "bm90IGltYWdl"}"#).expect("valid");
        assert_eq!((&*fake.mime, fake.inline), ("application/octet-stream", true));
    }

    #[test]
    fn files_are_attached_under_their_own_type() {
        for (json, mime) in [
            (r#"{"filename": "a.pdf", "content": "eA=="}"#, "application/pdf"),
            (r#"{"filename": "报表.csv", "content": "eA==", "type": "csv"}"#, "text/csv"),
            (r#"{"filename": "a", "content": "eA==", "type": "pdf"}"#, "application/pdf"),
            (r#"{"filename": "a.txt", "content": "eA==", "type": "../../x"}"#, "text/plain"),
            (r#"{"filename": "a.x", "content": "eA==", "type": "message/rfc822"}"#, "application/octet-stream"),
            (r#"{"filename": "a", "content": "eA=="}"#, "application/octet-stream"),
        ] {
            let read = one(json).expect("valid");
            assert_eq!((&*read.mime, read.inline, &*read.content_id), (mime, false, ""), "{json}");
        }
    }

    #[test]
    fn names_lose_their_directories() {
        for (given, name) in [("../../etc/passwd", "passwd"), (r"C:\\x", "x"), ("a/b", "b"), (r"a\r\nb", "a b")] {
            let read = one(&format!(r#"{{"filename": "{given}", "content": "eA=="}}"#)).expect("valid");
            assert_eq!(read.filename, name);
        }
    }

    #[test]
    fn what_is_refused() {
        for (extra, problem) in [
            (r#", "type": "a\nb""#, TYPE.is(Fault::Control)),
            (r#", "disposition": "inline; filename=evil.exe""#, DISPOSITION.is(Fault::Disposition)),
            (r#", "content_id": "<a>\r\nX: 1""#, CONTENT_ID.is(Fault::Control)),
            (r#", "content_id": "a b>""#, CONTENT_ID.is(Fault::ContentId)),
            (r#", "content": """#, CONTENT.is(Fault::Required)),
            (r#", "content": "abcde""#, CONTENT.is(Fault::Base64)),
            (r#", "content": null"#, CONTENT.is(Fault::Required)),
            (r#", "filename": " ""#, FILENAME.is(Fault::Required)),
            (r#", "filename": "a/..""#, FILENAME.is(Fault::Required)),
            (r#", "filename": "a\u0000b""#, FILENAME.is(Fault::Control)),
        ] {
            assert_eq!(with(extra), Err(problem), "{extra}");
        }
        let long = "x".repeat(limits::FILE_NAME_BYTES_MAX + 1);
        assert!(with(&format!(r#", "filename": "{long}""#)).is_err());
        assert_eq!(one("\"x\""), Err(ATTACHMENTS.is(Fault::Dict)));
        assert_eq!(read(&vec![Json::Null; limits::ATTACHMENTS_MAX + 1]), Err(Problem::TooManyAttachments));
    }
}
