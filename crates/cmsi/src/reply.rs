//! Section 4 and decision 2: exactly five keys in the documents' order, written by hand because every request pays for it;
//! three for a path that does not exist.

use std::{borrow::Cow, fmt::Write as _};

use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use hongyan_core::{id::Id, setup::MailSuccessCode};
use ring::rand::{SecureRandom, SystemRandom};

use crate::{error::Failure, language::Language};

/// A request that succeeded.
#[derive(Debug)]
pub(crate) struct Success {
    code: &'static str,
    data: Data,
    request_id: String,
}

/// `data` of a success.
#[derive(Debug)]
pub(crate) enum Data {
    /// Null.
    Nothing,
    /// Nobody was left out; what else there is as members in JSON, each with a comma after it.
    AllDelivered(Cow<'static, str>),
    /// JSON as it is.
    Written(String),
}

impl Success {
    /// A message that everybody has or will get.
    pub(crate) fn sent(message: Id, code: MailSuccessCode, data: Data) -> Self {
        let code = match code {
            MailSuccessCode::Number => "0",
            MailSuccessCode::Text => "\"00\"",
        };
        Self { code, data, request_id: id_of(message) }
    }

    /// A list, as JSON.
    pub(crate) const fn list(json: String, request_id: String) -> Self {
        Self { code: "0", data: Data::Written(json), request_id }
    }
}

/// The reply to a request that succeeded; its message is "OK" as the documents print it.
pub(crate) fn success(success: Success) -> Response {
    let length = match &success.data {
        Data::Nothing => 0,
        Data::AllDelivered(beside) => beside.len(),
        Data::Written(json) => json.len(),
    };
    let mut body = String::with_capacity(length + 160);
    body.push_str(r#"{"result":true,"code":"#);
    body.push_str(success.code);
    body.push_str(r#","message":"OK","data":"#);
    match &success.data {
        Data::Nothing => body.push_str("null"),
        Data::AllDelivered(beside) => {
            body.push('{');
            body.push_str(beside);
            body.push_str(r#""username_check":{"invalid":[]}}"#);
        }
        Data::Written(json) => body.push_str(json),
    }
    body.push_str(r#","request_id":""#);
    body.push_str(&success.request_id);
    body.push_str("\"}");
    json(StatusCode::OK, body.into())
}

/// The reply to a request that failed.
pub(crate) fn failure(failure: &Failure, language: Language, request_id: &str) -> Response {
    let mut body = String::with_capacity(256);
    // Writing to a text cannot fail.
    let _ = write!(body, r#"{{"result":false,"code":{},"message":"#, failure.problem.row().0);
    push_text(&mut body, &failure.problem.text(language));
    body.push_str(r#","data":"#);
    match &failure.data {
        None => body.push_str("null"),
        Some(data) => {
            body.push('{');
            body.push_str(&data.beside);
            body.push_str(r#""username_check":{"invalid":["#);
            for (n, user) in data.invalid.iter().enumerate() {
                body.push_str(if n == 0 { "" } else { "," });
                push_text(&mut body, user);
            }
            body.push_str("]}}");
        }
    }
    let _ = write!(body, r#","request_id":"{request_id}"}}"#);
    let status = failure.problem.status();
    let mut response = json(status, body.into());
    if status != StatusCode::OK {
        // What is left of the body stays unread.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The reply to a path or method that does not exist (section 1).
pub(crate) fn not_found(method: &Method) -> Response {
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from(r#"{"result":false,"data":null,"message":"The content does not exist"}"#),
    };
    json(StatusCode::NOT_FOUND, body)
}

fn json(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Appends a JSON text: UTF-8 unescaped, as the reference writes it.
pub(crate) fn push_text(body: &mut String, text: &str) {
    body.push('"');
    for c in text.chars() {
        match c {
            '"' => body.push_str("\\\""),
            '\\' => body.push_str("\\\\"),
            '\n' => body.push_str("\\n"),
            '\r' => body.push_str("\\r"),
            '\t' => body.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(body, "\\u{:04x}", u32::from(c));
            }
            c => body.push(c),
        }
    }
    body.push('"');
}

/// The request id of an accepted message: the same for every answer about it, so that a repeat under an idempotency key gets
/// the same bytes. The second half is the message id, the first is mixed from it.
pub(crate) fn id_of(message: Id) -> String {
    let id = message.get().unsigned_abs();
    format!("{:016x}{id:016x}", mix(id))
}

/// The request id of a request that left no message: the first half is random, the second an id that belongs to nothing.
pub(crate) fn fresh_id(id: Option<Id>) -> String {
    let mut random = [0; 16];
    // Without randomness the id is still unique by its second half.
    let _ = SystemRandom::new().fill(&mut random);
    let random = u128::from_be_bytes(random);
    let second = id.map_or(random as u64 >> 1, |id| id.get().unsigned_abs());
    format!("{:016x}{second:016x}", (random >> 64) as u64)
}

/// The finaliser of splitmix64: one to one, and no two neighbours look alike.
const fn mix(id: u64) -> u64 {
    let mut z = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_json_whatever_they_hold() {
        for text in ["", "a\"b\\c", "\0\u{1}\u{1f}\u{7f}\u{85}\u{2028}", "鸿雁 \r\n\t", "</script>"] {
            let mut written = String::new();
            push_text(&mut written, text);
            assert_eq!(serde_json::from_str::<String>(&written).expect("JSON"), text);
        }
    }

    #[test]
    fn request_ids_are_32_lower_hex_and_end_in_the_message_id() {
        let id = Id::from_i64(0x0123_4567_89ab_cdef).expect("positive");
        let text = id_of(id);
        assert!(text.ends_with("0123456789abcdef") && text.len() == 32);
        assert_eq!(text, id_of(id));
        let fresh = [fresh_id(Some(id)), fresh_id(None), fresh_id(None)];
        assert!(fresh.iter().all(|id| id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))));
        assert!(fresh[0].ends_with("0123456789abcdef") && fresh[1] != fresh[2]);
    }
}
