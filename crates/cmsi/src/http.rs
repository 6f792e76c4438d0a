//! Asking the services of a BlueKing deployment (section 12, decision 12): one GET, a JSON object back. Everything is bounded:
//! the time, the answer, how many ask at once. Redirects are not followed and proxies of the environment are not used, so that
//! what is asked goes where the operator said and nowhere else. Addresses carry tokens and names: none is in an error text.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{Client, StatusCode, Url, header::HeaderMap};
use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};
use serde_json::{Map, Value};
use tokio::{sync::Semaphore, time::timeout};

/// How long a connection may take: name, TCP and TLS.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long a question may take, the wait for its turn included. Callers give up after 10 s at the earliest (decision 4).
const TOTAL_MAX: Duration = Duration::from_secs(5);
/// How long a connection is kept that nothing uses.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// How much of an answer is read: a hundred people have less than this.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How many questions to one service are under way at a time.
const AT_ONCE_MAX: usize = 32;

/// The way to one service.
pub(crate) struct Http {
    /// Made when it is first needed: few deployments need it. Absent where TLS cannot be set up.
    client: OnceLock<Option<Client>>,
    turns: Semaphore,
}

/// Why there is no answer, in the words of section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The address that is configured is none, or TLS cannot be set up.
    Setup,
    /// No connection.
    Connect,
    /// Not in time.
    Time,
    /// It broke off.
    Cut,
    /// Another status than 200.
    Status(StatusCode),
    /// Too long, or no JSON object.
    Form,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup => f.write_str("the address of the third-party system is not configured correctly"),
            Self::Connect => f.write_str("Third-party system cannot be connected"),
            Self::Time => {
                write!(f, "Third-party system interface response time exceeds {} seconds", TOTAL_MAX.as_secs())
            }
            Self::Cut => f.write_str("interface response is incomplete"),
            Self::Status(status) => write!(
                f,
                "Status Code: {}, Error Message: third-party system interface response status code is not 200",
                status.as_u16()
            ),
            Self::Form => f.write_str("interface response is not the JSON format"),
        }
    }
}

impl Http {
    /// A way that opens no connection yet.
    pub(crate) const fn new() -> Self {
        Self { client: OnceLock::new(), turns: Semaphore::const_new(AT_ONCE_MAX) }
    }

    /// The JSON object that the service answers to GET `base` + `path` with `query`.
    ///
    /// # Errors
    /// Where there is no such answer.
    pub(crate) async fn get(
        &self,
        base: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<Map<String, Value>, Trouble> {
        let client = self.client.get_or_init(client).as_ref().ok_or(Trouble::Setup)?;
        let url = Url::parse_with_params(&format!("{base}{path}"), query).map_err(|_| Trouble::Setup)?;
        let asking = async {
            // Never closed, so that there is always a turn at last.
            let _turn = self.turns.acquire().await.map_err(|_| Trouble::Setup)?;
            let ask = || client.get(url.clone()).headers(headers.clone()).send();
            let response = match ask().await {
                // A server may close a connection that was kept just as it is used again: asking changes nothing there.
                Err(error) if trouble(&error) == Trouble::Cut => ask().await,
                first => first,
            };
            let response = response.map_err(|error| trouble(&error))?;
            if response.status() != StatusCode::OK {
                return Err(Trouble::Status(response.status()));
            }
            read(response).await
        };
        let body = timeout(TOTAL_MAX, asking).await.unwrap_or(Err(Trouble::Time))?;
        serde_json::from_slice(&body).map_err(|_| Trouble::Form)
    }
}

fn client() -> Option<Client> {
    let mut roots = RootCertStore::empty();
    // Certificates of the system that cannot be read are none; a service that needs one is then not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        .use_preconfigured_tls(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_MAX)
        .pool_idle_timeout(IDLE_MAX)
        .user_agent(concat!("hongyan/", env!("CARGO_PKG_VERSION")))
        .build();
    client.ok()
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| trouble(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Trouble::Form);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn trouble(error: &reqwest::Error) -> Trouble {
    match (error.is_timeout(), error.is_connect()) {
        (true, _) => Trouble::Time,
        (false, true) => Trouble::Connect,
        (false, false) => Trouble::Cut,
    }
}
