//! TLS: what is checked, what is refused, and that nothing worth having is sent to a server that was not verified.

use std::{io::Write as _, sync::Arc, time::Duration};

use hongyan_core::setup::{Secret, SmtpProvider, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::NamedTempFile;
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use crate::{
    parcels::{PATIENT, big, parcel, provider, send, shown, smtp},
    sink::{
        Act::{self, Say},
        Script, Sink,
    },
};

/// An authority for tests, and the file by which a provider trusts it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub file: NamedTempFile,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(issuer.pem().as_bytes()).expect("written");
        Self { issuer, file }
    }

    pub fn path(&self) -> String {
        self.file.path().to_string_lossy().into_owned()
    }

    /// A certificate for `name`, valid in these years, and its key, as PEM.
    pub fn issue(&self, name: &str, years: (i32, i32)) -> (String, String) {
        let (certificate, key) = self.certificate(name, years);
        (certificate.pem(), key.serialize_pem())
    }

    fn certificate(&self, name: &str, years: (i32, i32)) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// A server's settings with such a certificate.
    pub fn server(&self, name: &str, years: (i32, i32)) -> Arc<ServerConfig> {
        let (certificate, key) = self.certificate(name, years);
        config(certificate.der().clone(), &key)
    }
}

fn self_signed() -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    config(params.self_signed(&key).expect("a certificate").der().clone(), &key)
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate");
    Arc::new(config)
}

/// Years in which certificates are good.
pub const GOOD: (i32, i32) = (2020, 2090);

fn keys(port: u16, tls: Tls, authority: &Authority) -> SmtpProvider {
    SmtpProvider {
        host: "localhost".into(),
        tls,
        user: "me".into(),
        password: Secret::new("s3cret"),
        ca_file: if tls == Tls::None { String::new() } else { authority.path() },
        ..provider(port)
    }
}

fn script(tls: Option<Arc<ServerConfig>>, is_implicit: bool) -> Script {
    let starttls = tls.is_some() && !is_implicit;
    let script = Script { tls, is_implicit, ..Script::default() }.with("AUTH PLAIN");
    if starttls { script.with("STARTTLS") } else { script }
}

#[tokio::test]
async fn certificates() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let good = || authority.server("localhost", GOOD);
    for (name, server, tls, expected) in [
        ("good, implicit", good(), Tls::Implicit, "accepted"),
        ("good, required", good(), Tls::Required, "accepted"),
        ("good, opportunistic", good(), Tls::StartTls, "accepted"),
        ("wrong name, implicit", authority.server("example.org", GOOD), Tls::Implicit, "deferred provider"),
        ("wrong name, required", authority.server("example.org", GOOD), Tls::Required, "deferred provider"),
        ("expired, implicit", authority.server("localhost", (2000, 2001)), Tls::Implicit, "deferred provider"),
        ("expired, required", authority.server("localhost", (2000, 2001)), Tls::Required, "deferred provider"),
        ("unknown authority", stranger.server("localhost", GOOD), Tls::Required, "deferred provider"),
        ("self-signed, implicit", self_signed(), Tls::Implicit, "deferred provider"),
        ("self-signed, required", self_signed(), Tls::Required, "deferred provider"),
        ("wrong name, opportunistic", authority.server("example.org", GOOD), Tls::StartTls, "deferred provider"),
        ("expired, opportunistic", authority.server("localhost", (2000, 2001)), Tls::StartTls, "deferred provider"),
        ("self-signed, opportunistic", self_signed(), Tls::StartTls, "deferred provider"),
    ] {
        let sink = Sink::start(script(Some(server), tls == Tls::Implicit)).await;
        let verdicts = send(&keys(sink.port, tls, &authority), PATIENT, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&verdicts[0]), expected, "{name}: {verdicts:?}");
        let seen = sink.seen();
        let is_sent = expected == "accepted";
        assert_eq!(
            (seen.has("AUTH"), seen.has("MAIL"), seen.messages.len() == 1),
            (is_sent, is_sent, is_sent),
            "{name}"
        );
        let in_the_clear: Vec<_> = seen.commands.iter().filter(|line| !line.starts_with("* ")).collect();
        assert!(in_the_clear.iter().all(|line| line.starts_with("EHLO") || *line == "STARTTLS"), "{in_the_clear:?}");
        if is_sent && tls != Tls::Implicit {
            assert_eq!(seen.commands.iter().filter(|line| line.contains("EHLO")).count(), 2, "{name}: EHLO again");
        }
    }
}

