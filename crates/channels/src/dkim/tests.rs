//! Signatures checked with the public key, repeated, and relaxed canonicalisation by example.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hongyan_core::setup::Secret;
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};

use super::*;

const MESSAGE: &[u8] = b"From: a@example.com\r\nSubject: one\r\n  two \r\nTo: b@example.com\r\n\r\nHi.\r\n";

fn signer(pem: String) -> Signer {
    let dkim = Dkim { domain: "example.com".into(), selector: "s1".into(), key: Secret::new(pem) };
    Signer::new(&dkim).expect("a key")
}

/// The signed data by RFC 6376 section 3.7, put together by hand, and the signature.
fn signed_by_hand(signer: &Signer) -> (Vec<u8>, Vec<u8>) {
    let mut message = MESSAGE.to_vec();
    signer.sign(&mut message);
    assert!(message.ends_with(MESSAGE));
    let text = String::from_utf8(message).expect("ASCII");
    let (header, _) = text.split_once("\r\nFrom:").expect("the signature comes first");
    let (unsigned, signature) = header.split_once(" b=\r\n ").expect("a signature");
    let unsigned = unsigned.replace("\r\n ", " ").replace("DKIM-Signature: ", "dkim-signature:").replace("  ", " ");
    let data = format!("from:a@example.com\r\nto:b@example.com\r\nsubject:one two\r\n{} b=", unsigned.trim_end());
    (data.into_bytes(), BASE64.decode(signature.replace("\r\n ", "")).expect("base64"))
}

#[test]
fn ed25519_verifies_with_the_public_key() {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(pkcs8.as_ref()));
    let (data, signature) = signed_by_hand(&signer(pem));
    let hashed = digest(&SHA256, &data);
    UnparsedPublicKey::new(&ED25519, key.public_key()).verify(hashed.as_ref(), &signature).expect("it verifies");
}

#[test]
fn rsa_verifies_with_the_public_key() {
    let signer = signer(include_str!("../../tests/data/dkim-rsa.pem").to_owned());
    let (data, signature) = signed_by_hand(&signer);
    let Key::Rsa(key) = &signer.key else { panic!("an RSA key") };
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
    public.verify(&data, &signature).expect("it verifies");
}

#[test]
fn the_same_message_is_signed_the_same_way() {
    let signer = signer(include_str!("../../tests/data/dkim-rsa.pem").to_owned());
    let sign = || {
        let mut message = MESSAGE.to_vec();
        signer.sign(&mut message);
        message
    };
    assert_eq!(sign(), sign());
    let header = String::from_utf8(sign()).expect("ASCII");
    assert!(header.starts_with(concat!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n d=example.com; s=s1;\r\n",
        " h=From:From:To:Subject;\r\n bh="
    )));
    assert!(header.lines().all(|line| line.len() <= 78));
}

#[test]
fn bodies_are_relaxed() {
    let hash = |body: &str| body_hash(body.as_bytes());
    // RFC 6376 section 3.4.5.
    assert_eq!(hash(" C \r\nD \t E\r\n\r\n\r\n"), hash(" C\r\nD E\r\n"));
    assert_eq!(hash("a\tb\r\n"), hash("a b\r\n"));
    assert_eq!(hash("a\r\n\r\nb\r\n"), hash("a \r\n\t\r\nb\r\n\r\n"));
    assert_ne!(hash(" a\r\n"), hash("a\r\n"));
    // RFC 6376 section 3.4.4: an empty body is empty.
    assert_eq!(BASE64.encode(hash("")), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!(hash("\r\n\r\n"), hash(""));
}
