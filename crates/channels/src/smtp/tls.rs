//! TLS towards SMTP servers: rustls with ring, the system's certificates and the provider's own file of them.

use std::sync::Arc;

use hongyan_core::setup::Tls;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    },
};

use crate::error::OpenError;

/// How a connection is encrypted, and whose certificate is expected.
pub(super) struct Encryption {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

impl Encryption {
    /// What `tls` asks for; absent for plain text. With `is_login` the certificate is checked in every mode: a client must
    /// not log in with PLAIN over TLS to a server that it has not verified (RFC 4954 section 14).
    ///
    /// # Errors
    /// A host that no certificate can name, an unreadable `ca_file`, no certificate to trust.
    pub(super) fn new(tls: Tls, is_login: bool, host: &str, ca_file: &str) -> Result<Option<Self>, OpenError> {
        let provider = Arc::new(default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| OpenError::key("tls", error))?;
        let config = match tls {
            Tls::None => return Ok(None),
            Tls::StartTls if !is_login => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth(),
            Tls::StartTls | Tls::Required | Tls::Implicit => {
                builder.with_root_certificates(roots(ca_file)?).with_no_client_auth()
            }
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| OpenError::key("host", error))?;
        Ok(Some(Self { connector: TlsConnector::from(Arc::new(config)), name }))
    }
}

fn roots(ca_file: &str) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    // Certificates of the system that cannot be read are none; that none at all is left is found out below.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if !ca_file.is_empty() {
        let unreadable = |why: &dyn ToString| OpenError::key("ca_file", format!("{ca_file}: {}", why.to_string()));
        let certificates = CertificateDer::pem_file_iter(ca_file).map_err(|error| unreadable(&error))?;
        let mut added = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
            added += 1;
        }
        if added == 0 {
            return Err(unreadable(&"has no certificate in PEM form"));
        }
    }
    if roots.is_empty() {
        return Err(OpenError::key("ca_file", "is empty, and the system has no certificates to trust"));
    }
    Ok(roots)
}

/// Accepts every certificate, for `tls = "starttls"` without a login, which protects against listeners only (RFC 7435);
/// signatures are checked all the same, as the protocol needs them.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
