//! TLS towards a server with a certificate of its own making: what each `sslmode` demands, and that none gives in.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
};

use hongyan_store_postgres::inspect;
use hongyan_store_suite::postgres::{self, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

/// A server whose certificate is signed by `authority.pem` beside it and names `localhost` alone.
struct Secured {
    server: Server,
    authority: PathBuf,
    stranger: PathBuf,
}

fn secured() -> Secured {
    let server = Server::start(postgres::Options::default());
    let authority = authority("trusted");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let put = |name: &str, text: &str| {
        let path = server.directory().join(name);
        fs::write(&path, text).expect("a file");
        let owner = fs::metadata(server.directory().join("data")).expect("the data directory");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("the server's own");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("private");
        path
    };
    let certificate = put("server.pem", &certificate.pem());
    let key = put("server.key", &key.serialize_pem());
    let trusted = put("authority.pem", &authority.pem());
    let stranger = put("stranger.pem", &self::authority("a stranger").pem());
    server.sql(&format!("alter system set ssl_cert_file = '{}'", certificate.display()));
    server.sql(&format!("alter system set ssl_key_file = '{}'", key.display()));
    server.sql("alter system set ssl = on");
    server.sql("select pg_reload_conf()");
    Secured { server, authority: trusted, stranger }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no host");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Whether a connection comes about, and why not.
async fn connects(host: &str, server: &Server, more: &str) -> Result<bool, String> {
    let url = format!("postgres://postgres:hunter2@{host}:{}/postgres?{more}", server.port());
    match inspect(&url).await {
        Ok(seen) => Ok(seen.is_encrypted),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_demands_what_it_says() {
    let Secured { server, authority, stranger } = secured();
    let (authority, stranger) = (authority.display(), stranger.display());
    let by_name = "localhost";
    let by_number = "127.0.0.1";
    // Plain text where nothing is asked for on the loopback, and where it is asked for.
    assert_eq!(connects(by_number, &server, "").await, Ok(false));
    assert_eq!(connects(by_number, &server, "sslmode=disable").await, Ok(false));
    for weak in ["sslmode=prefer", "sslmode=require"] {
        assert_eq!(connects(by_number, &server, weak).await, Ok(true), "{weak}");
    }
    for (host, more) in [
        (by_number, format!("sslmode=verify-ca&sslrootcert={authority}")),
        (by_number, format!("sslmode=require&sslrootcert={authority}")),
        (by_name, format!("sslmode=verify-full&sslrootcert={authority}")),
    ] {
        assert_eq!(connects(host, &server, &more).await, Ok(true), "{more}");
    }
    for (host, more, says) in [
        (by_name, format!("sslmode=verify-ca&sslrootcert={stranger}"), "UnknownIssuer"),
        (by_name, format!("sslmode=require&sslrootcert={stranger}"), "UnknownIssuer"),
        (by_name, format!("sslmode=verify-full&sslrootcert={stranger}"), "UnknownIssuer"),
        (by_name, "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        (by_name, "sslrootcert=system".to_owned(), "UnknownIssuer"),
        (by_number, format!("sslmode=verify-full&sslrootcert={authority}"), "not valid for name"),
        (by_name, "sslmode=verify-ca".to_owned(), "sslrootcert=FILE"),
        (by_name, "sslmode=require&sslrootcert=system".to_owned(), "verify-full"),
        (by_name, "sslmode=allow".to_owned(), "prefer"),
        (by_name, "sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(), "/nowhere.pem"),
    ] {
        let said = connects(host, &server, &more).await.expect_err(&more);
        assert!(said.contains(says), "{more}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_required_is_given_up() {
    // This server has no TLS.
    let server = postgres::shared();
    assert_eq!(connects("127.0.0.1", server, "sslmode=prefer").await, Ok(false));
    for more in ["sslmode=require", "sslmode=verify-full"] {
        let said = connects("127.0.0.1", server, more).await.expect_err(more);
        assert!(said.contains("does not support TLS"), "{more}: {said}");
    }
}
