//! What a content says in WeCom: a text, in parts of at most 2,048 bytes, and the request that carries one of them.

use std::{ops::Range, time::Duration};

use hongyan_core::content::Content;
use serde_json::{Value, json};

/// The longest text of a message, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;
/// How much of a part its mark takes at most, as in `(12/34) `: texts are bounded, and so are their parts.
const MARK_BYTES_MAX: usize = "(999/999) ".len();
/// A part ends at a line's end or a space where one is in the last quarter of it.
const SEARCHED: usize = TEXT_BYTES_MAX / 4;

/// The text of a content that WeCom can carry (`contracts/cmsi.md` 7): a notice has one line for each thing that it says.
pub(super) fn text(content: &Content) -> Option<String> {
    match content {
        Content::Text(text) => Some(text.text.clone()),
        Content::Notice(notice) => {
            let mut text = format!("{}\n{}", notice.heading, notice.message);
            if !notice.date.is_empty() {
                text.push_str("\nDate: ");
                text.push_str(&notice.date);
            }
            if !notice.remark.is_empty() {
                text.push('\n');
                text.push_str(&notice.remark);
            }
            Some(text)
        }
        _ => None,
    }
}

/// In how many parts a text is sent.
pub(super) fn count(text: &str) -> usize {
    if text.len() <= TEXT_BYTES_MAX { 1 } else { pieces(text).len() }
}

/// A text in parts that fit, each with its number before it; one that fits is its only part.
pub(super) fn parts(text: &str) -> Vec<String> {
    if text.len() <= TEXT_BYTES_MAX {
        return vec![text.to_owned()];
    }
    let pieces = pieces(text);
    let all = pieces.len();
    pieces.into_iter().enumerate().map(|(i, piece)| format!("({}/{all}) {}", i + 1, &text[piece])).collect()
}

/// A text cut into pieces that leave room for a mark; together they are the text.
fn pieces(text: &str) -> Vec<Range<usize>> {
    const ROOM: usize = TEXT_BYTES_MAX - MARK_BYTES_MAX;
    let (mut pieces, mut from) = (Vec::new(), 0);
    while text.len() - from > ROOM {
        let most = text.floor_char_boundary(from + ROOM);
        let searched = &text[text.ceil_char_boundary(most - SEARCHED)..most];
        let behind = searched.rfind('\n').or_else(|| searched.rfind(' ')).map_or(0, |at| searched.len() - at - 1);
        pieces.push(from..most - behind);
        from = most - behind;
    }
    pieces.push(from..text.len());
    pieces
}

/// The request that sends `text` to `users`: the same bytes for the same message every time, and nothing of the moment, for by
/// these bytes WeCom tells a repeat.
pub(super) fn body(users: &[&str], agent_id: i64, text: &str, duplicate_check: Option<Duration>) -> Value {
    let mut body = json!({
        "touser": users.join("|"),
        "msgtype": "text",
        "agentid": agent_id,
        "text": {"content": text},
    });
    if let Some(interval) = duplicate_check {
        body["enable_duplicate_check"] = 1.into();
        body["duplicate_check_interval"] = interval.as_secs().into();
    }
    body
}
