//! DKIM signatures as dkimpy judges them.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hongyan_channels::{dkim::Signer, mail::Composer};
use hongyan_core::{
    content::{Body, Mail},
    setup::{Dkim, Secret},
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::{
    parcels::{file, mail, parcel_of},
    python,
};

const RSA_KEY: &str = include_str!("../data/dkim-rsa.pem");

/// dkimpy does Ed25519 by PyNaCl; the same interface over the `cryptography` package saves the tests that dependency.
const VERIFY: &str = r"
import base64, json, sys, types
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.exceptions import InvalidSignature

nacl = types.ModuleType('nacl'); nacl.signing = types.ModuleType('nacl.signing')
nacl.exceptions = types.ModuleType('nacl.exceptions'); nacl.encoding = types.ModuleType('nacl.encoding')
class BadSignatureError(Exception): pass
class VerifyKey:
    def __init__(self, key, encoder=None): self.key = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
    def verify(self, data, signature):
        try: self.key.verify(bytes(signature), bytes(data))
        except InvalidSignature: raise BadSignatureError()
nacl.signing.VerifyKey, nacl.exceptions.BadSignatureError = VerifyKey, BadSignatureError
nacl.encoding.Base64Encoder = None
for name in ('', '.signing', '.exceptions', '.encoding'):
    module = nacl
    for part in name.split('.')[1:]: module = getattr(module, part)
    sys.modules['nacl' + name] = module

import dkim
job = json.load(sys.stdin)
keys = {'ed': b'v=DKIM1; k=ed25519; p=' + job['ed'].encode()}
rsa = serialization.load_pem_private_key(job['rsa'].encode(), None).public_key()
rsa = rsa.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
keys['rsa'] = b'v=DKIM1; k=rsa; p=' + base64.b64encode(rsa)
def dns(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    assert name.rstrip('.').endswith('._domainkey.example.com'), name
    return keys[name.split('.')[0]]
def verify(message):
    message = base64.b64decode(message)
    added = b'From: evil@example.net\r\n' + message
    changed = message.replace(b'Hello', b'Hullo') if b'Hello' in message else message[:-6] + b'x' + message[-5:]
    return [dkim.verify(m, dnsfunc=dns) for m in (message, added, changed)]
json.dump([verify(m) for m in job['messages']], sys.stdout)
";

fn ed25519_key() -> (String, String) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).expect("a key");
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(pkcs8.as_ref()));
    (pem, BASE64.encode(key.public_key().as_ref()))
}

#[test]
fn dkimpy_verifies_what_we_sign_and_nothing_else() {
    let (ed25519, public) = ed25519_key();
    let mut messages = Vec::new();
    for (selector, key) in [("rsa", RSA_KEY), ("ed", ed25519.as_str())] {
        let dkim = Dkim { domain: "example.com".into(), selector: selector.into(), key: Secret::new(key) };
        let signer = Signer::new(&dkim).expect("a key");
        let composer = Composer::new("notice@example.com", "", Some(signer)).expect("valid");
        for (subject, body) in [
            ("Hello", Body::Text("two  spaces \t and \t tabs\r\n\r\n.\r\n\r\n\r\n".into())),
            ("Hello 鸿雁，这是一个很长的主题，需要折叠成好几行才能放得下", Body::Html("<p>你好</p>".into())),
            ("Hello", Body::Text(String::new())),
        ] {
            let to = (0..30).map(|n| format!("recipient{n}@example.com")).collect();
            let attachments = vec![file("a.bin", "x/y")];
            let content = Mail { subject: subject.into(), body, to, attachments, ..mail() };
            let message =
                composer.compose(&parcel_of(content, vec![vec![7; 3_000]], &["a@example.com"])).expect("a mail");
            crate::message::assert_clean(&message.bytes);
            messages.push(BASE64.encode(message.bytes));
        }
    }
    let count = messages.len();
    let results = python::run(VERIFY, &json!({ "messages": messages, "ed": public, "rsa": RSA_KEY }));
    let each = json!([true, false, false]);
    assert_eq!(results, Value::Array(vec![each; count]), "as sent, with a second From, changed");
}

#[test]
fn unusable_keys_are_named() {
    let (ed25519, _) = ed25519_key();
    let ec = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    for (domain, selector, key, error) in [
        ("example.com", "s1", "", "dkim.key: is no private key in PEM form"),
        ("example.com", "s1", "MIIEvQ==", "dkim.key: is no private key in PEM form"),
        ("example.com", "s1", ec.as_str(), "dkim.key: is neither an RSA key"),
        ("example.com; x=y", "s1", ed25519.as_str(), "dkim.domain: is no domain name"),
        ("example.com", "s1;", ed25519.as_str(), "dkim.selector: is no domain name"),
        ("", "s1", ed25519.as_str(), "dkim.domain: is no domain name"),
    ] {
        let dkim = Dkim { domain: domain.into(), selector: selector.into(), key: Secret::new(key) };
        let found = Signer::new(&dkim).err().expect("refused").to_string();
        assert!(found.starts_with(error), "{found}");
        assert!(!found.contains("MIIEvQ"), "the key is in the message: {found}");
    }
}
