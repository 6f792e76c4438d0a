//! `hongyan.toml`: what a node needs to reach its store and to listen. Everything else lives in the store and is declared by
//! plans. Every key can be given by the environment instead, which wins.

use std::{
    fmt, fs,
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::network;

/// The keys of `hongyan.toml`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on. `HONGYAN_LISTEN`
    pub listen: String,
    /// Where messages are kept: `sqlite:PATH` for one node, or `postgres://USER:PASSWORD@HOST/DATABASE` for any number of nodes
    /// on one database. Several hosts, parted by commas, with `?target_session_attrs=read-write`: whichever takes writes.
    /// `HONGYAN_STORE`
    pub store: String,
    /// The file of the keys that seal credentials in the store; made at the first start. Keep a copy of it apart from the
    /// store's. `HONGYAN_SECRET_FILE`
    pub secret_file: PathBuf,
    /// The administrator's token for `/v1`. Empty: the first start makes one and prints it once to standard error.
    /// `HONGYAN_ADMIN_TOKEN`
    pub admin_token: String,
    /// Addresses and networks of reverse proxies whose `X-Forwarded-For` says where a request comes from; of all others the
    /// address of the connection counts. `HONGYAN_TRUSTED_PROXIES`, parted by commas
    pub trusted_proxies: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            store: "sqlite:data/hongyan.db".to_owned(),
            secret_file: "data/master.key".into(),
            admin_token: String::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// Where messages are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StorePlace<'a> {
    /// The embedded store in this file, for one node.
    Sqlite(&'a Path),
    /// The PostgreSQL database that this connection string names, for many. It may hold a password: never show it.
    Postgres(&'a str),
}

/// Without what nobody else may know: the token, and the store's password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// The name that is looked for when no file is given.
const DEFAULT_FILE: &str = "hongyan.toml";

impl Config {
    /// Reads `file`, or `hongyan.toml` where none is given and it exists, and then the environment.
    ///
    /// # Errors
    /// When the file cannot be read, has a key that does not exist or a value of the wrong form (with its line).
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let mut config = match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).with_context(|| format!("in {}", path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound && file.is_none() => Self::default(),
            Err(error) => return Err(error).with_context(|| format!("while reading {}", path.display())),
        };
        config.override_by(environment)?;
        Ok(config)
    }

    /// The parser's own words would show the line that is wrong, and with it the password that may stand there.
    fn parse(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            anyhow!("line {}: {}", before.matches('\n').count() + 1, error.message())
        })
    }

    fn override_by(&mut self, lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
        let keys: [(&str, &mut String); 3] = [
            ("HONGYAN_LISTEN", &mut self.listen),
            ("HONGYAN_STORE", &mut self.store),
            ("HONGYAN_ADMIN_TOKEN", &mut self.admin_token),
        ];
        for (name, key) in keys {
            if let Some(value) = lookup(name) {
                *key = value;
            }
        }
        if let Some(value) = lookup("HONGYAN_SECRET_FILE") {
            self.secret_file = value.into();
        }
        if let Some(value) = lookup("HONGYAN_TRUSTED_PROXIES") {
            self.trusted_proxies = value.split(',').map(|proxy| proxy.trim().to_owned()).collect();
            self.trusted_proxies.retain(|proxy| !proxy.is_empty());
        }
        self.listen_address()?;
        self.store()?;
        self.proxies()?;
        let token = self.admin_token.chars().count();
        ensure!(token == 0 || token >= 8, "admin_token is too short: give at least 8 characters, or none");
        Ok(())
    }

    /// The reverse proxies whose word counts.
    ///
    /// # Errors
    /// When one is neither an address nor a network.
    pub fn proxies(&self) -> anyhow::Result<Vec<IpNet>> {
        self.trusted_proxies.iter().map(|proxy| network(proxy).context("trusted_proxies")).collect()
    }

    /// The address to listen on.
    ///
    /// # Errors
    /// When `listen` is no address and port.
    pub fn listen_address(&self) -> anyhow::Result<SocketAddr> {
        self.listen
            .parse()
            .with_context(|| format!("listen = {:?} is not an address and port such as 127.0.0.1:8080", self.listen))
    }

    /// Where messages are kept.
    ///
    /// # Errors
    /// When `store` names no store that this version has. It is not repeated, for it may hold a password.
    pub fn store(&self) -> anyhow::Result<StorePlace<'_>> {
        match self.store.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(StorePlace::Sqlite(Path::new(path))),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(StorePlace::Postgres(&self.store)),
            _ => bail!("store is neither of the form sqlite:PATH nor postgres://USER:PASSWORD@HOST/DATABASE"),
        }
    }

    /// The file of the embedded store.
    ///
    /// # Errors
    /// When `store` names another one.
    pub fn sqlite_path(&self) -> anyhow::Result<&Path> {
        match self.store()? {
            StorePlace::Sqlite(path) => Ok(path),
            StorePlace::Postgres(_) => bail!("store names a PostgreSQL database, and this is for sqlite:PATH"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let error = Config::parse("listen = \"127.0.0.1:1\"\nlisen = 1\n").expect_err("no such key").to_string();
        assert!(error.contains("line 2") && error.contains("lisen"), "{error}");
    }

    #[test]
    fn the_environment_wins_and_is_checked() {
        let mut config = Config::parse("listen = \"127.0.0.1:1\"").expect("valid");
        let set = |name: &str| (name == "HONGYAN_LISTEN").then(|| "127.0.0.1:2".to_owned());
        config.override_by(set).expect("valid");
        assert_eq!(config.listen, "127.0.0.1:2");
        assert!(config.override_by(|name| (name == "HONGYAN_LISTEN").then(|| "here".to_owned())).is_err());
        assert!(config.override_by(|name| (name == "HONGYAN_STORE").then(|| "mysql:x".to_owned())).is_err());
    }

    #[test]
    fn a_store_is_a_file_or_a_database() {
        let of = |store: &str| Config { store: store.to_owned(), ..Config::default() };
        assert!(of("sqlite:a b.db").store().expect("a file") == StorePlace::Sqlite(Path::new("a b.db")));
        let several = "postgresql://u:p@a,b:5433/hongyan?target_session_attrs=read-write";
        for url in ["postgres://db/hongyan", several] {
            assert!(of(url).store().expect("a database") == StorePlace::Postgres(url));
            assert!(of(url).sqlite_path().is_err());
        }
        for wrong in ["", "sqlite:", "postgres:", "postgres:db", "hongyan.db"] {
            assert!(of(wrong).store().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn no_error_repeats_a_password() {
        let wrong = Config { store: "postgrse://u:canary@db/h".to_owned(), ..Config::default() };
        let said = wrong.store().map(drop).expect_err("misspelt");
        assert!(!format!("{said:#} {wrong:?}").contains("canary"));
        let said =
            Config::parse("listen = \"127.0.0.1:1\"\nstore = \"postgres://u:canary@db\n").expect_err("unfinished");
        assert!(format!("{said:#}").contains("line 2") && !format!("{said:#}").contains("canary"), "{said:#}");
    }
}
