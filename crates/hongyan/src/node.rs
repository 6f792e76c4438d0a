//! A node: its parts, in the order in which they start and stop.
//!
//! Start: store, keys, plan, setup, recovery of what was in flight when the node last stopped, dispatcher, listener. Stop:
//! not ready (and where other nodes can take over, a moment for whoever sends requests to see it), no new leases (which also
//! lets waiting requests answer), requests end, calls in flight end or are given up, outcomes are recorded, the store closes.
//! Whatever is cut short is recovered by the next start, or by another node.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use hongyan_api::{Api, Inbox, InboxPace};
use hongyan_channels::Deps as ChannelDeps;
use hongyan_cmsi::Cmsi;
use hongyan_core::{
    ports::{Desk, Sealer},
    setup::{CurrentSetup, Provider},
    store::{AccessTokens, Captures, Followers, Inboxes, Messages, Policies, Store},
};
use hongyan_delivery::{DeliveryMetrics, Dispatcher, DispatcherDeps, OpenChannel, Upkeeper, recovery_policies};
use hongyan_imsg::{Imsg, ImsgDeps};
use hongyan_intake::{AccountBook, Expander, Intake, IntakeDeps, IntakeMetrics, OutcomePoller, Waiting};
use hongyan_push::Push;
use prometheus_client::registry::Registry;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    apply,
    callbacks::{self, Callbacks},
    config::Config,
    http::{self, Parts},
    plan::Plan,
    status::Status,
    store,
    stored::{self, StoredTemplates},
    vault::Vault,
    wechat::{self, Menus},
};

/// How often a node looks whether something was declared anew.
const SETUP_POLL: Duration = Duration::from_secs(1);
/// How long a stopping node that others can stand in for goes on, not ready, before it takes no more requests: whoever
/// distributes them looks about every second. Asking the store for those others and telling them falls into this time.
const LEAD: Duration = Duration::from_secs(2);
/// How long a stopping node waits for its store, after the lead, the dispatcher's [`hongyan_core::limits::STOP_WAIT`] and 3 s
/// more: within 30 s in all.
const CLOSE_WAIT: Duration = Duration::from_secs(4);

/// A running node.
pub struct Node {
    store: Arc<dyn Store>,
    status: Arc<Status>,
    dispatcher: Arc<Dispatcher>,
    inbox: Arc<Inbox>,
    address: SocketAddr,
    stop_http: CancellationToken,
    serving: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
}

/// Runs a node until SIGTERM or SIGINT. `is_unsafe`: also on a database that may lose what it has confirmed.
///
/// # Errors
/// What keeps it from starting, in words for the operator.
pub async fn serve(config: &Config, plan: Option<(Plan, String)>, is_unsafe: bool) -> anyhow::Result<()> {
    // Before anything else, so that no signal can come too early.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let node = Node::start(config, plan, is_unsafe).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    node.stop().await;
    tracing::info!("stopped");
    Ok(())
}

impl Node {
    /// Starts a node. `is_unsafe`: also on a database that may lose what it has confirmed.
    ///
    /// # Errors
    /// What keeps it from starting, in words for the operator.
    pub async fn start(config: &Config, plan: Option<(Plan, String)>, is_unsafe: bool) -> anyhow::Result<Self> {
        let store = store::open(config, is_unsafe).await?;
        let vault = Arc::new(Vault::open(&config.secret_file, &*store).await?);
        let (ids, clock) = (store.ids(), store.clock());
        let channels = channel_deps(&store, &vault);
        let accounts = Arc::new(AccountBook::new(Arc::clone(&store)));
        if let Some((plan, hash)) = plan {
            apply::plan(&accounts, &vault, plan, hash, &channels).await?;
        }
        let setup = Arc::new(CurrentSetup::new(stored::load(&*store, &vault).await?));
        let api = administration(config, &accounts, &setup, &channels).await?;
        let inbox = inbox(&store, &setup, &channels);

        let mut registry = Registry::with_prefix("hongyan");
        let waiting = Arc::new(Waiting::default());
        let dispatcher = Dispatcher::new(DispatcherDeps {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            progress: Arc::clone(&waiting) as _,
            metrics: DeliveryMetrics::register(&mut registry),
            open: opener(channels),
        });
        store.attach(Arc::clone(&dispatcher) as Arc<dyn Desk>, Arc::clone(&waiting) as _);
        dispatcher.declare(&setup.get());
        let policies = recovery_policies(&dispatcher);
        recover(&*store, Arc::clone(&policies)).await?;

        let expander = Expander::new(Arc::clone(&store), Arc::clone(&ids), Arc::clone(&clock), Arc::clone(&setup));
        let expander = Arc::new(expander);
        let poller = OutcomePoller::new(Arc::clone(&store), Arc::clone(&waiting));
        let deps = IntakeDeps {
            store: Arc::clone(&store),
            ids,
            clock: Arc::clone(&clock),
            setup: Arc::clone(&setup),
            waiting,
            metrics: IntakeMetrics::register(&mut registry),
            sealer: Arc::clone(&vault) as Arc<dyn Sealer>,
        };
        let intake = Arc::new(Intake::new(deps, Arc::clone(&expander)));
        let status = Arc::new(Status::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&setup), registry));
        let listener =
            http::listen(config.listen_address()?).with_context(|| format!("while listening on {}", config.listen))?;
        let address = listener.local_addr()?;
        let parts = Arc::new(Parts {
            status: Arc::clone(&status),
            push: Push::new(Arc::clone(&intake), Arc::clone(&store) as Arc<dyn Messages>),
            imsg: Imsg::new(ImsgDeps { intake: Arc::clone(&intake), book: accounts }),
            cmsi: Cmsi::new(intake),
            inbox: inbox.routes(),
            api,
            callbacks: called_back(&store, &setup),
            proxies: config.proxies()?,
        });
        let (asking, stop_http) = (Arc::clone(&dispatcher), CancellationToken::new());

        let background = vec![
            tokio::spawn(async move { expander.run().await }),
            tokio::spawn(poller.run()),
            tokio::spawn(Arc::clone(&inbox).run()),
            tokio::spawn(async move { asking.ask_providers().await }),
            tokio::spawn(upkeep(Upkeeper { store: Arc::clone(&store), clock, setup: Arc::clone(&setup), policies })),
            tokio::spawn(follow_setup(Arc::clone(&store), vault, setup, Arc::clone(&dispatcher))),
        ];
        let serving = tokio::spawn(http::serve(listener, parts, stop_http.clone()));
        dispatcher.start();
        status.set_ready(true);
        tracing::info!(%address, "listening");
        Ok(Self { store, status, dispatcher, inbox, address, stop_http, serving, background })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it: everything in flight ends or is given back, nothing accepted is lost.
    pub async fn stop(self) {
        self.status.set_ready(false);
        let until = Instant::now() + LEAD;
        if self.has_peers(until).await {
            // Whether or not they hear of it: that only makes the change smoother.
            drop(timeout_at(until, self.store.stopping()).await);
            sleep_until(until).await;
        }
        self.stop_http.cancel();
        // Its streams would never end by themselves.
        self.inbox.close();
        // Together: a stopping dispatcher tells those who wait that nothing will move, so that they can answer.
        let (served, ()) = tokio::join!(self.serving, self.dispatcher.stop());
        if let Err(error) = served {
            tracing::error!(%error, "the listener failed");
        }
        for task in self.background {
            task.abort();
        }
        if tokio::time::timeout(CLOSE_WAIT, self.store.close()).await.is_err() {
            tracing::error!("the store did not close in time; what it had not written was not answered");
        }
    }

    /// Whether other nodes can take the requests that this one does not take any more, as far as the store says so in time.
    async fn has_peers(&self, until: Instant) -> bool {
        let nodes = timeout_at(until, self.store.nodes()).await;
        nodes.is_ok_and(|nodes| nodes.is_ok_and(|nodes| nodes.iter().any(|node| node.alive && !node.this)))
    }
}

