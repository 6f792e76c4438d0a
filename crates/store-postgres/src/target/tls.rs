//! TLS towards the database, as users know it from libpq: `sslmode` says how much is demanded, `sslrootcert` whom to trust.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The value of `sslrootcert` that means the system's certificates.
const SYSTEM: &str = "system";

/// What `sslmode` can be, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Demand {
    /// No TLS.
    Disable,
    /// TLS where the server has it. Protects against listeners only, and not against those who can answer in its place.
    Prefer,
    /// TLS or no connection; with `sslrootcert` the same as [`Demand::VerifyCa`].
    Require,
    /// And a certificate of an authority in `sslrootcert`, whatever name it bears.
    VerifyCa,
    /// And the host's name in it.
    VerifyFull,
}

impl Demand {
    /// What `sslmode` says.
    ///
    /// # Errors
    /// The values that there are.
    pub(crate) fn parse(sslmode: &str) -> Result<Self, String> {
        Ok(match sslmode {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => {
                return Err(format!(
                    "sslmode={other:?} is none of disable, prefer, require, verify-ca and verify-full"
                ));
            }
        })
    }

    /// The same for the client, which knows three modes: what a certificate must be is up to its verifier.
    pub(crate) const fn mode(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// What is demanded where `sslmode` and `sslrootcert` are these, in words of libpq; absent `sslmode`: what each host is due.
///
/// # Errors
/// A combination that promises more than it keeps.
pub(crate) fn demand(sslmode: Option<&str>, sslrootcert: Option<&str>) -> Result<Option<Demand>, String> {
    let demand = sslmode.map(Demand::parse).transpose()?;
    match (demand, sslrootcert) {
        (None, Some(SYSTEM)) => Ok(Some(Demand::VerifyFull)),
        (Some(Demand::Prefer | Demand::Require | Demand::VerifyCa), Some(SYSTEM)) => Err(
            "sslrootcert=system needs sslmode=verify-full: with less, any certificate that somebody bought would do"
                .to_owned(),
        ),
        (Some(Demand::VerifyCa), None) => {
            Err("sslmode=verify-ca needs sslrootcert=FILE, the certificates of the authority to trust".to_owned())
        }
        (Some(Demand::Require), Some(_)) => Ok(Some(Demand::VerifyCa)),
        (demand, _) => Ok(demand),
    }
}

/// A connector that demands this; absent for plain text.
///
/// # Errors
/// `sslrootcert` cannot be read, or there is no certificate to trust.
pub(crate) fn connector(demand: Demand, sslrootcert: Option<&str>) -> Result<Option<MakeRustlsConnect>, String> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let trust = |trust| Arc::new(Trusting { trust, provider: Arc::clone(&provider) });
    let mut config = match demand {
        Demand::Disable => return Ok(None),
        Demand::VerifyFull => builder.with_root_certificates(roots(sslrootcert)?).with_no_client_auth(),
        Demand::VerifyCa => {
            builder.dangerous().with_custom_certificate_verifier(trust(Some(roots(sslrootcert)?))).with_no_client_auth()
        }
        Demand::Prefer | Demand::Require => {
            builder.dangerous().with_custom_certificate_verifier(trust(None)).with_no_client_auth()
        }
    };
    // What `sslnegotiation=direct` needs, and every server without it overlooks.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(Some(MakeRustlsConnect::new(config)))
}

/// The certificates of the file alone, as in libpq, or else the system's.
fn roots(sslrootcert: Option<&str>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = sslrootcert.filter(|file| *file != SYSTEM) else {
        // Certificates of the system that cannot be read are none; that none at all is left is found out here.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return match roots.is_empty() {
            true => Err("the system has no certificates to trust: name a file by sslrootcert".to_owned()),
            false => Ok(roots),
        };
    };
    let unreadable = |why: &dyn ToString| format!("sslrootcert {file}: {}", why.to_string());
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    match roots.is_empty() {
        true => Err(unreadable(&"has no certificate in PEM form")),
        false => Ok(roots),
    }
}

/// Asks less of a certificate than that it names the host: that an authority has signed it, or nothing at all. Signatures of
/// the handshake are checked all the same, as the protocol needs them.
#[derive(Debug)]
struct Trusting {
    /// The authorities; absent: anybody.
    trust: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.trust {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
