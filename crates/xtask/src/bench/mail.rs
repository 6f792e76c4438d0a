//! The requests that the product is loaded with.

use serde_json::json;

/// Where a mail is posted.
pub const PATH: &str = "/api/c/compapi/cmsi/send_mail/";

/// The app that the plan declares.
pub const APP: &str = "bench";

/// Its secret.
pub const SECRET: &str = "bench-secret";

/// What a token starts with; sixteen digits follow.
pub const TOKEN: &str = "stamp-";

/// The digits of a token.
pub const TOKEN_DIGITS: usize = 16;

/// A `send_mail` of about 600 bytes, as a monitoring system would post it.
pub fn small() -> String {
    let content = "<p>Host 10.0.0.12 (module gateway, set east) reports a load of 17.4 for ten minutes.</p>\
                   <p>First seen 2026-01-05 08:00:00, now 2026-01-05 08:10:00, strategy 1042, level warning.</p>\
                   <p>Look at the host in the console and confirm the alarm there; it is repeated every half hour \
                   until somebody does, and closed by itself once the load stays below 8 for ten minutes in a row, night and day.</p>";
    body("[alarm] load is high on 10.0.0.12", content, "Html")
}

/// A `send_mail` whose text is 1 KiB, as `smtp-source -l 1024` sends.
pub fn kilobyte(title: &str) -> String {
    let line = "The quick brown fox jumps over the lazy dog, again and again.\n";
    let content: String = line.chars().cycle().take(1024).collect();
    body(title, &content, "Text")
}

fn body(title: &str, content: &str, format: &str) -> String {
    let body = json!({
        "bk_app_code": APP,
        "bk_app_secret": SECRET,
        "bk_username": "admin",
        "receiver": "someone@example.net",
        "title": title,
        "content": content,
        "body_format": format,
    });
    body.to_string()
}

/// The bytes of an HTTP request that posts a body and keeps the connection.
pub fn request(body: &str) -> Vec<u8> {
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The text of a token.
pub fn token(micros: u64) -> String {
    format!("{TOKEN}{micros:0width$}", width = TOKEN_DIGITS)
}

/// The first token among bytes.
pub fn find_token(bytes: &[u8]) -> Option<u64> {
    let at = bytes.windows(TOKEN.len()).position(|window| window == TOKEN.as_bytes())? + TOKEN.len();
    std::str::from_utf8(bytes.get(at..at + TOKEN_DIGITS)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_sizes_that_they_claim() {
        assert!((570..=630).contains(&small().len()), "{}", small().len());
        let parsed: serde_json::Value = serde_json::from_str(&kilobyte("a")).unwrap();
        assert_eq!(parsed["content"].as_str().unwrap().len(), 1024);
    }

    #[test]
    fn a_request_says_how_long_its_body_is() {
        let text = String::from_utf8(request("{}")).unwrap();
        assert!(text.ends_with("Content-Length: 2\r\n\r\n{}"));
    }

    #[test]
    fn a_token_is_found_again() {
        let bytes = format!("Subject: load {}\r\n\r\nbody", token(1_234_567));
        assert_eq!(find_token(bytes.as_bytes()), Some(1_234_567));
        assert_eq!(find_token(b"Subject: none"), None);
        assert_eq!(find_token(b"Subject: stamp-12"), None);
    }
}
