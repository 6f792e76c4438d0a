//! The real binary as a child process, in a directory of its own.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    PATIENCE,
    client::{self, Reply},
    wait_for,
};

pub const ADMIN: &str = "test-admin-token";

/// A place where a node lives: it outlives the processes that run in it.
pub struct Home {
    pub dir: TempDir,
    /// A proxy whose word counts.
    pub proxy: Option<String>,
}

/// A running node. Dropping it kills it.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), proxy: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("written");
        self.path(name)
    }

    fn configure(&self) -> PathBuf {
        let config = format!(
            "listen = \"127.0.0.1:0\"\nstore = \"sqlite:{0}/hongyan.db\"\nsecret_file = \"{0}/master.key\"\nadmin_token = \"{ADMIN}\"\n{1}",
            self.dir.path().display(),
            self.proxies(),
        );
        self.write("hongyan.toml", &config)
    }

    /// The line of the configuration about proxies; none where none is trusted, for older programs know no such key.
    pub fn proxies(&self) -> String {
        self.proxy.as_ref().map_or_else(String::new, |proxy| format!("trusted_proxies = [{proxy:?}]\n"))
    }

    /// The command that runs a node here with `plan`.
    pub fn serve(&self, plan: &str) -> Command {
        let (config, plan) = (self.configure(), self.write("plan.toml", plan));
        let mut command = Command::new(binary());
        command.arg("serve").arg("--config").arg(config).arg("--plan").arg(plan);
        command
    }

    /// Starts a node and waits until it listens.
    pub fn start(&self, plan: &str) -> Server {
        Server::spawn(self.serve(plan))
    }
}

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_hongyan"))
}

impl Server {
    /// Runs a command that serves, and waits until it listens.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = mpsc::sync_channel(1);
        let lines = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(address) = listening(&line) {
                    found.try_send(address).unwrap_or_default();
                }
                lines.lock().expect("no test panics with it").push(line);
            }
        });
        let Ok(address) = address.recv_timeout(PATIENCE) else {
            panic!("the server did not start: {:#?}", log.lock().expect("log"));
        };
        Self { child, address, log }
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("log").clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        wait_for("the server to stop", PATIENCE, || self.child.try_wait().expect("it can be waited for"))
    }

    /// How it ended, once it has; it is not ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be waited for")
    }

    /// An answer, where there is one within a few seconds.
    pub fn try_get(&self, path: &str) -> io::Result<Reply> {
        let mut connection = client::Connection::open_for(self.address, Duration::from_secs(5))?;
        connection.send("GET", path, &[("Authorization", &format!("Bearer {ADMIN}"))], b"")?;
        connection.reply()
    }

    pub fn get(&self, path: &str) -> Reply {
        client::request(self.address, "GET", path, &[("Authorization", &format!("Bearer {ADMIN}"))], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        client::request(
            self.address,
            "POST",
            path,
            &[("Content-Type", "application/json")],
            body.to_string().as_bytes(),
        )
    }

    /// A call of the administrator's.
    pub fn administer(&self, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [("Authorization", &*format!("Bearer {ADMIN}")), ("Content-Type", "application/json")];
        client::request(self.address, method, path, &headers, body.to_string().as_bytes())
    }

    /// What the token API answers.
    pub fn imsg(&self, call: &str, body: &Value) -> Value {
        let reply = self.post(&format!("/api/{call}"), body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// What a login is answered.
    pub fn login(&self, username: &str, password: &str) -> Value {
        self.imsg("login", &json!({ "username": username, "password": password }))
    }

    pub fn send_mail(&self, fields: Value) -> Value {
        let reply = self.post(client::SEND_MAIL, &client::mail(fields));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// The message of a reply, looked up.
    pub fn message(&self, reply: &Value) -> Value {
        let id = reply["request_id"].as_str().expect("a request_id");
        self.get(&format!("/v1/messages/{id}")).json()
    }

    /// Waits until every delivery of the message of `reply` has the state `state`.
    pub fn wait_until(&self, reply: &Value, state: &str) -> Value {
        wait_for(&format!("{state} of {reply}"), PATIENCE, || {
            let message = self.message(reply);
            let deliveries = message["deliveries"].as_array().expect("deliveries").clone();
            deliveries.iter().all(|delivery| delivery["state"] == state).then_some(message)
        })
    }

    /// The value of a metric, all labels together.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").body;
        let lines = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The address in the log line that says that the node listens.
fn listening(line: &str) -> Option<SocketAddr> {
    let entry: Value = serde_json::from_str(line).ok()?;
    (entry["message"] == "listening").then(|| entry["address"].as_str()?.parse().ok())?
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}");
}

/// A plan with the vectors' people, app1/sec1 (trusted), app2/sec2 (not), and one mail channel whose provider has these keys.
pub fn plan(settings: &str, provider: &str) -> String {
    format!(
        r#"
[settings]
{settings}
[[app]]
code = "app1"
secret = "sec1"
trusted = true
[[app]]
code = "app2"
secret = "sec2"
[[user]]
code = "admin"
email = "admin@bk.com"
[[user]]
code = "yunchao"
email = "yunchao@bk.com"
[[user]]
code = "nomail"
[[provider]]
code = "main"
{provider}
[[channel]]
code = "1003"
kind = "mail"
providers = ["main"]
"#
    )
}

/// Keys of an SMTP provider that sends to a sink.
pub fn smtp(sink: SocketAddr) -> String {
    format!(
        "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nsender = \"blueking@bking.com\"",
        sink.port()
    )
}

/// Keys of a provider that captures.
pub const CAPTURE: &str = "kind = \"capture\"\nsender = \"blueking@bking.com\"";

/// A short time, in which nothing shall happen.
pub const A_WHILE: Duration = Duration::from_millis(300);
