//! The reference of the accept benchmark: a bare HTTP server that parses the body to a JSON value and answers the five
//! keys of the dialect. It stores nothing.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result};
use axum::{Json, Router, serve::ListenerExt};
use serde_json::{Value, json};

/// Where it listens and on how many threads it runs.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Options {
    /// The address to listen on.
    #[arg(long)]
    listen: SocketAddr,
    /// Worker threads.
    #[arg(long)]
    workers: usize,
}

static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// Serves until killed.
pub fn run(options: Options) -> Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(options.workers).enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(options.listen).await.context("cannot listen")?;
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, Router::new().fallback(answer)).await.context("cannot serve")
    })
}

async fn answer(Json(body): Json<Value>) -> Json<Value> {
    let ok = ["receiver", "appId"].into_iter().any(|field| body.get(field).is_some_and(Value::is_string));
    let number = ANSWERED.fetch_add(1, Ordering::Relaxed);
    let request_id = format!("{number:032x}");
    Json(json!({ "result": ok, "code": 0, "message": "OK", "data": null, "request_id": request_id }))
}
