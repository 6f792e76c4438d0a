//! A message from a template (rows 36 to 41): its channels, each with its text filled in from the caller's values.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use hongyan_core::{
    limits,
    setup::{Channel, ChannelNo, Template, TemplateContent, variables},
};
use hongyan_intake::{template, wire::Json};

use crate::{
    call::Call,
    channels,
    content::{Part, Speaker},
    fields, params,
    place::Place,
    problem::Problem,
};

/// Characters of a template's code.
const CODE_CHARS_MAX: usize = 128;
const DATA: Place<'static> = Place::top("channelParamData");

/// The template that a call names, if it may be used.
pub(crate) fn named(speaker: &Speaker<'_>, call: &Call<'_>) -> Result<Arc<Template>, Problem> {
    let code = fields::required(call.get("templateCode"), &Place::top("templateCode"), CODE_CHARS_MAX)?;
    let template = speaker.setup.template(&code).ok_or_else(|| Problem::UnknownTemplate(code.to_string()))?;
    if !template.enabled {
        return Err(Problem::TemplateDisabled(code.into_owned()));
    }
    Ok(Arc::clone(template))
}

/// What the template says on each of its channels, of those that are `chosen` where some are (row 38). Of the others nothing is asked:
/// neither that they are in use, nor values.
pub(crate) fn parts(
    speaker: &Speaker<'_>,
    call: &Call<'_>,
    template: &Template,
    chosen: Option<&HashSet<ChannelNo>>,
) -> Result<Vec<Part>, Problem> {
    let data = call.get("channelParamData");
    fields::object(data, &DATA)?.ok_or_else(|| Problem::missing(&DATA))?;
    if template.contents.is_empty() {
        return Err(Problem::TemplateEmpty(template.code.clone()));
    }
    let mut parts = Vec::with_capacity(template.contents.len());
    for (code, content) in &template.contents {
        let channel = match (channels::named(speaker.setup, code), chosen) {
            (Ok(channel), Some(chosen)) if !chosen.contains(&channel.no) => continue,
            (Err(_), Some(_)) => continue,
            (Err(_), None) => return Err(Problem::TemplateChannel(code.clone())),
            (Ok(channel), _) => channel,
        };
        let channel = channels::usable(channel, speaker.app)?;
        let values = values(data, channel, template)?;
        bounded(content, &values)?;
        let filled = template::fill(content, channel.kind, &values).map_err(|missing| Problem::NoValue(missing.0))?;
        let draft = speaker.draft(channel, filled, &Place::top("templateCode").at(code))?;
        parts.push(Part { key: code.clone(), channel: Arc::clone(channel), draft });
    }
    Ok(parts)
}

/// Refuses values that would make a long text of a short one: what they put into it has a bound, however often it names them.
fn bounded(content: &TemplateContent, values: &BTreeMap<String, String>) -> Result<(), Problem> {
    let texts = [&content.title, &content.content, &content.website];
    let named = texts.into_iter().flat_map(|text| variables(text)).filter_map(|name| values.get(name));
    fields::sized(named.map(String::len).sum(), limits::INBOX_HTML_BYTES_MAX, &DATA)
}

/// Row 36: the values for a channel: those for all of them, and over these the ones in an object under the channel's code or number.
/// What the template does not ask for is not looked at (row 37).
fn values(data: &Json<'_>, channel: &Channel, template: &Template) -> Result<BTreeMap<String, String>, Problem> {
    let number = channel.no.0.to_string();
    let own = [channel.code.as_str(), &number].map(|key| (key, data.get(key)));
    let own = own.into_iter().find(|(_, value)| matches!(value, Json::Dict(_)));
    let mut values = BTreeMap::new();
    for name in template.variables() {
        let given = own.map(|(key, object)| (Some(key), object.get(name))).filter(|(_, value)| **value != Json::Null);
        let (key, value) = given.unwrap_or((None, data.get(name)));
        let outer = key.map(|key| DATA.at(key));
        let value = params::scalar(value, &outer.as_ref().unwrap_or(&DATA).at(name))?;
        values.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(values)
}
