//! Reading a body within bounds (`contracts/cmsi.md` section 2, decision 2): its size, the time it takes, the pace at which a large one comes, and
//! the memory that large ones hold together. A body is never decompressed.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use axum::{
    body::HttpBody,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use hongyan_core::limits;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::{
    BodyError,
    room::{Held, Room},
};

/// Bodies up to this size are read without asking for room, so that small messages never wait for large ones.
const SMALL_BYTES: usize = limits::CONTENT_INLINE_BYTES_MAX;
/// The pace, in bytes per second, that a body must keep once it holds room.
const PACE_BYTES: u32 = 16 * 1024;
/// How far such a body may fall behind, however fast it came before: one that stops is given up after this.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The whole body, with the room that it takes up.
///
/// # Errors
/// Why it was not read; what is left of it may stay unread.
pub async fn read_body<B>(headers: &HeaderMap, body: B, room: &Room) -> Result<(Bytes, Held), BodyError>
where
    B: HttpBody<Data = Bytes>,
{
    let deadline = Instant::now() + limits::BODY_TIME_MAX;
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let declared = declared.or_else(|| usize::try_from(body.size_hint().exact()?).ok()).unwrap_or(0);
    let mut body = pin!(body);
    let read = if is_encoded(headers) {
        Err(BodyError::Encoded)
    } else if declared > limits::BODY_BYTES_MAX {
        Err(BodyError::TooLarge)
    } else {
        let collecting = collect(body.as_mut(), room, deadline);
        timeout_at(deadline, collecting).await.unwrap_or(Err(BodyError::TooSlow))
    };
    // A client that waits to be asked for a body that is too large is not asked, and far too much is not read.
    let is_unwanted = declared > limits::BODY_BYTES_MAX
        && (headers.contains_key(header::EXPECT) || declared > 2 * limits::BODY_BYTES_MAX);
    let is_refused = matches!(read, Err(BodyError::Encoded | BodyError::TooLarge | BodyError::NoRoom));
    if is_refused && !is_unwanted {
        // By now no room is held. The answer is the same whether the rest arrives or not.
        let _ = timeout_at(deadline, discard(body)).await;
    }
    read
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.any(|encoding| !matches!(encoding.as_bytes().trim_ascii(), b"" | b"identity"))
}

/// Everything that arrives. A body in one piece, as most are, is not copied. Room is taken for what has arrived and not for
/// what is announced, so that a body holds no more than its sender really sent.
async fn collect<B>(mut body: Pin<&mut B>, room: &Room, deadline: Instant) -> Result<(Bytes, Held), BodyError>
where
    B: HttpBody<Data = Bytes>,
{
    let (mut whole, mut pieces, mut held) = (Bytes::new(), BytesMut::new(), Held::default());
    let mut due = deadline;
    while let Some(frame) = timeout_at(due, body.frame()).await.map_err(|_| BodyError::TooSlow)? {
        let Ok(data) = frame.map_err(|_| BodyError::CutOff)?.into_data() else { continue };
        let arrived = whole.len() + pieces.len() + data.len();
        if arrived > limits::BODY_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
        if arrived > SMALL_BYTES {
            let patience = patience(due, data.len());
            room.grow(&mut held, arrived, deadline).await?;
            // The wait for room is not the sender's.
            due = Instant::now() + patience;
        }
        if whole.is_empty() && pieces.is_empty() {
            whole = data;
            continue;
        }
        if pieces.is_empty() {
            pieces.reserve(arrived);
            pieces.extend_from_slice(&std::mem::take(&mut whole));
        }
        pieces.extend_from_slice(&data);
    }
    Ok((if pieces.is_empty() { whole } else { pieces.freeze() }, held))
}

/// How long to wait for more, where more was due by `due` and `bytes` have just arrived.
fn patience(due: Instant, bytes: usize) -> Duration {
    let earned = Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX) / PACE_BYTES;
    PAUSE_MAX.min(due.saturating_duration_since(Instant::now()) + earned)
}

/// Reads on and forgets, as much again as is allowed: most clients read the answer only after they have sent everything.
async fn discard<B>(mut body: Pin<&mut B>)
where
    B: HttpBody<Data = Bytes>,
{
    let mut left = limits::BODY_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
