//! From the stored form of what is declared to the [`Setup`] that the node works with: secrets unsealed, codes of providers
//! turned into their numbers, defaults filled in.

use std::collections::HashMap;

use anyhow::Context;
use hongyan_core::{
    quota::Fit,
    setup::{App, AppNo, Channel, ChannelKind, ChannelNo, MailSuccessCode, ProviderNo, Secret, Settings, Setup},
    store::{Declaration, Store},
};

use crate::{
    plan::{AppPlan, ChannelPlan, Span, network},
    vault::Vault,
};

mod provider;
mod template;

use provider::provider;
pub use template::StoredTemplates;

/// Reads what is declared.
///
/// # Errors
/// When the store cannot be read, or something declared cannot be understood (its kind and code are in the error).
pub async fn load(store: &dyn Store, vault: &Vault) -> anyhow::Result<Setup> {
    let (version, declarations) = store.declarations().await?;
    setup(version, &declarations, vault)
}

/// What would be declared after `declared` is overridden by `newer`.
///
/// # Errors
/// As [`load`].
pub fn preview(declared: Vec<Declaration>, newer: &[Declaration], vault: &Vault) -> anyhow::Result<Setup> {
    let kept =
        declared.into_iter().filter(|old| newer.iter().all(|new| (&new.kind, &new.code) != (&old.kind, &old.code)));
    let mut merged: Vec<_> = kept.chain(newer.iter().cloned()).collect();
    // What is new gets its number when it is applied; until then each has one of its own.
    for (no, declared) in (1..).zip(&mut merged) {
        declared.no = no;
    }
    setup(0, &merged, vault)
}

fn setup(version: i64, declarations: &[Declaration], vault: &Vault) -> anyhow::Result<Setup> {
    let of_kind = |kind: &'static str| declarations.iter().filter(move |declared| declared.kind == kind);
    let named = |declared: &Declaration| format!("the stored {} {:?}", declared.kind, declared.code);
    let mut settings = Settings::default();
    for declared in of_kind("setting") {
        set(&mut settings, declared).with_context(|| named(declared))?;
    }
    let apps = of_kind("app").map(|declared| app(declared, vault).with_context(|| named(declared)));
    let providers = of_kind("provider").map(|declared| provider(declared, vault).with_context(|| named(declared)));
    let numbers: HashMap<&str, ProviderNo> = of_kind("provider").map(|d| (d.code.as_str(), ProviderNo(d.no))).collect();
    let channels = of_kind("channel").map(|declared| channel(declared, &numbers).with_context(|| named(declared)));
    let (apps, channels) = (apps.collect::<Result<_, _>>()?, channels.collect::<Result<_, _>>()?);
    let setup = Setup::new(version, settings, apps, channels, providers.collect::<Result<_, _>>()?);
    Ok(setup.with_templates(template::templates(declarations)?.into_values()))
}

fn set(settings: &mut Settings, declared: &Declaration) -> anyhow::Result<()> {
    match declared.code.as_str() {
        "cmsi.wait" => settings.cmsi_wait = Span::parse(&declared.doc)?.0,
        "retention" => settings.retention = Span::parse(&declared.doc)?.0,
        "cmsi.mail_success_code" => {
            settings.cmsi_mail_success_code =
                if declared.doc == "00" { MailSuccessCode::Text } else { MailSuccessCode::Number };
        }
        "cmsi.login_url" => settings.cmsi_login_url = base_url(&declared.doc),
        "cmsi.user_url" => settings.cmsi_user_url = base_url(&declared.doc),
        "cmsi.jwt_public_key" => settings.cmsi_jwt_key.clone_from(&declared.doc),
        "imsg.wait" => settings.imsg_wait = Span::parse(&declared.doc)?.0,
        "imsg.token_ttl" => settings.imsg_token_ttl = Span::parse(&declared.doc)?.0,
        "imsg.open_register" => settings.imsg_open_register = declared.doc.parse()?,
        "imsg.self_modify" => settings.imsg_self_modify = declared.doc.parse()?,
        "imsg.limits" => settings.imsg_fit = if declared.doc == "strict" { Fit::Whole } else { Fit::First },
        "push.default_kind" => settings.push_kind.clone_from(&declared.doc),
        "push.kinds" => settings.push_kinds = serde_json::from_str(&declared.doc)?,
        "push.schedule_ahead" => settings.push_ahead = Span::parse(&declared.doc)?.0,
        "push.sub_departments" => settings.push_below = declared.doc.parse()?,
        "time_zone" => settings.time_zone.clone_from(&declared.doc),
        // A newer version of the program on the same store may know more.
        other => tracing::warn!(setting = other, "a stored setting is not known to this version"),
    }
    Ok(())
}

fn app(declared: &Declaration, vault: &Vault) -> anyhow::Result<App> {
    let plan: AppPlan = serde_json::from_str(&declared.doc)?;
    let place = format!("app/{}/secret", plan.code);
    let secrets = plan.secrets.iter().map(|sealed| vault.unseal(&place, sealed).map(Secret::new));
    let place = format!("app/{}/hook", plan.code);
    let hook = plan.hook_token.as_ref().map(|sealed| vault.unseal(&place, sealed).map(Secret::new));
    Ok(App {
        no: AppNo(declared.no),
        secrets: secrets.collect::<Result<_, _>>()?,
        code: plan.code,
        name: plan.name,
        enabled: plan.enabled,
        trusted: plan.trusted,
        channels: plan.channels,
        senders: plan.senders.iter().map(|sender| sender.to_lowercase()).collect(),
        components: plan.components,
        ips: plan.ips.iter().map(|ip| network(ip)).collect::<Result<_, _>>()?,
        rate: plan.rate.map(|rate| rate.0),
        broadcast: plan.broadcast,
        require_signature: plan.require_signature,
        receivers_max: plan.receivers_max,
        hook: hook.transpose()?,
    })
}

