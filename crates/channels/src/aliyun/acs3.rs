//! ACS3-HMAC-SHA256, the signature of Alibaba Cloud's calls (`contracts/providers.md` 3.1): pure, with every input an argument.

use std::fmt::Write as _;

use crate::cloud::sign::{canonical_headers, hex, hmac, sha256_hex};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What is signed of a request.
pub(super) struct Signed<'a> {
    /// `POST`.
    pub(super) method: &'a str,
    /// The path as it is sent.
    pub(super) path: &'a str,
    /// The query as [`query`] writes it.
    pub(super) query: &'a str,
    /// The headers that are signed, lower-case and sorted by name.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The SHA-256 of the body.
    pub(super) payload: &'a str,
}

/// A query in its one canonical form: sorted by name, everything encoded but RFC 3986's unreserved characters.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    let pairs: Vec<String> =
        sorted.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            // Writing to a String cannot fail.
            byte => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The value of the Authorization header.
pub(super) fn authorization(request: &Signed<'_>, key: &str, secret: &str) -> String {
    let (lines, names) = canonical_headers(request.headers);
    let Signed { method, path, query, payload, .. } = request;
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
    let to_sign = format!("{ALGORITHM}\n{}", sha256_hex(canonical.as_bytes()));
    let signature = hex(hmac(secret.as_bytes(), &to_sign).as_ref());
    format!("{ALGORITHM} Credential={key},SignedHeaders={names},Signature={signature}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::Url;

    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const DATE: (&str, &str) = ("x-acs-date", "2023-10-26T10:22:32Z");
    const NONCE: (&str, &str) = ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d");

    /// With the names that are signed, which the vectors do not give: all of them.
    fn signature(parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> String {
        let query = query(parameters);
        let request = Signed { method: "POST", path: "/", query: &query, headers, payload: &sha256_hex(b"") };
        let header = authorization(&request, "YourAccessKeyId", "YourAccessKeySecret");
        let (start, signature) = header.rsplit_once(",Signature=").expect("a signature");
        assert!(start.starts_with("ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders="), "{start}");
        signature.to_owned()
    }

    /// The example that Alibaba Cloud publishes (`contracts/providers.md` 8.1).
    #[test]
    fn the_published_example() {
        let parameters =
            [("RegionId", "cn-shanghai"), ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd")];
        let headers = [
            ("host", "ecs.cn-shanghai.aliyuncs.com"),
            ("x-acs-action", "RunInstances"),
            ("x-acs-content-sha256", EMPTY),
            DATE,
            NONCE,
            ("x-acs-version", "2014-05-26"),
        ];
        assert_eq!(
            signature(&parameters, &headers),
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
        );
    }

    /// What the official client signs for a text (`contracts/providers.md` 8.1).
    #[test]
    fn a_text_of_the_official_client() {
        let parameters = [
            ("PhoneNumbers", "13900001234"),
            ("SignName", "阿里云短信测试"),
            ("TemplateCode", "SMS_154950909"),
            ("TemplateParam", r#"{"code":"1234"}"#),
            ("OutId", "m-1"),
        ];
        let headers = [
            ("accept", "application/json"),
            ("host", "127.0.0.1:18081"),
            ("user-agent", "ua"),
            ("x-acs-action", "SendSms"),
            ("x-acs-content-sha256", EMPTY),
            ("x-acs-credentials-provider", "static_ak"),
            DATE,
            NONCE,
            ("x-acs-version", "2017-05-25"),
        ];
        assert_eq!(
            signature(&parameters, &headers),
            "466a8de572cec5672a78c88108eb2b9d096bbf79e5c45bbd7b2535ef83e7d321"
        );
    }

    #[test]
    fn queries_are_sorted_and_encoded() {
        assert_eq!(query(&[("b", "a b+*~/'"), ("A", "鸿")]), "A=%E9%B8%BF&b=a%20b%2B%2A~%2F%27");
        assert_eq!(query(&[]), "");
    }

    proptest! {
        #[test]
        fn a_query_says_what_was_meant(pairs in prop::collection::vec((".{0,9}", ".{0,9}"), 0..5)) {
            let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let query = query(&borrowed);
            let mut url = Url::parse("http://localhost/").expect("a url");
            url.set_query(Some(&query));
            prop_assert_eq!(url.query(), Some(query.as_str()), "it is sent as it was signed");
            let mut read: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let mut meant = pairs;
            read.sort();
            meant.sort();
            prop_assert_eq!(read, meant);
        }
    }
}
