//! `hongyan wechat`: what is set up at an official account itself (`contracts/imsg.md` decision 12), through a running node
//! (`POST /v1/providers/{code}/menu`) or, where none runs, with the store's own keys and token.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::post,
};
use clap::{Args, Subcommand};
use hongyan_api::Problem;
use hongyan_channels::{Deps as ChannelDeps, OpenError, Wechat, http::Limits};
use hongyan_core::{
    setup::{CurrentSetup, ProviderKind, Setup},
    store::{AccessTokens, Captures, Inboxes},
};
use serde_json::{Value, json};

use crate::{
    account::desk::Desk,
    config::Config,
    fetch::{Call, path_segment},
    stored,
    vault::Vault,
};

/// `hongyan wechat …`
#[derive(Debug, Args)]
pub struct WechatArgs {
    /// Configuration file; without it, hongyan.toml where that exists. HONGYAN_ADMIN_TOKEN gives the token.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The node to ask; without it, the one that listens where the configuration says, or the store itself where none does.
    #[arg(long, value_name = "HOST:PORT", global = true)]
    server: Option<String>,
    #[command(subcommand)]
    command: WechatCommand,
}

#[derive(Debug, Subcommand)]
enum WechatCommand {
    /// Give an official account the menu by which its followers ask for their tag. It replaces the menu that the account has.
    Menu {
        /// The provider that is the account.
        provider: String,
    },
}

/// Carries the command out; answers that it was done.
///
/// # Errors
/// When it was not, in words for the operator.
pub async fn run(config: &Config, arguments: WechatArgs) -> anyhow::Result<bool> {
    let WechatArgs { server, command: WechatCommand::Menu { provider }, .. } = arguments;
    let desk = Desk::open(config, server.as_deref()).await?;
    let done = through(&desk, config, &provider).await;
    desk.close().await;
    done?;
    writeln!(io::stdout(), "menu {provider}")?;
    Ok(true)
}

async fn through(desk: &Desk, config: &Config, provider: &str) -> anyhow::Result<()> {
    match desk {
        Desk::Node { .. } => {
            let path = format!("/v1/providers/{}/menu", path_segment(provider));
            desk.call(Call::post(path, "")).await.map(drop)
        }
        Desk::Store { store, .. } => {
            let vault = Arc::new(Vault::open(&config.secret_file, &**store).await?);
            let setup = Arc::new(CurrentSetup::new(stored::load(&**store, &vault).await?));
            let channels = ChannelDeps {
                captures: Arc::clone(store) as Arc<dyn Captures>,
                inboxes: Arc::clone(store) as Arc<dyn Inboxes>,
                news: Arc::default(),
                ids: store.ids(),
                clock: store.clock(),
                tokens: Arc::clone(store) as Arc<dyn AccessTokens>,
                sealer: vault,
            };
            Ok(Menus { setup, channels }.create(provider).await?)
        }
    }
}

/// What menus are made with.
pub struct Menus {
    /// Which providers there are.
    pub setup: Arc<CurrentSetup>,
    /// What senders need, the access tokens of all nodes among it.
    pub channels: ChannelDeps,
}

/// The routes under `/v1`, to be guarded as the others are.
pub fn routes(menus: Menus) -> Router {
    Router::new().route("/v1/providers/{code}/menu", post(menu)).with_state(Arc::new(menus))
}

async fn menu(State(menus): State<Arc<Menus>>, Path(code): Path<String>) -> Result<Json<Value>, Problem> {
    menus.create(&code).await?;
    Ok(Json(json!({ "provider": code })))
}

/// Why an account has no new menu.
#[derive(Debug, thiserror::Error)]
enum MenuError {
    #[error("there is no provider {0:?}")]
    Unknown(String),
    #[error("provider {0:?} is no official account")]
    Kind(String),
    #[error("provider {0:?} has no token and callback_secret: nobody would hear of a click")]
    NoCallback(String),
    #[error(transparent)]
    Keys(#[from] OpenError),
    #[error("WeChat did not make the menu: {0}")]
    Refused(String),
}

impl From<MenuError> for Problem {
    fn from(error: MenuError) -> Self {
        let words = error.to_string();
        match error {
            MenuError::Unknown(_) => Self::not_found(words),
            MenuError::Kind(_) | MenuError::NoCallback(_) | MenuError::Keys(_) => Self::conflict(words),
            MenuError::Refused(_) => Self::provider(words),
        }
    }
}

impl Menus {
    async fn create(&self, code: &str) -> Result<(), MenuError> {
        let account = self.account(&self.setup.get(), code)?;
        account.create_menu().await.map_err(|verdict| MenuError::Refused(verdict.reply))
    }

    fn account(&self, setup: &Setup, code: &str) -> Result<Wechat, MenuError> {
        let named = || code.to_owned();
        let provider = setup.providers().iter().find(|provider| provider.code == code);
        let ProviderKind::Wechat(keys) = &provider.ok_or_else(|| MenuError::Unknown(named()))?.kind else {
            return Err(MenuError::Kind(named()));
        };
        if keys.callback.is_none() {
            return Err(MenuError::NoCallback(named()));
        }
        let ChannelDeps { tokens, sealer, clock, .. } = self.channels.clone();
        Ok(Wechat::new(keys, Limits::default(), tokens, sealer, clock)?)
    }
}