/// Without the slash at its end, for a path follows.
fn base_url(declared: &str) -> String {
    declared.trim_end_matches('/').to_owned()
}

fn channel(declared: &Declaration, providers: &HashMap<&str, ProviderNo>) -> anyhow::Result<Channel> {
    let plan: ChannelPlan = serde_json::from_str(&declared.doc)?;
    let number = |code: &String| {
        let no = providers.get(code.as_str()).copied();
        no.with_context(|| format!("provider {code:?} is not declared"))
    };
    Ok(Channel {
        no: ChannelNo(declared.no),
        kind: ChannelKind::from_name(&plan.kind).with_context(|| format!("there is no kind {:?}", plan.kind))?,
        providers: plan.providers.iter().map(number).collect::<Result<_, _>>()?,
        code: plan.code,
        enabled: plan.enabled,
        paused: plan.paused,
        default: plan.default,
    })
}

#[cfg(test)]
mod tests {
    use hongyan_core::{cap::Cap, quota::Fit};
    use std::time::Duration;

    use super::*;
    use crate::plan::Plan;

    const PLAN: &str = r#"
[settings]
cmsi.wait = "3s"
cmsi.mail_success_code = "00"
cmsi.login_url = "http://login.example.com/"
cmsi.user_url = "http://users.example.com"
cmsi.jwt_public_key = """
-----BEGIN PUBLIC KEY-----
KEY
-----END PUBLIC KEY-----
"""
imsg.wait = "4s"
imsg.token_ttl = "10m"
imsg.open_register = true
imsg.self_modify = true
imsg.limits = "strict"
push.default_kind = "news"
push.kinds = ["alarm", "待办"]
push.schedule_ahead = "30d"
push.sub_departments = false
time_zone = "Europe/Berlin"
retention = "30d"
[[app]]
code = "a"
name = "Alarms"
secrets = ["new", "old"]
trusted = true
channels = ["1003"]
senders = ["Me@Example.com"]
components = ["send_mail", "send_msg"]
ips = ["10.0.0.0/8", "192.0.2.7"]
rate = "100/m"
broadcast = true
require_signature = false
receivers_max = 500
hook_token = "hook-token-0123456789"
[[app]]
code = "off"
secret = "s"
enabled = false
[[provider]]
code = "p"
kind = "capture"
[[channel]]
code = "1003"
kind = "wecom"
providers = ["p"]
enabled = false
paused = true
default = true
"#;

    /// A slip here would open an app that is held to something.
    #[test]
    fn everything_that_a_plan_says_arrives() {
        let vault = Vault::passing().expect("a vault");
        let key = include_str!("../tests/data/gateway.pub.pem");
        let text = PLAN.replace("-----BEGIN PUBLIC KEY-----\nKEY\n-----END PUBLIC KEY-----\n", key);
        let plan = Plan::parse(&text).expect("a plan");
        let change = plan.seal(String::new(), &vault).expect("seals");
        let sealed = format!("{:?}", change.declarations);
        assert!(!sealed.contains("hook-token") && !sealed.contains("\\\"new\\\""), "{sealed}");
        let setup = preview(Vec::new(), &change.declarations, &vault).expect("a setup");

        let app = setup.app("a").expect("is declared");
        let secrets: Vec<_> = app.secrets.iter().map(Secret::expose).collect();
        assert_eq!((app.code.as_str(), secrets, app.trusted), ("a", vec!["new", "old"], true));
        assert_eq!((app.name.as_str(), app.enabled), ("Alarms", true));
        assert!(setup.app("off").is_none(), "it may not call");
        let no = setup.app_declared("off").expect("is declared").no;
        let off = setup.app_by_no(no).expect("its messages have their app still");
        assert_eq!((off.code.as_str(), off.name.as_str(), off.enabled), ("off", "", false));
        assert_eq!(
            (&app.channels[..], &app.senders[..]),
            (&["1003".to_owned()][..], &["me@example.com".to_owned()][..])
        );
        assert_eq!(app.components, ["send_mail", "send_msg"]);
        assert_eq!(app.ips.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "192.0.2.7/32"]);
        assert_eq!(app.rate, Some(Cap { most: 100, span: Duration::from_secs(60) }));
        assert_eq!(app.hook.as_ref().map(Secret::expose), Some("hook-token-0123456789"));
        assert_eq!((app.broadcast, app.require_signature, app.receivers_max), (true, false, Some(500)));
        let settings = Settings {
            cmsi_wait: Duration::from_secs(3),
            cmsi_mail_success_code: MailSuccessCode::Text,
            cmsi_login_url: "http://login.example.com".into(),
            cmsi_user_url: "http://users.example.com".into(),
            cmsi_jwt_key: key.into(),
            imsg_wait: Duration::from_secs(4),
            imsg_token_ttl: Duration::from_secs(600),
            imsg_open_register: true,
            imsg_self_modify: true,
            imsg_fit: Fit::Whole,
            push_kind: "news".into(),
            push_kinds: vec!["alarm".into(), "待办".into()],
            push_ahead: Duration::from_secs(30 * 86_400),
            push_below: false,
            time_zone: "Europe/Berlin".into(),
            retention: Duration::from_secs(30 * 86_400),
        };
        assert_eq!(setup.settings, settings);
        let channel = setup.channels().first().expect("is declared");
        assert_eq!(
            (channel.kind, channel.enabled, channel.paused, channel.default),
            (ChannelKind::Wecom, false, true, true)
        );
    }
}
