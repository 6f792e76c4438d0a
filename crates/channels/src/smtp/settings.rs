//! A provider's keys, checked once, in the form that sessions use.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hongyan_core::{
    address::EmailAddress,
    setup::{SmtpProvider, Tls},
    text::has_control,
    time::Clock,
};
use tokio::net::TcpStream;

use super::{auth::Credentials, limits::Timeouts, tls::Encryption};
use crate::error::OpenError;

/// What every session of one provider needs.
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) encryption: Option<Encryption>,
    pub(super) credentials: Option<Credentials>,
    /// The name in EHLO; empty: the address of our end.
    helo: String,
    pub(super) messages_max: u32,
    pub(super) age_max: Duration,
    pub(super) idle_max: Duration,
    pub(super) timeouts: Timeouts,
    pub(super) clock: Arc<dyn Clock>,
}

impl Settings {
    pub(super) fn new(keys: &SmtpProvider, timeouts: Timeouts, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let host = keys.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&keys.host);
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(OpenError::key("host", "is neither a host name nor an address"));
        }
        if keys.port == 0 {
            return Err(OpenError::key("port", "is 0"));
        }
        if !is_hello_name(&keys.helo) {
            return Err(OpenError::key("helo", "is neither a domain name nor an address in brackets"));
        }
        let credentials = credentials(keys)?;
        Ok(Self {
            host: host.to_owned(),
            port: keys.port,
            tls: keys.tls,
            encryption: Encryption::new(keys.tls, credentials.is_some(), host, &keys.ca_file)?,
            credentials,
            helo: keys.helo.clone(),
            messages_max: keys.connection_messages.max(1),
            age_max: keys.connection_age,
            idle_max: keys.connection_idle,
            timeouts,
            clock,
        })
    }

    /// The name in EHLO: the configured one, else the address of our end as a literal (RFC 5321 section 4.1.4).
    pub(super) fn hello_name(&self, stream: &TcpStream) -> String {
        if !self.helo.is_empty() {
            return self.helo.clone();
        }
        match stream.local_addr().map(|address| address.ip().to_canonical()) {
            Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
            Ok(IpAddr::V4(address)) => format!("[{address}]"),
            Err(_) => "[127.0.0.1]".to_owned(),
        }
    }
}

fn credentials(keys: &SmtpProvider) -> Result<Option<Credentials>, OpenError> {
    if keys.user.is_empty() {
        return Ok(None);
    }
    if has_control(&keys.user) {
        return Err(OpenError::key("user", "has a control character"));
    }
    if keys.password.is_empty() || keys.password.expose().contains('\0') {
        return Err(OpenError::key("password", "is empty or has a NUL, and a user is set"));
    }
    Ok(Some(Credentials::new(&keys.user, &keys.password)))
}

/// Whether `name` may stand in EHLO: empty, a domain, or an address literal.
fn is_hello_name(name: &str) -> bool {
    let is_literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .is_some_and(|address| address.strip_prefix("IPv6:").unwrap_or(address).parse::<IpAddr>().is_ok());
    name.is_empty()
        || is_literal
        || (name.is_ascii() && EmailAddress::parse(&format!("x@{name}")).is_ok_and(|a| a.domain() == name))
}
