//! `GET /v1/inbox/events`: what is new, as it comes, as server-sent events. An `item` event has an item's JSON and its number as the
//! event's id, behind which the numbers of those told before it follow; `Last-Event-ID` goes on from there. An `unread` event says
//! how many items are unread, at the beginning and whenever that changes. The stream ends with its token, and when the node stops.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{Extensions, HeaderMap, HeaderName},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream::unfold;
use hongyan_core::{
    id::Id,
    inbox::InboxItem,
    limits::{INBOX_NEWS_OVERLAP, INBOX_PAGE_MAX},
    store::StoreResult,
};
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{
    Inbox,
    hub::{Feed, Start, Told},
    items::{ItemView, Unread, Whose, known},
    reader::Reader,
};
use crate::problem::Problem;

const LAST_EVENT_ID: &str = "last-event-id";
/// Numbers in an event's id: its own, and those of items told before it, which a stream that goes on must not tell again.
const NUMBERS: usize = 8;
/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);

pub(super) async fn stream(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Whose { user }) = known(whose)?;
    let reader = inbox.reader(&headers, &extensions, user).await?;
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()).and_then(numbers);
    let start = inbox.start(&reader, last).await?;
    let feed = inbox.hub.follow(&reader.user, reader.only, start);
    let feed = feed.ok_or_else(|| Problem::unavailable("there are too many streams of this inbox or on this node"))?;
    let (every, heartbeat) = (inbox.pace.check, inbox.pace.heartbeat);
    let mut check = interval_at(Instant::now() + every, every);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ready = VecDeque::from([Event::default().retry(RETRY)]);
    let mut stream = Stream { inbox, reader, feed, check, ready, told: VecDeque::new(), unread: None };
    stream.count().await;
    let events =
        unfold(stream, |mut stream| async { stream.next().await.map(|event| (Ok::<_, Infallible>(event), stream)) });
    let alive = KeepAlive::new().interval(heartbeat).text("heartbeat");
    // Proxies that collect what they pass on would keep news back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(alive)).into_response())
}

/// The numbers of an event's id; absent where it is none of ours.
fn numbers(id: &str) -> Option<Vec<Id>> {
    id.split(',').take(NUMBERS).map(|number| number.trim().parse().ok()).collect()
}

impl Inbox {
    /// Where a stream begins: behind the last event, else now.
    async fn start(&self, reader: &Reader, last: Option<Vec<Id>>) -> StoreResult<Start> {
        if let Some(seen) = last
            && let Some(id) = seen.first()
        {
            let at = self.find(reader, *id).await?.map_or_else(|| id.time(), |item| item.at);
            return Ok(Start { since: at - INBOX_NEWS_OVERLAP, seen });
        }
        let since = self.now() - INBOX_NEWS_OVERLAP;
        let there = self.store.inbox_news(vec![(reader.user.clone(), since)], INBOX_PAGE_MAX).await?;
        Ok(Start { since, seen: there.into_iter().map(|(_, item)| item.id).collect() })
    }
}

/// A stream, with what it has still to say.
struct Stream {
    inbox: Arc<Inbox>,
    reader: Reader,
    feed: Feed,
    check: Interval,
    ready: VecDeque<Event>,
    /// The last items that were told, the newest first.
    told: VecDeque<Id>,
    unread: Option<Unread>,
}

impl Stream {
    /// The next event; `None` when it is over.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            tokio::select! {
                told = self.feed.next() => match told? {
                    Told::News(items) => items.into_iter().for_each(|item| self.item(item)),
                    Told::Marked => {}
                },
                _ = self.check.tick() => self.still_counts().await?,
            }
            self.count().await;
        }
    }

    /// Whether the reader still is who they were; where the store does not say, they are.
    async fn still_counts(&self) -> Option<()> {
        match self.inbox.again(&self.reader).await {
            Ok(Some(reader)) => (reader.only == self.reader.only).then_some(()),
            Ok(None) => None,
            Err(_) => Some(()),
        }
    }

    fn item(&mut self, item: InboxItem) {
        self.told.push_front(item.id);
        self.told.truncate(NUMBERS);
        let numbers: Vec<String> = self.told.iter().map(Id::to_string).collect();
        let view = ItemView::new(item, &self.inbox.setup.get());
        self.ready.extend(event("item", &view).map(|event| event.id(numbers.join(","))));
    }

    /// Says how many are unread, where that is otherwise than it was said last.
    async fn count(&mut self) {
        match self.inbox.count(&self.reader).await {
            Ok(unread) if self.unread != Some(unread) => {
                self.unread = Some(unread);
                self.ready.extend(event("unread", &unread));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "what is unread cannot be counted for now"),
        }
    }
}

fn event(name: &str, data: &impl Serialize) -> Option<Event> {
    // JSON has no line ends, at which an event would end.
    Some(Event::default().event(name).data(serde_json::to_string(data).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_id_is_numbers() {
        let id = |number| Id::from_i64(number).expect("positive");
        assert_eq!(numbers("7"), Some(vec![id(7)]));
        assert_eq!(numbers("9, 8,7"), Some(vec![id(9), id(8), id(7)]));
        for other in ["", "x", "7,", "0", "-1", "7;8"] {
            assert_eq!(numbers(other), None, "{other}");
        }
        let many = (1..=20).map(|n: i64| n.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(numbers(&many).map(|numbers| numbers.len()), Some(NUMBERS));
    }
}
