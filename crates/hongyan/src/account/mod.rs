//! `hongyan account`: the accounts of the token API, kept through a running node or, where none runs, in the store itself. No
//! password is ever on the command line: it is read from standard input, or made and shown once.

pub(crate) mod desk;

use std::{
    fs,
    io::{self, IsTerminal, Read, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use serde_json::{Map, Value, json};

use self::desk::Desk;
use crate::{
    config::Config,
    fetch::{Call, path_segment},
    table::table,
    talk::say,
};

const PATH: &str = "/v1/accounts";
/// Accounts of one look-up.
const PAGE: usize = 1_000;
/// How long an import may take: each of its passwords is hashed.
const IMPORT_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// `hongyan account …`
#[derive(Debug, Args)]
pub struct AccountArgs {
    /// Configuration file; without it, hongyan.toml where that exists. HONGYAN_ADMIN_TOKEN gives the token.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The node to ask; without it, the one that listens where the configuration says, or the store itself where none does.
    #[arg(long, value_name = "HOST:PORT", global = true)]
    server: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Make an account. Its password is made, too, and shown this once, unless --password-stdin gives it.
    Add {
        /// Its name.
        name: String,
        #[command(flatten)]
        values: Values,
        /// Phone of its owner.
        #[arg(long, value_name = "NUMBER", default_value = "")]
        phone: String,
        /// Mail address of its owner.
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        email: String,
        /// WeChat id of its owner.
        #[arg(long, value_name = "ID", default_value = "")]
        wechat: String,
        /// Read the password from standard input; at a terminal it is asked for.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List all accounts by name.
    List,
    /// Change what an account may do.
    Set {
        /// Its name.
        name: String,
        #[command(flatten)]
        values: Values,
    },
    /// Let an account neither log in nor send; its tokens end.
    Disable {
        /// Its name.
        name: String,
    },
    /// Let an account log in again.
    Enable {
        /// Its name.
        name: String,
    },
    /// Remove an account; what it sent stays on record.
    Rm {
        /// Its name.
        name: String,
    },
    /// Give an account another password, which ends its tokens: one that is made and shown this once, unless --password-stdin.
    ResetPassword {
        /// Its name.
        name: String,
        /// Read the password from standard input; at a terminal it is asked for.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Make accounts from CSV (name,password,role,per_hour,per_day,available). Prints what became of each row; exit code 0 only
    /// if none was refused. Accounts that exist stay as they are.
    Import {
        /// The file; - is standard input.
        file: PathBuf,
    },
}

/// What an account may do; what is not given stays, or is as the token API's document has it.
#[derive(Debug, Args)]
struct Values {
    /// What it may do beside sending.
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleName>,
    /// Recipients in any 60 minutes.
    #[arg(long, value_name = "N")]
    per_hour: Option<u32>,
    /// Recipients in a calendar day.
    #[arg(long, value_name = "N")]
    per_day: Option<u32>,
    /// Whether it may send.
    #[arg(long, value_name = "BOOL")]
    available: Option<bool>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    /// Anything, for anyone.
    Admin,
    /// Send, and see its own history.
    User,
}

impl Values {
    fn fields(&self) -> Map<String, Value> {
        let role = self.role.map(|role| match role {
            RoleName::Admin => "admin",
            RoleName::User => "user",
        });
        let fields = [
            ("role", role.map(Value::from)),
            ("per_hour", self.per_hour.map(Value::from)),
            ("per_day", self.per_day.map(Value::from)),
            ("available", self.available.map(Value::from)),
        ];
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// Carries the command out; answers whether all of it was done.
///
/// # Errors
/// When nothing was done, in words for the operator.
pub async fn run(config: &Config, arguments: AccountArgs) -> anyhow::Result<bool> {
    let AccountArgs { server, json, command, .. } = arguments;
    // What the operator types is awaited before anything is opened.
    let command = Prepared::new(command)?;
    let desk = Desk::open(config, server.as_deref()).await?;
    let done = command.carry_out(&desk, json).await;
    desk.close().await;
    done
}

/// A command with what it needs of standard input and of files.
enum Prepared {
    List,
    /// Answers an account.
    One(Call),
    Remove(Call),
    Import(Call),
}

impl Prepared {
    fn new(command: AccountCommand) -> anyhow::Result<Self> {
        let named = |name: &str| format!("{PATH}/{}", path_segment(name));
        let patch = |name: &str, fields: Map<String, Value>| {
            Self::One(Call::new(Method::PATCH, named(name)).with(Value::Object(fields).to_string()))
        };
        let enabled = |enabled: bool| Map::from_iter([("enabled".to_owned(), Value::Bool(enabled))]);
        Ok(match command {
            AccountCommand::List => Self::List,
            AccountCommand::Add { name, values, phone, email, wechat, password_stdin } => {
                let mut fields = values.fields();
                for (key, value) in [("name", name), ("phone", phone), ("email", email), ("wechat", wechat)] {
                    fields.insert(key.to_owned(), value.into());
                }
                if password_stdin {
                    fields.insert("password".to_owned(), read_password()?.into());
                }
                Self::One(Call::post(PATH, Value::Object(fields).to_string()))
            }
            AccountCommand::Set { name, values } => patch(&name, values.fields()),
            AccountCommand::Disable { name } => patch(&name, enabled(false)),
            AccountCommand::Enable { name } => patch(&name, enabled(true)),
            AccountCommand::Rm { name } => Self::Remove(Call::new(Method::DELETE, named(&name))),
            AccountCommand::ResetPassword { name, password_stdin } => {
                let body = if password_stdin { json!({ "password": read_password()? }) } else { json!({}) };
                Self::One(Call::post(format!("{}/password", named(&name)), body.to_string()))
            }
            AccountCommand::Import { file } => {
                let text = if file.as_os_str() == "-" {
                    let mut text = String::new();
                    io::stdin().read_to_string(&mut text).map(|_| text)
                } else {
                    fs::read_to_string(&file)
                };
                let text = text.with_context(|| format!("while reading {} (it has to be UTF-8)", file.display()))?;
                Self::Import(Call::post(PATH, text).of_kind("text/csv", IMPORT_PATIENCE))
            }
        })
    }

    async fn carry_out(self, desk: &Desk, json: bool) -> anyhow::Result<bool> {
        match self {
            Self::List => {
                let accounts = all(desk).await?;
                if json { print_json(&Value::Array(accounts))? } else { print(&accounts_table(&accounts))? }
            }
            Self::One(call) => {
                let account = desk.call(call).await?;
                if account["password"].is_string() {
                    say("hongyan: the password is shown this once.");
                }
                if json { print_json(&account)? } else { print(&one(&account))? }
            }
            Self::Remove(call) => {
                desk.call(call).await?;
                say("hongyan: removed; what the account sent stays on record.");
            }
            Self::Import(call) => {
                let report = desk.call(call).await?;
                let rows = report["rows"].as_array().cloned().unwrap_or_default();
                say(&format!("hongyan: {} of {} rows added.", report["added"], rows.len()));
                if json {
                    print_json(&report)?
                } else {
                    print(&import_table(&rows))?
                }
                return Ok(rows.iter().all(|row| row["result"] != "refused"));
            }
        }
        Ok(true)
    }
}

/// Every account, page by page.
async fn all(desk: &Desk) -> anyhow::Result<Vec<Value>> {
    let mut accounts = Vec::new();
    let mut path = format!("{PATH}?limit={PAGE}");
    loop {
        let page = desk.call(Call::get(path)).await?;
        accounts
            .extend(page["accounts"].as_array().cloned().context("the node does not say which accounts there are")?);
        match page["next"].as_str() {
            Some(next) => path = format!("{PATH}?limit={PAGE}&after={}", path_segment(next)),
            None => return Ok(accounts),
        }
    }
}

/// A line of standard input, or what is typed where nobody sees it.
fn read_password() -> anyhow::Result<String> {
    if io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password("Password: ")?);
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("while reading the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// One account, a key and its value a line.
fn one(account: &Value) -> String {
    let keys = ["name", "role", "per_hour", "per_day", "available", "enabled", "password"];
    let shown = keys.into_iter().filter(|key| !account[key].is_null());
    shown.map(|key| format!("{key} {}\n", text(&account[key]))).collect()
}

fn accounts_table(accounts: &[Value]) -> String {
    let keys = ["name", "role", "per_hour", "per_day", "available", "enabled", "created"];
    let rows: Vec<_> = accounts.iter().map(|account| keys.map(|key| text(&account[key]))).collect();
    table(["NAME", "ROLE", "PER_HOUR", "PER_DAY", "AVAILABLE", "ENABLED", "CREATED"], &rows)
}

fn import_table(rows: &[Value]) -> String {
    let keys = ["line", "result", "name", "password", "detail"];
    let rows: Vec<_> = rows.iter().map(|row| keys.map(|key| text(&row[key]))).collect();
    table(["LINE", "RESULT", "NAME", "PASSWORD", "DETAIL"], &rows)
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

fn print(page: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(page.as_bytes())?;
    Ok(out.flush()?)
}
