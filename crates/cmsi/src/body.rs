//! Reading a body within bounds (section 2, decision 2): its size, the time it takes, and the memory that bodies may hold
//! together. A body is never decompressed.

use std::{
    pin::{Pin, pin},
    sync::Arc,
};

use axum::{
    body::HttpBody,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use hongyan_core::limits;
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::error::Problem;

/// Bodies up to this size are read without asking for room, so that small messages never wait for large ones.
const SMALL_BYTES: usize = limits::CONTENT_INLINE_BYTES_MAX;

/// The memory for large bodies, one permit per byte.
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    /// Room for `limits::BODIES_IN_MEMORY_BYTES_MAX`.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(limits::BODIES_IN_MEMORY_BYTES_MAX)))
    }

    /// Waits for room for `bytes`.
    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        // The semaphore is never closed, so that this cannot fail.
        Arc::clone(&self.0).acquire_many_owned(permits).await.ok()
    }
}

/// The whole body, with the room that it takes up.
pub(crate) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    room: &Room,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem>
where
    B: HttpBody<Data = Bytes>,
{
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let declared = declared.or_else(|| usize::try_from(body.size_hint().exact()?).ok());
    let reading = async {
        let mut body = pin!(body);
        if is_encoded(headers) {
            discard(body.as_mut()).await;
            return Err(Problem::ContentEncoding);
        }
        if declared.is_some_and(|bytes| bytes > limits::BODY_BYTES_MAX) {
            // A client that waits to be asked for its body is not asked.
            if !headers.contains_key(header::EXPECT) && declared.is_some_and(|b| b <= 2 * limits::BODY_BYTES_MAX) {
                discard(body.as_mut()).await;
            }
            return Err(Problem::BodyTooLarge);
        }
        collect(body.as_mut(), declared, room).await
    };
    timeout(limits::BODY_TIME_MAX, reading).await.unwrap_or(Err(Problem::BodyTooSlow))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.any(|encoding| !matches!(encoding.as_bytes().trim_ascii(), b"" | b"identity"))
}

/// Everything that arrives. A body in one piece, as most are, is not copied. Room is asked for only once a body turns out to be
/// large, so that one that is merely announced keeps nobody waiting.
async fn collect<B>(
    mut body: Pin<&mut B>,
    declared: Option<usize>,
    room: &Room,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem>
where
    B: HttpBody<Data = Bytes>,
{
    let (mut whole, mut pieces, mut taken) = (Bytes::new(), BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Problem::BodyCutOff)?.into_data() else { continue };
        let arrived = whole.len() + pieces.len() + data.len();
        if arrived > limits::BODY_BYTES_MAX {
            discard(body).await;
            return Err(Problem::BodyTooLarge);
        }
        if arrived > SMALL_BYTES && taken.is_none() {
            taken = room.take(declared.unwrap_or(limits::BODY_BYTES_MAX)).await;
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
    Ok((if pieces.is_empty() { whole } else { pieces.freeze() }, taken))
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
