//! Foreign servers: Postfix's `smtp-sink` and Python's aiosmtpd.

use std::{path::Path, process::Stdio, time::Duration};

use hongyan_core::{
    channel::Channel,
    content::{Body, Mail},
    setup::{Secret, SmtpProvider, Tls},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};

use crate::{
    injection::{END_OF_DATA, smuggling},
    message::assert_clean,
    parcels::{PATIENT, mail, parcel, parcel_of, provider, send, shown, smtp},
    python,
    tls::{Authority, GOOD},
};

/// A running `smtp-sink`.
struct PostfixSink {
    port: u16,
    _child: Child,
}

impl PostfixSink {
    async fn start(arguments: &[&str], directory: &Path) -> Self {
        let port =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
        let program =
            ["/usr/sbin/smtp-sink", "/usr/local/sbin/smtp-sink"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("smtp-sink"));
        // As root it insists on becoming somebody else, who must be able to write where it dumps.
        let directory_of = std::fs::metadata(directory).expect("a directory");
        if std::os::unix::fs::MetadataExt::uid(&directory_of) == 0 {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(directory, permissions).expect("permissions");
            command.args(["-u", "nobody"]);
        }
        let child = command
            .args(arguments)
            .args([&format!("127.0.0.1:{port}"), "100"])
            .current_dir(directory)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("this test needs smtp-sink, of the Debian package postfix");
        let begun = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < PATIENT, "smtp-sink does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { port, _child: child }
    }
}

#[tokio::test]
async fn postfix_takes_what_we_send_and_refuses_as_it_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let sink = PostfixSink::start(&["-d", "mail."], directory.path()).await;
    let smtp = smtp(&provider(sink.port), PATIENT);
    for body in ["Good morning.\n.\n..x\n", &"line\n".repeat(40_000)] {
        let content = Mail { body: Body::Text(body.into()), ..mail() };
        let verdicts = smtp.send(&parcel_of(content, vec![], &["a@example.com", "b@example.com"])).await;
        assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["accepted"; 2], "{verdicts:?}");
    }
    smtp.close().await;
    let files =
        || std::fs::read_dir(directory.path()).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut dumped: Vec<String> = files().map(|path| std::fs::read_to_string(path).expect("ASCII")).collect();
    dumped.sort_by_key(String::len);
    assert_eq!(dumped.len(), 2);
    assert!(dumped.iter().all(|dump| dump.contains("X-Mail-Args: <boss@example.com>")));
    assert!(dumped.iter().all(|dump| dump.contains("X-Rcpt-Args: <b@example.com>")));
    assert!(dumped[0].ends_with("Good morning.\n.\n..x\n\n") || dumped[0].ends_with("Good morning.\n.\n..x\n"));
    assert_eq!(dumped[1].matches("\nline").count(), 40_000);

    for (arguments, expected) in [
        (["-r", "RCPT"], "deferred recipient"),
        (["-f", "RCPT"], "rejected recipient"),
        (["-f", "MAIL"], "misconfigured"),
        (["-r", "."], "deferred recipient"),
        (["-q", "RCPT"], "deferred provider"),
        (["-q", "."], "unknown"),
        (["-Q", "DATA"], "throttled provider 60s"),
    ] {
        let sink = PostfixSink::start(&arguments, directory.path()).await;
        let verdicts = send(&provider(sink.port), PATIENT, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&verdicts[0]), expected, "{arguments:?}: {verdicts:?}");
    }
}

/// aiosmtpd with a certificate, which wants TLS and a login and prints each message as a line of JSON.
const SERVER: &str = r"
import asyncio, base64, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('bad'): return '550 5.1.1 no such user'
        envelope.rcpt_tos.append(address)
        return '250 ok'
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'tls': session.ssl is not None,
            'user': session.auth_data, 'message': base64.b64encode(envelope.original_content).decode()}), flush=True)
        return '250 queued as 1'

def login(server, session, envelope, mechanism, data):
    ok = data.login == b'me' and data.password == b's3cret'
    return AuthResult(success=ok, handled=False, auth_data=mechanism if ok else None)

async def main():
    certificate, exclude = sys.argv[1:3]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    make = lambda: SMTP(Handler(), hostname='localhost', tls_context=tls, require_starttls=True, authenticator=login,
        auth_required=True, auth_exclude_mechanism=[exclude], enable_SMTPUTF8=True)
    server = await asyncio.get_running_loop().create_server(make, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
";

struct Aiosmtpd {
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Aiosmtpd {
    async fn start(authority: &Authority, directory: &Path, excluded: &str) -> Self {
        let (certificate, key) = authority.issue("localhost", GOOD);
        let path = directory.join("server.pem");
        std::fs::write(&path, certificate + &key).expect("written");
        let mut child = Command::new(python::interpreter())
            .args(["-c", SERVER])
            .arg(&path)
            .arg(excluded)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this test needs Python 3: set HONGYAN_TEST_PYTHON or install python3");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port = lines.next_line().await.expect("readable").expect("this test needs aiosmtpd: see `make test`");
        Self { port: port.parse().expect("a port"), lines, _child: child }
    }

    async fn message(&mut self) -> Value {
        let line = self.lines.next_line().await.expect("readable").expect("a message");
        serde_json::from_str(&line).expect("JSON")
    }
}

fn keys(port: u16, authority: &Authority, password: &str) -> SmtpProvider {
    SmtpProvider {
        host: "localhost".into(),
        tls: Tls::Required,
        user: "me".into(),
        password: Secret::new(password),
        ca_file: authority.path(),
        ..provider(port)
    }
}

#[tokio::test]
async fn aiosmtpd_with_starttls_and_either_login() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    for (excluded, used) in [("LOGIN", "PLAIN"), ("PLAIN", "LOGIN")] {
        let mut server = Aiosmtpd::start(&authority, directory.path(), excluded).await;
        let wrong = send(&keys(server.port, &authority, "wrong"), PATIENT, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&wrong[0]), "misconfigured", "{wrong:?}");

        let smtp = smtp(&keys(server.port, &authority, "s3cret"), PATIENT);
        let verdicts = smtp.send(&parcel(&["a@example.com", "bad@example.com", "用户@例子.中国"])).await;
        let outcomes: Vec<String> = verdicts.iter().map(shown).collect();
        assert_eq!(outcomes, ["accepted", "rejected recipient", "accepted"], "{verdicts:?}");
        let message = server.message().await;
        assert_eq!(message["to"], serde_json::json!(["a@example.com", "用户@例子.中国"]));
        assert_eq!((&message["tls"], &message["user"]), (&true.into(), &used.into()));

        // The body is what was meant, whatever it looks like on the way.
        for end in END_OF_DATA {
            let content = Mail { body: Body::Text(smuggling(end)), ..mail() };
            let verdicts = smtp.send(&parcel_of(content, vec![], &["a@example.com"])).await;
            assert_eq!(shown(&verdicts[0]), "accepted");
            let message = server.message().await;
            assert_eq!(message["from"], "boss@example.com");
            let bytes = base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                message["message"].as_str().expect("base64"),
            );
            assert_clean(&bytes.expect("base64"));
        }
        smtp.close().await;
    }
}
