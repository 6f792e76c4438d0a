//! The client snippets of `docs/push.md` as they stand there, run against the dialect: they judge the signature from outside.

use std::{ffi::OsString, io::ErrorKind, process::Output};

use axum::{body::Body, http::Request};
use hongyan_core::{
    content::Content,
    time::{Clock, SystemClock},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::world::{Reply, World};

const PAGE: &str = include_str!("../../../../docs/push.md");

/// The block of the page in a language, which speaks to `address` instead of the port that the page names.
fn snippet(language: &str, address: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).expect("the page has one");
    let (code, _) = rest.split_once("\n```").expect("it ends");
    assert_eq!(code.matches("127.0.0.1:8080").count(), 1);
    code.replace("127.0.0.1:8080", address)
}

/// Reads one request of a connection: its head, and as many bytes as it announces.
async fn request(stream: &mut TcpStream) -> Request<Body> {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.expect("reads"), 0, "the client sends it whole");
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.lines();
        let path = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a path");
        let mut request = Request::post(path);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let length = request.headers().get("content-length").expect("announced").to_str().expect("ASCII");
        if body.len() >= length.parse().expect("a number") {
            return request;
        }
    }
}

/// Answers one request as a node would.
async fn answer(world: &World, listener: TcpListener) -> Reply {
    let (mut stream, _) = listener.accept().await.expect("a call");
    let reply = world.request(request(&mut stream).await).await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", reply.bytes.len());
    stream.write_all(head.as_bytes()).await.expect("answers");
    stream.write_all(&reply.bytes).await.expect("answers");
    reply
}

/// Runs the page's client in a language and asserts that its message was accepted and that it said so; false where there is nothing
/// that runs it.
async fn is_run(language: &str, program: OsString, arguments: &[&str]) -> bool {
    let world = World::with(|plan| plan.now = SystemClock.now()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join(format!("Push.{language}"));
    std::fs::write(&file, snippet(language, &address)).expect("written");
    let mut client = Command::new(program);
    let running = client.args(arguments).arg(&file).kill_on_drop(true).output();
    tokio::pin!(running);
    let reply = tokio::select! {
        reply = answer(&world, listener) => reply,
        // Before it called anybody.
        ended = &mut running => match ended {
            Err(error) if error.kind() == ErrorKind::NotFound => return false,
            ended => panic!("{ended:?}"),
        },
    };
    let Output { status, stdout, stderr } = running.await.expect("ends");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(said.contains(&reply.id().to_string()), "{said}");
    let Content::Mail(mail) = world.stored(&reply).await.on(13) else { panic!("a mail") };
    assert_eq!(mail.subject, "邮件标题");
    true
}

#[tokio::test]
async fn the_pages_python_signs_as_a_node_expects() {
    let python = std::env::var_os("HONGYAN_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    assert!(
        is_run("python", python, &[]).await,
        "this test needs Python 3: set HONGYAN_TEST_PYTHON or install python3"
    );
}

#[tokio::test]
async fn the_pages_java_signs_as_a_node_expects() {
    // As one source file, which Java runs from 11 on.
    if !is_run("java", "java".into(), &["-Dfile.encoding=UTF-8"]).await {
        println!("not run: there is no Java here");
    }
}

#[test]
fn the_pages_vector_is_the_contracts() {
    for part in [
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "5d2cc7753d80d193c2defd589f5482672f076fa2f093ddc751c1792351a79bfe",
        "/api/openApi/message/push/channel\\n\n1700000000\\n\nnonce-123\\n",
    ] {
        assert!(PAGE.contains(part), "{part}");
    }
}
