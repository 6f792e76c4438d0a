//! Where accounts and messages are kept: at a running node over `/v1`, or in the store itself, through the same `/v1` without a
//! socket, where no node holds it (design 9).

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, bail, ensure};
use axum::{Router, body::Body};
use hongyan_api::{AdminToken, Api};
use hongyan_core::{setup::CurrentSetup, store::Store};
use hongyan_intake::AccountBook;
use http_body_util::BodyExt;
use hyper::StatusCode;
use serde_json::Value;
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::{
    config::Config,
    fetch::{Call, fetch, reachable, resolve},
    store,
    stored::{self, StoredTemplates},
    vault::{Vault, random_token},
};

/// Who is asked.
pub enum Desk {
    /// A running node.
    Node {
        /// Where it listens.
        address: SocketAddr,
        /// The administrator's token.
        token: String,
    },
    /// The store, which this process has opened.
    Store {
        /// The store.
        store: Arc<dyn Store>,
        /// Its `/v1`.
        api: Router,
        /// The token of this `/v1`, which nobody else can call.
        token: String,
    },
}

impl Desk {
    /// Finds the node `server`, or (absent) the one that the configuration has listen; where nobody listens there, opens the
    /// store.
    ///
    /// # Errors
    /// When neither can be had, in words for the operator.
    pub async fn open(config: &Config, server: Option<&str>) -> anyhow::Result<Self> {
        let address = match server {
            Some(server) => resolve(server).await?,
            None => reachable(config.listen_address()?),
        };
        if server.is_some() || TcpStream::connect(address).await.is_ok() {
            ensure!(
                !config.admin_token.is_empty(),
                "a node runs, and the administrator's token is missing: give it as HONGYAN_ADMIN_TOKEN, or as admin_token in \
                 the configuration"
            );
            return Ok(Self::Node { address, token: config.admin_token.clone() });
        }
        Self::open_store(config).await.with_context(|| {
            format!("no node answers at {address} (--server names another), and the store cannot be had instead")
        })
    }

    async fn open_store(config: &Config) -> anyhow::Result<Self> {
        ensure!(store::exists(config).await?, "there is no store yet; the first `hongyan serve` makes it");
        let store = store::open(config, false).await?;
        if store.nodes().await?.iter().any(|node| node.alive && !node.this) {
            leave(&*store).await;
            bail!("a node works on it");
        }
        let token = random_token()?;
        match api(config, &store).await {
            Ok(api) => {
                let api = hongyan_api::router(api, Router::new(), AdminToken::new(&token));
                Ok(Self::Store { store, api, token })
            }
            Err(error) => {
                leave(&*store).await;
                Err(error)
            }
        }
    }

    /// Asks, and answers the JSON of the reply; null where it has none.
    ///
    /// # Errors
    /// When there is no reply, or it is a refusal: in its own words.
    pub async fn call(&self, call: Call) -> anyhow::Result<Value> {
        let (status, body) = match self {
            Self::Node { address, token } => fetch(*address, call.by(token))
                .await
                .with_context(|| format!("the node at {address} does not answer"))?,
            Self::Store { api, token, .. } => {
                let request = call.by(token).request("localhost")?.map(Body::new);
                let Ok(reply) = api.clone().oneshot(request).await;
                let status = reply.status();
                (status, String::from_utf8(reply.into_body().collect().await?.to_bytes().to_vec())?)
            }
        };
        said(status, &body)
    }

    /// Lets go of the store.
    pub async fn close(self) {
        if let Self::Store { store, .. } = self {
            leave(&*store).await;
        }
    }
}

/// What `/v1` of a store reads from.
async fn api(config: &Config, store: &Arc<dyn Store>) -> anyhow::Result<Api> {
    let vault = Vault::open(&config.secret_file, &**store).await?;
    let setup = stored::load(&**store, &vault).await?;
    Ok(Api {
        store: Arc::clone(store),
        setup: Arc::new(CurrentSetup::new(setup)),
        accounts: Arc::new(AccountBook::new(Arc::clone(store))),
        templates: Arc::new(StoredTemplates::new(Arc::clone(store))),
    })
}

/// Closes a store that this process was a node of for a moment.
async fn leave(store: &dyn Store) {
    // Whether or not anybody hears of it: it only makes the change smoother.
    drop(store.stopping().await);
    store.close().await;
}

fn said(status: StatusCode, body: &str) -> anyhow::Result<Value> {
    let reply: Value = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap_or_default() };
    match (&reply["detail"], status.is_success()) {
        (_, true) if body.is_empty() || !reply.is_null() => Ok(reply),
        (Value::String(detail), false) => bail!("{detail}"),
        _ => bail!("the reply is of another kind: is it a Hongyan node of this version?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_said_in_its_own_words() {
        let refused = r#"{"title": "Conflict", "detail": "there is an account of this name"}"#;
        let error = said(StatusCode::CONFLICT, refused).expect_err("refused");
        assert_eq!(error.to_string(), "there is an account of this name");
        assert_eq!(said(StatusCode::NO_CONTENT, "").expect("done"), Value::Null);
        assert_eq!(said(StatusCode::OK, "{\"a\":1}").expect("done")["a"], 1);
        for (status, body) in [(StatusCode::OK, "<html>"), (StatusCode::BAD_GATEWAY, ""), (StatusCode::NOT_FOUND, "{}")]
        {
            assert!(said(status, body).is_err(), "{status} {body}");
        }
    }
}
