//! `[[provider]]`: the keys of every kind of provider, which of them belong together, and how they are sealed for the store.

use anyhow::{Context, bail, ensure};
use hongyan_core::address::{EmailAddress, Mailbox};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;
use crate::vault::Vault;

/// `[[provider]]`. Keys of another kind than its own are refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderPlan {
    /// Its code.
    pub code: String,
    /// `smtp`; `capture` (takes everything, sends nothing, keeps what would have been sent); or `test` (for trying out faults and
    /// load: sends nothing, tells a server of the test).
    pub kind: String,
    /// Whether it is used.
    pub enabled: bool,
    /// Calls per second, across all nodes; absent: as many as it takes.
    pub rate: Option<f64>,
    /// Calls in flight at a time; for SMTP, sessions.
    pub max_in_flight: u32,
    /// The From header of mails that name none: `Name <address>` or `address`.
    pub sender: String,
    /// smtp: host name or address.
    pub host: Option<String>,
    /// smtp: port. Default 25.
    pub port: Option<u16>,
    /// smtp: `none`, `starttls` (where offered; certificate checked only where a user is set), `required` (STARTTLS, certificate checked) or
    /// `implicit` (TLS from the first byte, certificate checked). Default `required`.
    pub tls: Option<String>,
    /// smtp: user for AUTH; absent: no AUTH.
    pub user: Option<String>,
    /// smtp: password for AUTH. Sealed in the store.
    pub password: Option<String>,
    /// smtp: the name in EHLO; absent: the machine's address.
    pub helo: Option<String>,
    /// smtp: the envelope sender, to which each message's id is added (`bounce+ID@…`); absent: the address of the From header.
    pub bounce: Option<String>,
    /// smtp: a PEM file of CA certificates to trust beside the system's.
    pub ca_file: Option<String>,
    /// smtp: messages per connection. Default 1000.
    pub connection_messages: Option<u32>,
    /// smtp: age at which a connection is closed. Default `10m`.
    pub connection_age: Option<Span>,
    /// smtp: idle time after which a connection is closed. Default `20s`.
    pub connection_idle: Option<Span>,
    /// smtp: sign with DKIM.
    pub dkim: Option<DkimPlan>,
    /// test: `http://…` on the loopback or a private address, which is told of every delivery by a POST of JSON (`delivery`,
    /// `message`, `recipient`, `maybe_duplicate`). 2xx takes it, 4xx refuses it, anything else or silence leaves it unknown. Not
    /// encrypted: for tests only. Absent: deliveries are taken and only counted.
    pub url: Option<String>,
    /// test: `at_most_once` (the default: what may have been sent is never sent again) or `at_least_once` (it is).
    pub repeat: Option<String>,
    /// test: how long each answer is held back. Default `0s`.
    pub delay: Option<Span>,
}

impl Default for ProviderPlan {
    fn default() -> Self {
        Self {
            code: String::new(),
            kind: String::new(),
            enabled: true,
            rate: None,
            max_in_flight: 16,
            sender: String::new(),
            host: None,
            port: None,
            tls: None,
            user: None,
            password: None,
            helo: None,
            bounce: None,
            ca_file: None,
            connection_messages: None,
            connection_age: None,
            connection_idle: None,
            dkim: None,
            url: None,
            repeat: None,
            delay: None,
        }
    }
}

/// `dkim = { … }` of an SMTP provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DkimPlan {
    /// The signing domain, `d=`.
    pub domain: String,
    /// The selector, `s=`.
    pub selector: String,
    /// The private key, PEM (PKCS#8), RSA or Ed25519. Sealed in the store.
    pub key: String,
}

