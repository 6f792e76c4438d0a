//! An SMS (rows 22 to 26): a text, or a template of its provider with values, or both; the sign. What the channel's providers need
//! and do not get is told at once.

use std::collections::BTreeMap;

use hongyan_core::{
    content::TemplateUse,
    limits,
    setup::{Channel, ProviderKind, Setup, SmsTemplate},
};
use hongyan_intake::{html, template::Filled, wire::Json};

use crate::{fields, params::Params, place::Place, problem::Problem};

/// Characters of a provider's name for a template.
const TEMPLATE_ID_CHARS_MAX: usize = 128;
/// Characters of a sign.
const SIGN_CHARS_MAX: usize = 64;

/// What a caller writes for a channel of SMS. Variables in the text are filled in from `paramData` (row 25), after tags of HTML
/// were taken out of it, so that no value loses anything.
pub(crate) fn read(value: &Json<'_>, place: &Place<'_>) -> Result<Filled, Problem> {
    let sign = fields::line(value.get("sign"), &place.at("sign"), SIGN_CHARS_MAX)?;
    let inner = place.at("templateData");
    let data = value.get("templateData");
    fields::object(data, &inner)?;
    let id = fields::name(data.get("templateId"), &inner.at("templateId"), TEMPLATE_ID_CHARS_MAX)?;
    let params = inner.at("paramData");
    let members = fields::object(data.get("paramData"), &params)?.unwrap_or_default();
    let params = Params::read(members, &params)?;
    let inner = place.at("content");
    let text = fields::text(value.get("content"), &inner)?.unwrap_or_default();
    fields::sized(text.len(), limits::TEXT_BYTES_MAX, &inner)?;
    let content = params.fill(&html::strip_tags(text), limits::TEXT_BYTES_MAX, &inner)?;
    let Params { order, values } = params;
    let template = id.map(|id| TemplateUse { code: id.into_owned(), foreign: true, order, values });
    Ok(Filled { content, sign: Some(sign), template, ..Filled::default() })
}

/// Checks that there is something to say, and all that the channel's providers need to say it.
pub(crate) fn check(setup: &Setup, channel: &Channel, filled: &Filled, place: &Place<'_>) -> Result<(), Problem> {
    if filled.content.trim().is_empty() && filled.template.is_none() {
        return Err(Problem::NoSms(place.to_string()));
    }
    let providers = || channel.providers.iter().filter_map(|no| setup.provider(*no)).filter(|found| found.enabled);
    let mut signs = providers().map(|found| sign(&found.kind)).filter(|sign| !sign.is_empty()).peekable();
    if let Some(given) = &filled.sign
        && signs.peek().is_some()
        && !signs.any(|known| known == given)
    {
        return Err(Problem::UnknownSign(place.at("sign").to_string()));
    }
    // Without a template it goes by the provider's own for free text, which each of them has.
    let Some(used) = &filled.template else { return Ok(()) };
    let needed = providers().filter_map(|found| templates(&found.kind)?.get(&used.code)).flat_map(|own| &own.variables);
    match needed.into_iter().find(|name| !used.values.contains_key(*name)) {
        Some(lacking) => Err(Problem::NoValue(lacking.clone())),
        None => Ok(()),
    }
}

/// A sign without its brackets; blank: the provider's.
pub(crate) fn bare_sign(sign: Option<String>) -> Option<String> {
    let sign = sign?;
    let sign = sign.trim();
    let bare = sign.strip_prefix('【').and_then(|sign| sign.strip_suffix('】')).unwrap_or(sign).trim();
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// The sign that a provider has; empty where it lists none.
fn sign(kind: &ProviderKind) -> &str {
    match kind {
        ProviderKind::Aliyun(keys) => &keys.sign,
        ProviderKind::Tencent(keys) => &keys.sign,
        _ => "",
    }
}

/// The templates of a provider that stand for ours.
fn templates(kind: &ProviderKind) -> Option<&BTreeMap<String, SmsTemplate>> {
    match kind {
        ProviderKind::Aliyun(keys) => Some(&keys.templates),
        ProviderKind::Tencent(keys) => Some(&keys.templates),
        _ => None,
    }
}
