//! Providers from their stored form: defaults filled in, secrets unsealed.

use std::time::Duration;

use anyhow::bail;
use hongyan_core::{
    delivery::Repeat,
    setup::{
        AliyunProvider, CaptureProvider, Dkim, NoticeFields, Provider, ProviderKind, ProviderNo, Secret, SmsTemplate,
        SmtpProvider, TencentProvider, TencentVoiceProvider, TestProvider, Tls, WechatCallback, WechatProvider,
        WecomProvider,
    },
    store::Declaration,
};

use super::base_url;
use crate::{
    plan::{DkimPlan, FieldsPlan, ProviderPlan, Span, TemplatePlan},
    vault::Vault,
};

/// Who mails are from that leave nowhere, where no sender is declared.
const LOCAL_SENDER: &str = "hongyan@localhost.localdomain";
/// The region of Tencent Cloud that is asked where none is declared.
const TENCENT_REGION: &str = "ap-guangzhou";
/// The variable that takes a free text where none is declared.
const FREE_TEXT: &str = "content";

/// Reads a provider.
///
/// # Errors
/// When it cannot be understood or its secrets cannot be unsealed.
pub(super) fn provider(declared: &Declaration, vault: &Vault) -> anyhow::Result<Provider> {
    let plan: ProviderPlan = serde_json::from_str(&declared.doc)?;
    Ok(Provider {
        no: ProviderNo(declared.no),
        code: plan.code.clone(),
        enabled: plan.enabled,
        rate: plan.rate,
        max_in_flight: plan.max_in_flight,
        kind: match plan.kind.as_str() {
            "capture" => ProviderKind::Capture(CaptureProvider { sender: local_sender(plan.sender) }),
            "inbox" => ProviderKind::Inbox,
            "test" => ProviderKind::Test(test(plan)),
            "smtp" => ProviderKind::Smtp(Box::new(smtp(plan, vault)?)),
            "wecom" => ProviderKind::Wecom(wecom(plan, vault)?),
            "wechat" => ProviderKind::Wechat(wechat(plan, vault)?),
            "aliyun" => ProviderKind::Aliyun(aliyun(plan, vault)?),
            "tencent" => ProviderKind::Tencent(tencent(plan, vault)?),
            "tencent_voice" => ProviderKind::TencentVoice(tencent_voice(plan, vault)?),
            other => bail!("there is no kind {other:?}"),
        },
    })
}

fn unseal(vault: &Vault, code: &str, field: &str, sealed: &str) -> anyhow::Result<Secret> {
    vault.unseal(&format!("provider/{code}/{field}"), sealed).map(Secret::new)
}

fn url(declared: Option<String>, default: &str) -> String {
    base_url(&declared.unwrap_or_else(|| default.to_owned()))
}

fn wecom(plan: ProviderPlan, vault: &Vault) -> anyhow::Result<WecomProvider> {
    Ok(WecomProvider {
        corp_secret: unseal(vault, &plan.code, "corp_secret", &plan.corp_secret.unwrap_or_default())?,
        corp_id: plan.corp_id.unwrap_or_default(),
        agent_id: plan.agent_id.unwrap_or_default(),
        duplicate_check: plan.duplicate_check.map(|span| span.0),
        base_url: url(plan.base_url, "https://qyapi.weixin.qq.com"),
    })
}

fn wechat(plan: ProviderPlan, vault: &Vault) -> anyhow::Result<WechatProvider> {
    let callback = plan.callback_secret.as_deref().map(|secret| wechat_callback(&plan, secret, vault)).transpose()?;
    let FieldsPlan { heading, message, date, remark } = plan.fields.unwrap_or_default();
    Ok(WechatProvider {
        app_secret: unseal(vault, &plan.code, "app_secret", &plan.app_secret.unwrap_or_default())?,
        app_id: plan.app_id.unwrap_or_default(),
        template: plan.template.unwrap_or_default(),
        fields: NoticeFields { heading, message, date, remark },
        base_url: url(plan.base_url, "https://api.weixin.qq.com"),
        callback,
    })
}

fn wechat_callback(plan: &ProviderPlan, secret: &str, vault: &Vault) -> anyhow::Result<WechatCallback> {
    let unseal = |field: &str, sealed: &str| unseal(vault, &plan.code, field, sealed);
    Ok(WechatCallback {
        secret: unseal("callback_secret", secret)?,
        token: unseal("token", plan.token.as_deref().unwrap_or_default())?,
        aes_key: plan.aes_key.as_deref().map(|sealed| unseal("aes_key", sealed)).transpose()?,
    })
}

fn template(plan: TemplatePlan) -> SmsTemplate {
    SmsTemplate { id: plan.id, variables: plan.variables }
}

/// The template of texts that name none.
fn free_text(id: Option<String>, variable: Option<String>) -> SmsTemplate {
    let variable = variable.unwrap_or_else(|| FREE_TEXT.to_owned());
    SmsTemplate { id: id.unwrap_or_default(), variables: vec![variable] }
}

fn aliyun(plan: ProviderPlan, vault: &Vault) -> anyhow::Result<AliyunProvider> {
    let templates = plan.templates.unwrap_or_default().into_iter();
    Ok(AliyunProvider {
        access_secret: unseal(vault, &plan.code, "access_secret", &plan.access_secret.unwrap_or_default())?,
        access_key: plan.access_key.unwrap_or_default(),
        sign: plan.sign.unwrap_or_default(),
        template: free_text(plan.template, plan.variable),
        templates: templates.map(|(code, plan)| (code, template(plan))).collect(),
        base_url: url(plan.base_url, "https://dysmsapi.aliyuncs.com"),
    })
}

fn tencent(plan: ProviderPlan, vault: &Vault) -> anyhow::Result<TencentProvider> {
    let templates = plan.templates.unwrap_or_default().into_iter();
    Ok(TencentProvider {
        secret_key: unseal(vault, &plan.code, "secret_key", &plan.secret_key.unwrap_or_default())?,
        secret_id: plan.secret_id.unwrap_or_default(),
        app_id: plan.app_id.unwrap_or_default(),
        region: plan.region.unwrap_or_else(|| TENCENT_REGION.to_owned()),
        sign: plan.sign.unwrap_or_default(),
        template: free_text(plan.template, None),
        templates: templates.map(|(code, plan)| (code, template(plan))).collect(),
        base_url: url(plan.base_url, "https://sms.tencentcloudapi.com"),
    })
}

fn tencent_voice(plan: ProviderPlan, vault: &Vault) -> anyhow::Result<TencentVoiceProvider> {
    Ok(TencentVoiceProvider {
        secret_key: unseal(vault, &plan.code, "secret_key", &plan.secret_key.unwrap_or_default())?,
        secret_id: plan.secret_id.unwrap_or_default(),
        app_id: plan.app_id.unwrap_or_default(),
        region: plan.region.unwrap_or_else(|| TENCENT_REGION.to_owned()),
        template: plan.template.unwrap_or_default(),
        play_times: plan.play_times.unwrap_or(2),
        base_url: url(plan.base_url, "https://vms.tencentcloudapi.com"),
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
    let unseal = |field: &str, sealed: &str| unseal(vault, &plan.code, field, sealed);
    let span = |given: Option<Span>, default: u64| given.map_or(Duration::from_secs(default), |span| span.0);
    let dkim = |dkim: &DkimPlan| -> anyhow::Result<Dkim> {
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
