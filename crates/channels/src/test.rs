//! The sender for trying out faults and load: it sends no content to anybody. Without a url it counts in memory and takes
//! everything, so that what is measured is the gateway; with one it tells a server of the test about every delivery, one request
//! each, so that whoever judges what arrived, and how often, stands outside the nodes. What it promises about repeating is the
//! plan's choice: it stands for a channel that may repeat or for one that may not.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use hongyan_core::{
    channel::{Channel, Parcel, Recipient},
    delivery::Policy,
    outcome::{Fault, Outcome, Receipts, Rejection, Verdict},
    retry::RetrySchedule,
    setup::TestProvider,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{sleep, timeout};

use crate::{error::OpenError, http::innermost};

/// How long a request may take, connecting included.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection is kept that nothing uses.
const IDLE_LIMIT: Duration = Duration::from_secs(20);
/// How much of an answer is read, for the sake of the connection: only its status counts.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Waits in seconds before a repeat: short, for somebody waits for the test.
const WAITS: [u64; 5] = [1, 2, 5, 10, 30];

/// A test provider.
pub struct Test {
    policy: Policy,
    delay: Duration,
    judge: Option<Judge>,
    taken: AtomicU64,
}

impl Test {
    /// The provider with these keys, which keeps up to `connections` of them open and gives a request `limit`, half of that for
    /// connecting.
    ///
    /// # Errors
    /// When the url is none of plain HTTP to a loopback or private address.
    pub fn new(keys: &TestProvider, connections: u32, limit: Duration) -> Result<Self, OpenError> {
        let judge = match keys.url.as_str() {
            "" => None,
            url => Some(Judge::new(url, connections, limit).map_err(|why| OpenError::key("url", why))?),
        };
        let policy = Policy { repeat: keys.repeat, retry: RetrySchedule::of(WAITS.map(Duration::from_secs)) };
        Ok(Self { policy, delay: keys.delay, judge, taken: AtomicU64::new(0) })
    }

    /// How many deliveries were taken so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    async fn verdicts(&self, parcel: &Parcel) -> Vec<Verdict> {
        let all = parcel.recipients.len();
        let Some(judge) = &self.judge else { return vec![taken("counted"); all] };
        let mut verdicts = Vec::with_capacity(all);
        for recipient in &parcel.recipients {
            let verdict = judge.tell(parcel, recipient).await;
            let is_down = verdict.outcome.is_provider_fault();
            verdicts.push(verdict);
            if is_down {
                break;
            }
        }
        // A server that cannot be reached is not tried again for each of the others.
        let last = verdicts.last().cloned();
        verdicts.extend(last.into_iter().cycle().take(all - verdicts.len()));
        verdicts
    }
}

#[async_trait]
impl Channel for Test {
    fn policy(&self) -> Policy {
        self.policy.clone()
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        let verdicts = self.verdicts(parcel).await;
        let is_taken = |verdict: &&Verdict| matches!(verdict.outcome, Outcome::Accepted { .. });
        self.taken.fetch_add(verdicts.iter().filter(is_taken).count() as u64, Ordering::Relaxed);
        // Held back here and not before: a node that dies meanwhile has sent and does not know it, which is the harder case.
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        verdicts
    }

    async fn close(&self) {}
}

/// The test's server.
struct Judge {
    url: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    limit: Duration,
}

impl Judge {
    fn new(url: &str, connections: u32, limit: Duration) -> Result<Self, &'static str> {
        let url: Uri = url.parse().map_err(|_| "is no url")?;
        if url.scheme_str() != Some("http") {
            return Err("must begin with http://");
        }
        if !url.host().is_some_and(is_near) {
            return Err("must name localhost or a loopback or private address: what it is told is not encrypted");
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(limit / 2));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(usize::try_from(connections).unwrap_or(usize::MAX))
            .build(connector);
        Ok(Self { url, client, limit })
    }

    /// Tells of one delivery. The client repeats a request by itself only where nothing of it was written.
    async fn tell(&self, parcel: &Parcel, recipient: &Recipient) -> Verdict {
        let body = serde_json::json!({
            "delivery": recipient.delivery.to_string(),
            "message": parcel.message.to_string(),
            "recipient": recipient.address,
            "maybe_duplicate": parcel.maybe_duplicate,
        });
        let mut request = Request::new(Full::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        let answer = match timeout(self.limit, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_connect() => {
                let outcome = Outcome::Deferred { after: None, fault: Fault::Provider };
                return Verdict::new(outcome, format!("cannot connect: {}", innermost(&error)));
            }
            Ok(Err(error)) => return Verdict::new(Outcome::Unknown, format!("no answer: {}", innermost(&error))),
            Err(_) => return Verdict::new(Outcome::Unknown, format!("no answer within {:?}", self.limit)),
        };
        let status = answer.status();
        // Read to its end, so that the connection can carry the next request; where that fails, the next one opens another.
        drop(timeout(self.limit, Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect()).await);
        verdict(status)
    }
}

/// A server that says that it failed may have failed after it took note: only a refusal is a refusal.
fn verdict(status: StatusCode) -> Verdict {
    if status.is_success() {
        return taken(status.to_string());
    }
    let outcome = if status.is_client_error() { Outcome::Rejected(Rejection::Recipient) } else { Outcome::Unknown };
    Verdict::new(outcome, status.to_string())
}

fn taken(reply: impl Into<String>) -> Verdict {
    Verdict::new(Outcome::Accepted { provider_id: String::new(), receipt: Receipts::Never }, reply)
}

fn is_near(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => host == "localhost",
    }
}
