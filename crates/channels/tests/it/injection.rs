//! The corpus of `guides/reliability.md` S1 and S2: whatever is in a field, it stays in that field.

use hongyan_channels::mail::ComposeError;
use hongyan_core::content::{Attachment, Body, Mail, Sender};

use crate::{
    message::{assert_clean, compose},
    parcels::{PATIENT, file, mail, parcel_of, provider, send, shown},
    python,
    sink::{Script, Sink},
};

fn payloads() -> Vec<String> {
    let mut payloads: Vec<String> = [
        "x\r\nBcc: v@e.cn",
        "x\nBcc: v@e.cn",
        "x\rBcc: v@e.cn",
        "x\r\n\r\n<b>body</b>",
        "x\0y",
        "x\u{2028}Bcc: v@e.cn",
        "x\u{85}y",
        "=?utf-8?Q?a=0D=0ABcc:?=",
        "=?utf-8?B?DQpCY2M6IHZAZS5jbg==?=",
        "%0d%0aBcc: v@e.cn",
        "\u{202e}gpj.exe",
        "\u{feff}x",
        "\"; filename=evil.exe; x=\"",
        "<a>\r\nX-Evil: 1",
        "a b>",
        "../../etc/passwd\r\nX: 1",
        "--=_mixed_1234567890123--",
        "  two  spaces  ",
        "😀\r\n\t😀",
    ]
    .map(String::from)
    .to_vec();
    payloads.push("word".repeat(500));
    payloads.push("x\r\nBcc: v@e.cn".repeat(50));
    payloads
}

/// What a header's reader sees: controls are spaces.
fn folded(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// What a body's reader sees: line ends are CRLF, other controls are gone.
fn normalised(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control() || "\r\n\t".contains(*c)).collect();
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

#[test]
fn every_payload_in_every_field_stays_there() {
    let payloads = payloads();
    let messages: Vec<Vec<u8>> = payloads
        .iter()
        .map(|payload| {
            let content = Mail {
                from: Some(Sender { name: payload.clone(), address: "boss@example.com".into() }),
                subject: payload.clone(),
                body: Body::Html(payload.clone()),
                attachments: vec![
                    Attachment { inline: true, content_id: payload.clone(), ..file(payload, "image/png") },
                    file(payload, payload),
                ],
                ..mail()
            };
            let bytes = compose(content, vec![vec![1], vec![2]]).expect("a mail").bytes;
            assert_clean(&bytes);
            bytes
        })
        .collect();
    let names = ["Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type"];
    for (payload, parsed) in payloads.iter().zip(python::parse(&messages)) {
        assert_eq!(parsed.headers(), names, "{payload:?}");
        assert_eq!(parsed.header("Subject"), folded(payload), "{payload:?}");
        let name = parsed.0["from"][0][0].as_str().expect("a name");
        // CPython 3.11 shows the folds between the encoded words of a name as spaces, and takes runs of spaces for one.
        let words = |text: &str| text.replace(' ', "");
        assert_eq!(words(name), words(&folded(payload)));
        assert_eq!(parsed.0["from"].as_array().map(Vec::len), Some(1), "{payload:?}");
        assert_eq!(parsed.0["to"], serde_json::json!(["a@example.com"]), "{payload:?}");
        assert_eq!(parsed.tree(), "mixed(related(alternative(plain html) png) octet-stream)", "{payload:?}");
        let leaves = parsed.leaves();
        assert_eq!(leaves[1]["text"].as_str(), Some(normalised(payload).as_str()), "{payload:?}");
        for leaf in &leaves[2..] {
            let allowed = ["Content-Type", "Content-Disposition", "Content-ID", "Content-Transfer-Encoding"];
            let headers: Vec<&str> =
                leaf["headers"].as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect();
            assert!(headers.iter().all(|name| allowed.contains(name)), "{payload:?} {headers:?}");
            let name = payload.rsplit(['/', '\\']).next().unwrap_or_default();
            assert_eq!(leaf["file"].as_str().map(str::trim), Some(folded(name).trim()), "{payload:?}");
        }
    }
}

#[test]
fn no_payload_is_an_address() {
    for payload in payloads() {
        for address in [payload.clone(), format!("a@b.cn>{payload}"), format!("{payload}@b.cn")] {
            if address.is_ascii() && !address.contains(|c: char| c.is_control() || "<> ;\"".contains(c)) {
                continue; // "%0d%0a…" without its space is an address like any other.
            }
            let from = Some(Sender { name: String::new(), address: address.clone() });
            for content in [Mail { from, ..mail() }, Mail { to: vec![address.clone()], ..mail() }] {
                assert!(matches!(compose(content, vec![]), Err(ComposeError::Address(_))), "{address:?}");
            }
        }
    }
}

#[tokio::test]
async fn no_payload_becomes_a_command() {
    let sink = Sink::start(Script::default()).await;
    let recipients =
        ["a@b.cn>\r\nRCPT TO:<c@d.cn", "\"a b\"@x.cn", "a@b@c", "a@[127.0.0.1]", "<a@b.cn>", "ok@example.com"];
    let verdicts = send(&provider(sink.port), PATIENT, &parcel_of(mail(), vec![], &recipients)).await;
    let outcomes: Vec<String> = verdicts.iter().map(shown).collect();
    assert_eq!(outcomes[..5], ["rejected recipient"; 5]);
    assert_eq!(outcomes[5], "accepted");
    let seen = sink.seen();
    let rcpts: Vec<&String> = seen.commands.iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(rcpts, ["RCPT TO:<ok@example.com>"]);
}

/// The outbound end-of-data variants of the SMTP smuggling scanner (CVE-2023-51764 and its kin).
pub const END_OF_DATA: [&str; 9] =
    ["\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n", "\r\n\0.\r\n"];

/// A body that tries to end its message early and to begin another.
pub fn smuggling(end: &str) -> String {
    format!(
        "first{end}MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: x\r\n\r\nsecond\r\n.\r\n"
    )
}

#[tokio::test]
async fn no_body_ends_its_message_early() {
    let sink = Sink::start(Script::default()).await;
    let mut expected = Vec::new();
    for end in END_OF_DATA {
        for body in [Body::Text(smuggling(end)), Body::Html(smuggling(end))] {
            let content = Mail { body, ..mail() };
            expected.push(normalised(&smuggling(end)));
            let verdicts = send(&provider(sink.port), PATIENT, &parcel_of(content, vec![], &["a@example.com"])).await;
            assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["accepted"]);
        }
    }
    let seen = sink.seen();
    assert!(!seen.has("MAIL FROM:<evil"));
    assert_eq!(seen.messages.len(), expected.len());
    seen.messages.iter().for_each(|message| assert_clean(message));
    for (expected, parsed) in expected.iter().zip(python::parse(&seen.messages)) {
        assert_eq!(parsed.leaves().last().and_then(|leaf| leaf["text"].as_str()), Some(expected.as_str()));
    }
}
