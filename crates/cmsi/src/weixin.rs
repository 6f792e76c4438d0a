//! Section 7: `send_weixin` and its two old siblings. The kind of the channel decides how a notice goes: by an app of WeCom or
//! by an official account.

use std::{borrow::Cow, sync::Arc};

use hongyan_core::{
    content::{Agent, Notice},
    limits,
    setup::{App, Channel, ChannelKind, Secret, Setup},
    text,
    time::Timestamp,
};
use hongyan_intake::{Draft, NoticeDraft, wire::Json};

use crate::{
    audience::{self, Side},
    content,
    error::{Fault, Field, Problem},
    fields,
    letter::{self, Letter},
    msg_type,
    params::{Name, Params},
    python,
    route::Component,
};

const DATA: Field = Field::new("message data", "data");
const HEADING: Field = Field::new("notification header text", "heading");
const MESSAGE: Field = Field::new("notification text", "message");
const DATE: Field = Field::new("notification sending time", "date");
const REMARK: Field = Field::new("notification tail text", "remark");
const URL: Field = Field::new("url", "url");
const RECEIVER: Field = Field::new("wechat receiver", "receiver");
const QY_CONTENT: Field = Field::new("message content", "content");
const AGENT_ID: Field = Field::new("corp agentid", "agentid");
const AGENT_SECRET: Field = Field::new("corp secret", "corpsecret");

/// By which channel a notice goes, if there is one.
pub(crate) struct Way {
    kind: ChannelKind,
    channel: Option<Arc<Channel>>,
}

impl Way {
    /// The way of a kind, if the app may go it.
    pub(crate) fn of(kind: ChannelKind, component: Component, setup: &Setup, app: &App) -> Result<Self, Problem> {
        Ok(Self { kind, channel: letter::permitted(setup.channel_of_kind(kind), app, component)? })
    }
}

/// `send_weixin`: the receivers are checked before the data's content.
pub(crate) fn send_weixin(
    setup: &Setup,
    app: &Arc<App>,
    params: &Params<'_>,
    now: Timestamp,
) -> Result<Letter, Problem> {
    let way = Way::of(msg_type::weixin(setup), Component::SendWeixin, setup, app)?;
    let data = DATA.required_dict(params.get(Name::Data))?;
    let to = Side::of(params, Name::Receiver, Name::ReceiverUsername);
    if to.is_empty() {
        return Err(Problem::NoWeixinReceiver);
    }
    let form = Form { to, speaker: Speaker::of(params), url: params.get(Name::Url), parts: Parts::of(data)? };
    form.into_letter(way, setup, now)
}

/// `send_mp_weixin`: the official account, to openids alone.
pub(crate) fn send_mp_weixin(
    setup: &Setup,
    app: &Arc<App>,
    params: &Params<'_>,
    now: Timestamp,
) -> Result<Letter, Problem> {
    let way = Way::of(ChannelKind::Wechat, Component::SendMpWeixin, setup, app)?;
    let to = Side::addresses(RECEIVER.required_list(params.get(Name::Receiver))?);
    let parts = Parts::of(DATA.required_dict(params.get(Name::Data))?)?;
    Form { to, speaker: Speaker::default(), url: params.get(Name::Url), parts }.into_letter(way, setup, now)
}

/// `send_qy_weixin`: a text by WeCom, to its own ids alone.
pub(crate) fn send_qy_weixin(setup: &Setup, app: &Arc<App>, params: &Params<'_>) -> Result<Letter, Problem> {
    let Way { kind, channel } = Way::of(ChannelKind::Wecom, Component::SendQyWeixin, setup, app)?;
    let to = Side::addresses(RECEIVER.required_list(params.get(Name::Receiver))?);
    let text = content::short(QY_CONTENT.required(params.get(Name::Content))?, false, QY_CONTENT)?;
    let audience = audience::audience(kind, to, Side::default())?;
    Ok(Letter { kind, channel, audience, draft: Draft::Text(text) })
}

/// The fields of a notice, each there if it must be.
pub(crate) struct Form<'p, 'a> {
    pub(crate) to: Side<'p>,
    pub(crate) parts: Parts<'p>,
    pub(crate) speaker: Speaker<'p>,
    /// Where a tap leads, by an official account.
    pub(crate) url: &'p Json<'a>,
}

/// What a notice says.
pub(crate) struct Parts<'p> {
    pub(crate) heading: Cow<'p, str>,
    pub(crate) message: Cow<'p, str>,
    pub(crate) is_message_base64: bool,
    pub(crate) date: Cow<'p, str>,
    pub(crate) remark: Cow<'p, str>,
}

