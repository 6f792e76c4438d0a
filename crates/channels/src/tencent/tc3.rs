//! TC3-HMAC-SHA256, the signature of Tencent Cloud's calls (`contracts/providers.md` 3.2): pure, with every input an argument.

use hongyan_core::time::Timestamp;

use crate::cloud::{
    calendar::{seconds, utc_day},
    sign::{canonical_headers, hex, hmac, sha256_hex},
};

const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// What is signed of a POST without a query.
pub(super) struct Signed<'a> {
    /// `sms`, `vms`.
    pub(super) service: &'a str,
    /// The path as it is sent.
    pub(super) path: &'a str,
    /// The headers that are signed, lower-case and sorted by name.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub(super) body: &'a [u8],
    /// The moment in `X-TC-Timestamp`.
    pub(super) at: Timestamp,
}

/// The value of the Authorization header.
pub(super) fn authorization(request: &Signed<'_>, id: &str, key: &str) -> String {
    let (lines, names) = canonical_headers(request.headers);
    let (day, service) = (utc_day(request.at), request.service);
    let canonical = format!("POST\n{}\n\n{lines}\n{names}\n{}", request.path, sha256_hex(request.body));
    let scope = format!("{day}/{service}/tc3_request");
    let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{}", seconds(request.at), sha256_hex(canonical.as_bytes()));
    let by_day = hmac(format!("TC3{key}").as_bytes(), &day);
    let by_service = hmac(by_day.as_ref(), service);
    let signing = hmac(by_service.as_ref(), "tc3_request");
    let signature = hex(hmac(signing.as_ref(), &to_sign).as_ref());
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE";
    const KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";

    fn assert_signed(service: &str, headers: &[(&str, &str)], body: &str, names: &str, signature: &str) {
        let at = Timestamp::from_ms(1_551_113_065_999);
        let request = Signed { service, path: "/", headers, body: body.as_bytes(), at };
        let expected = format!(
            "TC3-HMAC-SHA256 Credential={ID}/2019-02-25/{service}/tc3_request, SignedHeaders={names}, Signature={signature}"
        );
        assert_eq!(authorization(&request, ID, KEY), expected);
    }

    /// The example that Tencent Cloud publishes, in its two forms (`contracts/providers.md` 8.1).
    #[test]
    fn the_published_example() {
        let body = r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
        let (content, host) =
            (("content-type", "application/json; charset=utf-8"), ("host", "cvm.tencentcloudapi.com"));
        assert_signed(
            "cvm",
            &[content, host],
            body,
            "content-type;host",
            "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
        );
        assert_signed(
            "cvm",
            &[content, host, ("x-tc-action", "describeinstances")],
            body,
            "content-type;host;x-tc-action",
            "644be983de9a8a3f00db8eadaba61467c3b429e2215758ba897b738ca469fd26",
        );
    }

    /// What the official client signs for a text (`contracts/providers.md` 8.1).
    #[test]
    fn a_text_of_the_official_client() {
        let body = concat!(
            r#"{"PhoneNumberSet": ["+8618501234444"], "SmsSdkAppId": "1400006666", "TemplateId": "1110", "#,
            r#""SignName": "\u817e\u8baf\u4e91", "TemplateParamSet": ["1234"], "SessionContext": "m-1"}"#,
        );
        assert_signed(
            "sms",
            &[("content-type", "application/json"), ("host", "127.0.0.1:18080")],
            body,
            "content-type;host",
            "7e82997ea0493e9003447034dabc59583b377a935fb0cf23d4e22252f722854c",
        );
    }
}
