//! DKIM signatures (RFC 6376; Ed25519: RFC 8463), relaxed in headers and body. The body is hashed in one pass without a copy.
//! There is no time stamp in the signature: the same message is signed the same way at every try.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hongyan_core::{address::EmailAddress, setup::Dkim};
use ring::{
    digest::{Context, SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

/// The headers that are signed where the message has them (RFC 6376 section 5.4.1).
const SIGNED: [&str; 8] = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"];
/// Base64 of the signature, per folded line.
const LINE: usize = 70;

/// Why a DKIM configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The domain or the selector is no domain name.
    #[error("dkim.{0}: is no domain name")]
    Name(&'static str),
    /// The text is not one PEM private key.
    #[error("dkim.key: is no private key in PEM form: {0}")]
    Pem(String),
    /// The key is neither RSA of 1024 to 8192 bits nor Ed25519.
    #[error("dkim.key: is neither an RSA key that can sign nor an Ed25519 key: {0}")]
    Kind(String),
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// Signs messages for one domain.
pub struct Signer {
    /// The header up to the list of signed headers.
    head: String,
    key: Key,
}

impl Signer {
    /// Reads the key.
    ///
    /// # Errors
    /// What is wrong with the key or the names.
    pub fn new(dkim: &Dkim) -> Result<Self, KeyError> {
        for (name, value) in [("domain", &dkim.domain), ("selector", &dkim.selector)] {
            let is_name =
                value.is_ascii() && !value.contains('@') && EmailAddress::parse(&format!("x@{value}")).is_ok();
            if !is_name {
                return Err(KeyError::Name(name));
            }
        }
        let pem = dkim.key.expose().as_bytes();
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| KeyError::Pem(error.to_string()))?;
        let key = parse_key(&der)?;
        let algorithm = match key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let head = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed;\r\n d={}; s={};\r\n h=From",
            dkim.domain, dkim.selector
        );
        Ok(Self { head, key })
    }

    /// Puts a signature in front of `message`, which has CRLF line ends and whose bytes are those that will be sent.
    pub(crate) fn sign(&self, message: &mut Vec<u8>) {
        let signature = self.header(message);
        message.splice(0..0, signature);
    }

    fn header(&self, message: &[u8]) -> Vec<u8> {
        let (headers, body) = split(message);
        let fields: Vec<&[u8]> = fields(headers).collect();
        let mut signed = Vec::with_capacity(headers.len() + 512);
        let mut header = self.head.clone();
        let mut column = "h=From".len() + 1;
        for name in SIGNED {
            let Some(field) = fields.iter().find(|field| is_named(field, name)) else { continue };
            // From once more than it is there, so that none can be added (RFC 6376 section 8.15).
            if column + name.len() > LINE {
                header.push_str(":\r\n  ");
                column = 2;
            } else {
                header.push(':');
            }
            header.push_str(name);
            column += name.len() + 1;
            relax_header(field, &mut signed);
            signed.extend_from_slice(b"\r\n");
        }
        header.push_str(";\r\n bh=");
        header.push_str(&BASE64.encode(body_hash(body)));
        header.push_str(";\r\n b=");
        relax_header(header.as_bytes(), &mut signed);
        for piece in BASE64.encode(self.signature(&signed)).as_bytes().chunks(LINE) {
            header.push_str("\r\n ");
            header.extend(piece.iter().map(|b| char::from(*b)));
        }
        header.push_str("\r\n");
        header.into_bytes()
    }

    fn signature(&self, data: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                // Fails only for a buffer of another length than the modulus, or without randomness for blinding, when an
                // empty signature makes the message unsigned and nothing worse.
                match key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature) {
                    Ok(()) => signature,
                    Err(_) => Vec::new(),
                }
            }
            Key::Ed25519(key) => key.sign(digest(&SHA256, data).as_ref()).as_ref().to_vec(),
        }
    }
}

fn parse_key(der: &PrivateKeyDer<'_>) -> Result<Key, KeyError> {
    match der {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).map(|key| Key::Rsa(Box::new(key))),
        PrivateKeyDer::Pkcs8(der) => {
            let der = der.secret_pkcs8_der();
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(|key| Key::Ed25519(Box::new(key)))
                .or_else(|_| RsaKeyPair::from_pkcs8(der).map(|key| Key::Rsa(Box::new(key))))
        }
        _ => return Err(KeyError::Kind("another kind of key".to_owned())),
    }
    .map_err(|rejected| KeyError::Kind(rejected.to_string()))
}

/// The headers with their last CRLF, and the body behind the empty line.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    match message.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => (&message[..at + 2], &message[at + 4..]),
        None => (message, &[]),
    }
}

/// Each header with its continuation lines, without its last CRLF.
fn fields(headers: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = headers;
    std::iter::from_fn(move || {
        let mut end = 0;
        while let Some(length) = rest[end..].iter().position(|b| *b == b'\n') {
            end += length + 1;
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                let (field, after) = rest.split_at(end);
                rest = after;
                return Some(field.strip_suffix(b"\r\n").unwrap_or(field));
            }
        }
        None
    })
}

fn is_named(field: &[u8], name: &str) -> bool {
    field.len() > name.len() && field[name.len()] == b':' && field[..name.len()].eq_ignore_ascii_case(name.as_bytes())
}

/// RFC 6376 section 3.4.2: the name in lower case, one line, runs of white space one space, none around the value.
fn relax_header(field: &[u8], out: &mut Vec<u8>) {
    let colon = field.iter().position(|b| *b == b':').unwrap_or(field.len());
    out.extend(field[..colon].iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let value = field.get(colon + 1..).unwrap_or_default();
    for (i, word) in value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// RFC 6376 section 3.4.4: white space at line ends dropped, runs of it one space, empty lines at the end dropped.
fn body_hash(body: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let mut empty_lines = 0;
    for line in body.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = line.trim_ascii_end();
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            context.update(b"\r\n");
        }
        hash_line(&mut context, line);
        context.update(b"\r\n");
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn hash_line(context: &mut Context, line: &[u8]) {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let mut rest = line;
    while let Some(at) = rest.windows(2).position(|pair| is_space(&pair[0]) && (is_space(&pair[1]) || pair[0] == b'\t'))
    {
        context.update(&rest[..at]);
        context.update(b" ");
        let spaces = rest[at..].iter().take_while(|b| is_space(b)).count();
        rest = &rest[at + spaces..];
    }
    context.update(rest);
}

#[cfg(test)]
mod tests;