impl ProviderPlan {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.max_in_flight > 0, "max_in_flight is at least 1");
        ensure!(
            self.rate.is_none_or(|rate| (0.001..=1e6).contains(&rate)),
            "rate is between 0.001 and 1000000 calls a second"
        );
        if !self.sender.is_empty() {
            Mailbox::parse(&self.sender).with_context(|| format!("the sender {:?}", self.sender))?;
        }
        match self.kind.as_str() {
            "capture" => {}
            "smtp" => self.check_smtp()?,
            "test" => self.check_test()?,
            "" => bail!("it has no kind: smtp, capture or test"),
            other => bail!("there is no kind {other:?}: smtp, capture or test"),
        }
        for (kind, given) in [("smtp", self.smtp_keys()), ("test", self.test_keys())] {
            ensure!(kind == self.kind || given.is_empty(), "{} belongs to kind {kind}", given.join(", "));
        }
        Ok(())
    }

    fn check_smtp(&self) -> anyhow::Result<()> {
        ensure!(self.host.as_ref().is_some_and(|host| !host.is_empty()), "it has no host");
        ensure!(!self.sender.is_empty(), "it has no sender");
        ensure!(self.user.is_some() == self.password.is_some(), "give user and password, or neither");
        if let Some(tls) = &self.tls {
            ensure!(
                matches!(tls.as_str(), "none" | "starttls" | "required" | "implicit"),
                "tls = {tls:?} does not exist"
            );
        }
        if let Some(bounce) = &self.bounce {
            EmailAddress::parse(bounce).with_context(|| format!("the bounce address {bounce:?}"))?;
        }
        Ok(())
    }

    fn check_test(&self) -> anyhow::Result<()> {
        if let Some(repeat) = &self.repeat {
            ensure!(
                matches!(repeat.as_str(), "at_most_once" | "at_least_once"),
                "repeat is \"at_most_once\" or \"at_least_once\", not {repeat:?}"
            );
        }
        Ok(())
    }

    /// The keys given that only SMTP has.
    fn smtp_keys(&self) -> Vec<&'static str> {
        let keys = [
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("tls", self.tls.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("helo", self.helo.is_some()),
            ("bounce", self.bounce.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("connection_messages", self.connection_messages.is_some()),
            ("connection_age", self.connection_age.is_some()),
            ("connection_idle", self.connection_idle.is_some()),
            ("dkim", self.dkim.is_some()),
        ];
        given(&keys)
    }

    /// The keys given that only a test provider has.
    fn test_keys(&self) -> Vec<&'static str> {
        given(&[("url", self.url.is_some()), ("repeat", self.repeat.is_some()), ("delay", self.delay.is_some())])
    }

    pub(super) fn sealed(mut self, vault: &Vault) -> anyhow::Result<Self> {
        let place = |field: &str| format!("provider/{}/{field}", self.code);
        self.password = self.password.map(|password| vault.seal(&place("password"), &password)).transpose()?;
        if let Some(dkim) = &mut self.dkim {
            dkim.key = vault.seal(&format!("provider/{}/dkim", self.code), &dkim.key)?;
        }
        Ok(self)
    }
}

fn given(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    keys.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key).collect()
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;

    fn refusal(keys: &str) -> String {
        let plan = Plan::parse(&format!("[[provider]]\ncode = \"p\"\n{keys}"));
        plan.map_or_else(|error| format!("{error:#}"), |_| String::new())
    }

    #[test]
    fn every_kind_has_keys_of_its_own() {
        for (keys, why) in [
            ("kind = \"capture\"", ""),
            ("kind = \"smtp\"\nhost = \"h\"\nsender = \"a@example.com\"", ""),
            ("kind = \"test\"", ""),
            ("kind = \"test\"\nurl = \"\"\nrepeat = \"at_most_once\"\ndelay = \"0s\"", ""),
            ("kind = \"test\"\nurl = \"http://127.0.0.1:1/\"\nrepeat = \"at_least_once\"", ""),
            ("kind = \"test\"\nrepeat = \"twice\"", "repeat is \"at_most_once\" or \"at_least_once\", not \"twice\""),
            ("kind = \"test\"\nhost = \"h\"\nport = 25", "host, port belongs to kind smtp"),
            ("kind = \"capture\"\nurl = \"\"\ndelay = \"1s\"", "url, delay belongs to kind test"),
            (
                "kind = \"smtp\"\nhost = \"h\"\nsender = \"a@example.com\"\nrepeat = \"x\"",
                "repeat belongs to kind test",
            ),
            (
                "kind = \"capture\"\ndkim = { domain = \"d\", selector = \"s\", key = \"k\" }",
                "dkim belongs to kind smtp",
            ),
            ("", "it has no kind: smtp, capture or test"),
            ("kind = \"fax\"", "there is no kind \"fax\": smtp, capture or test"),
        ] {
            let refusal = refusal(keys);
            assert!(refusal.is_empty() == why.is_empty() && refusal.contains(why), "{keys}: {refusal}");
        }
    }
}
