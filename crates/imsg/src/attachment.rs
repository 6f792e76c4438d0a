//! The attachment of a mail (row 18): one object, or as an extension a list of them. Files need no limit of their own beside
//! the body's, for base64 makes them a third larger than they are.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hongyan_core::{content::Attachment, limits, text};
use hongyan_intake::wire::{Json, mime};

use crate::code::Code;

const FORM: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, FORM);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, FORM);

/// The attachments with their bytes; none where there is nothing.
pub(crate) fn read(value: &Json<'_>) -> Result<Vec<(Attachment, Vec<u8>)>, Code> {
    match value {
        Json::Null => Ok(Vec::new()),
        Json::List(items) if items.len() <= limits::ATTACHMENTS_MAX => items.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn one(value: &Json<'_>) -> Result<(Attachment, Vec<u8>), Code> {
    let (Json::Text(filename), Json::Text(file)) = (value.get("filename"), value.get("file")) else {
        return Err(Code::Attachment);
    };
    let filename = file_name(filename).ok_or(Code::Attachment)?;
    let bytes = decode(file).filter(|bytes| !bytes.is_empty()).ok_or(Code::Attachment)?;
    let mime = mime::of_file("", filename).to_owned();
    Ok((Attachment { filename: filename.to_owned(), mime, inline: false, content_id: String::new() }, bytes))
}

/// A name that is no path and nothing but a name.
fn file_name(given: &str) -> Option<&str> {
    let name = given.trim();
    let is_name = !matches!(name, "" | "." | "..")
        && name.len() <= limits::FILE_NAME_BYTES_MAX
        && !name.contains(['/', '\\'])
        && !text::has_control(name);
    is_name.then_some(name)
}

/// Base64 of either alphabet, with or without its padding, in lines or not, and nothing beside.
fn decode(text: &str) -> Option<Vec<u8>> {
    let lines: String;
    let text = if text.contains(['\r', '\n']) {
        lines = text.replace(['\r', '\n'], "");
        &lines
    } else {
        text
    };
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Vec<(String, Vec<u8>)>, Code> {
        let read = read(&Json::parse(json).expect("JSON"))?;
        Ok(read.into_iter().map(|(attachment, bytes)| (attachment.filename, bytes)).collect())
    }

    #[test]
    fn files() {
        for (json, files) in [
            ("null", vec![]),
            ("[]", vec![]),
            (r#"{"filename": "hello.md", "file": "aGk="}"#, vec![("hello.md", "hi")]),
            (r#"{"filename": " 报表.csv ", "file": "aGk"}"#, vec![("报表.csv", "hi")]),
            (r#"{"filename": "a", "file": "Pz8_\r\nPz8_\n"}"#, vec![("a", "??????")]),
            (
                r#"[{"filename": "a", "file": "aGk="}, {"filename": "a", "file": "eA=="}]"#,
                vec![("a", "hi"), ("a", "x")],
            ),
        ] {
            let files = files.into_iter().map(|(name, file)| (name.to_owned(), file.as_bytes().to_vec())).collect();
            assert_eq!(of(json), Ok(files), "{json}");
        }
    }

    #[test]
    fn what_is_no_attachment() {
        let long = format!(r#"{{"filename": "{}", "file": "eA=="}}"#, "x".repeat(256));
        let many = format!("[{}]", vec![r#"{"filename": "a", "file": "eA=="}"#; 21].join(","));
        let names = ["../a", "/etc/passwd", r"C:\\a", "a\\u0000b", "a\\nb", "", " ", ".", ".."];
        let names = names.map(|name| format!(r#"{{"filename": "{name}", "file": "eA=="}}"#));
        let files = ["", "!", "eA==!", "abcde", "eA= =", "e A=", "====", "eB==", "你好"];
        let files = files.map(|file| format!(r#"{{"filename": "a", "file": "{file}"}}"#));
        let others = [
            "{}",
            "1",
            "true",
            r#""x""#,
            "[1]",
            "[[]]",
            r#"{"filename": "a"}"#,
            r#"{"file": "eA=="}"#,
            r#"{"filename": null, "file": "eA=="}"#,
            r#"{"filename": "a", "file": ["eA=="]}"#,
        ];
        for json in names.iter().chain(&files).map(String::as_str).chain(others).chain([&*long, &*many]) {
            assert_eq!(of(json), Err(Code::Attachment), "{json}");
        }
    }
}