#[tokio::test]
async fn without_a_password_any_certificate_will_do_for_opportunistic_encryption() {
    let authority = Authority::new();
    for server in [self_signed(), authority.server("example.org", GOOD)] {
        let sink = Sink::start(script(Some(server), false)).await;
        let keys =
            SmtpProvider { user: String::new(), ca_file: String::new(), ..keys(sink.port, Tls::StartTls, &authority) };
        let verdicts = send(&keys, PATIENT, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&verdicts[0]), "accepted", "{verdicts:?}");
        assert!(sink.seen().commands.contains(&"* DATA".to_owned()), "{:?}", sink.seen().commands);
    }
}

#[tokio::test]
async fn downgrades() {
    let authority = Authority::new();
    let refusing: [(&'static str, Act); 1] = [("STARTTLS", Say("454 4.7.0 TLS not available"))];
    let injecting: [(&'static str, Act); 1] = [("STARTTLS", Say("220 go ahead\r\n250-PIPELINING\r\n250 AUTH PLAIN"))];
    for (name, tls, user, offered, acts, expected) in [
        ("not offered, required", Tls::Required, "me", false, &[][..], "misconfigured"),
        ("not offered, opportunistic, password", Tls::StartTls, "me", false, &[], "misconfigured"),
        ("not offered, opportunistic", Tls::StartTls, "", false, &[], "accepted"),
        ("refused, required", Tls::Required, "me", true, &refusing, "deferred provider"),
        ("refused, opportunistic, password", Tls::StartTls, "me", true, &refusing, "misconfigured"),
        ("refused, opportunistic", Tls::StartTls, "", true, &refusing, "accepted"),
        ("injected, required", Tls::Required, "me", true, &injecting, "deferred provider"),
        ("injected, opportunistic", Tls::StartTls, "", true, &injecting, "deferred provider"),
        ("plain text by choice", Tls::None, "me", false, &[], "accepted"),
    ] {
        let server = offered.then(|| authority.server("localhost", GOOD));
        let sink = Sink::start(Script { acts: acts.to_vec(), ..script(server, false) }).await;
        let keys = SmtpProvider { user: user.into(), ..keys(sink.port, tls, &authority) };
        let verdicts = send(&keys, PATIENT, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&verdicts[0]), expected, "{name}: {verdicts:?}");
        let seen = sink.seen();
        assert_eq!(seen.has("MAIL"), expected == "accepted", "{name}");
        assert_eq!(seen.has("AUTH"), expected == "accepted" && !user.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_where_it_should() {
    let authority = Authority::new();
    let sink = Sink::start(script(None, false)).await;
    let short = Duration::from_millis(500);
    let verdicts = send(&keys(sink.port, Tls::Implicit, &authority), short, &parcel(&["a@example.com"])).await;
    assert_eq!(shown(&verdicts[0]), "deferred provider");
    assert!(!sink.seen().has("AUTH"));
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_message_is_heard_through_tls() {
    let authority = Authority::new();
    let acts = vec![("data-block", Act::SayAndClose("552 5.3.4 too large"))];
    let sink = Sink::start(Script { acts, ..script(Some(authority.server("localhost", GOOD)), true) }).await;
    let verdicts = send(&keys(sink.port, Tls::Implicit, &authority), PATIENT, &big()).await;
    assert_eq!(shown(&verdicts[0]), "rejected content", "{verdicts:?}");
}

#[tokio::test]
async fn an_encrypted_connection_is_used_again() {
    let authority = Authority::new();
    let sink = Sink::start(script(Some(authority.server("localhost", GOOD)), false)).await;
    let smtp = smtp(&keys(sink.port, Tls::Required, &authority), PATIENT);
    for _ in 0..3 {
        use hongyan_core::channel::Channel as _;
        assert_eq!(shown(&smtp.send(&parcel(&["a@example.com"])).await[0]), "accepted");
    }
    assert_eq!((sink.seen().connections, sink.seen().messages.len()), (1, 3));
}
