//! What a server says in its EHLO reply that it can do.

/// The extensions that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub(super) pipelining: bool,
    /// STARTTLS (RFC 3207).
    pub(super) starttls: bool,
    /// SMTPUTF8 (RFC 6531): addresses beyond ASCII.
    pub(super) utf8: bool,
    /// SIZE (RFC 1870) is understood.
    pub(super) size: bool,
    /// The largest message, in bytes; 0: the server names no bound.
    pub(super) size_max: u64,
    /// AUTH PLAIN (RFC 4616).
    pub(super) auth_plain: bool,
    /// AUTH LOGIN, which no RFC describes and every server knows.
    pub(super) auth_login: bool,
}

impl Capabilities {
    /// Reads one line of the reply, without its code. The first one is the server's name, which is no keyword by its dots.
    /// 8BITMIME and ENHANCEDSTATUSCODES need no note: messages are ASCII, and an enhanced code is recognised where it stands.
    pub(super) fn line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).to_ascii_uppercase();
        let mut words = line.split([' ', '=']);
        match words.next() {
            Some("PIPELINING") => self.pipelining = true,
            Some("STARTTLS") => self.starttls = true,
            Some("SMTPUTF8") => self.utf8 = true,
            Some("SIZE") => {
                self.size = true;
                self.size_max = words.next().and_then(|size| size.parse().ok()).unwrap_or(0);
            }
            Some("AUTH") => words.for_each(|mechanism| match mechanism {
                "PLAIN" => self.auth_plain = true,
                "LOGIN" => self.auth_login = true,
                _ => {}
            }),
            _ => {}
        }
    }

    /// Whether a message of this many bytes is too large for the server.
    pub(super) const fn is_too_large(&self, bytes: usize) -> bool {
        self.size_max > 0 && bytes as u64 > self.size_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_in_any_case() {
        let mut seen = Capabilities::default();
        for line in [
            "mx.example.com at your service",
            "PIPELINING",
            "size 10240000",
            "AUTH=LOGIN",
            "auth PLAIN XOAUTH2",
            "SMTPUTF8",
        ] {
            seen.line(line.as_bytes());
        }
        let expected = Capabilities {
            pipelining: true,
            starttls: false,
            utf8: true,
            size: true,
            size_max: 10_240_000,
            auth_plain: true,
            auth_login: true,
        };
        assert_eq!(seen, expected);
        assert!(seen.is_too_large(10_240_001) && !seen.is_too_large(10_240_000));
        assert!(!Capabilities { size: true, ..Capabilities::default() }.is_too_large(usize::MAX));
    }
}