/// Takes back what was in flight when this node last stopped.
async fn recover(store: &dyn Store, policies: Policies) -> anyhow::Result<()> {
    let recovered = store.recover(policies, store.clock().now()).await?;
    tracing::info!(ready = recovered.ready, unknown = recovered.unknown, poison = recovered.poison, "recovered");
    Ok(())
}

/// What providers call.
fn called_back(store: &Arc<dyn Store>, setup: &Arc<CurrentSetup>) -> Router {
    callbacks::routes(Callbacks {
        followers: Arc::clone(store) as Arc<dyn Followers>,
        setup: Arc::clone(setup),
        clock: store.clock(),
    })
}

async fn upkeep(upkeeper: Upkeeper) {
    upkeeper.run().await;
}

/// What channels are built on.
fn channel_deps(store: &Arc<dyn Store>, vault: &Arc<Vault>) -> ChannelDeps {
    ChannelDeps {
        captures: Arc::clone(store) as Arc<dyn Captures>,
        inboxes: Arc::clone(store) as Arc<dyn Inboxes>,
        news: Arc::default(),
        ids: store.ids(),
        clock: store.clock(),
        tokens: Arc::clone(store) as Arc<dyn AccessTokens>,
        sealer: Arc::clone(vault) as Arc<dyn Sealer>,
    }
}

/// What the administrator may ask for, with whatever the first start makes for that.
async fn administration(
    config: &Config,
    accounts: &Arc<AccountBook>,
    setup: &Arc<CurrentSetup>,
    channels: &ChannelDeps,
) -> anyhow::Result<Router> {
    let store = accounts.store();
    let admin = apply::admin_token(config, &**store).await?;
    apply::first_account(accounts).await?;
    let menus = wechat::routes(Menus { setup: Arc::clone(setup), channels: channels.clone() });
    let templates = Arc::new(StoredTemplates::new(Arc::clone(store)));
    let (store, setup) = (Arc::clone(store), Arc::clone(setup));
    let api = Api { store, setup, accounts: Arc::clone(accounts), templates };
    Ok(hongyan_api::router(api, menus, admin))
}

/// The inboxes that `channels` fill, as they are read.
fn inbox(store: &Arc<dyn Store>, setup: &Arc<CurrentSetup>, channels: &ChannelDeps) -> Arc<Inbox> {
    Inbox::new(Arc::clone(store), Arc::clone(setup), Arc::clone(&channels.news), InboxPace::default())
}

fn opener(deps: ChannelDeps) -> OpenChannel {
    Arc::new(move |provider: &Provider| hongyan_channels::open(provider, &deps).map_err(|error| error.to_string()))
}

/// Reads what is declared whenever its version changes. What cannot be understood leaves the setup as it was.
async fn follow_setup(store: Arc<dyn Store>, vault: Arc<Vault>, setup: Arc<CurrentSetup>, dispatcher: Arc<Dispatcher>) {
    loop {
        tokio::time::sleep(SETUP_POLL).await;
        match store.setup_version().await {
            Ok(version) if version != setup.get().version => match stored::load(&*store, &vault).await {
                Ok(newer) => {
                    tracing::info!(version = newer.version, "what is declared has changed");
                    setup.set(newer);
                    dispatcher.declare(&setup.get());
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "what is declared cannot be used"),
            },
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the setup cannot be read for now"),
        }
    }
}
