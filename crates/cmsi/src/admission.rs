//! What an app may do, and how often (section 3: after the user, before the form): from where it may call, which components it
//! may use, how many requests it may make in any span of time, exact across nodes.

use axum::http::Extensions;
use hongyan_core::{cap::Drawn, setup::App};
use hongyan_intake::{Intake, wire::ClientAddress};

use crate::{error::Problem, route::Component};

/// Whether `app` may use `component` now, from there; what it may counts against its rate.
pub(crate) async fn admit(
    intake: &Intake,
    app: &App,
    component: Component,
    extensions: &Extensions,
) -> Result<(), Problem> {
    if !app.may_call_from(extensions.get().map(|ClientAddress(address)| *address)) {
        return Err(Problem::AddressNotAllowed);
    }
    if !app.components.is_empty() && !app.components.iter().any(|allowed| allowed == component.name()) {
        return Err(Problem::NoPermission(component.name()));
    }
    let Some(cap) = app.rate else { return Ok(()) };
    match intake.draw(cap, format!("app/{}/cmsi", app.no.0)).await {
        Ok(Drawn::Yes) => Ok(()),
        Ok(Drawn::No { .. }) => Err(Problem::TooOften { app: app.code.clone(), component: component.name(), cap }),
        Err(error) => {
            tracing::warn!(%error, "a request could not be counted");
            Err(Problem::NotStored)
        }
    }
}

#[cfg(test)]
mod tests {
    use hongyan_core::setup::AppNo;

    use super::*;

    fn app(ips: &[&str]) -> App {
        App {
            no: AppNo(1),
            code: "app1".into(),
            name: String::new(),
            enabled: true,
            secrets: vec![],
            trusted: true,
            channels: vec![],
            senders: vec![],
            components: vec![],
            ips: ips.iter().map(|net| net.parse().expect("a net")).collect(),
            rate: None,
            broadcast: false,
            require_signature: true,
            receivers_max: None,
            hook: None,
        }
    }

    #[test]
    fn addresses() {
        let nets = app(&["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"]);
        for (address, is_allowed) in [
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:10.2.2.3", false),
            ("::10.1.2.3", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::1", false),
        ] {
            let client = Some(address.parse().expect("an address"));
            assert_eq!(nets.may_call_from(client), is_allowed, "{address}");
            assert!(app(&[]).may_call_from(client));
        }
        assert!(!nets.may_call_from(None) && app(&[]).may_call_from(None));
        let any = app(&["0.0.0.0/0"]);
        assert!(!any.may_call_from(Some("2001:db8::1".parse().expect("an address"))));
    }
}
