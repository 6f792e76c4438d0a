//! Where a cloud's API is, and requests to it whose signed headers are those that are sent.

use hongyan_core::outcome::{Outcome, Verdict};
use reqwest::{
    Method, Request, Url,
    header::{HeaderName, HeaderValue},
};

use crate::{error::OpenError, http::Base};

/// The one address that all calls of an API go to.
pub(crate) struct Endpoint {
    url: Url,
    host: String,
}

impl Endpoint {
    /// Reads a `base_url`.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn parse(base_url: &str) -> Result<Self, OpenError> {
        let url = Base::parse(base_url)?.at("/");
        let name = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        Ok(Self { url, host })
    }

    /// The Host header.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The path.
    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    /// A POST with these headers and no others that could be signed; an empty `query` is none.
    ///
    /// # Errors
    /// The verdict, where a key or another setting cannot stand in a header.
    pub(crate) fn post(&self, query: &str, headers: &[(&'static str, &str)], body: String) -> Result<Request, Verdict> {
        let mut url = self.url.clone();
        url.set_query((!query.is_empty()).then_some(query));
        let mut request = Request::new(Method::POST, url);
        for (name, value) in headers {
            let Ok(value) = HeaderValue::from_str(value) else {
                return Err(Verdict::new(
                    Outcome::Misconfigured,
                    format!("a setting cannot stand in the header {name}"),
                ));
            };
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        *request.body_mut() = Some(body.into());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_one_that_is_sent() {
        for (base, host, path) in [
            ("https://sms.tencentcloudapi.com", "sms.tencentcloudapi.com", "/"),
            ("https://sms.tencentcloudapi.com:443", "sms.tencentcloudapi.com", "/"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/"),
            ("http://[::1]:81/proxy", "[::1]:81", "/proxy/"),
        ] {
            let endpoint = Endpoint::parse(base).expect("a base");
            assert_eq!((endpoint.host(), endpoint.path()), (host, path), "{base}");
        }
    }

    #[test]
    fn what_no_header_can_hold_is_a_wrong_setting() {
        let endpoint = Endpoint::parse("http://127.0.0.1").expect("a base");
        let verdict = endpoint.post("", &[("x-tc-region", "a\r\nb")], String::new()).expect_err("refused");
        assert_eq!(verdict.outcome, Outcome::Misconfigured);
        assert!(!verdict.reply.contains('\n'));
    }
}
