//! From the stored form of what is declared to the [`Setup`] that the node works with: secrets unsealed, codes of providers
//! turned into their numbers, defaults filled in.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, bail};
use hongyan_core::{
    delivery::Repeat,
    setup::{
        App, AppNo, CaptureProvider, Channel, ChannelKind, ChannelNo, Dkim, MailSuccessCode, Provider, ProviderKind,
        ProviderNo, Secret, Settings, Setup, SmtpProvider, TestProvider, Tls,
    },
    store::{Declaration, Store},
};

use crate::{
    plan::{AppPlan, ChannelPlan, ProviderPlan, Span},
    vault::Vault,
};

/// Who mails are from that leave nowhere, where no sender is declared.
const LOCAL_SENDER: &str = "hongyan@localhost.localdomain";

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
    let merged: Vec<_> = kept.chain(newer.iter().cloned()).collect();
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
    Ok(Setup::new(version, settings, apps, channels, providers.collect::<Result<_, _>>()?))
}

fn set(settings: &mut Settings, declared: &Declaration) -> anyhow::Result<()> {
    match declared.code.as_str() {
        "cmsi.wait" => settings.cmsi_wait = Span::parse(&declared.doc)?.0,
        "retention" => settings.retention = Span::parse(&declared.doc)?.0,
        "cmsi.mail_success_code" => {
            settings.cmsi_mail_success_code =
                if declared.doc == "00" { MailSuccessCode::Text } else { MailSuccessCode::Number };
        }
        // A newer version of the program on the same store may know more.
        other => tracing::warn!(setting = other, "a stored setting is not known to this version"),
    }
    Ok(())
}

fn app(declared: &Declaration, vault: &Vault) -> anyhow::Result<App> {
    let plan: AppPlan = serde_json::from_str(&declared.doc)?;
    let place = format!("app/{}/secret", plan.code);
    let secrets = plan.secrets.iter().map(|sealed| vault.unseal(&place, sealed).map(Secret::new));
    Ok(App {
        no: AppNo(declared.no),
        secrets: secrets.collect::<Result<_, _>>()?,
        code: plan.code,
        trusted: plan.trusted,
        channels: plan.channels,
        senders: plan.senders.iter().map(|sender| sender.to_lowercase()).collect(),
    })
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

fn provider(declared: &Declaration, vault: &Vault) -> anyhow::Result<Provider> {
    let plan: ProviderPlan = serde_json::from_str(&declared.doc)?;
    Ok(Provider {
        no: ProviderNo(declared.no),
        code: plan.code.clone(),
        enabled: plan.enabled,
        rate: plan.rate,
        max_in_flight: plan.max_in_flight,
        kind: match plan.kind.as_str() {
            "capture" => ProviderKind::Capture(CaptureProvider { sender: local_sender(plan.sender) }),
            "test" => ProviderKind::Test(test(plan)),
            "smtp" => ProviderKind::Smtp(Box::new(smtp(plan, vault)?)),
            other => bail!("there is no kind {other:?}"),
        },
    })
}

fn local_sender(declared: String) -> String {
    if declared.is_empty() { LOCAL_SENDER.to_owned() } else { declared }
}

fn test(plan: ProviderPlan) -> TestProvider {
    TestProvider {
        sender: local_sender(plan.sender),
        url: plan.url.unwrap_or_default(),
        repeat: match plan.repeat.as_deref() {
            Some("at_least_once") => Repeat::AtLeastOnce,
            _ => Repeat::AtMostOnce,
        },
        delay: plan.delay.map_or(Duration::ZERO, |span| span.0),
    }
}

fn smtp(plan: ProviderPlan, vault: &Vault) -> anyhow::Result<SmtpProvider> {
    let unseal =
        |field: &str, sealed: &str| vault.unseal(&format!("provider/{}/{field}", plan.code), sealed).map(Secret::new);
    let span = |given: Option<Span>, default: u64| given.map_or(Duration::from_secs(default), |span| span.0);
    let dkim = |dkim: &crate::plan::DkimPlan| -> anyhow::Result<Dkim> {
        let key = unseal("dkim", &dkim.key)?;
        Ok(Dkim { domain: dkim.domain.clone(), selector: dkim.selector.clone(), key })
    };
    Ok(SmtpProvider {
        port: plan.port.unwrap_or(25),
        tls: match plan.tls.as_deref() {
            Some("none") => Tls::None,
            Some("starttls") => Tls::StartTls,
            Some("implicit") => Tls::Implicit,
            _ => Tls::Required,
        },
        password: plan.password.as_deref().map_or_else(|| Ok(Secret::new("")), |sealed| unseal("password", sealed))?,
        dkim: plan.dkim.as_ref().map(dkim).transpose()?,
        connection_messages: plan.connection_messages.unwrap_or(1_000).max(1),
        connection_age: span(plan.connection_age, 600),
        connection_idle: span(plan.connection_idle, 20),
        host: plan.host.unwrap_or_default(),
        user: plan.user.unwrap_or_default(),
        helo: plan.helo.unwrap_or_default(),
        sender: plan.sender,
        bounce: plan.bounce.unwrap_or_default(),
        ca_file: plan.ca_file.unwrap_or_default(),
    })
}
