//! Design 7: what an `Idempotency-Key` is bound to: to whom, how and what is sent, not the token, which is another one an hour
//! later, nor how the JSON is written.

use hongyan_core::message::Idempotency;
use hongyan_intake::wire::{BadKey, Json, idempotency_key};
use ring::digest::{Context, SHA256};

use crate::call::Call;

/// The caller's key, if it sent one, with the fingerprint of the call.
pub(crate) fn key(call: &Call<'_>) -> Result<Option<Idempotency>, BadKey> {
    let Some(key) = idempotency_key(&call.parts.headers)? else { return Ok(None) };
    let mut hash = Context::new(&SHA256);
    for name in ["to", "method", "content", "attachment"] {
        feed(call.get(name), &mut hash);
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(hash.finish().as_ref());
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint }))
}

/// Hashes a value so that no two values are hashed as the same bytes: its type, then its length or number, then what it holds.
fn feed(value: &Json<'_>, hash: &mut Context) {
    let text = |text: &str, hash: &mut Context| {
        hash.update(&text.len().to_le_bytes());
        hash.update(text.as_bytes());
    };
    match value {
        Json::Null => hash.update(b"n"),
        Json::Bool(value) => hash.update(&[b'b', u8::from(*value)]),
        Json::Int(number) => hash.update(format!("i{number};").as_bytes()),
        Json::Big(number) => hash.update(format!("i{number};").as_bytes()),
        Json::Float(number) => hash.update(format!("f{number};").as_bytes()),
        Json::Text(value) => {
            hash.update(b"t");
            text(value, hash);
        }
        Json::List(items) => {
            hash.update(b"l");
            hash.update(&items.len().to_le_bytes());
            items.iter().for_each(|item| feed(item, hash));
        }
        Json::Dict(members) => {
            hash.update(b"d");
            hash.update(&members.len().to_le_bytes());
            for (name, value) in members {
                text(name, hash);
                feed(value, hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_differ_differ_and_writing_does_not_count() {
        let of = |json: &str| {
            let mut hash = Context::new(&SHA256);
            feed(&Json::parse(json).expect("JSON"), &mut hash);
            hash.finish().as_ref().to_vec()
        };
        assert_eq!(of(r#"{"a": ["\u4f60", 1]}"#), of(r#"{"a":["你",1]}"#));
        let values = [
            "null",
            "true",
            "false",
            "1",
            "11",
            "1.5",
            r#""1""#,
            r#""""#,
            "[]",
            "{}",
            "[[]]",
            "[[],[]]",
            "[null]",
            r#"["a","b"]"#,
            r#"["ab"]"#,
            r#"{"a":"b"}"#,
            r#"{"ab":""}"#,
            r#"{"a":null}"#,
        ];
        for (n, one) in values.iter().enumerate() {
            for other in &values[n + 1..] {
                assert_ne!(of(one), of(other), "{one} {other}");
            }
        }
    }
}