impl<'p> Parts<'p> {
    /// The form inside `data`.
    fn of(data: &'p Json<'_>) -> Result<Self, Problem> {
        Ok(Self {
            heading: HEADING.required(data.get("heading"))?,
            message: MESSAGE.required(data.get("message"))?,
            is_message_base64: fields::flag(data.get("is_message_base64")),
            date: fields::chars(data.get("date")),
            remark: fields::chars(data.get("remark")),
        })
    }

    /// Decision 8: what is shown on one line is folded, what has lines of its own is cleaned.
    fn into_notice(self) -> Result<Notice, Problem> {
        let heading = content::line(&self.heading, HEADING)?;
        let message = content::content(self.message, self.is_message_base64);
        content::bounded(&message, limits::TEXT_BYTES_MAX, MESSAGE)?;
        let date = text::fold_line(&self.date).map_err(|_| DATE.is(Fault::Control))?;
        content::bounded(&date, limits::FILE_NAME_BYTES_MAX, DATE)?;
        let remark = content::content(self.remark, false);
        // The two together are the text of the notice.
        content::bounded(&remark, limits::TEXT_BYTES_MAX - message.len(), REMARK)?;
        Ok(Notice { heading, message, date, remark, ..Notice::default() })
    }
}

/// The app of WeCom that speaks; what is empty is the provider's, each on its own.
#[derive(Default)]
pub(crate) struct Speaker<'p> {
    id: Cow<'p, str>,
    secret: Cow<'p, str>,
}

impl<'p> Speaker<'p> {
    /// What the request says of it.
    pub(crate) fn of(params: &'p Params<'_>) -> Self {
        Self {
            id: fields::chars(params.get(Name::WxQyAgentid)),
            secret: fields::chars(params.get(Name::WxQyCorpsecret)),
        }
    }

    fn id(&self) -> Result<Option<i64>, Problem> {
        if self.id.is_empty() {
            return Ok(None);
        }
        python::whole_number(&self.id).map(Some).ok_or_else(|| AGENT_ID.is(Fault::WholeNumber))
    }

    fn secret(&self) -> Result<Option<Secret>, Problem> {
        if text::has_control(&self.secret) {
            return Err(AGENT_SECRET.is(Fault::Control));
        }
        content::bounded(&self.secret, limits::FILE_NAME_BYTES_MAX, AGENT_SECRET)?;
        Ok((!self.secret.is_empty()).then(|| Secret::new(&*self.secret)))
    }
}

impl Form<'_, '_> {
    /// What is checked once every field is there.
    pub(crate) fn into_letter(self, way: Way, setup: &Setup, now: Timestamp) -> Result<Letter, Problem> {
        let Way { kind, channel } = way;
        let mut notice = self.parts.into_notice()?;
        let mut agent_secret = None;
        if kind == ChannelKind::Wechat {
            notice.url = url(self.url)?;
            if notice.date.is_empty() {
                notice.date = date(now, &setup.settings.time_zone);
            }
        } else {
            notice.agent = self.speaker.id()?.map(|id| Agent { id: Some(id), secret: None });
            agent_secret = self.speaker.secret()?;
        }
        let audience = audience::audience(kind, self.to, Side::default())?;
        Ok(Letter { kind, channel, audience, draft: Draft::Notice(NoticeDraft { notice, agent_secret }) })
    }
}

fn url(given: &Json<'_>) -> Result<String, Problem> {
    let url = fields::chars(given);
    if text::has_control(&url) {
        return Err(URL.is(Fault::Control));
    }
    content::bounded(&url, limits::URL_BYTES_MAX, URL)?;
    Ok(url.into_owned())
}

/// Decision 10: the date of a notice of an official account that has none.
fn date(now: Timestamp, zone: &str) -> String {
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let moment = jiff::Timestamp::from_millisecond(now.ms()).unwrap_or_default();
    moment.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_configured_zone() {
        let now = Timestamp::from_ms(1_795_335_811_000);
        assert_eq!(date(now, "Asia/Shanghai"), "2026-11-22 16:23");
        assert_eq!(date(now, "America/New_York"), "2026-11-22 03:23");
        assert_eq!(date(now, "Nowhere/Else"), "2026-11-22 08:23");
    }

    #[test]
    fn agents_are_whole_numbers() {
        let id = |id: &str| Speaker { id: id.to_owned().into(), ..Speaker::default() }.id();
        assert_eq!(id(""), Ok(None));
        for (given, number) in [("1000009", 1_000_009), ("+7", 7), ("5.00", 5), ("-1", -1)] {
            assert_eq!(id(given), Ok(Some(number)), "{given}");
        }
        for bad in ["abc", "1.5", "1e3", "True", "9223372036854775808", "1 2", "."] {
            assert_eq!(id(bad), Err(AGENT_ID.is(Fault::WholeNumber)), "{bad}");
        }
    }
}
